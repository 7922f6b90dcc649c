"""Windows against loops over slices, whole searches against the peer, and a masked network that only it can break."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from digit_net import digit_net, digits
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from glasshouse.attacks import L2, PGD, Linf, Square
from glasshouse.attacks.losses import Margin
from glasshouse.attacks.square import share_at
from glasshouse.attacks.windows import bump, painted, shifted, side_of, striped, tiled
from glasshouse.draws import Draws, draws
from nets import steep_net

PEER = SquareAttack(None, n_queries=10_000, p_init=0.8, device="cpu")
PEER.norm = "L2"


@contextmanager
def asked(model: nn.Module) -> Iterator[list[Tensor]]:
    """What a model is asked meanwhile."""
    seen: list[Tensor] = []
    handle = model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    yield seen
    handle.remove()


def broken(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1) != y


def grey(count: int, channels: int = 3, height: int = 20, width: int = 20) -> Tensor:
    """Images in the middle of the range, a little different from each other."""
    noise = torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))
    return 0.4 + 0.2 * noise


def same_draws(x: Tensor) -> tuple[Draws, Draws]:
    """Twice the same numbers."""
    return draws(x, 7), draws(x, 7)


def drawn_windows(numbers: Draws, x: Tensor, side: int) -> list[tuple[slice, slice]]:
    """The window of each image as slices."""
    height, width = x.shape[-2:]
    tops, lefts = (numbers.integers(0, n - side + 1, 1)[:, 0].tolist() for n in (height, width))
    return [(slice(t, t + side), slice(s, s + side)) for t, s in zip(tops, lefts, strict=True)]


def test_the_windows_shrink_as_in_the_paper() -> None:
    for queries in (10_000, 5_000, 300):
        PEER.n_queries = queries
        assert all(share_at(i, queries, 0.8) == PEER.p_selection(i) for i in range(queries))
    x = torch.zeros(1, 3, 32, 32)
    assert [side_of(x, share) for share in (1.0, 0.8, 0.4, 0.8 / 512, 1e-9)] == [32, 29, 20, 1, 1]
    assert side_of(torch.zeros(1, 1, 10, 40), 0.8) == 10


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6, 7, 12, 29])
def test_a_bump_is_that_of_the_peer(side: int) -> None:
    torch.manual_seed(0)
    theirs = PEER.eta(side)
    ours = bump(side, torch.device("cpu"))
    assert torch.allclose(ours, theirs, atol=1e-6) or torch.allclose(ours.T, theirs, atol=1e-6)
    assert float(ours.norm()) == pytest.approx(1) and torch.equal(ours, bump(side, torch.device("cpu")))
    if side > 1:
        assert (ours[: side // 2] >= 0).all() and (ours[side // 2 :] <= 0).all()


def test_stripes_go_down_the_columns_to_the_ends_of_the_ball() -> None:
    x = grey(40, 2, 5, 9)
    delta = striped(x, 0.1, draws(x, 0)) - x
    torch.testing.assert_close(delta.abs(), torch.full_like(delta, 0.1))
    assert ((delta > 0) == (delta > 0)[:, :, :1]).all()
    share = (delta[:, :, 0] > 0).float().mean((0, 1))
    assert (share > 0.25).all() and (share < 0.75).all()
    ends = striped(torch.ones(4, 1, 3, 3), 0.1, draws(x[:4], 0))
    assert float(ends.max()) == 1 and float(ends.min()) == pytest.approx(0.9)


def test_one_window_of_each_image_is_painted_anew() -> None:
    x = grey(400, 3, 6, 8)
    numbers, again = same_draws(x)
    before = striped(x, 0.1, draws(x, 1))
    after = painted(x, before, 0.1, 4 / 48, numbers)
    places = drawn_windows(again, x, 2)
    signs, turned = again.signs(3, 1, 1), again.integers(0, 3, 1)[:, 0]
    kept = 0
    for i, place in enumerate(places):
        expected = before[i].clone()
        expected[:, *place] = x[i][:, *place] + 0.1 * signs[i]
        if torch.equal(expected, before[i]):
            expected[turned[i], *place] = (x[i][:, *place] - 0.1 * signs[i])[turned[i]]
            kept += 1
        assert torch.equal(after[i], expected)
    assert 0 < kept < 60 and (after != before).flatten(1).any(1).all()
    reached = (after != before).any(1).any(0)
    assert reached.all() and len({str(place) for place in places}) == 5 * 7  # every place there is


def test_bumps_fill_a_grid() -> None:
    x = grey(60, 2, 22, 33)  # tiles of 4: 5 by 8, in the middle
    delta = tiled(x, 0.5, draws(x, 0)) - x
    torch.testing.assert_close(L2().norm(delta), torch.full((60,), 0.5))
    assert not delta[:, :, 0].any() and not delta[:, :, 21].any() and delta[:, :, 1:21, :32].flatten(2).any(2).all()
    tiles = delta[:, :, 1:21, :32].unfold(2, 4, 4).unfold(3, 4, 4) * math.sqrt(2 * 40) / 0.5
    for upright in (True, False):
        picture = bump(4, x.device) if upright else bump(4, x.device).T
        likeness = (tiles * picture).sum((-2, -1)).abs().sub(1).abs() < 1e-4
        assert 0.4 < likeness.float().mean() < 0.6 and (likeness[:, 0] == likeness[:, 1]).all()
    assert 0.4 < ((tiles[..., 0, 1] > 0).float().mean()) < 0.6
    for side in (1, 3, 5):  # too small for five tiles
        small = grey(2, 1, side, side)
        torch.testing.assert_close(L2().norm(tiled(small, 0.1, draws(small, 0)) - small), torch.full((2,), 0.1))


def moved_mass(x: Tensor, x_adv: Tensor, eps: float, side: int, numbers: Draws) -> Tensor:
    """Algorithm 3 of the paper in float64, image by image and by slices."""
    first, second = (drawn_windows(numbers, x, side) for _ in range(2))
    upright, signs = numbers.signs(1, 1, 1)[:, 0, 0, 0] > 0, numbers.signs(x.shape[1], 1, 1).double()
    picture, results = bump(side, x.device).double(), []
    for i in range(len(x)):
        delta = (x_adv[i] - x[i]).double()
        both = torch.zeros_like(delta[0], dtype=torch.bool)
        both[first[i]] = both[second[i]] = True
        old, spare, made = delta.clone(), max(eps**2 - float(delta.square().sum()), 0.0), []
        for c in range(len(delta)):
            fresh = (picture if upright[i] else picture.T) * signs[i, c]
            here = old[c][first[i]]
            fresh = fresh + here / here.norm().clamp_min(1e-12)
            mass = old[c][both].square().sum() + spare / len(delta)
            made.append(fresh / fresh.norm() * mass.sqrt())
        for c, fresh in enumerate(made):
            delta[c][second[i]] = 0
            delta[c][first[i]] = fresh
        results.append((x[i] + eps * delta / delta.norm()).clamp(0, 1))
    return torch.stack(results).float()


@pytest.mark.parametrize("shape", [(3, 20, 20), (1, 9, 14)])
def test_mass_moves_as_in_the_paper(shape: tuple[int, int, int]) -> None:
    x = grey(30, *shape)
    x[:10] = x[:10].round()  # some at the ends of the range, where mass gets lost
    x_adv = tiled(x, 0.6, draws(x, 0))
    for share, side in ((0.8, 9 if shape[0] == 1 else 19), (0.1, 7 if shape[0] == 3 else 5), (1e-4, 3)):
        numbers, again = same_draws(x)
        found = shifted(x, x_adv, 0.6, share, numbers)
        torch.testing.assert_close(found, moved_mass(x, x_adv, 0.6, side, again), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(L2().norm(found - x)[10:], torch.full((20,), 0.6))
        x_adv = found


@pytest.mark.parametrize("ball", [Linf(0.05), L2(0.8)], ids=repr)
def test_it_only_asks_and_lets_images_go_when_they_are_broken(ball: Any) -> None:
    model, (x, y) = digit_net(), digits(12)
    with torch.enable_grad(), asked(model) as seen:
        handle = model.register_forward_pre_hook(lambda module, inputs: modes.append(torch.is_grad_enabled()))
        modes: list[bool] = []
        x_adv = Square(ball, queries=60)(model, x, y)
        handle.remove()
    assert not any(modes) and not any(t.requires_grad for t in seen) and len(seen) <= 61
    left = 12 - int(broken(model, x_adv, y).sum())
    assert 0 < left < 12 and len(seen) == 61
    sizes = [len(t) for t in seen]
    assert sizes == sorted(sizes, reverse=True) and left <= sizes[-1] < 12
    with torch.no_grad():
        margins = [Margin()(model(t), y) for t in (x_adv, seen[1])]
    assert (margins[0] >= margins[1] - 1e-5).all() and (margins[0] > margins[1] + 1e-3).sum() >= left
    assert Square(ball, queries=1)(model, x, y).shape == x.shape


def test_the_first_window_after_the_stripes_is_the_largest() -> None:
    model, x = steep_net(), torch.full((1, 3, 16, 16), 0.5)
    with asked(model) as seen, torch.no_grad():
        Square(Linf(1e-4), queries=20)(model, x, model(x).argmax(1))
    rows = (seen[3] != seen[2]).any(3).any(1)[0]  # seen: the image for its class, the image, stripes, window
    assert int(rows.sum()) == side_of(x, 0.8) == 14


@pytest.mark.parametrize("ball", [Linf(0.03), L2(0.8)], ids=repr)
def test_an_image_stops_where_it_is_broken_also_while_nobody_looks(ball: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = digit_net(), digits(16)
    found = []
    for when in (lambda step, x: True, lambda step, x: step == 8):
        monkeypatch.setattr("glasshouse.attacks.square.due", when)
        torch.manual_seed(1)
        found.append(Square(ball, queries=25, restarts=2)(model, x, y))
    assert torch.equal(*(broken(model, t, y) for t in found)) and broken(model, found[0], y).any()
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)


@pytest.mark.parametrize("ball", [Linf(0.02), L2(0.4)], ids=repr)
def test_images_do_not_see_each_other(ball: Any) -> None:
    model = steep_net()
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        y = model(x).argmax(1)
    found = []
    for chosen in ([0, 1, 2, 3, 4, 5], [4, 1], [3]):
        torch.manual_seed(0)
        found.append(Square(ball, queries=40, restarts=2)(model, x[chosen], y[chosen]))
    torch.testing.assert_close(found[1], found[0][[4, 1]])
    torch.testing.assert_close(found[2], found[0][[3]])
    assert 0 < int(broken(model, found[0], y).sum()) < 6


def test_a_restart_draws_anew_and_only_for_those_that_stand() -> None:
    model, (x, y) = digit_net(), digits(12)
    torch.manual_seed(0)
    with asked(model) as seen:
        x_adv = Square(Linf(0.05), queries=20, restarts=3)(model, x, y)
    assert len(seen) == 1 + 3 * 20 and len(seen[21]) < 12
    standing = ~broken(model, x_adv, y)
    last = seen[-1].shape[0]
    assert int(standing.sum()) <= last
    tries = torch.stack([t[-1] for t in seen[1:]])  # the last image stands to the end
    assert standing.nonzero()[-1] >= 0 and len({t.numpy().tobytes() for t in tries}) > 50
    with torch.no_grad():
        once = Margin()(model(torch.stack([t[-1] for t in (seen[1], seen[21], seen[41])])), y[standing][-1:].expand(3))
        best = Margin()(model(x_adv[standing][-1:]), y[standing][-1:])
    assert (once <= best + 1e-5).all() and not torch.equal(seen[1][-1], seen[21][-1])


def test_the_best_of_everything_asked_comes_back() -> None:
    model, (x, y) = digit_net(), (t[6:] for t in digits(12))
    with asked(model) as seen:
        x_adv = Square(Linf(1e-3), queries=10, restarts=4)(model, x, y)
    assert [len(t) for t in seen] == [6] * 41
    with torch.no_grad():
        best = torch.stack([Margin()(model(t), y) for t in seen[1:]])
        torch.testing.assert_close(Margin()(model(x_adv), y), best.amax(0))
    assert (best[-10:].amax(0) < best.amax(0)).any()  # the last restart is not the best for all


@pytest.mark.parametrize("shape", [(1, 12, 20), (4, 7, 5), (2, 3, 3)])
@pytest.mark.parametrize("ball", [Linf(0.1), L2(0.5)], ids=repr)
def test_images_may_have_any_shape(shape: tuple[int, int, int], ball: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 3))
    x = torch.rand(5, *shape).round(decimals=1)
    with torch.no_grad():
        y = model(x).argmax(1)
    x_adv = Square(ball, queries=120)(model, x, y)
    assert x_adv.shape == x.shape and x_adv.isfinite().all()
    assert float(x_adv.min()) >= 0 and float(x_adv.max()) <= 1 and (ball.norm(x_adv - x) <= ball.eps + 1e-6).all()
    with torch.no_grad():
        margins = [Margin()(model(t), y) for t in (x, x_adv)]
    assert (margins[1] > margins[0]).all()


class Rounding(nn.Module):
    """A network behind pixels of few levels: its gradient is 0 everywhere."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x * 16).round() / 16)


