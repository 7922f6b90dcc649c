"""Motion along a line, in another direction in each image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .filters import clamped, padded

NEGLIGIBLE = 5.0  # standard deviations


def streak_weights(radius: float, sigma: float) -> Tensor:
    """Half a Gaussian over ``2 ceil(radius) + 1`` pixels, as ImageMagick has it, ``[taps]`` float64."""
    taps = 2 * math.ceil(radius) + 1
    weights = torch.arange(taps, dtype=torch.float64).square().div(-2 * sigma**2).exp()
    return weights[: math.ceil(NEGLIGIBLE * sigma) + 1] / weights.sum()


def streaked(x: Tensor, radius: float, sigma: float, angle: Tensor) -> Tensor:
    """``x`` ``[B, C, H, W]`` where each pixel is a weighted mean of those in the direction ``angle`` ``[B]``.

    0 is to the right and a quarter turn down; each weight is at the nearest pixel; the outermost pixels go on.
    """
    weights = streak_weights(radius, sigma)
    reach = len(weights) - 1
    steps = torch.arange(reach + 1, device=x.device)
    down, right = (reach + (steps * part(angle)[:, None] - 0.5).ceil().long() for part in (torch.sin, torch.cos))
    height, width = x.shape[-2:]
    # Every cut of the padded image, as a view: one image's cut at its own place is one read.
    cuts = padded(x, reach, clamped).unfold(2, height, 1).unfold(3, width, 1).movedim(1, 3)
    image = torch.arange(len(x), device=x.device)
    total = torch.zeros_like(x)
    for step, weight in enumerate(weights.tolist()):
        total.add_(cuts[image, down[:, step], right[:, step]], alpha=weight)
    return total
