"""Regions of objects that are brighter than what is behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..labels import several
from ..spec import require
from ..types import NOWHERE, Batch, Data, Samples
from .samples import Wrapped


@dataclass(frozen=True)
class BrightRegions:
    """Any data of one class an image whose object is bright before a dark ground, such as digits: the pixels whose mean
    over the channels is above ``level`` are the object's, in ``Batch.regions`` and ``Batch.mask``.

    Raises:
        ValueError: on access, if images have several classes.
    """

    data: Data
    level: float = 0.5

    def __post_init__(self) -> None:
        require(self, 0 <= self.level < 1, "level is at least 0 and below 1")

    def __call__(self, split: str) -> Samples:
        return BrightSamples(self.data(split), self.level)


@dataclass(frozen=True, eq=False)
class BrightSamples(Wrapped):
    """A split whose bright pixels are its objects."""

    level: float

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        if several(batch.y):
            raise ValueError(
                "BrightRegions needs data of one class an image: brightness does not tell one from another"
            )
        bright = batch.x.mean(1) > self.level
        return batch._replace(mask=bright, regions=torch.where(bright, batch.y[:, None, None], NOWHERE))
