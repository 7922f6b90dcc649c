"""How far explainers agree, which is the first thing that an auditor asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..explainers.superpixels import Grid, averaged
from ..statistics import Values, rank_correlation

if TYPE_CHECKING:
    from .explanations import Explanations


def agreement(found: Explanations) -> list[list[float]]:
    """Mean over the images of the rank correlation between explainers, ``[K][K]``; NaN where none is defined.

    What is ranked is the mean of each map over superpixels: those of the first explainer that has some, else 8 x 8
    rectangles.
    """
    segments = next(iter(s.segments for s in found.surrogates.values()), None)
    if segments is None:
        segments = Grid(cells=min(8, *found.x.shape[-2:]))(found.x)
    maps = torch.stack([column.attribution for column in found.columns], 1).double()
    tables = []
    for own, pieces in zip(maps, segments, strict=True):
        means = averaged(own[None], pieces[None], int(pieces.max()) + 1)[0].numpy()
        tables.append([[rank_correlation(a, b) for b in means] for a in means])
    return mean_of_defined(np.array(tables)).tolist()


def mean_of_defined(tables: Values) -> Values:
    """Mean over the first axis without NaN; NaN where there is nothing else."""
    defined = ~np.isnan(tables)
    total = np.where(defined, tables, 0).sum(0)
    mean: Values = np.where(defined.any(0), total / np.maximum(defined.sum(0), 1), np.nan)
    return mean
