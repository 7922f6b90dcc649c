"""Natural shortcuts: what stands around an object. Xiao, Engstrom, Ilyas & Madry, ICLR 2021,
https://arxiv.org/abs/2006.09994"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..labels import several
from ..spec import require
from ..types import SPLITS, VOID, Batch, Data, Samples
from .samples import Wrapped, batches, check_split


@dataclass(frozen=True)
class OtherBackgrounds:
    """Any data with masks, where in some splits each object stands before the background of another class.

    The background is that of another image of the split, drawn once by ``seed``; where that one's own object was, it
    has the mean colour of its background. A model that looks at the object is as accurate as before. Labels, masks,
    regions, titles and positions stay. Where images have several classes, the other one has none of them.

    Differs from the paper: no background is filled in by tiling, so that every pixel stays where it was.

    Raises:
        ValueError: if the data has no masks or a single class, or an image shares a class with every other.
    """

    data: Data
    splits: tuple[str, ...] = ("test",)
    seed: int = 0

    def __post_init__(self) -> None:
        known = f"splits is a tuple of one or more of: {', '.join(SPLITS)}"
        require(self, bool(self.splits) and set(self.splits) <= set(SPLITS), known)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        samples = self.data(split)
        if samples[[0]].mask is None:
            raise ValueError("OtherBackgrounds needs data with masks, such as ImageFolder(root=..., masks=...)")
        if split not in self.splits:
            return samples
        y = torch.cat([batch.y for batch in batches(samples, 256)])
        donors = of_no_common_class(y, self.seed) if several(y) else of_other_classes(y, self.seed)
        return Backgrounds(samples, donors)


def of_other_classes(y: Tensor, seed: int) -> Tensor:
    """For each label the position of one of another class, ``[N]``, drawn by ``seed``.

    Raises:
        ValueError: if all labels are equal.
    """
    if (y == y[0]).all():
        raise ValueError("backgrounds of other classes need images of at least two classes")
    order = y.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(y))
    counts = y.bincount(minlength=int(y.max()) + 1)
    starts = counts.cumsum(0) - counts
    # Sorted by class, the images after one's own class, and from the beginning again, are those of the others.
    drawn = torch.rand(len(y), generator=torch.Generator().manual_seed(seed))
    step = (drawn * (len(y) - counts[y])).long()
    return order[(starts[y] + counts[y] + step) % len(y)]


def of_no_common_class(y: Tensor, seed: int) -> Tensor:
    """For each label ``[N, classes]`` the position of one with none of its classes, ``[N]``, drawn by ``seed``.

    Raises:
        ValueError: if there is none for one of them.
    """
    drawn = torch.rand(len(y), generator=torch.Generator().manual_seed(seed))
    kinds, kind = torch.unique(y, dim=0, return_inverse=True)  # few: images with the same classes have the same donors
    donors = torch.empty(len(y), dtype=torch.int64)
    for k, classes in enumerate(kinds):
        strangers, own = ((y @ classes) == 0).nonzero()[:, 0], kind == k
        if not len(strangers):
            first = int(own.nonzero()[0, 0])
            raise ValueError(f"no image has a background for image {first}: each shares a class with it")
        donors[own] = strangers[(drawn[own] * len(strangers)).long()]
    return donors


@dataclass(frozen=True, eq=False)
class Backgrounds(Wrapped):
    """A split whose objects stand before the backgrounds of the images at ``donors`` ``[N]``."""

    donors: Tensor

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        donor = self.samples[self.donors[torch.as_tensor(index, dtype=torch.int64)].tolist()]
        return batch._replace(x=before(batch.x, masked(batch), donor.x, hidden(donor)))


def masked(batch: Batch) -> Tensor:
    """The masks ``[B, H, W]``; ValueError if there are none."""
    if batch.mask is None:
        raise ValueError("OtherBackgrounds needs data with masks, such as ImageFolder(root=..., masks=...)")
    return batch.mask


def hidden(donor: Batch) -> Tensor:
    """What must not show behind another object, ``[B, H, W]`` bool: the donor's own and what may be part of it."""
    mask = masked(donor)
    return mask if donor.regions is None else mask | (donor.regions == VOID)


def before(x: Tensor, mask: Tensor, donor: Tensor, donor_mask: Tensor) -> Tensor:
    """Objects of ``x`` before the backgrounds of ``donor``: ``[B, C, H, W]`` each, masks ``[B, H, W]`` bool."""
    behind = (~donor_mask)[:, None].to(x.dtype)
    mean = (donor * behind).sum((2, 3), keepdim=True) / behind.sum((2, 3), keepdim=True).clamp_min(1)
    background = torch.where(donor_mask[:, None], mean, donor)
    return torch.where(mask[:, None], x, background)
