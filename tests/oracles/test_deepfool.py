"""On a linear model the nearest boundary is known; on a network a peer says how near one should come."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import foolbox
import pytest
import torch
from digit_net import digit_net, digits
from torch import Tensor, nn

from glasshouse.attacks import L2, DeepFool, Linf
from glasshouse.attacks.boundary import moved, nearest_plane, rivals, shrunk, within
from glasshouse.attacks.boxed import onto_plane
from glasshouse.attacks.standing import standing
from glasshouse.draws import draws
from nets import SIDE, Linear, steep_net

FREE = [L2(eps=math.inf), Linf(eps=math.inf)]
PEERS = {L2: foolbox.attacks.L2DeepFoolAttack, Linf: foolbox.attacks.LinfDeepFoolAttack}


def broken(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1) != y


def right(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1)


def planes(classes: int = 6) -> nn.Module:
    """A linear model with weights of very different size, so that the nearest class is not the second best."""
    torch.manual_seed(4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, classes))
    with torch.no_grad():
        model[1].weight.mul_(torch.tensor([1.0, 0.2, 1.5, 0.3, 1.2, 0.5])[:classes, None])
        model[1].bias.copy_(-0.5 * model[1].weight.sum(1))  # all logits are 0 on grey
    return model.requires_grad_(False)


def exact(model: nn.Module, x: Tensor, y: Tensor, q: float) -> Tensor:
    """The distance to each other class, ``[B, K]``; 0 for the class itself."""
    logits, weight = model(x), model[1].weight
    slopes = weight[None] - weight[y][:, None]
    return (logits.gather(1, y[:, None]) - logits) / slopes.norm(q, dim=2).clamp_min(1e-9)


@pytest.mark.parametrize(("ball", "q"), [(L2(math.inf), 2.0), (Linf(math.inf), 1.0)], ids=repr)
def test_one_step_reaches_the_nearest_of_several_planes(ball: Any, q: float) -> None:
    model, x = planes(), 0.3 + 0.4 * torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    y = right(model, x)
    distances = exact(model, x, y, q).scatter(1, y[:, None], math.inf)
    plain, refined = (DeepFool(ball, refine=refine)(model, x, y) for refine in (0, 3))
    nearest = distances.amin(1)
    assert (distances.argmin(1) != rivals(model(x), y, 1)[:, 0]).any()  # it is not always the second best
    torch.testing.assert_close(ball.norm(plain - x), 1.02 * nearest, rtol=1e-3, atol=1e-6)
    assert broken(model, plain, y).all() and broken(model, refined, y).all()
    assert (ball.norm(refined - x) < 1.003 * nearest).all() and (ball.norm(refined - x) > 0.9999 * nearest).all()
    second = DeepFool(ball, classes=2, refine=0)(model, x, y)
    at_second = distances.gather(1, rivals(model(x), y, 1))[:, 0]
    near = at_second < 1.5 * nearest  # further away it may meet another class first
    torch.testing.assert_close(ball.norm(second - x)[near], 1.02 * at_second[near], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_the_pixel_range_lengthens_the_way_no_more_than_it_must(ball: Any, linear: Callable[[], Linear]) -> None:
    model = linear()
    x = torch.randn(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6)).mul(2).add(0.5).clamp(0, 1)
    y = right(model, x)
    slope = -2 * model.weight.detach() * (1 - 2 * y).view(-1, 1, 1, 1)
    gap = (model(x)[:, 0] - model(x)[:, 1]).detach() * (1 - 2 * y)
    nearest = ball.norm(onto_plane(ball, x, slope, gap))
    free = gap / (slope * ball.ascent(slope)).flatten(1).sum(1)
    assert (nearest > 1.2 * free).all()
    x_adv = DeepFool(ball)(model, x, y)
    assert broken(model, x_adv, y).all()
    assert (ball.norm(x_adv - x) < 1.005 * nearest).all()


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_perturbations_are_as_small_as_a_peers(ball: Any) -> None:
    model, (x, y) = digit_net(), digits(16)
    peer = PEERS[type(ball)](steps=50, candidates=10, overshoot=0.02)
    theirs = peer.run(foolbox.PyTorchModel(model, bounds=(0, 1)), x, foolbox.criteria.Misclassification(y))
    plain, refined = (DeepFool(ball, refine=refine)(model, x, y) for refine in (0, 3))
    norms = [ball.norm(found - x) for found in (theirs, plain, refined)]
    assert all(broken(model, found, y).all() for found in (theirs, plain, refined))
    assert norms[1].mean() <= 1.01 * norms[0].mean() and (norms[1] <= 1.05 * norms[0]).all()
    assert (norms[2] <= norms[1]).all() and norms[2].sum() < norms[1].sum()


def test_images_leave_where_they_are_broken_and_do_not_see_each_other() -> None:
    model, (x, y) = digit_net(), digits(6)
    together = DeepFool()(model, x, y)
    handle = model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    sizes: list[int] = []
    alone = torch.cat([DeepFool()(model, x[i : i + 1], y[i : i + 1]) for i in range(6)])
    one_by_one, sizes = sum(sizes), []
    assert torch.equal(DeepFool()(model, x, y), together)
    handle.remove()
    torch.testing.assert_close(alone, together, atol=2e-4, rtol=0)
    assert abs(sum(sizes) - one_by_one) <= 2 and sizes[1] == 6 and min(sizes[:-5]) < 6


@pytest.mark.parametrize("kind", [L2, Linf])
def test_coming_back_leaves_what_is_inside_to_the_bit(kind: Any) -> None:
    x, x_adv = torch.rand(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) ** 3  # finer than 2 ** -24
    assert not torch.equal(x + (x_adv - x), x_adv)
    assert torch.equal(within(kind(99.0), x, x_adv), x_adv) and torch.equal(within(kind(math.inf), x, x_adv), x_adv)
    torch.testing.assert_close(kind().norm(within(kind(0.1), x, x_adv) - x), torch.full((4,), 0.1))


def rarely(step: int, x: Tensor) -> bool:
    """When a GPU looks who still stands, sooner."""
    return step & (step - 1) == 0 and step != 1


def test_an_image_stops_where_it_is_broken_also_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = digit_net(), digits(6)
    found = DeepFool(refine=0)(model, x, y)
    monkeypatch.setattr("glasshouse.attacks.deepfool.due", rarely)
    torch.testing.assert_close(DeepFool(refine=0)(model, x, y), found, atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", [L2, Linf])
def test_a_ball_without_a_limit_holds_everything_and_has_no_random_points(kind: Any) -> None:
    delta = torch.randn(3, 3, 4, 4)
    assert torch.equal(kind(math.inf).project(delta), delta)
    assert torch.equal(kind(math.inf).project(torch.zeros_like(delta)), torch.zeros_like(delta))
    with pytest.raises(ValueError, match="eps is finite"):
        kind(math.inf).sample(delta, draws(delta))


def test_what_is_wrong_already_comes_back_as_it_is() -> None:
    model, (x, y) = digit_net(), digits(4)
    y = torch.where(torch.tensor([True, False, True, False]), y, (y + 1) % 10)
    x_adv = DeepFool()(model, x, y)
    assert torch.equal(x_adv[1::2], x[1::2]) and (x_adv != x)[::2].flatten(1).any(1).all()


@pytest.mark.parametrize("kind", [L2, Linf])
def test_what_is_broken_within_the_ball_stays_and_the_rest_is_brought_back(kind: Any) -> None:
    model, (x, y) = digit_net(), digits(12)
    free = DeepFool(kind(math.inf))(model, x, y)
    norm = kind().norm(free - x)
    ball = kind(float(norm.median()))
    x_adv = DeepFool(ball)(model, x, y)
    inside = norm <= ball.eps
    assert 0 < int(inside.sum()) < 12
    assert torch.equal(x_adv[inside], free[inside])
    torch.testing.assert_close(x_adv[~inside], (x + ball.project(free - x))[~inside])
    assert (ball.norm(x_adv - x) <= ball.eps + 1e-6).all()


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_no_slope_is_no_way(ball: Any) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 3))
    nn.init.zeros_(model[1].weight)
    x = torch.rand(2, 3, SIDE, SIDE)
    assert torch.equal(DeepFool(ball)(model, x, right(model, x)), x)


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_the_nearest_plane_is_that_of_autograd(ball: Any) -> None:
    model, x, y = steep_net(), torch.rand(3, 3, SIDE, SIDE), torch.tensor([0, 2, 3])
    others = rivals(model(x), y, 99)
    assert others.shape == (3, 3) and (others != y[:, None]).all()
    plane = nearest_plane(model, x, y, others, ball)
    for i in range(3):
        best = math.inf
        for k in others[i].tolist():
            point = x[i : i + 1].clone().requires_grad_()
            logits = model(point)[0]
            (slope,) = torch.autograd.grad(logits[k] - logits[y[i]], point)
            dual = slope.norm() if isinstance(ball, L2) else slope.abs().sum()
            distance = float((logits[y[i]] - logits[k]).detach().abs() / dual)
            if distance < best:
                best = distance
                expected = (logits[y[i]] - logits[k]).detach(), slope[0]
        torch.testing.assert_close((plane.gap[i], plane.slope[i]), expected)
        assert float(plane.distance[i]) == pytest.approx(best, rel=1e-4)


def test_the_last_part_of_the_way_is_found() -> None:
    model, x = planes(2), 0.3 + 0.4 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    y = right(model, x)
    slope = model[1].weight[1 - y] - model[1].weight[y]
    share = torch.tensor([0.3, 2.0])  # the second goes only half of the way that is needed
    gap = (model(x).gather(1, y[:, None]) - model(x).gather(1, 1 - y[:, None]))[:, 0]
    reach = (slope * (gap / share / slope.square().sum(1))[:, None]).view_as(x)
    images = standing(model, x, y)
    t = shrunk(images, reach, 3)
    assert 0.3 < float(t[0]) < 0.3005 and float(t[1]) == 1
    assert broken(model, moved(x, reach, t), y).tolist() == [True, False]
    assert shrunk(images, reach, 0).tolist() == [1, 1]


@pytest.mark.parametrize(("field", "value"), [("steps", 0), ("overshoot", 0.0), ("classes", 1), ("refine", -1)])
def test_settings_without_meaning_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        DeepFool(**{field: value})


def test_one_class_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 1))
    with pytest.raises(ValueError, match="2 classes"):
        DeepFool()(model, torch.rand(1, 3, SIDE, SIDE), torch.tensor([0]))
