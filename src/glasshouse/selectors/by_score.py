"""The samples that a metric ranks highest. Lewis & Gale, SIGIR 1994, https://arxiv.org/abs/cmp-lg/9407020"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..metrics import Uncertainty
from ..types import Metric, Samples, Selection
from .unchosen import measured, ranked, unchosen


@dataclass(frozen=True)
class ByScore:
    """The samples with the highest (or ``lowest``) values of any metric, best first.

    With ``Uncertainty()``, ``LeastConfidence()`` or ``SmallMargin()`` this is uncertainty sampling (Lewis & Gale, SIGIR
    1994, https://arxiv.org/abs/cmp-lg/9407020), which needs no label. Samples of equal value come in the order of the
    seed, those without one (NaN) last.

    Shape: positions ``[count]`` int64, or all that are left.
    Cost: the metric's, over all samples that are left.
    Raises:
        ValueError: if ``count`` is below 1, or a chosen position is none of the samples.
    """

    score: Metric = Uncertainty()
    lowest: bool = False

    def __call__(self, model: nn.Module, samples: Samples, chosen: Tensor, count: int, seed: int) -> Selection:
        left = unchosen(samples, chosen, count)
        values = measured(model, samples, left, self.score, seed)
        return Selection(left[ranked(-values if self.lowest else values, seed)[:count]])
