"""Any attack on one level of a hierarchical model: what it sees there, and when it is done."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import (
    APGD,
    DLR,
    FAB,
    FGSM,
    L2,
    PGD,
    AtLevel,
    CoarseChanges,
    DeepFool,
    Explained,
    FineChanges,
    Limited,
    Linf,
    Margin,
    Square,
)
from glasshouse.attacks.levels import FineLogits, met
from glasshouse.attacks.standing import Window
from glasshouse.explainers import InputGradient
from glasshouse.hierarchy import Labels, grouped, labels_of
from glasshouse.models.two_levels import GroupedNetwork
from level_nets import BOTH, CLASSES, flat, named, pictures, separate
from nets import state

COARSE, FINE = CoarseChanges(), FineChanges()
BALL = Linf(eps=0.1)
UNSTARTED = PGD(ball=BALL, steps=5, random_start=False, loss=Margin())


class Fixed(nn.Module):
    """The pixels are the logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def brute(criterion: Any, model: Any, x: Tensor, y: Tensor) -> list[bool]:
    """Image by image, from the logits of both levels."""
    groups = model.hierarchy.groups
    found = []
    for image, label in zip(x, y.tolist(), strict=True):
        own = next(k for k, group in enumerate(groups) if label in group)
        coarse, fine, _ = model.levels(image[None], torch.tensor([own]))
        kept = coarse[0].tolist().index(max(coarse[0].tolist())) == own
        best = fine[0].tolist().index(max(fine[0].tolist()))
        found.append(not kept if criterion == COARSE else kept and best != label)
    return found


# What an attack on the fine level sees


@pytest.mark.parametrize("kind", BOTH)
def test_the_fine_level_changes_exactly_where_the_class_does_and_the_superclass_does_not(kind: str) -> None:
    model, x = BOTH[kind](), pictures(120)
    y = torch.tensor([0, 1, 2, 3, 4, 5, 1, 2]).repeat(15)
    expected = brute(FINE, model, x, y)
    assert 5 < sum(expected) < 115
    assert met(FINE, model, x, y).tolist() == expected
    coarse = brute(COARSE, model, x, y)
    assert met(COARSE, model, x, y).tolist() == coarse and 5 < sum(coarse) < 115


@pytest.mark.parametrize("size", [1.0, 30.0, 1e6])
def test_neither_rounding_nor_ties_change_what_the_criterion_says(size: float) -> None:
    """Logits so near to each other that single precision has many ties, among superclasses, too."""
    levels = grouped({"a": (0, 3), "b": (2, 1)}, "abcd")
    model = GroupedNetwork(Fixed(), levels)
    generator = torch.Generator().manual_seed(0)
    x = size + torch.randint(-3, 4, (4000, 4), generator=generator) * size * 2.0**-22
    y = torch.randint(0, 4, (4000,), generator=generator)
    labels = labels_of(y, levels)
    coarse, fine, _ = model.levels(x, labels.coarse)
    assert (coarse[:, 0] == coarse[:, 1]).sum() > 100
    expected = (fine.argmax(1) != y) & (coarse.argmax(1) == labels.coarse)
    assert torch.equal(FineLogits(model, labels)(x).argmax(1) != y, expected)


def test_a_class_is_as_high_as_it_is_or_as_its_superclass_is() -> None:
    model = GroupedNetwork(Fixed(), grouped({"a": (0, 1), "b": (2, 3, 4)}, "abcdef", partial=True))
    x = torch.tensor([[1.0, 3.0, 2.0, 0.5, 0.0, 9.0], [1.0, 1.5, -9.0, -9.0, -9.0, 9.0]])
    found = FineLogits(model, Labels(torch.tensor([0, 0]), torch.tensor([0, 0])))(x)
    coarse = [x[:, group].exp().sum(1).log() for group in ([0, 1], [2, 3, 4])]
    assert found[:, 0].tolist() == [0, 0]
    assert found[0, 1].item() == pytest.approx(float((coarse[0] - coarse[1])[0]))
    assert 0 < found[0, 1].item() < 2 and found[1, 1].item() == pytest.approx(0.5)
    assert (found[:, 2:] < -50).all()


def test_what_is_missing_is_climbed() -> None:
    """The class first while it is lower than the superclass is sure, and else the superclass."""
    model, x = flat(), pictures(40).requires_grad_()
    y = torch.tensor([0, 1, 2, 5]).repeat(10)
    labels = labels_of(y, model.hierarchy)
    coarse, fine, group = model.levels(x, labels.coarse)
    others = fine.scatter(1, y[:, None], -torch.inf).amax(1) - fine.gather(1, y[:, None])[:, 0]
    kept = coarse.gather(1, group[:, None])[:, 0] - coarse.scatter(1, group[:, None], -torch.inf).amax(1)
    (expected,) = torch.autograd.grad(torch.minimum(others, kept).sum(), x)
    (found,) = torch.autograd.grad(Margin()(FineLogits(model, labels)(x), y).sum(), x)
    assert (others < kept).any() and (others > kept).any()
    torch.testing.assert_close(found, expected)


def test_classes_elsewhere_have_no_slope() -> None:
    model, x = separate(), pictures(3).requires_grad_()
    labels = labels_of(torch.tensor([3, 0, 3]), model.hierarchy)
    logits = FineLogits(model, labels)(x)
    (found,) = torch.autograd.grad(logits[:, [1, 2, 3, 5, 6]].sum(), x)
    assert (found == 0).all() and logits.isfinite().all()


