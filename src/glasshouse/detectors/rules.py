"""Rules that turn criteria into a score: a superpixel is called spurious from 1 on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..explainers import LIME
from ..explainers.superpixels import at_once, averaged, counts
from ..spec import require
from ..types import Batch
from . import criteria
from .thresholds import Quantile, Threshold


class Rule(Protocol):
    """Scores ``[B, S]`` of the superpixels of a batch; ``pool`` holds other analysed images."""

    def __call__(self, model: nn.Module, batch: Batch, segments: Tensor, lime: LIME, pool: Batch) -> Tensor: ...


@dataclass(frozen=True)
class AnyCriterion:
    """The paper's literal rule: important OR sensitive OR unstable. Nayyem et al., 2024,
    https://arxiv.org/abs/2412.18952, section III-C.

    Note that it flags what matters most to a good model, too: nothing in it says what is irrelevant.

    Cost: ``runs`` + 1 LIME explanations and one gradient an image.
    """

    importance: Threshold = Quantile(share=0.9)
    sensitivity: Threshold = Quantile(share=0.9)
    instability: Threshold = Quantile(share=0.9)
    runs: int = 5
    sigma: float = 0.02

    def __post_init__(self) -> None:
        require(self, self.runs >= 2, "runs is at least 2")
        require(self, self.sigma >= 0, "sigma is at least 0")

    def __call__(self, model: nn.Module, batch: Batch, segments: Tensor, lime: LIME, pool: Batch) -> Tensor:
        beta = criteria.weights(model, batch, segments, lime)
        return torch.stack(self.ratios(model, batch, segments, lime, beta)).amax(0)

    def ratios(self, model: nn.Module, batch: Batch, segments: Tensor, lime: LIME, beta: Tensor) -> list[Tensor]:
        """Importance, sensitivity and instability over their bars, ``[B, S]`` each."""
        exists = existing(segments)
        values = (
            (self.importance, beta.abs()),
            (self.sensitivity, criteria.sensitivity(model, batch, segments)),
            (self.instability, criteria.instability(model, batch, segments, lime, self.runs, self.sigma)),
        )
        # Strictly above the bar, as the paper writes it.
        return [value / bar(value, exists).clamp_min(1e-12) * (1 - 1e-6) for bar, value in values]


@dataclass(frozen=True)
class Signed(AnyCriterion):
    """The paper's criteria with *irrelevant* read as evidence against the class: unstable, OR sensitive without
    speaking for it, OR important and speaking against it. Nayyem et al., 2024, https://arxiv.org/abs/2412.18952

    Differs from the paper: its literal rule, :class:`AnyCriterion`, flags what speaks for the class just as well.

    Cost: ``runs`` + 1 LIME explanations and one gradient an image.
    """

    def __call__(self, model: nn.Module, batch: Batch, segments: Tensor, lime: LIME, pool: Batch) -> Tensor:
        beta = criteria.weights(model, batch, segments, lime)
        important, sensitive, unstable = self.ratios(model, batch, segments, lime, beta)
        # What does not count stays below 1, in its order.
        against = torch.where(beta < 0, important, important.clamp_max(1) / 2)
        useless = torch.where(beta <= 0, sensitive, sensitive.clamp_max(1) / 2)
        return torch.stack([against, useless, unstable]).amax(0)


@dataclass(frozen=True)
class Marked:
    """One of the three criteria, and *irrelevant*: more than ``outside`` of the superpixel lies outside ``Batch.mask``.

    The mask comes with the data or from a person who marked what the class is about.

    Cost: that of ``criteria``.
    Raises:
        ValueError: if the batch has no mask.
    """

    criteria: AnyCriterion = AnyCriterion()
    outside: float = 0.5

    def __post_init__(self) -> None:
        require(self, 0 <= self.outside < 1, "outside is at least 0 and below 1")

    def __call__(self, model: nn.Module, batch: Batch, segments: Tensor, lime: LIME, pool: Batch) -> Tensor:
        if batch.mask is None:
            raise ValueError("the rule Marked needs Batch.mask; take data with masks, or the rule Transplanted")
        score = self.criteria(model, batch, segments, lime, pool)
        outside = averaged((~batch.mask)[:, None].float(), segments, score.shape[1])[:, 0]
        return torch.where(outside > self.outside, score, score.clamp_max(1) * outside * 0.5)


@dataclass(frozen=True)
class Transplanted:
    """The automatic rule: among LIME's most important superpixels, one that carries the class along.

    Pasted at its own place into images of other classes, a shortcut takes its class with it wherever it comes; a
    piece of an object seldom does. The score is the share of the image's evidence that moves for sure
    (:func:`criteria.carried`), divided by ``share``. Only the ``candidates``
    superpixels that LIME finds most important are tried; the others score 0.

    Cost: one LIME explanation and ``candidates`` * ``recipients`` forward passes an image.
    """

    share: float = 0.15
    candidates: int = 16
    recipients: int = 8

    def __post_init__(self) -> None:
        require(self, self.share > 0, "share is above 0")
        require(self, self.candidates >= 1, "candidates is at least 1")
        require(self, self.recipients >= 2, "recipients is at least 2")

    def __call__(self, model: nn.Module, batch: Batch, segments: Tensor, lime: LIME, pool: Batch) -> Tensor:
        exists = existing(segments)
        weight = criteria.importance(model, batch, segments, lime).masked_fill(~exists, -1)
        top = weight.topk(min(self.candidates, weight.shape[1]), dim=1).indices
        moved = criteria.carried(model, batch, segments, top, pool, self.recipients, at_once(lime.batch_size, batch.x))
        return torch.zeros_like(weight).scatter_(1, top, moved.clamp_min(0) / self.share)


def existing(segments: Tensor) -> Tensor:
    """Which superpixel numbers an image has, ``[B, S]`` bool."""
    count = counts(segments)
    return torch.arange(int(count.max()), device=segments.device) < count[:, None]
