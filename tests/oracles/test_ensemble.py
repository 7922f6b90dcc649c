"""The standard ensemble: who it is made of, who sees what, and the authors' code on a trained network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from glasshouse.attacks import APGD, CE, DLR, FAB, L2, Limited, Linf, Margin, Square, StandardEnsemble
from glasshouse.metrics import Accuracy
from glasshouse.modes import evaluating
from glasshouse.types import Batch
from nets import SIDE, Linear, full_batch, state, steep_net
from trained import digits, digits_net

BALLS = [Linf(eps=0.05), L2(eps=0.4)]
# Members by their place, counted from 1.
STANDS, WRONG, FIRST, TARGETED, BLIND = -1, 0, 1, 2, 4


def right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad(), evaluating(model):
        return model(x).argmax(1) == y


@pytest.mark.parametrize("ball", BALLS, ids=repr)
def test_it_is_the_standard_version_at_its_budgets(ball: Any) -> None:
    assert StandardEnsemble(ball=ball).attacks() == (
        APGD(ball=ball, steps=100, restarts=1, loss=CE(), targets=0, rho=0.75),
        APGD(ball=ball, steps=100, restarts=1, loss=DLR(), targets=9, rho=0.75),
        FAB(ball=ball, steps=100, restarts=1, classes=9, targeted=True),
        Square(ball=ball, queries=5000, share=0.8, restarts=1),
    )


@pytest.mark.parametrize(("classes", "targets"), [(2, 1), (3, 2), (4, 3), (10, 9), (1000, 9)])
def test_few_classes_have_fewer_targets_and_a_loss_that_can_rise(classes: int, targets: int) -> None:
    _, apgd, fab, _ = StandardEnsemble().attacks(classes)
    assert apgd == APGD(targets=targets, loss=DLR() if classes > 3 else Margin())
    assert fab == FAB(classes=targets)
    # However the logits lie, there is a slope towards each target.
    logits = torch.randn(4, classes, generator=torch.Generator().manual_seed(1)).sort(1, descending=True).values
    for rank in range(1, targets + 1):
        free = logits.clone().requires_grad_()
        loss = apgd.loss(free, torch.zeros(4, dtype=torch.int64), torch.full((4,), rank))  # type: ignore[attr-defined]
        (slope,) = torch.autograd.grad(loss.sum(), free)
        assert (slope.abs().amax(1) > 1e-3).all()


def test_the_budget_scales_steps_and_queries() -> None:
    ce, targeted, fab, square = StandardEnsemble(budget=0.25).attacks()
    assert (ce.steps, targeted.steps, fab.steps, square.queries) == (25, 25, 25, 1250)  # type: ignore[attr-defined]
    tiny = StandardEnsemble(budget=1e-9).attacks()
    assert [getattr(a, "steps", 0) or a.queries for a in tiny] == [1, 1, 1, 1]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Cube:
    """A ball that nobody knows."""

    eps: float = 0.1


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="StandardEnsemble: ball is Linf or L2"):
        StandardEnsemble(ball=Cube())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="budget is above 0"):
        StandardEnsemble(budget=0.0)
    with pytest.raises(ValueError, match="2 classes or more, not 1"):
        StandardEnsemble()(nn.Sequential(nn.Flatten(), nn.Linear(48, 1)), torch.rand(2, 3, 4, 4), torch.zeros(2).long())


class Brightness(nn.Module):
    """Class 0 below a mean of one half, class 1 above."""

    def forward(self, x: Tensor) -> Tensor:
        score = x.mean((1, 2, 3)) - 0.5
        return torch.stack([-score, score], 1)


class Member:
    """Adds a fixed amount to what it is shown, and notes it."""

    def __init__(self, amount: float) -> None:
        self.amount, self.seen = amount, torch.empty(0)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        self.seen = x[:, 0, 0, 0]
        return (x + self.amount).clamp(0, 1)


def with_members(monkeypatch: pytest.MonkeyPatch, *amounts: float) -> list[Member]:
    members = [Member(amount) for amount in amounts]
    monkeypatch.setattr(StandardEnsemble, "attacks", lambda self, classes: members)
    return members


def grey(levels: Tensor) -> Tensor:
    return levels.view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()


def test_each_member_sees_what_still_stands_and_gets_the_credit_for_what_it_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels = torch.tensor([0.1, 0.45, 0.9, 0.3, 0.35])
    members = with_members(monkeypatch, 0.1, 0.18, 0.02, 0.3)
    x_adv, by = StandardEnsemble().verdicts(Brightness(), grey(levels), torch.zeros(5).long())
    assert by.tolist() == [-1, 1, 0, 4, 2] and by.dtype == torch.int64
    shown = [sorted(round(v, 2) for v in member.seen.tolist()) for member in members]
    assert shown == [[0.1, 0.3, 0.35, 0.45], [0.1, 0.3, 0.35], [0.1, 0.3], [0.1, 0.3]]
    # Broken images at the point that broke them, the one that stands where it came nearest.
    torch.testing.assert_close(x_adv[:, 0, 0, 0], torch.tensor([0.4, 0.55, 0.9, 0.6, 0.53]))


def test_the_nearest_failure_is_kept_and_a_worse_start_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = grey(torch.tensor([0.2, 0.2])), torch.zeros(2).long()
    with_members(monkeypatch, 0.2, 0.1)
    torch.testing.assert_close(StandardEnsemble()(Brightness(), x, y), x + 0.2)
    with_members(monkeypatch, -0.1)
    assert torch.equal(StandardEnsemble()(Brightness(), x, y), x)


def test_when_nobody_stands_nobody_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    members = with_members(monkeypatch, 0.5, 0.5)
    x = grey(torch.tensor([0.1, 0.3]))
    _, by = StandardEnsemble().verdicts(Brightness(), x, torch.zeros(2).long())
    assert by.tolist() == [1, 1] and not len(members[1].seen)
    x_adv, by = StandardEnsemble().verdicts(Brightness(), x, torch.ones(2).long())
    assert by.tolist() == [0, 0] and torch.equal(x_adv, x)
    x_adv, by = StandardEnsemble().verdicts(Brightness(), x[:0], torch.ones(0).long())
    assert x_adv.shape == x[:0].shape and by.shape == (0,)


@pytest.mark.parametrize("ball", BALLS, ids=repr)
def test_a_linear_model_of_two_classes_breaks_where_its_margin_is_too_small(
    ball: Any, linear: Callable[[], Linear]
) -> None:
    model = linear()
    weight = model.weight.detach()
    reach = ball.eps * float(weight.norm(p=1 if isinstance(ball, Linf) else 2))
    shares = torch.tensor([-1.0, 0.1, 0.9, 0.97, 1.03, 1.1, 2.0])
    centre = torch.full((len(shares), 3, SIDE, SIDE), 0.5)
    score = (centre * weight).flatten(1).sum(1)
    x = centre + ((shares * reach - score) / weight.square().sum()).view(-1, 1, 1, 1) * weight
    y = torch.zeros(len(x), dtype=torch.int64)
    x_adv, by = StandardEnsemble(ball=ball, budget=0.1).verdicts(model, x, y)
    assert by.sign().tolist() == [0, 1, 1, 1, -1, -1, -1]
    assert torch.equal(right(model, x_adv, y), by < 0)


class Lure(nn.Module):
    """The second class is near and out of reach, the third is far and within reach, the other way."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        way = (x.flatten(1).mean(1) - 0.5) / 0.1
        rest = [-20 - 0 * way] * (self.classes - 3)
        return torch.stack([0 * way, -1 + 0.5 * way, -6 - 7 * way, *rest], 1)


