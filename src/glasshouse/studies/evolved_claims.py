"""What the abstract of E-LIME claims, and what has to hold besides, each with the number that decides.

Bin Wang, Wenbin Pei, Bing Xue, Mengjie Zhang, 2022, https://arxiv.org/abs/2211.15143
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..statistics import compare, holm
from ..study import REFUTED, SUPPORTED, UNTESTED, Claim
from .rows import (
    ELIME_NAME,
    FRONT,
    GREEDY,
    LIME_NAME,
    RANDOM,
    SPARSE,
    Row,
    agreement,
    by_cell,
    carried,
    cells,
    chance,
    held,
    improved,
    only,
    spread,
)

MINUTE, TEN_TIMES, LEVEL = 60.0, 10.0, 0.05


def claims(rows: Sequence[Row], fills: Sequence[str], density: float, device: str) -> tuple[Claim, ...]:
    """The paper's claims first, then the controls."""
    return (
        raised(rows),
        within_a_minute(rows, device),
        ten_times_faster(rows),
        own_number(rows, density),
        several_networks(rows),
        recognised(),
        *beaten(rows),
        *(other_fill(rows, i, fill) for i, fill in enumerate(fills)),
        other_network(rows),
        same_again(rows),
        needed(rows),
    )


def decided(holds: bool) -> str:
    return SUPPORTED if holds else REFUTED


def share_of(part: tuple[int, int]) -> str:
    return f"{part[0]} of {part[1]}"


def raised(rows: Sequence[Row]) -> Claim:
    own = only(rows, ELIME_NAME)
    gain = spread(r.gain for r in own)
    measured = (
        f"{share_of(improved(own))} runs; by {gain.mean:+.3f} on average, {gain.min:+.3f} in the worst. "
        + "; ".join(f"{name}: {share_of(improved(only(rows, name)))}" for name in (RANDOM, GREEDY) if only(rows, name))
    )
    holds = improved(own)[0] == len(own)
    text = "Under the evolved mask the prediction is more probable than for the whole image, in every run"
    return Claim(text, "paper", decided(holds), "improved over 30 runs on all four images", measured)


def within_a_minute(rows: Sequence[Row], device: str) -> Claim:
    slowest = spread(r.seconds for r in only(rows, ELIME_NAME))
    measured = f"{slowest.mean:.1f} s an image on average, {slowest.max:.1f} s at most, on {device}"
    text = "An explanation takes less than a minute"
    return Claim(text, "paper", decided(slowest.max < MINUTE), "within one minute", measured)


def ten_times_faster(rows: Sequence[Row]) -> Claim:
    own, lime = only(rows, ELIME_NAME), only(rows, LIME_NAME)
    ratio = sum(r.seconds for r in lime) / max(sum(r.seconds for r in own), 1e-9)
    asked = [spread(r.evaluations for r in part).mean for part in (own, lime)]
    measured = (
        f"{ratio:.1f} times as fast with batches of the same size; "
        f"{asked[0]:,.0f} evaluations against LIME's {asked[1]:,.0f}"
    )
    text = "It is more than ten times faster than LIME"
    return Claim(text, "paper", decided(ratio > TEN_TIMES), "more than ten times faster", measured)


def own_number(rows: Sequence[Row], density: float) -> Claim:
    """Where a search ends should not depend on where it begins: less than half of the difference may be left."""
    text = "How many superpixels are selected is not set beforehand"
    sparse = only(rows, SPARSE)
    matching = [r for r in only(rows, ELIME_NAME) if r.seed in {s.seed for s in sparse}]
    if not sparse:
        return Claim(text, "paper", UNTESTED, "number not pre-defined", "no search from another start")
    ends = [spread(r.share for r in part).mean for part in (matching, sparse)]
    left = (ends[0] - ends[1]) / (density / 2)
    measured = (
        f"a start with {density:.0%} selected ends at {ends[0]:.0%}, one with {density / 2:.0%} at {ends[1]:.0%}: "
        f"{left:.0%} of the difference is left"
    )
    return Claim(text, "paper", decided(left < 0.5), "number not pre-defined", measured)


def several_networks(rows: Sequence[Row]) -> Claim:
    networks = list(dict.fromkeys(r.network for r in rows))
    counts = {name: improved(only(rows, ELIME_NAME, name)) for name in networks}
    measured = "; ".join(f"{name}: more probable in {share_of(part)} runs" for name, part in counts.items())
    holds = decided(all(part[0] == part[1] for part in counts.values())) if len(networks) > 1 else UNTESTED
    text = "It does so on several networks"
    return Claim(text, "paper", holds, "ResNet, DenseNet, MobileNet, ViT", measured)


