"""Models of varying robustness that nobody trained: every value that was measured of them is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from glasshouse.attacks import PGD
from glasshouse.data import Digits
from glasshouse.explainers import GradCAM, InputGradient, OfRandomisedModel, RandomMap
from glasshouse.metrics import (
    Accuracy,
    Complexity,
    Deletion,
    LocalLipschitz,
    MaxSensitivity,
    PointingGame,
    RelativeOutputStability,
    Sparseness,
    WorstCaseSensitivity,
)
from glasshouse.models import SmallCNN
from glasshouse.studies import RobustnessTrial, RobustTraining
from glasshouse.studies import robustness_ways as known
from glasshouse.studies.model_survey_found import Row
from glasshouse.studies.robustness_found import Found, Subject
from glasshouse.studies.robustness_study import subjects_of
from glasshouse.survey import Cell, Survey

IMAGES, JUDGED = 40, 36
STANDARD, WEAK, STRONG, ROUND = WAYS = (
    known.standard(2),
    known.pgd_training(2, 3, 0.5, 2),
    known.pgd_training(8, 3, 0.5, 2),
    known.pgd_training(1.0, 3, 0.5, 2, known.L2_NORM),
)
THREAT = PGD()
GRADIENT, CAM, LOTS, REDRAWN = InputGradient(), GradCAM(), RandomMap(), OfRandomisedModel(explainer=InputGradient())
SCALED, UNSCALED = LocalLipschitz(), LocalLipschitz(scale_free=False)
ROS, ROS_BY_NORMS = RelativeOutputStability(), RelativeOutputStability(elementwise=False)
Means = dict[tuple[Any, Any], tuple[float, ...]]  # by metric and explainer, a mean for each way

# As the paper has it: concise and stable, not more relevant.
USUAL: Means = {
    **{(Sparseness(), e): (0.5, 0.65, 0.7, 0.68) for e in (GRADIENT, CAM)},
    **{(Complexity(), e): (5.0, 3.8, 3.0, 3.5) for e in (GRADIENT, CAM)},
    **{(m, REDRAWN): (0.4, 0.4, 0.4, 0.4) for m in (Sparseness(), Complexity())},
    **{(MaxSensitivity(), e): (1.0, 0.6, 0.5, 0.55) for e in (GRADIENT, CAM)},
    **{(SCALED, e): (1.0, 0.7, 0.5, 0.6) for e in (GRADIENT, CAM)},
    **{(UNSCALED, e): (10.0, 4.0, 1.0, 2.0) for e in (GRADIENT, CAM)},
    **{(ROS, e): (1.0, 1.5, 2.0, 1.7) for e in (GRADIENT, CAM)},
    **{(ROS_BY_NORMS, e): (1.0, 1.3, 1.8, 1.5) for e in (GRADIENT, CAM)},
    **{(WorstCaseSensitivity(), e): (2.0, 1.2, 1.0, 1.1) for e in (GRADIENT, CAM)},
    **{(Deletion(), e): (0.3, 0.3, 0.3, 0.3) for e in (GRADIENT, CAM)},
    **{(PointingGame(), e): (0.5, 0.5, 0.5, 0.5) for e in (GRADIENT, CAM)},
    (Deletion(), LOTS): (0.5, 0.5, 0.5, 0.5),
}
CLEAN, ROBUST = (0.95, 0.9, 0.7, 0.85), (0.0, 0.2, 0.5, 0.3)


def right(share: float) -> Tensor:
    """So many images are right, always the first ones."""
    return (torch.arange(IMAGES) < round(share * IMAGES)).float()


def bumpy(mean: float, seed: int = 0) -> Tensor:
    """Values with that mean over the judged images; the seed moves it by a thousandth."""
    wave = 0.02 * torch.sin(2 * torch.pi * torch.arange(IMAGES) / JUDGED)
    return mean + 0.001 * seed + wave


def trial_of(ways: Sequence[RobustTraining] = WAYS, **settings: Any) -> RobustnessTrial:
    known = {"model": SmallCNN(), "threats": (THREAT,)} | settings
    return RobustnessTrial("digits", Digits(decoy=None), tuple(ways), **known)


def seen(
    means: Means,
    *,
    ways: Sequence[RobustTraining] = WAYS,
    clean: Sequence[float] = CLEAN,
    robust: Sequence[float] = ROBUST,
    judged: int = JUDGED,
    trial: RobustnessTrial | None = None,
    value: Callable[[float, Subject], Tensor] = lambda mean, subject: bumpy(mean, subject.seed),
) -> Found:
    """A trial of which that was found; under every seed a little more is right under attack."""
    trial = trial or trial_of(ways)
    subjects = subjects_of(trial, 0)
    names = tuple(s.name for s in subjects)
    place = {s.name: ways.index(s.way) if s.way else k for k, s in enumerate(subjects)}
    everyone = torch.stack([right(clean[place[name]]) for name in names]) > 0
    attacked = {
        Cell(s.name, None, Accuracy(attack=THREAT)): right(robust[place[s.name]] + 0.025 * s.seed) for s in subjects
    }
    values = {Cell(s.name, e, m): value(own[place[s.name]], s) for s in subjects for (m, e), own in means.items()}
    explainers, metrics = (tuple(dict.fromkeys(parts)) for parts in zip(*((e, m) for m, e in means), strict=True))
    shown = (torch.arange(IMAGES) < judged).expand(len(names), IMAGES)
    for column in values.values():
        column[judged:] = torch.nan
    return Found(
        trial,
        subjects,
        Survey(names, (), (), {}, everyone),
        Survey(names, (), (Accuracy(attack=THREAT),), attacked, everyone),
        Survey(names, explainers, metrics, values, shown),
    )


def changed(metric: Any, *means: float, usual: Means = USUAL) -> Means:
    """The usual means but for one metric, by every explainer that explains."""
    return usual | {(m, e): means for m, e in usual if m == metric and e not in (LOTS, REDRAWN)}


def without(*metrics: Any) -> Means:
    """The usual means of other metrics."""
    return {(m, e): own for (m, e), own in USUAL.items() if m not in metrics}


def one_seed(way: RobustTraining) -> RobustTraining:
    return replace(way, seeds=1)


def looks(metric: Any, explainer: Any = GRADIENT) -> Row:
    return Row(metric, explainer)
