"""A network for superclasses and one for the classes within each, next to a flat one.

Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906
"""

from __future__ import annotations

from typing import NamedTuple

from ..data import CropFlip, Digits
from ..hierarchies import CIFAR100Superclasses, ClassGroups, ImageNetSuperclasses
from ..hierarchy import Hierarchies
from ..models import ResNet20, SmallCNN, TorchVision
from ..spec import override
from ..studies import TrainedCoarseToFine
from ..train import SGD, Adam, Training
from ..types import Architecture, Data


class Size(NamedTuple):
    """How much of everything a scale takes; 0 images: all."""

    hierarchy: Hierarchies
    network: Architecture
    training: Training
    images: int
    test: int


ROUND = ClassGroups(groups=(("round", (0, 3, 6, 8, 9)), ("straight", (1, 2, 4, 5, 7))))
SIZES = {
    "smoke": Size(ROUND, SmallCNN(width=8), Training(epochs=8, optimizer=Adam(lr=4e-3)), images=0, test=0),
    "small": Size(
        CIFAR100Superclasses(),
        ResNet20(),
        Training(epochs=12, batch_size=64, optimizer=Adam(lr=4e-3), augmentation=CropFlip()),
        images=10_000,
        test=2_000,
    ),
    "paper": Size(
        ImageNetSuperclasses(),
        TorchVision(name="vgg16"),
        Training(epochs=10, batch_size=64, optimizer=SGD(lr=1e-3), augmentation=CropFlip(padding=16), workers=8),
        images=0,
        test=0,
    ),
}


def coarse_to_fine(
    data: Data | None = None,
    hierarchy: Hierarchies | None = None,
    scale: str = "smoke",
    coarse: Architecture | None = None,
    fine: Architecture | None = None,
    weights: str = "",
) -> TrainedCoarseToFine:
    """A network for superclasses and one for the classes within each, trained next to a flat one; on digits without any
    data.

    ``smoke`` takes seconds and needs nothing, ``small`` half an hour on two cores and CIFAR-100; ``paper`` is VGG-16 on
    8 superclasses of ImageNet, for a GPU, and begins with the ``weights`` of a file where one is given. ``hierarchy``
    says which classes belong together, such as HierarchyFile(path='groups.json'); ``coarse`` and ``fine`` are other
    networks, the flat one is like ``coarse``. All networks come out in one file, for CoarseToFine(weights=...).
    """
    if scale not in SIZES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SIZES)}")
    size = SIZES[scale]
    if data is None and scale != "smoke":
        raise ValueError(f"scale={scale} needs images: give data=FOLDER")
    if data is not None and scale == "smoke" and hierarchy is None:
        raise ValueError("data of your own needs a hierarchy: give hierarchy=..., as HierarchyFile(path='groups.json')")
    network = begun(coarse or size.network, weights)
    return TrainedCoarseToFine(
        data=less(data, size.images) if data else Digits(decoy=None),
        hierarchy=hierarchy or size.hierarchy,
        coarse=network,
        fine=begun(fine or size.network, weights),
        flat=network,
        training=size.training,
        test_images=size.test,
        title=f"Coarse to fine, {scale} scale",
    )


def less(data: Data, images: int) -> Data:
    """As many training images as the scale takes, unless the data says itself how many."""
    return override(data, "limit", images) if images and getattr(data, "limit", None) == 0 else data


def begun(network: Architecture, weights: str) -> Architecture:
    """A network that begins with the weights of a file, under a head of its own."""
    return override(override(network, "weights", weights), "new_head", True) if weights else network
