"""Images bent out of shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .filters import doubled, smooth
from .images import SIDE, Seeded, finished, pixels, scale_of, stream

# displacement, sigma of its grains, jitter of the three corners, each as a share of a side of 32
ELASTIC = ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))


@dataclass(frozen=True)
class ElasticTransform(Seeded):
    """A random affine change, then each pixel pulled somewhere nearby (Hendrycks & Dietterich, ICLR 2019,
    https://arxiv.org/abs/1903.12261, after Simard et al., ICDAR 2003).

    Shape: ``[B, 3, H, W]`` in [0, 1] -> the same; mirrored at the border.
    Cost: no passes of any model.
    Differs from the paper: lengths are for a side of 32 and grow with the shorter side, and displacements grow as much
    where larger grains would flatten them; read between pixels in full precision; no rounding to bytes.
    Raises: ValueError, if x is no batch of colour images.
    """

    def __call__(self, x: Tensor) -> Tensor:
        image, scale = pixels(x), scale_of(x)
        numbers = stream(self, image)
        displacement, sigma, jitter = (SIDE * share for share in ELASTIC[self.severity - 1])
        shift = jitter * scale * (2 * numbers.uniform(3, 2).to(image) - 1)
        bent = read_mirrored(image, *affine(shift, *x.shape[-2:]))
        if displacement:
            noise = 2 * numbers.uniform(2, *x.shape[-2:]).to(image) - 1
            right, down = (displacement * scale * smooth(noise, sigma, scale, doubled, 3.0)).unbind(1)
            bent = read_doubled(bent, right + across(image), down + along(image))
        return finished(bent, x)


def across(image: Tensor) -> Tensor:
    """The column of each pixel, ``[W]``."""
    return torch.arange(image.shape[-1], device=image.device, dtype=image.dtype)


def along(image: Tensor) -> Tensor:
    """The row of each pixel, ``[H, 1]``."""
    return torch.arange(image.shape[-2], device=image.device, dtype=image.dtype)[:, None]


def affine(shift: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the pixels of the new image lie in the old one: columns and rows ``[B, H, W]``.

    Three corners of a square in the middle, a third of the image to each side, move by ``shift`` ``[B, 3, 2]`` (right
    and down): the lower right, the upper right and the upper left one.
    """
    third = max(min(height, width) // 3, 1)
    middle = torch.tensor([width // 2, height // 2]).to(shift)
    corners = torch.tensor([[third, third], [third, -third], [-third, -third]]).to(shift) + shift
    (a, c), (b, d) = (((corners[:, i] - corners[:, i + 1]) / (2 * third)).unbind(1) for i in (1, 0))
    # The affine map is [[a, b], [c, d]] and moves the upper left corner to corners[:, 2]; it is turned around here.
    left, up = (part.view(-1, 1, 1) for part in (corners[:, 2] + middle).unbind(1))
    a, b, c, d = (part.view(-1, 1, 1) for part in (a, b, c, d))
    x = torch.arange(width).to(shift) - left
    y = torch.arange(height).to(shift)[:, None] - up
    size = a * d - b * c
    return (d * x - b * y) / size + (middle[0] - third), (a * y - c * x) / size + (middle[1] - third)


def read_mirrored(image: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """``image`` read linearly at columns and rows ``[B, H, W]``, mirrored at the middle of the outermost pixels."""
    height, width = image.shape[-2:]
    grid = torch.stack([2 * columns / max(width - 1, 1) - 1, 2 * rows / max(height - 1, 1) - 1], -1)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=True)


def read_doubled(image: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """``image`` read linearly at columns and rows ``[B, H, W]``, mirrored at the edge of the outermost pixels."""
    height, width = image.shape[-2:]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)
