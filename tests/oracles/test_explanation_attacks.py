"""What explanation attacks reach where the best is known, and beside random changes of the same size."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.attacks import (
    L2,
    PGD,
    Frame,
    KeepingExplanation,
    Linf,
    MassCentre,
    OtherImage,
    TargetMap,
    TargetRegion,
    TopK,
    Turned,
)
from glasshouse.attacks.explanations import lowered, mass, mass_centre, top_share, untouched
from glasshouse.attacks.smoothing import smooth_map, smoothed
from glasshouse.attacks.target_map import map_distance
from glasshouse.data import Digits
from glasshouse.explainers import (
    ELIME,
    LRP,
    GradCAM,
    InputGradient,
    IntegratedGradients,
    SmoothGrad,
    VarGrad,
)
from glasshouse.metrics.fooling import intersection
from glasshouse.models import SmallCNN
from glasshouse.modes import frozen
from glasshouse.types import Batch, Explainer
from nets import SIDE, Boom, Net, exploding, full_batch, mixed_net, seeded_net, state

QUICK = Linf(eps=0.05)
EVERY = [TopK(), MassCentre(), TargetMap(), TargetMap(pattern=Turned()), TargetRegion(), KeepingExplanation()]


class Bowl(nn.Module):
    """Logits (|x|^2 / 2 - floor, 0): the gradient of the first is the image itself."""

    def __init__(self, floor: float = 0.0) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1).square().sum(1) / 2 - self.floor
        return torch.stack([score, torch.zeros_like(score)], 1)


def images(count: int = 3) -> Tensor:
    return 0.3 + 0.4 * full_batch(count).x


NO_CLASS = torch.zeros(3, dtype=torch.int64)


def test_on_a_bowl_top_k_darkens_the_brightest_pixels_and_brightens_all_others() -> None:
    x = images()
    top = top_share(x.sum(1), 0.05)[:, None]
    torch.testing.assert_close(TopK(ball=QUICK)(Bowl(), x, NO_CLASS), x + torch.where(top, -0.05, 0.05))
    assert top.sum((1, 2, 3)).tolist() == [round(0.05 * SIDE**2)] * 3


def test_on_a_bowl_a_region_is_brightened_and_all_else_darkened() -> None:
    x = images()
    region = Frame()(x[:, 0])[:, None] > 0
    found = TargetRegion(ball=QUICK)(Bowl(), x, NO_CLASS)
    torch.testing.assert_close(found, x + torch.where(region, 0.05, -0.05))


def test_on_a_bowl_a_map_within_reach_is_reached() -> None:
    torch.manual_seed(0)
    half = 0.4 + 0.2 * full_batch(3).x
    x = half + 0.04 * torch.rand_like(half)
    x[:, :, SIDE // 2 :] = (half + 0.04 * torch.rand_like(half)).flip(2, 3)[:, :, SIDE // 2 :]
    wanted = Turned()(x.sum(1))
    attack = TargetMap(pattern=Turned(), ball=QUICK, step_size=0.02, class_weight=0.0)
    found, careful = (a(Bowl(), x, NO_CLASS) for a in (attack, replace(attack, class_weight=1.0)))
    assert (map_distance(found.sum(1), wanted) < 0.01 * map_distance(x.sum(1), wanted)).all()
    told, told_carefully = ((Bowl()(t) - Bowl()(x)).square().mean(1) for t in (found, careful))
    assert told_carefully.sum() < 0.1 * told.sum()


def test_where_the_class_is_lost_steps_lead_back_to_it() -> None:
    x = images()
    darker = x - torch.where(top_share(x.sum(1), 0.5)[:, None], 0.03, -0.02)  # what half of the way would be
    model = Bowl(floor=float((x.flatten(1).square().sum(1) / 2).min()) - 1e-3)
    assert not model(darker).argmax(1).eq(0).all()
    y = model(x).argmax(1)
    attack = TopK(share=0.5, ball=QUICK)
    found = attack(model, x, NO_CLASS)
    assert torch.equal(model(found).argmax(1), y)
    top = top_share(x.sum(1), 0.5)
    before, after, best = (
        (mass(t.sum(1)) * top).sum((1, 2)) for t in (x, found, x + torch.where(top[:, None], -0.05, 0.05))
    )
    # All the way is not allowed; a good part of it is, along the border of the class.
    assert ((before - after) > 0.6 * (before - best)).all()


def test_each_image_keeps_the_best_point_of_its_path() -> None:
    x = torch.full((2, 1, 4, 4), 0.5)
    values = iter(torch.tensor([[5.0, 0.0], [3.0, 1.0], [1.0, 2.0], [2.0, -1.0], [1.0, 1.0]]))
    attack = TopK(ball=Linf(eps=0.4), step_size=0.25, steps=4)
    start = untouched(attack.explainer, Bowl(), x)
    found, lowest = lowered(attack, Bowl(), start, x, lambda a, logits: a.sum((1, 2)), lambda a, logits: next(values))
    torch.testing.assert_close(found[:, 0, 0, 0], torch.tensor([0.3, 0.2]))
    assert lowest.tolist() == [1, -1]


class Narrow(nn.Module):
    """Another class for any other image than these."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, x: Tensor) -> Tensor:
        same = (x == self.x).flatten(1).all(1).to(x)
        return Bowl()(x) * torch.stack([same, 1 - same], 1) + torch.stack([0 * same, 1 - same], 1) * 1e3


