"""Metrics of glasshouse, each beside the one of Quantus that measures the same, with the same counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from quantus_side import Explain, Given, Peer, explaining, in_turn, quantus
from torch import nn

from glasshouse.explainers.redrawn import redrawn
from glasshouse.metrics import (
    Complexity,
    EffectiveComplexity,
    FaithfulnessCorrelation,
    Infidelity,
    LocalLipschitz,
    MassInside,
    MaxSensitivity,
    ModelRandomisation,
    PixelFlipping,
    PointingGame,
    RandomLogit,
    RankInside,
    RelativeInputStability,
    RelativeOutputStability,
    RelativeRepresentationStability,
    Sparseness,
)
from glasshouse.metrics.infidelity import squares_of
from glasshouse.metrics.neighbours import Neighbours, near
from glasshouse.metrics.randomisation import other_classes, stages
from glasshouse.metrics.subsets import subsets_of

LAYER = "network.layer3.2"  # the last block of ResNet-20
AROUND = Neighbours(size=0.02, copies=8)
# Its own bounds for relative stability are 0.02 and 0.2: every pixel becomes brighter.
SAMPLES, SHARE, SIDE = 64, 0.2, 32
CHOSEN = {"nr_runs": SAMPLES, "subset_size": 3 * round(SHARE * SIDE**2), "return_aggregate": False}
BLACK = {"perturb_baseline": 0.0}  # its "black" is the darkest value of the image or the batch
NOISE = {"nr_samples": AROUND.copies, "perturb_func_kwargs": {"lower_bound": AROUND.size, "upper_bound": None}}
# Of what a sure model loses, float32 keeps little as a probability: values would differ by what is rounded.
LOGIT = {"score": "logit"}
# It makes an image NaN as soon as one neighbour changes its class; ours leaves out that neighbour.
ANY_CLASS = {"same_class": False}


def same_noise(given: Given) -> dict[str, Any]:
    """The neighbours that ours draws."""
    return {"perturb_func": in_turn(near(given.verdicts, AROUND))}


def same_noise_of_any_class(given: Given) -> dict[str, Any]:
    return same_noise(given) | {"return_nan_when_prediction_changes": False}


def same_class_drawn(given: Given) -> Explain:
    """The class that ours draws in place of the one that it is asked for."""
    other = given.verdicts.once(other_classes, lambda: other_classes(given.verdicts)).numpy()
    explain = explaining(given.explainer)
    return lambda model, inputs, targets, **_: explain(model, inputs, other)


def same_weights_drawn(given: Given) -> Explain:
    """The network that ours draws in place of the one that it is handed."""
    fresh = given.verdicts.once((redrawn, 0), lambda: redrawn(given.model, 0))
    (drawn,) = stages(given.model, fresh, 1, True)
    explain = explaining(given.explainer)

    def function(model: nn.Module, inputs: NDArray[Any], targets: NDArray[Any], **_: object) -> NDArray[Any]:
        return explain(model if model is given.model else drawn, inputs, targets)

    return function


def same_subsets(given: Given) -> Iterator[NDArray[Any]]:
    """The features of the pixels that ours draws, as Quantus asks for them: all images, one subset after another."""
    for gone in subsets_of(given.verdicts, SAMPLES, SHARE).transpose(0, 1).flatten(0, 1).flatten(1):
        pixels = gone.nonzero()[:, 0].numpy()
        yield (pixels + np.arange(3)[:, None] * len(gone)).reshape(-1)


def same_squares(given: Given) -> dict[str, Any]:
    """The squares that ours draws, one a sample: its own patches would be removed one after another, and stay away."""
    x, gone = given.batch.x, squares_of(given.verdicts, SAMPLES).transpose(0, 1)[:, :, None]
    # A patch as large as the image is one perturbation.
    more = {"perturb_patch_sizes": [SIDE], "n_perturb_samples": SAMPLES}
    return more | {"perturb_func": in_turn(torch.where(gone, 0.0, x))}


def area(scores: Any, given: Given) -> NDArray[Any]:
    """Under the curve and over its beginning; Quantus leaves out the whole image."""
    whole = given.verdicts.logits.softmax(1).amax(1, keepdim=True).numpy()
    curve = np.concatenate([whole, np.asarray(scores)], 1)
    return np.trapezoid(curve, dx=1 / (curve.shape[1] - 1)) / whole[:, 0]


def spearman() -> dict[str, Any]:
    return {"similarity_func": quantus().similarity_func.correlation_spearman}


def positive(maps: NDArray[Any]) -> NDArray[Any]:
    return maps.clip(0)


def by_own_maximum() -> dict[str, Any]:
    """Each map divided by its own maximum."""
    return {"eps": 0.1, "normalise": True, "normalise_func_kwargs": {"normalise_axes": [1, 2, 3]}, "abs": True}


def stable(theirs: str) -> dict[str, Any]:
    """What the metrics of relative stability have in common."""
    return {
        "theirs": theirs,
        "options": NOISE,
        "handed": same_noise_of_any_class,
        "compared": ANY_CLASS | {"log": False},
    }


PEERS = (
    Peer(Sparseness(), "Sparseness", {"abs": True}),
    Peer(Complexity(relative=False), "Complexity", {"abs": True}),
    Peer(EffectiveComplexity(relative=False), "EffectiveComplexity", by_own_maximum()),
    Peer(MaxSensitivity(around=AROUND), "MaxSensitivity", NOISE, same_noise),
    Peer(LocalLipschitz(around=AROUND, scale_free=False), "LocalLipschitzEstimate", NOISE, same_noise),
    Peer(RelativeInputStability(around=AROUND), **stable("RelativeInputStability")),
    Peer(RelativeOutputStability(around=AROUND), **stable("RelativeOutputStability")),
    Peer(
        RelativeRepresentationStability(around=AROUND, layer=LAYER),
        **stable("RelativeRepresentationStability") | {"options": NOISE | {"layer_names": [LAYER]}},
    ),
    Peer(PixelFlipping(), "PixelFlipping", {"features_in_step": 3 * SIDE} | BLACK, read=area, softmax=True),
    Peer(
        FaithfulnessCorrelation(subsets=SAMPLES, share=SHARE),
        "FaithfulnessCorrelation",
        CHOSEN | BLACK,
        compared=LOGIT,
        subsets=same_subsets,
    ),
    Peer(
        Infidelity(samples=SAMPLES),
        "Infidelity",
        {"perturb_patch_sizes": [4], "n_perturb_samples": 1} | BLACK,
        same_squares,
        compared={"scaled": False, "relative": False} | LOGIT,
    ),
    Peer(PointingGame(), "PointingGame"),
    Peer(MassInside(), "RelevanceMassAccuracy", maps=positive),
    Peer(RankInside(), "RelevanceRankAccuracy"),
    Peer(RandomLogit(), "RandomLogit", {"num_classes": 10} | spearman(), explain=same_class_drawn),
    Peer(
        ModelRandomisation(stages=1),
        "MPRT",
        {"skip_layers": True, "return_last_correlation": True},
        explain=same_weights_drawn,
    ),
)
