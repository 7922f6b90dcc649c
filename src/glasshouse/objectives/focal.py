"""What is right already weighs less. Lin et al., ICCV 2017, https://arxiv.org/abs/1708.02002"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..labels import several
from ..spec import require
from ..types import Batch
from .cross_entropy import weighted_mean


def binary_focal(logits: Tensor, there: Tensor, gamma: float | Tensor, alpha: float) -> Tensor:
    """-alpha_t (1 - p_t)^gamma log p_t of each class on its own, ``[B, classes]``; ``there`` is 1 or 0.

    p_t is the probability of what is the case; alpha_t is ``alpha`` for a class that is there, else 1 - ``alpha``.
    """
    signed = logits * (2 * there - 1)
    balance = alpha * there + (1 - alpha) * (1 - there)
    # Powers as exponentials of logarithms: finite, with finite slopes, also where p_t has long saturated.
    return balance * (gamma * F.logsigmoid(-signed)).exp() * -F.logsigmoid(signed)


def focal_losses(logits: Tensor, y: Tensor, gamma: float, alpha: float) -> Tensor:
    """Focal loss of each image, ``[B]``: (1 - p_y)^gamma CE, or :func:`binary_focal` summed over several classes."""
    if several(y):
        return binary_focal(logits, y, gamma, alpha).sum(1)
    others = logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)
    missed = (gamma * (others - logits.logsumexp(1))).exp()
    return missed * F.cross_entropy(logits, y, reduction="none")


@dataclass(frozen=True)
class Focal:
    """Focal loss: cross-entropy times (1 - p)^``gamma``, so that hard images count. Lin et al., ICCV 2017,
    https://arxiv.org/abs/1708.02002

    With one class an image p is the softmax probability of the true class; with several it is asked of each class
    whether it is there, and the loss is the sum over the classes.

    Shape: y ``[B]`` int64 or ``[B, classes]`` float32 -> ``{"task": scalar}``, at least 0; the mean is weighted with
    ``batch.weight`` where there is one.
    Cost: one forward and one backward pass.
    Differs from the paper: it knows the second form only. ``alpha`` balances classes that are there against those that
    are not; with one class an image there are none of the latter, it would only be a smaller step, and it is left out.
    """

    gamma: float = 2.0
    alpha: float = 0.25
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(self, self.gamma >= 0, "gamma is at least 0")
        require(self, 0 < self.alpha < 1, "alpha is between 0 and 1")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        losses = focal_losses(model(batch.x), batch.y, self.gamma, self.alpha)
        return {"task": self.weight * weighted_mean(losses, batch)}
