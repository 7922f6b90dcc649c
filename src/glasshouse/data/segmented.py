"""Images whose pixels are told apart by class: what the pixels are of travels with the image, cut out alike."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..types import Batch, Samples
from .encoded import SMALL, Encoded
from .folder import Files
from .images import FORMATS, fit, opened
from .samples import Memory, Wrapped, batches, title_of


@dataclass(frozen=True, eq=False)
class Segmented(Wrapped):
    """A split with the class of each pixel, ``regions`` ``[N, H, W]`` int8: the mask is where there is one."""

    regions: Tensor

    def __getitem__(self, index: Sequence[int]) -> Batch:
        regions = self.regions[torch.as_tensor(index, dtype=torch.int64)].long()
        return self.samples[index]._replace(mask=regions >= 0, regions=regions)


def segmented(samples: Files | Encoded, regions: Tensor) -> Samples:
    """The samples with their regions; those that are cut out small are decoded at once."""
    if samples.size > SMALL:
        return Segmented(samples, regions)
    pixels = torch.cat([batch.x.mul(255).round().byte() for batch in batches(samples, 256)])
    titles = tuple(title_of(samples, i) for i in range(len(samples)))
    return Memory(pixels, samples.labels, samples.classes, regions >= 0, regions, titles)


def codes(source: Path | bytes, name: str, size: int, resize: int) -> tuple[Tensor, tuple[int, int]]:
    """The numbers in a picture of class numbers, ``[size, size]`` uint8, and its width and height before the cut.

    Raises:
        ValueError: if it is no image with one byte a pixel, a grey level or a place in a palette.
    """
    image = opened(source, name)
    if image.mode not in ("P", "L"):
        raise ValueError(f"the mask {name} holds colours ({image.mode}), not one number of a class for each pixel")
    cut = fit(Image.fromarray(np.array(image)), size, resize, name, nearest=True)
    return torch.from_numpy(np.array(cut)), image.size


def check_sizes(samples: Files | Encoded, sizes: Sequence[tuple[int, int]]) -> None:
    """Raise ValueError unless every image is as wide and high as its mask; only headers are read."""
    for i, size in enumerate(sizes):
        check_size(size, *source_of(samples, i))


def check_size(size: tuple[int, int], source: Path | bytes, name: str) -> None:
    """Raise ValueError unless an image is as wide and high as its mask."""
    if (own := upright_size(source, name)) != size:
        sizes = " but ".join(f"{width} x {height}" for width, height in (size, own))
        raise ValueError(f"the mask is {sizes} is its image {name}")


def source_of(samples: Files | Encoded, i: int) -> tuple[Path | bytes, str]:
    """An image, encoded, and what an error message calls it."""
    if isinstance(samples, Files):
        return samples.paths[i], str(samples.paths[i])
    return samples.data[i].as_py(), samples.name(i)


def upright_size(source: Path | bytes, name: str) -> tuple[int, int]:
    """Width and height of an image as it will be turned; ValueError if it cannot be opened."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            width, height = image.size
            return (height, width) if image.getexif().get(0x0112, 1) >= 5 else (width, height)
    except Exception:
        return opened(source, name).size  # says what is wrong
