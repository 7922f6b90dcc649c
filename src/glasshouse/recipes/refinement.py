"""Refinement guided by explanations, with its controls, on any data and any model.

Nayyem et al., 2024, https://arxiv.org/abs/2412.18952, with the automatic rule and with transplanting.
"""

from __future__ import annotations

from dataclasses import replace

from ..attacks import FGSM, Linf
from ..data import Digits
from ..detectors import Spurious
from ..explainers import LIME, ImageMeanFill
from ..models import SmallCNN
from ..objectives import Adversarial, Changed, CrossEntropy, Sensitivity, Sum, Transplant
from ..recipe import Arm, Recipe
from ..refine import Detector
from ..train import Adam, Training
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


def refinement(data: Data, model: Architecture, epochs: int = 10, rounds: int = 2, images: int = 512) -> Recipe:
    """The closed loop on any data and model; ``epochs`` of training for the baseline and for each round."""
    training = Training(epochs=epochs, batch_size=64, optimizer=Adam(lr=1e-3))
    return Recipe(
        data=data,
        model=model,
        arms=with_controls(refined(), Spurious(images=images)),
        training=training,
        refining=training,
        rounds=rounds,
    )


def demo() -> Recipe:
    """Handwritten digits with a planted shortcut, found and unlearnt in three minutes on two cores."""
    training = Training(epochs=6, batch_size=64, optimizer=Adam(lr=2e-3))
    lime = LIME(samples=64, fill=ImageMeanFill())
    detector = Spurious(lime=lime, images=256)
    recipe = refinement(Digits(), SmallCNN(width=16))
    return replace(
        recipe,
        arms=with_controls(refined(lam=0), detector),
        training=training,
        refining=training,
        explainer=lime,
        title="Handwritten digits with a planted shortcut",
    )
