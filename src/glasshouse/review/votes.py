"""Votes, one a line, in a file that is only ever added to: what a rater was told is kept has reached the disk."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import NamedTuple

CHOICES = ("left", "same", "right")
SIDES = ("A", "B")
LONGEST = 60  # letters of a name


class Vote(NamedTuple):
    """What a rater thinks of a pair."""

    pair: str
    rater: str
    left: str  # which side was shown on the left, A or B
    choice: str  # left, same or right
    time: str  # of day, with its zone

    @property
    def better(self) -> str:
        """The side that the rater prefers, A or B; empty where there is no real difference."""
        if self.choice == "same":
            return ""
        return self.left if self.choice == "left" else SIDES[1 - SIDES.index(self.left)]


class Votes:
    """The votes in a file, by rater and pair; of several on one pair by one rater the last counts."""

    def __init__(self, path: Path, pairs: Collection[str]) -> None:
        self.path, self.pairs = path, frozenset(pairs)
        self.lock = threading.Lock()
        self.last: dict[tuple[str, str], Vote] = {}
        self.torn = 0  # lines that were cut off while they were written, and so never acknowledged
        for number, line in lines(path):
            vote = vote_in(line)
            if vote is None:
                self.torn += 1
                continue
            self.check(vote, f"{path}, line {number}: ")
            self.last[vote.rater, vote.pair] = vote

    def check(self, vote: Vote, where: str = "") -> None:
        """ValueError if it is no vote on a pair that there is."""
        if vote.pair not in self.pairs:
            raise ValueError(f"{where}there is no pair {vote.pair!r}")
        if vote.choice not in CHOICES:
            raise ValueError(f"{where}unknown choice {vote.choice!r}; there are: {', '.join(CHOICES)}")
        if vote.left not in SIDES or not vote.rater:
            raise ValueError(f"{where}a vote says who gave it, and whether A or B was on the left")

    def add(self, vote: Vote) -> None:
        """Keep a vote; when this returns, it is on the disk.

        Raises:
            ValueError: if it is no vote on a pair that there is.
            OSError: if it cannot be written; it does not count then.
        """
        self.check(vote)
        line = json.dumps(vote._asdict(), ensure_ascii=True).encode() + b"\n"
        with self.lock:
            with self.path.open("a+b", buffering=0) as file:
                # A line that was cut off stays alone: what comes after it begins a new one.
                whole = b"\n" + line if ends_torn(file) else line
                if file.write(whole) != len(whole):
                    raise OSError(f"{self.path} takes no more; is the disk full?")
                os.fsync(file.fileno())
            self.last[vote.rater, vote.pair] = vote

    def every(self) -> list[Vote]:
        """The vote that counts, of each rater on each pair."""
        with self.lock:
            return list(self.last.values())

    def of(self, rater: str) -> dict[str, Vote]:
        """A rater's votes, by pair."""
        return {vote.pair: vote for vote in self.every() if vote.rater == rater}


def now() -> str:
    """The time of day, to a thousandth of a second."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers; none if there is no file."""
    content = path.read_bytes() if path.is_file() else b""
    return ((number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip())


def vote_in(line: bytes) -> Vote | None:
    """The vote in a line; None if the line is cut off."""
    try:
        told = json.loads(line)
        return Vote(*(str(told[field]) for field in Vote._fields))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def ends_torn(file: FileIO) -> bool:
    """Whether an open file ends in the middle of a line."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def rater_name(text: str) -> str:
    """A name as it is kept, with single spaces.

    Raises:
        ValueError: if it is empty, too long, or holds what cannot be printed.
    """
    name = " ".join(text.split())
    if not name or len(name) > LONGEST or not name.isprintable():
        raise ValueError(f"a name has 1 to {LONGEST} letters")
    return name
