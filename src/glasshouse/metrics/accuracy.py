"""Accuracy, clean and under attack."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..attacks.regions import attacked
from ..types import Attack, Batch


@dataclass(frozen=True)
class Accuracy:
    """1 where the most probable class is the true one, else 0; with an attack, after it.

    An image that is wrong already counts as wrong under attack, so the mean is the robust accuracy.
    """

    attack: Attack | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        right = correct(model, batch.x, batch.y)
        if self.attack is None:
            return right.float()
        return (right & correct(model, attacked(self.attack, model, batch), batch.y)).float()


@torch.no_grad()
def correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """``[B]`` bool."""
    return model(x).argmax(1) == y  # type: ignore[no-any-return]
