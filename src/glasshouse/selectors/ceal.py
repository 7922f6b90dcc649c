"""Unsure samples with true labels, and sure ones with the model's own. Wang et al., IEEE TCSVT 2017,
https://arxiv.org/abs/1701.03551
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..labels import entropy, several
from ..metrics import Uncertainty
from ..spec import require
from ..types import NOWHERE, Batch, Metric, Samples, Selection
from .unchosen import measured, ranked, unchosen


@dataclass(frozen=True)
class CEAL:
    """Cost-effective active learning: the samples with the highest ``score``, whose labels are asked for, and all
    others of which the model is sure, with pseudo-labels. Wang et al., IEEE TCSVT 2017,
    https://arxiv.org/abs/1701.03551

    It is sure where the entropy of its prediction, in nats, is below ``threshold`` - ``decay`` * t. Round t is how
    often ``count`` fits into what is chosen beyond the ``start`` samples that one began with. Pseudo-labels last for a
    round: what has one is not in ``chosen`` and is judged anew. The paper's numbers are 0.05 and 0.0033, with 2,000
    samples a round, or 0.005 and 0.00033, with 1,000.

    Shape: positions ``[count + n]`` int64 (or all that are left), the highest score first, then the n sure ones, the
    surest first; pseudo-labels like them, ``NOWHERE`` for the first ``count``.
    Cost: the score's and one forward pass, over all samples that are left.
    Differs from the paper: the round follows from what is chosen, so that the same call gives the same.
    Raises:
        ValueError: if images have several classes, ``count`` is below 1, or a chosen position is none of the samples.
    """

    score: Metric = Uncertainty()
    threshold: float = 0.05
    decay: float = 0.0033
    start: int = 0

    def __post_init__(self) -> None:
        require(self, self.threshold >= 0, "threshold is at least 0")
        require(self, self.decay >= 0, "decay is at least 0")
        require(self, self.start >= 0, "start is at least 0")

    def __call__(self, model: nn.Module, samples: Samples, chosen: Tensor, count: int, seed: int) -> Selection:
        left = unchosen(samples, chosen, count)
        if several(samples[[0]].y):
            raise ValueError("CEAL gives an image one class, and these have several; ByScore takes them")
        score = measured(model, samples, left, self.score, seed)
        unsure, label = measured(model, samples, left, entropy_and_class, seed).view(-1, 2).unbind(1)
        order = ranked(score, seed)
        asked, rest = order[:count], order[count:]
        rest = rest[ranked(-unsure[rest], seed)]
        sure = rest[unsure[rest] < self.threshold_at(chosen, count)]
        pseudo = torch.cat([torch.full_like(asked, NOWHERE), label[sure].long()])
        return Selection(left[torch.cat([asked, sure])], pseudo)

    def threshold_at(self, chosen: Tensor, count: int) -> float:
        """The entropy below which a prediction counts as sure, with so many chosen."""
        return self.threshold - self.decay * (max(0, len(chosen) - self.start) // count)


def entropy_and_class(model: nn.Module, batch: Batch) -> Tensor:
    """Entropy in nats and most probable class of each image, ``[B, 2]``."""
    logits = model(batch.x)
    return torch.stack([entropy(logits, batch.y), logits.argmax(1).to(logits.dtype)], 1)
