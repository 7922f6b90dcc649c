"""The document on networks of two levels: each network, the route through both levels, and a flat one beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from ..hierarchy import Hierarchy
from ..statistics import Estimate, estimate
from ..study import NOT_REPRODUCED, REPRODUCED, UNTESTED, Bars, Claim, Document, Series, Table
from ..versions import device_named, versions
from .gains import Gain, decided, gain, points

if TYPE_CHECKING:
    from .coarse_to_fine import TrainedCoarseToFine

ROUTE, FLAT = "coarse to fine", "flat"
# Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, VGG-16 on ImageNet.
COARSE, FINE, SUPERCLASSES, CLASSES = 0.96, (0.78, 0.90), 8, 393
NEAR = 0.02  # so far from the paper's number counts as it


class Found(NamedTuple):
    """What each network is right on."""

    hierarchy: Hierarchy
    sizes: tuple[int, ...]  # training images: of the coarse network, and of each fine one
    right: dict[str, dict[str, Tensor]]  # by network: coarse, fine, class, and group, the true superclass; [N] each
    device: str

    @property
    def as_published(self) -> bool:
        """Whether there are as many superclasses and classes as in the paper."""
        return len(self.hierarchy.coarse) == SUPERCLASSES and self.hierarchy.covered == CLASSES

    def share(self, name: str, level: str, group: int | None = None) -> Estimate:
        """How often a network is right, on all test images or on those of one superclass."""
        own = self.right[name]
        values = own[level] if group is None else own[level][own["group"] == group]
        return estimate(values.double().numpy())

    def within(self) -> list[Estimate]:
        """How often each fine network that decides anything is right; without those that have no test images."""
        deciding = [k for k, group in enumerate(self.hierarchy.groups) if len(group) > 1]
        return [e for k in deciding if (e := self.share(ROUTE, "fine", k)).count]

    @property
    def gain(self) -> Gain | None:
        """How much more often the route ends right than a flat network decides so."""
        if FLAT not in self.right:
            return None
        own, rival = (self.right[name]["class"].double()[None] for name in (ROUTE, FLAT))
        return gain(own, rival)


def document(study: TrainedCoarseToFine, found: Found) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    claims = told(found)
    setup = described(study, found)
    sections = (networks(found), together(found), by_group(found))
    return Document(study.title, verdict(claims, found), claims, sections, setup, results(found, setup))


def told(found: Found) -> tuple[Claim, ...]:
    """The paper's two numbers, and whether a network a superclass is worth it."""
    top, inner = found.share(ROUTE, "coarse"), [e.mean for e in found.within()]
    lowest, highest = (f(inner, default=float("nan")) for f in (min, max))
    near = FINE[0] - NEAR <= lowest and highest <= FINE[1] + NEAR
    gained = found.gain
    return (
        Claim(
            "The coarse network is right on 96 % of the images",
            "paper",
            judged(found, abs(top.mean - COARSE) <= NEAR),
            f"{COARSE:.0%}",
            cell(top),
        ),
        Claim(
            "Each fine network is right on 78 to 90 % of the images of its superclass",
            "paper",
            judged(found, near),
            f"{FINE[0]:.0%} to {FINE[1]:.0%}",
            f"{100 * lowest:.1f} to {100 * highest:.1f} %" if inner else "none decides anything",
        ),
        Claim(
            "Two levels end at the true class more often than a flat network trained alike",
            "control",
            UNTESTED if gained is None else decided(gained).verdict,
            "not measured",
            "no flat network" if gained is None else points(gained),
        ),
    )


def judged(found: Found, near: bool) -> str:
    """Whether a number of the paper comes out again, where the classes are its own."""
    if not found.as_published:
        return UNTESTED
    return REPRODUCED if near else NOT_REPRODUCED


