"""What the paper on explainable attacks claims, and what has to hold if it is relevance that does it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..shifts import norms
from ..study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim
from . import hierarchical_ways as ways
from .gains import MISSING, Judged
from .hierarchical_compared import CONCENTRATION, JUDGED, against, main, main_eps, together, tried, weighed
from .hierarchical_found import LEVELS, Bout, Degenerate
from .hierarchical_measured import readings
from .hierarchical_published import NUMBERED, PUBLISHED

NAMES = {"coarse": "LRPC", "fine": "LRPF"}
ALIKE = 1.5  # norms up to so many times as large count as comparable
USUAL_EPS = 8 / 255  # of l-inf, as it is used where perturbations should not be seen
HIGH = 0.95  # of the images that were right
INERT, PARALLEL = 0.01, 0.99
PLUS = "z+, z-beta"  # the paper's rules


def claims(bouts: Sequence[Bout], bare: Degenerate | None) -> tuple[Claim, ...]:
    """The paper's on every classifier, then the controls."""
    told = [claim for b in bouts for claim in of_the_paper(b)]
    held = [claim for b in bouts for claim in controls(b)]
    if bare:
        held += [control(bare.name, INERT_TEXT, flat(bare)), control(bare.name, MARGIN_TEXT, parallel(bare))]
    return (*told, *held)


def of_the_paper(b: Bout) -> list[Claim]:
    """The claims about one classifier."""
    rows = [row for level in LEVELS for row in at_level(b, level)]
    active, largest = main(b, ways.LRP), max(tried(b, ways.LRP), default=0.0)
    rows += [
        (
            "LRPC can be seen no more than PGDC in l1 and l∞",
            "0.0216 to 0.0224, 0.0399 to 0.0101",
            together(*(comparable(b, active, ways.SMALL_PGD, measure) for measure in ("rho_1", "rho_inf"))),
        ),
        (
            "LRPC at the smallest eps is on par with DFC in l∞",
            "0.0399 to 0.0408",
            comparable(b, active, ways.DEEPFOOL, "rho_inf"),
        ),
        (
            "LRPC concentrates on critical regions, DeepFool scatters",
            "yes (fig. 1)",
            weighed(against(b, "coarse", active, ways.DEEPFOOL, CONCENTRATION)),
        ),
        ("Negative relevance is manipulated, too", "yes (IV, fig. 1)", negative(b)),
        (f"Imperceptible at eps {largest:g}, too", "yes (V); rho_inf 0.1557", imperceptible(b, largest)),
    ]
    return [Claim(f"{b.trial.name}: {text}", "paper", j.verdict, published, j.measured) for text, published, j in rows]


def at_level(b: Bout, level: str) -> list[tuple[str, str, Judged]]:
    """What the paper says of both levels: the text, its number, and ours."""
    name, active = NAMES[level], main(b, ways.LRP)
    by_eps = list(tried(b, ways.LRP).values())
    numbers = [PUBLISHED[level][ways.LRP.format(eps)] for eps in ways.EPS]
    grown = against(b, level, by_eps[-1], active) if by_eps and by_eps[-1] != active else None
    yes = "yes (fig. 1)" if level == "coarse" else "yes (fig. 2)"
    return [
        (
            f"{name} fools at eps {', '.join(map(str, ways.EPS))}",
            f"{', '.join(f'{n.fooling:g}' for n in numbers)} % ({NUMBERED[level]})",
            fools(b, level),
        ),
        (
            f"{name} explains itself better than PGD of the same eps",
            yes,
            weighed(against(b, level, active, main(b, ways.SAME_PGD))),
        ),
        (f"{name} explains itself better than DeepFool", yes, weighed(against(b, level, active, ways.DEEPFOOL))),
        (f"{name} explains itself better as eps grows", yes, weighed(grown)),
        (
            f"The perturbation of {name} grows with eps",
            f"rho_2 {', '.join(f'{n.rho_2:.4f}' for n in numbers)}",
            grows(b, level, active, by_eps[-1] if by_eps else active),
        ),
    ]


def fools(b: Bout, level: str) -> Judged:
    """At no eps of the paper are significantly fewer images fooled, of those that were right."""
    known = [ways.LRP.format(eps) for eps in ways.EPS if b.has(level, ways.LRP.format(eps))]
    if not known:
        return MISSING
    honest = {way: b.fooling(level, way) for way in known}
    if not all(e.count for e in honest.values()):
        return MISSING._replace(measured="no image is right")
    reached = all(100 * e.high >= PUBLISHED[level][way].fooling for way, e in honest.items())
    own, generous = (
        f"{', '.join(f'{100 * e.mean:.1f}' for e in es)} %"
        for es in (honest.values(), (b.generous(level, way) for way in known))
    )
    return Judged(
        REPRODUCED if reached else NOT_REPRODUCED, f"{own} of those that were right; counted as there {generous}"
    )


def grows(b: Bout, level: str, small: str, large: str) -> Judged:
    """The size over the images that both fool."""
    a = against(b, level, large, small, ("rho_2",)) if small != large else None
    if a is None:
        return MISSING
    sizes = ", ".join(f"{b.over_right(level, way, 'rho_2').mean:.4f}" for way in tried(b, ways.LRP).values())
    g = a.gains["rho_2"]
    return Judged(
        REPRODUCED if g.better else NOT_REPRODUCED, f"rho_2 {sizes}; {g.difference:+.4f} over {a.shared} images"
    )


