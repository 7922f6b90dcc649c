"""Whether an attribution stays what it is when the image hardly changes.

Alvarez-Melis & Jaakkola, 2018, https://arxiv.org/abs/1806.08049
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..draws import draws
from ..explainers import LIME, ImageMeanFill
from ..spec import require
from ..types import Batch, Explainer
from .fooling import rank_correlation
from .verdicts import Verdicts


@dataclass(frozen=True)
class Stability:
    """Spearman's rank correlation of an attribution with that of the image under a little noise, the mean over copies.

    The noise is normal with standard deviation ``sigma`` on the pixel scale; the class explained is the one that is
    predicted without it. What Nayyem et al., 2024, https://arxiv.org/abs/2412.18952, promise to raise.

    Shape: ``[B]`` in [-1, 1], 1 where the order of the pixels stays; NaN where all pixels of a map are equal.
    Cost: ``copies`` + 1 explanations.
    """

    explainer: Explainer = LIME(samples=128, fill=ImageMeanFill())
    sigma: float = 0.02
    copies: int = 4

    def __post_init__(self) -> None:
        require(self, self.sigma >= 0, "sigma is at least 0")
        require(self, self.copies >= 1, "copies is at least 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        model, x, target = verdicts.model, verdicts.batch.x, verdicts.predicted
        first = self.explainer(model, x, target).detach()
        stream = draws(x)
        found = [
            rank_correlation(first, self.explainer(model, noisy(x, self.sigma, stream.normal(*x.shape[1:])), target))
            for _ in range(self.copies)
        ]
        return torch.stack(found).mean(0).detach()


def noisy(x: Tensor, sigma: float, noise: Tensor) -> Tensor:
    """The image with noise, in [0, 1]."""
    return (x + sigma * noise.to(x)).clamp(0, 1)
