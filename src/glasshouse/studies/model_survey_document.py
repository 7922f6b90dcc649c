"""The document of a survey of models: who is better by which explainer, and everything as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..statistics import estimate
from ..study import Document, Section
from ..survey import Survey
from ..titles import brief, title
from ..types import Samples
from ..versions import device_named, versions
from .model_survey_found import Found, counted
from .model_survey_tables import bars, chance, cost, models, overview, pictures, refused, tables

if TYPE_CHECKING:
    from .model_survey import ModelSurvey, Seen


def document(study: ModelSurvey, survey: Survey, seen: Seen, samples: Samples, device: str) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    found = Found.of(survey)
    sections: list[Section] = [models(found)]
    sections += [overview(found)] if len(survey.models) > 1 and found.rows() else []
    sections += [chance(found)] if found.chances else []
    sections += [pictures(survey, seen)] if seen.maps else []
    for family, rows in found.rows().items():
        sections += [bars(found, family, rows), *tables(found, family, rows)]
    sections += [refused(survey)] if survey.refused else []
    sections += [cost(survey)] if any(survey.seconds.values()) else []
    setup = described(study, survey, samples, device)
    return Document(study.title, verdict(found), (), tuple(sections), setup, results(found, setup))


def verdict(found: Found) -> str:
    """On how many images all models are right, and what differs."""
    s = found.survey
    judged, every = int(s.judged.sum()), s.right.shape[1]
    who = "The model gets" if len(s.models) == 1 else f"All {len(s.models)} models get"
    told = f"{who} {judged} of {every} images right"
    if not judged:
        return f"{told}: no explanation was measured, since models are compared on images that all of them get right."
    if not found.rows():
        return f"{told}."
    told += "; explanations are measured on these."
    first = s.models[0]
    cells = {model: [cell for cell in found.against if cell.model == model] for model in s.models[1:]}
    parts = [f"{model} is {text}" for model, own in cells.items() if (text := counted(found.against, own))]
    return f"{told} Against {first}, significantly, {'; '.join(parts)} measurements." if parts else told


def described(study: ModelSurvey, survey: Survey, samples: Samples, device: str) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    judged = f"{survey.right.shape[1]} of the {study.split} split, {int(survey.judged.sum())} of them judged"
    own = (("images", judged), ("classes", str(len(samples.classes))), ("models", ", ".join(survey.models)))
    return (*versions().items(), ("device", device_named(device)), ("seed", str(study.seed)), *own)


def results(found: Found, setup: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Every mean, interval, count and comparison, and where in ``values.npz`` its values are."""
    s = found.survey
    right = [estimate(values.double().numpy()) for values in s.right]
    cells = []
    for k, (cell, values) in enumerate(s.values.items()):
        told: dict[str, Any] = {"model": cell.model, "metric": repr(cell.metric), "title": title(cell.metric)}
        told |= {"by": "" if cell.explainer is None else brief(cell.explainer)}
        told |= {"explainer": None if cell.explainer is None else repr(cell.explainer)}
        told |= {"family": getattr(cell.metric, "family", None), "better": getattr(cell.metric, "better", None)}
        told |= {"values": f"value_{k}", **estimate(values.double().numpy())._asdict()}
        against = found.against.get(cell)
        told |= {"against_first": against._asdict() if against else None, "refused": s.refused.get(cell)}
        cells.append(told)
    return {
        "images": s.right.shape[1],
        "judged": int(s.judged.sum()),
        "models": [
            {"name": n, "accuracy": e._asdict(), "values": f"right_{k}"}
            for k, (n, e) in enumerate(zip(s.models, right, strict=True))
        ],
        "cells": cells,
        "setup": dict(setup),
    }
