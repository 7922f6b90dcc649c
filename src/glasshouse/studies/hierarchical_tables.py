"""The paper's tables I and II beside our own runs, and what they lack: how far perturbations explain themselves."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import torch

from ..statistics import Estimate
from ..study import Section, Table
from . import hierarchical_ways as ways
from .gains import Gain
from .hierarchical_compared import TITLES, against, main, named
from .hierarchical_found import EXPLAINABILITY, LEVELS, MOVED, PERCEPTIBILITY, Bout, Degenerate
from .hierarchical_measured import SHARE, readings
from .hierarchical_published import NUMBERED, PUBLISHED

GAP = "\u00a0"  # a space that no line breaks at
CONCENTRATED = ("gini", "entropy", "inside", "area", "shift_original", "shift_adversarial", *MOVED)
RELATED = tuple(m for m in EXPLAINABILITY if m not in CONCENTRATED)
RIVALS = (ways.MARGIN, ways.SAME_PGD, ways.DEEPFOOL, ways.SMALL_PGD)


def tables(b: Bout) -> list[Section]:
    """Everything about one classifier that is read rather than looked at."""
    return [table for level in LEVELS for table in (norms(b, level), *explained(b, level), gained(b, level))]


def norms(b: Bout, level: str) -> Table:
    """Table I or II, with every way that was tried."""
    rows = []
    for way in b.values[level]:
        theirs = PUBLISHED[level].get(way)
        cells = [str(b.fooling(level, way).count)]
        for measure in PERCEPTIBILITY:
            cells += [size(b.over_right(level, way, measure)), beside(theirs and getattr(theirs, measure), 4)]
        cells += [share(b.fooling(level, way)), f"{100 * b.generous(level, way).mean:.1f}"]
        rows.append((way, *cells, beside(theirs and theirs.fooling, 1)))
    note = (
        "Means over the images that were right, fooled or not, ± half of their 95 % intervals; next to them what the "
        "paper reports of VGG-16 on 393 classes of ImageNet. rho is the norm of the perturbation over that of the "
        "image. Fooled is the share of the images that were right, with its interval; the paper's is of all images, "
        "also of those that were wrong before."
    )
    columns = ("", "images", *(part for m in PERCEPTIBILITY for part in (TITLES[m], "paper")))
    columns += ("fooled, %", "of all, %", "paper")
    title = f"{b.trial.name}, {level}: who is fooled, and what can be seen of it ({NUMBERED[level]} of the paper)"
    return Table(title, note, columns, tuple(rows), named=1)


def explained(b: Bout, level: str) -> tuple[Table, Table]:
    """Every measure of explainability, over the images that are fooled."""
    found = f"{b.trial.name}, {level}"
    share = f"{100 * SHARE:g} % of the pixels"
    related = (
        f"Means over the images that were right and are fooled. Overlap: of the {share} that are changed most, the "
        f"part that is also among the {share} that are most relevant for the original class, for the adversarial "
        f"one, or by Grad-CAM, which no attack looks at; {SHARE:g} by chance. Rank: Spearman's correlation over all "
        "pixels, 0 by chance. More is better."
    )
    changed = (
        "Means over the same images. The Gini index is 1 and the entropy 0 where a single pixel has all of the "
        f"perturbation. Shift: of what changes in the relevance, the part that lies on the {share} that are changed "
        "most. Moved: the part of the relevance that lies elsewhere afterwards. On the object: the part of the "
        "perturbation there, next to the object's size, which an even perturbation would have."
    )
    return (
        means(f"{found}: does the perturbation lie where relevance is?", related, b, level, RELATED),
        means(f"{found}: how concentrated is it, and what does it move?", changed, b, level, CONCENTRATED),
    )


def means(title: str, note: str, b: Bout, level: str, known: Sequence[str]) -> Table:
    """Measures by way, as far as they were taken."""
    measures = [m for m in known if any(m in v for v in b.values[level].values())]
    rows = [
        (way, str(b.shared(level, way, way)), *(short(b.value(level, way, m)) for m in measures))
        for way in b.values[level]
    ]
    return Table(title, note, ("", "images", *(named(m) for m in measures)), tuple(rows), named=1)


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


def size(e: Estimate) -> str:
    """``0.0294±0.0012``: half of the interval of a mean, which is the same on both sides."""
    return f"{e.mean:.4f}±{(e.high - e.low) / 2:.4f}" if e.count else "–"


def share(e: Estimate) -> str:
    """``87.1 [83, 90]`` per cent."""
    return f"{100 * e.mean:.1f} [{100 * e.low:.0f},{GAP}{100 * e.high:.0f}]" if e.count else "–"


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
