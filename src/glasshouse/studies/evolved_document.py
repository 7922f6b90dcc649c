"""What :class:`EvolvedExplanations` found, as texts, tables and drawings."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..explainers.superpixels import painted
from ..study import (
    REFUTED,
    SUPPORTED,
    UNTESTED,
    Claim,
    Document,
    Panel,
    Pictures,
    Progression,
    Section,
    Shown,
    Strips,
    Table,
    Traces,
)
from ..versions import device_named, versions
from .evolved_claims import claims
from .rows import (
    BY_TEN,
    ELIME_NAME,
    FRONT,
    GREEDY,
    LIME_NAME,
    METHODS,
    RANDOM,
    SPARSE,
    Row,
    Spread,
    agreement,
    carried,
    cells,
    chance,
    held,
    improved,
    only,
    spread,
)

if TYPE_CHECKING:
    from .evolved_explanations import EvolvedExplanations
    from .evolving import Material, Scene

SHOWN = (ELIME_NAME, RANDOM, GREEDY, LIME_NAME, FRONT)
GROWING = (ELIME_NAME, RANDOM, GREEDY)


def document(
    study: EvolvedExplanations, material: Material, scenes: Sequence[Scene], rows: Sequence[Row], device: str
) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    fills = tuple(plainly(type(f).__name__) for f in study.second_fills)
    told = claims(rows, fills, study.search.density, device)
    sections: tuple[Section, ...] = (
        pictures(scenes, material.titles, rows, study.pictures),
        strips(rows),
        traces(rows),
        worth_table(rows, fills),
        cost_table(rows),
        image_table(rows),
    )
    setup = described(study, material, device)
    results = {"setup": dict(setup), "runs": plain(rows), "images": images(rows), "fills": fills}
    return Document(study.title, verdict(told), told, sections, setup, results)


def verdict(told: Sequence[Claim]) -> str:
    """How many of the paper's claims hold here, and what the controls say of them."""
    own = [claim for claim in told if claim.source == "paper"]
    counted = {v: sum(c.verdict == v for c in own) for v in (SUPPORTED, REFUTED, UNTESTED)}
    failed = [c.text[0].lower() + c.text[1:] for c in told if c.source == "control" and c.verdict == REFUTED]
    first = (
        f"Of {len(own)} claims of the abstract, here {counted[SUPPORTED]} supported, {counted[REFUTED]} not supported "
        f"and {counted[UNTESTED]} not testable."
    )
    return f"{first} Not shown by the controls: {'; '.join(failed)}." if failed else f"{first} No control fails."


def described(study: EvolvedExplanations, material: Material, device: str) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    height, width = material.batch.x.shape[-2:]
    search = study.search
    return (
        *versions().items(),
        ("device", device_named(device)),
        ("networks", ", ".join(material.networks)),
        ("images", f"{len(material.batch.x)} of {height} x {width} pixels"),
        ("seeds", str(study.seeds)),
        ("search", f"population {search.population}, {search.generations} generations"),
        ("segmenter", repr(search.segmenter)),
        ("fill", repr(search.fill)),
        ("batch size", str(search.batch_size)),
    )


def pictures(scenes: Sequence[Scene], titles: Sequence[str], rows: Sequence[Row], most: int) -> Pictures:
    """What each method selects under the first seed."""
    lines = [line(scene, i, titles[scene.first + i], rows) for scene in scenes for i in range(len(scene.images.x))]
    note = (
        "Under the first seed, what is not selected in the dark. Below: the probability of the class explained, and "
        "the share of the superpixels that is selected."
    )
    return Pictures("What they select", note, ("whole image", *SHOWN), tuple(lines[:most]))


def line(scene: Scene, i: int, image: str, rows: Sequence[Row]) -> tuple[Shown, ...]:
    """One image on one network."""
    network = scene.network
    x, segments = scene.images.x[i].cpu(), scene.images.segments[i].cpu()
    found = [only(rows, method, network, image)[0] for method in SHOWN]
    first = Shown(x, None, f"{image}, {network}: {found[0].whole:.3f}")
    return (first, *(Shown(x, region(r, segments), f"{r.probability:.3f}, {r.share:.0%}") for r in found))


def region(row: Row, segments: Tensor) -> Tensor:
    """The pixels that are selected."""
    return painted(row.mask[None], segments[None])[0]


def strips(rows: Sequence[Row]) -> Strips:
    """The probability under the mask, run by run."""
    shown = tuple(m for m in METHODS if only(rows, m) and m not in (SPARSE, BY_TEN))
    panels = tuple(
        Panel(
            f"{image}\n{network}",
            {m: tuple(r.probability for r in only(rows, m, network, image)) for m in shown},
            only(rows, ELIME_NAME, network, image)[0].whole,
        )
        for network, image in cells(rows)
    )
    note = (
        "A dot for each seed; the greedy selection knows no seed. Whatever is searched long enough is found: the best "
        "of a thousand masks tells something only where chance does not find as much."
    )
    return Strips("Probability of the prediction under the mask", note, "probability", "the whole image", panels)


