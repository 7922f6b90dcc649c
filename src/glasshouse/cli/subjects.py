"""The model and the images that a command is about."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.markup import escape

from ..terminal import told

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from torch import Tensor, nn

    from ..types import Architecture, Data, Samples


class About(NamedTuple):
    """What a command is about, as it was typed."""

    model: str
    weights: str
    data: str
    split: str
    classes: Path | None
    hierarchy: str
    images: int
    device: str
    batch_size: int
    seed: int


def images_of(text: str, known: Mapping[str, type]) -> Data:
    """Images from what a person types; they need no classes."""
    from ..data.shorthand import images_from

    return images_from(text, known)


class Seen(NamedTuple):
    """The images to explain, and what is known about them."""

    x: Tensor
    y: Tensor
    index: Tensor  # type: ignore[assignment]  # position in the split
    titles: tuple[str, ...]
    classes: tuple[str, ...]  # of the data, none where they are not known


def some(data: Data, split: str, count: int, seed: int) -> Seen:
    """So many images of a split, in order."""
    import torch

    from ..data.samples import limited, title_of

    if count < 1:
        raise ValueError(f"--images is at least 1, not {count}")
    samples = data(split)
    positions = limited(torch.arange(len(samples)), count, seed)
    batch = samples[positions.tolist()]
    titles = tuple(title_of(samples, i) for i in positions.tolist())
    return Seen(batch.x, batch.y, positions, titles, samples.classes)


def weighted(architecture: Any, weights: str) -> Architecture:
    """A network with the weights of a file; without any, a word that it knows nothing."""
    from ..spec import override

    if weights:
        architecture = override(architecture, "weights", weights)
    within = [part for part in vars(architecture).values() if hasattr(part, "weights")]
    if getattr(architecture, "weights", None) == "" and not (within and all(part.weights for part in within)):
        told.print("note: without --weights the network is random, and what is found about it means nothing")
    return architecture


def called_in(classes: Path | None, own: tuple[str, ...], architecture: Architecture, data: str) -> tuple[str, ...]:
    """Names of the model's classes: those of a file, else the data's own, else numbers."""
    from ..hierarchies.reading import names_in

    return (names_in(classes) if classes else own) or numbered(architecture, data)


def numbered(architecture: Any, data: str) -> tuple[str, ...]:
    """Numbers for names, as many as the weights are for."""
    from ..models.weights import classes_in

    path = getattr(architecture, "weights", "")
    if not path:
        raise ValueError(f"{data} has no classes, and no --weights tell how many there are; give --classes FILE")
    return tuple(map(str, range(classes_in(path, replace(architecture, weights="")))))


def labelled(text: str, known: Mapping[str, type], split: str, count: int, seed: int) -> Samples:
    """So many images of a split with their classes, drawn by ``seed``; 0 is all of them."""
    from ..data.samples import at_most
    from ..data.shorthand import data_from

    return at_most(data_from(text, known)(split), count, seed)


def training_images(text: str, known: Mapping[str, type], split: str) -> Samples | None:
    """The training images to look for others in; None where there are none, or where these are they."""
    from ..data.shorthand import data_from

    if split == "train":
        return None
    try:
        return data_from(text, known)("train")
    except ValueError:  # data of one split alone
        return None


def network_for(
    architecture: Architecture, samples: Samples, classes: Path | None, seed: int
) -> tuple[nn.Module, Samples]:
    """The network, and the images with its own classes, named by ``classes`` where the data has fewer."""
    from ..data.samples import Renamed
    from ..hierarchies.reading import names_in

    called = names_in(classes) if classes else tuple(samples.classes)
    network = built(architecture, called, seed)
    return network, samples if called == tuple(samples.classes) else Renamed(samples, called)


def built(architecture: Architecture, classes: Sequence[str], seed: int) -> nn.Module:
    """The network for these classes, the same each time."""
    from ..draws import seeded_globally
    from ..models.weights import classes_in

    path = getattr(architecture, "weights", "")
    if path and not getattr(architecture, "new_head", False):
        own: Any = architecture
        number = classes_in(path, replace(own, weights=""))
        if number != len(classes):
            told_names = f"{len(classes)} are named ({', '.join(classes[:3])}, ...)"
            raise ValueError(
                f"weights {path} are for {number} classes, but {told_names}; name them with --classes FILE"
            )
    with seeded_globally(seed, 0):
        return architecture(len(classes))


def renumbered(y: Tensor, own: Sequence[str], called: Sequence[str]) -> Tensor:
    """Labels of the data as classes of the model: by name where the numbers of classes differ, -1 for no such class."""
    if len(own) == len(called):
        return y
    places = {name: i for i, name in enumerate(called)}
    return y.new_tensor([places.get(own[k], -1) if k >= 0 else -1 for k in y.tolist()])


@contextmanager
def warnings_told() -> Iterator[None]:
    """What explainers warn of, as notes, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", UserWarning)
        yield
    for text in dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UserWarning)):
        told.print(f"note: {escape(text)}", soft_wrap=True, highlight=False)
