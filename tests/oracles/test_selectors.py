"""Which samples come next, and how hard an image is: against known logits and a slow search."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import pytest
import torch
from torch import Tensor, nn

from glasshouse.data.samples import Memory, Subset
from glasshouse.draws import draws
from glasshouse.metrics import LeastConfidence, Loss, SmallMargin, Uncertainty
from glasshouse.selectors import CEAL, ByScore, CoreSet, RandomChoice, core_set, unchosen
from glasshouse.selectors.core_set import centres
from glasshouse.selectors.pseudo import pseudo_labelled
from glasshouse.selectors.unchosen import ranked
from glasshouse.types import NOWHERE, Batch, Metric, Selection
from nets import CLASSES, SIDE, full_batch, seeded_net

NONE = torch.zeros(0, dtype=torch.int64)


class Told(nn.Module):
    """Logits as a table has them; the value of an image's first pixel says which row is its own."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[(x[:, 0, 0, 0] * 255).round().long()]


def numbered(count: int, y: Tensor | None = None) -> Memory:
    """Images that hold nothing but their own number."""
    pixels = torch.arange(count).byte().view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    return Memory(pixels, torch.zeros(count, dtype=torch.int64) if y is None else y, ("a", "b", "c"))


def of(p: list[list[float]]) -> tuple[Told, Batch]:
    """A model that gives these probabilities, and a batch of one image each."""
    table = torch.tensor(p)
    return Told(table.log() + 2), numbered(len(p))[range(len(p))]


@dataclass(frozen=True)
class Place:
    """The position of a sample in the data set, NaN for some."""

    unknown: tuple[int, ...] = ()

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        assert batch.index is not None
        known = ~torch.isin(batch.index, torch.tensor(self.unknown, dtype=torch.int64))
        return torch.where(known, batch.index.float(), torch.nan)


@dataclass(frozen=True)
class Constant:
    """The same for every sample."""

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return torch.ones(len(batch.x))


@dataclass(frozen=True)
class Chance:
    """A random number of each image's own."""

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return draws(batch.x).uniform(1)[:, 0]


# how hard an image is


def test_how_hard_an_image_of_one_class_is() -> None:
    model, batch = of([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]])
    batch = batch._replace(y=torch.tensor([0, 2]))
    assert Loss()(model, batch).tolist() == pytest.approx([-log(0.7), -log(0.25)], rel=1e-5)
    entropies = [-sum(q * log(q) for q in row) for row in ([0.7, 0.2, 0.1], [0.4, 0.35, 0.25])]
    assert Uncertainty()(model, batch).tolist() == pytest.approx(entropies, rel=1e-5)
    assert LeastConfidence()(model, batch).tolist() == pytest.approx([0.3, 0.6], rel=1e-5)
    assert SmallMargin()(model, batch).tolist() == pytest.approx([0.5, 0.95], rel=1e-5)


def test_how_hard_an_image_of_several_classes_is() -> None:
    p = torch.tensor([[0.9, 0.2, 0.4]])
    model, batch = Told(p.logit()), numbered(1)[[0]]._replace(y=torch.tensor([[1.0, 0.0, 1.0]]))
    assert float(Loss()(model, batch)) == pytest.approx(-log(0.9) - log(0.8) - log(0.4), rel=1e-5)
    entropy = -sum(q * log(q) + (1 - q) * log(1 - q) for q in (0.9, 0.2, 0.4))
    assert float(Uncertainty()(model, batch)) == pytest.approx(entropy, rel=1e-5)
    assert float(LeastConfidence()(model, batch)) == pytest.approx(0.1, rel=1e-5)
    assert float(SmallMargin()(model, batch)) == pytest.approx(0.8, rel=1e-5)  # 0.4 against 0.6


