"""Detection of what a model wrongly relies on. Nayyem et al., 2024, https://arxiv.org/abs/2412.18952"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.samples import Subset, at_most, batches
from ..explainers import LIME, ImageMeanFill
from ..explainers.superpixels import averaged, painted
from ..modes import device_of
from ..spec import require
from ..types import Progress, Samples, silent
from .findings import Findings
from .rules import Rule, Transplanted, existing


@dataclass(frozen=True)
class Spurious:
    """Scores the superpixels of up to ``images`` training images by ``rule``, and aggregates over each class.

    The class aggregate is the mean score of a class at each pixel. It lifts the score of a superpixel whose place is
    suspicious in all images of its class, and speaks for the images that were not looked at. It finds shortcuts at a
    fixed place; one that moves about leaves it near zero, and the images' own scores decide.

    Cost: the rule's for each image looked at; superpixels once.
    """

    rule: Rule = Transplanted()
    lime: LIME = LIME(samples=128, fill=ImageMeanFill())
    images: int = 512
    by_class: bool = True
    pool: int = 256
    batch_size: int = 32

    def __post_init__(self) -> None:
        require(self, self.images >= 0, "images is 0 (all) or more")
        require(self, self.pool >= 2, "pool is at least 2")
        require(self, self.batch_size >= 1, "batch_size is at least 1")

    def fit(self, model: nn.Module, samples: Samples, progress: Progress = silent, label: str = "detect") -> Findings:
        """What the model relies on in ``samples``, which must be training data: findings steer training."""
        chosen = at_most(samples, self.images)
        index = chosen_index(chosen)
        device = device_of(model)
        pool = next(iter(batches(at_most(chosen, self.pool, seed=1), self.pool, device=device)))
        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        for batch in batches(chosen, self.batch_size, device=device):
            segments = self.lime.segmenter(batch.x)
            score = self.rule(model, batch, segments, self.lime, pool)
            score = score.masked_fill(~existing(segments), -torch.inf)
            rows.append((batch.y.cpu(), segments.cpu(), score.cpu()))
            progress(label, sum(len(y) for y, _, _ in rows), len(chosen))
        y, segments = (torch.cat([row[i] for row in rows]) for i in (0, 1))
        score = stacked([row[2] for row in rows])
        findings = Findings(index, y, segments, score, torch.zeros(len(samples.classes), *segments.shape[1:]))
        return aggregated(findings) if self.by_class else findings


def aggregated(findings: Findings) -> Findings:
    """Findings with the mean score of each class at each pixel, and with scores lifted to it."""
    scores = painted(findings.score, findings.segments)
    one_hot = F.one_hot(findings.y, len(findings.by_class)).float()
    sums = torch.einsum("mk,mhw->khw", one_hot, scores)
    by_class = sums / one_hot.sum(0).clamp_min(1).view(-1, 1, 1)
    lift = superpixel_means(by_class[findings.y], findings)
    return findings._replace(by_class=by_class, score=torch.maximum(findings.score, lift))


def superpixel_means(values: Tensor, findings: Findings) -> Tensor:
    """Mean of ``[M, H, W]`` over each superpixel, -inf where an image has no such superpixel."""
    size = findings.score.shape[1]
    means = averaged(values[:, None], findings.segments, size)[:, 0]
    return means.masked_fill(findings.score == -torch.inf, -torch.inf)


def stacked(scores: list[Tensor]) -> Tensor:
    """Scores of several batches, padded with -inf to the largest number of superpixels."""
    size = max(score.shape[1] for score in scores)
    return torch.cat([F.pad(score, (0, size - score.shape[1]), value=-torch.inf) for score in scores])


def chosen_index(chosen: Samples) -> Tensor:
    """Positions in the whole split of samples that :func:`at_most` may have drawn from it."""
    positions = getattr(chosen, "chosen", range(len(chosen)))
    return torch.tensor(list(positions), dtype=torch.int64)


def masks_of(samples: Samples, index: Tensor) -> Tensor | None:
    """The data's own masks ``[M, H, W]``, to judge findings with; None if it has none, or no sample is asked for."""
    if not len(index):
        return None
    found = [batch.mask for batch in batches(Subset(samples, tuple(index.tolist())), 256)]
    return None if any(mask is None for mask in found) else torch.cat([m for m in found if m is not None])
