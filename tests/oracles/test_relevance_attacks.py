"""Attacks that move relevance: what their losses are, in closed form, and what a descent on them does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import L2, Linf, LRPCoarse, LRPFine
from glasshouse.attacks.levels import met
from glasshouse.attacks.relevance import Level, moved, sloped
from glasshouse.attacks.shifting import (
    Choice,
    ExplanationActive,
    LogitMargin,
    MaxScale,
    PaperLiteral,
    PaperPlausible,
    RelevanceLoss,
    Rivals,
    Scored,
    SumScale,
    shifted,
)
from glasshouse.explainers import LRP, Composite, Epsilon, Gamma, Logit, OneHot, Probability, ZBeta, ZPlus
from glasshouse.hierarchy import Labels, grouped, labels_of, route
from glasshouse.models.two_levels import CoarseToFineNetwork
from level_nets import BOTH, CLASSES, flat, named, pictures, separate
from nets import state

SMALL = Epsilon(epsilon=1e-11)  # a sum of contributions that is not above it counts as one of that size
EPSILON = Composite(first=SMALL, convolution=SMALL, dense=SMALL)
GAMMA = Composite(first=ZBeta(), convolution=Gamma(), dense=Epsilon())
PLUS = Composite(first=ZBeta(), convolution=ZPlus(), dense=ZPlus())
ALL = [PaperLiteral(), PaperPlausible(), ExplanationActive(), LogitMargin()]
LEVELS = [LRPCoarse, LRPFine]
BALL, STEP = Linf(eps=0.2), 0.02


def alone(width: int = 6) -> tuple[nn.Module, Tensor]:
    """A network of six classes, and pictures."""
    return flat().network, pictures(width)


def best_two(logits: Tensor) -> Rivals:
    return Rivals(logits.detach().topk(2, 1).indices, logits)


def climbed(loss: Any, network: nn.Module, x: Tensor, choose: Choice = best_two) -> tuple[Tensor, Tensor]:
    """The loss and its gradient."""
    x = x.clone().requires_grad_()
    value = loss(network, x, choose).value
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def logit_slopes(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two highest logits ``[B, 2]``, and the gradient of each."""
    x = x.clone().requires_grad_()
    logits = network(x)
    top = logits.gather(1, best_two(logits).targets)
    first, second = (torch.autograd.grad(top[:, k].sum(), x, retain_graph=True)[0] for k in (0, 1))
    return top.detach(), first, second


def per(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a.flatten(1), b.flatten(1), dim=1)


# The loss


def test_the_loss_is_its_formula() -> None:
    first = torch.tensor([3.0, -4.0, 0.0, 12.0]).view(2, 1, 2)
    second = torch.tensor([-1.0, 2.0, -2.0, 0.0]).view(2, 1, 2)
    relevance = torch.stack([first, second])[None]
    assert shifted(relevance, 1).item() == (15 - 4) - (2 - 3)
    assert shifted(relevance, 2).item() == pytest.approx((153**0.5 - 4) - (2 - 5**0.5))
    torch.testing.assert_close(shifted(relevance.flip(1), 2), -shifted(relevance, 2))


