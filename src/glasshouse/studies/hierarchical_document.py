"""The document on attacks on two levels: claims, the paper's tables and figures, and everything as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..statistics import Estimate, estimate
from ..study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim, Document, Section, Table
from ..versions import device_named, versions
from . import hierarchical_ways as ways
from .coarse_to_fine_document import COARSE, FINE, named
from .hierarchical_claims import claims, comparable, flat, fools, imperceptible, negative, parallel
from .hierarchical_compared import against, counted, main, tried
from .hierarchical_figures import figures
from .hierarchical_found import EXPLAINABILITY, LEVELS, MOVED, PERCEPTIBILITY, Bout, Degenerate
from .hierarchical_measured import readings
from .hierarchical_published import INCONSISTENCIES, PUBLISHED
from .hierarchical_tables import RIVALS, degenerate, tables

if TYPE_CHECKING:
    from .hierarchical_attacks import HierarchicalAttacks, LevelTrial


def document(study: HierarchicalAttacks, bouts: Sequence[Bout], bare: Degenerate | None, device: str) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    told = claims(bouts, bare)
    sections: list[Section] = [section for b in bouts for section in (*tables(b), *figures(b))]
    losses = [d for d in (*(b.degenerate for b in bouts), bare) if d and d.values]
    sections += [degenerate(losses)] if losses else []
    sections.append(inconsistencies(bouts))
    setup = described(study, bouts, device)
    return Document(study.title, verdict(told, bouts), told, tuple(sections), setup, results(bouts, losses, setup))


def verdict(told: Sequence[Claim], bouts: Sequence[Bout]) -> str:
    """How many claims hold, what the attack fools, and what relevance adds to the margin."""
    parts = []
    for source, text, kinds in (
        ("paper", "claims of the paper", (REPRODUCED, NOT_REPRODUCED, UNTESTED)),
        ("control", "controls", (SUPPORTED, REFUTED, UNTESTED)),
    ):
        own = [claim.verdict for claim in told if claim.source == source]
        parts.append(f"Of {len(own)} {text}: {', '.join(f'{own.count(v)} {v}' for v in kinds if v in own)}.")
    return " ".join((*parts, *(sentence(b) for b in bouts)))


def sentence(b: Bout) -> str:
    """What matters about one classifier."""
    own, control = main(b, ways.LRP), main(b, ways.MARGIN)
    ratios = [(level, b.fooling(level, own)) for level in LEVELS if b.has(level, own)]
    fooled = " and ".join(f"{100 * e.mean:.1f} % on the {level} level" for level, e in ratios if e.count)
    beside = "; ".join(f"{level} {text}" for level in LEVELS if (text := gained(b, level, own, control)))
    parts = [f"{own} fools {fooled}"] if fooled else []
    parts += [f"over the same steps down the margin it explains itself, {beside}"] if beside else []
    return f"{b.trial.name}: {'; '.join(parts)}." if parts else ""


def gained(b: Bout, level: str, own: str, control: str) -> str:
    """``better by 9 and worse by 1 of 10 measures, overlap with Grad-CAM +0.07 [+0.06, +0.09]``"""
    a = against(b, level, own, control)
    if a is None:
        return ""
    text = f"better by {len(a.significant(1))} and worse by {len(a.significant(-1))} of {len(a.gains)} measures"
    g = a.gains.get("overlap_judge")
    return f"{text}, overlap with Grad-CAM {g.difference:+.3f} [{g.low:+.3f}, {g.high:+.3f}]" if g else text


def described(study: HierarchicalAttacks, bouts: Sequence[Bout], device: str) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    rows = []
    for b in bouts:
        h, right = b.hierarchy, {level: estimate(b.right(level).double().numpy()) for level in LEVELS}
        told = ", ".join(f"{level} {100 * e.mean:.1f} % right" for level, e in right.items())
        classes = f"{h.covered} of {len(h.fine)} classes in {len(h.coarse)} superclasses"
        rows.append((b.trial.name, f"{kind(b.trial)}; {classes}; {right['coarse'].count} images, {told}"))
    theirs = f"VGG-16, 393 classes in 8 superclasses; coarse {COARSE:.0%}, fine {FINE[0]:.0%} to {FINE[1]:.0%} right"
    used = (("device", device_named(device)), ("seed", str(study.seed)))
    return (*versions().items(), *used, *rows, ("in the paper", theirs))


def kind(trial: LevelTrial) -> str:
    """A flat network or two stages, and how long they were trained here."""
    trained = f", {trial.training.epochs} epochs" if trial.training.epochs else ""
    if trial.fine is not None:
        return f"two stages, {named(trial.model)} and {named(trial.fine)}{trained}"
    return f"{named(trial.model)}{trained}"


def inconsistencies(bouts: Sequence[Bout]) -> Table:
    """What the paper says that does not agree with itself, and what these runs say of it."""
    rows = tuple(
        (text, "; ".join(f"{b.trial.name}: {found}" for b in bouts if (found := seen(word, b))) or "–")
        for word, text in INCONSISTENCIES
    )
    note = "What contradicts what in the paper, and what these runs have to say of it."
    return Table("Where the paper contradicts itself", note, ("in the paper", "here"), rows, named=2)


def seen(word: str, b: Bout) -> str:
    """Our number on an inconsistency, nothing where there is none."""
    own, by_eps = main(b, ways.LRP), tried(b, ways.LRP)
    match word:
        case "inert" if b.degenerate.values:
            return flat(b.degenerate).measured
        case "margin" if b.degenerate.values:
            return parallel(b.degenerate).measured
        case "negative" if b.pictures:
            return negative(b).measured
        case "monotone" if by_eps:
            return "; ".join(f"rho_1 {sizes(b, level)} ({level})" for level in LEVELS)
        case "counting" if b.has("coarse", own):
            return fools(b, "coarse").measured
        case "comparable" if b.has("coarse", own, ways.SMALL_PGD):
            return comparable(b, own, ways.SMALL_PGD, "rho_inf").measured
        case "imperceptible" if by_eps:
            return imperceptible(b, max(by_eps)).measured
        case "measured" if a := against(b, "coarse", own, main(b, ways.SAME_PGD)):
            return f"against PGD of the same eps {counted(a)}"
    return ""


def sizes(b: Bout, level: str) -> str:
    """rho_1 of the LRP attack, eps by eps."""
    means = [b.over_right(level, way, "rho_1").mean for way in tried(b, ways.LRP).values()]
    return ", ".join(f"{mean:.4f}" for mean in means)


def results(bouts: Sequence[Bout], losses: Sequence[Degenerate], setup: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Means and intervals as plain data, the paper's numbers beside them."""
    return {
        "setup": dict(setup),
        "trials": {b.trial.name: {level: plain(b, level) for level in LEVELS} for b in bouts},
        "loss as printed": {d.name: by_reading(d) for d in losses},
        "published": {level: {way: row._asdict() for way, row in t.items()} for level, t in PUBLISHED.items()},
    }


