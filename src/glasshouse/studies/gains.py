"""What studies have in common: values over seeds and images, how far arms are apart, and what that decides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from ..statistics import Comparison, Estimate, compare, estimate
from ..study import REFUTED, SUPPORTED, UNTESTED

LEVEL = 0.05


class Spread(NamedTuple):
    """A mean over images and seeds: its 95 % interval over the images, and the means of the seeds."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]

    @property
    def sd(self) -> float:
        """Standard deviation over the seeds; NaN with one."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else float("nan")


class Gain(NamedTuple):
    """How far one arm is above another on the same images, over all seeds together, and under each."""

    difference: float
    low: float
    high: float
    p: float
    seeds: tuple[float, ...]

    @property
    def better(self) -> bool:
        """Significantly, and under every seed."""
        return self.p < LEVEL and min(self.seeds) > 0


def spread(values: Tensor) -> Spread:
    """Of values ``[seeds, N]``; with one seed the interval of a share is Wilson's."""
    found: Estimate = estimate(values.nanmean(0).numpy())
    return Spread(found.mean, found.low, found.high, tuple(values.nanmean(1).tolist()))


def gain(own: Tensor, rival: Tensor) -> Gain:
    """Paired over images: each image has the mean of its seeds on either side."""
    found: Comparison = compare(own.nanmean(0).numpy(), rival.nanmean(0).numpy())
    return Gain(found.difference, found.low, found.high, found.p, tuple((own - rival).nanmean(1).tolist()))


class Judged(NamedTuple):
    """A verdict and the number behind it."""

    verdict: str
    measured: str


MISSING = Judged(UNTESTED, "not measured here")


def decided(g: Gain, yes: str = SUPPORTED, no: str = REFUTED) -> Judged:
    """Supported by a significant gain under every seed."""
    return Judged(yes if g.better else no, points(g))


def points(g: Gain, scale: float = 100) -> str:
    """``+1.2 [0.3, 2.1] points, p = 0.012``"""
    unit, digits = (" points", 1) if scale == 100 else ("", 3)
    low, high = (f"{scale * value:+.{digits}f}" for value in (g.low, g.high))
    p = "p < 0.001" if g.p < 0.001 else f"p = {g.p:.3f}"
    alike = len(g.seeds) < 2 or min(g.seeds) > 0 or max(g.seeds) < 0 or not any(g.seeds)
    apart = "" if alike else ", not under every seed"
    return f"{scale * g.difference:+.{digits}f} [{low}, {high}]{unit}, {p}{apart}"
