"""Superpixels, and what stands where one is switched off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..spec import require
from ..types import Fill


@dataclass(frozen=True)
class Grid:
    """``cells`` x ``cells`` rectangles: the cheapest segmentation, blind to the image.

    Raises:
        ValueError: if the image has fewer pixels on a side than cells.
    """

    cells: int = 8

    def __post_init__(self) -> None:
        require(self, self.cells >= 1, "cells is at least 1")

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if min(height, width) < self.cells:
            raise ValueError(f"an image of {height} x {width} pixels has no {self.cells} x {self.cells} cells")
        rows = torch.arange(height, device=x.device) * self.cells // height
        columns = torch.arange(width, device=x.device) * self.cells // width
        return (rows[:, None] * self.cells + columns).expand(len(x), -1, -1).contiguous()


@dataclass(frozen=True)
class Slic:
    """Achanta et al., TPAMI 2012, https://doi.org/10.1109/TPAMI.2012.120, by scikit-image.

    ``count=0`` aims at 64 superpixels up to 64 pixels a side and at 100 above; LIME's own default, quickshift,
    leaves 1 to 3 on a 32-pixel image. ``sigma=-1`` smooths by a 200th of the longer side. Where less than a quarter of
    ``count`` come about, as in noise, whose pixels belong together nowhere, ``compactness`` is raised to 10 and 100
    times as much.

    Cost: 2 ms for 32 x 32, 70 ms for 224 x 224 on one core, on the CPU.
    """

    count: int = 0
    compactness: float = 10.0
    sigma: float = -1.0

    def __post_init__(self) -> None:
        require(self, self.count >= 0, "count is 0 (by image size) or more")
        require(self, self.compactness > 0, "compactness is above 0")

    def __call__(self, x: Tensor) -> Tensor:
        side = max(x.shape[-2:])
        count = self.count or (64 if side <= 64 else 100)
        sigma = self.sigma if self.sigma >= 0 else side / 200
        images = x.detach().permute(0, 2, 3, 1).cpu().double().numpy()
        labels = [torch.from_numpy(self.cut(image, count, sigma)) for image in images]
        return torch.stack(labels).to(x.device)

    def cut(self, image: NDArray[np.float64], count: int, sigma: float) -> NDArray[np.int64]:
        """One image, ``[H, W, C]`` -> ``[H, W]``; rounder superpixels where colours alone leave next to none."""
        from skimage.segmentation import slic  # slow to import

        for compactness in (self.compactness, 10 * self.compactness, 100 * self.compactness):
            labels: NDArray[np.int64] = slic(
                image, n_segments=count, compactness=compactness, sigma=sigma, start_label=0
            )
            if 4 * (labels.max() + 1) >= count:
                break
        return labels


def counts(segments: Tensor) -> Tensor:
    """Number of superpixels of each image, ``[B]``."""
    return segments.flatten(1).amax(1) + 1


def pooled(values: Tensor, segments: Tensor, size: int) -> Tensor:
    """Sum of ``values`` ``[B, K, H, W]`` over each superpixel, ``[B, K, size]``."""
    index = segments.flatten(1)[:, None].expand(-1, values.shape[1], -1)
    return values.new_zeros(len(values), values.shape[1], size).scatter_add_(2, index, values.flatten(2))


def averaged(values: Tensor, segments: Tensor, size: int) -> Tensor:
    """Mean of ``values`` ``[B, K, H, W]`` over each superpixel, ``[B, K, size]``; 0 where there is none."""
    area = pooled(torch.ones_like(values[:, :1]), segments, size)
    return pooled(values, segments, size) / area.clamp_min(1)


def painted(values: Tensor, segments: Tensor) -> Tensor:
    """Each superpixel's value ``[B, S]`` on its pixels, ``[B, H, W]``."""
    return values.gather(1, segments.flatten(1)).view(segments.shape)


def switched(on: Tensor, segments: Tensor) -> Tensor:
    """Several switchings ``[B, N, S]`` as pixel masks ``[B, N, H, W]``."""
    index = segments.flatten(1)[:, None].expand(-1, on.shape[1], -1)
    return on.gather(2, index).view(*on.shape[:2], *segments.shape[-2:])


@dataclass(frozen=True)
class MeanFill:
    """The mean colour of the superpixel itself (``lime``'s default)."""

    def __call__(self, x: Tensor, segments: Tensor) -> Tensor:
        means = averaged(x, segments, int(counts(segments).max()))
        return means.gather(2, segments.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view(x.shape)


@dataclass(frozen=True)
class ImageMeanFill:
    """The mean colour of the whole image."""

    def __call__(self, x: Tensor, segments: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True).expand_as(x)


@dataclass(frozen=True)
class ConstantFill:
    """One brightness everywhere: 0 is black, the paper's own choice for masking; 0.5 is grey."""

    value: float = 0.0

    def __post_init__(self) -> None:
        require(self, 0 <= self.value <= 1, "value is between 0 and 1")

    def __call__(self, x: Tensor, segments: Tensor) -> Tensor:
        return torch.full_like(x, self.value)


@dataclass(frozen=True)
class BlurFill:
    """The image out of focus: Gaussian blur with a standard deviation of ``sigma`` times the longer side."""

    sigma: float = 0.1

    def __post_init__(self) -> None:
        require(self, self.sigma > 0, "sigma is above 0")

    def __call__(self, x: Tensor, segments: Tensor) -> Tensor:
        sigma = self.sigma * max(x.shape[-2:])
        reach = int(3 * sigma) + 1
        offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
        kernel = torch.softmax(-(offsets**2) / (2 * sigma**2), 0)
        planes = x.reshape(-1, 1, *x.shape[-2:])
        for shape, pad in (((1, 1, -1, 1), (0, 0, reach, reach)), ((1, 1, 1, -1), (reach, reach, 0, 0))):
            planes = F.conv2d(F.pad(planes, pad, mode="replicate"), kernel.view(shape))
        return planes.view(x.shape).clamp(0, 1)


def chunks(total: int, size: int) -> Iterable[slice]:
    """Slices of at most ``size`` that cover ``range(total)``."""
    return (slice(i, min(i + size, total)) for i in range(0, total, size))


def at_once(batch_size: int, x: Tensor) -> int:
    """How many images like ``x`` run at once: ``batch_size``, or where that is 0 as many as suit the device.

    A processor is fastest while activations stay in its cache: MobileNetV2 at 225 pixels runs 38 images a second by
    5, 11 by 105. An accelerator wants many.
    """
    if batch_size:
        return batch_size
    return 256 if x.device.type != "cpu" else max(4, 2**18 // (x.shape[-1] * x.shape[-2]))


def blocks(x: Tensor, copies: int, batch_size: int) -> Iterator[tuple[slice, list[slice]]]:
    """Groups of images, each with groups of their copies, so that at most ``batch_size`` run at once.

    Every copy of a group has the same images: sums over copies need no scattering, whose order a GPU does not keep.
    """
    size = at_once(batch_size, x)
    for part in chunks(len(x), size):
        yield part, list(chunks(copies, max(1, size // (part.stop - part.start))))


def backdrop(fill: Fill, x: Tensor) -> Tensor:
    """What a fill puts where a whole image is one superpixel and switched off, ``[B, C, H, W]``."""
    with torch.no_grad():
        return fill(x, torch.zeros_like(x[:, 0], dtype=torch.int64))
