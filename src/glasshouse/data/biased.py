"""Bias put into data: most images are brighter, darker or of more contrast than the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..spec import require
from ..types import SPLITS, Batch, Data, Samples
from .samples import Wrapped, check_split, permuted


@dataclass(frozen=True)
class Biased:
    """Any data set in which a share of the images is biased, in some splits; the other images stay as they are.

    As in section IV-D of Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600: brighter (``shift=0.5``) or
    darker (``shift=-0.5``) by half the standard deviation of an image's pixels, or of larger magnitude
    (``factor=1.5``). Exactly ``round(share * N)`` images, drawn once by ``seed``, become
    ``clip(factor * x + shift * std(x))``. A biased split has ``biased`` ``[N]`` bool. Labels, masks, regions,
    titles and positions stay.

    Differs from the paper: the result is clipped to [0, 1], so that the images stay images.

    Raises:
        ValueError: on an unknown split.
    """

    data: Data
    shift: float = 0.0
    factor: float = 1.0
    share: float = 0.8
    splits: tuple[str, ...] = ("train",)
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.factor >= 0, "factor is at least 0")
        require(self, 0 <= self.share <= 1, "share is from 0 to 1")
        known = f"splits is a tuple of one or more of: {', '.join(SPLITS)}"
        require(self, bool(self.splits) and set(self.splits) <= set(SPLITS), known)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        samples = self.data(split)
        if split not in self.splits:
            return samples
        biased = torch.zeros(len(samples), dtype=torch.bool)
        biased[permuted(len(samples), self.seed)[: round(self.share * len(samples))]] = True
        return BiasedSamples(samples, biased, self.shift, self.factor)


@dataclass(frozen=True, eq=False)
class BiasedSamples(Wrapped):
    """A split whose images are biased where ``biased`` ``[N]`` says so."""

    biased: Tensor
    shift: float
    factor: float

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        chosen = self.biased[torch.as_tensor(index, dtype=torch.int64)].view(-1, 1, 1, 1)
        return batch._replace(x=torch.where(chosen, shifted(batch.x, self.shift, self.factor), batch.x))


def shifted(x: Tensor, shift: float, factor: float) -> Tensor:
    """``clip(factor * x + shift * std(x))``, the deviation over all pixels and channels of each image."""
    deviation = x.std((1, 2, 3), correction=0, keepdim=True)
    return (factor * x + shift * deviation).clamp(0, 1)
