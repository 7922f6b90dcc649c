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


def prior_of(images: Maskable) -> Prior:
    """What images, superpixels and their replacements say before the model is asked."""
    size = int(images.count.max())
    scale = contrast(images, size)
    resembling = SHARED * torch.exp(-(distances(images.segments, images.count, size) ** 2) / (2 * SMOOTHNESS**2))
    resembling = resembling + (1 - SHARED) * torch.eye(size, device=scale.device, dtype=scale.dtype)
    covariance = resembling * scale.sqrt()[:, :, None] * scale.sqrt()[:, None]
    pairs, real = touching(images.segments, size)
    product = scale.gather(1, pairs[:, :, 0]) * scale.gather(1, pairs[:, :, 1]) * real
    return Prior(covariance, pairs, PAIRS * product / product.sum(1, keepdim=True).clamp_min(1e-12))


def contrast(images: Maskable, size: int) -> Tensor:
    """How much each superpixel differs from what replaces it, as a share of the image's, ``[B, S]``."""
    exists = torch.arange(size, device=images.x.device) < images.count[:, None]
    squared = (images.x - images.filled).square().sum(1, keepdim=True)
    changed = pooled(squared, images.segments, size)[:, 0].double()
    typical = changed.sum(1, keepdim=True) / images.count[:, None]
    scale = ((changed / typical.clamp_min(1e-12) + 1e-3) * exists).sqrt()
    return scale / scale.sum(1, keepdim=True)


def distances(segments: Tensor, count: Tensor, size: int) -> Tensor:
    """Between the centres of superpixels, in sides of a typical one, ``[B, S, S]``."""
    height, width = segments.shape[-2:]
    rows, columns = (torch.arange(n, device=segments.device, dtype=torch.float32) for n in (height, width))
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(segments), -1, -1, -1)
    centre = averaged(places, segments, size).transpose(1, 2).double()
    return torch.cdist(centre, centre) / (height * width / count.double()).sqrt()[:, None, None]


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


class Observations(NamedTuple):
    """Standardised values and slopes, as rows that multiply the weights."""

    rows: Tensor  # [B, O, S + P]
    values: Tensor  # [B, O]
    noise: Tensor  # [B, O] variance
    level: Tensor  # [O] 1 where the intercept counts, 0 for slopes


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
    level = torch.ones(s.shape[1], dtype=s.dtype, device=s.device)
    rows = torch.cat([s, products(s, prior.pairs)], 2)
    seen = Observations(rows, (y - centre[:, None]) / spread[:, None], NOISE / weight, level)
    if slopes.shape[1]:
        prior, seen = with_slopes(prior, seen, slopes.double() / spread[:, None, None])
    found = conditioned(prior, seen)
    size = s.shape[2]
    return Posterior(
        found.weights[:, :size] * spread[:, None],
        found.weights[:, size:] * spread[:, None],
        centre + spread * found.intercept,
        found.covariance * spread[:, None, None] ** 2,
        NOISE * found.scale * spread**2,
    )


def with_slopes(prior: Prior, seen: Observations, slopes: Tensor) -> tuple[Prior, Observations]:
    """The mean slope as a direction that weights may follow, and as what was seen of each weight alone."""
    mean = slopes.mean(1)
    direction = mean / mean.norm(dim=1, keepdim=True).clamp_min(1e-12)
    exist = (prior.covariance.diagonal(dim1=1, dim2=2) > 0).sum(1, keepdim=True)
    loose = LOOSENESS * (slopes.var(1).sum(1, keepdim=True) / exist).clamp_min(1e-12) / slopes.shape[1]
    alone = torch.eye(mean.shape[1], seen.rows.shape[2], dtype=mean.dtype, device=mean.device)
    seen = Observations(
        torch.cat([seen.rows, alone.expand(len(mean), -1, -1)], 1),
        torch.cat([seen.values, mean], 1),
        torch.cat([seen.noise, loose.expand_as(mean)], 1),
        torch.cat([seen.level, torch.zeros_like(mean[0])]),
    )
    return prior._replace(covariance=prior.covariance + DIRECTION * outer(direction)), seen


class Conditioned(NamedTuple):
    """Gaussian weights after the observations, standardised."""

    weights: Tensor  # [B, S + P]
    intercept: Tensor  # [B]
    covariance: Tensor  # [B, S + P, S + P]
    scale: Tensor  # [B] by which all variances were wrong beforehand


def conditioned(prior: Prior, seen: Observations) -> Conditioned:
    """Gaussian conditioning; the intercept has a variance of 10."""
    gain = covaried(prior, seen.rows.transpose(1, 2))  # prior covariance of weights and observations
    factor = torch.linalg.cholesky(seen.rows @ gain + 10.0 * outer(seen.level) + torch.diag_embed(seen.noise))
    solved = torch.cholesky_solve(seen.values[:, :, None], factor)
    scale = left_out(solved[:, :, 0], factor, seen.level)
    left = torch.linalg.solve_triangular(factor, gain.transpose(1, 2), upper=False)
    every = torch.eye(gain.shape[1], dtype=gain.dtype, device=gain.device).expand(len(gain), -1, -1)
    before = covaried(prior, every)
    after = (before - left.transpose(1, 2) @ left) * scale[:, None, None]
    intercept = 10.0 * (solved[:, :, 0] * seen.level).sum(1)
    return Conditioned((gain @ solved)[:, :, 0], intercept, after, scale)


def left_out(solved: Tensor, factor: Tensor, observed: Tensor) -> Tensor:
    """Mean squared error over what was expected of it, each value predicted from all the rest, ``[B]``."""
    precision = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2)
    return ((solved.square() / precision) * observed).sum(1) / observed.sum()


def outer(vector: Tensor) -> Tensor:
    """v v' over the last dimension."""
    return vector[..., :, None] * vector[..., None, :]


def covaried(prior: Prior, right: Tensor) -> Tensor:
    """The prior covariance of all weights, singles and pairs, times ``right`` ``[B, S + P, K]``."""
    size = prior.covariance.shape[1]
    return torch.cat([prior.covariance @ right[:, :size], prior.variance[:, :, None] * right[:, size:]], 1)


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
