"""Metrics: one value per sample. ``__all__`` is their registry."""

from .accuracy import Accuracy
from .alignment import InputAlignment
from .conciseness import Complexity, EffectiveComplexity, Sparseness
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
from .inside import EnergyInside, RankInside
from .localisation import ForegroundIoU, MassInside, MIoU, PointingGame
from .multilabel import ExactMatch
from .perceptibility import LPIPS, SSIM, Distortion
from .randomisation import ModelRandomisation, RandomLogit
from .stability import Stability
from .under import Under

__all__ = [
    "LPIPS",
    "SSIM",
    "Accuracy",
    "Complexity",
    "Distortion",
    "EffectiveComplexity",
    "EnergyInside",
    "ExactMatch",
    "Fooled",
    "FooledAt",
    "ForegroundIoU",
    "Inconsistency",
    "InputAlignment",
    "LeastConfidence",
    "Loss",
    "MIoU",
    "MapSSIM",
    "MassInside",
    "ModelRandomisation",
    "PerturbationEntropy",
    "PerturbationGini",
    "PerturbationInside",
    "PerturbationOverlap",
    "PerturbationRank",
    "PointingGame",
    "RandomLogit",
    "RankCorrelation",
    "RankInside",
    "RelevanceMoved",
    "SmallMargin",
    "Sparseness",
    "Stability",
    "TopKIntersection",
    "Uncertainty",
    "Under",
]
