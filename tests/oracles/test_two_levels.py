"""Networks of two levels: where a route ends, who is asked, and that weights come back with their hierarchy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from glasshouse.hierarchies import ClassGroups
from glasshouse.hierarchy import NOWHERE, Hierarchical, Hierarchy, labels_of, route
from glasshouse.models import CoarseToFine, Grouped, SmallCNN
from glasshouse.models.two_levels import CoarseToFineNetwork, GroupedNetwork, OnlyClass, places_of
from glasshouse.models.weights import classes_in, load_weights, save_weights
from hierarchical import PARITY, PARTIAL, UNEQUAL, Table, numbered_images
from nets import seeded_net

HIERARCHIES = [pytest.param(PARITY, 10, id="parity"), pytest.param(UNEQUAL, 6, id="unequal"),
               pytest.param(PARTIAL, 9, id="partial")]  # fmt: skip
COUNT = 200


def over(component: ClassGroups, classes: int) -> Hierarchy:
    return component(tuple(map(str, range(classes))))


def drawn(rows: int, columns: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def levelled(hierarchy: Hierarchy, seed: int = 0) -> tuple[CoarseToFineNetwork, Tensor, list[Tensor]]:
    """A network whose logits at both levels are known."""
    coarse = drawn(COUNT, len(hierarchy.groups), seed)
    fine = [drawn(COUNT, len(group), seed + 1 + k) for k, group in enumerate(hierarchy.groups)]
    networks = [Table(rows) if rows.shape[1] > 1 else OnlyClass() for rows in fine]
    return CoarseToFineNetwork(Table(coarse), networks, hierarchy), coarse, fine


@pytest.mark.parametrize(("component", "classes"), HIERARCHIES)
def test_the_highest_class_is_where_the_route_ends(component: ClassGroups, classes: int) -> None:
    hierarchy, x = over(component, classes), numbered_images(COUNT)
    model, coarse, fine = levelled(hierarchy)
    logits = model(x)
    groups = coarse.argmax(1).tolist()
    expected = [hierarchy.groups[k][fine[k][i].argmax()] for i, k in enumerate(groups)]
    assert logits.shape == (COUNT, classes) and logits.argmax(1).tolist() == expected
    assert route(model, x).fine.tolist() == expected and route(model, x).coarse.tolist() == groups
    log_p = coarse.log_softmax(1)
    for i in range(COUNT):  # log-probabilities within the highest superclass
        own = hierarchy.groups[groups[i]]
        within = fine[groups[i]][i] if len(own) > 1 else torch.zeros(1)
        torch.testing.assert_close(logits[i, list(own)].detach(), log_p[i, groups[i]] + within.log_softmax(0))
    assert not logits.isinf().any()


def test_a_route_ends_in_the_highest_superclass_however_unsure_its_network_is() -> None:
    hierarchy = over(PARTIAL, 9)
    coarse = torch.tensor([[0.0, 0.0, 1e-6], [1e-6, 0.0, 0.0], [0.0, 1e-6, 0.0], [0.0, 0.0, 0.0]])
    fine = [Table(torch.zeros(4, 2)), OnlyClass(), Table(torch.zeros(4, 3))]
    found = CoarseToFineNetwork(Table(coarse), fine, hierarchy)(numbered_images(4)).argmax(1)
    assert hierarchy.parents[found].tolist() == [2, 0, 1, 0]


@pytest.mark.parametrize(("component", "classes"), HIERARCHIES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e6])
def test_a_flat_network_read_by_level_ends_in_the_highest_superclass(
    component: ClassGroups, classes: int, scale: float
) -> None:
    hierarchy, x = over(component, classes), numbered_images(COUNT)
    flat = drawn(COUNT, classes, 5, scale)
    model = GroupedNetwork(Table(flat), hierarchy)
    logits = model(x)
    sums = torch.stack([flat[:, list(group)].double().logsumexp(1) for group in hierarchy.groups], 1)
    torch.testing.assert_close(model.coarse(x).double(), sums, rtol=1e-5, atol=1e-5)
    ends = route(model, x)
    assert torch.equal(ends.coarse, model.coarse(x).argmax(1)) and torch.equal(logits.argmax(1), ends.fine)
    assert torch.equal(hierarchy.parents[ends.fine], ends.coarse)
    inside = hierarchy.parents == ends.coarse[:, None]
    assert torch.equal(logits[inside], flat[inside])
    for row, own, within in zip(logits, flat, inside, strict=True):
        lowered = own[~within] - row[~within]
        torch.testing.assert_close(lowered, lowered[:1].expand_as(lowered), rtol=1e-3, atol=1e-6 * scale + 1e-6)
        if own[~within].max() < own[within].max():
            assert torch.equal(row, own)


def test_at_a_tie_a_flat_networks_route_stays_in_the_highest_superclass() -> None:
    hierarchy = ClassGroups((("one", (0,)), ("two", (1, 2))))(("a", "b", "c"))
    x = torch.zeros(1, 3, 4, 4)
    for first, others in ((0.0, 0.0), (1.0, 1.0), (3e4, 3e4), (1000.0, 999.9999)):
        model = GroupedNetwork(Table(torch.tensor([[first, others, others]])), hierarchy)
        assert model(x).argmax(1).item() == route(model, x).fine.item() == 1


class Counting(nn.Module):
    """Remembers which images it was asked about."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.asked: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        self.asked += x[:, 0, 0, 0].tolist()
        return x.new_zeros(len(x), self.classes)


