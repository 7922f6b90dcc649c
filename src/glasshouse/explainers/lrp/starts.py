"""What relevance starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..targets import checked_target


class Start(Protocol):
    """Logits ``[B, K]`` and targets ``[B, T]`` -> relevance at each target ``[B, T]``; all other logits have none."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class OneHot:
    """1 for every target, as in eq. (3) of Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906.

    With rules that conserve, all maps then sum to 1 whatever the logits are.
    """

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return torch.ones_like(logits.gather(1, targets))


@dataclass(frozen=True)
class Logit:
    """The logit itself (Bach et al., 2015, https://doi.org/10.1371/journal.pone.0130140)."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.gather(1, targets)


@dataclass(frozen=True)
class Probability:
    """The softmax probability: how much of the decision went to the target."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.softmax(1).gather(1, targets)


def checked_targets(logits: Tensor, targets: Tensor) -> Tensor:
    """``targets`` themselves, where each is a class of the model, ``[B, T]``; ValueError otherwise."""
    if targets.ndim != 2 or not targets.shape[1]:
        raise ValueError(f"targets are [B, T], at least one for each image, not {tuple(targets.shape)}")
    for column in targets.unbind(1):
        checked_target(logits, column)
    return targets


def at_targets(values: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Values ``[B, T]`` at their classes and 0 elsewhere, ``[B, T, K]``."""
    empty = values.new_zeros(*values.shape, classes)
    return empty.scatter(2, targets[:, :, None], values[:, :, None])
