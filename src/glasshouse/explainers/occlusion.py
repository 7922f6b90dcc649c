"""Occlusion: what the class loses when a window slides over the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import borrowed
from ..spec import require
from ..types import Fill
from .superpixels import ConstantFill, backdrop, blocks
from .targets import target_score


def windows(length: int, window: int, stride: int, x: Tensor) -> Tensor:
    """Windows along one side as rows of 0 and 1, ``[N, length]``; the last one ends where the side ends."""
    last = length - window
    starts = torch.tensor([*range(0, last, stride), last], device=x.device)[:, None]
    place = torch.arange(length, device=x.device)
    return ((place >= starts) & (place < starts + window)).to(x)


@dataclass(frozen=True)
class Occlusion:
    """Occlusion. Zeiler and Fergus, ECCV 2014, https://arxiv.org/abs/1311.2901

    The loss of the target's probability (or logit) when a square window is filled, averaged over all windows that
    cover a pixel. ``window=0`` is an eighth of the image's shorter side, ``stride=0`` half a window. The fill sees the
    image as a single superpixel.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed, in units of probability.
    Cost: 1 + ((side - window) / stride + 1)^2 forward passes an image, 226 by default, ``batch_size`` at once.
    Differs from the paper: the mean over the windows of a pixel instead of one value for each place of a window.
    Raises:
        ValueError: if the image is smaller than the window.
    """

    window: int = 0
    stride: int = 0
    fill: Fill = ConstantFill(0.5)
    probability: bool = True
    batch_size: int = 0

    def __post_init__(self) -> None:
        require(self, self.window >= 0, "window is 0 (by image size) or more")
        require(self, self.stride >= 0, "stride is 0 (half a window) or more")
        require(self, self.stride <= self.window or not self.window, "stride is at most window, to leave no gaps")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        rows, columns = self.sides(x)
        x, filled = x.detach(), backdrop(self.fill, x.detach())
        places = torch.cartesian_prod(*(torch.arange(len(side), device=x.device) for side in (rows, columns)))
        drops = []
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            for images, groups in blocks(x, len(places), self.batch_size):
                few, behind, y = x[images], filled[images], target[images]
                whole = target_score(model(few), y, self.probability)
                left = []
                for group in groups:
                    i, j = places[group].unbind(1)
                    hidden = (rows[i, :, None] * columns[j, None])[:, None, None]
                    logits = model(torch.lerp(few, behind, hidden).flatten(0, 1))
                    left.append(target_score(logits, y.repeat(len(i)), self.probability).view(len(i), -1))
                drops.append(whole - torch.cat(left))
            drop = torch.cat(drops, 1).T.reshape(-1, len(rows), len(columns))
            covered = rows.sum(0)[:, None] * columns.sum(0)
            return torch.einsum("bij,ih,jw->bhw", drop, rows, columns) / covered

    def sides(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The windows along rows and columns."""
        height, width = x.shape[-2:]
        window = self.window or max(1, min(height, width) // 8)
        if window > min(height, width):
            raise ValueError(f"Occlusion: a window of {window} pixels does not fit into {height} x {width}")
        stride = min(self.stride, window) or max(1, window // 2)
        return windows(height, window, stride, x), windows(width, window, stride, x)
