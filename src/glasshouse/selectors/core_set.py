"""Samples that leave none far away. Sener & Savarese, ICLR 2018, https://arxiv.org/abs/1708.00489"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..data.samples import permuted
from ..explainers.layers import chosen_layer, feature_map, seen
from ..modes import device_of
from ..types import Batch, Samples, Selection
from .unchosen import measured, unchosen

_BLOCK = 64  # chosen samples whose distances are taken at once


def pooled(layer: str, model: nn.Module, batch: Batch) -> Tensor:
    """The mean over the image of what ``layer`` gives, ``[B, K]``."""
    first = torch.zeros(len(batch.x), dtype=torch.int64, device=batch.x.device)
    return feature_map(seen(model, layer, batch.x, first).output, layer, batch.x).mean((2, 3))


def nearest(features: Tensor, to: Tensor) -> Tensor:
    """Distance of each of the features ``[N, K]`` to the nearest of ``to`` ``[n, K]``; exactly 0 if it is the same."""
    return torch.cdist(features, to, compute_mode="donot_use_mm_for_euclid_dist").amin(1)


def centres(features: Tensor, chosen: Tensor, count: int) -> Tensor:
    """Greedy k-centre: ``count`` times the sample that is farthest from its nearest centre becomes one, ``[count]``.

    Shape: features ``[N, K]``, chosen ``[n]`` with n at least 1: the centres that there are.
    """
    distance = features.new_full((len(features),), torch.inf)
    for block in torch.split(features[chosen], _BLOCK):
        distance = distance.fmin(nearest(features, block))
    distance[chosen] = -1
    found = torch.empty(count, dtype=torch.int64, device=features.device)
    for i in range(count):
        found[i] = farthest = distance.argmax()
        distance = distance.fmin(nearest(features, features[farthest][None]))
        distance[farthest] = -1
    return found


@dataclass(frozen=True)
class CoreSet:
    """Greedy k-centre in the space of features: each time the sample that is farthest from all that are chosen. Sener &
    Savarese, ICLR 2018, https://arxiv.org/abs/1708.00489

    Features are the mean over the image of what ``layer`` gives; without a name it is the last layer that has a feature
    map, which the head reads. Labels are not used. If nothing is chosen yet, the first is any, by the seed.

    Shape: positions ``[count]`` int64, or all that are left, in the order in which they were found.
    Cost: a forward pass over all samples, and the distances from each to every centre; one ``[N]`` vector of these is
    kept.
    Differs from the paper: the greedy solution alone, without the integer programme that begins with it.
    Raises:
        ValueError: if there is no such layer or feature map, ``count`` is below 1, or a chosen position is none of the
            samples.
    """

    layer: str = ""

    def __call__(self, model: nn.Module, samples: Samples, chosen: Tensor, count: int, seed: int) -> Selection:
        left = unchosen(samples, chosen, count)
        count = min(count, len(left))
        first = left[:0] if len(chosen) else left[permuted(len(left), seed)[:1]]
        if not count:
            return Selection(left)
        layer = chosen_layer(model, samples[[0]].x.to(device_of(model)), self.layer)
        features = measured(model, samples, torch.arange(len(samples)), partial(pooled, layer), seed)
        features = features.to(device_of(model))
        known = torch.cat([chosen.to(first.device), first]).to(features.device)
        found = centres(features, known, count - len(first)).cpu()
        return Selection(torch.cat([first, found]))
