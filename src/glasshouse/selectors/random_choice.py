"""Any samples: what every other choice has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..data.samples import permuted
from ..types import Samples, Selection
from .unchosen import unchosen


@dataclass(frozen=True)
class RandomChoice:
    """Samples at random, in an order that follows from the seed.

    Shape: positions ``[count]`` int64, or all that are left.
    Cost: no forward pass.
    Raises:
        ValueError: if ``count`` is below 1, or a chosen position is none of the samples.
    """

    def __call__(self, model: nn.Module, samples: Samples, chosen: Tensor, count: int, seed: int) -> Selection:
        left = unchosen(samples, chosen, count)
        return Selection(left[permuted(len(left), seed)[:count]])
