"""Studies: experiments that refine nothing. ``__all__`` is their registry."""

from .evolved_explanations import EvolvedExplanations

__all__ = ["EvolvedExplanations"]
