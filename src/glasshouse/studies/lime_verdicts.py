"""Verdicts on what the paper on LIME-guided refinement claims, each with the number that decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from ..checks.check import FAIL
from ..metrics import Accuracy
from ..study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED
from ..types import Metric
from . import lime_arms as arms
from .gains import MISSING, Judged, gain, points, spread
from .lime_found import Found, losses, mean_over
from .lime_published import PUBLISHED, Pair

NEAR = 5.0  # points around the paper's baseline within which levels can be compared
COST = 0.25  # of a round's training time, what explaining and detecting may take


def better(f: Found, metrics: Sequence[Metric]) -> Judged:
    """The refined model above the baseline, significantly, in all of the metrics."""
    gains = [f.gain(f.refined, arms.BASELINE, metric) for metric in metrics]
    present = [g for g in gains if g is not None]
    if len(present) < len(gains) or not gains:
        return MISSING
    told = "; ".join(points(g, 100 if isinstance(m, Accuracy) else 1) for g, m in zip(present, metrics, strict=True))
    return Judged(REPRODUCED if all(g.better for g in present) else NOT_REPRODUCED, told)


def both(f: Found, attacked: Callable[[float], Metric], eps: Sequence[float]) -> Judged:
    """The same under one attack at several eps, with the levels."""
    judged = better(f, [attacked(e) for e in eps])
    if judged is MISSING:
        return judged
    told = (f"{level(f, f.refined, attacked(e))} against {level(f, arms.BASELINE, attacked(e))} at {e}" for e in eps)
    return judged._replace(measured="; ".join(told))


def cost_in_clean(f: Found) -> Judged:
    """The drop is no larger than published, from about the same baseline."""
    g, published = f.gain(arms.BASELINE, f.refined, arms.CLEAN), PUBLISHED[f.trial.published].clean
    if g is None or published[0] is None or published[1] is None:
        return MISSING
    told = f"{level(f, arms.BASELINE, arms.CLEAN)} → {level(f, f.refined, arms.CLEAN)}"
    if not comparable(f):
        return Judged(UNTESTED, f"{told}; this baseline is not the paper's")
    return Judged(REPRODUCED if 100 * g.low <= published[0] - published[1] else NOT_REPRODUCED, told)


def as_published(f: Found) -> Judged:
    """Our interval reaches the published accuracy under PGD, from about the same baseline."""
    own, published = f.spread(f.refined, arms.pgd(0.03)), PUBLISHED[f.trial.published].pgd[0.03][1]
    if own is None or published is None:
        return MISSING
    told = level(f, f.refined, arms.pgd(0.03))
    if not comparable(f):
        return Judged(UNTESTED, f"{told}; this baseline is not the paper's")
    return Judged(REPRODUCED if 100 * own.high >= published else NOT_REPRODUCED, told)


def comparable(f: Found) -> bool:
    """Whether our baseline is about as accurate as the paper's, so that levels mean the same."""
    own, theirs = f.spread(arms.BASELINE, arms.CLEAN), PUBLISHED[f.trial.published].clean[0]
    return own is not None and theirs is not None and abs(100 * own.mean - theirs) <= NEAR


def lower_loss(f: Found) -> Judged:
    """The whole training loss in the last epoch."""
    ends = {name: [curve[-1][1] for curve in losses(f, name)] for name in (arms.BASELINE, f.refined)}
    if not all(ends.values()):
        return MISSING
    base, own = (float(np.mean(ends[name])) for name in (arms.BASELINE, f.refined))
    lower = max(ends[f.refined]) < min(ends[arms.BASELINE])
    return Judged(REPRODUCED if lower else NOT_REPRODUCED, f"{own:.3f} against {base:.3f} in the last epoch")


def over_corruptions(f: Found) -> Judged:
    """Clean accuracy on corrupted images, the mean over the corruptions."""
    own, base = (mean_over(f, name, arms.CLEAN) for name in (f.refined, arms.BASELINE))
    if own is None or base is None:
        return MISSING
    g = gain(own, base)
    told = f"{100 * spread(own).mean:.1f} against {100 * spread(base).mean:.1f} %: {points(g)}"
    return Judged(REPRODUCED if g.better else NOT_REPRODUCED, told)


def by_corruption(f: Found, arm: str, metric: Metric) -> dict[str, float]:
    """Means in per cent under each corruption that was measured."""
    tables = {kind: f.under(arm, metric, kind) for kind in f.kinds}
    return {kind: 100 * spread(table).mean for kind, table in tables.items() if table is not None}


def steadier(f: Found) -> Judged:
    """The standard deviation of the accuracy over the corruptions."""
    own, base = (list(by_corruption(f, name, arms.CLEAN).values()) for name in (f.refined, arms.BASELINE))
    if len(own) < 2 or len(base) < 2:
        return MISSING
    spreads = [float(np.std(values, ddof=1)) for values in (own, base)]
    told = f"sd {spreads[0]:.1f} against {spreads[1]:.1f} points"
    return Judged(REPRODUCED if spreads[0] < spreads[1] else NOT_REPRODUCED, told)


