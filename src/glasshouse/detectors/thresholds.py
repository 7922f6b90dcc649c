"""From when on a value is high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..spec import require


class Threshold(Protocol):
    """The bar for values ``[B, S]`` of which only some exist, ``[B, 1]``."""

    def __call__(self, values: Tensor, exists: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Quantile:
    """A quantile of the image's own superpixels: free of scale, so it means the same in every round."""

    share: float = 0.9

    def __post_init__(self) -> None:
        require(self, 0 <= self.share <= 1, "share is between 0 and 1")

    def __call__(self, values: Tensor, exists: Tensor) -> Tensor:
        return values.masked_fill(~exists, torch.nan).nanquantile(self.share, dim=1, keepdim=True)


@dataclass(frozen=True)
class Absolute:
    """A fixed value, as the paper has it."""

    value: float = 0.1

    def __post_init__(self) -> None:
        require(self, self.value > 0, "value is above 0")

    def __call__(self, values: Tensor, exists: Tensor) -> Tensor:
        return torch.full_like(values[:, :1], self.value)
