"""Selectors: which samples come into the training set next. ``__all__`` is their registry."""

from .by_score import ByScore
from .ceal import CEAL
from .core_set import CoreSet
from .random_choice import RandomChoice

__all__ = ["CEAL", "ByScore", "CoreSet", "RandomChoice"]
