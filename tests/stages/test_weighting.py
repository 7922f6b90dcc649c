"""Weights of training samples: how they come about, that they reach the loss, and that nothing else changes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_kept import rows_of
from test_training import Interrupted, bits, model, staged
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.attacks import FGSM, Ranked
from glasshouse.consistency import Arctan, FGSMBackground, MeanDistance
from glasshouse.data import CropFlip, Digits
from glasshouse.data.samples import Memory, at_most
from glasshouse.draws import seeded_globally
from glasshouse.explainers import EigenCAM, GradCAM, InputGradient
from glasshouse.metrics import Accuracy, Inconsistency, Loss, Uncertainty
from glasshouse.modes import frozen
from glasshouse.objectives import (
    MART,
    TRADES,
    Adversarial,
    Changed,
    Compositional,
    CrossEntropy,
    Mask,
    Sum,
    WeightPerturbed,
)
from glasshouse.train import SGD, Adam, Training, descend, fit
from glasshouse.types import Batch, Objective, Samples
from glasshouse.weighting import AsScored, Hardest, Relative, Reweighting, Shuffled
from glasshouse.weighting.online import Watch, with_weights
from glasshouse.weighting.reweighting import SCORES, WEIGHTS, distribution, in_words, scored
from nets import Boom, state

TRAINING = Training(epochs=5, batch_size=16, optimizer=Adam(lr=5e-3))
QUIET = pytest.mark.filterwarnings("ignore:all training samples weigh practically the same")
pytestmark = QUIET


@pytest.fixture(scope="module")
def samples() -> Samples:
    return at_most(Digits(size=16)("train"), 33)  # the last batch has a single image


@dataclass(frozen=True)
class Bright:
    """A score that is known, and draws random numbers to no end."""

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        assert not net.training and not any(p.requires_grad for p in net.parameters())
        torch.rand(3)
        return brightness(batch.x)


@dataclass(frozen=True)
class Even:
    """A score that is the same for all."""

    value: float = 0.5

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        return torch.full((len(batch.x),), self.value)


@dataclass(frozen=True)
class Noting:
    """Cross-entropy, with a note of which samples came with what weight and what was drawn; blind to the weights."""

    def __call__(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        NOTES.append((batch.index.clone(), None if batch.weight is None else batch.weight.clone(), torch.rand(2)))
        return {"task": F.cross_entropy(net(batch.x), batch.y)}


NOTES: list[tuple[Tensor, Tensor | None, Tensor]] = []


def brightness(x: Tensor) -> Tensor:
    """From 0 to 1, different for each image."""
    return (20 * x.mean((1, 2, 3))).remainder(1)


def bright(samples: Samples) -> Tensor:
    return brightness(samples[list(range(len(samples)))].x)


def noted(
    samples: Samples, weighting: Reweighting | None, objective: Objective | None = None, **changes: Any
) -> tuple[nn.Module, list[Any]]:
    """A training, and what it was given."""
    NOTES.clear()
    net = model()
    fit(net, objective or Noting(), samples, replace(TRAINING, weighting=weighting, **changes), seed=3)
    return net, list(NOTES)


# Shapes


def test_scores_may_be_weights() -> None:
    scores = torch.tensor([0.3, 0.0, 1.0])
    assert torch.equal(AsScored()(scores, 0), scores)


@pytest.mark.parametrize(("share", "count"), [(0.5, 5), (0.24, 2), (0.001, 1), (1.0, 10), (0.96, 10)])
def test_the_hardest_are_counted(share: float, count: int) -> None:
    scores = torch.tensor([0.1, 5.0, 0.2, 4.0, 0.3, 3.0, 0.4, 2.0, 0.5, 1.0])
    weights = Hardest(share=share)(scores, 0)
    assert weights.tolist() == [float(s >= scores.sort(descending=True).values[count - 1]) for s in scores]


def test_among_equals_the_earlier_are_the_hardest() -> None:
    assert Hardest(share=0.4)(torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0]), 0).tolist() == [0, 1, 0, 0, 1]
    assert Hardest(share=0.6)(torch.tensor([1.0, 2.0, 1.0, 1.0, 2.0]), 0).tolist() == [1, 1, 0, 0, 1]
    assert Hardest(share=0.25)(torch.ones(1000), 0).nonzero()[:, 0].tolist() == list(range(250))


def test_scores_relative_to_their_mean() -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, 5.0])
    torch.testing.assert_close(Relative()(scores, 0), (scores / 2).tanh())
    torch.testing.assert_close(Relative(psi=Arctan())(1e6 * scores, 0), (scores / 2).atan() * 2 / torch.pi)
    assert not Relative()(torch.zeros(3), 0).any()


def test_shuffled_are_the_same_weights_for_others() -> None:
    scores = torch.rand(200, generator=torch.Generator().manual_seed(0))
    weights = Shuffled()(scores, 5)
    assert torch.equal(weights.sort().values, scores.sort().values) and int((weights == scores).sum()) < 10
    torch.manual_seed(1)
    assert torch.equal(Shuffled()(scores, 5), weights) and not torch.equal(Shuffled()(scores, 6), weights)
    hardest = Shuffled(shape=Hardest(share=0.3))(scores, 5)
    assert hardest.sum() == 60 and not torch.equal(hardest, Hardest(share=0.3)(scores, 5))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Hardest(share=0.0), "share is above 0"),
        (lambda: Hardest(share=1.1), "share is above 0"),
        (lambda: Reweighting(every=0), "every is at least 1"),
        (lambda: Reweighting(least=1.0), "least is at least 0 and below 1"),
        (lambda: Reweighting(least=-0.1), "least is at least 0 and below 1"),
        (lambda: Reweighting(batch_size=-1), "batch_size"),
        (lambda: Reweighting(online=True, least=0.0), "least is above 0 where scores are taken online"),
        (lambda: Reweighting(score=Loss(), online=True), "online needs score=Inconsistency"),
        (lambda: Reweighting(score=Inconsistency(InputGradient()), online=True), "with a class activation map"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


# How weights are told


def test_a_distribution_by_hand() -> None:
    told = distribution(torch.tensor([0.0, 0.05, 0.1, 0.95, 1.0, 1.0, 3.0, 0.55]))
    assert told["weight_mean"] == pytest.approx(6.65 / 8)
    square = 0.05**2 + 0.1**2 + 0.95**2 + 1 + 1 + 9 + 0.55**2
    assert told["weight_effective"] == pytest.approx(6.65**2 / (8 * square))
    shares = {0: 2 / 8, 1: 1 / 8, 5: 1 / 8, 9: 4 / 8}
    assert [told[f"weight_{i}"] for i in range(10)] == [shares.get(i, 0.0) for i in range(10)]
    assert in_words(told) == "50 % of them are from 0.9 to 1"
    assert distribution(torch.full((7,), 0.3))["weight_effective"] == pytest.approx(1)
    assert distribution(torch.eye(8)[0])["weight_effective"] == pytest.approx(1 / 8)
    assert distribution(torch.zeros(4))["weight_effective"] == 0


def test_weights_change_only_when_they_are_due(samples: Samples) -> None:
    net, kept = model(), {}
    weighting = Reweighting(score=Bright(), every=3, least=0.1)
    for epoch in range(8):
        before = kept.get(WEIGHTS)
        told = weighting.begin(net, samples, kept, epoch, 0)
        assert bool(told) == (epoch in (3, 6)) == weighting.due(epoch)
        assert told or before is None or kept[WEIGHTS] is before
        if epoch < 3:
            assert torch.equal(kept[WEIGHTS], torch.ones(33))
    torch.testing.assert_close(kept[WEIGHTS], bright(samples).clamp_min(0.1))
    assert set(kept) == {WEIGHTS} and net.training


def test_online_the_epoch_before_gathers() -> None:
    weighting = Reweighting(every=3, online=True)
    assert [weighting.gathers(epoch, 10) for epoch in range(10)] == [e in (2, 5, 8) for e in range(10)]
    assert [weighting.gathers(epoch, 9) for epoch in range(9)] == [e in (2, 5) for e in range(9)]
    assert not any(Reweighting(every=3).gathers(epoch, 10) for epoch in range(10))


def test_equal_weights_are_told_and_others_are_not(samples: Samples) -> None:
    net = model()
    said = r"^all training samples weigh practically the same: 100 % of them are from 0\.5 to 0\.6$"
    with pytest.warns(UserWarning, match=said):
        Reweighting(score=Even(), every=1).begin(net, samples, {}, 1, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Reweighting(score=Bright(), every=1).begin(net, samples, {}, 1, 0)
        Reweighting(score=Even(), every=2).begin(net, samples, {}, 1, 0)


# Scores of all samples


@pytest.mark.parametrize("score", [Inconsistency(), Inconsistency(InputGradient()), Loss(), Uncertainty()], ids=repr)
def test_scores_of_a_lighter_model_are_its_own(score: Any, samples: Samples) -> None:
    net = model().train()
    for _ in range(3):
        net(samples[list(range(32))].x)
    before = state(net)
    batch = samples[list(range(33))]
    with frozen(net):
        expected = score(net, batch)
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    for size in (7, 0):
        found = scored(score, net, samples, size, 0)
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)
    assert state(net) == before and torch.equal(torch.get_rng_state(), drawn)
    assert expected.unique().numel() > 5


def test_the_lighter_model_is_lighter(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    net, ran = model(), []
    forward = nn.BatchNorm2d.forward

    def counted(self: nn.BatchNorm2d, x: Tensor) -> Tensor:
        ran.append(self)
        return forward(self, x)

    monkeypatch.setattr(nn.BatchNorm2d, "forward", counted)
    for score, least in ((Loss(), 3), (Inconsistency(), 3), (Inconsistency(InputGradient()), 15)):
        ran.clear()
        scored(score, net, samples, 7, 0)
        assert least <= len(ran) <= (3 * 4 if least == 3 else 99)  # to follow, to try, to find the layer, and no more


def test_scores_are_the_same_each_time(samples: Samples) -> None:
    @dataclass(frozen=True)
    class Drawn:
        def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
            return torch.rand(1).expand(len(batch.x)).clone().requires_grad_()

    found = scored(Drawn(), model(), samples, 5, 4)
    with seeded_globally(4, 0):
        assert torch.equal(found, torch.rand(1).expand(33)) and not found.requires_grad


# In training


def test_weights_reach_the_loss(samples: Samples) -> None:
    weighting = Reweighting(score=Bright(), every=2, least=0.15)
    _, notes = noted(samples, weighting)
    assert len(notes) == 5 * 2
    expected = bright(samples).clamp_min(0.15)
    assert 0 < int((expected == 0.15).sum()) < 33
    for i, (index, weight, _) in enumerate(notes):
        assert torch.equal(weight, expected[index] if i // 2 >= 2 else torch.ones(16))


def test_a_weight_of_the_data_counts_as_well() -> None:
    batch = Batch(
        torch.rand(2, 3, 4, 4), torch.zeros(2).long(), weight=torch.tensor([2.0, 3.0]), index=torch.tensor([3, 1])
    )
    weights = torch.tensor([0.0, 0.1, 0.2, 0.3])
    assert with_weights(batch, weights).weight.tolist() == pytest.approx([0.6, 0.3])
    assert with_weights(batch._replace(weight=None), weights).weight.tolist() == pytest.approx([0.3, 0.1])
    with pytest.raises(ValueError, match="samples can be weighed only where batches have an index"):
        with_weights(batch._replace(index=None), weights)


def test_losses_are_divided_by_the_sum_of_the_weights(samples: Samples) -> None:
    nets = [noted(samples, Reweighting(score=Even(v), every=1), CrossEntropy(), optimizer=SGD())[0] for v in (0.2, 0.8)]
    for a, b in zip(*(net.state_dict().values() for net in nets), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_scores_are_taken_with_the_weights_that_gradients_belong_to() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    seen: list[Tensor] = []

    def judge() -> None:
        assert weight.grad is not None
        seen.extend([weight.detach().clone(), weight.grad.clone()])

    optimizer = torch.optim.SGD([weight], lr=9.0)
    descend(optimizer, weight.square().sum(), 0.5, judge)
    assert [s.tolist() for s in seen] == [[1, 2], [2, 4]] and weight.tolist() == [0, 0]


def test_the_log_tells_how_weights_are_distributed(samples: Samples, tmp_path: Path) -> None:
    training = replace(TRAINING, weighting=Reweighting(score=Bright(), every=2))
    staged(tmp_path, samples, training, objective=CrossEntropy())
    rows = rows_of(tmp_path)
    told = [row for row in rows if "weight_mean" in row]
    assert [(row["epoch"], row["step"]) for row in told] == [(2, 1), (4, 1)]  # the last row of its epoch
    expected = distribution(bright(samples).clamp_min(1e-3))
    for row in told:
        assert {k: v for k, v in row.items() if k.startswith("weight_")} == pytest.approx(expected)
        assert sum(row[f"weight_{i}"] for i in range(10)) == pytest.approx(1)


def test_to_score_changes_nothing_else(samples: Samples) -> None:
    plain, expected = noted(samples, None)
    for weighting in (
        Reweighting(score=Bright(), every=1),
        Reweighting(every=2),
        Reweighting(shape=Shuffled(), every=1),
    ):
        net, notes = noted(samples, weighting)
        assert bits(net) == bits(plain)
        for (index, weight, drawn), (own, none, own_drawn) in zip(notes, expected, strict=True):
            assert torch.equal(index, own) and torch.equal(drawn, own_drawn) and weight is not None and none is None


def test_online_the_steps_are_the_same(samples: Samples) -> None:
    plain, expected = noted(samples, None)
    net, notes = noted(samples, Reweighting(every=1, online=True))
    for (index, _, drawn), (own, _, own_drawn) in zip(notes, expected, strict=True):
        assert torch.equal(index, own) and torch.equal(drawn, own_drawn)
    for a, b in zip(net.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-2)
    assert state(net)["hooks"] == state(plain)["hooks"]


def test_shuffled_weights_differ_by_seed_and_epoch(samples: Samples) -> None:
    weighting, net = Reweighting(score=Bright(), every=1, shape=Shuffled()), model()
    found = []
    for epoch, seed in ((1, 0), (1, 0), (2, 0), (1, 1)):
        kept: dict[str, Tensor] = {}
        weighting.begin(net, samples, kept, epoch, seed)
        found.append(tuple(kept[WEIGHTS].tolist()))
    assert found[0] == found[1] and len(set(found)) == 3 and len({tuple(sorted(f)) for f in found}) == 1


WAYS: dict[str, Reweighting] = {
    "offline": Reweighting(every=2),
    "offline, shuffled losses": Reweighting(score=Loss(), every=2, shape=Shuffled(shape=Relative())),
    "online": Reweighting(every=2, online=True),
    "online, every epoch": Reweighting(
        every=1, online=True, score=Inconsistency(EigenCAM(), FGSMBackground(0.05), MeanDistance(9.0))
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_interrupted_and_continued_is_uninterrupted_bit_for_bit(way: str, samples: Samples, tmp_path: Path) -> None:
    training = replace(TRAINING, weighting=WAYS[way], augmentation=CropFlip(padding=1), average=0.9)
    objective = Sum((CrossEntropy(), Adversarial()))
    expected, _ = staged(tmp_path / "whole", samples, training, objective=objective)
    for stop in (1, 2, 4, 5):
        with pytest.raises(Interrupted):
            staged(tmp_path / "parts", samples, training, stop, objective)
        torch.manual_seed(stop)
    found, _ = staged(tmp_path / "parts", samples, training, objective=objective)
    assert bits(found) == bits(expected)
    assert rows_of(tmp_path / "parts") == rows_of(tmp_path / "whole")
    effective = [row["weight_effective"] for row in rows_of(tmp_path / "whole") if "weight_effective" in row]
    assert len(effective) == (4 if training.weighting.every == 1 else 2)


# Online


class Mixed(nn.Module):
    """Normalisations of two kinds and dropout, before the layer that is explained and behind it."""

    def __init__(self, behind: bool = True, drop: float = 0.3, norm: bool = True) -> None:
        super().__init__()
        bn: Callable[[int], nn.Module] = nn.BatchNorm2d if norm else nn.Identity
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            bn(6),
            nn.ReLU(inplace=True),
            nn.Dropout(drop),
            nn.Conv2d(6, 8, 3, padding=1),
            bn(8),
        )
        self.relu, self.flatten = nn.ReLU(inplace=True), nn.Flatten()
        self.hidden = nn.Linear(8 * 4, 12)
        self.bn = nn.BatchNorm1d(12) if behind and norm else nn.Identity()
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(F.adaptive_avg_pool2d(self.relu(self.features(x)), 2))
        return self.head(self.drop(self.bn(self.hidden(x)).relu()))


def mixed(**options: Any) -> Mixed:
    torch.manual_seed(2)
    net = Mixed(**options)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    for _ in range(3):
        net(torch.rand(8, 3, 12, 12))
    return net


def shown(net: nn.Module, count: int = 12, several: bool = False) -> Batch:
    """Images of which the net gets the first third wrong, in a forward pass from the seed 5 on."""
    x = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(5)
    y = copy.deepcopy(net)(x).argmax(1)
    y[: count // 3] = (y[: count // 3] + 1) % 4
    weight = torch.rand(count, generator=torch.Generator().manual_seed(4)) + 0.1
    return Batch(x, F.one_hot(y, 4).float() if several else y, weight=weight, index=torch.arange(count))


def judged(net: nn.Module, score: Inconsistency, batch: Batch, objective: Any = None) -> Tensor:
    """One step, from the seed 5 on, up to its optimizer's."""
    torch.manual_seed(5)
    with Watch(net, score, batch.x, batch.y) as watch:
        terms = (objective or CrossEntropy())(net, batch._replace(x=watch.x))
        torch.stack(list(terms.values())).sum().backward()
        return watch.judge()


