"""How two explanations of an image are compared: what happens to its background, how far maps are apart, what that
distance weighs. ``__all__`` is their registry."""

from .backgrounds import FGSMBackground, FilledBackground
from .distances import CellDistance, MeanDistance, PixelDistance
from .squashing import Arctan, Softsign, Tanh

__all__ = [
    "Arctan",
    "CellDistance",
    "FGSMBackground",
    "FilledBackground",
    "MeanDistance",
    "PixelDistance",
    "Softsign",
    "Tanh",
]
