"""Explainers: which pixels speak for a class, and how much. ``__all__`` is their registry."""

from .grad_cam import GradCAM
from .gradient import InputGradient
from .lime import LIME
from .superpixels import BlurFill, ConstantFill, Grid, ImageMeanFill, MeanFill, Slic

__all__ = [
    "LIME",
    "BlurFill",
    "ConstantFill",
    "GradCAM",
    "Grid",
    "ImageMeanFill",
    "InputGradient",
    "MeanFill",
    "Slic",
]
