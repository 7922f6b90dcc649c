"""JPEG (ITU-T T.81, 1992, https://www.w3.org/Graphics/JPEG/itu-t81.pdf) there and back, batched: all but the coding."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .filters import clamped

BRIGHTNESS = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
COLOUR = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32),
)
TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))
TIE = 1e-3  # sums of bytes are often halves: they must be rounded alike, however the sum came about


def jpeg(x: Tensor, quality: int) -> Tensor:
    """``[B, 3, H, W]`` from 0 to 255, after JPEG of that quality with colours at half the resolution."""
    height, width = x.shape[-2:]
    image = mixed(x.round().clamp_(0, 255), TO_YCC).round_()
    bright = blocky(filled(image[:, :1], 8, 8), table(BRIGHTNESS, quality).to(x))[..., :height, :width]
    # As libjpeg fills the last blocks: columns before colours are halved, rows after that.
    small = filled(halved(filled(image[:, 1:], 2, 16)), 8, 8)
    colours = blocky(small, table(COLOUR, quality).to(x))[..., : math.ceil(height / 2), : math.ceil(width / 2)]
    smooth = F.interpolate(colours, scale_factor=2, mode="bilinear", align_corners=False).round_()
    return mixed(torch.cat([bright, smooth[..., :height, :width]], 1), TO_RGB).round_().clamp_(0, 255)


def mixed(x: Tensor, weights: tuple[tuple[float, ...], ...]) -> Tensor:
    """The three colours ``[B, 3, H, W]`` mixed anew."""
    out = torch.empty_like(x)
    for i, (first, *others) in enumerate(weights):
        torch.mul(x[:, 0], first, out=out[:, i])
        for j, weight in enumerate(others, 1):
            if weight:
                out[:, i].add_(x[:, j], alpha=weight)
    return out


def filled(x: Tensor, down: int, across: int) -> Tensor:
    """``x`` ``[..., H, W]`` with sides up to multiples of ``down`` and ``across``; the outermost pixels go on."""
    for axis, step in ((-2, down), (-1, across)):
        side = x.shape[axis]
        if side % step:
            x = x.index_select(axis, clamped(torch.arange(-(-side // step) * step, device=x.device), side))
    return x


def halved(x: Tensor) -> Tensor:
    """The mean of each four pixels, halves down and up in turn as libjpeg rounds them."""
    bias = torch.arange(x.shape[-1] // 2, device=x.device).remainder(2).add(1).to(x)
    return F.avg_pool2d(x, 2).add_(bias / 4).floor_()


def blocky(x: Tensor, steps: Tensor) -> Tensor:
    """``[B, C, H, W]`` around 0 or 128, each 8 x 8 block rounded to ``steps`` ``[64]`` of its cosine transform.

    Sides are multiples of 8.
    """
    count, channels, height, width = x.shape
    cosine = cosines().to(x)
    centre = 128.0 if channels == 1 else 0.0
    blocks = (x - centre).view(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4).reshape(-1, 64)
    coefficient = blocks @ (cosine.T / steps)
    rounded = nearest(coefficient.abs()).copysign_(coefficient)
    back = rounded @ (steps[:, None] * cosine)
    image = back.view(count, channels, height // 8, width // 8, 8, 8).transpose(3, 4).reshape(x.shape)
    return nearest(image).add_(centre).clamp_(centre - 128, centre + 127)


def nearest(x: Tensor) -> Tensor:
    """The nearest whole number in place, halves up."""
    return x.add_(0.5 + TIE).floor_()


def cosines() -> Tensor:
    """The orthonormal cosine transform of a block, ``[64, 64]`` float64: frequencies by pixels."""
    place = torch.arange(8, dtype=torch.float64)
    wave = torch.cos((2 * place + 1) * place[:, None] * (math.pi / 16)) / 2
    wave[0] /= math.sqrt(2)
    return torch.kron(wave, wave)


def table(standard: tuple[int, ...], quality: int) -> Tensor:
    """The steps of a quality, ``[64]``, from those of quality 50."""
    share = 5000 // quality if quality < 50 else 200 - 2 * quality
    return torch.tensor([min(max((step * share + 50) // 100, 1), 255) for step in standard])