@pytest.mark.parametrize("attack", EVERY[:5], ids=repr)
def test_an_image_that_cannot_move_without_losing_its_class_stays(attack: Any) -> None:
    x = images()
    assert torch.equal(replace(attack, steps=3)(Narrow(x), x, NO_CLASS), x)


class Rounded(nn.Module):
    """Pixels in steps of 1/8, with the gradient of what was not rounded; then a small network."""

    def __init__(self) -> None:
        super().__init__()
        self.network = seeded_net().double()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x + ((8 * x).round() / 8 - x).detach())


EXPLAINERS = [
    InputGradient(),
    InputGradient(times_input=True),
    IntegratedGradients(steps=4),
    SmoothGrad(samples=3),
    VarGrad(samples=3),
    GradCAM(),
    LRP(),
]


@pytest.mark.parametrize("explainer", EXPLAINERS, ids=repr)
def test_a_smooth_map_has_the_derivative_that_its_differences_show(explainer: Explainer) -> None:
    model, batch = seeded_net().double(), full_batch(3)
    x, direction = batch.x.double(), torch.randn(batch.x.shape, dtype=torch.float64)
    weight = torch.rand(3, SIDE, SIDE, dtype=torch.float64)
    with frozen(model):
        here = x.clone().requires_grad_()
        total = (smooth_map(explainer, model, here, batch.y, 10.0) * weight).sum()
        (gradient,) = torch.autograd.grad(total, here)
        ends = [(explainer(model, x + h * direction, batch.y) * weight).sum() for h in (-1e-5, 1e-5)]
    slope = (ends[1] - ends[0]) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-9)


def test_a_detach_of_the_model_means_what_it_says() -> None:
    model, batch = Rounded(), full_batch(3)
    x = ((8 * batch.x).round() / 8).double()  # here rounding changes nothing
    with frozen(model):
        found = []
        for network in (model, model.network):
            here = x.clone().requires_grad_()
            total = smooth_map(InputGradient(), network, here, batch.y, 10.0).square().sum()
            found.append(torch.autograd.grad(total, here)[0])
    torch.testing.assert_close(*found)
    assert found[0].any()


