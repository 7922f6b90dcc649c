"""A flat network that a command reads as one of two levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from ..terminal import told

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from torch import nn

    from ..hierarchy import Hierarchies
    from ..types import Architecture, Samples


def hierarchy_from(text: str, known: Mapping[str, type]) -> Hierarchies | None:
    """Superclasses from what a person types: a file, or a component; None for nothing.

    Raises:
        ValueError: if it is neither.
    """
    from ..hierarchies import HierarchyFile
    from ..hierarchy import Hierarchies
    from ..spec import fits, parse

    if not text:
        return None
    if "(" not in text and (Path(text).suffix or "/" in text or "\\" in text):
        return HierarchyFile(path=text)
    found: Any = parse(text, known, Hierarchies)
    if not fits(found, Hierarchies):
        raise ValueError(f"{text!r} is no hierarchy; see: glasshouse list hierarchies")
    hierarchy: Hierarchies = found
    return hierarchy


def by_levels(network: nn.Module, hierarchy: Hierarchies | None, names: Sequence[str]) -> nn.Module:
    """The network, read by the superclasses of its classes if there are any.

    Raises:
        ValueError: if the network has two levels by itself, or the hierarchy is over other classes.
    """
    from ..hierarchy import Hierarchical
    from ..models.two_levels import GroupedNetwork

    if hierarchy is None:
        return network
    if isinstance(network, Hierarchical):
        raise ValueError("--hierarchy is for a network of one level, and this one has a hierarchy of its own")
    return GroupedNetwork(network, hierarchy(names))


def with_levels(architecture: Architecture, hierarchy: Hierarchies | None) -> Architecture:
    """The architecture as a report names it."""
    from ..models import Grouped

    return architecture if hierarchy is None else Grouped(model=architecture, hierarchy=hierarchy)


def nameable(samples: Samples, network: nn.Module) -> Samples:
    """The images whose class a network of two levels has in a superclass, and a note of how many are left out.

    Raises:
        ValueError: if there are none.
    """
    from ..data.superclasses import covered
    from ..hierarchy import Hierarchical

    if not isinstance(network, Hierarchical) or network.hierarchy.covered == len(network.hierarchy.fine):
        return samples
    kept = covered(samples, network.hierarchy)
    told_of = f"{len(samples) - len(kept)} of {len(samples)} images are of a class in no superclass"
    if not len(kept):
        raise ValueError(f"{told_of}: there is nothing to measure on")
    if len(kept) < len(samples):
        told.print(escape(f"note: {told_of}, and left out"), soft_wrap=True, highlight=False)
    return kept
