"""How few pixels an attribution rests on."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..spec import require
from ..types import Batch
from .localisation import maps_of
from .perturbation import gini_of, shares
from .verdicts import Verdicts


def shares_of(metric: Sparseness | Complexity | EffectiveComplexity, verdicts: Verdicts) -> Tensor:
    """|attribution| as shares of its sum over each image, found once for all that ask, ``[B, N]`` float64."""
    maps = maps_of(metric, verdicts.batch)
    return verdicts.once((shares_of, verdicts.explainer), lambda: shares(maps))


@dataclass(frozen=True)
class Sparseness:
    """Gini index of |attribution|. Chalasani et al., ICML 2020, https://arxiv.org/abs/1810.06583

    0 where all pixels have the same share, near 1 where one has all; higher is more concise. It does not change when a
    map is multiplied, and so compares models and explainers, but only maps of one size and kind: explainers that paint
    superpixels are coarse by construction, and upsampled maps smooth. Noise is not flat: independent normal numbers
    have 0.41, and a map of edges more than many an explanation.

    Shape: ``[B]`` in [0, 1); NaN for a map of zeros.
    Cost: no pass through the model.
    Raises:
        ValueError: if the batch has no attribution.
    """

    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "conciseness"
    better: ClassVar[int] = 1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        return gini_of(shares_of(self, verdicts)).float()


@dataclass(frozen=True)
class Complexity:
    """Shannon entropy of |attribution| as shares of its sum. Bhatt et al., IJCAI 2020, https://arxiv.org/abs/2005.00631

    Lower is more concise. In nats it is at most log n for n pixels, and so compares maps of one size alone;
    ``relative`` divides by log n. Then a flat map has 1 at every size, but a map that is merely enlarged still comes
    nearer to 1. It does not change when a map is multiplied: models and explainers compare as for :class:`Sparseness`.

    It hangs on the tail, as the Gini index does not: many tiny attributions cost more than a few that are large.

    Shape: ``[B]`` in [0, 1], or in [0, log n] nats; NaN for a map of zeros.
    Cost: no pass through the model.
    Raises:
        ValueError: if the batch has no attribution.
    """

    relative: bool = True
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "conciseness"
    better: ClassVar[int] = -1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        share = shares_of(self, verdicts)
        nats = torch.special.entr(share).sum(1)
        return (nats / log(share.shape[1]) if self.relative else nats).float()


@dataclass(frozen=True)
class EffectiveComplexity:
    """Share of the pixels whose |attribution| is above ``threshold`` times the highest of the image, after Nguyen &
    Martinez, 2020, https://arxiv.org/abs/2007.07584

    Lower is more concise. Measured by the highest pixel it does not change when a map is multiplied, and compares
    models and explainers; one outlier, however, makes all other pixels small. Without ``relative`` it is the number of
    pixels, which compares maps of one size alone.

    Shape: ``[B]`` in (0, 1], or from 1 to the number of pixels; NaN for a map of zeros.
    Cost: no pass through the model.
    Differs from the paper: which looks for the fewest features that, once known, leave the model's answer settled; that
        is a question to the model, and takes many passes. The count of a map is what is usually called by the name.
    Raises:
        ValueError: if the batch has no attribution.
    """

    threshold: float = 0.1
    relative: bool = True
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "conciseness"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, 0 <= self.threshold < 1, "threshold is at least 0 and below 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        share = shares_of(self, verdicts)
        count = (share > self.threshold * share.amax(1, keepdim=True)).double().sum(1)
        count = count.masked_fill(count == 0, torch.nan)
        return (count / share.shape[1] if self.relative else count).float()
