"""What :class:`LIMERefinement` found, as texts, tables and drawings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..attacks import StandardEnsemble
from ..metrics import Stability
from ..study import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNTESTED,
    Claim,
    Document,
    Section,
    Table,
)
from ..titles import title
from ..types import Corruption, Metric
from ..versions import device_named, versions
from . import lime_arms as arms
from .gains import Spread, points
from .lime_claims import claims
from .lime_figures import figures
from .lime_found import Found
from .lime_inconsistencies import inconsistencies
from .lime_published import NOTHING, PUBLISHED
from .lime_verdicts import costs, per_cent

if TYPE_CHECKING:
    from .lime_refinement import LIMERefinement

NARROW = "\u00a0"  # a space that no line breaks at
ATTACKS: tuple[tuple[str, Callable[[float], Metric]], ...] = (("FGSM", arms.fgsm), ("PGD", arms.pgd))


def document(study: LIMERefinement, found: Sequence[Found], device: str) -> Document:
    """Everything that the report shows, and everything for ``results.json``."""
    told = claims(found)
    sections: list[Section] = []
    for f in found:
        sections += [published_table(f)] if f.trial.published else []
        sections += [grid_table(f), *figures(f)]
    sections += [cost_table(found), rounds_table(found), inconsistencies(found)]
    setup = described(study, found, device)
    return Document(study.title, verdict(told, found), told, tuple(sections), setup, results(study, found, setup))


def verdict(told: Sequence[Claim], found: Sequence[Found]) -> str:
    """How many of the paper's claims hold here, and what the explanations bought."""
    own = [claim.verdict for claim in told if claim.source == "paper"]
    counted = ", ".join(f"{own.count(v)} {v}" for v in (REPRODUCED, NOT_REPRODUCED, UNTESTED) if v in own)
    first = f"Of {len(own)} claims of the paper: {counted}. " if own else ""
    return first + " ".join(filter(None, map(bought, found)))


def bought(f: Found) -> str:
    """What the explanations bought on one trial."""
    where = "in test" if f.has_shortcut else "under PGD at 0.03"
    pairs = (*((name, arms.FGSM_ONLY) for name in arms.REFINED), (arms.BEST, arms.BEST_UNGUIDED))
    gains = [(own, other, f.gain(own, other, f.deciding)) for own, other in pairs]
    parts = [f"{own} {points(g)} over {other}" for own, other, g in gains if g is not None]
    return f"What the explanations bought on {f.trial.name}, {where}: {'; '.join(parts)}." if parts else ""


def described(study: LIMERefinement, found: Sequence[Found], device: str) -> tuple[tuple[str, str], ...]:
    """With what it was made, without anything about the machine's folders."""
    trials = (
        f"{f.trial.name}: {f.seen[0].counts[0]:,} training images, {f.seen[0].counts[1]:,} test images, "
        f"{type(f.trial.recipe.model).__name__}, {f.trial.recipe.training.epochs} epochs and "
        f"{f.trial.recipe.rounds} rounds of {f.trial.recipe.refining.epochs}"
        for f in found
    )
    return (
        *versions().items(),
        ("device", device_named(device)),
        ("seeds", ", ".join(map(str, study.under()))),
        ("trials", "; ".join(trials)),
    )


def published_table(f: Found) -> Table:
    """The paper's numbers beside ours."""
    numbers = PUBLISHED.get(f.trial.published, NOTHING)
    shown = [name for name in (arms.BASELINE, arms.LITERAL, arms.FULL, arms.FGSM_ONLY, arms.BEST) if name in f.names]
    rows = [("clean", *map(per_cent, numbers.clean), *cells(f, shown, arms.CLEAN))]
    for name, attacked in ATTACKS:
        known = numbers.fgsm if name == "FGSM" else numbers.pgd
        for eps in arms.EPS:
            published = known.get(eps, (None, None))
            rows.append((f"{name}, {eps}", *map(per_cent, published), *cells(f, shown, attacked(eps))))
    note = (
        "Accuracy in per cent: the mean over images and seeds, ± the standard deviation over the seeds, and the 95 % "
        "interval over the images. Attacks are the paper's: PGD takes 40 steps of 0.01 without a random start. "
        f"{arms.LITERAL}: the paper as printed; {arms.FULL}: 'irrelevant' read as evidence against the class."
    )
    columns = ("", "published: baseline", "published: refined", *shown)
    return Table(f"{f.trial.name}: the published numbers beside ours", note, columns, tuple(rows), named=1)


