"""DeepFool: step by step to the nearest boundary of a model that is taken as linear."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..labels import one_class
from ..modes import frozen
from ..spec import require
from ..types import Ball
from .balls import L2
from .boundary import Plane, moved, nearest_plane, rivals, shrunk, within
from .pgd import per_image
from .standing import Standing, due, standing

# A step goes further by this share of the way so far: where the pixel range holds back a part of each step, the
# boundary would otherwise only ever come nearer. The authors add 1e-4, whatever the norm, which is much in Linf.
HASTE = 1e-3


@dataclass(frozen=True)
class DeepFool:
    """Small perturbations by linear steps. Moosavi-Dezfooli et al., CVPR 2016, https://arxiv.org/abs/1511.04599

    Each step goes to the nearest of the linearised boundaries with the ``classes`` - 1 most probable other classes of
    the untouched image. As in the authors' code, the model is asked at the sum of the steps times 1 + ``overshoot``,
    which is where an image ends. ``refine=0`` is the paper's algorithm; otherwise so many points on the way there are
    tried for the shortest part of it that still breaks the image.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached. An image that
    is wrong already comes back as it is; one that is broken only outside the ball is brought back into it.
    Cost: for each step one forward pass and ``classes`` - 1 backward passes over the images that still stand; 3 +
    ``refine`` forward passes more.
    Differs from the paper: pixels end at [0, 1], and each step goes a little further so that this cannot hold it up.
    Raises:
        ValueError: if the model has a single class, or labels name several classes an image.
    """

    ball: Ball = L2(eps=math.inf)
    steps: int = 50
    overshoot: float = 0.02
    classes: int = 10
    refine: int = 3

    def __post_init__(self) -> None:
        require(self, self.steps >= 1, "steps is at least 1")
        require(self, self.overshoot > 0, "overshoot is above 0")
        require(self, self.classes >= 2, "classes is at least 2")
        require(self, self.refine >= 0, "refine is at least 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = standing(model, x, one_class(y, self))
            with torch.no_grad():
                logits = images.model(images.x)
            others = rivals(logits, images.y, self.classes - 1)
            found, whole = images.x.clone(), images.x
            images = images.of(~images.reached(logits))
            if len(images.x):
                reach = torch.zeros_like(whole)
                self.walked(images, others, reach)
                reach = reach[images.place]
                found[images.place] = moved(images.x, reach, shrunk(images, reach, self.refine))
            return within(self.ball, whole, found)

    def walked(self, images: Standing, others: Tensor, reach: Tensor) -> None:
        """Leave in ``reach`` how far each image went, each at its place in the caller's batch."""
        sums = torch.zeros_like(images.x)
        for step in range(self.steps):
            x_adv = (images.x + (1 + self.overshoot) * sums).clamp(0, 1)
            plane = nearest_plane(images.model, x_adv, images.y, others[images.place], self.ball)
            left = ~images.reached(plane.logits)
            there = step_to(self.ball, plane, HASTE * self.ball.norm(sums))
            sums = torch.where(per_image(left, sums), sums + there, sums)
            if due(step, sums) and not left.all():
                reach[images.place] = (1 + self.overshoot) * sums
                images, sums = images.of(left), sums[left]
            if not len(sums):
                return
        reach[images.place] = (1 + self.overshoot) * sums


def step_to(ball: Ball, plane: Plane, extra: Tensor) -> Tensor:
    """The smallest change that closes the gap, the pixel range aside, and ``extra`` ``[B]`` of its way; no change
    where nothing leads anywhere."""
    length = torch.where(plane.distance.isfinite(), (plane.distance + extra) * plane.gap.sign(), 0)
    return per_image(length, plane.slope) * ball.ascent(plane.slope)
