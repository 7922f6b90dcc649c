"""Attacks that draw the explanation somebody wants, and patterns that they draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..explainers import InputGradient
from ..modes import frozen
from ..spec import require
from ..types import Ball, Explainer
from .balls import Linf
from .explanations import mass, moved, require_schedule, untouched


class Pattern(Protocol):
    """A map that an attack is to bring about, ``[B, H, W]`` >= 0, given those of the untouched images."""

    def __call__(self, attribution: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Frame:
    """All along the edge of the image, ``width`` of the shorter side wide: where no object is.

    Shape: attribution ``[B, H, W]`` -> ``[B, H, W]``, 1 on the frame and 0 inside.
    """

    width: float = 0.1

    def __post_init__(self) -> None:
        require(self, 0 < self.width < 0.5, "width is between 0 and 0.5")

    def __call__(self, attribution: Tensor) -> Tensor:
        height, width = attribution.shape[1:]
        line = max(1, round(self.width * min(height, width)))
        pattern = torch.ones_like(attribution)
        pattern[:, line : height - line, line : width - line] = 0
        return pattern


@dataclass(frozen=True)
class Turned:
    """The image's own map, upside down: as natural as any, and wrong.

    Shape: attribution ``[B, H, W]`` -> ``[B, H, W]``, its absolute values turned by 180 degrees.
    """

    def __call__(self, attribution: Tensor) -> Tensor:
        return attribution.abs().flip(1, 2)


@dataclass(frozen=True)
class OtherImage:
    """The map of the next image of the batch, as in the paper; what an image gets depends on its neighbours.

    Shape: attribution ``[B, H, W]`` -> ``[B, H, W]``, absolute values.
    Raises:
        ValueError: if there is only one image.
    """

    def __call__(self, attribution: Tensor) -> Tensor:
        if len(attribution) == 1:
            raise ValueError("OtherImage needs a batch of at least two images; Frame and Turned need one")
        return attribution.abs().roll(-1, 0)


def map_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference of two maps whose masses have mean 1, ``[B]``."""
    pixels = a[0].numel()
    return (pixels * (mass(a) - mass(b))).square().mean((1, 2))


@dataclass(frozen=True)
class TargetMap:
    """The map becomes a pattern, same prediction. Dombrowski et al., NeurIPS 2019, https://arxiv.org/abs/1906.07983

    Descent on the mean squared difference of the masses |attribution| (mean 1 an image), plus ``class_weight`` times
    that of the logits. The class that is kept and explained is the model's own prediction on ``x``, whatever ``y`` is.
    Each image keeps the lowest of the points that the model predicts alike.

    Slopes are those of the model with softplus for ReLU, since a map of a piecewise linear network has none, with beta
    growing from ``beta_start`` to ``beta_end``; every verdict is that of the model as it is. ReLU6, leaky ReLUs,
    clamps, and all of a scripted or compiled model are not smoothed.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` (not looked at) -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: that of :class:`TopK`.
    Differs from the paper: steps are the ball's, not Adam's; logits are those of the model as it is; where the
    prediction is lost, steps lead back to it.
    Raises:
        ValueError: if the explainer cannot be differentiated, or the pattern needs more images.
    """

    explainer: Explainer = InputGradient()
    pattern: Pattern = Frame()
    ball: Ball = Linf()
    steps: int = 50
    step_size: float = 0.1  # as a share of ball.eps
    class_weight: float = 0.1
    beta_start: float = 10.0
    beta_end: float = 100.0

    def __post_init__(self) -> None:
        require(self, self.class_weight >= 0, "class_weight is at least 0")
        require_schedule(self)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = untouched(self.explainer, model, x)
            wanted = self.pattern(images.attribution)

            def away(attribution: Tensor, logits: Tensor) -> Tensor:
                told = (logits - images.logits).square().mean(1)
                return map_distance(attribution, wanted) + self.class_weight * told

            return moved(self, model, images, away)


@dataclass(frozen=True)
class TargetRegion:
    """More mass within a region, same prediction. Ghorbani et al., AAAI 2019, https://arxiv.org/abs/1710.10547
    (targeted attack)

    As :class:`TopK`, for the share of the mass |attribution| that lies where ``region`` is, a pattern of 0 and 1.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` (not looked at) -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: that of :class:`TopK`.
    Differs from the paper: as :class:`TopK`.
    Raises:
        ValueError: if the explainer cannot be differentiated, or the pattern needs more images.
    """

    explainer: Explainer = InputGradient()
    region: Pattern = Frame()
    ball: Ball = Linf()
    steps: int = 50
    step_size: float = 0.1  # as a share of ball.eps
    beta_start: float = 10.0
    beta_end: float = 100.0

    def __post_init__(self) -> None:
        require_schedule(self)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = untouched(self.explainer, model, x)
            region = self.region(images.attribution)
            return moved(self, model, images, lambda attribution, logits: -(mass(attribution) * region).sum((1, 2)))
