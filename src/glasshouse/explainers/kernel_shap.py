"""Shapley values of superpixels by regression. Lundberg and Lee, NeurIPS 2017, https://arxiv.org/abs/1705.07874"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..modes import borrowed
from ..spec import require
from ..types import Fill, Segmenter, Surrogate
from .designs import existing, uniform
from .masked import Painting, maskable, masked_scores, probability_of_target
from .superpixels import MeanFill, Slic


def coalitions(samples: int, count: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Maskings and their weights in the regression: ``[B, N, S]`` in {0, 1}, ``[B, N]``.

    Where an image has few enough superpixels every coalition comes once, with Shapley's kernel as its weight.
    Otherwise sizes follow that kernel, stratified, and each coalition is followed by its complement (Covert and Lee,
    AISTATS 2021, https://arxiv.org/abs/2012.01536); all weights are then 1.
    """
    every, kernel = enumerated(samples, count, size)
    if bool(whole(samples, count).all()):
        return every, kernel
    drawn = sampled(samples, count, size, seed)
    few = whole(samples, count)[:, None]
    return torch.where(few[:, :, None], every, drawn), torch.where(few, kernel, torch.ones_like(kernel))


def whole(samples: int, count: Tensor) -> Tensor:
    """Which images have no more coalitions than samples, the empty one and the full one aside."""
    return 2.0**count - 2 <= samples


def enumerated(samples: int, count: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The first ``samples`` proper coalitions, in binary, and Shapley's kernel; weight 0 past the last one."""
    number = 1 + torch.arange(samples, device=count.device)
    bits = torch.arange(size, device=count.device)
    on = ((number[:, None] >> bits.clamp(max=62)) & 1).float() * (bits < 63)
    members, n = on.sum(1)[None].double(), count[:, None].double()
    ways = torch.lgamma(n + 1) - torch.lgamma(members + 1) - torch.lgamma((n - members).clamp_min(0) + 1)
    proper = number[None] < 2.0 ** count[:, None] - 1
    kernel = (n - 1) / (ways.exp() * members * (n - members).clamp_min(1))
    return existing(on, count), torch.where(proper, kernel, 0)


def sampled(samples: int, count: Tensor, size: int, seed: int) -> Tensor:
    """Coalitions whose sizes follow Shapley's kernel, each with its complement, ``[B, samples, S]``."""
    half = -(-samples // 2)
    sizes = torch.arange(1, max(size, 2), device=count.device).double()
    chance = 1 / (sizes * (count[:, None] - sizes)).clamp_min(1e-12) * (sizes < count[:, None])
    up_to = chance.cumsum(1) / chance.sum(1, keepdim=True)
    level = (torch.arange(half, device=count.device) + uniform(half, 1, seed)[:, 0].to(count.device)) / half
    members = 1 + torch.searchsorted(up_to, level.double().expand(len(count), -1).contiguous())
    members = torch.minimum(members, count[:, None] - 1)
    order = uniform(half, size, seed + 1).to(count.device).expand(len(count), -1, -1)
    exists = torch.arange(size, device=count.device) < count[:, None]
    rank = order.masked_fill(~exists[:, None], 2).argsort(2).argsort(2)
    on = existing((rank < members[:, :, None]).float(), count)
    return torch.stack([on, existing(1 - on, count)], 2).flatten(1, 2)[:, :samples]


def shapley_regression(
    on: Tensor, values: Tensor, weight: Tensor, count: Tensor, nothing: Tensor, everything: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted least squares under sum_j phi_j = everything - nothing; and the standard error of each phi.

    Shape: on ``[B, N, S]``, values and weight ``[B, N]``, the rest ``[B]`` -> ``[B, S]`` twice, in float64.
    """
    z, w = on.double(), weight.double()
    v, gap = (values - nothing[:, None]).double(), (everything - nothing).double()
    exists = (torch.arange(z.shape[2], device=z.device) < count[:, None]).double()
    weighted = (w[:, :, None] * z).transpose(1, 2)
    gram = weighted @ z
    # Just enough for coalitions fewer than superpixels, where the regression alone has no single answer.
    tiny = 1e-6 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12
    inverse = torch.linalg.inv(gram + tiny * torch.eye(z.shape[2], dtype=z.dtype, device=z.device))
    push = inverse @ exists[:, :, None]
    share = push / (exists[:, None] @ push)
    operator = inverse @ weighted
    operator = operator - share * (exists[:, None] @ operator)
    phi = (operator @ v[:, :, None] + share * gap[:, None, None])[:, :, 0] * exists
    residual = (v - (z @ phi[:, :, None])[:, :, 0]).detach()
    spare = z.shape[1] / (z.shape[1] - count + 1).clamp_min(1)
    error = ((operator.square() @ residual.square()[:, :, None])[:, :, 0] * spare[:, None]).sqrt() * exists
    return phi, error


@dataclass(frozen=True)
class KernelSHAP(Painting):
    """Shapley value of each superpixel for the softmax probability of the target.

    The values of an image add up to its probability less that of the image with everything replaced. They are exact,
    with error 0, where all coalitions fit into ``samples``.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed, in units of probability.
    Cost: ``samples`` forward passes an image, ``batch_size`` of them at once; fewer where there are no more coalitions.
    Raises:
        ValueError: if an image has a single superpixel.
    """

    segmenter: Segmenter = Slic()
    samples: int = 512
    fill: Fill = MeanFill()
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.samples >= 4, "samples is at least 4")
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
        """Shapley values on given or on its own superpixels."""
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            images = maskable(self.segmenter, self.fill, x, target, segments)
            count, size = images.count, int(images.count.max())
            number = min(self.samples - 2, 2**size - 2)
            on, weight = coalitions(number, count, size, self.seed)
            ends = existing(torch.tensor([0.0, 1.0], device=x.device)[:, None].expand(2, size), count)
            values = masked_scores(model, images, torch.cat([ends, on], 1), self.batch_size, probability_of_target)
        nothing, everything, rest = values[:, 0], values[:, 1], values[:, 2:]
        phi, error = shapley_regression(on, rest, weight, count, nothing, everything)
        error = error * ~whole(number, count)[:, None]
        return Surrogate(
            images.segments, phi.to(x.dtype), nothing, error.to(x.dtype), torch.full_like(count, number + 2)
        )
