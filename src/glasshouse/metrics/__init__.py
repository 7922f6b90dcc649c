"""Metrics: one value per sample. ``__all__`` is their registry."""

from .accuracy import Accuracy
from .fooling import Fooled, MapSSIM, RankCorrelation, TopKIntersection
from .hardness import LeastConfidence, Loss, SmallMargin, Uncertainty
from .localisation import MassInside
from .perceptibility import LPIPS, SSIM, Distortion
from .stability import Stability
from .under import Under

__all__ = [
    "LPIPS",
    "SSIM",
    "Accuracy",
    "Distortion",
    "Fooled",
    "LeastConfidence",
    "Loss",
    "MapSSIM",
    "MassInside",
    "RankCorrelation",
    "SmallMargin",
    "Stability",
    "TopKIntersection",
    "Uncertainty",
    "Under",
]
