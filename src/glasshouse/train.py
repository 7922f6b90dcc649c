"""The one training loop; a training strategy is an objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from .data.samples import batches
from .modes import device_of
from .objectives.combine import advanced
from .spec import require
from .types import Augmentation, Objective, Progress, Samples, silent

__all__ = ["SGD", "Adam", "Training"]


class Optimizer(Protocol):
    """``optimizer(parameters)`` is one of torch's."""

    @property
    def lr(self) -> float: ...

    def __call__(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer: ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with Nesterov momentum."""

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        require(self, self.lr > 0, "lr is above 0")

    def __call__(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.momentum > 0
        )


@dataclass(frozen=True)
class Adam:
    """AdamW. Loshchilov & Hutter, ICLR 2019, https://arxiv.org/abs/1711.05101"""

    lr: float = 1e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        require(self, self.lr > 0, "lr is above 0")

    def __call__(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, self.lr, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Training:
    """How long and by what steps; ``cosine`` lets the learning rate fall to zero over the epochs."""

    epochs: int = 10
    batch_size: int = 64
    optimizer: Optimizer = Adam()
    cosine: bool = True
    augmentation: Augmentation | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        require(self, self.epochs >= 0, "epochs is at least 0")
        require(self, self.batch_size >= 2, "batch_size is at least 2")
        require(self, self.workers >= 0, "workers is at least 0")


class State(NamedTuple):
    """Where a training stands after ``epoch`` complete epochs; with the model's weights, all that is needed."""

    epoch: int
    objective: Objective
    optimizer: torch.optim.Optimizer
    log: list[dict[str, float]]  # one row a step of the last epoch: epoch, step, lr and every term


def fit(
    model: nn.Module,
    objective: Objective,
    samples: Samples,
    training: Training,
    *,
    seed: int = 0,
    resume: Callable[[torch.optim.Optimizer], tuple[int, Objective]] | None = None,
    after_epoch: Callable[[State], None] = lambda state: None,
    progress: Progress = silent,
    label: str = "train",
) -> Objective:
    """Minimise the sum of the objective's terms; the model is changed in place and left in evaluation mode.

    Returns the objective as it is after the last epoch: most never change, a :class:`Lagrangian` does.

    Each epoch draws from ``seed`` and its own number alone, so that a training continued from a :class:`State` ends
    with the same bits as one that was never interrupted. ``resume`` fills the optimizer and returns the epochs done
    and the objective by then.

    Raises:
        ValueError: if a term becomes infinite or not a number.
    """
    optimizer = training.optimizer([p for p in model.parameters() if p.requires_grad])
    done = 0
    if resume is not None:
        done, objective = resume(optimizer)
    for epoch in range(done, training.epochs):
        with seeded_globally(seed, epoch):
            log = one_epoch(model, objective, samples, training, optimizer, epoch, seed, partial(progress, label))
        objective = advanced(objective, means(log)) if log else objective
        after_epoch(State(epoch + 1, objective, optimizer, log))
    model.eval()
    return objective


def one_epoch(
    model: nn.Module,
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
    model.train()
    found = batches(samples, training.batch_size, device=device_of(model), shuffle=order, workers=training.workers)
    for step, batch in enumerate(found, start=epoch * steps):
        lr = training.optimizer.lr * falling(training, step, steps)
        if len(batch.x) > 1:  # batch normalisation cannot train on a single image
            batch = batch if training.augmentation is None else training.augmentation(batch)
            terms = objective(model, batch)
            descend(optimizer, torch.stack(list(terms.values())).sum(), lr)
            rows.append((lr, {name: term.detach() for name, term in terms.items()}))
        progress(step + 1, training.epochs * steps)
    return logged(rows, epoch)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, lr: float) -> None:
    """One step."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def falling(training: Training, step: int, steps: int) -> float:
    """The share of the learning rate at a step: half a cosine over all epochs, or 1 throughout."""
    return 0.5 * (1 + math.cos(math.pi * step / (training.epochs * steps))) if training.cosine else 1.0


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


@contextmanager
def seeded_globally(seed: int, salt: int) -> Iterator[None]:
    """Torch's global generators seeded within the block, and as they were after it."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed((seed * 1_000_003 + salt) % 2**63)
        yield
