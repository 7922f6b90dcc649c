"""The document on attacks on two levels: claims, the paper's tables and figures, and everything as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..study import Claim, Document, Section, Shifts
from ..versions import device_named, versions
from .hierarchical_found import EXPLAINABILITY, LEVELS, MOVED, PERCEPTIBILITY, Bout, Degenerate

if TYPE_CHECKING:
    from .hierarchical_attacks import HierarchicalAttacks


def document(study: HierarchicalAttacks, bouts: Sequence[Bout], bare: Degenerate | None, device: str) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    told: tuple[Claim, ...] = ()
    sections: list[Section] = [
        Shifts(f"{b.trial.name}: relevance before and after", "", b.pictures) for b in bouts if b.pictures
    ]
    setup = described(study, bouts, device)
    return Document(study.title, "", told, tuple(sections), setup, results(bouts, bare, setup))


def described(study: HierarchicalAttacks, bouts: Sequence[Bout], device: str) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    return (*versions().items(), ("device", device_named(device)), ("seed", str(study.seed)))


def results(bouts: Sequence[Bout], bare: Degenerate | None, setup: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Means and intervals as plain data."""
    return {"setup": dict(setup), "trials": {b.trial.name: {level: plain(b, level) for level in LEVELS} for b in bouts}}


def plain(b: Bout, level: str) -> dict[str, Any]:
    """One level of a network under all attacks."""
    measures = (*PERCEPTIBILITY, *EXPLAINABILITY, *MOVED)
    return {
        way: {
            "fooling": b.fooling(level, way)._asdict(),
            "values": {m: b.value(level, way, m)._asdict() for m in measures},
        }
        for way in b.values[level]
    }
