"""What an evaluation measured, and whether it can be relied on: to read, to show in a notebook, to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ..checks import Check, worst
from ..corruptions.naming import NAMES
from ..files import write_whole
from ..metrics import Accuracy
from ..outcome import without_nan
from ..statistics import Estimate, estimate
from ..store import keep_values
from ..titles import title
from ..types import Corruption, Metric
from ..versions import versions
from . import evaluation_page
from .explanations import vacant


class Example(NamedTuple):
    """An image that an attack broke."""

    x: Tensor  # [C, H, W]
    x_adv: Tensor  # [C, H, W]
    title: str
    predicted: str
    predicted_adv: str
    attack: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything on the CPU and in the order of the images; a notebook shows it as a page."""

    metrics: tuple[Metric, ...]
    values: dict[str, Tensor]  # by repr(metric): [N]
    y: Tensor  # [N]; several classes an image: [N, classes]
    predicted: Tensor  # [N]
    classes: tuple[str, ...]
    titles: tuple[str, ...]
    index: Tensor  # [N] position in the data
    checks: tuple[Check, ...] = ()
    corrupted: dict[Corruption, dict[str, Tensor]] = field(default_factory=dict)
    reference: Reference | None = None
    perturbations: dict[str, Tensor] = field(default_factory=dict)  # by repr(metric): [N, C, H, W]
    examples: tuple[Example, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    model: str = ""
    data: str = ""
    device: str = "cpu"
    seed: int = 0

    def estimate(self, metric: Metric) -> Estimate:
        """Mean over the images, with its 95 % interval."""
        return estimate(self.values[repr(metric)].double().numpy())

    def accuracies(self, metric: Metric) -> dict[tuple[str, int], float]:
        """Mean on each corruption and severity."""
        name = repr(metric)
        return {key(c): float(v[name].double().mean()) for c, v in self.corrupted.items() if name in v}

    @property
    def trustworthy(self) -> bool:
        """Whether no self-check failed."""
        return worst(self.checks) != "fail"

    def _repr_html_(self) -> str:
        return evaluation_page.fragment(self)

    def save(self, folder: str | Path) -> Path:
        """Write ``values.npz``, ``evaluation.json``, ``perturbations.npz`` where they were kept and, last,
        ``index.html``; returns the page.

        Raises:
            ValueError: if the folder is a file or holds anything; it is left as it is then.
        """
        out = vacant(Path(folder))
        out.mkdir(parents=True, exist_ok=True)
        keep_values(out / "values.npz", arrays(self))
        if self.perturbations:
            keep_values(out / "perturbations.npz", numbered(self, self.perturbations))
        write_whole(out / "evaluation.json", json.dumps(without_nan(described(self)), indent=1) + "\n")
        write_whole(out / "index.html", evaluation_page.page(self))
        return out / "index.html"


class Reference(NamedTuple):
    """A model whose errors under corruption another one's are compared with."""

    name: str
    clean: float
    accuracies: dict[tuple[str, int], float]


def key(corruption: Any) -> tuple[str, int]:
    """A corruption's published name, or its class, and its severity."""
    published = {cls: name for name, cls in NAMES.items()}
    cls = type(corruption)
    return published.get(cls, cls.__name__), getattr(corruption, "severity", 0)


def arrays(found: Evaluation) -> dict[str, Tensor]:
    """What ``values.npz`` holds: a row for each image; ``evaluation.json`` says which metric is which."""
    named = {"index": found.index, "y": found.y, "predicted": found.predicted}
    named |= numbered(found, found.values)
    for corruption, values in found.corrupted.items():
        name, severity = key(corruption)
        named |= {f"{name}_{severity}_{k}": v for k, v in numbered(found, values).items()}
    return named


def numbered(found: Evaluation, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Values by the number of their metric."""
    places = {repr(metric): f"metric_{i}" for i, metric in enumerate(found.metrics)}
    return {places[name]: value for name, value in values.items()}


def described(found: Evaluation) -> dict[str, Any]:
    """Everything but the images' own values as plain data."""
    return {
        "model": found.model,
        "data": found.data,
        "images": len(found.y),
        "seed": found.seed,
        "device": found.device,
        "versions": versions(),
        "seconds": found.seconds,
        "metrics": [
            {"name": f"metric_{i}", "title": title(m), "text": repr(m), **found.estimate(m)._asdict()}
            for i, m in enumerate(found.metrics)
        ],
        "checks": [check._asdict() for check in found.checks],
        "clean": found.estimate(Accuracy()).mean,
        "corruptions": [
            {
                "corruption": name,
                "severity": severity,
                **{f"metric_{i}": mean(values, m) for i, m in enumerate(found.metrics)},
            }
            for (name, severity), values in ((key(c), v) for c, v in found.corrupted.items())
        ],
        "corruption_error": found.reference and evaluation_page.errors(found)._asdict(),
    }


def mean(values: Mapping[str, Tensor], metric: Metric) -> float | None:
    """A metric's mean, None where it was not measured."""
    return float(values[repr(metric)].double().mean()) if repr(metric) in values else None


def reference_from(file: str | Path) -> Reference:
    """The errors of a model from its ``evaluation.json``.

    Raises:
        ValueError: if the file holds no accuracies under corruption.
    """
    path = Path(file)
    path = path / "evaluation.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        name = f"metric_{[m['text'] for m in found['metrics']].index(repr(Accuracy()))}"
        rows = {(str(r["corruption"]), int(r["severity"])): float(r[name]) for r in found["corruptions"]}
        clean, called = float(found["clean"]), str(found["model"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no evaluation.json with accuracies under corruption ({error})") from None
    if not rows:
        raise ValueError(f"{path} holds no accuracies under corruption; evaluate its model with --corruption all")
    return Reference(called or str(path), clean, rows)
