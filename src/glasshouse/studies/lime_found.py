"""What the trials of LIME-guided refinement came to: values over seeds and images, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..attacks import StandardEnsemble
from ..checks import Check
from ..corruptions.naming import NAMES
from ..data import OtherBackgrounds
from ..detectors.findings import Quality, found
from ..metrics import Stability
from ..outcome import Outcome
from ..recipe import folder_name
from ..types import Corruption, Metric
from . import lime_arms as arms
from .gains import Gain, Spread, gain, spread

if TYPE_CHECKING:
    from .lime_refinement import Trial


class Step(NamedTuple):
    """What is called spurious at the start of a round: its area, and the share that was not before."""

    area: float
    new: float


class Scene(NamedTuple):
    """An image, and what each arm's detector calls spurious in it in the baseline."""

    x: Tensor  # [3, H, W]
    caption: str
    spurious: dict[str, Tensor]  # arm: [H, W] bool


class Seen(NamedTuple):
    """One trial under one seed, as plain values."""

    values: dict[str, dict[str, Tensor]]
    close: dict[str, dict[str, Tensor]]
    corrupted: dict[str, dict[Corruption, dict[str, Tensor]]]
    logs: dict[str, list[dict[str, float]]]
    steps: dict[str, list[Step]]
    quality: dict[str, list[Quality | None]]
    checks: dict[str, list[Check]]
    seconds: dict[str, float]
    memory: dict[str, float]
    counts: tuple[int, int, int]  # training images, test images, classes
    scenes: list[Scene]


class Found(NamedTuple):
    """A trial under all seeds."""

    trial: Trial
    seen: tuple[Seen, ...]
    close: tuple[Metric, ...] = ()  # what some arms were measured by beside the recipe's own metrics

    @property
    def has_shortcut(self) -> bool:
        """Whether the test images tell a shortcut from the class: a decoy or a background that means nothing there."""
        data = self.trial.recipe.data
        return getattr(data, "decoy", None) is not None or isinstance(data, OtherBackgrounds)

    @property
    def deciding(self) -> Metric:
        """What guidance is judged by: clean accuracy where there is a shortcut to unlearn, else that under PGD."""
        return arms.CLEAN if self.has_shortcut else arms.pgd(0.03)

    @property
    def ensemble(self) -> Metric | None:
        """The accuracy under several attacks, if that was measured."""
        return next((m for m in self.close if isinstance(getattr(m, "attack", None), StandardEnsemble)), None)

    @property
    def stabilities(self) -> list[Stability]:
        """How attributions were tried for stability."""
        return [m for m in self.close if isinstance(m, Stability)]

    @property
    def names(self) -> list[str]:
        """The arms, the baseline first."""
        return list(self.seen[0].values)

    @property
    def refined(self) -> str:
        """The arm that stands for the paper's refined model; empty if there is none."""
        return next((name for name in arms.REFINED if name in self.names), "")

    def table(self, arm: str, metric: Metric, corruption: Corruption | None = None) -> Tensor | None:
        """Values ``[seeds, N]``, None if that was not measured."""
        rows = [one(seen, arm, repr(metric), corruption) for seen in self.seen]
        return None if any(row is None for row in rows) else torch.stack([r.double() for r in rows if r is not None])

    def spread(self, arm: str, metric: Metric, corruption: Corruption | None = None) -> Spread | None:
        """Mean and interval, None if that was not measured."""
        values = self.table(arm, metric, corruption)
        return None if values is None else spread(values)

    def gain(self, arm: str, other: str, metric: Metric, corruption: Corruption | None = None) -> Gain | None:
        """One arm against another, None if one of them was not measured."""
        own, rival = (self.table(name, metric, corruption) for name in (arm, other))
        return None if own is None or rival is None else gain(own, rival)

    def noted(self, arm: str, what: str) -> tuple[list[float], list[float]]:
        """What was noted, ``seconds`` or ``memory``, of an arm's rounds of training, and of its detections."""
        rows = [row for seen in self.seen for row in getattr(seen, what).items()]
        training, detecting = (
            [value for name, value in rows if name.startswith(start)]
            for start in (f"{folder_name(arm)}/round-", f"detect {arm} ")
        )
        return training, detecting

    @property
    def kinds(self) -> dict[str, list[Corruption]]:
        """The corruptions by their published names, each with its severities."""
        found: dict[str, list[Corruption]] = {}
        for corruption in self.trial.corruptions:
            found.setdefault(corruption_name(corruption), []).append(corruption)
        return found

    def under(self, arm: str, metric: Metric, kind: str) -> Tensor | None:
        """Values ``[seeds, N]`` under a corruption, the mean over its severities; None if that was not measured."""
        tables = [self.table(arm, metric, corruption) for corruption in self.kinds[kind]]
        present = [table for table in tables if table is not None]
        return torch.stack(present).mean(0) if len(present) == len(tables) else None


