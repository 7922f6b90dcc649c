"""Threat models: where a perturbation may live, how to step in it and how to come back to it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from ..draws import Draws
from ..spec import require


@dataclass(frozen=True)
class Linf:
    """No pixel changes by more than ``eps`` (pixel scale [0, 1]); ``eps=inf`` is no limit, for attacks that look for
    the smallest change.

    Raises:
        ValueError: if a random point is wanted and there is no limit.
    """

    eps: float = 8 / 255

    def __post_init__(self) -> None:
        require(self, self.eps >= 0, "eps is at least 0")

    def project(self, delta: Tensor) -> Tensor:
        return delta.clamp(-self.eps, self.eps)

    def ascent(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def sample(self, x: Tensor, draws: Draws) -> Tensor:
        require(self, isfinite(self.eps), "eps is finite where an attack begins at a random point")
        return (draws.uniform(*x.shape[1:]).to(x.dtype) * 2 - 1) * self.eps

    def norm(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).abs().amax(1)


@dataclass(frozen=True)
class L2:
    """The Euclidean norm of the change stays within ``eps``; ``eps=inf`` is no limit, for attacks that look for the
    smallest change.

    Raises:
        ValueError: if a random point is wanted and there is no limit.
    """

    eps: float = 0.5

    def __post_init__(self) -> None:
        require(self, self.eps >= 0, "eps is at least 0")

    def project(self, delta: Tensor) -> Tensor:
        return delta * (self.eps / self._norms(delta)).clamp_max(1)

    def ascent(self, gradient: Tensor) -> Tensor:
        # A very sure model has gradients of 1e-27, whose square is 0.
        largest = gradient.flatten(1).abs().amax(1).view(-1, *[1] * (gradient.ndim - 1))
        scaled = gradient / largest.clamp_min(torch.finfo(gradient.dtype).tiny)
        return scaled / self._norms(scaled)

    def sample(self, x: Tensor, draws: Draws) -> Tensor:
        require(self, isfinite(self.eps), "eps is finite where an attack begins at a random point")
        radius = draws.uniform(*[1] * (x.ndim - 1)) ** (1 / x[0].numel())
        return self.eps * radius.to(x.dtype) * self.ascent(draws.normal(*x.shape[1:]).to(x.dtype))

    def norm(self, delta: Tensor) -> Tensor:
        return delta.flatten(1).norm(dim=1)

    def _norms(self, delta: Tensor) -> Tensor:
        return self.norm(delta).clamp_min(1e-12).view(-1, *[1] * (delta.ndim - 1))
