"""Objectives: what training minimises. ``__all__`` is their registry."""

from .adversarial import Adversarial
from .changes import Mask, Transplant
from .combine import Changed, Sum
from .compositional import Compositional
from .cross_entropy import CrossEntropy
from .equalized_focal import EqualizedFocal
from .focal import Focal
from .mart import MART
from .ramp import Ramp
from .saliency_guided import SaliencyGuided
from .sensitivity import Lagrangian, Sensitivity
from .trades import TRADES
from .weight_perturbation import WeightPerturbed

__all__ = [
    "MART",
    "TRADES",
    "Adversarial",
    "Changed",
    "Compositional",
    "CrossEntropy",
    "EqualizedFocal",
    "Focal",
    "Lagrangian",
    "Mask",
    "Ramp",
    "SaliencyGuided",
    "Sensitivity",
    "Sum",
    "Transplant",
    "WeightPerturbed",
]