def test_with_p_1_the_loss_is_a_difference_of_sums() -> None:
    relevance = torch.randn(5, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sums = relevance.sum((2, 3, 4))
    torch.testing.assert_close(shifted(relevance, 1), sums[:, 0] - sums[:, 1])


def test_the_norm_of_nothing_has_a_gradient() -> None:
    relevance = torch.rand(2, 2, 1, 2, 2).requires_grad_()  # nothing speaks against
    (found,) = torch.autograd.grad(shifted(relevance, 2).sum(), relevance)
    assert found.isfinite().all() and found.abs().amax() > 0


@pytest.mark.parametrize("p", [0, 3, 1.5])
def test_p_is_1_or_2(p: float) -> None:
    with pytest.raises(ValueError, match="p is 1 or 2"):
        RelevanceLoss(p=p)


@pytest.mark.parametrize("composite", [PLUS, GAMMA, EPSILON], ids=["plus", "gamma", "epsilon"])
@pytest.mark.parametrize("start", [OneHot(), Logit(), Probability()])
@pytest.mark.parametrize("p", [1, 2])
def test_the_loss_is_that_of_maps_from_lrp(composite: Composite, start: Any, p: int) -> None:
    network, x = alone()
    value, _ = climbed(RelevanceLoss(composite, start, p), network, x)
    maps = LRP(composite=composite, start=start).relevance(network, x, lambda logits: best_two(logits).targets).map
    torch.testing.assert_close(value, shifted(maps, p))


def test_scales_of_maps() -> None:
    maps = torch.randn(3, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    maps[0, 0] = 0
    for scale, size in ((SumScale(), lambda m: m.abs().sum()), (MaxScale(), lambda m: m.abs().max())):
        found = scale(maps)
        assert (found[0, 0] == 0).all()
        torch.testing.assert_close(found[1, 1], maps[1, 1] / size(maps[1, 1]))
        assert size(found[2, 0]).item() == pytest.approx(1)


def test_relevance_starts_within_the_level() -> None:
    """The probability within a superclass, and not among all classes."""
    network, x = alone()
    level = torch.tensor([True, False, False, True, False, True, False])

    def choose(logits: Tensor) -> Rivals:
        within = logits.masked_fill(~level, -torch.inf)
        return Rivals(within.detach().topk(2, 1).indices, within)

    value, _ = climbed(RelevanceLoss(start=Probability()), network, x, choose)
    top = choose(network(x)).logits.softmax(1).topk(2, 1).values
    torch.testing.assert_close(value, top[:, 0] - top[:, 1])


# What the paper's loss is


@pytest.mark.parametrize("kind", BOTH)
def test_as_the_paper_writes_it_the_loss_is_0_everywhere(kind: str) -> None:
    network, x = BOTH[kind]().coarse, pictures()
    value, gradient = climbed(PaperLiteral(), network, x)
    _, margin = climbed(LogitMargin(), network, x)
    assert value.abs().amax() < 1e-8 and gradient.abs().amax() < 1e-8
    assert margin.flatten(1).abs().amax(1).min() > 0.1


def test_its_rules_leave_no_relevance_below_0() -> None:
    network, x = alone()
    found = LRP(composite=PLUS, start=OneHot()).relevance(network, x, torch.arange(CLASSES).expand(6, -1))
    assert found.map.min() >= 0
    torch.testing.assert_close(found.arrived, torch.ones_like(found.arrived), atol=1e-7, rtol=0)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("attack", LEVELS)
def test_as_the_paper_writes_it_the_attack_moves_nothing(attack: Any, kind: str) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    still, control = (
        attack(loss=loss, ball=BALL, steps=8, step=STEP, even=False)(model, x, y)
        for loss in (PaperLiteral(), LogitMargin())
    )
    assert (still - x).abs().amax() < 1e-6
    assert (control - x).abs().amax() > 0.01


def test_an_even_step_makes_an_attack_of_what_a_stabiliser_leaves() -> None:
    """Without ``even`` off nobody sees that there is nothing to descend: the direction of rounding gets a full step."""
    model, x = flat(), pictures()
    found = LRPCoarse(loss=PaperLiteral(), ball=BALL, steps=2, step=STEP)(model, x, named(model, x))
    assert (found - x).abs().amax() > 0.9 * STEP


@pytest.mark.parametrize("kind", BOTH)
def test_from_the_logit_the_loss_is_the_margin(kind: str) -> None:
    network, x = BOTH[kind]().coarse, pictures()
    for found, margin in zip(climbed(PaperPlausible(), network, x), climbed(LogitMargin(), network, x), strict=True):
        torch.testing.assert_close(found, margin, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("attack", LEVELS)
@pytest.mark.parametrize("even", [True, False])
def test_from_the_logit_the_attack_is_a_margin_attack(attack: Any, kind: str, even: bool) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    found, margin = (
        attack(loss=loss, ball=BALL, steps=8, step=STEP, even=even)(model, x, y)
        for loss in (PaperPlausible(), LogitMargin())
    )
    torch.testing.assert_close(found, margin, atol=1e-7, rtol=0)
    assert (found != x).any()


def test_with_epsilon_and_p_1_relevance_from_the_logit_has_the_gradient_of_the_margin() -> None:
    """It is pixel times gradient in a piecewise linear network, whose sum has that very gradient."""
    network, x = alone()
    loss = RelevanceLoss(composite=EPSILON, start=Logit())
    value, gradient = climbed(loss, network, x)
    margin, slope = climbed(LogitMargin(), network, x)
    torch.testing.assert_close(gradient, slope, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(value, (x * slope).flatten(1).sum(1), atol=1e-6, rtol=1e-6)
    assert ((value - margin).abs() > 0.1).any()  # biases keep the rest


def test_with_epsilon_and_p_1_relevance_from_1_has_a_gradient_along_those_of_both_logits() -> None:
    network, x = alone()
    value, gradient = climbed(RelevanceLoss(composite=EPSILON), network, x)
    logits, first, second = logit_slopes(network, x)
    expected, total = torch.zeros_like(x), torch.zeros_like(value)
    for sign, slope, logit in ((1, first, logits[:, 0]), (-1, second, logits[:, 1])):
        share = (x * slope).flatten(1).sum(1) / logit
        total += sign * share
        expected += sign * slope * per((1 - share) / logit)
    torch.testing.assert_close(value, total, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-6)
    assert (value.abs() > 0.1).any()  # not 0: an attack, but none on what the map shows


def residual(gradient: Tensor, *slopes: Tensor) -> Tensor:
    """The share of a gradient's length that no sum of slopes explains, ``[B]``."""
    basis = torch.stack([s.flatten(1) for s in slopes], 2)
    target = gradient.flatten(1)[:, :, None]
    rest = target - basis @ torch.linalg.lstsq(basis, target).solution
    return (rest.norm(dim=1) / target.norm(dim=1))[:, 0]


def test_above_a_log_sum_exp_epsilon_is_not_the_margin() -> None:
    """A superclass hands down its own height, not that of its classes, and epsilon divides by theirs."""
    network, x = flat().coarse, pictures(6)
    gradient = climbed(RelevanceLoss(composite=EPSILON, start=Logit()), network, x)[1]
    _, first, second = logit_slopes(network, x)
    assert (residual(gradient, first, second) > 0.2).all()


BEYOND = {
    "plus 1 logit": (RelevanceLoss(start=Logit()), 0, 1e-7),
    "epsilon 1 one": (RelevanceLoss(composite=EPSILON), 0, 1e-6),
    "epsilon 1 logit": (RelevanceLoss(composite=EPSILON, start=Logit()), 0, 1e-6),
    "plus 2 logit": (ExplanationActive(), 0.02, 0.2),  # most of it is the margin's
    "plus 2 one": (RelevanceLoss(p=2), 0.8, 1),
    "epsilon 2 logit": (RelevanceLoss(composite=EPSILON, start=Logit(), p=2), 0.4, 1),
    "gamma 1 logit": (RelevanceLoss(composite=GAMMA, start=Logit()), 0.1, 1),
    "plus largest": (RelevanceLoss(scale=MaxScale()), 0.8, 1),
}


@pytest.mark.parametrize("case", BEYOND)
def test_how_much_of_a_gradient_goes_beyond_those_of_the_two_logits(case: str) -> None:
    loss, least, most = BEYOND[case]
    network, x = alone()
    _, first, second = logit_slopes(network, x)
    rest = residual(climbed(loss, network, x)[1], first, second)
    assert (rest >= least).all() and (rest <= most).all()


# The loss that explains itself


def test_the_explanation_counts_where_relevance_lies() -> None:
    spread, peaked = torch.full((1, 2, 1, 4, 4), 1 / 16), torch.zeros(1, 2, 1, 4, 4)
    peaked[..., 0, 0] = 1
    mixed = torch.stack([peaked[:, 0], spread[:, 0]], 1)
    assert shifted(mixed, 1).item() == pytest.approx(0)
    assert shifted(mixed, 2).item() == pytest.approx(1 - 1 / 4)


@pytest.mark.parametrize("kind", BOTH)
def test_its_gradient_is_neither_0_nor_that_of_the_margin(kind: str) -> None:
    network, x = BOTH[kind]().coarse, pictures()
    value, gradient = climbed(ExplanationActive(), network, x)
    _, slope = climbed(LogitMargin(), network, x)
    assert cosine(gradient, slope).max() < 1 - 1e-5
    assert cosine(gradient, slope).min() > 0.9  # it starts from the logit, too
    assert gradient.flatten(1).abs().amax(1).min() > 1e-3
    assert value.abs().max() > 1e-2


@pytest.mark.parametrize("loss", [ExplanationActive(), RelevanceLoss(composite=GAMMA, scale=SumScale(), p=2)], ids=repr)
def test_its_gradient_is_that_of_finite_differences(loss: Any) -> None:
    network, x = alone(3)
    fixed = best_two(network(x)).targets
    _, gradient = climbed(loss, network, x, lambda logits: Rivals(fixed, logits))
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=x.dtype)
    ends = [climbed(loss, network, x + h * way, lambda logits: Rivals(fixed, logits))[0] for h in (1e-7, -1e-7)]
    torch.testing.assert_close((gradient * way).flatten(1).sum(1), (ends[0] - ends[1]) / 2e-7, atol=1e-5, rtol=1e-4)


# The descent


def one_by_one(attack: Any, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([attack(model, x[k : k + 1], y[k : k + 1]) for k in range(len(x))])


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("attack", LEVELS)
@pytest.mark.parametrize("again", [True, False])
def test_an_images_end_does_not_depend_on_the_others(attack: Any, kind: str, again: bool) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    method = attack(ball=BALL, steps=3, step=STEP, choose_again=again)
    found = method(model, x, y)
    torch.testing.assert_close(found, one_by_one(method, model, x, y), atol=1e-12, rtol=0)
    reached = met(method.criterion, model, found, y)
    assert reached.any() and not reached.all()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("attack", LEVELS)
def test_each_image_stops_at_the_first_point_that_will_do(attack: Any, kind: str) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    by_steps = [attack(ball=BALL, steps=steps, step=STEP)(model, x, y) for steps in range(1, 5)]
    done = [met(attack.criterion, model, found, y) for found in by_steps]
    for before, after, reached, next_reached in zip(by_steps, by_steps[1:], done, done[1:], strict=False):
        assert torch.equal(before[reached], after[reached])
        assert (before[~reached] != after[~reached]).any()
        assert (next_reached | ~reached).all()
    assert done[-1].sum() > done[0].sum()


@pytest.mark.parametrize("attack", LEVELS)
def test_only_images_that_still_stand_are_paid_for(attack: Any) -> None:
    model, x = flat(), pictures()
    y, seen = named(model, x), []

    @dataclass(frozen=True)
    class Counted:
        def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored:
            seen.append(len(x))
            return LogitMargin()(network, x, choose)

    found = attack(loss=Counted(), ball=BALL, steps=10, step=STEP)(model, x, y)
    ends = [attack(loss=LogitMargin(), ball=BALL, steps=s, step=STEP)(model, x, y) for s in range(1, len(seen) - 1)]
    standing = [int((~met(attack.criterion, model, end, y)).sum()) for end in ends]
    assert seen == [len(x), len(x), *standing] and seen[-1] < len(x)
    assert torch.equal(found, attack(loss=LogitMargin(), ball=BALL, steps=10, step=STEP)(model, x, y))


@pytest.mark.parametrize("kind", BOTH)
def test_the_fine_attack_ends_with_the_superclass_kept(kind: str) -> None:
    model, x = BOTH[kind](), pictures(24)
    y = named(model, x)
    attack = LRPFine(ball=BALL, steps=12, step=STEP)
    found = attack(model, x, y)
    ends, truth = route(model, found), labels_of(y, model.hierarchy)
    expected = (ends.fine != truth.fine) & (ends.coarse == truth.coarse)
    assert torch.equal(met(attack.criterion, model, found, y), expected)
    assert expected.sum() > 5


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("attack", LEVELS)
def test_an_image_that_is_wrong_already_stays_as_it_is(attack: Any, kind: str) -> None:
    model, x = BOTH[kind](), pictures(24)
    y = torch.tensor([0, 1, 2, 4, 5]).repeat(5)[:24]
    start = met(attack.criterion, model, x, y)
    changed = (attack(ball=BALL, steps=2, step=STEP)(model, x, y) != x).flatten(1).any(1)
    assert 0 < start.sum() < 24
    assert torch.equal(changed, ~start)


@pytest.mark.parametrize("attack", LEVELS)
@pytest.mark.parametrize("loss", [LogitMargin(), ExplanationActive()])
def test_an_even_step_moves_the_strongest_pixel_by_its_length(attack: Any, loss: Any) -> None:
    model, x = flat(), pictures()
    y = named(model, x)
    y, x = y[y != 3], x[y != 3]
    way = attack(loss=loss, ball=BALL, steps=1, step=STEP)(model, x, y) - x
    torch.testing.assert_close(way.flatten(1).abs().amax(1), torch.full_like(way[:, 0, 0, 0], STEP))
    part = model.parts(labels_of(y, model.hierarchy).coarse)[0]
    level = Level(model, attack is LRPFine, labels_of(y, model.hierarchy))
    slope = sloped(loss, level, x).gradient
    torch.testing.assert_close(cosine(way, slope), torch.full_like(way[:, 0, 0, 0], -1.0))
    assert len(part.where) == len(x)


@dataclass(frozen=True)
class Steps:
    """What :func:`moved` asks of an attack."""

    ball: Any
    step: float
    even: bool


def test_a_raw_step_is_the_gradient_times_its_length() -> None:
    x = torch.full((2, 1, 1, 2), 0.5)
    gradient = torch.tensor([[4.0, -1.0], [0.0, 0.0]]).view(2, 1, 1, 2)
    raw = moved(Steps(Linf(eps=1), 0.05, even=False), x, x, gradient)
    torch.testing.assert_close(raw.flatten(1), torch.tensor([[0.3, 0.55], [0.5, 0.5]]))
    even = moved(Steps(Linf(eps=1), 0.05, even=True), x, x, gradient)
    torch.testing.assert_close(even.flatten(1), torch.tensor([[0.45, 0.5125], [0.5, 0.5]]))


def test_a_step_ends_in_the_ball_around_the_image_and_in_the_pixel_range() -> None:
    x = torch.tensor([0.5, 0.02, 0.98]).view(1, 1, 1, 3)
    at = torch.tensor([0.45, 0.02, 0.98]).view(1, 1, 1, 3)
    found = moved(Steps(Linf(eps=0.1), 0.08, even=False), x, at, torch.tensor([1.0, 1.0, -1.0]).view(1, 1, 1, 3))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.4, 0.0, 1.0]))


@pytest.mark.parametrize("attack", LEVELS)
@pytest.mark.parametrize("ball", [L2(eps=0.05), Linf(eps=0.005)])
def test_the_ball_is_obeyed(attack: Any, ball: Any) -> None:
    model, x = separate(), pictures()
    x[:, :, 0] = 0.0
    x[:, :, 1] = 1.0
    y = named(model, x)
    found = attack(loss=LogitMargin(), ball=ball, steps=8, step=STEP)(model, x, y)
    way = ball.norm(found - x)
    assert (way <= ball.eps * (1 + 1e-9)).all() and way.max() > 0.8 * ball.eps
    assert found.min() >= 0 and found.max() <= 1 and not found.requires_grad


class Turning(nn.Module):
    """Class 0, and a rival that changes on the way: 1 is higher at first, and 2 further down."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = x[:, 0].mean((1, 2)), x[:, 1].mean((1, 2))
        return torch.stack([10 * first, 0.5 - second * 0.02, 5.4 - 10 * first, 0 * first], 1)


def turning() -> nn.Module:
    levels = grouped({"a": (0,), "b": (1,), "c": (2,), "d": (3,)}, "abcd")
    return CoarseToFineNetwork(Turning(), [nn.Module() for _ in range(4)], levels)


@pytest.mark.parametrize("again", [True, False])
def test_the_rival_is_chosen_at_each_point_or_once(again: bool) -> None:
    model, x = turning(), torch.full((1, 3, 2, 2), 0.5)
    attack = LRPCoarse(loss=LogitMargin(), ball=Linf(eps=0.3), steps=1, step=0.1, choose_again=again)
    seen = []

    @dataclass(frozen=True)
    class Noted:
        def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored:
            scored = LogitMargin()(network, x, choose)
            seen.append(int(scored.rivals.targets[0, 1]))
            return scored

    LRPCoarse(**{**vars(attack), "loss": Noted(), "steps": 3})(model, x, torch.tensor([0]))
    assert seen == ([1, 2, 2] if again else [1, 1, 1])


@dataclass(frozen=True)
class Darkness:
    """A loss that falls wherever it is asked, whatever the rivals are."""

    def __call__(self, network: nn.Module, x: Tensor, choose: Callable[[Tensor], Rivals]) -> Scored:
        return Scored(x.flatten(1).sum(1), choose(network(x)))


ALONE: dict[str, tuple[Callable[[], Any], int]] = {
    "separate": (separate, 3),
    "flat": (flat, 3),
    "the first class": (lambda: flat({"one": (0,), "rest": (5, 1, 2), "more": (3, 4)}), 0),
}


@pytest.mark.parametrize("case", ALONE)
@pytest.mark.parametrize(
    "loss", [*ALL, RelevanceLoss(start=Probability(), p=2, scale=SumScale()), Darkness()], ids=repr
)
@pytest.mark.parametrize("again", [True, False])
def test_a_class_that_is_alone_in_its_superclass_stays_as_it_is(case: str, loss: Any, again: bool) -> None:
    model, label = ALONE[case][0](), ALONE[case][1]
    x, y = pictures(4), torch.tensor([label, 5, label, 1])
    found = LRPFine(loss=loss, ball=BALL, steps=2, step=STEP, choose_again=again)(model, x, y)
    assert torch.equal(found[::2], x[::2]) and found.isfinite().all()
    if loss in ALL[1:]:
        others = LRPFine(loss, BALL, 2, STEP, choose_again=again)(model, x[1::2], y[1::2])
        torch.testing.assert_close(found[1::2], others, atol=1e-10, rtol=0)
        assert (others != x[1::2]).any()


@pytest.mark.parametrize("attack", LEVELS)
def test_labels_may_name_both_levels(attack: Any) -> None:
    model, x = separate(), pictures()
    y = named(model, x)
    both = torch.stack(labels_of(y, model.hierarchy), 1)
    method = attack(loss=LogitMargin(), ball=BALL, steps=3, step=STEP)
    assert torch.equal(method(model, x, y), method(model, x, both))
    with pytest.raises(ValueError, match="superclass that is not"):
        method(model, x, (both + torch.tensor([1, 0])) % 3)


@pytest.mark.parametrize("attack", LEVELS)
def test_a_class_in_no_superclass_is_refused(attack: Any) -> None:
    with pytest.raises(ValueError, match="1 of 2 labels are in no superclass"):
        attack(steps=1)(flat(), pictures(2), torch.tensor([0, 6]))
    with pytest.raises(ValueError, match=f"{attack.__name__} needs a model of two levels"):
        attack(steps=1)(flat().network, pictures(2), torch.tensor([0, 1]))


def test_groups_side_by_side_are_groups_one_after_another() -> None:
    model, x = separate(), pictures(16)
    y = named(model, x)
    attack = LRPFine(ball=BALL, steps=4, step=STEP)
    found, groups = attack(model, x, y), labels_of(y, model.hierarchy).coarse
    assert set(groups.tolist()) == {0, 1, 2}
    for group in range(3):
        mine = groups == group
        torch.testing.assert_close(found[mine], attack(model, x[mine], y[mine]), atol=1e-12, rtol=0)


def test_a_fine_network_of_its_own_is_attacked_alone() -> None:
    """One superclass's images, and their network as a model of one level."""
    model, x = separate(), pictures(16)
    y = named(model, x)
    x, y = x[(y == 4) | (y == 0)], y[(y == 4) | (y == 0)]
    found = LRPFine(loss=LogitMargin(), ball=BALL, steps=1, step=STEP)(model, x, y)
    own = (y == 0).long()  # the group is (4, 0)
    logits = model.fine[0](leaf := x.clone().requires_grad_())
    margin = logits.gather(1, own[:, None]) - logits.gather(1, 1 - own[:, None])
    (slope,) = torch.autograd.grad(margin.sum(), leaf)
    slope = slope / per(slope.flatten(1).abs().amax(1))
    torch.testing.assert_close(found, (x - STEP * slope).clamp(0, 1))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("fine", [False, True])
def test_what_is_known_at_a_point(kind: str, fine: bool) -> None:
    model, x = BOTH[kind](), pictures(24)
    y = torch.tensor([0, 1, 2, 4, 5, 3]).repeat(4)
    labels = labels_of(y, model.hierarchy)
    slope = sloped(LogitMargin(), Level(model, fine, labels), x)
    coarse, inside, _ = model.levels(x, labels.coarse)
    logits, own = (inside, labels.fine) if fine else (coarse, labels.coarse)
    others = logits.scatter(1, own[:, None], -torch.inf)
    best = others.amax(1)
    margin = logits.gather(1, own[:, None])[:, 0] - best
    torch.testing.assert_close(slope.value, torch.where(best.isinf(), 0, margin))
    assert torch.equal(slope.flipped, margin < 0)
    assert torch.equal(slope.adversarial[~best.isinf()], others.argmax(1)[~best.isinf()])
    assert (slope.gradient[best.isinf()] == 0).all()


@pytest.mark.parametrize("attack", LEVELS)
def test_the_model_is_given_back_as_it_was(attack: Any) -> None:
    model = flat().train()
    model.network[0].weight.requires_grad_(False)
    before = state(model)
    attack(steps=2)(model, pictures(3), torch.tensor([0, 1, 4]))
    assert state(model) == before


@pytest.mark.parametrize("attack", LEVELS)
@pytest.mark.parametrize(("field", "value", "told"), [("steps", 0, "at least 1"), ("step", 0.0, "above 0")])
def test_impossible_descents_are_refused(attack: Any, field: str, value: float, told: str) -> None:
    with pytest.raises(ValueError, match=f"{attack.__name__}.*{told}"):
        attack(**{field: value})


def test_a_part_of_a_level_is_that_of_its_images() -> None:
    y = torch.tensor([0, 1, 4])
    level = Level(flat(), True, labels_of(y, flat().hierarchy), torch.tensor([4, 2, 0]))
    part = level.of(torch.tensor([True, False, True]))
    assert part.labels.fine.tolist() == [0, 4] and part.labels.coarse.tolist() == [0, 0]
    assert part.fixed is not None and part.fixed.tolist() == [4, 0] and isinstance(part.labels, Labels)
