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

    An image that is wrong already counts as wrong under attack, so the mean is the robust accuracy; it is not
    attacked at all.
    """

    attack: Attack | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        right = correct(model, batch.x, batch.y)
        if self.attack is None:
            return right.float()
        if right.any():
            standing = at(batch, right)
            right[right.clone()] = correct(model, attacked(self.attack, model, standing), standing.y)
        return right.float()


def at(batch: Batch, chosen: Tensor) -> Batch:
    """The chosen samples of a batch."""
    return Batch(*(None if t is None else t[chosen] for t in batch))  # type: ignore[arg-type]


@torch.no_grad()
def correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """``[B]`` bool."""
    return model(x).argmax(1) == y
