"""Training with the model's own labels where a selection has any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.samples import Wrapped
from ..labels import several
from ..types import NOWHERE, Batch, Samples, Selection


@dataclass(frozen=True, eq=False)
class PseudoLabelled(Wrapped):
    """A split with other labels for some samples: ``labels`` ``[N]`` int64, ``NOWHERE`` where a sample keeps its own.

    Raises:
        ValueError: if images have several classes.
    """

    labels: Tensor

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        if several(batch.y):
            raise ValueError("pseudo-labels are one class an image, and these images have several")
        other = self.labels[torch.as_tensor(index, dtype=torch.int64)]
        return batch._replace(y=torch.where(other == NOWHERE, batch.y, other))


def pseudo_labelled(samples: Samples, selection: Selection) -> Samples:
    """All samples, those of the selection that have a pseudo-label with that one.

    To train on: ``Subset(pseudo_labelled(samples, selection), (*chosen.tolist(), *selection.index.tolist()))``.
    """
    if selection.pseudo is None:
        return samples
    labels = torch.full((len(samples),), NOWHERE)
    labels[selection.index] = selection.pseudo
    return PseudoLabelled(samples, labels)
