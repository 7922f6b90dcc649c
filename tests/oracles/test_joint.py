"""Models on the images that all of them get right, and weights that should find what is unlike the rest."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from glasshouse.attacks import FGSM, PGD, Linf
from glasshouse.metrics import Accuracy, ExactMatch
from glasshouse.metrics.debiasing import unbiased_share
from glasshouse.metrics.joint import joint_curves, jointly_right
from glasshouse.statistics import estimate

CLEAN = Accuracy()
SMALL, LARGE = (Accuracy(attack=FGSM(ball=Linf(eps=eps))) for eps in (0.1, 0.2))


def values(*rows: str) -> dict[str, torch.Tensor]:
    """What was measured, a digit for each image: clean, under the small attack and under the large one."""
    named = zip((CLEAN, SMALL, LARGE), rows, strict=False)
    return {repr(metric): torch.tensor([float(digit) for digit in row]) for metric, row in named}


ARMS = {
    "baseline": values("1110111", "1010101", "1000100"),
    "ours": values("1101111", "1101111", "0100111"),
    "bad": values("0000001", "0000000", "0000000"),
}


def test_an_image_counts_where_all_are_right() -> None:
    clean = [ARMS[arm][repr(CLEAN)] for arm in ("baseline", "ours")]
    assert jointly_right(clean).tolist() == [True, True, False, False, True, True, True]
    assert torch.equal(jointly_right(clean[:1]), clean[0] > 0)
    for wrong in ([], [torch.ones(3), torch.ones(4)]):
        with pytest.raises(ValueError, match="the same images"):
            jointly_right(wrong)


def test_curves_begin_at_1_and_are_of_the_common_images() -> None:
    found = joint_curves(ARMS, (LARGE, CLEAN, SMALL), ("ours", "baseline"))
    assert list(found) == ["ours", "baseline"]
    means = {arm: [(eps, e.mean, e.count) for eps, e in curve] for arm, curve in found.items()}
    assert means["baseline"] == [(0.0, 1.0, 5), (0.1, 0.6, 5), (0.2, 0.4, 5)]
    assert means["ours"] == [(0.0, 1.0, 5), (0.1, 1.0, 5), (0.2, 0.8, 5)]
    assert found["baseline"][1][1] == estimate(torch.tensor([1.0, 0, 1, 0, 1]).double().numpy())
    assert [e.count for _, e in joint_curves(ARMS, (SMALL,))["ours"]] == [1, 1]  # all arms, one image


def test_a_curve_is_of_one_attack_that_was_measured() -> None:
    with pytest.raises(ValueError, match="more than eps"):
        joint_curves(ARMS, (SMALL, Accuracy(attack=PGD())))
    with pytest.raises(ValueError, match=r"ExactMatch\(\) is none"):
        joint_curves(ARMS, (ExactMatch(),))
    with pytest.raises(ValueError, match="was not measured for 'baseline'"):
        joint_curves(ARMS, (Accuracy(attack=FGSM(ball=Linf(eps=0.4))),))
    with pytest.raises(ValueError, match="no arm 'another'; there are: 'baseline', 'ours', 'bad'"):
        joint_curves(ARMS, (SMALL,), ("another",))


def test_the_highest_weights_are_looked_at() -> None:
    weights = torch.tensor([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5, 0.0])
    biased = torch.tensor([0, 1, 1, 1, 1, 1, 1, 1, 1, 0]).bool()
    assert unbiased_share(weights, biased) == 0.5
    assert unbiased_share(weights, biased, top=0.1) == 1
    assert unbiased_share(weights, biased, top=1.0) == pytest.approx(0.2)
    assert unbiased_share(weights, biased, top=0.01) == 1  # at least one image
    assert unbiased_share(-weights, biased) == 0.5


def test_weights_that_are_all_alike_find_what_chance_finds() -> None:
    biased = torch.arange(50) % 5 > 0
    assert unbiased_share(torch.ones(50), biased) == pytest.approx(0.2)
    assert unbiased_share(torch.ones(50), ~biased) == pytest.approx(0.8)


def test_equal_weights_at_the_border_count_as_the_mean_over_all_choices() -> None:
    weights = torch.tensor([3.0, 2, 2, 2, 2, 1, 1, 0, 0, 0])
    biased = torch.tensor([1, 0, 0, 1, 0, 0, 1, 1, 1, 1]).bool()
    for places in range(1, 11):
        above = [
            i for i in range(10) if int((weights > weights[i]).sum()) + int((weights == weights[i]).sum()) <= places
        ]
        level = [i for i in range(10) if i not in above and int((weights > weights[i]).sum()) < places]
        chosen = [above + list(some) for some in combinations(level, places - len(above))]
        expected = sum(float((~biased[some]).float().mean()) for some in chosen) / len(chosen)
        assert unbiased_share(weights, biased, top=places / 10) == pytest.approx(expected)


def test_what_has_no_order_is_refused() -> None:
    biased = torch.ones(3, dtype=torch.bool)
    for weights, top, told in (
        (torch.ones(2), 0.2, "not"),
        (torch.tensor([1.0, torch.nan, 0.0]), 0.2, "NaN"),
        (torch.ones(3), 0.0, "top"),
        (torch.ones(3), 1.5, "top"),
    ):
        with pytest.raises(ValueError, match=told):
            unbiased_share(weights, biased, top)
