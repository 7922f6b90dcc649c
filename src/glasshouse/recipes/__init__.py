"""Recipes by name: functions that return a :class:`glasshouse.recipe.Recipe`. Only the command line imports them."""

from .refinement import cifar10, demo, refinement

__all__ = ["cifar10", "demo", "refinement"]
