"""Networks that decide level by level: a coarse one and a fine one for each superclass, or any flat one read so."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..hierarchy import Hierarchy, Levels, Part
from ..types import NOWHERE


class GroupLogits(nn.Module):
    """The log-sum-exp of the logits of each superclass: its log-probability but for what all have in common."""

    index: Tensor
    absent: Tensor

    def __init__(self, network: nn.Module, hierarchy: Hierarchy) -> None:
        super().__init__()
        self.network = network
        size = max(map(len, hierarchy.groups))
        index = torch.zeros(len(hierarchy.groups), size, dtype=torch.int64)
        absent = torch.ones(len(hierarchy.groups), size, dtype=torch.bool)
        for row, group in enumerate(hierarchy.groups):
            index[row, : len(group)] = torch.tensor(group)
            absent[row, : len(group)] = False
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("absent", absent, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.of(self.network(x))

    def of(self, logits: Tensor) -> Tensor:
        """``[B, K]`` -> ``[B, M]``"""
        return logits[:, self.index].masked_fill(self.absent, -torch.inf).logsumexp(2)


class GroupedNetwork(nn.Module):
    """A flat network read level by level: coarse is the log-sum-exp of a superclass's logits, fine is these logits.

    Shape:
        x ``[B, 3, H, W]`` in [0, 1] -> ``[B, K]``, the network's own logits, where those outside the highest superclass
        are lowered all alike as far as it takes for the highest to be in it.
    """

    parents: Tensor

    def __init__(self, network: nn.Module, hierarchy: Hierarchy) -> None:
        super().__init__()
        self.coarse = GroupLogits(network, hierarchy)
        self.hierarchy = hierarchy
        self.register_buffer("parents", hierarchy.parents, persistent=False)

    @property
    def network(self) -> nn.Module:
        """The flat network."""
        return self.coarse.network

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x)
        inside = self.parents == self.coarse.of(logits).argmax(1)[:, None]
        best, other = (logits.masked_fill(mask, -torch.inf).amax(1, keepdim=True) for mask in (~inside, inside))
        above = (other - best).clamp_min(0)
        # What rounding may take away, also where logits are huge: at a tie the first class would count as the highest.
        gap = 1e-3 + 4 * torch.finfo(logits.dtype).eps * (best.abs() + other.abs()).detach()
        return torch.where(inside, logits, logits - above - gap * (other >= best))

    def levels(self, x: Tensor, group: Tensor | None = None) -> Levels:
        """One forward pass."""
        logits = self.network(x)
        coarse = self.coarse.of(logits)
        group = coarse.argmax(1) if group is None else group
        return Levels(coarse, logits.masked_fill(self.parents != group[:, None], -torch.inf), group)

    def parts(self, group: Tensor) -> list[Part]:
        """The flat network decides about all."""
        device = group.device
        return [
            Part(torch.arange(len(group), device=device), self.network, torch.arange(len(self.parents), device=device))
        ]


class OnlyClass(nn.Module):
    """The fine network of a superclass of one class, which has nothing to decide: a logit of 0, whatever the pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x.flatten(1).sum(1, keepdim=True)  # of the pixels still, so that a gradient can be asked for


def places_of(hierarchy: Hierarchy) -> Tensor:
    """The superclass of every class and its number within it, ``[K, 2]`` int64; NOWHERE for a class in none."""
    places = torch.full((len(hierarchy.fine), 2), NOWHERE)
    for number, group in enumerate(hierarchy.groups):
        places[list(group)] = torch.tensor([(number, within) for within in range(len(group))])
    return places


class CoarseToFineNetwork(nn.Module):
    """A coarse network, and for each superclass a fine one that is asked only where the coarse one says so.

    Its weights tell the hierarchy, too: with another one each network would be right, and the whole wrong.

    Shape:
        x ``[B, 3, H, W]`` in [0, 1] -> ``[B, K]``: log-probabilities within the highest superclass; a class elsewhere,
        whose network was not asked, has those of its superclass and of an even share of the highest one, which is
        never above the highest.
    """

    places: Tensor  # [K, 2]

    def __init__(self, coarse: nn.Module, fine: Sequence[nn.Module], hierarchy: Hierarchy) -> None:
        super().__init__()
        if len(fine) != len(hierarchy.groups):
            raise ValueError(f"{len(hierarchy.groups)} superclasses need as many fine networks, not {len(fine)}")
        self.coarse = coarse
        self.fine = nn.ModuleList(fine)
        self.hierarchy = hierarchy
        self.register_buffer("places", places_of(hierarchy))

    @property
    def parents(self) -> Tensor:
        """The superclass of every class, ``[K]``."""
        return self.places[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        coarse, fine, group = self.levels(x)
        coarse = coarse.log_softmax(1)
        sizes = (fine > -torch.inf).sum(1, keepdim=True)
        inside = self.parents == group[:, None]
        known = coarse.gather(1, group[:, None]) + fine.log_softmax(1)
        above = torch.where(self.parents == NOWHERE, coarse.amin(1, keepdim=True), coarse[:, self.parents])
        return torch.where(inside, known, above - sizes.log() - 1e-3)

    def levels(self, x: Tensor, group: Tensor | None = None) -> Levels:
        """The coarse network on all images, one fine network on each."""
        coarse = self.coarse(x)
        group = coarse.argmax(1) if group is None else group
        fine = coarse.new_full((len(x), len(self.parents)), -torch.inf)
        for part in self.parts(group):
            columns = part.classes.expand(len(part.where), -1)
            fine = fine.index_put((part.where[:, None], columns), part.network(x[part.where]))
        return Levels(coarse, fine, group)

    def parts(self, group: Tensor) -> list[Part]:
        """One network for each superclass that is there."""
        return [
            Part(
                (group == k).nonzero()[:, 0], self.fine[k], torch.tensor(self.hierarchy.groups[k], device=group.device)
            )
            for k in sorted(set(group.tolist()))
        ]
