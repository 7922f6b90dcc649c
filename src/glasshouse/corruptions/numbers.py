"""Two random numbers from each 64 bits drawn: half the work of one from each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..draws import Draws


def halves(draws: Draws, *shape: int) -> Tensor:
    """``[B, *shape]`` int32, all 32 bits random: two from each number drawn."""
    count = math.prod(shape)
    return draws.bits((count + 1) // 2).view(torch.int32)[:, :count].view(len(draws), *shape)


def uniforms(draws: Draws, *shape: int) -> Tensor:
    """``[B, *shape]`` float32 strictly between 0 and 1, in steps of 2^-23."""
    return (halves(draws, *shape) >> 9).float().add_(0.5).mul_(2.0**-23).add_(0.5)


def normals(draws: Draws, *shape: int) -> Tensor:
    """``[B, *shape]`` float32, standard normal, two from two uniform numbers (Box & Muller, 1958)."""
    count = math.prod(shape)
    number = uniforms(draws, 2, (count + 1) // 2)
    length, angle = number[:, 0].log_().mul_(-2).sqrt_(), number[:, 1].mul_(2 * math.pi)
    pair = torch.cat([angle.cos().mul_(length), angle.sin_().mul_(length)], 1)
    return pair[:, :count].view(len(draws), *shape)
