"""What networks trained with explanation consistency and otherwise came to: values over seeds and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..data.samples import batches
from ..explainers import FilterMap, GradCAM
from ..labels import indicators
from ..metrics import Accuracy
from ..metrics.inconsistency import unit
from ..metrics.joint import joint_curves
from ..metrics.multilabel import average_precision
from ..metrics.overlap import accumulated_iou, present_pairs, regions_of
from ..modes import device_of
from ..objectives import Compositional
from ..objectives.compositional import filter_groups
from ..statistics import Estimate
from ..types import VOID, Metric, Samples
from . import consistency_ways as ways
from .gains import Gain, Spread, gain, spread

if TYPE_CHECKING:
    from .explanation_consistency import Compared


GROUPED, GROUPS = 5, 3  # images, and groups of each network, that are drawn


class Scene(NamedTuple):
    """A test image, and where each network looks for what it predicts."""

    x: Tensor  # [3, H, W]
    caption: str
    maps: dict[str, tuple[Tensor, str]]  # way: [H, W] in [0, 1], the class predicted


class Seen(NamedTuple):
    """One way under one seed, as plain values."""

    values: dict[str, Tensor]  # metric: [N]
    scores: dict[str, Tensor]  # logits and labels of the test images
    pairs: dict[str, Tensor]  # overlaps of Grad-CAM with classes; empty without regions
    moved: dict[str, Tensor]  # accuracy before other backgrounds; empty without masks
    log: list[dict[str, float]]  # how the weights were distributed, each time


class Bout(NamedTuple):
    """One network in all ways, under all seeds."""

    compared: Compared
    seen: tuple[dict[str, Seen], ...]
    counts: tuple[int, int, int]  # training images, test images, classes
    scenes: list[Scene]
    filters: tuple[Scene, ...] = ()  # what groups of filters see, in networks that have such groups
    floor: float = float("nan")  # mIoU of a map that marks the whole image; NaN without regions

    @property
    def names(self) -> list[str]:
        """The ways."""
        return list(self.seen[0])

    def table(self, way: str, metric: Metric, moved: bool = False) -> Tensor | None:
        """Values ``[seeds, N]``, None if that was not measured."""
        rows = [(run[way].moved if moved else run[way].values).get(repr(metric)) for run in self.seen if way in run]
        known = [row.double() for row in rows if row is not None]
        return torch.stack(known) if known and len(known) == len(rows) else None

    def spread(self, way: str, metric: Metric, moved: bool = False) -> Spread | None:
        """Mean and interval, None if that was not measured."""
        values = self.table(way, metric, moved)
        return None if values is None else spread(values)

    def gain(self, way: str, other: str, metric: Metric, moved: bool = False) -> Gain | None:
        """One way against another, None if one of them was not measured."""
        own, rival = (self.table(name, metric, moved) for name in (way, other))
        return None if own is None or rival is None else gain(own, rival)

    def precision(self, way: str) -> list[float]:
        """mAP under each seed, over the classes that occur."""
        found = []
        for run in self.seen:
            logits, y = run[way].scores["logits"], run[way].scores["y"]
            found.append(float(average_precision(logits, indicators(y, logits.shape[1])).nanmean()))
        return found

    def over_pairs(self, way: str) -> tuple[list[float], list[float]]:
        """mIoU of Grad-CAM under each seed, over pairs of an image and a class, and over classes."""
        pairs = [run[way].pairs for run in self.seen if run[way].pairs]
        ious = [float((p["intersection"].double() / p["union"]).mean()) for p in pairs]
        return ious, [accumulated_iou(p["classes"], p["intersection"], p["union"]) for p in pairs]

    def curves(self) -> dict[str, list[tuple[float, Estimate]]]:
        """Accuracy against eps on the images that all of these ways get right, under the first seed."""
        metrics = [ways.fgsm(eps) for eps in self.compared.eps]
        values = {
            name: seen.values
            for name, seen in self.seen[0].items()
            if all(repr(m) in seen.values for m in (Accuracy(), *metrics))
        }
        return joint_curves(values, metrics) if len(values) > 1 and metrics else {}

    def standing(self, *names: str) -> dict[str, Tensor]:
        """The share of all eps of FGSM under which images stand, ``[seeds, N]`` of each way; NaN for images that one
        of these gets wrong without attack. Empty if something was not measured."""
        metrics = (ways.CLEAN, *(ways.fgsm(eps) for eps in self.compared.eps))
        tables = {name: [t for m in metrics if (t := self.table(name, m)) is not None] for name in names}
        if len(metrics) < 2 or any(len(found) < len(metrics) for found in tables.values()):
            return {}
        right = torch.stack([clean > 0 for clean, *_ in tables.values()]).all(0)
        return {name: torch.where(right, torch.stack(t).mean(0), torch.nan) for name, (_, *t) in tables.items()}

    def counting(self, way: str) -> list[list[tuple[float, float]]]:
        """The share of samples that count, after each reweighting, under each seed; nothing of a way that is none."""
        logs = [run[way].log for run in self.seen if way in run]
        return [[(row["epoch"] + 1, row["weight_effective"]) for row in log] for log in logs]


def effective(b: Bout, way: str) -> float:
    """The mean over seeds of the share of samples that count at the end; NaN where there was no reweighting."""
    ends = [run[-1][1] for run in b.counting(way) if run]
    return float(np.mean(ends)) if ends else float("nan")


def histogram(b: Bout, way: str) -> list[float]:
    """Mean share of samples in each tenth of [0, 1] after the last reweighting; empty where there was none."""
    rows = [run[way].log[-1] for run in b.seen if run[way].log]
    if not rows:
        return []
    return [float(np.mean([row[f"weight_{i}"] for row in rows])) for i in range(10)]


def floor_of(samples: Samples) -> float:
    """The mIoU of maps that mark every pixel; NaN without regions.

    That of an image is the share of its pixels that are of any class, over the number of its classes.
    """
    found = []
    for batch in batches(samples, 128):
        if batch.regions is None and batch.mask is None:
            return float("nan")
        regions = regions_of(batch)
        classes = present_pairs(regions)[0].bincount(minlength=len(regions))
        found.append((regions >= 0).sum((1, 2)).double() / (regions != VOID).sum((1, 2)) / classes)
    return float(torch.cat(found).nanmean())


def scenes(networks: Mapping[str, nn.Module], samples: Samples, count: int) -> list[Scene]:
    """Test images from all over the split under Grad-CAM of the class that each network predicts."""
    if not count or not networks:
        return []
    picked = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int).tolist()
    batch = samples[picked]
    maps: dict[str, list[tuple[Tensor, str]]] = {}
    for name, model in networks.items():
        x = batch.x.to(device_of(model))
        with torch.no_grad():
            predicted = model(x).argmax(1)
        looks = unit(GradCAM()(model, x, predicted)).cpu()
        maps[name] = [(m, samples.classes[int(k)]) for m, k in zip(looks, predicted, strict=True)]
    there = indicators(batch.y, len(samples.classes)) > 0
    captions = [", ".join(samples.classes[int(k)] for k in row.nonzero()[:, 0]) for row in there]
    return [Scene(x, captions[i], {name: found[i] for name, found in maps.items()}) for i, x in enumerate(batch.x)]


def filter_scenes(networks: Mapping[str, tuple[nn.Module, Compositional]], samples: Samples) -> tuple[Scene, ...]:
    """The same images under the maps of some groups of filters of each network."""
    if not networks:
        return ()
    picked = np.linspace(0, len(samples) - 1, min(GROUPED, len(samples))).round().astype(int).tolist()
    batch = samples[picked]
    maps: dict[str, Tensor] = {}
    for name, (model, objective) in networks.items():
        x = batch.x.to(device_of(model))
        largest = sorted(filter_groups(objective), key=len, reverse=True)[:GROUPS]
        for i, group in enumerate(largest, start=1):
            explain = FilterMap(layer=objective.layer, filters=group)
            none = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # the class does not matter
            maps[f"{name}: group {i}"] = unit(explain(model, x, none)).cpu()
    return tuple(Scene(x, "", {name: (m[i], "") for name, m in maps.items()}) for i, x in enumerate(batch.x))
