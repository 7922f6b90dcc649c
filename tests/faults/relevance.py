"""Faults in layer-wise relevance propagation."""

from __future__ import annotations

from fault import Fault

FAULTS: list[Fault] = []
