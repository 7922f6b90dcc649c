"""Small input gradients where the evidence should not be. Nayyem et al., 2024, https://arxiv.org/abs/2412.18952"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp
from typing import Any

import torch
from torch import Tensor, nn

from ..attacks.regions import spurious
from ..explainers.gradient import input_gradient
from ..modes import evaluating
from ..spec import require
from ..types import Batch


def gradient_norms(model: nn.Module, batch: Batch) -> Tensor:
    """Norm over channels of d p[y] / d x at each pixel, ``[B, H, W]``, differentiable.

    Per channel on purpose: the channels of a map summed to ``[B, H, W]`` can cancel where the gradient does not.
    """
    with evaluating(model):
        gradient = input_gradient(model, batch.x, batch.y, create_graph=True, probability=True)
    # The square root has no gradient at zero.
    return (gradient.square().sum(1) + 1e-20).sqrt()


def mean_over(values: Tensor, region: Tensor) -> Tensor:
    """Mean of ``values`` over the pixels of ``region``, then over the images that have any; 0 if none has."""
    area = region.sum((1, 2))
    sums = (values * region).sum((1, 2)) / area.clamp_min(1)
    return sums.sum() / (area > 0).sum().clamp_min(1)


def concerned(batch: Batch) -> Batch:
    """The images with a spurious region, or the first one if none has any.

    The others cannot contribute, and a double backward pass costs more than to look which they are.
    """
    some = spurious(batch).flatten(1).any(1)
    first = torch.arange(len(some), device=some.device) == 0
    some = some | (first & ~some.any())
    fields: list[Any] = [None if field is None else field[some] for field in batch]
    return Batch(*fields)


@dataclass(frozen=True)
class Sensitivity:
    """Mean squared norm of the gradient of the true class's probability over the spurious pixels (the paper's L_reg).

    Cost: one forward pass and a double backward pass over the images that have spurious pixels.
    Raises:
        ValueError: if the batch has no mask.
    """

    weight: float = 1.0

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        some = concerned(batch)
        return {"sensitivity": self.weight * mean_over(gradient_norms(model, some).square(), spurious(some))}


@dataclass(frozen=True)
class Lagrangian:
    """The constraint "mean gradient norm over the spurious pixels <= ``delta``" with a Lagrange multiplier.

    The term is multiplier * (mean norm - delta), the paper's augmented loss up to a constant. After each epoch
    :meth:`advance` moves the multiplier by dual ascent, here in the exponent so that it stays positive:
    multiplier * exp(``rate`` * clip(mean norm / delta - 1, -1, 1)).

    Cost: one forward pass and a double backward pass over the images that have spurious pixels.
    Raises:
        ValueError: if the batch has no mask.
    """

    delta: float = 0.01
    multiplier: float = 1.0
    rate: float = 0.5

    def __post_init__(self) -> None:
        require(self, self.delta > 0, "delta is above 0")
        require(self, self.multiplier > 0, "multiplier is above 0")
        require(self, self.rate >= 0, "rate is at least 0")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        some = concerned(batch)
        region = spurious(some)
        norm = mean_over(gradient_norms(model, some), region)
        return {"constraint": self.multiplier * torch.where(region.any(), norm - self.delta, 0.0)}

    def advance(self, terms: dict[str, float]) -> Lagrangian:
        excess = terms["constraint"] / (self.multiplier * self.delta)
        return replace(self, multiplier=self.multiplier * exp(self.rate * max(-1.0, min(1.0, excess))))
