"""Recipes by name: functions that return a :class:`glasshouse.recipe.Recipe` or a :class:`glasshouse.study.Study`.

Only the command line imports them.
"""

from .coarse_to_fine import coarse_to_fine
from .evolved_explanations import evolved_explanations
from .explanation_consistency import explanation_consistency
from .hierarchical_attacks import hierarchical_attacks
from .lime_refinement import lime_refinement
from .refinement import cifar10, demo, refinement
from .robustness_study import robustness_study

__all__ = [
    "cifar10",
    "coarse_to_fine",
    "demo",
    "evolved_explanations",
    "explanation_consistency",
    "hierarchical_attacks",
    "lime_refinement",
    "refinement",
    "robustness_study",
]
