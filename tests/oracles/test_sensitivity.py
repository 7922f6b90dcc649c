"""What moves with an image's neighbours is the formula of the paper, in double precision, and is found once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import L2, Linf
from glasshouse.draws import draws, seeded_globally
from glasshouse.explainers import LIME, Grid, InputGradient
from glasshouse.metrics import (
    LocalLipschitz,
    MaxSensitivity,
    Neighbours,
    RelativeInputStability,
    RelativeOutputStability,
    RelativeRepresentationStability,
    Stability,
    WorstCaseSensitivity,
)
from glasshouse.metrics.fooling import rank_correlation
from glasshouse.metrics.neighbours import largest, near, near_logits, near_maps
from glasshouse.metrics.verdicts import Verdicts, logits_of
from glasshouse.types import Batch
from nets import CLASSES, seeded_net
from trained import digits, digits_net

FEW = Neighbours(copies=3, size=0.1)
RELATIVE = (RelativeInputStability, RelativeOutputStability, RelativeRepresentationStability)


@dataclass(frozen=True)
class Squares:
    """A map that hangs on the pixels and on the class; a tenth of it is 0 if ``gaps``."""

    gaps: bool = False
    factor: float = 1.0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        maps = (x.square().sum(1) + target.view(-1, 1, 1) * x[:, 0]) * self.factor
        return maps * (x[:, 1] > 0.1) if self.gaps else maps


@dataclass(frozen=True)
class Plain:
    """The image itself."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return x.sum(1)


class Counted(nn.Module):
    """The net, and how many images it has seen."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.seen = net, 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.net(x)


class Threshold(nn.Module):
    """Class 1 where the image is brighter than ``edge`` in the mean."""

    def __init__(self, edge: Tensor | float, factor: float = 1.0) -> None:
        super().__init__()
        self.edge, self.factor = edge, factor
        self.body = nn.Conv2d(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        score = (x.mean((1, 2, 3)) - self.edge) * self.factor
        return torch.stack([-score, score], 1)


def batch(count: int = 5, channels: int = 3, side: int = 16) -> Batch:
    x = torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(3))
    return Batch(x, torch.zeros(count, dtype=torch.int64))


def known_batch(count: int = 5) -> Verdicts:
    return Verdicts(seeded_net().eval(), batch(count), 0)


def pairs(verdicts: Verdicts, around: Neighbours, explainer: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Images' neighbours, maps and neighbours' maps, each flat in float64."""
    copies = near(verdicts, around)
    maps = explainer(None, verdicts.batch.x, verdicts.predicted)
    others = torch.stack([explainer(None, x, verdicts.predicted) for x in copies])
    return copies.double().flatten(2), maps.double().flatten(1), others.double().flatten(2)


# neighbours


def test_uniform_neighbours_fill_the_ball_and_stay_images() -> None:
    x = torch.full((2, 3, 16, 16), 0.5)
    x[1] = 0
    found = Neighbours(size=0.1, copies=40)(x)
    assert found.shape == (40, *x.shape)
    noise = (found - x)[:, 0]
    assert noise.abs().max() <= 0.1 + 1e-6
    assert noise.std() == pytest.approx(0.2 / 12**0.5, rel=0.02) and abs(noise.mean()) < 0.002
    assert found[:, 1].min() == 0 and (found[:, 1] == 0).float().mean() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(found[0], found[1])


def test_normal_neighbours_have_their_standard_deviation() -> None:
    x = torch.full((1, 3, 16, 16), 0.5)
    noise = Neighbours(kind="normal", size=0.1, copies=40)(x) - x
    assert noise.std() == pytest.approx(0.1, rel=0.02) and noise.abs().max() > 0.3


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_each_image_has_its_own_neighbours_whoever_is_beside_it(kind: str) -> None:
    x, around = batch(6).x, Neighbours(kind=kind)
    whole, part = [], []
    for images, into in ((x, whole), (x[[4, 1]], part)):
        with seeded_globally(7, 0):
            into.append(around(images))
    assert torch.equal(whole[0][:, [4, 1]], part[0])
    assert not torch.allclose((whole[0] - x)[:, 0], (whole[0] - x)[:, 1])


def test_the_neighbours_of_verdicts_can_be_had_without_them() -> None:
    verdicts = known_batch()
    with seeded_globally(0, 0):
        assert torch.equal(near(verdicts, FEW), FEW(verdicts.batch.x))


@pytest.mark.parametrize(("field", "value"), [("kind", "salt"), ("size", 0.0), ("copies", 0)])
def test_what_are_no_neighbours_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        Neighbours(**{field: value})


