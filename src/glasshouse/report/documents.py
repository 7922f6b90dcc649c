"""``index.html`` of a study: its claims, drawings and tables, with nothing beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files import write_whole
from ..spec import pretty
from ..study import (
    NOT_REPRODUCED,
    REFUTED,
    REPRODUCED,
    SUPPORTED,
    UNTESTED,
    Bars,
    Document,
    Lines,
    Pictures,
    Section,
    Shifts,
    Shown,
    Strips,
    Study,
    Table,
    Traces,
)
from . import figures, plots, shift_figure
from .templates import template

MARKS = {SUPPORTED: "pass", REPRODUCED: "pass", REFUTED: "fail", NOT_REPRODUCED: "fail", UNTESTED: "open"}


def write_document(document: Document, study: Study, out: Path) -> Path:
    """Write the page next to what the study left; returns it."""
    page = template("document.html").render(
        document=document,
        paper=[c for c in document.claims if c.source == "paper"],
        controls=[c for c in document.claims if c.source != "paper"],
        marks=MARKS,
        sections=[drawn(section) for section in document.sections],
        study=pretty(study),
    )
    write_whole(out / "index.html", page)
    return out / "index.html"


def drawn(section: Section) -> dict[str, Any]:
    """A section with its drawing, its pictures or its table."""
    told: dict[str, Any] = {"title": section.title, "note": section.note}
    told |= {"drawing": "", "long": False, "table": None, "rows": None, "shifts": None}
    match section:
        case Table():
            return told | {"table": section}
        case Pictures():
            return told | {"columns": section.columns, "rows": [[cell(shown) for shown in row] for row in section.rows]}
        case Shifts():
            return told | {"shifts": [(shift.title, shift_figure.picture(shift)) for shift in section.pictures]}
        case Strips():
            return told | {"drawing": plots.strips(section)}
        case Traces():
            return told | {"drawing": plots.traces(section)}
        case Lines():
            return told | {"drawing": plots.lines(section), "long": len(section.charts) > 1}
        case Bars():
            return told | {"drawing": plots.bars(section), "long": True}


def cell(shown: Shown) -> dict[str, str]:
    """An image with its caption."""
    if shown.attribution is not None:
        picture = figures.overlay(shown.x, shown.attribution)
    elif shown.selected is not None:
        picture = figures.darkened(shown.x, shown.selected)
    else:
        picture = figures.photo(shown.x)
    return {"picture": figures.encoded(picture), "caption": shown.caption}
