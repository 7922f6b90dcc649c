"""Drawings of a study: every value as a dot, how searches grew, curves with their bands, and bars by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..study import Bars, Chart, Line, Lines, Series, Strips, Traces
from .figures import COLOURS, STYLE, inline

ACROSS = 4  # panels in a row
WIDTH = 9.9  # inches that a page shows at their full size
MARKED = 40  # points of a curve that are still told apart
LETTER = 0.068  # inches that one takes beside another
INK = "#111827"


class Look(NamedTuple):
    """How a name is drawn, wherever it appears."""

    colour: str
    marker: str
    line: Any
    hatch: str


ROUNDS = (("o", "-", ""), ("s", (0, (5, 2)), "////"), ("^", (0, (1, 1.5)), "...."), ("D", (0, (6, 2, 1, 2)), "xxxx"))


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name; where the colours end they begin again with other marks and lines."""
    found: dict[str, Look] = {}
    for i, name in enumerate(dict.fromkeys(names)):
        found[name] = Look(COLOURS[i % len(COLOURS)], *ROUNDS[i // len(COLOURS) % len(ROUNDS)])
    return found


@contextmanager
def panels(
    count: int, width: float, height: float, across: int = ACROSS, together: bool = True
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with so many panels that share their vertical axis; the horizontal one where they stand in a column."""
    columns = max(1, min(across, count))
    rows = max(1, -(-count // columns))
    with mpl.rc_context(STYLE | {"text.parse_math": False, "hatch.linewidth": 0.6}):
        figure = Figure(figsize=(width * columns, height * rows + 0.4), layout="constrained")
        axes: Any = figure.subplots(rows, columns, squeeze=False, sharex=across == 1, sharey=together)
        for axis in axes.flat[count:]:
            axis.axis("off")
        yield figure, list(axes.flat[:count])


def swatch(name: str, look: Look) -> Any:
    """What stands for a curve or its dots."""
    style: Any = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
    return mpl.lines.Line2D([], [], markersize=4, linewidth=1.4, label=name, **style)


def dashed(name: str) -> Any:
    """What stands for the value to compare with."""
    return mpl.lines.Line2D([], [], color=INK, linestyle="--", linewidth=1, label=name)


def hollow(name: str, colour: str = INK, marker: str = "o") -> Any:
    """What stands for a paper's numbers."""
    style: Any = {"marker": marker, "linestyle": "none", "markerfacecolor": "white"}
    return mpl.lines.Line2D([], [], markersize=6, color=colour, label=name, **style)


def key(figure: Figure, handles: Sequence[Any]) -> None:
    """What the colours mean, above all panels, in as many rows as it takes."""
    names = [shortened(str(handle.get_label()), 70) for handle in handles]
    longest = max((len(line) for name in names for line in name.split("\n")), default=0)
    columns = max(1, min(len(names), int(figure.get_figwidth() / (0.55 + LETTER * longest))))
    figure.set_figheight(figure.get_figheight() + 0.18 * (-(-len(names) // columns) - 1))
    # Names are set afterwards: a legend leaves out what begins with "_".
    places = [str(i) for i in range(len(names))]
    place: Any = {"loc": "outside upper center", "frameon": False, "fontsize": 8}
    legend = figure.legend(handles, places, ncols=columns, **place)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)


def strips(section: Strips) -> str:
    """A column of dots for each name, next to each other so that equal values stay visible."""
    told = looks(name for panel in section.panels for name in panel.values)
    with panels(len(section.panels), 2.7, 2.3) as (figure, axes):
        for axis, panel in zip(axes, section.panels, strict=True):
            for place, (name, look) in enumerate(told.items()):
                values = panel.values.get(name, ())
                spread = [place + 0.5 * ((i + 0.5) / len(values) - 0.5) for i in range(len(values))]
                style: Any = {"color": look.colour, "marker": look.marker, "linestyle": "none"}
                axis.plot(spread, values, markersize=4, alpha=0.75, markeredgewidth=0, **style)
            axis.axhline(panel.line, color=INK, linestyle="--", linewidth=1)
            axis.set_title(shortened(panel.title), fontsize=7.5)
            axis.set(xticks=[], xlim=(-0.6, len(told) - 0.4))
            axis.grid(axis="x", visible=False)
        figure.supylabel(section.axis, fontsize=9)
        key(figure, [*(swatch(name, look) for name, look in told.items()), dashed(section.line)])
        return inline(figure)


def traces(section: Traces) -> str:
    """A line for each run."""
    told = looks(name for panel in section.panels for name in panel.curves)
    with panels(len(section.panels), 2.7, 2.2) as (figure, axes):
        for axis, panel in zip(axes, section.panels, strict=True):
            for name, look in told.items():
                for curve in panel.curves.get(name, ()):
                    x, y = zip(*curve, strict=True)
                    axis.plot(x, y, color=look.colour, linestyle=look.line, linewidth=1.2, alpha=0.8)
            axis.axhline(panel.line, color=INK, linestyle="--", linewidth=1)
            axis.set_title(shortened(panel.title), fontsize=7.5)
        figure.supxlabel(section.axes[0], fontsize=9)
        figure.supylabel(section.axes[1], fontsize=9)
        key(figure, [*(swatch(name, look) for name, look in told.items()), dashed(section.line)])
        return inline(figure)


def lines(section: Lines) -> str:
    """A curve for each line, with its band; a paper's numbers are hollow marks."""
    drawn = [line for chart in section.charts for line in chart.lines]
    told, own = looks(line.name for line in drawn), {line.name for line in drawn if not line.published}
    width = min(6.0, WIDTH / max(1, min(ACROSS, len(section.charts))))
    with panels(len(section.charts), width, 1.5 + 0.35 * width, together=section.together) as (figure, axes):
        for axis, chart in zip(axes, section.charts, strict=True):
            for line in chart.lines:
                curve(axis, line, told[line.name])
            if section.log:
                logarithmic(axis, chart)
            axis.set_title(shortened(chart.title, int(14 * width)), fontsize=8)
        figure.supxlabel(section.axes[0], fontsize=9)
        figure.supylabel(section.axes[1], fontsize=9)
        known = [swatch(n, k) if n in own else hollow(n, k.colour, k.marker) for n, k in told.items()]
        key(figure, known + [hollow("published")] * any(line.published for line in drawn))
        return inline(figure)


def logarithmic(axis: Axes, chart: Chart) -> None:
    """A tick at every point, and no other."""
    ticks = sorted({x for line in chart.lines for x, _ in line.points if x > 0})
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axis.set_xticks([], minor=True)


def curve(axis: Axes, line: Line, look: Look) -> None:
    """One line; a point that nothing joins to others keeps its mark, and whiskers for its band."""
    points = np.array(line.points, dtype=float).reshape(-1, 2)
    there = np.isfinite(points).all(axis=1)
    x, y = np.where(there[:, None], points, np.nan).T
    padded = np.pad(there, 1)
    alone = there & (line.published | ~(padded[:-2] | padded[2:]))
    marks: Any = np.flatnonzero(alone | (len(points) <= MARKED)).tolist()
    style: Any = {"marker": look.marker, "markersize": 6 if line.published else 3.5, "markevery": marks}
    style |= {"markerfacecolor": "white", "linestyle": "none"} if line.published else {"linestyle": look.line}
    axis.plot(x, y, color=look.colour, linewidth=1.6, zorder=3 if line.published else 2, **style)
    if line.band:
        low, high = np.where(there[:, None], np.array(line.band, dtype=float).reshape(len(points), 2), np.nan).T
        sure = alone & np.isfinite(low) & np.isfinite(high)
        axis.vlines(x[sure], low[sure], high[sure], color=look.colour, linewidth=1, zorder=1.9)
        axis.fill_between(x, low, high, where=~alone, color=look.colour, alpha=0.14, linewidth=0)


def bars(section: Bars) -> str:
    """A group of bars for each name, with their intervals; a paper's values are hollow marks."""
    series = [one for _, found in section.panels for one in found]
    told = looks(one.name for one in series)
    most = max((len(found) for _, found in section.panels), default=1)
    # Wider than a page only where bars would be too thin to see.
    width = max(4.5, min(WIDTH, 0.14 * len(section.names) * (most + 1)), 0.045 * len(section.names) * (most + 1))
    with panels(len(section.panels), width, 2.3, across=1) as (figure, axes):
        for axis, (title, found) in zip(axes, section.panels, strict=True):
            for i, one in enumerate(found):
                places = np.arange(len(section.names)) + 0.8 * ((i + 0.5) / len(found) - 0.5)
                standing(axis, one, told[one.name], places, 0.8 / len(found))
            axis.set_title(shortened(title, int(14 * width)), fontsize=8.5, loc="left")
            labelled(axis, section.names, width)
        figure.supylabel(section.axis, fontsize=9)
        known = [mpl.patches.Patch(**filled(look), label=name) for name, look in told.items()]
        key(figure, known + [hollow("published", marker="D")] * any(any_told(one) for one in series))
        return inline(figure)


def standing(axis: Axes, series: Series, look: Look, places: Any, width: float) -> None:
    """The bars of one series, left out where there is no value."""
    value, low, high = np.array(series.values, dtype=float).reshape(len(places), 3).T
    there, sure = np.isfinite(value), np.isfinite([value, low, high]).all(axis=0)
    axis.bar(places[there], value[there], 0.94 * width, zorder=2, **filled(look))
    axis.vlines(places[sure], low[sure], high[sure], color=INK, linewidth=0.9, zorder=2.5)
    if any_told(series):
        marks = np.array([np.nan if mark is None else mark for mark in series.published], dtype=float)
        style: Any = {"marker": "D", "linestyle": "none", "markerfacecolor": "white"}
        axis.plot(places, marks, color=INK, markersize=3.5, markeredgewidth=0.9, zorder=3, **style)


def filled(look: Look) -> Any:
    """A bar in the colour of its series; lines across it where the colours have been used."""
    return {"facecolor": look.colour, "edgecolor": "white", "linewidth": 0, "hatch": look.hatch, "alpha": 0.85}


def any_told(series: Series) -> bool:
    """Whether a paper has a value for anything in a series."""
    return any(mark is not None and np.isfinite(mark) for mark in series.published)


def labelled(axis: Axes, names: Sequence[str], width: float) -> None:
    """Names under their groups, turned where they would run into each other."""
    texts = [shortened(name, 28) for name in names]
    crowded = (max(map(len, texts), default=0) + 2) * len(texts) * LETTER > width - 1
    axis.axhline(0, color="#6b7280", linewidth=0.8, zorder=2.2)
    axis.set(xlim=(-0.6, max(1, len(names)) - 0.4))
    turned: Any = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axis.set_xticks(range(len(names)), texts, fontsize=8, **turned)
    axis.grid(axis="x", visible=False)
    axis.tick_params(axis="x", length=0)


def shortened(title: str, length: int = 38) -> str:
    """Lines that fit over a panel."""
    return "\n".join(text if len(text) <= length else text[: length - 1] + "…" for text in title.split("\n"))
