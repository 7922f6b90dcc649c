"""Detectors: what a model wrongly relies on. ``__all__`` is their registry."""

from .rules import AnyCriterion, Marked, Transplanted
from .spurious import Spurious
from .thresholds import Absolute, Quantile

__all__ = ["Absolute", "AnyCriterion", "Marked", "Quantile", "Spurious", "Transplanted"]
