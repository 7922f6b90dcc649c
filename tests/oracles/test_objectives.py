"""Objectives against closed forms and finite differences; changes of images pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.attacks import FGSM, PGD, Limited, Linf
from glasshouse.explainers import ConstantFill, GradCAM, InputGradient
from glasshouse.objectives import Adversarial, Changed, CrossEntropy, Lagrangian, Mask, Sensitivity, Sum, Transplant
from glasshouse.objectives.sensitivity import gradient_norms, mean_over
from glasshouse.types import Batch
from nets import Net, full_batch, seeded_net


def double_batch() -> Batch:
    batch = full_batch(4)
    return batch._replace(x=batch.x.double(), weight=None)


def slope_by_differences(net: Net, value: Callable[[], Tensor], direction: list[Tensor], h: float = 1e-5) -> float:
    """Derivative of ``value`` along a direction in the space of parameters."""
    found = []
    for sign in (h, -2 * h):
        with torch.no_grad():
            for parameter, step in zip(net.parameters(), direction, strict=True):
                parameter += sign * step
        found.append(float(value().detach()))
    return (found[0] - found[1]) / (2 * h)


def maps(explainer: Any) -> Callable[[Net, Batch], Tensor]:
    return lambda net, batch: explainer(net, batch.x, batch.y, create_graph=True).square().sum()


SECOND_ORDER: dict[str, Callable[[Net, Batch], Tensor]] = {
    "sensitivity": lambda net, batch: Sensitivity(weight=1e4)(net, batch)["sensitivity"],
    "lagrangian": lambda net, batch: Lagrangian()(net, batch)["constraint"],
    "gradient": maps(InputGradient()),
    "gradient times input": maps(InputGradient(times_input=True)),
    "grad-cam": maps(GradCAM()),
    "grad-cam early": maps(GradCAM(layer="features.0")),
}


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_the_gradient_of_a_gradient_is_right(name: str) -> None:
    net, batch = seeded_net(stride=2).double().eval(), double_batch()
    value = SECOND_ORDER[name](net, batch)
    value.backward()
    generator = torch.Generator().manual_seed(7)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in net.parameters()]
    exact = sum(
        float((p.grad * d).sum()) for p, d in zip(net.parameters(), direction, strict=True) if p.grad is not None
    )
    assert abs(exact) > 1e-6
    assert slope_by_differences(net, lambda: SECOND_ORDER[name](net, batch), direction) == pytest.approx(
        exact, rel=1e-4
    )


class Opponent(nn.Module):
    """Red minus green: the channel sum of its gradient is zero, its gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        score = self.weight * (x[:, 0] - x[:, 1]).mean((1, 2))
        return torch.stack([score, -score], 1)


def test_sensitivity_sees_channels_that_cancel() -> None:
    model, x = Opponent(), torch.rand(2, 3, 4, 4)
    batch = Batch(x, torch.tensor([0, 1]), torch.zeros(2, 4, 4, dtype=torch.bool))
    assert not InputGradient()(model, batch.x, batch.y).any()
    p = model(x).softmax(1)[:, 0].detach()
    slope = 2 * p * (1 - p) * 0.3 / 16
    found = Sensitivity(weight=3.0)(model, batch)["sensitivity"]
    torch.testing.assert_close(found.detach(), 3 * (2 * slope**2).mean())
    found.backward()
    assert model.weight.grad is not None and model.weight.grad > 0


def test_sensitivity_looks_at_spurious_pixels_only_and_at_every_image_alike() -> None:
    values = torch.stack([torch.full((4, 4), 2.0), torch.full((4, 4), 5.0), torch.full((4, 4), 100.0)])
    region = torch.zeros(3, 4, 4, dtype=torch.bool)
    region[0, 0], region[1, 0, 0] = True, True
    assert mean_over(values, region) == 3.5
    assert mean_over(values, torch.zeros_like(region)) == 0


def test_a_batch_without_spurious_pixels_trains_nothing(net: Net, batch: Batch) -> None:
    clean = batch._replace(mask=torch.ones_like(batch.mask))
    for objective in (Sensitivity(), Lagrangian()):
        (term,) = objective(net, clean).values()
        assert term == 0
        term.backward()
        assert net.features[0].weight.grad is None or not net.features[0].weight.grad.any()


