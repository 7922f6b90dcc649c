"""Maps that explain nothing, weights drawn anew, and the two controls that compare with them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from math import sqrt

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.explainers import EdgeMap, InputGradient, OfRandomisedModel, RandomMap
from glasshouse.explainers.redrawn import drawn_modules, redrawn
from glasshouse.metrics import ModelRandomisation, RandomLogit
from glasshouse.metrics.fooling import map_ssim, rank_correlation
from glasshouse.metrics.randomisation import other_classes, stages
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.types import Batch
from nets import CLASSES, Linear, Net, full_batch, seeded_net, state
from trained import digits, digits_net

LAYERS = ("features.0", "features.1", "features.3", "head")  # of a Net, that have weights


@dataclass
class Count:
    """An explainer that counts what it is asked."""

    calls: int = 0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        self.calls += 1
        return InputGradient()(model, x, target)

    def __hash__(self) -> int:
        return id(self)


def net_with_statistics() -> Net:
    """A net whose BatchNorm has seen something."""
    net = seeded_net().train()
    net(3 * torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(8)))
    return net.eval()


def tensors(model: nn.Module, layer: str) -> list[Tensor]:
    return [*model.get_submodule(layer).parameters(), *model.get_submodule(layer).buffers()]


def is_of(model: nn.Module, other: nn.Module, layer: str) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(model, layer), tensors(other, layer), strict=True))


# --- maps that explain nothing


def test_a_random_map_is_normal_and_each_images_own() -> None:
    x = torch.rand(6, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    y = torch.arange(6)
    maps = RandomMap()(nn.Flatten(), x, y)
    assert maps.mean().abs() < 0.05 and (maps.std() - 1).abs() < 0.05
    assert rank_correlation(maps[:1].expand(5, -1, -1), maps[1:]).abs().max() < 0.1
    assert torch.equal(RandomMap()(nn.Flatten(), x[2:3], y[:1]), maps[2:3])
    assert rank_correlation(RandomMap(seed=1)(nn.Flatten(), x, y), maps).abs().max() < 0.1
    assert rank_correlation(RandomMap()(nn.Flatten(), x + 1e-3, y), maps).abs().max() < 0.1


def test_edges_of_a_step_and_of_a_slope() -> None:
    step = torch.zeros(2, 3, 5, 6)
    step[0, :, :, 3:] = 1
    step[1] = torch.arange(5).view(1, 5, 1) / 10
    edges = EdgeMap()(nn.Flatten(), step, torch.tensor([0, 0]))
    assert torch.equal(edges[0], torch.tensor([0, 0, 0.5, 0.5, 0, 0]).expand(5, 6))
    torch.testing.assert_close(edges[1, :, 0], torch.tensor([0.05, 0.1, 0.1, 0.1, 0.05]))  # per pixel
    one = step[:1].clone()
    one[:, 1:] = 0  # a third as bright in the mean of the channels
    torch.testing.assert_close(EdgeMap()(nn.Flatten(), one, torch.tensor([0])), edges[:1] / 3)
    turned = EdgeMap()(nn.Flatten(), step.transpose(2, 3), torch.tensor([0, 0]))
    torch.testing.assert_close(turned, edges.transpose(1, 2))


def test_edges_both_ways_are_the_length_of_the_slope() -> None:
    slope = (torch.arange(5).view(5, 1) * 3 + torch.arange(5) * 4) / 100
    edges = EdgeMap()(nn.Flatten(), slope.expand(1, 1, 5, 5), torch.tensor([0]))
    torch.testing.assert_close(edges[0, 1:4, 1:4], torch.full((3, 3), 0.05))


def test_the_map_of_a_randomised_model_is_that_of_other_weights() -> None:
    net, batch = net_with_statistics(), full_batch()
    before = state(net)
    maps = OfRandomisedModel()(net, batch.x, batch.y)
    assert state(net) == before
    assert torch.equal(maps, InputGradient()(redrawn(net, 0), batch.x, batch.y))
    for other in (InputGradient(), OfRandomisedModel(seed=1)):
        assert rank_correlation(maps, other(net, batch.x, batch.y)).max() < 0.9
    retrained = deepcopy(net)
    nn.init.normal_(retrained.head.weight)
    assert torch.equal(OfRandomisedModel()(retrained, batch.x, batch.y), maps)  # nothing learned is left
    torch.manual_seed(7)
    following = torch.rand(3)
    torch.manual_seed(7)
    OfRandomisedModel()(net, batch.x, batch.y)
    assert torch.equal(torch.rand(3), following)  # the caller's stream goes on


# --- weights drawn anew


def test_weights_are_drawn_as_when_a_module_is_built() -> None:
    net = net_with_statistics()
    fresh = redrawn(net, 3)
    torch.manual_seed((3 * 1_000_003) % 2**63)
    built = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3), nn.Linear(8, CLASSES))
    for layer, module in zip(LAYERS, built, strict=True):
        expected = [*module.parameters(), *module.buffers()]
        assert all(torch.equal(a, b) for a, b in zip(tensors(fresh, layer), expected, strict=True))
        assert not is_of(net, fresh, layer)
    assert list(drawn_modules(net)) == list(LAYERS)


def test_parameters_of_their_own_are_drawn_at_their_size() -> None:
    model = Linear(3 + 0.1 * torch.randn(3, 60, 60, generator=torch.Generator().manual_seed(4)))
    weight = redrawn(model, 0).weight.detach()
    assert weight.mean().abs() < 0.1 and (weight.std() - 3).abs() < 0.1
    assert torch.equal(redrawn(model, 0).weight, weight) and not torch.equal(redrawn(model, 1).weight, weight)


@pytest.mark.parametrize("cascade", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_stages_go_from_the_last_layers_to_the_first(count: int, cascade: bool) -> None:
    net = net_with_statistics()
    before, fresh = state(net), redrawn(net, 0)
    parts = {1: [4], 2: [2, 2], 3: [1, 1, 2], 4: [1, 1, 1, 1], 9: [1, 1, 1, 1]}[count]
    done, models = 0, stages(net, fresh, count, cascade)
    for size in parts:
        model = next(models)
        new = LAYERS[::-1][0 if cascade else done : done + size]
        done += size
        for layer in LAYERS:
            assert is_of(model, fresh if layer in new else net, layer)
    assert next(models, None) is None and state(net) == before


# --- the controls


@pytest.mark.parametrize("cascade", [True, False])
def test_model_randomisation_is_the_mean_over_its_stages(cascade: bool) -> None:
    net, batch = net_with_statistics(), full_batch()
    predicted = net(batch.x).argmax(1)
    explained = InputGradient()
    before = explained(net, batch.x, predicted)
    for similarity, alike in (
        ("rank", rank_correlation),
        ("absolute rank", lambda a, b: rank_correlation(a.abs(), b.abs())),
        ("ssim", map_ssim),
    ):
        models = stages(net, redrawn(net, 5), 3, cascade)
        expected = [alike(before, explained(model, batch.x, predicted)) for model in models]
        found = ModelRandomisation(similarity=similarity, cascade=cascade, stages=3, seed=5)(net, batch)
        torch.testing.assert_close(found, sum(expected) / 3)


def test_maps_of_the_image_alone_pass_no_control_and_those_of_a_model_do() -> None:
    net, batch = digits_net(), digits(24)
    for explainer in (EdgeMap(), RandomMap(), OfRandomisedModel(seed=3)):
        torch.testing.assert_close(ModelRandomisation(explainer)(net, batch), torch.ones(24))
    assert ModelRandomisation(InputGradient(), stages=1)(net, batch).mean() < 0.2
    torch.testing.assert_close(RandomLogit(EdgeMap())(net, batch), torch.ones(24))
    assert RandomLogit(InputGradient())(net, batch).mean() < 0.5
    before, after = (e(net, batch.x, net(batch.x).argmax(1)) for e in (InputGradient(), OfRandomisedModel(seed=2)))
    torch.testing.assert_close(ModelRandomisation(stages=1, seed=2)(net, batch), rank_correlation(before, after))


@dataclass(frozen=True)
class FlatAtFirst:
    """The gradient, or 0 where weights are drawn anew and those of the last convolution are not."""

    def __call__(self, model: Net, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        net = net_with_statistics()
        first = is_of(model, net, "features.3") and not is_of(model, net, "head")
        return InputGradient()(model, x, target) * (not first)


def test_a_stage_with_a_flat_map_does_not_count() -> None:
    net, batch = net_with_statistics(), full_batch()
    predicted = net(batch.x).argmax(1)
    before = InputGradient()(net, batch.x, predicted)
    models = stages(net, redrawn(net, 0), 4, True)
    found = [rank_correlation(before, InputGradient()(model, batch.x, predicted)) for model in models]
    torch.testing.assert_close(ModelRandomisation(FlatAtFirst())(net, batch), sum(found[1:]) / 3)


def test_logits_that_oppose_each_other_have_opposite_maps() -> None:
    model, batch = Linear(torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(6))), full_batch()
    torch.testing.assert_close(RandomLogit()(model, batch), torch.full((6,), -1.0))
    torch.testing.assert_close(RandomLogit(similarity="absolute rank")(model, batch), torch.ones(6))


def test_every_other_class_is_drawn_alike_and_never_the_predicted_one() -> None:
    net = seeded_net().eval()
    x = torch.rand(3000, 3, 16, 16, generator=torch.Generator().manual_seed(9))
    verdicts = Verdicts(net, Batch(x, torch.zeros(3000, dtype=torch.int64)), seed=0)
    away = (other_classes(verdicts) - verdicts.predicted) % CLASSES
    counts = torch.bincount(away, minlength=CLASSES)
    assert counts[0] == 0 and (counts[1:] - 1000).abs().max() < 4 * sqrt(3000 * 2 / 9)


def test_random_logit_compares_with_the_class_that_was_drawn() -> None:
    net, batch = seeded_net().eval(), full_batch()
    verdicts = Verdicts(net, batch, seed=4)
    found = RandomLogit().given(verdicts)
    other = verdicts.once(other_classes, lambda: pytest.fail("the class was drawn once"))
    maps = [InputGradient()(net, batch.x, k) for k in (verdicts.predicted, other)]
    torch.testing.assert_close(found, rank_correlation(*maps))


def test_controls_share_what_they_can() -> None:
    net, batch, count = seeded_net().eval(), full_batch(), Count()
    verdicts = Verdicts(net, batch, seed=0)
    for similarity in ("rank", "ssim"):
        ModelRandomisation(count, similarity, stages=2).given(verdicts)
    assert count.calls == 3
    RandomLogit(count).given(verdicts)
    assert count.calls == 4


def test_one_class_has_no_other_and_words_are_checked() -> None:
    one = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1)).eval()
    with pytest.raises(ValueError, match="two classes"):
        RandomLogit()(one, full_batch())
    for metric in (RandomLogit, ModelRandomisation):
        with pytest.raises(ValueError, match="similarity is one of: rank, absolute rank, ssim"):
            metric(similarity="pearson")
    with pytest.raises(ValueError, match="stages"):
        ModelRandomisation(stages=0)


def test_edges_are_not_learned_from_the_colours_order() -> None:
    x = torch.rand(2, 3, 8, 8)
    y = torch.tensor([0, 1])
    torch.testing.assert_close(EdgeMap()(nn.Flatten(), x.flip(1), y), EdgeMap()(nn.Flatten(), x, y))
    assert F.mse_loss(EdgeMap()(nn.Flatten(), 1 - x, y), EdgeMap()(nn.Flatten(), x, y)) < 1e-10
