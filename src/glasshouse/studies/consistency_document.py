"""The document on explanation consistency: its claims, the paper's tables and figures, and everything as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..study import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNTESTED,
    Claim,
    Document,
    Section,
    Table,
)
from ..versions import device_named, versions
from . import consistency_ways as ways
from .consistency_claims import claims, ours
from .consistency_figures import few_figures, figures, share_figure
from .consistency_found import Bout, effective
from .consistency_published import INCONSISTENCIES
from .consistency_tables import cell, gained, rated, tables
from .debiasing import Shares, whole
from .few_samples import Learnt
from .gains import points

if TYPE_CHECKING:
    from .explanation_consistency import ExplanationConsistency


def document(
    study: ExplanationConsistency, bouts: Sequence[Bout], shares: Shares | None, few: Learnt | None, device: str
) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    told = claims(bouts, shares, few)
    sections: list[Section] = []
    for b in bouts:
        sections += [*tables(b), *figures(b)]
    sections += [share_figure(shares, study)] if shares else []
    sections += few_figures(few, study) if few else []
    sections += [rated(), inconsistencies(bouts, shares)]
    setup = described(study, bouts, device)
    return Document(study.title, verdict(told, bouts), told, tuple(sections), setup, results(bouts, shares, few, setup))


def verdict(told: Sequence[Claim], bouts: Sequence[Bout]) -> str:
    """How many of the paper's claims hold here, and what the explanations bought."""
    own = [claim.verdict for claim in told if claim.source == "paper"]
    counted = ", ".join(f"{own.count(v)} {v}" for v in (REPRODUCED, NOT_REPRODUCED, UNTESTED) if v in own)
    return f"Of {len(own)} claims of the paper: {counted}. " + " ".join(filter(None, map(bought, bouts)))


def bought(b: Bout) -> str:
    """What is gained over the same weights for other samples."""
    parts = []
    for own, other in ((ways.XGRAD, ways.SHUFFLED), (ways.SMALL_EPS, ways.SMALL_SHUFFLED)):
        if own in b.names and other in b.names:
            gains = [(name, b.gain(own, other, m)) for name, m in (("accuracy", ways.CLEAN), ("mIoU", ways.GRAD_MIOU))]
            parts += [f"{own}, {name} {points(g)}" for name, g in gains if g is not None]
    told = "; ".join(parts)
    return f"{b.compared.name}, against the same weights shuffled: {told}." if parts else ""


def described(study: ExplanationConsistency, bouts: Sequence[Bout], device: str) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    parts = (
        f"{b.compared.name}: {b.counts[0]:,} training images, {b.counts[1]:,} test images, {b.counts[2]} classes, "
        f"{type(b.compared.model).__name__}, {b.compared.training.epochs} epochs"
        for b in bouts
    )
    seeds = ", ".join(map(str, study.under()))
    return (*versions().items(), ("device", device_named(device)), ("seeds", seeds), ("networks", "; ".join(parts)))


def inconsistencies(bouts: Sequence[Bout], shares: Shares | None) -> Table:
    """What the paper says that does not agree with itself, and what these runs say of it."""
    rows = tuple((text, seen(word, bouts, shares)) for word, text in INCONSISTENCIES)
    note = "What contradicts what in the paper, and what these runs have to say of it."
    return Table("Where the paper contradicts itself", note, ("in the paper", "here"), rows, named=2)


def seen(word: str, bouts: Sequence[Bout], shares: Shares | None) -> str:
    """Our number on an inconsistency, a dash where there is none."""
    b = bouts[0]
    match word:
        case "saturation" if not np.isnan(effective(b, ways.LITERAL)):
            at_size, on_cells = (f"{100 * effective(b, way):.1f} %" for way in (ways.LITERAL, ours(b)))
            return f"effective share of the samples at image size {at_size}, on cells {on_cells}"
        case "psi":
            own = next((o for o in bouts if ways.SOFTSIGN in o.names), b)
            return gained(own, ours(own), ways.SOFTSIGN, ways.CLEAN)
        case "hnm":
            return gained(b, ways.HNM, ways.BASELINE, ways.CLEAN)
        case "gains":
            return gained(b, ours(b), ways.HNM, ways.CLEAN)
        case "identity" if b.spread(ours(b), ways.XGRAD_MIOU) is not None:
            both = (cell(b.spread(ours(b), metric), 1, 4) for metric in (ways.XGRAD_MIOU, ways.GRAD_MIOU))
            return f"mIoU {' and '.join(both)}"
    return "–"


def results(
    bouts: Sequence[Bout], shares: Shares | None, few: Learnt | None, setup: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Means, intervals and seeds as plain data."""
    return {
        "setup": dict(setup),
        "networks": {b.compared.name: plain(b) for b in bouts},
        "debiasing": {
            s: {w: {"mean": whole(r), "seeds": r} for w, r in by.items()} for s, by in (shares or {}).items()
        },
        "few": {name: {m: ends(runs) for m, runs in by.items()} for name, by in (few or {}).items()},
    }


def ends(runs: Sequence[Tensor]) -> list[list[float]]:
    """Means over the images at each share of labels, under each seed."""
    return [run.double().nanmean(1).tolist() for run in runs]


def plain(b: Bout) -> dict[str, Any]:
    """One network."""
    metrics = list(dict.fromkeys((*b.compared.metrics, *(ways.fgsm(eps) for eps in b.compared.eps))))
    return {
        way: {
            "values": {repr(m): s._asdict() for m in metrics if (s := b.spread(way, m)) is not None},
            "backgrounds": None if (s := b.spread(way, ways.CLEAN, moved=True)) is None else s._asdict(),
            "mAP": b.precision(way),
            "mIoU over pairs and classes": b.over_pairs(way),
            "weights": [run[way].log for run in b.seen],
        }
        for way in b.names
    }
