"""The only place that draws: a self-contained page about a run or a study."""

from .documents import write_document
from .page import write_report

__all__ = ["write_document", "write_report"]
