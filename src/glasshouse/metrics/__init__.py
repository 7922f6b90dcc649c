"""Metrics: one value per sample. ``__all__`` is their registry."""

from .accuracy import Accuracy
from .localisation import MassInside

__all__ = ["Accuracy", "MassInside"]
