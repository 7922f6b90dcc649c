"""Measures of a perturbation where they are known: of even maps, of single pixels, by chance, and of nothing."""

from __future__ import annotations

from math import log, nan
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import AtLevel, CoarseChanges, FineChanges
from glasshouse.explainers import AtCoarse, AtFine, SmoothGrad
from glasshouse.hierarchy import grouped
from glasshouse.metrics import (
    FooledAt,
    PerturbationEntropy,
    PerturbationGini,
    PerturbationInside,
    PerturbationOverlap,
    PerturbationRank,
    RelevanceMoved,
)
from glasshouse.metrics.fooling import intersection
from glasshouse.metrics.perturbation import (
    entropy,
    gini,
    inside,
    moved,
    overlap,
    perturbation,
    rank,
    relevance_shift,
    top_weights,
)
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.models.two_levels import GroupedNetwork
from glasshouse.types import VOID, Batch

PIXELS = 400
SCALES = [1e-20, 1.0, 1e20]


def drawn(count: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(count, 20, 20, generator=torch.Generator().manual_seed(seed))


def first(pixels: int) -> Tensor:
    """A map that is 1 on so many pixels."""
    return (torch.arange(PIXELS) < pixels).float().view(1, 20, 20)


# --- formulas


@pytest.mark.parametrize("scale", SCALES)
def test_concentration_is_known_in_closed_form(scale: float) -> None:
    rising = torch.arange(1.0, PIXELS + 1).view(1, 20, 20)[:, torch.randperm(20)]
    maps = scale * torch.cat([first(PIXELS), first(1), -first(200), rising])
    expected = [0, 1 - 1 / PIXELS, 0.5, (PIXELS - 1) / (3 * PIXELS)]
    torch.testing.assert_close(gini(maps), torch.tensor(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(entropy(maps)[:3], torch.tensor([1, 0, log(200) / log(PIXELS)]), atol=1e-6, rtol=0)
    assert 0.9 < entropy(maps)[3] < 1


@pytest.mark.parametrize("scale", SCALES)
def test_the_share_inside_is_the_area_by_chance(scale: float) -> None:
    mask = (first(100) > 0).expand(3, -1, -1)
    found = inside(scale * torch.cat([first(PIXELS), first(50), first(200)]), mask)
    torch.testing.assert_close(found, torch.tensor([0.25, 1, 0.5]))


@pytest.mark.parametrize("scale", SCALES)
def test_overlap_and_rank_of_a_perturbation_that_is_the_relevance(scale: float) -> None:
    delta = drawn(3)
    for relevance in (delta, delta**3, delta - 0.2):
        assert overlap(delta, scale * relevance, 0.1).tolist() == [1, 1, 1]
    torch.testing.assert_close(rank(delta, scale * delta**3), torch.ones(3))
    torch.testing.assert_close(rank(-delta, scale * delta), torch.ones(3))  # the size of a change counts
    assert (rank(delta, scale * (1 - delta)) < -0.99).all()
    assert overlap(delta, scale * (1 - delta), 0.4).tolist() == [0, 0, 0]


def test_overlap_and_rank_are_those_of_chance_for_what_has_nothing_to_do_with_each_other() -> None:
    delta, relevance = drawn(400, 1), drawn(400, 2)
    assert abs(overlap(delta, relevance, 0.1).mean() - 0.1) < 0.003
    assert abs(rank(delta, relevance).mean()) < 0.01
    even = torch.ones(400, 20, 20)  # a change of all pixels alike has no top
    torch.testing.assert_close(overlap(even, relevance, 0.1), torch.full((400,), 0.1))
    assert rank(even, relevance).isnan().all()


def test_without_equals_overlap_is_the_intersection_and_with_them_its_mean_over_lots() -> None:
    delta, relevance = drawn(5, 1), drawn(5, 2)
    torch.testing.assert_close(overlap(delta, relevance, 0.1), intersection(delta, relevance, 0.1))
    coarse, draws = (delta * 8).round(), torch.Generator().manual_seed(0)
    lots = [coarse + 0.1 * torch.rand(coarse.shape, generator=draws) for _ in range(400)]
    mean = torch.stack([intersection(lot, relevance, 0.1) for lot in lots]).mean(0)
    torch.testing.assert_close(overlap(coarse, relevance, 0.1), mean, atol=0.01, rtol=0)
    assert top_weights(coarse, 0.1).sum(1).tolist() == pytest.approx([40] * 5)


def test_relevance_against_a_class_is_none() -> None:
    relevance = torch.where(drawn() > 0.5, drawn(), -10 - drawn())
    kept = relevance.clamp_min(0)
    assert torch.equal(rank(drawn(seed=5), relevance), rank(drawn(seed=5), kept))
    assert overlap(kept, relevance, 0.2).item() == 1
    assert overlap(drawn(), -drawn(), 0.2).isnan().all()


@pytest.mark.parametrize("scale", SCALES)
def test_moved_is_the_mass_that_lies_elsewhere(scale: float) -> None:
    before = first(100)
    after = torch.cat([before, before.flip(1), first(50), torch.ones(1, 20, 20), -before])
    expected = torch.tensor([0, 1, 0.5, 0.75, 0])
    torch.testing.assert_close(moved(before.expand(5, -1, -1), scale * after), expected)


@pytest.mark.parametrize("scale", SCALES)
def test_what_moved_is_found_where_the_perturbation_is(scale: float) -> None:
    before = scale * drawn(300)
    top = first(40).expand(300, -1, -1)
    swapped = torch.where(top > 0, before.flatten(1).roll(1, 1).view_as(before), before)
    was, now = ((t * top).sum((1, 2), keepdim=True) for t in (before, swapped))
    swapped = swapped * top * (was / now) + before * (1 - top)  # as much in sum, so that elsewhere nothing moves
    noise = drawn(300, 5)
    torch.testing.assert_close(relevance_shift(before, swapped, top + 0.1 * noise, 0.1), torch.ones(300))
    assert relevance_shift(before, swapped, 1 - top + 0.1 * noise, 0.1).max() < 1e-5
    assert abs(relevance_shift(before, scale * drawn(300, 6), noise, 0.1).mean() - 0.1) < 0.003
    assert relevance_shift(before, before, noise, 0.1).isnan().all()
    # Half of what was there went to the other half: gains and losses count alike.
    assert relevance_shift(scale * first(100), first(50), first(50), 0.125).item() == pytest.approx(0.5)


def test_where_there_is_nothing_there_is_no_value() -> None:
    none, some, mask = torch.zeros(1, 20, 20), drawn(), torch.ones(1, 20, 20, dtype=torch.bool)
    values = [gini(none), entropy(none), inside(none, mask), overlap(none, some, 0.1), overlap(some, none, 0.1)]
    values += [rank(none, some), rank(some, none), moved(none, some), moved(some, none)]
    values += [relevance_shift(some, drawn(seed=1), none, 0.1)]
    assert torch.cat(values).isnan().all()


def test_pixels_that_moved_alike_have_moved_alike_however_bright_they_are() -> None:
    x = torch.rand(50, 3, 20, 20, generator=torch.Generator().manual_seed(1)).clamp(0.1, 0.9)
    sign = torch.where(drawn(50)[:, None] > 0.5, 1, -1)
    for eps in (8 / 255, 0.03, 2.5 / 255):
        found = perturbation(x, x + eps * sign)
        torch.testing.assert_close(found, torch.full((50, 20, 20), 3 * eps), atol=3e-6, rtol=0)
        assert len(found.unique()) == 1
        assert gini(found).abs().max() < 1e-12
    assert perturbation(x, x).sum() == 0


# --- components


class Channels(nn.Module):
    """A logit is the sharpened mean of a channel."""

    def forward(self, x: Tensor) -> Tensor:
        return 40 * x.mean((2, 3))


def of_channel(model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
    """An explainer whose map for a class is that channel."""
    return x[torch.arange(len(x)), target]


def seen_as(classes: list[int], seed: int, count: int = 4) -> Tensor:
    """Images that such a model takes for these classes."""
    noise = 0.2 * torch.rand(len(classes), count, 20, 20, generator=torch.Generator().manual_seed(seed))
    return noise + 0.5 * torch.eye(count)[classes][:, :, None, None]


WAS, NOW = [0, 0, 2, 3], [1, 0, 3, 0]
X, X_ADV = seen_as(WAS, 1), seen_as(NOW, 2)
Y = torch.tensor(WAS)


def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """An attack that gives what is known."""
    return X_ADV.clone()


def idle(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """An attack that does nothing."""
    return x.clone()


DELTA = perturbation(X, X_ADV)
ROWS = torch.arange(4)
MEASURES: list[tuple[Any, Any]] = [
    (PerturbationOverlap, lambda before, after: overlap(DELTA, before, 0.05)),
    (PerturbationRank, lambda before, after: rank(DELTA, before)),
    (RelevanceMoved, moved),
]


@pytest.mark.parametrize(("component", "formula"), MEASURES)
def test_the_class_explained_is_the_one_before_or_the_one_after(component: Any, formula: Any) -> None:
    model, batch = Channels(), Batch(X, 3 - Y)
    found = component(attack=attack, explainer=of_channel)(model, batch)
    torch.testing.assert_close(found, formula(X[ROWS, WAS], X_ADV[ROWS, WAS]))
    found = component(attack=attack, explainer=of_channel, adversarial=True)(model, batch)
    expected = formula(X[ROWS, NOW], X_ADV[ROWS, NOW])
    expected[1] = nan  # its class stayed
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert found.isfinite().tolist() == [True, False, True, True]


@pytest.mark.parametrize("component", [PerturbationOverlap, PerturbationRank, RelevanceMoved])
def test_a_superclass_that_stayed_is_no_adversarial_one(component: Any) -> None:
    model, batch = GroupedNetwork(Channels(), grouped({"a": (0, 1), "b": (2, 3)}, "abcd")), Batch(X, Y)
    for explainer, counted in (
        (AtCoarse(explainer=of_channel), [False, False, False, True]),
        (SmoothGrad(explainer=AtCoarse(explainer=of_channel), samples=2), [False, False, False, True]),
        (AtFine(explainer=of_channel), [True, False, True, True]),
    ):
        found = component(attack=attack, explainer=explainer, adversarial=True)(model, batch)
        assert found.isfinite().tolist() == counted
        assert component(attack=attack, explainer=explainer)(model, batch).isfinite().all()


def test_share_is_a_field() -> None:
    found = PerturbationOverlap(attack=attack, explainer=of_channel, share=0.3)(Channels(), Batch(X, Y))
    assert torch.equal(found, overlap(DELTA, X[ROWS, WAS], 0.3))
    with pytest.raises(ValueError, match="share is between 0 and 1"):
        PerturbationOverlap(share=1.0)


def test_concentration_is_that_of_the_change() -> None:
    model, batch = Channels(), Batch(X, Y)
    assert torch.equal(PerturbationGini(attack=attack)(model, batch), gini(DELTA))
    assert torch.equal(PerturbationEntropy(attack=attack)(model, batch), entropy(DELTA))


def test_what_changed_nothing_has_no_value_but_moved_nothing() -> None:
    model, batch = Channels(), Batch(X, Y, torch.ones(4, 20, 20, dtype=torch.bool))
    measures = [PerturbationGini, PerturbationEntropy, PerturbationInside]
    found = [m(attack=idle)(model, batch) for m in measures]
    found += [m(attack=idle, explainer=of_channel)(model, batch) for m in (PerturbationOverlap, PerturbationRank)]
    assert torch.stack(found).isnan().all()
    assert RelevanceMoved(attack=idle, explainer=of_channel)(model, batch).tolist() == [0] * 4


def test_the_share_in_the_object_and_beside_chance() -> None:
    mask = (first(100) > 0).repeat(4, 1, 1)
    mask[3] = False  # no object
    share = PerturbationInside(attack=attack)(Channels(), Batch(X, Y, mask))
    torch.testing.assert_close(share[:3], inside(DELTA, mask)[:3])
    lift = PerturbationInside(attack=attack, lift=True)(Channels(), Batch(X, Y, mask))
    torch.testing.assert_close(lift[:3], share[:3] / 0.25)
    assert share[3].isnan() and lift[3].isnan()
    with pytest.raises(ValueError, match=r"PerturbationInside needs Batch\.mask or Batch\.regions"):
        PerturbationInside(attack=attack)(Channels(), Batch(X, Y))


def test_pixels_that_are_not_to_be_judged_count_neither_way() -> None:
    regions = torch.where(first(300) > 0, 1, VOID).repeat(4, 1, 1)
    regions[:, :5] = -1  # of no class
    found = PerturbationInside(attack=attack)(Channels(), Batch(X, Y, regions=regions))
    outside, within = DELTA[:, :5].sum((1, 2)), DELTA[:, 5:15].sum((1, 2))
    torch.testing.assert_close(found, within / (outside + within))
    lift = PerturbationInside(attack=attack, lift=True)(Channels(), Batch(X, Y, regions=regions))
    torch.testing.assert_close(lift, found * 1.5)


def test_no_map_is_made_twice() -> None:
    asked = []

    def counting(model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        asked.append(target.tolist())
        return of_channel(model, x, target)

    verdicts = Verdicts(Channels(), Batch(X, Y))
    for adversarial in (False, True):
        for component, _ in MEASURES:
            component(attack=attack, explainer=counting, adversarial=adversarial).given(verdicts)
    assert asked == [WAS, WAS, NOW, NOW]  # before and after the attack, for either class


# --- fooled at a level

SEEN, THEN, TRUE = [0, 0, 0, 2, 1, 2], [1, 2, 0, 2, 1, 0], [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("criterion", "every", "right"),
    [
        (CoarseChanges(), [0, 1, 0, 1, 0, 0], [0, 1, 0, nan, 0, nan]),
        (FineChanges(), [1, 0, 0, 0, 1, 0], [1, 0, 0, nan, nan, nan]),
    ],
)
def test_who_is_fooled_at_a_level_and_who_counts(criterion: Any, every: list[float], right: list[float]) -> None:
    model = GroupedNetwork(Channels(), grouped({"a": (0, 1), "b": (2, 3)}, "abcd"))
    batch, x_adv = Batch(seen_as(SEEN, 1), torch.tensor(TRUE)), seen_as(THEN, 2)
    metric = FooledAt(attack=lambda model, x, y: x_adv, criterion=criterion)
    assert metric(model, batch).tolist() == every
    right_only = FooledAt(attack=metric.attack, criterion=criterion, right_only=True)
    torch.testing.assert_close(right_only(model, batch), torch.tensor(right), equal_nan=True)
    own = FooledAt(attack=AtLevel(attack=metric.attack, criterion=criterion))  # says itself what it wants
    assert own(model, batch).tolist() == every


def test_a_plain_network_is_refused_before_the_attack_begins() -> None:
    def begun(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        raise AssertionError

    with pytest.raises(ValueError, match="FooledAt needs a model of two levels"):
        FooledAt(attack=begun)(Channels(), Batch(X, Y))