class Ways(nn.Module):
    """All ways to call a ReLU, one after the other."""

    def __init__(self, soft: float | None = None) -> None:
        super().__init__()
        self.soft = soft
        self.plain, self.in_place = nn.ReLU(), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        here = x - 0.5
        for k in range(9):
            here = (self.rectified(k, here) if self.soft is None else F.softplus(here, self.soft)) * 1.5 - 0.4
        return here.flatten(1)[:, :4]

    def rectified(self, k: int, x: Tensor) -> Tensor:
        ways = [self.plain, self.in_place, F.relu, torch.relu, torch.relu_, lambda t: F.relu(t, True)]
        if k < len(ways):
            return ways[k](x)
        if k == 6:
            return x.relu()
        x = x.clone()
        x.relu_() if k == 7 else F.relu(input=x, inplace=True)  # the result is not looked at
        return x


def test_every_relu_is_a_softplus_while_it_lasts_and_none_afterwards() -> None:
    model, x = Ways(), full_batch(3).x
    plain, soft = model(x), Ways(soft=7.0)(x)
    with smoothed(model, x, 7.0):
        torch.testing.assert_close(model(x), soft)
        assert float(F.relu(torch.tensor(-0.1))) == 0  # outside the model a ReLU is a ReLU: explainers have some
        assert x.detach() is x
    assert torch.equal(model(x), plain) and not torch.equal(plain, soft)
    assert x.detach() is not x and not model._forward_hooks and not model._forward_pre_hooks


def test_without_smoothing_a_map_of_relus_has_no_slope_to_follow() -> None:
    model, batch = seeded_net(activation=nn.ReLU).eval(), full_batch()
    hard = TopK(ball=QUICK, beta_start=1e9, beta_end=1e9)(model, batch.x, batch.y)
    assert torch.equal(hard, batch.x)
    assert not torch.equal(TopK(ball=QUICK)(model, batch.x, batch.y), batch.x)


@dataclass(frozen=True)
class Deaf:
    """A user's explainer that knows nothing of create_graph."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return InputGradient()(model, x, target).detach()


@dataclass(frozen=True)
class Steep:
    """A map whose derivative is no number."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return InputGradient()(model, x, target, create_graph=create_graph) + (0 * x.sum(1)).sqrt()


REFUSED = [(ELIME(), "create_graph"), (Deaf(), "Deaf.*no differentiable"), (Steep(), "Steep.*NaN")]


@pytest.mark.parametrize(("explainer", "told"), REFUSED)
@pytest.mark.parametrize("attack", EVERY, ids=repr)
def test_an_explainer_without_a_derivative_is_refused(attack: Any, explainer: Any, told: str, net: Net) -> None:
    batch = full_batch(2)
    before = state(net)
    with pytest.raises(ValueError, match=told):
        replace(attack, explainer=explainer)(net, batch.x, batch.y)
    assert state(net) == before


@pytest.mark.parametrize("call", range(1, 9))
@pytest.mark.parametrize("attack", EVERY, ids=repr)
def test_an_error_anywhere_leaves_no_trace(attack: Any, call: int, batch: Batch) -> None:
    net = mixed_net(nn.ReLU)
    before = state(exploding(net, call))
    with suppress(Boom) if call > 6 else pytest.raises(Boom):
        replace(attack, steps=2)(net, batch.x, batch.y)
    assert state(net) == before and not batch.x.requires_grad
    assert batch.x.detach() is not batch.x
    with smoothed(net, batch.x, 1.0):  # even an error while ReLUs are replaced
        with suppress(Boom):
            exploding(net, 1)(batch.x)
        assert float(F.relu(torch.tensor(-1.0))) == 0
    assert float(net.features[2](torch.tensor(-1.0))) == 0


@pytest.mark.parametrize("attack", EVERY, ids=repr)
def test_no_image_depends_on_its_batch(attack: Any) -> None:
    net, batch = mixed_net(nn.ReLU).double(), full_batch()
    x = batch.x.double()
    found = []
    for parts in ([slice(0, 6)], [slice(0, 1), slice(1, 4), slice(4, 6)]):
        moved = []
        for part in parts:
            torch.manual_seed(3)
            moved.append(replace(attack, steps=4, ball=L2(eps=0.5))(net, x[part], batch.y[part]))
        found.append(torch.cat(moved))
    torch.testing.assert_close(*found, atol=1e-6, rtol=0)
    assert found[0].dtype == torch.float64


