"""The positive and the negative part of weights, cut once where relevance is asked for again and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from torch import Tensor, nn


class _Part(NamedTuple):
    weight: Tensor  # held, so that its id stays its own
    version: int
    value: Tensor


_KEPT: ContextVar[dict[tuple[int, bool], _Part] | None] = ContextVar("kept", default=None)


@contextmanager
def parts_kept() -> Iterator[None]:
    """Within this, parts of a network's fixed weights are kept: memory for one or two more of them."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def above(weight: Tensor) -> Tensor:
    """What is positive of weights, 0 elsewhere."""
    return _part(weight, negative=False)


def below(weight: Tensor) -> Tensor:
    """What is negative of weights, 0 elsewhere."""
    return _part(weight, negative=True)


def _part(weight: Tensor, negative: bool) -> Tensor:
    kept, place = _KEPT.get(), (id(weight), negative)
    # Weights into which a normalisation was folded are new ones each time.
    if kept is None or weight.requires_grad or not isinstance(weight, nn.Parameter):
        return _cut(weight, negative)
    if place not in kept or kept[place].version != weight._version:
        kept[place] = _Part(weight, weight._version, _cut(weight, negative))
    return kept[place].value


def _cut(weight: Tensor, negative: bool) -> Tensor:
    return weight.clamp(max=0) if negative else weight.clamp(min=0)