def recognised() -> Claim:
    text = "People recognise the evolved explanations, which capture meaningful features"
    return Claim(text, "paper", UNTESTED, "straightforward to be recognised by humans", "needs people who rate blindly")


def beaten(rows: Sequence[Row]) -> list[Claim]:
    """E-LIME against what does without evolution, image by image; p-values corrected by Holm's method."""
    rivals = {
        RANDOM: "Evolution finds more than as many random masks",
        GREEDY: "Evolution finds more than greedy selection with as many evaluations",
        LIME_NAME: "What it selects is more probable than LIME's strongest, as many of them",
    }
    own = np.array(by_cell(rows, ELIME_NAME, probability))
    found = [compare(own, np.array(by_cell(rows, name, probability))) for name in rivals]
    corrected = holm([c.p for c in found])
    told = []
    for text, comparison, p in zip(rivals.values(), found, corrected, strict=True):
        measured = (
            f"{comparison.difference:+.3f} [{comparison.low:+.3f}, {comparison.high:+.3f}], p = {p:.3f} "
            f"over {len(own)} images and networks"
        )
        told.append(Claim(text, "control", weighed(comparison.difference, p, len(own), len(rivals)), "–", measured))
    return told


def weighed(difference: float, p: float, count: int, tests: int) -> str:
    """No verdict where so few images could not have decided, whatever came out."""
    if math.isnan(difference) or (difference > 0 and tests * 2 / 2**count > LEVEL and p >= LEVEL):
        return UNTESTED
    return decided(difference > 0 and p < LEVEL)


def probability(row: Row) -> float:
    return row.probability


def other_fill(rows: Sequence[Row], i: int, fill: str) -> Claim:
    own = only(rows, ELIME_NAME)
    kept = spread(r.fills[i] - r.whole for r in own).mean
    measured = f"{share_of(held(own, i))} runs above the whole image; by {kept:+.3f} on average"
    text = f"The mask stays more probable than the whole image with another fill, {fill}"
    return Claim(text, "control", decided(held(own, i)[0] == len(own)), "–", measured)


def other_network(rows: Sequence[Row]) -> Claim:
    own = carried(only(rows, ELIME_NAME))
    text = "The mask makes the prediction more probable on the other networks, too"
    if not own[1]:
        return Claim(text, "control", UNTESTED, "–", "a single network")
    lime = carried(only(rows, LIME_NAME))
    measured = f"{share_of(own)} runs; as many of LIME's strongest: {share_of(lime)}"
    return Claim(text, "control", decided(own[0] == own[1]), "–", measured)


def same_again(rows: Sequence[Row]) -> Claim:
    """More of what two seeds select is shared than not, on average."""

    def over(value: Callable[[Sequence[Row]], float], method: str) -> float:
        return spread(value(only(rows, method, *cell)) for cell in cells(rows)).mean

    own, lime, luck = over(agreement, ELIME_NAME), over(agreement, LIME_NAME), over(chance, ELIME_NAME)
    measured = f"Jaccard {own:.2f} between seeds; masks of this size at random {luck:.2f}; LIME's strongest {lime:.2f}"
    return Claim("Another seed gives the same explanation", "control", decided(own > 0.5), "–", measured)


def needed(rows: Sequence[Row]) -> Claim:
    """Refuted by a front that mostly has a smaller mask that is enough; not finding one everywhere proves nothing."""
    text = "As many superpixels are needed as it selects"
    own, front = ({(r.network, r.image, r.seed): r for r in only(rows, name)} for name in (ELIME_NAME, FRONT))
    if not front:
        return Claim(text, "control", UNTESTED, "–", "no front was searched")
    enough = {key: r for key, r in front.items() if r.gain >= 0}
    smaller = [r for key, r in enough.items() if r.share < own[key].share]
    shares = [spread(r.share for r in part).mean for part in (own.values(), smaller)]
    told = f"; with {shares[1]:.0%} of them on average, against {shares[0]:.0%}" if smaller else ""
    measured = f"a smaller mask is as probable as the whole image in {len(smaller)} of {len(front)} runs{told}"
    verdict = SUPPORTED if len(enough) == len(front) else UNTESTED
    return Claim(text, "control", REFUTED if 2 * len(smaller) > len(front) else verdict, "–", measured)
