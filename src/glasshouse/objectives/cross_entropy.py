"""The task loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..labels import losses
from ..types import Batch


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy, averaged with ``batch.weight`` where there is one; binary where images have several classes."""

    weight: float = 1.0

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"task": self.weight * weighted_cross_entropy(model(batch.x), batch)}


def weighted_cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """sum_i w_i CE_i / sum_i w_i; the plain mean without weights."""
    return weighted_mean(losses(logits, batch.y), batch)


def weighted_mean(losses: Tensor, batch: Batch) -> Tensor:
    """sum_i w_i l_i / sum_i w_i of losses ``[B]``; the plain mean without weights."""
    if batch.weight is None:
        return losses.mean()
    return (batch.weight * losses).sum() / batch.weight.sum().clamp_min(1e-12)
