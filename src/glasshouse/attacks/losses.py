"""What an attack climbs: one number an image, the higher the nearer to its aim."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..labels import losses, one_class, several
from ..spec import require


@dataclass(frozen=True)
class CE:
    """Cross-entropy: away from the true class, or towards the target.

    Shape: logits ``[B, K]``, y ``[B]`` (several classes an image: ``[B, K]`` float32), target ``[B]`` or
    None -> ``[B]``.
    """

    def __call__(self, logits: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor:
        if target is None:
            return losses(logits, y)
        return -F.cross_entropy(logits, target, reduction="none")


@dataclass(frozen=True)
class Margin:
    """How far the best other class is above the true one; with a target, the target above the best other class.

    Carlini & Wagner, S&P 2017, https://arxiv.org/abs/1608.04644. Above 0 exactly where the aim is reached. With several
    classes an image, how far the best that is not there is above the best that is.

    Shape: logits ``[B, K]``, y ``[B]`` (several classes an image: ``[B, K]`` float32), target ``[B]`` or
    None -> ``[B]``.
    """

    def __call__(self, logits: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor:
        if target is None and several(y):
            return best_of(logits, y <= 0) - best_of(logits, y > 0)
        chosen = y if target is None else target
        margin = best_other(logits, chosen) - at(logits, chosen)
        return margin if target is None else -margin


@dataclass(frozen=True)
class DLR:
    """Difference of logits ratio. Croce & Hein, ICML 2020, https://arxiv.org/abs/2003.01690

    The margin over the gap between the best and the third logit, or, with a target, between the best and the mean of
    the third and fourth. It does not change when all logits are scaled.

    Shape: logits ``[B, K]``, y ``[B]``, target ``[B]`` or None -> ``[B]``.
    Differs from the paper: with two classes, and with three where there is a target, the ratio could be constant, and
    it is the margin alone.
    Raises:
        ValueError: if labels name several classes an image.
    """

    def __call__(self, logits: Tensor, y: Tensor, target: Tensor | None = None) -> Tensor:
        y = one_class(y, self)
        margin = best_other(logits, y) - at(logits, y) if target is None else at(logits, target) - at(logits, y)
        classes = logits.shape[1]
        if classes == 2 or (classes == 3 and target is not None):
            return margin
        top = logits.topk(min(classes, 3 if target is None else 4), dim=1).values
        return margin / (top[:, 0] - top[:, 2:].mean(1)).clamp_min(1e-12)


def at(logits: Tensor, classes: Tensor) -> Tensor:
    """The logit of one class of each image, ``[B]``."""
    return logits.gather(1, classes[:, None])[:, 0]


def best_other(logits: Tensor, classes: Tensor) -> Tensor:
    """The largest logit of any other class, ``[B]``."""
    return logits.scatter(1, classes[:, None], -torch.inf).amax(1)


def best_of(logits: Tensor, chosen: Tensor) -> Tensor:
    """The largest logit of the chosen classes ``[B, K]`` of each image, -inf where there is none, ``[B]``."""
    return logits.masked_fill(~chosen, -torch.inf).amax(1)


@dataclass(frozen=True)
class Ranked:
    """The target of that rank among the other classes of the untouched image: 1 the most probable, -1 the least.

    Shape: logits ``[B, K]``, y ``[B]`` -> ``[B]`` int64.
    Raises:
        ValueError: if there are not as many other classes, or labels name several classes an image.
    """

    rank: int = 1

    def __post_init__(self) -> None:
        require(self, self.rank != 0, "rank is 1 (most probable) or more, or -1 (least) or less")

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        others = logits.shape[1] - 1
        if abs(self.rank) > others:
            raise ValueError(f"{self!r} needs {abs(self.rank)} other classes, and the model has {others}")
        order = logits.scatter(1, one_class(y, self)[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)
        return order[:, self.rank - 1 if self.rank > 0 else others + self.rank]


@dataclass(frozen=True)
class Label:
    """The same target for every image.

    Shape: logits ``[B, K]``, y ``[B]`` -> ``[B]`` int64.
    Raises:
        ValueError: if the model has no such class, or labels name several classes an image.
    """

    label: int = 0

    def __post_init__(self) -> None:
        require(self, self.label >= 0, "label is at least 0")

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        if self.label >= logits.shape[1]:
            raise ValueError(f"{self!r} is none of the model's {logits.shape[1]} classes")
        return torch.full_like(one_class(y, self), self.label)