@pytest.mark.parametrize("attack", EVERY[:5], ids=repr)
def test_attacks_on_the_map_do_not_look_at_the_true_class(attack: Any, net: Net, batch: Batch) -> None:
    found = []
    for y in (batch.y, (batch.y + 1) % 4):
        torch.manual_seed(0)
        found.append(replace(attack, steps=4)(net, batch.x, y))
    assert torch.equal(*found) and not torch.equal(found[0], batch.x)


def test_mass_is_shares_that_add_up_however_small_the_map_is() -> None:
    attribution = torch.randn(4, 8, 8)
    expected = attribution.abs() / attribution.abs().sum((1, 2), keepdim=True)
    torch.testing.assert_close(mass(attribution), expected)
    torch.testing.assert_close(mass(1e-35 * attribution), expected, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(mass(torch.zeros(2, 8, 8)), torch.full((2, 8, 8), 1 / 64))
    flat = torch.zeros(2, 8, 8, requires_grad=True)
    mass(flat)[:, :4].sum().backward()
    assert flat.grad is not None and flat.grad.isfinite().all()


def test_the_centre_of_a_single_pixel_is_that_pixel() -> None:
    attribution = torch.zeros(2, 6, 9)
    attribution[0, 2, 7], attribution[1, 5, 0] = -3.0, 1.0
    assert mass_centre(attribution).tolist() == [[2, 7], [5, 0]]


def test_patterns_are_what_they_say() -> None:
    attribution = torch.randn(3, 20, 30)
    frame = Frame(width=0.1)(attribution)
    assert frame[:, 2:-2, 2:-2].eq(0).all() and frame.sum((1, 2)).tolist() == [20 * 30 - 16 * 26] * 3
    turned = Turned()(attribution)
    assert torch.equal(turned[:, 0, 0], attribution[:, -1, -1].abs())
    assert torch.equal(OtherImage()(attribution)[2], attribution[0].abs())
    with pytest.raises(ValueError, match="at least two"):
        OtherImage()(attribution[:1])


@pytest.mark.parametrize(
    ("cls", "values", "told"),
    [
        (TopK, {"share": 1.0}, "share"),
        (TopK, {"steps": 0}, "steps"),
        (MassCentre, {"step_size": 0.0}, "step_size"),
        (TargetMap, {"class_weight": -1.0}, "class_weight"),
        (TargetRegion, {"beta_start": 0.0}, "beta_start"),
        (KeepingExplanation, {"beta_end": 1.0}, "beta_end"),
        (KeepingExplanation, {"weight": -1.0}, "weight"),
        (Frame, {"width": 0.5}, "width"),
    ],
)
def test_impossible_settings_are_refused(cls: Any, values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"{cls.__name__}: {told} is"):
        cls(**values)


class Trained:
    """A small network that reads digits, images that it gets right, and how random changes move its maps."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = SmallCNN(width=12)(10)
        samples = Digits(decoy=None, size=16)("train")
        batch = samples[range(len(samples))]
        optimiser = torch.optim.Adam(self.model.parameters(), 5e-3)
        for _ in range(4):
            for part in torch.randperm(len(batch.x)).split(64):
                optimiser.zero_grad()
                F.cross_entropy(self.model(batch.x[part]), batch.y[part]).backward()
                optimiser.step()
        self.model.eval()
        test = Digits(decoy=None, size=16)("test")[range(32)]
        right = self.predicted(test.x) == test.y
        self.x, self.y = test.x[right][:12], test.y[right][:12]
        signs = torch.rand(self.x.shape, generator=torch.Generator().manual_seed(0)).sub(0.5).sign()
        self.noisy = (self.x + 8 / 255 * signs).clamp(0, 1)

    @torch.no_grad()
    def predicted(self, x: Tensor) -> Tensor:
        return self.model(x).argmax(1)

    def map(self, x: Tensor, explainer: Explainer | None = None) -> Tensor:
        return (explainer or InputGradient())(self.model, x, self.y)


@pytest.fixture(scope="module")
def digits() -> Trained:
    return Trained()


def test_the_network_reads_digits(digits: Trained) -> None:
    assert len(digits.x) == 12


@pytest.mark.parametrize("explainer", [InputGradient(), IntegratedGradients(steps=4), GradCAM()], ids=repr)
def test_top_k_moves_the_important_pixels_far_and_keeps_every_prediction(explainer: Explainer, digits: Trained) -> None:
    x_adv = TopK(explainer=explainer, steps=30)(digits.model, digits.x, digits.y)
    assert torch.equal(digits.predicted(x_adv), digits.y)
    before, after, random = (digits.map(t, explainer) for t in (digits.x, x_adv, digits.noisy))
    left, left_by_chance = (intersection(before, m, 0.05).mean() for m in (after, random))
    assert left < 0.7 * left_by_chance


def test_a_target_map_comes_closer_than_random_changes_bring_it(digits: Trained) -> None:
    before, random = digits.map(digits.x), digits.map(digits.noisy)
    for pattern in (Frame(), Turned(), OtherImage()):
        x_adv = TargetMap(pattern=pattern, steps=30)(digits.model, digits.x, digits.y)
        assert torch.equal(digits.predicted(x_adv), digits.y)
        wanted = pattern(before)
        start, chance, found = (map_distance(m, wanted) for m in (before, random, digits.map(x_adv)))
        assert found.mean() < 0.7 * min(chance.mean(), start.mean()) and (found < start).all()


def test_the_centre_and_a_region_follow_the_attack(digits: Trained) -> None:
    before, random = digits.map(digits.x), digits.map(digits.noisy)
    torch.manual_seed(0)
    x_adv = MassCentre()(digits.model, digits.x, digits.y)
    assert torch.equal(digits.predicted(x_adv), digits.y)
    moved, by_chance = ((mass_centre(m) - mass_centre(before)).norm(dim=1) for m in (digits.map(x_adv), random))
    assert moved.mean() > 2 * by_chance.mean()
    x_adv = TargetRegion()(digits.model, digits.x, digits.y)
    assert torch.equal(digits.predicted(x_adv), digits.y)
    inside = [(mass(m) * Frame()(m)).sum((1, 2)) for m in (before, random, digits.map(x_adv))]
    assert (inside[2] > inside[0]).all() and inside[2].mean() > 1.3 * inside[1].mean()


def test_predictions_break_and_maps_stay_as_they_were(digits: Trained) -> None:
    torch.manual_seed(0)
    ball = Linf(eps=0.1)
    plain = PGD(ball=ball, steps=50)(digits.model, digits.x, digits.y)
    kept = KeepingExplanation(ball=ball)(digits.model, digits.x, digits.y)
    careless = KeepingExplanation(ball=ball, weight=0.0)(digits.model, digits.x, digits.y)
    broken = [digits.predicted(t) != digits.y for t in (plain, kept)]
    assert broken[0].float().mean() > 0.5 and broken[1].sum() >= 0.9 * broken[0].sum()
    both = broken[0] & broken[1]
    distance = [map_distance(digits.map(t), digits.map(digits.x))[both].mean() for t in (plain, careless, kept)]
    assert distance[2] < 0.5 * distance[0] and distance[2] < 0.9 * distance[1]


def test_what_is_wrong_already_stays_as_it_is(digits: Trained) -> None:
    wrong = (digits.y + 1) % 10
    assert torch.equal(KeepingExplanation(steps=3)(digits.model, digits.x, wrong), digits.x)
