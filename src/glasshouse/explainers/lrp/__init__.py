"""Layer-wise relevance propagation: rules, where they stand, what it starts from."""

from .composites import Composite
from .lrp import LRP
from .rules import AlphaBeta, Epsilon, Flat, Gamma, ZBeta, ZPlus
from .starts import Logit, OneHot, Probability

__all__ = [
    "LRP",
    "AlphaBeta",
    "Composite",
    "Epsilon",
    "Flat",
    "Gamma",
    "Logit",
    "OneHot",
    "Probability",
    "ZBeta",
    "ZPlus",
]
