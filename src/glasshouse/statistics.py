"""Intervals and paired tests over per-sample values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int  # type: ignore[assignment]


class Comparison(NamedTuple):
    """Mean of a - b over the same samples, its 95 % interval and the p-value of "no difference"."""

    difference: float
    low: float
    high: float
    p: float
    test: str


def is_binary(values: Values) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(values, (0, 1)).all())


def estimate(values: Values) -> Estimate:
    """Wilson's score interval for shares, Student's t for other means; samples without a value (NaN) are left out."""
    values = values[np.isfinite(values)]
    count = len(values)
    if count == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = float(values.mean())
    if is_binary(values):
        interval = stats.binomtest(int(values.sum()), count).proportion_ci(method="wilson")
        return Estimate(mean, float(interval.low), float(interval.high), count)
    low, high = t_interval(values)
    return Estimate(mean, low, high, count)


def t_interval(values: Values) -> tuple[float, float]:
    """95 % interval of the mean; the mean itself where it cannot spread."""
    error = float(stats.sem(values)) if len(values) > 1 else 0.0
    reach = float(stats.t.ppf(0.975, max(1, len(values) - 1))) * error
    return float(values.mean()) - reach, float(values.mean()) + reach


def compare(a: Values, b: Values) -> Comparison:
    """Paired comparison: McNemar's exact test for shares, a sign-flip permutation test for other means.

    Raises:
        ValueError: if the two are not over the same samples.
    """
    if a.shape != b.shape:
        raise ValueError(f"a paired comparison needs the same samples, not {len(a)} and {len(b)}")
    both = np.isfinite(a) & np.isfinite(b)
    difference = a[both] - b[both]
    if len(difference) == 0:
        return Comparison(float("nan"), float("nan"), float("nan"), 1.0, "no common samples")
    low, high = t_interval(difference)
    if is_binary(a[both]) and is_binary(b[both]):
        p, test = mcnemar(difference), "McNemar, exact"
    else:
        p, test = sign_flip(difference), "sign-flip permutation"
    return Comparison(float(difference.mean()), low, high, p, test)


def mcnemar(difference: Values) -> float:
    """Exact two-sided p-value, of differences in {-1, 0, 1}."""
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    return float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0


def sign_flip(difference: Values, draws: int = 9999, seed: int = 0) -> float:
    """Two-sided Monte-Carlo p-value of the mean under random signs; never 0."""
    generator = np.random.default_rng(seed)
    observed, larger = abs(float(difference.sum())), 0
    for _ in range(0, draws, 1111):
        signs = generator.integers(0, 2, (1111, len(difference))) * 2 - 1
        larger += int((np.abs(signs @ difference) >= observed * (1 - 1e-12)).sum())
    return (larger + 1) / (draws + 1)


def holm(p: list[float]) -> list[float]:
    """p-values corrected for their number. Holm, Scandinavian Journal of Statistics, 1979."""
    order = sorted(range(len(p)), key=p.__getitem__)
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def rank_correlation(a: Values, b: Values) -> float:
    """Spearman's rho with ties shared out; NaN where all values of a side are one."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])
