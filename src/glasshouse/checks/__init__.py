"""Self-checks: what cannot be true of an honest model and an honest measurement."""

from .check import FAIL, OPEN, PASS, WARN, Check, worst
from .everything import self_checks

__all__ = ["FAIL", "OPEN", "PASS", "WARN", "Check", "self_checks", "worst"]
