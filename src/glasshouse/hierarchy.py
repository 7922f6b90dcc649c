"""Classes in two levels, superclasses above classes, and what a network that decides level by level can be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .types import NOWHERE


class Hierarchy(NamedTuple):
    """Superclasses, and the numbers of the classes in each. Made and checked by :func:`grouped`."""

    coarse: tuple[str, ...]
    fine: tuple[str, ...]  # every class of the model, also those in no superclass
    groups: tuple[tuple[int, ...], ...]  # of each superclass, in its order

    @property
    def parents(self) -> Tensor:
        """The superclass of every class, ``[K]`` int64; NOWHERE for a class in none."""
        found = torch.full((len(self.fine),), NOWHERE)
        for number, group in enumerate(self.groups):
            found[list(group)] = number
        return found

    @property
    def covered(self) -> int:
        """How many classes are in a superclass."""
        return sum(map(len, self.groups))


def grouped(groups: Mapping[str, Sequence[int]], classes: Sequence[str], *, partial: bool = False) -> Hierarchy:
    """A hierarchy over ``classes``; ``partial`` allows classes that are in no superclass.

    Raises:
        ValueError: for fewer than two superclasses, an empty one, a class that does not exist or is there twice, and
            one in no superclass unless ``partial``.
    """
    if len(groups) < 2:
        raise ValueError(f"a hierarchy needs at least 2 superclasses, not {len(groups)}")
    if empty := [name for name, group in groups.items() if not group]:
        raise ValueError(f"superclass {empty[0]!r} has no classes")
    members = [k for group in groups.values() for k in group]
    if strange := [k for k in members if not 0 <= k < len(classes)]:
        raise ValueError(f"a hierarchy names class {strange[0]}, and there are classes 0 to {len(classes) - 1}")
    if twice := [k for k, times in Counter(members).items() if times > 1]:
        raise ValueError(
            f"class {twice[0]} ({classes[twice[0]]!r}) is in the hierarchy {members.count(twice[0])} times"
        )
    if not partial and (missing := sorted(set(range(len(classes))) - set(members))):
        first = f"{missing[0]} ({classes[missing[0]]!r})"
        raise ValueError(f"{len(missing)} classes are in no superclass, first {first}; partial=True allows that")
    return Hierarchy(tuple(groups), tuple(classes), tuple(tuple(group) for group in groups.values()))


class Hierarchies(Protocol):
    """A hierarchy over the classes of a model, by their names: ``hierarchy(names)``.

    Raises:
        ValueError: if it is over other classes.
    """

    def __call__(self, names: Sequence[str]) -> Hierarchy: ...


class Levels(NamedTuple):
    """The logits of both levels."""

    coarse: Tensor  # [B, M]
    fine: Tensor  # [B, K], -inf for classes outside the superclass of each image
    group: Tensor  # [B] that superclass


class Part(NamedTuple):
    """One network that decides about some of the images of a batch."""

    where: Tensor  # [n] positions of these images
    network: nn.Module  # pixels -> [n, k]
    classes: Tensor  # [k] the class that each of its logits is for

    def place(self, target: Tensor) -> Tensor:
        """Where among its logits classes are, ``[...]`` int64."""
        return (target[..., None] == self.classes).to(torch.uint8).argmax(-1)


@runtime_checkable
class Hierarchical(Protocol):
    """A network of two levels. Called, it gives ``[B, K]``, highest where the route through both levels ends."""

    @property
    def hierarchy(self) -> Hierarchy: ...

    @property
    def coarse(self) -> nn.Module:
        """The network of superclasses: pixels -> ``[B, M]``."""
        ...

    def levels(self, x: Tensor, group: Tensor | None = None) -> Levels:
        """Both levels; the fine one within ``group`` ``[B]``, or else within the highest superclass."""
        ...

    def parts(self, group: Tensor) -> list[Part]:
        """The networks that decide within the superclass ``[B]`` of each image."""
        ...


def hierarchical(model: nn.Module, component: object) -> Hierarchical:
    """The model itself if it is one of two levels; ValueError that names the component otherwise."""
    if not isinstance(model, Hierarchical):
        raise ValueError(f"{type(component).__name__} needs a model of two levels: give a hierarchy, as in"
                         " Grouped(model=..., hierarchy=...) or --hierarchy FILE")  # fmt: skip
    return model


class Labels(NamedTuple):
    """The labels of both levels."""

    coarse: Tensor  # [B]
    fine: Tensor  # [B]


def labels_of(y: Tensor, hierarchy: Hierarchy) -> Labels:
    """Labels of both levels from classes ``[B]``, or from ``[B, levels]`` as they are.

    Raises:
        ValueError: if they are of another kind, or a class is in no superclass or not in the one that is named.
    """
    if y.is_floating_point() or y.ndim > 2 or (y.ndim == 2 and y.shape[1] != 2):
        raise ValueError(f"labels of two levels are [B] or [B, 2] int64, not {y.dtype} of shape {list(y.shape)}")
    fine = y if y.ndim == 1 else y[:, 1]
    if bool(((fine < 0) | (fine >= len(hierarchy.fine))).any()):
        raise ValueError(f"labels are from 0 to {len(hierarchy.fine) - 1}, and some are not")
    coarse = hierarchy.parents.to(fine.device)[fine]
    if outside := int((coarse == NOWHERE).sum()):
        raise ValueError(f"{outside} of {len(y)} labels are in no superclass of the hierarchy")
    if y.ndim == 2 and bool((coarse != y[:, 0]).any()):
        raise ValueError("some labels name a superclass that is not their class's")
    return Labels(coarse, fine)


def outside(y: Tensor, hierarchy: Hierarchy) -> Tensor:
    """Where a class ``[B]`` is in no superclass, so that no model of two levels can name it; -1 is none."""
    return (y >= 0) & (hierarchy.parents.to(y.device)[y.clamp_min(0)] == NOWHERE)


def route(model: Hierarchical, x: Tensor) -> Labels:
    """What the model says on both levels: the highest superclass, and the highest class within it."""
    with torch.no_grad():
        found = model.levels(x)
    return Labels(found.group, found.fine.argmax(1))