@pytest.mark.parametrize("ball", [Linf(0.08), L2(1.5)], ids=repr)
def test_it_breaks_what_hides_its_gradient(ball: Any) -> None:
    model, (x, y) = Rounding(digit_net()), digits(16)
    y = torch.where(broken(model, x, y), model(x).argmax(1), y)
    blind = PGD(ball, steps=20, random_start=False)(model, x, y)
    assert not broken(model, blind, y).any()
    x_adv = Square(ball, queries=200)(model, x, y)
    assert broken(model, x_adv, y).float().mean() > 0.8


@pytest.mark.parametrize("ball", [Linf(0.03), L2(0.8)], ids=repr)
def test_it_is_as_strong_as_the_peer(ball: Any) -> None:
    model, (x, y) = digit_net(), digits(64)
    shares = []
    for seed in range(2):
        peer = SquareAttack(model, type(ball).__name__, n_queries=100, eps=ball.eps, seed=seed, device="cpu")
        torch.manual_seed(seed)
        ours = Square(ball, queries=100)(model, x, y)
        shares.append([float(broken(model, t, y).float().mean()) for t in (peer.perturb(x, y), ours)])
    theirs, ours = torch.tensor(shares).mean(0)
    # Which images break depends on the draws for perhaps a fifth of them: the spread of the difference of two means
    # over 2 x 64 such trials is sqrt(2 x 0.2 x 0.25 / 128) = 0.03.
    assert 0.2 < theirs < 0.8 and ours > theirs - 0.06


@pytest.mark.parametrize(
    ("field", "value"),
    [("ball", L2(math.inf)), ("ball", Linf(math.inf)), ("queries", 0), ("share", 0.0), ("share", 1.5), ("restarts", 0)],
)
def test_settings_without_meaning_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        Square(**{field: value})
