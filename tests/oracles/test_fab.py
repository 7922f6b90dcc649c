"""Projections against convex solvers, whole searches against the peer that goes the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from digit_net import digit_net, digits
from pyautoattack.fab_pt import FABAttack_PT
from scipy.optimize import linprog, minimize
from torch import Tensor, nn

from glasshouse.attacks import FAB, L2, DeepFool, Linf
from glasshouse.attacks.boxed import filling_time, onto_plane
from glasshouse.attacks.fab import Nearest
from glasshouse.attacks.standing import standing
from nets import SIDE, Linear

FREE = [L2(eps=math.inf), Linf(eps=math.inf)]


def broken(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1) != y


@contextmanager
def asked(model: nn.Module) -> Iterator[list[Tensor]]:
    """What a model is asked meanwhile."""
    seen: list[Tensor] = []
    handle = model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    yield seen
    handle.remove()


def problems(count: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    """Points, some pixels at the ends of the range; slopes, some of them 0; gaps on both sides that can be closed."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 1, 3, 4, generator=generator, dtype=torch.float64).add(0.5).clamp(0, 1)
    slope = torch.randn(count, 1, 3, 4, generator=generator, dtype=torch.float64)
    slope[torch.rand(slope.shape, generator=generator) < 0.2] = 0
    upwards, downwards = torch.where(slope > 0, 1 - x, x) * slope.abs(), torch.where(slope < 0, 1 - x, x) * slope.abs()
    share = torch.rand(count, generator=generator, dtype=torch.float64)
    most = torch.where(torch.arange(count) % 2 == 0, upwards.sum((1, 2, 3)), -downwards.sum((1, 2, 3)))
    return x, slope, most * share


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_a_projection_lands_on_the_plane_within_the_range(ball: Any) -> None:
    x, slope, gap = problems(200)
    delta = onto_plane(ball, x, slope, gap)
    torch.testing.assert_close((slope * delta).sum((1, 2, 3)), gap)
    assert float((x + delta).min()) >= -1e-12 and float((x + delta).max()) <= 1 + 1e-12
    single = onto_plane(ball, x.float(), slope.float(), gap.float())
    torch.testing.assert_close(single, delta.float(), atol=1e-5, rtol=1e-4)


def test_no_projection_in_linf_is_shorter() -> None:
    x, slope, gap = problems()
    found = Linf().norm(onto_plane(Linf(), x, slope, gap))
    for i in range(len(x)):  # the last unknown is the norm
        point, w = x[i].flatten().numpy(), slope[i].flatten().numpy()
        size = np.eye(12), np.ones((12, 1))
        bounds = [*zip(-point, 1 - point, strict=True), (0, None)]
        sides = np.vstack([np.hstack([size[0], -size[1]]), np.hstack([-size[0], -size[1]])])
        answer = linprog([*[0] * 12, 1], sides, np.zeros(24), [[*w, 0]], [float(gap[i])], bounds)
        assert float(found[i]) == pytest.approx(answer.fun, abs=1e-9)


