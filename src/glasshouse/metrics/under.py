"""Any metric on corrupted images. Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..corruptions import GaussianNoise
from ..types import Batch, Corruption, Metric
from .accuracy import Accuracy


@dataclass(frozen=True)
class Under:
    """A metric on images that a corruption went over first.

    Shape: ``[B]``, the metric's own.
    Cost: the metric's and the corruption's.
    """

    metric: Metric = Accuracy()
    corruption: Corruption = GaussianNoise()

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.metric(model, batch._replace(x=self.corruption(batch.x)))
