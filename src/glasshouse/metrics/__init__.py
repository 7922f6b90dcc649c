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
from .neighbours import Neighbours
from .perceptibility import LPIPS, SSIM, Distortion
from .randomisation import ModelRandomisation, RandomLogit
from .relative import RelativeInputStability, RelativeOutputStability, RelativeRepresentationStability
from .sensitivity import LocalLipschitz, MaxSensitivity
from .stability import Stability
from .under import Under
from .worst_case import WorstCaseSensitivity

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
    "LocalLipschitz",
    "Loss",
    "MIoU",
    "MapSSIM",
    "MassInside",
    "MaxSensitivity",
    "ModelRandomisation",
    "Neighbours",
    "PerturbationEntropy",
    "PerturbationGini",
    "PerturbationInside",
    "PerturbationOverlap",
    "PerturbationRank",
    "PointingGame",
    "RandomLogit",
    "RankCorrelation",
    "RankInside",
    "RelativeInputStability",
    "RelativeOutputStability",
    "RelativeRepresentationStability",
    "RelevanceMoved",
    "SmallMargin",
    "Sparseness",
    "Stability",
    "TopKIntersection",
    "Uncertainty",
    "Under",
    "WorstCaseSensitivity",
]
