"""Pixels that are missing, each the weighted mean of its eight neighbours: what is left of an image goes smoothly on.

Rong et al., ICML 2022, https://arxiv.org/abs/2202.00449. The equations are symmetric and positive definite, and are
solved for a whole batch at once by conjugate gradients, preconditioned on all scales: a hole of any width is closed in
about as many rounds as it has levels of halving, times a few.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PRECISION = 1e-5  # of the equations, a thousandth of the noise that is added
LOOK = 8  # rounds between looks at the precision, each of which waits for the device
_TINY = 1e-30


def neighbours(x: Tensor) -> Tensor:
    """Sum over the eight neighbours, 1/6 beside and 1/12 across; nothing beyond the border."""
    wide = F.pad(x, (1, 1, 1, 1))
    rows = torch.add(wide[..., :-2, :] + wide[..., 2:, :], wide[..., 1:-1, :], alpha=2)
    both = torch.add(rows[..., :-2] + rows[..., 2:], rows[..., 1:-1], alpha=2)
    return both.sub_(x, alpha=4).div_(12)


def halved(x: Tensor) -> Tensor:
    """Sums over blocks of 2 x 2; what is beyond the border counts nothing."""
    height, width = x.shape[-2:]
    return F.avg_pool2d(F.pad(x, (0, width % 2, 0, height % 2)), 2) * 4


def doubled(x: Tensor, like: Tensor) -> Tensor:
    """Each value on its block of 2 x 2."""
    return F.interpolate(x, scale_factor=2)[..., : like.shape[-2], : like.shape[-1]]


def stiffness(mask: Tensor) -> list[Tensor]:
    """How hard blocks of each size are to move, from pixels up: by their edges, and by what is known beside them."""
    held = mask * neighbours(1 - mask)
    found: list[Tensor] = []
    while max(held.shape[-2:]) > 1:
        held = halved(held)
        found.append(held + 2.0 ** (len(found) + 1))
    return found


def smoothed(residual: Tensor, diagonal: Tensor, mask: Tensor, stiff: list[Tensor]) -> Tensor:
    """The residual divided by the stiffness on all scales at once, those of the blocks added up."""
    sums = [residual]
    for _ in stiff:
        sums.append(halved(sums[-1]))
    coarse = torch.zeros_like(sums[-1])
    for i in range(len(stiff) - 1, -1, -1):
        coarse = doubled(coarse + sums[i + 1] / stiff[i], sums[i])
    return mask * (residual / diagonal + coarse)


def imputed(x: Tensor, gone: Tensor) -> Tensor:
    """The images with what is gone replaced by the weighted mean of its neighbours.

    A neighbour beyond the border does not count, and the weights of the others are as much larger.

    Shape: x ``[..., C, H, W]``, gone ``[..., 1, H, W]`` bool, at least one pixel of each image left.
    Cost: 10 to 30 rounds at 32 x 32, each about a dozen passes over the pixels.
    """
    mask = gone.to(x)
    left = (x * (1 - mask)).sum((-2, -1), keepdim=True) / (1 - mask).sum((-2, -1), keepdim=True)
    found = torch.where(gone, left, x).flatten(0, -4)
    mask = mask.flatten(0, -4)
    diagonal = neighbours(torch.ones_like(mask[:1]))
    residual = mask * (neighbours(found) - diagonal * found)
    stiff = stiffness(mask)
    step = torch.zeros_like(found)
    size = found.new_ones(())
    for i in range(4 * sum(x.shape[-2:])):
        if i % LOOK == 0 and not bool((residual.abs() > PRECISION).any()):
            break
        better = smoothed(residual, diagonal, mask, stiff)
        product = (residual * better).sum((-2, -1), keepdim=True)
        step = better.addcmul_(product / (size + _TINY), step)
        size = product
        change = mask * (diagonal * step - neighbours(step))
        along = product / ((step * change).sum((-2, -1), keepdim=True) + _TINY)
        found, residual = found.addcmul_(along, step), residual.addcmul_(along, change, value=-1)
    return found.view(x.shape)