def by_reading(d: Degenerate) -> list[dict[str, Any]]:
    """The loss in one network at each image, by every reading."""
    return [
        {"starts from": reading.start, "rules": reading.rules, "p": reading.p}
        | {name: values[i].tolist() for name, values in d.values.items()}
        for i, reading in enumerate(readings())
    ]


def plain(b: Bout, level: str) -> dict[str, Any]:
    """One level of a classifier under all attacks."""
    own = main(b, ways.LRP)
    rivals = (main(b, rival) for rival in RIVALS)
    return {
        "right": as_data(estimate(b.right(level).double().numpy())),
        "ways": {way: of_way(b, level, way) for way in b.values[level]},
        "gains": {
            f"{own} over {rival}": {"images": a.shared} | {m: g._asdict() for m, g in a.gains.items()}
            for rival in rivals
            if (a := against(b, level, own, rival)) is not None
        },
    }


def of_way(b: Bout, level: str, way: str) -> dict[str, Any]:
    """Who is fooled, norms over all that were right, and everything over those that are fooled."""
    measures = (*PERCEPTIBILITY, *EXPLAINABILITY, *MOVED, "inside", "area")
    return {
        "fooled": as_data(b.fooling(level, way)),
        "fooled, of all images": as_data(b.generous(level, way)),
        "over those that were right": {m: as_data(b.over_right(level, way, m)) for m in PERCEPTIBILITY},
        "over those that are fooled": {m: as_data(e) for m in measures if (e := b.value(level, way, m)).count},
    }


def as_data(e: Estimate) -> dict[str, float]:
    """A mean, its interval and its number of images."""
    return e._asdict()
