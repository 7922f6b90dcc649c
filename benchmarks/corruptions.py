"""The 19 corruptions against one image at a time in numpy: images a second, and how alike the changes are.

python benchmarks/corruptions.py [--images 512] [--repetitions 5] [--draws 12]      about ten minutes on two cores
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pictures import folder, spread
from rich.console import Console
from rich.table import Table
from timing import interleaved, last_line, ratio, setup
from torch import Tensor

from glasshouse.corruptions.naming import NAMES
from glasshouse.data import Parquet

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "reference"))
from corruptions_numpy import corrupted  # type: ignore[import-not-found]

SEVERITIES = range(1, 6)


class Change(NamedTuple):
    """Of how the pixels change: mean size, standard deviation, and mean with its sign, each over many images."""

    size: float
    spread: float
    mean: float


class Row(NamedTuple):
    """One type of corruption."""

    name: str
    ours: float  # images a second
    numpys: float
    speedup: float
    size: float  # the worst over the severities, as a share of numpy's
    spread: float
    mean: float


def pictures(given: str, images: int) -> Tensor:
    """CIFAR-10's test images, or smooth random ones where there are none."""
    if (root := folder(given)) is not None:
        return spread(Parquet(train=str(next((root / "cifar10").glob("test*.parquet"))), label="label"), images)
    coarse = torch.rand(images, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")
    return (large.clamp(0, 1) * 255).round() / 255


def as_arrays(x: Tensor) -> list[NDArray[np.float64]]:
    """Each image as numpy has it."""
    return list(x.permute(0, 2, 3, 1).double().numpy())


def one_by_one(name: str, arrays: list[NDArray[np.float64]], severity: int, seed: int) -> NDArray[np.float64]:
    """The loop of numpy."""
    random = np.random.default_rng(seed)
    return np.stack([corrupted(name, image, severity, random) for image in arrays])


def changed(before: NDArray[np.float64], rounds: list[NDArray[np.float64]]) -> Change:
    """How the pixels of several rounds changed."""
    change = np.stack(rounds) - before
    return Change(float(np.abs(change).mean()), float(change.std()), float(change.mean()))


def agreement(name: str, x: Tensor, draws: int) -> Change:
    """The largest differences over the severities, with random numbers of their own for both.

    The mean with its sign is near 0 for most types: it is compared with the size.
    """
    arrays, found = as_arrays(x), []
    for severity in SEVERITIES:
        # The same images several times, each time with other numbers.
        ours = [NAMES[name](severity=severity, seed=s)(x).permute(0, 2, 3, 1).double().numpy() for s in range(draws)]
        theirs = [one_by_one(name, arrays, severity, s) for s in range(draws)]
        a, b = changed(np.stack(arrays), ours), changed(np.stack(arrays), theirs)
        found.append(Change(abs(a.size / b.size - 1), abs(a.spread / b.spread - 1), abs(a.mean - b.mean) / b.size))
    return Change(*(max(values) for values in zip(*found, strict=True)))


def measure(name: str, x: Tensor, repetitions: int, draws: int, severity: int) -> Row:
    """Time at one severity, agreement at all."""
    arrays = as_arrays(x)
    functions: dict[str, Callable[[], object]] = {
        "ours": partial(NAMES[name](severity=severity), x),
        "numpy": partial(one_by_one, name, arrays, severity, 0),
    }
    seconds = interleaved(functions, repetitions)
    ours, numpys = (len(x) / statistics.median(seconds[who]) for who in ("ours", "numpy"))
    return Row(name, ours, numpys, ratio(seconds, "numpy", "ours"), *agreement(name, x, draws))


def shown(rows: list[Row], title: str) -> Table:
    """A row for each type."""
    table = Table(title=title, title_justify="left")
    table.add_column("corruption")
    for heading in ("images/s", "numpy's", "speedup", "size differs by", "spread by", "mean by"):
        table.add_column(heading, justify="right")
    for row in rows:
        apart = (f"{100 * share:.2f} %" for share in (row.size, row.spread, row.mean))
        table.add_row(row.name, f"{row.ours:,.0f}", f"{row.numpys:,.0f}", f"{row.speedup:.1f}", *apart)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--draws", type=int, default=12, help="how often all images are drawn anew for the agreement")
    parser.add_argument("--severity", type=int, default=3, help="at which time is measured")
    parser.add_argument("--types", default="", help="some names, separated by commas; all without")
    parser.add_argument("--data", default="", help="the folder with cifar10/")
    chosen = parser.parse_args()
    x = pictures(chosen.data, chosen.images)
    names = chosen.types.split(",") if chosen.types else list(NAMES)
    rows = [measure(name, x, chosen.repetitions, chosen.draws, chosen.severity) for name in names]
    Console(width=110).print(shown(rows, f"{len(x)} x 3 x 32 x 32, severity {chosen.severity}; differences at all"))
    figures = {
        "speedup_over_numpy": statistics.median(row.speedup for row in rows),
        "slowest_speedup": min(row.speedup for row in rows),
        "worst_mean_change": max(max(row.size, row.mean) for row in rows),
        "worst_spread_change": max(row.spread for row in rows),
    }
    last_line(figures, setup(numpy=np.__version__, **vars(chosen)))


if __name__ == "__main__":
    main()
