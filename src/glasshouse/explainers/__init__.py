"""Explainers: which pixels speak for a class, and how much. ``__all__`` is their registry."""

from .ablation_cam import AblationCAM
from .baselines import EdgeMap, OfRandomisedModel, RandomMap
from .by_level import AtCoarse, AtFine
from .cam import GradCAM, GradCAMPlusPlus, XGradCAM
from .captum_method import Captum
from .eigen_cam import EigenCAM
from .evolved_front import EvolvedFront
from .evolved_lime import ELIME
from .fast_lime import FastLIME
from .filter_map import FilterMap
from .gradient import InputGradient
from .guided_backprop import GuidedBackprop
from .integrated_gradients import IntegratedGradients
from .kernel_shap import KernelSHAP
from .lime import LIME
from .lrp import LRP, AlphaBeta, Composite, Epsilon, Flat, Gamma, Logit, OneHot, Probability, ZBeta, ZPlus
from .occlusion import Occlusion
from .rise import RISE
from .score_cam import ScoreCAM
from .smooth_grad import SmoothGrad, VarGrad
from .superpixels import BlurFill, ConstantFill, Grid, ImageMeanFill, MeanFill, Slic

__all__ = [
    "ELIME",
    "LIME",
    "LRP",
    "RISE",
    "AblationCAM",
    "AlphaBeta",
    "AtCoarse",
    "AtFine",
    "BlurFill",
    "Captum",
    "Composite",
    "ConstantFill",
    "EdgeMap",
    "EigenCAM",
    "Epsilon",
    "EvolvedFront",
    "FastLIME",
    "FilterMap",
    "Flat",
    "Gamma",
    "GradCAM",
    "GradCAMPlusPlus",
    "Grid",
    "GuidedBackprop",
    "ImageMeanFill",
    "InputGradient",
    "IntegratedGradients",
    "KernelSHAP",
    "Logit",
    "MeanFill",
    "Occlusion",
    "OfRandomisedModel",
    "OneHot",
    "Probability",
    "RandomMap",
    "ScoreCAM",
    "Slic",
    "SmoothGrad",
    "VarGrad",
    "XGradCAM",
    "ZBeta",
    "ZPlus",
]
