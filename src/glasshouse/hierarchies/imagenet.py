"""Eight superclasses over 393 of the 1000 classes of ILSVRC-2012, in the order of their WordNet numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..hierarchy import Hierarchy, grouped

CLASSES = 1000
# All classes below one synset of WordNet 3.0; the number after the name is that of the synset.
FISH = (*range(7), *range(389, 398))  # n02512053
BIRD = (*range(7, 25), *range(80, 101), *range(127, 147))  # n01503061
REPTILE = tuple(range(33, 69))  # n01661091
CLOTHES = (  # clothing, n03051540
    *(399, 400, 411, 433, 439, 445, 451, 452, 457, 459, 465, 474, 496, 515, 518, 529, 552, 560, 568, 578),
    *(601, 608, 610, 614, 615, 617, 638, 639, 643, 652, 655, 658, 667, 689, 697, 735, 775, 785, 793),
    *(806, 808, 824, 834, 841, 842, 869, 887, 903, 906),
)
FOOD = (*range(930, 933), *range(935, 958), 962)  # solid food, n07555863
VEHICLE = (  # n04524313
    *(403, 404, 405, 407, 408, 417, 428, 436, 444, 450, 468, 472, 484, 510, 511, 537, 547, 554, 555, 561, 565, 569),
    *(573, 575, 576, 586, 603, 609, 612, 625, 627, 628, 656, 657, 660, 661, 665, 670, 671, 675, 690, 705, 717, 724),
    *(734, 751, 757, 780, 791, 802, 803, 812, 814, 817, 820, 829, 833, 847, 864, 866, 867, 870, 871, 880, 895),
    *(913, 914),
)
DOG = tuple(range(151, 269))  # n02084071
# No synset has as many: electrical device, n03269401, has 2. These are electronic equipment, n03278248, and by hand
# desktop, hand-held, laptop and notebook computer, loudspeaker, microphone, remote control and television.
ELECTRONIC = (482, 485, 487, 508, 528, 605, 613, 662, 664, 688, 707, 742, 848)
BY_HAND = (527, 590, 620, 632, 650, 681, 761, 851)

SUPERCLASSES = {
    "fish": FISH,
    "bird": BIRD,
    "reptile": REPTILE,
    "clothes": CLOTHES,
    "food": FOOD,
    "vehicle": VEHICLE,
    "dog": DOG,
    "electrical device": tuple(sorted((*ELECTRONIC, *BY_HAND))),
}
# Classes whose name every list of names has first and no other class has, by which another order gives itself away.
LANDMARKS = {
    **{1: "goldfish", 22: "bald eagle", 50: "american alligator", 207: "golden retriever", 323: "monarch"},
    **{515: "cowboy hat", 613: "joystick", 717: "pickup", 954: "banana", 980: "volcano"},
}


@dataclass(frozen=True)
class ImageNetSuperclasses:
    """8 superclasses over 393 of the 1000 classes of ILSVRC-2012, as many as those of Heidarizadeh et al., ICASSP 2025,
    https://arxiv.org/abs/2501.10906; the other 607 classes are in none.

    Fish 16, bird 59, reptile 36, clothes 49, food 27, vehicle 67 and dog 118 are all classes below one synset of
    WordNet; electrical device 21 is electronic equipment and eight more.

    Differs from the paper: the authors' list is not public. This is a reconstruction in which the numbers of
        superclasses and of classes agree; "electrical device" is no synset of that size, so eight of its classes are
        chosen by hand.
    Raises:
        ValueError: when called with other than 1000 classes, or if their names show another order than that of
            ILSVRC-2012, which is by WordNet number: 0 is tench n01440764, 999 toilet tissue n15075141.
    """

    def __call__(self, names: Sequence[str]) -> Hierarchy:
        if len(names) != CLASSES:
            told = f"the {CLASSES} classes of ILSVRC-2012 in the order of their WordNet numbers"
            raise ValueError(f"ImageNetSuperclasses is for {told}, not for {len(names)} classes")
        require_order(names)
        return grouped(SUPERCLASSES, names, partial=True)


def require_order(names: Sequence[str]) -> None:
    """ValueError if the names of 1000 classes show that they are not in the order of ILSVRC-2012."""
    numbers = [found[0] for name in names if (found := re.match(r"n\d{8}\b", name))]
    wrong = next((pair for pair in pairwise(numbers) if pair[0] >= pair[1]), None)
    if wrong:
        told = f"{wrong[0]} does not come before {wrong[1]}"
        raise ValueError(f"ImageNetSuperclasses takes classes in the order of their WordNet numbers: {told}")
    first = [re.split(r"[,(]", name)[0].strip().replace("_", " ").casefold() for name in names]
    for place, name in LANDMARKS.items():
        if name in first and first[place] != name:
            told = f"{name} is class {place}, not {first.index(name)}"
            raise ValueError(f"ImageNetSuperclasses takes classes in the order of their WordNet numbers: {told}")
