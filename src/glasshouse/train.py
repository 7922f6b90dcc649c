"""The one training loop; a training strategy is an objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .data.samples import batches
from .draws import seeded_globally
from .kept import Kept
from .modes import device_of, frozen
from .objectives.combine import advanced, looked
from .optimizers import SGD, Adam, Cosine, Optimizer, Schedule, Steps, Triangle
from .spec import require
from .types import Architecture, Augmentation, Data, Metric, Objective, Progress, Samples, silent
from .weighting import Reweighting
from .weighting.online import weighted_steps
from .weighting.reweighting import values_of

__all__ = ["SGD", "Adam", "Cosine", "Steps", "Training", "Triangle"]


@dataclass(frozen=True)
class Training:
    """How long, by what steps, and which weights come out: the last ones, their running average, or the best.

    With ``average``, such as 0.999, the exponential moving average of weights and BatchNorm statistics comes out.
    Polyak & Juditsky, 1992, https://doi.org/10.1137/0330046; Izmailov et al., UAI 2018,
    https://arxiv.org/abs/1803.05407. Its decay after t steps is min(``average``, t / (t + 9)): at first it reaches back
    over the last tenth of the steps only, and so forgets where training began.

    With ``best`` the mean of a metric, the higher the better, is taken on validation samples after every ``best_every``
    epochs and after the last, and the weights with the highest come out, among equals the earliest. Against robust
    overfitting (Rice et al., ICML 2020, https://arxiv.org/abs/2002.11569) it is ``Accuracy(attack=PGD(steps=10))``.
    With both it is the average that is measured and comes out.

    With a ``weighting`` samples count by weights that are found anew every few epochs.

    Cost: ``epochs`` passes over the samples, and the metric's over the validation samples.
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: Optimizer = Adam()
    schedule: Schedule | None = Cosine()
    augmentation: Augmentation | None = None
    weighting: Reweighting | None = None
    average: float = 0.0
    best: Metric | None = None
    best_every: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        require(self, self.epochs >= 0, "epochs is at least 0")
        require(self, self.batch_size >= 2, "batch_size is at least 2")
        require(self, 0 <= self.average < 1, "average is at least 0 and below 1")
        require(self, self.best_every >= 1, "best_every is at least 1")
        require(self, self.workers >= 0, "workers is at least 0")

    def measured_after(self, epoch: int) -> bool:
        """Whether it is time to measure, after an epoch counted from 0."""
        return (epoch + 1) % self.best_every == 0 or epoch + 1 == self.epochs


class State(NamedTuple):
    """Where a training stands after ``epoch`` complete epochs; with the model's weights, all that is needed."""

    epoch: int
    objective: Objective
    optimizer: torch.optim.Optimizer
    log: list[dict[str, float]]  # one row a step of the last epoch: epoch, step, lr and every term
    kept: Mapping[str, Tensor]  # the average, the best so far, and the weights of the samples


class Resumed(NamedTuple):
    """What a training goes on from, beside model and optimizer."""

    epoch: int
    objective: Objective
    kept: Mapping[str, Tensor]


def fit(
    model: nn.Module,
    objective: Objective,
    samples: Samples,
    training: Training,
    *,
    validation: Samples | None = None,
    seed: int = 0,
    resume: Callable[[torch.optim.Optimizer], Resumed] | None = None,
    after_epoch: Callable[[State], None] = lambda state: None,
    progress: Progress = silent,
    label: str = "train",
) -> Objective:
    """Minimise the sum of the objective's terms; the model is changed in place and left in evaluation mode.

    Returns the objective as it is after the last epoch: most never change, a :class:`Lagrangian` does.

    Each epoch draws from ``seed`` and its own number alone, so that a training continued from a :class:`State` ends
    with the same bits as one that was never interrupted. ``resume`` fills model and optimizer and returns the rest.
    During ``after_epoch`` the model has the weights that training goes on with, at the end those that ``training``
    chooses. Where a ``validation`` value was taken, the last row of the epoch's log has it.

    Raises:
        ValueError: if a term becomes infinite or not a number, or there are no samples to select by.
    """
    if training.best is not None and not validation:
        raise ValueError("Training.best needs validation samples, and there are none; best=None does without")
    optimizer = training.optimizer([p for p in model.parameters() if p.requires_grad])
    kept, done = Kept(model), 0
    if resume is not None:
        done, objective, tensors = resume(optimizer)
        kept.restore(tensors)
    for epoch in range(done, training.epochs):
        with seeded_globally(seed, epoch):
            objective = looked(objective, model, samples, epoch)
            weighed = begun(training, kept, samples, epoch, seed)
            log = one_epoch(kept, objective, samples, training, optimizer, epoch, seed, partial(progress, label))
            log[-1:] = [log[-1] | weighed] if log else []
        objective = advanced(objective, means(log)) if log else objective
        if training.best and validation and training.measured_after(epoch):
            value = kept.judge(epoch, partial(mean_value, training.best, validation, training.batch_size, seed))
            log[-1:] = [log[-1] | {"validation": value}] if log else []
        after_epoch(State(epoch + 1, objective, optimizer, log, kept.tensors))
    kept.put_final()
    model.eval()
    return objective


def begun(training: Training, kept: Kept, samples: Samples, epoch: int, seed: int) -> dict[str, float]:
    """The weights of the samples brought up to date, and what is to be said of them."""
    if training.weighting is None:
        return {}
    return training.weighting.begin(kept.model, samples, kept.tensors, epoch, seed)


def validation_of(data: Data, *trainings: Training) -> Samples | None:
    """The validation samples, if a training selects by them; ValueError if the data has none."""
    return data("validation") if any(training.best is not None for training in trainings) else None


def mean_value(metric: Metric, samples: Samples, size: int, seed: int, model: nn.Module) -> float:
    """The mean of a metric; it draws the same random numbers every time."""
    with frozen(model), seeded_globally(seed, 0):  # to read batches takes a random number, too
        return float(values_of(metric, model, samples, size, seed).double().mean())


def one_epoch(
    kept: Kept,
    objective: Objective,
    samples: Samples,
    training: Training,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> list[dict[str, float]]:
    """Every sample once, in an order of the epoch's own; returns its log."""
    steps = math.ceil(len(samples) / training.batch_size)
    order = seed * 1_000_003 + epoch
    rows: list[tuple[float, dict[str, Tensor]]] = []
    model = kept.model.train()
    gathers = training.weighting is not None and training.weighting.gathers(epoch, training.epochs)
    step_of = weighted_steps(training.weighting, kept.tensors, model, samples, gathers)
    found = batches(samples, training.batch_size, device=device_of(model), shuffle=order, workers=training.workers)
    for step, batch in enumerate(found, start=epoch * steps):
        share = 1.0 if training.schedule is None else training.schedule(step / steps, training.epochs)
        lr = training.optimizer.lr * share
        if len(batch.x) > 1:  # batch normalisation cannot train on a single image
            batch = batch if training.augmentation is None else training.augmentation(batch)
            with step_of(batch) as (batch, judge):
                terms = objective(model, batch)
                descend(optimizer, torch.stack(list(terms.values())).sum(), lr, judge)
            rows.append((lr, {name: term.detach() for name, term in terms.items()}))
            if training.average:
                kept.follow(training.average, step)
        progress(step + 1, training.epochs * steps)
    return logged(rows, epoch)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, lr: float, judge: Callable[[], None]) -> None:
    """One step; ``judge`` is called when there are gradients and the weights are still those that they belong to."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    judge()
    optimizer.step()


def logged(rows: list[tuple[float, dict[str, Tensor]]], epoch: int) -> list[dict[str, float]]:
    """The epoch's log; the terms reach the host here, at once, and never within a step."""
    if not rows:
        return []
    names = list(rows[0][1])
    values = torch.stack([torch.stack([terms[n] for n in names]) for _, terms in rows]).double().cpu()
    if not values.isfinite().all():
        step, term = (~values.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"training diverged: term {names[term]!r} is {values[step, term]} in epoch {epoch + 1}, step {step + 1};"
            " try a smaller learning rate"
        )
    return [
        {"epoch": epoch, "step": step, "lr": lr, **dict(zip(names, values[step].tolist(), strict=True))}
        for step, (lr, _) in enumerate(rows)
    ]


def means(log: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every term over the log."""
    return {k: sum(row[k] for row in log) / len(log) for k in (log[0] if log else {}) if k not in ("epoch", "step")}


def fresh(architecture: Architecture, classes: int, seed: int) -> nn.Module:
    """A network whose random weights follow from ``seed``, the same each time.

    Channels come last: on a CPU convolutions are up to four times as fast that way, and never slower.
    """
    with seeded_globally(seed, 0):
        return architecture(classes).to(memory_format=torch.channels_last)
