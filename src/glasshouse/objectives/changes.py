"""What is done to the spurious parts of training images: masked, or swapped between images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..attacks.regions import spurious
from ..explainers import ImageMeanFill
from ..spec import require
from ..types import Batch, Fill


@dataclass(frozen=True)
class Mask:
    """Spurious pixels are replaced by ``fill``, in a ``share`` of the images. Nayyem et al., 2024,
    https://arxiv.org/abs/2412.18952; the paper's own fill is black, ``ConstantFill(value=0.0)``.

    What is masked stays visible as a hole, and a hole at a telling place tells as much: see :class:`Transplant`.

    Raises:
        ValueError: if the batch has no mask.
    """

    fill: Fill = ImageMeanFill()
    share: float = 0.5

    def __post_init__(self) -> None:
        require(self, 0 <= self.share <= 1, "share is between 0 and 1")

    def __call__(self, batch: Batch) -> Batch:
        region = spurious(batch) & chosen(batch, self.share)
        filled = self.fill(batch.x, region.long())
        return batch._replace(x=torch.where(region[:, None], filled, batch.x))


@dataclass(frozen=True)
class Transplant:
    """Spurious pixels change places between images, so that they tell nothing about the class any more.

    In a ``share`` of the images, what is spurious in them is overwritten by what another image of the batch has
    there, and what is spurious in a third image is pasted in. Where only some images were looked at, their shortcuts
    are pasted into all. The mask follows: what came in is spurious too.

    Raises:
        ValueError: if the batch has no mask.
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        require(self, 0 <= self.share <= 1, "share is between 0 and 1")

    def __call__(self, batch: Batch) -> Batch:
        region, some = spurious(batch), chosen(batch, self.share)
        other, donor = others(batch.x), donors(region)
        removed = region & some
        pasted = region[donor] & some & (donor != torch.arange(len(donor), device=donor.device)).view(-1, 1, 1)
        x = torch.where(removed[:, None], batch.x[other], batch.x)
        x = torch.where(pasted[:, None], batch.x[donor], x)
        return batch._replace(x=x, mask=~(torch.where(removed, region[other], region) | pasted))


def others(x: Tensor) -> Tensor:
    """For each image another one of the batch at random, ``[B]``; no two get the same."""
    order = torch.randperm(len(x), device=x.device)
    return torch.empty_like(order).scatter_(0, order, order.roll(1))


def donors(region: Tensor) -> Tensor:
    """For each image one to take from, ``[B]``: at random from those with a spurious region, itself only if none else.

    All images can give where none has a region.
    """
    has = region.flatten(1).any(1)
    candidates = (has.float() + torch.rand(len(region), device=region.device)).argsort(descending=True)
    count = torch.where(has.any(), has.sum(), len(region))
    drawn = torch.randperm(len(region), device=region.device) % count
    itself = candidates[drawn] == torch.arange(len(region), device=region.device)
    return candidates[(drawn + itself) % count]


def chosen(batch: Batch, share: float) -> Tensor:
    """A random choice of images, ``[B, 1, 1]`` bool."""
    return torch.rand(len(batch.x), 1, 1, device=batch.x.device) < share
