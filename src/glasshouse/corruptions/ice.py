"""Frost that is drawn: needles of ice along three directions, bent and broken, bluish white."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..draws import Draws
from .filters import separable
from .images import SIDE

NEEDLE = 6.0  # pixels from needle to needle, on a side of 32
CELLS = 5.0  # of the noise that bends them and lets them grow, along a side of 32
BEND, SHARPNESS = 1.2, 3
TINT = (0.86, 0.94, 1.0)


def frosted(numbers: Draws, height: int, width: int) -> Tensor:
    """``[B, 3, H, W]`` in [0, 1], another frost for each image.

    Waves in three directions, 60 degrees apart as in ice and turned at random, are bent by smooth noise; their crests
    are the needles. More noise lets each direction grow here and not there. Lengths grow with the shorter side.
    """
    scale = max(min(height, width) / SIDE, 1.0)
    rows, columns = (spline(side, CELLS / (SIDE * scale)) for side in (height, width))
    bend, growth = separable(numbers.normal(2, 3, rows.shape[1], columns.shape[1]), rows, columns).unbind(1)
    turn = math.pi * (numbers.uniform(1) + torch.arange(3, device=bend.device) / 3)[..., None, None]
    y = torch.arange(height, device=bend.device)[:, None] * (math.pi / NEEDLE / scale)
    x = torch.arange(width, device=bend.device) * (math.pi / NEEDLE / scale)
    wave = (BEND * bend).add_(x * turn.cos()).add_(y * turn.sin()).sin_()
    needles = (1 - wave.abs_()).pow_(SHARPNESS)
    grown = needles.add_(0.3).mul_((0.45 * growth).add_(0.3).clamp_(min=0)).amax(1, keepdim=True)
    ice = grown.add_(0.25).clamp_(max=1)
    tint = torch.tensor(TINT, device=ice.device).view(3, 1, 1)
    return ice * (tint + (1 - tint) * ice)


def spline(side: int, density: float) -> Tensor:
    """The matrix ``[side, knots]`` of a smooth curve (cubic B-spline) with ``density`` knots a pixel.

    Independent numbers of variance 1 at the knots give a curve of variance 1.
    """
    places = torch.arange(side, dtype=torch.float64)[:, None] * density
    distance = (places + 1 - torch.arange(int(places[-1]) + 4)).abs()
    near = 2 / 3 - distance.square() + distance**3 / 2
    weights = torch.where(distance < 1, near, (2 - distance).clamp(min=0) ** 3 / 6)
    return weights / weights.square().sum(1, keepdim=True).sqrt()
