"""Auto-PGD: closed forms, the paper's algorithm in plain loops, and the authors' code on trained networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from torch import Tensor, nn

from glasshouse.attacks import APGD, CE, DLR, L2, PGD, Limited, Linf, Margin
from glasshouse.attacks import apgd as module
from glasshouse.attacks.apgd import Climb, checked, checkpoints
from glasshouse.draws import draws
from glasshouse.types import Batch
from nets import SIDE, Linear, Net, full_batch, steep_net
from trained import digits, digits_net

BALLS = [Linf(eps=0.05), L2(eps=0.4)]


class Recorder(nn.Module):
    """Notes every batch that goes into a model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.model(x)


class Scaled(nn.Module):
    """The same decisions with logits ``by`` times as large."""

    def __init__(self, model: nn.Module, by: float) -> None:
        super().__init__()
        self.model, self.by = model, by

    def forward(self, x: Tensor) -> Tensor:
        return self.by * self.model(x)


def right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model.eval()(x).argmax(1) == y


def sure(model: Linear) -> tuple[Tensor, Tensor, Tensor]:
    """Two images, one of each class, that stand their ground, and the direction towards the boundary."""
    sign = torch.tensor([1, -1]).view(-1, 1, 1, 1) * model.weight.detach().sign()
    return 0.5 + 0.05 * sign, torch.tensor([0, 1]), -sign


LOSSES = pytest.mark.parametrize("loss", [CE(), DLR(), Margin()], ids=repr)


