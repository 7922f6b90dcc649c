"""Random square windows, at another place in each image, and what a random search puts into them.

All from Andriushchenko et al., ECCV 2020, https://arxiv.org/abs/1912.00049 (algorithms 2 and 3, appendix A).
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..draws import Draws
from .balls import L2


class Patch(NamedTuple):
    """One square of each image. Positions are counted from its corner; inside are 0 to ``side`` - 1."""

    rows: Tensor  # [B, H]
    columns: Tensor  # [B, W]
    side: int

    @property
    def inside(self) -> Tensor:
        """``[B, 1, H, W]`` bool"""
        rows, columns = ((at >= 0) & (at < self.side) for at in (self.rows, self.columns))
        return (rows[:, :, None] & columns[:, None, :])[:, None]

    def showing(self, picture: Tensor) -> Tensor:
        """A ``[side, side]`` picture in the window of each image, ``[B, 1, H, W]``; anything outside of it."""
        rows, columns = (at.clamp(0, self.side - 1) for at in (self.rows, self.columns))
        return picture[rows[:, :, None], columns[:, None, :]][:, None]


def windows(x: Tensor, side: int, draws: Draws) -> Patch:
    """A window of each image, all places equally likely."""
    height, width = x.shape[-2:]
    top, left = draws.integers(0, height - side + 1, 1), draws.integers(0, width - side + 1, 1)
    rows, columns = (torch.arange(n, device=x.device) for n in (height, width))
    return Patch(rows - top, columns - left, side)


def side_of(x: Tensor, share: float) -> int:
    """The side of a square over a share of the image, as far as it fits."""
    height, width = x.shape[-2:]
    return min(max(round(math.sqrt(share * height * width)), 1), height, width)


def striped(x: Tensor, eps: float, draws: Draws) -> Tensor:
    """Every column of every channel to one end of what Linf allows."""
    signs = draws.signs(x.shape[1], 1, x.shape[3]).to(x.dtype)
    return (x + eps * signs).clamp(0, 1)


def painted(x: Tensor, x_adv: Tensor, eps: float, share: float, draws: Draws) -> Tensor:
    """One window with every channel at one end of what Linf allows; if that changes nothing, one channel turns over."""
    channels = x.shape[1]
    inside = windows(x, side_of(x, share), draws).inside
    signs = draws.signs(channels, 1, 1).to(x.dtype)
    turned = torch.arange(channels, device=x.device) == draws.integers(0, channels, 1)
    idle = (~inside | ((x + eps * signs).clamp(0, 1) == x_adv)).flatten(1).all(1)
    signs = torch.where((turned & idle[:, None])[:, :, None, None], -signs, signs)
    return torch.where(inside, (x + eps * signs).clamp(0, 1), x_adv)


def tiled(x: Tensor, eps: float, draws: Draws) -> Tensor:
    """A grid of bumps, five along the shorter side, all together at the norm ``eps``."""
    channels, height, width = x.shape[1:]
    side = max(min(height, width) // 5, 1)
    rows, columns = (grid(n, side, x.device) for n in (height, width))
    signs = draws.signs(channels, height // side, width // side)[:, :, rows.tile[:, None], columns.tile]
    upright = draws.signs(1, height // side, width // side)[:, :, rows.tile[:, None], columns.tile] > 0
    picture = bump(side, x.device)[rows.within[:, None], columns.within]
    lying = bump(side, x.device).T[rows.within[:, None], columns.within]
    delta = signs * torch.where(upright, picture, lying) * (rows.used[:, None] & columns.used)
    return (x + eps * L2().ascent(delta.to(x.dtype))).clamp(0, 1)


class Grid(NamedTuple):
    """Tiles along one side of an image, in its middle."""

    tile: Tensor  # [N] the number of the tile
    within: Tensor  # [N] position in that tile
    used: Tensor  # [N] bool, whether there is one


def grid(length: int, side: int, device: torch.device) -> Grid:
    """As many tiles of a side as fit."""
    count = length // side
    at = torch.arange(length, device=device) - (length - count * side) // 2
    return Grid((at // side).clamp(0, count - 1), at % side, (at >= 0) & (at < count * side))


def shifted(x: Tensor, x_adv: Tensor, eps: float, share: float, draws: Draws) -> Tensor:
    """The mass of a second window moves into the first, onto what is there and a new bump; the norm is ``eps``."""
    delta = x_adv - x
    side = max(side_of(x, share), 3) // 2 * 2 + 1
    side = min(side, *x.shape[-2:])
    first, second = windows(x, side, draws), windows(x, side, draws)
    here, there = first.inside, second.inside
    upright = draws.signs(1, 1, 1) > 0
    fresh = torch.where(upright, first.showing(bump(side, x.device)), first.showing(bump(side, x.device).T))
    fresh = unit(here * (fresh * draws.signs(x.shape[1], 1, 1) + unit(here * delta)))
    spare = (eps**2 - delta.square().sum((1, 2, 3), keepdim=True)).clamp_min(0) / x.shape[1]
    mass = ((here | there) * delta).square().sum((2, 3), keepdim=True) + spare
    delta = torch.where(here, fresh * mass.sqrt(), torch.where(there, 0, delta))
    return (x + eps * L2().ascent(delta.to(x.dtype))).clamp(0, 1)


def unit(values: Tensor) -> Tensor:
    """Every channel at the norm 1, or 0."""
    return values / values.square().sum((2, 3), keepdim=True).sqrt().clamp_min(1e-12)


@cache
def bump(side: int, device: torch.device) -> Tensor:
    """Two hills side by side, one up and one down, ``[side, side]`` float32 at the norm 1."""
    above, below = hill(side // 2, side), hill(side - side // 2, side)
    both = torch.cat([above, -below])
    return (both / both.norm()).to(device)


def hill(height: int, width: int) -> Tensor:
    """Steeply down from the middle in square rings, ``[height, width]`` at the norm 1."""
    rows, columns = ((torch.arange(n) - n // 2).abs() for n in (height, width))
    ring = torch.maximum(rows[:, None], columns)
    steps = 1 / torch.arange(1, max(height, width) // 2 + 2).square()
    values = steps.flip(0).cumsum(0).flip(0)[ring]
    return values / values.norm().clamp_min(1e-12)
