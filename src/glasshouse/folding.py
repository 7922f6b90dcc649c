"""Batch normalisations folded into the convolutions before them, while a model is only looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import fuse_conv_bn_weights

from .modes import tap

TOLERANCE = 1e-3


@contextmanager
def folded(model: nn.Module, x: Tensor, apart: str = "") -> Iterator[None]:
    """A frozen model in evaluation mode that computes the same with fewer operations, forwards and backwards.

    Normalisations are folded into the convolutions whose outputs they alone read, and activations do not overwrite
    what backward would have to copy first. Whether the model is still the same function is tried on ``x``; if it is
    not, it is left as it is. The layer named ``apart`` still gives what it gave.

    Cost: two forward passes of ``x``.
    """
    kept = [(module, module.inplace) for module in model.modules() if getattr(module, "inplace", None) is True]
    pairs = followed(model, x, apart)
    own = [(convolution, convolution.weight, convolution.bias) for convolution, _ in pairs]
    try:
        before = outputs(model, x)
        for module, _ in kept:
            module.inplace = False  # type: ignore[assignment]
        fold(pairs)
        if not torch.allclose(outputs(model, x), before, rtol=TOLERANCE, atol=TOLERANCE * float(before.abs().max())):
            unfold(pairs, own)
        yield
    finally:
        unfold(pairs, own)
        for module, inplace in kept:
            module.inplace = inplace


def itself(x: Tensor) -> Tensor:
    """What a folded normalisation gives."""
    return x


@torch.no_grad()
def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says of images."""
    found: Tensor = model(x)
    return found


def followed(model: nn.Module, x: Tensor, apart: str) -> list[tuple[_ConvNd, _BatchNorm]]:
    """Convolutions with the normalisations that are given just what they gave, each called once; none whose output is
    that of ``apart``."""
    given: dict[int, tuple[_ConvNd, int]] = {}
    alive: list[Tensor] = []  # so that no two outputs share an identity
    calls: dict[nn.Module, int] = {}
    pairs: dict[_BatchNorm, _ConvNd] = {}

    def gave(module: Any, inputs: object, output: Tensor) -> None:
        alive.append(output)
        given[id(output)] = module, output._version
        calls[module] = calls.get(module, 0) + 1

    def takes(module: Any, inputs: tuple[Tensor, ...]) -> None:
        calls[module] = calls.get(module, 0) + 1
        convolution, version = given.get(id(inputs[0]), (None, 0))
        if convolution is not None and inputs[0]._version == version:  # nothing was written into it
            pairs[module] = convolution

    handles = [m.register_forward_hook(gave) for m in model.modules() if foldable(m)]
    handles += [m.register_forward_pre_hook(takes) for m in model.modules() if normalises(m)]
    try:
        with tap(model, apart) if apart else nullcontext():  # what follows is given a copy of it
            outputs(model, x)
    finally:
        for handle in handles:
            handle.remove()
    shared = [convolution for convolution in pairs.values() if list(pairs.values()).count(convolution) > 1]
    return [(c, n) for n, c in pairs.items() if calls[c] == calls[n] == 1 and c not in shared]


def foldable(module: nn.Module) -> bool:
    """Whether a module is a plain convolution with weights of its own."""
    return isinstance(module, _ConvNd) and not module.transposed and "weight" in module._parameters


def normalises(module: nn.Module) -> bool:
    """Whether a module normalises by statistics that do not depend on the batch, and is not folded already."""
    fixed = isinstance(module, _BatchNorm) and not module.training and module.running_mean is not None
    return fixed and "forward" not in module.__dict__


@torch.no_grad()
def fold(pairs: list[tuple[_ConvNd, _BatchNorm]]) -> None:
    """Each normalisation's factor and shift into its convolution."""
    for convolution, norm in pairs:
        mean: Any = norm.running_mean
        variance: Any = norm.running_var
        weight, bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
        )
        same = torch.empty_like(convolution.weight).copy_(weight)  # fusing forgets the memory format
        convolution._parameters["weight"] = nn.Parameter(same, requires_grad=False)
        convolution._parameters["bias"] = nn.Parameter(bias.detach(), requires_grad=False)
        norm.forward = itself  # type: ignore[method-assign, assignment]


def unfold(pairs: list[tuple[_ConvNd, _BatchNorm]], own: list[tuple[_ConvNd, Any, Any]]) -> None:
    """Convolutions and normalisations as they were."""
    for convolution, weight, bias in own:
        convolution._parameters["weight"], convolution._parameters["bias"] = weight, bias
    for _, norm in pairs:
        norm.__dict__.pop("forward", None)