@pytest.mark.parametrize("classes", [3, 4, 12])
def test_the_targeted_member_finds_what_the_first_does_not(classes: int) -> None:
    x = torch.full((2, 3, 8, 8), 0.5)
    _, by = StandardEnsemble(ball=Linf(eps=0.1), budget=0.2).verdicts(Lure(classes), x, torch.tensor([0, 0]))
    assert by.tolist() == [TARGETED, TARGETED]


class Stairs(nn.Module):
    """A linear model of coarse brightness: no gradient anywhere."""

    def forward(self, x: Tensor) -> Tensor:
        score = (x * 50).round().mean((1, 2, 3)) / 50 - 0.5
        return torch.stack([-score, score], 1)


def test_the_blind_member_finds_what_has_no_gradient() -> None:
    x = grey(torch.tensor([0.49, 0.2]))
    _, by = StandardEnsemble(ball=Linf(eps=0.1), budget=0.1).verdicts(Stairs(), x, torch.tensor([0, 0]))
    assert by[1] == STANDS and by[0] in (FIRST, BLIND)  # a random start can break it, too
    _, by = StandardEnsemble(ball=Linf(eps=0.1), budget=0.1).verdicts(
        Stairs(), grey(torch.tensor([0.43])), torch.tensor([0])
    )
    assert by.tolist() == [BLIND]


