"""Objectives made of objectives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ..types import Augmentation, Batch, Objective, Samples
from .cross_entropy import CrossEntropy


@dataclass(frozen=True)
class Sum:
    """All terms of several objectives; terms of the same name add up."""

    terms: tuple[Objective, ...] = (CrossEntropy(),)

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for objective in self.terms:
            for name, value in objective(model, batch).items():
                total[name] = total[name] + value if name in total else value
        return total

    def advance(self, terms: dict[str, float]) -> Sum:
        return replace(self, terms=tuple(advanced(objective, terms) for objective in self.terms))

    def look(self, model: nn.Module, samples: Samples, epoch: int) -> Sum:
        return replace(self, terms=tuple(looked(objective, model, samples, epoch) for objective in self.terms))


@dataclass(frozen=True)
class Changed:
    """An objective on images that a change went over first, such as :class:`Mask` or :class:`Transplant`."""

    change: Augmentation
    objective: Objective = CrossEntropy()

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self.objective(model, self.change(batch))

    def advance(self, terms: dict[str, float]) -> Changed:
        return replace(self, objective=advanced(self.objective, terms))

    def look(self, model: nn.Module, samples: Samples, epoch: int) -> Changed:
        return replace(self, objective=looked(self.objective, model, samples, epoch))


def looked(objective: Objective, model: nn.Module, samples: Samples, epoch: int) -> Any:
    """The objective for an epoch, counted from 0, after a look at model and samples; most look at neither."""
    look = getattr(objective, "look", None)
    return objective if look is None else look(model, samples, epoch)


def advanced(objective: Objective, terms: dict[str, float]) -> Any:
    """The objective for the next epoch, given the epoch's mean terms; most objectives stay what they are."""
    advance = getattr(objective, "advance", None)
    return objective if advance is None else advance(terms)