@LOSSES
@pytest.mark.parametrize("targets", [0, 1, 9])
def test_the_optimum_of_a_linear_model(loss: Any, targets: int, linear: Callable[[], Linear]) -> None:
    model = linear().double()
    x, y, downhill = sure(model)
    size = model.weight.detach().abs()
    linf = APGD(ball=Linf(eps=0.02), loss=loss, targets=targets)(model, x, y)
    torch.testing.assert_close(linf, x + 0.02 * downhill)
    l2 = APGD(ball=L2(eps=0.4), loss=loss, targets=targets)(model, x, y)
    torch.testing.assert_close(l2, x + 0.4 * downhill * size / size.norm(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("ball", BALLS, ids=repr)
def test_a_linear_model_breaks_exactly_where_its_margin_is_too_small(ball: Any, linear: Callable[[], Linear]) -> None:
    model = linear()
    weight = model.weight.detach()
    reach = ball.eps * float(weight.norm(p=1 if isinstance(ball, Linf) else 2))
    shares = torch.tensor([0.1, 0.5, 0.9, 0.97, 1.03, 1.1, 2.0])
    grey = torch.full((len(shares), 3, SIDE, SIDE), 0.5)
    score = (grey * weight).flatten(1).sum(1)
    x = grey + ((shares * reach - score) / weight.square().sum()).view(-1, 1, 1, 1) * weight
    y = torch.zeros(len(x), dtype=torch.int64)
    x_adv = APGD(ball=ball)(model, x, y)
    assert right(model, x, y).all()
    assert torch.equal(right(model, x_adv, y), shares > 1)


def test_the_checkpoints_are_those_of_the_paper() -> None:
    assert sorted(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    shares = [0.0, 0.22]
    while shares[-1] <= 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    for steps in (1, 3, 10, 33, 50, 1000):
        assert checkpoints(steps) == {math.ceil(share * steps - 1e-9) for share in shares[1:-1]}


def test_a_step_is_halved_by_the_two_rules_of_the_paper() -> None:
    # rises, halved the last time, best loss now (1 at the last checkpoint) -> halved
    rows = [
        (11, False, 2.0, True),  # too few rises
        (11, True, 2.0, True),
        (12, False, 2.0, False),  # as many as it takes
        (12, False, 1.0, True),  # no better point, and the step is as it was
        (12, True, 1.0, False),  # no better point, but the step is new
    ]
    rises, before, best, expected = (torch.tensor(column) for column in zip(*rows, strict=True))
    point, one = torch.rand(5, 1, 1, 1), torch.ones(5)
    top, none = point + 1, torch.zeros(5, dtype=torch.bool)
    climb = Climb(point, point, point, 0 * one, top, top + 1, best, one, before, rises, one, none)
    after = checked(climb, 0.75 * 16)
    assert after.halved.tolist() == expected.tolist()
    assert after.step_size.tolist() == [0.5 if halved else 1.0 for halved in expected]
    chosen = expected.view(-1, 1, 1, 1)
    assert torch.equal(after.x_adv, torch.where(chosen, top, point))
    assert torch.equal(after.gradient, torch.where(chosen, top + 1, point))
    assert torch.equal(after.loss, torch.where(expected, best, 0 * one))
    assert torch.equal(after.checked, best) and not after.rises.any()
    held = checked(climb._replace(broken=~none), 0.75 * 16)
    assert torch.equal(held.x_adv, point) and torch.equal(held.loss, climb.loss)


def paper(attack: APGD, model: nn.Module, x: Tensor, y: Tensor, start: Tensor, target: Tensor | None) -> Tensor:
    """Algorithm 1 for one image, ``[1, C, H, W]``, that always goes on to the end.

    Given back is the first point that broke it, or else the one of highest loss.
    """

    def f(point: Tensor) -> tuple[float, Tensor]:
        point = point.detach().clone().requires_grad_()
        loss = attack.loss(model(point), y, target).sum()
        return loss.item(), torch.autograd.grad(loss, point)[0]

    def into(point: Tensor) -> Tensor:
        delta = point - x
        if isinstance(attack.ball, Linf):
            delta = torch.minimum(torch.maximum(delta, torch.tensor(-eps)), torch.tensor(eps))
        elif delta.norm() > eps:
            delta = delta / delta.norm() * eps
        return torch.minimum(torch.maximum(x + delta, torch.tensor(0.0)), torch.tensor(1.0))

    def direction(gradient: Tensor) -> Tensor:
        return gradient.sign() if isinstance(attack.ball, Linf) else gradient / gradient.norm()

    eps, count = attack.ball.eps, attack.steps
    marks = [0, *sorted(checkpoints(count))]
    points, losses, broke = [start], [f(start)[0]], []
    broke += [] if bool(right(model, start, y)) else [start]
    best, best_loss, eta = start, losses[0], 2 * eps
    etas, best_losses = {0: eta}, {0: best_loss}
    rises = []
    for k in range(1, count + 1):
        gradient = f(points[-1])[1]
        z = into(points[-1] + eta * direction(gradient))
        new = z if k == 1 else into(points[-1] + 0.75 * (z - points[-1]) + 0.25 * (points[-1] - points[-2]))
        loss = f(new)[0]
        rises.append(loss > losses[-1])
        broke += [] if bool(right(model, new, y)) else [new]
        if loss > best_loss:
            best, best_loss = new, loss
        points.append(new)
        losses.append(loss)
        if k in marks:
            j = marks.index(k)
            stretch = marks[j] - marks[j - 1]
            first = sum(rises[-stretch:]) < attack.rho * stretch
            # The step after a checkpoint is the one of the stretch that ends at the next.
            second = j > 0 and etas[marks[j - 1]] == (etas[marks[j - 2]] if j > 1 else eta)
            second = second and best_losses[marks[j - 1]] == best_loss
            if first or second:
                eta, points[-1], losses[-1] = eta / 2, best, best_loss
            etas[k], best_losses[k] = eta, best_loss
    return broke[0] if broke else best


def start_of(attack: APGD, x: Tensor, seed: int) -> Tensor:
    """Where the first ascent of each image begins under torch's seed."""
    torch.manual_seed(seed)
    delta = attack.ball.sample(x, draws(x))
    norm = delta.flatten(1).norm(dim=1, p=math.inf if isinstance(attack.ball, Linf) else 2)
    return (x + delta * attack.ball.eps / norm.view(-1, 1, 1, 1)).clamp(0, 1)


def doubles(count: int = 9) -> tuple[nn.Module, Tensor, Tensor]:
    """A curved network in float64, with images that it gets right and that are not all equally hard."""
    model = steep_net().double()
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(count, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    x[::3] = x[::3].round()  # at the ends of the pixel range
    with torch.no_grad():
        return model, x, model(x).argmax(1)


@pytest.mark.parametrize("steps", [100, 37])
@pytest.mark.parametrize("loss", [CE(), DLR()], ids=repr)
@pytest.mark.parametrize("ball", [Linf(eps=0.006), L2(eps=0.2)], ids=repr)
def test_all_images_at_once_are_the_papers_algorithm_image_by_image(ball: Any, loss: Any, steps: int) -> None:
    model, x, y = doubles()
    attack = APGD(ball=ball, steps=steps, loss=loss)
    start = start_of(attack, x, seed=3)
    expected = torch.cat([paper(attack, model, *(t[i : i + 1] for t in (x, y, start)), None) for i in range(len(x))])
    torch.manual_seed(3)
    x_adv = attack(model, x, y)
    broken = ~right(model, x_adv, y)
    assert torch.equal(broken, ~right(model, expected, y)) and 2 <= int(broken.sum()) <= len(x) - 2
    torch.testing.assert_close(x_adv, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("ball", [Linf(eps=0.006), L2(eps=0.2)], ids=repr)
def test_targets_are_the_papers_algorithm_for_each_of_the_most_probable_classes(ball: Any) -> None:
    model, x, y = doubles()
    with torch.no_grad():
        order = model(x).argsort(1, descending=True)[:, 1:]
    attack = APGD(ball=ball, steps=30, loss=DLR(), targets=3)
    seen = Recorder(model)
    torch.manual_seed(3)
    x_adv = attack(seen, x, y)
    # The starts are the first of each run, for those that still stand.
    stands, runs = torch.ones(len(x), dtype=torch.bool), []
    torch.manual_seed(3)
    stream = draws(x)
    for rank in range(3):
        delta = ball.sample(x, stream)
        start = (x + delta * ball.eps / ball.norm(delta).view(-1, 1, 1, 1)).clamp(0, 1)
        found = x.clone()
        for i in stands.nonzero()[:, 0].tolist():
            one = slice(i, i + 1)
            found[one] = paper(attack, model, x[one], y[one], start[one], order[one, rank])
        runs.append(~right(model, found, y) & stands)
        torch.testing.assert_close(x_adv[runs[-1]], found[runs[-1]], atol=1e-9, rtol=0)
        stands &= ~runs[-1]
    assert torch.equal(right(model, x_adv, y), stands) and runs[0].any() and stands.any()


@dataclass(frozen=True)
class Noting:
    """The margin, which notes its targets."""

    notes: Any = None

    def __call__(self, logits: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor:
        self.notes.append(None if target is None else target.tolist())
        return Margin()(logits, y, target)


@pytest.mark.parametrize("classes", [2, 3, 4, 12])
def test_there_are_no_more_targets_than_other_classes(classes: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, classes)).eval()
    x = torch.rand(2, 3, 4, 4)
    with torch.no_grad():
        order = model(x).argsort(1, descending=True)
    notes: list[Any] = []
    attack = APGD(ball=Linf(eps=1e-6), steps=2, restarts=2, loss=Noting(notes), targets=9)
    attack(model, x, order[:, 0])
    ranks = range(1, min(9, classes - 1) + 1)
    assert notes == [order[:, rank].tolist() for rank in ranks for _ in range(2 * 3)]
    notes.clear()
    replace(attack, targets=0, restarts=1)(model, x, order[:, 0])
    assert notes == [None] * 3


class Lure(nn.Module):
    """The second class is near and out of reach, the third is far and within reach, the other way."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        way = (x.flatten(1).mean(1) - 0.5) / 0.1
        rest = [-20 - 0 * way] * (self.classes - 3)
        return torch.stack([0 * way, -1 + 0.5 * way, -6 - 7 * way, *rest], 1)


@pytest.mark.parametrize(("classes", "loss"), [(3, Margin()), (4, DLR()), (12, DLR())])
def test_targets_find_what_the_nearest_class_hides(classes: int, loss: Any) -> None:
    x, y = torch.full((2, 3, 8, 8), 0.5), torch.tensor([0, 0])
    model, ball = Lure(classes), Linf(eps=0.1)
    for fails in (APGD(ball=ball), APGD(ball=ball, loss=loss), APGD(ball=ball, loss=loss, targets=1)):
        assert right(model, fails(model, x, y), y).all()
    x_adv = APGD(ball=ball, loss=loss, targets=2)(model, x, y)
    with torch.no_grad():
        assert model(x_adv).argmax(1).tolist() == [2, 2]


@pytest.mark.parametrize("ball", BALLS, ids=repr)
@pytest.mark.parametrize("targets", [0, 3])
def test_every_point_is_in_the_ball_and_the_first_on_its_surface(ball: Any, targets: int) -> None:
    model = Recorder(steep_net())
    x = 0.3 + 0.4 * full_batch().x
    APGD(ball=ball, steps=12, targets=targets)(model, x, right_labels(model, x))
    clean, start = model.seen[:2]
    assert torch.equal(clean, x)
    torch.testing.assert_close(ball.norm(start - x), torch.full((len(x),), ball.eps))
    for points in model.seen[1:]:
        originals = x if len(points) == len(x) else x[(points[:, None] - x).flatten(2).abs().amax(2).argmin(1)]
        assert (ball.norm(points - originals) <= ball.eps * (1 + 1e-5)).all()
        assert float(points.min()) >= 0 and float(points.max()) <= 1


def right_labels(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        labels = model(x).argmax(1)
    model.seen.clear()  # type: ignore[operator, union-attr]
    return labels


def test_an_image_leaves_at_its_first_point_of_another_class() -> None:
    model, x, y = doubles()
    seen = Recorder(model)
    x_adv = APGD(ball=Linf(eps=0.006), steps=50, restarts=3)(seen, x, y)
    sizes = [len(points) for points in seen.seen]
    assert sizes[0] == sizes[1] == len(x) and sizes == sorted(sizes, reverse=True)
    wrong = sum(int((~agree(model, points, x, y)).sum()) for points in seen.seen)
    broken = ~right(model, x_adv, y)
    assert wrong == int(broken.sum()) > 0 and not broken.all()
    assert sizes[-1] == int((~broken).sum())


def agree(model: nn.Module, points: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Whether each point has the class of the image that it belongs to."""
    return right(model, points, y[(points[:, None] - x).flatten(2).abs().amax(2).argmin(1)])


def rarely(step: int, x: Tensor) -> bool:
    """How one looks where a look makes the host wait."""
    return step < 4 or step & (step - 1) == 0


@pytest.mark.parametrize("how", [rarely, lambda step, x: False], ids=["rarely", "never"])
@pytest.mark.parametrize("attack", [APGD(targets=3, loss=DLR()), APGD(restarts=3)], ids=repr)
@pytest.mark.parametrize("ball", [Linf(eps=0.006), L2(eps=0.2)], ids=repr)
def test_looking_less_often_who_still_stands_changes_no_result(
    ball: Any, attack: APGD, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x, y = doubles()
    attack = replace(attack, ball=ball, steps=40)
    torch.manual_seed(1)
    always = attack(model, x, y)
    monkeypatch.setattr(module, "due", how)
    torch.manual_seed(1)
    torch.testing.assert_close(attack(model, x, y), always, atol=1e-9, rtol=0)


class Fickle(nn.Module):
    """Class 1 in its passes 4 and 7, class 0 in all others, whatever it is shown; the way up turns each time."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        score = x.mean((1, 2, 3)) * (-1) ** self.passes + {4: 3, 7: 9}.get(self.passes, -3)
        return torch.stack([-score, score], 1)


@pytest.mark.parametrize("how", [rarely, lambda step, x: False], ids=["rarely", "never"])
def test_a_model_that_changes_its_mind_between_looks_was_broken(how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "due", how)
    seen = Recorder(Fickle())
    x_adv = APGD(steps=9)(seen, torch.full((2, 3, 4, 4), 0.5), torch.tensor([0, 0]))
    assert torch.equal(x_adv, seen.seen[3])


@pytest.mark.parametrize("attack", [APGD(targets=3, loss=DLR()), APGD(restarts=3)], ids=repr)
def test_images_do_not_see_each_other(attack: APGD) -> None:
    model, x, y = doubles()
    attack = replace(attack, ball=Linf(eps=0.006), steps=25)
    torch.manual_seed(1)
    whole = attack(model, x, y)
    alone = []
    for i in range(len(x)):
        torch.manual_seed(1)
        alone.append(attack(model, x[i : i + 1], y[i : i + 1]))
    torch.testing.assert_close(torch.cat(alone), whole, atol=1e-9, rtol=0)


def test_an_image_that_is_wrong_already_comes_back_as_it_is_and_costs_one_pass() -> None:
    x, model = full_batch().x, Recorder(steep_net())
    wrong = (right_labels(model, x) + 1) % 4
    assert torch.equal(APGD()(model, x, wrong), x) and len(model.seen) == 1
    assert APGD()(model, x[:0], wrong[:0]).shape == x[:0].shape


def test_more_restarts_keep_the_best_point_of_them_all() -> None:
    model, x, y = doubles()
    attack = APGD(ball=L2(eps=0.1), steps=3)
    heights = []
    for restarts in (1, 4):
        torch.manual_seed(1)
        x_adv = replace(attack, restarts=restarts)(model, x, y)
        assert right(model, x_adv, y).sum() > 3
        with torch.no_grad():
            heights.append(CE()(model(x_adv), y))
    assert (heights[1] >= heights[0]).all() and (heights[1] > heights[0]).any()


def test_it_costs_what_it_says() -> None:
    model, x, y = doubles(3)
    seen = Recorder(model)
    APGD(ball=Linf(eps=1e-6), steps=7, restarts=2, targets=3)(seen, x, y)
    assert len(seen.seen) == 1 + 3 * 2 * (7 + 1)


def test_a_ball_of_no_size_leaves_every_image_as_it_is(net: Net, batch: Batch) -> None:
    for ball in (Linf(eps=0.0), L2(eps=0.0)):
        assert torch.equal(APGD(ball=ball, steps=3)(net, batch.x, batch.y), batch.x)


class Pit(nn.Module):
    """A linear model whose gradient is not a number."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) + (0 * x).sqrt().sum((1, 2, 3))[:, None]


@pytest.mark.parametrize("ball", BALLS, ids=repr)
def test_a_gradient_that_is_no_number_breaks_no_image(ball: Any, linear: Callable[[], Linear]) -> None:
    model = Pit(linear())
    x, y, _ = sure(model.model)  # type: ignore[arg-type]
    x_adv = APGD(ball=ball, steps=5)(model, x, y)
    assert x_adv.isfinite().all() and right(model, x_adv, y).all()
    assert (ball.norm(x_adv - x) <= ball.eps + 1e-6).all()


def test_a_region_limits_it_while_images_leave() -> None:
    model, batch = steep_net(), full_batch()
    with torch.no_grad():
        batch = batch._replace(y=model(batch.x).argmax(1))
    limited = Limited(attack=APGD(ball=Linf(eps=0.02), steps=10, targets=2, loss=DLR()))
    x_adv = limited.on(model, batch)
    broken = ~right(model, x_adv, batch.y)
    assert broken.any() and not broken.all()
    assert not ((x_adv != batch.x).any(1) & batch.mask).any()


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 0), ("restarts", 0), ("targets", -1), ("rho", 1.5), ("rho", -0.1)]
)
def test_what_makes_no_sense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"APGD: {field} is"):
        APGD(**{field: value})  # type: ignore[arg-type]


# Trained networks. Of 100 images and over three seeds the number that stood after one attack, ours or the authors',
# varied by at most 2 with CE, by none with targets, and by 3 with the DLR loss.
COUNT = 30


def peer(attack: APGD, model: nn.Module) -> Any:
    """The authors' code with the same settings."""
    norm = type(attack.ball).__name__
    told = {"n_iter": attack.steps, "norm": norm, "eps": attack.ball.eps, "device": "cpu", "rho": attack.rho}
    if attack.targets:
        return APGDAttack_targeted(model, n_target_classes=attack.targets, **told)
    return APGDAttack(model, loss=type(attack.loss).__name__.lower(), **told)


@pytest.mark.filterwarnings("ignore:there are:Warning")
@pytest.mark.parametrize(
    ("trained_eps", "attack", "tolerance"),
    [
        (0.0, APGD(ball=Linf(eps=0.02)), 2),
        (0.0, APGD(ball=L2(eps=0.25), loss=DLR(), targets=2), 1),
        (0.1, APGD(ball=Linf(eps=0.1), loss=DLR(), targets=2), 1),
        (0.1, APGD(ball=L2(eps=1.0)), 2),
        (0.1, APGD(ball=Linf(eps=0.1), loss=DLR()), 3),
    ],
    ids=["ce", "targeted-l2", "targeted-robust", "ce-l2-robust", "dlr-robust"],
)
def test_it_breaks_what_the_authors_code_breaks(trained_eps: float, attack: APGD, tolerance: int) -> None:
    model, batch = digits_net(trained_eps), digits(COUNT)
    torch.manual_seed(0)
    ours = right(model, attack(model, batch.x, batch.y), batch.y)
    theirs = right(model, peer(attack, model).perturb(batch.x, batch.y), batch.y)
    assert 5 <= int(theirs.sum()) < int(right(model, batch.x, batch.y).sum())  # the comparison can fail
    assert int(ours.sum()) <= int(theirs.sum()) + tolerance


def test_it_is_no_weaker_than_plain_steps_of_any_size() -> None:
    model, batch, ball = digits_net(), digits(COUNT), Linf(eps=0.02)
    torch.manual_seed(0)
    own = right(model, APGD(ball=ball)(model, batch.x, batch.y), batch.y)
    for step_size in (0.05, 0.5):
        plain = PGD(ball=ball, steps=100, step_size=step_size).search(model, batch.x, batch.y)
        assert int(own.sum()) <= int(right(model, plain, batch.y).sum()) + 2


def test_a_loss_that_has_run_out_hides_what_a_ratio_of_logits_finds() -> None:
    model, batch = Scaled(digits_net(), 1000.0), digits(COUNT)
    ball = Linf(eps=0.02)
    torch.manual_seed(0)
    ce, dlr, targeted = (
        int(right(model, attack(model, batch.x, batch.y), batch.y).sum())
        for attack in (APGD(ball=ball), APGD(ball=ball, loss=DLR()), APGD(ball=ball, loss=DLR(), targets=2))
    )
    assert ce > 2 * dlr > 0 and targeted <= dlr + 3