def verdict(claims: tuple[Claim, ...], found: Found) -> str:
    """How right both levels are, and what a flat network has to say to that."""
    own = [claim.verdict for claim in claims if claim.source == "paper"]
    counted = ", ".join(f"{own.count(v)} {v}" for v in (REPRODUCED, NOT_REPRODUCED, UNTESTED) if v in own)
    levels = {level: f"{100 * found.share(ROUTE, level).mean:.1f} %" for level in ("coarse", "fine", "class")}
    beside = "" if found.gain is None else f" Against a flat network trained alike: {points(found.gain)}."
    return (
        f"Of {len(own)} numbers of the paper: {counted}. The superclass is right on {levels['coarse']} of the test "
        f"images, the class within the true superclass on {levels['fine']}, both on {levels['class']}.{beside}"
    )


def networks(found: Found) -> Table:
    """Each network on its own."""
    h = found.hierarchy
    rows = [("coarse", "superclasses", len(h.coarse), found.sizes[0], found.share(ROUTE, "coarse"))]
    rows += [
        (f"fine {k}", name, len(h.groups[k]), found.sizes[1 + k], found.share(ROUTE, "fine", k))
        for k, name in enumerate(h.coarse)
    ]
    return Table(
        "Each network",
        "A fine network is measured on the test images of its superclass, whatever the coarse one says of them; with a"
        " single class it has nothing to decide. In the paper, VGG-16 on 393 classes of ImageNet: 96 % and 78 to 90 %.",
        ("network", "tells apart", "classes", "training images", "test images", "right"),
        tuple((name, what, str(n), f"{size:,}", f"{e.count:,}", cell(e)) for name, what, n, size, e in rows),
    )


def together(found: Found) -> Table:
    """Both levels, and a flat network read by superclass."""
    levels = ("coarse", "fine", "class")
    return Table(
        "Both levels together",
        "A flat network says that superclass whose classes together are most probable. The class is right where both"
        " levels are.",
        ("classifier", "superclass", "class within the true superclass", "class"),
        tuple((name, *(cell(found.share(name, level)) for level in levels)) for name in found.right),
        named=1,
    )


def by_group(found: Found) -> Bars:
    """The fine level of each superclass, next to the flat network's."""
    groups = range(len(found.hierarchy.coarse))
    shares = {name: [found.share(name, "fine", k) for k in groups] for name in found.right}
    series = tuple(Series(name, tuple((e.mean, e.low, e.high) for e in own)) for name, own in shares.items())
    return Bars(
        "Within each superclass",
        "How often the class is right among those of the true superclass, with 95 % intervals over the test images.",
        "share of the images",
        found.hierarchy.coarse,
        (("class within the true superclass", series),),
    )


def cell(e: Estimate) -> str:
    """A share with its interval."""
    return f"{100 * e.mean:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]" if e.count else "–"


def described(study: TrainedCoarseToFine, found: Found) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    h, test = found.hierarchy, len(found.right[ROUTE]["group"])
    kinds = {"coarse": study.coarse, "fine": study.fine} | ({FLAT: study.flat} if study.flat else {})
    return (
        *versions().items(),
        ("device", device_named(found.device)),
        ("seed", str(study.seed)),
        ("data", f"{found.sizes[0]:,} training images, {test:,} test images"),
        ("hierarchy", f"{h.covered} of {len(h.fine)} classes in {len(h.coarse)} superclasses"),
        ("networks", ", ".join(f"{level} {named(a)}" for level, a in kinds.items())),
        ("training", f"{study.training.epochs} epochs each"),
    )


def named(architecture: Any) -> str:
    """A network by name."""
    return str(getattr(architecture, "name", type(architecture).__name__))


def results(found: Found, setup: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The same as plain data."""
    levels = ("coarse", "fine", "class")
    groups: Mapping[int, str] = dict(enumerate(found.hierarchy.coarse))
    return {
        "setup": dict(setup),
        "right": {name: {level: found.share(name, level)._asdict() for level in levels} for name in found.right},
        "within": {
            name: [{"superclass": called} | found.share(name, "fine", k)._asdict() for k, called in groups.items()]
            for name in found.right
        },
        "over the flat network": found.gain and found.gain._asdict(),
    }
