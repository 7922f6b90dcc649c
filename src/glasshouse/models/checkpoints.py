"""Files of weights: those of a folder, and what to call them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..files import store_name

ENDINGS = (".safetensors", ".pth", ".pt", ".th")


def checkpoints(weights: Sequence[str]) -> list[Path]:
    """Files of weights, those of a folder in the order of their names; ValueError if there are none, or one twice."""
    found: list[Path] = []
    for path in map(Path, weights):
        if not path.exists():
            raise ValueError(f"no such file or folder of weights: {path}")
        own = [path] if path.is_file() else sorted(p for p in path.iterdir() if is_checkpoint(p))
        if not own:
            raise ValueError(f"there are no weights in {path}: no file ends in {', '.join(ENDINGS)}")
        found += own
    resolved = [path.resolve() for path in found]
    for path, place in zip(found, resolved, strict=True):
        if resolved.count(place) > 1:
            raise ValueError(f"the weights {path} are given twice")
    return found


def is_checkpoint(path: Path) -> bool:
    """Whether a file in a folder is taken for weights."""
    return path.is_file() and path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def called(files: Sequence[Path]) -> list[str]:
    """What tells files apart: their names without ending, with as many folders before them as that takes."""
    deepest = max(len(file.parts) for file in files)
    for depth in range(1, deepest + 1):
        names = ["/".join(file.with_suffix("").parts[-depth:]) for file in files]
        if len(set(map(store_name, names))) == len(names):
            return names
    return [str(file) for file in files]