def comparable(b: Bout, own: str, other: str, measure: str) -> Judged:
    """The mean of a norm is at most so many times the rival's."""
    if not b.has("coarse", own, other):
        return MISSING
    first, second = (b.over_right("coarse", way, measure).mean for way in (own, other))
    told = f"{measure} {first:.4f} to {second:.4f}"
    if not second > 0:
        return Judged(UNTESTED, told)
    return Judged(REPRODUCED if first <= ALIKE * second else NOT_REPRODUCED, told)


def negative(b: Bout) -> Judged:
    """How much of the relevance is negative, in the images that are shown, before and after."""
    sums = [norms(maps) for shift in b.pictures for m in (shift.before, *shift.after) for maps in m.relevance]
    share = max((minus / (plus + minus) for plus, minus in sums if plus + minus > 0), default=None)
    if share is None:
        return MISSING
    verdict = REPRODUCED if share > INERT else NOT_REPRODUCED
    return Judged(
        verdict, f"at most {100 * share:.2g} % of the relevance is negative, in {len(sums)} maps by eqs. 3 to 5"
    )


def imperceptible(b: Bout, eps: float) -> Judged:
    """The largest change of a pixel, next to what is usual."""
    way = ways.LRP.format(eps)
    if not b.has("coarse", way) or not (e := b.over_right("coarse", way, "rho_inf")).count:
        return MISSING
    verdict = REPRODUCED if e.mean <= USUAL_EPS else NOT_REPRODUCED
    return Judged(verdict, f"rho_inf {e.mean:.4f}; what is usual, 8 of 255, is {USUAL_EPS:.4f}")


INERT_TEXT = "the loss as printed is 0 everywhere and fools nothing"
MARGIN_TEXT = "from the logit with p = 1 it is the margin"


def controls(b: Bout) -> list[Claim]:
    """What tells relevance from the margin."""
    name, eps = b.trial.name, main_eps(b)
    rows = [
        (INERT_TEXT, together(flat(b.degenerate), powerless(b))),
        (MARGIN_TEXT, together(parallel(b.degenerate), same_images(b))),
    ]
    for level in LEVELS:
        pair = main(b, ways.LRP), main(b, ways.MARGIN)
        rows += [
            (
                f"{level}: explains itself better than the same steps down the margin",
                weighed(against(b, level, *pair), SUPPORTED, REFUTED),
            ),
            (
                f"{level}: so also by Grad-CAM, which no attack looks at",
                weighed(against(b, level, *pair, JUDGED), SUPPORTED, REFUTED),
            ),
            (
                f"{level}: at eps {eps or ways.EPS[0]:g} at least 95 % of the images that were right are fooled",
                nearly_all(b, level),
            ),
        ]
    return [control(name, text, judged) for text, judged in rows]


def control(name: str, text: str, judged: Judged) -> Claim:
    """A claim of ours."""
    return Claim(f"{name}: {text}", "control", judged.verdict, "–", judged.measured)


def flat(d: Degenerate) -> Judged:
    """The loss as printed has neither a size nor a slope, next to the margin's."""
    if not d.values:
        return MISSING
    own, margin = of_reading(d, "1"), {name: rows[-1] for name, rows in d.values.items()}
    steepest, rival = float(own["slope"].max()), float(margin["slope"].max())
    size = float(own["value"].max())
    verdict = SUPPORTED if size < INERT and steepest < INERT * rival else REFUTED
    return Judged(verdict, f"at most {size:.1e} with a slope of {steepest:.1e}, the margin's {rival:.1e}")


def powerless(b: Bout) -> Judged:
    """Nothing is fooled by steps down the loss as printed."""
    found = [(level, b.fooling(level, ways.LITERAL)) for level in LEVELS if b.has(level, ways.LITERAL)]
    known = [(level, e) for level, e in found if e.count]
    if not known:
        return MISSING
    told = ", ".join(f"{100 * e.mean:.1f} % {level}" for level, e in known)
    return Judged(SUPPORTED if all(e.mean == 0 for _, e in known) else REFUTED, f"fools {told}")


def parallel(d: Degenerate) -> Judged:
    """Both slopes point the same way at every image."""
    if not d.values:
        return MISSING
    lowest = float(of_reading(d, "logit")["along"].min())
    return Judged(SUPPORTED if lowest > PARALLEL else REFUTED, f"cosine of the slopes at least {lowest:.4f}")


def of_reading(d: Degenerate, start: str, p: int = 1) -> dict[str, Tensor]:
    """The values of a reading under the paper's rules, ``[B]`` each."""
    at = next(i for i, r in enumerate(readings()) if (r.start, r.rules, r.p) == (start, PLUS, p))
    return {name: rows[at] for name, rows in d.values.items()}


def same_images(b: Bout) -> Judged:
    """The margin fools the same images, but for a few."""
    pair = ways.PLAUSIBLE, main(b, ways.MARGIN)
    shares = []
    for level in LEVELS:
        if b.has(level, *pair):
            first, second = (b.values[level][way] for way in pair)
            count = min(len(first["fooled"]), len(second["fooled"]))
            shares.append((first["fooled"][:count] == second["fooled"][:count])[first["right"][:count] > 0])
    agreeing = torch.cat(shares).double() if shares else torch.empty(0)
    if not len(agreeing):
        return MISSING
    share = float(agreeing.mean())
    return Judged(SUPPORTED if share >= HIGH else REFUTED, f"the same verdict on {100 * share:.1f} % of the images")


def nearly_all(b: Bout, level: str) -> Judged:
    """The share of images that were right which are fooled at the eps that is compared."""
    way = main(b, ways.LRP)
    if not b.has(level, way) or not (e := b.fooling(level, way)).count:
        return MISSING
    verdict = SUPPORTED if e.mean >= HIGH else REFUTED
    return Judged(verdict, f"{100 * e.mean:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}] of {e.count}")
