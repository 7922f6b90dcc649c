"""Lines over pictures and beside them: the borders of superpixels, and bars with whiskers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..types import Surrogate

NORMAL = 1.96  # standard errors to each side of a 95 % interval


class Outline(NamedTuple):
    """The border of a superpixel in pixels, and where its number goes."""

    number: int
    path: str
    x: float
    y: float


class Bar(NamedTuple):
    """A superpixel's weight; places from 0 to 1 along the axis of all bars."""

    number: int
    text: str
    value: float
    start: float
    end: float
    low: float
    high: float


class Chart(NamedTuple):
    """Bars, and where zero is on their axis."""

    zero: float
    bars: tuple[Bar, ...]


def strongest(surrogate: Surrogate, i: int, count: int) -> list[int]:
    """The superpixels of image ``i`` with the largest weights on either side, without those that weigh nothing."""
    beta = surrogate.beta[i]
    order = beta.abs().argsort(descending=True, stable=True)[:count].tolist()
    return [s for s in order if beta[s] != 0]


def outlines(segments: Tensor, chosen: list[int]) -> list[Outline]:
    """The chosen superpixels of one image ``[H, W]``, numbered from 1."""
    found = []
    for number, segment in enumerate(chosen, 1):
        inside = (segments == segment).numpy()
        y, x = heart(inside)
        found.append(Outline(number, "".join(border(inside)), x, y))
    return found


def heart(inside: NDArray[np.bool_]) -> tuple[float, float]:
    """The pixel of a region that is nearest to its centre: the centre itself may lie outside."""
    places = np.argwhere(inside) + 0.5
    nearest = places[((places - places.mean(0)) ** 2).sum(1).argmin()]
    return float(nearest[0]), float(nearest[1])


def border(inside: NDArray[np.bool_]) -> Iterator[str]:
    """The edges between inside and outside, as the strokes of an SVG path."""
    padded = np.pad(inside, 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]
    upright = padded[1:-1, 1:] != padded[1:-1, :-1]
    for y, start, end in runs(across):
        yield f"M{start} {y}H{end}"
    for x, start, end in runs(upright.T):
        yield f"M{x} {start}V{end}"


def runs(edges: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Stretches of True in each row: ``(row, start, end)``."""
    steps = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    yield from zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)


def chart(surrogate: Surrogate, i: int, chosen: list[int]) -> Chart:
    """The weights of the chosen superpixels of image ``i`` with their 95 % intervals."""
    rows = []
    for segment in chosen:
        value, error = (float(t[i, segment]) for t in (surrogate.beta, surrogate.error))
        reach = NORMAL * error if math.isfinite(error) else 0.0
        rows.append((value, value - reach, value + reach))
    lowest, highest = (limit((0.0, *(v for row in rows for v in row))) for limit in (min, max))

    def place(value: float) -> float:
        return (value - lowest) / ((highest - lowest) or 1.0)

    found = [
        Bar(n, f"{v:+.3f}", v, place(min(v, 0.0)), place(max(v, 0.0)), place(low), place(high))
        for n, (v, low, high) in enumerate(rows, 1)
    ]
    return Chart(place(0.0), tuple(found))
