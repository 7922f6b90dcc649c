"""Every component obeys its contract. A new component is tested here by being exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse import attacks, corruptions, data, detectors, explainers, metrics, objectives, selectors
from glasshouse.attacks import L2, PGD, AtLevel, CoarseChanges, FineChanges, Limited, Linf
from glasshouse.attacks.explanations import mass
from glasshouse.attacks.regions import attacked
from glasshouse.corruptions import GaussianNoise
from glasshouse.data import Digits
from glasshouse.data.samples import Memory
from glasshouse.detectors.findings import Findings
from glasshouse.explainers import LIME, Grid
from glasshouse.hierarchies import CIFAR10Kinds
from glasshouse.metrics.localisation import on_maps
from glasshouse.models import SmallCNN
from glasshouse.objectives import CrossEntropy, Mask
from glasshouse.recipe import Recipe
from glasshouse.registry import PACKAGES, is_frozen, names
from glasshouse.selectors import RandomChoice
from glasshouse.spec import conforms, parse, pretty, required
from glasshouse.studies import Compared, LevelTrial, LevelWay, NamedModel, RobustnessTrial, Trial, Way
from glasshouse.types import (
    Attack,
    Augmentation,
    Batch,
    Explainer,
    Fill,
    Metric,
    Objective,
    Region,
    Segmenter,
    Selector,
)
from nets import SIDE, Boom, Net, TwoLevelNet, exploding, full_batch, mixed_net, seeded_net, state, with_field

REQUIRED: dict[str, Any] = {
    "arms": (),
    "change": Mask(),
    "coarse": SmallCNN(),
    "compared": (Compared("digits", Digits(), SmallCNN(), (Way("cross-entropy"),)),),
    "corruption": GaussianNoise(),
    "data": Digits(),
    "fine": SmallCNN(),
    "groups": (("few", (0,)), ("rest", (1, 2))),
    "hierarchy": CIFAR10Kinds(),
    "model": SmallCNN(),
    "models": (NamedModel("mine", SmallCNN()),),
    "name": "someone/something",
    "objective": CrossEntropy(),
    "path": "groups.json",
    "root": "folder",
    "recipe": Recipe(data=Digits(), model=SmallCNN(), arms=()),
    "train": "rows.parquet",
    "selector": RandomChoice(),
    "ways": (Way("cross-entropy"),),
    "trials": (Trial("digits", Recipe(data=Digits(), model=SmallCNN(), arms=())),),
}
LEVEL_WAY = LevelWay("PGD", AtLevel(PGD(), CoarseChanges()), AtLevel(PGD(), FineChanges()))
EXTRA: dict[str, dict[str, Any]] = {
    "Arm": {"control_of": "another"},
    "HierarchicalAttacks": {
        "trials": (LevelTrial("digits", Digits(), CIFAR10Kinds(), SmallCNN(), (LEVEL_WAY,)),),
    },
    "LevelTrial": {"ways": (LEVEL_WAY,)},
    "LevelWay": {"coarse": LEVEL_WAY.coarse, "fine": LEVEL_WAY.fine},
    "RobustnessStudy": {"trials": (RobustnessTrial("digits", Digits(), given=(NamedModel("mine", SmallCNN()),)),)},
    "RobustnessTrial": {"given": (NamedModel("mine", SmallCNN()),)},
    "StandardEnsemble": {"budget": 0.02},
}

# What an explainer cannot do, by the name of its class.
BASELINES = {"EdgeMap", "OfRandomisedModel", "RandomMap"}  # no weight of the model has a part in their maps
UNTRAINABLE = {"Captum", "ELIME", "EvolvedFront", *BASELINES}  # says so with a ValueError about create_graph
NEEDS_RELU = {"GuidedBackprop"}
IGNORES_THE_MODEL = {"EdgeMap", "RandomMap"}
IGNORES_THE_HEAD = {"EigenCAM", "FilterMap"}
EXPLANATION_ATTACKS = {"MassCentre", "TargetMap", "TargetRegion", "TopK"}  # the map changes, the class does not
LABEL_FREE = {"KLPGD"}  # the prediction moves, to whichever class
# Of a plain network says so with a ValueError.
NEEDS_LEVELS = {"AtCoarse", "AtFine", "AtLevel", "FooledAt", "LRPCoarse", "LRPFine"}
# Metrics that leave out some samples (NaN).
PARTIAL = {"Fooled", "FooledAt", "PerturbationOverlap", "PerturbationRank", "RelevanceMoved"}
NEEDS_WEIGHTS = {"LPIPS"}  # says so with a ValueError


def example(cls: type) -> Any:
    """A component with its defaults, and with something that fits where there is none."""
    missing = [f.name for f in fields(cls) if required(f)]
    return cls(**({name: REQUIRED[name] for name in missing} | EXTRA.get(cls.__name__, {})))


def variants(cls: type) -> Iterator[Any]:
    """The defaults, and the defaults with each switch flipped."""
    yield (default := example(cls))
    for field in fields(cls):
        if isinstance(getattr(default, field.name), bool) and cls.__name__ not in EXTRA:
            yield replace(default, **{field.name: not getattr(default, field.name)})


def cheaper(component: Any) -> Any:
    """The same with a budget for tests."""
    return replace(component, **CHEAPER.get(type(component).__name__, {}))


def exported(package: Any, protocol: type | None = None) -> list[Any]:
    """Parameters for all components of a package that are called as a protocol says."""
    found = [c for name in package.__all__ for c in variants(getattr(package, name))]
    kept = [c for c in found if protocol is None or conforms(type(c), protocol)]
    return [pytest.param(c, id=f"{type(c).__name__}-{i}") for i, c in enumerate(kept)]


def trained(explainer: Any, create_graph: bool) -> AbstractContextManager[Any]:
    """Where a map with a graph is asked for: refused with a word about it by those that have none."""
    refused = create_graph and type(explainer).__name__ in UNTRAINABLE
    return pytest.raises(ValueError, match="create_graph") if refused else nullcontext()


@pytest.fixture
def net(request: pytest.FixtureRequest) -> Net:
    """As everywhere, with an activation that the explainer can explain, and with the levels that it needs."""
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    name = type(given.get("explainer", given.get("metric", given.get("attack")))).__name__
    return suited(name, mixed_net(nn.ReLU if name in NEEDS_RELU else nn.Softplus))


def suited(name: str, net: Net) -> Any:
    """The net, read as one of two levels where the component of that name needs them."""
    return TwoLevelNet(net) if name in NEEDS_LEVELS else net


EVERY = [p for package in PACKAGES.values() for p in exported(package)]
EXPLAINERS = exported(explainers, Explainer)
# What takes thousands of passes by default.
CHEAPER: dict[str, dict[str, Any]] = {"Square": {"queries": 60}, "FAB": {"steps": 12}}
ATTACKS = [pytest.param(cheaper(p.values[0]), id=p.id) for p in exported(attacks, Attack)]
REGIONS = exported(attacks, Region)
CHANGES = exported(objectives, Augmentation) + exported(data, Augmentation)
CORRUPTIONS = exported(corruptions)
DETECTORS = [p for p in exported(detectors) if hasattr(p.values[0], "fit")]
RULES = [p for p in exported(detectors) if "pool" in getattr(type(p.values[0]).__call__, "__annotations__", {})]
BALLS = [Linf(eps=0.03), L2(eps=0.4)]


@pytest.mark.parametrize("component", EVERY)
def test_the_text_of_a_component_is_all_there_is_to_know(component: Any) -> None:
    known = names()
    again = parse(repr(component), known)
    assert again == component and hash(again) == hash(component) and repr(again) == repr(component)
    assert parse(pretty(component), known) == component
    assert parse(pretty(component, width=1), known) == component


@pytest.mark.parametrize("component", EVERY)
def test_a_component_is_frozen_and_documented(component: Any) -> None:
    cls = type(component)
    assert is_frozen(cls)
    assert cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(")  # dataclass writes one by itself
    for field in fields(cls):
        with pytest.raises(FrozenInstanceError):
            setattr(component, field.name, None)


def test_no_two_components_have_one_name() -> None:
    every = [name for package in PACKAGES.values() for name in package.__all__]
    assert sorted(set(every)) == sorted(every)


def test_every_package_is_sorted_and_exports_what_exists() -> None:
    for package in PACKAGES.values():
        assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_an_explanation_is_a_finite_detached_map(explainer: Explainer, net: Net, batch: Batch) -> None:
    for x in (batch.x, batch.x.clone().requires_grad_()):
        attribution = explainer(net, x, batch.y)
        assert attribution.shape == (len(batch.x), SIDE, SIDE)
        assert attribution.isfinite().all() and not attribution.requires_grad and attribution.any()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_an_explainer_gives_everything_back(explainer: Explainer, create_graph: bool, net: Net, batch: Batch) -> None:
    before, x = state(net), batch.x.clone()
    with trained(explainer, create_graph):
        explainer(net, batch.x, batch.y, create_graph=create_graph)
    assert state(net) == before
    assert torch.equal(batch.x, x) and not batch.x.requires_grad and batch.x.grad is None


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_an_explainer_gives_everything_back_after_an_error(
    explainer: Explainer, create_graph: bool, call: int, net: Net, batch: Batch
) -> None:
    before = state(exploding(net, call))
    name = type(explainer).__name__
    refused = create_graph and name in UNTRAINABLE
    spared = call > 1 or name in IGNORES_THE_MODEL
    with trained(explainer, create_graph) if refused else suppress(Boom) if spared else pytest.raises(Boom):
        explainer(net, batch.x, batch.y, create_graph=create_graph)
    assert state(net) == before and not batch.x.requires_grad


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_samples_do_not_see_each_other(explainer: Explainer, net: Net, batch: Batch) -> None:
    with torch.no_grad():
        whole = explainer(net, batch.x, batch.y)
        parts = [explainer(net, batch.x[i : i + 2], batch.y[i : i + 2]) for i in (0, 2, 4)]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_an_explanation_is_the_same_twice(explainer: Explainer, net: Net, batch: Batch) -> None:
    first = explainer(net, batch.x, batch.y)
    torch.manual_seed(99)
    assert torch.equal(explainer(net, batch.x, batch.y), first)


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_an_explanation_can_be_trained_on(explainer: Explainer, net: Net, batch: Batch) -> None:
    plain = explainer(net, batch.x, batch.y)
    if type(explainer).__name__ in UNTRAINABLE:
        with trained(explainer, True):
            explainer(net, batch.x, batch.y, create_graph=True)
        return
    attribution = explainer(net, batch.x, batch.y, create_graph=True)
    torch.testing.assert_close(attribution.detach(), plain)
    attribution.square().sum().backward()
    head = [] if type(explainer).__name__ in IGNORES_THE_HEAD else [net.head.weight]
    for parameter in (net.features[0].weight, *head):
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any()
    assert net.head.bias.grad is None


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_an_activation_in_place_changes_no_explanation(explainer: Explainer, batch: Batch) -> None:
    nets = [seeded_net(activation=lambda inplace=inplace: nn.ReLU(inplace)).eval() for inplace in (False, True)]
    nets = [suited(type(explainer).__name__, net) for net in nets]
    for layer in ("", "features.3", "features.1") if "layer" in {f.name for f in fields(explainer)} else ("",):
        chosen = with_field(explainer, "layer", layer) if layer else explainer
        outside, inside = (chosen(net, batch.x, batch.y) for net in nets)
        assert torch.equal(outside, inside)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model.eval()(x), y)


@pytest.mark.parametrize("ball", BALLS, ids=repr)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_stays_in_the_ball_and_raises_the_loss(attack: Any, ball: Any, net: Net, batch: Batch) -> None:
    before, x = state(net), batch.x.clone()
    x_adv = attacked(with_field(attack, "ball", ball), net, batch)
    assert x_adv.shape == x.shape and x_adv.dtype == x.dtype and not x_adv.requires_grad
    assert float(x_adv.min()) >= 0 and float(x_adv.max()) <= 1
    assert (ball.norm(x_adv - x) <= ball.eps + 1e-5).all()
    assert state(net) == before and torch.equal(batch.x, x) and not batch.x.requires_grad
    if type(attack).__name__ in EXPLANATION_ATTACKS:
        check_explanation(attack.explainer, ball, net, batch, x_adv)
    elif type(attack).__name__ in LABEL_FREE:
        check_divergence(ball, net, batch, x_adv)
    else:
        assert loss(net, x_adv, batch.y) > loss(net, x, batch.y)


def check_divergence(ball: Any, net: Net, batch: Batch, x_adv: Tensor) -> None:
    """The prediction moved further than random changes of the same size move it, for each image."""
    noise = torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(4))
    noisy = (batch.x + ball.eps * ball.ascent(noise)).clamp(0, 1)
    clean, after, random = (net.eval()(t).softmax(1) for t in (batch.x, x_adv, noisy))
    assert (
        F.kl_div(after.log(), clean, reduction="none").sum(1) > F.kl_div(random.log(), clean, reduction="none").sum(1)
    ).all()


def check_explanation(explainer: Explainer, ball: Any, net: Net, batch: Batch, x_adv: Tensor) -> None:
    """The prediction is as it was, and the map moved further than random changes of the same size move it."""
    predicted = net.eval()(batch.x).argmax(1)
    assert torch.equal(net(x_adv).argmax(1), predicted)
    noise = torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(4))
    noisy = (batch.x + ball.eps * ball.ascent(noise)).clamp(0, 1)
    before, after, random = (mass(explainer(net, t, predicted)) for t in (batch.x, x_adv, noisy))
    assert (after - before).abs().sum() > (random - before).abs().sum()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_keeps_to_the_pixel_range_at_its_ends(attack: Any, net: Net, batch: Batch) -> None:
    saturated = batch._replace(x=batch.x.round())
    x_adv = attacked(attack, net, saturated)
    assert float(x_adv.min()) >= 0 and float(x_adv.max()) <= 1 and x_adv.isfinite().all()


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gives_everything_back_after_an_error(attack: Any, call: int, net: Net, batch: Batch) -> None:
    before = state(exploding(net, call))
    with suppress(Boom) if call > 1 else pytest.raises(Boom):
        attacked(attack, net, batch)
    assert state(net) == before and not batch.x.requires_grad


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_follows_torchs_seed_and_needs_no_gradients_around_it(attack: Any, net: Net, batch: Batch) -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        with torch.no_grad():
            found.append(attacked(attack, net, batch))
    assert torch.equal(*found)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("ball", BALLS, ids=repr)
def test_a_limited_attack_changes_nothing_outside_its_region(region: Any, ball: Any, net: Net, batch: Batch) -> None:
    before = state(net)
    where = region(net, batch)
    assert where.shape == batch.x[:, 0].shape and where.dtype == torch.bool and where.any() and not where.all()
    x_adv = Limited(attack=PGD(ball=ball, steps=3), region=region).on(net, batch)
    changed = (x_adv != batch.x).any(1)
    assert not (changed & ~where).any() and changed.flatten(1).any(1).all()
    assert state(net) == before


@pytest.mark.parametrize("objective", exported(objectives, Objective))
def test_an_objective_names_finite_scalars_that_reach_the_parameters(objective: Any, net: Net, batch: Batch) -> None:
    x = batch.x.clone()
    before = state(net)
    terms = objective(net, batch)
    after = state(net)
    assert all(after[k] == before[k] for k in ("modes", "requires_grad", "grads", "hooks"))
    assert terms and all(isinstance(name, str) and name.isidentifier() for name in terms)
    assert all(term.ndim == 0 and term.isfinite() for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert net.features[0].weight.grad is not None and net.features[0].weight.grad.any()
    assert torch.equal(batch.x, x) and not batch.x.requires_grad


@pytest.mark.parametrize("objective", exported(objectives, Objective))
def test_an_objective_advances_to_an_objective_of_its_kind(objective: Any) -> None:
    if hasattr(objective, "advance"):
        terms = {name: term.item() for name, term in objective(mixed_net(), full_batch()).items()}
        assert type(objective.advance(terms)) is type(objective)


@pytest.mark.parametrize("metric", exported(metrics, Metric))
def test_a_metric_is_one_finite_number_a_sample(metric: Any, net: Net, batch: Batch) -> None:
    before = state(net.eval())
    torch.manual_seed(0)
    if getattr(metric, "adversarial", False):  # of no use without an attack that finds another class
        metric = with_field(metric, "ball", Linf(eps=0.5))
    with pytest.raises(ValueError, match="needs") if type(metric).__name__ in NEEDS_WEIGHTS else nullcontext():
        values = metric(net, batch)
        counted = values.isfinite()
        assert values.shape == (len(batch.x),) and not values.requires_grad
        assert counted.any() and (counted.all() or type(metric).__name__ in PARTIAL)
        reordered = Batch(*(t.flip(0) for t in batch if t is not None))
        torch.manual_seed(0)
        torch.testing.assert_close(metric(net, reordered).flip(0), values, equal_nan=True)
    assert state(net) == before


FAMILIES = ("conciseness", "stability", "faithfulness", "localisation", "sanity", "alignment")
OF_EXPLANATIONS = [p for p in exported(metrics) if hasattr(p.values[0], "family")]
SCALE_DEPENDENT = {"Infidelity"}  # metrics of a map that change when it is multiplied


@pytest.mark.parametrize("metric", OF_EXPLANATIONS)
def test_a_metric_of_explanations_says_what_it_is_about_and_which_way_is_better(metric: Any) -> None:
    assert conforms(type(metric), Metric) and metric.family in FAMILIES and metric.better in (-1, 0, 1)
    assert not {"family", "better"} & {f.name for f in fields(metric)}


@pytest.mark.parametrize("metric", [p for p in OF_EXPLANATIONS if on_maps(p.values[0])])
def test_a_metric_of_a_map_does_not_change_when_the_map_is_multiplied(metric: Any, net: Net, batch: Batch) -> None:
    if type(metric).__name__ in SCALE_DEPENDENT:
        return
    maps = batch.attribution
    assert maps is not None
    for factor in (2.0**-30, 2.0**20):
        torch.manual_seed(0)
        values = metric(net.eval(), batch)
        torch.manual_seed(0)
        scaled = metric(net, batch._replace(attribution=maps * factor))
        torch.testing.assert_close(scaled, values, equal_nan=True)


@pytest.mark.parametrize("component", [p for p in EVERY if type(p.values[0]).__name__ in NEEDS_LEVELS])
def test_what_needs_levels_says_so(component: Any, net: Net, batch: Batch) -> None:
    before = state(net.eval())
    with pytest.raises(ValueError, match=f"{type(component).__name__} needs a model of two levels"):
        component(net, batch) if hasattr(component, "given") else component(net, batch.x, batch.y)
    assert state(net) == before


@pytest.mark.parametrize("segmenter", exported(explainers, Segmenter))
@pytest.mark.parametrize("kind", ["noise", "flat", "wide"])
def test_superpixels_are_numbered_from_0_without_gaps(segmenter: Segmenter, kind: str) -> None:
    x = torch.rand(3, 3, 16, 24 if kind == "wide" else 16) * (kind != "flat")
    segments = segmenter(x)
    assert segments.shape == x[:, 0].shape and segments.dtype == torch.int64
    for image in segments:
        assert image.unique().tolist() == list(range(int(image.max()) + 1))
    assert torch.equal(segmenter(x), segments)


@pytest.mark.parametrize("fill", exported(explainers, Fill))
@pytest.mark.parametrize("side", [16, 33, 224])
def test_a_fill_looks_like_an_image(fill: Fill, side: int) -> None:
    grid = Grid(cells=4)
    for x in (torch.rand(2, 3, side, side), torch.ones(1, 3, side, side), torch.zeros(1, 3, side, side)):
        filled = fill(x, grid(x))
        assert filled.shape == x.shape and filled.dtype == x.dtype
        assert float(filled.min()) >= 0 and float(filled.max()) <= 1


@pytest.mark.parametrize("fill", exported(explainers, Fill))
def test_images_are_filled_one_by_one(fill: Fill, batch: Batch) -> None:
    segments = Grid(cells=4)(batch.x)
    one_by_one = [fill(batch.x[i : i + 1], segments[i : i + 1]) for i in range(len(batch.x))]
    torch.testing.assert_close(fill(batch.x, segments), torch.cat(one_by_one))


def coloured(count: int, height: int = 32, width: int = 32) -> Tensor:
    """Images with colours, edges and smooth parts."""
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(7))
    return F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1).mul(255).round() / 255


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (31, 20), (5, 4), (1, 1)], ids=str)
def test_a_corrupted_image_is_an_image_of_any_size(corruption: Any, size: tuple[int, int]) -> None:
    for severity in (1, 3, 5):
        x = coloured(3, *size)
        before = x.clone()
        worse = replace(corruption, severity=severity)(x)
        assert worse.shape == x.shape and worse.dtype == x.dtype and worse.device == x.device
        assert worse.isfinite().all() and float(worse.min()) >= 0 and float(worse.max()) <= 1
        assert torch.equal(x, before) and worse.data_ptr() != x.data_ptr()
        assert min(size) < 5 or not torch.equal(worse, x)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corrupted_image_follows_from_the_image_and_the_seed(corruption: Any) -> None:
    x = coloured(6)
    worse = corruption(x)
    torch.manual_seed(99)
    assert torch.equal(corruption(x), worse)
    order = torch.tensor([4, 1, 5, 3, 0, 2])
    torch.testing.assert_close(corruption(x[order]), worse[order], atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat([corruption(x[i : i + 1]) for i in range(6)]), worse, atol=1e-5, rtol=0)
    assert corruption(x[:0]).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_severity_is_another(corruption: Any) -> None:
    x = coloured(4)
    worse = [replace(corruption, severity=severity)(x) for severity in range(1, 6)]
    assert all((a - b).abs().max() > 1 / 255 for i, a in enumerate(worse) for b in worse[:i])
    for severity in (0, 6):
        with pytest.raises(ValueError, match="severity"):
            replace(corruption, severity=severity)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corruption_keeps_the_precision_and_leaves_no_graph(corruption: Any) -> None:
    x = coloured(2)
    plain = corruption(x)
    precise = corruption(x.double().requires_grad_())
    assert precise.dtype == torch.float64 and not precise.requires_grad
    # What is just at a threshold, or half a step of JPEG, may go either way.
    assert ((precise.float() - plain).abs() > 1e-5).float().mean() < 0.05
    assert corruption(x.half()).dtype == torch.float16


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corruption_refuses_what_is_no_batch_of_colour_images(corruption: Any) -> None:
    for wrong in (torch.rand(2, 1, 8, 8), torch.rand(3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="takes images"):
            corruption(wrong)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_keeps_shapes_labels_and_the_callers_batch(change: Augmentation, batch: Batch) -> None:
    before = Batch(*(None if t is None else t.clone() for t in batch))
    changed = change(batch)
    assert all(a is not None and b is not None and torch.equal(a, b) for a, b in zip(before, batch, strict=True))
    assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(batch, changed, strict=True))
    assert torch.equal(changed.y, batch.y) and torch.equal(changed.index, batch.index)
    assert float(changed.x.min()) >= 0 and float(changed.x.max()) <= 1
    assert not torch.equal(changed.x, batch.x)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(5))
def test_what_is_spurious_stays_marked_wherever_it_goes(change: Augmentation, seed: int) -> None:
    torch.manual_seed(seed)
    spurious = torch.rand(8, SIDE, SIDE) < 0.2
    x = torch.where(spurious[:, None], 1.0, 0.5 * torch.rand(8, 3, SIDE, SIDE))
    changed = change(Batch(x, torch.arange(8), ~spurious))
    assert changed.mask is not None
    assert not (changed.mask & (changed.x == 1).all(1)).any()


LOOK = LIME(segmenter=Grid(cells=4), samples=16)


def images(count: int = 24) -> Memory:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (count, 3, SIDE, SIDE), generator=generator).byte()
    masks = full_batch(count).mask
    return Memory(pixels, torch.arange(count) % 4, ("a", "b", "c", "d"), masks)


def check_findings(found: Findings, samples: Memory, count: int) -> None:
    assert found.index.tolist() == sorted(set(found.index.tolist())) and len(found.index) == count
    assert torch.equal(found.y, samples.labels[found.index])
    assert found.segments.shape == (count, SIDE, SIDE)
    exists = found.score > -torch.inf
    assert exists.sum(1).tolist() == (found.segments.flatten(1).amax(1) + 1).tolist()
    assert found.score[exists].isfinite().all() and found.by_class.isfinite().all()
    assert found.by_class.shape == (len(samples.classes), SIDE, SIDE)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector_finds_scores_and_gives_everything_back(detector: Any, net: Net) -> None:
    looks = replace(with_field(getattr(detector, "detector", detector), "lime", LOOK), images=16, pool=12, batch_size=8)
    aggregates = hasattr(detector, "detector")
    detector = replace(detector, detector=looks) if aggregates else looks
    before, samples = state(net), images()
    found = detector.fit(net, samples)
    if aggregates:
        assert found.by_class.shape[0] == len(samples.classes) and len(found.index) == 0
    else:
        check_findings(found, samples, 16)
    assert state(net) == before
    torch.manual_seed(99)
    assert all(torch.equal(a, b) for a, b in zip(detector.fit(net, samples), found, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_scores_every_superpixel(rule: Any, net: Net, batch: Batch) -> None:
    before, segments = state(net), LOOK.segmenter(batch.x)
    score = rule(net, batch, segments, LOOK, batch)
    assert score.shape == (len(batch.x), 16) and score.isfinite().all() and not score.requires_grad
    assert (score >= 0).all() and score.any() and state(net) == before


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_gives_everything_back_after_an_error(rule: Any, net: Net, batch: Batch) -> None:
    before = state(exploding(net, 3))
    with suppress(Boom):
        rule(net, batch, LOOK.segmenter(batch.x), LOOK, batch)
    assert state(net) == before


SELECTORS = exported(selectors, Selector)
SEVERAL_REFUSED = {"CEAL"}  # pseudo-labels are one class an image


@pytest.mark.parametrize("kind", ["one class", "several"])
@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_finds_new_samples_the_same_ones_with_the_same_seed(selector: Any, kind: str, net: Net) -> None:
    samples, chosen = images(), torch.tensor([17, 3, 8])
    if kind == "several":
        samples = replace(samples, labels=F.one_hot(samples.labels, 4).float())
        if type(selector).__name__ in SEVERAL_REFUSED:
            with pytest.raises(ValueError, match="several"):
                selector(net, samples, chosen, 5, 0)
            return
    before = state(net)
    for count in (1, 5, 21, 99):
        torch.manual_seed(count)
        found = selector(net, samples, chosen, count, 7)
        following = torch.rand(3)
        torch.manual_seed(count)
        assert torch.equal(following, torch.rand(3))  # nothing was drawn from the caller's stream
        assert len(found.asked) == min(count, 21) and set(found.asked.tolist()) <= set(found.index.tolist())
        assert found.index.dtype == torch.int64 and found.index.device.type == "cpu"
        every = [*found.index.tolist(), *chosen.tolist()]
        assert len(set(every)) == len(every) and set(every) <= set(range(24))
        again = selector(net, samples, chosen, count, 7)
        assert all(a is b is None or torch.equal(a, b) for a, b in zip(again, found, strict=True))
    assert state(net) == before and chosen.tolist() == [17, 3, 8]


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_knows_what_is_left(selector: Any, net: Net) -> None:
    samples, none = images(), torch.zeros(0, dtype=torch.int64)
    assert len(selector(net, samples, torch.arange(24), 5, 0).index) == 0
    assert sorted(selector(net, samples, none, 24, 0).index.tolist()) == list(range(24))
    for chosen, count, told in ((none, 0, "at least 1"), (torch.tensor([24]), 1, "24"), (torch.tensor([-1]), 1, "-1")):
        with pytest.raises(ValueError, match=told):
            selector(net, samples, chosen, count, 0)


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_gives_everything_back_after_an_error(selector: Any, call: int, net: Net) -> None:
    before = state(exploding(net, call))
    with suppress(Boom):
        selector(net, images(), torch.tensor([3]), 5, 0)
    assert state(net) == before
