"""The tables of the robustness study."""

from __future__ import annotations

from math import isfinite

from ..metrics.verdicts import ball_of
from ..statistics import Estimate
from ..study import Table
from ..titles import attack_title, ball_title, brief
from ..types import Attack
from .model_survey_found import Row
from .model_survey_tables import ARROWS, refused
from .robustness_claims import CONCISE, RELEVANT, STABLE, cells, ends
from .robustness_found import Dose, Found, mean
from .robustness_published import ANCHORS
from .robustness_ways import LINF, PGD_AT

FAMILIES = {
    "conciseness": "Conciseness",
    "stability": "Stability",
    "faithfulness": "Relevance: faithfulness",
    "localisation": "Relevance: localisation",
    "sanity": "Sanity",
    "alignment": "Alignment with the input",
}


def tables(f: Found) -> list[Table]:
    """Models, then a table a family, then what doses give and what could not be measured."""
    ended = [saturation(f)] if ends(f) else []
    left_out = refused(f.explained)
    ended.append(left_out._replace(title=f"{f.trial.name}: what cannot be measured"))
    return [models(f), *(table for table in (*(of_family(f, family) for family in FAMILIES), *ended) if table.rows)]


def models(f: Found) -> Table:
    """Every model: how it was trained and how right it is."""
    threats = tuple(map(threat_title, f.trial.threats))
    rows = []
    for subject in f.subjects:
        robust = (share(f.robust(subject.name, k)) for k in range(len(threats)))
        eps = "–" if subject.way is None else eps_of(subject.way.eps, subject.way.norm)
        rows.append((subject.name, subject.method, eps, share(f.accuracy(subject.name)), *robust))
    counts = f"{f.accuracy(f.names[0]).count} images for accuracy, {f.robust(f.names[0]).count} attacked"
    axis = f"Threats: {threats_told(f)}; the first is the axis of robustness."
    note = f"Per cent right, with 95 % intervals; {counts}. {axis}"
    columns = ("model", "training", "eps", "clean", *threats)
    return Table(f"{f.trial.name}: models", note, columns, tuple(rows), named=2)


def threat_title(threat: Attack) -> str:
    """Its ball, or what it is called where it has none."""
    ball = ball_of(threat)
    return attack_title(threat) if ball is None else ball_title(ball)


def threats_told(f: Found) -> str:
    """The threat models in full."""
    return "; ".join(map(attack_title, f.trial.threats))


def eps_of(eps: float, norm: str) -> str:
    """``8/255``, ``L2 0.5``"""
    return f"{255 * eps:g}/255" if norm == LINF else f"L2 {eps:g}"


def share(e: Estimate) -> str:
    """``84.1 [83.4, 84.8]``"""
    return f"{100 * e.mean:.1f} [{100 * e.low:.1f}, {100 * e.high:.1f}]" if isfinite(e.mean) else "–"


def of_family(f: Found, family: str) -> Table:
    """Every metric of a family by every explainer: a column for each eps, then the correlation with robustness."""
    curve = f.curve()
    names = {eps_of(way.eps, way.norm): f.seeds_of(way) for way in curve} or {s.name: [s.name] for s in f.subjects}
    rows = []
    for cell in f.cells((family,), baselines=True):
        means = tuple(number(mean(f.values(cell, own))) for own in names.values())
        rows.append((heading(f, cell), explainer_of(cell), *means, *correlation(f, cell)))
    judged = int(f.explained.judged.sum())
    trained = f"{PGD_AT} ({LINF}) by eps, 0 is standard training" if curve else "every model"
    note = (
        f"Means over the {judged} images that all {len(f.subjects)} models get right, {trained}; the arrow is the"
        " better direction. rho: rank correlation with adversarial accuracy over all models, with its 95 % interval"
        " over images and its p-value over models, each seed of a training counted as one. Random maps, edges and"
        " random weights explain nothing of a model."
    )
    if family == "faithfulness":
        note += " Models are compared by what a map has above the random map of the same model."
    columns = ("metric", "explainer", *names, "rho", "p")
    return Table(f"{f.trial.name}: {FAMILIES[family].lower()}", note, columns, tuple(rows), named=2)


def heading(f: Found, cell: Row) -> str:
    """``sparseness ↑``"""
    return f.headings[cell.metric] + ARROWS[cell.better]


def explainer_of(cell: Row) -> str:
    """An explainer as people call it."""
    return "–" if cell.explainer is None else brief(cell.explainer)


def number(e: Estimate) -> str:
    """A mean of any size in four digits."""
    return f"{e.mean:.4g}" if isfinite(e.mean) else "–"


def correlation(f: Found, cell: Row) -> tuple[str, str]:
    """rho with its interval, and p."""
    t = f.trend(cell)
    if not isfinite(t.rho):
        return "–", "–"
    return f"{t.rho:+.2f} [{t.low:+.2f}, {t.high:+.2f}]", f"{t.p:.4f}"


def saturation(f: Found) -> Table:
    """The share of the largest gain that every eps gives, where the strongest training gains significantly."""
    both = ends(f)
    eps = [way.eps for way in f.curve()[1:]]
    rows = []
    for cell in cells(f, (*CONCISE, *STABLE, *RELEVANT)):
        if both is None or not f.gain(cell, both[1], both[0]).better:
            continue
        found = {d.eps: d for d in f.doses(cell)}
        enough = next((eps_of(e, LINF) for e in eps if e in found and found[e].share >= 0.9), "–")
        rows.append((heading(f, cell), explainer_of(cell), *(dose(found.get(e)) for e in eps), enough))
    note = (
        "Per cent of the largest gain over standard training on the curve, with 95 % intervals over images; only where "
        "the largest eps gains significantly. Last: the smallest eps that gives nine tenths."
    )
    columns = ("metric", "explainer", *(eps_of(e, LINF) for e in eps), "enough")
    return Table(f"{f.trial.name}: how much training suffices", note, columns, tuple(rows), named=2)


def dose(d: Dose | None) -> str:
    """``62 [55, 70]``"""
    return "–" if d is None else f"{100 * d.share:.0f} [{100 * d.low:.0f}, {100 * d.high:.0f}]"


def anchors() -> Table:
    """What others published."""
    note = (
        "Of the study itself only the abstract is public. These are the nearest published numbers, of other networks, "
        "data or explainers: to be read beside ours, not to be matched."
    )
    return Table(
        "Published numbers", note, ("source", "setting", "measured"), tuple(tuple(a) for a in ANCHORS), named=3
    )
