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
from ..titles import title
from ..types import Metric
from ..versions import device_named, versions
from . import consistency_ways as ways
from .consistency_claims import claims, ours
from .consistency_figures import few_figures, figures, share_figure
from .consistency_found import Bout
from .consistency_published import BACKGROUNDS, INCONSISTENCIES, PUBLISHED
from .debiasing import Shares
from .few_samples import Learnt
from .gains import Spread, points
from .weights_found import effective, histogram, whole

if TYPE_CHECKING:
    from .explanation_consistency import ExplanationConsistency


NONE = 9  # no column of the paper's


def document(
    study: ExplanationConsistency, bouts: Sequence[Bout], shares: Shares | None, few: Learnt | None, device: str
) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    told = claims(bouts, shares, few)
    sections: list[Section] = []
    for b in bouts:
        sections += [table(b), against_shuffled(b), *figures(b), weights_table(b)]
    sections += [share_figure(shares, study)] if shares else []
    sections += few_figures(few, study) if few else []
    sections.append(inconsistencies(bouts, shares))
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
    for own, other in ((ours(b), ways.SHUFFLED), (ways.BEST, ways.BEST_SHUFFLED)):
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


def cell(spread: Spread | None, scale: float = 100, digits: int = 1) -> str:
    """``33.1 ± 0.8``: mean, and standard deviation over the seeds."""
    if spread is None or np.isnan(spread.mean):
        return "–"
    told = f"{scale * spread.mean:.{digits}f}"
    return told if np.isnan(spread.sd) else f"{told} ± {scale * spread.sd:.{digits}f}"


def theirs(b: Bout, way: str, column: int) -> str:
    """A published number beside ours, where there is one: of accuracy (-1), or of mIoU by a method."""
    row = PUBLISHED.get(b.compared.published, {}).get(way)
    value = None if row is None or column == NONE else row.accuracy if column < 0 else row.miou[column]
    if value is None:
        return ""
    return f" [{value:.2f}]" if column < 0 else f" [{value:.4f}]"


def table(b: Bout) -> Table:
    """Table I (or IV and V): every way, the paper's numbers in brackets."""
    shown: list[tuple[Metric, float, int, int]] = [(ways.CLEAN, 100, 1, -1)]
    shown += [(m, 1, 4, i) for i, m in enumerate((ways.XGRAD_MIOU, ways.GRAD_MIOU, ways.ABLATION_MIOU))]
    extra = [m for m in b.compared.metrics if m not in [s[0] for s in shown]]
    shown += [(m, 1, 3, NONE) for m in extra]
    kept = [s for s in shown if any(b.spread(w, s[0]) is not None for w in b.names)]
    moved = any(run[w].moved for run in b.seen for w in b.names)
    rows = []
    for way in b.names:
        cells = [cell(b.spread(way, m), scale, digits) + theirs(b, way, i) for m, scale, digits, i in kept]
        over_pairs, over_classes = b.over_pairs(way)
        cells += [mean(b.precision(way)), mean(over_pairs), mean(over_classes)]
        cells += [cell(b.spread(way, ways.CLEAN, moved=True)) + backgrounds(b, way)] if moved else []
        rows.append((way, *cells))
    columns: tuple[str, ...] = ("", *(title(m) for m, *_ in kept), "mAP", "Grad-CAM mIoU over pairs", "over classes")
    note = (
        "Mean and standard deviation over the seeds; accuracy in per cent: the most confident class is one that is in "
        "the image. Overlaps are of the map of each class that is there, at half its range, with that class's pixels: "
        "the mean over an image's classes, over all pairs of an image and a class, and accumulated by class. "
    )
    note += f"In brackets: {b.compared.published} in the paper." if b.compared.published else ""
    columns += ("before other backgrounds",) if moved else ()
    return Table(f"{b.compared.name}: accuracy and maps", note, columns, tuple(rows), named=1)


def backgrounds(b: Bout, way: str) -> str:
    """The paper's accuracy on ImageNet-9, for icCNN."""
    value = BACKGROUNDS.get(way) if b.compared.published == "icCNN" else None
    return "" if value is None else f" [{value:.1f}]"


def mean(values: Sequence[float]) -> str:
    """Over the seeds, a dash without any."""
    return f"{float(np.mean(values)):.3f}" if len(values) else "–"


def against_shuffled(b: Bout) -> Table:
    """Every way against the baseline and against its own shuffled weights, paired over images."""
    rows = []
    for way in b.names:
        rival = ways.BEST_SHUFFLED if way.startswith(ways.BEST) else ways.SHUFFLED
        cells = [
            told(b, way, other, metric) for metric in (ways.CLEAN, ways.GRAD_MIOU) for other in (ways.BASELINE, rival)
        ]
        rows.append((way, *cells))
    note = (
        "Differences in points with 95 % intervals and p-values, paired over images, each with the mean of its seeds. "
        "Not corrected for their number; the claims above are."
    )
    columns = ("", "accuracy over baseline", "over shuffled weights", "mIoU over baseline", "over shuffled weights")
    return Table(f"{b.compared.name}: what each way gains", note, columns, tuple(rows), named=1)


def told(b: Bout, way: str, other: str, metric: Metric) -> str:
    """A gain in words, a dash for none."""
    g = b.gain(way, other, metric) if way != other and other in b.names else None
    return "–" if g is None else points(g)


def weights_table(b: Bout) -> Table:
    """How the weights of each way were distributed at the end."""
    rows = []
    for way in b.names:
        shares = histogram(b, way)
        if shares:
            parts = (shares[0], sum(shares[1:5]), sum(shares[5:9]), shares[9])
            rows.append((way, f"{100 * effective(b, way):.1f} %", *(f"{100 * s:.0f}" for s in parts)))
    note = (
        "After the last reweighting, over the seeds. The effective share is (sum w)^2 / (N sum w^2): at 100 % all "
        "samples weigh the same, and a weighting does nothing."
    )
    columns = ("", "effective share", "weights below 0.1, %", "0.1 to 0.5", "0.5 to 0.9", "above 0.9")
    return Table(f"{b.compared.name}: how samples weigh", note, columns, tuple(rows), named=1)


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
            return told(b, ours(b), ways.SOFTSIGN, ways.CLEAN).replace("–", "see the interpretable network")
        case "hnm":
            return told(b, ways.HNM, ways.BASELINE, ways.CLEAN)
        case "gains":
            return told(b, ours(b), ways.HNM, ways.CLEAN)
        case "identity":
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
