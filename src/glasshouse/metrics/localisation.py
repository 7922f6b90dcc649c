"""Whether the attribution lies where the evidence is.

What a metric cannot do without it names in ``needs``: "mask" is ``batch.mask`` or ``batch.regions``, "attribution" the
maps of an explainer for the class that is predicted, "right" that the prediction is right wherever models are compared.
Users' own metrics may have such a field, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.samples import batches
from ..explainers import GradCAM
from ..explainers.superpixels import chunks
from ..modes import device_of, frozen
from ..spec import require
from ..types import VOID, Batch, Explainer, Metric, Progress, Samples, silent
from .overlap import marked, overlaps, present_pairs, regions_of


def on_maps(metric: Metric) -> bool:
    """Whether a metric judges the maps of an explainer that it has to be given."""
    return "attribution" in getattr(metric, "needs", ())


def on_evidence(metric: Metric) -> bool:
    """Whether a metric has to be told where the evidence is."""
    return "mask" in getattr(metric, "needs", ())


def on_right(metric: Metric) -> bool:
    """Whether a metric compares models only on images that all of them get right."""
    return "right" in getattr(metric, "needs", ())


def maps_of(metric: Metric, batch: Batch) -> Tensor:
    """The attribution, ``[B, H, W]``; ValueError if there is none."""
    if batch.attribution is None:
        raise ValueError(f"{type(metric).__name__} needs an explainer")
    return batch.attribution


def evidence(metric: Metric, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Where the evidence is, where a pixel is to be judged, and the attribution, ``[B, H, W]`` each.

    Raises:
        ValueError: if the batch does not say where the evidence is, or has no attribution.
    """
    inside, judged = judged_evidence(metric, batch)
    return inside, judged, maps_of(metric, batch)


def judged_evidence(metric: Metric, batch: Batch) -> tuple[Tensor, Tensor]:
    """Where the evidence is and where a pixel is to be judged, ``[B, H, W]`` bool each; ValueError as above."""
    inside = foreground(batch)
    if inside is None:
        raise ValueError(f"{type(metric).__name__} needs Batch.mask or Batch.regions, and the data has none")
    judged = torch.ones_like(inside) if batch.regions is None else batch.regions != VOID
    return inside & judged, judged


def foreground(batch: Batch) -> Tensor | None:
    """The mask or, without one, where any class is, ``[B, H, W]`` bool; None where the batch does not say."""
    if batch.mask is not None or batch.regions is None:
        return batch.mask
    return batch.regions >= 0


@dataclass(frozen=True)
class MassInside:
    """Share of the positive attribution inside ``batch.mask``, in [0, 1]; higher is better.

    Arras et al., Information Fusion 2022, https://arxiv.org/abs/2003.07258 (relevance mass accuracy). A map without
    positive attribution counts as an even one: the share of pixels inside. Without a mask, the evidence is where
    ``batch.regions`` has a class; what those say is not to be judged counts neither way.

    Compares models and explainers on the same images; by chance it is the evidence's share of the image, so that
    images with large evidence score higher. Quantus divides by the sum with signs, which is another number wherever a
    map has negatives, and may be anything where they nearly cancel.

    Shape: ``[B]`` in [0, 1]; NaN for an image of which nothing is to be judged.
    Raises:
        ValueError: if the batch has neither mask nor regions, or no attribution.
    """

    needs: ClassVar[tuple[str, ...]] = ("mask", "attribution")
    family: ClassVar[str] = "localisation"
    better: ClassVar[int] = 1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        inside, judged, attribution = (t.flatten(1) for t in evidence(self, batch))
        positive = attribution.clamp_min(0).double() * judged
        positive = torch.where(positive.sum(1, keepdim=True) > 0, positive, judged.double())
        return ((positive * inside).sum(1) / positive.sum(1)).float()


@dataclass(frozen=True)
class PointingGame:
    """1 where the highest point of the attribution is inside ``batch.mask``, or ``tolerance`` pixels or less from it.

    Zhang et al., ECCV 2016, https://arxiv.org/abs/1608.00507, with 15 pixels. Of several points that are equally high
    each counts alike: the value is the share of them that hits. So a flat map has the share of pixels inside, what a
    random point is worth. Without a mask, the evidence is where ``batch.regions`` has a class; a pixel that those say
    is not to be judged is never the highest.

    Shape: ``[B]`` in [0, 1]; NaN for an image without evidence, or of which nothing is to be judged.
    Differs from the paper: the evidence is that of the image, and the map that of the predicted class; the paper asks
        for each class by itself.
    Raises:
        ValueError: if the batch has neither mask nor regions, or no attribution.
    """

    tolerance: int = 0
    needs: ClassVar[tuple[str, ...]] = ("mask", "attribution")
    family: ClassVar[str] = "localisation"
    better: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self, self.tolerance >= 0, "tolerance is at least 0")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        inside, judged, attribution = evidence(self, batch)
        height = torch.where(judged, attribution, -torch.inf).flatten(1)
        top = (height == height.amax(1, keepdim=True)) & judged.flatten(1)
        hit = (top & widened(inside, self.tolerance).flatten(1)).sum(1) / top.sum(1)
        return torch.where(inside.flatten(1).any(1), hit, torch.nan)


