"""From votes to a decision on each pair, and to shares of pairs that are better, alike or worse.

The protocol is that of Wu, Jiang, Wang, Tang, He & Lin, IEEE TMM 2024, https://arxiv.org/abs/2408.04600, section IV-A2
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ..statistics import Estimate, estimate, mcnemar
from .votes import SIDES, Vote

OUTCOMES = ("pos", "same", "neg")


class Ballot(NamedTuple):
    """How many raters find the candidate's map better than the reference's, as good, or worse."""

    pos: int
    same: int
    neg: int

    @property
    def total(self) -> int:
        """How many raters voted."""
        return sum(self)

    @property
    def decision(self) -> str:
        """What most raters say; ``same`` where two answers have equally many votes."""
        most = max(self)
        first = [outcome for outcome, votes in zip(OUTCOMES, self, strict=True) if votes == most]
        return first[0] if len(first) == 1 else "same"


@dataclass(frozen=True)
class Tally:
    """What the raters say about the pairs of one explainer."""

    decisions: dict[str, str]  # of each pair that has votes enough
    ballots: dict[str, Ballot]  # the same pairs
    left: Estimate  # share of the left map among the votes for either: far from 1/2, habit decided

    @property
    def shares(self) -> dict[str, Estimate]:
        """Share of the pairs with each outcome, with Wilson's 95 % interval."""
        found = list(self.decisions.values())
        return {outcome: estimate(np.array([float(d == outcome) for d in found])) for outcome in OUTCOMES}

    @property
    def p(self) -> float:
        """Sign test: two-sided p-value of "pos is as likely as neg", over the pairs that are either."""
        signs = {"pos": 1.0, "same": 0.0, "neg": -1.0}
        return mcnemar(np.array([signs[d] for d in self.decisions.values()]))

    @property
    def agreement(self) -> float:
        """Share of pairs of raters who say the same of a map, mean over the maps; NaN where no two rated one."""
        found = [agreeing(ballot) for ballot in self.ballots.values() if ballot.total > 1]
        return float(np.mean(found)) if found else float("nan")

    @property
    def kappa(self) -> float:
        """Agreement beyond chance, 1 at best; NaN where chance alone would agree always. Fleiss, 1971.

        Differs from the paper: the number of raters may differ from pair to pair; each pair that two or more rated
        counts once in the agreement, and each of their votes in what chance would do.
        """
        several = np.array([ballot for ballot in self.ballots.values() if ballot.total > 1], dtype=float)
        if not len(several):
            return float("nan")
        chance = float(((several.sum(0) / several.sum()) ** 2).sum())
        return (self.agreement - chance) / (1 - chance) if chance < 1 else float("nan")


def agreeing(ballot: Ballot) -> float:
    """Share of the pairs of raters who say the same."""
    return sum(votes * (votes - 1) for votes in ballot) / (ballot.total * (ballot.total - 1))


def ballots(votes: Sequence[Vote]) -> dict[str, Ballot]:
    """How many say what, for each pair with a vote, in the order of its name; B is the candidate."""
    said = {SIDES[1]: "pos", "": "same", SIDES[0]: "neg"}
    found = {}
    for pair, some in groupby(sorted(votes, key=lambda v: v.pair), key=lambda v: v.pair):
        counts = Counter(said[vote.better] for vote in some)
        found[pair] = Ballot(*(counts[outcome] for outcome in OUTCOMES))
    return found


def tally(votes: Sequence[Vote], raters: int = 1) -> Tally:
    """Decide every pair that at least so many raters voted on; ``votes`` holds one of each rater on each pair."""
    enough = {pair: ballot for pair, ballot in ballots(votes).items() if ballot.total >= raters}
    either = [float(vote.choice == "left") for vote in votes if vote.better and vote.pair in enough]
    return Tally({pair: ballot.decision for pair, ballot in enough.items()}, enough, estimate(np.array(either)))
