"""Figures as inline pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

FOR, AGAINST = (0.79, 0.05, 0.08), (0.07, 0.31, 0.75)  # what speaks for a class, and what against it
COLOURS = ("#b91c1c", "#0f766e", "#9ca3af", "#d97706", "#6d28d9", "#2563eb", "#0891b2", "#4d7c0f")
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.edgecolor": "#6b7280",
    "svg.hashsalt": "glasshouse",
}
Picture = NDArray[np.float64]
Curves = dict[str, dict[str, list[tuple[float, float]]]]


def inline(figure: Figure, kind: str = "svg") -> str:
    """A figure as a ``data:`` address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, bbox_inches="tight", dpi=110, metadata={"Date": None} if kind == "svg" else {})
    mime = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def sweep(curves: Curves) -> str:
    """Accuracy against eps: a line for each arm, one panel for each kind of attack."""
    kinds = sorted({kind for arm in curves.values() for kind in arm})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(kinds), 3.1))
        axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)
        for axis, kind in zip(axes[0], kinds, strict=True):
            for (arm, found), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
                points = found.get(kind, [])
                main = arm in list(curves)[:2]
                axis.plot(
                    [eps * 255 for eps, _ in points],
                    [100 * value for _, value in points],
                    marker="o",
                    markersize=4,
                    linewidth=2.2 if main else 1.4,
                    linestyle="-" if main else "--",
                    color=colour,
                    label=arm,
                )
            measured = sorted({eps * 255 for found in curves.values() for eps, _ in found.get(kind, [])})
            axis.set(title=f"under {kind}", xlabel="eps (of 255)", ylim=(-2, 102), xticks=measured)
        axes[0, 0].set_ylabel("accuracy, %")
        if len(curves) > 1:
            axes[0, -1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
        return inline(figure)


def losses(rows: dict[str, list[dict[str, float]]]) -> str:
    """Mean of every term over each epoch, one panel for each training."""
    with mpl.rc_context(STYLE):
        columns = min(4, len(rows))
        lines = -(-len(rows) // columns)
        figure = Figure(figsize=(3 * columns, 2.2 * lines))
        axes = figure.subplots(lines, columns, squeeze=False)
        for axis in axes.flat[len(rows) :]:
            axis.axis("off")
        for axis, (name, log) in zip(axes.flat, rows.items(), strict=False):
            epochs = np.array([row["epoch"] for row in log])
            terms = [t for t in log[0] if t not in ("epoch", "step", "lr")] if log else []
            for term, colour in zip(terms, COLOURS[5:] + COLOURS, strict=False):
                values = np.array([row[term] for row in log])
                means = [values[epochs == e].mean() for e in np.unique(epochs)]
                axis.plot(np.unique(epochs) + 1, means, marker="o", markersize=3, color=colour, label=term)
            axis.set_title(name, fontsize=9)
            axis.set_ylim(bottom=0)
            axis.legend(frameon=False, fontsize=7)
        figure.supxlabel("epoch", fontsize=9)
        figure.tight_layout()
        return inline(figure)


def grid(rows: Sequence[Sequence[Picture]], columns: Sequence[str], captions: Sequence[Sequence[str]]) -> str:
    """Pictures in rows and columns, with a heading over each column and a caption under each picture."""
    height, width = rows[0][0].shape[:2]
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        size = 1.35
        figure = Figure(figsize=(size * len(columns), (size * height / width + 0.22) * len(rows)))
        axes = figure.subplots(len(rows), len(columns), squeeze=False)
        for r, row in enumerate(rows):
            for c, picture in enumerate(row):
                axis = axes[r, c]
                axis.imshow(picture, interpolation="nearest" if max(height, width) <= 64 else "antialiased")
                axis.set(xticks=[], yticks=[])
                for spine in axis.spines.values():
                    spine.set_visible(False)
                axis.set_xlabel(captions[r][c], fontsize=6.5, labelpad=2)
                if r == 0:
                    axis.set_title(columns[c], fontsize=8)
        figure.subplots_adjust(wspace=0.06, hspace=0.22)
        return inline(figure, "png")


def photo(x: Tensor) -> Picture:
    """``[C, H, W]`` in [0, 1] as ``[H, W, 3]``."""
    picture: Picture = x.detach().cpu().double().clamp(0, 1).permute(1, 2, 0).numpy()
    return picture if picture.shape[2] == 3 else picture[..., :1].repeat(3, axis=2)


def stretched(delta: Tensor) -> Tensor:
    """A perturbation over the whole range of the pixels; what does not change is grey."""
    return 0.5 + delta / (2 * float(delta.abs().max().clamp_min(1e-12)))


def overlay(x: Tensor, attribution: Tensor, scale: float | None = None) -> Picture:
    """The grey image under its attribution: red speaks for the class, blue against it."""
    values = attribution.detach().cpu().double().numpy()
    reach = scale or max(float(np.abs(values).max()), 1e-12)
    strength = np.clip(np.abs(values) / reach, 0, 1)[..., None]
    grey = photo(x).mean(2, keepdims=True).repeat(3, axis=2) * 0.6 + 0.4
    colour = np.where(values[..., None] > 0, np.array(FOR), np.array(AGAINST))
    return grey * (1 - 0.85 * strength) + colour * 0.85 * strength


def outlined(x: Tensor, region: Tensor, colour: tuple[float, float, float] = (0.98, 0.2, 0.1)) -> Picture:
    """The image with a region tinted and its border drawn."""
    picture, inside = photo(x).copy(), region.cpu().numpy()
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    picture[inside] = 0.65 * picture[inside] + 0.35 * np.array(colour)
    picture[inside & ~core] = colour
    return picture


def heat(values: Tensor, limit: float) -> Picture:
    """``[H, W]`` from 0 (light) to ``limit`` (dark red)."""
    scaled = np.clip(values.double().numpy() / limit, 0, 1)
    return np.asarray(mpl.colormaps["Reds"](scaled))[..., :3]


def darkened(x: Tensor, selected: Tensor) -> Picture:
    """The image with what is not selected in the dark."""
    return photo(x) * np.where(selected.cpu().numpy()[..., None], 1.0, 0.18)


def encoded(picture: Picture) -> str:
    """A picture as a ``data:`` address: lossless where it is small, JPEG otherwise."""
    small = max(picture.shape[:2]) <= 96
    buffer, image = io.BytesIO(), Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))
    image.save(buffer, "PNG" if small else "JPEG", **({} if small else {"quality": 88}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"
