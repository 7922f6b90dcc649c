"""A number of an objective that grows over the first epochs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from torch import Tensor, nn

from ..spec import hint_at, override, require
from ..types import Batch, Objective, Samples
from .adversarial import Adversarial
from .combine import advanced, looked


@dataclass(frozen=True)
class Ramp:
    """The number at ``field`` goes in a straight line from ``start`` to its own value over the first ``epochs``.

    The field is named by its path: ``attack.ball.eps``, ``beta``, ``terms.1.weight``. In the first epoch it is
    ``start``, after ``epochs`` it is what the objective says; ``done`` counts the epochs.

    Shape: those of the objective.
    Cost: that of the objective.
    Raises:
        ValueError: if there is no such field, or it does not take numbers in between.
    """

    objective: Objective = Adversarial()
    field: str = "attack.ball.eps"
    epochs: int = 5
    start: float = 0.0
    done: int = 0

    def __post_init__(self) -> None:
        require(self, self.epochs >= 1, "epochs is at least 1")
        require(self, self.done >= 0, "done is at least 0")
        hint_at(self.objective, self.field)
        value = value_at(self.objective, self.field)
        require(self, isinstance(value, int | float) and not isinstance(value, bool), "field leads to a number")
        override(self.objective, self.field, self.start + (value - self.start) / 2)

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self.now()(model, batch)

    def now(self) -> Objective:
        """The objective of this epoch."""
        if self.done >= self.epochs:
            return self.objective
        full = value_at(self.objective, self.field)
        value = self.start + (full - self.start) * self.done / self.epochs
        objective: Objective = override(self.objective, self.field, value)
        return objective

    def advance(self, terms: dict[str, float]) -> Ramp:
        done = min(self.done + 1, self.epochs)
        return replace(self, done=done, objective=advanced(self.objective, terms))

    def look(self, model: nn.Module, samples: Samples, epoch: int) -> Ramp:
        return replace(self, objective=looked(self.objective, model, samples, epoch))


def value_at(component: Any, path: str) -> Any:
    """What stands at a dotted path; numbers index tuples."""
    return reduce(
        lambda c, name: c[int(name)] if isinstance(c, tuple) else getattr(c, name), path.split("."), component
    )
