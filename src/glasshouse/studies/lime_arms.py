"""The names of the arms that the study of LIME-guided refinement compares, and what it measures on them."""

from __future__ import annotations

from ..attacks import FGSM, PGD, Linf, StandardEnsemble
from ..explainers import LIME, ImageMeanFill, InputGradient
from ..metrics import Accuracy, Stability
from ..types import Metric

BASELINE = "baseline"
TRAINED_ON = "trained on"  # as many epochs more, by cross-entropy
FGSM_ONLY = "FGSM only"
MASKING = "masking only"
SENSITIVITY = "sensitivity term only"
RANDOM = "random masks"
SPURIOUS_FGSM = "FGSM on spurious pixels only"
FULL = "full"  # the paper's objective, 'irrelevant' read as evidence against the class
LITERAL = "literal rule"  # the paper as printed
AUTOMATIC = "automatic rule"
BEST = "best"
BEST_UNGUIDED = "best, no explanation"
BEST_RANDOM = "best, random masks"
AGGREGATED = "aggregated"
LEAK = "aggregated on test images"

REFINED = (LITERAL, FULL)  # what may stand for the paper's refined model, the first that there is
CLOSELY = (BASELINE, FGSM_ONLY, LITERAL, FULL, RANDOM, BEST, BEST_UNGUIDED)

EPS = (0.01, 0.03, 0.1, 0.3)
CLEAN = Accuracy()


def fgsm(eps: float) -> Accuracy:
    """Accuracy under the paper's FGSM."""
    return Accuracy(attack=FGSM(ball=Linf(eps=eps)))


def pgd(eps: float) -> Accuracy:
    """Accuracy under the paper's PGD: 40 steps of 0.01 from the image itself, each along the gradient where it is."""
    return Accuracy(attack=PGD(ball=Linf(eps=eps), steps=40, step_size=0.01 / eps, random_start=False))


STANDARD_PGD = Accuracy(attack=PGD(ball=Linf(eps=0.03), steps=40))
ENSEMBLE_BALL = Linf(eps=0.03)
STABLE_LIME = Stability(explainer=LIME(samples=128, fill=ImageMeanFill()))
STABLE_GRADIENT = Stability(explainer=InputGradient())

MEASURED: tuple[Metric, ...] = (CLEAN, *map(fgsm, EPS), *map(pgd, EPS), STANDARD_PGD)
STABLE = (STABLE_LIME, STABLE_GRADIENT)
CLOSE: tuple[Metric, ...] = (Accuracy(attack=StandardEnsemble(ball=ENSEMBLE_BALL)), *STABLE)
CORRUPTED: tuple[Metric, ...] = (CLEAN, fgsm(0.1), fgsm(0.3), pgd(0.01), pgd(0.03))
