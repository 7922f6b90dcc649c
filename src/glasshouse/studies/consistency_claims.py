"""What the paper on explanation consistency claims, and what has to hold besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..statistics import holm
from ..study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim
from ..types import Metric
from . import consistency_ways as ways
from .consistency_found import Bout
from .debiasing import FL, HNM, OURS, Shares
from .few_samples import ALL, Learnt
from .gains import MISSING, Gain, Judged, decided, gain, points
from .weights_found import LOSSES, effective, whole

MIOU = ways.GRAD_MIOU


def claims(bouts: Sequence[Bout], shares: Shares | None, few: Learnt | None) -> tuple[Claim, ...]:
    """The paper's claims on every network, then the controls."""
    told: list[Claim] = []
    for bout in bouts:
        told += of_the_paper(bout)
    told += [of_the_weights(shares)] if shares else []
    told += of_few_samples(few) if few else []
    told.append(
        Claim(
            "People find the maps better than the baseline's and HNM's (tables II, III)",
            "paper",
            UNTESTED,
            "ResNet-50, VOC: pos 59, same 30, neg 11 %",
            "needs people: glasshouse review --rate",
        )
    )
    return (*told, *(claim for bout in bouts for claim in controls(bout)))


def of_the_paper(b: Bout) -> list[Claim]:
    """The claims about one network."""
    own, name = ours(b), b.compared.name

    def claim(text: str, published: str, judged: Judged) -> Claim:
        return Claim(f"{name}: {text}", "paper", judged.verdict, published, judged.measured)

    clean = ways.CLEAN
    rows = [
        claim("more accurate than the baseline", "45.72 → 46.41 (ResNet-50)", above(b, own, ways.BASELINE, clean)),
        claim("more accurate than HNM", "44.89 → 46.41", above(b, own, ways.HNM, clean)),
        claim("more accurate than (equalized) focal loss", "45.10, 44.54 → 46.41", above_all(b, own, clean)),
        claim("higher mIoU than the baseline", "0.0938 → 0.1285", above(b, own, ways.BASELINE, MIOU)),
        claim("higher mIoU than HNM", "0.1198 → 0.1285", above(b, own, ways.HNM, MIOU)),
        claim("HNM is more accurate than the baseline", "text: yes", above(b, ways.HNM, ways.BASELINE, clean)),
        claim("stands FGSM better than the baseline", "yes (fig. 9c, d)", stands(b, own, ways.BASELINE)),
        claim("stands it better by adversarial backgrounds", "yes (IV-F)", stands(b, own, ways.BLACK, ways.MEAN)),
        claim("more accurate before other backgrounds", "70.7 → 82.1 (icCNN)", before_others(b, own)),
        claim("psi hardly matters", "73.1, 73.1, 73.4 (table V)", alike(b, own, ways.SOFTSIGN, ways.ARCTAN)),
    ]
    return [row for row in rows if row.measured != MISSING.measured]


def ours(b: Bout) -> str:
    """The way that stands for the paper's method."""
    return next((name for name in (ways.XGRAD, ways.EIGEN, ways.LITERAL) if name in b.names), "")


def above(b: Bout, own: str, other: str, metric: Metric, moved: bool = False) -> Judged:
    """One way significantly above another."""
    g = b.gain(own, other, metric, moved) if own in b.names and other in b.names else None
    return MISSING if g is None else decided(g, REPRODUCED, NOT_REPRODUCED)


def before_others(b: Bout, own: str) -> Judged:
    """More accurate than the baseline on objects before the backgrounds of other images."""
    return above(b, own, ways.BASELINE, ways.CLEAN, moved=True)


def above_all(b: Bout, own: str, metric: Metric) -> Judged:
    """The same over each of the losses that look at hard samples."""
    gains = [(name, b.gain(own, name, metric)) for name in LOSSES if name in b.names]
    known = [(name, g) for name, g in gains if g is not None]
    if not known or own not in b.names:
        return MISSING
    told = "; ".join(f"over {name} {points(g)}" for name, g in known)
    return Judged(REPRODUCED if all(g.better for _, g in known) else NOT_REPRODUCED, told)


def stands(b: Bout, own: str, *others: str) -> Judged:
    """More of the jointly right images stand, in the mean over eps, with intervals that do not meet."""
    curves = b.curves()
    if own not in curves or not all(name in curves for name in others):
        return MISSING
    levels = {name: 100 * float(np.mean([e.mean for eps, e in curves[name] if eps])) for name in (own, *others)}
    apart = all(max_low(curves[own], curves[name]) for name in others)
    told = ", ".join(f"{name} {level:.1f} %" for name, level in levels.items())
    count = curves[own][0][1].count
    return Judged(REPRODUCED if apart else NOT_REPRODUCED, f"{told} in the mean over eps, {count} images")


def max_low(own: Any, other: Any) -> bool:
    """Whether at some eps the one's interval is above the other's, and at none below."""
    pairs = [(a, b) for (eps, a), (_, b) in zip(own, other, strict=True) if eps]
    return any(a.low > b.high for a, b in pairs) and not any(a.high < b.low for a, b in pairs)


