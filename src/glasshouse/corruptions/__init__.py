"""The 19 corruptions of CIFAR-10-C and ImageNet-C, drawn anew for any images. ``__all__`` is their registry."""

from ..types import Corruption as Corruption
from .blur import DefocusBlur, GaussianBlur, MotionBlur, ZoomBlur
from .colours import Brightness, Contrast, Saturate
from .compression import JPEGCompression, Pixelate
from .elastic import ElasticTransform
from .glass import GlassBlur
from .naming import corruptions_named as corruptions_named
from .noise import GaussianNoise, ImpulseNoise, ShotNoise, SpeckleNoise
from .spatter import Spatter
from .weather import Fog, Frost, Snow

__all__ = [
    "Brightness",
    "Contrast",
    "DefocusBlur",
    "ElasticTransform",
    "Fog",
    "Frost",
    "GaussianBlur",
    "GaussianNoise",
    "GlassBlur",
    "ImpulseNoise",
    "JPEGCompression",
    "MotionBlur",
    "Pixelate",
    "Saturate",
    "ShotNoise",
    "Snow",
    "Spatter",
    "SpeckleNoise",
    "ZoomBlur",
]
