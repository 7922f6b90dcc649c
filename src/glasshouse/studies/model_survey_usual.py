"""What a survey of models measures when nobody says."""

from __future__ import annotations

from collections.abc import Sequence

from ..explainers import EdgeMap, GradCAM, InputGradient, IntegratedGradients, OfRandomisedModel, RandomMap
from ..metrics import Sparseness, Stability
from ..types import Explainer, Metric, Samples

EXPLAINERS: tuple[Explainer, ...] = (InputGradient(), IntegratedGradients(), GradCAM())


def baselines_of(explainers: Sequence[Explainer]) -> tuple[Explainer, ...]:
    """Maps that explain nothing, but for those that are there."""
    every = (RandomMap(), EdgeMap(), OfRandomisedModel(explainer=explainers[0]))
    return tuple(e for e in every if e not in explainers)


def usual(samples: Samples) -> tuple[Metric, ...]:
    """Metrics of every family that a CPU can afford; of where evidence is where the data says so."""
    return (Sparseness(), Stability())
