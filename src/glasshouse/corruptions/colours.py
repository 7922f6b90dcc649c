"""Light and colour: every pixel by itself, and no length in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .images import Seeded, finished, pixels

BRIGHTER = (0.05, 0.1, 0.15, 0.2, 0.3)
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
SATURATION = ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))  # factor, offset


@dataclass(frozen=True)
class Brightness(Seeded):
    """More light: added to the V of hue, saturation and value (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image = pixels(x)
        value = image.amax(1, keepdim=True)
        brighter = (value + BRIGHTER[self.severity - 1]).clamp_(max=1)
        # Hue and saturation are ratios of colours: all three grow by what the largest grows by; black becomes grey.
        return finished(torch.where(value > 0, image * (brighter / value), brighter), x)


@dataclass(frozen=True)
class Saturate(Seeded):
    """More or less colour: the S of hue, saturation and value (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261); an extra corruption.

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same; grey has the hue of red.
    Cost: no passes of any model.
    Differs from the paper: no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, (factor, offset) = pixels(x), SATURATION[self.severity - 1]
        value = image.amax(1, keepdim=True)
        span = value - image.amin(1, keepdim=True)
        saturation = (span / value.clamp(min=1e-12)).mul_(factor).add_(offset).clamp_(0, 1)
        # How far each colour lies below the value, as a share of the colour that lies lowest.
        below = torch.where(span > 0, (value - image) / span, red_below(image))
        return finished(value * (1 - saturation * below), x)


@dataclass(frozen=True)
class Contrast(Seeded):
    """Less contrast: each colour is drawn to its mean over the image (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image = pixels(x)
        return finished(torch.lerp(image.mean((2, 3), keepdim=True), image, CONTRAST[self.severity - 1]), x)


def red_below(image: Tensor) -> Tensor:
    """What lies how far below the value in pure red, ``[3, 1, 1]``."""
    return torch.tensor([0.0, 1.0, 1.0]).to(image).view(3, 1, 1)
