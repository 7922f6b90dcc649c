"""CIFAR and STL-10 as torchvision lays them out on disk, read without running what a pickle may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from .pickles import safely_unpickled


class Layout(NamedTuple):
    """Where a CIFAR lies: folders and files of its binary and Python versions, and how labels are kept."""

    binary: str
    python: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    binary_names: str
    python_names: str
    key: str  # of the labels in the Python version
    names_key: str
    label_bytes: int  # before each image of the binary version; the last one is the label
    classes: int


class Arrays(NamedTuple):
    """Images ``[N, 3, H, W]`` uint8 (perhaps still on disk), labels ``[N]`` int64, names of the classes."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


CIFAR10_LAYOUT = Layout(
    binary="cifar-10-batches-bin",
    python="cifar-10-batches-py",
    train=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test=("test_batch",),
    binary_names="batches.meta.txt",
    python_names="batches.meta",
    key="labels",
    names_key="label_names",
    label_bytes=1,
    classes=10,
)
CIFAR100_LAYOUT = Layout(
    binary="cifar-100-binary",
    python="cifar-100-python",
    train=("train",),
    test=("test",),
    binary_names="fine_label_names.txt",
    python_names="meta",
    key="fine_labels",
    names_key="fine_label_names",
    label_bytes=2,
    classes=100,
)
STL10_FOLDER = "stl10_binary"


def folder_of(root: Path, names: Sequence[str]) -> Path:
    """The first of the folders ``names`` in ``root``, or ``root`` itself if that is its name."""
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    for name in names:
        if root.name == name:
            return root
        if (root / name).is_dir():
            return root / name
    raise ValueError(f"{root} has no folder {' or '.join(names)}")


def read_cifar(root: Path, part: str, layout: Layout) -> Arrays:
    """All images of ``part`` (train or test); the binary version goes before the Python version."""
    folder = folder_of(root, (layout.binary, layout.python))
    files = layout.test if part == "test" else layout.train
    if folder.name == layout.binary:
        parts = [binary_batch(folder / f"{file}.bin", layout.label_bytes) for file in files]
        classes = lines(folder / layout.binary_names, layout.classes)
    else:
        parts = [python_batch(folder / file, layout.key) for file in files]
        classes = python_names(folder / layout.python_names, layout)
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Arrays(pixels, check_labels(labels, layout.classes, folder), classes)


def binary_batch(path: Path, label_bytes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of one binary file: records of label bytes, then the three colour planes."""
    records = mapped(path, (label_bytes + 3 * 32 * 32,))
    labels = records[:, label_bytes - 1].astype(np.int64)
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), labels


def mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A file of records of bytes, mapped into memory; ValueError if it is missing or cut short."""
    size, record = existing(path).stat().st_size, int(np.prod(shape))
    if size == 0 or size % record:
        raise ValueError(f"{path} is damaged: {size} bytes are not whole records of {record} bytes")
    return np.memmap(path, np.uint8, "r", shape=(size // record, *shape))


def existing(path: Path) -> Path:
    """``path``; ValueError if there is no such file."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def lines(path: Path, count: int) -> tuple[str, ...]:
    """The names of ``count`` classes, one a line; their numbers if there is no such file."""
    if not path.is_file():
        return tuple(map(str, range(count)))
    found = tuple(path.read_text(encoding="utf-8", errors="replace").split())
    if len(found) != count:
        raise ValueError(f"{path} names {len(found)} classes instead of {count}")
    return found


def check_labels(labels: NDArray[np.int64], classes: int, where: Path) -> NDArray[np.int64]:
    """``labels``; ValueError if one is none of ``classes``."""
    if labels.min() < 0 or labels.max() >= classes:
        wrong = next(int(label) for label in labels if not 0 <= label < classes)
        raise ValueError(f"{where} is damaged: it has the label {wrong}, but labels go from 0 to {classes - 1}")
    return labels


def read_stl(root: Path, part: str) -> Arrays:
    """STL-10: colour planes column by column, labels from 1."""
    folder = folder_of(root, (STL10_FOLDER,))
    images = mapped(folder / f"{part}_X.bin", (3, 96, 96)).transpose(0, 1, 3, 2)
    labels = mapped(folder / f"{part}_y.bin", ()).astype(np.int64) - 1
    if len(images) != len(labels):
        raise ValueError(f"{folder} is damaged: {len(images)} images but {len(labels)} labels in {part}")
    return Arrays(images, check_labels(labels, 10, folder), lines(folder / "class_names.txt", 10))


def python_batch(path: Path, key: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of one file of the Python version."""
    content = safely_unpickled(existing(path))
    data, labels = (content.get(k) for k in ("data", key)) if isinstance(content, dict) else (None, None)
    if not (is_pictures(data) and is_numbers(labels) and len(data) == len(labels) > 0):
        raise ValueError(f"{path} is damaged: no 'data' of 3072 bytes an image with {key!r} for each")
    return data.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)


def is_pictures(value: object) -> TypeGuard[NDArray[np.uint8]]:
    """Whether a value is images of 3072 bytes."""
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape[1:] == (3072,)


def is_numbers(value: object) -> TypeGuard[list[int]]:
    """Whether a value is a list of whole numbers."""
    return isinstance(value, list) and all(isinstance(number, int) for number in value)


def python_names(path: Path, layout: Layout) -> tuple[str, ...]:
    """The names of the classes in the Python version; their numbers if its file is missing."""
    if not path.is_file():
        return tuple(map(str, range(layout.classes)))
    content = safely_unpickled(path)
    names = content.get(layout.names_key) if isinstance(content, dict) else None
    if not isinstance(names, list) or len(names) != layout.classes or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{path} is damaged: it does not name {layout.classes} classes in {layout.names_key!r}")
    return tuple(names)
