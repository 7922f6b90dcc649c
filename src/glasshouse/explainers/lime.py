"""LIME on superpixels. Ribeiro et al., KDD 2016, https://arxiv.org/abs/1602.04938"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..modes import borrowed
from ..spec import require
from ..types import Fill, Segmenter, Surrogate
from .superpixels import MeanFill, Slic, chunks, counts, painted, switched


def cosine_kernel(on: Tensor, count: Tensor, width: float) -> Tensor:
    """``lime``'s sample weights: sqrt(exp(-d^2 / width^2)), d the cosine distance from a mask to all ones.

    Shape: on ``[B, N, S]`` in {0, 1}, zero beyond each image's ``count`` ``[B]`` superpixels -> ``[B, N]``.
    """
    distance = 1 - (on.sum(2) / count[:, None]).sqrt()
    return (-(distance**2) / width**2).exp().sqrt()


class Fit(NamedTuple):
    """A weighted ridge regression of each image."""

    beta: Tensor  # [B, S]
    intercept: Tensor  # [B]
    error: Tensor  # [B, S] standard error of beta


def weighted_ridge(design: Tensor, values: Tensor, weight: Tensor, ridge: float) -> Fit:
    """Minimise sum_n w_n (v_n - b0 - z_n b)^2 + ridge |b|^2, the intercept unpenalised; in float64.

    The error is the sandwich estimate, which stays right where weights are no variances: (A^-1 Z' W E W Z A^-1) with
    the squared residuals E scaled up by the degrees of freedom that the fit has used.

    Shape: design ``[B, N, S]``, values ``[B, N]``, weight ``[B, N]`` -> beta ``[B, S]``, intercept ``[B]``.
    """
    z, v = design.double(), values.double()
    w = weight.double()
    share = w / w.sum(1, keepdim=True)
    z_mean, v_mean = (share[:, :, None] * z).sum(1), (share * v).sum(1)
    centred = z - z_mean[:, None]
    weighted = w[:, :, None] * centred
    gram = weighted.transpose(1, 2) @ centred
    inverse = torch.linalg.inv(gram + ridge * torch.eye(z.shape[2], dtype=z.dtype, device=z.device))
    beta = (inverse @ (weighted.transpose(1, 2) @ (v - v_mean[:, None])[:, :, None]))[:, :, 0]
    residual = v - v_mean[:, None] - (centred @ beta[:, :, None])[:, :, 0]
    used = (inverse * gram).sum((1, 2)) + 1
    spare = z.shape[1] / (z.shape[1] - used).clamp_min(1)
    influence = weighted @ inverse * residual[:, :, None]
    error = (influence.square().sum(1) * spare[:, None]).sqrt()
    intercept = v_mean - (z_mean * beta).sum(1)
    return Fit(beta.to(values.dtype), intercept.to(values.dtype), error.to(values.dtype).detach())


@dataclass(frozen=True)
class LIME:
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
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.samples >= 2, "samples is at least 2")
        require(self, self.kernel_width > 0, "kernel_width is above 0")
        require(self, self.ridge > 0, "ridge is above 0")
        require(self, self.batch_size >= 1, "batch_size is at least 1")

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        surrogate = self.surrogate(model, x, target, create_graph=create_graph)
        return painted(surrogate.beta, surrogate.segments)

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
        segments = self.segmenter(x) if segments is None else segments
        count = counts(segments)
        if int(count.min()) < 2:
            raise ValueError("LIME needs at least 2 superpixels in every image; take a finer segmenter")
        on = self.maskings(count)
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            filled = self.fill(x, segments)
            values = masked_probabilities(model, x, filled, segments, on, target, self.batch_size)
        fit = weighted_ridge(on, values, cosine_kernel(on, count, self.kernel_width), self.ridge)
        return Surrogate(segments, *fit, torch.full_like(count, self.samples))

    def maskings(self, count: Tensor) -> Tensor:
        """``[B, N, S]`` float in {0, 1}: the first row keeps everything."""
        generator = torch.Generator().manual_seed(self.seed)
        size = int(count.max())
        # Drawn superpixel by superpixel: an image's masks do not depend on how many its neighbours have.
        drawn = torch.stack([torch.rand(self.samples, generator=generator) for _ in range(size)], 1)
        drawn[0] = 0
        on = (drawn < 0.5).float().to(count.device)
        exists = torch.arange(size, device=count.device) < count[:, None]
        return on * exists[:, None]


def masked_probabilities(
    model: nn.Module, x: Tensor, filled: Tensor, segments: Tensor, on: Tensor, target: Tensor, batch_size: int
) -> Tensor:
    """Probability of the target for each image under each of its maskings, ``[B, N]``."""
    images, samples = on.shape[:2]
    owner = torch.arange(images, device=x.device).repeat_interleave(samples)
    flat = on.flatten(0, 1)
    values = []
    for part in chunks(len(flat), batch_size):
        i = owner[part]
        keep = switched(flat[part][:, None], segments[i])
        masked = torch.lerp(filled[i], x[i], keep)
        values.append(model(masked).softmax(1).gather(1, target[i][:, None])[:, 0])
    return torch.cat(values).view(images, samples)
