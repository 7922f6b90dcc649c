"""Planted shortcuts: a patch that gives the class away in training and means nothing in test.

After the decoys of Ross et al., IJCAI 2017, https://arxiv.org/abs/1703.03717.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..labels import several
from ..spec import require
from ..types import NOWHERE, Batch, Data, Samples
from .samples import Wrapped


class Decoy(Protocol):
    """Draws the sign of class ``tag`` ``[B]`` into x; returns the new x and the decoy's pixels ``[B, H, W]`` bool."""

    def __call__(self, x: Tensor, tag: Tensor, classes: int) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class PositionDecoy:
    """A white patch of ``size`` pixels on the border; *where* it lies tells the class."""

    size: int = 4

    def __post_init__(self) -> None:
        require(self, self.size >= 1, "size is at least 1")

    def __call__(self, x: Tensor, tag: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        places = around(x.shape[-2], x.shape[-1], self.size, classes).to(tag.device)[tag]
        patch = squares(x, places, self.size)
        return torch.where(patch[:, None], torch.ones_like(x), x), patch


@dataclass(frozen=True)
class GreyDecoy:
    """A patch in a corner drawn at random for each image; *how bright* it is tells the class (Ross et al.)."""

    size: int = 4

    def __post_init__(self) -> None:
        require(self, self.size >= 1, "size is at least 1")

    def __call__(self, x: Tensor, tag: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        bottom, right = x.shape[-2] - self.size, x.shape[-1] - self.size
        corners = torch.tensor([[0, 0], [0, right], [bottom, 0], [bottom, right]], device=x.device)
        # The corner follows from the image, so that the same image has the same decoy in any batch.
        places = corners[(x.flatten(1).double().sum(1) * 997).long() % 4]
        patch = squares(x, places, self.size)
        grey = (1 - tag.to(x.dtype) / classes).view(-1, 1, 1, 1)
        return torch.where(patch[:, None], grey, x), patch


def around(height: int, width: int, size: int, count: int) -> Tensor:
    """``count`` top-left corners evenly spaced along the border, ``[count, 2]`` as (row, column).

    Raises:
        ValueError: if a patch does not fit.
    """
    bottom, right = height - size, width - size
    if bottom < 1 or right < 1:
        raise ValueError(f"a decoy of {size} pixels does not fit on images of {height} x {width}")
    path = [(0, c) for c in range(right)] + [(r, right) for r in range(bottom)]
    path += [(bottom, right - c) for c in range(right)] + [(bottom - r, 0) for r in range(bottom)]
    return torch.tensor([path[k * len(path) // count] for k in range(count)])


def squares(x: Tensor, places: Tensor, size: int) -> Tensor:
    """``[B, H, W]`` bool: a square of ``size`` pixels at each image's place ``[B, 2]``."""
    rows = torch.arange(x.shape[-2], device=x.device).view(1, -1, 1) - places[:, 0].view(-1, 1, 1)
    columns = torch.arange(x.shape[-1], device=x.device).view(1, 1, -1) - places[:, 1].view(-1, 1, 1)
    return (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)


@dataclass(frozen=True)
class Planted:
    """Any data set with a decoy: true to the class in training and validation, at random in test.

    ``Batch.mask`` is False on the decoy, and elsewhere what it was, or True; ``Batch.regions`` has no class there. Of
    several classes an image the decoy tells the first. Validation follows training, as a practitioner's does: it
    cannot show the shortcut.
    """

    data: Data
    decoy: Decoy = PositionDecoy()
    seed: int = 0

    def __call__(self, split: str) -> Samples:
        samples = self.data(split)
        tags = None
        if split == "test":
            generator = torch.Generator().manual_seed(self.seed)
            tags = torch.randint(len(samples.classes), (len(samples),), generator=generator)
        return PlantedSamples(samples, self.decoy, tags)


@dataclass(frozen=True, eq=False)
class PlantedSamples(Wrapped):
    """A split with a decoy drawn into each image; ``tags`` ``[N]`` replaces the true class as what it shows."""

    decoy: Decoy
    tags: Tensor | None = None

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        own = batch.y.argmax(1) if several(batch.y) else batch.y
        tag = own if self.tags is None or batch.index is None else self.tags[batch.index]
        x, patch = self.decoy(batch.x, tag, len(self.classes))
        mask = ~patch if batch.mask is None else batch.mask & ~patch
        regions = None if batch.regions is None else batch.regions.masked_fill(patch, NOWHERE)
        return batch._replace(x=x, mask=mask, regions=regions)