SCORE = Inconsistency(GradCAM("features"), FGSMBackground(eps=0.03))
STILL = replace(SCORE, background=FGSMBackground(eps=0.0))


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("explainer", [GradCAM("features"), EigenCAM("features"), GradCAM("features.1")], ids=repr)
@pytest.mark.parametrize("several", [False, True])
def test_an_image_that_stays_what_it_is_scores_0(behind: bool, explainer: Any, several: bool) -> None:
    net = mixed(behind=behind)
    found = judged(net, replace(STILL, explainer=explainer), batch := shown(net, several=several))
    assert found[:4].tolist() == [1] * 4 and float(found[4:].max()) < 1e-4
    every = judged(net, replace(STILL, explainer=explainer, only_correct=False), batch)
    assert float(every.max()) < 1e-4
    moved = judged(net, replace(SCORE, explainer=explainer), batch)
    assert moved[:4].tolist() == [1] * 4 and float(moved[4:].min()) > 1e-4


def test_without_normalisation_and_dropout_scores_are_those_of_a_pass_of_its_own() -> None:
    net = mixed(norm=False, drop=0.0)
    for score in (SCORE, replace(SCORE, only_correct=False), replace(SCORE, explainer=EigenCAM("features"))):
        for several in (False, True):
            batch = shown(net, several=several)
            found = judged(net, score, batch)
            torch.testing.assert_close(found, score(net, batch), atol=1e-6, rtol=1e-4)
            assert ((found > 1e-3) & (found < 1)).sum() >= 4


