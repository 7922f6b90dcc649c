"""Attacks on the explanation: the map changes, the prediction does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..draws import draws
from ..explainers import InputGradient
from ..modes import frozen
from ..spec import require
from ..types import Ball, Explainer
from .balls import Linf
from .pgd import PGD, per_image
from .smoothing import smooth_map

# attribution [B, H, W], logits [B, K] -> [B]: the lower, the nearer to the aim
Aim = Callable[[Tensor, Tensor], Tensor]


class MapAttack(Protocol):
    """What all attacks that look at a map are told."""

    @property
    def explainer(self) -> Explainer: ...

    @property
    def ball(self) -> Ball: ...

    @property
    def steps(self) -> int: ...

    @property
    def step_size(self) -> float: ...

    @property
    def beta_start(self) -> float: ...

    @property
    def beta_end(self) -> float: ...


def require_schedule(attack: MapAttack) -> None:
    """Raise ValueError unless steps and betas are possible ones."""
    require(attack, attack.steps >= 1, "steps is at least 1")
    require(attack, attack.step_size > 0, "step_size is above 0")
    require(attack, attack.beta_start > 0, "beta_start is above 0")
    require(attack, attack.beta_end >= attack.beta_start, "beta_end is at least beta_start")


def mass(attribution: Tensor) -> Tensor:
    """|attribution| as shares of its sum over each image, ``[B, H, W]``; a map of zeros counts as an even one."""
    size = attribution.abs()
    # Maps of sure models are as small as 1e-20, and sums of what is smaller still would be 0.
    size = size / size.amax((1, 2), keepdim=True).detach().clamp_min(torch.finfo(size.dtype).tiny)
    total = size.sum((1, 2), keepdim=True)
    return torch.where(total > 0, size / torch.where(total > 0, total, 1.0), 1 / size[0].numel())


def top_share(attribution: Tensor, share: float) -> Tensor:
    """Where the ``share`` of pixels with the largest mass is, ``[B, H, W]`` bool; at least one pixel."""
    flat = attribution.abs().flatten(1)
    top = flat.topk(max(1, round(share * flat.shape[1])), dim=1).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter_(1, top, True).view_as(attribution)


def mass_centre(attribution: Tensor) -> Tensor:
    """Centre of the mass, ``[B, 2]``: row and column, in pixels."""
    share = mass(attribution)
    rows, columns = (torch.arange(n, device=share.device, dtype=share.dtype) for n in share.shape[1:])
    return torch.stack([(share.sum(2) * rows).sum(1), (share.sum(1) * columns).sum(1)], 1)


class Untouched(NamedTuple):
    """The images as they were, and what the model makes of them."""

    x: Tensor  # [B, C, H, W]
    logits: Tensor  # [B, K]
    predicted: Tensor  # [B]
    attribution: Tensor  # [B, H, W], for the predicted class


def untouched(explainer: Explainer, model: nn.Module, x: Tensor) -> Untouched:
    """One forward pass and one explanation; ``model`` is borrowed already."""
    x = x.detach()
    with torch.no_grad():
        logits = model(x)
    predicted = logits.argmax(1)
    return Untouched(x, logits, predicted, explainer(model, x, predicted).detach())


def lowered(
    attack: MapAttack, model: nn.Module, images: Untouched, start: Tensor, slope_of: Aim, value_of: Aim
) -> tuple[Tensor, Tensor]:
    """Of all points on a descent from ``start`` each image's best and its value, by ``value_of`` of the model as it is.

    The descent follows ``slope_of`` the map of the model with softplus for ReLU, whose beta grows from step to step,
    and the logits of the model as it is. The image itself counts, too.

    Raises:
        ValueError: if the explainer cannot be differentiated.
    """
    best, lowest = images.x, value_of(images.attribution, images.logits)
    path = PGD(attack.ball, attack.steps, attack.step_size)
    x_adv = start
    for step in range(attack.steps):
        beta = attack.beta_start * (attack.beta_end / attack.beta_start) ** (step / max(1, attack.steps - 1))
        gradient = slope(attack, model, images, x_adv, slope_of, beta)
        if step == 0 and bool(gradient.isnan().all()):
            raise ValueError(f"the map of {attack.explainer!r} has no derivative at the pixels of these images (NaN)")
        x_adv = path.stepped(images.x, x_adv, -gradient.nan_to_num(0.0, 0.0, 0.0))
        value = seen(attack, model, images, x_adv, value_of)
        better = value < lowest
        best, lowest = torch.where(per_image(better, x_adv), x_adv, best), torch.where(better, value, lowest)
    return best, lowest


def slope(attack: MapAttack, model: nn.Module, images: Untouched, x_adv: Tensor, slope_of: Aim, beta: float) -> Tensor:
    """The gradient to the pixels.

    Raises:
        ValueError: if the explainer cannot be differentiated.
    """
    x_adv = x_adv.detach().requires_grad_()
    attribution = smooth_map(attack.explainer, model, x_adv, images.predicted, beta)
    (gradient,) = torch.autograd.grad(slope_of(attribution, model(x_adv)).sum(), x_adv)
    return gradient


def seen(attack: MapAttack, model: nn.Module, images: Untouched, x_adv: Tensor, value_of: Aim) -> Tensor:
    """What a point is worth, ``[B]``."""
    attribution = attack.explainer(model, x_adv, images.predicted).detach()
    with torch.no_grad():
        return value_of(attribution, model(x_adv))


def moved(attack: MapAttack, model: nn.Module, images: Untouched, aim: Aim, start: Tensor | None = None) -> Tensor:
    """The point nearest to the aim among those with the predicted class of the untouched image."""
    return lowered(attack, model, images, images.x if start is None else start, *keeping_class(images, aim))[0]


def keeping_class(images: Untouched, aim: Aim) -> tuple[Aim, Aim]:
    """Slope and value of an aim that counts only where the predicted class of the untouched image is kept.

    Where that class is lost, the next step goes back towards it instead.
    """

    def back_or_on(attribution: Tensor, logits: Tensor) -> Tensor:
        back = F.cross_entropy(logits, images.predicted, reduction="none")
        return torch.where(logits.argmax(1) == images.predicted, aim(attribution, logits), back)

    def kept(attribution: Tensor, logits: Tensor) -> Tensor:
        return torch.where(logits.argmax(1) == images.predicted, aim(attribution, logits), torch.inf)

    return back_or_on, kept


@dataclass(frozen=True)
class TopK:
    """Less mass on the most important pixels, same prediction. Ghorbani et al., AAAI 2019,
    https://arxiv.org/abs/1710.10547 (top-k attack)

    The class that is kept and explained is the model's own prediction on ``x``, whatever ``y`` is. Each image keeps,
    of the points that the model predicts alike, the one whose map has the smallest share of its mass |attribution| on
    the ``share`` of pixels that were highest; an image where there is none stays as it is.

    Slopes are those of the model with softplus for ReLU, since a map of a piecewise linear network has none; every
    verdict is that of the model as it is. ReLU6, leaky ReLUs, clamps, and all of a scripted or compiled model are not
    smoothed.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` (not looked at) -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: for each of ``steps`` the explainer, the explainer with its graph and a backward pass through it, and two
    forward passes and a backward pass.
    Differs from the paper: beta grows as in Dombrowski et al., NeurIPS 2019, https://arxiv.org/abs/1906.07983; where
    the prediction is lost, steps lead back to it.
    Raises:
        ValueError: if the explainer cannot be differentiated.
    """

    explainer: Explainer = InputGradient()
    share: float = 0.05
    ball: Ball = Linf()
    steps: int = 50
    step_size: float = 0.1  # as a share of ball.eps
    beta_start: float = 10.0
    beta_end: float = 100.0

    def __post_init__(self) -> None:
        require(self, 0 < self.share < 1, "share is between 0 and 1")
        require_schedule(self)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = untouched(self.explainer, model, x)
            top = top_share(images.attribution, self.share)
            return moved(self, model, images, lambda attribution, logits: (mass(attribution) * top).sum((1, 2)))


@dataclass(frozen=True)
class MassCentre:
    """The centre of the map's mass elsewhere, same prediction. Ghorbani et al., AAAI 2019,
    https://arxiv.org/abs/1710.10547 (mass-center attack)

    As :class:`TopK`, for the distance that the centre of |attribution| has moved. It begins at a random point of the
    ball, since at the image itself the distance has no slope.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` (not looked at) -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: that of :class:`TopK`.
    Differs from the paper: as :class:`TopK`.
    Raises:
        ValueError: if the explainer cannot be differentiated.
    """

    explainer: Explainer = InputGradient()
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
            centre = mass_centre(images.attribution)
            start = (images.x + self.ball.sample(images.x, draws(images.x))).clamp(0, 1)

            def near(attribution: Tensor, logits: Tensor) -> Tensor:
                return -(mass_centre(attribution) - centre).square().sum(1)

            return moved(self, model, images, near, start)
