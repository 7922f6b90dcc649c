"""Interleaved timing within one run: machines are noisy, so that only ratios count."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable

import torch


def interleaved(
    functions: dict[str, Callable[[], object]], repetitions: int, warm: bool = False
) -> dict[str, list[float]]:
    """Seconds of each function, each repetition calling all of them in turn, after one that does not count unless they
    are ``warm``: called before."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repetition in range(warm, repetitions + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repetition:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], over: str, under: str) -> float:
    """Median over the repetitions of one function's seconds over another's."""
    return statistics.median(a / b for a, b in zip(seconds[over], seconds[under], strict=True))


def setup(**more: object) -> dict[str, object]:
    """With what it was measured."""
    return {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads(), **more}


def last_line(figures: dict[str, float], about: dict[str, object]) -> None:
    """The figures as JSON, for whoever reads the last line."""
    short = {name: round(value, 4) or float(f"{value:.1e}") for name, value in figures.items()}
    print(json.dumps({"figures": short, "setup": about}))
