"""What attacks on a level descend: relevance that goes from one class to another, and the margin as its control.

Whatever the rules, |R+| - |R-| is the sum of R for p = 1. Where rules conserve relevance, that sum is what it started
from, wherever it lies: 1 for both classes with OneHot, so that there is nothing to descend, and with Logit the margin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..explainers import LRP, Composite, Logit, OneHot, ZBeta, ZPlus
from ..explainers.lrp.starts import Start
from ..spec import require


class Rivals(NamedTuple):
    """The two classes that an attack is about, among the logits of a network."""

    targets: Tensor  # [n, 2] the original and the adversarial class
    logits: Tensor  # [n, k], -inf for classes that do not belong to the level


class Scored(NamedTuple):
    """What is descended, and the classes that it is about."""

    value: Tensor  # [n]
    rivals: Rivals


Choice = Callable[[Tensor], Rivals]  # from logits [n, k]


class ShiftLoss(Protocol):
    """What an attack on a level descends, one number an image."""

    def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored: ...


class MapScale(Protocol):
    """Relevance ``[n, 2, C, H, W]`` on a scale of its own."""

    def __call__(self, relevance: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class RawScale:
    """Relevance as it is."""

    def __call__(self, relevance: Tensor) -> Tensor:
        return relevance


@dataclass(frozen=True)
class SumScale:
    """Each map over the sum of its absolute values: only where relevance is counts, not how much there is."""

    def __call__(self, relevance: Tensor) -> Tensor:
        return relevance / above_zero(relevance.abs().sum((2, 3, 4), keepdim=True))


@dataclass(frozen=True)
class MaxScale:
    """Each map over its largest absolute value, as maps are shown."""

    def __call__(self, relevance: Tensor) -> Tensor:
        return relevance / above_zero(relevance.abs().amax((2, 3, 4), keepdim=True))


def above_zero(values: Tensor) -> Tensor:
    """Values that can be divided by."""
    return values.clamp_min(torch.finfo(values.dtype).tiny)


def shifted(relevance: Tensor, p: float) -> Tensor:
    """Eqs. (7) and (9) of Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906: the norms of what speaks
    for the original class, less those of what speaks for the adversarial one, and the opposite for what speaks against.

    Shape: relevance ``[n, 2, C, H, W]`` of the original and the adversarial class -> ``[n]``.
    """
    speaks_for, against = (torch.linalg.vector_norm(part.flatten(2), p, dim=2) for part in _parts(relevance))
    kept = speaks_for - against
    return kept[:, 0] - kept[:, 1]


def _parts(relevance: Tensor) -> tuple[Tensor, Tensor]:
    return relevance.clamp(min=0), relevance.clamp(max=0)


@dataclass(frozen=True)
class RelevanceLoss:
    """The loss of the LRP attack, with everything that the paper leaves open (Heidarizadeh et al., ICASSP 2025,
    https://arxiv.org/abs/2501.10906).

    ``composite`` has the rules, each with its bias absorbed or ignored, ``start`` is the relevance that a class begins
    with, ``p`` the norm, ``scale`` what a map is divided by. Presets: :class:`PaperLiteral`, :class:`PaperPlausible`,
    :class:`ExplanationActive`.

    Shape: x ``[n, C, H, W]`` -> value ``[n]``.
    Cost: a forward pass and LRP for two classes, with a graph.
    """

    composite: Composite = Composite(first=ZBeta(), convolution=ZPlus(), dense=ZPlus())
    start: Start = OneHot()
    p: float = 1.0
    scale: MapScale = RawScale()

    def __post_init__(self) -> None:
        require(self, self.p in (1, 2), "p is 1 or 2")

    def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored:
        lrp = LRP(composite=self.composite, start=OneHot())
        found = lrp.relevance(network, x, lambda logits: choose(logits).targets, create_graph=True)
        rivals = choose(found.logits)
        # Relevance is linear in what it starts from, which is of the level, and not of the network's other classes.
        started = self.start(rivals.logits, rivals.targets)
        return Scored(shifted(self.scale(found.map * started[:, :, None, None, None]), self.p), rivals)


@dataclass(frozen=True)
class PaperLiteral:
    """Eq. (7) as it is written: relevance starts from 1, z+ above z-beta, p = 1 (Heidarizadeh et al., ICASSP 2025,
    https://arxiv.org/abs/2501.10906).

    It is 0 at every point, but for relevance that rules lose (in black areas, where a denominator of z-beta can be 0)
    and for rounding: nothing to descend.
    """

    def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored:
        return RelevanceLoss()(network, x, choose)


@dataclass(frozen=True)
class PaperPlausible:
    """Eq. (7) where relevance starts from the logit, as in the code that the paper builds on (Dombrowski et al.,
    NeurIPS 2019, https://arxiv.org/abs/1906.07983).

    It is the margin between both logits: :class:`LogitMargin` at five times the price.
    """

    def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored:
        return RelevanceLoss(start=Logit())(network, x, choose)


@dataclass(frozen=True)
class ExplanationActive:
    """Eq. (7) with p = 2 and relevance that starts from the logit: what the sum of the map cannot tell, where relevance
    lies, counts. A pixel moves the more, the more relevance there is around it.

    Differs from the paper: its p is 1, with which the loss does not depend on where relevance lies.
    """

    def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored:
        return RelevanceLoss(start=Logit(), p=2)(network, x, choose)


@dataclass(frozen=True)
class LogitMargin:
    """The logit of the original class less that of the adversarial one: the control of every LRP attack.

    Cost: a forward pass.
    """

    def __call__(self, network: nn.Module, x: Tensor, choose: Choice) -> Scored:
        rivals = choose(network(x))
        first, second = rivals.logits.gather(1, rivals.targets).unbind(1)
        return Scored(first - second, rivals)
