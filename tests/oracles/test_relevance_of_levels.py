"""Relevance of superclasses is made of that of their classes, and what makes it quick leaves it as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.attacks import LRPCoarse
from glasshouse.attacks.shifting import PaperPlausible
from glasshouse.explainers import LRP, Composite, Epsilon, Gamma, Logit, OneHot, ZBeta, ZPlus
from glasshouse.explainers.lrp import signs
from glasshouse.explainers.lrp.layer import Geometry, adjoint, convolved, handed_back
from glasshouse.explainers.lrp.signs import above, below, parts_kept
from glasshouse.modes import frozen
from level_nets import CLASSES, GROUPS, ReluNet, flat, named, pictures

PLUS = Composite(first=ZBeta(), convolution=ZPlus(), dense=ZPlus())
GAMMA = Composite(first=ZBeta(), convolution=Gamma(), dense=Gamma())


def every(classes: int, x: Tensor) -> Tensor:
    return torch.arange(classes).expand(len(x), -1)


# Superclasses


@pytest.mark.parametrize("composite", [PLUS, GAMMA], ids=["plus", "gamma"])
@pytest.mark.parametrize("start", [OneHot(), Logit()])
def test_a_superclass_has_the_relevance_of_its_classes_by_their_probability_in_it(
    composite: Composite, start: Any
) -> None:
    model, x = flat(), pictures(5)
    lrp = LRP(composite=composite, start=OneHot())
    fine = lrp.relevance(model.network, x, every(CLASSES, x))
    coarse = LRP(composite=composite, start=start).relevance(model.coarse, x, every(3, x))
    for number, group in enumerate(GROUPS.values()):
        within = fine.logits[:, group]
        shares = within.softmax(1) if start == OneHot() else within.softmax(1) * within.logsumexp(1, keepdim=True)
        expected = (fine.map[:, group] * shares[:, :, None, None, None]).sum(1)
        torch.testing.assert_close(coarse.map[:, number], expected, atol=1e-10, rtol=1e-7)


def test_relevance_of_superclasses_is_conserved() -> None:
    model, x = flat(), pictures()
    found = LRP(composite=PLUS, start=Logit()).relevance(model.coarse, x, every(3, x))
    torch.testing.assert_close(found.arrived, found.started, atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(found.started, model.coarse(x).detach())


@pytest.mark.parametrize("composite", [PLUS, GAMMA], ids=["plus", "gamma"])
def test_its_derivative_is_that_of_finite_differences(composite: Composite) -> None:
    model, x = flat(), pictures(3)
    lrp, generator = LRP(composite=composite, start=Logit()), torch.Generator().manual_seed(5)
    weights, way = (torch.randn(s, generator=generator, dtype=x.dtype) for s in ((3, 2, 3, 8, 8), x.shape))
    targets = torch.tensor([[0, 2], [1, 0], [2, 1]])

    def height(x: Tensor, graph: bool) -> Tensor:
        found = lrp.relevance(model.coarse, x, targets, create_graph=graph).map
        return (found * weights).sum((1, 2, 3, 4))

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(height(leaf, True).sum(), leaf)
    difference = (height(x + 1e-6 * way, False) - height(x - 1e-6 * way, False)) / 2e-6
    torch.testing.assert_close((gradient * way).flatten(1).sum(1), difference, atol=1e-6, rtol=1e-5)


def test_weights_learn_from_the_relevance_of_superclasses() -> None:
    model, x = flat(), pictures(3)
    head = model.network[7].weight
    lrp, way = LRP(composite=PLUS, start=Logit()), torch.randn_like(head)
    weights = torch.randn(3, 3, 3, 8, 8, dtype=x.dtype)

    def height(graph: bool) -> Tensor:
        return (lrp.relevance(model.coarse, x, every(3, x), create_graph=graph).map * weights).sum()

    (gradient,) = torch.autograd.grad(height(True), head)
    ends = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            head += step * way
        ends.append(height(False))
    torch.testing.assert_close((gradient * way).sum(), (ends[0] - ends[1]) / 2e-6, atol=1e-6, rtol=1e-4)


class Masked(nn.Module):
    """Some columns of the maps are written over."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.first, self.last, self.inplace = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), inplace
        self.register_buffer("mask", torch.tensor([False, True, False, True, False, False]))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.first(x).relu() + 0.1
        maps = maps.masked_fill_(self.mask, 0.0) if self.inplace else maps.masked_fill(self.mask, 0.0)
        return self.last(maps.mean((2, 3)))


