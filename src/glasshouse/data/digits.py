"""Handwritten digits (Alpaydin & Kaynak, 1998; bundled with scikit-learn), with a planted shortcut."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..spec import require
from ..types import Samples
from .decoys import Decoy, Planted, PositionDecoy
from .samples import Memory, divide


@dataclass(frozen=True)
class Digits:
    """1,797 real digits of 10 classes on images of ``size`` pixels, three equal channels, no download.

    The digit fills all but a margin of one eighth on each side, where a :class:`PositionDecoy` lies. With a decoy,
    ``Batch.mask`` is False on it and True elsewhere; it shows the class in training and validation and a random
    class in test. ``decoy=None`` gives the plain digits without a mask.
    """

    decoy: Decoy | None = PositionDecoy()
    size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.size >= 12, "size is at least 12")

    def __call__(self, split: str) -> Samples:
        if self.decoy is None:
            return plain_digits(split, self.size, self.seed)
        return Planted(data=Digits(decoy=None, size=self.size, seed=self.seed), decoy=self.decoy, seed=self.seed)(split)


def plain_digits(split: str, size: int, seed: int) -> Memory:
    """The digits of one split: two thirds are for training, a tenth for validation, the rest for test."""
    from sklearn.datasets import load_digits  # slow to import, and only needed here

    bunch = load_digits()
    chosen = divide(len(bunch.target), split, (0.67, 0.1, 0.23), seed)
    grey = torch.from_numpy(bunch.images)[chosen].float().div_(16)[:, None]
    margin = size // 8
    inner = size - 2 * margin
    grey = F.interpolate(grey, (inner, inner), mode="bilinear", align_corners=False)
    grey = F.pad(grey, (margin, margin, margin, margin)).mul_(255).round_().byte()
    labels = torch.from_numpy(bunch.target)[chosen].long()
    return Memory(grey.expand(-1, 3, -1, -1).contiguous(), labels, tuple(str(d) for d in range(10)))
