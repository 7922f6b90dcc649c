"""Objectives: what training minimises. ``__all__`` is their registry."""

from .adversarial import Adversarial
from .changes import Mask, Transplant
from .combine import Changed, Sum
from .cross_entropy import CrossEntropy
from .mart import MART
from .ramp import Ramp
from .sensitivity import Lagrangian, Sensitivity
from .trades import TRADES
from .weight_perturbation import WeightPerturbed

__all__ = [
    "MART",
    "TRADES",
    "Adversarial",
    "Changed",
    "CrossEntropy",
    "Lagrangian",
    "Mask",
    "Ramp",
    "Sensitivity",
    "Sum",
    "Transplant",
    "WeightPerturbed",
]
