"""How far an attribution moves for how far the image, the model's view of it or its output does: ratios of changes.

Agarwal et al., 2022, https://arxiv.org/abs/2203.06877
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from ..explainers import InputGradient
from ..explainers.layers import chosen_layer, run_with
from ..spec import require
from ..types import Batch, Explainer
from .neighbours import Neighbours, largest, near, near_logits, near_maps, of_copies
from .perturbation import known
from .sensitivity import norm
from .verdicts import Verdicts


class Relative(Protocol):
    """What all of them are told."""

    @property
    def explainer(self) -> Explainer: ...

    @property
    def around(self) -> Neighbours: ...

    @property
    def same_class(self) -> bool: ...

    @property
    def elementwise(self) -> bool: ...

    @property
    def log(self) -> bool: ...

    @property
    def eps(self) -> float: ...


@dataclass(frozen=True)
class RelativeInputStability:
    """The largest change of the attribution over the change of the image, both relative. Agarwal et al., 2022,
    https://arxiv.org/abs/2203.06877 (RIS)

    Of the neighbours x' that are predicted as x is, the largest ||(a(x) - a(x')) / a(x)|| / ||(x - x') / x||, by
    ``log`` its logarithm to base 10, of which one takes means. Lower is more stable. Without ``same_class`` all
    neighbours count.

    Relative changes are to compare models and explainers whatever the scale of their maps. The trap is that each pixel
    is divided by itself: one whose attribution happens to be near 0 decides the value alone, and gradients always have
    some. What is exactly 0 counts as ``eps`` below the line, so that for maps with zeros, such as those of CAMs, the
    value hangs on ``eps`` and on the map's scale; and black pixels of the image swell the change below the line by
    1/eps: images on black seem stable. Without ``elementwise`` changes are ratios of norms, ||a(x) - a(x')|| / ||a(x)||
    and likewise below: no pixel decides alone, and nothing hangs on a scale. Even then a map that never changes has the
    best value.

    Shape: ``[B]``: >= 0, or by ``log`` at least log10(eps), below which a ratio is not followed; NaN for a map of zeros
        or where no neighbour keeps the class.
    Cost: as many explanations as there are neighbours, and one; with ``same_class`` as many forward passes. All are
        shared by metrics with the same neighbours.
    Differs from the paper: what counts where a(x) or x is 0, which it leaves open; maps are sums over channels.
    """

    explainer: Explainer = InputGradient()
    around: Neighbours = Neighbours()
    same_class: bool = True
    elementwise: bool = True
    log: bool = True
    eps: float = 1e-6
    family: ClassVar[str] = "stability"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, self.eps > 0, "eps is above 0")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""

        def find() -> Tensor:
            return relative(verdicts.batch.x[None], near(verdicts, self.around), self.elementwise, self.eps)

        moved = verdicts.once((relative, "images", self.around, self.elementwise, self.eps), find)
        same = same_class(verdicts, self.around) if self.same_class else torch.ones_like(moved, dtype=torch.bool)
        return ratio(self, verdicts, moved, same)


@dataclass(frozen=True)
class RelativeRepresentationStability:
    """The largest change of the attribution over that of what a layer gives, both relative. Agarwal et al., 2022,
    https://arxiv.org/abs/2203.06877 (RRS)

    As :class:`RelativeInputStability`, with the ``layer``'s output for x; by default the layer is the last one that
    gives a feature map. Its traps are those, and one more: behind a ReLU many features are exactly 0 and count as
    ``eps``, so that ``elementwise`` the change below the line is that of features which were off and come on, in units
    of ``eps``. Models compare where the layer is the same one of the same architecture.

    Shape: ``[B]``, as :class:`RelativeInputStability`.
    Cost: as many explanations and as many forward passes as there are neighbours, and one each.
    Differs from the paper: as :class:`RelativeInputStability`.
    Raises:
        ValueError: if there is no such layer, or without a name no layer that gives a feature map.
    """

    explainer: Explainer = InputGradient()
    around: Neighbours = Neighbours()
    layer: str = ""
    same_class: bool = True
    elementwise: bool = True
    log: bool = True
    eps: float = 1e-6
    family: ClassVar[str] = "stability"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, self.eps > 0, "eps is above 0")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        key = (features_moved, self.around, self.layer, self.elementwise, self.eps)
        moved, same = verdicts.once(key, lambda: features_moved(self, verdicts)).unbind(2)
        return ratio(self, verdicts, moved, same.bool() if self.same_class else torch.ones_like(same).bool())


@dataclass(frozen=True)
class RelativeOutputStability:
    """The largest relative change of the attribution over the change of the logits. Agarwal et al., 2022,
    https://arxiv.org/abs/2203.06877 (ROS)

    As :class:`RelativeInputStability`, with ||h(x) - h(x')|| of the logits h below the line. The trap: that one is not
    relative, and so the value is in units of the logits. Halve them and it doubles: of two models the one with the
    smaller logits seems the less stable. Adversarial training makes logits small and flat, and so raises it even where
    no map has become less stable. Without ``elementwise`` the change of the logits, too, is relative to their norm,
    each vector of logits less its mean; that compares models with the same classes.

    Shape: ``[B]``, as :class:`RelativeInputStability`.
    Cost: as many explanations and as many forward passes as there are neighbours, and one each.
    Differs from the paper: as :class:`RelativeInputStability`.
    """

    explainer: Explainer = InputGradient()
    around: Neighbours = Neighbours()
    same_class: bool = True
    elementwise: bool = True
    log: bool = True
    eps: float = 1e-6
    family: ClassVar[str] = "stability"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require(self, self.eps > 0, "eps is above 0")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        logits, others = verdicts.logits[None].double(), near_logits(verdicts, self.around).double()
        if self.elementwise:
            moved = norm(others - logits)
        else:
            moved = relative(centred(logits), centred(others), False, self.eps)
        same = same_class(verdicts, self.around) if self.same_class else torch.ones_like(moved, dtype=torch.bool)
        return ratio(self, verdicts, moved, same)


def relative(before: Tensor, after: Tensor, elementwise: bool, eps: float) -> Tensor:
    """The relative change from ``before`` ``[1, B, ...]`` to ``after`` ``[N, B, ...]``, ``[N, B]`` float64: the norm of
    the quotients of all elements, or the quotient of norms. An element that was 0 counts as ``eps`` below the line."""
    before, after = before.double(), after.double()
    if not elementwise:
        return norm(after - before) / norm(before)
    return norm((after - before) / torch.where(before == 0, eps, before))


def centred(logits: Tensor) -> Tensor:
    """Logits ``[N, B, classes]`` less their mean: what is added to all of them changes no answer."""
    return logits - logits.mean(2, keepdim=True)


def same_class(verdicts: Verdicts, around: Neighbours) -> Tensor:
    """Which neighbours are predicted as the untouched image is, ``[N, B]`` bool."""
    return near_logits(verdicts, around).argmax(2) == verdicts.predicted


@torch.no_grad()
def features_moved(metric: RelativeRepresentationStability, verdicts: Verdicts) -> Tensor:
    """How far a layer's output moves to each neighbour, and whether the class stays (1 or 0), ``[N, B, 2]`` float64;
    both from one pass."""
    model, x = verdicts.model, verdicts.batch.x
    layer = chosen_layer(model, x, metric.layer)
    before = run_with(model, layer, x, False)[1][-1]

    def run(copies: Tensor, images: slice) -> Tensor:
        logits, outputs = run_with(model, layer, copies, False)
        own, target = before[images], verdicts.predicted[images]
        moved = relative(own[None], outputs[-1].reshape(-1, *own.shape), metric.elementwise, metric.eps)
        return torch.stack([moved.flatten(), (logits.argmax(1).view(-1, len(own)) == target).double().flatten()], 1)

    return of_copies(near(verdicts, metric.around), run)


def ratio(metric: Relative, verdicts: Verdicts, moved: Tensor, counted: Tensor) -> Tensor:
    """The largest relative change of the map, over how far something else ``moved`` ``[N, B]``, ``[B]``."""
    maps = verdicts.explained(metric.explainer)
    others = near_maps(verdicts, metric.around, metric.explainer)
    key = (relative, "maps", metric.around, metric.explainer, metric.elementwise, metric.eps)
    turned = verdicts.once(key, lambda: relative(maps[None], others, metric.elementwise, metric.eps))
    found = largest(turned / moved.clamp_min(metric.eps), counted)
    return known(found.clamp_min(metric.eps).log10() if metric.log else found, maps).float()
