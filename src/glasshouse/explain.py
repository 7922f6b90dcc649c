"""Any explainers on any images, next to each other: ``explain(model, x, [LIME(), GradCAM()])``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .draws import seeded_globally
from .explainers import FastLIME, GradCAM, IntegratedGradients
from .explainers.superpixels import chunks, painted
from .modes import device_of, frozen
from .report.explanations import Column, Explanations
from .spec import fits
from .titles import brief
from .types import Explainer, Progress, SuperpixelExplainer, Surrogate, silent

# By masking, by the last feature map, by gradients of the pixels.
USUAL: tuple[Explainer, ...] = (FastLIME(), GradCAM(), IntegratedGradients())


def explain(
    model: nn.Module,
    x: Tensor,
    explainers: Sequence[Explainer] = USUAL,
    target: Tensor | int | str | None = None,
    *,
    y: Tensor | None = None,
    classes: Sequence[str] = (),
    titles: Sequence[str] = (),
    batch_size: int = 4,
    seed: int = 0,
    progress: Progress = silent,
) -> Explanations:
    """Explain images, each batch of them by every explainer; in a notebook the result shows itself.

    ``target`` is the class to explain: None or ``"predicted"``, ``"true"`` (needs ``y``), a class by name or number,
    or a number for each image. ``classes`` names the classes, ``titles`` the images.

    Shape: x ``[N, C, H, W]`` or one image ``[C, H, W]``, in [0, 1]; y ``[N]``, -1 where it is not known.
    Cost: one forward pass, and the explainers'.
    Raises:
        ValueError: if the model cannot take the images, there is no such class, or an explainer cannot explain.
    """
    x = checked_images(x)
    named = columns_of(explainers)
    probability = probabilities(model, x, batch_size)
    known = class_names(classes, probability.shape[1])
    truth = checked_labels(y, len(x), len(known))
    chosen = chosen_target(target, probability, truth, known)
    shown = tuple(titles) or tuple(f"image {i}" for i in range(len(x)))
    if len(shown) != len(x):
        raise ValueError(f"there are {len(shown)} titles for {len(x)} images")
    columns = [Work(name, brief(e), e) for name, e in named.items()]
    with frozen(model):
        for i, part in enumerate(chunks(len(x), batch_size)):
            for k, column in enumerate(columns):
                progress("explain", part.start * len(columns) + k * (part.stop - part.start), len(x) * len(columns))
                with seeded_globally(seed, i):
                    column.add(model, x[part], chosen[part])
    progress("explain", len(x) * len(columns), len(x) * len(columns))
    finished = tuple(column.finished() for column in columns)
    where = device_of(model)
    index = torch.arange(len(x))
    return Explanations(x, truth, probability, chosen, finished, known, shown, index, device=where, seed=seed)


class Work:
    """An explainer with what it has said so far."""

    def __init__(self, name: str, heading: str, explainer: Explainer) -> None:
        self.name, self.heading, self.explainer = name, heading, explainer
        self.maps: list[Tensor] = []
        self.surrogates: list[Surrogate] = []
        self.seconds, self.passes = 0.0, 0

    def add(self, model: nn.Module, x: Tensor, target: Tensor) -> None:
        """Explain a batch; ValueError says which explainer could not."""
        where = device_of(model)
        start = time.perf_counter()
        try:
            with counted(model) as passes:
                attribution = self.explained(model, x.to(where), target.to(where)).detach().float().cpu()
        except ValueError as error:
            raise ValueError(f"{self.heading}: {error}") from None
        self.seconds += time.perf_counter() - start
        self.passes += passes[0]
        if attribution.shape != x[:, 0].shape:
            raise ValueError(f"{self.heading} gives {list(attribution.shape)}, not {list(x[:, 0].shape)}")
        if not attribution.isfinite().all():
            raise ValueError(f"{self.heading} gives NaN or infinity")
        self.maps.append(attribution)

    def explained(self, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
        """The map, by way of the surrogate where there is one."""
        if not fits(self.explainer, SuperpixelExplainer):
            return self.explainer(model, x, target)
        by_superpixels: SuperpixelExplainer = self.explainer  # type: ignore[assignment]
        surrogate = by_superpixels.surrogate(model, x, target)
        self.surrogates.append(Surrogate(*(t.detach().cpu() for t in surrogate)))
        return painted(surrogate.beta, surrogate.segments)

    def finished(self) -> Column:
        surrogate = joined(self.surrogates) if self.surrogates else None
        maps, text = torch.cat(self.maps), repr(self.explainer)
        return Column(self.name, self.heading, text, maps, surrogate, self.seconds, self.passes)


@contextmanager
def counted(model: nn.Module) -> Iterator[list[int]]:
    """How many images the model is called with."""
    seen = [0]

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[0] += len(inputs[0]) if inputs else 0

    handle = model.register_forward_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def joined(parts: Sequence[Surrogate]) -> Surrogate:
    """Surrogates of several batches as one; superpixels that an image does not have weigh 0."""
    size = max(part.beta.shape[1] for part in parts)
    padded = [
        p._replace(beta=F.pad(p.beta, (0, size - p.beta.shape[1])), error=F.pad(p.error, (0, size - p.error.shape[1])))
        for p in parts
    ]
    return Surrogate(*(torch.cat(fields) for fields in zip(*padded, strict=True)))


def columns_of(explainers: Sequence[Explainer]) -> dict[str, Explainer]:
    """The explainers by the names of their classes, numbered where a class comes again.

    Raises:
        ValueError: if there is none, one is none, or one is given twice.
    """
    if not explainers:
        raise ValueError("no explainer is given")
    found: dict[str, Explainer] = {}
    for explainer in explainers:
        kind = type(explainer).__name__
        if not fits(explainer, Explainer):
            raise ValueError(f"{explainer!r} is no explainer, called with (model, x, target)")
        if explainer in found.values():
            raise ValueError(f"the explainer {explainer!r} is given twice")
        names = (kind if n == 1 else f"{kind}_{n}" for n in count(1))
        found[next(name for name in names if name not in found)] = explainer
    return found


def checked_images(x: Tensor) -> Tensor:
    """Images as ``[N, C, H, W]`` on the CPU; ValueError if they are none."""
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or not len(x) or not x.is_floating_point():
        raise ValueError(f"x is [N, C, H, W] of floating point, not {x.dtype} {list(x.shape)}")
    x = x.detach().cpu()
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError("the pixels of x are not all in [0, 1]; normalisation belongs inside the model")
    return x


@torch.no_grad()
def probabilities(model: nn.Module, x: Tensor, batch_size: int) -> Tensor:
    """``[N, classes]`` on the CPU; ValueError if the model cannot take the images."""
    found, where = [], device_of(model)
    try:
        with frozen(model):
            found = [model(x[part].to(where)).float().cpu() for part in chunks(len(x), batch_size)]
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        size = " x ".join(map(str, x.shape[-2:]))
        raise ValueError(f"the model cannot take images of {size} pixels: {error}") from None
    logits = torch.cat(found)
    if logits.ndim != 2:
        raise ValueError(f"the model gives {list(logits.shape)}, not logits [N, classes]")
    if not logits.isfinite().all():
        raise ValueError("the model gives NaN or infinity")
    return logits.softmax(1)


def class_names(classes: Sequence[str], number: int) -> tuple[str, ...]:
    """The names given, or numbers; ValueError if the model has more or fewer classes."""
    if classes and len(classes) != number:
        raise ValueError(f"{len(classes)} names of classes are given, but the model has {number} classes")
    return tuple(classes) or tuple(map(str, range(number)))


def checked_labels(y: Tensor | None, images: int, classes: int) -> Tensor:
    """Labels on the CPU, -1 where there is none; ValueError if they are no classes."""
    if y is None:
        return torch.full((images,), -1)
    if y.shape != (images,) or y.is_floating_point() or bool(((y < -1) | (y >= classes)).any()):
        raise ValueError(f"y is one whole number from 0 to {classes - 1}, or -1, for each of {images} images")
    return y.detach().cpu().long()


def chosen_target(
    wanted: Tensor | int | str | None, probability: Tensor, y: Tensor, classes: tuple[str, ...]
) -> Tensor:
    """The class to explain for each image, ``[N]``; ValueError if there is no such class."""
    if wanted is None or (isinstance(wanted, str) and wanted == "predicted"):
        return probability.argmax(1)
    if isinstance(wanted, str) and wanted == "true":
        if unknown := (y < 0).nonzero().flatten().tolist():
            raise ValueError(f"the true class of image {unknown[0]} is not known; explain 'predicted' or a class")
        return y
    if isinstance(wanted, Tensor) and wanted.ndim:
        target = checked_labels(wanted, len(y), len(classes))
        if (target < 0).any():
            raise ValueError(f"target is a class from 0 to {len(classes) - 1} for each image, not -1")
        return target
    return torch.full_like(y, class_number(wanted if isinstance(wanted, str) else int(wanted), classes))


def class_number(wanted: str | int, classes: tuple[str, ...]) -> int:
    """A class by its name or number; a name that is a number goes before the number."""
    if isinstance(wanted, str) and wanted in classes:
        if Counter(classes)[wanted] > 1:
            raise ValueError(f"several classes are called {wanted!r}; give the number of one")
        return classes.index(wanted)
    if isinstance(wanted, str) and not wanted.isdecimal():
        near = get_close_matches(wanted, classes, cutoff=0.5) or classes[:10]
        raise ValueError(f"unknown class {wanted!r}; there are, among others: {', '.join(near)}; or predicted, or true")
    if not 0 <= int(wanted) < len(classes):
        raise ValueError(f"there is no class {wanted}; there are 0 to {len(classes) - 1}")
    return int(wanted)
