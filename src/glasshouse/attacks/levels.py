"""Attacks on one level of a hierarchical model: what they aim at, and any attack with that aim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..hierarchy import Hierarchical, Labels, hierarchical, labels_of
from ..types import Attack, Batch, Criterion
from .losses import at, best_other
from .pgd import PGD
from .regions import searched
from .standing import BoundModel

LOW = 100.0  # logits so far below all others that no attack ever turns to them


class Aim(NamedTuple):
    """A network ``[B, K]`` whose highest logit is another than ``y``'s exactly where the criterion is met."""

    network: nn.Module
    y: Tensor  # [B]


class FineLogits(BoundModel):
    """The fine level as one network: its highest class is another than ``y`` only where the superclass has stayed.

    All logits are told from that of ``y``, which is 0. Another class is as high as it is at the fine level, but not
    higher than the superclass is above its best rival: what an attack climbs is whichever of the two is missing.
    """

    def __init__(self, model: nn.Module, labels: Labels) -> None:
        super().__init__()
        self.model, self.labels = model, labels

    def of(self, chosen: Tensor) -> FineLogits:
        return FineLogits(self.model, Labels(*(label[chosen] for label in self.labels)))

    def forward(self, x: Tensor) -> Tensor:
        model: Hierarchical = hierarchical(self.model, self)
        coarse, fine, group = model.levels(x, self.labels.coarse)
        above = fine - at(fine, self.labels.fine)[:, None]
        tiny = torch.finfo(coarse.dtype).tiny  # at a tie the first superclass is the one that is named
        first = torch.where(coarse.argmax(1) == group, tiny, -tiny)
        kept = (at(coarse, group) - best_other(coarse, group) + first)[:, None]
        inside = fine > -torch.inf
        lowest = torch.where(inside, above, 0).amin(1, keepdim=True).detach() - LOW
        classes = torch.arange(fine.shape[1], device=fine.device)
        others = torch.where(inside, torch.minimum(above, kept), lowest)
        return torch.where(classes == self.labels.fine[:, None], 0, others)


@dataclass(frozen=True)
class CoarseChanges:
    """The superclass becomes another one, whatever becomes of the class."""

    def __call__(self, model: nn.Module, y: Tensor) -> Aim:
        """The coarse network and the superclasses of ``y``."""
        levels = hierarchical(model, self)
        return Aim(levels.coarse, labels_of(y, levels.hierarchy).coarse)


@dataclass(frozen=True)
class FineChanges:
    """The class becomes another one of the same superclass, and the coarse level still names that one."""

    def __call__(self, model: nn.Module, y: Tensor) -> Aim:
        """The fine level under that condition, and the classes of ``y``; the network is for these images only."""
        labels = labels_of(y, hierarchical(model, self).hierarchy)
        return Aim(FineLogits(model, labels), labels.fine)


@dataclass(frozen=True)
class AtLevel:
    """Any attack on one level of a hierarchical model: PGDC is ``AtLevel(attack=PGD())``, DFF
    ``AtLevel(attack=DeepFool(), criterion=FineChanges())`` (Heidarizadeh et al., ICASSP 2025,
    https://arxiv.org/abs/2501.10906).

    The attack sees a plain classifier, of superclasses or of the classes within one, and everything that it can do
    (targets, regions, restarts, stopping early) it does there; its targets are those of that level.

    Shape: x ``[B, C, H, W]`` in [0, 1], y ``[B]`` classes or ``[B, 2]`` -> x_adv like x, in [0, 1] and in the ball,
    detached.
    Cost: that of the attack, a pass being one of the level; the fine level passes through the coarse network, too.
    Raises:
        ValueError: if the model has no levels, or a label is in no superclass.
    """

    attack: Attack = PGD()
    criterion: Criterion = CoarseChanges()

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        network, labels = self.aimed(model, y)
        return self.attack(network, x, labels)

    def search(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Like a call, where each image is left alone as soon as the criterion is met."""
        network, labels = self.aimed(model, y)
        return searched(self.attack, network, Batch(x, labels))

    def aimed(self, model: nn.Module, y: Tensor) -> tuple[nn.Module, Tensor]:
        """The level as a plain classifier, and its labels."""
        hierarchical(model, self)
        return self.criterion(model, y)


def criterion_of(attack: Attack) -> Criterion:
    """What an attack wants of a hierarchical model; of one that does not say, that the superclass changes."""
    found: Criterion = getattr(attack, "criterion", CoarseChanges())
    return found


@torch.no_grad()
def met(criterion: Criterion, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Where the criterion is met, ``[B]`` bool."""
    network, labels = criterion(model, y)
    return network(x).argmax(1) != labels
