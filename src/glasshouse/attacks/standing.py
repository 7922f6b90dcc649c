"""Images that still stand, with all that belongs to each: an attack goes on with these and lets the others go."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..draws import Draws, draws
from ..labels import right
from ..types import Target


class BoundModel(nn.Module):
    """A model for the images of one batch, in their order; ``of`` is that for some of them."""

    def of(self, chosen: Tensor) -> BoundModel:
        """For those at ``chosen``, bool ``[B]`` or positions."""
        raise NotImplementedError


class Window(BoundModel):
    """The model seen through a region: what an attack does elsewhere never reaches it."""

    def __init__(self, model: nn.Module, x: Tensor, region: Tensor) -> None:
        super().__init__()
        self.model = model
        self.x, self.region = x, region

    def of(self, chosen: Tensor) -> Window:
        model = self.model.of(chosen) if isinstance(self.model, BoundModel) else self.model
        return Window(model, self.x[chosen], self.region[chosen])

    def clip(self, x: Tensor) -> Tensor:
        return torch.where(self.region, x, self.x)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.clip(x))


class Standing(NamedTuple):
    """Images under attack. ``standing.of(chosen)`` are some of them; their draws do not depend on the others."""

    model: nn.Module
    x: Tensor  # [B, C, H, W], as they were
    y: Tensor  # [B], or [B, K] where labels name several classes an image
    target: Tensor | None  # [B]
    place: Tensor  # [B] position in the caller's batch
    draws: Draws

    def of(self, chosen: Tensor) -> Standing:
        """Those at ``chosen``, bool ``[B]`` or positions."""
        model = self.model
        if isinstance(model, BoundModel):
            model = model.of(chosen)
        target = None if self.target is None else self.target[chosen]
        return Standing(model, self.x[chosen], self.y[chosen], target, self.place[chosen], self.draws[chosen])

    def reached(self, logits: Tensor) -> Tensor:
        """Where the aim is reached, ``[B]`` bool: the target, or without one any class but the true ones."""
        predicted = logits.argmax(1)
        return ~right(predicted, self.y) if self.target is None else predicted == self.target


def standing(model: nn.Module, x: Tensor, y: Tensor, target: Target | None = None) -> Standing:
    """All images of a batch; one forward pass if they have targets.

    ``model`` is borrowed already (see :func:`glasshouse.modes.frozen`).
    """
    x = x.detach()
    aim = None
    if target is not None:
        with torch.no_grad():
            aim = target(model(x), y)
    return Standing(model, x, y, aim, torch.arange(len(x), device=x.device), draws(x))


def uphill(heights: Tensor, x_adv: Tensor, *, again: bool = False) -> Tensor:
    """The gradient of each image's height ``[B]`` with respect to its pixels; ``again`` keeps the graph for another.

    Raises:
        ValueError: if the model cut the way back to the pixels.
    """
    found = torch.autograd.grad(heights.sum(), x_adv, retain_graph=again, allow_unused=True) if heights.grad_fn else ()
    if not found or found[0] is None:
        raise ValueError("no gradient reaches the pixels of this model; attack it without any, as Square does")
    return found[0]


def due(step: int, x: Tensor) -> bool:
    """Whether to look who still stands: always on a CPU; elsewhere, where it makes the host wait, ever less often."""
    return x.device.type == "cpu" or step < 4 or step & (step - 1) == 0
