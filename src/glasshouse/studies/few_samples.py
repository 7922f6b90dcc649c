"""Which samples to label next, when few are. Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600, IV-E"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from ..data.samples import Subset, Wrapped, at_most, permuted
from ..explainers import GradCAM
from ..files import store_name
from ..labels import indicators, several
from ..measure import measure
from ..metrics import Inconsistency, Uncertainty
from ..metrics.localisation import on_evidence
from ..metrics.multilabel import scores_of
from ..objectives import CrossEntropy
from ..selectors import CEAL, ByScore, CoreSet, RandomChoice
from ..selectors.pseudo import pseudo_labelled
from ..spec import require
from ..study import Room
from ..train import Training, fit, fresh
from ..types import Architecture, Batch, Data, Metric, Objective, Samples, Selector
from . import consistency_ways as ways

ALL = "ALL"


@dataclass(frozen=True)
class Strategy:
    """A way to choose what is labelled next."""

    name: str
    selector: Selector

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")


STRATEGIES = (
    Strategy("RAND", RandomChoice()),
    Strategy("AL", ByScore(score=Uncertainty())),
    Strategy("CEAL", CEAL()),
    Strategy("CORE", CoreSet()),
    Strategy("ours", ByScore(score=Inconsistency())),
)


@dataclass(frozen=True)
class FewSamples:
    """Training begins with a share of the labels, ``shares[0]``, drawn at random; each strategy then chooses more.

    Each share is a training on all that is labelled by then, which goes on from the one before. "ALL" has all labels
    from the first on, and as many trainings. CEAL's own labels need one class an image; elsewhere it is left out. No
    strategy is told labels that it has not asked for: where a score needs one, it is the model's own.
    """

    data: Data
    model: Architecture
    training: Training = Training()
    objective: Objective = CrossEntropy()
    strategies: tuple[Strategy, ...] = STRATEGIES
    shares: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    metrics: tuple[Metric, ...] = ways.SHORT
    test_images: int = 0

    def __post_init__(self) -> None:
        rising = all(0 < a < b <= 1 for a, b in zip((1e-9, *self.shares), self.shares, strict=False))
        require(self, len(self.shares) >= 2 and rising, "shares has two or more, rising, above 0 and at most 1")
        folders = [store_name(strategy.name) for strategy in self.strategies]
        require(self, len({ALL, *folders}) == len(folders) + 1, "strategies has a name twice")
        require(self, self.test_images >= 0, "test_images is 0 (all) or more")


Learnt = dict[str, dict[str, list[Tensor]]]  # strategy: metric: seeds of [shares, N]


def learnt(study: FewSamples, room: Room, device: str, seeds: range) -> Learnt:
    """What every strategy reaches at every share, under every seed."""
    train = study.data("train")
    pseudo = not several(train[[0]].y)
    chosen: list[Strategy | None] = [s for s in study.strategies if pseudo or not isinstance(s.selector, CEAL)]
    found: Learnt = {}
    for strategy in [*chosen, None]:
        name = strategy.name if strategy else ALL
        for seed in seeds:
            took = room.step(f"few-{store_name(name)}-{seed}", partial(grown, study, train, strategy, device, seed))
            for metric, values in took.items():
                found.setdefault(name, {}).setdefault(metric, []).append(values)
    return found


def grown(study: FewSamples, train: Samples, strategy: Strategy | None, device: str, seed: int) -> dict[str, Tensor]:
    """``{metric: [shares, N]}`` of one strategy; None has all labels."""
    model = fresh(study.model, len(train.classes), seed).to(device)
    test = at_most(study.data("test"), study.test_images)
    sizes = [max(2, round(share * len(train))) for share in study.shares]
    chosen = permuted(len(train), seed)[: sizes[0]]
    samples: Samples = Subset(train, tuple(chosen.tolist())) if strategy else train
    selector = started(strategy.selector, len(chosen)) if strategy else None
    rows = []
    for stage, size in enumerate(sizes):
        if selector and stage:
            samples, chosen = more(selector, model, train, chosen, size, seed)
        fit(model, study.objective, samples, study.training, seed=seed * 1_000 + stage)
        rows.append(measure(model, test, measurable(study.metrics, test), GradCAM(), seed=seed))
    return {metric: torch.stack([row[metric] for row in rows]) for metric in rows[0]}


def started(selector: Selector, count: int) -> Selector:
    """CEAL counts its rounds from the labels that one began with; others do not count."""
    return replace(selector, start=count) if isinstance(selector, CEAL) and not selector.start else selector


def more(
    selector: Selector, model: nn.Module, train: Samples, chosen: Tensor, size: int, seed: int
) -> tuple[Samples, Tensor]:
    """What is trained on next, and what of it has its true label."""
    selection = selector(model, unlabelled(model, train), chosen, size - len(chosen), seed)
    labelled = pseudo_labelled(train, selection)
    every = (*chosen.tolist(), *selection.index.tolist())
    return Subset(labelled, every), torch.cat([chosen, selection.asked])


@dataclass(frozen=True, eq=False)
class Relabelled(Wrapped):
    """A split with other labels, ``[N]`` or ``[N, C]``."""

    labels: Tensor

    def __getitem__(self, index: Sequence[int]) -> Batch:
        return self.samples[index]._replace(y=self.labels[torch.as_tensor(index, dtype=torch.int64)])


def unlabelled(model: nn.Module, samples: Samples) -> Samples:
    """The samples with what the model sees in them as labels: nothing may be chosen by a label nobody has asked for.

    An inconsistency would look at labels twice: for the loss whose gradient moves backgrounds, and for who is wrong.
    """
    logits, y = scores_of(model, samples)
    top = logits.argmax(1)
    if several(y):
        return Relabelled(samples, ((logits > 0) | (indicators(top, logits.shape[1]) > 0)).float())
    return Relabelled(samples, top)


def measurable(metrics: tuple[Metric, ...], samples: Samples) -> tuple[Metric, ...]:
    """The metrics that these samples allow."""
    first = samples[[0]]
    where = first.mask is not None or first.regions is not None
    return tuple(m for m in metrics if where or not on_evidence(m))
