"""Data sets, planted shortcuts and augmentation. ``__all__`` is their registry."""

from .augment import CropFlip
from .backgrounds import OtherBackgrounds
from .biased import Biased
from .cifar_c import CIFARC
from .corrupted import Corrupted
from .decoys import GreyDecoy, Planted, PositionDecoy
from .digits import Digits
from .folder import ImageFolder
from .hub import Hub
from .parquet import Parquet
from .photos import Photos
from .torchvision_sets import CIFAR10, CIFAR100, STL10
from .voc import VOC

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "CIFARC",
    "STL10",
    "VOC",
    "Biased",
    "Corrupted",
    "CropFlip",
    "Digits",
    "GreyDecoy",
    "Hub",
    "ImageFolder",
    "OtherBackgrounds",
    "Parquet",
    "Photos",
    "Planted",
    "PositionDecoy",
]