def test_copies_are_explained_for_the_class_of_their_image_in_whatever_groups() -> None:
    verdicts, around = Verdicts(seeded_net().eval(), batch(40, side=128), 0), Neighbours(copies=3, size=0.3)
    verdicts.known[logits_of] = torch.eye(CLASSES)[torch.arange(40) % 3]
    found = near_maps(verdicts, around, Squares())
    wanted = torch.stack([Squares()(verdicts.model, x, verdicts.predicted) for x in near(verdicts, around)])
    assert torch.equal(found, wanted)


def test_all_share_one_look_at_the_neighbours() -> None:
    model = Counted(seeded_net().eval())
    verdicts = Verdicts(model, batch(), 0)
    metrics = [MaxSensitivity(), LocalLipschitz(), *(kind() for kind in RELATIVE[:2])]
    for metric in metrics:
        metric.given(verdicts)
    assert model.seen == 5 + 5 + 50 + 50  # logits, maps, maps of neighbours, logits of neighbours
    for metric in metrics:
        replace(metric, explainer=InputGradient(times_input=True)).given(verdicts)
    assert model.seen == 110 + 5 + 50
    model.seen = 0
    for explainer in (InputGradient(), InputGradient(times_input=True)):
        RelativeRepresentationStability(explainer=explainer).given(verdicts)
    assert model.seen == 1 + 5 + 50  # which layer it is, what that gives of images, and of neighbours


def test_the_largest_is_of_those_that_count() -> None:
    values = torch.tensor([[1.0, 5.0, torch.nan, 2.0], [3.0, 7.0, 4.0, torch.nan]])
    counted = torch.tensor([[True, True, True, False], [True, False, True, True]])
    torch.testing.assert_close(largest(values, counted), torch.tensor([3.0, 5.0, 4.0, torch.nan]), equal_nan=True)


# the change of the map


@pytest.mark.parametrize("factor", [1.0, 1e-25])
def test_max_sensitivity_is_the_formula(factor: float) -> None:
    verdicts, explainer = known_batch(), Squares(factor=factor)
    _, a, b = pairs(verdicts, FEW, explainer)
    wanted = ((b - a).norm(dim=2) / a.norm(dim=1)).amax(0)
    torch.testing.assert_close(MaxSensitivity(explainer, FEW).given(verdicts), wanted.float())
    cosine = (a * b).sum(2) / a.norm(dim=1) / b.norm(dim=2)
    found = MaxSensitivity(explainer, FEW, scale_free=True).given(verdicts)
    torch.testing.assert_close(found, (2 - 2 * cosine).sqrt().amax(0).float(), rtol=1e-4, atol=0)


def test_local_lipschitz_is_the_formula_and_its_scale_free_form_has_no_scale() -> None:
    verdicts = known_batch()
    images, a, b = pairs(verdicts, FEW, Squares())
    away = (images - verdicts.batch.x.double().flatten(1)).norm(dim=2)
    raw = ((b - a).norm(dim=2) / away).amax(0)
    free = ((b / b.norm(dim=2, keepdim=True) - a / a.norm(dim=1, keepdim=True)).norm(dim=2) / away).amax(0)
    for factor in (1.0, 0.01):
        explainer = Squares(factor=factor)
        found = LocalLipschitz(explainer, FEW, scale_free=False).given(verdicts)
        torch.testing.assert_close(found, (raw * factor).float())
        torch.testing.assert_close(LocalLipschitz(explainer, FEW).given(verdicts), free.float())


@pytest.mark.parametrize("metric", [MaxSensitivity, LocalLipschitz, WorstCaseSensitivity, *RELATIVE])
def test_a_map_of_zeros_has_no_stability_and_a_constant_one_has_the_best(metric: Any) -> None:
    @dataclass(frozen=True)
    class Constant:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            maps = x.sum(1) * 0 + torch.arange(16.0)
            return torch.where((x[:, :1, :1, 0] > 0.97), maps * 0, maps) if not create_graph else maps

    some = batch(3)
    some.x[:, 0, 0, 0] = torch.tensor([0.5, 0.999, 0.2])
    values = metric(explainer=Constant())(seeded_net().eval(), some)
    best = -6.0 if metric in RELATIVE else 0.0
    torch.testing.assert_close(values, torch.tensor([best, torch.nan, best]), equal_nan=True)


# relative changes


def quotients(a: Tensor, b: Tensor, elementwise: bool) -> Tensor:
    """Relative change from ``[B, n]`` to ``[N, B, n]``."""
    if not elementwise:
        return (b - a).norm(dim=2) / a.norm(dim=1)
    return ((b - a) / torch.where(a == 0, 1e-6, a)).norm(dim=2)


