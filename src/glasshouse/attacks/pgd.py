"""Projected gradient descent, with momentum, targets and restarts, and its one-step form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import frozen
from ..spec import require
from ..types import AttackLoss, Ball, Target
from .balls import Linf
from .losses import CE
from .standing import Standing, due, standing, uphill


@dataclass(frozen=True)
class PGD:
    """Ascent on a loss within the ball. Madry et al., ICLR 2018, https://arxiv.org/abs/1706.06083

    The gradient is taken at the current point and the projection is around ``x``. With ``momentum`` (usually 1) it is
    MI-FGSM, Dong et al., CVPR 2018, https://arxiv.org/abs/1710.06081. Of several ``restarts`` each image keeps the one
    with the highest loss.

    :meth:`search` is for measuring: there an image is left alone at the first point that reaches the aim, and the
    verdict on each image is that of a loop which goes on with all of them and remembers.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: ``steps`` forward and backward passes for each restart; one forward pass more for a target, or with restarts.
    """

    ball: Ball = Linf()
    steps: int = 40
    step_size: float = 0.1  # as a share of ball.eps
    random_start: bool = True
    momentum: float = 0.0
    restarts: int = 1
    loss: AttackLoss = CE()
    target: Target | None = None

    def __post_init__(self) -> None:
        require(self, self.ball.eps < math.inf, "ball has a finite eps")
        require(self, self.steps >= 1, "steps is at least 1")
        require(self, self.step_size > 0, "step_size is above 0")
        require(self, self.momentum >= 0, "momentum is at least 0")
        require(self, self.restarts >= 1, "restarts is at least 1")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = standing(model, x, y, self.target)
            x_adv = self.climbed(images)
            for _ in range(1, self.restarts):
                again = self.climbed(images)
                better = self.height(images, again) > self.height(images, x_adv)
                x_adv = torch.where(per_image(better, again), again, x_adv)
            return x_adv

    def search(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """``x_adv``, where each image stops as soon as it is broken; a restart is for those that still stand."""
        with frozen(model), torch.enable_grad():
            images = standing(model, x, y, self.target)
            found = images.x.clone()
            for restart in range(self.restarts):
                if restart:
                    with torch.no_grad():
                        images = images.of(~images.reached(images.model(found[images.place])))
                if len(images.x):
                    self.climbed(images, found)
            return found

    def climbed(self, images: Standing, found: Tensor | None = None) -> Tensor:
        """The last point of an ascent. With ``found``, images stay where they reach their aim, and all leave their
        points there, each at its place in the caller's batch."""
        x_adv, velocity = self.start(images), torch.zeros_like(images.x)
        for step in range(self.steps):
            logits, gradient = self.slope(images, x_adv)
            if found is not None:
                reached = images.reached(logits)
                if due(step, x_adv) and reached.any():
                    found[images.place[reached]] = x_adv[reached]
                    left = ~reached
                    images, x_adv, velocity, gradient = images.of(left), x_adv[left], velocity[left], gradient[left]
                    reached = reached[left]
                if not len(x_adv):
                    return found
            velocity = self.momentum * velocity + even(gradient) if self.momentum else gradient
            moved = self.stepped(images.x, x_adv, velocity)
            x_adv = moved if found is None else torch.where(per_image(reached, moved), x_adv, moved)
        if found is not None:
            found[images.place] = x_adv
        return x_adv

    def start(self, images: Standing) -> Tensor:
        """Where an ascent begins."""
        delta = self.ball.sample(images.x, images.draws) if self.random_start else torch.zeros_like(images.x)
        return (images.x + delta).clamp(0, 1)

    def slope(self, images: Standing, x_adv: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the gradient of the loss with respect to the pixels."""
        x_adv = x_adv.detach().requires_grad_()
        logits = images.model(x_adv)
        return logits.detach(), uphill(self.loss(logits, images.y, images.target), x_adv)

    def stepped(self, x: Tensor, x_adv: Tensor, direction: Tensor) -> Tensor:
        """One step, back in the ball around ``x`` and in the pixel range."""
        step = self.step_size * self.ball.eps * self.ball.ascent(direction)
        return (x + self.ball.project(x_adv - x + step)).clamp(0, 1)

    @torch.no_grad()
    def height(self, images: Standing, x_adv: Tensor) -> Tensor:
        """The loss of each image, ``[B]``."""
        return self.loss(images.model(x_adv), images.y, images.target)


def even(gradient: Tensor) -> Tensor:
    """Gradients whose absolute values have mean 1 in each image, so that early steps do not outweigh later ones."""
    mean = gradient.flatten(1).abs().mean(1).clamp_min(torch.finfo(gradient.dtype).tiny)
    return gradient / per_image(mean, gradient)


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """``[B]`` -> ``[B, 1, 1, 1]``"""
    return values.view(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class FGSM:
    """One step of the full budget: ``PGD(steps=1, step_size=1)``. Goodfellow et al., ICLR 2015,
    https://arxiv.org/abs/1412.6572; with ``random_start`` and a step of 1.25 Wong et al., ICLR 2020,
    https://arxiv.org/abs/2001.03994.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: one forward and one backward pass.
    """

    ball: Ball = Linf()
    random_start: bool = False
    loss: AttackLoss = CE()
    target: Target | None = None

    def __post_init__(self) -> None:
        require(self, self.ball.eps < math.inf, "ball has a finite eps")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        step = 1.25 if self.random_start else 1.0
        one = PGD(self.ball, 1, step, self.random_start, loss=self.loss, target=self.target)
        return one(model, x, y)
