"""How few pixels an attribution rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..types import Batch
from .localisation import maps_of
from .perturbation import gini


@dataclass(frozen=True)
class Sparseness:
    """Gini index of |attribution|. Chalasani et al., ICML 2020, https://arxiv.org/abs/1810.06583

    0 where all pixels have the same share, near 1 where one has all; higher is more concise. It does not change when a
    map is multiplied, and so compares models and explainers, but only maps of one size and kind: explainers that paint
    superpixels are coarse by construction, and upsampled maps smooth.

    Shape: ``[B]`` in [0, 1); NaN for a map of zeros.
    Cost: no pass through the model.
    Raises:
        ValueError: if the batch has no attribution.
    """

    needs: ClassVar[tuple[str, ...]] = ("attribution",)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return gini(maps_of(self, batch))
