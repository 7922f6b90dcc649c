"""Superclasses of well-known data sets, and a user's own. ``__all__`` is their registry."""

from .cifar import CIFAR10Kinds, CIFAR100Superclasses
from .file import HierarchyFile
from .groups import ClassGroups
from .imagenet import ImageNetSuperclasses

__all__ = [
    "CIFAR10Kinds",
    "CIFAR100Superclasses",
    "ClassGroups",
    "HierarchyFile",
    "ImageNetSuperclasses",
]
