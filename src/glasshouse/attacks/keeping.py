"""An attack on the prediction that the explanation does not tell of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..explainers import InputGradient
from ..labels import losses, right
from ..modes import frozen
from ..spec import require
from ..types import Ball, Explainer
from .balls import Linf
from .explanations import lowered, require_schedule, untouched
from .losses import Margin
from .target_map import map_distance


@dataclass(frozen=True)
class KeepingExplanation:
    """Another prediction, same map. Zhang et al., "Interpretable deep learning under fire" (ADV^2), USENIX Security
    2020, https://arxiv.org/abs/1812.00891

    Ascent on the cross-entropy of ``y``, and, once an image is broken, on that minus ``weight`` times the mean squared
    difference between its map and the untouched image's, both for the class predicted at first and as masses
    |attribution| of mean 1. Each image keeps, of the
    points that break it, the one whose map has changed least; an image that none breaks the one nearest to
    another class. What is wrong from the start stays as it is.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached.
    Cost: for each of ``steps`` the explainer, the explainer with its graph and a backward pass through it, and two
    forward passes and a backward pass.
    Differs from the paper: no target class; the map waits until the image is broken; the best point counts, not the
    last; softplus smooths ReLUs for the map
    (as in Dombrowski et al., NeurIPS 2019, https://arxiv.org/abs/1906.07983), and the model as it is judges.
    Raises:
        ValueError: if the explainer cannot be differentiated.
    """

    explainer: Explainer = InputGradient()
    ball: Ball = Linf()
    steps: int = 50
    step_size: float = 0.1  # as a share of ball.eps
    weight: float = 100.0
    beta_start: float = 10.0
    beta_end: float = 100.0

    def __post_init__(self) -> None:
        require(self, self.weight >= 0, "weight is at least 0")
        require_schedule(self)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = untouched(self.explainer, model, x)

            def both(attribution: Tensor, logits: Tensor) -> Tensor:
                changed = self.weight * map_distance(attribution, images.attribution)
                wrong = losses(logits, y)
                return torch.where(right(logits.argmax(1), y), 0.0, changed) - wrong

            def rank(attribution: Tensor, logits: Tensor) -> Tensor:
                unchanged = 1 / (1 + map_distance(attribution, images.attribution))
                return torch.where(right(logits.argmax(1), y), -Margin()(logits, y), -unchanged)

            return lowered(self, model, images, images.x, both, rank)[0]
