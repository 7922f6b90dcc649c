"""The paper's tables I and II beside our own runs, and what they lack: how far perturbations explain themselves."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import torch

from ..statistics import Estimate
from ..study import Section, Table
from . import hierarchical_ways as ways
from .gains import Gain
from .hierarchical_compared import TITLES, against, main
from .hierarchical_found import EXPLAINABILITY, LEVELS, MOVED, PERCEPTIBILITY, Bout, Degenerate
from .hierarchical_measured import SHARE, readings
from .hierarchical_published import NUMBERED, PUBLISHED

GAP = "\u00a0"  # a space that no line breaks at
RIVALS = (ways.MARGIN, ways.SAME_PGD, ways.DEEPFOOL, ways.SMALL_PGD)


def tables(b: Bout) -> list[Section]:
    """Everything about one classifier that is read rather than looked at."""
    return [table for level in LEVELS for table in (norms(b, level), explained(b, level), gained(b, level))]


def norms(b: Bout, level: str) -> Table:
    """Table I or II, with every way that was tried."""
    rows = []
    for way in b.values[level]:
        theirs = PUBLISHED[level].get(way)
        cells = [str(b.fooling(level, way).count)]
        for measure in PERCEPTIBILITY:
            cells += [cell(b.over_right(level, way, measure), 4), beside(theirs and getattr(theirs, measure), 4)]
        cells += [cell(b.fooling(level, way), 1, 100), cell(b.generous(level, way), 1, 100)]
        rows.append((way, *cells, beside(theirs and theirs.fooling, 1)))
    note = (
        "Means over the images that were right, fooled or not, with 95 % intervals; next to them what the paper "
        "reports of VGG-16 on 393 classes of ImageNet. rho is the norm of the perturbation over that of the image. "
        "Fooled is the share of the images that were right; the paper counts all images, also those that were wrong."
    )
    columns = ("", "images", *(part for m in PERCEPTIBILITY for part in (TITLES[m], "paper")))
    columns += ("fooled, %", "counted as there, %", "paper")
    title = f"{b.trial.name}, {level}: who is fooled, and what can be seen of it ({NUMBERED[level]} of the paper)"
    return Table(title, note, columns, tuple(rows), named=1)


def explained(b: Bout, level: str) -> Table:
    """Every measure of explainability, over the images that are fooled."""
    measures = [m for m in (*EXPLAINABILITY, *MOVED, "inside", "area") if any(m in v for v in b.values[level].values())]
    rows = [
        (way, str(fooled(b, level, way)), *(short(b.value(level, way, m)) for m in measures)) for way in b.values[level]
    ]
    note = (
        f"Means over the images that were right and are fooled. Overlap: of the {100 * SHARE:g} % of pixels that are "
        f"changed most, the share that is also among the most relevant {100 * SHARE:g} % for the original class, the "
        f"adversarial one, or by Grad-CAM, {SHARE:g} by chance. Rank: Spearman's correlation of the same over all "
        f"pixels. Moved: the share of the relevance that lies elsewhere afterwards. Shift: the share of that change "
        f"which lies on the pixels that are changed most. On the object: the share of the perturbation there, next to "
        f"the object's share of the image, which an even perturbation would have."
    )
    title = f"{b.trial.name}, {level}: does the perturbation explain itself?"
    return Table(title, note, ("", "images", *(TITLES[m] for m in measures)), tuple(rows), named=1)


def gained(b: Bout, level: str) -> Table:
    """The LRP attack against its control and its rivals."""
    own = main(b, ways.LRP)
    found = {rival: against(b, level, own, rival) for rival in (main(b, rival) for rival in RIVALS)}
    known = {rival: a for rival, a in found.items() if a is not None}
    rows = [(TITLES[m], *(brief(a.gains.get(m)) for a in known.values())) for m in EXPLAINABILITY]
    note = (
        "Differences with 95 % intervals over the images that both attacks fool, so at an equal share of fooled "
        "images; those of entropy are turned round, so that more is always better. p-values by a paired test, "
        f"corrected for the {len(EXPLAINABILITY)} measures by Holm's method."
    )
    columns = ("", *(f"over {rival} ({a.shared} images)" for rival, a in known.items()))
    return Table(f"{b.trial.name}, {level}: what {own} explains more than others", note, columns, tuple(rows), named=1)


def fooled(b: Bout, level: str, way: str) -> int:
    """How many images were right and are fooled."""
    return b.shared(level, way, way)


def cell(e: Estimate, digits: int, scale: float = 1) -> str:
    """``0.0294 [0.0280, 0.0310]``"""
    if not e.count or isnan(e.mean):
        return "–"
    mean, low, high = (f"{scale * value:.{digits}f}" for value in (e.mean, e.low, e.high))
    return f"{mean} [{low},{GAP}{high}]"


def short(e: Estimate) -> str:
    """A mean alone: its interval is among the results."""
    return f"{e.mean:.3f}" if e.count else "–"


def beside(value: float | None, digits: int) -> str:
    """A published number, a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def brief(g: Gain | None) -> str:
    """``+0.012 [+0.003, +0.021] p 0.012``"""
    if g is None:
        return "–"
    p = f"<{GAP}0.001" if g.p < 0.001 else f"{g.p:.3f}"
    return f"{g.difference:+.3f} [{g.low:+.3f},{GAP}{g.high:+.3f}] p{GAP}{p}"


def degenerate(found: Sequence[Degenerate]) -> Table:
    """The paper's loss in every network, by every reading."""
    rows = []
    for network in found:
        for i, reading in enumerate(readings()):
            own = {name: values[i] for name, values in network.values.items()}
            largest = (f"{float(own[name].max()):.1e}" for name in ("value", "slope", "off"))
            told = (network.name if i == 0 else "", reading.rules, reading.start, str(reading.p or "–"))
            rows.append((*told, *largest, cosine(own["along"])))
    note = (
        "At untouched images, on the coarse level: the largest size of the loss, its steepest slope at any pixel, how "
        "far it is at most from the margin between the two logits, and the mean cosine of the angle between its slope "
        "and the margin's. The paper has relevance start from 1 with p = 1, by z+ above z-beta."
    )
    columns = ("network", "rules", "relevance starts from", "p", "|loss|", "slope", "off the margin", "cosine")
    return Table("What the loss as printed has to say", note, columns, tuple(rows), named=4)


def cosine(values: torch.Tensor) -> str:
    """A mean, a dash where there is none."""
    mean = float(values.double().mean())
    return "–" if isnan(mean) else f"{mean:.4f}"
