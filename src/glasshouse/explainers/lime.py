"""LIME on superpixels. Ribeiro et al., KDD 2016, https://arxiv.org/abs/1602.04938"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..modes import borrowed
from ..spec import require
from ..types import Fill, Segmenter, Surrogate
from .designs import bernoulli
from .masked import Painting, maskable, masked_scores, probability_of_target
from .superpixels import MeanFill, Slic


def cosine_kernel(on: Tensor, count: Tensor, width: float) -> Tensor:
    """``lime``'s sample weights: sqrt(exp(-d^2 / width^2)), d the cosine distance from a mask to all ones.

    Shape: on ``[B, N, S]`` in {0, 1}, zero beyond each image's ``count`` ``[B]`` superpixels -> ``[B, N]``.
    """
    distance = 1 - (on.sum(2) / count[:, None]).sqrt()
    return (-(distance**2) / width**2).exp().sqrt()


def ridge_operator(design: Tensor, weight: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """What a weighted ridge regression does to the values: beta = operator @ values; and the weighted mean design.

    Shape: design ``[B, N, S]``, weight ``[B, N]`` -> ``[B, S, N]``, ``[B, S]``, in float64.
    """
    z, w = design.double(), weight.double()
    mean = (w[:, :, None] * z).sum(1) / w.sum(1)[:, None]
    weighted = (w[:, :, None] * (z - mean[:, None])).transpose(1, 2)
    penalty = ridge * torch.eye(z.shape[2], dtype=z.dtype, device=z.device)
    return torch.linalg.solve(weighted @ (z - mean[:, None]) + penalty, weighted), mean


class Fit(NamedTuple):
    """A weighted ridge regression of each image."""

    beta: Tensor  # [B, S]
    intercept: Tensor  # [B]
    error: Tensor  # [B, S] standard error of beta

    def of(self, images: Tensor) -> Fit:
        return Fit(*(t[images] for t in self))


def weighted_ridge(design: Tensor, values: Tensor, weight: Tensor, ridge: float) -> Fit:
    """Minimise sum_n w_n (v_n - b0 - z_n b)^2 + ridge |b|^2, the intercept unpenalised; in float64.

    The error is the sandwich estimate, right also where weights are no inverse variances; squared residuals are
    scaled up by the degrees of freedom that the fit has used.

    Shape: design ``[B, N, S]``, values ``[B, N]``, weight ``[B, N]`` -> beta ``[B, S]``, intercept ``[B]``.
    """
    operator, mean = ridge_operator(design, weight, ridge)
    w, v, centred = weight.double(), values.double(), design.double() - mean[:, None]
    beta = (operator @ v[:, :, None])[:, :, 0]
    v_mean = (w * v).sum(1) / w.sum(1)
    residual = (v - v_mean[:, None] - (centred @ beta[:, :, None])[:, :, 0]).detach()
    used = 1 + (operator.transpose(1, 2) * centred).sum((1, 2))
    spare = v.shape[1] / (v.shape[1] - used).clamp_min(1)
    error = ((operator.square() @ residual.square()[:, :, None])[:, :, 0] * spare[:, None]).sqrt()
    intercept = v_mean - (mean * beta).sum(1)
    return Fit(beta.to(values.dtype), intercept.to(values.dtype), error.to(values.dtype))


@dataclass(frozen=True)
class LIME(Painting):
    """Weight of each superpixel in a ridge regression on random maskings of the image.

    Explains the softmax probability of the target, as ``lime`` does. The first of the ``samples`` maskings is the
    whole image; in the others each superpixel stays with probability one half. Images explained together share
    one stream of maskings, drawn from ``seed`` alone: an explanation depends on nothing but model, image and target.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed, in units of probability.
    Cost: ``samples`` forward passes an image, ``batch_size`` of them at once.
    Raises:
        ValueError: if an image has a single superpixel.
    """

    segmenter: Segmenter = Slic()
    samples: int = 256
    fill: Fill = MeanFill()
    kernel_width: float = 0.25
    ridge: float = 1.0
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.samples >= 2, "samples is at least 2")
        require(self, self.kernel_width > 0, "kernel_width is above 0")
        require(self, self.ridge > 0, "ridge is above 0")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def surrogate(
        self,
        model: nn.Module,
        x: Tensor,
        target: Tensor,
        segments: Tensor | None = None,
        *,
        create_graph: bool = False,
    ) -> Surrogate:
        """The fitted linear models, on given or on its own superpixels."""
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            images = maskable(self.segmenter, self.fill, x, target, segments)
            on = bernoulli(self.samples, images.count, self.seed)
            values = masked_scores(model, images, on, self.batch_size, probability_of_target)
        fit = weighted_ridge(on, values, cosine_kernel(on, images.count, self.kernel_width), self.ridge)
        return Surrogate(images.segments, *fit, torch.full_like(images.count, self.samples))
