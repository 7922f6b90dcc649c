"""Integrated gradients: what lies between an image and one that says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..modes import borrowed
from ..spec import require
from ..types import Fill
from .gradient import input_gradient
from .superpixels import ConstantFill, backdrop, blocks


def gauss_legendre(steps: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Points in (0, 1) and weights that sum to 1, exact for polynomials of degree 2 steps - 1; ``[steps]`` each."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (torch.from_numpy(points).to(like) + 1) / 2, torch.from_numpy(weights).to(like) / 2


def integrated_gradients(
    model: nn.Module,
    x: Tensor,
    baseline: Tensor,
    target: Tensor,
    steps: int = 32,
    *,
    batch_size: int = 0,
    create_graph: bool = False,
) -> Tensor:
    """(x - baseline) times the mean gradient of the target's logit between them, ``[B, C, H, W]``."""
    x = x.detach()
    places, weights = gauss_legendre(steps, x)
    rows = []
    for images, groups in blocks(x, steps, batch_size):
        away, start, y = (x - baseline)[images], baseline[images], target[images]
        total = torch.zeros_like(away)
        for group in groups:
            path = start + places[group].view(-1, 1, 1, 1, 1) * away
            repeated = y.repeat(len(path))
            gradient = input_gradient(model, path.flatten(0, 1), repeated, create_graph=create_graph)
            total = total + torch.tensordot(weights[group], gradient.view(path.shape), 1)
        rows.append(away * total)
    return torch.cat(rows)


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated gradients. Sundararajan et al., ICML 2017, https://arxiv.org/abs/1703.01365

    The pixels of a map add up to what the target's logit gains from ``baseline`` to the image. The baseline is what
    a fill makes of an image that is a single superpixel: black, grey, blurred, the mean colour.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed, in logits.
    Cost: ``steps`` forward and backward passes an image, ``batch_size`` of them at once.
    Differs from the paper: Gauss-Legendre points instead of equal steps, which come closer with as many.
    """

    steps: int = 32
    baseline: Fill = ConstantFill(0.0)
    batch_size: int = 0

    def __post_init__(self) -> None:
        require(self, self.steps >= 1, "steps is at least 1")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        baseline, size = backdrop(self.baseline, x), self.batch_size
        with borrowed(model, create_graph):
            return integrated_gradients(
                model, x, baseline, target, self.steps, batch_size=size, create_graph=create_graph
            ).sum(1)
