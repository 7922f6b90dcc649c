"""Explanations of one level are those of the network that decides there."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.explainers import LRP, AtCoarse, AtFine, GradCAM, InputGradient, OneHot, SmoothGrad
from glasshouse.explainers.by_level import answers
from glasshouse.explainers.lrp.composites import z_plus
from glasshouse.hierarchy import Hierarchy, grouped
from glasshouse.models.two_levels import CoarseToFineNetwork, GroupedNetwork, OnlyClass
from nets import SIDE, Net, seeded_net, state

CAM = GradCAM(layer="features.3")
TARGET = torch.tensor([5, 0, 3, 2, 5, 4, 0])
GROUPS = {"few": (4, 0), "one": (3,), "rest": (5, 1, 2)}


def images() -> Tensor:
    return torch.rand(len(TARGET), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def net_of(classes: int, seed: int) -> Net:
    net = seeded_net(seed, nn.ReLU).eval()
    net.head = nn.Linear(8, classes)
    nn.init.normal_(net.head.weight, std=0.5)
    return net


def hierarchy() -> Hierarchy:
    return grouped(GROUPS, "abcdef")


def coarse_to_fine() -> CoarseToFineNetwork:
    return CoarseToFineNetwork(net_of(3, 0), [net_of(2, 1), OnlyClass(), net_of(3, 2)], hierarchy()).eval()


def flat() -> GroupedNetwork:
    return GroupedNetwork(net_of(6, 3), hierarchy()).eval()


def by_hand(explainer: Any, model: CoarseToFineNetwork, x: Tensor) -> Tensor:
    """Image by image, each with the network of its superclass."""
    maps = []
    for image, target in zip(x, TARGET.tolist(), strict=True):
        number = next(k for k, group in enumerate(GROUPS.values()) if target in group)
        group = tuple(GROUPS.values())[number]
        place = torch.tensor([group.index(target)])
        one = len(group) == 1
        maps.append(torch.zeros(SIDE, SIDE) if one else explainer(model.fine[number], image[None], place)[0])
    return torch.stack(maps)


@pytest.mark.parametrize("explainer", [InputGradient(), CAM, LRP(composite=z_plus())], ids=["gradient", "cam", "lrp"])
def test_the_fine_level_is_that_of_each_images_own_network(explainer: Any) -> None:
    model, x = coarse_to_fine(), images()
    found = AtFine(explainer=explainer)(model, x, TARGET)
    torch.testing.assert_close(found, by_hand(explainer, model, x), atol=1e-6, rtol=1e-5)
    assert not found[2].any() and found[[0, 1, 3, 4, 5, 6]].flatten(1).any(1).all()
    assert all(not torch.equal(a, b) for a, b in pairwise(found))


@pytest.mark.parametrize("explainer", [InputGradient(), CAM, LRP(composite=z_plus())], ids=["gradient", "cam", "lrp"])
@pytest.mark.parametrize("model", [coarse_to_fine(), flat()], ids=["coarse to fine", "flat"])
def test_the_coarse_level_is_that_of_the_superclasses(explainer: Any, model: Any) -> None:
    if isinstance(model, GroupedNetwork) and explainer == CAM:
        explainer = GradCAM(layer="network.features.3")
    x, groups = images(), torch.tensor([2, 0, 1, 2, 2, 0, 0])
    found = AtCoarse(explainer=explainer)(model, x, TARGET)
    assert torch.equal(found, explainer(model.coarse, x, groups)) and found.flatten(1).any(1).all()
    assert answers(AtCoarse(), model, TARGET).tolist() == groups.tolist()


def test_the_fine_level_of_a_flat_network_is_the_network() -> None:
    model, x = flat(), images()
    assert torch.equal(AtFine(explainer=CAM)(model, x, TARGET), CAM(model.network, x, TARGET))


def test_by_default_it_is_the_relevance_of_the_paper() -> None:
    model, x = coarse_to_fine(), images()
    for at_level in (AtCoarse, AtFine):
        assert at_level() == at_level(explainer=LRP(composite=z_plus(), start=OneHot()))
        found = at_level()(model, x, TARGET)  # in favour of the class also where its logit is negative
        assert (found >= 0).all()


def test_each_network_is_asked_once() -> None:
    model, sizes = coarse_to_fine(), []
    for network in model.fine:
        network.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    AtFine(explainer=InputGradient())(model, images(), TARGET)
    assert sizes == [3, 3]


@pytest.mark.parametrize("at_level", [AtCoarse, AtFine])
def test_a_graph_reaches_every_network_that_was_asked(at_level: Any) -> None:
    model, x = coarse_to_fine(), images()
    before = state(model)
    plain = at_level()(model, x, TARGET)
    assert state(model) == before and not plain.requires_grad
    found = at_level()(model, x, TARGET, create_graph=True)
    torch.testing.assert_close(found.detach(), plain)
    found.square().sum().backward()
    asked = [model.coarse] if at_level is AtCoarse else [model.fine[0], model.fine[2]]
    grads = [net.features[0].weight.grad for net in asked]
    assert all(grad is not None and grad.any() for grad in grads)


def test_a_class_in_no_superclass_is_refused() -> None:
    model = GroupedNetwork(net_of(6, 3), grouped({"a": (0, 5), "b": (3,)}, "abcdef", partial=True)).eval()
    for at_level in (AtCoarse(), AtFine()):
        with pytest.raises(ValueError, match="3 of 7 labels are in no superclass"):
            at_level(model, images(), torch.tensor([5, 0, 3, 2, 1, 4, 0]))


def test_what_an_explainer_tells_apart_shows_through_what_is_around_it() -> None:
    model, groups = flat(), [2, 0, 1, 2, 2, 0, 0]
    assert answers(SmoothGrad(explainer=AtCoarse()), model, TARGET).tolist() == groups
    for explainer in (CAM, AtFine(), SmoothGrad(), AtFine(explainer=SmoothGrad())):
        assert torch.equal(answers(explainer, model, TARGET), TARGET)


@pytest.mark.parametrize("at_level", [AtCoarse(), AtFine()])
def test_a_plain_network_is_refused(at_level: Any) -> None:
    with pytest.raises(ValueError, match=f"{type(at_level).__name__} needs a model of two levels"):
        at_level(net_of(6, 3), images(), TARGET)
