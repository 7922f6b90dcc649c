"""Drops of water or mud on the lens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .filters import clamped, filtered, gaussian_weights, mirrored, padded, smooth
from .images import Seeded, finished, pixels, scale_of, stream

# mean and standard deviation of the noise, sigma of its grains, threshold, strength of water or sigma of mud, mud
SPATTER = (
    (0.62, 0.1, 0.7, 0.7, 0.5, False),
    (0.65, 0.1, 0.8, 0.7, 0.5, False),
    (0.65, 0.3, 1.0, 0.69, 0.5, False),
    (0.65, 0.1, 0.7, 0.69, 0.6, True),
    (0.65, 0.1, 0.5, 0.68, 0.6, True),
)
TURQUOISE, BROWN = (175 / 255, 238 / 255, 238 / 255), (63 / 255, 42 / 255, 20 / 255)
FURTHEST = 20  # pixels from the rim of a drop
SOLID = 0.8  # mud that covers less of a pixel is not seen
RELIEF = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))  # light from one corner


@dataclass(frozen=True)
class Spatter(Seeded):
    """Drops of water (severities 1 to 3) or mud (4 and 5) on the lens (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261); an extra corruption.

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same. An image on which no drop falls stays as it is.
    Cost: no passes of any model.
    Differs from the paper: the rim of a drop is where it touches what is dry, not what Canny's detector finds, and
    distances to it are exact. Lengths are for a side of 32 and grow with the shorter side; no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, scale = pixels(x), scale_of(x)
        mean, deviation, sigma, threshold, strength, mud = SPATTER[self.severity - 1]
        # What is near a threshold must fall on the same side in any batch and on any device, hence float64.
        noise = stream(self, image).normal(*x.shape[-2:]).double()
        depth = mean + deviation * smooth(noise, sigma, scale, clamped)
        if mud:
            cover = muddy(depth > threshold, strength * scale).to(image)[:, None]
            return finished(image * (1 - cover) + cover * colour(BROWN, image), x)
        water = strength * watery(torch.where(depth < threshold, 0, depth), scale).to(image)[:, None]
        return finished(image + water * colour(TURQUOISE, image), x)


def colour(rgb: tuple[float, float, float], like: Tensor) -> Tensor:
    """``[3, 1, 1]`` on the device of ``like``."""
    return torch.tensor(rgb).to(like).view(3, 1, 1)


def muddy(dirty: Tensor, sigma: float) -> Tensor:
    """How much of each pixel mud hides, ``[B, H, W]``: blurred, and nothing where it is thin."""
    cover = filtered(dirty.double(), gaussian_weights(sigma), clamped)
    return torch.where(cover < SOLID, 0, cover)


def watery(depth: Tensor, scale: float) -> Tensor:
    """How much each pixel shines, ``[B, H, W]`` from 0 to 1: water times the relief of the distance to its rim."""
    reach = max(1, round(scale))
    box = torch.full((2 * reach + 1,), 1 / (2 * reach + 1), dtype=torch.float64)
    furthest = FURTHEST * scale
    distance = distance_to(rims(depth > 0), min(math.ceil(furthest), max(depth.shape[-2:]))).clamp_(max=furthest)
    level = equalised(filtered(distance, box, mirrored).add_(1e-9).long(), math.ceil(furthest) + 1)
    shine = depth * filtered(lit(level, reach), box, mirrored)
    return shine / shine.amax((1, 2), keepdim=True).clamp(min=1e-12)


def rims(wet: Tensor) -> Tensor:
    """Wet pixels that touch a dry one, ``[B, H, W]`` bool; past the border it is as wet as on it."""
    around = padded(wet, 1, clamped)
    inner = around[:, :-2, 1:-1] & around[:, 2:, 1:-1] & around[:, 1:-1, :-2] & around[:, 1:-1, 2:]
    return wet & ~inner


def distance_to(marked: Tensor, furthest: int) -> Tensor:
    """Distance of each pixel ``[B, H, W]`` to the nearest marked one, or something above ``furthest``; float64."""
    squared = torch.where(marked, 0, (furthest + 1) ** 2).to(torch.int32)
    for axis in (1, 2):
        # A step further off adds 1, 3, 5, ... to the square of the distance.
        for step in range(1, min(furthest + 1, squared.shape[axis])):
            before, after = (
                squared.narrow(axis, 0, squared.shape[axis] - 1),
                squared.narrow(axis, 1, squared.shape[axis] - 1),
            )
            further = squared + (2 * step - 1)
            torch.minimum(before, further.narrow(axis, 1, before.shape[axis]), out=before)
            torch.minimum(after, further.narrow(axis, 0, before.shape[axis]), out=after)
    return squared.double().sqrt()


def equalised(level: Tensor, count: int) -> Tensor:
    """Whole numbers ``[B, H, W]`` below ``count`` with an even histogram, 0 to 1; 1 where there is only one number."""
    flat = level.flatten(1)
    counts = torch.zeros(len(flat), count, device=flat.device, dtype=torch.float64)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float64))
    least = counts.gather(1, flat.amin(1, keepdim=True))
    share = (counts.cumsum(1) - least) / (flat.shape[1] - least).clamp(min=1)
    even = torch.where(least == flat.shape[1], torch.ones_like(share), share)
    return even.gather(1, flat).view(level.shape)


def lit(level: Tensor, reach: int) -> Tensor:
    """A relief ``[B, H, W]`` lit from one corner, with pixels ``reach`` apart, cut off at 0 and 1."""
    height, width = level.shape[-2:]
    around = padded(level, reach, mirrored)
    total = torch.zeros_like(level)
    for i, row in enumerate(RELIEF):
        for j, weight in enumerate(row):
            if weight:
                total.add_(around[:, i * reach : i * reach + height, j * reach : j * reach + width], alpha=weight)
    return total.clamp_(0, 1)
