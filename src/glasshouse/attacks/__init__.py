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
    "FineChanges",
    "Frame",
    "KeepingExplanation",
    "Label",
    "Limited",
    "Linf",
    "Margin",
    "MassCentre",
    "OtherImage",
    "OutsideMask",
    "Ranked",
    "Square",
    "StandardEnsemble",
    "TargetMap",
    "TargetRegion",
    "TopK",
    "Turned",
]
