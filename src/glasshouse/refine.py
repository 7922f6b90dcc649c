"""The closed loop: train, explain, detect, refine, explain again. Nayyem et al., 2024, https://arxiv.org/abs/2412.18952

Detection sees training images only; what it finds replaces the data's own masks.
"""

from __future__ import annotations

from typing import Protocol

from torch import nn

from .detectors.findings import Detector, Findings, Masked
from .train import Training, fit
from .types import Objective, Progress, Samples, silent

__all__ = ["Detector", "InMemory", "Rounds", "refine"]


class Rounds(Protocol):
    """How the steps of a round are carried out; a run on disk keeps each one and takes it up where it stopped."""

    def detect(self, number: int, model: nn.Module) -> Findings: ...

    def train(self, number: int, model: nn.Module, objective: Objective, findings: Findings) -> Objective: ...


class InMemory:
    """Rounds that are simply carried out."""

    def __init__(
        self,
        detector: Detector,
        samples: Samples,
        training: Training,
        seed: int = 0,
        progress: Progress = silent,
        validation: Samples | None = None,
    ) -> None:
        self.detector, self.samples, self.training = detector, samples, training
        self.seed, self.progress, self.validation = seed, progress, validation

    def detect(self, number: int, model: nn.Module) -> Findings:
        return self.detector.fit(model, self.samples, self.progress)

    def train(self, number: int, model: nn.Module, objective: Objective, findings: Findings) -> Objective:
        masked = Masked(self.samples, findings)
        return fit(
            model,
            objective,
            masked,
            self.training,
            validation=self.validation,
            seed=self.seed + number,
            progress=self.progress,
        )


def refine(
    model: nn.Module, objective: Objective, rounds: Rounds, *, at_most: int = 2, tolerance: float = 0.02
) -> list[Findings]:
    """Detect and train in turn until nothing new is found, or out of rounds; the model is changed in place.

    Findings add up over the rounds, since a model that unlearnt a shortcut no longer shows it. The loop has
    converged when at most a share of ``tolerance`` of all flags is new. The last of the returned findings, one more
    than there were rounds of training, is what the refined model itself still shows.
    """
    kept: list[Findings] = []
    seen = rounds.detect(0, model)
    for number in range(at_most):
        joined = seen.joined(kept[-1]) if kept else seen
        if kept and joined.new_since(kept[-1]) <= tolerance:
            break
        kept.append(joined)
        objective = rounds.train(number, model, objective, joined)
        seen = rounds.detect(number + 1, model)
    return [*kept, seen]
