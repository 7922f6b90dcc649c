"""What the paper on explanation consistency claims, and what has to hold besides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..statistics import holm
from ..study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim
from ..types import Metric
from ..weighting.reweighting import EQUAL
from . import consistency_ways as ways
from .consistency_found import Bout, effective
from .consistency_published import PUBLISHED
from .debiasing import FL, HNM, OURS, Shares, whole
from .few_samples import ALL, Learnt
from .gains import LEVEL, MISSING, Gain, Judged, decided, gain, points, spread

MIOU = ways.GRAD_MIOU
LOSSES = (ways.FL, ways.EFL)


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

    clean, base, hnm = ways.CLEAN, ways.BASELINE, ways.HNM
    rows = [
        claim("more accurate than the baseline", stated(b, own, base), above(b, own, base, clean)),
        claim("more accurate than HNM", stated(b, own, hnm), above(b, own, hnm, clean)),
        claim("more accurate than (equalized) focal loss", stated(b, own, *LOSSES), above_all(b, own, clean)),
        claim("higher mIoU than the baseline", stated(b, own, base, miou=True), above(b, own, base, MIOU)),
        claim("higher mIoU than HNM", stated(b, own, hnm, miou=True), above(b, own, hnm, MIOU)),
        claim(
            "HNM is more accurate than the baseline", f"text: yes; {stated(b, hnm, base)}", above(b, hnm, base, clean)
        ),
        claim("stands FGSM better than the baseline", "yes (fig. 9c, d)", stands(b, own, ways.BASELINE)),
        claim("stands it better by adversarial backgrounds", "yes (IV-F)", stands(b, own, ways.BLACK, ways.MEAN)),
        claim("more accurate before other backgrounds", "70.7 → 82.1 (icCNN)", before_others(b, own)),
        claim("psi hardly matters", "73.1, 73.1, 73.4 (table V)", alike(b, own, ways.SOFTSIGN, ways.ARCTAN)),
    ]
    return [row for row in rows if row.measured != MISSING.measured]


def stated(b: Bout, own: str, *others: str, miou: bool = False) -> str:
    """``44.89 → 46.41 (ResNet-50)``: the paper's accuracies or mIoU by Grad-CAM; ResNet-50's, for other networks."""
    name = b.compared.published or "ResNet-50"
    rows = [PUBLISHED[name].get(way) for way in (*others, own)]
    values = [None if row is None else row.miou[1] if miou else row.accuracy for row in rows]
    *rivals, last = ("–" if value is None else f"{value:.4f}" if miou else f"{value:g}" for value in values)
    return f"{', '.join(rivals)} → {last} ({name})"


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
    """More of the images that all of these get right stand, in the mean over eps, significantly over each."""
    held = b.standing(own, *others)
    if not held:
        return MISSING
    count = int((~held[own].isnan()).any(0).sum())
    if not count:
        return Judged(UNTESTED, "no image is right in all of them")
    gains = {name: gain(held[own], held[name]) for name in others}
    level = {name: f"{100 * spread(values).mean:.1f} %" for name, values in held.items()}
    told = "; ".join(f"over {name} ({level[name]}) {points(g)}" for name, g in gains.items())
    holds = all(g.better for g in gains.values())
    return Judged(REPRODUCED if holds else NOT_REPRODUCED, f"{level[own]} in the mean over eps, {told}, {count} images")


def alike(b: Bout, *names: str) -> Judged:
    """None differs significantly in accuracy from the first, and the intervals are narrow."""
    gains = {name: b.gain(names[0], name, ways.CLEAN) for name in names[1:]}
    known = {name: g for name, g in gains.items() if g is not None}
    if len(known) < len(gains):
        return MISSING
    if all(effective(b, name) > EQUAL for name in names):
        return Judged(UNTESTED, "all samples weigh the same, whatever psi")
    same = all(g.p >= LEVEL for g in known.values())
    narrow = all(max(abs(g.low), abs(g.high)) < 0.03 for g in known.values())
    verdict = NOT_REPRODUCED if not same else REPRODUCED if narrow else UNTESTED
    return Judged(verdict, "; ".join(f"over {name} {points(g)}" for name, g in known.items()))


def of_the_weights(shares: Shares) -> Claim:
    """Figure 8: ours finds more unbiased samples than the others in each setting, under every seed."""
    means = {s: {way: whole(runs) for way, runs in by.items()} for s, by in shares.items()}
    seeds = [{way: np.mean(runs, 1) for way, runs in by.items()} for by in shares.values()]
    holds = all(bool((m[OURS] > np.maximum(m[FL], m[HNM])).all()) for m in seeds)
    told = "; ".join(f"{s}: ours {m[OURS]:.1f}, FL {m[FL]:.1f}, HNM {m[HNM]:.1f} %" for s, m in means.items())
    return Claim(
        "Its weights find more of the samples without the bias, in each setting",
        "paper",
        REPRODUCED if holds else NOT_REPRODUCED,
        "about 24 %, others at most 22 %, below 20 % for magnitude (fig. 8)",
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
        for own, other in ((ways.XGRAD, ways.SHUFFLED), (ways.SMALL_EPS, ways.SMALL_SHUFFLED))
        for text, metric in (("accurate", ways.CLEAN), ("mIoU", MIOU))
    }
    pairs |= {
        f"ours, small eps: more {text} than {other}": (ways.SMALL_EPS, other, metric)
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
    if ways.LITERAL not in b.names or not any(b.counting(ways.LITERAL)):
        return MISSING
    last = effective(b, ways.LITERAL)
    told = ", ".join(f"{name} {100 * effective(b, name):.1f} %" for name in b.names if any(b.counting(name)))
    return Judged(SUPPORTED if last > 0.99 else REFUTED, f"effective share of the samples at the end: {told}")


def identical(b: Bout) -> Judged:
    """The largest difference of any image's mIoU by the two formulas."""
    tables = [(b.table(name, ways.XGRAD_MIOU), b.table(name, MIOU)) for name in b.names]
    known = [float((x - g).abs().nan_to_num().max()) for x, g in tables if x is not None and g is not None]
    if not known:
        return MISSING
    return Judged(SUPPORTED if max(known) < 0.01 else REFUTED, f"mIoU of an image differs by {max(known):.4f} at most")
