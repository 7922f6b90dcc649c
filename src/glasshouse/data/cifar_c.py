"""CIFAR-10-C and CIFAR-100-C as they are published, read from the disk as far as they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..spec import require
from ..types import Batch, Samples
from .images import first_line

SEVERITIES = 5
PICTURE = (32, 32, 3)
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class CIFARC:
    """CIFAR-10-C or CIFAR-100-C at one severity (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    ``root`` holds a file for each corruption, such as ``gaussian_noise.npy``, with the images of severity 1, then
    those of severity 2 and so on, and ``labels.npy``. Only the split ``test``. Files are mapped into memory, and what
    could run code (a pickle) is refused. Labels below 10 are CIFAR-10's; the classes of CIFAR-100 are their numbers.

    Raises:
        ValueError: if there is no such file, it is damaged or hostile, or another split is asked for.
    """

    root: str
    corruption: str = "gaussian_noise"
    severity: int = 3

    def __post_init__(self) -> None:
        require(self, 1 <= self.severity <= SEVERITIES, f"severity is a whole number from 1 to {SEVERITIES}")

    def __call__(self, split: str) -> Samples:
        if split != "test":
            raise ValueError(f"CIFARC has only the split 'test', not {split!r}")
        folder = Path(self.root)
        path = corruption_file(folder, self.corruption)
        pictures = pictures_in(path)
        count = len(pictures) // SEVERITIES
        labels = labels_in(folder / "labels.npy", count)
        names = CIFAR10_NAMES if int(labels.max()) < len(CIFAR10_NAMES) else tuple(map(str, range(100)))
        return Mapped(pictures[(self.severity - 1) * count : self.severity * count], labels, names)


@dataclass(frozen=True, eq=False)
class Mapped:
    """Images ``[N, 32, 32, 3]`` uint8 that are still on the disk."""

    pictures: NDArray[np.uint8]
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        i = torch.as_tensor(index, dtype=torch.int64)
        bytes_read = torch.from_numpy(np.ascontiguousarray(self.pictures[i.numpy()]))
        return Batch(bytes_read.permute(0, 3, 1, 2).float().div_(255), self.labels[i], index=i)


def corruption_file(folder: Path, name: str) -> Path:
    """The file of a corruption; ValueError, with those that there are, if there is none."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    known = sorted(file.stem for file in folder.glob("*.npy") if file.stem != "labels")
    if not known:
        raise ValueError(f"the folder {folder} has no files such as gaussian_noise.npy")
    if name not in known:
        raise ValueError(f"{folder} has no corruption {name!r}; there are: {', '.join(known)}")
    return folder / f"{name}.npy"


def mapped(path: Path) -> NDArray[Any]:
    """The array in a file, mapped into memory; ValueError if there is none."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever a damaged header leads to
        raise ValueError(f"{path} is damaged or no array of numbers: {first_line(error)}") from None
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{path} is an archive, not an array")
    return found


def pictures_in(path: Path) -> NDArray[np.uint8]:
    """The images of all severities; ValueError if these are none."""
    found = mapped(path)
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[1:] != PICTURE or not len(found):
        raise ValueError(f"{path} holds {found.dtype} {found.shape}, not images: uint8 (N, 32, 32, 3)")
    if len(found) % SEVERITIES:
        raise ValueError(f"{path} holds {len(found)} images, which are not {SEVERITIES} severities of as many each")
    return found


def labels_in(path: Path, count: int) -> Tensor:
    """``[count]`` int64, the labels of one severity; ValueError if these are none."""
    found = mapped(path)
    if found.ndim != 1 or found.dtype.kind not in "iu" or len(found) not in (count, SEVERITIES * count):
        told = f"{count} or {SEVERITIES * count} whole numbers"
        raise ValueError(f"{path} holds {found.dtype} {found.shape}, not the labels of {count} images: {told}")
    if int(found.min()) < 0 or int(found.max()) > 99:
        raise ValueError(f"{path} is damaged: labels go from {found.min()} to {found.max()}, not from 0 to 99 at most")
    labels = found.astype(np.int64).reshape(-1, count)
    if (labels != labels[0]).any():
        raise ValueError(f"{path} is damaged: the labels are not the same at each severity")
    return torch.from_numpy(labels[0].copy())
