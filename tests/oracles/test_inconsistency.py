"""Explanation consistency in closed form: backgrounds, distances, squashing, labels, and what is borrowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.consistency import (
    Arctan,
    CellDistance,
    FGSMBackground,
    FilledBackground,
    MeanDistance,
    PixelDistance,
    Softsign,
    Tanh,
)
from glasshouse.consistency.distances import at_size
from glasshouse.explainers import (
    ConstantFill,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    ImageMeanFill,
    InputGradient,
    XGradCAM,
)
from glasshouse.explainers.layers import resized
from glasshouse.labels import entropy, indicators, losses, one_class, right, several
from glasshouse.metrics import Inconsistency
from glasshouse.metrics.inconsistency import unit
from glasshouse.modes import tap, untrainable
from glasshouse.types import Batch
from nets import CLASSES, SIDE, Boom, exploding, full_batch, mixed_net, seeded_net, state

CAMS = [GradCAM(), GradCAMPlusPlus(), XGradCAM(), EigenCAM()]


def right_batch(net: nn.Module, count: int = 6) -> Batch:
    """Images with the labels that the net gives them in evaluation mode."""
    batch = full_batch(count)
    modes = [m.training for m in net.modules()]
    y = net.eval()(batch.x).argmax(1)
    for module, training in zip(net.modules(), modes, strict=True):
        module.training = training
    return batch._replace(y=y)


# Backgrounds


def test_an_fgsm_step_is_where_the_map_is_not() -> None:
    x = torch.tensor([0.5, 0.5, 0.5, 0.95, 0.02, 0.5]).view(1, 1, 2, 3)
    maps = torch.tensor([0.0, 0.25, 1.0, 0.0, 0.5, 0.0]).view(1, 2, 3)
    gradient = torch.tensor([2.0, -1e-9, 5.0, 1.0, -3.0, 0.0]).view(1, 1, 2, 3)
    found = FGSMBackground(eps=0.1)(x, maps, gradient).flatten()
    # The sign of 0 is 1; pixels stay in [0, 1].
    torch.testing.assert_close(found, torch.tensor([0.6, 0.425, 0.5, 1.0, 0.0, 0.6]))


def test_a_map_of_ones_shields_everything() -> None:
    x, ones = torch.rand(2, 3, 4, 5), torch.ones(2, 4, 5)
    for background in (FGSMBackground(eps=0.3), FilledBackground(), FilledBackground(fill=ImageMeanFill())):
        torch.testing.assert_close(background(x, ones, torch.randn_like(x)), x)


def test_what_is_filled_in_is_mixed_by_the_map() -> None:
    x, maps = torch.rand(2, 3, 4, 5), torch.rand(2, 4, 5)
    m, nothing = maps[:, None], torch.zeros_like(x)
    for value in (0.0, 0.3):
        found = FilledBackground(fill=ConstantFill(value=value))(x, maps, nothing)
        torch.testing.assert_close(found, m * x + (1 - m) * value)
    found = FilledBackground(fill=ImageMeanFill())(x, maps, nothing)
    torch.testing.assert_close(found, m * x + (1 - m) * x.mean((2, 3), keepdim=True))
    assert FGSMBackground.by_gradient and not FilledBackground.by_gradient
    black = FilledBackground()(x, torch.zeros(2, 4, 5), nothing)
    assert torch.equal(black, nothing)


# Distances


@pytest.mark.parametrize("rms", [0.002, 0.005, 0.01, 0.05, 0.1, 0.2])
def test_summed_over_all_pixels_every_difference_is_the_largest(rms: float) -> None:
    x, first = torch.zeros(1, 3, 224, 224), torch.full((1, 7, 7), 0.3)
    for distance, count in ((PixelDistance(), 224 * 224), (CellDistance(), 49), (MeanDistance(), 1)):
        found = float(Tanh()(distance(first, first + rms, x)))
        assert found == pytest.approx(math.tanh(count * rms**2), rel=2e-4)
    if rms == 0.01:
        told = [PixelDistance(), CellDistance(), MeanDistance()]
        assert [round(float(Tanh()(d(first, first + rms, x))), 4) for d in told] == [0.9999, 0.0049, 0.0001]


def test_distances_by_hand() -> None:
    x = torch.zeros(2, 3, 4, 4)
    first = torch.tensor([[[0.0, 1.0], [0.5, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    second = torch.tensor([[[0.0, 0.0], [0.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]]])
    assert CellDistance()(first, second, x).tolist() == [1.5, 4.0]
    assert MeanDistance(scale=2.0)(first, second, x).tolist() == [0.75, 2.0]
    grown = resized(first - second, x)
    torch.testing.assert_close(PixelDistance()(first, second, x), grown.square().sum((1, 2)))
    assert float(PixelDistance()(first, second, x)[1]) == 16


def test_a_map_of_pixels_is_averaged_into_cells_first() -> None:
    x, first, second = torch.zeros(3, 3, 8, 8), torch.rand(3, 8, 8), torch.rand(3, 8, 8)
    expected = (F.avg_pool2d(first, 4) - F.avg_pool2d(second, 4)).square().sum((1, 2))
    torch.testing.assert_close(CellDistance(cells=2)(first, second, x), expected)
    # One of another size is the feature map's own.
    assert torch.equal(
        CellDistance(cells=2)(first[:, :7], second[:, :7], x), (first - second)[:, :7].square().sum((1, 2))
    )
    torch.testing.assert_close(PixelDistance()(first, second, x), (first - second).square().sum((1, 2)))


def test_maps_change_their_size_by_means_or_between_cells() -> None:
    maps = torch.rand(2, 4, 6)
    assert at_size(maps, 4, 6) is maps
    torch.testing.assert_close(at_size(maps, 2, 3), F.avg_pool2d(maps, 2))
    torch.testing.assert_close(at_size(maps, 9, 12), resized(maps, torch.zeros(2, 3, 9, 12)))
    assert at_size(maps, 8, 3).shape == (2, 8, 3)


def test_squashing_in_closed_form() -> None:
    d = torch.tensor([0.0, 0.5, 1.0, 3.0, 1e6])
    assert Softsign()(d).tolist() == pytest.approx([0, 1 / 3, 1 / 2, 3 / 4, 1], abs=2e-6)
    assert Arctan()(torch.tensor([0.0, 1.0, math.sqrt(3)])).tolist() == pytest.approx([0, 1 / 2, 2 / 3])
    assert Tanh()(torch.tensor([0.0, math.log(3)])).tolist() == pytest.approx([0, 0.8])
    for psi, above in ((Tanh(), 2.65), (Softsign(), 99.01), (Arctan(), 64.0)):
        assert float(psi(torch.tensor(above))) > 0.99 > float(psi(torch.tensor(0.98 * above)))


def test_maps_reach_from_0_to_1() -> None:
    maps = torch.tensor([[[-3.0, 1.0], [2.0, 5.0]], [[2.0, 2.0], [2.0, 2.0]], [[-1.0, -2.0], [-3.0, -4.0]]])
    torch.testing.assert_close(unit(maps)[0], torch.tensor([[0, 0.2], [0.4, 1]]))
    assert not unit(maps)[1:].any()  # flat, or nowhere above 0
    assert unit(torch.tensor([[[2.0, 4.0], [3.0, 2.0]]])).tolist() == [[[0, 1], [0.5, 0]]]
    assert unit(torch.full((1, 2, 2), 1e-30).scatter(2, torch.zeros(1, 1, 1).long(), 3e-30)).max() == 1


# The score


@pytest.mark.parametrize("explainer", [*CAMS, InputGradient()], ids=lambda e: type(e).__name__)
def test_an_image_that_stays_what_it_is_scores_0(explainer: Any) -> None:
    net = seeded_net().eval()
    batch = right_batch(net)
    score = Inconsistency(explainer, FGSMBackground(eps=0.0))
    assert torch.equal(score(net, batch), torch.zeros(6))
    wrong = batch._replace(y=(batch.y + torch.tensor([1, 0, 0, 1, 0, 0])) % CLASSES)
    assert score(net, wrong).tolist() == [1, 0, 0, 1, 0, 0]
    assert torch.equal(replace(score, only_correct=False)(net, wrong), torch.zeros(6))
    assert torch.equal(score(net, batch._replace(y=(batch.y + 1) % CLASSES)), torch.ones(6))


class Left(nn.Module):
    """Class 0 where the left half is bright, else class 1; the feature map is the image's."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.AvgPool2d(2)
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        a = self.features(x * self.scale).mean(1)
        return torch.stack([a[:, :, :2].mean((1, 2)), a[:, :, 2:].mean((1, 2))], 1)


