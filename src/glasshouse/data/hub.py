"""A data set of the Hugging Face hub, through the optional package ``datasets``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..spec import require
from ..types import Samples
from .encoded import IMAGES, LABELS, Encoded, Origin, check_classes, check_options, column, settled
from .images import first_line
from .samples import carve, check_split


@dataclass(frozen=True)
class Hub:
    """A data set by its name on the hub, https://huggingface.co/datasets; downloaded once, then cached.

    ``train`` and ``test`` are splits there, ``config`` and ``revision`` choose among its variants; the other
    fields are those of :class:`~glasshouse.data.Parquet`. Code that a data set brings along is never run.

    Raises:
        ValueError: if ``datasets`` is not installed, or the data set, a split or a column cannot be had.
    """

    name: str
    train: str = "train"
    test: str = "test"
    image: str = ""
    label: str = ""
    validation: float = 0.1
    size: int = 0
    limit: int = 0
    seed: int = 0
    classes: int = 0
    resize: int = 0
    config: str = ""
    revision: str = ""

    def __post_init__(self) -> None:
        require(self, bool(self.name), "name is the name of a data set, as in uoft-cs/cifar10")
        check_options(self)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        train = survey(self, self.train)
        test = survey(self, self.test) if self.test else None
        labels = [part.labels for part in (train, test) if part]
        names = check_classes(train.names, self.classes, labels, self.name)
        here = test if test and split == "test" else train
        count, apart = len(here.labels), test is not None
        rows = carve(count, split, self.validation, apart=apart, limit=self.limit, seed=self.seed)
        data = encoded(here.table, here.image, rows)
        origin = Origin((here.where,), (count,))
        return settled(Encoded(data, rows, here.labels[rows], names, origin, self.size, self.resize))


class Survey(NamedTuple):
    """What is in one split on the hub."""

    table: Any
    where: str
    image: str
    labels: Tensor
    names: tuple[str, ...]


def survey(hub: Hub, split: str) -> Survey:
    """Find the columns, the labels and the names of the classes of one split."""
    table, where = load(hub, split), f"{hub.name} ({split})"
    image = column(table.column_names, hub.image, IMAGES, "image", where)
    label = column(table.column_names, hub.label, LABELS, "label", where)
    names = tuple(getattr(table.features[label], "names", None) or ())
    return Survey(table, where, image, whole_numbers(table, label, where), names)


def load(hub: Hub, split: str) -> Any:
    """One split as a table of the package ``datasets``."""
    try:
        import datasets
    except ImportError:
        raise ValueError("Hub needs the package 'datasets': pip install 'glasshouse[hub]'") from None
    try:
        return datasets.load_dataset(hub.name, hub.config or None, split=split, revision=hub.revision or None)
    except Exception as error:  # network, name, split, disk: each with a class of its own
        raise ValueError(f"cannot load {hub.name!r} ({split}) from the hub: {first_line(error)}") from None


def whole_numbers(table: Any, label: str, where: str) -> Tensor:
    """The labels ``[N]`` int64."""
    values = list(table[label])
    if not values:
        raise ValueError(f"{where} has no rows")
    if not all(isinstance(value, int) for value in values):
        raise ValueError(f"the column {label!r} of {where} does not hold whole numbers")
    return torch.tensor(values, dtype=torch.int64)


def encoded(table: Any, image: str, rows: Tensor) -> Any:
    """The encoded images of ``rows`` as an arrow array."""
    import pyarrow as arrow
    from datasets import Image

    cells = table.cast_column(image, Image(decode=False)).select(rows.tolist())[image]
    return arrow.array([content(cell) for cell in cells], arrow.large_binary())


def content(cell: dict[str, Any]) -> bytes:
    """The encoded image of a cell: in it, or in the file of the local cache that it names."""
    if cell.get("bytes") is not None:
        return bytes(cell["bytes"])
    try:
        return Path(str(cell.get("path"))).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read the image {cell.get('path')}: {error.strerror}") from None