def widened(mask: Tensor, by: int) -> Tensor:
    """The mask and all pixels whose centres are at most ``by`` pixels from one of its own, ``[B, H, W]`` bool."""
    if by == 0:
        return mask
    away = torch.arange(-by, by + 1, device=mask.device)
    disc = (away[:, None] ** 2 + away**2 <= by**2).float()
    return F.conv2d(mask[:, None].float(), disc[None, None], padding=by)[:, 0] > 0.5


class Pairs(NamedTuple):
    """How explanations of the classes that are in an image overlap with them, a row for each image and class."""

    image: Tensor  # [P] int64, position of the image
    classes: Tensor  # [P] int64
    intersection: Tensor  # [P] int64, in pixels
    union: Tensor  # [P] int64

    @property
    def iou(self) -> Tensor:
        """Of each pair, ``[P]`` float64; their mean is the mean over pairs."""
        return self.intersection.double() / self.union


def explained(model: nn.Module, batch: Batch, explainer: Explainer) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Image, class and attribution of every pair of an image and a class that is in it, some pairs at a time.

    As many pairs as the batch has images: of so many it is known that they fit.
    """
    image, classes = present_pairs(regions_of(batch))
    for part in chunks(len(image), len(batch.x)):
        some, of = image[part], classes[part]
        yield some, of, explainer(model, batch.x[some], of).detach()


def pairs_of(model: nn.Module, batch: Batch, explainer: Explainer, threshold: float) -> Pairs:
    """The pairs of a batch.

    Raises:
        ValueError: if the batch does not say where its classes are.
    """
    regions, none = regions_of(batch), batch.y.new_zeros(0, dtype=torch.int64)
    parts = [Pairs(none, none, none, none)]
    for image, classes, maps in explained(model, batch, explainer):
        parts.append(Pairs(image, classes, *overlaps(maps, regions[image], classes, threshold)))
    return joined(parts)


def joined(parts: list[Pairs]) -> Pairs:
    """Pairs one after another."""
    return Pairs(*(torch.cat(column) for column in zip(*parts, strict=True)))


def pair_table(
    model: nn.Module,
    samples: Samples,
    explainer: Explainer,
    threshold: float = 0.5,
    *,
    batch_size: int = 64,
    progress: Progress = silent,
) -> Pairs:
    """All pairs of a split, from which to compute the mean over pairs (``table.iou.mean()``) or over classes
    (:func:`glasshouse.metrics.overlap.accumulated_iou`).

    Cost: an explanation of each class of each image.
    Raises:
        ValueError: if there are no images, or the data does not say where its classes are.
    """
    if not len(samples):
        raise ValueError("there are no images to explain")
    parts, done = [], 0
    with frozen(model):
        for batch in batches(samples, batch_size, device=device_of(model)):
            found = pairs_of(model, batch, explainer, threshold)
            parts.append(Pairs(*(t.cpu() for t in found._replace(image=found.image + done))))
            done += len(batch.x)
            progress("overlap", done, len(samples))
    return joined(parts)


@dataclass(frozen=True)
class MIoU:
    """Overlap of each class that is in an image with the attribution for it, intersection over union, the mean over
    the image's classes; higher is better. Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600

    Of a map counts what is at least ``threshold`` where its lowest value is 0 and its highest 1, negative ones cut off
    first. Where the classes are say ``batch.regions`` or, where there are none, ``batch.mask`` for the true class.

    The mean of the values is one over images; that over pairs of an image and a class is ``pair_table(...).iou``'s.

    Shape: ``[B]`` in [0, 1]; NaN for an image in which no class is anywhere.
    Cost: an explanation of each class of each image.
    Differs from the paper: which does not say over what its mean is; maps are brought to [0, 1] at the size of the
        image, not at that of the layer.
    Raises:
        ValueError: if the batch does not say where its classes are.
    """

    explainer: Explainer = GradCAM()
    threshold: float = 0.5
    needs: ClassVar[tuple[str, ...]] = ("mask",)
    family: ClassVar[str] = "localisation"
    better: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self, 0 < self.threshold <= 1, "threshold is above 0 and at most 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        pairs = pairs_of(model, batch, self.explainer, self.threshold)
        total, count = pairs.iou.new_zeros(2, len(batch.x)).unbind()
        total.index_add_(0, pairs.image, pairs.iou)
        count.index_add_(0, pairs.image, torch.ones_like(pairs.iou))
        return (total / count).float()


@dataclass(frozen=True)
class ForegroundIoU:
    """Overlap of all classes together with what the attributions for them mark together, intersection over union.

    As :class:`MIoU`, for a pixel of any class and a pixel that is marked for any: which class is where does not count.

    Shape: ``[B]`` in [0, 1]; NaN for an image in which no class is anywhere.
    Cost: an explanation of each class of each image.
    Raises:
        ValueError: if the batch does not say where its classes are.
    """

    explainer: Explainer = GradCAM()
    threshold: float = 0.5
    needs: ClassVar[tuple[str, ...]] = ("mask",)
    family: ClassVar[str] = "localisation"
    better: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self, 0 < self.threshold <= 1, "threshold is above 0 and at most 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        regions = regions_of(batch)
        times = torch.zeros_like(regions)
        for image, _, maps in explained(model, batch, self.explainer):
            times.index_add_(0, image, marked(maps, self.threshold).to(times.dtype))
        chosen, inside = (times > 0) & (regions != VOID), regions >= 0
        return (chosen & inside).sum((1, 2)) / (chosen | inside).sum((1, 2))
