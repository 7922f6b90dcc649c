"""Faults in gradients, class activation maps and perturbations."""

from __future__ import annotations

from fault import Fault

FAULTS: list[Fault] = []
