"""Random changes of training images that move masks and attributions along."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..spec import require
from ..types import VOID, Batch


@dataclass(frozen=True)
class CropFlip:
    """Each image shifted by up to ``padding`` pixels (black comes in) and, every second one, mirrored.

    ``mask``, ``attribution`` and ``regions`` move along; what comes in is unrestricted (True), without attribution (0)
    and not to be judged.
    Random numbers come from torch's global CPU generator, so that all devices see the same images.
    """

    padding: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        require(self, self.padding >= 0, "padding is at least 0")

    def __call__(self, batch: Batch) -> Batch:
        count, device = len(batch.x), batch.x.device
        shift = torch.randint(2 * self.padding + 1, (count, 2)).to(device)
        mirrored = (torch.rand(count) < (0.5 if self.flip else 0.0)).to(device)
        mask, attribution, regions = batch.mask, batch.attribution, batch.regions
        if mask is not None:
            mask = moved(mask[:, None], shift, mirrored, self.padding, fill=1)[:, 0]
        if attribution is not None:
            attribution = moved(attribution[:, None], shift, mirrored, self.padding)[:, 0]
        if regions is not None:
            regions = moved(regions[:, None], shift, mirrored, self.padding, fill=VOID)[:, 0]
        x = moved(batch.x, shift, mirrored, self.padding)
        return batch._replace(x=x, mask=mask, attribution=attribution, regions=regions)


def moved(x: Tensor, shift: Tensor, mirrored: Tensor, padding: int, fill: float = 0) -> Tensor:
    """Pad ``x`` ``[B, C, H, W]``, cut out at ``shift`` ``[B, 2]`` (row, column), mirror where told."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (padding,) * 4, value=fill)
    across = torch.arange(width, device=x.device).expand(len(x), -1)
    across = torch.where(mirrored[:, None], across.flip(1), across)
    rows = shift[:, :1] + torch.arange(height, device=x.device)
    columns = shift[:, 1:] + across
    sample = torch.arange(len(x), device=x.device).view(-1, 1, 1, 1)
    channel = torch.arange(x.shape[1], device=x.device).view(1, -1, 1, 1)
    return padded[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]
