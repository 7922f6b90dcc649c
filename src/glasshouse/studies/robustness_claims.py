"""What is claimed of robustness and interpretability."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, isfinite
from statistics import median

import numpy as np
import torch

from ..metrics import LocalLipschitz, RelativeOutputStability
from ..study import NOT_REPRODUCED, REPRODUCED, UNTESTED, Claim
from ..titles import brief
from .gains import LEVEL, MISSING, Gain, Judged, gain, points
from .model_survey_found import Row
from .robustness_found import Count, Found, Trend, counted, counted_trends, trend
from .robustness_ways import L2_NORM, LINF, PGD_AT, RobustTraining

CONCISE, STABLE, RELEVANT = ("conciseness",), ("stability",), ("faithfulness", "localisation")
SHOWN = 3  # of the metrics that a claim rests on
MODEST = 0.25  # of the largest eps: 2/255 of 8/255
NOT_PUBLISHED = "yes (abstract; numbers are not public)"


def of_the_paper(f: Found) -> list[Claim]:
    """The abstract's claims, by training and along adversarial accuracy, and a later counter-claim."""

    def claim(text: str, judged: Judged, published: str = NOT_PUBLISHED) -> Claim:
        return Claim(f"{f.trial.name}: {text}", "paper", judged.verdict, published, judged.measured)

    rows = []
    for norm in (LINF, L2_NORM):
        by = f"{PGD_AT} ({norm})"
        rows += [
            claim(f"{by} makes explanations more concise", stronger(f, CONCISE, norm)),
            claim(f"{by} makes explanations more stable", stronger(f, STABLE, norm)),
            claim(f"{by} does not necessarily make them more relevant", reversed_(stronger(f, RELEVANT, norm))),
        ]
    later = "yes (Bhusal et al., 2026)"
    rows += [
        claim("the more robust a model, the more concise", along(f, CONCISE)),
        claim("the more robust a model, the more stable", along(f, STABLE)),
        claim("a more robust model is not necessarily more relevant", reversed_(along(f, RELEVANT))),
        *(
            claim(
                f"modest training, a quarter of the largest eps, gives half of the gain in {kind[0]}", modest(f, kind)
            )
            for kind in (CONCISE, STABLE)
        ),
        claim("robustness costs clean accuracy", trade_off(f)),
        claim("relative to the output, explanations become less stable", output_side(f, True), later),
        claim("the same where the scale of logits is left out", output_side(f, False), later),
    ]
    return [row for row in rows if row.measured != MISSING.measured]


def ends(f: Found, norm: str = LINF) -> tuple[RobustTraining, RobustTraining] | None:
    """Standard training, and the training with the largest eps."""
    curve = f.curve(PGD_AT, norm)
    return (curve[0], curve[-1]) if len(curve) > 1 else None


def cells(f: Found, families: Sequence[str]) -> list[Row]:
    """What a family's claim rests on: the claims about outputs and about scale are of their own."""
    return [cell for cell in f.cells(families) if cell.better and not apart(cell)]


def apart(cell: Row) -> bool:
    """Whether a metric is one whose sign means something else."""
    unscaled = isinstance(cell.metric, LocalLipschitz) and not cell.metric.scale_free
    return isinstance(cell.metric, RelativeOutputStability) or unscaled


def stronger(f: Found, families: Sequence[str], norm: str) -> Judged:
    """The largest eps against standard training: significantly better in most cells."""
    both, looks = ends(f, norm), cells(f, families)
    if both is None or not looks:
        return MISSING
    gains = [f.gain(cell, both[1], both[0]) for cell in looks]
    known = [(cell, g) for cell, g in zip(looks, gains, strict=True) if isfinite(g.difference)]
    if not known:
        return Judged(UNTESTED, "no image is right in all models")
    count = counted([g for _, g in known])
    return Judged(REPRODUCED if count.mostly else NOT_REPRODUCED, f"{told(count)}; {examples(f, known)}")


def told(count: Count) -> str:
    """``better in 12 and worse in 1 of 14 (metric and explainer)``"""
    return f"better in {count.better} and worse in {count.worse} of {count.cells} (metric and explainer)"


def examples(f: Found, known: Sequence[tuple[Row, Gain]]) -> str:
    """What the first metrics gain by the first explainer."""
    explainer = known[0][0].explainer
    gains = [f"{f.headings[cell.metric]} {points(g, 1)}" for cell, g in known if cell.explainer == explainer]
    return f"gains of {'the model' if explainer is None else brief(explainer)}: {'; '.join(gains[:SHOWN])}"


