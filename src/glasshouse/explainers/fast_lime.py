"""LIME's answer from far fewer forward passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..modes import borrowed
from ..spec import require
from ..types import Fill, Segmenter, Surrogate
from .designs import existing, fold_over, uniform
from .kriging import Prior, posterior_of, prior_of, projected
from .lime import Fit
from .masked import Maskable, Painting, maskable, masked_scores, masked_slopes, refuse_steps
from .superpixels import MeanFill, Slic, chunks
from .targets import log_odds

VIRTUAL = 2048  # maskings that only the surrogate is asked about
ROUNDS = 4  # how often it is asked whether an image is settled
WIDTH, JITTER = 0.35, 0.15  # gradients are taken where switches are 0.5 +- WIDTH +- JITTER


class Seen(NamedTuple):
    """What the model said so far: values under whole maskings, slopes under partial ones.

    Values under partial maskings would mislead: a half transparent superpixel is no half of its effect.
    """

    signs: Tensor  # [B, N, S] in [-1, 1]
    odds: Tensor  # [B, N]
    slopes: Tensor  # [B, G, S]

    def of(self, images: Tensor | slice) -> Seen:
        return Seen(*(t[images] for t in self))

    def and_also(self, more: Seen) -> Seen:
        return Seen(*(torch.cat(pair, 1) for pair in zip(self, more, strict=True)))

    @property
    def passes(self) -> int:
        return self.odds.shape[1] + 2 * self.slopes.shape[1]


class Finished(NamedTuple):
    """Images that are done."""

    images: Tensor
    fit: Fit
    passes: Tensor


@dataclass(frozen=True)
class FastLIME(Painting):
    """The weights that :class:`LIME` finds with 1,000 maskings, from 150 forward and backward passes.

    Maskings come from a balanced design. A Bayesian regression of the log-odds, on superpixels and on products of
    neighbours, predicts all other maskings, and LIME's own weighted ridge is fitted to what it predicts. ``gradients``
    partial maskings give their gradient as well: one backward pass tells something of every superpixel at once.
    For a model that passes no gradients take ``gradients=0, samples=256``.

    An image whose ``settled`` strongest superpixels stay the same from one quarter of the passes to the next needs no
    more of them; 0 spends all.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed, in units of probability.
    Cost: at most samples + gradients forward and ``gradients`` backward passes an image, ``evaluations`` in all.
    Raises:
        ValueError: if an image has a single superpixel, or the model passes no gradients although some are wanted.
    """

    segmenter: Segmenter = Slic()
    samples: int = 90
    gradients: int = 30
    fill: Fill = MeanFill()
    kernel_width: float = 0.25
    ridge: float = 1.0
    settled: int = 0
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, self.samples >= 8, "samples is at least 8")
        require(self, self.gradients >= 0, "gradients is at least 0")
        require(self, self.gradients != 1, "gradients is 0 or at least 2")
        require(self, self.kernel_width > 0, "kernel_width is above 0")
        require(self, self.ridge > 0, "ridge is above 0")
        require(self, self.settled >= 0, "settled is at least 0")
        require(self, self.batch_size >= 0, "batch_size is 0 (as many as suit the device) or more")

    def surrogate(
        self,
        model: nn.Module,
        x: Tensor,
        target: Tensor,
        segments: Tensor | None = None,
        *,
        create_graph: bool = False,
    ) -> Surrogate:
        """The fitted linear models, on given or on its own superpixels."""
        with borrowed(model, create_graph), torch.set_grad_enabled(create_graph):
            images = maskable(self.segmenter, self.fill, x, target, segments)
            finished = self.finished(model, images, create_graph)
        order = torch.cat([f.images for f in finished]).argsort()
        fit = Fit(*(torch.cat(parts)[order].to(x.dtype) for parts in zip(*(f.fit for f in finished), strict=True)))
        return Surrogate(images.segments, *fit, torch.cat([f.passes for f in finished])[order])

    def finished(self, model: nn.Module, images: Maskable, create_graph: bool) -> list[Finished]:
        """Ask round by round, and leave out the images that are settled."""
        size = int(images.count.max())
        signs, points = self.signs(images.count, size), self.points(images.count, size)
        prior, seen = prior_of(images), Seen(signs[:, :0], signs[:, :0, 0], points[:, :0])
        remaining, top, finished = torch.arange(len(images.x), device=images.x.device), None, []
        for values, partial in self.rounds():
            some = images.of(remaining)
            at, slope_at = signs[remaining, values], points[remaining, partial]
            seen = seen.and_also(self.asked(model, some, at, slope_at, create_graph))
            fit = self.answer(prior.of(remaining), some, seen, size)
            strongest = strongest_of(fit.beta.detach().abs(), self.settled)
            last = values.stop == self.samples and partial.stop == self.gradients
            same = (strongest == top).all(1) if top is not None else torch.zeros_like(remaining, dtype=torch.bool)
            done = same | last
            finished.append(Finished(remaining[done], fit.of(done), torch.full_like(remaining[done], seen.passes)))
            remaining, seen, top = remaining[~done], seen.of(~done), strongest[~done]
            if not len(remaining):
                break
        return finished

    def rounds(self) -> list[tuple[slice, slice]]:
        """Which rows of the designs are asked when; opposites stay together."""
        number = ROUNDS if self.settled else 1
        ends = [
            [2 * (total * k // (2 * number)) for k in range(number)] + [total]
            for total in (self.samples, self.gradients)
        ]
        return [(slice(*ends[0][k : k + 2]), slice(*ends[1][k : k + 2])) for k in range(number)]

    def signs(self, count: Tensor, size: int) -> Tensor:
        """Whole maskings ``[B, samples, S]`` in {-1, 1}."""
        return fold_over(self.samples, count, size, self.seed)

    def points(self, count: Tensor, size: int) -> Tensor:
        """Partial maskings ``[B, gradients, S]`` in [-1, 1]."""
        design = fold_over(self.gradients, count, size, self.seed + 1)
        jitter = existing(uniform(self.gradients, size, self.seed).to(count.device) * 2 - 1, count)
        return 2 * (WIDTH * design + JITTER * jitter)

    def asked(self, model: nn.Module, images: Maskable, signs: Tensor, points: Tensor, create_graph: bool) -> Seen:
        """Values at the signs, slopes at the points."""
        odds = masked_scores(model, images, (signs + 1) / 2, self.batch_size, log_odds)
        slopes = masked_slopes(model, images, (points + 1) / 2, self.batch_size, create_graph=create_graph)
        refuse_steps(odds, slopes)
        return Seen(signs, odds, slopes / 2)

    def answer(self, prior: Prior, images: Maskable, seen: Seen, size: int) -> Fit:
        """LIME's regression on what the posterior predicts, a few images at a time: virtual maskings are many."""
        parts = []
        for part in chunks(len(images.x), 16):
            own, count = prior.of(part), images.count[part]
            virtual = fold_over(VIRTUAL, count, size, self.seed + 2)
            posterior = posterior_of(own, *seen.of(part))
            parts.append(projected(posterior, own, count, virtual, self.kernel_width, self.ridge))
        return Fit(*(torch.cat(field) for field in zip(*parts, strict=True)))


def strongest_of(weight: Tensor, number: int) -> Tensor:
    """Which superpixels have the largest weights, in order of their index; among equals the first: ``[B, number]``."""
    return weight.argsort(dim=1, descending=True, stable=True)[:, :number].sort().values
