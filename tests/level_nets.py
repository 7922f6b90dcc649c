"""Small networks of two levels in double precision, whose classes are all named by some of the images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glasshouse.hierarchy import Hierarchy, grouped, route
from glasshouse.models.two_levels import CoarseToFineNetwork, GroupedNetwork, OnlyClass

CLASSES = 7
GROUPS = {"few": (4, 0), "one": (3,), "rest": (5, 1, 2)}  # 6 is in none


def pictures(count: int = 12, seed: int = 3) -> Tensor:
    """No pixel is black or white."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 8, 8, generator=generator, dtype=torch.float64) * 0.8 + 0.1


def levelled(groups: dict[str, tuple[int, ...]] = GROUPS) -> Hierarchy:
    """Three superclasses of unequal size; one class is in none."""
    return grouped(groups, "abcdefg", partial=True)


class ReluNet(nn.Sequential):
    """Convolutions with biases, a BatchNorm, pooling, and logits that are 0 on average."""

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__(
            nn.Conv2d(3, 5, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(5, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(96, classes),
        )
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4, generator=generator)
        nn.init.uniform_(self[4].weight, 0.5, 1.5, generator=generator)
        self.double().eval()
        with torch.no_grad():
            self[7].bias -= self(pictures(64, seed=9)).mean(0)


def flat(groups: dict[str, tuple[int, ...]] = GROUPS) -> GroupedNetwork:
    """One network for both levels."""
    return GroupedNetwork(ReluNet(CLASSES, 1), levelled(groups)).eval()


def separate() -> CoarseToFineNetwork:
    """A coarse network, and a fine one for each superclass."""
    return CoarseToFineNetwork(ReluNet(3, 2), [ReluNet(2, 3), OnlyClass(), ReluNet(3, 4)], levelled()).eval()


BOTH = {"flat": flat, "separate": separate}


def named(model: GroupedNetwork | CoarseToFineNetwork, x: Tensor) -> Tensor:
    """The classes that the model itself gives: every image is right."""
    return route(model, x).fine