def alike(b: Bout, *names: str) -> Judged:
    """No two differ significantly in accuracy, and their intervals are narrow."""
    present = [name for name in names if name in b.names]
    if len(present) < 3:
        return MISSING
    gains = [b.gain(present[0], other, ways.CLEAN) for other in present[1:]]
    known = [g for g in gains if g is not None]
    same = all(g.p > 0.05 for g in known)
    narrow = all(max(abs(g.low), abs(g.high)) < 0.03 for g in known)
    verdict = NOT_REPRODUCED if not same else REPRODUCED if narrow else UNTESTED
    told = (f"tanh over {name} {points(g)}" for name, g in zip(present[1:], known, strict=True))
    return Judged(verdict, "; ".join(told))


def of_the_weights(shares: Shares) -> Claim:
    """Figure 8: ours finds more unbiased samples than the others in each setting."""
    means = {s: {way: whole(runs) for way, runs in by.items()} for s, by in shares.items()}
    holds = all(m[OURS] > max(m[FL], m[HNM]) for m in means.values())
    told = "; ".join(f"{s}: ours {m[OURS]:.1f}, FL {m[FL]:.1f}, HNM {m[HNM]:.1f} %" for s, m in means.items())
    return Claim(
        "Its weights find more of the samples without the bias",
        "paper",
        REPRODUCED if holds else NOT_REPRODUCED,
        "about 24 %, others at most 22 % (fig. 8)",
        told,
    )


def of_few_samples(few: Learnt) -> list[Claim]:
    """Figure 9a and b, at the largest share."""
    found = []
    for metric, text in ((repr(ways.CLEAN), "accuracy"), (repr(MIOU), "mIoU")):
        rivals = [name for name in few if name != OURS]
        if OURS not in few or metric not in few[OURS]:
            continue
        gains = {name: at_the_end(few, OURS, name, metric) for name in rivals}
        holds = all(g.better for g in gains.values())
        told = "; ".join(f"over {name} {points(g)}" for name, g in gains.items())
        found.append(
            Claim(
                f"With few labels its choice reaches the highest {text}, above {ALL} too",
                "paper",
                REPRODUCED if holds else NOT_REPRODUCED,
                "yes (fig. 9a, b)",
                told,
            )
        )
    return found


def at_the_end(few: Learnt, own: str, other: str, metric: str) -> Gain:
    """One strategy against another at the largest share."""
    return gain(*(torch.stack([run[-1].double() for run in few[name][metric]]) for name in (own, other)))


def controls(b: Bout) -> list[Claim]:
    """What has to hold if it is the explanations that do it; p-values corrected for their number by Holm's method."""
    pairs = {
        f"{own}: more {text} than the same weights shuffled": (own, other, metric)
        for own, other in ((ours(b), ways.SHUFFLED), (ways.BEST, ways.BEST_SHUFFLED))
        for text, metric in (("accurate", ways.CLEAN), ("mIoU", MIOU))
    }
    pairs |= {
        f"best: more {text} than {other}": (ways.BEST, other, metric)
        for other in (ways.BASELINE, ways.HNM)
        for text, metric in (("accurate", ways.CLEAN), ("mIoU", MIOU))
    }
    present = {t: b.gain(*three) for t, three in pairs.items() if three[0] in b.names and three[1] in b.names}
    gains = {text: g for text, g in present.items() if g is not None}
    corrected = holm([g.p for g in gains.values()])
    rows = [(text, decided(g._replace(p=p))) for (text, g), p in zip(gains.items(), corrected, strict=True)]
    rows += [("the paper to the letter weighs all samples the same", saturated(b))]
    rows += [("XGrad-CAM and Grad-CAM are one measurement here", identical(b))]
    judged = [(f"{b.compared.name}: {text}", j) for text, j in rows if j is not MISSING]
    return [Claim(text, "control", j.verdict, "–", j.measured) for text, j in judged]


def saturated(b: Bout) -> Judged:
    """The share of samples that count after the last reweighting is all but 1."""
    if ways.LITERAL not in b.names or not any(b.effective(ways.LITERAL)):
        return MISSING
    last = effective(b, ways.LITERAL)
    told = ", ".join(f"{name} {100 * effective(b, name):.1f} %" for name in b.names if any(b.effective(name)))
    return Judged(SUPPORTED if last > 0.99 else REFUTED, f"effective share of the samples at the end: {told}")


def identical(b: Bout) -> Judged:
    """The largest difference of any image's mIoU by the two formulas."""
    tables = [(b.table(name, ways.XGRAD_MIOU), b.table(name, MIOU)) for name in b.names]
    known = [float((x - g).abs().nan_to_num().max()) for x, g in tables if x is not None and g is not None]
    if not known:
        return MISSING
    return Judged(SUPPORTED if max(known) < 0.01 else REFUTED, f"mIoU of an image differs by {max(known):.4f} at most")
