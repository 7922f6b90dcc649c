"""A weighted layer as layer-wise relevance propagation sees it: a linear map, its adjoint, and what went in and out."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class Geometry(NamedTuple):
    """How a convolution slides; one number for each spatial axis."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


class Layer(NamedTuple):
    """A dense layer or a convolution, with a BatchNorm behind it already folded in."""

    a: Tensor  # [B, ...] its input
    z: Tensor  # [B, ...] its output, with the bias
    weight: Tensor
    bias: Tensor | None  # [out]
    geometry: Geometry | None = None  # None: dense
    nonnegative: bool = False  # whether a >= 0 is certain
    bounds: tuple[Tensor, Tensor] | None = None  # what a would be for black and for white pixels

    def forward(self, a: Tensor, weight: Tensor) -> Tensor:
        """The map without its bias: ``[B, in, ...]`` -> ``[B, out, ...]``."""
        return F.linear(a, weight) if self.geometry is None else convolved(a, weight, self.geometry)

    def backward(self, s: Tensor, weight: Tensor) -> Tensor:
        """The adjoint of the map: ``[B, T, out, ...]`` -> ``[B, T, in, ...]``."""
        if self.geometry is None:
            return s @ weight
        shape = (*s.shape[:2], *self.a.shape[1:])
        return adjoint(s.flatten(0, 1), weight, self.geometry, shape[2:]).view(shape)

    def offset(self) -> Tensor | None:
        """The bias, shaped so that it adds to ``z``."""
        if self.bias is None or self.geometry is None:
            return self.bias
        return self.bias.view(-1, *[1] * len(self.geometry.stride))


def convolved(a: Tensor, weight: Tensor, g: Geometry) -> Tensor:
    """A convolution without bias, ``[N, in, ...]`` -> ``[N, out, ...]``."""
    return _CONVOLVE[len(g.stride)](a, weight, None, g.stride, g.padding, g.dilation, g.groups)


def adjoint(s: Tensor, weight: Tensor, geometry: Geometry, like: tuple[int, ...]) -> Tensor:
    """What a convolution's backward pass gives its input, ``[N, out, ...]`` -> ``[N, *like]``."""
    if weight.requires_grad:
        return handed_back(s, weight, geometry, like)
    found: Tensor = _Adjoint.apply(s, weight, geometry, like)
    return found


def handed_back(s: Tensor, weight: Tensor, geometry: Geometry, like: tuple[int, ...]) -> Tensor:
    """The same by torch's own operation, which has derivatives in ``s`` and ``weight``."""
    shape = s.new_empty(1).expand(len(s), *like)  # only its shape is read
    where = (list(geometry.stride), list(geometry.padding), list(geometry.dilation))
    still = [0] * len(geometry.stride)
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        s.contiguous(), shape, weight, None, *where, False, still, geometry.groups, [True, False, False]
    )
    return found[0]


class _Adjoint(torch.autograd.Function):
    """With weights that are fixed. Torch's own derivative would find theirs, too, which takes as long as its own."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, weight: Tensor, geometry: Geometry, like: tuple[int, ...]) -> Tensor:
        ctx.weight, ctx.geometry = weight, geometry
        return handed_back(s, weight, geometry, like)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return convolved(grads[0], ctx.weight, ctx.geometry), None, None, None


class Rule(Protocol):
    """Relevance of a layer's output ``[B, T, out, ...]`` -> of its input ``[B, T, in, ...]``, for T targets at once."""

    def __call__(self, layer: Layer, relevance: Tensor) -> Tensor: ...
