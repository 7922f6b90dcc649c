"""Does robustness buy interpretability? Models of varying robustness, trained here or brought along.

Weng Pei He, Nanyang Technological University, 2025 (project CCDS24-0496; only the abstract is public)
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..attacks import PGD
from ..data import BrightRegions, CropFlip, Digits
from ..explainers import GradCAM, InputGradient
from ..metrics import Accuracy, Neighbours
from ..models import ResNet18, SmallCNN, TorchVision
from ..models.checkpoints import called, checkpoints
from ..spec import override
from ..studies import NamedModel, RobustnessStudy, RobustnessTrial, RobustTraining
from ..studies import robustness_ways as known
from ..train import SGD, Adam, Steps, Training
from ..types import Architecture, Attack, Data, Explainer, Metric
from .coarse_to_fine import less


class Size(NamedTuple):
    """How much of everything a scale takes; 0 images: all."""

    ways: tuple[RobustTraining, ...]
    model: Architecture
    training: Training
    explainers: tuple[Explainer, ...]
    metrics: tuple[Metric, ...]
    threats: tuple[Attack, ...]
    train: int
    attacked: int
    images: int


def usual(steps: int, step_size: float, seeds: int, variants: int) -> tuple[RobustTraining, ...]:
    """PGD-AT at every eps, and other ways to robustness at some."""
    return (
        known.standard(seeds),
        *(known.pgd_training(eps, steps, step_size, seeds) for eps in known.EPS),
        *(known.fgsm_training(eps, variants) for eps in (2, 8)),
        *(known.trades_training(eps, steps, step_size, variants) for eps in (2, 8)),
        *(known.pgd_training(eps, steps, step_size, variants, known.L2_NORM) for eps in (0.25, 1.0)),
    )


SIZES = {
    "smoke": Size(
        ways=(known.standard(1), *(known.pgd_training(eps, 3, 0.5, 1) for eps in (2, 4, 8))),
        model=SmallCNN(width=8),
        training=Training(epochs=12, batch_size=32, optimizer=Adam(lr=4e-3)),
        explainers=(InputGradient(), GradCAM(), *known.BASELINES),
        metrics=(*known.metrics(Neighbours(copies=4), steps=8), *known.localised()),
        threats=known.threats(0.05),
        train=0,
        attacked=60,
        images=100,
    ),
    "small": Size(
        ways=usual(3, 0.5, seeds=3, variants=1),
        model=SmallCNN(width=16),
        training=Training(epochs=10, batch_size=128, optimizer=Adam(lr=4e-3), augmentation=CropFlip()),
        explainers=known.FEWER,
        metrics=known.metrics(Neighbours(copies=5), steps=16),
        threats=known.threats(0.2),
        train=10_000,
        attacked=150,
        images=600,
    ),
    "paper": Size(
        ways=usual(10, 0.25, seeds=3, variants=3),
        model=ResNet18(),
        training=Training(
            epochs=110,
            batch_size=128,
            optimizer=SGD(lr=0.1, weight_decay=5e-4),
            schedule=Steps(at=(100, 105)),
            augmentation=CropFlip(),
            best=Accuracy(attack=PGD(steps=10, step_size=0.25)),
            best_every=5,
            workers=8,
        ),
        explainers=known.EXPLAINERS,
        metrics=known.metrics(Neighbours(copies=20), steps=32),
        threats=known.threats(1.0),
        train=0,
        attacked=1000,
        images=2000,
    ),
}
RESNET18 = TorchVision(name="resnet18")
LONG = Training(
    epochs=30,
    batch_size=256,
    optimizer=SGD(lr=0.1, weight_decay=1e-4),
    augmentation=CropFlip(padding=16),
    workers=8,
)


def robustness_study(
    cifar10: Data | None = None,
    imagenet: Data | None = None,
    scale: str = "smoke",
    model: Architecture | None = None,
    weights: str = "",
) -> RobustnessStudy:
    """Are explanations of robust models more concise, more stable, more relevant? On digits without any data.

    ``smoke`` takes a minute or two on two cores and needs nothing. ``small`` trains 21 small networks on ``cifar10``,
    an hour and a half. ``paper`` trains ResNet-18 there, for a GPU, and on ``imagenet``, or on a folder of photographs
    by class, one that begins with the ``weights`` of a file.

    Models of your own: ``weights`` is a folder of checkpoints of ``model``, measured on ``cifar10`` or ``imagenet`` and
    ranked by their adversarial accuracy; nothing is trained then.
    """
    if scale not in SIZES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SIZES)}")
    size = SIZES[scale]
    if scale != "smoke" and cifar10 is None and imagenet is None:
        raise ValueError(f"scale={scale} needs images: give cifar10=FOLDER or imagenet=FOLDER")
    data = {name: given for name, given in (("CIFAR-10", cifar10), ("ImageNet", imagenet)) if given is not None}
    if weights:
        if model is None or len(data) != 1:
            raise ValueError("a folder of weights needs model=NAME, and the images of either cifar10 or imagenet")
        ((name, images),) = data.items()
        trials: tuple[RobustnessTrial, ...] = (
            replace(trial(name, images, size), given=brought(model, weights), model=None, ways=()),
        )
    elif data:
        trials = tuple(trained(name, images, scale, model) for name, images in data.items())
    else:
        digits = BrightRegions(data=Digits(decoy=None), level=0.3)
        trials = (replace(trial("Digits", digits, size), model=model or size.model),)
    return RobustnessStudy(trials=trials, title=f"Robustness and interpretability, {scale} scale")


def trained(name: str, data: Data, scale: str, model: Architecture | None) -> RobustnessTrial:
    """Models trained on these images; on ImageNet under one seed."""
    size = SIZES[scale]
    found = replace(trial(name, less(data, size.train), size), model=model or size.model)
    if name != "ImageNet":
        return found
    found = replace(found, ways=tuple(replace(way, seeds=1) for way in found.ways))
    return found if scale != "paper" else replace(found, model=model or RESNET18, training=LONG)


def trial(name: str, data: Data, size: Size) -> RobustnessTrial:
    """What all have in common; without a network."""
    return RobustnessTrial(
        name=name,
        data=data,
        ways=size.ways,
        model=size.model,
        training=size.training,
        explainers=size.explainers,
        metrics=size.metrics,
        threats=size.threats,
        attacked=size.attacked,
        images=size.images,
    )


def brought(model: Architecture, folder: str) -> tuple[NamedModel, ...]:
    """The checkpoints of a folder as models of one architecture, called by their files."""
    files = checkpoints([folder])
    named = zip(called(files), files, strict=True)
    return tuple(NamedModel(name, override(model, "weights", str(file))) for name, file in named)
