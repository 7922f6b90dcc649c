"""Layers and their feature maps: which one to look at, what it gives, what follows if that changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modes import borrowed, module_at, tap
from .targets import target_score

_PREFIX = 5  # more tokens than a class, a distillation and a few register tokens belong to no grid


def feature_map(output: Tensor, layer: str, x: Tensor) -> Tensor:
    """What a layer gives as ``[B, K, h, w]``: a feature map as it is, tokens ``[B, T, K]`` as the square they tile.

    Tokens in front of the square, such as the class token, have no place in the image and are left out.

    Raises:
        ValueError: if it is neither, or has a single cell, which cannot say where anything is.
    """
    if output.ndim == 3 and grid_side(output.shape[1], x) > 1:
        side = grid_side(output.shape[1], x)
        output = output[:, -side * side :].transpose(1, 2).reshape(len(output), -1, side, side)
    if output.ndim != 4 or output.shape[-1] * output.shape[-2] < 2 or len(output) != len(x):
        wanted = "a [B, K, h, w] feature map of several cells, or tokens [B, 1 + side * side, K] of a square image"
        raise ValueError(f"layer {layer!r} gives {tuple(output.shape)}, not {wanted}")
    return output


def grid_side(tokens: int, x: Tensor) -> int:
    """Side of the square that the last of so many tokens tile, 0 if they do not."""
    side = math.isqrt(tokens)
    square = x.shape[-1] == x.shape[-2] and tokens - side * side <= min(_PREFIX, side)
    return side if square else 0


def resized(cam: Tensor, x: Tensor) -> Tensor:
    """``[B, h, w]`` at the size of the images, bilinearly."""
    return F.interpolate(cam[:, None], x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


class Seen(NamedTuple):
    """A forward pass with what a layer gave at its last call."""

    score: Tensor  # [B] logit of the target
    output: Tensor  # as it came, still attached to the graph
    call: int  # how often the layer had been called before


def seen(model: nn.Module, layer: str, x: Tensor, target: Tensor, *, begin: bool = False) -> Seen:
    """Run the model and keep what ``layer`` gives; where it is called several times, the last time counts.

    With ``begin`` the graph may begin at the layer.

    Raises:
        ValueError: if there is no such layer, the model does not call it, or a target is no class of the model.
    """
    logits, outputs = run_with(model, layer, x, begin)
    return Seen(target_score(logits, target), outputs[-1], len(outputs) - 1)


def run_with(model: nn.Module, layer: str, x: Tensor, begin: bool) -> tuple[Tensor, list[Tensor]]:
    """Logits, and what ``layer`` gives at each call; ValueError as :func:`seen`."""
    with tap(model, layer, begin=begin) as outputs:
        logits = model(x)
    if not outputs:
        raise ValueError(f"the model never calls its layer {layer!r}")
    return logits, outputs


@contextmanager
def changed(model: nn.Module, layer: str, call: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """What ``layer`` gives at its ``call``-th call (from 0) is changed before anything else sees it."""
    calls = iter(range(1_000_000))

    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return change(output) if next(calls) == call else output

    handle = module_at(model, layer).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class _Finished(NamedTuple):
    """A module that ran: its name, and whether it gave tokens."""

    name: str
    output: Tensor
    tokens: bool


def chosen_layer(model: nn.Module, x: Tensor, layer: str = "") -> str:
    """``layer`` if there is one, else :func:`last_spatial_layer` for the first image."""
    return layer or last_spatial_layer(model, x[:1])


def last_spatial_layer(model: nn.Module, x: Tensor) -> str:
    """Name of the module that finishes last among those whose output has more than one cell.

    For a transformer that reads a class token at its end, the last layer norm before tokens are mixed once more:
    what its patches become after that, no logit sees.

    Raises:
        ValueError: if there is none.
    """
    with borrowed(model, False), torch.enable_grad():
        finished = _run(model, x.detach().requires_grad_())
    if not finished:
        raise ValueError("no layer of the model gives a feature map; name one with layer=...")
    if not finished[-1].tokens:
        return finished[-1].name
    return _last_mixed([f for f in finished if f.tokens], x).name


def _run(model: nn.Module, x: Tensor) -> list[_Finished]:
    """Run the model; every module that gave a feature map, and every layer norm that gave tokens, in order."""
    finished: list[_Finished] = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not isinstance(output, Tensor):
                return
            tokens = isinstance(module, nn.LayerNorm) and output.ndim == 3 and grid_side(output.shape[1], x) > 1
            if tokens or (output.ndim == 4 and output.shape[-1] * output.shape[-2] > 1):
                finished.append(_Finished(name, output, tokens))

        return hook

    handles = [m.register_forward_hook(note(n)) for n, m in model.named_modules() if n]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return finished


def _last_mixed(layers: list[_Finished], x: Tensor) -> _Finished:
    """The last of them whose patch tokens the class token of the very last one depends on."""
    last = layers[-1]
    prefix = last.output.shape[1] - grid_side(last.output.shape[1], x) ** 2
    if not prefix:
        return last  # no class token: the mean over the patches is what counts
    # Half of the channels: all of them together are constant behind a layer norm.
    read = last.output[:, :prefix, ::2].sum()
    for layer in reversed(layers[:-1]):
        (gradient,) = torch.autograd.grad(read, layer.output, retain_graph=True, allow_unused=True)
        if gradient is not None and bool(gradient[:, prefix:].any()):
            return layer
    return last