@pytest.mark.parametrize("behind", [False, True])
def test_scores_are_those_of_the_network_as_it_is_in_that_step(behind: bool) -> None:
    net = mixed(behind=behind, drop=0.0)
    batch = shown(net)
    found = judged(net, SCORE, batch)
    # The same function by hand: normalisations that use this batch's mean and biased variance.
    fixed = copy.deepcopy(net)
    for norm in (m for m in fixed.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)):

        def own(module: Any, inputs: tuple[Tensor]) -> None:
            dims = [d for d in range(inputs[0].ndim) if d != 1]
            module.running_var, module.running_mean = torch.var_mean(inputs[0].detach(), dims, unbiased=False)
            module.eval()

        norm.register_forward_pre_hook(own)
    fixed(batch.x)
    for norm in fixed.modules():
        norm._forward_pre_hooks.clear()
    # The gradient is that of the step, in which images see each other.
    x = batch.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(CrossEntropy()(net, batch._replace(x=x))["task"], x)
    fixed.requires_grad_(False)
    first = SCORE.look(fixed, batch.x)._replace(gradient=gradient)
    second = SCORE.look(fixed, SCORE.moved(batch.x, first))
    expected = SCORE.valued(first, second, batch.x)
    torch.testing.assert_close(found[4:], expected[4:], atol=1e-4, rtol=1e-3)
    assert ((found > 1e-3) & (found < 1)).sum() >= 4


