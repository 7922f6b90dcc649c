"""PASCAL VOC 2012: photographs in which every pixel has a class, for classification with known evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..types import NOWHERE, VOID, Samples
from .images import check_cut, parallel
from .samples import carve, check_split, permuted
from .segmented import check_sizes, codes, segmented
from .torchvision_sets import check_shares
from .voc_files import OBJECTS, Listing, listing

BORDER = 255  # what masks write on outlines and on what is not to be judged
TOGETHER = 64  # masks that are decoded before the limit is looked at


@dataclass(frozen=True)
class VOC:
    """PASCAL VOC 2012 segmentation (Everingham et al., IJCV 2015), http://host.robots.ox.ac.uk/pascal/VOC/voc2012.

    ``root`` holds ``VOCdevkit/VOC2012`` as torchvision leaves it on disk (or is that folder), or ``train*.parquet``
    and ``val*.parquet`` with encoded images and masks. The official val is for test; ``validation`` is the share
    of the official train held back. Short side at ``resize`` (0: ``size``), the centre cut out.

    An image's classes are those of its pixels *after* the cut, so that each class that is named can be found: its
    label is ``[20]`` float32, or, with ``single``, the class of most pixels (of equals the first). Images without
    a pixel of any class are left out. ``Batch.regions`` has the class of each pixel, ``Batch.mask`` is where there
    is one. Masks are decoded at once and kept cut out, a byte a pixel; so are images of up to 96 pixels, larger
    ones on access.

    Raises:
        ValueError: if files are missing, damaged or hostile; on access, if a large image is broken.
    """

    root: str
    size: int = 224
    resize: int = 0
    single: bool = False
    validation: float = 0.1
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_cut(self)
        check_shares(self)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        listed = listing(Path(self.root), "val" if split == "test" else "train")
        rows = carve(len(listed), split, self.validation, apart=True, seed=self.seed)
        found = with_objects(listed, rows, self)
        if not found:
            raise ValueError(f"the split {split!r} has no image that shows an object")
        pixels = torch.stack([mask.pixels for mask in found])
        labels = pixels.argmax(1) if self.single else (pixels > 0).float()
        samples = listed.images(torch.tensor([mask.row for mask in found]), labels, self.size, self.resize)
        check_sizes(samples, [mask.uncut for mask in found])
        return segmented(samples, torch.stack([mask.regions for mask in found]))


class Mask(NamedTuple):
    """What the mask of an image says once it is cut out."""

    row: int
    regions: Tensor  # [size, size] int8
    pixels: Tensor  # [20] int64, how many show each class
    uncut: tuple[int, int]  # width and height before the cut


def with_objects(listed: Listing, rows: Tensor, data: VOC) -> list[Mask]:
    """Those of ``rows`` that show a class, in order; with a limit, no more masks are decoded than it takes."""

    def decoded(row: int) -> Mask:
        source, name = listed.mask(row)
        numbers, uncut = codes(source, name, data.size, data.resize)
        return Mask(row, regions_of(numbers, name), numbers.flatten().bincount(minlength=256)[1:21], uncut)

    order = (rows[permuted(len(rows), data.seed)] if data.limit else rows).tolist()
    found: list[Mask] = []
    for k in range(0, len(order), TOGETHER):
        found += [mask for mask in parallel(decoded, order[k : k + TOGETHER]) if mask.pixels.any()]
        if 0 < data.limit <= len(found):
            break
    return sorted(found[: data.limit or None], key=lambda mask: mask.row)


def regions_of(numbers: Tensor, name: str) -> Tensor:
    """The class of each pixel as in :class:`Batch`, int8, from the numbers in a mask, uint8."""
    table = torch.full((256,), len(OBJECTS), dtype=torch.int8)
    table[0], table[BORDER] = NOWHERE, VOID
    table[1 : len(OBJECTS) + 1] = torch.arange(len(OBJECTS))
    regions = table[numbers.long()]
    if (unknown := regions == len(OBJECTS)).any():
        number = int(numbers[unknown][0])
        raise ValueError(f"the mask {name} has the number {number}; there are 0 to {len(OBJECTS)}, and {BORDER}")
    return regions
