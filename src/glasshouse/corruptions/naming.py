"""The published names of the corruptions, and what a person types for some of them."""

from __future__ import annotations

from collections.abc import Callable

from ..types import Corruption
from .blur import DefocusBlur, GaussianBlur, MotionBlur, ZoomBlur
from .colours import Brightness, Contrast, Saturate
from .compression import JPEGCompression, Pixelate
from .elastic import ElasticTransform
from .glass import GlassBlur
from .images import SEVERITIES
from .noise import GaussianNoise, ImpulseNoise, ShotNoise, SpeckleNoise
from .spatter import Spatter
from .weather import Fog, Frost, Snow

# In the order of the paper; the last four are extra and not part of the standard report.
NAMES: dict[str, Callable[..., Corruption]] = {
    "gaussian_noise": GaussianNoise,
    "shot_noise": ShotNoise,
    "impulse_noise": ImpulseNoise,
    "defocus_blur": DefocusBlur,
    "glass_blur": GlassBlur,
    "motion_blur": MotionBlur,
    "zoom_blur": ZoomBlur,
    "snow": Snow,
    "frost": Frost,
    "fog": Fog,
    "brightness": Brightness,
    "contrast": Contrast,
    "elastic_transform": ElasticTransform,
    "pixelate": Pixelate,
    "jpeg_compression": JPEGCompression,
    "speckle_noise": SpeckleNoise,
    "gaussian_blur": GaussianBlur,
    "spatter": Spatter,
    "saturate": Saturate,
}
STANDARD = tuple(NAMES)[:15]


def corruptions_named(text: str) -> tuple[Corruption, ...]:
    """``all`` (the standard 15), ``extra`` (all 19), a published name, or one with its severity: ``fog:5``.

    Without a severity, all five.

    Raises:
        ValueError: if there is no such corruption or severity.
    """
    name, colon, told = text.strip().partition(":")
    if name not in ("all", "extra", *NAMES):
        raise ValueError(f"unknown corruption {name!r}; there are: all, extra, {', '.join(NAMES)}")
    if colon and told not in map(str, SEVERITIES):
        raise ValueError(f"{text!r}: a severity goes from 1 to 5, as in {name}:5, not {told!r}")
    chosen = STANDARD if name == "all" else tuple(NAMES) if name == "extra" else (name,)
    severities = (int(told),) if colon else SEVERITIES
    return tuple(NAMES[one](severity=severity) for one in chosen for severity in severities)
