"""Motion along a line, in another direction in each image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

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
    count, channels, height, width = x.shape
    around = F.pad(x, (reach,) * 4, mode="replicate").permute(0, 2, 3, 1).contiguous()
    # Every cut of the padded image, as a view whose rows with all their colours lie together: one image's cut at its
    # own place is one read.
    image, row, column, _ = around.stride()
    cuts = around.as_strided(
        (count, 2 * reach + 1, 2 * reach + 1, height, width * channels), (image, row, column, row, 1)
    )
    every = torch.arange(count, device=x.device)
    total = x.new_zeros(count, height, width * channels)
    for step, weight in enumerate(weights.tolist()):
        total.add_(cuts[every, down[:, step], right[:, step]], alpha=weight)
    return total.view(count, height, width, channels).permute(0, 3, 1, 2)
