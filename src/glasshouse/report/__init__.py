"""The only place that draws: a self-contained page about a run."""

from .page import write_report

__all__ = ["write_report"]
