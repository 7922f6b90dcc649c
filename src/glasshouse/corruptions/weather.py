"""Snow, frost and fog."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .filters import enlarging, separable, zooming
from .ice import frosted
from .images import Seeded, finished, pixels, scale_of, stream
from .plasma import plasma
from .streaks import streaked

# mean and standard deviation of the noise, zoom, threshold, motion's radius and sigma, share of the image
SNOW = (
    (0.1, 0.2, 1.0, 0.6, 8, 3, 0.95),
    (0.1, 0.2, 1.0, 0.5, 10, 4, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)
FROST = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))  # weight of the image, of the frost
FOG = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))  # strength, decay from level to level
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Snow(Seeded):
    """Streaks of snow, and the same turned by a half turn, on a whitened image (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: flakes are drawn for a shorter side of 32 and enlarged with the image, and streaks grow
    with it; streaks are ImageMagick's without weights past 5 sigma (see ``MotionBlur``); no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image = pixels(x)
        numbers = stream(self, image)
        mean, deviation, zoom, threshold, radius, sigma, share = SNOW[self.severity - 1]
        scale = scale_of(x)
        height, width = (max(1, round(side / scale)) for side in x.shape[-2:])
        noise = numbers.normal(height, width).to(image).mul_(deviation).add_(mean)
        flakes = flaked(noise, zoom, threshold, x.shape[-2], x.shape[-1])
        angle = numbers.uniform() * (math.pi / 2) - 3 * math.pi / 4
        snow = streaked(flakes[:, None], radius * scale, sigma * scale, angle)
        return finished(whitened(image, share) + snow + snow.flip(-1, -2), x)


@dataclass(frozen=True)
class Frost(Seeded):
    """Ice crystals over the image (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: the authors lay photographs of frost over the image. Here the frost is drawn (see
    :func:`frosted`), so that no files are needed; how much it hides is theirs, what it looks like is not. Numbers
    under it cannot be compared with theirs. No rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, (own, ice) = pixels(x), FROST[self.severity - 1]
        frost = frosted(stream(self, image), x.shape[-2], x.shape[-1]).to(image)
        return finished(own * image + ice * frost, x)


@dataclass(frozen=True)
class Fog(Seeded):
    """A plasma fractal over the image (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: any size, cut out of a fractal with the next power of two as its side; no rounding to
    bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, (strength, decay) = pixels(x), FOG[self.severity - 1]
        height, width = x.shape[-2:]
        side = 1 << (max(height, width) - 1).bit_length()
        fog = plasma(stream(self, image), side, decay)[:, None, :height, :width].to(image)
        brightest = image.flatten(1).amax(1).view(-1, 1, 1, 1)
        return finished((image + fog.mul_(strength)).mul_(brightest / (brightest + strength)), x)


def flaked(noise: Tensor, zoom: float, threshold: float, height: int, width: int) -> Tensor:
    """Noise ``[B, h, w]`` zoomed, without what is below the threshold, enlarged to ``[B, height, width]``.

    What is near the threshold must fall on the same side in any batch and on any device, hence float64.
    """
    rows, columns = (zooming(side, zoom) for side in noise.shape[1:])
    zoomed = separable(noise.double(), rows, columns)
    flakes = torch.where(zoomed < threshold, 0, zoomed).clamp_(0, 1).to(noise)
    return separable(flakes, enlarging(noise.shape[1], height), enlarging(noise.shape[2], width))


def whitened(image: Tensor, share: float) -> Tensor:
    """``share`` of the image, the rest from its grey made brighter where that is brighter."""
    grey = (image * torch.tensor(LUMA).to(image).view(3, 1, 1)).sum(1, keepdim=True)
    return share * image + (1 - share) * torch.maximum(image, 1.5 * grey + 0.5)
