"""What a classifier says of an image with some of its superpixels replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..types import Fill, Segmenter, Surrogate
from .superpixels import at_once, chunks, counts, painted, switched
from .targets import checked_target, log_odds

Score = Callable[[Tensor, Tensor], Tensor]  # logits [n, classes] and targets [n] -> [n]


class Maskable(NamedTuple):
    """Images cut into superpixels, each with what may stand in its place."""

    x: Tensor  # [B, C, H, W]
    filled: Tensor  # [B, C, H, W] everything replaced
    segments: Tensor  # [B, H, W]
    count: Tensor  # type: ignore[assignment]  # [B] superpixels
    target: Tensor  # [B]

    def of(self, images: Tensor) -> Maskable:
        return Maskable(*(t[images] for t in self))

    def under(self, on: Tensor, owner: Tensor) -> Tensor:
        """Image ``owner[i]`` with its superpixels switched as ``on[i]`` says, 1 shown and 0 replaced."""
        keep = switched(on[:, None], self.segments[owner])
        return torch.lerp(self.filled[owner], self.x[owner], keep.to(self.x.dtype))


class Painting:
    """The attribution of an explainer by superpixels: their weights, on their pixels."""

    def surrogate(
        self,
        model: nn.Module,
        x: Tensor,
        target: Tensor,
        segments: Tensor | None = None,
        *,
        create_graph: bool = False,
    ) -> Surrogate:
        raise NotImplementedError

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        surrogate = self.surrogate(model, x, target, create_graph=create_graph)
        return painted(surrogate.beta, surrogate.segments)


def maskable(segmenter: Segmenter, fill: Fill, x: Tensor, target: Tensor, segments: Tensor | None = None) -> Maskable:
    """Images with their superpixels, given or made.

    Raises:
        ValueError: if an image has a single one, or there are more or fewer targets than images.
    """
    if target.shape != x.shape[:1]:
        raise ValueError(f"target is a whole number for each of {len(x)} images, not of shape {tuple(target.shape)}")
    segments = segmenter(x) if segments is None else segments
    count = counts(segments)
    if int(count.min()) < 2:
        raise ValueError(
            "an explanation by superpixels needs at least 2 of them in every image; take a finer segmenter"
        )
    return Maskable(x.detach(), fill(x.detach(), segments), segments, count, target)


def masked_scores(model: nn.Module, images: Maskable, on: Tensor, batch_size: int, score: Score) -> Tensor:
    """A score of the target for each image under each of its maskings.

    Shape: on ``[B, N, S]`` in [0, 1] -> ``[B, N]``. Cost: N forward passes an image.
    """
    return scores_of(model, images, on.flatten(0, 1), owners(on), batch_size, score).view(on.shape[:2])


def scores_of(model: nn.Module, images: Maskable, on: Tensor, owner: Tensor, batch_size: int, score: Score) -> Tensor:
    """A score for each masking ``on[i]`` of the image ``owner[i]``: ``[n, S]``, ``[n]`` -> ``[n]``."""
    values = [on.new_zeros(0)]
    for part in chunks(len(on), at_once(batch_size, images.x)):
        i = owner[part]
        logits = model(images.under(on[part], i))
        if not part.start:
            checked(logits, images.target)
        values.append(score(logits, images.target[i]))
    return torch.cat(values)


def masked_slopes(
    model: nn.Module, images: Maskable, on: Tensor, batch_size: int, *, create_graph: bool = False
) -> Tensor:
    """Gradient of the target's log-odds in the switches, at partial maskings: ``[B, N, S]`` -> ``[B, N, S]``.

    Cost: N forward passes and N backward passes to the input, an image.
    Raises:
        ValueError: if no gradient comes back from the model.
    """
    owner, flat = owners(on), on.flatten(0, 1)
    slopes = [on.new_zeros(0, on.shape[2])]
    for part in chunks(len(flat), at_once(batch_size, images.x)):
        i = owner[part]
        with torch.enable_grad():
            here = flat[part].detach().requires_grad_()
            odds = log_odds(model(images.under(here, i)), images.target[i])
            slope = gradient(odds.sum(), here, create_graph)
        if slope is None:
            raise ValueError("the model passes no gradient back to its input; explain it with gradients=0")
        slopes.append(slope)
    return torch.cat(slopes).view(on.shape)


def gradient(value: Tensor, where: Tensor, create_graph: bool) -> Tensor | None:
    """The gradient of a scalar, or None if it does not depend on ``where`` by any way that autograd knows."""
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, where, create_graph=create_graph, allow_unused=True)[0]


def refuse_steps(odds: Tensor, slopes: Tensor) -> None:
    """Nothing, where values ``[B, N]`` and slopes ``[B, G, S]`` may belong to one model.

    Raises:
        ValueError: if values differ although every slope is 0: such a gradient would say that nothing matters.
    """
    if slopes.shape[1] and bool(((slopes == 0).flatten(1).all(1) & (odds.amax(1) - odds.amin(1) > 1e-3)).any()):
        raise ValueError("the gradient of the model is 0 although its answers differ; explain it with gradients=0")


def owners(on: Tensor) -> Tensor:
    """The image of each of ``[B, N, S]`` maskings laid end to end."""
    return torch.arange(len(on), device=on.device).repeat_interleave(on.shape[1])


def probability_of_target(logits: Tensor, target: Tensor) -> Tensor:
    """Softmax probability of each target."""
    return logits.softmax(1).gather(1, target[:, None])[:, 0]


def checked(logits: Tensor, target: Tensor) -> None:
    """Look once, at the first batch: looking waits for the device.

    Raises:
        ValueError: if a target is no class, there is a single class, or these are probabilities already: a second
            softmax would flatten every difference.
    """
    checked_target(logits[:1].repeat_interleave(len(target), 0), target)
    if logits.shape[1] < 2:
        raise ValueError("the model gives one score an image; superpixels need logits of at least 2 classes")
    told = logits.detach()
    # One row of logits may look like probabilities by chance; four do not.
    if told.ndim == 2 and len(told) >= 4 and bool((told >= 0).all() & ((told.sum(1) - 1).abs() < 1e-4).all()):
        raise ValueError("the model returns probabilities; glasshouse takes logits, so leave out its last softmax")
