"""Attacks on a level against each other: pairs over the images that both fool, corrected for how many measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from ..statistics import holm
from ..study import NOT_REPRODUCED, REFUTED, REPRODUCED, UNTESTED
from . import hierarchical_ways as ways
from .gains import LEVEL, MISSING, Gain, Judged
from .hierarchical_found import EXPLAINABILITY, Bout

TITLES: dict[str, str] = {
    "rho_2": "rho, l2",
    "rho_1": "rho, l1",
    "rho_inf": "rho, l∞",
    "gini": "Gini index",
    "entropy": "entropy (lower is better)",
    "overlap_original": "overlap, original",
    "rank_original": "rank, original",
    "overlap_adversarial": "overlap, adversarial",
    "rank_adversarial": "rank, adversarial",
    "shift_original": "shift, original",
    "shift_adversarial": "shift, adversarial",
    "overlap_judge": "overlap, Grad-CAM",
    "rank_judge": "rank, Grad-CAM",
    "moved_original": "moved, original",
    "moved_adversarial": "moved, adversarial",
    "inside": "on the object",
    "area": "size of the object",
}
JUDGED = ("overlap_judge", "rank_judge")
CONCENTRATION = ("gini", "entropy", "overlap_original")


class Against(NamedTuple):
    """One way against another on one level: gains by measure, p-values corrected by Holm's method."""

    own: str
    other: str
    shared: int  # images that both fool
    gains: Mapping[str, Gain]

    def significant(self, sign: int) -> list[str]:
        """The measures that are significantly higher (1) or lower (-1)."""
        return [m for m, g in self.gains.items() if g.p < LEVEL and sign * g.difference > 0]


def against(b: Bout, level: str, own: str, other: str, measures: Sequence[str] = EXPLAINABILITY) -> Against | None:
    """None where one of them was not tried, or none of the measures can be told."""
    found = {m: g for m in measures if (g := b.gain(level, own, other, m)) is not None and not isnan(g.difference)}
    if not found:
        return None
    corrected = holm([g.p for g in found.values()])
    gains = {m: g._replace(p=p) for (m, g), p in zip(found.items(), corrected, strict=True)}
    return Against(own, other, b.shared(level, own, other), gains)


def weighed(a: Against | None, yes: str = REPRODUCED, no: str = NOT_REPRODUCED) -> Judged:
    """Yes if it is significantly better by more than half of the measures and worse by none; untested where so few
    images could not make any difference significant."""
    if a is None:
        return MISSING._replace(measured="no image is fooled by both, or not measured here")
    if len(a.gains) * 2.0 ** (1 - a.shared) >= LEVEL:  # of all signs alike, the least likely thing that can be seen
        return Judged(UNTESTED, f"only {a.shared} images are fooled by both")
    better, worse = a.significant(1), a.significant(-1)
    verdict = yes if 2 * len(better) > len(a.gains) and not worse else no
    return Judged(verdict, f"{counted(a)}, {a.shared} images")


def counted(a: Against) -> str:
    """``better by 6 of 10 measures, worse by Gini index``"""
    better, worse = a.significant(1), a.significant(-1)
    told = ", ".join(named(m) for m in worse) if len(worse) < 4 else f"{len(worse)}"
    return f"better by {len(better)} of {len(a.gains)} measures, worse by {told or 'none'}"


def named(measure: str) -> str:
    """A measure without a word on how to read it."""
    return TITLES[measure].split(" (")[0]


def together(*every: Judged) -> Judged:
    """Yes only if all that were measured say yes; untested if one is and none says no."""
    known = [j for j in every if j != MISSING] or [MISSING]
    verdicts = [j.verdict for j in known]
    refused = [v for v in verdicts if v in (NOT_REPRODUCED, REFUTED)]
    verdict = refused[0] if refused else UNTESTED if UNTESTED in verdicts else verdicts[0]
    return Judged(verdict, "; ".join(j.measured for j in known))


def tried(b: Bout, family: str) -> dict[float, str]:
    """The ways of a family by eps in 255ths, the smallest first."""
    start = family.split("{")[0]
    found = {float(name.removeprefix(start)): name for name in b.values["coarse"] if name.startswith(start)}
    return dict(sorted(found.items()))


def main_eps(b: Bout) -> float | None:
    """The eps at which attacks are compared: the paper's smallest, or the smallest one that was tried."""
    known = list(tried(b, ways.LRP))
    return ways.EPS[0] if ways.EPS[0] in known else known[0] if known else None


def main(b: Bout, family: str) -> str:
    """The way of a family at that eps, by name."""
    return family.format(main_eps(b) or ways.EPS[0])
