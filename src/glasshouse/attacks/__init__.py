"""Attacks and threat models. ``__all__`` is their registry."""

from .apgd import APGD
from .balls import L2, Linf
from .deepfool import DeepFool
from .ensemble import StandardEnsemble
from .explanations import MassCentre, TopK
from .fab import FAB
from .keeping import KeepingExplanation
from .kl_pgd import KLPGD
from .levels import AtLevel, CoarseChanges, FineChanges
from .losses import CE, DLR, Label, Margin, Ranked
from .pgd import FGSM, PGD
from .regions import Explained, Limited, OutsideMask
from .relevance import LRPCoarse, LRPFine
from .shifting import (
    ExplanationActive,
    LogitMargin,
    MaxScale,
    PaperLiteral,
    PaperPlausible,
    RawScale,
    RelevanceLoss,
    SumScale,
)
from .square import Square
from .target_map import Frame, OtherImage, TargetMap, TargetRegion, Turned

__all__ = [
    "APGD",
    "CE",
    "DLR",
    "FAB",
    "FGSM",
    "KLPGD",
    "L2",
    "PGD",
    "AtLevel",
    "CoarseChanges",
    "DeepFool",
    "Explained",
    "ExplanationActive",
    "FineChanges",
    "Frame",
    "KeepingExplanation",
    "LRPCoarse",
    "LRPFine",
    "Label",
    "Limited",
    "Linf",
    "LogitMargin",
    "Margin",
    "MassCentre",
    "MaxScale",
    "OtherImage",
    "OutsideMask",
    "PaperLiteral",
    "PaperPlausible",
    "Ranked",
    "RawScale",
    "RelevanceLoss",
    "Square",
    "StandardEnsemble",
    "SumScale",
    "TargetMap",
    "TargetRegion",
    "TopK",
    "Turned",
]
