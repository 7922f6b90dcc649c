"""Images without classes: a single file, or whatever images lie in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..spec import require
from ..types import Samples
from .folder import Files, images_below
from .images import SUFFIXES
from .samples import check_split, limited


@dataclass(frozen=True)
class Photos:
    """Images of unknown class: the file ``root``, or all images in the folder ``root`` and below it.

    They are good for explaining and not for training: every label is -1, there are no classes, and every split is all
    of them. Turned upright, short side at ``resize`` (0: ``size``), the central ``size`` x ``size`` cut out.

    Raises:
        ValueError: if there is no such file or folder, or no image in it; on access, if an image is broken.
    """

    root: str
    size: int = 224
    resize: int = 0
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.size >= 1, "size is at least 1")
        require(self, self.resize == 0 or self.resize >= self.size, "resize is 0 or at least size")
        require(self, self.limit >= 0, "limit is 0 (all) or more")

    def __call__(self, split: str) -> Samples:
        check_split(split)
        paths = photo_files(Path(self.root))
        chosen = limited(torch.arange(len(paths)), self.limit, self.seed).tolist()
        kept = tuple(paths[i] for i in chosen)
        return Files(kept, torch.full((len(kept),), -1), (), self.size, self.resize)


def photo_files(root: Path) -> list[Path]:
    """The file itself, or the images of a folder; ValueError if there is none."""
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise ValueError(f"there is no image and no folder {root}")
    found = images_below(root)
    if not found:
        raise ValueError(f"the folder {root} has no images ({', '.join(sorted(SUFFIXES))})")
    return found