def halves(left: float, right: float) -> Tensor:
    x = torch.full((1, 3, 8, 8), left)
    x[..., 4:] = right
    return x


def test_a_class_that_another_background_takes_away_scores_1() -> None:
    score = Inconsistency(InputGradient(), FilledBackground(fill=ConstantFill(value=1.0)), CellDistance(cells=4))
    # The map is the left half: the right one becomes white, and with it the class.
    assert score(Left(), Batch(halves(0.9, 0.1), torch.tensor([0]))).tolist() == [1]
    black = replace(score, background=FilledBackground())
    assert black(Left(), Batch(halves(0.9, 0.1), torch.tensor([0]))).tolist() == [0]


def test_by_hand() -> None:
    # Grad-CAM is the brightness, here 1 on the left, 0.5 at the upper right and 0 at the lower right.
    x = halves(0.8, 0.2)
    x[:, :, :4, 4:] = 0.5
    score = Inconsistency(GradCAM("features"), FGSMBackground(eps=0.2), MeanDistance(), Softsign(), only_correct=False)
    # The loss of class 0 falls with the left half and rises with the right one. So the right half becomes brighter:
    # by 0.2 where the map is 0 (but for what interpolation makes of it), by 0.1 where it is a half.
    maps = unit(F.avg_pool2d(x, 2).mean(1))
    other = FGSMBackground(eps=0.2)(x, at_size(maps, 8, 8), halves(-1.0, 1.0))
    expected = (unit(F.avg_pool2d(other, 2).mean(1)) - maps).square().mean()
    found = score(Left(), Batch(x, torch.tensor([0])))
    assert found.tolist() == [pytest.approx(float(expected / (1 + expected)), rel=1e-5)] and expected > 1e-3
    falling = score(Left(), Batch(x, torch.tensor([1])))  # a wrong label: darker on the right, brighter on the left
    assert abs(float(falling) - float(found)) > 1e-4


