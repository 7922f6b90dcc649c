"""Metrics: one value per sample. ``__all__`` is their registry."""

from .accuracy import Accuracy
from .conciseness import Sparseness
from .explainability import (
    PerturbationEntropy,
    PerturbationGini,
    PerturbationInside,
    PerturbationOverlap,
    PerturbationRank,
    RelevanceMoved,
)
from .fooling import Fooled, FooledAt, MapSSIM, RankCorrelation, TopKIntersection
from .hardness import LeastConfidence, Loss, SmallMargin, Uncertainty
from .inconsistency import Inconsistency
from .localisation import ForegroundIoU, MassInside, MIoU, PointingGame
from .multilabel import ExactMatch
from .perceptibility import LPIPS, SSIM, Distortion
from .stability import Stability
from .under import Under

__all__ = [
    "LPIPS",
    "SSIM",
    "Accuracy",
    "Distortion",
    "ExactMatch",
    "Fooled",
    "FooledAt",
    "ForegroundIoU",
    "Inconsistency",
    "LeastConfidence",
    "Loss",
    "MIoU",
    "MapSSIM",
    "MassInside",
    "PerturbationEntropy",
    "PerturbationGini",
    "PerturbationInside",
    "PerturbationOverlap",
    "PerturbationRank",
    "PointingGame",
    "RankCorrelation",
    "RelevanceMoved",
    "SmallMargin",
    "Sparseness",
    "Stability",
    "TopKIntersection",
    "Uncertainty",
    "Under",
]