def test_labels_go_with_their_images() -> None:
    model, x = flat(), pictures(6)
    network = FineLogits(model, labels_of(torch.tensor([0, 1, 2, 3, 4, 5]), model.hierarchy))
    left = torch.tensor([True, False, False, True, True, False])
    torch.testing.assert_close(network.of(left)(x[left]), network(x)[left])
    window = Window(network, x, torch.ones_like(x, dtype=torch.bool))
    torch.testing.assert_close(window.of(left)(x[left]), network(x)[left])


# Attacks on a level


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("attack", [UNSTARTED, PGD(ball=BALL, steps=2), FGSM(ball=BALL)], ids=repr)
def test_on_the_coarse_level_it_is_the_attack_on_the_coarse_network(kind: str, attack: Any) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    torch.manual_seed(0)
    found = AtLevel(attack=attack)(model, x, y)
    torch.manual_seed(0)
    assert torch.equal(found, attack(model.coarse, x, model.hierarchy.parents[y]))
    torch.manual_seed(0)
    both = torch.stack(labels_of(y, model.hierarchy), 1)
    assert torch.equal(found, AtLevel(attack=attack)(model, x, both))


ATTACKS = [
    FGSM(ball=BALL),
    PGD(ball=BALL, steps=6),
    PGD(ball=L2(eps=0.6), steps=6, restarts=2),
    APGD(ball=BALL, steps=8, targets=1),
    APGD(ball=BALL, steps=8, loss=DLR()),
    FAB(ball=BALL, steps=5, classes=2),
    DeepFool(steps=8),
    Square(ball=BALL, queries=30),
]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("criterion", [COARSE, FINE], ids=repr)
@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_every_attack_does_its_work_on_each_level(kind: str, criterion: Any, attack: Any) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    torch.manual_seed(0)
    found = AtLevel(attack=attack, criterion=criterion)(model, x, y)
    done = met(criterion, model, found, y)
    assert done.tolist() == brute(criterion, model, found, y)
    assert done.sum() >= 3
    assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1 and not found.requires_grad
    assert (attack.ball.norm(found - x) <= attack.ball.eps + 1e-9).all()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("criterion", [COARSE, FINE], ids=repr)
def test_a_search_is_that_of_each_image_alone(kind: str, criterion: Any) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    attack = AtLevel(attack=UNSTARTED, criterion=criterion)
    found = attack.search(model, x, y)
    alone = torch.cat([attack.search(model, x[k : k + 1], y[k : k + 1]) for k in range(len(x))])
    torch.testing.assert_close(found, alone, atol=1e-12, rtol=0)
    done = met(criterion, model, found, y)
    assert done.any()
    assert ((found - x)[done].flatten(1).abs().amax(1) < BALL.eps - 1e-9).any()  # it stopped on the way
    assert (attack(model, x, y) != found).any()


@pytest.mark.parametrize("criterion", [COARSE, FINE], ids=repr)
def test_an_attack_without_a_search_is_called(criterion: Any) -> None:
    model, x = flat(), pictures()
    attack = AtLevel(attack=DeepFool(steps=3), criterion=criterion)
    y = named(model, x)
    assert torch.equal(attack.search(model, x, y), attack(model, x, y))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("criterion", [COARSE, FINE], ids=repr)
@pytest.mark.parametrize("search", [False, True])
def test_an_attack_may_be_limited_to_a_region(kind: str, criterion: Any, search: bool) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    region = Explained(explainer=InputGradient(), share=0.5)
    limited = AtLevel(attack=Limited(attack=PGD(ball=Linf(eps=0.3), steps=4), region=region), criterion=criterion)
    torch.manual_seed(0)
    found = (limited.search if search else limited)(model, x, y)
    touched = (found != x).any(1).flatten(1).sum(1)
    assert (touched <= 32).all() and touched.max() > 20
    assert met(criterion, model, found, y).sum() >= 3


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("attack", [DeepFool(steps=8), UNSTARTED, FGSM(ball=BALL), FAB(ball=BALL, steps=5)], ids=repr)
def test_a_class_that_is_alone_in_its_superclass_stays_as_it_is(kind: str, attack: Any) -> None:
    model, x = BOTH[kind](), pictures()
    y = named(model, x)
    y[:3] = 3
    found = AtLevel(attack=attack, criterion=FINE)(model, x, y)
    assert torch.equal(found[y == 3], x[y == 3])
    assert (found[y != 3] != x[y != 3]).any()


@pytest.mark.parametrize("criterion", [COARSE, FINE], ids=repr)
def test_models_and_labels_without_levels_are_refused(criterion: Any) -> None:
    attack = AtLevel(attack=UNSTARTED, criterion=criterion)
    for run in (attack, attack.search):
        with pytest.raises(ValueError, match="AtLevel needs a model of two levels"):
            run(flat().network, pictures(2), torch.tensor([0, 1]))
        with pytest.raises(ValueError, match="1 of 2 labels are in no superclass"):
            run(flat(), pictures(2), torch.tensor([0, CLASSES - 1]))


@pytest.mark.parametrize("criterion", [COARSE, FINE], ids=repr)
def test_the_model_is_given_back_as_it_was(criterion: Any) -> None:
    model = flat().train()
    before = state(model)
    AtLevel(attack=UNSTARTED, criterion=criterion)(model, pictures(3), torch.tensor([0, 1, 4]))
    assert state(model) == before
