"""What a study of masks measured, run by run, and what many runs come to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from torch import Tensor

ELIME_NAME, RANDOM, GREEDY, SPARSE = "E-LIME", "random search", "greedy selection", "E-LIME, half the start"
LIME_NAME, FAST, BY_TEN = "LIME, as many", "FastLIME, as many", "LIME, ten at a time"
FRONT = "front, the smallest"
METHODS = (ELIME_NAME, RANDOM, GREEDY, LIME_NAME, FAST, FRONT, SPARSE, BY_TEN)


class Row(NamedTuple):
    """One method on one image and network, under one seed."""

    network: str
    image: str
    method: str
    seed: int
    probability: float  # of the class explained, under the mask
    whole: float  # of the class explained, for the whole image
    removed: float  # with what the mask selects replaced instead
    fills: tuple[float, ...]  # under the mask, with other fills
    others: tuple[tuple[float, float], ...]  # under the mask and for the whole image, on other networks
    seconds: float
    evaluations: int
    passed: float  # evaluations until the whole image's probability was passed, NaN if it never was
    superpixels: int
    mask: Tensor  # [superpixels] bool
    trace: tuple[tuple[float, float], ...]  # (evaluations, best probability)

    @property
    def gain(self) -> float:
        return self.probability - self.whole

    @property
    def share(self) -> float:
        return int(self.mask.sum()) / self.superpixels


class Spread(NamedTuple):
    """What runs under different seeds have in common, and how far they differ; sd is NaN for a single one."""

    mean: float
    sd: float
    min: float
    max: float
    runs: int


def spread(values: Iterable[float]) -> Spread:
    """Over the values that there are: NaN is none."""
    found = np.array([v for v in values if not math.isnan(v)])
    if not len(found):
        return Spread(math.nan, math.nan, math.nan, math.nan, 0)
    sd = float(found.std(ddof=1)) if len(found) > 1 else math.nan
    return Spread(float(found.mean()), sd, float(found.min()), float(found.max()), len(found))


def only(rows: Sequence[Row], method: str, network: str = "", image: str = "") -> list[Row]:
    """The rows of a method, of a network and of an image where one is named."""
    kept = [r for r in rows if r.method == method]
    return [r for r in kept if network in ("", r.network) and image in ("", r.image)]


def cells(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Every network with every image, in order."""
    return list(dict.fromkeys((r.network, r.image) for r in rows))


def by_cell(rows: Sequence[Row], method: str, value: Callable[[Row], float]) -> list[float]:
    """The mean over the seeds, for every network and image."""
    return [spread(map(value, only(rows, method, *cell))).mean for cell in cells(rows)]


def improved(rows: Sequence[Row]) -> tuple[int, int]:
    """In how many runs the probability rose, of how many."""
    return sum(r.gain > 0 for r in rows), len(rows)


def held(rows: Sequence[Row], fill: int) -> tuple[int, int]:
    """In how many runs it is above that of the whole image with another fill, of how many."""
    return sum(r.fills[fill] > r.whole for r in rows), len(rows)


def carried(rows: Sequence[Row]) -> tuple[int, int]:
    """On how many other networks it is above their own for the whole image, over all runs, of how many."""
    pairs = [pair for r in rows for pair in r.others]
    return sum(under > whole for under, whole in pairs), len(pairs)


def jaccard(a: Tensor, b: Tensor) -> float:
    """What two masks share, of all that either selects; 1 for two that select nothing."""
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def agreement(rows: Sequence[Row]) -> float:
    """Mean of :func:`jaccard` over all pairs of seeds; NaN for a single one."""
    return spread(jaccard(a.mask, b.mask) for a, b in combinations(rows, 2)).mean


def chance(rows: Sequence[Row]) -> float:
    """About what :func:`agreement` would be of masks of the same size at random places."""
    share = spread(r.share for r in rows).mean
    return share / (2 - share)


def passed(trace: Sequence[tuple[float, float]], whole: float) -> float:
    """Evaluations until the best was above ``whole``, NaN if it never was."""
    return next((asked for asked, best in trace if best > whole), math.nan)
