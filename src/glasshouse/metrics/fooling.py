"""Whether an attack changes what the model says, and what an explainer says of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..attacks import PGD, AtLevel, CoarseChanges, TopK
from ..attacks.explanations import top_share
from ..attacks.levels import criterion_of, met
from ..explainers import InputGradient
from ..hierarchy import hierarchical
from ..spec import require
from ..types import Attack, Batch, Criterion, Explainer
from .perceptibility import ssim
from .verdicts import Verdicts, predicted


@dataclass(frozen=True)
class Fooled:
    """1 where the predicted class is another after the attack, else 0: the mean is the fooling ratio
    (Moosavi-Dezfooli et al., CVPR 2017, https://arxiv.org/abs/1610.08401).

    Right or wrong does not matter, unless ``right_only``: then images that were wrong before have no value (NaN), and
    the mean is that of the others.

    Shape: ``[B]``, 0, 1 or NaN.
    Cost: that of the attack, and two forward passes.
    """

    attack: Attack = PGD()
    right_only: bool = False

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        changed = (predicted(verdicts.model, verdicts.attacked(self.attack)) != verdicts.predicted).float()
        return torch.where(verdicts.right, changed, torch.nan) if self.right_only else changed


@dataclass(frozen=True)
class FooledAt:
    """1 where a criterion on one level is met after the attack, else 0: the mean is the fooling ratio of that level
    (Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906). Without a ``criterion`` it is the attack's
    own, or that the superclass changes where the attack is for no level.

    Every image counts, as in the paper: one that the level had wrong without any attack, and has wrong still, as
    fooled. With ``right_only`` images that were wrong before have no value (NaN): of those that the coarse network had
    wrong and, where the criterion is on the fine level, of those whose class was wrong there nothing can be turned.

    Shape: ``[B]``, 0, 1 or NaN.
    Cost: that of the attack, and two or three forward passes of the level.
    Raises:
        ValueError: if the model has no levels, or a label is in no superclass.
    """

    attack: Attack = AtLevel()
    criterion: Criterion | None = None
    right_only: bool = False

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        hierarchical(verdicts.model, self)  # what is missing shows before the attack takes its time
        x, y = verdicts.batch.x, verdicts.batch.y
        aim = self.criterion or criterion_of(self.attack)
        fooled = met(aim, verdicts.model, verdicts.attacked(self.attack), y).float()
        if not self.right_only:
            return fooled
        # A class can only become another one of its superclass where the superclass is right, too.
        wrong = [met(criterion, verdicts.model, x, y) for criterion in {CoarseChanges(), aim}]
        return fooled.masked_fill(torch.stack(wrong).any(0), torch.nan)


def maps(explainer: Explainer, attack: Attack, verdicts: Verdicts) -> tuple[Tensor, Tensor]:
    """|attribution| before and after the attack, ``[B, H, W]`` each, for the class predicted before."""
    seen = (verdicts.batch.x, verdicts.attacked(attack))
    before, after = (explainer(verdicts.model, x, verdicts.predicted).detach().abs() for x in seen)
    return before, after


def intersection(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Of the ``share`` of pixels that are highest in one map, the share that is so in the other, too: ``[B]``."""
    first, second = top_share(a, share).flatten(1), top_share(b, share).flatten(1)
    return (first & second).sum(1) / first.sum(1)


def ranks(values: Tensor) -> Tensor:
    """Ranks from 0 within each row, equal ones shared out: ``[B, N]`` -> ``[B, N]`` float64."""
    ordered, order = values.sort(dim=1)
    count = values.shape[1]
    edge = F.pad(ordered[:, 1:] != ordered[:, :-1], (1, 1), value=True)  # where a run of equals begins, and has ended
    place = torch.arange(count, device=values.device).expand_as(order)
    first = place.where(edge[:, :-1], 0).cummax(1).values
    last = place.where(edge[:, 1:], count).flip(1).cummin(1).values.flip(1)
    return torch.empty_like(values, dtype=torch.float64).scatter_(1, order, (first + last).double() / 2)


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rho of each pair of maps, ``[B]``; NaN where all pixels of one of them are equal."""
    first, second = (ranks(t.flatten(1)) for t in (a, b))
    first, second = (t - t.mean(1, keepdim=True) for t in (first, second))
    return ((first * second).sum(1) / (first.square().sum(1) * second.square().sum(1)).sqrt()).to(a.dtype)


def map_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of two maps, each with 1 at its highest pixel: ``[B]``."""
    first, second = (t.abs() / t.abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(t.dtype).tiny) for t in (a, b))
    return ssim(first[:, None], second[:, None])


@dataclass(frozen=True)
class TopKIntersection:
    """Of the ``share`` of pixels with the highest |attribution|, the share that stays highest under attack (Ghorbani
    et al., AAAI 2019, https://arxiv.org/abs/1710.10547); the class explained is the one predicted before.

    Shape: ``[B]`` in [0, 1], 1 where the map points to the same pixels.
    Cost: that of the attack and two explanations.
    """

    attack: Attack = TopK()
    explainer: Explainer = InputGradient()
    share: float = 0.05

    def __post_init__(self) -> None:
        require(self, 0 < self.share < 1, "share is between 0 and 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return intersection(*maps(self.explainer, self.attack, verdicts), self.share)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of |attribution| before and after the attack (Ghorbani et al., AAAI 2019,
    https://arxiv.org/abs/1710.10547); the class explained is the one predicted before.

    Shape: ``[B]`` in [-1, 1], 1 where the order of the pixels is the same; NaN where all pixels of a map are equal.
    Cost: that of the attack and two explanations.
    """

    attack: Attack = TopK()
    explainer: Explainer = InputGradient()

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return rank_correlation(*maps(self.explainer, self.attack, verdicts))


@dataclass(frozen=True)
class MapSSIM:
    """Structural similarity (Wang et al., IEEE TIP 2004, https://doi.org/10.1109/TIP.2003.819861) of |attribution|
    before and after the attack, each map with 1 at its highest pixel; the class explained is the one predicted before.

    Shape: ``[B]`` in [-1, 1], 1 where the maps look the same.
    Cost: that of the attack and two explanations.
    """

    attack: Attack = TopK()
    explainer: Explainer = InputGradient()

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return map_ssim(*maps(self.explainer, self.attack, verdicts))
