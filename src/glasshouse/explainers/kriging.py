"""Bayesian regression of a classifier's log-odds on superpixels, read off as LIME's linear model.

The log-odds of the target are a linear function of the switches s in [-1, 1] plus products of superpixels that touch:
y = b0 + w s + sum_jk u_jk s_j s_k. Weights are Gaussian beforehand; neighbours resemble each other, and a superpixel
that looks like what replaces it has little weight. Both values of y and its gradient in s are observed with noise.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .lime import Fit, cosine_kernel, ridge_operator
from .masked import Maskable
from .superpixels import averaged, pooled

SMOOTHNESS = 1.2  # distance over which weights resemble each other, in sides of a superpixel
SHARED = 0.3  # share of a weight's variance that neighbours have in common
PAIRS = 0.1  # variance of all products of neighbours together; that of all single superpixels is 1
DIRECTION = 0.3  # variance of the multiple of the mean gradient that the weights may contain
NOISE = 0.5  # variance of what the model leaves unexplained
CEILING = 16.6  # log-odds beyond which a probability in float32 is 0 or 1, as LIME sees it
LOOSENESS = 10.0  # by how much gradients may be off, over how much they scatter


class Prior(NamedTuple):
    """What is believed of each image's weights before any forward pass."""

    covariance: Tensor  # [B, S, S] of single superpixels, 0 for those an image does not have
    pairs: Tensor  # [B, P, 2] superpixels that touch
    variance: Tensor  # [B, P] of their products, 0 where an image has fewer pairs

    def of(self, images: Tensor | slice) -> Prior:
        return Prior(*(t[images] for t in self))


class Posterior(NamedTuple):
    """What is believed afterwards; units are log-odds."""

    single: Tensor  # [B, S] weights w
    pair: Tensor  # [B, P] weights u
    intercept: Tensor  # [B]
    covariance: Tensor  # [B, S + P, S + P] of both
    unexplained: Tensor  # [B] variance of the log-odds around the prediction

    def of(self, images: slice) -> Posterior:
        return Posterior(*(t[images] for t in self))


def prior_of(images: Maskable) -> Prior:
    """What images, superpixels and their replacements say before the model is asked."""
    x, filled, segments, count, _ = images
    size = int(count.max())
    exists = torch.arange(size, device=x.device) < count[:, None]
    height, width = segments.shape[-2:]
    rows = torch.arange(height, device=x.device, dtype=x.dtype).view(1, 1, -1, 1).expand(len(x), 1, height, width)
    columns = torch.arange(width, device=x.device, dtype=x.dtype).expand(len(x), 1, height, width)
    centre = averaged(torch.cat([rows, columns], 1), segments, size).transpose(1, 2).double()
    side = (height * width / count.double()).sqrt()
    distance = torch.cdist(centre, centre) / side[:, None, None]
    changed = pooled((x - filled).square().sum(1, keepdim=True), segments, size)[:, 0].double()
    typical = changed.sum(1, keepdim=True) / count[:, None]
    scale = ((changed / typical.clamp_min(1e-12) + 1e-3) * exists).sqrt()
    scale = scale / scale.sum(1, keepdim=True)
    resembling = SHARED * torch.exp(-(distance**2) / (2 * SMOOTHNESS**2))
    resembling = resembling + (1 - SHARED) * torch.eye(size, device=x.device, dtype=torch.float64)
    covariance = resembling * scale.sqrt()[:, :, None] * scale.sqrt()[:, None]
    pairs, real = touching(segments, size)
    product = scale.gather(1, pairs[:, :, 0]) * scale.gather(1, pairs[:, :, 1]) * real
    return Prior(covariance, pairs, PAIRS * product / product.sum(1, keepdim=True).clamp_min(1e-12))