@pytest.mark.parametrize("inplace", [False, True])
def test_what_is_written_over_has_no_relevance(inplace: bool) -> None:
    torch.manual_seed(0)
    model, x = Masked(inplace).double(), pictures(3)
    with torch.no_grad():
        model.first.weight[:, :, :, 1:] = 0  # a column of the maps sees one column of the pixels
    found = LRP(composite=PLUS, start=OneHot()).relevance(model, x, every(3, x))
    assert (found.map[..., [1, 3, 6, 7]] == 0).all()
    assert (found.map[..., [0, 2, 4, 5]].abs().amax((0, 1, 2, 3)) > 0).all()
    torch.testing.assert_close(found.arrived, found.started, atol=1e-6, rtol=0)


def test_a_mask_that_depends_on_the_pixels_has_no_rule() -> None:
    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.masked_fill(x > 0.5, 0.0).flatten(1)[:, :3]

    with pytest.raises(ValueError, match=r"no rule for .*masked_fill"):
        LRP()(Own(), pictures(2), torch.tensor([0, 1]))


def test_what_is_masked_may_be_below_0() -> None:
    """Values written over may be of either sign, so that z+ must look at both afterwards."""
    model = nn.Sequential(nn.Flatten(), Filled(), nn.Linear(4, 2))
    nn.init.constant_(model[2].weight, 1.0)
    nn.init.zeros_(model[2].bias)
    x = torch.tensor([0.5, 0.5, 1.0, 1.0]).view(1, 1, 2, 2)
    rule = Composite(first=ZPlus(), convolution=ZPlus(), dense=ZPlus())
    found = LRP(composite=rule, start=OneHot()).relevance(model, x, torch.tensor([[0]])).map.flatten()
    torch.testing.assert_close(found, torch.tensor([0.0, 0.2, 0.4, 0.4]))  # -2 is no contribution to what is positive


class Filled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu().masked_fill(torch.tensor([True, False, False, False]), -2.0)


# Targets that depend on the logits


def test_targets_may_be_chosen_by_the_logits_of_the_very_same_pass() -> None:
    network, x, seen = ReluNet(5, 0), pictures(4), []

    def best(logits: Tensor) -> Tensor:
        seen.append(logits)
        return logits.topk(2, 1).indices

    found = LRP(composite=PLUS).relevance(network, x, best)
    expected = network(x).topk(2, 1)
    torch.testing.assert_close(found.logits, network(x).detach())
    assert len(seen) == 1 and seen[0] is found.logits
    torch.testing.assert_close(found.started, expected.values.detach())
    assert torch.equal(found.map, LRP(composite=PLUS).relevance(network, x, expected.indices).map)


@pytest.mark.parametrize("targets", [lambda z: z.argmax(1), lambda z: z.topk(2, 1).indices + 4])
def test_chosen_targets_are_checked(targets: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match="target"):
        LRP().relevance(ReluNet(5, 0), pictures(2), targets)


# The way back through a convolution with fixed weights

GEOMETRIES = [
    (Geometry((1,), (1,), (1,), 1), (9,)),
    (Geometry((3,), (2,), (2,), 2), (11,)),
    (Geometry((1, 1), (1, 1), (1, 1), 1), (5, 6)),
    (Geometry((2, 3), (0, 2), (1, 1), 2), (7, 8)),
    (Geometry((2, 2), (1, 2), (2, 1), 4), (8, 6)),
    (Geometry((2, 1, 1), (0, 1, 1), (1, 1, 2), 2), (5, 4, 6)),
]
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def convolution(geometry: Geometry, side: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """What goes in, weights, and what came out, as random numbers."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(2, 4, *side, generator=generator, dtype=torch.float64)
    kernel = (3,) * len(side)
    weight = torch.randn(8, 4 // geometry.groups, *kernel, generator=generator, dtype=torch.float64)
    s = torch.randn(convolved(a, weight, geometry).shape, generator=generator, dtype=torch.float64)
    return a, weight, s


@pytest.mark.parametrize(("geometry", "side"), GEOMETRIES, ids=str)
def test_the_way_back_is_a_transposed_convolution(geometry: Geometry, side: tuple[int, ...]) -> None:
    a, weight, s = convolution(geometry, side)
    found = adjoint(s, weight, geometry, tuple(a.shape[1:]))
    g = geometry
    reach = [(n - 1) * st - 2 * p + 2 * d + 1 for n, st, p, d in zip(s.shape[2:], *g[:3], strict=True)]
    rest = [n - r for n, r in zip(side, reach, strict=True)]
    expected = TRANSPOSED[len(side)](s, weight, None, g.stride, g.padding, rest, g.groups, g.dilation)
    torch.testing.assert_close(found, expected)
    (own,) = torch.autograd.grad(convolved(leaf := a.requires_grad_(), weight, geometry), leaf, s)
    torch.testing.assert_close(found, own)


@pytest.mark.parametrize(("geometry", "side"), GEOMETRIES, ids=str)
def test_its_derivatives_are_torchs_own(geometry: Geometry, side: tuple[int, ...]) -> None:
    a, weight, s = convolution(geometry, side)
    like, s = tuple(a.shape[1:]), s.requires_grad_()

    def slopes(back: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        height = (back(s, weight, geometry, like) ** 3).sum()
        (first,) = torch.autograd.grad(height, s, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), s)
        return first.detach(), second

    for found, expected in zip(slopes(adjoint), slopes(handed_back), strict=True):
        torch.testing.assert_close(found, expected)
    if geometry.groups == 2:
        assert torch.autograd.gradcheck(lambda s: adjoint(s, weight, geometry, like), s, fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda s: adjoint(s, weight, geometry, like), s, fast_mode=True)


def test_weights_that_learn_get_their_gradient_from_the_way_back() -> None:
    geometry, side = GEOMETRIES[3]
    a, weight, s = convolution(geometry, side)
    weight.requires_grad_()
    (found,) = torch.autograd.grad((adjoint(s, weight, geometry, tuple(a.shape[1:])) * a).sum(), weight)
    (expected,) = torch.autograd.grad((convolved(a, weight, geometry) * s).sum(), weight)
    torch.testing.assert_close(found, expected)


# Parts of weights that are kept


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of all weights that are cut, as it happens."""
    seen: list[tuple[int, ...]] = []
    original = signs._cut

    def noted(weight: Tensor, negative: bool) -> Tensor:
        seen.append(tuple(weight.shape))
        return original(weight, negative)

    monkeypatch.setattr(signs, "_cut", noted)
    return seen


def fixed_weight() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, -2.0, 0.0, 3.0]), requires_grad=False)


