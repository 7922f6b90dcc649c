"""Metrics: one value per sample. ``__all__`` is their registry."""

from .accuracy import Accuracy
from .fooling import Fooled, MapSSIM, RankCorrelation, TopKIntersection
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
    "MapSSIM",
    "MassInside",
    "RankCorrelation",
    "Stability",
    "TopKIntersection",
    "Under",
]