def test_no_projection_in_l2_is_shorter() -> None:
    x, slope, gap = problems()
    found = onto_plane(L2(), x, slope, gap)
    for i in range(len(x)):
        point, w = x[i].flatten().numpy(), slope[i].flatten().numpy()
        plane = {"type": "eq", "fun": lambda d, w=w, i=i: w @ d - float(gap[i]), "jac": lambda d, w=w: w}
        bounds = list(zip(-point, 1 - point, strict=True))
        options = {"ftol": 1e-14, "maxiter": 500}
        answer = minimize(
            lambda d: d @ d, np.zeros(12), jac=lambda d: 2 * d, bounds=bounds, constraints=plane, options=options
        )
        assert answer.success
        torch.testing.assert_close(found[i].flatten(), torch.from_numpy(answer.x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_a_plane_beyond_the_range_is_approached_as_far_as_possible(ball: Any) -> None:
    x, slope, _ = problems(8)
    for sign in (1, -1):
        corner = x + onto_plane(ball, x, slope, torch.full((8,), 1e3 * sign, dtype=torch.float64))
        wanted = torch.where(slope == 0, x, (slope * sign > 0).double())
        torch.testing.assert_close(corner, wanted)
    flat = onto_plane(ball, x, torch.zeros_like(x), torch.ones(8, dtype=torch.float64))
    assert torch.equal(flat, torch.zeros_like(x))
    assert torch.equal(onto_plane(ball, x, slope, torch.zeros(8, dtype=torch.float64)), torch.zeros_like(x))


def test_vessels_fill_as_they_do_step_by_step() -> None:
    rate, limit = torch.tensor([[1.0, 2.0, 0.5, 0.0]] * 4), torch.tensor([[3.0, 1.0, 6.0, 2.0]] * 4)
    # by time 1: 3.5; by 3: 6.5; by 6: 8
    amount = torch.tensor([1.75, 3.5, 7.0, 9.0])
    torch.testing.assert_close(filling_time(rate, limit, amount), torch.tensor([0.5, 1.0, 4.0, 6.0]))


@pytest.mark.parametrize("ball", FREE, ids=repr)
@pytest.mark.parametrize("targeted", [True, False])
def test_the_smallest_perturbation_of_a_linear_model(ball: Any, targeted: bool, linear: Callable[[], Linear]) -> None:
    model = linear()
    x = torch.randn(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6)).mul(2).add(0.5).clamp(0, 1)
    logits = model(x).detach()
    y = logits.argmax(1)
    slope = -2 * model.weight.detach() * (1 - 2 * y).view(-1, 1, 1, 1)
    nearest = ball.norm(onto_plane(ball, x, slope, (logits[:, 0] - logits[:, 1]) * (1 - 2 * y)))
    x_adv = FAB(ball, steps=10, targeted=targeted)(model, x, y)
    assert broken(model, x_adv, y).all()
    norm = ball.norm(x_adv - x)
    assert (norm < 1.002 * nearest).all() and (norm > 0.9999 * nearest).all()
    unrefined = ball.norm(FAB(ball, steps=1, refine=0)(model, x, y) - x)
    torch.testing.assert_close(unrefined / nearest, torch.full((6,), 1.05), atol=0.02, rtol=0)


def peers_point(ball: Any, x: Tensor, y: Tensor, steps: int, target: int) -> Tensor:
    """What the peer finds in one search."""
    peer = FABAttack_PT(digit_net(), type(ball).__name__, n_iter=steps, eps=1.0, targeted=target > 0, device="cpu")
    peer.target_class = target + 1
    return peer.attack_single_run(x, y, use_rand_start=False, is_targeted=target > 0)


@pytest.mark.parametrize("ball", FREE, ids=repr)
@pytest.mark.parametrize("targeted", [True, False])
def test_a_search_is_step_by_step_that_of_a_peer(ball: Any, targeted: bool) -> None:
    x, y = digits(12)
    ours = FAB(ball, steps=6, classes=1 if targeted else 9, targeted=targeted, refine=0)(digit_net(), x, y)
    theirs = peers_point(ball, x, y, 6, int(targeted))
    both = broken(digit_net(), theirs, y)
    assert both.sum() >= 9 and torch.equal(broken(digit_net(), ours, y), both)
    differences = (ours - theirs)[both].flatten(1).abs().amax(1)
    assert differences.median() < 1e-4 and differences.max() < 2e-2  # rounding errors grow at the bends of a network


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_norms_over_several_targets_are_no_larger_than_a_peers(ball: Any) -> None:
    x, y = digits(12)
    ours = ball.norm(FAB(ball, steps=20, classes=2)(digit_net(), x, y) - x)
    norms = []
    for target in (1, 2):
        theirs = peers_point(ball, x, y, 20, target)
        norms.append(torch.where(broken(digit_net(), theirs, y), ball.norm(theirs - x), math.inf))
    theirs = torch.stack(norms).amin(0)
    assert ours.mean() <= 1.01 * theirs.mean() and (ours <= 1.1 * theirs).all()
    one = ball.norm(FAB(ball, steps=20, classes=1)(digit_net(), x, y) - x)
    assert (ours <= one + 1e-6).all()
    assert ours.mean() < 0.97 * ball.norm(DeepFool(ball)(digit_net(), x, y) - x).mean()


@pytest.mark.parametrize("kind", [L2, Linf])
@pytest.mark.parametrize("targeted", [True, False])
def test_an_image_leaves_once_it_is_broken_within_the_ball(kind: Any, targeted: bool) -> None:
    model, (x, y) = digit_net(), digits(12)
    attack = FAB(kind(math.inf), steps=8, classes=2, targeted=targeted)
    norm = kind().norm(attack(model, x, y) - x)
    ball = kind(float(norm.sort().values[5:7].mean()))
    with asked(model) as seen:
        x_adv = replace(attack, ball=ball)(model, x, y)
    sizes = [len(t) for t in seen]
    assert sizes[1] == 12 and min(sizes[1:16]) < 12 and sum(sizes) < 12 * len(sizes)
    inside, found = norm <= ball.eps, broken(model, x_adv, y)
    assert found[inside].all() and (ball.norm(x_adv - x)[inside] <= ball.eps).all()
    assert not found.all() and (ball.norm(x_adv - x) <= ball.eps + 1e-6).all()
    with torch.no_grad():
        failed = ~found
        assert (
            model(x_adv)[failed].gather(1, y[failed][:, None]) < model(x)[failed].gather(1, y[failed][:, None])
        ).all()


def test_what_was_found_stays_found_while_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = digit_net(), digits(8)
    attack = FAB(L2(0.3), steps=8, classes=2)
    found = broken(model, attack(model, x, y), y)
    monkeypatch.setattr("glasshouse.attacks.fab.due", lambda step, x: step in (0, 2))
    x_adv = attack(model, x, y)
    assert torch.equal(broken(model, x_adv, y), found) and (L2().norm(x_adv - x) <= 0.3 + 1e-6).all()


def test_without_a_limit_it_goes_on_for_the_smallest_norm() -> None:
    model, (x, y) = digit_net(), digits(4)
    with asked(model) as seen:
        x_adv = FAB(L2(math.inf), steps=5, restarts=2, classes=3, refine=2)(model, x, y)
    assert [len(t) for t in seen] == [4] * (1 + 5 * 2 * 2 * 3 + 2 + 2)
    few = FAB(L2(math.inf), steps=1, classes=3)(model, x, y)
    assert (L2().norm(x_adv - x) <= L2().norm(few - x) + 1e-6).all()
    assert L2().norm(x_adv - x).sum() < L2().norm(few - x).sum()


def test_what_is_wrong_already_comes_back_as_it_is() -> None:
    model, (x, y) = digit_net(), digits(4)
    y = torch.where(torch.tensor([True, False, True, False]), y, (y + 1) % 10)
    with asked(model) as seen:
        x_adv = FAB(L2(math.inf), steps=2)(model, x, y)
    assert torch.equal(x_adv[1::2], x[1::2]) and (x_adv != x)[::2].flatten(1).any(1).all()
    assert [len(t) for t in seen[1:]] == [2] * (len(seen) - 1)


@pytest.mark.parametrize("ball", [L2(0.2), Linf(0.01)], ids=repr)
def test_restarts_begin_within_half_the_ball_and_everywhere_else(ball: Any) -> None:
    model, (x, y) = digit_net(), digits(5)
    x = x * 0.8 + 0.1  # so that nothing is cut off
    y = model(x).argmax(1)
    images = standing(model, x, y)
    nearest = Nearest(x.clone(), torch.tensor([math.inf, math.inf, ball.eps / 2, 9.0, math.inf]))
    first, second = (FAB(ball).started(images, nearest) - x for _ in range(2))
    for start in (first, second):
        radius = ball.norm(start) / (ball.eps / 2)
        expected = torch.tensor([1, 1, 0.5, 1, 1])
        assert (radius <= expected + 1e-4).all() and (radius > 0.97 * expected).all()
    assert (first != second).flatten(1).float().mean() > 0.99
    free = FAB(replace(ball, eps=math.inf)).started(images, nearest) - x
    assert (ball.norm(free) > 0).tolist() == [False, False, True, True, False]


def test_every_restart_draws_anew_and_an_image_draws_for_itself() -> None:
    model, (x, y) = digit_net(), (t[6:] for t in digits(12))  # none of them is as near to a boundary as this eps
    attack = FAB(L2(1e-3), steps=1, restarts=3, classes=2)
    runs = []
    for chosen in (slice(None), slice(2, 4)):
        torch.manual_seed(3)
        with asked(model) as seen:
            attack(model, x[chosen], y[chosen])
        # Who is broken, if anyone is, is then asked about alone.
        runs.append([t[2:4] if len(t) == 6 else t for t in seen if len(t) == len(x[chosen])])
    assert len(runs[0]) >= 12 and len(runs[1]) >= 12
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*runs, strict=False))
    starts = torch.stack([(runs[0][i] - x[2:4]).flatten(1) for i in (1, 3, 5, 7, 9, 11)])  # of 2 x 3 searches
    assert not starts[0].any() and not starts[3].any()
    similar = torch.nn.functional.cosine_similarity(starts[[1, 2, 4, 5], None], starts[None, [1, 2, 4, 5]], dim=-1)
    assert (similar.flatten(2).mean(2).fill_diagonal_(0).abs() < 0.3).all()


@pytest.mark.parametrize("ball", FREE, ids=repr)
def test_no_slope_is_no_way(ball: Any) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 3))
    nn.init.zeros_(model[1].weight)
    x = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        y = model(x).argmax(1)
    assert torch.equal(FAB(ball, steps=2)(model, x, y), x)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("restarts", 0), ("classes", 0), ("alpha_max", 2.0), ("eta", 0.9), ("beta", 1.0), ("refine", -1)],
)
def test_settings_without_meaning_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        FAB(**{field: value})
