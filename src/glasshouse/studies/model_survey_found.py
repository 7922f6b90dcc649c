"""What a survey of models found, with its tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..explainers import EdgeMap, OfRandomisedModel, RandomMap
from ..statistics import Comparison, Estimate, Values, compare, holm
from ..survey import Cell, Survey
from ..types import Explainer, Metric
from .gains import LEVEL

BASELINES = (RandomMap, EdgeMap, OfRandomisedModel)
FAMILIES = {
    "conciseness": "Concise: how few pixels a map rests on",
    "stability": "Stable: whether a map stays when the image hardly changes",
    "faithfulness": "Faithful: whether what a map shows is what the model uses",
    "localisation": "Localised: whether a map lies on the evidence",
    "sanity": "Sane: whether a map depends on what the model has learnt",
    "alignment": "Aligned: whether a map looks like the image",
    "": "Other metrics of explanations",
}


class Row(NamedTuple):
    """A metric by an explainer, over all models."""

    metric: Metric
    explainer: Explainer | None

    def of(self, model: str) -> Cell:
        """That of one model."""
        return Cell(model, self.explainer, self.metric)

    @property
    def family(self) -> str:
        own = getattr(self.metric, "family", "")
        return own if own in FAMILIES else ""

    @property
    def better(self) -> int:
        return int(getattr(self.metric, "better", 0))


class Found(NamedTuple):
    """A survey with its tests: how far each model is from the first, by the cell of the values."""

    survey: Survey
    against: dict[Cell, Comparison]  # each model minus the first, corrected for their number
    chances: dict[Cell, Comparison]  # each explainer minus random maps, corrected for their number

    @classmethod
    def of(cls, survey: Survey) -> Found:
        return cls(survey, comparisons(survey), chances(survey))

    def rows(self) -> dict[str, list[Row]]:
        """What is measured of explanations, by family."""
        rows = dict.fromkeys(Row(c.metric, c.explainer) for c in self.survey.values if explaining(c))
        return {f: own for f in FAMILIES if (own := [row for row in rows if row.family == f])}

    def estimate(self, row: Row, model: str) -> Estimate:
        return self.survey.estimate(row.metric, model, row.explainer)

    def sign(self, row: Row, model: str) -> int | None:
        """Of the difference to the first model, as :func:`sign_of`."""
        return sign_of(self.against.get(row.of(model)), row.better)


def explaining(cell: Cell) -> bool:
    """Whether a value is of an explanation, not of a model alone."""
    return cell.explainer is not None or hasattr(cell.metric, "family") or hasattr(cell.metric, "explainer")


def comparisons(survey: Survey) -> dict[Cell, Comparison]:
    """Every model against the first, image by image, of explanations that are no baselines."""
    first = survey.models[0]
    cells = [c for c in survey.values if c.model != first and explaining(c) and not isinstance(c.explainer, BASELINES)]
    return tested({c: (above_chance(survey, c), above_chance(survey, c._replace(model=first))) for c in cells})


def above_chance(survey: Survey, cell: Cell) -> Values:
    """Values or, of faithfulness, what they are above those of random maps: a model that any change throws off is not
    explained the better for that."""
    chance = random_map(survey)
    if chance is None or getattr(cell.metric, "family", "") != "faithfulness":
        return values(survey, cell)
    return values(survey, cell) - values(survey, cell._replace(explainer=chance))


def values(survey: Survey, cell: Cell) -> Values:
    return survey.values[cell].double().numpy()


def random_map(survey: Survey) -> RandomMap | None:
    return next((e for e in survey.explainers if isinstance(e, RandomMap)), None)


def chances(survey: Survey) -> dict[Cell, Comparison]:
    """Every explainer against random maps of the same images."""
    chance = random_map(survey)
    cells = [c for c in survey.values if chance and c.explainer is not None and not isinstance(c.explainer, BASELINES)]
    pairs = {c: (values(survey, c), values(survey, c._replace(explainer=chance))) for c in cells if about_chance(c)}
    return tested(pairs)


def about_chance(cell: Cell) -> bool:
    """Whether a metric asks for what a random map has by chance alone."""
    return getattr(cell.metric, "family", "") in ("faithfulness", "localisation")


def tested(pairs: dict[Cell, tuple[Values, Values]]) -> dict[Cell, Comparison]:
    """Values against others, p-values corrected by Holm's method; those without common images left out."""
    told = {cell: compare(*pair) for cell, pair in pairs.items()}
    told = {c: found for c, found in told.items() if found.difference == found.difference}
    corrected = holm([found.p for found in told.values()])
    return {c: found._replace(p=p) for (c, found), p in zip(told.items(), corrected, strict=True)}


def sign_of(c: Comparison | None, better: int) -> int | None:
    """1 where the first is significantly better, -1 where it is worse, None where it only differs, 0 for neither."""
    if c is None or c.p >= LEVEL or not c.difference:
        return 0
    return (1 if c.difference * better > 0 else -1) if better else None


def counted(against: dict[Cell, Comparison], cells: Sequence[Cell]) -> str:
    """``better in 3, worse in 1 of 12``"""
    compared = [cell for cell in cells if cell in against]
    signs = [sign_of(against[cell], int(getattr(cell.metric, "better", 0))) for cell in compared]
    counts = {"better": signs.count(1), "worse": signs.count(-1), "different": signs.count(None)}
    told = [f"{word} in {count}" for word, count in counts.items() if count] or ["no different"]
    return f"{', '.join(told)} of {len(compared)}" if compared else ""
