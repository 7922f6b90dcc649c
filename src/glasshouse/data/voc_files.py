"""Where PASCAL VOC 2012 lies on disk: the folder that torchvision leaves, or parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from .encoded import IMAGES, Encoded, Origin, column
from .folder import Files
from .parquet import check_encoded, read_images, readable

OBJECTS = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
PLACES = (("VOCdevkit", "VOC2012"), ("VOC2012",), ())


class Listing(Protocol):
    """The images of one of the official lists, and their masks."""

    def __len__(self) -> int: ...

    def mask(self, row: int) -> tuple[Path | bytes, str]:
        """A mask, encoded, and what an error message calls it."""
        ...

    def images(self, rows: Tensor, labels: Tensor, size: int, resize: int) -> Files | Encoded:
        """The images of some rows, decoded on access."""
        ...


def listing(root: Path, part: str) -> Listing:
    """The images of the official ``train`` or ``val``, wherever below ``root`` they are."""
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    if (folder := devkit(root)) is not None:
        return InFolder(folder, names_in(folder / "ImageSets" / "Segmentation" / f"{part}.txt"))
    if files := parquet_files(root, part):
        return in_parquet(files)
    raise ValueError(f"{root} has neither VOCdevkit/VOC2012/SegmentationClass nor files {part}*.parquet")


def devkit(root: Path) -> Path | None:
    """The folder of VOC 2012 in or at ``root``; None if it is not there."""
    found = (root.joinpath(*parts) for parts in PLACES)
    return next((folder for folder in found if (folder / "SegmentationClass").is_dir()), None)


def parquet_files(root: Path, part: str) -> list[Path]:
    """The parquet files of ``part`` in ``root`` or its folder ``data``, in the order of their names."""
    found = (sorted(place.glob(f"{part}*.parquet")) for place in (root, root / "data"))
    return next((files for files in found if files), [])


@dataclass(frozen=True, eq=False)
class InFolder:
    """One of the lists in the folder of VOC 2012."""

    folder: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def mask(self, row: int) -> tuple[Path | bytes, str]:
        """The path of the mask, twice."""
        path = self.folder / "SegmentationClass" / f"{self.names[row]}.png"
        return path, str(path)

    def images(self, rows: Tensor, labels: Tensor, size: int, resize: int) -> Files:
        """The image files of some rows."""
        paths = tuple(self.folder / "JPEGImages" / f"{self.names[row]}.jpg" for row in rows.tolist())
        return Files(paths, labels, OBJECTS, size, resize)


def names_in(file: Path) -> tuple[str, ...]:
    """The names that a list has, one a line; ValueError if one of them leads to another folder."""
    try:
        names = tuple(file.read_text(encoding="utf-8").split())
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or "it is no text"
        raise ValueError(f"cannot read the list of images {file}: {what}") from None
    if not names:
        raise ValueError(f"the list of images {file} is empty")
    if outside := [name for name in names if not name.replace("_", "").isalnum()]:
        raise ValueError(f"the list of images {file} has {outside[0]!r}, which is no name of an image")
    return names


@dataclass(frozen=True, eq=False)
class InParquet:
    """One of the lists as parquet files: encoded masks at hand, images where they are."""

    origin: Origin
    image: str
    masks: Any

    def __len__(self) -> int:
        return len(self.masks)

    def mask(self, row: int) -> tuple[Path | bytes, str]:
        """The encoded mask, and where it is."""
        return self.masks[row].as_py(), self.origin(row)

    def images(self, rows: Tensor, labels: Tensor, size: int, resize: int) -> Encoded:
        """The encoded images of some rows."""
        data = read_images(self.origin, self.image, rows)
        return Encoded(data, rows, labels, OBJECTS, self.origin, size, resize)


def in_parquet(files: Sequence[Path]) -> InParquet:
    """The rows of some parquet files, masks read."""
    found = [columns_of(file) for file in files]
    origin = Origin(tuple(map(str, files)), tuple(count for _, _, count in found))
    image, mask, _ = found[0]
    if not sum(origin.counts):
        raise ValueError(f"{files[0]} has no rows")
    return InParquet(origin, image, read_images(origin, mask, torch.arange(sum(origin.counts))))


def columns_of(file: Path) -> tuple[str, str, int]:
    """The columns of images and of masks, and the number of rows; ValueError if they hold anything else."""
    from pyarrow.parquet import ParquetFile

    with readable(file), ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
        image = column(schema.names, "", IMAGES, "image", str(file))
        mask = column(schema.names, "", ("mask",), "mask", str(file))
        for name in (image, mask):
            check_encoded(schema, name, file)
        return image, mask, parquet.metadata.num_rows
