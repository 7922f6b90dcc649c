"""A data set whose images are corrupted as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..spec import require
from ..types import SPLITS, Batch, Corruption, Data, Samples
from .samples import Wrapped, check_split


@dataclass(frozen=True)
class Corrupted:
    """Any data set with its images corrupted in some splits; the other splits are as they were.

    Labels, masks, names of classes, titles and positions stay. An image is the same each time it is read.

    Raises:
        ValueError: on an unknown split.
    """

    data: Data
    corruption: Corruption
    splits: tuple[str, ...] = ("test",)

    def __post_init__(self) -> None:
        known = f"splits is a tuple of one or more of: {', '.join(SPLITS)}"
        require(self, bool(self.splits) and set(self.splits) <= set(SPLITS), known)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        samples = self.data(split)
        return CorruptedSamples(samples, self.corruption) if split in self.splits else samples


@dataclass(frozen=True, eq=False)
class CorruptedSamples(Wrapped):
    """A split with its images corrupted."""

    corruption: Corruption

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        return batch._replace(x=self.corruption(batch.x))
