"""A map with a derivative that pixels can follow; a network of ReLUs has none (almost everywhere it is 0)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..types import Explainer

_RELUS: set[Callable[..., Any]] = {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_IN_PLACE: set[Callable[..., Any]] = {F.relu_, torch.relu_, Tensor.relu_}


class Smoothed(TorchFunctionMode):
    """While this is on, ReLUs of the model are softplus, and maps stay attached to the images.

    In the model's calls every ReLU is replaced, nn.ReLU, functional, reused and in-place ones: no module is touched,
    so there is nothing to put back. ReLU6, leaky ReLUs, clamps, maxima and max-pooling stay as they are, and so does
    all of a scripted or compiled model.

    Around these calls images cannot be cut loose: explainers do that (``x.detach()``) before they ask for gradients,
    since whoever trains on a map wants those of the parameters only. A ``detach`` of the model's own means what it
    says.
    """

    def __init__(self, x: Tensor, beta: float) -> None:
        super().__init__()
        self.image, self.beta = x.shape[1:], beta
        self.running = 0  # calls of the model under way

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if self.running:
            return softened(func, args, named, self.beta) if func in _RELUS else func(*args, **named)
        if func is Tensor.detach and args[0].shape[-3:] == self.image and args[0].ndim > 3:
            return args[0]
        if func is Tensor.numpy:
            return args[0].detach().numpy()
        return func(*args, **named)

    def enter(self, *called: object) -> None:
        self.running += 1

    def leave(self, *called: object) -> None:
        self.running -= 1


def softened(func: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any], beta: float) -> Tensor:
    """What a softplus gives for a call of a ReLU, in place where that was."""
    x: Tensor = args[0] if args else named["input"]
    in_place = func in _IN_PLACE or (args[1] if len(args) > 1 else named.get("inplace", False))
    # Whoever overwrites x may never look at the result, so x has to hold it.
    return x.copy_(F.softplus(x.clone(), beta)) if in_place else F.softplus(x, beta)


@contextmanager
def smoothed(model: nn.Module, x: Tensor, beta: float) -> Iterator[None]:
    """See :class:`Smoothed`; the model gets its hooks back as they were."""
    mode = Smoothed(x, beta)
    handles = [
        model.register_forward_pre_hook(mode.enter, prepend=True),
        model.register_forward_hook(mode.leave, always_call=True),
    ]
    try:
        with mode:
            yield
    finally:
        for handle in handles:
            handle.remove()


def smooth_map(explainer: Explainer, model: nn.Module, x: Tensor, target: Tensor, beta: float) -> Tensor:
    """Attribution ``[B, H, W]`` of the model with softplus for ReLU, differentiable with respect to ``x``.

    Cost: that of the explainer with ``create_graph=True``.
    Raises:
        ValueError: if the explainer cannot be differentiated.
    """
    with torch.enable_grad(), smoothed(model, x, beta):
        attribution = explainer(model, x, target, create_graph=True)
    if not attribution.requires_grad:
        raise ValueError(f"{explainer!r} gives a map that is no differentiable function of the pixels")
    return attribution
