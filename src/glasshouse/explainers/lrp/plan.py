"""How relevance goes through a whole network: one step for each operation that the logits depend on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from .composites import Composite
from .layer import Layer, Rule
from .operations import MOVES, SAME, Shares, is_affine, sharing, stays_nonnegative
from .tape import Tape, called
from .weighted import DENSE, Weighted, folded, normalisation, weighted

Bounds = tuple[Tensor, Tensor]


class Step(NamedTuple):
    """What one operation does with relevance."""

    entry: int
    how: str  # in words; empty where no rule is known
    share: Callable[[Tensor], Shares] | None  # None where no relevance ever arrives


class Network(NamedTuple):
    """What is known of a tape before any relevance flows; everything goes by the numbers of its entries."""

    tape: Tape
    needed: list[int]  # whatever the logits depend on, in order
    layers: dict[int, Weighted]
    folds: dict[int, int]  # each BatchNorm that belongs to the layer before it, and that layer
    nonnegative: set[int]
    bounds: dict[int, Bounds]  # what a value would be for black and for white pixels
    last: set[int]


def surveyed(tape: Tape) -> Network:
    """What is known of a tape."""
    needed = ancestors(tape, tape.output, frozenset())
    layers = {k: found for k in needed if (found := weighted(tape.entries[k])) is not None}
    last = set(ancestors(tape, tape.output, frozenset(layers))) & set(layers)
    signs = nonnegative(tape, needed)
    return Network(tape, needed, layers, folds(tape, needed, layers), signs, bounds(tape, needed), last)


def ancestors(tape: Tape, start: int, stops: frozenset[int]) -> list[int]:
    """Everything that an entry depends on, itself too, in order; nothing beyond ``stops``."""
    found, pending = set(), [start]
    while pending:
        number = pending.pop()
        if number not in found:
            found.add(number)
            pending += [] if number in stops else tape.entries[number].parents
    return sorted(found)


def folds(tape: Tape, needed: list[int], layers: dict[int, Weighted]) -> dict[int, int]:
    """Each BatchNorm that follows a layer directly, where nothing else reads that layer."""
    readers = Counter(p for k in needed for p in set(tape.entries[k].parents))
    found = {}
    for k in needed:
        entry = tape.entries[k]
        if normalisation(entry) is not None:
            (before,) = entry.parents
            tokens = entry.value.ndim > 2 and before in layers and layers[before].geometry is None
            if before in layers and readers[before] == 1 and not tokens:
                found[k] = before
    return found


def nonnegative(tape: Tape, needed: list[int]) -> set[int]:
    """Entries whose values are certainly >= 0."""
    found: set[int] = set()
    for k in needed[1:]:
        entry = tape.entries[k]
        if stays_nonnegative(entry, all(p in found for p in entry.parents)):
            found.add(k)
    return found


def bounds(tape: Tape, needed: list[int]) -> dict[int, Bounds]:
    """What black and white pixels become, as far as operations only scale, shift and move them."""
    x = tape.entries[0].value
    found: dict[int, Bounds] = {0: (torch.zeros_like(x), torch.ones_like(x))}
    for k in needed[1:]:
        entry = tape.entries[k]
        affine = is_affine(tape, entry) or entry.kind in SAME | MOVES
        if affine and all(p in found for p in entry.parents):
            black, white = (called(entry, {p: found[p][end] for p in entry.parents}) for end in (0, 1))
            found[k] = torch.minimum(black, white), torch.maximum(black, white)
    return found


def planned(tape: Tape, composite: Composite) -> list[Step]:
    """The steps in the order of the forward pass."""
    network = surveyed(tape)
    return [_step(network, k, composite) for k in network.needed[1:]]


def _step(network: Network, k: int, composite: Composite) -> Step:
    tape, entry = network.tape, network.tape.entries[k]
    if k in network.folds:
        into = network.folds[k]
        layer = folded(_layer(network, into), normalisation(entry), entry.value)
        where = tape.entries[into].name or tape.entries[into].kind
        return Step(k, f"folded into {where}", _apply(_rule(network, into, composite), layer, network.layers[into]))
    if k in network.layers:
        rule, hidden = _rule(network, k, composite), k in network.folds.values()
        return Step(k, repr(rule), None if hidden else _apply(rule, _layer(network, k), network.layers[k]))
    known = sharing(tape, entry)
    if known is None:
        return Step(k, "", None)
    return Step(k, known[0], partial(known[1], tape, entry, stabiliser=composite.stabiliser))


def _rule(network: Network, k: int, composite: Composite) -> Rule:
    dense = network.tape.entries[k].kind == DENSE
    return composite(dense, network.layers[k].source in network.bounds, k in network.last)


def _layer(network: Network, k: int) -> Layer:
    found = network.layers[k]
    source = found.source
    a, z = (network.tape.entries[i].value for i in (source, k))
    box = network.bounds.get(source)
    return Layer(a, z, found.weight, found.bias, found.geometry, source in network.nonnegative, box)


def _apply(rule: Rule, layer: Layer, found: Weighted) -> Callable[[Tensor], Shares]:
    return lambda relevance: {found.source: rule(layer, relevance)}


def propagated(tape: Tape, steps: list[Step], started: Tensor) -> Tensor:
    """Relevance of the logits ``[B, T, K]`` -> of the pixels ``[B, T, C, H, W]``."""
    relevance = {tape.output: started}
    for step in reversed(steps):
        if step.share is None or step.entry not in relevance:
            continue
        for parent, share in step.share(relevance.pop(step.entry)).items():
            relevance[parent] = relevance[parent] + share if parent in relevance else share
    return relevance[0]
