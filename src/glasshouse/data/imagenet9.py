"""ImageNet-9: what a network makes of objects before other backgrounds, and of backgrounds alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..types import Samples
from .folder import Files, class_folders, listing, subfolders
from .images import check_cut
from .samples import check_split, limited, occupied, stratify
from .torchvision_sets import check_shares

VARIANTS = ("mixed_same", "mixed_rand", "mixed_next", "only_bg_b", "only_bg_t", "no_fg", "only_fg")


@dataclass(frozen=True)
class ImageNet9:
    """ImageNet-9, nine coarse classes (Xiao, Engstrom, Ilyas & Madry, ICLR 2021), https://arxiv.org/abs/2006.09994.

    Training images are in ``root/train/<class>`` or ``root/original/train/<class>``; ``validation`` is the share of
    them held back, each class alike. Test images are in ``root/<variant>/val/<class>``: ``original``, ``mixed_same``,
    ``mixed_rand``, ``mixed_next``, ``only_fg``, ``no_fg``, ``only_bg_b``, ``only_bg_t``, or another one that is there.
    Test needs no training images. Images are decoded on access, their short side at ``resize`` (0: ``size``), the
    centre cut out.

    Raises:
        ValueError: if there is no such variant or no training images, and as :class:`ImageFolder`.
    """

    root: str
    variant: str = "original"
    size: int = 224
    resize: int = 0
    validation: float = 0.1
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_cut(self)
        check_shares(self)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        root, test = Path(self.root), split == "test"
        train = training_folder(root)
        folder = variant_folder(root, self.variant) if test else found(train, root)
        classes = class_folders(train or folder)
        paths, labels = listing(folder, classes, "", complete=not test)
        chosen = torch.arange(len(paths))
        if not test:
            chosen = stratify(labels, split, (1.0 - self.validation, self.validation, 0.0), self.seed)
        chosen = limited(occupied(chosen, split, len(paths)), self.limit, self.seed)
        return Files(tuple(paths[i] for i in chosen.tolist()), labels[chosen], classes, self.size, self.resize)


def training_folder(root: Path) -> Path | None:
    """Where the training images are; None if there are none."""
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    return next((folder for folder in (root / "train", root / "original" / "train") if folder.is_dir()), None)


def found(train: Path | None, root: Path) -> Path:
    """The folder of the training images; ValueError if there is none."""
    if train is None:
        raise ValueError(f"{root} has no training images: neither train nor original/train is there")
    return train


def variant_folder(root: Path, variant: str) -> Path:
    """Where the test images of a variant are; ValueError naming those there are."""
    there = [folder.name for folder in subfolders(root) if (folder / "val").is_dir()]
    if variant not in there:
        raise ValueError(f"{root} has no variant {variant!r} of ImageNet-9; there are: {', '.join(there) or 'none'}")
    return root / variant / "val"