@pytest.mark.parametrize("component", [Sensitivity(), Lagrangian()], ids=repr)
def test_an_objective_that_needs_a_mask_says_so(component: Any, net: Net, batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"Batch\.mask"):
        component(net, batch._replace(mask=None))


@pytest.mark.parametrize("change", [Mask(), Transplant()], ids=repr)
def test_a_change_that_needs_a_mask_says_so(change: Any, batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"Batch\.mask"):
        change(batch._replace(mask=None))


def test_gradient_norms_belong_to_the_evaluation_mode_and_leave_the_statistics_alone(net: Net, batch: Batch) -> None:
    before = {k: v.clone() for k, v in net.state_dict().items()}
    training = gradient_norms(net.train(), batch)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    torch.testing.assert_close(gradient_norms(net.eval(), batch), training)


def test_cross_entropy_is_averaged_with_the_weights(net: Net, batch: Batch) -> None:
    net.eval()
    losses = F.cross_entropy(net(batch.x), batch.y, reduction="none")
    plain = CrossEntropy()(net, batch._replace(weight=None))["task"]
    torch.testing.assert_close(plain, losses.mean())
    weight = torch.tensor([2.0, 0, 1, 0, 0, 1])
    weighted = CrossEntropy(weight=0.5)(net, batch._replace(weight=weight))["task"]
    torch.testing.assert_close(weighted, 0.5 * (2 * losses[0] + losses[2] + losses[5]) / 4)
    assert CrossEntropy()(net, batch._replace(weight=torch.zeros(6)))["task"] == 0


def test_adversarial_is_the_cross_entropy_on_what_the_attack_made(net: Net, batch: Batch) -> None:
    net.eval()
    attack = FGSM(ball=Linf(eps=0.05))
    x_adv = attack(net, batch.x, batch.y)
    expected = CrossEntropy(weight=0.7)(net, batch._replace(x=x_adv))["task"]
    torch.testing.assert_close(Adversarial(attack=attack, weight=0.7)(net, batch)["adversarial"], expected)


def test_adversarial_lets_a_limited_attack_see_the_mask(net: Net, batch: Batch) -> None:
    net.eval()
    limited = Limited(attack=PGD(steps=2, random_start=False))
    expected = CrossEntropy()(net, batch._replace(x=limited.on(net, batch)))["task"]
    torch.testing.assert_close(Adversarial(attack=limited)(net, batch)["adversarial"], expected)


def test_a_sum_adds_terms_of_the_same_name(net: Net, batch: Batch) -> None:
    net.eval()
    one = CrossEntropy()(net, batch)["task"]
    terms = Sum(terms=(CrossEntropy(), Sensitivity(), CrossEntropy(weight=2.0)))(net, batch)
    assert list(terms) == ["task", "sensitivity"]
    torch.testing.assert_close(terms["task"], 3 * one)


def test_the_multiplier_rises_while_the_constraint_is_violated_and_falls_when_it_is_slack() -> None:
    start = Lagrangian(delta=0.01, multiplier=2.0, rate=0.5)
    assert start.advance({"constraint": 2.0 * 0.005}).multiplier == pytest.approx(2 * exp(0.25))
    assert start.advance({"constraint": 2.0 * -0.005}).multiplier == pytest.approx(2 * exp(-0.25))
    assert start.advance({"constraint": 2.0 * 7.0}).multiplier == pytest.approx(2 * exp(0.5))
    assert start.advance({"constraint": 0.0}) == start
    assert replace(start, rate=0.0).advance({"constraint": 9.0}) == replace(start, rate=0.0)


def test_the_constraint_is_the_multiplier_times_what_is_too_much(net: Net, batch: Batch) -> None:
    norm = mean_over(gradient_norms(net, batch), ~batch.mask)
    term = Lagrangian(delta=0.02, multiplier=3.0)(net, batch)["constraint"]
    torch.testing.assert_close(term, 3 * (norm - 0.02))


