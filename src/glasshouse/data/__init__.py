"""Data sets, planted shortcuts and augmentation. ``__all__`` is their registry."""

from .augment import CropFlip
from .backgrounds import OtherBackgrounds
from .biased import Biased
from .bright import BrightRegions
from .cifar_c import CIFARC
from .corrupted import Corrupted
from .cub import CUB200
from .decoys import GreyDecoy, Planted, PositionDecoy
from .digits import Digits
from .folder import ImageFolder
from .hub import Hub
from .imagenet9 import ImageNet9
from .parquet import Parquet
from .photos import Photos
from .superclasses import Superclasses, WithinSuperclass
from .torchvision_sets import CIFAR10, CIFAR100, STL10
from .voc import VOC

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "CIFARC",
    "CUB200",
    "STL10",
    "VOC",
    "Biased",
    "BrightRegions",
    "Corrupted",
    "CropFlip",
    "Digits",
    "GreyDecoy",
    "Hub",
    "ImageFolder",
    "ImageNet9",
    "OtherBackgrounds",
    "Parquet",
    "Photos",
    "Planted",
    "PositionDecoy",
    "Superclasses",
    "WithinSuperclass",
]
