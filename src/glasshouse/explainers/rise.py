"""RISE: the mean of random masks, each weighted by what the model sees through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modes import borrowed
from ..spec import require
from ..types import Fill
from .superpixels import ConstantFill, backdrop, blocks
from .targets import target_score

_TINY = 1e-6  # what divides a pixel that no mask lets through


class Draws(NamedTuple):
    """Random grids and how far each mask is shifted, all of one seed."""

    grids: Tensor  # [N, cells, cells] in {0, 1}
    shifts: Tensor  # [N, 2] shares of a cell, in [0, 1)


def drawn(masks: int, cells: int, keep: float, seed: int, x: Tensor) -> Draws:
    """The same on every device."""
    generator = torch.Generator().manual_seed(seed)
    grids = torch.rand(masks, cells, cells, generator=generator) < keep
    return Draws(grids.to(x), torch.rand(masks, 2, generator=generator).to(x.device))


def enlarged(length: int, cells: int, shift: Tensor, x: Tensor) -> Tensor:
    """Matrices ``[N, length, cells]`` that enlarge one side of a grid bilinearly and cut ``length`` out at a shift.

    A grid grows to one cell more than the image has, so that any shift below a cell fits.
    """
    cell = -(-length // cells)
    grown = F.interpolate(
        torch.eye(cells, device=x.device, dtype=x.dtype)[None], (cells + 1) * cell, mode="linear", align_corners=False
    )[0].T
    start = (shift * cell).long()[:, None]
    return grown[start + torch.arange(length, device=x.device)]


def soft_masks(draws: Draws, x: Tensor) -> Tensor:
    """``[N, H, W]`` in [0, 1]: enlarging is separable, so two small products make a mask."""
    height, width = x.shape[-2:]
    cells = draws.grids.shape[1]
    tall = enlarged(height, cells, draws.shifts[:, 0], x)
    wide = enlarged(width, cells, draws.shifts[:, 1], x)
    return tall @ draws.grids @ wide.transpose(1, 2)


@dataclass(frozen=True)
class RISE:
    """RISE. Petsiuk et al., BMVC 2018, https://arxiv.org/abs/1806.07421

    Mean probability of the target over random soft masks, weighted by how much of a pixel each lets through. A mask
    is a grid of ``cells`` x ``cells``, each 1 with probability ``keep``, enlarged and shifted; ``fill`` is what stands
    behind it. Images explained together share the masks, drawn from ``seed`` alone.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, in [0, 1], a probability.
    Cost: ``masks`` forward passes an image, ``batch_size`` of them at once.
    Differs from the paper: divided by what the masks of each pixel add up to, not by what is expected of them; so a
    model that sees nothing has a flat map.
    """

    masks: int = 512
    cells: int = 7
    keep: float = 0.5
    fill: Fill = ConstantFill(0.0)
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.masks >= 1, "masks is at least 1")
        require(self, self.cells >= 1, "cells is at least 1")
        require(self, 0 < self.keep < 1, "keep is between 0 and 1")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        x, filled = x.detach(), backdrop(self.fill, x.detach())
        draws, rows = drawn(self.masks, self.cells, self.keep, self.seed, x), []
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            for images, groups in blocks(x, self.masks, self.batch_size):
                few, behind, y = x[images], filled[images], target[images]
                weighted, through = torch.zeros_like(few[:, 0]), torch.zeros_like(few[0, 0])
                for group in groups:
                    masks = soft_masks(Draws(*(part[group] for part in draws)), x)
                    logits = model(torch.lerp(behind, few, masks[:, None, None]).flatten(0, 1))
                    score = target_score(logits, y.repeat(len(masks)), probability=True).view(len(masks), -1)
                    weighted = weighted + torch.einsum("nb,nhw->bhw", score, masks)
                    through = through + masks.sum(0)
                rows.append(weighted / through.clamp_min(_TINY))
        return torch.cat(rows)
