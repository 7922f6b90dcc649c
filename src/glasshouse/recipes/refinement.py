"""Refinement guided by explanations, with its controls, on any data and any model.

Nayyem et al., 2024, https://arxiv.org/abs/2412.18952, with the automatic rule and with transplanting.
"""

from __future__ import annotations

from dataclasses import replace

from ..attacks import FGSM, PGD, Linf
from ..data import CropFlip, Digits
from ..detectors import Spurious
from ..explainers import LIME, ImageMeanFill
from ..metrics import Accuracy, MassInside
from ..models import ResNet18, SmallCNN
from ..objectives import Adversarial, Changed, CrossEntropy, Sensitivity, Sum, Transplant
from ..recipe import Arm, Recipe
from ..refine import Detector
from ..spec import override
from ..train import SGD, Adam, Training
from ..types import Architecture, Data, Objective


def refined(alpha: float = 1.0, lam: float = 0.1, eps: float = 4 / 255) -> Objective:
    """The paper's weighted sum, on images whose spurious parts have changed places."""
    fast = FGSM(ball=Linf(eps=eps), random_start=True)
    weighted: list[tuple[float, Objective]] = [
        (1.0, CrossEntropy()),
        (alpha, Adversarial(attack=fast, weight=alpha)),
        (lam, Sensitivity(weight=lam)),
    ]
    terms = tuple(term for weight, term in weighted if weight > 0)
    return Changed(change=Transplant(), objective=Sum(terms=terms))


def with_controls(objective: Objective, detector: Detector) -> tuple[Arm, ...]:
    """The guided arm, the same without explanations, and the same with masks at random places."""
    return (
        Arm(name="refined", objective=objective, detector=detector),
        Arm(name="no explanation", objective=objective, control_of="refined"),
        Arm(name="random masks", objective=objective, control_of="refined", random_masks=True),
    )


def refinement(
    data: Data,
    model: Architecture,
    epochs: int = 10,
    pretrained: bool = False,
    rounds: int = 2,
    images: int = 512,
    test_images: int = 1000,
    lr: float = 1e-3,
) -> Recipe:
    """The closed loop on any data and model: ``epochs`` for the baseline and for each round.

    A ``pretrained`` model is the baseline as it is, and is refined with a tenth of the learning rate.
    """
    lr = lr / 10 if pretrained else lr
    training = Training(epochs=epochs, batch_size=64, optimizer=Adam(lr=lr))
    return Recipe(
        data=data,
        model=model,
        arms=with_controls(refined(), Spurious(images=images)),
        training=replace(training, epochs=0) if pretrained else training,
        refining=training,
        rounds=rounds,
        test_images=test_images,
    )


def demo() -> Recipe:
    """Handwritten digits with a planted shortcut, found and unlearnt in three minutes on two cores."""
    training = Training(epochs=7, batch_size=64, optimizer=Adam(lr=4e-3))
    lime = LIME(samples=64, fill=ImageMeanFill())
    return replace(
        refinement(Digits(), SmallCNN(width=12), test_images=0),
        arms=with_controls(refined(alpha=0.5, lam=0), Spurious(lime=lime, images=160)),
        training=training,
        refining=replace(training, epochs=5),
        metrics=(
            Accuracy(),
            *(Accuracy(attack=FGSM(ball=Linf(eps=eps / 255))) for eps in (1, 2, 4, 8)),
            Accuracy(attack=PGD(ball=Linf(eps=4 / 255))),
            MassInside(),
        ),
        explainer=lime,
        title="Handwritten digits with a planted shortcut",
    )


def cifar10(data: Data, scale: str = "smoke") -> Recipe:
    """The loop on CIFAR-10 or data like it.

    ``smoke`` takes minutes on two cores: a small network on 2,000 images. ``paper`` is ResNet-18 for 30 epochs.
    """
    if scale not in ("smoke", "paper"):
        raise ValueError(f"unknown scale {scale!r}; there are: smoke, paper")
    if scale == "smoke":
        if getattr(data, "limit", None) == 0:
            data = override(data, "limit", 2000)
        recipe = refinement(data, SmallCNN(width=16), epochs=5, images=64, test_images=400)
        lime = LIME(samples=64, fill=ImageMeanFill())
        recipe = replace(recipe, explainer=lime, arms=with_controls(refined(lam=0), Spurious(lime=lime, images=64)))
    else:
        sgd = Training(epochs=10, batch_size=128, optimizer=SGD(lr=0.1), augmentation=CropFlip())
        recipe = replace(
            refinement(data, ResNet18(), images=10_000, rounds=3, test_images=0),
            arms=with_controls(refined(eps=8 / 255), Spurious(images=10_000)),
            training=replace(sgd, epochs=30),
            refining=sgd,
        )
    return replace(recipe, title=f"CIFAR-10, {scale} scale")
