"""What happens to the part of an image that an explanation does not point at. Wu et al., 2024,
https://arxiv.org/abs/2408.04600, eq. 1 and 7 and section IV-F"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..explainers import ConstantFill
from ..explainers.superpixels import backdrop
from ..spec import require
from ..types import Fill


@dataclass(frozen=True)
class FGSMBackground:
    """clip(x + ``eps`` sgn(gradient) (1 - map), 0, 1), the gradient that of the loss, sgn(0) = 1 as in the paper.

    Shape: x ``[B, C, H, W]`` in [0, 1], map ``[B, H, W]`` in [0, 1], gradient like x -> like x.
    Differs from the paper: pixels stay in [0, 1].
    """

    eps: float = 0.1
    by_gradient = True  # not a field: whether it asks for one

    def __post_init__(self) -> None:
        require(self, self.eps >= 0, "eps is at least 0")

    def __call__(self, x: Tensor, maps: Tensor, gradient: Tensor) -> Tensor:
        step = torch.where(gradient < 0, -self.eps, self.eps)
        return (x + step * (1 - maps[:, None])).clamp(0, 1)


@dataclass(frozen=True)
class FilledBackground:
    """map * x + (1 - map) * ``fill``: black, or the image's mean with ``fill=ImageMeanFill()``.

    Shape: x ``[B, C, H, W]`` in [0, 1], map ``[B, H, W]`` in [0, 1] -> like x; the gradient is not asked for.
    """

    fill: Fill = ConstantFill(value=0.0)
    by_gradient = False

    def __call__(self, x: Tensor, maps: Tensor, gradient: Tensor) -> Tensor:
        return torch.lerp(backdrop(self.fill, x), x, maps[:, None])