def cells(f: Found, names: Sequence[str], metric: Metric) -> tuple[str, ...]:
    """A cell for each arm."""
    return tuple(cell(f.spread(name, metric)) for name in names)


def cell(own: Spread | None, scale: float = 100, digits: int = 1) -> str:
    """``39.2 ± 0.4 [38.1, 40.2]``, which breaks before the interval only."""
    if own is None or math.isnan(own.mean):
        return "–"
    mean, low, high = (f"{scale * value:.{digits}f}" for value in (own.mean, own.low, own.high))
    sd = "" if math.isnan(own.sd) else f"{NARROW}±{NARROW}{scale * own.sd:.{digits}f}"
    return f"{mean}{sd} [{low},{NARROW}{high}]"


def grid_table(f: Found) -> Table:
    """Every arm: what each part of the method does."""
    metrics = (arms.CLEAN, arms.fgsm(0.03), arms.pgd(0.03), arms.STANDARD_PGD, f.ensemble)
    known = [m for m in metrics if m is not None and any(f.spread(name, m) for name in f.names)]
    steady = [m for m in f.stabilities if any(f.spread(name, m) for name in f.names)]
    rows = [
        (
            name,
            *(cell(f.spread(name, m)) for m in known),
            beyond(f, name),
            *(cell(f.spread(name, m), 1, 2) for m in steady),
        )
        for name in f.names
    ]
    note = (
        f"Accuracy in per cent, ± over the seeds, and its 95 % interval over the images. Beyond FGSM: {under(f)}, "
        f"points above '{arms.FGSM_ONLY}', paired over images. Arms named as controls take as many rounds as the arm "
        "that they are the control of. Stability: rank correlation of attributions before and after a little noise."
    )
    columns = ("", *map(short, known), "beyond FGSM", *(f"stability, {brief_name(m)}" for m in steady))
    return Table(f"{f.trial.name}: what each part does", note, columns, tuple(rows), named=1)


def brief_name(metric: Stability) -> str:
    """The explainer's class."""
    return type(metric.explainer).__name__


def short(metric: Metric) -> str:
    """A column's heading."""
    names = {repr(arms.CLEAN): "clean", repr(arms.STANDARD_PGD): "PGD-40, random start, 0.03"}
    attack = getattr(metric, "attack", None)
    if isinstance(attack, StandardEnsemble):
        return "ensemble, 0.03" + ("" if attack.budget == 1 else f", {100 * attack.budget:g} % of its budget")
    names |= {repr(arms.fgsm(0.03)): "FGSM, 0.03", repr(arms.pgd(0.03)): "PGD, 0.03"}
    return names.get(repr(metric), title(metric).removeprefix("accuracy, "))


def under(f: Found) -> str:
    """What the gain is measured on."""
    return "clean, since the shortcut means nothing in test" if f.has_shortcut else "under PGD at 0.03"


def beyond(f: Found, name: str) -> str:
    """Points above training by FGSM alone."""
    g = f.gain(name, arms.FGSM_ONLY, f.deciding)
    if g is None or name == arms.FGSM_ONLY:
        return "–"
    return f"{100 * g.difference:+.1f} [{100 * g.low:+.1f},{NARROW}{100 * g.high:+.1f}]"


