"""Any attack on any images, with what it did to each: ``attack(model, x, PGD(), y=y)``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from .attacks import PGD
from .attacks.regions import searched
from .draws import seeded_globally
from .explain import checked_images, checked_labels, class_names, probabilities
from .explainers.superpixels import chunks
from .hierarchy import Hierarchical, outside
from .modes import device_of, frozen
from .report.attacked import Attacked
from .report.two_levels import two_levels
from .types import Attack, Batch, Progress, silent

USUAL: Attack = PGD()


def attack(
    model: nn.Module,
    x: Tensor,
    method: Attack = USUAL,
    *,
    y: Tensor | None = None,
    classes: Sequence[str] = (),
    titles: Sequence[str] = (),
    full: bool = False,
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> Attacked:
    """Attack images; in a notebook the result shows itself.

    Where the true class is not known (``y`` None, or -1), or a model of two levels has it in no superclass, the attack
    is against the predicted one. An image is left alone as soon as it is broken; ``full`` spends the whole budget on
    every image.

    Shape: x ``[N, C, H, W]`` or one image ``[C, H, W]``, in [0, 1]; y ``[N]``.
    Cost: the attack's, and three forward passes; of a hierarchical model its levels and the relevance of some images.
    Raises:
        ValueError: if the model cannot take the images, or labels are not the model's.
    """
    x = checked_images(x)
    before = probabilities(model, x, batch_size)
    known = class_names(classes, before.shape[1])
    truth = nameable(model, checked_labels(y, len(x), len(known)))
    against = torch.where(truth >= 0, truth, before.argmax(1))
    shown = tuple(titles) or tuple(f"image {i}" for i in range(len(x)))
    if len(shown) != len(x):
        raise ValueError(f"there are {len(shown)} titles for {len(x)} images")
    where, start, parts = device_of(model), time.perf_counter(), []
    for part in chunks(len(x), batch_size):
        progress("attack", part.start, len(x))
        batch = Batch(x[part].to(where), against[part].to(where))
        with frozen(model), seeded_globally(seed, 0):
            found = method(model, batch.x, batch.y) if full else searched(method, model, batch)
        parts.append(found.detach().cpu())
    progress("attack", len(x), len(x))
    x_adv, seconds = torch.cat(parts), time.perf_counter() - start
    after, rounded = (probabilities(model, seen, batch_size) for seen in (x_adv, (x_adv * 255).round() / 255))
    done = Attacked(
        x, x_adv, truth, before, after, rounded.argmax(1), method, known, shown, torch.arange(len(x)),
        seconds=seconds, device=where, seed=seed,
    )  # fmt: skip
    return replace(done, levels=two_levels(model, done, against, batch_size))


def nameable(model: nn.Module, y: Tensor) -> Tensor:
    """Labels, -1 for those that a model of two levels has in no superclass; a warning tells how many."""
    if not isinstance(model, Hierarchical):
        return y
    lost = outside(y, model.hierarchy)
    if count := int(lost.sum()):
        warnings.warn(
            f"{count} of {len(y)} images are of a class in no superclass, and attacked away from the predicted class",
            stacklevel=3,
        )
    return y.masked_fill(lost, -1)
