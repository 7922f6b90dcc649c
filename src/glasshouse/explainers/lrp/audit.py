"""Which operations of a network have a rule, before anyone believes the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .plan import Step
from .tape import Tape


class Operation(NamedTuple):
    """A row of the audit."""

    name: str  # the module that it happens in, "" for the model itself
    kind: str  # torch's name for it
    rule: str  # what becomes of its relevance, "" where that is not known
    covered: bool


def operations(tape: Tape, steps: Sequence[Step]) -> tuple[Operation, ...]:
    """Every operation that the logits depend on, in the order of the forward pass."""
    entries = [tape.entries[step.entry] for step in steps]
    return tuple(Operation(e.name, e.kind, s.how, bool(s.how)) for e, s in zip(entries, steps, strict=True))


def require_covered(found: Sequence[Operation]) -> None:
    """Raise ValueError that names every operation without a rule."""
    places: dict[str, list[str]] = {}
    for operation in found:
        if not operation.covered:
            places.setdefault(operation.kind, []).append(operation.name or "the model itself")
    if places:
        told = "; ".join(f"{kind} in {', '.join(dict.fromkeys(names))}" for kind, names in places.items())
        raise ValueError(
            f"LRP has no rule for {told}. Relevance would be wrong from there on down: take an explainer that needs"
            " no rules (InputGradient, LIME), or a network of convolutions, dense layers, BatchNorm, ReLU-like"
            " activations, pooling, sums and concatenations"
        )
