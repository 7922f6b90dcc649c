"""What the attacks that look for the smallest perturbation share: boundaries between classes, and coming back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..types import Ball
from .losses import Margin, at
from .pgd import per_image
from .standing import Standing, uphill


class Plane(NamedTuple):
    """The nearest boundary of the true class as it looks from a point, where the logits are taken as linear."""

    logits: Tensor  # [B, K] at the point
    gap: Tensor  # [B] how far the true class is above the other one; below 0 on the other side
    slope: Tensor  # [B, C, H, W]: a change delta closes the gap where <slope, delta> = gap
    distance: Tensor  # [B] from the point, in the norm of the ball


def rivals(logits: Tensor, y: Tensor, count: int) -> Tensor:
    """The ``count`` most probable other classes, the most probable first, or all that there are: ``[B, count]``.

    Raises:
        ValueError: if there is no other class.
    """
    others = logits.shape[1] - 1
    if others < 1:
        raise ValueError("an attack needs a model of at least 2 classes, and this one has 1")
    return logits.scatter(1, y[:, None], -torch.inf).topk(min(count, others), dim=1).indices


def nearest_plane(model: nn.Module, x_adv: Tensor, y: Tensor, others: Tensor, ball: Ball) -> Plane:
    """The boundary with one of ``others`` ``[B, N]`` that is nearest in the norm of ``ball``.

    Cost: one forward pass and N backward passes over the batch; memory for two gradients.
    """
    x_adv = x_adv.detach().requires_grad_()
    logits = model(x_adv)
    gaps = at(logits, y)[:, None] - logits.gather(1, others)
    gap, slope, distance = gaps[:, 0].detach(), torch.zeros_like(x_adv), torch.full_like(gaps[:, 0], torch.inf)
    for i, this in enumerate(gaps.unbind(1), start=1):
        rise = uphill(-this, x_adv, again=i < gaps.shape[1])
        this = this.detach()
        away = distance_to(ball, this, rise)
        nearer = away < distance
        gap, distance = torch.where(nearer, this, gap), torch.where(nearer, away, distance)
        slope = torch.where(per_image(nearer, slope), rise, slope)
    return Plane(logits.detach(), gap, slope.detach(), distance)


def distance_to(ball: Ball, gap: Tensor, slope: Tensor) -> Tensor:
    """How far a plane is in the norm of ``ball``, ``[B]``; infinite where there is no slope."""
    steepness = (slope * ball.ascent(slope)).flatten(1).sum(1)  # the dual norm of the slope
    return torch.where(steepness > 0, gap.abs() / steepness, torch.inf)


@torch.no_grad()
def shrunk(images: Standing, reach: Tensor, forwards: int) -> Tensor:
    """The smallest ``t`` tried at which ``x + t * reach`` in [0, 1] breaks the image; 1 where none did: ``[B]``.

    Between a t that breaks it and one that does not, the margin is taken as linear in t, which is the final search of
    Croce & Hein, ICML 2020, https://arxiv.org/abs/1907.02044; what is tried is a fiftieth of the way above its zero,
    where it is likely to break the image.

    Cost: ``forwards`` forward passes and, unless that is 0, two for the ends.
    """
    low, high = torch.zeros_like(reach[:, 0, 0, 0]), torch.ones_like(reach[:, 0, 0, 0])
    if forwards:
        below, above = (Margin()(images.model(moved(images.x, reach, t)), images.y) for t in (low, high))
    for _ in range(forwards):
        share = (below / (below - above).clamp_max(-1e-12) + 0.02).clamp(0.02, 0.98)
        t = low + share * (high - low)
        logits = images.model(moved(images.x, reach, t))
        broken, margin = images.reached(logits), Margin()(logits, images.y)
        low, below = torch.where(broken, low, t), torch.where(broken, below, margin)
        high, above = torch.where(broken, t, high), torch.where(broken, margin, above)
    return high


def moved(x: Tensor, reach: Tensor, t: Tensor) -> Tensor:
    """``x`` and a share ``t`` ``[B]`` of ``reach``, in the pixel range."""
    return (x + per_image(t, x) * reach).clamp(0, 1)


def within(ball: Ball, x: Tensor, x_adv: Tensor) -> Tensor:
    """``x_adv``, where it is outside the ball around ``x`` brought back; to the bit as it was where it is inside."""
    delta = x_adv - x
    inside = per_image(ball.norm(delta) <= ball.eps, x)
    return torch.where(inside, x_adv, (x + ball.project(delta)).clamp(0, 1))
