"""Explanations that look right and are not: they follow the picture, and the decision does not rest on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..explainers import EdgeMap, ImageMeanFill, InputGradient, OfRandomisedModel, RandomMap
from ..explainers.superpixels import backdrop
from ..explainers.targets import target_score
from ..metrics.fooling import rank_correlation
from ..metrics.perturbation import top_weights
from ..metrics.verdicts import logits_of
from ..modes import frozen
from ..types import Batch
from .robustness_found import Scene

SHARE = 0.3  # of the pixels that are taken away


class Look(NamedTuple):
    """What is known of a map of each image, ``[B]`` each."""

    plausible: Tensor  # rank correlation with the edges of the picture
    sure: Tensor  # probability of the class that is explained
    without: Tensor  # the same without the pixels that the map marks most
    at_random: Tensor  # the same without as many drawn by lot
    stands: Tensor  # whether the class is the same without what is marked


def misleading(model: nn.Module, batch: Batch, classes: Sequence[str], name: str, count: int) -> tuple[Scene, ...]:
    """Of the images whose class stands without the pixels that the map marks, as surely as without random ones, those
    whose map follows the edges of the picture most; fewer than ``count`` where there are no more."""
    with frozen(model):
        with torch.no_grad():
            target = model(batch.x).argmax(1)
        maps = InputGradient()(model, batch.x, target).abs()
        edges, other = (e(model, batch.x, target) for e in (EdgeMap(), OfRandomisedModel(explainer=InputGradient())))
        look = looked(model, batch.x, target, maps, edges)
    held = (look.stands & (look.without >= look.at_random) & (look.plausible > 0)).nonzero()[:, 0]
    chosen = held[look.plausible[held].argsort(descending=True)][:count].tolist()
    return tuple(
        Scene(
            batch.x[i].cpu(),
            {name: maps[i].cpu(), "edges of the picture": edges[i].cpu(), "random weights": other[i].abs().cpu()},
            classes[int(target[i])],
            told(look, i),
        )
        for i in chosen
    )


def looked(model: nn.Module, x: Tensor, target: Tensor, maps: Tensor, edges: Tensor) -> Look:
    """How plausible a map is, and what becomes of the decision without what it marks."""
    lots = RandomMap()(model, x, target)
    logits = [logits_of(model, seen) for seen in (x, cleared(x, maps), cleared(x, lots))]
    sure, without, at_random = (target_score(seen, target, probability=True) for seen in logits)
    return Look(rank_correlation(maps, edges), sure, without, at_random, logits[1].argmax(1) == target)


def cleared(x: Tensor, maps: Tensor) -> Tensor:
    """The images with the mean colour in the place of the pixels that a map marks most."""
    top = top_weights(maps, SHARE).view_as(maps)[:, None] > 0.5
    return torch.where(top, backdrop(ImageMeanFill(), x), x)


def told(look: Look, i: int) -> str:
    """What is known against a map."""
    plausible, sure, without, at_random, _ = (float(values[i]) for values in look)
    return (
        f"rank correlation with the edges {plausible:.2f}; sure to {100 * sure:.0f} %, without the {100 * SHARE:.0f} %"
        f" of pixels that it marks most to {100 * without:.0f} %, without as many drawn by lot to"
        f" {100 * at_random:.0f} %"
    )
