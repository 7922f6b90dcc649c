"""What the robustness study found of one set of models: means, trends along robustness, and what a dose does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from ..metrics import Accuracy
from ..statistics import Estimate, estimate, holm
from ..survey import Survey
from ..titles import headings
from ..types import Metric
from .gains import LEVEL, Gain, gain
from .model_survey_found import BASELINES, Row, above_chance
from .robustness_ways import GIVEN, LINF, PGD_AT, STANDARD, RobustTraining

if TYPE_CHECKING:
    from .robustness_study import RobustnessTrial

Values = NDArray[np.float64]


class Subject(NamedTuple):
    """One model of a trial."""

    name: str
    way: RobustTraining | None  # None: it was given, and how it was trained is not known
    seed: int

    @property
    def method(self) -> str:
        return GIVEN if self.way is None else self.way.method


class Trend(NamedTuple):
    """Spearman's rank correlation over models, its 95 % interval over images and its p-value over models."""

    rho: float
    low: float
    high: float
    p: float
    models: int


class Dose(NamedTuple):
    """What training with one eps gains over standard training, in the metric's better direction."""

    eps: float
    gain: float
    share: float  # of the largest gain on the curve
    low: float  # 95 % interval of that share over images
    high: float


class Found(NamedTuple):
    """One trial: who was measured, and what."""

    trial: RobustnessTrial
    subjects: tuple[Subject, ...]
    clean: Survey
    threatened: Survey
    explained: Survey
    scenes: tuple[Scene, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.subjects)

    def accuracy(self, name: str) -> Estimate:
        """On all test images."""
        return estimate(self.right(name).numpy())

    def right(self, name: str) -> Tensor:
        """Which test images a model gets right, ``[N]`` float64."""
        return self.clean.right[self.clean.models.index(name)].double()

    def robust(self, name: str, threat: int = 0) -> Estimate:
        """Under a threat model."""
        return self.threatened.estimate(Accuracy(attack=self.trial.threats[threat]), name)

    @property
    def axis(self) -> Values:
        """Adversarial accuracy of every model under the first threat model, ``[models]``."""
        ranking = Accuracy(attack=self.trial.threats[0])
        return np.array([float(self.threatened.of(ranking, name).double().nanmean()) for name in self.names])

    def cells(self, families: Sequence[str], baselines: bool = False) -> Iterator[Row]:
        """Metrics of some families by every explainer that they were measured with; baselines are no explanations."""
        measured = (c for c in self.explained.values if c not in self.explained.refused)
        for cell in dict.fromkeys(Row(c.metric, c.explainer) for c in measured):
            known = getattr(cell.metric, "family", "") in families
            if known and (baselines or not isinstance(cell.explainer, BASELINES)):
                yield cell

    @property
    def headings(self) -> dict[Metric, str]:
        """What metrics of explanations are called."""
        return headings(cell.metric for cell in self.explained.values)

    def values(self, cell: Row, names: Sequence[str] | None = None) -> Tensor:
        """Of the judged images, ``[models, images]`` float64."""
        rows = [self.explained.of(cell.metric, name, cell.explainer) for name in names or self.names]
        return torch.stack(rows)[:, self.explained.judged].double()

    def compared(self, cell: Row, names: Sequence[str] | None = None) -> Tensor:
        """Values by which models compare, as :meth:`values`: of faithfulness what a map has above a random one on the
        same model, since some models are thrown off by any change of the image."""
        rows = [torch.from_numpy(above_chance(self.explained, cell.of(name))) for name in names or self.names]
        return torch.stack(rows)[:, self.explained.judged]

    def seeds_of(self, way: RobustTraining) -> list[str]:
        """The models trained in a way."""
        return [s.name for s in self.subjects if s.way == way]

    def curve(self, method: str = PGD_AT, norm: str = LINF) -> list[RobustTraining]:
        """The first standard training and the ways of one method and norm, by eps; nothing unless there are both."""
        ways = dict.fromkeys(s.way for s in self.subjects if s.way is not None)
        plain = [w for w in ways if w.method == STANDARD][:1]
        against = sorted((w for w in ways if (w.method, w.norm) == (method, norm)), key=lambda w: w.eps)
        return [*plain, *against] if plain and against else []

    def gain(self, cell: Row, way: RobustTraining, rival: RobustTraining) -> Gain:
        """How far one way is better than another in the metric's own direction, image by image."""
        sign = cell.better or 1
        own, other = (self.compared(cell, self.seeds_of(w)) for w in (way, rival))
        count = min(len(own), len(other))
        return gain(sign * own[:count], sign * other[:count])

    def trend(self, cell: Row) -> Trend:
        """Along adversarial accuracy, in the metric's own units."""
        return trend(self.axis, self.compared(cell).numpy())

    def doses(self, cell: Row, method: str = PGD_AT, norm: str = LINF) -> list[Dose]:
        """What every eps gains, weakest first."""
        ways = self.curve(method, norm)
        if len(ways) < 2:
            return []
        sign = cell.better or 1
        means = np.stack([self.compared(cell, self.seeds_of(w)).nanmean(0).numpy() for w in ways])
        return doses([w.eps for w in ways[1:]], sign * (means[1:] - means[0]))


