"""What the robustness study makes of values that are known: means, gains, trends along robustness, and doses."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from robust_models import (
    CAM,
    GRADIENT,
    IMAGES,
    JUDGED,
    LOTS,
    REDRAWN,
    ROUND,
    SCALED,
    STANDARD,
    STRONG,
    USUAL,
    WAYS,
    WEAK,
    bumpy,
    looks,
    one_seed,
    right,
    seen,
    trial_of,
)
from scipy import stats

from glasshouse.explainers import EdgeMap
from glasshouse.metrics import Accuracy, Complexity, Deletion, Insertion, MaxSensitivity, Sparseness
from glasshouse.statistics import estimate
from glasshouse.studies import NamedModel
from glasshouse.studies import robustness_ways as known
from glasshouse.studies.gains import Gain
from glasshouse.studies.robustness_found import (
    Count,
    Trend,
    counted,
    counted_trends,
    doses,
    mean,
    rank_correlations,
    resampled,
    trend,
)

GENERATOR = np.random.default_rng(3)
AXIS = np.array([0.0, 0.1, 0.1, 0.3, 0.4, 0.5, 0.7])
NOISY = AXIS[:, None] + GENERATOR.normal(size=(7, 50))


# along robustness


def test_a_trend_is_spearmans() -> None:
    told, means = trend(AXIS, NOISY), NOISY.mean(1)
    assert told.rho == pytest.approx(stats.spearmanr(AXIS, means).statistic)
    assert 0 < told.rho < 1 and told.low < told.rho < told.high and told.models == 7
    rows = GENERATOR.integers(0, 4, (5, 7)).astype(float)
    assert rank_correlations(AXIS, rows) == pytest.approx([stats.spearmanr(AXIS, row).statistic for row in rows])


def test_its_p_value_is_that_of_all_orders() -> None:
    rising = np.arange(4.0)[:, None] + np.zeros((4, 9))
    told = trend(np.array([0.1, 0.2, 0.3, 0.4]), rising)
    assert (told.rho, told.low, told.high) == (1, 1, 1)
    assert told.p == pytest.approx(2 / 24, abs=0.01)  # of 24 orders the two that are straight
    assert trend(np.array([0.1, 0.2, 0.3, 0.4]), -rising)[:4] == (-1, -1, -1, told.p)
    every = np.abs(rank_correlations(AXIS, np.array(list(permutations(NOISY.mean(1))))))
    told = trend(AXIS, NOISY)
    assert told.p == pytest.approx((every >= abs(told.rho) - 1e-12).mean(), abs=0.005) and 0.01 < told.p < 0.5


def test_its_interval_is_over_images_the_same_for_all_models() -> None:
    shared = np.arange(5.0)[:, None] + 100 * GENERATOR.normal(size=40)  # what an image adds, it adds to all
    told = trend(np.arange(5.0), shared)
    assert (told.low, told.high) == (1, 1)
    apart = np.arange(5.0)[:, None] + 100 * GENERATOR.normal(size=(5, 40))
    told = trend(np.arange(5.0), apart)
    assert told.high - told.low > 1


def test_models_without_values_are_left_out() -> None:
    holes = NOISY.copy()
    holes[2] = np.nan
    holes[:, 7] = np.nan  # and an image that nobody was measured on
    kept = np.delete(np.delete(NOISY, 2, 0), 7, 1)
    told = trend(AXIS, holes)
    assert told.models == 6
    assert told.rho == pytest.approx(stats.spearmanr(np.delete(AXIS, 2), kept.mean(1)).statistic)
    lost = AXIS.copy()
    lost[2] = np.nan
    assert trend(lost, NOISY).models == 6


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (AXIS[:2], NOISY[:2]),
        (np.full(7, 0.3), NOISY),
        (AXIS, np.ones((7, 50))),
        (AXIS, np.full((7, 50), np.nan)),
        (AXIS, np.empty((7, 0))),
    ],
)
def test_there_is_no_trend_of_two_models_or_of_constants(axis: np.ndarray, values: np.ndarray) -> None:
    told = trend(axis, values)
    assert np.isnan([told.rho, told.low, told.high]).all() and told.p == 1


def test_bootstrap_samples_take_the_same_images_for_all_rows() -> None:
    found = resampled(np.stack([NOISY[0], NOISY[0], 2 * NOISY[0] + 1]), draws=500)
    assert found.shape == (500, 3)
    assert np.array_equal(found[:, 0], found[:, 1]) and found[:, 2] == pytest.approx(2 * found[:, 0] + 1)
    assert found[:, 0].mean() == pytest.approx(NOISY[0].mean(), abs=0.03)
    assert found[:, 0].std() == pytest.approx(NOISY[0].std() / 50**0.5, rel=0.15)
    assert np.array_equal(found, resampled(np.stack([NOISY[0], NOISY[0], 2 * NOISY[0] + 1]), draws=500))


def test_means_of_samples_are_of_what_was_measured() -> None:
    rows = np.stack([np.full(9, 3.0), np.full(9, np.nan)])
    rows[0, :5] = np.nan
    found = resampled(rows, draws=50)
    assert (np.isnan(found[:, 0]) | (found[:, 0] == 3)).all() and (found[:, 0] == 3).sum() > 40
    assert np.isnan(found[:, 1]).all()


# doses


def test_doses_are_shares_of_the_largest_gain() -> None:
    gains = np.array([[0.5], [2.0], [1.0]]) * np.linspace(0.5, 1.5, 30)
    found = doses([0.1, 0.2, 0.3], gains)
    assert [d.eps for d in found] == [0.1, 0.2, 0.3]
    assert [d.gain for d in found] == pytest.approx([0.5, 2, 1])
    for dose, share in zip(found, (0.25, 1, 0.5), strict=True):
        assert (dose.share, dose.low, dose.high) == pytest.approx((share,) * 3)  # the same in every sample
    noisy = doses([0.1, 0.2], np.stack([gains[0] + GENERATOR.normal(size=30), gains[1]]))
    assert noisy[0].low < noisy[0].share < noisy[0].high and noisy[0].high - noisy[0].low > 0.1


def test_images_that_lack_a_value_give_no_dose() -> None:
    gains = np.array([[1.0], [2.0]]) * np.ones(6)
    gains[0, 0], gains[1, 0], gains[1, 1] = np.nan, 50, np.nan
    assert [d.gain for d in doses([1, 2], gains)] == [1, 2]
    assert doses([1, 2], gains * np.nan) == []


def test_there_is_no_share_of_a_loss() -> None:
    found = doses([1, 2], np.array([[-2.0], [-1.0]]) * np.ones(6))
    assert [d.gain for d in found] == [-2, -1]
    assert all(np.isnan(d[2:]).all() for d in found)


# in how many cells


def gained(p: float, *seeds: float) -> Gain:
    return Gain(seeds[0], 0, 0, p, seeds)


def test_cells_count_by_direction_and_agreement_of_seeds() -> None:
    found = counted(
        [gained(0.001, 1, 2), gained(0.001, -1, -2), gained(0.001, 1, -0.1), gained(0.5, 1, 2), gained(0.001, 3, 1)]
    )
    assert found == Count(better=2, worse=1, cells=5)


def test_p_values_of_cells_are_corrected() -> None:
    assert counted([gained(0.04, 1)]) == Count(1, 0, 1)
    assert counted([gained(0.04, 1), gained(0.9, 1)]) == Count(0, 0, 2)
    assert counted([gained(0.02, 1), gained(0.04, -1)]) == Count(1, 1, 2)
    along = [Trend(0.9, 0, 0, 0.04, 9)]
    assert counted_trends([(along[0], 1)]) == Count(1, 0, 1) and counted_trends([(along[0], -1)]) == Count(0, 1, 1)
    assert counted_trends([(along[0], 1), (Trend(0.1, 0, 0, 0.8, 9), 1)]) == Count(0, 0, 2)
    falls = Trend(-0.9, 0, 0, 0.001, 9)
    assert counted_trends([(falls, 1), (falls, -1), (falls, -1)]) == Count(2, 1, 3)


@pytest.mark.parametrize(
    ("count", "expected"),
    [((3, 0, 5), True), ((2, 0, 4), False), ((3, 1, 5), True), ((0, 0, 1), False), ((1, 0, 1), True)],
)
def test_most_is_more_than_half(count: tuple[int, int, int], expected: bool) -> None:
    assert Count(*count).mostly == expected


# a trial


FOUND = seen(USUAL)


def test_models_are_named_by_way_and_seed() -> None:
    assert FOUND.names[:3] == ("standard seed 0", "standard seed 1", "PGD-AT 2/255 seed 0")
    assert FOUND.seeds_of(STRONG) == ["PGD-AT 8/255 seed 0", "PGD-AT 8/255 seed 1"]
    assert FOUND.subjects[0].method == "standard" and FOUND.subjects[-1].method == "PGD-AT"
    brought = seen(USUAL, trial=trial_of((), given=(NamedModel("mine", known_model()),)))
    assert brought.names == ("mine",) and brought.subjects[0].method == "given" and brought.curve() == []


def known_model() -> object:
    return trial_of().model


def test_accuracies_are_of_the_whole_split_and_of_what_was_attacked() -> None:
    assert FOUND.accuracy("standard seed 1") == estimate(right(0.95).double().numpy())
    assert FOUND.robust("PGD-AT 2/255 seed 1").mean == pytest.approx(0.225)
    assert FOUND.axis == pytest.approx([0, 0.025, 0.2, 0.225, 0.5, 0.525, 0.3, 0.325])
    assert FOUND.threatened.metrics == (Accuracy(attack=FOUND.trial.threats[0]),)


def test_cells_are_of_families_and_baselines_are_no_explanations() -> None:
    own = list(FOUND.cells(("conciseness",)))
    assert own == [looks(m, e) for m in (Sparseness(), Complexity()) for e in (GRADIENT, CAM)]
    every = list(FOUND.cells(("conciseness", "faithfulness"), baselines=True))
    assert looks(Sparseness(), REDRAWN) in every and looks(Deletion(), LOTS) in every and len(every) == 9
    edges = seen({(Sparseness(), EdgeMap()): (0.1,) * 4})
    assert not list(edges.cells(("conciseness",))) and list(edges.cells(("conciseness",), baselines=True))


def test_values_are_those_of_the_judged_images() -> None:
    found = FOUND.values(looks(Sparseness()), FOUND.seeds_of(WEAK))
    assert found.shape == (2, JUDGED) and found.dtype == torch.float64 and JUDGED < IMAGES
    torch.testing.assert_close(found, torch.stack([bumpy(0.65), bumpy(0.65, 1)])[:, :JUDGED].double())
    assert FOUND.values(looks(Sparseness())).shape == (8, JUDGED)
    assert mean(found).mean == pytest.approx(0.6505, abs=1e-6) and mean(found).count == JUDGED


def test_a_curve_begins_with_no_attack_and_goes_by_eps() -> None:
    assert FOUND.curve() == [STANDARD, WEAK, STRONG]
    assert FOUND.curve(norm=known.L2_NORM) == [STANDARD, ROUND]
    mixed = seen(USUAL, ways=(STRONG, STANDARD, WEAK, ROUND))
    assert mixed.curve() == [STANDARD, WEAK, STRONG]
    trades = known.trades_training(4, 3, 0.5, 1)
    others = seen({(Sparseness(), GRADIENT): (0.1,) * 3}, ways=(STANDARD, trades, STRONG))
    assert others.curve("TRADES") == [STANDARD, trades] and others.curve() == [STANDARD, STRONG]
    assert seen({(Sparseness(), GRADIENT): (0.1,) * 2}, ways=(WEAK, STRONG)).curve() == []


def test_a_curve_needs_someone_who_trains_against_something() -> None:
    twice = (STANDARD, replace(STANDARD, name="standard, longer"))
    assert seen({(Sparseness(), GRADIENT): (0.1, 0.2)}, ways=twice).curve() == []


def test_of_two_standard_trainings_the_first_is_the_one() -> None:
    ways = (STANDARD, STRONG, *(replace(STANDARD, name=f"standard {k}") for k in range(6)))
    many = seen({(Sparseness(), GRADIENT): (0.1,) * 8}, ways=ways, clean=(1,) * 8, robust=(0,) * 8)
    assert many.curve() == [STANDARD, STRONG]


def test_a_gain_has_the_sign_of_the_better_direction() -> None:
    up = FOUND.gain(looks(Sparseness()), STRONG, STANDARD)
    assert up.difference == pytest.approx(0.2) and up.better and len(up.seeds) == 2
    down = FOUND.gain(looks(Complexity()), STRONG, STANDARD)
    assert down.difference == pytest.approx(2) and down.better
    assert FOUND.gain(looks(Complexity()), STANDARD, STRONG).difference == pytest.approx(-2)


def test_seeds_are_paired_one_by_one() -> None:
    fewer = seen(USUAL, ways=(STANDARD, WEAK, one_seed(STRONG), ROUND), value=lambda m, s: bumpy(m, 100 * s.seed))
    alone = fewer.gain(looks(Sparseness()), one_seed(STRONG), STANDARD)
    assert len(alone.seeds) == 1 and alone.difference == pytest.approx(0.2)  # the second seed of STANDARD has no pair


def test_a_trend_is_in_the_metrics_own_units() -> None:
    assert FOUND.trend(looks(Sparseness())).rho > 0.9 and FOUND.trend(looks(Complexity())).rho < -0.9


def test_faithfulness_compares_above_random_maps() -> None:
    """A model that any change throws off more seems better explained by anything, random maps too."""
    thrown = USUAL | {(Deletion(), e): (0.5, 0.4, 0.2, 0.3) for e in (GRADIENT, CAM, LOTS)}
    found = seen(thrown)
    torch.testing.assert_close(found.compared(looks(Deletion())), torch.zeros(8, JUDGED).double(), atol=1e-6, rtol=0)
    assert found.gain(looks(Deletion()), STRONG, STANDARD).difference == pytest.approx(0, abs=1e-6)
    assert all(abs(d.gain) < 1e-6 for d in found.doses(looks(Deletion())))
    assert torch.equal(found.compared(looks(Sparseness())), found.values(looks(Sparseness())))
    alone = seen({(Insertion(), GRADIENT): (0.1, 0.2, 0.3, 0.2)})
    assert alone.gain(looks(Insertion()), STRONG, STANDARD).difference == pytest.approx(0.2)


def test_doses_of_a_curve_have_the_better_sign() -> None:
    found = FOUND.doses(looks(MaxSensitivity()))
    assert [d.eps for d in found] == [WEAK.eps, STRONG.eps]
    assert [d.gain for d in found] == pytest.approx([0.4, 0.5]) and found[0].share == pytest.approx(0.8)
    assert [d.share for d in FOUND.doses(looks(SCALED), norm=known.L2_NORM)] == [1]
    assert seen({(Sparseness(), GRADIENT): (0.1,) * 2}, ways=WAYS[:1]).doses(looks(Sparseness())) == []


def test_nothing_is_made_of_no_images() -> None:
    empty = seen(USUAL, judged=0)
    cell = looks(Sparseness())
    assert empty.values(cell).shape == (8, 0) and empty.doses(cell) == []
    assert np.isnan(empty.trend(cell).rho) and np.isnan(empty.gain(cell, STRONG, STANDARD).difference)
    assert not empty.gain(cell, STRONG, STANDARD).better
