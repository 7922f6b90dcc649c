"""Weights of training samples that training finds out itself. ``__all__`` is their registry."""

from .reweighting import Reweighting
from .shapes import AsScored, Hardest, Relative, Shuffled

__all__ = ["AsScored", "Hardest", "Relative", "Reweighting", "Shuffled"]
