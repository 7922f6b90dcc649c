"""Two folders of explanations -> pairs of maps of the same images, drawn so that nothing tells them apart but what they
say."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.samples import limited
from ..report import figures
from ..report.figures import Picture
from ..report.gallery import is_binary, reach
from ..store import load_values


class Pair(NamedTuple):
    """Two maps of one image by one explainer."""

    explainer: str
    position: int  # of the image in the arrays

    @property
    def name(self) -> str:
        """What votes call the pair."""
        return f"{self.explainer}/{self.position}"


@dataclass(frozen=True, eq=False)
class Explained:
    """What ``glasshouse explain`` left in a folder."""

    folder: Path
    digest: str  # of the arrays, so that the folder may move
    values: dict[str, Tensor]
    explainers: dict[str, str]  # the text of each, by its name in the arrays
    images: tuple[dict[str, Any], ...]
    model: str

    def image(self, position: int) -> Tensor:
        """An image ``[C, H, W]`` in [0, 1], to 1/255."""
        return self.values["pixels"][position].float() / 255


def explained(folder: Path) -> Explained:
    """Read a folder.

    Raises:
        ValueError: if it is none of ``glasshouse explain``, or one from before images were kept with their maps.
    """
    arrays, told = folder / "explanations.npz", folder / "explanations.json"
    values = load_values(arrays)
    if values is None or not told.is_file():
        raise ValueError(f"{folder} holds no explanations; make it with: glasshouse explain ... --out {folder}")
    if "pixels" not in values:
        raise ValueError(f"{arrays} does not hold the images that it explains; explain them again with this version")
    try:
        about = json.loads(told.read_text())
        explainers = {str(name): str(column["text"]) for name, column in about["explainers"].items()}
        images = tuple(dict(image) for image in about["images"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{told} is damaged ({error!r}); explain again") from None
    digest = hashlib.sha256(arrays.read_bytes()).hexdigest()
    found = Explained(folder, digest, values, explainers, images, str(about.get("model", "")))
    check(found)
    return found


def check(found: Explained) -> None:
    """ValueError if the arrays do not belong to each other."""
    pixels = found.values["pixels"]
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or not len(pixels) or pixels.shape[1] not in (1, 3):
        raise ValueError(f"{found.folder}: pixels are [N, 1 or 3, H, W] of 8 bits, not {list(pixels.shape)}")
    if len(found.images) != len(pixels):
        raise ValueError(f"{found.folder} describes {len(found.images)} images and holds {len(pixels)}")
    for name in found.explainers:
        attribution = found.values.get(name)
        if attribution is None or attribution.shape != pixels[:, 0].shape or not attribution.isfinite().all():
            raise ValueError(f"{found.folder} holds no finite map of each image by {name}")


def matched(a: Explained, b: Explained, wanted: str = "") -> dict[str, str]:
    """Explainers that both have, with the same settings: the name in ``a`` -> the name in ``b``.

    Raises:
        ValueError: if there is none, or not the ``wanted`` one.
    """
    named = {text: name for name, text in b.explainers.items()}
    both = {name: named[text] for name, text in a.explainers.items() if text in named}
    if not both:
        there = "; ".join(f"{side.folder}: {', '.join(side.explainers.values())}" for side in (a, b))
        raise ValueError(f"no explainer with the same settings is in both folders; there are {there}")
    if wanted and wanted not in both:
        raise ValueError(f"no explainer {wanted!r} is in both folders; there are: {', '.join(both)}")
    return {wanted: both[wanted]} if wanted else both


def same_images(a: Explained, b: Explained) -> None:
    """ValueError unless both folders are about the same images in the same order."""
    advice = "explain both with the same --data, --split, --images and --seed"
    first, second = a.values["pixels"], b.values["pixels"]
    if first.shape != second.shape:
        shapes = f"{list(first.shape)} and {list(second.shape)}"
        raise ValueError(f"{a.folder} and {b.folder} are not about the same images ({shapes}); {advice}")
    differ = (first != second).flatten(1).any(1)
    if differ.any():
        row = int(differ.nonzero()[0])
        raise ValueError(
            f"{a.folder} and {b.folder} are not about the same images (the one at {row} differs); {advice}"
        )


def drawn_pairs(explainers: Sequence[str], images: int, count: int, seed: int) -> tuple[Pair, ...]:
    """Pairs of at most ``count`` of the images, drawn by ``seed``, by every explainer.

    Raises:
        ValueError: if no image is wanted.
    """
    if count < 1:
        raise ValueError(f"--images is at least 1, not {count}")
    chosen = limited(torch.arange(images), count, seed).tolist()
    return tuple(Pair(name, position) for name in explainers for position in chosen)


def map_picture(own: Tensor, other: Tensor, x: Tensor, position: int, *, by_superpixels: bool) -> Picture:
    """One map of a pair over its image; ``other`` holds the maps that it is compared with.

    Each map is scaled to its own strongest values, by one rule for both: how large the gradients of a network are
    says nothing about where it looks, and would tell a rater which network it is.
    """
    attribution = own[position].float()
    if is_binary(own) and is_binary(other):
        return figures.darkened(x, attribution > 0)
    return figures.overlay(x, attribution, None if by_superpixels else reach(attribution))


def png(picture: Picture) -> bytes:
    """A picture as a file without a word in it."""
    buffer = io.BytesIO()
    Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