class Scene(NamedTuple):
    """An explanation that looks right and is not: what it says of an image, and what is known against it."""

    x: Tensor  # [C, H, W]
    maps: dict[str, Tensor]  # by caption: [H, W]
    title: str
    told: str


def drawn(count: int, draws: int, seed: int) -> Values:
    """How often each image comes into each of ``draws`` bootstrap samples, ``[draws, images]``."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def resampled(values: Values, draws: int = 1000, seed: int = 0) -> Values:
    """Means of bootstrap samples of the images, the same images in every row: ``[rows, N]`` -> ``[draws, rows]``."""
    weight, there = drawn(values.shape[1], draws, seed), np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weight @ np.where(there, values, 0.0).T) / (weight @ there.T))


def trend(axis: Values, values: Values, draws: int = 1000, seed: int = 0) -> Trend:
    """Spearman's correlation of ``axis`` ``[models]`` with the means of ``values`` ``[models, images]``."""
    known = np.isfinite(values).any(1) & np.isfinite(axis)
    axis, values = axis[known], values[known]
    if len(axis) < 3 or np.ptp(axis) == 0:
        return Trend(np.nan, np.nan, np.nan, 1.0, len(axis))
    means = np.nanmean(values, 1)
    if np.ptp(means) <= 1e-6 * np.abs(means).max():  # all alike but for rounding
        return Trend(np.nan, np.nan, np.nan, 1.0, len(axis))
    rho = float(rank_correlations(axis, means[None])[0])
    samples = rank_correlations(axis, resampled(values, draws, seed))
    low, high = np.nanpercentile(samples, (2.5, 97.5))
    shuffled = np.random.default_rng(seed).permuted(np.tile(means, (9999, 1)), axis=1)
    larger = int((np.abs(rank_correlations(axis, shuffled)) >= abs(rho) - 1e-12).sum())
    return Trend(rho, float(low), float(high), (larger + 1) / 10_000, len(axis))


def rank_correlations(axis: Values, rows: Values) -> Values:
    """Spearman's correlation of ``axis`` ``[models]`` with each of ``rows`` ``[n, models]``."""
    first = stats.rankdata(axis) - (len(axis) + 1) / 2
    second = stats.rankdata(rows, axis=1) - (len(axis) + 1) / 2
    with np.errstate(invalid="ignore"):
        return np.asarray((second @ first) / np.sqrt((first @ first) * (second**2).sum(1)))


def doses(eps: Sequence[float], gains: Values) -> list[Dose]:
    """What every eps gains, of ``gains`` ``[eps, images]``, as a share of the largest gain on the curve, where that is
    one."""
    gains = gains[:, np.isfinite(gains).all(0)]
    if not gains.shape[1]:
        return []
    means, samples = gains.mean(1), resampled(gains)
    top = int(means.argmax())
    if means[top] <= 0:
        return [Dose(e, float(mean), np.nan, np.nan, np.nan) for e, mean in zip(eps, means, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.percentile(samples / samples[:, [top]], (2.5, 97.5), axis=0)
    return [Dose(e, *map(float, row)) for e, *row in zip(eps, means, means / means[top], low, high, strict=True)]


class Count(NamedTuple):
    """In how many cells something is significantly better, and in how many worse, all p-values corrected together."""

    better: int
    worse: int
    cells: int

    @property
    def mostly(self) -> bool:
        """Better in more than half, and more often than worse."""
        return 2 * self.better > self.cells and self.better > self.worse


def counted(gains: Sequence[Gain]) -> Count:
    """Gains that are significant after correction and have one sign under every seed."""
    corrected = holm([g.p for g in gains])
    signs = [(min(g.seeds) > 0) - (max(g.seeds) < 0) if p < LEVEL else 0 for g, p in zip(gains, corrected, strict=True)]
    return Count(signs.count(1), signs.count(-1), len(signs))


def counted_trends(trends: Sequence[tuple[Trend, int]]) -> Count:
    """Trends with the metric's direction that are significant after correction."""
    corrected = holm([t.p for t, _ in trends])
    signs = [
        (t.rho * better > 0) - (t.rho * better < 0) if p < LEVEL else 0
        for (t, better), p in zip(trends, corrected, strict=True)
    ]
    return Count(signs.count(1), signs.count(-1), len(signs))


def mean(values: Tensor) -> Estimate:
    """Over images, each with the mean of its seeds."""
    return estimate(values.nanmean(0).numpy())