def cost_table(found: Sequence[Found]) -> Table:
    """What explaining and detecting takes beside training."""
    rows = []
    for f in found:
        for name in f.names:
            share = costs(f, name)
            if not math.isnan(share):
                rows.append((f.trial.name, name, *seconds(f, name), f"{100 * share:.0f} %", memory(f, name)))
    note = (
        "Seconds of a round, the mean over rounds and seeds, and the share that explaining and detecting adds to "
        "training. Memory: the peak, of tensors on a GPU, of the whole process on a CPU. An arm whose first detection "
        "is an earlier arm's has only its later ones here."
    )
    columns = ("", "arm", "training, s", "detecting, s", "added", "peak memory, MiB: training / detecting")
    return Table("What a round costs", note, columns, tuple(rows))


def seconds(f: Found, name: str) -> tuple[str, str]:
    """Mean seconds of a round's training and of a detection."""
    training, detecting = (f"{float(np.mean(noted)):.1f}" for noted in f.noted(name, "seconds"))
    return training, detecting


def memory(f: Found, name: str) -> str:
    """Peaks of training and detecting."""
    peaks = [max(noted, default=0.0) for noted in f.noted(name, "memory")]
    return " / ".join(f"{peak:,.0f}" for peak in peaks)


def rounds_table(found: Sequence[Found]) -> Table:
    """How the set of spurious features went over the rounds."""
    rows = []
    for f in found:
        for name in f.seen[0].steps:
            runs = [seen.steps[name] for seen in f.seen if name in seen.steps]
            least = min(map(len, runs))
            areas = " → ".join(f"{100 * float(np.mean([run[i].area for run in runs])):.1f}" for i in range(least))
            new = " → ".join(f"{100 * float(np.mean([run[i].new for run in runs])):.0f}" for i in range(1, least))
            rows.append((f.trial.name, name, areas, new, truth(f, name)))
    note = (
        "Share of the pixels that is flagged at the start of every round, which adds up over the rounds, and at last "
        "what the refined model itself shows; the share of flags that are new each time. Where a shortcut is planted: "
        "how well the first flags agree with it."
    )
    columns = ("", "arm", "flagged, % of the pixels", "new flags, %", "precision / recall / AUROC")
    return Table("The set of spurious features over the rounds", note, columns, tuple(rows))


def truth(f: Found, name: str) -> str:
    """How well the first detection agrees with what is planted, the mean over the seeds."""
    first = [seen.quality[name][0] for seen in f.seen if seen.quality.get(name)]
    known = [q for q in first if q is not None]
    if not known:
        return "–"
    told = []
    for values in zip(*known, strict=True):
        present = [v for v in values if v is not None]
        told.append(f"{float(np.mean(present)):.2f}" if present else "–")
    return " / ".join(told)


def results(study: LIMERefinement, found: Sequence[Found], setup: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Means, intervals and seeds as plain data."""
    return {"setup": dict(setup), "trials": {f.trial.name: plain(f, study) for f in found}}


def plain(f: Found, study: LIMERefinement) -> dict[str, Any]:
    """One trial."""
    metrics = list(dict.fromkeys((*f.trial.recipe.metrics, *study.close)))
    corrupted = {
        name: {repr(c): spreads(f, name, study.corrupted, c) for c in f.trial.corruptions}
        for name in f.trial.corrupted_arms
        if f.trial.corruptions and name in f.names
    }
    return {
        "published": f.trial.published,
        "arms": {name: spreads(f, name, metrics, None) for name in f.names},
        "corrupted": corrupted,
        "rounds": {name: [[s._asdict() for s in seen.steps[name]] for seen in f.seen] for name in f.seen[0].steps},
        "seconds": [seen.seconds for seen in f.seen],
        "memory": [seen.memory for seen in f.seen],
    }


def spreads(f: Found, name: str, metrics: Sequence[Metric], corruption: Corruption | None) -> dict[str, Any]:
    """Mean, interval and the seeds' means of everything that was measured of an arm."""
    known = {repr(m): f.spread(name, m, corruption) for m in metrics}
    return {metric: own._asdict() for metric, own in known.items() if own is not None}
