"""Attacks and threat models. ``__all__`` is their registry."""

from .balls import L2, Linf
from .pgd import FGSM, PGD
from .regions import Explained, Limited, OutsideMask

__all__ = ["FGSM", "L2", "PGD", "Explained", "Limited", "Linf", "OutsideMask"]
