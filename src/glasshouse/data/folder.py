"""A folder of images, one folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from ..spec import require
from ..types import Batch, Samples
from .images import SUFFIXES, mask_pixels, opened, parallel, pixels
from .samples import check_split, limited, occupied, stratify

# What the folder of each split may be called, in any case.
FOLDERS = (("train",), ("validation", "valid", "val"), ("test",))


@dataclass(frozen=True)
class ImageFolder:
    """Images in ``root/<class>/**``, or split in ``root/{train,val|valid|validation,test}/<class>/**``.

    ``root/<class>`` is divided by ``shares``, each class alike. In the split layout a missing validation or
    test folder is carved out of train in the proportion of ``shares``; folders beside the splits are ignored.
    Images are decoded on access, turned upright, their short side resized to ``resize`` (0: ``size``), the
    centre cut out. ``masks`` is a folder with the same relative paths, any image suffix: not 0 is evidence.

    Raises:
        ValueError: if the folder is missing or empty, has one class only, or lacks a mask; on access, if an
            image is broken.
    """

    root: str
    size: int = 224
    resize: int = 0
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    limit: int = 0
    seed: int = 0
    masks: str = ""

    def __post_init__(self) -> None:
        require(self, self.size >= 1, "size is at least 1")
        require(self, self.resize == 0 or self.resize >= self.size, "resize is 0 or at least size")
        require(self, min(self.shares) >= 0 < self.shares[0], "shares are at least 0, that of train above 0")
        require(self, self.limit >= 0, "limit is 0 (all) or more")

    def __call__(self, split: str) -> Samples:
        i = check_split(split)
        folders = split_folders(Path(self.root), self.masks)
        classes = class_folders(folders[0], self.masks)
        paths, labels = listing(folders[i] or folders[0], classes, self.masks, complete=not folders[i] or i == 0)
        if folders[i] is None or i == 0:
            carved = [share if k == 0 or folders[k] is None else 0.0 for k, share in enumerate(self.shares)]
            chosen = stratify(labels, split, (carved[0], carved[1], carved[2]), self.seed)
        else:
            chosen = torch.arange(len(labels))
        chosen = limited(occupied(chosen, split, len(labels)), self.limit, self.seed)
        kept = tuple(paths[k] for k in chosen.tolist())
        masks = mask_files(kept, Path(self.root), Path(self.masks)) if self.masks else None
        return Files(kept, labels[chosen], classes, self.size, self.resize, masks)


@dataclass(frozen=True, eq=False)
class Files:
    """A split of image files, decoded when asked for."""

    paths: tuple[Path, ...]
    labels: Tensor
    classes: tuple[str, ...]
    size: int
    resize: int = 0
    masks: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        positions = torch.as_tensor(index, dtype=torch.int64)
        wanted = positions.tolist()
        x = torch.stack(parallel(self._image, wanted)).float().div_(255)
        mask = torch.stack(parallel(self._mask, wanted)) if self.masks else None
        return Batch(x, self.labels[positions], mask, index=positions)

    def title(self, i: int) -> str:
        """What a person calls a sample."""
        return self.paths[i].name

    def _image(self, i: int) -> Tensor:
        return pixels(self.paths[i], str(self.paths[i]), self.size, self.resize)

    def _mask(self, i: int) -> Tensor:
        assert self.masks is not None
        path, name = self.masks[i], str(self.masks[i])
        mask, image = opened(path, name), opened(self.paths[i], str(self.paths[i]))
        if mask.size != image.size:
            sizes = " but ".join(f"{width} x {height}" for width, height in (mask.size, image.size))
            raise ValueError(f"the mask {name} is {sizes} is its image {self.paths[i]}")
        return mask_pixels(mask, self.size, self.resize, name)


def split_folders(root: Path, masks: str = "") -> tuple[Path, Path | None, Path | None]:
    """The folders of the splits, None where there is none; ``root`` itself for train if it is not split."""
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    by_name = {folder.name.casefold(): folder for folder in subfolders(root, masks)}
    train, validation, test = (next((by_name[n] for n in names if n in by_name), None) for names in FOLDERS)
    # A class may be called "train", too: only the company of another split, or being alone, makes it a split.
    if train is None or not subfolders(train) or not (validation or test or len(by_name) == 1):
        return root, None, None
    return train, validation, test


def subfolders(folder: Path, masks: str = "") -> list[Path]:
    """The folders in a folder by name, without hidden ones and the one with masks."""
    apart = Path(masks).resolve() if masks else None
    found = (f for f in folder.iterdir() if f.is_dir() and not f.name.startswith((".", "__MACOSX")))
    return sorted((f for f in found if f.resolve() != apart), key=lambda f: f.name)


def class_folders(folder: Path, masks: str = "") -> tuple[str, ...]:
    """The names of the classes; ValueError if there are fewer than two."""
    names = tuple(f.name for f in subfolders(folder, masks))
    if not names:
        raise ValueError(f"{folder} has no folders of classes; expected {folder}/<class>/<image>")
    if len(names) == 1:
        raise ValueError(f"{folder} has only one class, {names[0]!r}; at least two are needed")
    return names


def listing(folder: Path, classes: tuple[str, ...], masks: str, *, complete: bool) -> tuple[list[Path], Tensor]:
    """All images below the folders of the classes, and labels; ``complete``: no class without an image."""
    if unknown := [f.name for f in subfolders(folder, masks) if f.name not in classes]:
        raise ValueError(f"{folder} has the class {unknown[0]!r} that train has not: {', '.join(classes)}")
    found = [images_below(folder / name) for name in classes]
    if empty := [name for name, paths in zip(classes, found, strict=True) if not paths and complete]:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise ValueError(f"the class folder {folder / empty[0]} has no images ({suffixes})")
    counts = torch.tensor([len(paths) for paths in found])
    return list(chain(*found)), torch.arange(len(classes)).repeat_interleave(counts)


def images_below(folder: Path) -> list[Path]:
    """Every image file in a folder and the folders below it, in the order of their relative paths."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=lambda p: p.as_posix())


def mask_files(paths: Sequence[Path], root: Path, masks: Path) -> tuple[Path, ...]:
    """The mask of each image; ValueError if one has none."""
    if not masks.is_dir():
        raise ValueError(f"there is no folder of masks {masks}")
    by_stem = {path.relative_to(masks).with_suffix(""): path for path in images_below(masks)}
    stems = [path.relative_to(root).with_suffix("") for path in paths]
    if missing := [path for path, stem in zip(paths, stems, strict=True) if stem not in by_stem]:
        raise ValueError(f"the image {missing[0]} has no mask in {masks}")
    return tuple(by_stem[stem] for stem in stems)
