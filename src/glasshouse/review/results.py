"""What the votes of a rating come to, with A and B named: only here do the pairs become two models again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..files import write_whole
from ..statistics import Estimate
from .pairs import Explained, Pair
from .rating import Rating
from .tally import OUTCOMES, Ballot, Tally, ballots, tally
from .votes import Votes


def write_results(found: Rating, votes: Votes, raters: int, out: Path) -> Path:
    """Write ``results.json``; returns the file."""
    write_whole(out / "results.json", json.dumps(results(found, votes, raters), indent=1) + "\n")
    return out / "results.json"


def tallies(found: Rating, votes: Votes, raters: int) -> dict[str, Tally]:
    """What is decided of each explainer, by its name: pairs of one image by two of them are not two witnesses."""
    every = votes.every()
    of = {pair.name: pair.explainer for pair in found.pairs}
    return {name: tally([vote for vote in every if of[vote.pair] == name], raters) for name in found.explainers}


def results(found: Rating, votes: Votes, raters: int) -> dict[str, Any]:
    """Everything that the votes say."""
    every = votes.every()
    counted = ballots(every)
    return {
        "protocol": "B against A, by most votes of the raters of each pair; a tie counts as same",
        "A": described(found.a),
        "B": described(found.b),
        "seed": found.seed,
        "raters": sorted({vote.rater for vote in every}),
        "votes": len(every),
        "lines cut off": votes.torn,
        "raters a pair needs": raters,
        "decided": {name: numbers(each) for name, each in tallies(found, votes, raters).items()},
        "with any votes": {name: numbers(each) for name, each in tallies(found, votes, 1).items()},
        "pairs": [row(found, pair, counted.get(pair.name)) for pair in found.pairs],
    }


def described(side: Explained) -> dict[str, Any]:
    """Where a side's maps come from."""
    return {"folder": str(side.folder), "model": side.model, "maps": side.digest}


def numbers(found: Tally) -> dict[str, Any]:
    """The numbers of one explainer."""
    counts = {name: sum(d == name for d in found.decisions.values()) for name in OUTCOMES}
    return {
        "pairs": len(found.decisions),
        **{name: {"pairs": counts[name], **interval(share)} for name, share in found.shares.items()},
        "p of pos as likely as neg": found.p,
        "agreement of two raters": number(found.agreement),
        "kappa": number(found.kappa),
        "left chosen": interval(found.left),
    }


def interval(found: Estimate) -> dict[str, float | None]:
    """A share with its 95 % interval."""
    return {"share": number(found.mean), "low": number(found.low), "high": number(found.high)}


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value


def row(found: Rating, pair: Pair, ballot: Ballot | None) -> dict[str, Any]:
    """One pair: its image, its votes, and what they decide."""
    image = found.a.images[pair.position]
    about = {"explainer": pair.explainer, "index": image.get("index"), "title": image.get("title")}
    # Two models that take an image for different things were asked different questions.
    about |= {
        f"explained in {k}": side.images[pair.position].get("target")
        for k, side in zip("AB", (found.a, found.b), strict=True)
    }
    counts = ballot or Ballot(0, 0, 0)
    return {**about, **counts._asdict(), "decision": counts.decision if ballot else None}