@pytest.mark.parametrize("metric", [LeastConfidence(), SmallMargin(), Uncertainty()], ids=repr)
def test_the_surest_images_can_be_told_apart(metric: Metric) -> None:
    logits = torch.tensor([[30.0, 0.0, -90.0], [40.0, 0.0, -90.0]])
    values = metric(Told(logits), numbered(2)[[0, 1]])
    assert 0 < values[1] < values[0] < 1e-8
    several = numbered(2)[[0, 1]]._replace(y=torch.ones(2, 3))
    values = metric(Told(torch.tensor([[30.0, 60.0, -90.0], [40.0, 70.0, -90.0]])), several)
    assert 0 < values[1] < values[0] < 1e-8


def test_confidence_is_exact_far_out() -> None:
    model = Told(torch.tensor([[30.0, 0.0, -90.0], [0.0, 40.0, -90.0]]))
    assert LeastConfidence()(model, numbered(2)[[0, 1]]).tolist() == pytest.approx([exp(-30), exp(-40)], rel=1e-4)


# by a metric


def test_the_highest_come_first_those_without_a_value_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchosen, "_AT_ONCE", 3)  # positions are right across batches
    model, samples = seeded_net(), numbered(10)
    chosen = torch.tensor([9, 4])
    assert ByScore(Place())(model, samples, chosen, 3, 0).index.tolist() == [8, 7, 6]
    assert ByScore(Place(), lowest=True)(model, samples, chosen, 5, 0).index.tolist() == [0, 1, 2, 3, 5]
    for lowest, expected in ((False, [7, 6, 5, 3, 2, 1]), (True, [1, 2, 3, 5, 6, 7])):
        found = ByScore(Place(unknown=(0, 8)), lowest)(model, samples, chosen, 10, 0).index.tolist()
        assert found[:6] == expected and sorted(found[6:]) == [0, 8]


def test_equal_samples_come_in_the_order_of_the_seed() -> None:
    net, samples = seeded_net(), numbered(10)
    firsts = {int(ByScore(Constant())(net, samples, NONE, 1, seed).index) for seed in range(60)}
    assert firsts == set(range(10))
    assert ranked(torch.tensor([1.0, 3.0, torch.nan, 2.0, -torch.inf]), 0)[:3].tolist() == [1, 3, 0]


