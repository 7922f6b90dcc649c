"""The outcome of a self-check, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

PASS, WARN, FAIL, OPEN = "pass", "warn", "fail", "open"  # open: it could not be looked at


class Check(NamedTuple):
    """What should hold, whether it does, and what was seen."""

    status: str
    title: str
    reason: str


def graded(title: str, count: float, out_of: int, seen: str, meaning: str, *, warn: float, fail: float) -> Check:
    """A check on a count: above ``fail`` as a share of ``out_of`` it fails, above ``warn`` it warns.

    ``meaning`` is told only where it does not pass.
    """
    share = count / max(out_of, 1)
    status = FAIL if share > fail else WARN if share > warn else PASS
    return Check(status, title, seen if status == PASS else f"{seen}: {meaning}")


def decided(holds: bool, title: str, seen: str, meaning: str) -> Check:
    """A check that passes or fails."""
    return Check(PASS, title, seen) if holds else Check(FAIL, title, f"{seen}: {meaning}")


def worst(checks: Iterable[Check]) -> str:
    """The worst status of all, pass if there is none."""
    order = (OPEN, PASS, WARN, FAIL)
    return max((check.status for check in checks), key=order.index, default=PASS)
