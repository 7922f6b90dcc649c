"""On a linear model the optimal attack is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import FGSM, L2, PGD, Explained, Limited, Linf, OutsideMask
from glasshouse.attacks.regions import attacked
from glasshouse.draws import draws
from glasshouse.explainers import InputGradient
from glasshouse.metrics import Accuracy
from glasshouse.types import Batch
from nets import SIDE, Linear, Net

Y = torch.tensor([0, 1])
GREY = torch.full((2, 3, SIDE, SIDE), 0.5)
SPURIOUS = Limited().region
DOWNHILL = torch.tensor([-1.0, 1.0]).view(-1, 1, 1, 1)


@pytest.mark.parametrize("attack", [PGD(ball=Linf(eps=0.1), steps=25), FGSM(ball=Linf(eps=0.1))], ids=repr)
def test_the_optimum_in_linf_is_the_sign_of_the_weights(attack: PGD | FGSM, linear: Callable[[], Linear]) -> None:
    model = linear()
    expected = GREY + 0.1 * DOWNHILL * model.weight.detach().sign()
    torch.testing.assert_close(attack(model, GREY, Y), expected)


@pytest.mark.parametrize("attack", [PGD(ball=L2(eps=0.3), steps=80), FGSM(ball=L2(eps=0.3))], ids=repr)
def test_the_optimum_in_l2_points_along_the_weights(attack: PGD | FGSM, linear: Callable[[], Linear]) -> None:
    model = linear()
    weight = model.weight.detach()
    expected = GREY + 0.3 * DOWNHILL * weight / weight.norm()
    torch.testing.assert_close(attack(model, GREY, Y), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("ball", [Linf(eps=0.1), L2(eps=0.3)], ids=repr)
def test_an_attack_finds_its_way_where_the_model_is_very_sure(ball: Linf | L2) -> None:
    weight = torch.zeros(3, SIDE, SIDE)
    weight[0, :8] = 0.5
    model = Linear(weight)  # a margin of 64: the gradient of the loss is there, and as small as 1e-27
    x_adv = PGD(ball=ball, random_start=False)(model, GREY[:1], Y[:1])
    torch.testing.assert_close(ball.norm(x_adv - GREY[:1]), torch.tensor([ball.eps]))


def test_one_step_without_a_start_goes_exactly_its_share_of_the_budget(linear: Callable[[], Linear]) -> None:
    model = linear()
    moved = PGD(ball=Linf(eps=0.2), steps=1, step_size=0.25, random_start=False)(model, GREY, Y) - GREY
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.05))


def test_fgsm_is_one_step_of_pgd(linear: Callable[[], Linear], batch: Batch) -> None:
    model, y = linear(), batch.y % 2
    plain = PGD(steps=1, step_size=1.0, random_start=False)(model, batch.x, y)
    assert torch.equal(FGSM()(model, batch.x, y), plain)
    torch.manual_seed(0)
    wong = PGD(steps=1, step_size=1.25)(model, batch.x, y)
    torch.manual_seed(0)
    assert torch.equal(FGSM(random_start=True)(model, batch.x, y), wong)


def test_the_projection_is_around_the_image_and_not_around_the_last_point(linear: Callable[[], Linear]) -> None:
    moved = PGD(ball=Linf(eps=0.02), steps=30, step_size=1.0, random_start=False)(linear(), GREY, Y) - GREY
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.02))


def test_a_ball_of_no_size_leaves_every_image_as_it_is(net: Net, batch: Batch) -> None:
    for ball in (Linf(eps=0.0), L2(eps=0.0)):
        assert torch.equal(PGD(ball=ball, steps=3)(net, batch.x, batch.y), batch.x)


@pytest.mark.parametrize("ball", [Linf(eps=0.1), L2(eps=0.7)], ids=repr)
def test_a_ball_projects_samples_and_measures_image_by_image(ball: Linf | L2) -> None:
    delta = torch.randn(64, 3, 8, 8) * torch.linspace(0.001, 3, 64).view(-1, 1, 1, 1)
    projected = ball.project(delta)
    inside = ball.norm(delta) <= ball.eps
    assert torch.equal(projected[inside], delta[inside]) and inside.any() and not inside.all()
    torch.testing.assert_close(ball.norm(projected)[~inside], torch.full_like(ball.norm(delta)[~inside], ball.eps))
    drawn = ball.norm(ball.sample(delta, draws(delta)))
    assert (drawn <= ball.eps * (1 + 1e-5)).all() and drawn.max() > 0.8 * ball.eps and len(drawn.unique()) > 32
    one_by_one = torch.cat([ball.project(d[None]) for d in delta])
    torch.testing.assert_close(projected, one_by_one)


def test_the_steepest_direction_has_unit_length() -> None:
    gradient = 1e-3 * torch.randn(5, 3, 4, 4)
    for ball in (Linf(), L2()):
        torch.testing.assert_close(ball.norm(ball.ascent(gradient)), torch.ones(5))
        rise = (ball.ascent(gradient) * gradient).flatten(1).sum(1)
        best = gradient.flatten(1).norm(p=1 if isinstance(ball, Linf) else 2, dim=1)
        torch.testing.assert_close(rise, best)
        assert ball.ascent(torch.zeros(2, 3, 4, 4)).eq(0).all()


def test_a_limited_attack_is_optimal_within_its_region(linear: Callable[[], Linear]) -> None:
    model, mask = linear(), torch.ones(2, SIDE, SIDE, dtype=torch.bool)
    mask[0, :4], mask[1, :, :4] = False, False
    weight = model.weight.detach() * ~mask[:, None]
    l2 = Limited(attack=PGD(ball=L2(eps=0.3), steps=80, random_start=False), region=SPURIOUS)
    expected = 0.3 * DOWNHILL * weight / weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    torch.testing.assert_close(attacked(l2, model, Batch(GREY, Y, mask)) - GREY, expected, atol=2e-4, rtol=0)


def test_a_limited_attack_without_the_mask_it_needs_says_so(linear: Callable[[], Linear]) -> None:
    with pytest.raises(ValueError, match=r"Batch\.mask"):
        Limited(region=SPURIOUS)(linear(), GREY, Y)


@pytest.mark.parametrize("outside", [False, True])
def test_explained_takes_the_share_with_the_highest_attribution(outside: bool, linear: Callable[[], Linear]) -> None:
    model = linear()
    region = Explained(explainer=InputGradient(), share=0.25, outside=outside)(model, Batch(GREY, Y))
    attribution = InputGradient()(model, GREY, Y).flatten(1)
    expected = attribution >= attribution.quantile(0.75, dim=1, keepdim=True)
    assert torch.equal(region.flatten(1), ~expected if outside else expected)


class Threshold(nn.Module):
    """Class 1 from a mean brightness of one half on."""

    def forward(self, x: Tensor) -> Tensor:
        score = x.mean((1, 2, 3)) - 0.5
        return torch.stack([-score, score], 1)


def test_accuracy_under_attack_counts_what_no_attack_within_the_budget_can_turn() -> None:
    levels = torch.tensor([0.1, 0.45, 0.55, 0.9, 0.3])
    x = levels.view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    batch = Batch(x, torch.tensor([0, 0, 1, 1, 1]))
    assert Accuracy()(Threshold(), batch).tolist() == [1, 1, 1, 1, 0]
    assert Accuracy(attack=FGSM(ball=Linf(eps=0.1)))(Threshold(), batch).tolist() == [1, 0, 0, 1, 0]
    assert Accuracy(attack=FGSM(ball=Linf(eps=0.5)))(Threshold(), batch).tolist() == [0, 0, 0, 0, 0]


class Adversary:
    """Notes what it is asked to attack, and turns it black."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        self.seen.append(x)
        return torch.zeros_like(x)


def test_an_image_that_is_wrong_already_is_not_attacked_and_stays_wrong() -> None:
    x = torch.tensor([0.1, 0.9]).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    adversary = Adversary()
    # The attack would make the first image right.
    metric = Accuracy(attack=adversary)  # type: ignore[arg-type]
    assert metric(Threshold(), Batch(x, torch.tensor([1, 1]))).tolist() == [0, 0]
    assert torch.equal(adversary.seen[0], x[1:])


def test_a_region_within_a_region_sees_the_mask(batch: Batch, net: Net) -> None:
    inner = Limited(attack=PGD(steps=2), region=OutsideMask())
    moved = Limited(attack=inner, region=OutsideMask()).on(net, batch) != batch.x
    assert moved.any() and not (moved & batch.mask[:, None]).any()