def test_what_a_metric_draws_follows_from_image_and_seed_and_changes_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, samples = seeded_net(), numbered(20)
    torch.manual_seed(4)
    found = [ByScore(Chance())(net, samples, NONE, 20, seed).index.tolist() for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    following = torch.rand(2)
    torch.manual_seed(4)
    assert torch.equal(torch.rand(2), following)
    monkeypatch.setattr(unchosen, "_AT_ONCE", 3)
    assert ByScore(Chance())(net, samples, NONE, 20, 0).index.tolist() == found[0]


def test_positions_are_those_of_samples() -> None:
    for wrong in (-1, 6):
        with pytest.raises(ValueError, match=f"0 to 5; chosen holds {wrong}"):
            RandomChoice()(seeded_net(), numbered(6), torch.tensor([2, wrong]), 1, 0)


def test_the_unsure_come_first() -> None:
    model, _ = of([[0.98, 0.01, 0.01], [0.34, 0.33, 0.33], [0.47, 0.5, 0.03], [0.6, 0.2, 0.2]])
    orders = {Uncertainty(): [1, 3, 2, 0], LeastConfidence(): [1, 2, 3, 0], SmallMargin(): [1, 2, 3, 0]}
    for score, expected in orders.items():
        assert ByScore(score)(model, numbered(4), NONE, 4, 0).index.tolist() == expected


def test_samples_are_judged_in_evaluation_mode() -> None:
    net, batch = seeded_net(), full_batch(12)
    samples = Memory((batch.x * 255).byte(), batch.y, ("a", "b", "c", "d"))
    values = Uncertainty()(net.eval(), samples[range(12)])
    found = ByScore()(net.train(), samples, NONE, 12, 0).index
    assert torch.equal(found, values.argsort(descending=True)) and net.training


def test_a_random_choice_is_even_and_follows_from_the_seed() -> None:
    net, samples = seeded_net(), numbered(6)
    found = [RandomChoice()(net, samples, torch.tensor([2]), 2, seed).index for seed in range(300)]
    counts = torch.cat(found).bincount(minlength=6)
    assert counts[2] == 0 and counts[[0, 1, 3, 4, 5]].min() > 90 and counts.max() < 150
    assert torch.equal(RandomChoice()(net, samples, torch.tensor([2]), 2, 7).index, found[7])


# core set


def test_the_farthest_becomes_a_centre_each_time() -> None:
    line = torch.tensor([[0.0], [1.0], [10.0], [4.0], [6.0], [0.0]])
    assert centres(line, torch.tensor([0]), 5).tolist() == [2, 3, 4, 1, 5]  # 4 lies as far from 0 as 6 from 10
    assert centres(line, torch.tensor([0, 2]), 1).tolist() == [3]
    same = torch.ones(5, 2)
    assert sorted(centres(same, torch.tensor([3]), 4).tolist()) == [0, 1, 2, 4]
    odd = torch.tensor([[0.0], [torch.nan], [1.0], [torch.nan]])
    assert sorted(centres(odd, torch.tensor([0]), 3).tolist()) == [1, 2, 3]


def slow_centres(features: Tensor, chosen: list[int], count: int) -> list[int]:
    """The definition, with every distance anew each time."""
    known = list(chosen)
    for _ in range(count):
        left = [i for i in range(len(features)) if i not in known]
        known.append(max(left, key=lambda i: min(float((features[i] - features[j]).norm()) for j in known)))
    return known[len(chosen) :]


@pytest.mark.parametrize("block", [2, 64])
def test_centres_are_those_of_a_slow_search_on_the_features_before_the_head(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_set, "_BLOCK", block)
    monkeypatch.setattr(unchosen, "_AT_ONCE", 7)
    net, batch = seeded_net().eval(), full_batch(24)
    samples = Memory((batch.x * 255).byte(), batch.y, ("a", "b", "c", "d"))
    x = samples[range(24)].x
    chosen = torch.tensor([3, 20, 7, 11, 0])
    with torch.no_grad():
        for selector, layer in ((CoreSet(), net.features), (CoreSet(layer="features.0"), net.features[0])):
            features = layer(x).mean((2, 3)).double()
            found = selector(net, samples, chosen, 8, 0).index.tolist()
            assert found == slow_centres(features, chosen.tolist(), 8)
            alone = selector(net, samples, NONE, 8, 5).index.tolist()
            assert alone[1:] == slow_centres(features, alone[:1], 7)
    firsts = {int(CoreSet()(net, samples, NONE, 1, seed).index) for seed in range(12)}
    assert len(firsts) > 4


def test_a_core_set_needs_a_feature_map() -> None:
    with pytest.raises(ValueError, match="no layer"):
        CoreSet(layer="nowhere")(seeded_net(), numbered(4), NONE, 2, 0)


# sure ones with pseudo-labels


def told_of(*sure: float) -> Told:
    """A model that gives class i % 3 that probability, and half of the rest to each of the others."""
    p = torch.tensor([[q if j == i % 3 else (1 - q) / 2 for j in range(3)] for i, q in enumerate(sure)])
    return Told(p.log())


def entropy_of(q: float) -> float:
    return -q * log(q) - (1 - q) * log((1 - q) / 2)


SURE = (0.999, 0.5, 0.9, 0.9999, 0.4, 0.995, 0.7)


def test_the_unsure_are_asked_and_the_sure_get_their_own_label() -> None:
    model, samples = told_of(*SURE), numbered(7)
    found = CEAL()(model, samples, NONE, 2, 0)
    assert entropy_of(0.995) < 0.05 < entropy_of(0.9)
    assert found.index.tolist() == [4, 1, 3, 0, 5] and found.asked.tolist() == [4, 1]
    assert found.pseudo is not None and found.pseudo.tolist() == [NOWHERE, NOWHERE, 0, 0, 2]
    again = CEAL()(model, samples, torch.tensor([4, 1, 3]), 3, 0)
    assert again.index.tolist() == [6, 2, 5, 0]
    assert again.asked.tolist() == [6, 2, 5]  # of 5 the model is sure, too, but its true label comes first
    assert CEAL(score=LeastConfidence())(model, samples, NONE, 1, 0).index.tolist() == [4, 3, 0, 5]


def test_the_bar_falls_with_every_round() -> None:
    model, samples = told_of(*SURE), numbered(7)
    bars = [(entropy_of(a) + entropy_of(b)) / 2 for a, b in ((0.9, 0.995), (0.995, 0.999))]
    chosen = torch.tensor([4, 1, 6])
    # Three are chosen: three rounds of one, one of two, none of four; with a start, fewer.
    for start, count, rounds in ((0, 1, 3), (0, 2, 1), (0, 4, 0), (1, 1, 2), (2, 1, 1), (3, 1, 0), (5, 1, 0)):
        ceal = CEAL(threshold=bars[0], decay=bars[0] - bars[1], start=start)
        assert ceal.threshold_at(chosen, count) == pytest.approx(bars[0] - rounds * (bars[0] - bars[1]))
    for start, sure in ((3, [3, 0, 5]), (2, [3, 0])):
        found = CEAL(threshold=bars[0], decay=bars[0] - bars[1], start=start)(model, samples, chosen, 1, 0)
        assert found.index.tolist() == [2, *sure]
    assert CEAL(threshold=bars[0], decay=bars[0])(model, samples, chosen, 1, 0).index.tolist() == [2]


def test_a_pseudo_label_of_one_class_is_not_for_images_with_several() -> None:
    samples = numbered(4, torch.ones(4, 3))
    with pytest.raises(ValueError, match="these have several"):
        CEAL()(told_of(0.9, 0.9, 0.9, 0.9), samples, NONE, 1, 0)
    with pytest.raises(ValueError, match="these images have several"):
        pseudo_labelled(samples, Selection(torch.tensor([1]), torch.tensor([2])))[[0]]


def test_training_sees_pseudo_labels_where_there_are_any() -> None:
    samples = numbered(6, torch.tensor([0, 1, 2, 0, 1, 2]))
    selection = Selection(torch.tensor([4, 2, 0]), torch.tensor([NOWHERE, 0, 1]))
    found = pseudo_labelled(samples, selection)
    assert len(found) == 6 and found.classes == samples.classes
    assert found[range(6)].y.tolist() == [1, 1, 0, 0, 1, 2]
    assert found[[2, 0]].y.tolist() == [0, 1] and torch.equal(found[[2, 0]].x, samples[[2, 0]].x)
    assert samples.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert Subset(found, (3, *selection.index.tolist()))[range(4)].y.tolist() == [0, 1, 0, 1]
    assert pseudo_labelled(samples, Selection(torch.tensor([1]))) is samples


def test_a_field_out_of_range_is_refused() -> None:
    for field in ("threshold", "decay", "start"):
        with pytest.raises(ValueError, match=field):
            CEAL(**{field: -1})


def test_selection_by_several_classes_an_image() -> None:
    y = (torch.rand(12, CLASSES, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    pixels = torch.randint(256, (12, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(2)).byte()
    samples, net = Memory(pixels, y, ("a", "b", "c", "d")), seeded_net().eval()
    for score in (Uncertainty(), Loss(), LeastConfidence(), SmallMargin()):
        values = score(net, samples[range(12)])
        assert ByScore(score)(net, samples, NONE, 12, 0).index.tolist() == values.argsort(descending=True).tolist()
