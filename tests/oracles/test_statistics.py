"""Intervals and tests against worked examples and exact enumeration."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats

from glasshouse.statistics import compare, estimate, holm, mcnemar, sign_flip, t_interval


def shares(ones: int, count: int) -> np.ndarray:
    return np.array([1.0] * ones + [0.0] * (count - ones))


@pytest.mark.parametrize(
    ("ones", "count", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_a_share_has_wilsons_interval(ones: int, count: int, low: float, high: float) -> None:
    found = estimate(shares(ones, count))
    assert found.mean == ones / count and found.count == count
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wilsons_interval_is_its_formula() -> None:
    z, p, n = stats.norm.ppf(0.975), 0.3, 40
    middle, reach = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = estimate(shares(12, 40))
    assert found.low == pytest.approx((middle - reach) / (1 + z**2 / n))
    assert found.high == pytest.approx((middle + reach) / (1 + z**2 / n))


def test_a_mean_has_students_interval_and_missing_values_are_left_out() -> None:
    values = np.array([0.1, 0.4, np.nan, 0.35, 0.8, np.inf])
    kept = values[np.isfinite(values)]
    found = estimate(values)
    low, high = stats.t.interval(0.95, 3, kept.mean(), stats.sem(kept))
    assert (found.mean, found.count) == (pytest.approx(kept.mean()), 4)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_nothing_measured_has_no_mean_and_one_value_no_spread() -> None:
    assert estimate(np.array([np.nan])).count == 0 and np.isnan(estimate(np.array([])).mean)
    assert t_interval(np.array([0.3])) == (0.3, 0.3)


def test_mcnemar_is_the_binomial_test_of_the_samples_that_differ() -> None:
    a = np.array([1] * 20 + [1] * 8 + [0] * 1 + [0] * 5)
    b = np.array([1] * 20 + [0] * 8 + [1] * 1 + [0] * 5)
    by_hand = 2 * sum(comb(9, k) for k in (0, 1)) / 2**9
    assert by_hand == pytest.approx(stats.binomtest(8, 9).pvalue)
    found = compare(a.astype(float), b.astype(float))
    assert found.p == pytest.approx(by_hand) and found.test == "McNemar, exact"
    assert found.difference == pytest.approx(7 / 34)
    assert mcnemar(np.zeros(5)) == 1.0
    assert mcnemar(np.array([1.0, -1.0, 0.0])) == 1.0


def test_the_difference_has_the_sign_of_a_minus_b_and_the_interval_of_its_mean() -> None:
    a, b = np.array([0.9, 0.7, 0.4, 0.8]), np.array([0.5, 0.6, 0.3, 0.9])
    found = compare(a, b)
    low, high = stats.t.interval(0.95, 3, (a - b).mean(), stats.sem(a - b))
    assert found.difference == pytest.approx(0.125) and found.test == "sign-flip permutation"
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert compare(b, a).difference == pytest.approx(-0.125) and compare(b, a).p == found.p


def test_the_sign_flip_test_agrees_with_all_sign_patterns() -> None:
    difference = np.array([0.3, -0.1, 0.25, 0.4, 0.05, -0.2, 0.31, 0.11])
    sums = np.array([abs(np.dot(signs, difference)) for signs in product((-1, 1), repeat=8)])
    exact = float((sums >= abs(difference.sum()) - 1e-12).mean())
    assert sign_flip(difference) == pytest.approx(exact, abs=0.015)


def test_the_sign_flip_p_is_even_where_nothing_differs_and_small_where_something_does() -> None:
    generator = np.random.default_rng(1)
    null = [sign_flip(generator.normal(size=25)) for _ in range(80)]
    assert 0.4 < np.mean(null) < 0.6 and 0.02 <= np.mean(np.array(null) < 0.1) <= 0.2
    shifted = sign_flip(generator.normal(1.5, 1, size=25))
    assert 0 < shifted < 0.001
    assert sign_flip(np.zeros(10)) == 1.0


def test_the_smallest_p_is_one_in_ten_thousand_and_never_zero() -> None:
    assert sign_flip(np.ones(60)) == pytest.approx(1e-4)


def test_holm_is_the_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]


def test_a_comparison_refuses_different_samples_and_skips_what_either_lacks() -> None:
    with pytest.raises(ValueError, match="same samples, not 3 and 4"):
        compare(np.zeros(3), np.zeros(4))
    found = compare(np.array([1.0, np.nan, 0.0, 1.0]), np.array([0.0, 1.0, np.nan, 1.0]))
    assert found.difference == 0.5 and found.test == "McNemar, exact"
    assert compare(np.array([np.nan]), np.array([1.0])).test == "no common samples"
