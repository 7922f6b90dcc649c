"""The steps of a training: optimizers, and schedules of their learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import nn

from .spec import require


class Optimizer(Protocol):
    """``optimizer(parameters)`` is one of torch's."""

    @property
    def lr(self) -> float: ...

    def __call__(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer: ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with Nesterov momentum."""

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        require(self, self.lr > 0, "lr is above 0")

    def __call__(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.momentum > 0
        )


@dataclass(frozen=True)
class Adam:
    """AdamW. Loshchilov & Hutter, ICLR 2019, https://arxiv.org/abs/1711.05101"""

    lr: float = 1e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        require(self, self.lr > 0, "lr is above 0")

    def __call__(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, self.lr, weight_decay=self.weight_decay)


class Schedule(Protocol):
    """The share of the learning rate at a moment: 2.5 is the middle of the third epoch."""

    def __call__(self, epoch: float, epochs: int) -> float: ...


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to 0 over all epochs. Loshchilov & Hutter, ICLR 2017, https://arxiv.org/abs/1608.03983"""

    def __call__(self, epoch: float, epochs: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


@dataclass(frozen=True)
class Steps:
    """1 to begin with, and times ``factor`` after each of so many epochs as ``at`` says."""

    at: tuple[int, ...] = (100, 105)
    factor: float = 0.1

    def __post_init__(self) -> None:
        require(self, all(a < b for a, b in pairwise((0, *self.at))), "at rises, and begins with 1 or more")
        require(self, self.factor > 0, "factor is above 0")

    def __call__(self, epoch: float, epochs: int) -> float:
        return self.factor ** sum(epoch >= at for at in self.at)


@dataclass(frozen=True)
class Triangle:
    """A straight line from 0 up to 1 at ``peak`` of the epochs, and another down to 0: what FGSM with a random start
    was published with. Smith, WACV 2017, https://arxiv.org/abs/1506.01186
    """

    peak: float = 0.4

    def __post_init__(self) -> None:
        require(self, 0 < self.peak < 1, "peak is between 0 and 1")

    def __call__(self, epoch: float, epochs: int) -> float:
        done = epoch / epochs
        return min(done / self.peak, (1 - done) / (1 - self.peak))
