"""Explanations next to each other: a page, a piece of one for notebooks, a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from . import figures, marks
from .agreement import agreement
from .figures import Picture
from .templates import setting, template

if TYPE_CHECKING:
    from .explanations import Column, Explanations

SHOWN = 5  # superpixels that are outlined
LIKELY = 3  # classes beside an image
SATURATED = 0.98  # share of the pixels that are not drawn in full


def page(found: Explanations) -> str:
    """A whole page that needs nothing beside it."""
    return template("gallery.html").render(content(found))


def fragment(found: Explanations) -> str:
    """The same for a place within another page."""
    return template("explanations.html").render(content(found))


def content(found: Explanations) -> dict[str, Any]:
    """What the templates fill in."""
    right = sum(int(p == y) for p, y in zip(found.predicted, found.y, strict=True))
    known = int((found.y >= 0).sum())
    return {
        "rows": [row(found, i) for i in range(len(found.x))],
        "agreement": agreement_table(found) if len(found.columns) > 1 else None,
        "costs": [cost(column, len(found.x)) for column in found.columns],
        "setup": setting({"model": found.model, "data": found.data, "device": found.device, "seed": found.seed}),
        "images": len(found.x),
        "right": f"{right} of {known} are classified rightly" if known else "their true classes are not known",
        "by_superpixels": bool(found.surrogates),
        "binary": any(is_binary(column.attribution) for column in found.columns),
        "height": found.x.shape[2],
        "width": found.x.shape[3],
        "small": max(found.x.shape[2:]) <= 96,
    }


def row(found: Explanations, i: int) -> dict[str, Any]:
    """One image, what the model takes it for, and every explanation of it."""
    y, predicted, target = (int(t[i]) for t in (found.y, found.predicted, found.target))
    likely = found.probability[i].topk(min(LIKELY, len(found.classes)))
    return {
        "title": found.titles[i],
        "picture": figures.encoded(figures.photo(found.x[i])),
        "true": found.classes[y] if y >= 0 else None,
        "right": None if y < 0 else y == predicted,
        "likely": [(found.classes[int(k)], p) for p, k in zip(likely.values.tolist(), likely.indices, strict=True)],
        "target": found.classes[target],
        "target_probability": found.probability[i, target].item(),
        "other": target != predicted,
        "cells": [cell(column, found.x[i], i) for column in found.columns],
    }


def cell(column: Column, x: Tensor, i: int) -> dict[str, Any]:
    """One explanation of one image."""
    surrogate = column.surrogate
    chosen = marks.strongest(surrogate, i, SHOWN) if surrogate else []
    binary = is_binary(column.attribution)
    return {
        "heading": column.heading,
        "picture": figures.encoded(drawn(column, x, i)),
        "note": "nothing speaks for or against" if not column.attribution[i].any() else "",
        "outlines": marks.outlines(surrogate.segments[i], chosen) if surrogate and not binary else [],
        "chart": marks.chart(surrogate, i, chosen) if surrogate and chosen and not binary else None,
    }


def drawn(column: Column, x: Tensor, i: int) -> Picture:
    """The image under its attribution; what is merely selected stands out from the dark."""
    attribution = column.attribution[i]
    if is_binary(column.attribution):
        return figures.darkened(x, attribution > 0)
    # Of superpixels none is an outlier.
    return figures.overlay(x, attribution, None if column.surrogate else reach(attribution))


def reach(attribution: Tensor) -> float | None:
    """The value that is drawn in full, as a few single pixels would dim all others; None where nearly all are 0."""
    return float(torch.quantile(attribution.abs().flatten().double(), SATURATED)) or None


def is_binary(attribution: Tensor) -> bool:
    """Whether maps only say which pixels are selected."""
    return bool(((attribution == 0) | (attribution == 1)).all() and (attribution == 1).any())


def cost(column: Column, images: int) -> dict[str, str]:
    """What an explainer took for each image."""
    passes = f"{column.passes / images:,.0f}" if column.passes else "–"
    return {
        "heading": column.heading,
        "text": column.text,
        "seconds": f"{column.seconds:.2f}",
        "each": f"{column.seconds / images:.3f}",
        "passes": passes,
    }


def agreement_table(found: Explanations) -> list[tuple[str, list[tuple[str, float]]]]:
    """For each explainer, ``(text, strength)`` against every other."""
    headings = [column.heading for column in found.columns]
    values = agreement(found)
    shown = [[("–", 0.0) if v != v else (f"{v:+.2f}", v) for v in line] for line in values]
    return list(zip(headings, shown, strict=True))


def figure(found: Explanations) -> Figure:
    """The pictures of the gallery as one figure."""
    height, width = found.x.shape[2:]
    columns = 1 + len(found.columns)
    nearest = "nearest" if max(height, width) <= 96 else "antialiased"
    with mpl.rc_context(figures.STYLE | {"axes.grid": False}):
        drawing = Figure(figsize=(2.2 * columns, (2.2 * height / width + 0.35) * len(found.x)), layout="constrained")
        axes = drawing.subplots(len(found.x), columns, squeeze=False)
        for i, line in enumerate(axes):
            predicted = int(found.predicted[i])
            told = f"{found.classes[predicted]}, {100 * found.probability[i, predicted]:.0f} %"
            pictures = [(told, figures.photo(found.x[i]))]
            pictures += [(column.heading, drawn(column, found.x[i], i)) for column in found.columns]
            for axis, (heading, picture) in zip(line, pictures, strict=True):
                axis.imshow(picture, interpolation=nearest)
                axis.set_axis_off()
                axis.set_title(heading, fontsize=8, parse_math=False)
    return drawing
