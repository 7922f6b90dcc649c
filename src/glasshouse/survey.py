"""Any metrics of several explainers on several models, on the images that all of the models get right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .data.samples import Subset, batches
from .explainers.superpixels import chunks
from .files import store_name
from .measure import measure, tried, value, weakest_first
from .metrics import Accuracy
from .metrics.localisation import on_maps, on_right
from .metrics.verdicts import Verdicts
from .modes import device_of, frozen
from .statistics import Estimate, estimate
from .study import Room
from .titles import brief
from .types import Explainer, Metric, Progress, Samples, silent

LABEL = "measure explanations"


class Cell(NamedTuple):
    """What a column of values is of."""

    model: str
    explainer: Explainer | None  # None: the metric asks for no explainer
    metric: Metric


@dataclass(frozen=True, eq=False)
class Survey:
    """Values of every image by model, explainer and metric, on the CPU; NaN where an image was not judged.

    Metrics of explanations judge the images that all models get right: an explanation of a wrong decision is another
    thing, and so are two means over different images.
    """

    models: tuple[str, ...]
    explainers: tuple[Explainer, ...]
    metrics: tuple[Metric, ...]
    values: dict[Cell, Tensor]  # [N]
    right: Tensor  # [models, N] bool
    refused: dict[Cell, str] = field(default_factory=dict)  # why it cannot be measured
    seconds: dict[Cell, float] = field(default_factory=dict)  # what is shared is the first one's

    @property
    def judged(self) -> Tensor:
        """The images that all models get right, ``[N]`` bool."""
        return self.right.all(0)

    def of(self, metric: Metric, model: str, explainer: Explainer | None = None) -> Tensor:
        """Values of one model, ``[N]``."""
        return self.values[Cell(model, explainer, metric)]

    def estimate(self, metric: Metric, model: str, explainer: Explainer | None = None) -> Estimate:
        """Their mean, with its 95 % interval."""
        return estimate(self.of(metric, model, explainer).double().numpy())


class Task(NamedTuple):
    """A metric as it was asked for and, for one of the explainers, as it is carried out."""

    explainer: Explainer | None
    metric: Metric
    carried: Metric


def survey(
    models: Mapping[str, nn.Module],
    samples: Samples,
    metrics: Sequence[Metric],
    explainers: Sequence[Explainer] = (),
    *,
    room: Room | None = None,
    name: str = "",
    shard: tuple[int, int] = (0, 1),
    tolerant: bool = False,
    batch_size: int = 128,
    seed: int = 0,
    progress: Progress = silent,
) -> Survey | None:
    """Measure several models by several explainers; an image's values depend on ``seed`` and the image alone.

    Each batch of each model is explained once by each explainer, whatever the number of metrics, and what no
    explainer changes is found once for all of them. A metric with a field ``explainer`` is measured with each of
    ``explainers`` in its place; without any, as it is.

    In a ``room`` what is done stays done, batch by batch; ``name`` tells several surveys in one room apart. ``shard``
    (k, n) takes every n-th batch from the k-th on, k from 0; None comes back while batches of other shards are missing.

    With ``tolerant`` everything is tried on one image first, and what raises a ValueError there is left out: its values
    are NaN, and :attr:`Survey.refused` says why.

    Cost: the metrics' and the explainers', for each model once over the samples; a forward pass besides.
    Raises:
        ValueError: if a model cannot take the images, a metric needs an explainer and there is none, or a shard is to
            be taken without a room; without ``tolerant``, if a metric cannot be measured.
    """
    tasks = tasks_of(metrics, explainers)
    require_possible(models, samples, shard, room)
    work = Work(samples, tasks, room, name, batch_size, seed)
    right = torch.stack([work.right(*named) for named in models.items()])
    if tolerant:
        work.refused = {name: work.tried(name, model, right.all(0)) for name, model in models.items()}
    jobs = list(work.jobs(models, right.all(0)))
    own = jobs[shard[0] :: shard[1]]
    sizes = [len(work.numbered(job.model, job.judged)) for job in own]
    for k, job in enumerate(own):
        work.take(job, models[job.model], partial(progress, LABEL), sum(sizes[:k]), sum(sizes))
    if own:
        progress(LABEL, sum(sizes), sum(sizes))
    if not all(work.taken(job) for job in jobs):
        return None
    columns, seconds = work.columns(jobs, tuple(models))
    refused = {cell(model, tasks[k]): reason for model, why in work.refused.items() for k, reason in why.items()}
    return Survey(tuple(models), tuple(explainers), tuple(metrics), columns, right, refused, seconds)


def tasks_of(metrics: Sequence[Metric], explainers: Sequence[Explainer]) -> tuple[Task, ...]:
    """What is measured of each model; ValueError if a metric needs an explainer and there is none."""
    found: list[Task] = []
    for metric in weakest_first(metrics):
        if on_maps(metric) and not explainers:
            raise ValueError(f"{type(metric).__name__} needs an explainer")
        if on_maps(metric):
            found += [Task(explainer, metric, metric) for explainer in explainers]
        elif hasattr(metric, "explainer") and explainers:
            carrying: Any = metric
            found += [Task(explainer, metric, replace(carrying, explainer=explainer)) for explainer in explainers]
        else:
            found.append(Task(None, metric, metric))
    return tuple(found)


def require_possible(
    models: Mapping[str, nn.Module], samples: Samples, shard: tuple[int, int], room: Room | None
) -> None:
    """ValueError unless there are models that take the images, and the shard is one."""
    if not models:
        raise ValueError("there are no models to compare")
    if len({store_name(name) for name in models}) < len(models):
        raise ValueError(f"two of the models have one name on disk: {', '.join(models)}")
    if not len(samples):
        raise ValueError("there are no images to compare models on")
    if not 0 <= shard[0] < shard[1]:
        raise ValueError(f"shard is (k, n) with k from 0 to n - 1, not {shard}")
    if shard != (0, 1) and room is None:
        raise ValueError("a shard needs a room, where the shards' batches come together")
    for model in models.values():
        tried(model, samples)


class Job(NamedTuple):
    """A batch of one model: of all images, or of those that are judged."""

    model: str
    judged: bool
    images: tuple[int, ...]
    name: str


class Work:
    """What is measured on what, and what is done of it."""

    def __init__(
        self, samples: Samples, tasks: tuple[Task, ...], room: Room | None, name: str, batch_size: int, seed: int
    ) -> None:
        self.samples, self.tasks, self.room, self.name = samples, tasks, room, name
        self.batch_size, self.seed = batch_size, seed
        self.done: dict[str, dict[str, Tensor]] = {}
        self.refused: dict[str, dict[int, str]] = {}  # by model and number of the task

    def step(self, name: str, take: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What a step found, now or before."""
        if self.room is not None:
            return self.room.step(self.name + name, take)
        if name not in self.done:
            self.done[name] = take()
        return self.done[name]

    def taken(self, job: Job) -> bool:
        """Whether a batch is done, by whichever shard."""
        return job.name in self.done if self.room is None else self.room.took(self.name + job.name)

    def right(self, name: str, model: nn.Module) -> Tensor:
        """Which images a model gets right, ``[N]`` bool."""

        def take() -> dict[str, Tensor]:
            values = measure(model, self.samples, [Accuracy()], batch_size=self.batch_size, seed=self.seed)
            return {"right": values[repr(Accuracy())] > 0}

        return self.step(f"{store_name(name)}-right", take)["right"]

    def tried(self, name: str, model: nn.Module, judged: Tensor) -> dict[int, str]:
        """Which tasks raise a ValueError on the first image that they are about, and what it says."""

        def take() -> dict[str, Tensor]:
            refused: dict[int, str] = {}
            for kind, images in self.images(judged).items():
                with frozen(model):
                    refused |= self.failing(self.verdicts(model, images[:1]), kind) if images else {}
            return {"refused": torch.tensor(list(json.dumps(refused).encode()), dtype=torch.uint8)}

        kept = self.step(f"{store_name(name)}-tried", take)["refused"]
        return {int(k): str(why) for k, why in json.loads(bytes(kept.tolist())).items()}

    def failing(self, verdicts: Verdicts, judged: bool) -> dict[int, str]:
        """Which tasks raise a ValueError, and what it says."""
        found: dict[int, str] = {}
        for k, task in self.numbered("", judged).items():
            try:
                measured(verdicts, task)
            except ValueError as error:
                found[k] = " ".join(str(error).split())
        return found

    def images(self, judged: Tensor) -> dict[bool, list[int]]:
        """Which images are judged, and which there are, by whether a task is about those that are judged only."""
        every = {False: list(range(len(self.samples))), True: judged.nonzero()[:, 0].tolist()}
        return {kind: every[kind] for kind in dict.fromkeys(map(judging, self.tasks))}

    def numbered(self, model: str, judged: bool) -> dict[int, Task]:
        """The tasks about all images, or about those that are judged, which the model does not refuse."""
        refused = self.refused.get(model, {})
        return {k: task for k, task in enumerate(self.tasks) if judging(task) == judged and k not in refused}

    def verdicts(self, model: nn.Module, images: Sequence[int]) -> Verdicts:
        """What is to be known of some images."""
        samples = Subset(self.samples, tuple(images))
        (batch,) = batches(samples, len(samples), device=device_of(model))
        return Verdicts(model, batch, self.seed)

    def jobs(self, models: Mapping[str, nn.Module], judged: Tensor) -> Iterator[Job]:
        """All batches, model by model."""
        for name in models:
            for kind, images in self.images(judged).items():
                for part in chunks(len(images), self.batch_size):
                    label = f"{store_name(name)}-{'judged' if kind else 'all'}-{part.start:06d}"
                    yield Job(name, kind, tuple(images[part]), label)

    def take(self, job: Job, model: nn.Module, told: Callable[[int, int], None], done: int, of: int) -> None:
        """The values of a batch, by the number of their task, and how long each took."""

        def found() -> dict[str, Tensor]:
            values: dict[str, Tensor] = {}
            with frozen(model):
                verdicts = self.verdicts(model, job.images)
                for n, (k, task) in enumerate(self.numbered(job.model, job.judged).items()):
                    told(done + n, of)
                    started = perf_counter()
                    values[str(k)] = measured(verdicts, task)
                    values[f"{k} seconds"] = torch.tensor(perf_counter() - started)
            return values

        self.step(job.name, found)

    def columns(self, jobs: Sequence[Job], models: Sequence[str]) -> tuple[dict[Cell, Tensor], dict[Cell, float]]:
        """The values of all models, and the seconds that they took."""
        values = {cell(model, task): self.empty() for model in models for task in self.tasks}
        seconds = dict.fromkeys(values, 0.0)
        for job in jobs:
            found = self.step(job.name, dict)
            for k in self.numbered(job.model, job.judged):
                where = cell(job.model, self.tasks[k])
                values[where][list(job.images)] = found[str(k)].float()
                seconds[where] += float(found[f"{k} seconds"])
        return values, seconds

    def empty(self) -> Tensor:
        """A column of no values, ``[N]``."""
        return torch.full((len(self.samples),), torch.nan)


def cell(model: str, task: Task) -> Cell:
    """Where the values of a task of a model belong."""
    return Cell(model, task.explainer, task.metric)


def measured(verdicts: Verdicts, task: Task) -> Tensor:
    """The values of a batch, ``[B]``; a ValueError says of what."""
    try:
        return value(task.carried, verdicts if task.explainer is None else verdicts.by(task.explainer))
    except ValueError as error:
        by = "" if task.explainer is None else f" by {brief(task.explainer)}"
        raise ValueError(f"{type(task.metric).__name__}{by}: {error}") from None


def judging(task: Task) -> bool:
    """Whether only images are judged that all models get right."""
    return task.explainer is not None or hasattr(task.metric, "explainer") or on_right(task.metric)