def test_parts_are_cut_once_and_seen_to_change(cuts: list[tuple[int, ...]]) -> None:
    weight = fixed_weight()
    with parts_kept():
        for _ in range(3):
            assert above(weight).tolist() == [1, 0, 0, 3] and below(weight).tolist() == [0, -2, 0, 0]
        assert len(cuts) == 2
        weight.neg_()
        assert above(weight).tolist() == [0, 2, 0, 0] and below(weight).tolist() == [-1, 0, 0, -3]
        other = fixed_weight()
        assert above(other).tolist() == [1, 0, 0, 3]
    assert len(cuts) == 5
    assert above(weight).tolist() == [0, 2, 0, 0] and len(cuts) == 6


def test_nothing_is_kept_afterwards_not_even_after_an_error(cuts: list[tuple[int, ...]]) -> None:
    weight = fixed_weight()
    with pytest.raises(KeyError), parts_kept():
        above(weight)
        raise KeyError
    above(weight)
    above(weight)
    assert len(cuts) == 3
    with parts_kept():
        above(weight)
    assert len(cuts) == 4


def test_within_another_the_outer_one_goes_on(cuts: list[tuple[int, ...]]) -> None:
    weight = fixed_weight()
    with parts_kept():
        above(weight)
        with parts_kept():
            above(weight)
        above(weight)
    assert len(cuts) == 2


def test_weights_that_learn_or_were_made_on_the_way_are_not_kept(cuts: list[tuple[int, ...]]) -> None:
    learning, made = nn.Parameter(torch.tensor([1.0, -1.0])), torch.tensor([1.0, -1.0])
    with parts_kept():
        for weight in (learning, learning, made, made):
            above(weight)
        (slope,) = torch.autograd.grad(above(learning).sum(), learning)
    assert len(cuts) == 5 and slope.tolist() == [1, 0]


@pytest.mark.parametrize("composite", [PLUS, GAMMA], ids=["plus", "gamma"])
def test_relevance_with_kept_parts_is_the_same(composite: Composite) -> None:
    network, x = ReluNet(4, 0), pictures(3)
    lrp = LRP(composite=composite)
    expected = lrp.relevance(network, x, every(4, x)).map
    with frozen(network), parts_kept():
        for _ in range(2):
            assert torch.equal(lrp.relevance(network, x, every(4, x)).map, expected)


def test_an_attack_cuts_its_weights_once(cuts: list[tuple[int, ...]]) -> None:
    model, x = flat(), pictures(2)
    attack = LRPCoarse(loss=PaperPlausible(), steps=3, step=1e-6)
    attack(model, x, named(model, x))
    first, folded, dense = ((5, 3, 3, 3), (6, 5, 3, 3), (CLASSES, 96))
    assert [cuts.count(shape) for shape in (first, folded, dense)] == [2, 3, 1]


def test_epsilon_cuts_nothing(cuts: list[tuple[int, ...]]) -> None:
    rule = Epsilon()
    lrp = LRP(composite=Composite(first=rule, convolution=rule, dense=rule))
    lrp.relevance(ReluNet(4, 0), pictures(2), torch.tensor([[0], [1]]))
    assert not cuts
