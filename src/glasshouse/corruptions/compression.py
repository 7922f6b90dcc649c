"""Fewer pixels, fewer bytes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .filters import separable
from .images import Seeded, finished, pixels
from .jpeg import jpeg

PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)  # share of the side
QUALITY = (80, 65, 58, 50, 40)


@dataclass(frozen=True)
class Pixelate(Seeded):
    """Fewer pixels, shown as large ones (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: as Pillow's box filter does it, without its rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, share = pixels(x), PIXELATE[self.severity - 1]
        rows, columns = (pixelating(side, max(1, int(side * share))) for side in x.shape[-2:])
        return finished(separable(image, rows, columns), x)


@dataclass(frozen=True)
class JPEGCompression(Seeded):
    """Written as JPEG and read again (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same, in steps of 1/255. Blocks are 8 pixels on images of any size.
    Cost: no passes of any model.
    Differs from the paper: nothing that is written is kept; numbers differ from those of libjpeg where that rounds
    within its cosine transform, by one or two in 255.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        return finished(jpeg(pixels(x) * 255, QUALITY[self.severity - 1]) / 255, x)


def pixelating(side: int, fewer: int) -> Tensor:
    """The matrix ``[side, side]`` that makes ``fewer`` pixels of a side, and as many as before of these."""
    return boxed(side, fewer) @ boxed(fewer, side)


def boxed(to: int, side: int) -> Tensor:
    """The matrix ``[to, side]`` of Pillow's box filter: the mean of the pixels with their middle in its box."""
    step = side / to
    wide = max(step, 1)
    place, middle = torch.arange(side), (torch.arange(to, dtype=torch.float64)[:, None] + 0.5) * step
    # Twice, as Pillow does, whose rounding decides where a middle lies on a border.
    near = (place >= (middle - wide / 2 + 0.5).floor()) & (place < (middle + wide / 2 + 0.5).floor())
    away = (place - middle + 0.5) * (1 / wide)
    inside = (near & (away > -0.5) & (away <= 0.5)).double()
    return inside / inside.sum(1, keepdim=True)