def along(f: Found, families: Sequence[str]) -> Judged:
    """Rank correlation with adversarial accuracy over all models: significantly in the better direction in most."""
    looks = cells(f, families)
    if len(f.names) < 5 or not looks:
        return MISSING
    trends = [(f.trend(cell), cell.better) for cell in looks]
    trends = [(t, sign) for t, sign in trends if isfinite(t.rho)]
    if not trends:
        return Judged(UNTESTED, "no image is right in all models, or all models are equally robust")
    if 2 / factorial(max(t.models for t, _ in trends)) * len(trends) >= LEVEL:
        return Judged(UNTESTED, f"{len(f.names)} models are too few for {len(trends)} correlations to be significant")
    count = counted_trends(trends)
    middle = median(t.rho * sign for t, sign in trends)
    measured = f"{told(count)}; median rank correlation {middle:+.2f} towards better, {trends[0][0].models} models"
    return Judged(REPRODUCED if count.mostly else NOT_REPRODUCED, measured)


def reversed_(judged: Judged) -> Judged:
    """The claim that something is not so."""
    verdicts = {REPRODUCED: NOT_REPRODUCED, NOT_REPRODUCED: REPRODUCED}
    return Judged(verdicts.get(judged.verdict, judged.verdict), judged.measured)


def modest(f: Found, families: Sequence[str]) -> Judged:
    """Where the strongest training gains significantly, a quarter of its eps gives half of the gain or more."""
    both = ends(f)
    if both is None or not cells(f, families):
        return MISSING
    most = MODEST * both[1].eps * (1 + 1e-9)
    gaining = [cell for cell in cells(f, families) if f.gain(cell, both[1], both[0]).better]
    shares = [max((d.share for d in f.doses(cell) if d.eps <= most), default=np.nan) for cell in gaining]
    shares = [share for share in shares if isfinite(share)]
    if not shares:
        return Judged(UNTESTED, "nothing is gained, or no eps is small")
    half = sum(share >= 0.5 for share in shares)
    measured = (
        f"median {100 * median(shares):.0f} % of the largest gain, from {100 * min(shares):.0f} to"
        f" {100 * max(shares):.0f} %; at least half of it in {half} of {len(shares)} that gain"
    )
    return Judged(REPRODUCED if 2 * half > len(shares) else NOT_REPRODUCED, measured)


def trade_off(f: Found) -> Judged:
    """Clean accuracy falls, from standard training to the largest eps; without any, along adversarial accuracy."""
    both = ends(f)
    if both is not None:
        rival, own = (torch.stack([f.right(name) for name in f.seeds_of(way)]) for way in both)
        count = min(len(own), len(rival))
        g = gain(own[:count], rival[:count])
        return Judged(REPRODUCED if g.p < LEVEL and max(g.seeds) < 0 else NOT_REPRODUCED, points(g))
    t = trend(f.axis, torch.stack([f.right(name) for name in f.names]).numpy())
    if len(f.names) < 5 or not isfinite(t.rho):
        return MISSING
    return Judged(REPRODUCED if t.rho < 0 and t.p < LEVEL else NOT_REPRODUCED, correlated(t))


def correlated(t: Trend) -> str:
    """``rank correlation -0.90 [-0.95, -0.80], p = 0.001, 15 models``"""
    return f"rank correlation {t.rho:+.2f} [{t.low:+.2f}, {t.high:+.2f}], p = {t.p:.4f}, {t.models} models"


def output_side(f: Found, elementwise: bool) -> Judged:
    """Relative output stability is worse with the largest eps than with standard training, in most explainers."""
    both = ends(f)
    found = {c: c.metric for c in f.cells(STABLE) if isinstance(c.metric, RelativeOutputStability)}
    looks = [cell for cell, metric in found.items() if metric.elementwise == elementwise]
    if both is None or not looks:
        return MISSING
    known = [(cell, g) for cell in looks if isfinite((g := f.gain(cell, both[1], both[0])).difference)]
    if not known:
        return Judged(UNTESTED, "no image is right in all models")
    count = counted([g for _, g in known])
    holds = 2 * count.worse > count.cells
    return Judged(REPRODUCED if holds else NOT_REPRODUCED, f"{told(count)}; {examples(f, known)}")
