"""What each step of a run took: seconds, and memory at its peak."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

from .files import write_whole
from .outcome import Outcome


def noted(path: Path) -> dict[str, float]:
    """What was noted of the steps that are done; nothing where that is lost, which is no reason to lose a run."""
    with suppress(ValueError, OSError, TypeError, AttributeError):
        return {str(name): float(value) for name, value in json.loads(path.read_text()).items()}
    return {}


class Timer:
    """Seconds and peak memory of a step on disk; seconds add up over interruptions, of the memory the most counts."""

    def __init__(self, outcome: Outcome, name: str, device: str) -> None:
        self.outcome, self.name, self.device = outcome, name, device

    def __enter__(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(self.device)
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds, memory = self.outcome.seconds, self.outcome.memory
        seconds[self.name] = round(seconds.get(self.name, 0.0) + time.perf_counter() - self.start, 3)
        memory[self.name] = max(memory.get(self.name, 0.0), peak_memory(self.device))
        for name, values in (("timing.json", seconds), ("memory.json", memory)):
            write_whole(self.outcome.out / name, json.dumps(values, indent=1) + "\n")


def peak_memory(device: str) -> float:
    """The most memory in use, in MiB: what tensors took on a GPU in this step, else what this process took so far."""
    if device.startswith("cuda"):
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    try:
        import resource
    except ImportError:  # Windows has none
        return 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
