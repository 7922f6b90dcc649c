"""Faults in LIME, KernelSHAP and E-LIME."""

from __future__ import annotations

from fault import Fault

FAULTS: list[Fault] = []
