"""What can be held against a superpixel: three criteria of Nayyem et al., 2024, https://arxiv.org/abs/2412.18952,
and transplantation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ..explainers import LIME
from ..explainers.gradient import input_gradient
from ..explainers.superpixels import averaged, chunks
from ..explainers.targets import log_odds
from ..modes import frozen
from ..types import Batch


def weights(model: nn.Module, batch: Batch, segments: Tensor, lime: LIME) -> Tensor:
    """LIME's beta for the true class, ``[B, S]``: above 0 it speaks for the class."""
    return lime.surrogate(model, batch.x, batch.y, segments).beta


def importance(model: nn.Module, batch: Batch, segments: Tensor, lime: LIME) -> Tensor:
    """|beta| of LIME for the true class, ``[B, S]``."""
    return weights(model, batch, segments, lime).abs()


def sensitivity(model: nn.Module, batch: Batch, segments: Tensor) -> Tensor:
    """Mean absolute gradient of the true class's probability over each superpixel, ``[B, S]``."""
    with frozen(model):
        gradient = input_gradient(model, batch.x, batch.y, probability=True)
    return averaged(gradient.abs().mean(1, keepdim=True), segments, int(segments.max()) + 1)[:, 0]


def instability(model: nn.Module, batch: Batch, segments: Tensor, lime: LIME, runs: int, sigma: float) -> Tensor:
    """Variance of LIME's beta over ``runs`` noisy copies with fresh maskings, on the same superpixels, ``[B, S]``."""
    betas = []
    for run in range(runs):
        generator = torch.Generator().manual_seed(lime.seed + run)
        noise = sigma * torch.randn(batch.x.shape[1:], generator=generator).to(batch.x.device)
        again = replace(lime, seed=lime.seed + 1 + run)
        betas.append(again.surrogate(model, (batch.x + noise).clamp(0, 1), batch.y, segments).beta)
    return torch.stack(betas).var(0)


@torch.no_grad()
def carried(
    model: nn.Module,
    batch: Batch,
    segments: Tensor,
    candidates: Tensor,
    pool: Batch,
    recipients: int,
    batch_size: int,
) -> Tensor:
    """How much of an image's evidence for its class each superpixel carries along, *whatever* it is pasted into.

    A candidate superpixel is pasted at its own place into ``recipients`` images of other classes. Its share is the
    rise of the class's log-odds there, mean less standard deviation, divided by how far the whole donor is above the
    recipients (at least one nat): 0 carries nothing for sure, 1 as much as the whole image. The deviation tells a
    shortcut from a piece of an object, whose effect depends on what stands around it.

    Shape: candidates ``[B, K]``, numbers of superpixels -> ``[B, K]``.
    Cost: K * recipients + 1 forward passes an image, and one over the pool for each batch.
    """
    hosts = other_class(batch.y, pool.y, recipients)  # [B, R]
    count = candidates.shape[1]
    donors = torch.arange(len(batch.x), device=batch.x.device)
    grid = torch.cartesian_prod(
        donors, torch.arange(count, device=donors.device), torch.arange(recipients, device=donors.device)
    )
    risen = []
    with frozen(model):
        own = log_odds(model(batch.x), batch.y)
        before = torch.cat([model(pool.x[p]) for p in chunks(len(pool.x), batch_size)])
        for part in chunks(len(grid), batch_size):
            donor, piece, turn = grid[part].unbind(1)
            host, target = hosts[donor, turn], batch.y[donor]
            region = segments[donor] == candidates[donor, piece].view(-1, 1, 1)
            pasted = torch.where(region[:, None], batch.x[donor], pool.x[host])
            risen.append(log_odds(model(pasted), target) - log_odds(before[host], target))
    rises = torch.cat(risen).view(len(donors), count, recipients)
    rise = rises.mean(2) - rises.std(2)
    target = batch.y[:, None].expand_as(hosts)
    level = log_odds(before[hosts.flatten()], target.flatten()).view(hosts.shape).mean(1)
    return rise / (own - level).clamp_min(1)[:, None]


def other_class(y: Tensor, pool: Tensor, count: int) -> Tensor:
    """For each label, positions in the pool of ``count`` samples of other labels, ``[B, count]``, spread evenly.

    Raises:
        ValueError: if the pool has a single class.
    """
    differs = y[:, None] != pool[None]
    if not differs.any(1).all():
        raise ValueError("transplanting needs images of at least two classes")
    available = differs.sum(1, keepdim=True)
    steps = torch.arange(count, device=y.device)
    # A different starting point for every donor, then even strides through the images of other classes.
    rank = (torch.arange(len(y), device=y.device)[:, None] * 7 + steps * available // count) % available
    order = differs.int().argsort(dim=1, descending=True, stable=True)
    return order.gather(1, rank)
