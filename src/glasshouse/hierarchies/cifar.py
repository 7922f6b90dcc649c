"""Superclasses of CIFAR-100 and CIFAR-10 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..hierarchy import Hierarchy, grouped

SUPERCLASSES = {
    "aquatic mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit and vegetables": ("apple", "mushroom", "orange", "pear", "sweet pepper"),
    "household electrical devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large man-made outdoor things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large natural outdoor scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large omnivores and herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple tree", "oak tree", "palm tree", "pine tree", "willow tree"),
    "vehicles 1": ("bicycle", "bus", "motorcycle", "pickup truck", "train"),
    "vehicles 2": ("lawn mower", "rocket", "streetcar", "tank", "tractor"),
}
KINDS = {
    "animals": ("bird", "cat", "deer", "dog", "frog", "horse"),
    "vehicles": ("airplane", "automobile", "ship", "truck"),
}


@dataclass(frozen=True)
class CIFAR100Superclasses:
    """The 20 superclasses of CIFAR-100, of 5 classes each (Krizhevsky 2009,
    https://www.cs.toronto.edu/~kriz/cifar.html).

    Classes are found by their names, in any order, where upper case, spaces and underscores do not matter. 100 classes
    that are called otherwise, such as 0 to 99, are taken in the order of CIFAR-100, with a warning if they have names.

    Raises:
        ValueError: when called with other than 100 classes, or with some of CIFAR-100 and some that are not.
    """

    def __call__(self, names: Sequence[str]) -> Hierarchy:
        return in_groups("CIFAR-100", SUPERCLASSES, names)


@dataclass(frozen=True)
class CIFAR10Kinds:
    """The classes of CIFAR-10 as 6 animals and 4 vehicles (https://www.cs.toronto.edu/~kriz/cifar.html).

    Classes are found by their names, in any order, where upper case, spaces and underscores do not matter. 10 classes
    that are called otherwise, such as 0 to 9, are taken in the order of CIFAR-10, with a warning if they have names.

    Raises:
        ValueError: when called with other than 10 classes, or with some of CIFAR-10 and some that are not.
    """

    def __call__(self, names: Sequence[str]) -> Hierarchy:
        return in_groups("CIFAR-10", KINDS, names)


def in_groups(title: str, table: Mapping[str, Sequence[str]], names: Sequence[str]) -> Hierarchy:
    """The table over classes of these names; both data sets have their classes in alphabetical order."""
    order = sorted(name for group in table.values() for name in group)
    if len(names) != len(order):
        raise ValueError(f"the superclasses of {title} are for its {len(order)} classes, not for {len(names)}")
    places = {plain(name): i for i, name in enumerate(names)}
    strange = [name for name in names if plain(name) not in order]
    if 0 < len(strange) < len(names) or (not strange and len(places) < len(names)):
        told = f"{strange[0]!r} is none of them" if strange else "one is there twice"
        raise ValueError(f"the superclasses of {title} are for its {len(order)} classes, and {told}")
    if strange:
        places = {name: i for i, name in enumerate(order)}
        if not all(name.isdecimal() for name in names):
            warnings.warn(f"no class is called as in {title}, such as {names[0]!r}: taken in its order", stacklevel=3)
    return grouped({name: [places[k] for k in group] for name, group in table.items()}, names)


def plain(name: str) -> str:
    """A name where only its words count: ``Aquarium_Fish`` is ``aquarium fish``."""
    return " ".join(re.split(r"[\s_]+", name.strip().casefold()))
