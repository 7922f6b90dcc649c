"""Guided backpropagation: only what helps flows back through a ReLU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..modes import borrowed
from .gradient import input_gradient

_RELUS: set[Callable[..., Any]] = {F.relu, F.relu6, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


def rectifies(function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]) -> bool:
    """Whether a call is that of a ReLU, or of one that saturates: ``nn.ReLU6`` calls a hardtanh from 0."""
    if function is F.hardtanh:
        return bool((arguments[1] if len(arguments) > 1 else named.get("min_val", -1.0)) == 0)
    return function in _RELUS


class Guided(TorchFunctionMode):
    """While this is on, no negative gradient enters any ReLU from behind.

    It works on calls, not on modules: functional ReLUs, reused and in-place ones are all seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if rectifies(func, args, kwargs or {}):
            self.seen += 1
            if out.requires_grad:
                out.register_hook(lambda gradient: gradient.clamp_min(0))
        return out


@dataclass(frozen=True)
class GuidedBackprop:
    """Guided backpropagation. Springenberg et al., ICLR Workshops 2015, https://arxiv.org/abs/1412.6806

    It resembles the image more than what the model makes of it (Adebayo et al., NeurIPS 2018,
    https://arxiv.org/abs/1810.03292): with random weights it looks much the same.

    Shape: x ``[B, C, H, W]`` in [0, 1], target ``[B]`` -> attribution ``[B, H, W]``, signed, the sum over channels.
    Cost: one forward and one backward pass.
    Raises:
        ValueError: if the model has no ReLU; a clamp or a maximum in the model's own code is none.
    """

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        with borrowed(model, create_graph), Guided() as guided:
            gradient = input_gradient(model, x, target, create_graph=create_graph)
        if not guided.seen:
            raise ValueError("GuidedBackprop is about ReLUs, and the model calls none")
        return gradient.sum(1)
