"""What a run came to: models, findings, values, self-checks, and the same as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from .checks import Check
from .detectors.findings import Findings, Quality
from .recipe import Arm, Recipe
from .statistics import Comparison, Estimate, compare, estimate, holm
from .types import Samples


class Round(NamedTuple):
    """What a detector found at the start of a round, or at last in the refined model."""

    findings: Findings
    quality: Quality | None  # against the data's own masks, where it has any


@dataclass
class Outcome:
    """Everything that a report draws on."""

    recipe: Recipe
    out: Path
    train: Samples
    test: Samples
    validation: Samples | None = None  # where a training selects by it
    models: dict[str, nn.Module] = field(default_factory=dict)
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    values: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    checks: dict[str, list[Check]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)  # peak of each step, MiB

    @property
    def guided(self) -> Arm | None:
        """The first arm with a detector: the one that the controls and the report are about."""
        return next((arm for arm in self.recipe.arms if arm.detector is not None), None)

    def estimate(self, arm: str, metric: str) -> Estimate:
        return estimate(self.values[arm][metric].double().numpy())

    def comparisons(self, metric: str) -> dict[str, Comparison]:
        """The guided arm against every other one, p-values corrected by Holm's method."""
        if self.guided is None:
            return {}
        own = self.values[self.guided.name][metric].double().numpy()
        others = [name for name in self.values if name != self.guided.name]
        found = [compare(own, self.values[name][metric].double().numpy()) for name in others]
        corrected = holm([c.p for c in found])
        return {n: c._replace(p=p) for n, c, p in zip(others, found, corrected, strict=True)}


def results(outcome: Outcome) -> dict[str, object]:
    """Means, intervals and comparisons as plain data, the same bytes for the same recipe on the same machine."""
    metrics: list[str] = list(next(iter(outcome.values.values())))
    return {
        "arms": {
            name: {metric: outcome.estimate(name, metric)._asdict() for metric in metrics} for name in outcome.values
        },
        "comparisons": {
            metric: {name: c._asdict() for name, c in outcome.comparisons(metric).items()} for metric in metrics
        },
        "checks": {name: [check._asdict() for check in checks] for name, checks in outcome.checks.items()},
        "rounds": {
            name: [
                {"area": r.findings.area(), "quality": None if r.quality is None else r.quality._asdict()}
                for r in rounds
            ]
            for name, rounds in outcome.rounds.items()
        },
    }


def without_nan(value: object) -> object:
    """The same with None for what is no number: JSON has no NaN."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
