"""Checks on images: their scale, and whether those that are measured on were trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.samples import at_most, batches
from ..draws import draws
from ..types import Progress, Samples, silent
from .check import OPEN, Check, decided, graded


def on_pixels(x: Tensor) -> Check:
    """Whether images are on the scale that eps is on."""
    low, high = float(x.min()), float(x.max())
    seen = f"pixels go from {low:.3g} to {high:.3g}"
    meaning = "eps is on the scale of [0, 1], where images have to be; to normalise is up to the model"
    return decided(low >= 0 and high <= 1 and high > 0.02, "images are in [0, 1]", seen, meaning)


def on_leakage(
    test: Samples, train: Samples | None, limit: int = 20_000, seed: int = 0, progress: Progress = silent
) -> Check:
    """Whether images to measure on are among the training images, pixel by pixel; near copies are not found."""
    title = "no test image is a training image"
    if train is None:
        return Check(OPEN, title, "there are no training images to compare with")
    known, asked = (at_most(samples, limit, seed) for samples in (train, test))
    if known[[0]].x.shape != asked[[0]].x.shape:
        return Check(OPEN, title, "training images have another size, so that equal ones would not be found")
    trained = keys(known, progress)
    shared = int(torch.isin(keys(asked, progress), trained).sum())
    part = "" if len(known) == len(train) else f" (of {len(train)}, drawn at random)"
    seen = f"{shared} of {len(asked)} test images are among {len(known)} training images{part}, pixel by pixel"
    meaning = "what was trained on measures nothing"
    return graded(title, shared, len(asked), seen, meaning, warn=0.0, fail=0.01)


def keys(samples: Samples, progress: Progress) -> Tensor:
    """A number for each image that only equal images share, ``[N]``."""
    found, done = [], 0
    for batch in batches(samples, 256):
        found.append(draws(batch.x, 0).keys)
        done += len(batch.x)
        progress("look for test images in training", done, len(samples))
    return torch.cat(found)
