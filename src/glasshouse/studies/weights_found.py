"""How weights were distributed, and what rankings found."""

from __future__ import annotations

import numpy as np

from . import consistency_ways as ways
from .consistency_found import Bout

LOSSES = (ways.FL, ways.EFL)


def effective(b: Bout, way: str) -> float:
    """The mean over seeds of the effective share after the last reweighting; NaN where there was none."""
    ends = [run[-1][1] for run in b.effective(way) if run]
    return float(np.mean(ends)) if ends else float("nan")


def histogram(b: Bout, way: str) -> list[float]:
    """Mean share of samples in each tenth of [0, 1] after the last reweighting; empty where there was none."""
    rows = [run[way].log[-1] for run in b.seen if run[way].log]
    if not rows:
        return []
    return [float(np.mean([row[f"weight_{i}"] for row in rows])) for i in range(10)]


def whole(runs: list[list[float]]) -> float:
    """Mean over rankings and seeds, in per cent."""
    return 100 * float(np.mean([share for run in runs for share in run]))
