"""Attacks limited to a region: only what was found spurious, only outside an explanation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..explainers import GradCAM
from ..spec import require
from ..types import Attack, Batch, Explainer, Region
from .pgd import PGD


@dataclass(frozen=True)
class OutsideMask:
    """Where ``batch.mask`` says that the evidence should *not* be: the spurious features, while refining.

    Raises:
        ValueError: if the batch has no mask.
    """

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return spurious(batch)


def spurious(batch: Batch) -> Tensor:
    """The complement of ``batch.mask``, ``[B, H, W]`` bool; ValueError if there is none."""
    if batch.mask is None:
        raise ValueError("this needs Batch.mask: take data that has masks, or a detector that finds them")
    return ~batch.mask


@dataclass(frozen=True)
class Explained:
    """The ``share`` of pixels with the highest attribution for the true class; ``outside`` takes the others."""

    explainer: Explainer = GradCAM()
    share: float = 0.25
    outside: bool = False

    def __post_init__(self) -> None:
        require(self, 0 < self.share < 1, "share is between 0 and 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        attribution = self.explainer(model, batch.x, batch.y).flatten(1)
        top = attribution.topk(max(1, round(self.share * attribution.shape[1])), dim=1).indices
        inside = torch.zeros_like(attribution, dtype=torch.bool).scatter_(1, top, True)
        return (~inside if self.outside else inside).view(len(batch.x), *batch.x.shape[-2:])


@dataclass(frozen=True)
class Limited:
    """Any attack, kept to a region: outside it nothing changes, and the attack sees no gradient there.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x; equal to x outside the region.
    Cost: that of the attack and of the region.
    Raises:
        ValueError: if the region needs a mask and the batch has none.
    """

    attack: Attack = PGD()
    region: Region = OutsideMask()

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return self.on(model, Batch(x, y))

    def on(self, model: nn.Module, batch: Batch) -> Tensor:
        """The attack on a batch, whose mask the region may use."""
        region = self.region(model, batch)[:, None]
        window = Window(model, batch.x.detach(), region)
        return window.clip(attacked(self.attack, window, batch))


class Window(nn.Module):
    """The model seen through a region: what an attack does elsewhere never reaches it."""

    def __init__(self, model: nn.Module, x: Tensor, region: Tensor) -> None:
        super().__init__()
        self.model = model
        self.x, self.region = x, region

    def clip(self, x: Tensor) -> Tensor:
        return torch.where(self.region, x, self.x)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.clip(x))


def attacked(attack: Attack, model: nn.Module, batch: Batch) -> Tensor:
    """``x_adv`` of a batch; an attack that is limited to a region gets to see the mask."""
    return attack.on(model, batch) if isinstance(attack, Limited) else attack(model, batch.x, batch.y)
