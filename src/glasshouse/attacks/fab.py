"""FAB: the smallest perturbation, by projections onto the linearised boundary within the pixel range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..labels import one_class
from ..modes import frozen
from ..spec import require
from ..types import Ball
from .balls import L2, Linf
from .boundary import Plane, moved, nearest_plane, rivals, shrunk, within
from .boxed import onto_plane
from .pgd import per_image
from .standing import Standing, due, standing


class Nearest(NamedTuple):
    """The nearest adversarial point of each image so far, filled in while an attack goes on."""

    x_adv: Tensor  # [B, C, H, W]; of an image that nothing has broken yet, where the search ended
    norm: Tensor  # [B] of its perturbation; infinite where nothing has broken the image yet

    def offer(self, place: Tensor, x_adv: Tensor, norm: Tensor) -> None:
        """Keep the points ``x_adv`` of the images at ``place`` that are nearer than what is there."""
        nearer = norm < self.norm[place]
        self.norm[place] = torch.where(nearer, norm, self.norm[place])
        self.x_adv[place] = torch.where(per_image(nearer, x_adv), x_adv, self.x_adv[place])


@dataclass(frozen=True)
class FAB:
    """Minimal perturbations by boxed projections. Croce & Hein, ICML 2020, https://arxiv.org/abs/1907.02044

    Each step projects the current point and ``x`` onto the linearised boundary within [0, 1], exactly, overshoots by
    ``eta`` and mixes both, with a share of up to ``alpha_max`` for the way from ``x``. A point that breaks the image
    is kept if it is the nearest so far, and the search goes on from ``beta`` of the way to it. ``targeted`` is the
    form of AutoAttack: one search of all ``steps`` towards each of the ``classes`` most probable other classes;
    without it, one towards the nearest of these at each step. Every search but the first of ``restarts`` begins at a
    random point, at most half of eps or of the smallest norm so far away.

    With a finite eps an image is left alone as soon as it is broken within the ball; ``eps=inf`` goes on to the end
    for the smallest norm. In the end, where that matters, ``refine`` points on the way from ``x`` are tried for the
    shortest part of it that still breaks the image.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` -> x_adv like x, in [0, 1] and in the ball, detached. An image that
    is wrong already comes back as it is; one that is broken only outside the ball is brought back into it.
    Cost: for each step of a search two forward passes and one backward pass, with ``targeted=False`` as many backward
    passes as ``classes``, over the images that still stand; 3 + ``refine`` forward passes more.
    Differs from the paper: classes beyond the ``classes`` most probable ones are not looked at.
    Raises:
        ValueError: if the model has a single class, or labels name several classes an image.
    """

    ball: Ball = Linf()
    steps: int = 100
    restarts: int = 1
    classes: int = 9
    targeted: bool = True
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    refine: int = 3

    def __post_init__(self) -> None:
        require(self, isinstance(self.ball, Linf | L2), "ball is Linf or L2")
        require(self, self.steps >= 1, "steps is at least 1")
        require(self, self.restarts >= 1, "restarts is at least 1")
        require(self, self.classes >= 1, "classes is at least 1")
        require(self, 0 <= self.alpha_max <= 1, "alpha_max is between 0 and 1")
        require(self, self.eta >= 1, "eta is at least 1")
        require(self, 0 < self.beta < 1, "beta is between 0 and 1")
        require(self, self.refine >= 0, "refine is at least 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.enable_grad():
            images = standing(model, x, one_class(y, self))
            with torch.no_grad():
                logits = images.model(images.x)
            others = rivals(logits, images.y, self.classes)
            nearest = Nearest(images.x.clone(), torch.where(images.reached(logits), 0, torch.inf).to(x.dtype))
            for aims in others.T[:, :, None] if self.targeted else others[None]:
                for restart in range(self.restarts):
                    images = images.of(nearest.norm[images.place] > self.enough)
                    if len(images.x):
                        self.searched(images, aims, nearest, restart > 0)
            self.pulled(images, nearest)
            return within(self.ball, x.detach(), nearest.x_adv)

    @property
    def enough(self) -> float:
        """The norm at which an image is done with."""
        return self.ball.eps if math.isfinite(self.ball.eps) else 0.0

    def searched(self, images: Standing, aims: Tensor, nearest: Nearest, random: bool) -> None:
        """One search of all steps; what it finds is offered to ``nearest``."""
        x_adv = self.started(images, nearest) if random else images.x
        for step in range(self.steps):
            plane = nearest_plane(images.model, x_adv, images.y, aims[images.place], self.ball)
            x_adv = self.stepped(images.x, x_adv, plane)
            with torch.no_grad():
                reached = images.reached(images.model(x_adv))
            norm = torch.where(reached, self.ball.norm(x_adv - images.x), torch.inf)
            nearest.offer(images.place, x_adv, norm)
            x_adv = torch.where(per_image(reached, x_adv), images.x + self.beta * (x_adv - images.x), x_adv)
            left = nearest.norm[images.place] > self.enough
            if due(step, x_adv) and not left.all():
                images, x_adv = images.of(left), x_adv[left]
            if not len(x_adv):
                return
        never = per_image(nearest.norm[images.place].isinf(), x_adv)
        nearest.x_adv[images.place] = torch.where(never, x_adv, nearest.x_adv[images.place])

    def started(self, images: Standing, nearest: Nearest) -> Tensor:
        """A random point, at most half as far away as a perturbation may be or is already known to be enough."""
        radius = nearest.norm[images.place].clamp_max(self.ball.eps) / 2
        unit = L2(1.0) if isinstance(self.ball, L2) else Linf(1.0)
        delta = unit.sample(images.x, images.draws)
        return (images.x + per_image(torch.where(radius.isfinite(), radius, 0), delta) * delta).clamp(0, 1)

    def stepped(self, x: Tensor, x_adv: Tensor, plane: Plane) -> Tensor:
        """A step from ``x_adv``, drawn towards the projection of ``x`` itself the more, the nearer that is."""
        near = onto_plane(self.ball, x_adv, plane.slope, plane.gap)
        gap = plane.gap - (plane.slope * (x - x_adv)).flatten(1).sum(1)
        far = onto_plane(self.ball, x, plane.slope, gap)
        a, b = (self.ball.norm(delta).clamp_min(1e-8) for delta in (near, far))
        alpha = per_image((a / (a + b)).clamp_max(self.alpha_max), x)
        return torch.lerp(x_adv + self.eta * near, x + self.eta * far, alpha).clamp(0, 1)

    def pulled(self, images: Standing, nearest: Nearest) -> None:
        """The final search, for the images that are broken, but not within the ball."""
        found = nearest.norm[images.place]
        images = images.of(found.isfinite() & (found > self.enough))
        if len(images.x):
            reach = nearest.x_adv[images.place] - images.x
            t = shrunk(images, reach, self.refine)
            x_adv = moved(images.x, reach, t)  # at t = 1 it may be a rounding error beside the point that was seen
            nearest.offer(images.place, x_adv, torch.where(t < 1, self.ball.norm(x_adv - images.x), torch.inf))
