"""Functions psi from distances, 0 and more, to weights in [0, 1). Wu et al., 2024, https://arxiv.org/abs/2408.04600"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Tanh:
    """tanh(d): the steepest of the three, above 0.99 from 2.65 on."""

    def __call__(self, distance: Tensor) -> Tensor:
        return distance.tanh()


@dataclass(frozen=True)
class Softsign:
    """d / (1 + d): above 0.99 from 99 on."""

    def __call__(self, distance: Tensor) -> Tensor:
        return distance / (1 + distance)


@dataclass(frozen=True)
class Arctan:
    """2 arctan(d) / pi: above 0.99 from 64 on."""

    def __call__(self, distance: Tensor) -> Tensor:
        return distance.atan() * (2 / math.pi)