@pytest.mark.parametrize("forced", [False, True])
def test_fine_networks_are_asked_only_where_the_coarse_one_says(forced: bool) -> None:
    hierarchy, x = over(UNEQUAL, 6), numbered_images(COUNT)
    coarse = drawn(COUNT, 3)
    fine = [Counting(2), Counting(1), Counting(3)]
    model = CoarseToFineNetwork(Table(coarse), fine, hierarchy)
    group = torch.arange(COUNT) % 3 if forced else None
    found = model.levels(x, group)
    where = coarse.argmax(1) if group is None else group
    assert torch.equal(found.group, where) and torch.equal(found.coarse, coarse)
    for k, network in enumerate(fine):
        assert network.asked == x[where == k, 0, 0, 0].tolist()
    assert torch.equal(found.fine > -torch.inf, hierarchy.parents == where[:, None])


def test_a_superclass_that_no_image_is_in_is_not_asked() -> None:
    model = CoarseToFineNetwork(Table(torch.tensor([[0.0, 5.0, 1.0]])), [Counting(2), Counting(1), Counting(3)],
                                over(UNEQUAL, 6))  # fmt: skip
    assert model(torch.zeros(2, 3, 4, 4)).argmax(1).tolist() == [3, 3]
    assert [len(n.asked) for n in model.fine if isinstance(n, Counting)] == [0, 2, 0]


@pytest.mark.parametrize(("component", "classes"), HIERARCHIES)
def test_levels_of_both_kinds_have_logits_of_the_networks_that_decide(component: ClassGroups, classes: int) -> None:
    hierarchy, x = over(component, classes), numbered_images(COUNT)
    group = (torch.arange(COUNT) * 7) % len(hierarchy.groups)
    two, _, fine = levelled(hierarchy)
    flat = drawn(COUNT, classes)
    for i, row in enumerate(two.levels(x, group).fine):
        own = list(hierarchy.groups[int(group[i])])
        torch.testing.assert_close(row[own], fine[int(group[i])][i] if len(own) > 1 else torch.zeros(1))
    one = GroupedNetwork(Table(flat), hierarchy)
    inside = hierarchy.parents == group[:, None]
    assert torch.equal(one.levels(x, group).fine, flat.masked_fill(~inside, -torch.inf))
    for model in (two, one):
        assert isinstance(model, Hierarchical)
        whole = torch.full((COUNT, classes), torch.nan)
        for part in model.parts(group):
            assert torch.equal(part.classes[part.place(part.classes)], part.classes)
            whole[part.where[:, None], part.classes] = part.network(x[part.where])
        assert torch.equal(whole[inside], model.levels(x, group).fine[inside])


def test_gradients_reach_the_pixels_through_the_networks_that_decide() -> None:
    hierarchy = over(PARITY, 10)
    nets = [SmallCNN(width=2)(k).eval() for k in (2, 5, 5)]
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model = CoarseToFineNetwork(nets[0], nets[1:], hierarchy)
    group = torch.tensor([0, 1, 1, 0, 0, 1])
    fine = model.levels(x, group).fine
    (found,) = torch.autograd.grad(fine[torch.arange(6), group].sum(), x)
    for k in (0, 1):  # class k is superclass k's, and among its own at this place
        part = x[group == k].detach().requires_grad_()
        place = hierarchy.groups[k].index(k)
        (own,) = torch.autograd.grad(nets[1 + k](part)[:, place].sum(), part)
        torch.testing.assert_close(found[group == k], own)
    (whole,) = torch.autograd.grad(model(x).logsumexp(1).sum(), x)
    assert whole.isfinite().all() and whole.flatten(1).any(1).all()


def test_a_superclass_of_one_class_has_a_gradient_and_it_is_0() -> None:
    x = torch.rand(2, 3, 4, 4).requires_grad_()
    logit = OnlyClass()(x)
    assert logit.shape == (2, 1) and not logit.any()
    assert not torch.autograd.grad(logit.sum(), x)[0].any()


def test_places_say_the_superclass_and_the_number_within_it() -> None:
    assert places_of(over(PARTIAL, 9)).tolist() == [
        *([2, 0], [2, 2], [0, 1]),
        *([NOWHERE, NOWHERE], [0, 0], [2, 1]),
        *([NOWHERE, NOWHERE], [1, 0], [NOWHERE, NOWHERE]),
    ]


