"""Filters and changes of size as matrices: each works along one axis, its border is part of the matrix."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Border = Callable[[Tensor, int], Tensor]  # places outside the image, side -> places inside


def clamped(places: Tensor, side: int) -> Tensor:
    """The outermost pixel goes on: a a | a b c | c c."""
    return places.clamp(0, side - 1)


def mirrored(places: Tensor, side: int) -> Tensor:
    """Mirrored at the middle of the outermost pixel: c b | a b c | b a."""
    period = max(2 * (side - 1), 1)
    folded = places.remainder(period)
    return torch.minimum(folded, period - folded).clamp(max=side - 1)


def doubled(places: Tensor, side: int) -> Tensor:
    """Mirrored at the edge of the outermost pixel: b a | a b c | c b."""
    folded = places.remainder(2 * side)
    return torch.minimum(folded, 2 * side - 1 - folded)


def bell(sigma: float, reach: int) -> Tensor:
    """Weights of a Gaussian at the whole numbers up to ``reach`` on both sides, ``[2 reach + 1]`` float64."""
    places = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = places.square().div(-2 * max(sigma, 1e-9) ** 2).exp()
    return weights / weights.sum()


def gaussian_weights(sigma: float, truncate: float = 4.0) -> Tensor:
    """Weights of a Gaussian filter that ends after ``truncate`` standard deviations."""
    return bell(sigma, int(truncate * sigma + 0.5))


def filtering(weights: Tensor, side: int, border: Border) -> Tensor:
    """The matrix ``[side, side]`` of a filter with ``[2 reach + 1]`` weights; float64 on the CPU."""
    reach = len(weights) // 2
    places = border(torch.arange(side)[:, None] + torch.arange(-reach, reach + 1), side)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, places, weights.expand(side, -1))


def interpolating(places: Tensor, side: int) -> Tensor:
    """The matrix ``[N, side]`` that reads between the pixels at ``[N]`` places, linearly."""
    low = places.floor().clamp(0, side - 1)
    share = (places - low).clamp(0, 1)
    matrix = torch.zeros(len(places), side, dtype=torch.float64)
    matrix.scatter_add_(1, low.long()[:, None], (1 - share)[:, None])
    return matrix.scatter_add_(1, (low.long()[:, None] + 1).clamp(max=side - 1), share[:, None])


def enlarging(side: int, to: int) -> Tensor:
    """The matrix ``[to, side]`` of a change of size: pixels are little squares, read linearly between middles."""
    return interpolating((torch.arange(to, dtype=torch.float64) + 0.5) * side / to - 0.5, side)


def zooming(side: int, zoom: float) -> Tensor:
    """The matrix ``[side, side]`` of a zoom about the middle.

    The middle ``ceil(side / zoom)`` pixels are stretched to ``zoom`` times as many with their ends on the ends, and
    as many as there were are cut out of the middle.
    """
    kept = math.ceil(side / zoom)
    first, wide = (side - kept) // 2, max(round(kept * zoom), side)
    cut = (wide - side) // 2
    places = first + (cut + torch.arange(side, dtype=torch.float64)) * (kept - 1) / max(wide - 1, 1)
    return interpolating(places, side)


def separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``rows @ x @ columns.T`` for ``x`` ``[..., H, W]``."""
    across = x @ columns.to(x).T
    return (across.transpose(-1, -2) @ rows.to(x).T).transpose(-1, -2)


def filtered(x: Tensor, weights: Tensor, border: Border) -> Tensor:
    """``x`` ``[..., H, W]`` through the same filter along both axes."""
    if len(weights) == 1:
        return x
    rows, columns = (filtering(weights, side, border) for side in x.shape[-2:])
    return separable(x, rows, columns)


def smooth(noise: Tensor, sigma: float, scale: float, border: Border, truncate: float = 4.0) -> Tensor:
    """White noise ``[..., H, W]`` smoothed to grains ``scale`` times as large as ``sigma`` pixels make them.

    A wider filter would flatten the noise: its standard deviation is kept at what ``sigma`` alone leaves.
    """
    wide, plain = gaussian_weights(sigma * scale, truncate), gaussian_weights(sigma, truncate)
    return filtered(noise, wide, border) * float(plain.square().sum() / wide.square().sum())


def padded(x: Tensor, reach: int, border: Border) -> Tensor:
    """``[..., H, W]`` with ``reach`` more pixels on each side."""
    for axis in (-2, -1):
        side = x.shape[axis]
        before, after = (
            x.index_select(axis, border(torch.arange(first, first + reach, device=x.device), side))
            for first in (-reach, side)
        )
        x = torch.cat([before, x, after], axis)
    return x
