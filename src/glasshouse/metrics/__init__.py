"""Metrics: one value per sample. ``__all__`` is their registry."""

from .accuracy import Accuracy
from .fooling import Fooled, MapSSIM, RankCorrelation, TopKIntersection
from .localisation import MassInside
from .perceptibility import LPIPS, SSIM, Distortion

__all__ = [
    "LPIPS",
    "SSIM",
    "Accuracy",
    "Distortion",
    "Fooled",
    "MapSSIM",
    "MassInside",
    "RankCorrelation",
    "TopKIntersection",
]
