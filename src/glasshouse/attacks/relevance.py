"""The LRP attacks on coarse-to-fine classifiers. Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..explainers.lrp.signs import parts_kept
from ..hierarchy import Hierarchical, Labels, Part, hierarchical, labels_of
from ..modes import frozen
from ..spec import require
from ..types import Ball, Criterion
from .balls import Linf
from .levels import CoarseChanges, FineChanges
from .pgd import per_image
from .shifting import ExplanationActive, Rivals, ShiftLoss
from .standing import due, uphill


class Descent(Protocol):
    """What all attacks here are told."""

    @property
    def loss(self) -> ShiftLoss: ...

    @property
    def ball(self) -> Ball: ...

    @property
    def steps(self) -> int: ...

    @property
    def step(self) -> float: ...

    @property
    def even(self) -> bool: ...

    @property
    def choose_again(self) -> bool: ...


@dataclass(frozen=True, eq=False)
class Level:
    """One level of a model, for some images."""

    model: Hierarchical
    fine: bool
    labels: Labels
    fixed: Tensor | None = None  # [B] the adversarial class of each image

    @property
    def original(self) -> Tensor:
        """The class at this level, ``[B]``."""
        return self.labels.fine if self.fine else self.labels.coarse

    def of(self, chosen: Tensor) -> Level:
        labels = Labels(*(label[chosen] for label in self.labels))
        return replace(self, labels=labels, fixed=None if self.fixed is None else self.fixed[chosen])

    @cached_property
    def parents(self) -> Tensor:
        """The superclass of every class, ``[K]``, where the images are."""
        return self.model.hierarchy.parents.to(self.labels.coarse.device)

    @cached_property
    def parts(self) -> Sequence[Part]:
        """The networks that decide at this level."""
        if self.fine:
            return self.model.parts(self.labels.coarse)
        device = self.labels.coarse.device
        classes = torch.arange(len(self.model.hierarchy.groups), device=device)
        return [Part(torch.arange(len(self.labels.coarse), device=device), self.model.coarse, classes)]

    def chosen(self, part: Part, logits: Tensor) -> Rivals:
        """Within one network: the class itself, and the highest other one of its level or the fixed one."""
        own = part.place(self.original[part.where])[:, None]
        level = logits.masked_fill(~self.inside(part), -torch.inf)
        others = level.detach().scatter(1, own, -torch.inf)
        other = others.argmax(1) if self.fixed is None else part.place(self.fixed[part.where])
        return Rivals(torch.stack([own[:, 0], other], 1), level)

    def inside(self, part: Part) -> Tensor:
        """Which logits of a network belong to the level, ``[n, k]`` or ``[1, k]`` bool."""
        if not self.fine:
            return torch.ones_like(part.classes, dtype=torch.bool)[None]
        return self.parents[part.classes] == self.labels.coarse[part.where][:, None]

    def reached(self, x_adv: Tensor, flipped: Tensor) -> Tensor:
        """Where the criterion is met, given where another class of the level is highest, ``[B]`` bool."""
        if not self.fine or (x_adv.device.type == "cpu" and not flipped.any()):
            return flipped
        with torch.no_grad():
            return flipped & (self.model.coarse(x_adv).argmax(1) == self.labels.coarse)


class Slope(NamedTuple):
    """What is known at a point."""

    value: Tensor  # [B] of the loss
    gradient: Tensor  # [B, C, H, W] of the loss; 0 where the level has no other class
    flipped: Tensor  # [B] bool
    adversarial: Tensor  # [B] the class of the level that the loss is about


def sloped(loss: ShiftLoss, level: Level, x_adv: Tensor) -> Slope:
    """The gradient of the loss, and which class of the level is highest."""
    value, gradient = torch.zeros_like(x_adv[:, 0, 0, 0]), torch.zeros_like(x_adv)
    flipped, adversarial = level.original < 0, level.original.clone()
    for part in level.parts:
        x = x_adv[part.where].detach().requires_grad_()
        height, rivals = loss(part.network, x, partial(level.chosen, part))
        own, other = rivals.logits.detach().gather(1, rivals.targets).unbind(1)
        possible = (rivals.targets[:, 0] != rivals.targets[:, 1]) & (other > -torch.inf)
        slope = uphill(torch.where(possible, height, 0), x)
        value[part.where] = torch.where(possible, height.detach(), 0).to(value.dtype)
        gradient[part.where] = torch.where(per_image(possible, slope), slope, 0).to(gradient.dtype)
        flipped[part.where] = other > own
        adversarial[part.where] = part.classes[rivals.targets[:, 1]]
    return Slope(value, gradient, flipped, adversarial)


def descended(attack: Descent, model: nn.Module, x: Tensor, y: Tensor, *, fine: bool) -> Tensor:
    """Where a descent ends, each image at the first point that meets the criterion."""
    levels = hierarchical(model, attack)
    with frozen(model), torch.enable_grad(), parts_kept():
        level = Level(levels, fine, labels_of(y, levels.hierarchy))
        whole = x.detach()
        found, x_adv, place = whole.clone(), whole, torch.arange(len(x), device=x.device)
        for step in range(attack.steps):
            slope = sloped(attack.loss, level, x_adv)
            if level.fixed is None and not attack.choose_again:
                level = replace(level, fixed=slope.adversarial)
            reached = level.reached(x_adv, slope.flipped)
            x_adv = torch.where(per_image(reached, x_adv), x_adv, moved(attack, whole[place], x_adv, slope.gradient))
            if due(step, x_adv) and reached.any():
                found[place[reached]] = x_adv[reached]
                left = ~reached
                level, x_adv, place = level.of(left), x_adv[left], place[left]
            if not len(x_adv):
                return found
        found[place] = x_adv
        return found


def moved(attack: Descent, x: Tensor, x_adv: Tensor, gradient: Tensor) -> Tensor:
    """One step down, back in the ball around ``x`` and in the pixel range."""
    if attack.even:
        largest = gradient.flatten(1).abs().amax(1).clamp_min(torch.finfo(gradient.dtype).tiny)
        gradient = gradient / per_image(largest, gradient)
    return (x + attack.ball.project(x_adv - x - attack.step * gradient)).clamp(0, 1)


@dataclass(frozen=True)
class LRPCoarse:
    """Another superclass, by moving relevance from the original one to its best rival (LRPC; Heidarizadeh et al.,
    ICASSP 2025, https://arxiv.org/abs/2501.10906, algorithm 1).

    Descent on ``loss`` from the image itself; each image stops at the first point that meets the criterion, and one
    that meets it from the start stays as it is. With ``even`` the pixel that moves most moves by ``step``, without it
    ``step`` times the gradient is taken, as the paper writes. The rival is the highest other class of the level at each
    point, or with ``choose_again`` off that of the untouched image. ``loss=LogitMargin()`` is the control: the same
    steps down the margin between the same two logits.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` classes or ``[B, 2]`` -> x_adv like x, in [0, 1] and in the ball,
    detached.
    Cost: for each of ``steps`` the loss with its graph and a backward pass, over the images that still stand.
    Differs from the paper: neither the length of a step nor their number is public, these are ours; the original class
    is the true one throughout, also where the prediction has moved on.
    Raises:
        ValueError: if the model has no levels, a label is in no superclass, or LRP has no rule for a layer.
    """

    loss: ShiftLoss = ExplanationActive()
    ball: Ball = Linf(eps=10 / 255)
    steps: int = 100
    step: float = 1 / 255
    even: bool = True
    choose_again: bool = True
    criterion: ClassVar[Criterion] = CoarseChanges()

    def __post_init__(self) -> None:
        require_descent(self)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return descended(self, model, x, y, fine=False)


@dataclass(frozen=True)
class LRPFine:
    """Another class of the same superclass, by moving relevance from the original one to its best rival there (LRPF;
    Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, algorithm 1).

    As :class:`LRPCoarse`, on the network of the true superclass; an image stops where its class is another one and
    the coarse level still names the true superclass. One that is alone in its superclass stays as it is.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` classes or ``[B, 2]`` -> x_adv like x, in [0, 1] and in the ball,
    detached.
    Cost: that of :class:`LRPCoarse`, and where a class has changed a forward pass of the coarse level.
    Differs from the paper: as :class:`LRPCoarse`.
    Raises:
        ValueError: if the model has no levels, a label is in no superclass, or LRP has no rule for a layer.
    """

    loss: ShiftLoss = ExplanationActive()
    ball: Ball = Linf(eps=10 / 255)
    steps: int = 100
    step: float = 1 / 255
    even: bool = True
    choose_again: bool = True
    criterion: ClassVar[Criterion] = FineChanges()

    def __post_init__(self) -> None:
        require_descent(self)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return descended(self, model, x, y, fine=True)


def require_descent(attack: Descent) -> None:
    """Raise ValueError unless steps and their length are possible ones."""
    require(attack, attack.steps >= 1, "steps is at least 1")
    require(attack, attack.step > 0, "step is above 0")