def touching(segments: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Pairs of superpixels with a common border ``[B, P, 2]``, and which of them are no padding ``[B, P]``."""
    adjacent = torch.zeros(len(segments), size * size, dtype=torch.bool, device=segments.device)
    sides = ((segments[:, 1:], segments[:, :-1]), (segments[:, :, 1:], segments[:, :, :-1]))
    for one, other in sides:
        low, high = torch.minimum(one, other).flatten(1), torch.maximum(one, other).flatten(1)
        adjacent.scatter_(1, low * size + high, torch.ones_like(low, dtype=torch.bool))
    adjacent[:, :: size + 1] = False
    most = max(1, int(adjacent.sum(1).max()))
    real, index = adjacent.int().topk(most, sorted=False)
    return torch.stack([index // size, index % size], 2), real.bool()


def products(signs: Tensor, pairs: Tensor) -> Tensor:
    """s_j s_k of the given pairs: ``[B, N, S]``, ``[B, P, 2]`` -> ``[B, N, P]``."""
    first, second = (pairs[:, None, :, i].expand(-1, signs.shape[1], -1) for i in (0, 1))
    return signs.gather(2, first) * signs.gather(2, second)


def posterior_of(prior: Prior, signs: Tensor, log_odds: Tensor, slopes: Tensor) -> Posterior:
    """Condition a prior on values of the log-odds and on gradients of them, of which there may be none.

    Shape: signs ``[B, N, S]`` in [-1, 1], 0 beyond an image's superpixels; log_odds ``[B, N]``;
        slopes ``[B, G, S]``, gradients in the signs, at points balanced around 0.
    """
    s, y = signs.double(), log_odds.double().clamp(-CEILING, CEILING)
    sure = torch.sigmoid(y)
    weight = (sure * (1 - sure) + 1e-3) ** 0.25  # where the probability is saturated, log-odds matter less
    weight = weight / weight.mean(1, keepdim=True)
    centre = (weight * y).sum(1) / weight.sum(1)
    spread = y.std(1).clamp_min(1e-6)
    values = (y - centre[:, None]) / spread[:, None]
    covariance, noise = prior.covariance, NOISE / weight
    rows = torch.cat([s, products(s, prior.pairs)], 2)
    if slopes.shape[1]:
        slopes = slopes.double() / spread[:, None, None]
        mean = slopes.mean(1)
        covariance = covariance + DIRECTION * outer(mean / mean.norm(dim=1, keepdim=True).clamp_min(1e-12))
        exist = (prior.covariance.diagonal(dim1=1, dim2=2) > 0).sum(1, keepdim=True)
        loose = LOOSENESS * (slopes.var(1).sum(1, keepdim=True) / exist).clamp_min(1e-12) / slopes.shape[1]
        values, noise = torch.cat([values, mean], 1), torch.cat([noise, loose.expand_as(mean)], 1)
        rows = torch.cat(
            [rows, torch.eye(s.shape[2], rows.shape[2], dtype=s.dtype, device=s.device).expand(len(s), -1, -1)], 1
        )
    observed = torch.arange(rows.shape[1], device=s.device) < s.shape[1]
    gain = covaried(covariance, prior.variance, rows.transpose(1, 2))  # prior covariance of weights and observations
    joint = rows @ gain + 10.0 * outer(observed.double())[None] + torch.diag_embed(noise)
    factor = torch.linalg.cholesky(joint)
    solved = torch.cholesky_solve(values[:, :, None], factor)
    weights = (gain @ solved)[:, :, 0]
    scale = left_out(solved[:, :, 0], factor, observed)
    left = torch.linalg.solve_triangular(factor, gain.transpose(1, 2), upper=False)
    before = covaried(
        covariance, prior.variance, torch.eye(rows.shape[2], dtype=s.dtype, device=s.device).expand(len(s), -1, -1)
    )
    after = (before - left.transpose(1, 2) @ left) * scale[:, None, None]
    intercept = centre + spread * 10.0 * (solved[:, :, 0] * observed).sum(1)
    weights = weights * spread[:, None]
    size = s.shape[2]
    return Posterior(
        weights[:, :size], weights[:, size:], intercept, after * spread[:, None, None] ** 2, NOISE * scale * spread**2
    )


def left_out(solved: Tensor, factor: Tensor, observed: Tensor) -> Tensor:
    """Mean squared error over what was expected of it, each value predicted from all others, ``[B]``."""
    precision = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2)
    return ((solved.square() / precision) * observed).sum(1) / observed.sum()


def outer(vector: Tensor) -> Tensor:
    """v v' over the last dimension."""
    return vector[..., :, None] * vector[..., None, :]


def covaried(covariance: Tensor, variance: Tensor, right: Tensor) -> Tensor:
    """The covariance of all weights, singles and pairs, times ``right`` ``[B, S + P, K]``."""
    size = covariance.shape[1]
    return torch.cat([covariance @ right[:, :size], variance[:, :, None] * right[:, size:]], 1)


def projected(
    posterior: Posterior, prior: Prior, count: Tensor, signs: Tensor, kernel_width: float, ridge: float
) -> Fit:
    """LIME's own regression on what the posterior predicts for virtual maskings, which cost no forward pass.

    The error is the posterior's, carried through the regression to first order.

    Shape: count ``[B]``, signs ``[B, M, S]`` in {-1, 1}, 0 beyond an image's superpixels -> beta and error ``[B, S]``,
        intercept ``[B]``.
    """
    signs = signs.double()
    virtual = (signs == 1).double()
    rows = torch.cat([signs, products(signs, prior.pairs)], 2)
    weights = torch.cat([posterior.single, posterior.pair], 1)
    # What is left unexplained draws the expected probability towards one half.
    damping = (1 + torch.pi / 8 * posterior.unexplained[:, None]).sqrt()
    probability = torch.sigmoid((posterior.intercept[:, None] + (rows @ weights[:, :, None])[:, :, 0]) / damping)
    weight = cosine_kernel(virtual, count, kernel_width)
    operator, mean = ridge_operator(virtual, weight, ridge)
    beta = (operator @ probability[:, :, None])[:, :, 0]
    level = (weight * probability).sum(1) / weight.sum(1)
    slope = (operator * (probability * (1 - probability) / damping)[:, None]) @ rows
    error = ((slope @ posterior.covariance) * slope).sum(2).clamp_min(0).sqrt()
    return Fit(beta, level - (mean * beta).sum(1), error)
