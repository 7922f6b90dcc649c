"""How well so many samples know Infidelity: against the mean over every place that the square can take."""

from __future__ import annotations

import torch
from quantus_side import Given
from rich.table import Table
from torch import Tensor

from glasshouse.metrics.infidelity import corners
from glasshouse.metrics.removal import answers, clean
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.types import Batch

COUNTS, WINDOW, SEEDS = (16, 64, 256), 4, 32


def everywhere(given: Given) -> Tensor:
    """(u . a - (f(x) - f(x - u)))^2 for the black square at every place, ``[B, rows, columns]``."""
    x, verdicts = given.batch.x, given.verdicts
    rows, columns = (side - WINDOW + 1 for side in x.shape[2:])

    def altered(images: slice, group: slice) -> Tensor:
        copies = x[images].repeat(group.stop - group.start, 1, 1, 1, 1)
        for copy, place in zip(copies, range(group.start, group.stop), strict=True):
            top, left = divmod(place, columns)
            copy[:, :, top : top + WINDOW, left : left + WINDOW] = 0
        return copies

    told = answers(verdicts, rows * columns, altered).scores("probability")
    assert given.batch.attribution is not None
    product = (given.batch.attribution[:, None] * x).sum(1).unfold(1, WINDOW, 1).unfold(2, WINDOW, 1).sum((3, 4))
    return (product - (clean(verdicts).scores("probability") - told).view_as(product)).double().square()


def spread(model: torch.nn.Module, batch: Batch, squares: Tensor, count: int, seed: int) -> Tensor:
    """The value by our squares, ``[B]``."""
    place = corners(Verdicts(model, batch, seed), count, WINDOW)
    image = torch.arange(len(squares))[:, None]
    return squares[image, place[..., 0], place[..., 1]].mean(1)


def precision(given: Given) -> Table:
    """Standard errors, as shares of the value, the median over images."""
    squares = everywhere(given)
    exact = squares.mean((1, 2))
    table = Table(
        *("samples", "random squares", "glasshouse", "random squares for the same"),
        title=f"standard error of Infidelity over its value, {len(exact)} images",
    )
    deviation = squares.flatten(1).std(1, correction=0) / exact
    for count in COUNTS:
        ours = torch.stack([spread(given.model, given.batch, squares, count, seed) for seed in range(SEEDS)])
        error = (ours / exact - 1).square().mean(0).sqrt()
        same = float((deviation / error).square().median())
        chance = float(deviation.median()) / count**0.5
        table.add_row(str(count), f"{chance:.3f}", f"{float(error.median()):.3f}", f"{same:.0f}")
    return table
