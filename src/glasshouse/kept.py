"""Weights beside those that training goes on with: their running average, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .modes import device_of


class Kept:
    """What is kept of a model in training, all of it as ``tensors`` by name, so that it can be taken up again."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.tensors: dict[str, Tensor] = {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with what was kept before."""
        self.tensors = {name: tensor.to(device_of(self.model)) for name, tensor in tensors.items()}

    def follow(self, decay: float, step: int) -> None:
        """Let the average take in the weights after a step, with ``step`` others before it."""
        decay = min(decay, step / (step + 9))
        average, weights = self.part("average"), self.model.state_dict()
        if not average:
            self.keep("average", weights)
        for name, before in average.items():
            if before.is_floating_point():
                before.lerp_(weights[name], 1 - decay)
            else:  # how many batches BatchNorm has seen
                before.copy_(weights[name])

    def judge(self, epoch: int, value_of: Callable[[nn.Module], float]) -> float:
        """The value of what would come out now, which is kept if it beats all before.

        Raises:
            ValueError: if the value is no finite number.
        """
        with self.averaged():
            value = value_of(self.model)
            if not math.isfinite(value):
                raise ValueError(f"the metric that selects the best weights is {value} after epoch {epoch + 1}")
            if "value" not in self.tensors or value > float(self.tensors["value"]):
                self.keep("best", self.model.state_dict())
                self.tensors |= {"value": torch.tensor(value, dtype=torch.float64), "epoch": torch.tensor(epoch)}
        return value

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with the average, if there is one, and back with its own weights."""
        average = self.part("average")
        own = {name: weight.clone() for name, weight in self.model.state_dict().items()} if average else {}
        try:
            self.put(average)
            yield
        finally:
            self.put(own)

    def put_final(self) -> None:
        """The best weights into the model, or else their average, or else nothing."""
        self.put(self.part("best") or self.part("average"))

    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Weights into the model; nothing if there are none."""
        if weights:
            self.model.load_state_dict(weights)

    def part(self, name: str) -> dict[str, Tensor]:
        """The weights kept under a name; empty if there are none."""
        prefix = f"{name}/"
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}

    def keep(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """A copy of weights under a name."""
        self.tensors |= {f"{name}/{k}": weight.detach().clone() for k, weight in weights.items()}
