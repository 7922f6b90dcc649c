"""What the attacks of a trial came to: values over images, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..hierarchy import Hierarchy
from ..shifts import RelevanceShift
from ..statistics import Estimate, compare, estimate, t_interval
from .gains import Gain

if TYPE_CHECKING:
    from .hierarchical_attacks import LevelTrial

LEVELS = ("coarse", "fine")
PERCEPTIBILITY = ("rho_2", "rho_1", "rho_inf")
# What makes a perturbation explainable, the higher the more, but for entropy; None of them looks at how large it is.
EXPLAINABILITY = (
    *("gini", "entropy", "overlap_original", "rank_original", "overlap_adversarial", "rank_adversarial"),
    *("shift_original", "shift_adversarial", "overlap_judge", "rank_judge"),
)
MOVED = ("moved_original", "moved_adversarial")
LOWER = ("entropy",)


class Degenerate(NamedTuple):
    """The paper's loss in one network: each reading's values at images, ``[R, B]``, see ``degeneracy``."""

    name: str
    values: Mapping[str, Tensor]


class Bout(NamedTuple):
    """One classifier under all attacks."""

    trial: LevelTrial
    hierarchy: Hierarchy
    values: Mapping[str, Mapping[str, Mapping[str, Tensor]]]  # level: way: measure: [N]
    degenerate: Degenerate
    pictures: tuple[RelevanceShift, ...]

    def has(self, level: str, *ways: str) -> bool:
        """Whether all these ways were tried on a level."""
        return all(way in self.values[level] for way in ways)

    def right(self, level: str) -> Tensor:
        """Which images are right on a level before anything happens, bool."""
        return max((v["right"] for v in self.values[level].values()), key=len) > 0

    def fooling(self, level: str, way: str) -> Estimate:
        """The share of images that were right whose label changes: on the fine level with the superclass unchanged."""
        values = self.values[level][way]
        return estimate(values["fooled"][values["right"] > 0].double().numpy())

    def generous(self, level: str, way: str) -> Estimate:
        """The same as the paper counts: of all images, also those that were wrong before."""
        return estimate(self.values[level][way]["fooled"].double().numpy())

    def value(self, level: str, way: str, measure: str) -> Estimate:
        """The mean of a measure over images that were right and are fooled."""
        values = self.values[level][way]
        if measure not in values:
            return averaged(torch.empty(0))
        return averaged(values[measure][fooled(values)])

    def over_right(self, level: str, way: str, measure: str) -> Estimate:
        """The mean over all images that were right, fooled or not: what the paper's tables have."""
        values = self.values[level][way]
        return averaged(values[measure][values["right"] > 0])

    def gain(self, level: str, own: str, other: str, measure: str) -> Gain | None:
        """How much higher a measure is (lower, for entropy) over the images that both ways fool: at an equal fooling
        ratio. None where it was not measured."""
        if not self.has(level, own, other) or measure not in self.values[level][own]:
            return None
        pair = [self.values[level][name] for name in (own, other)]
        both = together(*pair)
        count = len(both)
        sign = -1 if measure in LOWER else 1
        first, second = (sign * v[measure][:count][both].double() for v in pair)
        found = compare(first.numpy(), second.numpy())
        return Gain(found.difference, found.low, found.high, found.p, (found.difference,))

    def shared(self, level: str, own: str, other: str) -> int:
        """How many images both ways fool."""
        return int(together(self.values[level][own], self.values[level][other]).sum())


def averaged(values: Tensor) -> Estimate:
    """The mean of sizes, which are no shares even where all of them are 0."""
    known = values[values.isfinite()].double().numpy()
    if not len(known):
        return estimate(known)
    return Estimate(float(known.mean()), *t_interval(known), len(known))


def fooled(values: Mapping[str, Tensor]) -> Tensor:
    """Which images were right and are fooled, bool."""
    return (values["right"] > 0) & (values["fooled"] > 0)


def together(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Tensor:
    """Which of the images that both were tried on were right and are fooled by both, bool."""
    count = min(len(first["fooled"]), len(second["fooled"]))
    return fooled(first)[:count] & fooled(second)[:count]
