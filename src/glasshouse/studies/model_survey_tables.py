"""The tables, bars and maps of a survey of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..explainers.superpixels import chunks
from ..metrics import Accuracy
from ..statistics import Estimate, estimate
from ..study import Bars, Pictures, Series, Shown, Table
from ..survey import Survey
from ..titles import brief, title
from ..types import Explainer, Metric
from .gains import LEVEL
from .model_survey_found import FAMILIES, Found, Row, counted, explaining, random_map

if TYPE_CHECKING:
    from .model_survey import Seen

ARROWS = {1: " ↑", -1: " ↓", 0: ""}
OVER_CHANCE = (
    " Compared is what a map has over a random one on the same model: some models are thrown off by any change."
)
ACROSS = 6  # models beside one another in a table


def models(found: Found) -> Table:
    """What is measured of models, not of their explanations."""
    s = found.survey
    metrics = [m for m in s.metrics if m != Accuracy() and not explaining(next(c for c in s.values if c.metric == m))]
    lines = []
    for name, right in zip(s.models, s.right, strict=True):
        own = [text(estimate(right.double().numpy()), share=True)]
        own += [text(s.estimate(m, name), share=isinstance(m, Accuracy)) for m in metrics]
        lines.append((name, *own))
    note = f"Of {s.right.shape[1]} images: means with 95 % intervals."
    columns = ("model", "accuracy", *map(title, metrics))
    return Table("The models", note, columns, tuple(lines), named=1)


def overview(found: Found) -> Table:
    """In how many cells of the tables below each model differs from the first."""
    s = found.survey
    rows = {word(family): own for family, own in found.rows().items()}
    lines = [
        (model, *(counted(found.against, [row.of(model) for row in own]) or "–" for own in rows.values()))
        for model in s.models[1:]
    ]
    note = (
        f"In how many metrics, each by each explainer, a model is better or worse than {s.models[0]}: paired over the "
        f"images, p < {LEVEL} after Holm's correction over all comparisons of models on this page."
    )
    return Table(f"Against {s.models[0]}", note, ("model", *rows), tuple(lines), named=1)


def chance(found: Found) -> Table:
    """In how many metrics each explainer is better than a map of random numbers."""
    s, lines = found.survey, []
    for explainer in dict.fromkeys(cell.explainer for cell in found.chances):
        cells = [[c for c in found.chances if c[:2] == (model, explainer)] for model in s.models]
        lines.append((named(explainer), *(counted(found.chances, own) or "–" for own in cells)))
    note = (
        "In how many metrics of what is faithful or well placed an explainer beats random numbers, which know nothing: "
        f"paired over the images, p < {LEVEL} after Holm's correction. What does not is no explanation."
    )
    return Table("Better than a random map?", note, ("explainer", *s.models), tuple(lines), named=1)


def word(family: str) -> str:
    """``Concise``"""
    return FAMILIES[family].partition(":")[0]


def bars(found: Found, family: str, rows: Sequence[Row]) -> Bars:
    """A panel for each metric, a group of bars for each explainer."""
    s = found.survey
    explainers = list(dict.fromkeys(row.explainer for row in rows))
    panels = []
    for metric in dict.fromkeys(row.metric for row in rows):
        there = {row.explainer: row for row in rows if row.metric == metric}
        series = tuple(Series(model, tuple(bar(found, there.get(e), model) for e in explainers)) for model in s.models)
        panels.append((heading(metric), series))
    note = "Means with 95 % intervals. ↑: higher is better, ↓: lower is better."
    return Bars(FAMILIES[family], note, "", tuple(map(named, explainers)), tuple(panels))


def bar(found: Found, row: Row | None, model: str) -> tuple[float, float, float]:
    """A mean with its interval."""
    return (float("nan"),) * 3 if row is None else found.estimate(row, model)[:3]


def tables(found: Found, family: str, rows: Sequence[Row]) -> Iterator[Table]:
    """The numbers, a few models beside one another."""
    names = found.survey.models
    for part in chunks(len(names), ACROSS):
        shown = names[part]
        lines = tuple(
            (heading(row.metric), named(row.explainer), *(marked(found, row, model) for model in shown)) for row in rows
        )
        note = f"Means with 95 % intervals. ▲ better and ▼ worse than {names[0]}, ≠ different: p < {LEVEL}, corrected."
        note += OVER_CHANCE if family == "faithfulness" and random_map(found.survey) else ""
        more = "" if len(names) <= ACROSS else f", models {part.start + 1} to {part.start + len(shown)}"
        yield Table(f"{word(family)}, in numbers{more}", note, ("metric", "explainer", *shown), lines)


def marked(found: Found, row: Row, model: str) -> str:
    """A mean with its interval and what the test says of it."""
    if row.of(model) in found.survey.refused:
        return "not measurable"
    mark = {1: " ▲", -1: " ▼", None: " ≠", 0: ""}[found.sign(row, model)]
    return text(found.estimate(row, model)) + mark


def text(e: Estimate, share: bool = False) -> str:
    """A mean with its interval."""
    if not e.count:
        return "–"
    if share:
        return f"{100 * e.mean:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]"
    return f"{e.mean:.3g} [{e.low:.3g}, {e.high:.3g}]"


def heading(metric: Metric) -> str:
    """A metric and where its better end is."""
    return title(metric) + ARROWS[int(getattr(metric, "better", 0))]


def named(explainer: Explainer | None) -> str:
    return "–" if explainer is None else brief(explainer)


def pictures(survey: Survey, seen: Seen) -> Pictures:
    """What each explainer says of a few images, a row for each model."""
    rows = []
    for i, name in enumerate(seen.titles):
        for model in survey.models:
            cells = [Shown(seen.x[i], None, f"{name}, {model}")]
            for e in survey.explainers:
                own = seen.maps.get((model, e))
                cells.append(Shown(seen.x[i], None, "" if own is not None else "cannot be explained", at(own, i)))
            rows.append(tuple(cells))
    note = "Red speaks for the class that is predicted, blue against it. Each map has its own colour scale."
    return Pictures("What the models look at", note, ("image", *map(brief, survey.explainers)), tuple(rows))


def at(maps: Any, i: int) -> Any:
    return None if maps is None else maps[i]


def refused(survey: Survey) -> Table:
    """What was left out, and why."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for cell, why in survey.refused.items():
        rows.setdefault((title(cell.metric), named(cell.explainer), why), []).append(cell.model)
    lines = tuple((*key[:2], whose(models, survey), key[2]) for key, models in rows.items())
    note = "Tried on one image before anything was measured."
    return Table("What cannot be measured", note, ("metric", "explainer", "models", "why"), lines, named=4)


def whose(models: Sequence[str], survey: Survey) -> str:
    return "all" if len(models) == len(survey.models) else ", ".join(models)


def cost(survey: Survey) -> Table:
    """Seconds that each metric took by each explainer, over all models."""
    columns = list(dict.fromkeys(cell.explainer for cell in survey.seconds))
    lines = []
    for metric in dict.fromkeys(cell.metric for cell in survey.seconds):
        spent = [sum(s for c, s in survey.seconds.items() if (c.metric, c.explainer) == (metric, e)) for e in columns]
        lines.append((title(metric), *(f"{s:.3g}" if s else "–" for s in spent)))
    total = sum(survey.seconds.values())
    note = (
        f"Seconds for all models, {total:.3g} in all. What several share, such as an explainer's maps, is found once "
        "and counted where it was needed first."
    )
    return Table("What it cost", note, ("metric", *map(named, columns)), tuple(lines), named=1)
