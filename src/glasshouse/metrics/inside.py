"""Whether what an attribution holds for highest lies where the evidence is, and how much of it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..types import Batch
from .localisation import evidence


@dataclass(frozen=True)
class RankInside:
    """Of the K pixels with the highest attribution, the share that is inside ``batch.mask``, where K is how many are
    inside. Arras et al., Information Fusion 2022, https://arxiv.org/abs/2003.07258 (relevance rank accuracy)

    Higher is better, and 1 where the evidence is higher than all the rest. It sees the order of the pixels alone, and
    so compares models and explainers whatever their scales; by chance it is the evidence's share of the image, so that
    images with large evidence score higher. Of pixels that are equal at the K-th place each counts alike, as if lots
    were drawn: a flat map is worth what chance is. Coarse maps are at an advantage where the evidence is one blob.

    Without a mask, the evidence is where ``batch.regions`` has a class; what those say is not to be judged is never
    among the highest.

    Shape: ``[B]`` in [0, 1]; NaN for an image without evidence.
    Cost: no pass through the model.
    Raises:
        ValueError: if the batch has neither mask nor regions, or no attribution.
    """

    needs: ClassVar[tuple[str, ...]] = ("mask", "attribution")
    family: ClassVar[str] = "localisation"
    better: ClassVar[int] = 1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        inside, judged, attribution = evidence(self, batch)
        height = torch.where(judged, attribution, -torch.inf).flatten(1)
        places = inside.flatten(1).sum(1, keepdim=True)
        chosen = highest(height, places)
        return ((chosen * inside.flatten(1)).sum(1) / places[:, 0]).float()


def highest(height: Tensor, places: Tensor) -> Tensor:
    """How far each pixel ``[B, N]`` belongs to as many as are highest as there are ``places`` ``[B, 1]`` in its image:
    float64 in [0, 1], ``places`` in sum. Equal ones share the places that are left."""
    edge = height.sort(dim=1, descending=True).values.gather(1, (places - 1).clamp_min(0))
    above, level = height > edge, height == edge
    left = places - above.sum(1, keepdim=True)
    return above.double() + level * (left.double() / level.sum(1, keepdim=True))


@dataclass(frozen=True)
class EnergyInside:
    """Share of a map's energy inside the bounding box of the evidence, the map stretched to [0, 1] in each image
    (energy-based pointing game). Wang et al., CVPR workshops 2020, https://arxiv.org/abs/1910.01279

    Higher is better; without ``box`` inside the evidence itself. It compares models and explainers whose maps are alike
    in kind: since the lowest pixel counts 0, no attribution at all is worth something wherever a map has negatives,
    and a map of both signs has about what chance has, the share of the image that the box takes.
    :class:`MassInside` cuts negatives off instead. A flat map has what chance has.

    Of several objects the box holds all. Without a mask, the evidence is where ``batch.regions`` has a class; what
    those say is not to be judged counts neither way.

    Shape: ``[B]`` in [0, 1]; NaN for an image without evidence.
    Cost: no pass through the model.
    Raises:
        ValueError: if the batch has neither mask nor regions, or no attribution.
    """

    box: bool = True
    needs: ClassVar[tuple[str, ...]] = ("mask", "attribution")
    family: ClassVar[str] = "localisation"
    better: ClassVar[int] = 1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        inside, judged, attribution = evidence(self, batch)
        within = boxed(inside) if self.box else inside
        energy, within = above_lowest(attribution, judged), within.flatten(1)
        share = (energy * within).sum(1) / energy.sum(1)
        return torch.where(inside.flatten(1).any(1), share, torch.nan).float()


def above_lowest(attribution: Tensor, judged: Tensor) -> Tensor:
    """Each map less its lowest pixel, of those that are judged, and 0 elsewhere: ``[B, N]`` float64, 1 where a map is
    flat. Shares of it are those of the map stretched to [0, 1]."""
    maps, judged = attribution.flatten(1).double(), judged.flatten(1)
    lowest = torch.where(judged, maps, torch.inf).amin(1, keepdim=True)
    energy = torch.where(judged, maps - lowest, 0.0)
    return torch.where(energy.any(1, keepdim=True), energy, judged.double())


def boxed(mask: Tensor) -> Tensor:
    """The smallest upright box that holds each mask, ``[B, H, W]`` bool; nothing for an empty one."""
    rows, columns = (between(mask.any(dim)) for dim in (2, 1))
    return rows[:, :, None] & columns[:, None, :]


def between(marked: Tensor) -> Tensor:
    """From the first to the last that is marked, ``[B, N]`` bool."""
    count = marked.cumsum(1)
    return (count > 0) & ((count < count[:, -1:]) | marked)
