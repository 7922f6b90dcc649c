"""Faults in showing explanations."""

from __future__ import annotations

from fault import Fault

FAULTS: list[Fault] = []
