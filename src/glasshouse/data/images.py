"""Encoded images -> pixels: opened with care, upright, RGB, resized and cropped as torchvision does."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..spec import require

# Pillow knows many more formats, some of which start other programs; none of them is needed for photographs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"))

In = TypeVar("In")
Out = TypeVar("Out")


def opened(source: Path | bytes, name: str) -> Image.Image:
    """The image behind a path or in encoded bytes, decoded and turned upright by its EXIF orientation.

    Raises:
        ValueError: if it is missing, broken, truncated, of no known format, or a decompression bomb.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            check_area(image.size)
            return ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow's decoders raise nearly anything on a broken file
        raise ValueError(f"cannot read the image {name}: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """An exception in a few words, for one sentence of an error message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_area(size: tuple[int, int]) -> None:
    """Raise ValueError if an image of this width and height is larger than Pillow's limit against bombs."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise ValueError(f"{size[0]} x {size[1]} pixels are more than the {limit} allowed (decompression bomb?)")


def rgb(image: Image.Image, name: str) -> Image.Image:
    """Three channels of 8 bits; 16-bit grey is scaled, transparency is dropped."""
    if image.mode.startswith("I"):
        high = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(high.clip(0, 255).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError(f"cannot read the image {name}: its pixels are floating point, of unknown range")
    elif "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def check_cut(data: Any) -> None:
    """Raise ValueError on a size or a side to resize to that cannot be."""
    require(data, data.size >= 1, "size is at least 1")
    require(data, data.resize == 0 or data.resize >= data.size, "resize is 0 or at least size")


def fit(image: Image.Image, size: int, resize: int, name: str, *, nearest: bool = False) -> Image.Image:
    """The short side at ``resize`` (0: ``size``) pixels, then the central ``size`` x ``size``."""
    width, height = image.size
    short = resize or size
    new = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    if new != image.size:
        try:
            check_area(new)  # one pixel high and a million wide becomes enormous
        except ValueError as error:
            raise ValueError(f"cannot resize the image {name}: {error}") from None
        image = image.resize(new, Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR)
    left, top = (round((side - size) / 2) for side in new)
    return image.crop((left, top, left + size, top + size))


def pixels(source: Path | bytes, name: str, size: int, resize: int = 0) -> Tensor:
    """``[3, H, W]`` uint8; ``size=0`` keeps the image as it is."""
    image = rgb(opened(source, name), name)
    if size:
        image = fit(image, size, resize, name)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def mask_pixels(image: Image.Image, size: int, resize: int, name: str) -> Tensor:
    """``[H, W]`` bool, True where any colour channel (or palette number) is not zero."""
    marked = np.atleast_3d(np.asarray(image))[..., : 1 if image.mode == "LA" else 3] != 0
    flat = Image.fromarray(np.any(marked, axis=-1).astype(np.uint8))
    return torch.from_numpy(np.array(fit(flat, size, resize, name, nearest=True))).bool()


def parallel(function: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """``[function(i) for i in items]`` in a few threads that end with the call: safe to fork around."""
    threads = min(len(items), os.cpu_count() or 1, 8)
    if threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