@pytest.mark.parametrize("elementwise", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("metric", RELATIVE)
def test_relative_stability_is_the_formula(metric: Any, gaps: bool, elementwise: bool) -> None:
    some, explainer = batch(), Squares(gaps)
    some.x[0, :, :2] = 0  # black pixels
    verdicts = Verdicts(seeded_net().eval(), some, 0)
    net, x = verdicts.model, some.x
    images, a, b = pairs(verdicts, FEW, explainer)
    with torch.no_grad():
        layers = [net.features(t).double().flatten(1) for t in (x, *near(verdicts, FEW))]
        logits = [net(t).double() for t in (x, *near(verdicts, FEW))]
    before, after = logits[0], torch.stack(logits[1:])
    below = {
        RelativeInputStability: lambda: quotients(x.double().flatten(1), images, elementwise),
        RelativeRepresentationStability: lambda: quotients(layers[0], torch.stack(layers[1:]), elementwise),
        RelativeOutputStability: lambda: (
            (after - before).norm(dim=2)
            if elementwise
            else quotients(before - before.mean(1, keepdim=True), after - after.mean(2, keepdim=True), False)
        ),
    }[metric]()
    wanted = (quotients(a, b, elementwise) / below).amax(0)
    asked = metric(explainer, FEW, same_class=False, elementwise=elementwise)
    torch.testing.assert_close(asked.given(verdicts), wanted.log10().float(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(replace(asked, log=False).given(verdicts), wanted.float(), rtol=1e-3, atol=0)


def test_what_stays_counts_as_eps() -> None:
    @dataclass(frozen=True)
    class Two:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            return x[:, 0] * 0 + torch.tensor([3.0, 4.0])

    model = Threshold(0.0, factor=0.0)
    asked = RelativeOutputStability(Squares(), FEW, log=False, eps=0.01)
    verdicts = Verdicts(model, batch(2, 3, 2), 0)
    _, a, b = pairs(verdicts, FEW, Squares())
    torch.testing.assert_close(asked.given(verdicts), (quotients(a, b, True) / 0.01).amax(0).float())
    assert RelativeOutputStability(Two(), FEW, eps=0.01).given(verdicts).tolist() == [-2, -2]


@pytest.mark.parametrize("metric", RELATIVE)
def test_only_neighbours_of_the_same_class_count(metric: Any) -> None:
    x = batch(3, 1, 4).x
    around, mean = Neighbours(copies=6, size=0.1), x.mean((1, 2, 3))
    verdicts = Verdicts(Threshold(0.0), Batch(x, torch.zeros(3, dtype=torch.int64)), 0)
    copies = near(verdicts, around)
    shifts = copies.mean((2, 3, 4)) - mean
    # The first image keeps its class nowhere, the second where a neighbour is not darker, the third everywhere.
    edge = mean + torch.tensor([1.0, 0.0, -1.0]) * 1e-4
    model = Threshold(0.0)
    model.forward = lambda t: Threshold(edge.repeat(len(t) // 3)).forward(model.body(t)[:, :1] * 0 + t)
    verdicts.known[logits_of] = torch.stack([mean - mean, torch.tensor([-1.0, 1.0, 1.0])], 1)
    edge[0] = -1
    edge[2] = -1
    verdicts.model = model
    layer = {"layer": "body"} if metric is RelativeRepresentationStability else {}
    asked = metric(Plain(), around, elementwise=False, log=False, **layer)
    kept = asked.given(verdicts)
    every = replace(asked, same_class=False).given(verdicts)
    assert kept[0].isnan() and not every.isnan().any()
    torch.testing.assert_close(kept[2], every[2])
    same = shifts[:, 1] > 0
    assert same.any() and not same.all()
    torch.testing.assert_close(near_logits(verdicts, around)[:, 1].argmax(1), same.long())
    if metric is RelativeInputStability:
        torch.testing.assert_close(kept[1:], torch.ones(2))  # map and image are one
    assert kept[1] <= every[1]


def test_small_logits_look_unstable_except_by_norms() -> None:
    around, some = FEW, batch()
    values = {}
    for factor in (1.0, 0.5):
        net = seeded_net().eval()
        with torch.no_grad():
            net.head.weight *= factor
            net.head.bias *= factor
        verdicts = Verdicts(net, some, 0)
        for elementwise in (False, True):
            asked = RelativeOutputStability(InputGradient(), around, elementwise=elementwise, log=False)
            values[factor, elementwise] = asked.given(verdicts)
    torch.testing.assert_close(values[0.5, True], 2 * values[1.0, True], rtol=1e-3, atol=0)
    torch.testing.assert_close(values[0.5, False], values[1.0, False], rtol=1e-3, atol=0)


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        RelativeRepresentationStability(layer="nowhere")(seeded_net().eval(), batch())


# the worst case


@pytest.mark.parametrize("same_class", [False, True])
def test_the_worst_case_of_a_map_that_is_the_image_is_the_corner_of_the_ball(same_class: bool) -> None:
    some = batch(4, 1, 4)
    some = some._replace(x=0.2 + 0.6 * some.x)
    asked = WorstCaseSensitivity(Plain(), Linf(eps=0.05), steps=8, same_class=same_class)
    wanted = 0.05 * 4 / some.x.flatten(1).norm(dim=1)
    torch.testing.assert_close(asked(Threshold(-5.0), some), wanted)
    ball = replace(asked, ball=L2(eps=0.05), steps=20)
    torch.testing.assert_close(ball(Threshold(-5.0), some), 0.05 / some.x.flatten(1).norm(dim=1), rtol=1e-3, atol=0)


def test_the_worst_case_keeps_the_class_unless_told() -> None:
    some = batch(4, 1, 4)
    x = 0.2 + 0.6 * some.x
    x = x - x.mean((1, 2, 3), keepdim=True) + 0.5  # all as bright
    model, some = Threshold(0.4999), some._replace(x=x)
    asked = WorstCaseSensitivity(Plain(), Linf(eps=0.05), steps=12, step_size=0.3)
    free = replace(asked, same_class=False)
    corner = 0.05 * 4 / x.flatten(1).norm(dim=1)
    torch.manual_seed(0)
    found, whole = asked(model, some), free(model, some)
    torch.testing.assert_close(whole, corner)
    assert (found <= corner + 1e-6).all() and (found > 0.5 * corner).all()

    class Narrow(Threshold):
        def forward(self, t: Tensor) -> Tensor:
            score = ((t - x).abs().amax((1, 2, 3)) == 0).float() - 0.5 + 0 * t.mean((1, 2, 3))
            return torch.stack([score, -score], 1)

    assert asked(Narrow(0.0), some).tolist() == [0, 0, 0, 0]
    torch.testing.assert_close(free(Narrow(0.0), some), corner)


def test_the_random_start_counts() -> None:
    some = batch(4)
    asked = WorstCaseSensitivity(Squares(), Linf(eps=0.1), steps=1, step_size=1e-9, same_class=False)
    verdicts = Verdicts(seeded_net().eval(), some, 0)

    @dataclass(frozen=True)
    class Lowering:
        """A map that moves less after the first look at other images than at it."""

        looks: list[int]

        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            if create_graph:
                return x.sum(1)
            self.looks.append(len(self.looks))
            return x.sum(1) * (1, 3, 1.5)[self.looks[-1]]

        def __hash__(self) -> int:
            return 0

    torch.manual_seed(0)
    found = replace(asked, explainer=Lowering([])).given(verdicts)
    assert (found > 1.5).all()


@pytest.mark.parametrize("scale_free", [False, True])
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_the_worst_case_is_above_what_as_many_samples_find(eps: float, scale_free: bool) -> None:
    model, some = digits_net(eps), digits(6)
    ball = Linf(eps=0.02)
    for explainer in (InputGradient(), InputGradient(times_input=True)):
        verdicts = Verdicts(model, some, 0)
        worst = WorstCaseSensitivity(explainer, ball, steps=10, scale_free=scale_free, same_class=False).given(verdicts)
        # A step takes a map, a map with a graph and the way back, and two passes more.
        around = Neighbours(size=0.02, copies=40)
        sampled = MaxSensitivity(explainer, around, scale_free).given(verdicts)
        assert (worst > sampled).all() and worst.mean() > 1.5 * sampled.mean()


def test_what_has_no_slope_says_so() -> None:
    @dataclass(frozen=True)
    class Cut:
        def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
            return torch.rand(x.shape[0], *x.shape[2:])

    with pytest.raises(ValueError, match="no differentiable function"):
        WorstCaseSensitivity(Cut())(seeded_net().eval(), batch())


# correlation


def test_stability_is_the_mean_correlation_with_noisy_copies_and_looks_at_the_image_once() -> None:
    model = Counted(seeded_net().eval())
    some, explainer = batch(), InputGradient()
    verdicts = Verdicts(model, some, 5)
    with seeded_globally(5, 0):
        stream = draws(some.x)
        copies = [(some.x + 0.1 * stream.normal(3, 16, 16)).clamp(0, 1) for _ in range(3)]
    maps = verdicts.explained(explainer)
    others = [explainer(model, x, verdicts.predicted) for x in copies]
    model.seen = 0
    found = Stability(explainer, sigma=0.1, copies=3).given(verdicts)
    torch.testing.assert_close(found, torch.stack([rank_correlation(maps, m) for m in others]).mean(0))
    assert model.seen == 15
    lime = LIME(segmenter=Grid(cells=4), samples=CLASSES * 4)
    assert Stability(lime, copies=2).given(verdicts).isfinite().all()
