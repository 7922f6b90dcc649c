"""What two classes rest on before and after attacks: the one that an image is led away from, and the one led to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .attacks.levels import CoarseChanges, FineChanges, met
from .explainers import LRP
from .explainers.superpixels import chunks
from .hierarchy import Hierarchical, Labels, hierarchical, labels_of
from .modes import device_of, frozen
from .types import Criterion

USUAL: Criterion = CoarseChanges()
PLAIN = LRP()


class Moment(NamedTuple):
    """An image, untouched or as an attack left it, and what two classes find in it."""

    name: str
    x: Tensor  # [C, H, W]
    classes: tuple[str, str]  # the original one, and the adversarial one
    relevance: Tensor  # [2, H, W] signed, of these classes
    scores: tuple[float, float]  # their softmax probabilities at the level
    met: bool  # whether the criterion is met


class RelevanceShift(NamedTuple):
    """An image before and after attacks, everything on the CPU."""

    title: str
    level: str  # "coarse" or "fine"
    before: Moment
    after: tuple[Moment, ...]


def norms(relevance: Tensor) -> tuple[float, float]:
    """The sums of what speaks for a class and of what speaks against it, both at least 0."""
    return float(relevance.clamp_min(0).sum()), float(relevance.clamp_max(0).sum().abs())


def relevance_shifts(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attacks: Mapping[str, Tensor],
    criterion: Criterion = USUAL,
    lrp: LRP = PLAIN,
    *,
    titles: Sequence[str] = (),
    batch_size: int = 8,
) -> tuple[RelevanceShift, ...]:
    """What figures 1 and 2 of Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, show of each image.

    ``attacks`` are attacked images ``[N, C, H, W]`` by the name of the attack. The level is the criterion's. The
    original class is that of ``y``; the adversarial one is where an attack ended that met the criterion, so each may
    have its own, and for all others where the first such one ended, or else the runner-up of the untouched image.
    The fine level is that within the superclass of ``y``, also where the attack has left it.

    Shape: x ``[N, C, H, W]`` in [0, 1], y ``[N]`` classes or ``[N, 2]`` -> one for each image.
    Cost: for the untouched images and for each attack one LRP pass of two classes and two forward passes.
    Raises:
        ValueError: if the model has no levels, a label is in no superclass or its class is alone in it, or LRP has no
            rule for a part of the network.
    """
    scene = Scene(model, criterion, lrp)
    called = tuple(titles) or tuple(f"image {i}" for i in range(len(x)))
    found: list[RelevanceShift] = []
    for part in chunks(len(x), batch_size):
        known = {name: x_adv[part] for name, x_adv in attacks.items()}
        found += shifted(scene, x[part], y[part], known, called[part])
    return tuple(found)


class Look(NamedTuple):
    """What a level says about images."""

    x: Tensor
    logits: Tensor  # [B, K] of that level
    met: Tensor  # [B] bool


class Scene:
    """A model at one level, and how it is explained."""

    def __init__(self, model: nn.Module, criterion: Criterion, lrp: LRP) -> None:
        self.levels: Hierarchical = hierarchical(model, criterion)
        self.model, self.criterion, self.lrp, self.device = model, criterion, lrp, device_of(model)
        self.fine = isinstance(criterion, FineChanges)
        hierarchy = self.levels.hierarchy
        self.classes = hierarchy.fine if self.fine else hierarchy.coarse

    @torch.no_grad()
    def look(self, x: Tensor, labels: Labels) -> Look:
        """The logits of the level, the fine one's within the superclass of the labels."""
        x = x.to(self.device)
        with frozen(self.model):
            found = self.levels.levels(x, labels.coarse)
            reached = met(self.criterion, self.model, x, labels.fine)
        return Look(x, found.fine if self.fine else found.coarse, reached)

    def relevance(self, x: Tensor, labels: Labels, targets: Tensor) -> Tensor:
        """Of two classes of the level ``[B, 2]``, summed over channels, ``[B, 2, H, W]``."""
        if not self.fine:
            return self.lrp.relevance(self.levels.coarse, x, targets).map.sum(2)
        found = x.new_zeros(len(x), 2, *x.shape[2:])
        for part in self.levels.parts(labels.coarse):
            local = part.place(targets[part.where])
            found[part.where] = self.lrp.relevance(part.network, x[part.where], local).map.sum(2)
        return found

    def moments(self, name: str, look: Look, labels: Labels, targets: Tensor) -> list[Moment]:
        """Of each image."""
        relevance = self.relevance(look.x, labels, targets).detach().cpu()
        scores = look.logits.softmax(1).gather(1, targets).tolist()
        told = zip(look.x.cpu(), targets.tolist(), relevance, scores, look.met.tolist(), strict=True)
        return [
            Moment(name, x, (self.classes[own], self.classes[other]), maps, (first, second), reached)
            for x, (own, other), maps, (first, second), reached in told
        ]


def shifted(
    scene: Scene, x: Tensor, y: Tensor, attacks: Mapping[str, Tensor], titles: Sequence[str]
) -> list[RelevanceShift]:
    """The images of one batch."""
    labels = Labels(*(label.to(scene.device) for label in labels_of(y, scene.levels.hierarchy)))
    own = labels.fine if scene.fine else labels.coarse
    before = scene.look(x, labels)
    looks = {name: scene.look(x_adv, labels) for name, x_adv in attacks.items()}
    shared, rivals = adversarial(own, before, list(looks.values()))
    start = scene.moments("before", before, labels, torch.stack([own, shared], 1))
    after = [
        scene.moments(name, look, labels, torch.stack([own, rival], 1))
        for (name, look), rival in zip(looks.items(), rivals, strict=True)
    ]
    level = "fine" if scene.fine else "coarse"
    return [
        RelevanceShift(title, level, first, tuple(moments[i] for moments in after))
        for i, (title, first) in enumerate(zip(titles, start, strict=True))
    ]


def adversarial(own: Tensor, before: Look, looks: Sequence[Look]) -> tuple[Tensor, list[Tensor]]:
    """The adversarial class for the untouched images, and for each attack, ``[B]`` each."""
    best = [rival(look.logits, own) for look in (before, *looks)]
    shared = best[0]
    for look, ended in reversed(list(zip(looks, best[1:], strict=True))):
        shared = torch.where(look.met, ended, shared)
    return shared, [torch.where(look.met, ended, shared) for look, ended in zip(looks, best[1:], strict=True)]


def rival(logits: Tensor, own: Tensor) -> Tensor:
    """The highest class but for its own, ``[B]``; ValueError where there is no other."""
    others, found = logits.scatter(1, own[:, None], -torch.inf).max(1)
    if alone := int((others == -torch.inf).sum()):
        raise ValueError(f"the classes of {alone} images are alone in their superclass, so none stands against them")
    return found
