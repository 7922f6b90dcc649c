"""What a person types for a data set: a folder, parquet files, or a component."""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from pathlib import Path
from typing import Any

from ..spec import fits, parse
from ..types import Data
from .cifar_files import CIFAR10_LAYOUT, CIFAR100_LAYOUT, STL10_FOLDER
from .cub import CUB200
from .cub import FOLDER as CUB_FOLDER
from .encoded import LABELS
from .folder import ImageFolder, subfolders
from .imagenet9 import VARIANTS, ImageNet9
from .images import SUFFIXES
from .parquet import Parquet, columns
from .photos import Photos
from .torchvision_sets import CIFAR10, CIFAR100, STL10
from .voc import VOC
from .voc_files import parquet_files

LAYOUTS = (
    (CIFAR10, (CIFAR10_LAYOUT.binary, CIFAR10_LAYOUT.python)),
    (CIFAR100, (CIFAR100_LAYOUT.binary, CIFAR100_LAYOUT.python)),
    (STL10, (STL10_FOLDER,)),
    (VOC, ("VOCdevkit", "VOC2012", "SegmentationClass")),
    (CUB200, (CUB_FOLDER,)),
)


def data_from(text: str, names: Mapping[str, type]) -> Data:
    """The data set that a person means: a component's text, else a folder, else parquet files.

    A folder is CIFAR, STL-10, PASCAL VOC, CUB or ImageNet-9 if it holds their files, parquet if it holds
    ``*.parquet`` (or its ``data`` does; VOC if they have masks and no labels), and a folder of images otherwise. A
    component goes before a folder of that name: ``./Digits``.

    Raises:
        ValueError: if it is none of these; the message says how the text was understood.
    """
    if text not in names and is_folder(text):
        return from_folder(Path(text))
    if text.endswith(".parquet"):
        return Parquet(train=text)
    if "(" not in text and ("/" in text or "\\" in text):
        raise ValueError(f"{text!r} was understood as a path, but there is no such folder")
    try:
        found = parse(text, names)
    except ValueError as error:
        raise ValueError(f"{text!r} is no folder and no parquet file, and as a component: {error}") from None
    if not fits(found, Data):
        raise ValueError(f"{text!r} was understood as a component, but it is no data set")
    data: Data = found
    return data


def images_from(text: str, names: Mapping[str, type]) -> Data:
    """Like :func:`data_from`, and images without classes are welcome: a file, or a folder without folders in it.

    Raises:
        ValueError: as :func:`data_from`.
    """
    if text not in names and Path(text).suffix.lower() in SUFFIXES and "(" not in text:
        return Photos(root=text)
    if text not in names and is_folder(text) and not subfolders(Path(text)) and has_images(Path(text)):
        return Photos(root=text)
    return data_from(text, names)


def has_images(folder: Path) -> bool:
    """Whether images lie in the folder itself."""
    return any(file.suffix.lower() in SUFFIXES for file in folder.iterdir())


def is_folder(text: str) -> bool:
    """Whether there is a folder of that name; no for what cannot be a name."""
    try:
        return bool(text) and Path(text).is_dir()
    except (OSError, ValueError):
        return False


def from_folder(folder: Path) -> Data:
    """The data set that a folder holds."""
    inside = {f.name for f in folder.iterdir() if f.is_dir()}
    found: list[Any] = [component for component, names in LAYOUTS if {folder.name, *inside}.intersection(names)]
    found += [ImageNet9] if inside.intersection(VARIANTS) else []
    if len(found) > 1:
        which = " and ".join(component.__name__ for component in found)
        raise ValueError(f"{folder} holds {which}; say which, as in {found[0].__name__}(root={str(folder)!r})")
    if found:
        data: Data = found[0](root=str(folder))
        return data
    if has_masks(folder):
        return VOC(root=str(folder))
    for place in (folder, folder / "data"):
        if any(place.glob("*.parquet")):
            return from_parquet(place)
    return ImageFolder(root=str(folder))


def has_masks(folder: Path) -> bool:
    """Whether the folder's parquet files for training have masks in place of labels."""
    try:
        known = [columns(file) for file in parquet_files(folder, "train")[:1]]
    except ValueError:
        return False  # damaged: said where it is read
    return any("mask" in names and not set(LABELS).intersection(names) for names in known)


def from_parquet(folder: Path) -> Parquet:
    """Files named ``train*`` and ``test*`` (else ``val*``); all are for training if none is so named."""
    patterns = [f"{name}*.parquet" for name in ("train", "test", "val")]
    train, test, validation = (p if any(folder.glob(p)) else "" for p in patterns)
    if (test or validation) and not train:
        raise ValueError(f"{folder} was understood as parquet files, but none is named train*.parquet")
    place = escape(str(folder))
    held_out = test or validation
    return Parquet(train=f"{place}/{train or '*.parquet'}", test=f"{place}/{held_out}" if held_out else "")
