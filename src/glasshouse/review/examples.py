"""A picture with maps of it that anyone can judge, drawn here, so that raters can be shown how to read one."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from ..report import figures

SIDE = 160
FINE = 4  # drawn so much larger first, for smooth edges


@cache
def example_pictures() -> dict[str, str]:
    """The picture, a map that shows what it is recognised by, and two that do not, as ``data:`` addresses."""
    x = boat()
    maps = {"good": on_the_boat(), "beside": beside(), "scattered": scattered()}
    drawn = {name: figures.encoded(figures.overlay(x, attribution)) for name, attribution in maps.items()}
    return {"image": figures.encoded(figures.photo(x)), **drawn}


def boat() -> Tensor:
    """A sailing boat on the sea, ``[3, H, W]``."""
    size = FINE * SIDE
    image = Image.new("RGB", (size, size), (186, 214, 234))
    draw = ImageDraw.Draw(image)
    draw.ellipse(scaled(118, 14, 146, 42), (250, 214, 110))
    draw.rectangle(scaled(0, 112, 160, 160), (64, 118, 158))
    for y in (126, 142):
        for x in range(-8, 160, 24):
            draw.arc(scaled(x, y, x + 20, y + 10), 20, 160, (150, 190, 214), 3 * FINE)
    draw.polygon(scaled(34, 104, 112, 104, 98, 124, 48, 124), (126, 62, 44))
    draw.rectangle(scaled(71, 26, 74, 104), (84, 60, 44))
    draw.polygon(scaled(77, 30, 77, 98, 112, 98), (250, 248, 240))
    draw.polygon(scaled(68, 38, 68, 98, 40, 98), (232, 226, 212))
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255


def scaled(*numbers: float) -> list[float]:
    """Places in the picture, on the finer grid."""
    return [FINE * value for value in numbers]


def spot(x: float, y: float, wide: float, high: float) -> NDArray[np.float64]:
    """A round patch that fades out."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    patch: NDArray[np.float64] = np.exp(-(((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2))
    return patch


def on_the_boat() -> Tensor:
    """Sails and hull."""
    return torch.from_numpy(np.maximum(spot(77, 74, 30, 36), 0.9 * spot(73, 112, 38, 12)))


def beside() -> Tensor:
    """Sun and sea."""
    return torch.from_numpy(np.maximum(spot(132, 28, 26, 24), 0.9 * spot(124, 146, 44, 18)))


def scattered() -> Tensor:
    """Patches anywhere, for and against."""
    places = np.random.default_rng(5).uniform(10, SIDE - 10, (14, 2))
    return torch.from_numpy(sum((-1) ** i * spot(x, y, 9, 9) for i, (x, y) in enumerate(places)))
