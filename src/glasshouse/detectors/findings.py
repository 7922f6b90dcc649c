"""What a detector found, as masks to train with and as something to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..data.samples import Wrapped
from ..explainers.superpixels import averaged, counts, painted
from ..types import Batch, Progress, Samples, silent


class Findings(NamedTuple):
    """Scores of superpixels; from 1 on, a superpixel is called spurious.

    Without any images (M = 0) they speak of classes alone.
    """

    index: Tensor  # type: ignore[assignment]  # [M] int64, the samples looked at
    y: Tensor  # [M] int64
    segments: Tensor  # [M, H, W] int64
    score: Tensor  # [M, S] float, -inf where an image has no such superpixel
    by_class: Tensor  # [K, H, W] float: mean score of a class at a place, for the samples not looked at

    @property
    def flagged(self) -> Tensor:
        """``[M, S]`` bool."""
        return self.score >= 1

    def spurious(self) -> Tensor:
        """``[M, H, W]`` bool, the flagged pixels."""
        return painted(self.flagged, self.segments)

    def area(self) -> float:
        """Share of the pixels of the samples looked at that is flagged; without any, of the maps of the classes."""
        region = self.spurious() if len(self.index) else self.by_class >= 1
        return region.float().mean().item()

    def joined(self, earlier: Findings) -> Findings:
        """With what was found before on the same samples: a model that unlearnt a shortcut no longer shows it."""
        return self._replace(
            score=torch.maximum(self.score, earlier.score),
            by_class=torch.maximum(self.by_class, earlier.by_class),
        )

    def new_since(self, earlier: Findings) -> float:
        """Share of the flagged superpixels, or places of classes, that were not flagged before; 0 if none is."""
        now, before = (f.flagged if len(f.index) else f.by_class >= 1 for f in (self, earlier))
        return ((now & ~before).sum() / now.sum().clamp_min(1)).item()


class Detector(Protocol):
    """Finds what a model wrongly relies on in training samples."""

    def fit(
        self, model: nn.Module, samples: Samples, progress: Progress = silent, label: str = "detect"
    ) -> Findings: ...


def moved(findings: Findings, seed: int) -> Findings:
    """The control "random masks": every image keeps its number of flagged superpixels, at random places.

    Superpixels are about equally large; what an image lacks or has too much in area evens out over the data set.
    What was said of classes is moved in the same way, block by block.
    """
    generator = torch.Generator().manual_seed(seed)
    exists = findings.score > -torch.inf
    order = torch.rand(findings.score.shape, generator=generator).masked_fill(~exists, -1).argsort(1, descending=True)
    ranked = findings.score.sort(1, descending=True).values
    score = torch.full_like(findings.score, -torch.inf).scatter_(1, order, ranked)
    shifts = torch.randint(max(findings.by_class.shape[1:]), (len(findings.by_class), 2), generator=generator)
    rolled = [m.roll((int(a), int(b)), (0, 1)) for m, (a, b) in zip(findings.by_class, shifts, strict=True)]
    return findings._replace(score=score, by_class=torch.stack(rolled))


class Quality(NamedTuple):
    """How well flags and scores agree with what is known to be spurious; None where it cannot be said."""

    precision: float | None
    recall: float | None
    auroc: float | None


def quality(findings: Findings, masks: Tensor) -> Quality:
    """Superpixels against the true masks ``[M, H, W]``: spurious is one that lies mostly outside its mask."""
    size = findings.score.shape[1]
    outside = averaged((~masks)[:, None].float(), findings.segments, size)[:, 0] > 0.5
    exists = torch.arange(size) < counts(findings.segments)[:, None]
    truth, flagged, score = outside[exists], findings.flagged[exists], findings.score[exists]
    hits = int((truth & flagged).sum())
    return Quality(
        hits / int(flagged.sum()) if flagged.any() else None,
        hits / int(truth.sum()) if truth.any() else None,
        auroc(score, truth),
    )


def auroc(score: Tensor, truth: Tensor) -> float | None:
    """Probability that a positive scores above a negative, ties counting half; None without both kinds."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives == 0 or negatives == 0:
        return None
    _, inverse, count = score.double().unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    last = count.cumsum(0)
    rank = (last - (count - 1) / 2)[inverse]
    wins = float(rank[truth].sum()) - positives * (positives + 1) / 2
    return wins / (positives * negatives)


@dataclass(frozen=True, eq=False)
class Masked(Wrapped):
    """A split whose ``Batch.mask`` is what a detector found; the data's own masks are not to be seen in training."""

    findings: Findings | None = None

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        nothing = torch.zeros(len(batch.x), *batch.x.shape[-2:], dtype=torch.bool)
        return batch._replace(mask=~(nothing if self.findings is None else found(self.findings, batch)))


def found(findings: Findings, batch: Batch) -> Tensor:
    """The spurious pixels of a batch, ``[B, H, W]`` bool: an image's own flags, its class's if it was not looked at.

    Never both: the class has lifted the scores of the images looked at already, and :func:`moved` keeps areas so.
    """
    if batch.index is None:
        raise ValueError("masks are found by Batch.index, and this batch has none")
    of_class = findings.by_class[batch.y] >= 1
    if not len(findings.index):
        return of_class
    place = torch.searchsorted(findings.index, batch.index).clamp_max(len(findings.index) - 1)
    known = (findings.index[place] == batch.index).view(-1, 1, 1)
    own = painted(findings.flagged[place], findings.segments[place])
    return torch.where(known, own, of_class)
