"""Ascent on the distance from the clean prediction, the inner maximisation of TRADES."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modes import frozen
from ..spec import require
from ..types import Ball
from .balls import Linf
from .pgd import PGD
from .standing import standing


def divergence(clean: Tensor, logits: Tensor) -> Tensor:
    """KL(softmax(clean) || softmax(logits)) of each image, ``[B]``."""
    return F.kl_div(logits.log_softmax(1), clean.log_softmax(1), reduction="none", log_target=True).sum(1)


class FromClean:
    """The divergence from clean logits as an attack's loss: made for one call, since it holds them."""

    def __init__(self, clean: Tensor) -> None:
        self.clean = clean

    def __call__(self, logits: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor:
        return divergence(self.clean, logits)


@dataclass(frozen=True)
class KLPGD:
    """PGD on KL(f(x) || f(x_adv)), which asks for no label. Zhang et al., ICML 2019, https://arxiv.org/abs/1901.08573

    It begins next to ``x``, with Gaussian noise of standard deviation ``noise``: at ``x`` itself the divergence has no
    slope. Made for training; what it finds was not chosen to be wrong, so measure with another attack.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` (not used) -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: ``steps`` forward and backward passes, and one forward pass.
    """

    ball: Ball = Linf()
    steps: int = 10
    step_size: float = 0.25  # as a share of ball.eps
    noise: float = 0.001

    def __post_init__(self) -> None:
        require(self, self.steps >= 1, "steps is at least 1")
        require(self, self.step_size > 0, "step_size is above 0")
        require(self, self.noise > 0, "noise is above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = standing(model, x, y)
            climb = PGD(self.ball, self.steps, self.step_size, loss=FromClean(model(images.x)))
            start = images.x + self.noise * images.draws.normal(*x.shape[1:]).to(x.dtype)
            x_adv = start.clamp(0, 1)
            for _ in range(self.steps):
                _, gradient = climb.slope(images, x_adv)
                x_adv = climb.stepped(images.x, x_adv, gradient)
            return x_adv
