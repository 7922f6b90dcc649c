"""Images out of focus, shaken, or zoomed during exposure. Lengths grow with the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .filters import bell, clamped, filtered, filtering, gaussian_weights, mirrored, separable, zooming
from .images import Seeded, finished, pixels, scale_of, stream
from .streaks import streaked

SIGMA = (0.4, 0.6, 0.7, 0.8, 1.0)  # pixels
DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))  # radius of the disk, softness of its rim
MOTION = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))  # radius, sigma
ZOOM = (1.06, 1.11, 1.16, 1.21, 1.26)  # the zoom ends before it, in steps of 0.01


@dataclass(frozen=True)
class GaussianBlur(Seeded):
    """Gaussian blur (Hendrycks & Dietterich, ICLR 2019, https://arxiv.org/abs/1903.12261); an extra corruption.

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same; the outermost pixels go on past the border.
    Cost: no passes of any model.
    Differs from the paper: sigma is for a side of 32 and grows with the shorter side; no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image = pixels(x)
        weights = gaussian_weights(SIGMA[self.severity - 1] * scale_of(x))
        return finished(filtered(image, weights, clamped), x)


@dataclass(frozen=True)
class DefocusBlur(Seeded):
    """A lens out of focus: each point is a disk with a soft rim (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same; mirrored at the border.
    Cost: no passes of any model.
    Differs from the paper: radius, softness and the 3 pixels over which the rim is softened are for a side of 32 and
    grow with the shorter side; no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, scale = pixels(x), scale_of(x)
        radius, soft = (length * scale for length in DEFOCUS[self.severity - 1])
        softened = filtered(image, bell(soft, max(1, round(scale))), mirrored)
        return finished(disk_filtered(softened, radius), x)


@dataclass(frozen=True)
class MotionBlur(Seeded):
    """A streak in a random direction up to 45 degrees from the horizontal (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same; the outermost pixels go on past the border.
    Cost: no passes of any model.
    Differs from the paper: radius and sigma are for a side of 32 and grow with the shorter side. The streak is
    ImageMagick's (half a Gaussian, each weight at the nearest whole pixel), without weights past 5 sigma and without
    rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, scale = pixels(x), scale_of(x)
        radius, sigma = (length * scale for length in MOTION[self.severity - 1])
        angle = (stream(self, image).uniform() - 0.5) * (math.pi / 2)
        return finished(streaked(image, radius, sigma, angle), x)


@dataclass(frozen=True)
class ZoomBlur(Seeded):
    """The mean of the image and of zooms of it, without one on (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same.
    Cost: no passes of any model.
    Differs from the paper: each side is zoomed by itself, where the authors cut squares; the last zoom factor is left
    out at severities 1 and 2 as at the others, where rounding lets it in for them; no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image = pixels(x)
        zooms = [1 + step / 100 for step in range(round(100 * ZOOM[self.severity - 1]) - 100)]
        total = image.clone()
        for zoom in zooms:
            rows, columns = (zooming(side, zoom) for side in x.shape[-2:])
            total += separable(image, rows, columns)
        return finished(total.div_(len(zooms) + 1), x)


def disk_filtered(x: Tensor, radius: float) -> Tensor:
    """``x`` ``[..., H, W]`` averaged over the pixels up to ``radius`` away, mirrored at the border.

    Rows of the disk that are equally wide go together: each width is one filter across and one down.
    """
    reach = math.floor(radius)
    if reach == 0:
        return x
    down = torch.arange(-reach, reach + 1)
    inside = (down[:, None].square() + down.square()) <= radius**2
    total = torch.zeros_like(x)
    for width in torch.unique(inside.sum(1)).tolist():
        across = (down.abs() <= width // 2).double()
        rows = filtering((inside.sum(1) == width).double(), x.shape[-2], mirrored)
        total += separable(x, rows, filtering(across, x.shape[-1], mirrored))
    return total / int(inside.sum())
