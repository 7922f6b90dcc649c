"""The paper's figures 2 to 15, redrawn from our own runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from ..metrics import Under
from ..study import Bars, Chart, Line, Lines, Pictures, Section, Series, Shown
from ..types import Metric
from . import lime_arms as arms
from .gains import spread
from .lime_found import Found, corruption_name, each_epoch, losses
from .lime_published import CORRUPTED, NOTHING, PUBLISHED, Pair

Curve = Sequence[tuple[float, float]]
DRAWN = (arms.BASELINE, arms.LITERAL, arms.FULL, arms.FGSM_ONLY, arms.BEST)
NUMBERS = {"CIFAR-10": ("2, 3", "4, 5"), "CIFAR-100": ("6, 7", "8, 9")}


def figures(f: Found) -> list[Section]:
    """All drawings of one trial; those of the paper are named by their numbers there."""
    epochs, eps = NUMBERS.get(f.trial.published, ("", ""))
    drawn: list[Section] = [over_epochs(f, epochs), against_eps(f, eps)]
    if f.trial.corruptions:
        drawn += [corrupted_epochs(f), *corrupted_bars(f)]
    return [*drawn, pictures(f)] if f.seen[0].scenes else drawn


def heading(f: Found, text: str, numbers: str) -> str:
    """``CIFAR-10: accuracy against eps (Fig. 4, 5)``"""
    return f"{f.trial.name}: {text}" + (f" (Fig. {numbers} of the paper)" if numbers else "")


def present(f: Found, names: Sequence[str] = DRAWN) -> list[str]:
    """The arms that a drawing shows."""
    return [name for name in names if name in f.names]


def averaged(name: str, curves: Sequence[Curve], scale: float = 1.0) -> list[Line]:
    """The mean over the seeds with the lowest and the highest; nothing without curves."""
    if not curves:
        return []
    values = scale * np.array([[y for _, y in curve] for curve in curves])
    x = [x for x, _ in curves[0]]
    band = tuple(zip(values.min(0).tolist(), values.max(0).tolist(), strict=True)) if len(curves) > 1 else ()
    return [Line(name, tuple(zip(x, values.mean(0).tolist(), strict=True)), band)]


def over_epochs(f: Found, numbers: str) -> Lines:
    """Accuracy on test images and training loss, epoch by epoch."""
    clean = PUBLISHED.get(f.trial.published, NOTHING).clean
    accuracy = [line for n in present(f) for line in averaged(n, each_epoch(f, n, repr(arms.CLEAN)), 100)]
    accuracy += ends(accuracy, clean)
    loss = [line for name in present(f) for line in averaged(name, losses(f, name))]
    note = (
        f"The mean over the seeds, from the lowest to the highest of them. Accuracy in per cent on "
        f"{f.trial.recipe.watched} test images; the loss is the sum of all terms that an arm trains with: those of "
        "different arms are not the same thing. Epochs of the refined arms are those of their rounds, which go on "
        "from the baseline. Marks without a line: where the paper's curves end, by its text."
    )
    charts = (Chart("accuracy, %", tuple(accuracy)), Chart("training loss", tuple(loss)))
    return Lines(heading(f, "accuracy and loss over the epochs", numbers), note, ("epoch", ""), charts, together=False)


def ends(lines: Sequence[Line], published: Pair) -> list[Line]:
    """What is published, at the end of our curves."""
    last = max((line.points[-1][0] for line in lines), default=0.0)
    known = zip((arms.BASELINE, refined_name(lines)), published, strict=True)
    return [Line(name, ((last, value),), published=True) for name, value in known if value is not None and name]


def refined_name(lines: Sequence[Line]) -> str:
    """The arm that stands for the paper's refined model."""
    names = [line.name for line in lines]
    return next((name for name in arms.REFINED if name in names), "")


def against_eps(f: Found, numbers: str) -> Lines:
    """Accuracy under FGSM and under PGD."""
    known = PUBLISHED.get(f.trial.published, NOTHING)
    attacks = (("FGSM", arms.fgsm, known.fgsm), ("PGD-40", arms.pgd, known.pgd))
    charts = tuple(Chart(f"under {name}", tuple(swept(f, attacked, p))) for name, attacked, p in attacks)
    note = "Accuracy in per cent, 95 % intervals over the images. Marks without a line: the paper's numbers."
    return Lines(heading(f, "accuracy against eps", numbers), note, ("eps", "accuracy, %"), charts, log=True)