def momentous(momentum: float | None) -> Mixed:
    net = mixed()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.momentum = momentum
    net.features[5].eval()  # one that does not follow the batch
    net.head.bias.requires_grad_(False)
    return net


class Shared(Mixed):
    """One normalisation, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.features[5] = nn.Conv2d(8, 6, 1)
        self.features.extend([self.features[1], nn.Conv2d(6, 8, 1)])


def shared(momentum: float | None = 0.2) -> Shared:
    torch.manual_seed(2)
    net = Shared()
    net.features[1].momentum = momentum
    net(torch.rand(8, 3, 12, 12))
    return net


@dataclass(frozen=True)
class Peeking:
    """Looks at the images of the batch in evaluation mode, and without a graph, before it trains on them."""

    def __call__(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        with frozen(net):
            net(batch.x)
        with torch.no_grad():
            net.features(batch.x)
        return CrossEntropy()(net, batch)


OBJECTIVES: dict[str, Any] = {
    "a look before": Peeking(),
    "plain": CrossEntropy(),
    "attack after": Sum((CrossEntropy(), Adversarial())),
    "attack first": Sum((Adversarial(), CrossEntropy())),
    "aimed attack first": Sum((Adversarial(FGSM(target=Ranked())), CrossEntropy())),
    "TRADES": TRADES(),
    "MART": MART(),
    "moved weights": WeightPerturbed(objective=CrossEntropy()),
    "moved weights, attacked": WeightPerturbed(objective=TRADES(), gamma=0.02),
    "filters": Compositional(layer="features", clusters=2, groups=(0, 0, 1, 1, 0, 1, 0, 1)),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "make",
    [lambda: momentous(0.1), lambda: momentous(None), lambda: momentous(1.0), shared, lambda: shared(None)],
    ids=["0.1", "none", "1", "shared", "shared, none"],
)
def test_a_step_that_is_watched_is_the_step(make: Callable[[], nn.Module], objective: str) -> None:
    plain, net = make(), make()
    batch, before = shown(net), state(net)
    optimizers = [torch.optim.SGD([p for p in n.parameters() if p.requires_grad], lr=0.1) for n in (plain, net)]
    torch.manual_seed(5)
    torch.stack(list(OBJECTIVES[objective](plain, batch).values())).sum().backward()
    drawn = torch.rand(2)
    judged(net, SCORE, batch, OBJECTIVES[objective])
    assert torch.equal(torch.rand(2), drawn)  # generators stand where they would stand
    for optimizer in optimizers:
        optimizer.step()
    after = state(net)
    assert all(after[k] == before[k] for k in ("modes", "requires_grad", "hooks"))
    assert [g is None for g in after["grads"]] == [g is None for g in state(plain)["grads"]]
    assert not batch.x.requires_grad and batch.x.grad is None
    for (name, a), b in zip(net.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5, msg=f"{name} differs")
    assert [m.momentum for m in net.modules() if hasattr(m, "momentum")] == [
        m.momentum for m in plain.modules() if hasattr(m, "momentum")
    ]


@pytest.mark.parametrize(
    "objective", ["a look before", "attack first", "aimed attack first", "TRADES", "MART", "moved weights", "filters"]
)
def test_what_is_looked_at_is_the_step_whatever_else_happens_in_it(objective: str) -> None:
    net = mixed(drop=0.0)
    found = judged(net, STILL, shown(net), OBJECTIVES[objective])
    assert found[:4].tolist() == [1] * 4 and float(found[4:].max()) < 1e-4


@dataclass(frozen=True)
class Detached:
    """Runs the model on the images of the batch, but not to train it."""

    graph: bool = False

    def __call__(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        with torch.set_grad_enabled(self.graph):
            net(batch.x)
        return CrossEntropy()(net, batch._replace(x=batch.x.detach()))


@pytest.mark.parametrize(
    "objective", [Changed(change=Mask()), Adversarial(), Detached(), Detached(graph=True)], ids=repr
)
def test_an_objective_without_the_images_of_the_batch_is_told(objective: Any, samples: Samples) -> None:
    training = replace(TRAINING, weighting=Reweighting(every=1, online=True))
    net = model()
    with pytest.raises(
        ValueError, match=r"^online=True needs an objective that runs the model on the batch's own images$"
    ):
        fit(net, objective, samples, training)
    assert state(net)["hooks"] == state(model())["hooks"]


@pytest.mark.parametrize("where", ["forward", "backward", "second look"])
def test_the_model_is_given_back_after_an_error(where: str) -> None:
    net = mixed()
    batch, calls = shown(net), iter(range(1, 9))

    forward = net.bn.forward

    def explode(x: Tensor) -> Tensor:
        if next(calls) == {"forward": 1, "second look": 2}.get(where, 99):
            raise Boom
        return forward(x)

    net.bn.forward = explode
    before = state(net)
    objects = [(id(m.running_mean), m.momentum) for m in net.modules() if hasattr(m, "momentum")]
    with pytest.raises(Boom):
        if where == "backward":
            with Watch(net, SCORE, batch.x, batch.y) as watch:
                CrossEntropy()(net, batch._replace(x=watch.x))
                raise Boom
        judged(net, replace(SCORE, explainer=GradCAM("relu")), batch)
    after = state(net)
    assert all(after[k] == before[k] for k in ("modes", "requires_grad", "hooks"))
    assert [(id(m.running_mean), m.momentum) for m in net.modules() if hasattr(m, "momentum")] == objects


def test_a_layer_that_is_never_called_is_named() -> None:
    net = mixed()
    net.spare = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match="the model never calls its layer 'spare'"):
        judged(net, replace(SCORE, explainer=GradCAM("spare")), shown(net))
    before = state(net)
    with pytest.raises(ValueError, match="the model has no layer 'none'"):
        judged(net, replace(SCORE, explainer=GradCAM("none")), shown(net))
    assert state(net)["hooks"] == before["hooks"]


def test_online_weights_are_the_scores_of_the_epoch_before(samples: Samples) -> None:
    kept: list[dict[str, Tensor]] = []
    weighting = Reweighting(every=2, online=True, least=0.05)
    fit(
        model(),
        Noting(),
        samples,
        replace(TRAINING, epochs=6, weighting=weighting),
        seed=3,
        after_epoch=lambda state: kept.append({k: v.clone() for k, v in state.kept.items()}),
    )
    assert torch.equal(kept[0][SCORES], torch.ones(33)) and torch.equal(kept[1][WEIGHTS], torch.ones(33))
    for epoch in (2, 4):
        scores = kept[epoch - 1][SCORES]
        assert torch.equal(kept[epoch][WEIGHTS], scores.clamp_min(0.05)) and not torch.equal(scores, torch.ones(33))
        assert torch.equal(kept[epoch][SCORES], scores)
        assert torch.equal(kept[epoch + 1][WEIGHTS], kept[epoch][WEIGHTS])
    assert torch.equal(kept[5][SCORES], kept[4][SCORES])  # the last epoch gathers none
    left = set(range(33)) - {int(i) for index, _, _ in NOTES[-8:-6] for i in index}
    assert len(left) == 1


def test_the_second_look_is_one_forward_pass_more(samples: Samples) -> None:
    passes: list[tuple[bool, bool]] = []
    net = model()

    def note(module: nn.Module, inputs: object) -> None:
        passes.append((module.training, any(p.requires_grad for p in net.parameters())))

    net.network.head.register_forward_pre_hook(note)
    fit(net, CrossEntropy(), samples, replace(TRAINING, epochs=2, weighting=Reweighting(every=1, online=True)))
    # The layer is found; two steps with a second look; two without.
    assert passes == [(False, False), *[(True, True), (True, False)] * 2, *[(True, True)] * 2]


def test_accuracy_may_be_a_score(samples: Samples) -> None:
    net, kept = model(), {}
    Reweighting(score=Accuracy(), every=1).begin(net, samples, kept, 1, 0)
    assert set(kept[WEIGHTS].tolist()) <= set(torch.tensor([1.0, 1e-3]).tolist())


def test_labels_of_several_classes_are_weighed() -> None:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (24, 3, 16, 16), generator=generator, dtype=torch.uint8)
    y = (torch.rand(24, 10, generator=generator) < 0.4).float()
    some = Memory(pixels, y, tuple("abcdefghij"))
    for online in (False, True):
        net = model()
        weighting = Reweighting(every=1, online=online)
        fit(net, CrossEntropy(), some, replace(TRAINING, epochs=3, weighting=weighting))
        assert all(p.isfinite().all() for p in net.parameters())
