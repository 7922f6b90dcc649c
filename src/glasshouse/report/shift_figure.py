"""One image before and after attacks: relevance of two classes, the image, and what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from textwrap import wrap
from typing import Any, NamedTuple

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from ..shifts import Moment, RelevanceShift, norms
from .figures import AGAINST, COLOURS, FOR, STYLE, inline, photo

SIGNED = LinearSegmentedColormap.from_list("signed", [AGAINST, (1, 1, 1), FOR])
SIDE = 1.75  # inches of a picture
SATURATED = 0.995  # share of the pixels that are not drawn in full
SMALL = 96  # pixels up to which each is drawn as a square
REACHED = {"coarse": "superclass changed", "fine": "class changed within the superclass"}
WRONG = {"coarse": "superclass wrong already", "fine": "class wrong already"}
MISSED = {"coarse": "superclass kept", "fine": "not changed within the superclass"}


class Cell(NamedTuple):
    """A picture and what stands beneath it."""

    values: Any
    caption: str
    style: dict[str, Any]


def picture(shift: RelevanceShift) -> str:
    """The figure as a ``data:`` address."""
    with mpl.rc_context(LOOK):
        return inline(figure(shift), "png")


LOOK: Any = STYLE | {"axes.grid": False, "text.parse_math": False}


def figure(shift: RelevanceShift) -> Figure:
    """A column for the untouched image and for each attack; rows: both classes, the image, the change.

    Red speaks for a class and blue against it, on one scale along each row. Beneath: the sums of both, the scores of
    both classes, how much the change is enlarged, and its norms.
    """
    moments = (shift.before, *shift.after)
    height, width = shift.before.x.shape[1:]
    with mpl.rc_context(LOOK):
        # A caption is two or three small lines.
        size = (SIDE * len(moments) + 0.3, (SIDE * height / width + 0.25) * 4 + 0.35)
        drawing = Figure(figsize=size, layout="constrained")
        axes: Any = drawing.subplots(4, len(moments), squeeze=False)
        for line, cells in zip(axes, rows(shift), strict=True):
            for axis, cell in zip(line, cells, strict=False):
                drawn(axis, cell, max(height, width) <= SMALL)
        for axis, moment in zip(axes[0], moments, strict=True):
            headed(axis, moment, aim(shift, moment))
        for axis, name in zip(axes[:, 0], named_rows(shift), strict=True):
            axis.set_ylabel(name, fontsize=7.5)
        legend(axes[3, 0])
    return drawing


def rows(shift: RelevanceShift) -> list[Sequence[Cell | None]]:
    """What stands in each row."""
    moments = (shift.before, *shift.after)
    relevance = [related(moments, shift.before, k) for k in (0, 1)]
    images = [Cell(photo(moment.x), scored(moment), {}) for moment in moments]
    changes = [changed(moment.x - shift.before.x) for moment in shift.after]
    return [*relevance, images, [None, *changes]]


def related(moments: Sequence[Moment], before: Moment, k: int) -> list[Cell]:
    """The relevance of the original or the adversarial class, all on one scale."""
    reach = scale(torch.stack([moment.relevance[k] for moment in moments]))
    style = {"cmap": SIGNED, "vmin": -reach, "vmax": reach}
    return [Cell(m.relevance[k].double().numpy(), summed(m, before, k), style) for m in moments]


def scale(values: Tensor) -> float:
    """The value that is drawn in full, as a few single pixels would dim all others."""
    strength = values.abs().flatten().double()
    place = max(1, round(SATURATED * len(strength)))  # torch.quantile refuses more than 16 million values
    return float(strength.kthvalue(place).values) or float(strength.max()) or 1.0


def summed(moment: Moment, before: Moment, k: int) -> str:
    """Norms of a map, and its class where that is another one than in the first column."""
    positive, negative = norms(moment.relevance[k])
    told = f"‖R⁺‖₁ {number(positive)}   ‖R⁻‖₁ {number(negative)}"
    return told if moment.classes[k] == before.classes[k] else f"{told}\nof {short(moment.classes[k])}"


def number(value: float) -> str:
    """Three digits, and thousands in full."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def scored(moment: Moment) -> str:
    """The scores of both classes."""
    return "\n".join(
        f"{short(name)}  {100 * score:.1f} %" for name, score in zip(moment.classes, moment.scores, strict=True)
    )


def changed(delta: Tensor) -> Cell:
    """A change around grey, enlarged by a round factor that is told, and its norms."""
    largest = float(delta.abs().max())
    factor = rounded(0.5 / scale(delta))
    told = f"× {factor:g}   ‖η‖∞ {255 * largest:.3g}/255\n‖η‖₂ {number(float(delta.norm()))}"
    return Cell(photo(0.5 + factor * delta), told if largest else "no change", {})


def rounded(factor: float) -> float:
    """The next lower 1, 2 or 5 times a power of ten, or one that rounding alone has missed."""
    power = 10.0 ** floor(log10(factor))
    return max(step * power for step in (1, 2, 5) if step * power <= factor * 1.001)


def drawn(axis: Axes, cell: Cell | None, squares: bool) -> None:
    """A picture in a thin frame with its caption; a place without one stays empty."""
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(visible=cell is not None, color="#e5e7eb")
    if cell is not None:
        axis.imshow(cell.values, interpolation="nearest" if squares else "antialiased", **cell.style)
        axis.set_xlabel(cell.caption, fontsize=6.5, labelpad=3, linespacing=1.25)


def headed(axis: Axes, moment: Moment, told: str) -> None:
    """The name of a column, and below it whether the aim is reached."""
    colour = COLOURS[0] if moment.met else "#6b7280"
    name = "\n".join(wrap(moment.name, 24, max_lines=2, placeholder="…"))
    axis.set_title(name, fontsize=8, pad=14 if told else 6)
    axis.annotate(told, (0.5, 1), (0, 5), "axes fraction", "offset points", ha="center", fontsize=6, color=colour)


def aim(shift: RelevanceShift, moment: Moment) -> str:
    """Whether an attack has reached its aim, or nothing was left to do."""
    if moment is shift.before:
        return WRONG[shift.level] if moment.met else ""
    return (REACHED if moment.met else MISSED)[shift.level]


def named_rows(shift: RelevanceShift) -> tuple[str, str, str, str]:
    """What each row shows."""
    own, other = map(short, shift.before.classes)
    return f"original class\n{own}", f"adversarial class\n{other}", "image", "change"


def legend(axis: Axes) -> None:
    """What the colours mean, where the untouched image has no change to show."""
    bar = axis.inset_axes((0.1, 0.62, 0.8, 0.08))
    bar.imshow(torch.linspace(-1, 1, 101)[None].numpy(), cmap=SIGNED, aspect="auto")
    bar.set(yticks=[])
    bar.set_xticks([5, 50, 95], ["against", "0", "for"], fontsize=6.5)
    bar.tick_params(length=0)


def short(name: str, length: int = 22) -> str:
    """A name that fits over or under a picture."""
    return name if len(name) <= length else name[: length - 1] + "…"
