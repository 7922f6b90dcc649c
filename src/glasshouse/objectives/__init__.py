"""Objectives: what training minimises. ``__all__`` is their registry."""

from .adversarial import Adversarial
from .changes import Mask, Transplant
from .combine import Changed, Sum
from .cross_entropy import CrossEntropy
from .sensitivity import Lagrangian, Sensitivity

__all__ = ["Adversarial", "Changed", "CrossEntropy", "Lagrangian", "Mask", "Sensitivity", "Sum", "Transplant"]
