"""How scores of all training samples become their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..consistency import Tanh
from ..spec import require
from ..types import Shape, Squash


@dataclass(frozen=True)
class AsScored:
    """The score is the weight.

    Shape: ``[N]`` at least 0 -> ``[N]``, the same.
    """

    def __call__(self, scores: Tensor, seed: int) -> Tensor:
        return scores


@dataclass(frozen=True)
class Hardest:
    """1 for the ``share`` of the samples with the highest scores, 0 for the others; among equals the earlier.

    With ``Loss()`` this is hard negative mining. Shrivastava et al., CVPR 2016, https://arxiv.org/abs/1604.03540

    Shape: ``[N]`` -> ``[N]``, 0 or 1.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        require(self, 0 < self.share <= 1, "share is above 0 and at most 1")

    def __call__(self, scores: Tensor, seed: int) -> Tensor:
        order = scores.argsort(descending=True, stable=True)
        return torch.zeros_like(scores).scatter_(0, order[: max(1, round(self.share * len(scores)))], 1.0)


@dataclass(frozen=True)
class Relative:
    """psi(score / mean score), for scores without a scale of their own, such as losses.

    Shape: ``[N]`` at least 0 -> ``[N]`` in [0, 1); 0 where all scores are 0.
    """

    psi: Squash = Tanh()

    def __call__(self, scores: Tensor, seed: int) -> Tensor:
        return self.psi(scores / scores.mean().clamp_min(torch.finfo(scores.dtype).tiny))


@dataclass(frozen=True)
class Shuffled:
    """The control: the same weights, each for another sample at random.

    What is gained with them is not gained by *which* samples weigh more.

    Shape: ``[N]`` -> ``[N]``, the same values in another order.
    """

    shape: Shape = AsScored()

    def __call__(self, scores: Tensor, seed: int) -> Tensor:
        weights = self.shape(scores, seed)
        order = torch.randperm(len(weights), generator=torch.Generator().manual_seed(seed))
        return weights[order.to(weights.device)]
