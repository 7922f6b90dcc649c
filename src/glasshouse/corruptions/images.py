"""What every corruption begins and ends with: pixels to work on, a stream of random numbers, the scale of lengths."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor

from ..draws import Draws, draws
from ..spec import require

SEVERITIES = (1, 2, 3, 4, 5)
SIDE = 32  # what the published lengths in pixels are meant for


@dataclass(frozen=True)
class Seeded:
    """What every corruption is told; its random numbers follow from the seed, its name and severity, and the image."""

    severity: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.severity in SEVERITIES, "severity is a whole number from 1 to 5")


def pixels(x: Tensor) -> Tensor:
    """``x`` to calculate with: detached, at least float32.

    Raises:
        ValueError: if these are no colour images.
    """
    if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or 0 in x.shape[2:]:
        raise ValueError(f"a corruption takes images [B, 3, H, W] of floats in [0, 1], not {tuple(x.shape)} {x.dtype}")
    return x.detach().to(torch.promote_types(x.dtype, torch.float32))


def stream(corruption: Seeded, x: Tensor) -> Draws:
    """Random numbers for each image, other ones for each corruption, severity and seed."""
    name = f"{type(corruption).__name__} {corruption.severity}"
    return draws(x, (corruption.seed * 2**32 + crc32(name.encode())) % 2**62)


def scale_of(x: Tensor) -> float:
    """How many times longer lengths are than on images with a shorter side of 32; not shorter on smaller images.

    There, most filters would be narrower than a pixel and do nothing.
    """
    return max(min(x.shape[-2:]) / SIDE, 1.0)


def finished(changed: Tensor, x: Tensor) -> Tensor:
    """Back in the range and the type of ``x``."""
    return changed.clamp(0, 1).to(x.dtype).contiguous()