@pytest.mark.parametrize("explainer", [*CAMS, InputGradient()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("several_classes", [False, True])
def test_samples_do_not_see_each_other(explainer: Any, several_classes: bool) -> None:
    net = seeded_net(stride=2).eval()
    batch = right_batch(net, 8)
    y = batch.y.where(torch.arange(8) > 1, (batch.y + 1) % CLASSES)
    batch = batch._replace(y=F.one_hot(y, CLASSES).float() if several_classes else y)
    score = Inconsistency(explainer, FGSMBackground(eps=0.02))
    whole = score(net, batch)
    assert whole[:2].tolist() == [1, 1] and ((whole > 0) & (whole < 1)).any()
    parts = torch.cat([score(net, Batch(batch.x[i : i + 1], batch.y[i : i + 1])) for i in range(8)])
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("explainer", [GradCAM(), EigenCAM("features.1"), InputGradient()], ids=repr)
def test_model_and_images_are_given_back(explainer: Any) -> None:
    net = mixed_net()
    batch = right_batch(net)
    before, x = state(net), batch.x.clone()
    score = Inconsistency(explainer, FGSMBackground(eps=0.02))
    plain = score(net, batch)
    with torch.no_grad():
        assert torch.equal(score(net, batch), plain)
    wanting = batch._replace(x=batch.x.clone().requires_grad_())
    assert torch.equal(score(net, wanting), plain) and wanting.x.grad is None and not plain.requires_grad
    assert state(net) == before and torch.equal(batch.x, x) and not batch.x.requires_grad


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("explainer", [GradCAM(), InputGradient()], ids=repr)
def test_the_model_is_given_back_after_an_error(explainer: Any, call: int) -> None:
    net = mixed_net()
    batch = right_batch(net)
    before = state(exploding(net, call))
    with pytest.raises(Boom):
        Inconsistency(explainer)(net, batch)
    assert state(net) == before and not batch.x.requires_grad


def test_gradients_that_were_there_stay() -> None:
    net = seeded_net()
    batch = right_batch(net)
    net(batch.x).sum().backward()
    before = state(net)["grads"]
    kept = [None if g is None else g.clone() for g in before]
    Inconsistency()(net, batch)
    assert all(
        a is b and (a is None or torch.equal(a, c)) for a, b, c in zip(before, state(net)["grads"], kept, strict=True)
    )


def test_with_several_classes_the_most_confident_is_explained() -> None:
    net = seeded_net(stride=2).eval()
    batch = full_batch()
    order = net(batch.x).argsort(1, descending=True)
    y = torch.zeros(6, CLASSES).scatter_(1, order[:, [0, 2]], 1.0)
    y[4], y[5] = 0, y[5] * 0 + 1
    y[3] = 1 - y[3]
    score = Inconsistency(background=FGSMBackground(eps=0.02))
    found = score(net, batch._replace(y=y))
    assert found[3:5].tolist() == [1, 1] and (found[[0, 1, 2, 5]] < 1).all()
    # Eq. 1 with the binary cross-entropy of eq. 6.
    x = batch.x.clone().requires_grad_()
    p = net(x).sigmoid()
    loss = -(y * p.log() + (1 - y) * (1 - p).log()).sum()
    (gradient,) = torch.autograd.grad(loss, x)
    first = score.look(net, batch.x, y)
    torch.testing.assert_close(first.gradient, gradient, atol=1e-6, rtol=1e-3)
    assert torch.equal(first.predicted, order[:, 0])
    moved = score.background(batch.x, at_size(first.maps, SIDE, SIDE), gradient)
    second = score.look(net, moved)
    assert torch.equal(second.gradient, moved)  # nobody asked for one
    value = torch.where(
        first.predicted == second.predicted, (first.maps - second.maps).square().sum((1, 2)).tanh(), 1.0
    )
    torch.testing.assert_close(found[[0, 1, 2, 5]], value[[0, 1, 2, 5]], atol=1e-5, rtol=1e-4)


def test_of_equal_logits_the_first_is_explained() -> None:
    seen: list[Tensor] = []

    class Noting(GradCAM):
        def cam(self, activation: Tensor, gradient: Tensor) -> Tensor:
            seen.append(gradient)
            return super().cam(activation, gradient)

    look = Inconsistency(Noting("features")).look(Left(), halves(0.5, 0.5), torch.tensor([0]))
    assert look.predicted.tolist() == [0]
    assert (seen[0][..., :2] > 0).all() and (seen[0][..., 2:] == 0).all()


@pytest.mark.parametrize("explainer", CAMS, ids=lambda e: type(e).__name__)
def test_the_map_of_a_cam_is_the_one_before_it_is_enlarged(explainer: Any) -> None:
    net, batch = seeded_net(stride=2).eval(), full_batch()
    predicted = net(batch.x).argmax(1)
    look = Inconsistency(explainer).look(net, batch.x)
    with tap(net, "features", begin=True) as outputs:
        logits = net(batch.x)
    (gradient,) = torch.autograd.grad(logits.gather(1, predicted[:, None]).sum(), outputs[0])
    small = explainer.cam(outputs[0].detach(), gradient)
    torch.testing.assert_close(resized(small, batch.x), explainer(net, batch.x, predicted))
    torch.testing.assert_close(unit(small), look.maps, atol=1e-5, rtol=1e-4)


def test_the_layer_is_named_once_for_all_batches() -> None:
    net, x = seeded_net(stride=2).eval(), full_batch().x
    score = Inconsistency(XGradCAM())
    settled = score.settled(net, x)
    assert settled == replace(score, explainer=XGradCAM(layer="features"))
    for other in (settled, Inconsistency(GradCAM("features.1")), Inconsistency(InputGradient())):
        assert other.settled(net, x) is other
    batch = right_batch(net)
    assert torch.equal(settled(net, batch), score(net, batch))


def test_a_layer_that_is_never_called_is_named() -> None:
    net = seeded_net().eval()
    net.spare = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match="the model never calls its layer 'spare'"):
        Inconsistency(GradCAM("spare"))(net, full_batch())


# What is borrowed


def test_a_graph_begins_at_the_layer_if_none_leads_to_it() -> None:
    net, x = seeded_net(), full_batch().x
    with untrainable(net):
        for begin, given in ((False, x), (True, x), (True, x.clone().requires_grad_())):
            with tap(net, "features.1", begin=begin) as outputs:
                logits = net(given)
            assert outputs[0].requires_grad == begin == logits.requires_grad
            assert outputs[0].is_leaf == (not given.requires_grad)
            if begin:
                assert torch.autograd.grad(logits.sum(), outputs[0])[0].any()
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("how", ["well", "by an error"])
def test_parameters_get_their_own_wish_for_gradients_back(how: str) -> None:
    net = mixed_net()
    before = state(net)
    assert not all(before["requires_grad"]) and any(before["requires_grad"])

    def borrow() -> None:
        with untrainable(net) as same:
            assert same is net and not any(p.requires_grad for p in net.parameters())
            assert state(net)["modes"] == before["modes"]
            if how != "well":
                raise Boom

    if how == "well":
        borrow()
    else:
        with pytest.raises(Boom):
            borrow()
    assert state(net) == before


# Labels


def test_labels_of_either_kind() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.0], [0.0, 0.0, 5.0]])
    y, both = torch.tensor([0, 1]), torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert not several(y) and several(both) and not several(both.long())
    one = [math.log(sum(math.exp(v) for v in row)) - row[k] for row, k in zip(logits.tolist(), (0, 1), strict=True)]
    assert losses(logits, y).tolist() == pytest.approx(one)

    def odds(v: float) -> float:
        return math.log1p(math.exp(v))

    many = [odds(-2) + odds(-1) + odds(0), 2 * odds(0) + odds(5)]
    assert losses(logits, both).tolist() == pytest.approx(many)
    assert right(torch.tensor([0, 2]), y).tolist() == [True, False]
    assert right(torch.tensor([2, 2]), both).tolist() == [True, False] == right(torch.tensor([0, 0]), both).tolist()
    assert right(torch.tensor([1, 0]), both).tolist() == [False, False]
    assert indicators(y, 3).tolist() == [[1, 0, 0], [0, 1, 0]] and torch.equal(indicators(both, 3), both)
    assert indicators(y, 3).dtype == indicators(both, 3).dtype == torch.float32
    assert one_class(y, GradCAM()) is y
    with pytest.raises(ValueError, match=r"^GradCAM\(layer=''\) is for images of one class each"):
        one_class(both, GradCAM())


