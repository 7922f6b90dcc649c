"""Detectors: what a model wrongly relies on. ``__all__`` is their registry."""

from .aggregated import Aggregated
from .rules import AnyCriterion, Marked, Signed, Transplanted
from .spurious import Spurious
from .thresholds import Absolute, Quantile

__all__ = ["Absolute", "Aggregated", "AnyCriterion", "Marked", "Quantile", "Signed", "Spurious", "Transplanted"]
