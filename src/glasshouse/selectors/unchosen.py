"""What selectors share: which samples are left, what is measured of them, and their order by a value."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..data.samples import Subset, batches, permuted
from ..draws import seeded_globally
from ..modes import device_of, frozen
from ..types import Batch, Samples

_AT_ONCE = 128  # images


def unchosen(samples: Samples, chosen: Tensor, count: int) -> Tensor:
    """Positions that are not ``chosen`` yet, in order, ``[n]``.

    Raises:
        ValueError: if ``count`` is below 1, or a chosen position is none of the samples.
    """
    if count < 1:
        raise ValueError(f"the number of samples to select is at least 1, not {count}")
    wrong = chosen[(chosen < 0) | (chosen >= len(samples))].tolist()
    if wrong:
        raise ValueError(f"there are {len(samples)} samples, 0 to {len(samples) - 1}; chosen holds {wrong[0]}")
    left = torch.ones(len(samples), dtype=torch.bool)
    left[chosen] = False
    return left.nonzero()[:, 0]


def measured(
    model: nn.Module,
    samples: Samples,
    positions: Tensor,
    measure: Callable[[nn.Module, Batch], Tensor],
    seed: int,
) -> Tensor:
    """A measure of the samples at ``positions``, ``[n, ...]`` on the CPU; the model is in evaluation mode.

    What it draws follows from ``seed`` alone, and the caller's random numbers go on as if nothing had been drawn.
    """
    found = []
    some, places = Subset(samples, tuple(positions.tolist())), positions.to(device_of(model))
    with frozen(model), torch.no_grad(), seeded_globally(seed, 0):  # to read batches takes a random number, too
        for batch in batches(some, _AT_ONCE, device=device_of(model)):
            with seeded_globally(seed, 0):
                found.append(measure(model, batch._replace(index=places[batch.index])).cpu())
    return torch.cat(found) if found else torch.zeros(0)


def ranked(values: Tensor, seed: int) -> Tensor:
    """Places of ``values`` ``[n]`` from the highest to the lowest; equal ones in the order of ``seed``, NaN last."""
    shuffled = permuted(len(values), seed)
    known = torch.where(values.isnan(), -torch.inf, values)
    return shuffled[known[shuffled].argsort(descending=True, stable=True)]
