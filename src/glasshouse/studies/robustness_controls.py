"""What has to hold, or else the claims about robustness and interpretability mean less."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from statistics import median

import numpy as np

from ..explainers import OfRandomisedModel, RandomMap
from ..metrics import LocalLipschitz, MaxSensitivity, RelativeOutputStability, WorstCaseSensitivity
from ..study import REFUTED, SUPPORTED, UNTESTED, Claim
from .gains import LEVEL, MISSING, Judged, gain, points
from .model_survey_found import Row
from .robustness_claims import CONCISE, STABLE, ends, of_the_paper, told
from .robustness_found import Found, counted
from .robustness_ways import RobustTraining


def claims(trials: Sequence[Found]) -> tuple[Claim, ...]:
    """The claims on every set of models, then the controls."""
    return (*(c for f in trials for c in of_the_paper(f)), *(c for f in trials for c in controls(f)))


def controls(f: Found) -> list[Claim]:
    """What has to hold, or else the rest means less."""

    def control(text: str, judged: Judged) -> Claim:
        return Claim(f"{f.trial.name}: {text}", "control", judged.verdict, "–", judged.measured)

    rows = [
        control("adversarial accuracy grows with the eps of training", axis(f)),
        control("explanations are more faithful than maps by lot, in the most robust model", over_chance(f)),
        control("with random weights, training makes no difference to conciseness", random_weights(f)),
        control("the unscaled Lipschitz constant falls more than the scale-free one", by_scale(f)),
        control("relative to the output, maps by lot stay as stable", output_by_lot(f)),
        control("a search finds less stable points than sampling does", searched(f)),
    ]
    return [row for row in rows if row.measured != MISSING.measured]


def output_by_lot(f: Found) -> Judged:
    """What explains nothing loses no stability relative to the output; else the output alone has become stiffer."""
    both = ends(f)
    found = {c: c.metric for c in f.cells(STABLE, baselines=True) if isinstance(c.explainer, RandomMap)}
    looks = [c for c, metric in found.items() if isinstance(metric, RelativeOutputStability)]
    gains = [] if both is None else [f.gain(cell, both[1], both[0]) for cell in looks]
    known = [g for g in gains if isfinite(g.difference)]
    if not known:
        return MISSING
    shown = "; ".join(points(g, 1) for g in known)
    return Judged(REFUTED if counted(known).worse else SUPPORTED, shown)


def axis(f: Found) -> Judged:
    """The axis of robustness is one."""
    curve = f.curve()
    if len(curve) < 3:
        return MISSING
    means = [float(np.mean([f.robust(name).mean for name in f.seeds_of(way)])) for way in curve]
    rising = all(b >= a for a, b in pairwise(means)) and means[-1] > means[0]
    shown = ", ".join(f"{100 * m:.1f}" for m in means)
    return Judged(SUPPORTED if rising else REFUTED, f"{shown} % at eps {', '.join(f'{255 * w.eps:g}' for w in curve)}")


def over_chance(f: Found) -> Judged:
    """Faithfulness of each explainer against that of a random map, in the most robust model."""
    best = f.names[int(f.axis.argmax())]
    gains, measured = [], set(f.cells(("faithfulness",), baselines=True))
    for cell in f.cells(("faithfulness",)):
        lots = Row(cell.metric, RandomMap())
        if lots in measured and cell.better:
            own, rival = (cell.better * f.values(c, [best]) for c in (cell, lots))
            gains.append(gain(own, rival))
    known = [g for g in gains if isfinite(g.difference)]
    if not known:
        return MISSING
    count = counted(known)
    return Judged(SUPPORTED if count.mostly else REFUTED, told(count))


def random_weights(f: Found) -> Judged:
    """Conciseness of maps by random weights does not know how a model was trained."""
    both = ends(f)
    looks = [c for c in f.cells(CONCISE, baselines=True) if isinstance(c.explainer, OfRandomisedModel)]
    if both is None or not looks:
        return MISSING
    explained = set(f.cells(CONCISE))
    looks = [cell for cell in looks if plain(cell) in explained]
    pairs = [(f.gain(cell, both[1], both[0]), f.gain(plain(cell), both[1], both[0])) for cell in looks]
    known = [(control, own) for control, own in pairs if isfinite(control.difference) and own.p < LEVEL]
    if not known:
        return Judged(UNTESTED, "training makes no difference with the model's own weights") if pairs else MISSING
    holds = all(abs(control.difference) < 0.2 * abs(own.difference) for control, own in known)
    shown = "; ".join(f"{points(control, 1)} against {points(own, 1)}" for control, own in known)
    return Judged(SUPPORTED if holds else REFUTED, shown)


def plain(cell: Row) -> Row:
    """The same by the weights as they are."""
    explainer = cell.explainer
    return Row(cell.metric, explainer.explainer if isinstance(explainer, OfRandomisedModel) else explainer)


def by_scale(f: Found) -> Judged:
    """What falls with the size of gradients alone says nothing about stability."""
    both = ends(f)
    found = {c: c.metric for c in f.cells(STABLE) if isinstance(c.metric, LocalLipschitz)}
    raw = [c for c, metric in found.items() if not metric.scale_free]
    free = {c.explainer: c for c, metric in found.items() if metric.scale_free}
    if both is None or not raw or not free:
        return MISSING
    pairs = [(fallen(f, cell, both), fallen(f, free[cell.explainer], both)) for cell in raw if cell.explainer in free]
    ratios = [pair for pair in pairs if all(map(isfinite, pair))]
    if not ratios:
        return MISSING
    holds = sum(high > low for high, low in ratios)
    text = f"divided by {median(h for h, _ in ratios):.1f} and by {median(w for _, w in ratios):.1f} in the median"
    return Judged(SUPPORTED if 2 * holds > len(ratios) else REFUTED, f"{text}, in {holds} of {len(ratios)} explainers")


def fallen(f: Found, cell: Row, both: tuple[RobustTraining, RobustTraining]) -> float:
    """By what a mean is divided from the first way to the second; NaN where the second is 0."""
    before, after = (float(f.values(cell, f.seeds_of(way)).nanmean()) for way in both)
    return before / after if after else np.nan


def searched(f: Found) -> Judged:
    """The worst case that a search finds against the largest of random samples, in each model."""
    worst = {c.explainer: c for c in f.cells(STABLE) if isinstance(c.metric, WorstCaseSensitivity)}
    drawn = {c.explainer: c for c in f.cells(STABLE) if isinstance(c.metric, MaxSensitivity)}
    pairs = [(f.values(worst[e]).nanmean(1), f.values(drawn[e]).nanmean(1)) for e in worst if e in drawn]
    pairs = [pair for pair in pairs if all(bool(t.isfinite().all()) for t in pair)]
    if not pairs:
        return MISSING
    higher = sum(int((a > b).sum()) for a, b in pairs)
    total = sum(len(a) for a, _ in pairs)
    times = median(float(x) for a, b in pairs for x in a / b)
    return Judged(
        SUPPORTED if higher == total else REFUTED,
        f"in {higher} of {total} (model and explainer), {times:.2f} times in the median",
    )
