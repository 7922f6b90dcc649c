"""How right a model is about images with several classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data.samples import batches
from ..labels import several
from ..modes import device_of, frozen
from ..types import Batch, Samples


@dataclass(frozen=True)
class ExactMatch:
    """1 where the model is right about every class: log-odds above 0 for those that are there and for no other.

    Of labels with one class an image it is the accuracy.

    Shape: ``[B]``, 0 or 1.
    Cost: one forward pass.
    """

    @torch.no_grad()
    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        logits = model(batch.x)
        if several(batch.y):
            return ((logits > 0) == (batch.y > 0)).all(1).float()
        return (logits.argmax(1) == batch.y).float()


def average_precision(scores: Tensor, truth: Tensor) -> Tensor:
    """Mean precision at the score of each image that has the class; the mean over classes is the mAP.

    Everingham et al., IJCV 2010, https://doi.org/10.1007/s11263-009-0275-4, in the form without interpolation. Images
    with equal scores are found together.

    Shape: scores ``[N, C]``, truth ``[N, C]`` (above 0 where the class is there) -> ``[C]`` float64, NaN for a class
        that never occurs.
    Raises:
        ValueError: if the two are not of one shape, or a score is NaN.
    """
    if scores.ndim != 2 or scores.shape != truth.shape:
        raise ValueError(f"scores and truth are [N, C], not {list(scores.shape)} and {list(truth.shape)}")
    if scores.isnan().any():
        raise ValueError("a score that is NaN has no place among the others")
    ordered, order = scores.T.contiguous().sort(dim=1)  # [C, N], the lowest first
    there = (truth.T > 0).gather(1, order).double()
    first = torch.searchsorted(ordered, ordered)  # the first image with the same score
    found = there.flip(1).cumsum(1).flip(1).gather(1, first)
    precision = found / (scores.shape[0] - first)
    return (precision * there).sum(1) / there.sum(1)


@torch.no_grad()
def scores_of(model: nn.Module, samples: Samples, batch_size: int = 128) -> tuple[Tensor, Tensor]:
    """Logits ``[N, C]`` and labels of all samples, on the CPU."""
    with frozen(model):
        seen = [(model(b.x).cpu(), b.y.cpu()) for b in batches(samples, batch_size, device=device_of(model))]
    logits, y = zip(*seen, strict=True)
    return torch.cat(logits), torch.cat(y)
