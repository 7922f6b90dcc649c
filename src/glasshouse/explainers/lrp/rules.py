"""The rules by which a weighted layer hands relevance down to its input, for all targets at once.

Each is R_i = sum_j (contribution of i to j) R_j / (all contributions to j), and they differ in what contributes.
A bias is one more contributor, whose share reaches no pixel: ``absorb_bias`` gives it that share, which is then lost;
otherwise it stays out of the denominators, and whatever the inputs contribute is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ...spec import require
from .layer import Layer
from .signs import above, below

Part = tuple[Tensor, Tensor]  # an input and the weights that it meets
_STABILISER = "stabiliser is above 0"


def stabilised(z: Tensor, stabiliser: float) -> Tensor:
    """z + stabiliser sign(z), with sign(0) = 1: a denominator that is never 0."""
    return torch.where(z < 0, z - stabiliser, z + stabiliser)


def positive_parts(layer: Layer) -> list[Part]:
    """Inputs and weights whose products are the contributions above 0."""
    both_above = (layer.a.clamp(min=0), above(layer.weight))
    if layer.nonnegative:
        return [(layer.a, both_above[1])]
    return [both_above, (layer.a.clamp(max=0), below(layer.weight))]


def negative_parts(layer: Layer) -> list[Part]:
    """Inputs and weights whose products are the contributions below 0."""
    if layer.nonnegative:
        return [(layer.a, below(layer.weight))]
    return [
        (layer.a.clamp(min=0), below(layer.weight)),
        (layer.a.clamp(max=0), above(layer.weight)),
    ]


def boxed_parts(layer: Layer, low: Tensor, high: Tensor) -> list[Part]:
    """x_i w_ij - l_i w+_ij - h_i w-_ij as (x_i - l_i) w+_ij + (x_i - h_i) w-_ij, which are both >= 0."""
    return [(layer.a - low, above(layer.weight)), (layer.a - high, below(layer.weight))]


def contributed(layer: Layer, parts: Sequence[Part], bias: Tensor | None = None) -> Tensor:
    """All contributions to each output, ``[B, out, ...]``."""
    z = reduce(torch.add, (layer.forward(a, w) for a, w in parts))
    return z if bias is None else z + bias


def handed_down(layer: Layer, parts: Sequence[Part], s: Tensor) -> Tensor:
    """a_i sum_j w_ij s_j over all parts: ``[B, T, out, ...]`` -> ``[B, T, in, ...]``."""
    return reduce(torch.add, (a[:, None] * layer.backward(s, w) for a, w in parts))


def shared(
    layer: Layer, parts: Sequence[Part], relevance: Tensor, stabiliser: float, bias: Tensor | None = None
) -> Tensor:
    """Relevance in proportion to contributions of one sign, the stabiliser's; ``bias`` is one more contributor."""
    z = contributed(layer, parts, bias) + stabiliser
    return handed_down(layer, parts, relevance / z[:, None])


def bias_if(absorb: bool, layer: Layer, low: float = -math.inf, high: float = math.inf) -> Tensor | None:
    """The part of a bias between two numbers, where it absorbs relevance."""
    bias = layer.offset() if absorb else None
    return None if bias is None else bias.clamp(low, high)


def without_bias(layer: Layer) -> Tensor:
    """sum_i a_i w_ij, from the output that is known already."""
    bias = layer.offset()
    return layer.z if bias is None else layer.z - bias


@dataclass(frozen=True)
class Epsilon:
    """R_i = a_i sum_j w_ij R_j / (z_j + epsilon sign z_j) (Bach et al., 2015, https://doi.org/10.1371/journal.pone.0130140).

    Cost: one backward pass of the layer; the forward pass is the model's own.
    """

    epsilon: float = 1e-6
    absorb_bias: bool = True

    def __post_init__(self) -> None:
        require(self, self.epsilon > 0, "epsilon is above 0")

    def __call__(self, layer: Layer, relevance: Tensor) -> Tensor:
        z = layer.z if self.absorb_bias else without_bias(layer)
        s = relevance / stabilised(z, self.epsilon)[:, None]
        return handed_down(layer, [(layer.a, layer.weight)], s)


@dataclass(frozen=True)
class ZPlus:
    """R_i = a_i sum_j w+_ij R_j / sum_k a_k w+_kj (Montavon et al., 2017, https://arxiv.org/abs/1512.02479).

    Cost: one forward and one backward pass of the layer; two of each where its input may be negative.
    Differs from the paper: where an input is negative, its products with negative weights count as well, since they
    are contributions above 0 too.
    """

    stabiliser: float = 1e-9
    absorb_bias: bool = False

    def __post_init__(self) -> None:
        require(self, self.stabiliser > 0, _STABILISER)

    def __call__(self, layer: Layer, relevance: Tensor) -> Tensor:
        bias = bias_if(self.absorb_bias, layer, low=0)
        return shared(layer, positive_parts(layer), relevance, self.stabiliser, bias)


