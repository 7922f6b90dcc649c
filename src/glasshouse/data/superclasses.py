"""Data as each network of a classifier of two levels is trained on it: superclasses, or the classes within one.

Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..hierarchy import Hierarchies, Hierarchy
from ..labels import several
from ..types import NOWHERE, Batch, Data, Samples
from .samples import Subset, batches, check_split, title_of


@dataclass(frozen=True)
class Superclasses:
    """Any data set with superclasses for classes; images whose class is in none are left out.

    What the coarse network of Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, is trained on. Images
    are not read for their labels where the data keeps these apart.

    Raises:
        ValueError: on an unknown split, if the hierarchy is over other classes, or images have several.
    """

    data: Data
    hierarchy: Hierarchies

    def __call__(self, split: str) -> Samples:
        check_split(split)
        samples = self.data(split)
        return by_superclass(samples, self.hierarchy(samples.classes))


@dataclass(frozen=True)
class WithinSuperclass:
    """The images of one superclass, by its name or number, with its classes alone, in its own order.

    What a fine network of Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, is trained on.

    Raises:
        ValueError: on an unknown split or superclass, if the hierarchy is over other classes, images have several, or
            there are none of that superclass.
    """

    data: Data
    hierarchy: Hierarchies
    superclass: str | int = 0

    def __call__(self, split: str) -> Samples:
        check_split(split)
        samples = self.data(split)
        hierarchy = self.hierarchy(samples.classes)
        return within(samples, hierarchy, number_of(self.superclass, hierarchy.coarse))


def number_of(superclass: str | int, names: Sequence[str]) -> int:
    """Which superclass is meant; ValueError if there is none such."""
    if isinstance(superclass, str) and superclass in names:
        return names.index(superclass)
    if isinstance(superclass, int) and 0 <= superclass < len(names):
        return superclass
    raise ValueError(f"there is no superclass {superclass!r}; there are, from 0 on: {', '.join(names)}")


def by_superclass(samples: Samples, hierarchy: Hierarchy) -> Samples:
    """Those of a split that are in a superclass, with that for a class."""
    return read_as(samples, hierarchy.parents, hierarchy.coarse, "of any superclass")


def within(samples: Samples, hierarchy: Hierarchy, number: int) -> Samples:
    """Those of a split that are in one superclass, with the classes of that."""
    group = hierarchy.groups[number]
    places = torch.full((len(hierarchy.fine),), NOWHERE)
    places[list(group)] = torch.arange(len(group))
    names = tuple(hierarchy.fine[k] for k in group)
    return read_as(samples, places, names, f"of the superclass {hierarchy.coarse[number]!r}")


def covered(samples: Samples, hierarchy: Hierarchy) -> Samples:
    """Those of a split that are in a superclass, with the classes that they have."""
    return Subset(samples, tuple((hierarchy.parents[labels_in(samples)] != NOWHERE).nonzero()[:, 0].tolist()))


def read_as(samples: Samples, places: Tensor, classes: tuple[str, ...], which: str) -> Samples:
    """Samples with other classes; those whose class has no place among them are left out."""
    labels = places[labels_in(samples)]
    chosen = (labels != NOWHERE).nonzero()[:, 0]
    if not len(chosen):
        raise ValueError(f"the data has no images {which}")
    return ReadAs(samples, tuple(chosen.tolist()), labels[chosen], places, classes)


@dataclass(frozen=True, eq=False)
class ReadAs:
    """Some samples of a split, numbered anew from 0, each class being the one at its place in ``places`` ``[K]``."""

    samples: Samples
    chosen: tuple[int, ...]
    labels: Tensor
    places: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        positions = torch.as_tensor(index, dtype=torch.int64)
        batch = self.samples[[self.chosen[i] for i in positions.tolist()]]
        regions = batch.regions
        if regions is not None:
            regions = torch.where(regions < 0, regions, self.places[regions.clamp_min(0)])
        return batch._replace(y=self.labels[positions], index=positions, regions=regions)

    def title(self, i: int) -> str:
        """What the sample is called where it comes from."""
        return title_of(self.samples, self.chosen[i])


def labels_in(samples: Samples) -> Tensor:
    """The class of every sample, ``[N]``: as the split keeps it, and only else from its images.

    Raises:
        ValueError: if images have several classes.
    """
    kept = getattr(samples, "labels", None)
    if not isinstance(kept, Tensor) and isinstance(samples, Subset):
        return labels_in(samples.samples)[list(samples.chosen)]
    y = kept if isinstance(kept, Tensor) else torch.cat([batch.y for batch in batches(samples, 256)])
    if several(y):
        raise ValueError("superclasses are for images of one class each, and these labels name several")
    return y
