"""How far two maps are apart. Wu et al., 2024, https://arxiv.org/abs/2408.04600, eq. 3

The paper squares and sums over maps that "share the same image size". That grows with the number of pixels: at
224 x 224 maps that differ by 0.01 at each pixel are 5 apart, whose tanh is 0.9999, and all samples weigh the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ..spec import require


def squared(first: Tensor, second: Tensor) -> Tensor:
    """sum (first - second)^2 over the cells of maps ``[B, h, w]``, ``[B]``."""
    return (first - second).square().sum((1, 2))


def at_size(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps ``[B, h, w]`` at another size: bilinear where it is larger, means of what each cell covers where smaller."""
    if maps.shape[1:] == (height, width):
        return maps
    if maps.shape[1] <= height and maps.shape[2] <= width:
        return F.interpolate(maps[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]
    return F.adaptive_avg_pool2d(maps[:, None], (height, width))[:, 0]


@dataclass(frozen=True)
class CellDistance:
    """The sum of squares over the cells of the feature map that a class activation map comes from.

    Maps with a value for each pixel are averaged into ``cells`` x ``cells`` first.

    Shape: maps ``[B, h, w]`` in [0, 1] twice, the images ``[B, C, H, W]`` -> ``[B]``, from 0 to h * w.
    """

    cells: int = 7

    def __post_init__(self) -> None:
        require(self, self.cells >= 1, "cells is at least 1")

    def __call__(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor:
        if first.shape[1:] == x.shape[2:]:
            first, second = (at_size(maps, self.cells, self.cells) for maps in (first, second))
        return squared(first, second)


@dataclass(frozen=True)
class PixelDistance:
    """The sum of squares over all pixels of the image: the paper to the letter, which makes all weights 1.

    Shape: maps ``[B, h, w]`` in [0, 1] twice, the images ``[B, C, H, W]`` -> ``[B]``, from 0 to H * W.
    """

    def __call__(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return squared(at_size(first, height, width), at_size(second, height, width))


@dataclass(frozen=True)
class MeanDistance:
    """``scale`` times the mean of squares over the map, which does not depend on its size.

    Shape: maps ``[B, h, w]`` in [0, 1] twice, the images ``[B, C, H, W]`` -> ``[B]``, from 0 to ``scale``.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        require(self, self.scale > 0, "scale is above 0")

    def __call__(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor:
        return self.scale * (first - second).square().mean((1, 2))
