"""The document on robustness and interpretability: claims, tables, figures, and everything as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim, Document, Section
from ..titles import attack_title, brief
from ..versions import device_named, versions
from .model_survey_found import Row
from .robustness_claims import ends
from .robustness_controls import claims
from .robustness_figures import figures
from .robustness_found import Found, mean
from .robustness_tables import FAMILIES, anchors, tables

if TYPE_CHECKING:
    from .robustness_study import RobustnessStudy


def document(study: RobustnessStudy, trials: Sequence[Found], device: str) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    told = claims(trials)
    sections: list[Section] = [section for f in trials for section in (*figures(f), *tables(f))]
    setup = described(study, trials, device)
    return Document(study.title, verdict(told, trials), told, (*sections, anchors()), setup, results(trials, setup))


def verdict(told: Sequence[Claim], trials: Sequence[Found]) -> str:
    """How many claims hold, and over what they were decided."""
    parts = []
    for source, text, kinds in (
        ("paper", "claims", (REPRODUCED, NOT_REPRODUCED, UNTESTED)),
        ("control", "controls", (SUPPORTED, REFUTED, UNTESTED)),
    ):
        own = [claim.verdict for claim in told if claim.source == source]
        parts += (
            [f"Of {len(own)} {text}: {', '.join(f'{own.count(v)} {v}' for v in kinds if v in own)}."] if own else []
        )
    return " ".join((*parts, *(over(f) for f in trials)))


def over(f: Found) -> str:
    """What one trial rests on."""
    judged = int(f.explained.judged.sum())
    images = f.explained.right.shape[1]
    if not judged:
        return f"{f.trial.name}: of {images} images none is right in all {len(f.names)} models, so nothing is judged."
    return f"{f.trial.name}: {len(f.names)} models, judged on the {judged} of {images} images that all get right."


def described(study: RobustnessStudy, trials: Sequence[Found], device: str) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    rows = []
    for f in trials:
        trained = (
            f"{type(f.trial.model).__name__}, {f.trial.training.epochs} epochs" if f.trial.ways else "given models"
        )
        threats = ", ".join(attack_title(threat) for threat in f.trial.threats)
        looks = ", ".join(brief(e) for e in f.trial.explainers)
        rows.append((f.trial.name, f"{trained}; {len(f.names)} models; threats: {threats}; explainers: {looks}"))
    return (*versions().items(), ("device", device_named(device)), ("seed", str(study.seed)), *rows)


def results(trials: Sequence[Found], setup: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Means, intervals, trends and doses as plain data."""
    return {"setup": dict(setup), "trials": {f.trial.name: plain(f) for f in trials}}


def plain(f: Found) -> dict[str, Any]:
    """One trial."""
    return {
        "models": {s.name: of_model(f, s.name) for s in f.subjects},
        "judged": int(f.explained.judged.sum()),
        "cells": [of_cell(f, cell) for cell in f.cells(tuple(FAMILIES), baselines=True)],
    }


def of_model(f: Found, name: str) -> dict[str, Any]:
    """How right a model is."""
    threats = {attack_title(t): f.robust(name, k)._asdict() for k, t in enumerate(f.trial.threats)}
    return {"clean": f.accuracy(name)._asdict(), "threats": threats}


def of_cell(f: Found, cell: Row) -> dict[str, Any]:
    """A metric by an explainer: every model's mean, the trend, and the doses."""
    return {
        "family": getattr(cell.metric, "family", ""),
        "metric": repr(cell.metric),
        "explainer": None if cell.explainer is None else repr(cell.explainer),
        "better": cell.better,
        "means": {name: mean(f.values(cell, [name]))._asdict() for name in f.names},
        "trend": f.trend(cell)._asdict(),
        "doses": [d._asdict() for d in f.doses(cell)] if ends(f) else [],
    }
