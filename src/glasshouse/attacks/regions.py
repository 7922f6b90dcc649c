"""Attacks limited to a region: only what was found spurious, only outside an explanation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..explainers import GradCAM
from ..labels import one_class
from ..spec import require
from ..types import Attack, Batch, Explainer, Region
from .pgd import PGD
from .standing import Window


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
    """The ``share`` of pixels with the highest attribution for the true class; ``outside`` takes the others.

    Raises:
        ValueError: if labels name several classes an image.
    """

    explainer: Explainer = GradCAM()
    share: float = 0.25
    outside: bool = False

    def __post_init__(self) -> None:
        require(self, 0 < self.share < 1, "share is between 0 and 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        attribution = self.explainer(model, batch.x, one_class(batch.y, self)).flatten(1)
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
        window = self.window(model, batch)
        return window.clip(attacked(self.attack, window, batch))

    def search(self, model: nn.Module, batch: Batch) -> Tensor:
        """Like :meth:`on`, where each image stops as soon as it is broken."""
        window = self.window(model, batch)
        return window.clip(searched(self.attack, window, batch))

    def window(self, model: nn.Module, batch: Batch) -> Window:
        """The model behind the region of each image."""
        return Window(model, batch.x.detach(), self.region(model, batch)[:, None])


def attacked(attack: Attack, model: nn.Module, batch: Batch) -> Tensor:
    """``x_adv`` of a batch; an attack that is limited to a region gets to see the mask."""
    return attack.on(model, batch) if isinstance(attack, Limited) else attack(model, batch.x, batch.y)


def searched(attack: Attack, model: nn.Module, batch: Batch) -> Tensor:
    """``x_adv`` for a verdict: where the attack can, each image is left alone as soon as it is broken."""
    if isinstance(attack, Limited):
        return attack.search(model, batch)
    search = getattr(attack, "search", attack)
    return search(model, batch.x, batch.y)
