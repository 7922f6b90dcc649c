"""The paper's tables I, IV and V, beside our own runs, and what each way gains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..study import Section, Table
from ..titles import title
from ..types import Metric
from . import consistency_ways as ways
from .consistency_found import Bout, effective, histogram
from .consistency_published import PUBLISHED, RATED
from .gains import Gain, Spread

GAP = "\u00a0"  # a space that no line breaks at
BY = (ways.XGRAD_MIOU, ways.GRAD_MIOU, ways.ABLATION_MIOU)


def tables(b: Bout) -> list[Section]:
    """Everything about one network that is read rather than looked at."""
    return [published(b), others(b), gains(b), weights(b)]


def cell(spread: Spread | None, scale: float = 100, digits: int = 1) -> str:
    """``33.1 ± 0.8``: mean, and standard deviation over the seeds."""
    if spread is None or np.isnan(spread.mean):
        return "–"
    told = f"{scale * spread.mean:.{digits}f}"
    return told if np.isnan(spread.sd) else f"{told}{GAP}±{GAP}{scale * spread.sd:.{digits}f}"


def beside(value: float | None, digits: int) -> str:
    """A published number in brackets, nothing for none."""
    return "" if value is None else f" [{value:.{digits}f}]"


def published(b: Bout) -> Table:
    """Table I, or IV and V: every way, the paper's numbers in brackets."""
    rows = []
    known = [(i, metric) for i, metric in enumerate(BY) if b.spread(b.names[0], metric) is not None]
    moved = b.spread(b.names[0], ways.CLEAN, moved=True) is not None
    for way in b.names:
        theirs = PUBLISHED.get(b.compared.published, {}).get(way)
        cells = [cell(b.spread(way, ways.CLEAN)) + beside(theirs.accuracy if theirs else None, 2)]
        cells += [cell(b.spread(way, m), 1, 4) + beside(theirs.miou[i] if theirs else None, 4) for i, m in known]
        cells += [cell(b.spread(way, ways.CLEAN, moved=True))] if moved else []
        rows.append((way, *cells))
    columns: tuple[str, ...] = ("", "accuracy, %", *(title(m) for _, m in known))
    columns += ("accuracy before other backgrounds, %",) if moved else ()
    note = (
        "Mean and standard deviation over the seeds. Right is the most confident class if it is in the image. mIoU is "
        "the overlap of each class that is there with the part of its map that is above half its range. "
    )
    note += f"A map that marks the whole image would reach {b.floor:.4f}. " if not np.isnan(b.floor) else ""
    note += f"In brackets: {b.compared.published} in the paper." if b.compared.published else ""
    return Table(f"{b.compared.name}: accuracy and maps", note, columns, tuple(rows), named=1)


def others(b: Bout) -> Table:
    """What else was measured."""
    metrics = [m for m in b.compared.metrics if m not in (ways.CLEAN, *BY)]
    kept = [m for m in metrics if any(b.spread(way, m) is not None for way in b.names)]
    rows = []
    for way in b.names:
        over_pairs, over_classes = b.over_pairs(way)
        cells = [cell(b.spread(way, m), 1, 3) for m in kept]
        rows.append((way, *cells, mean(b.precision(way)), mean(over_pairs), mean(over_classes)))
    note = (
        "As shares. mAP is over the classes that occur. mIoU by Grad-CAM again, as the mean over all pairs of an image "
        "and a class, and with intersections and unions added up by class before the mean over classes."
    )
    columns = ("", *map(title, kept), "mAP", "mIoU over pairs", "mIoU over classes")
    return Table(f"{b.compared.name}: other measures", note, columns, tuple(rows), named=1)


def mean(values: Sequence[float]) -> str:
    """Over the seeds, a dash without any."""
    return f"{float(np.mean(values)):.3f}" if len(values) else "–"


def gains(b: Bout) -> Table:
    """Every way against the baseline and against shuffled weights, paired over images."""
    rows = []
    for way in b.names:
        rival = ways.SMALL_SHUFFLED if way.startswith(ways.SMALL_EPS) else ways.SHUFFLED
        pairs = [(metric, other) for metric in (ways.CLEAN, ways.GRAD_MIOU) for other in (ways.BASELINE, rival)]
        rows.append((way, *(gained(b, way, other, metric) for metric, other in pairs)))
    note = (
        "Differences in points with 95 % intervals and p-values, paired over images, each with the mean of its seeds; "
        "not corrected for their number, as those among the claims are."
    )
    columns = ("", "accuracy: over baseline", "over shuffled weights", "mIoU: over baseline", "over shuffled weights")
    return Table(f"{b.compared.name}: what each way gains", note, columns, tuple(rows), named=1)


def gained(b: Bout, way: str, other: str, metric: Metric) -> str:
    """A gain in few words, a dash for none."""
    g = b.gain(way, other, metric) if way != other and other in b.names else None
    return "–" if g is None else brief(g)


def brief(g: Gain) -> str:
    """``+1.2 [+0.3, +2.1] p 0.012``"""
    p = "<" + GAP + "0.001" if g.p < 0.001 else f"{g.p:.3f}"
    return f"{100 * g.difference:+.1f} [{100 * g.low:+.1f},{GAP}{100 * g.high:+.1f}] p{GAP}{p}"


def weights(b: Bout) -> Table:
    """How the weights of each way were distributed at the end."""
    rows = []
    for way in b.names:
        if shares := histogram(b, way):
            parts = (shares[0], sum(shares[1:5]), sum(shares[5:9]), shares[9])
            rows.append((way, f"{100 * effective(b, way):.1f}{GAP}%", *(f"{100 * share:.0f}" for share in parts)))
    note = (
        "After the last reweighting, over the seeds. The effective share is (sum w)^2 / (N sum w^2): at 100 % all "
        "samples weigh the same, and a weighting does nothing."
    )
    columns = ("", "effective share", "weights below 0.1, %", "0.1 to 0.5", "0.5 to 0.9", "above 0.9")
    return Table(f"{b.compared.name}: how samples weigh", note, columns, tuple(rows), named=1)


def rated() -> Table:
    """Tables II and III, which take people."""
    note = (
        "Per cent of 100 images on which raters find the maps better / the same / worse, in the paper. Only people can "
        "say so: explain the networks of two ways with glasshouse explain, and compare them with glasshouse review."
    )
    columns = ("networks", "maps", "STL-10", "VOC", "here")
    return Table("What people say (Tables II, III of the paper)", note, columns, tuple((*row, "–") for row in RATED))
