"""Attacks on both levels of coarse-to-fine classifiers: the paper's, their rivals, and the controls that it lacks.

Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..data import BrightRegions, Digits
from ..hierarchies import ImageNetSuperclasses
from ..hierarchy import Hierarchies
from ..models import SmallCNN, TorchVision
from ..spec import override
from ..studies import HierarchicalAttacks, LevelTrial, LevelWay
from ..studies import hierarchical_ways as ways
from ..train import Training
from ..types import Architecture, Data
from .coarse_to_fine import ROUND, begun, less
from .coarse_to_fine import SIZES as TRAININGS


class Size(NamedTuple):
    """How much of everything a scale takes; 0 images: all."""

    ways: tuple[LevelWay, ...]
    images: int
    photographs: int
    degenerate: int
    batch_size: int


SIZES = {
    "smoke": Size(
        (*(way for eps in ways.EPS for way in ways.of_eps(eps)), *ways.readings(16), *ways.smallest()),
        images=60,
        photographs=60,
        degenerate=16,
        batch_size=64,
    ),
    "small": Size(ways.usual(few=4), images=100, photographs=48, degenerate=8, batch_size=8),
    "paper": Size(ways.usual(few=64), images=1000, photographs=1000, degenerate=16, batch_size=32),
}
VGG, SQUEEZENET = TorchVision(name="vgg16"), TorchVision(name="squeezenet1_1")


def hierarchical_attacks(
    imagenet: Data | None = None,
    cifar100: Data | None = None,
    scale: str = "smoke",
    model: Architecture | None = None,
    weights: str = "",
    hierarchy: Hierarchies | None = None,
    untrained: Architecture | None = None,
) -> HierarchicalAttacks:
    """Attacks on the coarse and on the fine level, by relevance and by its controls; on digits without any data.

    ``smoke`` takes minutes on two cores and needs nothing. ``small`` takes an hour or two: a flat ``model`` with
    ``weights`` for all 1000 classes on ``imagenet``, read level by level, and two stages trained on ``cifar100``,
    whichever is given. ``paper`` trains VGG-16 in two stages on ``imagenet``, for a GPU. ``hierarchy`` says which
    classes belong together in the place of those that are known; ``untrained`` is a network, VGG-16 if none is given,
    in which the loss is measured, too.
    """
    if scale not in SIZES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SIZES)}")
    if scale != "smoke" and imagenet is None and cifar100 is None:
        raise ValueError(f"scale={scale} needs images: give imagenet=FOLDER or cifar100=FOLDER")
    trials: list[LevelTrial] = []
    if imagenet is not None:
        trials.append(photographs(imagenet, scale, model, weights, hierarchy or ImageNetSuperclasses()))
    if cifar100 is not None:
        known = TRAININGS["small"]
        data = less(cifar100, known.images)
        size = SIZES[scale]._replace(batch_size=100)  # 20 fine networks share a batch
        trials.append(stages("CIFAR-100", data, known.network, known.training, hierarchy or known.hierarchy, size))
    return HierarchicalAttacks(
        trials=tuple(trials) or digits(model, hierarchy or ROUND),
        untrained=untrained or (VGG if scale != "smoke" else None),
        title=f"Attacks on coarse-to-fine classifiers, {scale} scale",
    )


def photographs(data: Data, scale: str, model: Architecture | None, weights: str, hierarchy: Hierarchies) -> LevelTrial:
    """A flat network for all classes read level by level, or in the paper's scale two stages of it."""
    if scale == "paper":
        network = begun(model or VGG, weights)
        return stages("ImageNet", data, network, TRAININGS["paper"].training, hierarchy, SIZES[scale])
    network = override(model or SQUEEZENET, "weights", weights) if weights else model or SQUEEZENET
    if getattr(network, "weights", None) == "":
        raise ValueError("imagenet needs a trained network: give weights=FILE, and model=NAME unless squeezenet1_1")
    size = SIZES[scale]._replace(images=SIZES[scale].photographs)
    return flat("ImageNet", data, network, Training(epochs=0), hierarchy, size)


def digits(model: Architecture | None, hierarchy: Hierarchies) -> tuple[LevelTrial, ...]:
    """What needs no data: the bright strokes are the object."""
    data = BrightRegions(data=Digits(decoy=None), level=0.3)
    network, training, size = model or SmallCNN(width=8), TRAININGS["smoke"].training, SIZES["smoke"]
    return (
        flat("Digits, flat", data, network, training, hierarchy, size),
        stages("Digits, two stages", data, network, training, hierarchy, size),
    )


def flat(
    name: str, data: Data, network: Architecture, training: Training, hierarchy: Hierarchies, size: Size
) -> LevelTrial:
    """One network that is read level by level."""
    return LevelTrial(
        name=name,
        data=data,
        hierarchy=hierarchy,
        model=network,
        ways=size.ways,
        training=training,
        images=size.images,
        degenerate=size.degenerate,
        batch_size=size.batch_size,
    )


def stages(
    name: str, data: Data, network: Architecture, training: Training, hierarchy: Hierarchies, size: Size
) -> LevelTrial:
    """A network for the superclasses and one for the classes of each, all trained here."""
    return replace(flat(name, data, network, training, hierarchy, size), fine=network)
