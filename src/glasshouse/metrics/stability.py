"""Whether an attribution stays what it is when the image hardly changes.

Alvarez-Melis & Jaakkola, 2018, https://arxiv.org/abs/1806.08049
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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

    Higher is more stable. It sees the order of the pixels alone, and so models and explainers compare whatever their
    scales, with the same noise on images of the same size. The traps: pixels whose attribution hardly matters count as
    much as the others, and their order is soon lost; smooth and coarse maps keep theirs whatever they say, and a map
    that never changes has 1.

    Shape: ``[B]`` in [-1, 1], 1 where the order of the pixels stays; NaN where all pixels of a map are equal.
    Cost: ``copies`` + 1 explanations.
    """

    explainer: Explainer = LIME(samples=128, fill=ImageMeanFill())
    sigma: float = 0.02
    copies: int = 4
    family: ClassVar[str] = "stability"
    better: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self, self.sigma >= 0, "sigma is at least 0")
        require(self, self.copies >= 1, "copies is at least 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        first, target = verdicts.explained(self.explainer), verdicts.predicted
        key = (noisy_copies, self.sigma, self.copies)
        copies = verdicts.once(key, lambda: noisy_copies(verdicts.batch.x, self.sigma, self.copies))
        explained = (self.explainer(verdicts.model, x, target).detach() for x in copies)
        found = [rank_correlation(first, maps) for maps in explained]
        return torch.stack(found).mean(0)


def noisy_copies(x: Tensor, sigma: float, copies: int) -> list[Tensor]:
    """The images with noise, each copy with noise of its own."""
    stream = draws(x)
    return [noisy(x, sigma, stream.normal(*x.shape[1:])) for _ in range(copies)]


def noisy(x: Tensor, sigma: float, noise: Tensor) -> Tensor:
    """The image with noise, in [0, 1]."""
    return (x + sigma * noise.to(x)).clamp(0, 1)
