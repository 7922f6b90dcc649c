"""How explainable a perturbation is: how concentrated, where it lies, and what it has to do with relevance.

Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, claim it of their attacks and do not measure it; the
formulas are in :mod:`glasshouse.metrics.perturbation`. Each takes any attack and any explainer; on one level of a model
of two levels the explainer is ``AtCoarse(...)`` or ``AtFine(...)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..attacks import PGD
from ..explainers.by_level import RELEVANCE, answers
from ..spec import require
from ..types import Attack, Batch, Explainer
from .localisation import judged_evidence
from .perturbation import entropy, gini, inside, moved, overlap, perturbation, rank
from .verdicts import Verdicts


@dataclass(frozen=True)
class PerturbationGini:
    """How few pixels have the perturbation: the Gini index of |x_adv - x| (Hurley & Rickard, IEEE Trans. Inf. Theory
    2009, https://arxiv.org/abs/0811.4706).

    Shape: ``[B]`` in [0, 1], 0 where all pixels changed alike, near 1 where few have all; NaN where nothing changed.
    Cost: that of the attack.
    """

    attack: Attack = PGD()

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return gini(change(self.attack, verdicts))


@dataclass(frozen=True)
class PerturbationEntropy:
    """How evenly pixels have the perturbation: Shannon's entropy of |x_adv - x| as shares, over that of an even one.

    Shape: ``[B]`` in [0, 1], 1 where all pixels changed alike, 0 where one did; NaN where nothing changed.
    Cost: that of the attack.
    """

    attack: Attack = PGD()

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return entropy(change(self.attack, verdicts))


@dataclass(frozen=True)
class PerturbationInside:
    """Share of the perturbation |x_adv - x| inside ``batch.mask``, by chance the mask's share of the pixels; ``lift``
    divides by that one: 1 is chance.

    Without a mask, the object is where ``batch.regions`` has a class; what those say is not to be judged counts
    neither way.

    Shape: ``[B]`` in [0, 1], or >= 0 with ``lift``; NaN where nothing changed, and for an image without an object.
    Cost: that of the attack.
    Raises:
        ValueError: if the batch has neither mask nor regions.
    """

    attack: Attack = PGD()
    lift: bool = False
    needs: ClassVar[tuple[str, ...]] = ("mask",)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        mask, judged = judged_evidence(self, verdicts.batch)  # what is missing shows before the attack takes its time
        share, area = inside(change(self.attack, verdicts) * judged, mask), inside(judged.float(), mask)
        return torch.where(area > 0, share / area if self.lift else share, torch.nan)


@dataclass(frozen=True)
class PerturbationOverlap:
    """Of the ``share`` of pixels that changed most, the share that has the highest positive relevance, too.

    The relevance is the untouched image's for the class predicted before the attack or, if ``adversarial``, for the
    one predicted after it; where that is the same (to ``AtCoarse``: its superclass is), there is no value. Pixels that
    are equal count as if lots were drawn, so that a change of all pixels alike overlaps as much as chance.

    Shape: ``[B]`` in [0, 1], by chance ``share``; NaN where nothing changed or nothing is relevant.
    Cost: that of the attack, an explanation, and a forward pass.
    Raises:
        ValueError: whatever ``explainer`` raises.
    """

    attack: Attack = PGD()
    explainer: Explainer = RELEVANCE
    share: float = 0.05
    adversarial: bool = False

    def __post_init__(self) -> None:
        require(self, 0 < self.share < 1, "share is between 0 and 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        question = Question(verdicts, self.attack, self.explainer, self.adversarial)
        return question.answered(overlap(change(self.attack, verdicts), question.before(), self.share))


@dataclass(frozen=True)
class PerturbationRank:
    """Spearman's rank correlation of |x_adv - x| and positive relevance over the pixels.

    The relevance is that of :class:`PerturbationOverlap`.

    Shape: ``[B]`` in [-1, 1], 0 by chance; NaN where all pixels changed alike or are relevant alike, and where
    ``adversarial`` finds no other class.
    Cost: that of the attack, an explanation, and a forward pass.
    Raises:
        ValueError: whatever ``explainer`` raises.
    """

    attack: Attack = PGD()
    explainer: Explainer = RELEVANCE
    adversarial: bool = False

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        question = Question(verdicts, self.attack, self.explainer, self.adversarial)
        return question.answered(rank(change(self.attack, verdicts), question.before()))


@dataclass(frozen=True)
class RelevanceMoved:
    """Share of the relevance of a class that lies elsewhere after the attack: half the L1 distance of |attribution|
    before and after, each in sum 1.

    The class is the one predicted before the attack or, if ``adversarial``, the one predicted after it; where that is
    the same (to ``AtCoarse``: its superclass is), there is no value.

    Shape: ``[B]`` in [0, 1], 0 where the map is the same but for its size; NaN where a map is 0 everywhere.
    Cost: that of the attack, two explanations, and a forward pass.
    Raises:
        ValueError: whatever ``explainer`` raises.
    """

    attack: Attack = PGD()
    explainer: Explainer = RELEVANCE
    adversarial: bool = False

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        question = Question(verdicts, self.attack, self.explainer, self.adversarial)
        return question.answered(moved(question.before(), question.after()))


def change(attack: Attack, verdicts: Verdicts) -> Tensor:
    """The perturbation of every image, ``[B, H, W]``."""
    return perturbation(verdicts.batch.x, verdicts.attacked(attack))


class Question:
    """What an explainer is asked about attacked images: for the class predicted before the attack, or after it."""

    def __init__(self, verdicts: Verdicts, attack: Attack, explainer: Explainer, adversarial: bool) -> None:
        self.verdicts, self.attack, self.explainer = verdicts, attack, explainer
        self.adversarial = adversarial

    def before(self) -> Tensor:
        """Attribution of the untouched images, ``[B, H, W]``."""
        return self.verdicts.explained(self.explainer, target=self.attack if self.adversarial else None)

    def after(self) -> Tensor:
        """Attribution of the attacked images, ``[B, H, W]``."""
        target = self.attack if self.adversarial else None
        return self.verdicts.explained(self.explainer, self.attack, target=target)

    def answered(self, values: Tensor) -> Tensor:
        """Values ``[B]``, NaN where the adversarial class is asked for and there is none."""
        if not self.adversarial:
            return values
        classes = (self.verdicts.predicted, self.verdicts.turned(self.attack))
        was, now = (answers(self.explainer, self.verdicts.model, k) for k in classes)
        return values.masked_fill(was == now, torch.nan)
