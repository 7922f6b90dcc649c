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
from .faithfulness import Deletion, Insertion, PixelFlipping, Sufficiency
from .fooling import Fooled, FooledAt, MapSSIM, RankCorrelation, TopKIntersection
from .hardness import LeastConfidence, Loss, SmallMargin, Uncertainty
from .inconsistency import Inconsistency
from .infidelity import Infidelity
from .inside import EnergyInside, RankInside
from .localisation import ForegroundIoU, MassInside, MIoU, PointingGame
from .multilabel import ExactMatch
from .neighbours import Neighbours
from .perceptibility import LPIPS, SSIM, Distortion
from .randomisation import ModelRandomisation, RandomLogit
from .relative import RelativeInputStability, RelativeOutputStability, RelativeRepresentationStability
from .road import ROAD
from .sensitivity import LocalLipschitz, MaxSensitivity
from .stability import Stability
from .subsets import FaithfulnessCorrelation
from .under import Under
from .worst_case import WorstCaseSensitivity

__all__ = [
    "LPIPS",
    "ROAD",
    "SSIM",
    "Accuracy",
    "Complexity",
    "Deletion",
    "Distortion",
    "EffectiveComplexity",
    "EnergyInside",
    "ExactMatch",
    "FaithfulnessCorrelation",
    "Fooled",
    "FooledAt",
    "ForegroundIoU",
    "Inconsistency",
    "Infidelity",
    "InputAlignment",
    "Insertion",
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
    "PixelFlipping",
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
    "Sufficiency",
    "TopKIntersection",
    "Uncertainty",
    "Under",
    "WorstCaseSensitivity",
]