def two(hierarchy: ClassGroups = UNEQUAL, **fields: Any) -> CoarseToFine:
    return CoarseToFine(hierarchy=hierarchy, coarse=SmallCNN(width=2), fine=SmallCNN(width=3), **fields)


def test_all_networks_come_back_from_one_file_bit_by_bit(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model, path = two()(6), tmp_path / "all.safetensors"
    save_weights(model, path)
    torch.manual_seed(2)
    again = two(weights=str(path))(6)
    assert not torch.equal(two()(6).coarse.network.head.weight, model.coarse.network.head.weight)
    x = torch.rand(8, 3, 16, 16)
    assert torch.equal(again.eval()(x), model.eval()(x))
    own = model.state_dict()
    assert set(own) == set(load_file(path)) and all(torch.equal(v, own[k]) for k, v in again.state_dict().items())
    assert {k.split(".")[0] for k in own} == {"places", "coarse", "fine"} and "fine.2.network.head.bias" in own
    assert classes_in(path, two()) == 6 and isinstance(again.fine[1], OnlyClass)
    with pytest.raises(ValueError, match="a hierarchy names class 5, and there are classes 0 to 3"):
        two(weights=str(path))(4)


OTHERS = [
    (ClassGroups((("few", (1, 5)), ("one", (3,)), ("rest", (0, 2, 4)))), 6,
     r"another hierarchy: class 1 is in superclass 0, place 1 there, and in superclass 0, place 0 here$"),
    (ClassGroups((("few", (5, 0)), ("one", (3,)), ("rest", (1, 2, 4)))), 6,
     r"class 0 is in superclass 2, place 0 there"),
    (replace(UNEQUAL, partial=True), 8, r"are for 6 classes, and the hierarchy is over 8$"),
]  # fmt: skip


@pytest.mark.parametrize(("hierarchy", "classes", "told"), OTHERS)
def test_weights_for_another_hierarchy_are_refused(
    hierarchy: ClassGroups, classes: int, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "all.safetensors"
    save_weights(two()(6), path)
    with pytest.raises(ValueError, match=told):
        two(hierarchy, weights=str(path))(classes)


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    flat, wide, short = (tmp_path / f"{name}.safetensors" for name in ("flat", "wide", "short"))
    save_weights(SmallCNN(width=2)(6), flat)
    save_weights(CoarseToFine(hierarchy=UNEQUAL, coarse=SmallCNN(width=4), fine=SmallCNN(width=3))(6), wide)
    save_file({k: v for k, v in two()(6).state_dict().items() if not k.startswith("fine.2")}, short)
    for path, told in (
        (flat, "no tensor 'places'"),
        (wide, "of another shape, first 'coarse.network.features"),
        (short, "missing, first 'fine.2.network"),
        (tmp_path / "none.pth", "no such file"),
    ):
        with pytest.raises(ValueError, match=told) as error:
            two(weights=str(path))(6)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no tensor 'places'"):
        classes_in(flat, two())


def test_a_flat_file_serves_a_flat_network_read_by_level(tmp_path: Path) -> None:
    path, own = tmp_path / "flat.safetensors", tmp_path / "own.safetensors"
    flat = SmallCNN(width=3)(6).eval()
    save_weights(flat, path)
    component = Grouped(model=SmallCNN(width=3), hierarchy=UNEQUAL)
    x = torch.rand(4, 3, 16, 16)
    read = replace(component, weights=str(path))(6).eval()
    assert torch.equal(read.network(x), flat(x)) and classes_in(path, component) == 6
    assert classes_in(path, replace(component, model=SmallCNN(width=3, weights=str(path)))) == 6
    save_weights(read, own)
    assert own.read_bytes() == path.read_bytes()
    again = component(6).eval()
    load_weights(again, own)
    assert torch.equal(again(x), read(x))
    for wrong in (Grouped(model=SmallCNN(width=4), hierarchy=UNEQUAL, weights=str(path)),):
        with pytest.raises(ValueError, match="are of another network"):
            wrong(6)


def test_as_many_fine_networks_as_superclasses() -> None:
    with pytest.raises(ValueError, match="3 superclasses need as many fine networks, not 2"):
        CoarseToFineNetwork(seeded_net(), [seeded_net(), seeded_net()], over(UNEQUAL, 6))


def test_labels_of_both_levels_agree_with_the_network() -> None:
    hierarchy = over(PARTIAL, 9)
    truth = labels_of(torch.tensor([4, 7, 1]), hierarchy)
    assert truth.coarse.tolist() == [0, 1, 2]
    model, _, _ = levelled(hierarchy)
    assert torch.equal(model.parents, hierarchy.parents)
