"""Dose-response curves, the trade-off with accuracy, and explanations that look right and are not."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from ..study import Chart, Line, Lines, Pictures, Section, Shown
from ..titles import brief
from .model_survey_found import Row
from .robustness_claims import ends
from .robustness_found import Found, mean
from .robustness_tables import FAMILIES, heading, threat_title, threats_told
from .robustness_ways import LINF, PGD_AT, STANDARD

BRIGHT = ("conciseness", "stability", "faithfulness", "localisation")


def figures(f: Found) -> list[Section]:
    """All drawings of one trial."""
    found: list[Section] = [tradeoff(f)] if ends(f) else []
    for family in BRIGHT:
        drawn = responses(f, family) if ends(f) else along_axis(f, family)
        found += [drawn] if drawn.charts else []
    return [*found, *([pictures(f)] if f.scenes else [])]


def tradeoff(f: Found) -> Lines:
    """Clean and adversarial accuracy by the eps of training, for each method."""
    charts = []
    names = ("clean", *(threat_title(threat) for threat in f.trial.threats))
    for k, name in enumerate(names):
        lines = []
        for method in dict.fromkeys(s.way.method for s in f.subjects if s.way is not None and s.way.method != STANDARD):
            points, band = [], []
            for way in f.curve(method, LINF):
                own = [f.accuracy(s) if k == 0 else f.robust(s, k - 1) for s in f.seeds_of(way)]
                points.append((255 * way.eps, 100 * float(np.mean([e.mean for e in own]))))
                band.append((100 * min(e.low for e in own), 100 * max(e.high for e in own)))
            if len(points) > 1:
                lines.append(Line(method, tuple(points), tuple(band)))
        charts.append(Chart(name, tuple(lines)))
    note = (
        "Mean of the seeds; bands hold the 95 % intervals of all of them. The eps of training is in L-inf. "
        f"Threats: {threats_told(f)}."
    )
    return Lines(f"{f.trial.name}: accuracy", note, ("eps of training, 1/255", "right, %"), tuple(charts))


def responses(f: Found, family: str) -> Lines:
    """Every metric of a family by the eps of PGD-AT, a line an explainer."""
    charts = []
    for metric, looks in by_metric(f, family).items():
        lines = []
        for cell in looks:
            found = [(255 * way.eps, mean(f.values(cell, f.seeds_of(way)))) for way in f.curve()]
            known = [(x, e) for x, e in found if isfinite(e.mean)]
            band = tuple((e.low, e.high) for _, e in known)
            lines += [Line(explainer(cell), tuple((x, e.mean) for x, e in known), band)] if known else []
        charts += [Chart(metric, tuple(lines))] if lines else []
    note = (
        f"{PGD_AT} ({LINF}): means over seeds and over the images that all models get right, with 95 % intervals over"
        " images; arrows show the better direction."
    )
    title = f"{f.trial.name}: {FAMILIES[family].lower()} by dose"
    return Lines(title, note, ("eps of training, 1/255", ""), tuple(charts), together=False)


def along_axis(f: Found, family: str) -> Lines:
    """The same by adversarial accuracy, for models of which no eps is known."""
    order = np.argsort(f.axis, kind="stable").tolist()
    charts = []
    for metric, looks in by_metric(f, family).items():
        lines = []
        for cell in looks:
            means = f.values(cell).nanmean(1)
            points = tuple((100 * float(f.axis[k]), float(means[k])) for k in order if isfinite(float(means[k])))
            lines += [Line(explainer(cell), points)] if points else []
        charts += [Chart(metric, tuple(lines))] if lines else []
    title = f"{f.trial.name}: {FAMILIES[family].lower()} by adversarial accuracy"
    note = "Means over the images that all models get right; a point is a model. Arrows show the better direction."
    return Lines(title, note, ("adversarial accuracy, %", ""), tuple(charts), together=False)


def by_metric(f: Found, family: str) -> dict[str, list[Row]]:
    """The cells of a family, baselines left out."""
    found: dict[str, list[Row]] = {}
    for cell in f.cells((family,)):
        found.setdefault(heading(f, cell), []).append(cell)
    return found


def explainer(cell: Row) -> str:
    """As a line is called."""
    return "model" if cell.explainer is None else brief(cell.explainer)


def pictures(f: Found) -> Pictures:
    """Explanations that are concise and follow the picture, of decisions that do not rest on what they mark."""
    columns = ("image", *f.scenes[0].maps)
    rows: Sequence[tuple[Shown, ...]] = [
        (
            Shown(s.x, None, s.title),
            *(Shown(s.x, None, s.told if k == 0 else "", m) for k, m in enumerate(s.maps.values())),
        )
        for s in f.scenes
    ]
    note = (
        "Images of which the most robust model says the same without the pixels that its input gradient marks most, as"
        " surely as without as many drawn by lot, and of these the ones whose map follows the edges of the picture"
        " best: they look like explanations, and the decision does not hang on them. Right: the edges alone, and"
        " the same network with random weights."
    )
    return Pictures(f"{f.trial.name}: plausible and misleading", note, columns, tuple(rows))
