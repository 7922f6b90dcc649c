"""Attacks and threat models. ``__all__`` is their registry."""

from .balls import L2, Linf
from .losses import CE, DLR, Label, Margin, Ranked
from .pgd import FGSM, PGD
from .regions import Explained, Limited, OutsideMask

__all__ = ["CE", "DLR", "FGSM", "L2", "PGD", "Explained", "Label", "Limited", "Linf", "Margin", "OutsideMask", "Ranked"]
