"""Experiments of other kinds than refinement: how one is carried out, and what it hands to the report.

A study is a component. Called with a device it looks whether data and models can be used, and returns an experiment;
that takes its steps in a :class:`Room`, where every finished step is kept, and ends with a :class:`Document`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from . import store
from .files import store_name, write_whole
from .objectives import CrossEntropy
from .outcome import without_nan
from .shifts import RelevanceShift
from .train import Training, fit
from .types import Objective, Progress, Samples, silent

TASK = CrossEntropy()
SUPPORTED, REFUTED, UNTESTED = "supported", "not supported", "not testable here"
REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"


class Claim(NamedTuple):
    """What is claimed, and the number that decides."""

    text: str
    source: str  # "paper", or "control" for what has to hold as well
    verdict: str  # SUPPORTED, REFUTED or UNTESTED; or REPRODUCED, NOT_REPRODUCED
    published: str
    measured: str


class Table(NamedTuple):
    """Rows of texts; the first column says what a row is."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    named: int = 2  # so many columns are words; the others are numbers


class Panel(NamedTuple):
    """Values by name, and a value to compare them with."""

    title: str
    values: dict[str, tuple[float, ...]]
    line: float


class Strips(NamedTuple):
    """Every value as a dot, one panel next to another."""

    title: str
    note: str
    axis: str
    line: str  # what the line of each panel is
    panels: tuple[Panel, ...]


class Progression(NamedTuple):
    """Curves by name, several of each, and a value to compare them with."""

    title: str
    curves: dict[str, tuple[tuple[tuple[float, float], ...], ...]]
    line: float


class Traces(NamedTuple):
    """How something grew, one panel next to another."""

    title: str
    note: str
    axes: tuple[str, str]
    line: str
    panels: tuple[Progression, ...]


class Line(NamedTuple):
    """A curve; lines of one name share a colour, over all charts."""

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float], ...] = ()  # low and high at each point, or none
    published: bool = False  # a paper's numbers: hollow marks that nothing joins


class Chart(NamedTuple):
    """Lines on the same axes."""

    title: str
    lines: tuple[Line, ...]


class Lines(NamedTuple):
    """Curves, one chart next to another."""

    title: str
    note: str
    axes: tuple[str, str]
    charts: tuple[Chart, ...]
    together: bool = True  # all charts share the vertical axis
    log: bool = False  # the horizontal axis is logarithmic, with a tick at each point


class Series(NamedTuple):
    """What one thing reaches under each name."""

    name: str
    values: tuple[tuple[float, float, float], ...]  # value, low, high
    published: tuple[float | None, ...] = ()  # a paper's value under each name, or none


class Bars(NamedTuple):
    """Values by name, a series next to another, one row for each panel."""

    title: str
    note: str
    axis: str
    names: tuple[str, ...]
    panels: tuple[tuple[str, tuple[Series, ...]], ...]


class Shown(NamedTuple):
    """An image, with what is not selected in the dark, or in grey under an attribution."""

    x: Tensor  # [C, H, W]
    selected: Tensor | None  # [H, W] bool
    caption: str
    attribution: Tensor | None = None  # [H, W]


class Pictures(NamedTuple):
    """Images in rows and columns."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]


class Shifts(NamedTuple):
    """What two classes rest on before and after attacks, one image below another."""

    title: str
    note: str
    pictures: tuple[RelevanceShift, ...]


Section = Table | Strips | Traces | Lines | Bars | Pictures | Shifts


@dataclass(frozen=True, eq=False)
class Document:
    """What a study found: to read, to look at, and as plain data."""

    title: str
    verdict: str
    claims: tuple[Claim, ...]
    sections: tuple[Section, ...]
    setup: tuple[tuple[str, str], ...]
    results: dict[str, Any]


@dataclass(frozen=True)
class Room:
    """Where an experiment works: whatever it finished there stays finished."""

    out: Path
    names: Mapping[str, type]
    device: str = "cpu"
    progress: Progress = silent
    shard: tuple[int, int] = (0, 1)  # (k, n): of what can be shared out, every n-th part from the k-th on, k from 0

    def step(self, name: str, take: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """What a step found, now or before the study was cut off."""
        path = self.kept(name)
        kept = store.load_values(path)
        if kept is None:
            store.keep_values(path, take())
            kept = store.load_values(path)
        return kept or {}

    def took(self, name: str) -> bool:
        """Whether that step is finished."""
        return self.kept(name).is_file()

    def kept(self, name: str) -> Path:
        """Where a step leaves what it found."""
        return self.out / "steps" / f"{name}.npz"

    def trained(
        self,
        name: str,
        model: nn.Module,
        samples: Samples,
        training: Training,
        seed: int,
        validation: Samples | None = None,
        objective: Objective = TASK,
    ) -> nn.Module:
        """The model after a training that goes on from its last complete epoch."""
        stage = self.stage(name)
        if stage.load(model, self.names) is None:
            ended: Objective = fit(
                model,
                objective,
                samples,
                training,
                validation=validation,
                seed=seed,
                resume=lambda optimizer: stage.resume(model, optimizer, objective, self.names),
                after_epoch=lambda state: stage.keep(model, state),
                progress=self.progress,
                label=f"train {name}",
            )
            stage.finish(model, ended)
        return model

    def ended(self, name: str) -> Objective:
        """The objective of a training as it was at its end."""
        objective: Objective = store.parsed(self.stage(name).folder / "objective.txt", self.names)
        return objective

    def stage(self, name: str) -> store.Stage:
        """Where the training of that name leaves its log, its objective at the end and its weights."""
        return store.Stage(self.out / "networks" / store_name(name))


class Unfinished(Exception):
    """This shard has done its part, and others have not."""


class Experiment(Protocol):
    """A study whose data and models are at hand; a shard that is not the last to finish raises Unfinished."""

    def conduct(self, room: Room) -> Document: ...


class Study(Protocol):
    """An experiment as one component; calling it writes nothing.

    Raises:
        ValueError: when called, if data or models cannot be used.
    """

    def __call__(self, device: str) -> Experiment: ...


def conduct(
    study: Study,
    out: Path,
    names: Mapping[str, type],
    *,
    device: str = "cpu",
    progress: Progress = silent,
    shard: tuple[int, int] = (0, 1),
) -> Document:
    """Carry out a study, or what is left of it, and write everything but the report.

    Raises:
        ValueError: before anything is written if data, models or ``out`` cannot be used.
        Unfinished: if parts of other shards are missing; there are no results then.
    """
    experiment = study(device)
    store.opened(out, study, names)
    document = experiment.conduct(Room(out, names, device, progress, shard))
    told = {"claims": [claim._asdict() for claim in document.claims], **document.results}
    write_whole(out / "results.json", json.dumps(without_nan(told), indent=1) + "\n")
    return document
