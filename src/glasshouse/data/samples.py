"""Splits in memory, deterministic division into splits, and batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader

from ..labels import several
from ..types import SPLITS, Batch, Samples


@dataclass(frozen=True, eq=False)
class Memory:
    """A split held as bytes; a batch is cut out and scaled to [0, 1] at once.

    Shape: pixels ``[N, 3, H, W]`` uint8, labels as in :class:`Batch`, masks ``[N, H, W]`` bool or None, regions
        ``[N, H, W]`` of whole numbers of any width or None; titles: N names or none.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    masks: Tensor | None = None
    regions: Tensor | None = None
    titles: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        i = torch.as_tensor(index, dtype=torch.int64)
        mask = None if self.masks is None else self.masks[i]
        regions = None if self.regions is None else self.regions[i].long()
        return Batch(self.pixels[i].float().div_(255), self.labels[i], mask, index=i, regions=regions)

    def title(self, i: int) -> str:
        """What the sample is called where it comes from, else its number."""
        return self.titles[i] if self.titles else f"image {i}"


@dataclass(frozen=True, eq=False)
class Subset:
    """Some samples of a split, numbered anew from 0."""

    samples: Samples
    chosen: tuple[int, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.samples.classes

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        positions = torch.as_tensor(index, dtype=torch.int64)
        return self.samples[[self.chosen[i] for i in positions.tolist()]]._replace(index=positions)

    def title(self, i: int) -> str:
        """What the sample is called where it comes from."""
        return title_of(self.samples, self.chosen[i])


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A split that is another one but for what its batches look like."""

    samples: Samples

    @property
    def classes(self) -> tuple[str, ...]:
        return self.samples.classes

    def __len__(self) -> int:
        return len(self.samples)

    def title(self, i: int) -> str:
        """What the sample is called where it comes from."""
        return title_of(self.samples, i)


@dataclass(frozen=True, eq=False)
class Renamed:
    """A split with the classes of a model: by name, or by number where there are as many.

    Raises:
        ValueError: if a class of the split is none of them.
    """

    samples: Samples
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        missing = [name for name in self.samples.classes if name not in self.classes]
        if missing and len(self.classes) != len(self.samples.classes):
            raise ValueError(f"the data's class {missing[0]!r} is none of the model's {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        if len(self.classes) == len(self.samples.classes):
            return batch
        places = torch.tensor([self.classes.index(name) for name in self.samples.classes])
        y = moved(batch.y, places, len(self.classes)) if several(batch.y) else places[batch.y]
        regions = batch.regions
        if regions is not None:
            regions = torch.where(regions < 0, regions, places[regions.clamp_min(0)])
        return batch._replace(y=y, regions=regions)

    def title(self, i: int) -> str:
        """What the sample is called where it comes from."""
        return title_of(self.samples, i)


def moved(y: Tensor, places: Tensor, classes: int) -> Tensor:
    """Labels of several classes an image, each class moved to its place among more classes."""
    return y.new_zeros(len(y), classes).index_copy_(1, places, y)


def title_of(samples: Samples, i: int) -> str:
    """What a person calls a sample: its file where it has one, else its number."""
    own: Callable[[int], str] | None = getattr(samples, "title", None)
    return own(i) if own else f"image {i}"


def at_most(samples: Samples, count: int, seed: int = 0) -> Samples:
    """``count`` samples drawn without replacement, in order; all if ``count`` is 0 or more than there are."""
    if count < 0:
        raise ValueError(f"the number of samples is 0 (all) or more, not {count}")
    if not 0 < count < len(samples):
        return samples
    return Subset(samples, tuple(limited(torch.arange(len(samples)), count, seed).tolist()))


def batches(
    samples: Samples,
    size: int,
    *,
    device: str = "cpu",
    shuffle: int | None = None,
    workers: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """Batches on ``device``, in order or shuffled by a seed; the same seed gives the same order everywhere.

    ``start`` skips that many batches without reading them.
    """
    order = range(len(samples)) if shuffle is None else permuted(len(samples), shuffle).tolist()
    cut = list(BatchSampler(order, size, drop_last=False))[start:]
    options: dict[str, Any] = {"multiprocessing_context": "fork"} if workers else {}
    source: Any = samples  # torch's annotations know neither protocols nor lists of positions as a key
    loader: DataLoader[Batch] = DataLoader(source, batch_size=None, sampler=cut, num_workers=workers, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        for batch in loader:
            yield Batch(*batch).to(device)


def permuted(count: int, seed: int) -> Tensor:
    """The numbers below ``count`` in the order of ``seed``."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def divide(count: int, split: str, shares: tuple[float, float, float], seed: int) -> Tensor:
    """Positions of the samples of ``split`` when ``count`` samples are shuffled by ``seed`` and shared out.

    Raises:
        ValueError: on an unknown split.
    """
    return portion(permuted(count, seed), split, shares)


def stratify(labels: Tensor, split: str, shares: tuple[float, float, float], seed: int) -> Tensor:
    """Like :func:`divide`, with each class shared out alike; one sample of every class is for training.

    Raises:
        ValueError: on an unknown split.
    """
    order = permuted(len(labels), seed)
    shuffled = labels[order]
    by_class = shuffled.argsort(stable=True)
    counts = shuffled.bincount()
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(order)
    rank[by_class] = torch.arange(len(labels)) - starts[shuffled[by_class]]
    place = torch.where(rank == 0, 0.0, (rank + 0.5) / counts[shuffled])
    return portion(order[place.argsort(stable=True)], split, shares)


def portion(order: Tensor, split: str, shares: tuple[float, float, float]) -> Tensor:
    """The consecutive part of ``order`` that falls to ``split``, sorted."""
    i = check_split(split)
    ends = [round(len(order) * sum(shares[:k]) / sum(shares)) for k in range(4)]
    return order[ends[i] : ends[i + 1]].sort().values


def limited(chosen: Tensor, limit: int, seed: int) -> Tensor:
    """At most ``limit`` of the positions (0: all), drawn by ``seed``, in order; a larger limit only adds."""
    if not 0 < limit < len(chosen):
        return chosen
    return chosen[permuted(len(chosen), seed)[:limit]].sort().values


def carve(count: int, split: str, validation: float, *, apart: bool, limit: int = 0, seed: int = 0) -> Tensor:
    """Positions of ``split`` in what holds ``count`` samples: the test files, else the training files.

    ``apart`` says that test has files of its own; without, it is carved out of training, like validation.

    Raises:
        ValueError: on an unknown split and where no sample is left for it.
    """
    own = apart and split == "test"
    shares = (1.0 - validation, validation, 0.0) if apart else (1.0 - 2 * validation, validation, validation)
    chosen = torch.arange(count) if own else divide(count, split, shares, seed)
    return limited(occupied(chosen, split, count), limit, seed)


def occupied(chosen: Tensor, split: str, count: int) -> Tensor:
    """``chosen`` itself; ValueError if nothing was."""
    if not len(chosen):
        raise ValueError(f"the split {split!r} is empty: its share of {count} images is none; enlarge its share")
    return chosen


def check_split(split: str) -> int:
    """The position of ``split`` among the splits; ValueError if it is none of them."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; there are: {', '.join(SPLITS)}")
    return SPLITS.index(split)