def everywhere(f: Found, metric: Metric) -> Judged:
    """Refined above baseline for every corruption, and over all of them significantly."""
    own, base = (by_corruption(f, name, metric) for name in (f.refined, arms.BASELINE))
    tables = [mean_over(f, name, metric) for name in (f.refined, arms.BASELINE)]
    if not own or tables[0] is None or tables[1] is None:
        return MISSING
    more = sum(own[c] > base[c] for c in own)
    told = f"more for {more} of {len(own)}; {min(own.values()):.1f} to {max(own.values()):.1f} %, baseline "
    told += f"{min(base.values()):.1f} to {max(base.values()):.1f} %"
    holds = more == len(own) and gain(tables[0], tables[1]).better
    return Judged(REPRODUCED if holds else NOT_REPRODUCED, told)


def above_clean(f: Found) -> Judged:
    """What no attack that raises the loss can do."""
    clean, attacked = (by_corruption(f, f.refined, metric) for metric in (arms.CLEAN, arms.pgd(0.01)))
    if not clean or not attacked:
        return MISSING
    worst = max(attacked[c] - clean[c] for c in clean)
    told = f"on the same images at best {worst:+.1f} points from its accuracy without attack"
    return Judged(REPRODUCED if worst > 0 else NOT_REPRODUCED, told)


def leaked(f: Found) -> Judged:
    """Detection on test images against detection on training images."""
    g = f.gain(arms.LEAK, arms.AGGREGATED, arms.pgd(0.03))
    if g is None:
        return MISSING
    bounded = max(abs(g.low), abs(g.high)) < 0.02
    return Judged(REFUTED if g.better else SUPPORTED if bounded else UNTESTED, points(g))


def settles(f: Found) -> Judged:
    """The share of flags that are new at the start of the last round, against that of the second."""
    runs = [seen.steps[f.refined][1:-1] for seen in f.seen if f.refined in seen.steps]
    if not runs or min(map(len, runs)) < 1:
        return MISSING
    first, last = (float(np.mean([steps[i].new for steps in runs])) for i in (0, -1))
    told = f"{100 * first:.0f} % of the flags are new in round 2"
    if min(map(len, runs)) < 2:
        return Judged(UNTESTED, f"{told}; there are too few rounds")
    return Judged(SUPPORTED if last < first else REFUTED, f"{told}, {100 * last:.0f} % in the last")


def cheap(f: Found) -> Judged:
    """Seconds of the detections at the start of rounds, against those of the trainings."""
    shares = {name: costs(f, name) for name in (f.refined, arms.BEST) if name}
    known = {name: share for name, share in shares.items() if not math.isnan(share)}
    if not known:
        return MISSING
    told = ", ".join(f"{name}: {100 * share:.0f} %" for name, share in known.items())
    return Judged(SUPPORTED if max(known.values()) <= COST else REFUTED, told)


def costs(f: Found, arm: str) -> float:
    """Mean seconds of a detection, as a share of the mean seconds of a round's training; NaN if unknown."""
    training, detecting = f.noted(arm, "seconds")
    return float(np.mean(detecting) / np.mean(training)) if training and detecting else math.nan


def sound(f: Found) -> Judged:
    """Impossible results, and the self-checks of every run."""
    wrong = [arm for seen in f.seen for arm, values in seen.values.items() if impossible(values)]
    checks = [(arm, check) for seen in f.seen for arm, found in seen.checks.items() for check in found]
    failed = [f"{arm}: {check.title}" for arm, check in checks if check.status == FAIL]
    if wrong:
        return Judged(REFUTED, f"an image of {wrong[0]} is wrong without attack and right under it")
    return Judged(REFUTED if failed else SUPPORTED, "; ".join(dict.fromkeys(failed)) or "none is; all pass")


def impossible(values: dict[str, Tensor]) -> bool:
    """Whether any image is right under an attack and wrong without; never where clean accuracy was not measured."""
    clean = values.get(repr(arms.CLEAN))
    attacked = [v for name, v in values.items() if name.startswith("Accuracy(attack=")]
    return clean is not None and any(bool((v > clean).any()) for v in attacked)


def pair(published: Pair) -> str:
    """``21.95 → 50.05``"""
    return " → ".join(map(per_cent, published))


def per_cent(published: float | None) -> str:
    """``21.95``, a dash for no number."""
    return "–" if published is None else f"{published:g}"


def level(f: Found, arm: str, metric: Metric) -> str:
    """A mean in per cent."""
    own = f.spread(arm, metric)
    return "–" if own is None else f"{100 * own.mean:.1f} %"
