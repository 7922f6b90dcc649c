"""Networks of two levels as components: a coarse one with its fine ones, and any flat one read so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..hierarchy import Hierarchies, Hierarchy
from ..types import Architecture
from .stored import stored_tensors
from .two_levels import CoarseToFineNetwork, GroupedNetwork, OnlyClass
from .weights import classes_in, load_weights


@dataclass(frozen=True)
class CoarseToFine:
    """A network for superclasses, and within each a network for its classes that is asked only where the first says so
    (Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906).

    ``weights`` is one file of all networks, as the recipe ``coarse_to_fine`` leaves it; it tells the hierarchy that it
    is for, and no other is taken. The weights of ``coarse`` and ``fine`` are what each network begins with. A
    superclass of one class needs no network.

    Shape:
        those of the architectures -> ``[B, classes]``, highest where the route through both levels ends.
    Cost: two networks an image.
    Raises:
        ValueError: when called, if the hierarchy is over other classes, or the weights are of other networks.
    """

    hierarchy: Hierarchies
    coarse: Architecture
    fine: Architecture
    weights: str = ""

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        hierarchy = numbered(self.hierarchy, classes)
        coarse = self.coarse(len(hierarchy.groups))
        model = CoarseToFineNetwork(coarse, [fine_network(self.fine, len(g)) for g in hierarchy.groups], hierarchy)
        if self.weights:
            require_places(self.weights, model.places)
            load_weights(model, self.weights)
        return model

    def classes_in(self, path: str | Path) -> int:
        """For how many classes the weights in a file are; ValueError if they are of another kind of network."""
        return len(stored_places(path))


@dataclass(frozen=True)
class Grouped:
    """Any classifier read as one of two levels: a superclass's logit is the log-sum-exp of those of its classes.

    Its probability is then the sum of theirs, and the network needs no training. ``weights`` are those of the flat
    network, of ``model``. Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, train networks of their
    own for both levels: :class:`CoarseToFine`.

    Shape:
        those of ``model``; where its highest class is outside the highest superclass, the logits of classes outside are
        lowered until the highest class is within.
    Raises:
        ValueError: when called, if the hierarchy is over other classes, or the weights are of another network.
    """

    model: Architecture
    hierarchy: Hierarchies
    weights: str = ""

    def __call__(self, classes: int) -> nn.Module:
        """The model, in training mode."""
        hierarchy = numbered(self.hierarchy, classes)
        model = GroupedNetwork(self.model(classes), hierarchy)
        if self.weights:
            load_weights(model, self.weights)
        return model

    def classes_in(self, path: str | Path) -> int:
        """For how many classes the weights in a file are; ValueError if they are of another network."""
        model: Any = self.model
        return classes_in(path, replace(model, weights="") if getattr(model, "weights", "") else model)


def numbered(hierarchy: Hierarchies, classes: int) -> Hierarchy:
    """A hierarchy over classes of which only the number is known: a model's."""
    return hierarchy(tuple(map(str, range(classes))))


def fine_network(architecture: Architecture, classes: int) -> nn.Module:
    """The network within a superclass of so many classes."""
    return architecture(classes) if classes > 1 else OnlyClass()


def stored_places(path: str | Path) -> Tensor:
    """The hierarchy that weights in a file are for, as :func:`glasshouse.models.two_levels.places_of` gives it."""
    places = stored_tensors(Path(path)).get("places")
    if places is None or places.ndim != 2 or places.shape[1] != 2 or places.is_floating_point():
        told = "no tensor 'places' tells the superclass of each class"
        raise ValueError(f"weights {path} are of another network: {told}")
    return places


def require_places(path: str | Path, own: Tensor) -> None:
    """ValueError unless the weights in a file are for this hierarchy."""
    stored = stored_places(path)
    if len(stored) != len(own):
        raise ValueError(f"weights {path} are for {len(stored)} classes, and the hierarchy is over {len(own)}")
    if differing := (stored != own).any(1).nonzero().flatten().tolist():
        first = differing[0]
        there, here = ("superclass {}, place {}".format(*places[first].tolist()) for places in (stored, own))
        told = f"class {first} is in {there} there, and in {here} here"
        raise ValueError(f"weights {path} are for another hierarchy: {told}")
