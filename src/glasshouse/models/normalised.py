"""A network with its input normalisation inside (LeCun et al., 1998, https://doi.org/10.1007/3-540-49430-8_2)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..spec import require

Colour = tuple[float, float, float]

IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)


class Normalised(nn.Module):
    """``network((x - mean) / std)``, so that an ``eps`` is always on the pixel scale.

    Shape:
        x ``[B, 3, H, W]`` in [0, 1] -> logits ``[B, classes]``; one grey channel stands for all three.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Colour, std: Colour) -> None:
        super().__init__()
        self.network = network
        # Not persistent: mean and std are configuration, and public weights do not contain them.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pixels in [0, 1]."""
        return self.network((x - self.mean) / self.std)


def require_statistics(component: Any, mean: Colour, std: Colour) -> None:
    """Raise ValueError unless mean and std are three finite numbers each, and every std is positive."""
    complete = len(mean) == 3 == len(std) and all(map(math.isfinite, (*mean, *std)))
    require(component, complete, "mean and std need three finite numbers each, one for each colour")
    require(component, all(s > 0 for s in std), "each std must be above 0")
