"""From a bare network to a model: classes checked, normalisation inside, weights loaded."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .normalised import Colour, Normalised
from .weights import load_weights


def assemble(
    network: Callable[[int], nn.Module],
    classes: int,
    mean: Colour,
    std: Colour,
    weights: str = "",
    new_head: bool = False,
) -> Normalised:
    """``network(classes)`` in :class:`Normalised`, with the ``weights`` of a file where one is named.

    Raises:
        ValueError: for fewer than two classes, and whatever :func:`load_weights` raises.
    """
    if classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, not {classes}")
    model = Normalised(network(classes), mean, std)
    if weights:
        load_weights(model, weights, new_head)
    return model
