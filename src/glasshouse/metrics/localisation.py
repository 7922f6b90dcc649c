"""Whether the attribution lies where the evidence is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..types import Batch


@dataclass(frozen=True)
class MassInside:
    """Share of the positive attribution inside ``batch.mask``, in [0, 1]; higher is better.

    Arras et al., Information Fusion 2022, https://arxiv.org/abs/2003.07258 (relevance mass accuracy). A map without
    positive attribution counts as an even one: the share of pixels inside.

    Raises:
        ValueError: if the batch has no mask or no attribution.
    """

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        if batch.mask is None:
            raise ValueError("MassInside needs Batch.mask, and the data has none")
        if batch.attribution is None:
            raise ValueError("MassInside needs an explainer")
        inside = batch.mask.flatten(1)
        positive = batch.attribution.clamp_min(0).flatten(1).double()
        positive = torch.where(positive.sum(1, keepdim=True) > 0, positive, 1.0)
        return ((positive * inside).sum(1) / positive.sum(1)).float()
