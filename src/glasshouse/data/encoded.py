"""Encoded images from parquet files or the hub: decoded at once if small, otherwise on access."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from ..spec import require
from ..types import Batch, Samples
from .images import FORMATS, opened, parallel, pixels
from .samples import Memory

IMAGES = ("img", "image")  # what the columns are usually called
LABELS = ("label", "fine_label", "labels")
SMALL = 96  # pixels a side: 50,000 of them fit in memory


class Options(Protocol):
    """The fields that every data set of encoded images has."""

    @property
    def test(self) -> str: ...
    @property
    def validation(self) -> float: ...
    @property
    def size(self) -> int: ...
    @property
    def resize(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def classes(self) -> int: ...


def check_options(data: Options) -> None:
    """Raise ValueError on a number that cannot be."""
    highest = 1.0 if data.test else 0.5
    require(data, 0 <= data.validation < highest, f"validation is a share from 0 to below {highest:g}")
    require(data, data.size >= 0 and data.limit >= 0, "size and limit are at least 0")
    require(data, data.classes == 0 or data.classes >= 2, "classes is 0 (look it up) or at least 2")
    require(data, data.resize == 0 or data.resize >= (data.size or 224), "resize is 0 or at least size")


@dataclass(frozen=True)
class Origin:
    """Where rows come from: files, in order, and how many rows each has."""

    files: tuple[str, ...]
    counts: tuple[int, ...]

    def __call__(self, row: int) -> str:
        starts = [0, *accumulate(self.counts)]
        k = bisect_right(starts, row) - 1
        return f"in row {row - starts[k]} of {self.files[k]}"


@dataclass(frozen=True, eq=False)
class Encoded:
    """A split of encoded images, decoded when asked for.

    ``data`` is an arrow array of bytes: it is shared with workers, where Python's bytes would be copied.
    """

    data: Any
    rows: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    origin: Origin
    size: int
    resize: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        positions = torch.as_tensor(index, dtype=torch.int64)
        x = torch.stack(parallel(self.image, positions.tolist())).float().div_(255)
        return Batch(x, self.labels[positions], index=positions)

    def image(self, i: int) -> Tensor:
        """``[3, H, W]`` uint8."""
        return pixels(self.data[i].as_py(), self.name(i), self.size, self.resize)

    def name(self, i: int) -> str:
        """What an error message calls an image."""
        return self.origin(int(self.rows[i]))


def settled(samples: Encoded) -> Samples:
    """The samples decoded into memory if all are small and of one size; otherwise as they are."""
    if side := one_small_size(samples):
        width, height = side
        stack = torch.empty((len(samples), 3, samples.size or height, samples.size or width), dtype=torch.uint8)
        for i in range(len(samples)):  # threads are no faster where opening takes as long as decoding
            stack[i] = samples.image(i)
        return Memory(stack, samples.labels, samples.classes)
    return samples if samples.size else replace(samples, size=224)


def one_small_size(samples: Encoded) -> tuple[int, int] | None:
    """Width and height if all images share them and are small."""
    first = size_of(samples, 0)
    if max(first) > SMALL or samples.size > SMALL:
        return None
    return first if all(size_of(samples, i) == first for i in range(1, len(samples))) else None


def size_of(samples: Encoded, i: int) -> tuple[int, int]:
    """Width and height from the header alone, turned as the image will be; ValueError if it is broken."""
    try:
        with Image.open(io.BytesIO(samples.data[i].as_py()), formats=FORMATS) as image:
            width, height = image.size
            # Asking a PNG for its orientation decodes it whole: only where the answer matters.
            turned = max(width, height) <= SMALL and width != height and image.getexif().get(0x0112, 1) >= 5
            return (height, width) if turned else (width, height)
    except Exception:
        return opened(samples.data[i].as_py(), samples.name(i)).size  # says what is wrong, and where


def check_classes(names: Sequence[str], classes: int, labels: Sequence[Tensor], where: str) -> tuple[str, ...]:
    """The names of the classes: as told, or as many as the highest label asks for; numbers where names end.

    Raises:
        ValueError: on labels below 0 or beyond the classes, and if there are fewer than two classes.
    """
    lowest, highest = (int(f(torch.cat(list(labels)))) for f in (torch.min, torch.max))
    count = classes or len(names) or highest + 1
    if lowest < 0:
        raise ValueError(f"{where} has the label {lowest}: labels are numbers from 0 (negative: perhaps hidden)")
    if highest >= count:
        raise ValueError(f"{where} has the label {highest}, but there are only {count} classes, from 0")
    if count < 2 or not (classes or names or lowest < highest):
        raise ValueError(f"{where} has only one class, {highest}; at least two are needed")
    return tuple(names[k] if k < len(names) else str(k) for k in range(count))


def column(known: Sequence[str], asked: str, usual: Sequence[str], what: str, where: str) -> str:
    """The column that is asked for, or else the first usual one; ValueError naming those there are."""
    found = next((name for name in ((asked,) if asked else usual) if name in known), None)
    if found is None:
        missing = f"no column {asked!r}" if asked else f"no column of one {what} per row ({', '.join(usual)})"
        raise ValueError(f"{where} has {missing}; its columns are: {', '.join(known)}")
    return found