def test_an_objective_within_others_advances_too() -> None:
    nested = Changed(change=Mask(), objective=Sum(terms=(CrossEntropy(), Lagrangian())))
    moved = nested.advance({"task": 1.0, "constraint": 1.0})
    assert isinstance(moved.objective, Sum) and moved.objective.terms[0] == CrossEntropy()
    assert moved.objective.terms[1].multiplier > 1 and moved.change == Mask()


def test_changed_hands_the_changed_images_on(net: Net, batch: Batch) -> None:
    net.eval()
    change = Mask(fill=ConstantFill(value=0.0), share=1.0)
    expected = CrossEntropy()(net, batch._replace(x=batch.x * batch.mask[:, None]))["task"]
    torch.testing.assert_close(Changed(change=change)(net, batch)["task"], expected)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_mask_fills_the_spurious_pixels_of_a_share_of_the_images_and_no_others(share: float) -> None:
    batch = full_batch(200)
    torch.manual_seed(0)
    changed = Mask(fill=ConstantFill(value=0.5), share=share)(batch)
    spurious = ~batch.mask
    assert torch.equal(changed.x.permute(0, 2, 3, 1)[batch.mask], batch.x.permute(0, 2, 3, 1)[batch.mask])
    filled = (changed.x == 0.5).all(1)
    whole = filled[spurious].view(200, -1)
    assert torch.equal(whole.all(1), whole.any(1))  # all of an image's, or nothing
    assert abs(float(whole.all(1).float().mean()) - share) < 0.12
    assert torch.equal(changed.mask, batch.mask)


def traced(count: int = 12, seed: int = 0) -> Batch:
    """Pixels that tell which image they are from, and a random spurious region in each."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, 9, 9, generator=generator)
    x = (torch.arange(count).view(-1, 1, 1, 1) + 0.05 + 0.9 * noise) / count
    return Batch(x, torch.arange(count) % 3, torch.rand(count, 9, 9, generator=generator) > 0.15)


def source(x: Tensor) -> Tensor:
    """Which image of :func:`traced` each pixel is from, ``[B, H, W]``."""
    images = (x * len(x)).floor().long()
    assert (images == images[:, :1]).all()
    return images[:, 0]


@pytest.mark.parametrize("seed", range(6))
def test_transplant_leaves_nothing_of_what_was_spurious_in_an_image(seed: int) -> None:
    batch = traced(seed=seed)
    torch.manual_seed(seed)
    own = source(Transplant()(batch).x) == torch.arange(12).view(-1, 1, 1)
    assert not (own & ~batch.mask).any()


@pytest.mark.parametrize("seed", range(6))
def test_the_mask_of_a_transplant_is_the_complement_of_what_is_spurious_then(seed: int) -> None:
    batch = traced(seed=seed)
    torch.manual_seed(seed)
    changed = Transplant()(batch)
    mask_at_source = batch.mask.gather(0, source(changed.x))
    assert torch.equal(changed.mask, mask_at_source)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_transplant_moves_whole_pixels_in_place_and_pastes_all_of_one_donor(share: float) -> None:
    batch, rows = traced(), torch.arange(12).view(-1, 1, 1)
    torch.manual_seed(1)
    changed = Transplant(share=share)(batch)
    origin = source(changed.x)
    expected = batch.x.gather(0, origin[:, None].expand_as(batch.x))
    assert torch.equal(changed.x, expected)
    for i in range(12):
        came = (origin[i] != i) & batch.mask[i]
        donors = origin[i][came].unique().tolist()
        assert len(donors) <= 1
        for donor in donors:  # all that is spurious in the donor, wherever the image was clean
            assert torch.equal(came, ~batch.mask[donor] & batch.mask[i])
    assert (origin != rows).any()


def test_a_transplant_of_no_share_changes_nothing() -> None:
    batch = traced()
    changed = Transplant(share=0.0)(batch)
    assert torch.equal(changed.x, batch.x) and torch.equal(changed.mask, batch.mask)


def test_a_transplant_takes_from_images_that_have_something_to_give() -> None:
    batch = traced()
    batch.mask[:9] = True
    torch.manual_seed(3)
    origin = source(Transplant()(batch).x)
    givers = [origin[i][(origin[i] != i) & batch.mask[i]].unique() for i in range(12)]
    assert all(len(giver) == 1 and int(giver) >= 9 for giver in givers)
