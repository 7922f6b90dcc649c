"""Studies: experiments that are more than one recipe. ``__all__`` is their registry."""

from .evolved_explanations import EvolvedExplanations
from .lime_refinement import LIMERefinement, Trial

__all__ = ["EvolvedExplanations", "LIMERefinement", "Trial"]
