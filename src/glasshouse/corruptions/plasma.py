"""Clouds: the plasma fractal, by midpoint displacement.

Fournier et al., CACM 1982, https://doi.org/10.1145/358523.358553.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..draws import Draws

FIRST = 100.0  # the authors' wobble; it is applied twice, so that it decays with the square


def plasma(numbers: Draws, side: int, decay: float) -> Tensor:
    """``[B, side, side]`` from 0 to 1, on a torus; ``side`` is a power of two.

    First the middles of squares, then those of diamonds are the mean of their four corners and a random number; the
    squares are half as wide the next time, the numbers ``decay`` squared times as small.
    """
    height = torch.zeros(len(numbers), side, side, device=numbers.keys.device)
    step, wobble = side, FIRST
    while step > 1:
        half, count = step // 2, side // step
        corner = height[:, ::step, ::step]
        wide = numbers.uniform(3, count, count).sub_(0.5).mul_(2 * wobble * wobble)
        below, after = corner + corner.roll(-1, 1), corner + corner.roll(-1, 2)
        middle = (below + below.roll(-1, 2)) / 4 + wide[:, 0]
        height[:, half::step, half::step] = middle
        height[:, ::step, half::step] = (after + middle + middle.roll(1, 1)) / 4 + wide[:, 1]
        height[:, half::step, ::step] = (below + middle + middle.roll(1, 2)) / 4 + wide[:, 2]
        step, wobble = half, wobble / decay
    low, high = (end[:, None, None] for end in height.flatten(1).aminmax(dim=1))
    return (height - low).div_((high - low).clamp_(min=1e-12))
