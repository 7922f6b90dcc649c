"""Pixels that are missing, each the weighted mean of its eight neighbours: what is left of an image goes smoothly on.

Rong et al., ICML 2022, https://arxiv.org/abs/2202.00449. The equations are symmetric and positive definite. Conjugate
gradients solve them for many planes at once, preconditioned by a multigrid cycle: a round leaves a quarter of the
error, however wide the holes are. Planes lie last in memory, so that what is done to neighbours is done to whole rows.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..explainers.superpixels import chunks

ROUNDS = 5  # the error is below 1e-3 of the pixels' range then, a tenth of the noise that is added
HELD = 0.8  # of what holds the pixels of a block holds the block: a block that moves need not move them all alike
CACHED = 3 * 2**15  # pixels at once on a processor, in whose cache ten times as many numbers stay
PARTS = tuple(product((0, 1), (0, 1)))  # places in a block of 2 x 2
_TINY = 1e-30


def imputed(x: Tensor, gone: Tensor) -> Tensor:
    """The images with what is gone replaced by the weighted mean of its neighbours, 1/6 beside and 1/12 across.

    A neighbour beyond the border does not count, and the weights of the others are as much larger.

    Shape: x ``[..., C, H, W]``, gone ``[..., 1, H, W]`` bool, at least one pixel of each image left.
    Cost: 5 rounds, each about forty passes over the pixels; nothing waits for the device.
    """
    planes, holes = (t.flatten(0, -3) for t in (x, gone.expand(x.shape)))
    size = len(planes) if x.device.type != "cpu" else max(1, CACHED // (x.shape[-2] * x.shape[-1]))
    parts = [smooth(planes[None, part], holes[None, part])[0] for part in chunks(len(planes), size)]
    return torch.cat(parts).view(x.shape)


def smooth(x: Tensor, gone: Tensor) -> Tensor:
    """The same for ``[1, N, H, W]``."""
    x, mask = (t.contiguous(memory_format=torch.channels_last) for t in (x, gone.to(x)))
    mean = (x * (1 - mask)).sum((2, 3), keepdim=True) / (1 - mask).sum((2, 3), keepdim=True)
    found = torch.where(mask > 0, mean, x)
    grids = grids_of(mask)
    stiff = mask * grids[0].total
    residual = blurred(found).mul_(mask).addcmul_(stiff, found, value=-1)
    step, size = torch.zeros_like(found), found.new_ones(())
    for _ in range(ROUNDS):
        better = cycle(residual, grids)
        along = (residual * better).sum((2, 3), keepdim=True)
        step, size = better.addcmul_(along / (size + _TINY), step), along
        change = (stiff * step).addcmul_(mask, blurred(step), value=-1)
        along = along / ((step * change).sum((2, 3), keepdim=True) + _TINY)
        found, residual = found.addcmul_(along, step), residual.addcmul_(along, change, value=-1)
    return found


def blurred(x: Tensor) -> Tensor:
    """Sums over each pixel and its neighbours, 4 in the middle, 2 beside, 1 across; nothing beyond the border."""
    return F.avg_pool2d(F.avg_pool2d(x, 2, 1, padding=1, divisor_override=1), 2, 1, divisor_override=1)


def halved(x: Tensor) -> Tensor:
    """Sums over blocks of 2 x 2, cut off at the border."""
    return F.avg_pool2d(x, 2, ceil_mode=True, divisor_override=1)


class Grid(NamedTuple):
    """The equations of pixels, or of blocks: where ``mask`` is 1, ``total`` times the value less what is blurred."""

    mask: Tensor
    total: Tensor
    share: Tensor  # 1 / total within the mask


def grids_of(mask: Tensor) -> list[Grid]:
    """The equations of pixels, and of blocks twice as wide each time, while there are more than 2 x 2.

    A block is held by what is known beside its pixels, and bound to other blocks as a pixel is to others: in the plane
    the scale makes no difference to that.
    """
    held, grids = mask * blurred(1 - mask), []
    while True:
        total = blurred(mask) + held
        grids.append(Grid(mask, total, mask / total.clamp_min(1)))
        if max(mask.shape[2:]) <= 2:
            return grids
        mask, held = (halved(mask) > 0).to(mask), HELD * halved(held)


def cycle(residual: Tensor, grids: list[Grid]) -> Tensor:
    """What to add, roughly, for the residual to vanish: a blur, the same for blocks, and a blur once more."""
    fine, *coarser = grids
    found = fine.share * residual
    if coarser:
        blocks = cycle(halved(blurred(found).mul_(fine.mask)), coarser)
        for i, j in PARTS:
            part = found[..., i::2, j::2]
            part.addcmul_(fine.mask[..., i::2, j::2], blocks[..., : part.shape[2], : part.shape[3]])
    return blurred(found).add_(residual).mul_(fine.share)