def corruption_name(corruption: Corruption) -> str:
    """The published name, or that of the class."""
    published = (name for name, made in NAMES.items() if made is type(corruption))
    return next(published, type(corruption).__name__)


def one(seen: Seen, arm: str, metric: str, corruption: Corruption | None) -> Tensor | None:
    """Values ``[N]`` of one seed."""
    if corruption is not None:
        return seen.corrupted.get(arm, {}).get(corruption, {}).get(metric)
    return seen.values.get(arm, {}).get(metric, seen.close.get(arm, {}).get(metric))


def mean_over(found: Found, arm: str, metric: Metric) -> Tensor | None:
    """Values ``[seeds, N]``, each the mean over all corruptions, None if none was measured."""
    tables = [found.under(arm, metric, kind) for kind in found.kinds]
    present = [table for table in tables if table is not None]
    return torch.stack(present).mean(0) if present and len(present) == len(tables) else None


def each_epoch(found: Found, arm: str, name: str) -> list[list[tuple[float, float]]]:
    """What was noted after every epoch, a curve of (epoch, value) for each seed; without curves if it was not."""
    curves = [[(row["epoch"] + 1.0, row[name]) for row in seen.logs.get(arm, []) if name in row] for seen in found.seen]
    return [curve for curve in curves if curve]


def losses(found: Found, arm: str) -> list[list[tuple[float, float]]]:
    """Mean of the whole training loss over each epoch, a curve for each seed."""
    curves = [loss_curve(seen.logs.get(arm, [])) for seen in found.seen]
    return [curve for curve in curves if curve]


def loss_curve(rows: Sequence[dict[str, float]]) -> list[tuple[float, float]]:
    """(epoch, mean of the sum of all terms)."""
    by_epoch: dict[float, list[float]] = {}
    terms = [name for name in rows[0] if is_term(name)] if rows else []
    for row in rows:
        by_epoch.setdefault(row["epoch"] + 1.0, []).append(sum(row[name] for name in terms))
    return [(epoch, sum(values) / len(values)) for epoch, values in by_epoch.items()]


def is_term(column: str) -> bool:
    """Whether a column of a log is a term of the loss, and not a count or what was measured after the epoch."""
    return column not in ("epoch", "step", "lr", "validation") and "(" not in column


def scenes(outcome: Outcome, count: int) -> list[Scene]:
    """Images that a detector looked at, with what each arm's detector calls spurious in them."""
    rounds = {name: kept[0].findings for name, kept in outcome.rounds.items()}
    looked = next((f.index for f in rounds.values() if len(f.index)), None)
    if looked is None or not count:
        return []
    index = looked[:count]
    batch = outcome.train[index.tolist()]._replace(index=index)
    regions = {name: found(findings, batch) for name, findings in rounds.items()}
    return [
        Scene(batch.x[i], outcome.train.classes[int(batch.y[i])], {name: r[i] for name, r in regions.items()})
        for i in range(len(index))
    ]
