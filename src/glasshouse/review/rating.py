"""A rating: which pairs there are, in which order a rater gets them, and who sees which map on which side."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from torch import Tensor

from ..files import write_whole
from ..report import figures
from .pairs import Explained, Pair, drawn_pairs, explained, map_picture, matched, png, same_images
from .votes import SIDES, Vote, Votes, now

FIRST_GUESS = 6.0  # seconds that a pair takes, until a rater's own pace is known
PAUSE = 120.0  # a longer gap between two votes says nothing about the pace


@dataclass(frozen=True, eq=False)
class Rating:
    """Maps of two models, A (the reference) and B (the candidate), to be compared by people who cannot tell which is
    which."""

    a: Explained
    b: Explained
    explainers: dict[str, str]  # the name in A -> the name in B
    pairs: tuple[Pair, ...]
    seed: int

    def drawn(self, rater: str, pair: Pair, what: str) -> bytes:
        """Random bytes that are the same each time, for one rater and pair."""
        return hashlib.sha256(json.dumps([self.seed, rater, pair.name, what]).encode()).digest()

    def order(self, rater: str) -> list[Pair]:
        """The pairs as a rater gets them: everyone in another order, so that no pair is always seen by the tired."""
        return sorted(self.pairs, key=lambda pair: self.drawn(rater, pair, "order"))

    def left(self, rater: str, pair: Pair) -> str:
        """Which of A and B a rater sees on the left."""
        return SIDES[self.drawn(rater, pair, "side")[0] % 2]

    def vote(self, rater: str, pair: Pair, choice: str) -> Vote:
        """A vote as it is kept."""
        return Vote(pair.name, rater, self.left(rater, pair), choice, now())

    def picture(self, rater: str, pair: Pair, place: str) -> bytes:
        """The picture at a place: ``image``, or the map on the ``left`` or ``right``."""
        x = self.a.image(pair.position)
        if place == "image":
            return png(figures.photo(x))
        own, other = self.maps(pair.explainer)
        if (self.left(rater, pair) == "A") != (place == "left"):
            own, other = other, own
        by_superpixels = f"{pair.explainer}.segments" in self.a.values
        return png(map_picture(own, other, x, pair.position, by_superpixels=by_superpixels))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.a.values["pixels"].shape[2:]
        return height, width

    def maps(self, explainer: str) -> tuple[Tensor, Tensor]:
        """The maps of A and of B by an explainer, ``[N, H, W]`` each."""
        return self.a.values[explainer], self.b.values[self.explainers[explainer]]

    def shown(self, pair: Pair) -> str:
        """What is in the picture, where both folders know it and say the same."""
        a, b = (side.images[pair.position].get("true") for side in (self.a, self.b))
        return str(a) if a is not None and a == b else ""

    @property
    def setting(self) -> dict[str, Any]:
        """What votes belong to: those of another setting cannot be added."""
        positions = sorted({pair.position for pair in self.pairs})
        return {
            "A": self.a.digest,
            "B": self.b.digest,
            "seed": self.seed,
            "explainers": list(self.explainers),
            "images": positions,
        }


def rating_of(a: Path, b: Path, explainer: str = "", images: int = 100, seed: int = 0) -> Rating:
    """The rating of two folders of ``glasshouse explain``.

    Raises:
        ValueError: if they cannot be read, are about other images, or share no explainer.
    """
    first, second = explained(a), explained(b)
    if first.digest == second.digest:
        raise ValueError(f"{a} and {b} hold the same maps; explain with two models to compare them")
    same_images(first, second)
    both = matched(first, second, explainer)
    return Rating(first, second, both, drawn_pairs(list(both), len(first.images), images, seed), seed)


def opened(found: Rating, out: Path) -> Votes:
    """The votes in a folder, which is made if there is none.

    Raises:
        ValueError: if it holds votes of another rating, or anything else; nothing is touched then.
    """
    file = out / "rating.json"
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give the name of a folder")
    if file.is_file():
        same_setting(found, file)
    elif out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no votes; give another folder with --out")
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(found.setting, indent=1) + "\n")
    return Votes(out / "votes.jsonl", [pair.name for pair in found.pairs])


def same_setting(found: Rating, file: Path) -> None:
    """ValueError if a folder was begun with another setting."""
    try:
        before = dict(json.loads(file.read_text()))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({error}); give another folder with --out") from None
    words = {"A": "other maps", "B": "other maps", "images": "other images"}
    for name, value in found.setting.items():
        if before.get(name) != value:
            what = words.get(name, f"{name} {before.get(name)}, not {value}")
            raise ValueError(f"{file.parent} holds votes with {what}; give another folder with --out")


def seconds_left(votes: list[Vote], pairs: int) -> float:
    """How long a rater with these votes will take for so many more pairs."""
    times = sorted(when for vote in votes if (when := moment(vote.time)) is not None)
    gaps = [later - earlier for earlier, later in pairwise(times) if 0 < later - earlier < PAUSE]
    return pairs * (median(gaps) if len(gaps) > 2 else FIRST_GUESS)


def moment(time: str) -> float | None:
    """Seconds of a time of day; None if the text is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None
