"""What several explainers say about several images: to read, to show in a notebook, to keep."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from ..files import write_whole
from ..store import keep_values
from ..types import Surrogate
from ..versions import versions
from . import gallery
from .agreement import agreement


class Column(NamedTuple):
    """What one explainer says, and what it cost."""

    name: str  # unique, a key of arrays: the class, numbered where there are several of it
    heading: str  # unique, for people: the class and what differs from its defaults
    text: str
    attribution: Tensor  # [N, H, W] float32
    surrogate: Surrogate | None
    seconds: float
    passes: int  # images that went through the model, 0 where the explainer does not call it as a whole


@dataclass(frozen=True, eq=False)
class Explanations:
    """Everything on the CPU and in the order of the images; a notebook shows it as a gallery.

    ``y`` is -1 where the true class is not known.
    """

    x: Tensor  # [N, C, H, W]
    y: Tensor  # [N]
    probability: Tensor  # [N, classes]
    target: Tensor  # [N] the class that was explained
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    titles: tuple[str, ...]
    index: Tensor  # [N] position in the data
    model: str = ""
    data: str = ""
    device: str = "cpu"
    seed: int = 0

    @property
    def predicted(self) -> Tensor:
        """The class with the highest probability, ``[N]``."""
        return self.probability.argmax(1)

    @property
    def attributions(self) -> dict[str, Tensor]:
        """``[N, H, W]`` by the name of the explainer."""
        return {column.name: column.attribution for column in self.columns}

    @property
    def surrogates(self) -> dict[str, Surrogate]:
        """Weights of superpixels with their errors, by the name of the explainer that has any."""
        return {column.name: column.surrogate for column in self.columns if column.surrogate is not None}

    def _repr_html_(self) -> str:
        return gallery.fragment(self)

    def figure(self) -> Figure:
        """A row for each image: the image, then what each explainer says."""
        return gallery.figure(self)

    def save(self, folder: str | Path) -> Path:
        """Write ``explanations.npz``, ``explanations.json`` and, last, ``index.html``; returns the page.

        Raises:
            ValueError: if the folder is a file or holds anything; it is left as it is then.
        """
        out = vacant(Path(folder))
        out.mkdir(parents=True, exist_ok=True)
        keep_values(out / "explanations.npz", arrays(self))
        write_whole(out / "explanations.json", json.dumps(described(self), indent=1) + "\n")
        write_whole(out / "index.html", gallery.page(self))
        return out / "index.html"


def vacant(out: Path) -> Path:
    """``out`` itself; ValueError if it is a file or holds anything."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give the name of a folder")
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty, and nothing is overwritten; give another folder with --out")
    return out


def arrays(found: Explanations) -> dict[str, Tensor]:
    """What is kept as arrays, by name."""
    kept = {"index": found.index, "y": found.y, "predicted": found.predicted, "target": found.target}
    kept["probability"] = found.probability
    kept["pixels"] = (found.x * 255).round().byte()
    for column in found.columns:
        kept[column.name] = column.attribution
        if column.surrogate is not None:
            kept |= {f"{column.name}.{field}": value for field, value in column.surrogate._asdict().items()}
    return kept


def described(found: Explanations) -> dict[str, Any]:
    """What is kept as JSON: with what the maps were made, and what they are of."""
    return {
        "model": found.model,
        "data": found.data,
        "device": found.device,
        "seed": found.seed,
        "versions": versions(),
        "explainers": {column.name: described_column(column) for column in found.columns},
        "agreement": [[None if math.isnan(v) else round(v, 4) for v in row] for row in agreement(found)],
        "classes": list(found.classes),
        "images": [described_image(found, i) for i in range(len(found.x))],
    }


def described_column(column: Column) -> dict[str, Any]:
    """One explainer: its text and its cost."""
    told: dict[str, Any] = {"text": column.text, "seconds": round(column.seconds, 3), "passes": column.passes}
    if column.surrogate is not None:
        told["evaluations"] = column.surrogate.evaluations.tolist()
    return told


def described_image(found: Explanations, i: int) -> dict[str, Any]:
    """One image: what it is, what the model takes it for, which class was explained."""
    y, predicted, target = (int(t[i]) for t in (found.y, found.predicted, found.target))
    return {
        "index": int(found.index[i]),
        "title": found.titles[i],
        "true": found.classes[y] if y >= 0 else None,
        "predicted": found.classes[predicted],
        "probability": round(found.probability[i, predicted].item(), 6),
        "target": found.classes[target],
        "target_probability": round(found.probability[i, target].item(), 6),
    }
