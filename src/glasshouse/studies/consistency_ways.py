"""The names of the ways to train that the study of explanation consistency compares, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass

from ..attacks import FGSM, Linf
from ..explainers import AblationCAM, EigenCAM, GradCAM, XGradCAM
from ..metrics import Accuracy, ExactMatch, ForegroundIoU, MassInside, MIoU, PointingGame
from ..objectives import CrossEntropy
from ..spec import require
from ..types import Metric, Objective
from ..weighting import Reweighting

BASELINE = "baseline"
HNM = "HNM"
HNM_SOFT = "HNM, tanh of the loss"
FL, EFL = "FL", "EFL"
GUIDED = "saliency-guided"
UNCERTAIN = "uncertainty (AL)"
LITERAL = "ours, at image size"  # the paper to the letter
XGRAD, EIGEN = "ours, XGrad-CAM", "ours, Eigen-CAM"
SHUFFLED = "ours, shuffled"
BLACK, MEAN = "ours, black background", "ours, mean background"
SOFTSIGN, ARCTAN = "ours, softsign", "ours, arctan"
SMALL_EPS, SMALL_SHUFFLED, SMALL_ONLINE = "ours, small eps", "ours, small eps, shuffled", "ours, small eps, online"
SHOWN = (BASELINE, HNM, XGRAD, SMALL_EPS, SMALL_SHUFFLED)  # in pictures

CLEAN, EXACT = Accuracy(), ExactMatch()
GRAD_MIOU, XGRAD_MIOU, ABLATION_MIOU, EIGEN_MIOU = (
    MIoU(explainer=e) for e in (GradCAM(), XGradCAM(), AblationCAM(), EigenCAM())
)
MEASURED: tuple[Metric, ...] = (
    *(CLEAN, EXACT, XGRAD_MIOU, GRAD_MIOU, ABLATION_MIOU, EIGEN_MIOU),
    *(ForegroundIoU(explainer=GradCAM()), PointingGame(), MassInside()),
)
SHORT: tuple[Metric, ...] = (CLEAN, GRAD_MIOU)
EPS = (1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255)


def fgsm(eps: float) -> Accuracy:
    """Accuracy under FGSM."""
    return Accuracy(attack=FGSM(ball=Linf(eps=eps)))


@dataclass(frozen=True)
class Way:
    """A way to train: what is minimised, and how samples are weighed."""

    name: str
    objective: Objective = CrossEntropy()
    weighting: Reweighting | None = None

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
