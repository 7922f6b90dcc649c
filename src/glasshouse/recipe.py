"""An experiment as one component, whose text is all there is to know about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .attacks import FGSM, PGD, Linf
from .detectors import Aggregated
from .explainers import LIME, ImageMeanFill
from .metrics import Accuracy, MassInside
from .objectives import CrossEntropy
from .refine import Detector
from .spec import require
from .train import Training
from .types import Architecture, Data, Explainer, Metric, Objective

__all__ = ["Arm", "Recipe"]

SWEEP: tuple[Metric, ...] = (
    Accuracy(),
    *(Accuracy(attack=FGSM(ball=Linf(eps=e / 255))) for e in (2, 4, 8, 16)),
    *(Accuracy(attack=PGD(ball=Linf(eps=e / 255))) for e in (4, 8)),
)


@dataclass(frozen=True)
class Arm:
    """One way on from the baseline.

    An arm with a ``detector`` goes round the closed loop. One that is ``control_of`` an earlier arm takes as many
    rounds as that one took: without any masks, or with ``random_masks``, that arm's own at random places.

    One that is a ``leak`` detects on the test images, which no honest arm may: it is there to show what that is worth.
    """

    name: str
    objective: Objective
    detector: Detector | None = None
    control_of: str = ""
    random_masks: bool = False
    leak: bool = False

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
        one = (self.detector is None) != (not self.control_of)
        require(self, one, "give either a detector or the arm that this one is a control of")
        aggregated = isinstance(self.detector, Aggregated)
        require(self, aggregated or not self.leak, "a leak needs a detector of whole classes, Aggregated(...)")


@dataclass(frozen=True)
class Recipe:
    """A baseline, ways to refine it, and what is measured on the test split.

    Every round of every arm is one ``refining``, so that all arms see the same number of images. A guided arm ends
    early once at most a share of ``tolerance`` of its flags is new; with a tolerance below 0 it takes all rounds.

    ``each_epoch`` are means of metrics that go into the logs after every epoch, over ``watched`` test images: to look
    at, never to choose by.
    """

    data: Data
    model: Architecture
    arms: tuple[Arm, ...]
    objective: Objective = CrossEntropy()
    training: Training = Training()
    refining: Training = Training()
    rounds: int = 2
    tolerance: float = 0.02
    metrics: tuple[Metric, ...] = (*SWEEP, MassInside())
    explainer: Explainer = LIME(samples=128, fill=ImageMeanFill())
    test_images: int = 0  # 0: all
    pictures: int = 8
    checks: int = 32  # images that the self-checks attack; 0: none are made
    each_epoch: tuple[Metric, ...] = ()
    watched: int = 256
    seed: int = 0
    title: str = "Refinement guided by explanations"

    def __post_init__(self) -> None:
        folders, guided = ["baseline"], []
        for arm in self.arms:
            folder = folder_name(arm.name)
            require(self, folder not in folders, f"arm {arm.name!r} is named twice, or 'baseline'")
            controlled = not arm.control_of or arm.control_of in guided
            told = f"arm {arm.name!r} is control of {arm.control_of!r}, which is no earlier arm with a detector"
            require(self, controlled, told)
            folders.append(folder)
            guided += [arm.name] if arm.detector else []
        require(self, self.rounds >= 1, "rounds is at least 1")
        require(self, self.test_images >= 0, "test_images is 0 (all) or more")
        require(self, self.pictures >= 0, "pictures is at least 0")
        require(self, self.checks >= 0, "checks is 0 (none) or more")
        require(self, self.watched >= 1, "watched is at least 1")


def folder_name(name: str) -> str:
    """A folder for an arm, whatever a person called it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "arm"
