"""What a survey of models measures when nobody says."""

from __future__ import annotations

from collections.abc import Sequence

from ..explainers import EdgeMap, GradCAM, InputGradient, OfRandomisedModel, RandomMap
from ..metrics import (
    Complexity,
    Deletion,
    FaithfulnessCorrelation,
    InputAlignment,
    Insertion,
    MassInside,
    MaxSensitivity,
    ModelRandomisation,
    PointingGame,
    RandomLogit,
    RankInside,
    RelativeOutputStability,
    Sparseness,
)
from ..metrics.localisation import foreground
from ..types import Explainer, Metric, Samples

# Cheap ones: metrics of stability and sanity explain each image some fifteen times.
EXPLAINERS: tuple[Explainer, ...] = (InputGradient(), InputGradient(times_input=True), GradCAM())
USUAL: tuple[Metric, ...] = (
    *(Sparseness(), Complexity()),
    *(MaxSensitivity(), RelativeOutputStability()),
    *(Deletion(), Insertion(), FaithfulnessCorrelation()),
    *(ModelRandomisation(), RandomLogit()),
    InputAlignment(cosine=True),
)
WITH_MASKS: tuple[Metric, ...] = (MassInside(), RankInside(), PointingGame())


def baselines_of(explainers: Sequence[Explainer]) -> tuple[Explainer, ...]:
    """Maps that explain nothing, but for those that are there."""
    every = (RandomMap(), EdgeMap(), OfRandomisedModel(explainer=explainers[0]))
    return tuple(e for e in every if e not in explainers)


def usual(samples: Samples) -> tuple[Metric, ...]:
    """Metrics of every family that a CPU can afford; of where evidence is where the data says so."""
    return USUAL + (WITH_MASKS if foreground(samples[[0]]) is not None else ())
