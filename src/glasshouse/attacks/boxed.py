"""The smallest change that takes an image onto a plane without leaving the pixel range [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from ..types import Ball
from .pgd import per_image


def onto_plane(ball: Ball, x: Tensor, slope: Tensor, gap: Tensor) -> Tensor:
    """The smallest ``delta``, in Linf or L2, with ``<slope, delta> = gap`` and ``x + delta`` in [0, 1].

    Along the steepest direction every pixel goes its own way until it meets the range and waits there: for both norms
    that is what the optimality conditions ask for (Croce & Hein, ICML 2020, https://arxiv.org/abs/1907.02044,
    section 3.1). Where the plane is beyond the range, everything goes to the corner that is nearest to it.

    Shape: x and slope ``[B, C, H, W]``, gap ``[B]`` -> delta like x.
    Cost: one sort of the pixels of each image.
    """
    direction = ball.ascent(slope) * per_image(gap.sign(), slope)
    room = torch.where(direction > 0, 1 - x, x)
    speed = direction.abs()
    moving = speed > 0
    limit = torch.where(moving, room / torch.where(moving, speed, 1), 0)
    time = filling_time((slope.abs() * speed).flatten(1), limit.flatten(1), gap.abs())
    return torch.where(moving, direction.sign() * torch.minimum(per_image(time, x) * speed, room), 0)


def filling_time(rate: Tensor, limit: Tensor, amount: Tensor) -> Tensor:
    """The time at which vessels that fill at ``rate``, each until its ``limit``, together hold ``amount``.

    It is the smallest t with ``(rate * min(t, limit)).sum() >= amount``, and the last limit where they never do.

    Shape: rate and limit ``[B, N]`` at least 0, amount ``[B]`` -> ``[B]``.
    """
    limit, order = limit.sort(dim=1)
    rate = rate.gather(1, order)
    full = (rate * limit).cumsum(1)  # in the vessels that are full when this one gets full, itself among them
    open_rate = rate.flip(1).cumsum(1).flip(1)  # of this vessel and of those that last longer
    held = full + limit * (open_rate - rate)
    first = (held < amount[:, None]).sum(1, keepdim=True).clamp_max(limit.shape[1] - 1)
    missing = amount[:, None] - (full - rate * limit).gather(1, first)
    time = missing / open_rate.gather(1, first).clamp_min(torch.finfo(rate.dtype).tiny)
    return torch.minimum(time, limit.gather(1, first)).clamp_min(0)[:, 0]
