"""icCNN on closed forms: padding, groups of filters, the two losses, and the maps of filters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import PGD
from glasshouse.data import Digits
from glasshouse.data.samples import Memory
from glasshouse.explainers import FilterMap, GradCAM
from glasshouse.explainers.filter_map import stretched
from glasshouse.explainers.layers import resized
from glasshouse.models import ICCNN, ResNet20, SmallCNN, TorchVision
from glasshouse.models.iccnn import replicating
from glasshouse.models.weights import save_weights
from glasshouse.modes import tap
from glasshouse.objectives import (
    TRADES,
    Adversarial,
    Changed,
    Compositional,
    CrossEntropy,
    Mask,
    Sensitivity,
    Sum,
    WeightPerturbed,
)
from glasshouse.objectives.compositional import (
    category_loss,
    clustered,
    correlation,
    filter_groups,
    members,
    part_loss,
    shares,
    similarity,
)
from glasshouse.registry import names
from glasshouse.spec import parse
from glasshouse.train import Adam, Training, fit, fresh
from glasshouse.types import Batch, Samples
from nets import SIDE, Boom, Net, exploding, full_batch, seeded_net, state

GROUPS = (0, 0, 1, 1, 2, 2, 2, 0)  # of the 8 filters of nets.Net
GROUPED = Compositional(layer="features", clusters=3, groups=GROUPS)


def random_maps(count: int = 5, filters: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(count, filters, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def equal(count: int) -> Tensor:
    return torch.full((count,), 1 / count, dtype=torch.float64)


# --- the network


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 7, "padding": 3, "stride": 2},
        {"kernel_size": (3, 5), "padding": (0, 2), "groups": 2, "bias": False},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": (5, 3), "padding": "same"},
    ],
    ids=str,
)
def test_a_convolution_becomes_one_that_was_built_with_replicate_padding(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 4, 9, 8)
    plain = nn.Conv2d(4, 6, **options)
    built = nn.Conv2d(4, 6, padding_mode="replicate", **options)
    built.load_state_dict(plain.state_dict())
    before = plain(x)
    assert torch.equal(replicating(plain)(x), built(x)) and not torch.equal(plain(x), before)


def test_what_does_not_pad_with_zeros_stays() -> None:
    kept = [
        nn.Conv2d(3, 3, 1),
        nn.Conv2d(3, 3, 3, padding="valid"),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"),
    ]
    modes = [module.padding_mode for module in kept]
    assert [replicating(nn.Sequential(*kept))[i].padding_mode for i in range(3)] == modes


@pytest.mark.parametrize(
    "plain", [SmallCNN(width=4), ResNet20(), TorchVision(name="resnet18")], ids=lambda a: str(a)[:20]
)
def test_nothing_of_an_even_image_tells_where_its_border_is(plain: Any) -> None:
    """Zeros around it would; and all names of parameters are those of the plain network."""
    torch.manual_seed(0)
    own, known = ICCNN(architecture=plain)(5).eval(), plain(5).eval()
    assert list(own.state_dict()) == list(known.state_dict())
    known.load_state_dict(own.state_dict())
    x, layer = torch.full((1, 3, 32, 32), 0.7), "network.features" if plain == SmallCNN(width=4) else "network.layer3"
    spreads = []
    for model in (own, known):
        with torch.no_grad(), tap(model, layer) as outputs:
            model(x)
        spreads.append(float((outputs[0] - outputs[0].mean((2, 3), keepdim=True)).abs().max() / outputs[0].abs().max()))
    assert spreads[0] < 1e-5 < 1e-2 < spreads[1]


def test_weights_of_a_plain_network_load_inside_and_outside(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain, path = SmallCNN(width=2)(4), str(tmp_path / "w.safetensors")
    save_weights(plain, path)
    x, bare = torch.rand(2, 3, 16, 16), SmallCNN(width=2)
    logits = replicating(plain.eval())(x)
    for own in (ICCNN(architecture=replace(bare, weights=path)), ICCNN(architecture=bare, weights=path)):
        assert torch.equal(own(4).eval()(x), logits)
    with pytest.raises(ValueError, match="new_head=True"):
        ICCNN(architecture=bare, weights=path)(5)
    assert ICCNN(architecture=bare, weights=path, new_head=True)(5)(x).shape == (2, 5)


# --- the losses as formulas


def test_filters_of_one_group_have_nothing_to_be_told_apart_from() -> None:
    maps = random_maps()
    similar = similarity(maps, maps.mean(0), equal(5))
    assert float(part_loss(similar, members((0,) * 8, maps))) == pytest.approx(-1)


def test_the_filter_loss_of_opposite_groups_is_their_number_and_of_unrelated_filters_the_shares() -> None:
    opposite = torch.tensor([[2.0, 2, 0], [2, 2, 0], [0, 0, 2]])
    assert float(part_loss(opposite, members((0, 0, 1), opposite))) == pytest.approx(-2)
    unrelated = 1 + torch.eye(4)
    # Groups of 3 and 1: (9 + 3) / (3 * 4 + 3) and (1 + 1) / (4 + 1)
    assert float(part_loss(unrelated, members((0, 0, 0, 1), unrelated))) == pytest.approx(-12 / 15 - 2 / 5)
    assert float(part_loss(unrelated, members((0, 0, 0, 2), unrelated))) == pytest.approx(-12 / 15 - 2 / 5)


def test_filters_are_alike_by_how_they_differ_from_the_mean_map() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(2, 3, 4), torch.randn(3, 4)
    up, down = one, -2 * one
    maps = torch.stack(
        [torch.stack([image + other, 3 * image - other, less]) for image, less in zip(up, down, strict=True)]
    )
    mean = torch.stack([other, -other, torch.zeros(3, 4)])
    expected = 1 + torch.tensor([[1.0, 1, -1], [1, 1, -1], [-1, -1, 1]])
    torch.testing.assert_close(similarity(maps, mean, torch.tensor([0.3, 0.7])), expected)


def test_an_image_counts_in_the_likeness_as_much_as_it_weighs() -> None:
    maps = random_maps(2)
    mean = random_maps(1, seed=1)[0]
    each = [similarity(maps[i : i + 1], mean, equal(1)) for i in range(2)]
    weighted = similarity(maps, mean, torch.tensor([0.25, 0.75], dtype=torch.float64))
    torch.testing.assert_close(weighted, 0.25 * each[0] + 0.75 * each[1])


@pytest.mark.parametrize("value", [0.0, 0.3, 1e6])
def test_a_filter_that_never_changes_is_like_none_and_gets_no_gradient(value: float) -> None:
    torch.manual_seed(0)
    maps = torch.rand(7, 4, 3, 3)
    maps[:, 1] = value
    maps.requires_grad_()
    similar = similarity(maps, maps.detach().mean(0), equal(7).float())
    assert torch.equal(similar[1], torch.ones(4)) and float(similar[0, 0].detach()) == pytest.approx(2)
    part_loss(similar, members((0, 0, 1, 1), maps)).backward()
    assert maps.grad is not None and maps.grad.isfinite().all() and not maps.grad[:, 1].any() and maps.grad[:, 0].any()


def flat(active: list[list[float]]) -> Tensor:
    """Feature maps of one cell each: as many images as rows, as many filters as columns."""
    return torch.tensor(active, dtype=torch.float64)[:, :, None, None]


def category(active: list[list[float]], y: Tensor, groups: tuple[int, ...], share: Tensor | None = None) -> float:
    maps = flat(active)
    return float(category_loss(maps, y, members(groups, maps), equal(len(y)) if share is None else share))


def test_classes_that_share_no_group_are_worth_one_each_and_classes_alike_one_together() -> None:
    y = torch.tensor([0, 0, 4])
    assert category([[1, 0], [3, 0], [0, 2]], y, (0, 1)) == pytest.approx(-2)
    assert category([[1, 1], [3, 3], [2, 2]], y, (0, 1)) == pytest.approx(-1)
    # Orthogonal images of one class: 2 / (2 + 2 / sqrt 2), and the other image 1 / (1 + 2 / sqrt 2)
    half = 2 / 2**0.5
    assert category([[1, 0], [0, 1], [1, 1]], y, (0, 1)) == pytest.approx(-2 / (2 + half) - 1 / (1 + half))


def test_a_group_counts_by_the_number_of_its_filters_times_their_sum() -> None:
    """Two filters of 1 are 2 * 2, one of 4 is 1 * 4: the same direction."""
    y = torch.tensor([0, 1])
    assert category([[1, 1, 4], [1, 1, 4]], y, (0, 0, 1)) == pytest.approx(-1)
    # 4 : 0 and 4 : 4, at an angle of 45 degrees
    assert category([[1, 1, 0], [1, 1, 4]], y, (0, 0, 1)) == pytest.approx(-2 / (1 + 0.5**0.5))


def test_an_image_of_several_classes_is_one_of_each() -> None:
    several = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 1, 0]])
    angle = 0.5**0.5
    each = (2 + 2 * angle) / (2 + 3 * angle + 0)
    assert category([[1, 0], [1, 1], [0, 1]], several, (0, 1)) == pytest.approx(-2 * each)
    y = torch.tensor([2, 0, 2, 1])
    active = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).tolist()
    one_hot = nn.functional.one_hot(y, 5).float()
    assert category(active, y, (0, 1, 1)) == category(active, one_hot, (0, 1, 1))


def test_a_class_counts_as_much_as_its_images_weigh_on_average() -> None:
    y, active = torch.tensor([0, 0, 1, 1]), [[1.0, 0], [1, 0], [0, 1], [0, 1]]
    share = torch.tensor([0.1, 0.3, 0.6, 0.0], dtype=torch.float64)
    assert category(active, y, (0, 1), share) == pytest.approx(-(0.4 / 0.5 + 0.6 / 0.5))
    assert category(active, y, (0, 1), torch.zeros(4, dtype=torch.float64)) == 0


def test_images_without_any_activation_and_negative_groups_give_numbers() -> None:
    maps = flat([[0, 0], [0, 0], [-1, -2], [3, -1]]).requires_grad_()
    value = category_loss(maps, torch.tensor([0, 1, 1, 2]), members((0, 1), maps), equal(4))
    value.backward()
    assert float(value.detach()) == pytest.approx(-1) and maps.grad is not None and maps.grad.isfinite().all()


@pytest.mark.parametrize("weight", [None, torch.tensor([0.1, 0.0, 2.0, 1.0, 0.5], dtype=torch.float64)])
def test_the_gradients_are_those_of_finite_differences(weight: Tensor | None) -> None:
    maps, member = random_maps().requires_grad_(), members(GROUPS, random_maps())
    y = torch.tensor([0, 1, 0, 2, 1])
    share, mean = shares(Batch(maps.detach(), y, weight=weight)), random_maps(1, seed=3)[0]
    assert torch.autograd.gradcheck(lambda m: part_loss(similarity(m, mean, share), member), maps)
    assert torch.autograd.gradcheck(lambda m: category_loss(m, y, member, share), maps)


# --- groups


def planted(filters: int = 9, kinds: int = 3, noise: float = 0.1) -> Tensor:
    """Maps in which every ``kinds``-th filter shows the same, but for noise and strength."""
    generator = torch.Generator().manual_seed(0)
    shown = torch.randn(20, kinds, 4, 4, generator=generator)
    own = torch.randn(20, filters, 4, 4, generator=generator)
    strength = torch.rand(filters, generator=generator).view(-1, 1, 1) + 0.5
    return strength * (shown[:, torch.arange(filters) % kinds] + noise * own) + 10


def test_filters_that_show_the_same_come_into_one_group() -> None:
    found = clustered(correlation([planted()]), 3)
    assert found == (0, 1, 2, 0, 1, 2, 0, 1, 2)
    assert filter_groups(Compositional(groups=found)) == [(0, 3, 6), (1, 4, 7), (2, 5, 8)]
    assert filter_groups(Compositional()) == []


def test_the_groups_are_numbered_by_their_first_filters_and_never_drawn_anew() -> None:
    found = correlation([planted()])
    drawn = np.random.get_state()[2]
    first = clustered(found.flip(0, 1), 3)
    assert list(dict.fromkeys(first)) == [0, 1, 2] and first == clustered(found.flip(0, 1), 3)
    assert np.random.get_state()[2] == drawn
    assert clustered(found, 9) == tuple(range(9))


def test_a_correlation_is_over_images_and_places_about_the_mean_of_each_place() -> None:
    maps = planted(6)
    shifted = maps + torch.arange(6.0).view(-1, 1, 1) * torch.rand(4, 4)  # the same in every image
    rows = (maps - maps.mean(0)).transpose(0, 1).flatten(1)
    torch.testing.assert_close(
        correlation([shifted[:7], shifted[7:]]).float(),
        (rows / rows.norm(dim=1, keepdim=True)) @ (rows / rows.norm(dim=1, keepdim=True)).T,
    )


@pytest.mark.parametrize("size", [0.0, 0.1, 1e6])
def test_filters_that_never_change_correlate_with_none_and_are_clustered_all_the_same(size: float) -> None:
    maps = planted()
    maps[:, 4:] = size * torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(0))
    found = correlation(maps.split(7))
    assert not found[4:].any() and not found[:, 4:].any() and float(found[0, 0]) == pytest.approx(1)
    assert found.isfinite().all() and len(clustered(found, 3)) == 9


# --- the objective


def calls_of(net: Net) -> list[int]:
    """How many images the network is called with, call by call."""
    counts: list[int] = []
    net.register_forward_pre_hook(lambda module, inputs: counts.append(len(inputs[0])))
    return counts


def test_without_groups_the_objective_is_the_one_inside(net: Net, batch: Batch) -> None:
    net.eval()
    (task,) = Compositional()(net, batch).values()
    assert torch.equal(task, CrossEntropy()(net, batch)["task"])


def test_both_terms_are_those_of_the_only_forward_pass(net: Net, batch: Batch) -> None:
    net.eval()
    with tap(net, "features") as outputs:
        task = CrossEntropy()(net, batch)["task"]
    maps, member, share = outputs[0], members(GROUPS, outputs[0]), shares(batch)
    calls = calls_of(net)
    terms = replace(GROUPED, part=0.5, category=0.25)(net, batch)
    assert calls == [6] and list(terms) == ["task", "part", "category"]
    torch.testing.assert_close(terms["task"], task)
    torch.testing.assert_close(terms["part"], 0.5 * part_loss(similarity(maps, maps.mean(0), share), member))
    torch.testing.assert_close(terms["category"], 0.25 * category_loss(maps, batch.y, member, share))


def test_the_layer_is_found_where_none_is_named(net: Net, batch: Batch) -> None:
    assert replace(GROUPED, layer="")(net.eval(), batch) == GROUPED(net, batch)


def test_the_mean_map_is_no_way_for_the_gradient(net: Net, batch: Batch) -> None:
    net.eval()
    with tap(net, "features") as outputs:
        net(batch.x)
    maps, member = outputs[0], members(GROUPS, outputs[0])
    weight = net.features[3].weight
    (expected,) = torch.autograd.grad(part_loss(similarity(maps, maps.mean(0).detach(), shares(batch)), member), weight)
    (found,) = torch.autograd.grad(GROUPED(net, batch)["part"], weight)
    torch.testing.assert_close(found, 0.1 * expected)


def test_an_image_without_weight_trains_nothing_by_its_parts(net: Net, batch: Batch) -> None:
    net.eval()
    x = batch.x.clone().requires_grad_()
    weighted = batch._replace(x=x, weight=torch.tensor([1.0, 0, 2, 1, 0, 1]))
    (gradient,) = torch.autograd.grad(GROUPED(net, weighted)["part"], x)
    assert gradient.flatten(1).any(1).tolist() == [True, False, True, True, False, True]


def test_only_the_ratio_of_weights_counts_and_no_weights_are_equal_ones(net: Net, batch: Batch) -> None:
    once, tenfold = (GROUPED(net.eval(), batch._replace(weight=k * batch.weight)) for k in (1, 10))
    torch.testing.assert_close(once, tenfold)
    plain, equal = (GROUPED(net, batch._replace(weight=weight)) for weight in (None, torch.full((6,), 3.0)))
    torch.testing.assert_close(plain, equal)


def test_it_leaves_the_network_as_it_was_also_after_an_error(net: Net, batch: Batch) -> None:
    before = state(net.eval())
    GROUPED(net, batch)
    assert state(net) == before
    before = state(exploding(net, 1))
    with pytest.raises(Boom):
        GROUPED(net, batch)
    assert state(net) == before


def test_weights_of_zero_and_single_images_give_numbers(net: Net, batch: Batch) -> None:
    for some in (
        batch._replace(weight=torch.zeros(6)),
        batch._replace(y=torch.zeros(6, dtype=torch.int64)),
        full_batch(1),
    ):
        net.zero_grad()
        terms = GROUPED(net.eval(), some)
        torch.stack(list(terms.values())).sum().backward()
        assert all(term.isfinite() for term in terms.values())
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def reached(net: Net, objective: Any, batch: Batch) -> Tensor:
    """The gradient of the filter loss at the first convolution."""
    (gradient,) = torch.autograd.grad(objective(net, batch)["part"], net.features[0].weight)
    return gradient


def test_what_an_attack_saw_does_not_count(net: Net, batch: Batch) -> None:
    net.eval()
    attack = PGD(steps=2, random_start=False)
    attacked = batch._replace(x=attack(net, batch.x, batch.y))
    expected = reached(net, GROUPED, attacked)
    found = reached(net, replace(GROUPED, objective=Adversarial(attack=attack)), batch)
    assert expected.any()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(reached(net, replace(GROUPED, objective=TRADES()), batch), reached(net, GROUPED, batch))


def test_what_only_some_of_the_images_went_through_does_not_count(net: Net, batch: Batch) -> None:
    net.eval()
    partly = batch._replace(mask=batch.mask | (torch.arange(6) < 3).view(-1, 1, 1))
    objective = replace(GROUPED, objective=Sum(terms=(Sensitivity(), CrossEntropy())))
    torch.testing.assert_close(reached(net, objective, partly), reached(net, GROUPED, batch))


def test_it_works_within_perturbed_weights_and_within_itself(net: Net, batch: Batch) -> None:
    net.eval()
    assert reached(net, WeightPerturbed(objective=GROUPED), batch).any()
    early = Compositional(objective=GROUPED, layer="features.2", clusters=2, groups=(0, 0, 1, 1, 1, 0))
    alone = replace(early, objective=CrossEntropy())(net, batch)
    torch.testing.assert_close(early(net, batch)["part"], alone["part"] + GROUPED(net, batch)["part"])


def test_an_activation_in_place_behind_the_layer_changes_nothing(batch: Batch) -> None:
    objective = replace(GROUPED, layer="features.3")
    plain, inside = (
        objective(seeded_net(activation=lambda inplace=inplace: nn.ReLU(inplace)).eval(), batch)
        for inplace in (False, True)
    )
    assert plain == inside


def test_groups_that_are_not_of_this_layer_and_layers_that_are_not_called_are_told(net: Net, batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"groups has a number for each of the 6 filters of 'features\.0'"):
        replace(GROUPED, layer="features.0")(net, batch)
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        replace(GROUPED, layer="nowhere")(net, batch)
    net.unused = nn.Conv2d(3, 8, 3)
    with pytest.raises(ValueError, match="never calls its layer 'unused'"):
        replace(GROUPED, layer="unused")(net, batch)


@pytest.mark.parametrize(
    "wrong", [{"clusters": 1}, {"part": -1.0}, {"category": -0.1}, {"every": 0}, {"images": -1}, {"groups": (0, -1)}]
)
def test_wrong_numbers_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Compositional(**wrong)


# --- looking


def samples(count: int = 40) -> Memory:
    pixels = torch.randint(256, (count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(3)).byte()
    return Memory(pixels, torch.arange(count) % 4, ("a", "b", "c", "d"))


def test_a_look_finds_layer_and_groups_and_leaves_everything_as_it_was(net: Net) -> None:
    start = Compositional(clusters=3, images=0)
    with torch.no_grad(), tap(net, "features") as outputs:
        net.eval()(samples()[list(range(40))].x)
    before, drawn = state(net.train()), torch.get_rng_state()
    found = start.look(net, samples(), 0)
    assert state(net) == before and torch.equal(torch.get_rng_state(), drawn)
    assert found == replace(start, layer="features", groups=clustered(correlation(outputs), 3))
    assert parse(repr(found), names()) == found


def test_a_look_takes_so_many_images_always_the_same(net: Net) -> None:
    calls = calls_of(net)
    start = Compositional(clusters=3, images=33, layer="features")
    assert start.look(net, samples(), 0) == start.look(net, samples(), 0)
    assert calls == [32, 1, 32, 1]


def test_it_looks_every_so_many_epochs_and_at_once_without_groups(net: Net) -> None:
    start, other = replace(Compositional(clusters=3), groups=(0, 1, 2, 0, 0, 0, 0, 0)), samples()
    looks = [start.look(net, other, epoch) == start for epoch in range(5)]
    assert looks == [False, True, False, True, False]
    assert replace(start, every=3).look(net, other, 2) == replace(start, every=3)
    assert replace(start, groups=()).look(net, other, 1).groups


@dataclass(frozen=True)
class Counting:
    """An objective that counts what it is told."""

    looks: int = 0
    advances: int = 0

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return CrossEntropy()(model, batch)

    def look(self, model: nn.Module, samples: Samples, epoch: int) -> Counting:
        return replace(self, looks=self.looks + 1)

    def advance(self, terms: dict[str, float]) -> Counting:
        return replace(self, advances=self.advances + 1)


def test_the_objective_inside_looks_and_advances_too_and_this_one_within_others(net: Net) -> None:
    objective: Any = Compositional(objective=Counting(), clusters=3)
    for epoch in range(3):
        objective = objective.look(net, samples(), epoch).advance({})
    assert objective.objective == Counting(looks=3, advances=3)
    nested = Changed(change=Mask(), objective=Sum(terms=(Compositional(clusters=3),)))
    assert nested.look(net, samples(), 0).objective.terms[0].groups


def test_more_clusters_than_filters_are_told(net: Net) -> None:
    with pytest.raises(ValueError, match="clusters is at most 8, the number of filters of 'features', not 9"):
        Compositional(clusters=9).look(net, samples(), 0)
    assert Compositional(clusters=8).look(net, samples(), 0).groups == tuple(range(8))


DIGITS = Digits(decoy=None, size=16)


def apart(model: nn.Module, groups: tuple[int, ...]) -> float:
    """How much more filters of a group are alike than others, on test digits."""
    batch = DIGITS("test")[list(range(100))]
    with torch.no_grad(), tap(model, "network.features") as outputs:
        model(batch.x)
    member = members(groups, outputs[0])
    alike, similar = member.T @ member, similarity(outputs[0], outputs[0].mean(0), shares(batch))
    own = alike.bool() & ~torch.eye(len(groups), dtype=torch.bool)
    return float(similar[own].mean() - similar[alike == 0].mean())


def test_training_with_it_makes_filters_of_a_group_alike_and_others_different() -> None:
    found, architecture = [], ICCNN(architecture=SmallCNN(width=4))
    for objective in (Compositional(clusters=4, part=0.0, category=0.0), Compositional(clusters=4, part=0.5)):
        model = fresh(architecture, 10, 0)
        last = fit(model, objective, DIGITS("train"), Training(epochs=3, optimizer=Adam(lr=0.01)))
        assert isinstance(last, Compositional) and len(last.groups) == 16
        found.append(apart(model, last.groups))
    assert found[1] > found[0] + 0.2


# --- maps of filters


def test_each_filter_is_stretched_so_that_none_hides_another() -> None:
    ramp = torch.arange(4.0).view(1, 1, 2, 2)
    maps = torch.cat([ramp, 100 * ramp.flip(3) - 7, torch.full((1, 1, 2, 2), 5.0)], 1)
    expected = torch.tensor([[[0, 1], [2, 3]]]) / 3
    torch.testing.assert_close(FilterMap(filters=(0,)).cam(maps, maps), expected)
    torch.testing.assert_close(FilterMap(filters=(0, 1)).cam(maps, maps), (expected + expected.flip(2)) / 2)
    assert not FilterMap(filters=(2,)).cam(maps, maps).any()


def test_without_filters_each_image_is_shown_the_one_with_the_highest_activation() -> None:
    maps = torch.tensor([[[[0.0, 9]], [[5.1, 5]]], [[[0, 1]], [[8, 2]]]])  # the other one is higher on average
    assert FilterMap().cam(maps, maps).tolist() == [[[0, 1]], [[1, 0]]]


def test_a_filter_map_is_what_the_layer_gives_whatever_the_class(net: Net, batch: Batch) -> None:
    with torch.no_grad(), tap(net.eval(), "features.3") as outputs:
        net(batch.x)
    explainer = FilterMap(layer="features.3", filters=(1, 6))
    found = explainer(net, batch.x, batch.y)
    torch.testing.assert_close(found, resized(stretched(outputs[0][:, [1, 6]]).mean(1), batch.x))
    assert torch.equal(explainer(net, batch.x, (batch.y + 1) % 4), found)
    assert float(found.min()) >= 0 and float(found.max()) <= 1 and explainer.layer != GradCAM().layer


def test_dead_filters_can_be_shown_and_trained_on() -> None:
    net = seeded_net(activation=nn.ReLU).eval()
    with torch.no_grad():
        net.features[3].weight[2] = 0
        net.features[3].bias[2] = -1
    found = FilterMap(filters=(2, 3))(net, full_batch().x, full_batch().y, create_graph=True)
    found.sum().backward()
    gradient = net.features[3].weight.grad
    assert gradient is not None and gradient.isfinite().all() and gradient[3].any() and not gradient[2].any()


def test_filters_that_there_are_not_are_told(net: Net, batch: Batch) -> None:
    with pytest.raises(ValueError, match="FilterMap: filters go from 0 to 7, there is no 8"):
        FilterMap(filters=(0, 8))(net, batch.x, batch.y)
    for wrong in ((-1,), (3, 3)):
        with pytest.raises(ValueError, match="filters are"):
            FilterMap(filters=wrong)
