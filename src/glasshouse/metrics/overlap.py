"""How far what an explanation marks and what a class covers are the same pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..types import NOWHERE, VOID, Batch


class Overlap(NamedTuple):
    """Pixels of each pair of a map and a class."""

    intersection: Tensor  # [P] int64, marked and of the class
    union: Tensor  # [P] int64, marked or of the class


def marked(maps: Tensor, threshold: float) -> Tensor:
    """Where the positive part of each map, its lowest value at 0 and its highest at 1, is at least ``threshold``.

    A map that is flat marks nothing.

    Shape: ``[P, H, W]`` -> ``[P, H, W]`` bool.
    """
    positive = maps.clamp_min(0)
    lowest, highest = positive.amin((1, 2), keepdim=True), positive.amax((1, 2), keepdim=True)
    # Divided rather than multiplied out: threshold 1 has to keep the highest pixel whatever is rounded.
    return ((positive - lowest) / (highest - lowest) >= threshold) & (highest > lowest)


def overlaps(maps: Tensor, regions: Tensor, classes: Tensor, threshold: float = 0.5) -> Overlap:
    """Pixels that a map marks and that are of a class; those that are not to be judged count as neither.

    Shape: maps ``[P, H, W]``, regions ``[P, H, W]`` of each map's own image, classes ``[P]`` -> ``[P]`` twice.
    """
    chosen, inside = marked(maps, threshold) & (regions != VOID), regions == classes[:, None, None]
    return Overlap((chosen & inside).sum((1, 2)), (chosen | inside).sum((1, 2)))


def regions_of(batch: Batch) -> Tensor:
    """``batch.regions``; where there are none, the mask as the region of the true class: ``[B, H, W]`` int64.

    Raises:
        ValueError: if the batch has neither, or a mask of labels that name several classes.
    """
    if batch.regions is not None:
        return batch.regions
    if batch.mask is None:
        raise ValueError("to say where a class is needs Batch.regions or Batch.mask, and the data has neither")
    if batch.y.ndim != 1:
        raise ValueError("with several classes an image, only Batch.regions says where each is, and the data has none")
    return torch.where(batch.mask, batch.y[:, None, None], NOWHERE)


def present_pairs(regions: Tensor) -> tuple[Tensor, Tensor]:
    """Image and class of every pair of an image and a class that is somewhere in it, image by image.

    Shape: regions ``[B, H, W]`` int64 -> two of ``[P]`` int64.
    """
    there = regions.flatten(1).clamp_min(-1) + 1  # what is of no class in front
    present = torch.zeros(len(there), int(there.max()) + 1, dtype=torch.bool, device=there.device)
    image, classes = present.scatter_(1, there, True)[:, 1:].nonzero(as_tuple=True)
    return image, classes


def class_ious(classes: Tensor, intersection: Tensor, union: Tensor) -> Tensor:
    """IoU of each class over all its pixels together, ``[K]`` float64, NaN for a class that never occurs.

    Everingham et al., IJCV 2010, https://doi.org/10.1007/s11263-009-0275-4 (segmentation accuracy), but for images
    without the class: nobody asks for its map there, so that nothing marked there counts against it.

    Shape: ``[P]`` three times, a row for each pair of an image and a class -> ``[K]``, K the highest class + 1.
    """
    above, below = (torch.bincount(classes, t.double()) for t in (intersection, union))
    return above / below


def accumulated_iou(classes: Tensor, intersection: Tensor, union: Tensor) -> float:
    """The mean of :func:`class_ious` over the classes that occur."""
    return float(class_ious(classes, intersection, union).nanmean())
