"""Drawings of a study: every value as a dot, and how searches grew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..study import Strips, Traces
from .figures import COLOURS, STYLE, inline

ACROSS = 4  # panels in a row


@contextmanager
def panels(count: int, width: float, height: float) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with so many panels that share their vertical axis."""
    columns = min(ACROSS, count)
    lines = -(-count // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * lines + 0.4), layout="constrained")
        axes: Any = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axis in axes.flat[count:]:
            axis.axis("off")
        yield figure, list(axes.flat[:count])


def key(figure: Figure, names: Sequence[str], line: str) -> None:
    """What the colours mean, above all panels."""
    handles: list[Any] = [
        mpl.lines.Line2D([], [], color=colour, marker="o", markersize=4, linewidth=1.4, label=name)
        for name, colour in zip(names, COLOURS, strict=False)
    ]
    handles.append(mpl.lines.Line2D([], [], color="#111827", linestyle="--", linewidth=1, label=line))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=8)


def strips(section: Strips) -> str:
    """A column of dots for each name, next to each other so that equal values stay visible."""
    names = list(dict.fromkeys(name for panel in section.panels for name in panel.values))
    with panels(len(section.panels), 2.7, 2.3) as (figure, axes):
        for axis, panel in zip(axes, section.panels, strict=True):
            for place, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
                values = panel.values.get(name, ())
                spread = [place + 0.5 * ((i + 0.5) / len(values) - 0.5) for i in range(len(values))]
                axis.plot(spread, values, "o", color=colour, markersize=4, alpha=0.75, markeredgewidth=0)
            axis.axhline(panel.line, color="#111827", linestyle="--", linewidth=1)
            axis.set_title(shortened(panel.title), fontsize=7.5, parse_math=False)
            axis.set(xticks=[], xlim=(-0.6, len(names) - 0.4))
            axis.grid(axis="x", visible=False)
        figure.supylabel(section.axis, fontsize=9)
        key(figure, names, section.line)
        return inline(figure)


def traces(section: Traces) -> str:
    """A line for each run."""
    names = list(dict.fromkeys(name for panel in section.panels for name in panel.curves))
    with panels(len(section.panels), 2.7, 2.2) as (figure, axes):
        for axis, panel in zip(axes, section.panels, strict=True):
            for name, colour in zip(names, COLOURS, strict=False):
                for curve in panel.curves.get(name, ()):
                    axis.plot(*zip(*curve, strict=True), color=colour, linewidth=1.2, alpha=0.8)
            axis.axhline(panel.line, color="#111827", linestyle="--", linewidth=1)
            axis.set_title(shortened(panel.title), fontsize=7.5, parse_math=False)
        figure.supxlabel(section.axes[0], fontsize=9)
        figure.supylabel(section.axes[1], fontsize=9)
        key(figure, names, section.line)
        return inline(figure)


def shortened(title: str, length: int = 38) -> str:
    """Lines that fit over a panel."""
    return "\n".join(text if len(text) <= length else text[: length - 1] + "…" for text in title.split("\n"))
