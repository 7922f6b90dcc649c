"""CIFAR-10, CIFAR-100 and STL-10 from the files that torchvision leaves on disk; no downloads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..spec import require
from ..types import Samples
from .cifar_files import CIFAR10_LAYOUT, CIFAR100_LAYOUT, Arrays, read_cifar, read_stl
from .samples import Memory, carve, check_split


@dataclass(frozen=True)
class CIFAR10:
    """60,000 images of 32 x 32, 10 classes (Krizhevsky, 2009), https://www.cs.toronto.edu/~kriz/cifar.html.

    ``root`` holds ``cifar-10-batches-bin`` (read if there are both) or ``cifar-10-batches-py``: its pickles
    are read without running them. ``validation`` is the share of training held back.

    Raises:
        ValueError: if files are missing, damaged or hostile.
    """

    root: str
    validation: float = 0.1
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self)

    def __call__(self, split: str) -> Samples:
        return held(read_cifar(Path(self.root), part(split), CIFAR10_LAYOUT), split, self)


@dataclass(frozen=True)
class CIFAR100:
    """60,000 images of 32 x 32, 100 fine classes (Krizhevsky, 2009), https://www.cs.toronto.edu/~kriz/cifar.html.

    ``root`` holds ``cifar-100-binary`` (read if there are both) or ``cifar-100-python``; otherwise as
    :class:`CIFAR10`.
    """

    root: str
    validation: float = 0.1
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self)

    def __call__(self, split: str) -> Samples:
        return held(read_cifar(Path(self.root), part(split), CIFAR100_LAYOUT), split, self)


@dataclass(frozen=True)
class STL10:
    """13,000 labelled images of 96 x 96, 10 classes (Coates et al., 2011), https://cs.stanford.edu/~acoates/stl10.

    ``root`` holds ``stl10_binary``; the unlabelled images and the folds are not used.
    """

    root: str
    validation: float = 0.1
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self)

    def __call__(self, split: str) -> Samples:
        return held(read_stl(Path(self.root), part(split)), split, self)


def check_shares(data: Any) -> None:
    """Raise ValueError on a share or a limit that cannot be."""
    require(data, 0 <= data.validation < 1, "validation is a share from 0 to below 1")
    require(data, data.limit >= 0, "limit is 0 (all) or more")


def part(split: str) -> str:
    """The files that a split lies in."""
    check_split(split)
    return "test" if split == "test" else "train"


def held(arrays: Arrays, split: str, data: CIFAR10 | CIFAR100 | STL10) -> Memory:
    """The chosen images in memory."""
    chosen = carve(len(arrays.labels), split, data.validation, apart=True, limit=data.limit, seed=data.seed).numpy()
    pixels = torch.from_numpy(np.ascontiguousarray(arrays.pixels[chosen]))
    return Memory(pixels, torch.from_numpy(arrays.labels[chosen]), arrays.classes)
