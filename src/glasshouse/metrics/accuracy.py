"""Accuracy, clean and under attack."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..types import Attack, Batch
from .verdicts import Verdicts


@dataclass(frozen=True)
class Accuracy:
    """1 where the most probable class is the true one, else 0; with an attack, after it.

    An image that is wrong already counts as wrong under attack, so the mean is the robust accuracy; it is not
    attacked at all.
    """

    attack: Attack | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return (verdicts.right if self.attack is None else verdicts.standing(self.attack)).float()