def traces(rows: Sequence[Row]) -> Traces:
    """The best so far."""
    panels = tuple(
        Progression(
            f"{image}\n{network}",
            {m: tuple(r.trace for r in only(rows, m, network, image)) for m in GROWING},
            only(rows, ELIME_NAME, network, image)[0].whole,
        )
        for network, image in cells(rows)
    )
    note = "The best mask so far against the number of evaluations; a line for each seed."
    return Traces("The search", note, ("evaluations", "best probability"), "the whole image", panels)


def worth_table(rows: Sequence[Row], fills: Sequence[str]) -> Table:
    """What the masks of every method on every network are worth, over images and seeds."""
    headings = (
        *("", "network", "probability", "gain", "more probable", "share kept", "same over seeds", "by chance"),
        *(f"with {fill}" for fill in fills),
        *("on other networks", "without it"),
    )
    note = (
        "Means over images and seeds. More probable: in how many runs the class is more probable under the mask than "
        "for the whole image; then the same with other fills and on the other networks. Same over seeds: mean Jaccard "
        "index of the masks of two seeds, beside that of masks of this size at random. Without it: the probability "
        "when what is selected is replaced instead."
    )
    lines = tuple((method, network, *worth(own, len(fills))) for method, network, own in by_network(rows))
    return Table("What the masks are worth", note, headings, lines)


def by_network(rows: Sequence[Row]) -> list[tuple[str, str, list[Row]]]:
    """The runs of every method on every network."""
    networks = dict.fromkeys(r.network for r in rows)
    found = [(method, network, only(rows, method, network)) for network in networks for method in METHODS]
    return [(method, network, own) for method, network, own in found if own]


def worth(rows: Sequence[Row], fills: int) -> tuple[str, ...]:
    """The cells of one method on one network."""
    each = [only(rows, rows[0].method, *cell) for cell in cells(rows)]
    return (
        number(spread(r.probability for r in rows).mean),
        f"{spread(r.gain for r in rows).mean:+.3f}",
        part(improved(rows)),
        f"{spread(r.share for r in rows).mean:.0%}",
        number(spread(map(agreement, each)).mean, 2),
        number(spread(map(chance, each)).mean, 2),
        *(part(held(rows, i)) for i in range(fills)),
        part(carried(rows)),
        number(spread(r.removed for r in rows).mean),
    )


def cost_table(rows: Sequence[Row]) -> Table:
    """What every method took on every network."""
    headings = ("", "network", "evaluations", "s an image", "at most", "passed after", "passed in")
    note = (
        "Evaluations and seconds an image, on the device named below. Passed after: evaluations until the whole "
        "image's probability was passed, in those runs where it was."
    )
    return Table("What they cost", note, headings, tuple((m, n, *cost(own)) for m, n, own in by_network(rows)))


def cost(rows: Sequence[Row]) -> tuple[str, ...]:
    """The cells of one method on one network."""
    seconds, after = spread(r.seconds for r in rows), spread(r.passed for r in rows)
    return (
        f"{spread(r.evaluations for r in rows).mean:,.0f}",
        number(seconds.mean, 2),
        number(seconds.max, 2),
        number(after.mean, 0),
        part((after.runs, len(rows))),
    )


def image_table(rows: Sequence[Row]) -> Table:
    """Every method on every image, with the spread over the seeds."""
    headings = ("", "method", "whole image", "mean", "sd", "min", "max", "share kept", "same over seeds")
    lines = []
    for network, image in cells(rows):
        for method in METHODS:
            if own := only(rows, method, network, image):
                found, kept = spread(r.probability for r in own), spread(r.share for r in own).mean
                numbers = (own[0].whole, found.mean, found.sd, found.min, found.max)
                told = (*map(number, numbers), f"{kept:.0%}", number(agreement(own), 2))
                lines.append((f"{image}, {network}", method, *told))
    note = "Probability of the class explained under the masks of all seeds."
    return Table("Image by image", note, headings, tuple(lines))


def plainly(fill: str) -> str:
    """``image mean`` for ``ImageMeanFill``."""
    return re.sub("(?<!^)(?=[A-Z])", " ", fill.removesuffix("Fill")).lower()


def number(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def part(counted: tuple[int, int]) -> str:
    return f"{counted[0]}/{counted[1]}" if counted[1] else "–"


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every run as plain data; masks as texts of 0 and 1."""
    return [
        r._asdict() | {"mask": "".join(map(str, r.mask.int().tolist())), "gain": r.gain, "share": r.share} for r in rows
    ]


def images(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every method on every image and network, summed up over the seeds."""
    runs = [(*cell, method, only(rows, method, *cell)) for cell in cells(rows) for method in METHODS]
    return [{"network": n, "image": i, "method": m, **summed(own)} for n, i, m, own in runs if own]


def summed(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean, sd, min and max of what was measured under every seed."""

    def over(name: str) -> dict[str, float]:
        found: Spread = spread(float(getattr(r, name)) for r in rows)
        return found._asdict()

    measured = ("probability", "gain", "share", "removed", "seconds", "evaluations", "passed")
    told = {name: over(name) for name in measured}
    return {"whole": rows[0].whole, **told, "agreement": agreement(rows), "agreement_by_chance": chance(rows)}
