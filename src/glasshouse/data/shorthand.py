"""What a person types for a data set: a folder, parquet files, or a component."""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from pathlib import Path

from ..spec import fits, parse
from ..types import Data
from .cifar_files import CIFAR10_LAYOUT, CIFAR100_LAYOUT, STL10_FOLDER
from .folder import ImageFolder, subfolders
from .images import SUFFIXES
from .parquet import Parquet
from .photos import Photos
from .torchvision_sets import CIFAR10, CIFAR100, STL10

LAYOUTS = (
    (CIFAR10, (CIFAR10_LAYOUT.binary, CIFAR10_LAYOUT.python)),
    (CIFAR100, (CIFAR100_LAYOUT.binary, CIFAR100_LAYOUT.python)),
    (STL10, (STL10_FOLDER,)),
)


def data_from(text: str, names: Mapping[str, type]) -> Data:
    """The data set that a person means: a component's text, else a folder, else parquet files.

    A folder is CIFAR or STL-10 if it holds their files, parquet if it holds ``*.parquet`` (or its ``data``
    does), and a folder of images otherwise. A component goes before a folder of that name: ``./Digits``.

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
    inside = {folder.name, *(f.name for f in folder.iterdir() if f.is_dir())}
    found = [component for component, names in LAYOUTS if inside.intersection(names)]
    if len(found) > 1:
        which = " and ".join(component.__name__ for component in found)
        raise ValueError(f"{folder} holds {which}; say which, as in {found[0].__name__}(root={str(folder)!r})")
    if found:
        return found[0](root=str(folder))
    for place in (folder, folder / "data"):
        if any(place.glob("*.parquet")):
            return from_parquet(place)
    return ImageFolder(root=str(folder))


def from_parquet(folder: Path) -> Parquet:
    """Files named ``train*`` and ``test*`` (else ``val*``); all are for training if none is so named."""
    patterns = [f"{name}*.parquet" for name in ("train", "test", "val")]
    train, test, validation = (p if any(folder.glob(p)) else "" for p in patterns)
    if (test or validation) and not train:
        raise ValueError(f"{folder} was understood as parquet files, but none is named train*.parquet")
    place = escape(str(folder))
    held_out = test or validation
    return Parquet(train=f"{place}/{train or '*.parquet'}", test=f"{place}/{held_out}" if held_out else "")
