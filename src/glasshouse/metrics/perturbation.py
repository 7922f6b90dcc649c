"""Where a perturbation lies and how it relates to relevance, as formulas of maps ``[B, H, W]``; no model takes part.

Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, claim that their perturbations explain themselves
and measure nothing of it. Values are per image, and NaN where a map of zeros leaves nothing to measure.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from .fooling import rank_correlation

# A change is known to what float32 rounds, which hangs on how bright the pixel is: an attack that moves all pixels
# alike would seem to move the bright ones most. 4096 parts of a step of 8 bits keep all but that.
RESOLUTION = 255 * 4096


def perturbation(x: Tensor, x_adv: Tensor) -> Tensor:
    """|x_adv - x| summed over channels, ``[B, C, H, W]`` twice -> ``[B, H, W]``, to about 1e-6: pixels that were moved
    alike have the same value."""
    return ((x_adv - x).abs() * RESOLUTION).round().sum(1) / RESOLUTION


def shares(amount: Tensor) -> Tensor:
    """|map| as shares of its sum over each image, ``[B, N]`` float64; NaN where all is 0."""
    size = amount.flatten(1).double().abs()
    size = size / size.amax(1, keepdim=True)  # sums of what is tiny would be 0
    return size / size.sum(1, keepdim=True)


def gini(amount: Tensor) -> Tensor:
    """Gini index of |map| (Hurley & Rickard, IEEE Trans. Inf. Theory 2009, https://arxiv.org/abs/0811.4706), ``[B]``:
    0 where all N pixels are equal, 1 - 1/N where one has all."""
    return gini_of(shares(amount)).to(amount.dtype)


def gini_of(share: Tensor) -> Tensor:
    """The same of shares ``[B, N]``."""
    ordered = share.sort(dim=1).values
    count = ordered.shape[1]
    weights = 2 * torch.arange(1, count + 1, device=ordered.device, dtype=ordered.dtype) - count - 1
    return ordered @ weights / count


def entropy(amount: Tensor) -> Tensor:
    """Shannon entropy of |map| as a share of the highest possible, ``[B]``: 1 where all pixels are equal, 0 where one
    has all."""
    share = shares(amount)
    return (torch.special.entr(share).sum(1) / log(share.shape[1])).to(amount.dtype)


def inside(amount: Tensor, mask: Tensor) -> Tensor:
    """Share of |map| inside a mask ``[B, H, W]`` bool, ``[B]`` in [0, 1]; that of an even map is the mask's area."""
    return (shares(amount) * mask.flatten(1)).sum(1).to(amount.dtype)


def top_weights(amount: Tensor, share: float) -> Tensor:
    """How far each pixel belongs to the ``share`` that is highest, ``[B, N]`` float64 in [0, 1], a whole number in sum.

    Pixels that are equal share the places that are left, as if lots were drawn: a map of equal values has no top.
    """
    flat = amount.flatten(1)
    places = max(1, round(share * flat.shape[1]))
    edge = flat.topk(places, dim=1).values[:, -1:]
    above, level = flat > edge, flat == edge
    left = places - above.sum(1, keepdim=True)
    return above.double() + level * (left.double() / level.sum(1, keepdim=True))


def overlap(delta: Tensor, relevance: Tensor, share: float) -> Tensor:
    """Of the ``share`` of pixels that a perturbation changes most, the share that has the highest positive relevance,
    too: ``[B]`` in [0, 1], ``share`` by chance. Among equals lots are drawn: the value is the mean over all draws."""
    size, positive = delta.abs(), relevance.clamp_min(0)
    first, second = (top_weights(t, share) for t in (size, positive))
    return known(((first * second).sum(1) / first.sum(1)).to(delta.dtype), size, positive)


def rank(delta: Tensor, relevance: Tensor) -> Tensor:
    """Spearman's correlation of |perturbation| and positive relevance over the pixels, ``[B]`` in [-1, 1], 0 by chance;
    NaN where all pixels of one of them are equal."""
    return rank_correlation(delta.abs(), relevance.clamp_min(0))


def moved(before: Tensor, after: Tensor) -> Tensor:
    """Share of the relevance that lies elsewhere after an attack, ``[B]`` in [0, 1]: half the L1 distance of the maps,
    |R| in sum 1 each. How much relevance there is in all, and its sign, do not count."""
    return ((shares(before) - shares(after)).abs().sum(1) / 2).to(before.dtype)


def relevance_shift(before: Tensor, after: Tensor, delta: Tensor, share: float) -> Tensor:
    """Of what changed in the relevance (as :func:`moved` counts it, gains like losses), the share that lies on the
    ``share`` of pixels that were perturbed most: ``[B]`` in [0, 1], ``share`` by chance; NaN where nothing moved."""
    change = (shares(before) - shares(after)).abs()
    found = (change * top_weights(delta.abs(), share)).sum(1) / change.sum(1)
    return known(found.to(before.dtype), delta)


def known(values: Tensor, *maps: Tensor) -> Tensor:
    """Values, NaN where one of the maps is 0 everywhere."""
    empty = torch.stack([(t == 0).flatten(1).all(1) for t in maps]).any(0)
    return values.masked_fill(empty, torch.nan)