@pytest.mark.parametrize("ball", [Linf(eps=0.02), L2(eps=0.5)], ids=repr)
def test_it_stays_in_the_ball_and_gives_everything_back(ball: Any) -> None:
    model, batch = steep_net().train(), full_batch(12)
    y = model(batch.x).argmax(1).where(torch.arange(12) > 1, 0)
    before, x = state(model), batch.x.clone()
    x_adv, by = StandardEnsemble(ball=ball, budget=0.05).verdicts(model, batch.x, y)
    assert state(model) == before and torch.equal(batch.x, x) and not x_adv.requires_grad
    assert float(x_adv.min()) >= 0 and float(x_adv.max()) <= 1 and (ball.norm(x_adv - x) <= ball.eps + 1e-5).all()
    assert torch.equal(right(model, x_adv, y), by == STANDS)
    assert torch.equal(~right(model, x, y), by == WRONG) and (by > 0).any()


def test_a_region_limits_it_while_images_leave() -> None:
    model, batch = steep_net(), full_batch()
    with torch.no_grad():
        batch = batch._replace(y=model(batch.x).argmax(1))
    limited = Limited(attack=StandardEnsemble(ball=Linf(eps=0.02), budget=0.05))
    x_adv = limited.on(model, batch)
    stands = right(model, x_adv, batch.y)
    assert stands.any() and not stands.all()
    assert not ((x_adv != batch.x).any(1) & batch.mask).any()


@pytest.mark.filterwarnings("ignore:there are:Warning")
@pytest.mark.parametrize(("trained_eps", "ball"), [(0.1, Linf(eps=0.1)), (0.0, L2(eps=0.25))], ids=repr)
def test_it_breaks_what_the_authors_ensemble_breaks(trained_eps: float, ball: Any) -> None:
    """Both at a tenth of the budgets. One image of tolerance: over four seeds either stood with 6 or 7, and with 12."""
    model, batch = digits_net(trained_eps), digits(24)
    peer = AutoAttack(model, norm=type(ball).__name__, eps=ball.eps, seed=0)
    for apgd in (peer.apgd, peer.apgd_targeted):
        apgd.n_iter, apgd.n_iter_2, apgd.n_iter_min, apgd.size_decr = 10, 2, 1, 1
    peer.fab.n_iter, peer.square.n_queries = 10, 500
    broken, _ = peer.run_standard_evaluation(batch.x, batch.y)
    theirs = int(right(model, broken, batch.y).sum())
    torch.manual_seed(0)
    metric = Accuracy(attack=StandardEnsemble(ball=ball, budget=0.1))
    ours = metric(model, Batch(batch.x, batch.y))
    assert 3 <= theirs < int(right(model, batch.x, batch.y).sum())  # the comparison can fail
    assert int(ours.sum()) <= theirs + 1
