"""Convolutions, dense layers and BatchNorm on a tape, as the linear maps that they are."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from .layer import Geometry, Layer
from .tape import Entry, Ref

DENSE = "linear"
CONVOLUTIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}


class Weighted(NamedTuple):
    """The arguments of a layer with weights."""

    source: int  # the entry that it reads
    weight: Tensor
    bias: Tensor | None
    geometry: Geometry | None


class Normalisation(NamedTuple):
    """BatchNorm in evaluation mode: ``scale`` times a channel plus ``shift``."""

    scale: Tensor
    shift: Tensor


def weighted(entry: Entry) -> Weighted | None:
    """An entry as a layer with weights; None if it is none, or its weights depend on the pixels."""
    if entry.kind not in (DENSE, *CONVOLUTIONS) or len(entry.parents) != 1:
        return None
    arguments = _dense if entry.kind == DENSE else _convolution
    source, weight, bias, *geometry = arguments(*entry.args, **entry.kwargs)
    if not isinstance(source, Ref):
        return None
    if entry.kind == DENSE:
        return Weighted(source.entry, weight, bias, None)
    slides = _geometry(CONVOLUTIONS[entry.kind], weight, *geometry)
    return slides and Weighted(source.entry, weight, bias, slides)


def _dense(input: Any, weight: Any, bias: Any = None) -> tuple[Any, ...]:
    return input, weight, bias


def _convolution(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Any, ...]:
    return input, weight, bias, stride, padding, dilation, groups


def _geometry(axes: int, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int) -> Geometry | None:
    step, spread = _each(stride, axes), _each(dilation, axes)
    if isinstance(padding, str):
        reach = [d * (k - 1) for d, k in zip(spread, weight.shape[2:], strict=True)]
        if padding == "same" and any(r % 2 for r in reach):
            return None  # more zeros on one side than on the other
        padding = tuple(r // 2 if padding == "same" else 0 for r in reach)
    return Geometry(step, _each(padding, axes), spread, groups)


def _each(value: Any, axes: int) -> tuple[int, ...]:
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * axes if len(numbers) == 1 else numbers


def normalisation(entry: Entry) -> Normalisation | None:
    """A BatchNorm with fixed statistics; None for anything else."""
    return _batch_norm(*entry.args, **entry.kwargs) if entry.kind == "batch_norm" else None


def _batch_norm(
    input: Any,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Normalisation | None:
    if training or running_mean is None or running_var is None or not isinstance(input, Ref):
        return None
    scale = (running_var + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    return Normalisation(scale, -running_mean * scale if bias is None else bias - running_mean * scale)


def folded(layer: Layer, following: Normalisation | None, z: Tensor) -> Layer:
    """A layer and the BatchNorm behind it, whose output is ``z``, as one layer."""
    if following is None:
        return layer
    weight = layer.weight * following.scale.view(-1, *[1] * (layer.weight.ndim - 1))
    bias = following.shift if layer.bias is None else following.shift + layer.bias * following.scale
    return layer._replace(weight=weight, bias=bias, z=z)
