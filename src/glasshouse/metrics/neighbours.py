"""Images near an image, and what the model and its explainers say of them: found once, whichever metric asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..draws import draws
from ..explainers.superpixels import blocks
from ..spec import require
from ..types import Explainer
from .verdicts import Verdicts, logits_of

KINDS = ("uniform", "normal")


@dataclass(frozen=True)
class Neighbours:
    """``copies`` of each image with noise on every pixel, kept to [0, 1].

    ``kind`` "uniform" is noise from -``size`` to ``size``, points of an L-infinity ball; "normal" has ``size`` as its
    standard deviation. Sizes are on the pixel scale [0, 1], whatever the model does to its input first: 0.02 is 5 of
    255 steps. Each image draws its own noise, the same one whoever shares its batch (:mod:`glasshouse.draws`).

    Shape: x ``[B, C, H, W]`` in [0, 1] -> ``[copies, B, C, H, W]`` like x.
    """

    kind: str = "uniform"
    size: float = 0.02
    copies: int = 10

    def __post_init__(self) -> None:
        require(self, self.kind in KINDS, f"kind is one of: {', '.join(KINDS)}")
        require(self, self.size > 0, "size is above 0")
        require(self, self.copies >= 1, "copies is at least 1")

    def __call__(self, x: Tensor) -> Tensor:
        stream, shape = draws(x), (self.copies, *x.shape[1:])
        noise = stream.uniform(*shape).mul_(2).sub_(1) if self.kind == "uniform" else stream.normal(*shape)
        return (x.detach() + self.size * noise.transpose(0, 1).to(x)).clamp_(0, 1)


def near(verdicts: Verdicts, around: Neighbours) -> Tensor:
    """The neighbours of a batch, ``[N, B, C, H, W]``.

    With the verdicts' seed they are those that ``around(x)`` gives in :func:`glasshouse.draws.seeded_globally` with
    that seed and 0.
    """
    return verdicts.once((near, around), lambda: around(verdicts.batch.x))


def near_maps(verdicts: Verdicts, around: Neighbours, explainer: Explainer) -> Tensor:
    """Attributions of the neighbours for the class predicted of the untouched image, ``[N, B, H, W]``."""

    def explain(x: Tensor, images: slice) -> Tensor:
        target = verdicts.predicted[images]
        return explainer(verdicts.model, x, target.repeat(len(x) // len(target))).detach()

    return verdicts.once((near_maps, around, explainer), lambda: of_copies(near(verdicts, around), explain))


def near_logits(verdicts: Verdicts, around: Neighbours) -> Tensor:
    """Logits of the neighbours, ``[N, B, classes]``."""

    def find() -> Tensor:
        return of_copies(near(verdicts, around), lambda x, images: logits_of(verdicts.model, x))

    return verdicts.once((near_logits, around), find)


def of_copies(copies: Tensor, run: Callable[[Tensor, slice], Tensor]) -> Tensor:
    """What ``run`` gives of all copies ``[N, B, C, H, W]``, ``[N, B, ...]``. As many as suit the device run at once;
    ``run`` is told of which images they are copies, one copy of all of these after another."""
    columns = []
    for images, groups in blocks(copies[0], len(copies), 0):
        found = torch.cat([run(copies[group, images].flatten(0, 1), images) for group in groups])
        columns.append(found.view(len(copies), -1, *found.shape[1:]))
    return torch.cat(columns, 1)


def largest(values: Tensor, counted: Tensor) -> Tensor:
    """The largest of the values ``[N, B]`` that count, ``[B]``; NaN where none does."""
    counted = counted & ~values.isnan()
    return values.masked_fill(~counted, -torch.inf).amax(0).masked_fill(~counted.any(0), torch.nan)
