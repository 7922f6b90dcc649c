"""Training samples weighed anew every few epochs. Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600"""

from __future__ import annotations

import warnings
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..data.samples import batches
from ..draws import seeded_globally
from ..explainers.superpixels import at_once
from ..folding import folded
from ..metrics import Inconsistency, Loss, Uncertainty
from ..modes import device_of, frozen
from ..spec import require
from ..types import Metric, Samples, Shape
from .shapes import AsScored

WEIGHTS, SCORES = "sample/weights", "sample/scores"
BINS = 10
EQUAL = 0.99  # an effective share of samples above which weights are as good as equal


@dataclass(frozen=True)
class Reweighting:
    """The weights of all samples after every ``every`` epochs: a score of each, any metric, brought into a ``shape``.

    ``Reweighting()`` is training with explanation consistency, Algorithm 1 of Wu et al., IEEE TMM 2024,
    https://arxiv.org/abs/2408.04600; ``Reweighting(score=Loss(), shape=Hardest())`` is hard negative mining, and
    ``Reweighting(shape=Shuffled())`` the control that any gain has to be measured against. All samples weigh 1 at
    first. Losses are divided by the sum of their weights, so that only the weights' ratios count; none is below
    ``least``.

    A score is taken with the images as they are, in evaluation mode, in a pass of its own. ``online`` takes it within
    the training steps of the epoch before instead, of the images as they are augmented and the network as it is in that
    step: one more forward pass. That needs an :class:`Inconsistency` with a class activation map, and an objective that
    runs the model on the images of the batch.

    The log of an epoch says in its last row how the weights are distributed: ``weight_0`` to ``weight_9`` are the
    shares of samples in tenths of [0, 1], ``weight_effective`` is (sum w)^2 / (N sum w^2), 1 where all are equal.

    Cost: the score's on all samples, every ``every`` epochs.
    Differs from the paper: normalised weights; a lower bound.
    """

    score: Metric = Inconsistency()
    every: int = 4
    shape: Shape = AsScored()
    least: float = 1e-3
    online: bool = False
    batch_size: int = 0

    def __post_init__(self) -> None:
        require(self, self.every >= 1, "every is at least 1")
        require(self, 0 <= self.least < 1, "least is at least 0 and below 1")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")
        # A weight of 0 would hide the sign of the gradient that the score begins with.
        require(self, not self.online or self.least > 0, "least is above 0 where scores are taken online")
        known = isinstance(self.score, Inconsistency) and hasattr(self.score.explainer, "cam")
        require(self, not self.online or known, "online needs score=Inconsistency(...) with a class activation map")

    def due(self, epoch: int) -> bool:
        """Whether weights change before an epoch, counted from 0."""
        return epoch > 0 and epoch % self.every == 0

    def begin(
        self, model: nn.Module, samples: Samples, kept: MutableMapping[str, Tensor], epoch: int, seed: int
    ) -> dict[str, float]:
        """Bring the weights in ``kept`` up to date before an epoch; returns how they are distributed if they changed.

        Warns if they are as good as equal: then training is what it would be without them.
        """
        where = device_of(model)
        kept.setdefault(WEIGHTS, torch.ones(len(samples), device=where))
        if self.online:
            kept.setdefault(SCORES, torch.ones(len(samples), device=where))
        if not self.due(epoch):
            return {}
        found = kept[SCORES] if self.online else scored(self.score, model, samples, self.batch_size, seed)
        kept[WEIGHTS] = self.shape(found.float(), seed * 1_000_003 + epoch).clamp_min(self.least)
        told = distribution(kept[WEIGHTS])
        if told["weight_effective"] > EQUAL:
            warnings.warn(f"all training samples weigh practically the same: {in_words(told)}", stacklevel=2)
        return told

    def gathers(self, epoch: int, epochs: int) -> bool:
        """Whether the steps of an epoch are to give scores; those of the last would be for nothing."""
        return self.online and self.due(epoch + 1) and epoch + 1 < epochs


def scored(score: Any, model: nn.Module, samples: Samples, size: int, seed: int) -> Tensor:
    """A metric of all samples, ``[N]``, in evaluation mode, ``size`` at once (0: as many as suit the device); the same
    for the same seed."""
    first = samples[[0]].x.to(device_of(model))
    size = at_once(size, first)
    with frozen(model), seeded_globally(seed, 0):  # to read batches takes a random number, too
        score = score.settled(model, first) if isinstance(score, Inconsistency) else score
        with lighter(score, model, first):
            return values_of(score, model, samples, size, seed)


def lighter(score: Any, model: nn.Module, x: Tensor) -> AbstractContextManager[None]:
    """The model made lighter, for scores that look at nothing within it but one layer."""
    if isinstance(score, Loss | Uncertainty):
        return folded(model, x)
    layer: str = getattr(score.explainer, "layer", "") if isinstance(score, Inconsistency) else ""
    return folded(model, x, apart=layer) if layer else nullcontext()


def values_of(metric: Metric, model: nn.Module, samples: Samples, size: int, seed: int) -> Tensor:
    """A metric of all samples, ``[N]``, of a model in evaluation mode; each batch draws the same random numbers."""
    read = batches(samples, size, device=device_of(model))
    return torch.cat([seeded(partial(metric, model, batch), seed) for batch in read])


def seeded(value: Callable[[], Tensor], seed: int) -> Tensor:
    """A value that draws the same random numbers every time."""
    with seeded_globally(seed, 0):
        return value().detach()


def distribution(weights: Tensor) -> dict[str, float]:
    """Mean, effective share and histogram of weights ``[N]``."""
    double = weights.double()
    effective = double.sum().square() / (len(double) * double.square().sum()).clamp_min(1e-300)
    place = (double * BINS).long().clamp(0, BINS - 1)
    shares = torch.bincount(place, minlength=BINS).double() / len(double)
    told = {"weight_mean": float(double.mean()), "weight_effective": float(effective)}
    return told | {f"weight_{i}": share for i, share in enumerate(shares.tolist())}


def in_words(told: dict[str, float]) -> str:
    """``97 % of them are from 0.9 to 1``"""
    i = max(range(BINS), key=lambda k: told[f"weight_{k}"])
    return f"{100 * told[f'weight_{i}']:.0f} % of them are from {i / BINS:g} to {(i + 1) / BINS:g}"
