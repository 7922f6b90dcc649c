"""How concise maps are, next to the formulas in plain Python."""

from __future__ import annotations

from math import isnan, log

import pytest
import torch
from torch import Tensor, nn

from glasshouse.explainers import EdgeMap, InputGradient, RandomMap
from glasshouse.metrics import Complexity, EffectiveComplexity, Sparseness
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.types import Batch
from nets import full_batch, seeded_net

MAPS = torch.randn(7, 5, 6, generator=torch.Generator().manual_seed(2)) ** 3


def of(metric: object, maps: Tensor) -> list[float]:
    """A metric of maps alone; no model is asked for anything."""
    batch = full_batch(len(maps))._replace(attribution=maps)
    return metric(nn.Flatten(), batch).tolist()  # type: ignore[operator,no-any-return]


def sizes(one: Tensor) -> list[float]:
    return [abs(v) for v in one.flatten().double().tolist()]


def gini(one: Tensor) -> float:
    """By the mean difference of all pairs of pixels."""
    v = sizes(one)
    return sum(abs(a - b) for a in v for b in v) / (2 * len(v) * sum(v))


def nats(one: Tensor) -> float:
    v = sizes(one)
    return -sum(a / sum(v) * log(a / sum(v)) for a in v if a)


def above(one: Tensor, threshold: float) -> int:
    v = sizes(one)
    return sum(a / max(v) > threshold for a in v)


def test_conciseness_by_the_formulas() -> None:
    assert of(Sparseness(), MAPS) == pytest.approx([gini(m) for m in MAPS], abs=1e-6)
    assert of(Complexity(relative=False), MAPS) == pytest.approx([nats(m) for m in MAPS], abs=1e-5)
    assert of(Complexity(), MAPS) == pytest.approx([nats(m) / log(30) for m in MAPS], abs=1e-6)
    for threshold in (0.0, 0.05, 0.1, 0.5, 0.99):
        counts = [above(m, threshold) for m in MAPS]
        assert of(EffectiveComplexity(threshold, relative=False), MAPS) == counts
        assert of(EffectiveComplexity(threshold), MAPS) == pytest.approx([c / 30 for c in counts])


def test_maps_of_one_pixel_of_all_and_of_none() -> None:
    maps = torch.zeros(3, 4, 5)
    maps[0, 2, 3], maps[1] = -7, 1e-12
    none = pytest.approx(float("nan"), nan_ok=True)
    assert of(Sparseness(), maps) == [pytest.approx(0.95), pytest.approx(0, abs=1e-6), none]
    assert of(Complexity(), maps) == [0, pytest.approx(1), none]
    assert of(Complexity(relative=False), maps) == [0, pytest.approx(log(20)), none]
    assert of(EffectiveComplexity(relative=False), maps) == [1, 20, none]
    assert of(EffectiveComplexity(threshold=0), maps) == [pytest.approx(0.05), 1, none]


def test_complexity_of_a_flat_map_is_the_same_at_every_size() -> None:
    for side in (2, 8, 31):
        assert of(Complexity(), torch.ones(1, side, side)) == [pytest.approx(1)]


def test_the_threshold_is_a_share_of_the_highest() -> None:
    for wrong in (-0.1, 1.0):
        with pytest.raises(ValueError, match="threshold"):
            EffectiveComplexity(threshold=wrong)


def test_noise_is_not_flat() -> None:
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = RandomMap()(nn.Flatten(), x, torch.zeros(4, dtype=torch.int64))
    assert of(Sparseness(), maps) == pytest.approx([2**0.5 - 1] * 4, abs=0.01)  # of the half-normal distribution


def test_what_two_metrics_share_is_that_of_the_explainer_asked() -> None:
    net, batch = seeded_net().eval(), full_batch()
    verdicts = Verdicts(net, batch)
    for explainer in (InputGradient(), EdgeMap(), InputGradient(times_input=True)):
        alone = batch._replace(attribution=explainer(net, batch.x, verdicts.predicted))
        for metric in (Sparseness(), Complexity(), EffectiveComplexity()):
            assert torch.equal(metric.given(verdicts.by(explainer)), metric(net, alone))
    own = Sparseness().given(verdicts)
    assert torch.equal(own, Sparseness()(net, batch)) and not any(map(isnan, own.tolist()))


def test_without_a_map_there_is_nothing_to_say() -> None:
    bare = Batch(torch.rand(2, 3, 16, 16), torch.tensor([0, 1]))
    for metric in (Sparseness(), Complexity(), EffectiveComplexity()):
        with pytest.raises(ValueError, match=f"{type(metric).__name__} needs an explainer"):
            metric(seeded_net().eval(), bare)
