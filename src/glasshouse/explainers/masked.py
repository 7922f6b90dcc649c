"""What a classifier says of an image with some of its superpixels replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..types import Fill, Segmenter
from .superpixels import chunks, counts, switched
from .targets import checked_target, log_odds

Score = Callable[[Tensor, Tensor], Tensor]  # logits [n, classes] and targets [n] -> [n]


class Maskable(NamedTuple):
    """Images cut into superpixels, each with what may stand in its place."""

    x: Tensor  # [B, C, H, W]
    filled: Tensor  # [B, C, H, W] everything replaced
    segments: Tensor  # [B, H, W]
    count: Tensor  # [B] superpixels
    target: Tensor  # [B]

    def of(self, images: Tensor) -> Maskable:
        return Maskable(*(t[images] for t in self))

    def under(self, on: Tensor, owner: Tensor) -> Tensor:
        """Image ``owner[i]`` with its superpixels switched as ``on[i]`` says, 1 shown and 0 replaced."""
        keep = switched(on[:, None], self.segments[owner])
        return torch.lerp(self.filled[owner], self.x[owner], keep.to(self.x.dtype))


def maskable(segmenter: Segmenter, fill: Fill, x: Tensor, target: Tensor, segments: Tensor | None = None) -> Maskable:
    """Images with their superpixels, given or made.

    Raises:
        ValueError: if an image has a single one.
    """
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
    owner, flat, values = owners(on), on.flatten(0, 1), []
    for part in chunks(len(flat), batch_size):
        i = owner[part]
        values.append(score(model(images.under(flat[part], i)), images.target[i]))
    return torch.cat(values).view(on.shape[:2]) if values else on.new_zeros(on.shape[:2])


def masked_slopes(
    model: nn.Module, images: Maskable, on: Tensor, batch_size: int, *, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-odds of the target at partial maskings, and their gradient in the switches: ``[B, N]``, ``[B, N, S]``.

    Cost: N forward passes and N backward passes to the input, an image.
    Raises:
        ValueError: if no gradient comes back from the model.
    """
    owner, flat = owners(on), on.flatten(0, 1)
    values, slopes = [on.new_zeros(0)], [on.new_zeros(0, on.shape[2])]
    for part in chunks(len(flat), batch_size):
        i = owner[part]
        with torch.enable_grad():
            here = flat[part].detach().requires_grad_()
            odds = odds_of_target(model(images.under(here, i)), images.target[i])
            if not odds.requires_grad:
                raise ValueError("the model passes no gradient back to its input; explain it with gradients=0")
            (slope,) = torch.autograd.grad(odds.sum(), here, create_graph=create_graph)
        values.append(odds if create_graph else odds.detach())
        slopes.append(slope)
    return torch.cat(values).view(on.shape[:2]), torch.cat(slopes).view(on.shape)


def owners(on: Tensor) -> Tensor:
    """The image of each of ``[B, N, S]`` maskings laid end to end."""
    return torch.arange(len(on), device=on.device).repeat_interleave(on.shape[1])


def probability_of_target(logits: Tensor, target: Tensor) -> Tensor:
    """Softmax probability of each target."""
    return refuse_probabilities(logits).softmax(1).gather(1, checked_target(logits, target)[:, None])[:, 0]


def odds_of_target(logits: Tensor, target: Tensor) -> Tensor:
    """Log-odds of each target."""
    return log_odds(refuse_probabilities(logits), checked_target(logits, target))


def refuse_probabilities(logits: Tensor) -> Tensor:
    """The logits themselves.

    Raises:
        ValueError: if they are probabilities already: a second softmax would flatten every difference.
    """
    if logits.ndim == 2 and bool((logits.detach() >= 0).all() & ((logits.detach().sum(1) - 1).abs() < 1e-4).all()):
        raise ValueError("the model returns probabilities; glasshouse takes logits, so leave out its last softmax")
    return logits
