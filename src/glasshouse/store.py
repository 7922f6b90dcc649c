"""The run directory: what is done stays done, and a run that was cut off goes on from its last complete epoch."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .checks import Check
from .detectors.findings import Findings
from .files import write_whole
from .models.weights import load_weights, save_weights
from .spec import parse, pretty
from .train import Resumed, State
from .types import Objective


def opened(out: Path, recipe: object, names: Mapping[str, type]) -> None:
    """Make ``out`` the directory of a recipe, or find that it already is.

    Raises:
        ValueError: if it holds anything else; nothing is touched then.
    """
    file = out / "recipe.txt"
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; --out takes a directory")
    # Listed before the recipe is looked for: another process may be beginning the same run.
    there = [path for path in out.iterdir() if not path.name.startswith(f".{file.name}.")] if out.is_dir() else []
    if file.is_file():
        if parsed(file, names) != recipe:
            raise ValueError(f"{out} holds a run of another recipe (see {file}); give another --out")
        return
    if there:
        raise ValueError(f"{out} is not empty and holds no run; give another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(file, pretty(recipe) + "\n")


def parsed(file: Path, names: Mapping[str, type]) -> Any:
    """The component in a text file; ValueError names the file."""
    try:
        return parse(file.read_text(), names)
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {error}") from None


@dataclass(frozen=True)
class Stage:
    """One training within a run: its log, its state after the last complete epoch, at last its weights."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / "weights.safetensors"

    @property
    def state(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def rows(self) -> list[dict[str, float]]:
        """The log so far, a row a step; empty if nothing was trained."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.is_file() else []

    def keep(self, model: nn.Module, state: State) -> None:
        """Append the epoch's log, then put the state in place: the state counts, the log is cut back to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in state.log)
            end = file.tell()
            file.flush()
            os.fsync(file.fileno())
        tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
        for i, entries in state.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{i}/{k}": v for k, v in entries.items() if isinstance(v, Tensor)}
        tensors |= {f"kept/{k}": v for k, v in state.kept.items()}
        told = {"epoch": str(state.epoch), "objective": repr(state.objective), "log": str(end)}
        write_whole(self.state, packed(tensors, told))

    def resume(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        names: Mapping[str, type],
    ) -> Resumed:
        """Fill model and optimizer, and return the rest of the state; that of no epochs if there is none."""
        if not self.state.is_file():
            self.log.unlink(missing_ok=True)
            return Resumed(0, objective, {})
        tensors, told = unpacked(self.state)
        model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model/")})
        entries: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer/"):
                _, i, name = key.split("/", 2)
                entries.setdefault(int(i), {})[name] = value
        optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
        if self.log.is_file() and self.log.stat().st_size > int(told["log"]):
            with self.log.open("r+") as file:
                file.truncate(int(told["log"]))
        kept = {k[5:]: v for k, v in tensors.items() if k.startswith("kept/")}
        return Resumed(int(told["epoch"]), parse(told["objective"], names), kept)

    def finish(self, model: nn.Module, objective: Objective) -> None:
        """Weights and final objective in place of the state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / "objective.txt", pretty(objective) + "\n")
        save_weights(model, self.weights)
        self.state.unlink(missing_ok=True)

    def load(self, model: nn.Module, names: Mapping[str, type]) -> Objective | None:
        """The finished stage's weights into the model, and its objective; None if it is not finished."""
        if not self.weights.is_file():
            return None
        load_weights(model, self.weights)
        objective: Objective = parsed(self.folder / "objective.txt", names)
        return objective


def packed(tensors: Mapping[str, Tensor], told: dict[str, str] | None = None) -> bytes:
    """Tensors and texts as the bytes of a safetensors file."""
    plain = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    return save(plain, told)


def unpacked(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of a safetensors file; ValueError names a damaged one."""
    try:
        with safe_open(path, "pt") as file:
            return {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to do that step again") from None


def keep_findings(path: Path, findings: Findings) -> None:
    """Write findings; segments take 16 bits a pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = findings._asdict() | {"segments": findings.segments.to(torch.int16)}
    write_whole(path, packed(fields))


def load_findings(path: Path) -> Findings | None:
    """Findings from a file, None if there is none."""
    if not path.is_file():
        return None
    fields, _ = unpacked(path)
    return Findings(**(fields | {"segments": fields["segments"].long()}))


def keep_values(path: Path, values: Mapping[str, Tensor]) -> None:
    """Per-sample values as ``.npz`` with the same bytes every time (numpy's own writes the time of day)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in values.items():
            entry = io.BytesIO()
            np.save(entry, value.numpy(), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue(), zipfile.ZIP_DEFLATED)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def keep_checks(path: Path, checks: list[Check]) -> None:
    """Write self-checks as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps([check._asdict() for check in checks], indent=1) + "\n")


def load_checks(path: Path) -> list[Check] | None:
    """Self-checks from a file, None if there is none."""
    if not path.is_file():
        return None
    try:
        return [Check(**{name: str(row[name]) for name in Check._fields}) for row in json.loads(path.read_text())]
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to do that step again") from None


def load_values(path: Path) -> dict[str, Tensor] | None:
    """Per-sample values from a file, None if there is none."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: torch.from_numpy(archive[name]) for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it to do that step again") from None