@dataclass(frozen=True)
class AlphaBeta:
    """alpha of the positive less beta of the negative shares (Bach et al., 2015, https://doi.org/10.1371/journal.pone.0130140).

    Cost: two forward and two backward passes of the layer, twice that where its input may be negative.
    """

    alpha: float = 2.0
    beta: float = 1.0
    stabiliser: float = 1e-9
    absorb_bias: bool = False

    def __post_init__(self) -> None:
        require(self, math.isclose(self.alpha - self.beta, 1), "alpha less beta is 1, or relevance is not conserved;")
        require(self, self.beta >= 0, "beta is 0 or more")
        require(self, self.stabiliser > 0, _STABILISER)

    def __call__(self, layer: Layer, relevance: Tensor) -> Tensor:
        lifts, sinks = (bias_if(self.absorb_bias, layer, *ends) for ends in ((0, math.inf), (-math.inf, 0)))
        speaks_for = shared(layer, positive_parts(layer), relevance, self.stabiliser, lifts)
        against = shared(layer, negative_parts(layer), relevance, -self.stabiliser, sinks)
        return self.alpha * speaks_for - self.beta * against


@dataclass(frozen=True)
class Gamma:
    """Epsilon with contributions of the output's own sign times 1 + gamma (Montavon et al., 2019, https://doi.org/10.1007/978-3-030-28954-6_10).

    Cost: one forward and two backward passes of the layer; two and three where its input may be negative.
    Differs from the paper: its a_i (w_ij + gamma w+_ij) is meant for outputs above 0; below 0 it is the negative
    contributions that count more, so that a denominator never cancels (Andeol et al., 2021,
    https://arxiv.org/abs/2106.13041, which also says what becomes of negative inputs).
    """

    gamma: float = 0.25
    stabiliser: float = 1e-9
    absorb_bias: bool = True

    def __post_init__(self) -> None:
        require(self, self.gamma >= 0, "gamma is 0 or more")
        require(self, self.stabiliser > 0, _STABILISER)

    def __call__(self, layer: Layer, relevance: Tensor) -> Tensor:
        z = layer.z if self.absorb_bias else without_bias(layer)
        parts = positive_parts(layer)
        positive = contributed(layer, parts, bias_if(self.absorb_bias, layer, low=0))
        favoured = torch.where(layer.z > 0, positive, z - positive)
        s = relevance / stabilised(z + self.gamma * favoured, self.stabiliser)[:, None]
        # What is negative is all that is not positive: saves a pass with the negative weights.
        s_above = torch.where(layer.z[:, None] > 0, s, -s)
        s_all = s + self.gamma * (s - s_above) / 2
        plain = handed_down(layer, [(layer.a, layer.weight)], s_all)
        return plain + self.gamma * handed_down(layer, parts, s_above)


@dataclass(frozen=True)
class ZBeta:
    """z-beta for pixels between l and h: x_i w_ij - l_i w+_ij - h_i w-_ij in place of a_i w+_ij (Montavon et al., 2017, https://arxiv.org/abs/1512.02479).

    The ends l and h are what black (0) and white (1) become on their way to the layer, through the normalisation
    inside the model, so that relevance is the same whether a model normalises or its first weights do. Zeros that
    the layer pads with contribute nothing.

    Cost: two forward and two backward passes of the layer.
    Raises:
        ValueError: for a layer that does not see pixels.
    """  # noqa: E501

    stabiliser: float = 1e-9

    def __post_init__(self) -> None:
        require(self, self.stabiliser > 0, _STABILISER)

    def __call__(self, layer: Layer, relevance: Tensor) -> Tensor:
        if layer.bounds is None:
            raise ValueError("ZBeta is for layers that see pixels: nothing bounds the input of this one")
        return shared(layer, boxed_parts(layer, *layer.bounds), relevance, self.stabiliser)


@dataclass(frozen=True)
class Flat:
    """Every input of an output gets the same (Lapuschkin et al., 2019, https://doi.org/10.1038/s41467-019-08987-4).

    Cost: one forward and one backward pass of the layer.
    """

    def __call__(self, layer: Layer, relevance: Tensor) -> Tensor:
        ones = torch.ones_like(layer.weight)
        inputs = layer.forward(torch.ones_like(layer.a[:1]), ones)  # how many, less those in the padding
        return layer.backward(relevance / inputs[:, None], ones)
