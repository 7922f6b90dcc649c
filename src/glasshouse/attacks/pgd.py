"""Projected gradient descent and its one-step form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modes import frozen
from ..spec import require
from ..types import Ball
from .balls import Linf


@dataclass(frozen=True)
class PGD:
    """Ascent on the cross-entropy within the ball. Madry et al., ICLR 2018, https://arxiv.org/abs/1706.06083

    Goodfellow et al.'s fast gradient sign method (ICLR 2015, https://arxiv.org/abs/1412.6572) is the one-step form
    :func:`FGSM`. The gradient is taken at the current point and the projection is around ``x``.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: ``steps`` forward and backward passes.
    """

    ball: Ball = Linf()
    steps: int = 40
    step_size: float = 0.1  # as a share of ball.eps
    random_start: bool = True

    def __post_init__(self) -> None:
        require(self, self.steps >= 1, "steps is at least 1")
        require(self, self.step_size > 0, "step_size is above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        x = x.detach()
        delta = self.ball.sample(x) if self.random_start else torch.zeros_like(x)
        with frozen(model), torch.enable_grad():
            for _ in range(self.steps):
                x_adv = (x + delta).clamp(0, 1).requires_grad_()
                loss = F.cross_entropy(model(x_adv), y, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, x_adv)
                step = self.step_size * self.ball.eps * self.ball.ascent(gradient)
                delta = self.ball.project(x_adv.detach() - x + step)
        return (x + delta).clamp(0, 1)


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

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        step = 1.25 if self.random_start else 1.0
        attack = PGD(ball=self.ball, steps=1, step_size=step, random_start=self.random_start)
        return attack(model, x, y)
