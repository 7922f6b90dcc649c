"""The paper's set of spurious features, read literally: pixels, aggregated over the data set.

Nayyem et al., 2024, https://arxiv.org/abs/2412.18952, section III-C
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..explainers.superpixels import painted
from ..spec import require
from ..types import Progress, Samples, silent
from .findings import Detector, Findings
from .spurious import Spurious


@dataclass(frozen=True)
class Aggregated:
    """Of what another detector finds only what it says of places: the ``share`` of pixels that it flags most often.

    For each class, or, unless ``by_class``, for all classes together. Nothing is kept of single images, so that the
    images it looks at need not be those that are trained on.

    Cost: the detector's.
    """

    detector: Detector = Spurious()
    share: float = 0.1
    by_class: bool = True

    def __post_init__(self) -> None:
        require(self, 0 < self.share < 1, "share is between 0 and 1")

    def fit(self, model: nn.Module, samples: Samples, progress: Progress = silent, label: str = "detect") -> Findings:
        """The places that are flagged most often in ``samples``."""
        findings = self.detector.fit(model, samples, progress, label)
        often = frequency(findings, self.by_class)
        none = torch.zeros(0, dtype=torch.int64)
        return Findings(none, none, findings.segments[:0], findings.score[:0], top(often, self.share).float())


def frequency(findings: Findings, by_class: bool) -> Tensor:
    """In what share of the images a pixel is flagged, ``[K, H, W]``; the mean score decides between equal ones."""
    flagged = painted(findings.flagged, findings.segments).float()
    score = painted(findings.score.clamp_min(0), findings.segments)
    # All scores together weigh less than one image more or less, however many images there are.
    least = 1 / (2 * len(score))
    values = flagged + least * score / score.amax().clamp_min(1e-12)
    if by_class:
        one_hot = F.one_hot(findings.y, len(findings.by_class)).float()
        often = torch.einsum("mk,mhw->khw", one_hot, values) / one_hot.sum(0).clamp_min(1).view(-1, 1, 1)
    else:
        often = values.mean(0).expand_as(findings.by_class)
    return torch.where(often > least, often, 0.0)  # what no image flagged is nowhere spurious


def top(values: Tensor, share: float) -> Tensor:
    """The ``share`` of the places of each map with the highest values above 0, ``[K, H, W]`` bool."""
    flat = values.flatten(1)
    chosen = flat.topk(max(1, round(share * flat.shape[1])), dim=1).indices
    return (torch.zeros_like(flat, dtype=torch.bool).scatter_(1, chosen, True) & (flat > 0)).view_as(values)