def test_entropy_of_either_kind() -> None:
    kinds = torch.zeros(2).long(), torch.zeros(2, 4)
    even = torch.zeros(2, 4)
    assert entropy(even, kinds[0]).tolist() == pytest.approx([math.log(4)] * 2)
    assert entropy(even, kinds[1]).tolist() == pytest.approx([4 * math.log(2)] * 2)
    p = 0.2
    skewed = torch.tensor([[math.log(p / (1 - p))], [1e4]])
    own = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert entropy(skewed, torch.zeros(2, 1)).tolist() == pytest.approx([own, 0])
    assert entropy(torch.tensor([[0.0, math.log(4)], [-1e4, 1e4]]), kinds[0]).tolist() == pytest.approx([own, 0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FGSMBackground(eps=-0.1), "eps is at least 0"),
        (lambda: CellDistance(cells=0), "cells is at least 1"),
        (lambda: MeanDistance(scale=0.0), "scale is above 0"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_net_may_have_any_precision() -> None:
    net = seeded_net(stride=2).double().eval()
    batch = right_batch(seeded_net(stride=2))
    batch = batch._replace(x=batch.x.double())
    found = Inconsistency(background=FGSMBackground(eps=0.02))(net, batch)
    assert found.dtype == torch.float64 and found.isfinite().all()
