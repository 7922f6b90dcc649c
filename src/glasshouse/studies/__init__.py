"""Studies: experiments that are more than one recipe. ``__all__`` is their registry."""

from .coarse_to_fine import TrainedCoarseToFine
from .consistency_ways import Way
from .debiasing import Debiasing
from .evolved_explanations import EvolvedExplanations
from .explanation_consistency import Compared, ExplanationConsistency
from .few_samples import FewSamples, Strategy
from .hierarchical_attacks import HierarchicalAttacks, LevelTrial, LevelWay
from .lime_refinement import LIMERefinement, Trial
from .model_survey import ModelSurvey, NamedModel
from .robustness_study import RobustnessStudy, RobustnessTrial, RobustTraining

__all__ = [
    "Compared",
    "Debiasing",
    "EvolvedExplanations",
    "ExplanationConsistency",
    "FewSamples",
    "HierarchicalAttacks",
    "LIMERefinement",
    "LevelTrial",
    "LevelWay",
    "ModelSurvey",
    "NamedModel",
    "RobustTraining",
    "RobustnessStudy",
    "RobustnessTrial",
    "Strategy",
    "TrainedCoarseToFine",
    "Trial",
    "Way",
]