def swept(f: Found, attacked: Callable[[float], Metric], published: dict[float, Pair]) -> list[Line]:
    """A line for each arm, and the published numbers."""
    lines = []
    for name in present(f):
        spreads = [(eps, f.spread(name, attacked(eps))) for eps in arms.EPS]
        known = [(eps, s) for eps, s in spreads if s is not None]
        band = tuple((100 * s.low, 100 * s.high) for _, s in known)
        lines += [Line(name, tuple((eps, 100 * s.mean) for eps, s in known), band)] if known else []
    for i, name in enumerate((arms.BASELINE, refined_name(lines))):
        known_there = ((eps, pair[i]) for eps, pair in published.items())
        marks = tuple((eps, value) for eps, value in known_there if value is not None)
        lines += [Line(name, marks, published=True)] if marks and name else []
    return lines


def corrupted_epochs(f: Found) -> Lines:
    """Accuracy under each corruption, epoch by epoch, of the baseline and of the refined model."""
    watched = [m for m in f.trial.recipe.each_epoch if isinstance(m, Under)]
    charts = []
    for name in filter(None, (arms.BASELINE, f.refined)):
        lines = [
            line for m in watched for line in averaged(corruption_name(m.corruption), each_epoch(f, name, repr(m)), 100)
        ]
        charts.append(Chart(name, tuple(line._replace(band=()) for line in lines)))
    note = f"Accuracy in per cent on {f.trial.recipe.watched} corrupted test images after every epoch, over the seeds."
    title = heading(f, "accuracy under corruption over the epochs", "10, 11" if f.trial.published == "CIFAR-10" else "")
    return Lines(title, note, ("epoch", "accuracy, %"), tuple(charts))


def corrupted_bars(f: Found) -> list[Section]:
    """Baseline and refined under each corruption, without attack and under the paper's attacks."""
    measured: list[tuple[str, Metric, dict[str, Pair], str]] = [("no attack", arms.CLEAN, {}, "")]
    theirs = f.trial.published == "CIFAR-10"
    numbers = dict(zip(CORRUPTED, ("12", "13", "14", "15") if theirs else [""] * 4, strict=True))
    attacks = {"FGSM": arms.fgsm, "PGD": arms.pgd}
    for (name, eps), known in CORRUPTED.items():
        measured.append((f"{name}, {eps}", attacks[name](eps), known if theirs else {}, numbers[name, eps]))
    return [
        Bars(
            heading(f, f"under corruption, {name}", number),
            "Accuracy in per cent, 95 % intervals over the images"
            + ("; diamonds: the paper's numbers." if theirs else "."),
            "accuracy, %",
            tuple(f.kinds),
            ((name, tuple(series(f, metric, known))),),
        )
        for name, metric, known, number in measured
    ]


def series(f: Found, metric: Metric, published: dict[str, Pair]) -> list[Series]:
    """A series for each arm that was measured under corruption."""
    found = []
    for name in present(f, f.trial.corrupted_arms):
        tables = [f.under(name, metric, kind) for kind in f.kinds]
        spreads = [None if table is None else spread(table) for table in tables]
        values = tuple((100 * s.mean, 100 * s.low, 100 * s.high) for s in spreads if s is not None)
        side = {arms.BASELINE: 0, f.refined: 1}.get(name)
        known = [published.get(kind, (None, None)) for kind in f.kinds]
        marks = tuple(pair[side] for pair in known) if side is not None and published else ()
        if len(values) == len(spreads):
            found.append(Series(name, values, marks))
    return found


def pictures(f: Found) -> Pictures:
    """Training images with what each rule calls spurious in the dark."""
    rules = [n for n in (arms.LITERAL, arms.FULL, arms.BEST, arms.AGGREGATED) if n in f.seen[0].scenes[0].spurious]
    rows = tuple(
        (Shown(s.x, None, s.caption), *(Shown(s.x, ~s.spurious[n], share(s.spurious[n])) for n in rules))
        for s in f.seen[0].scenes
    )
    note = "Training images, and in the dark what each arm's detector calls spurious in them, in the baseline."
    return Pictures(heading(f, "what is called spurious", ""), note, ("image", *rules), rows)


def share(region: Tensor) -> str:
    """How much of an image that is."""
    return f"{100 * region.float().mean().item():.0f} %"
