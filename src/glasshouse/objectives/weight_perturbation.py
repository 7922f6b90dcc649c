"""A flat loss: training at the worst weights nearby. Wu et al., NeurIPS 2020, https://arxiv.org/abs/2004.05884"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..attacks.regions import attacked
from ..spec import require
from ..types import Batch, Objective, Samples
from .adversarial import Adversarial
from .combine import advanced, looked


@dataclass(frozen=True)
class WeightPerturbed:
    """Adversarial weight perturbation (AWP) around any objective. Wu et al., NeurIPS 2020,
    https://arxiv.org/abs/2004.05884

    Each weight takes one step up the objective's own loss, as long as ``gamma`` times its own norm; biases and
    normalisations (parameters of one axis) stay. There the terms are computed: gradients are those at the perturbed
    weights, and reach the unperturbed ones, which the model keeps. ``warmup`` epochs of the plain objective come first;
    ``done`` counts them.

    BatchNorm statistics are updated once, by the terms; both passes draw the same random numbers. ``Adversarial``,
    ``TRADES`` and ``MART`` attack once, before the step, as published; any other objective is simply called twice.

    Shape: those of the objective.
    Cost: one attack, and the objective's other passes twice.
    Differs from the paper: the step is for weights that are trained; its code goes by names that hold "weight".
    """

    objective: Objective = Adversarial()
    gamma: float = 0.01
    warmup: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        require(self, self.gamma >= 0, "gamma is at least 0")
        require(self, self.warmup >= 0, "warmup is at least 0")
        require(self, self.done >= 0, "done is at least 0")

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        if self.done < self.warmup:
            return self.objective(model, batch)
        terms = prepared(self.objective, model, batch)
        with moved(model, ascent(model, terms, self.gamma)):
            return terms()

    def advance(self, terms: dict[str, float]) -> WeightPerturbed:
        done = min(self.done + 1, self.warmup)
        return replace(self, done=done, objective=advanced(self.objective, terms))

    def look(self, model: nn.Module, samples: Samples, epoch: int) -> WeightPerturbed:
        return replace(self, objective=looked(self.objective, model, samples, epoch))


def prepared(objective: Any, model: nn.Module, batch: Batch) -> Callable[[], dict[str, Tensor]]:
    """The objective's terms, as often as one asks, with its attack carried out here if it can do without."""
    if not hasattr(objective, "given"):
        return lambda: objective(model, batch)
    x_adv = attacked(objective.attack, model, batch)
    return lambda: objective.given(model, batch, x_adv)


def ascent(model: nn.Module, terms: Callable[[], dict[str, Tensor]], gamma: float) -> dict[str, Tensor]:
    """A step up the loss for each weight, ``gamma`` times as long as the weight; buffers and generators stay."""
    every = model.named_parameters(remove_duplicate=False)
    weights = {name: weight for name, weight in every if weight.requires_grad and weight.ndim > 1}
    if not weights:
        return {}
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), buffers_aside(model):
        loss = torch.stack(list(terms().values())).sum()
        slopes = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    found = zip(weights.items(), slopes, strict=True)
    return {name: gamma * along(slope, weight.detach()) for (name, weight), slope in found if slope is not None}


def along(direction: Tensor, weight: Tensor) -> Tensor:
    """A direction at the length of a weight; 0 where it is 0."""
    return direction * (weight.norm() / direction.norm().clamp_min(torch.finfo(direction.dtype).tiny))


@contextmanager
def buffers_aside(model: nn.Module) -> Iterator[None]:
    """While this is on, the model writes to copies of its buffers. Its own are not touched: graphs may hold them."""
    own = [(module, name, buffer) for module in model.modules() for name, buffer in module.named_buffers(recurse=False)]
    try:
        for module, name, buffer in own:
            module._buffers[name] = buffer.clone()
        yield
    finally:
        for module, name, buffer in own:
            module._buffers[name] = buffer


@contextmanager
def moved(model: nn.Module, steps: Mapping[str, Tensor]) -> Iterator[None]:
    """While this is on, each forward pass of the model sees parameters that are ``steps`` further on.

    The model keeps its own in between, to be frozen or looked at as ever, and theirs are the gradients.
    """
    owners = [(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in steps]
    own = [owner.get_parameter(name) for owner, name in owners]

    def place(tensors: list[Any]) -> None:
        for (owner, name), tensor in zip(owners, tensors, strict=True):
            owner._parameters[name] = tensor

    def enter(*called: object) -> None:
        place([weight + step for weight, step in zip(own, steps.values(), strict=True)])

    def leave(*called: object) -> None:
        place(own)

    hooks = [
        model.register_forward_pre_hook(enter, prepend=True),
        model.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        leave()
