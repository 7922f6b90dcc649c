"""Where Quantus does not do what its papers say: each is shown by what it does here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from quantus_side import PLAIN, Given, explaining, quantus, quietly


def by(given: Given, theirs: str, **options: Any) -> Any:
    """What a metric of Quantus says; what it raises, it raises."""
    metric = getattr(quantus(), theirs)(**{"disable_warnings": True} | options)
    with quietly():
        return metric(**given.called(), explain_func=explaining(given.explainer), softmax=False)


def values(given: Given, theirs: str, **options: Any) -> str:
    """The lowest and the highest of its values."""
    found = np.asarray(by(given, theirs, **options), np.float64)
    return f"from {np.nanmin(found):.3g} to {np.nanmax(found):.3g}, {np.isnan(found).sum()} of {found.size} NaN"


def without_evidence(given: Given) -> str:
    """What a map is worth where nothing is to be found."""
    assert given.batch.mask is not None
    called = given.called() | {"s_batch": np.zeros_like(given.batch.mask.numpy()[:, None])}
    called["s_batch"][0] = True  # a batch of empty masks alone is refused
    return f"{quantus().PointingGame(**PLAIN)(**called)[1]} for an image with an empty mask"


def by_neighbours(given: Given) -> str:
    """Whether a value hangs on who shares the batch."""
    called = given.called()
    whole = quantus().EffectiveComplexity(eps=0.1, disable_warnings=True)(**called)
    ones = {name: part[:1] if isinstance(part, np.ndarray) else part for name, part in called.items()}
    alone = quantus().EffectiveComplexity(eps=0.1, disable_warnings=True)(**ones)
    return f"{whole[0]} pixels beside others, {alone[0]} for the same image alone"


def piled_up(given: Given) -> str:
    """How much of an image has changed when the last of its patches is taken away."""
    changed: list[float] = []
    x = given.batch.x.flatten(1).numpy()
    replace = quantus().functions.perturb_func.batch_baseline_replacement_by_indices

    def watched(arr: Any, indices: Any, **options: Any) -> Any:
        found = replace(arr, indices, **options)
        changed.append(float((found != x).mean()) / (indices.shape[1] / x.shape[1]))
        return found

    by(given, "Infidelity", perturb_func=watched, n_perturb_samples=1, perturb_patch_sizes=[8])
    return f"a patch alone at first, {changed[-1]:.0f} times as much at the last of {len(changed)}"


def whole_pixels(given: Given) -> str:
    """Whether pixels of three channels can go one by one."""
    metric = quantus().PixelFlipping(features_in_step=3, **PLAIN)
    return str(len(metric(**given.called())))


def again(given: Given) -> str:
    """What more samples tell."""
    few, many = (np.asarray(by(given, "Infidelity", n_perturb_samples=n, perturb_patch_sizes=[8])) for n in (1, 2))
    return f"the second sample of all patches changes the value by {np.abs(many / few - 1).max():.0e} of it"


def one_sided(given: Given) -> str:
    """The noise that relative stability adds."""
    x, least = given.batch.x.flatten(1).numpy(), []
    noise = quantus().functions.perturb_func.batch_uniform_noise

    def watched(arr: Any, **options: Any) -> Any:
        found = noise(arr, **options)
        least.append(float((found - x).min()))
        return found

    by(given, "RelativeInputStability", perturb_func=watched, nr_samples=1)
    return f"the least change of a pixel is {min(least):+.3f}"


def averaged(given: Given) -> str:
    """What a mean over the layers holds."""
    layers = by(given, "MPRT", skip_layers=True)
    return f"its layers begin with {next(iter(layers))!r}: {np.mean(layers[next(iter(layers))]):.2f}"


DEFECTS: dict[str, tuple[str, Callable[[Given], str]]] = {
    "ROAD": ("features of all channels are looked up in one channel", lambda g: values(g, "ROAD")),
    "IROF": ("the mask has one channel, the image three", lambda g: values(g, "IROF")),
    "PixelFlipping, area": (
        "numpy.trapz is gone from numpy 2.4",
        lambda g: values(g, "PixelFlipping", features_in_step=32, return_auc_per_sample=True),
    ),
    "RelevanceMassAccuracy": ("divides by the signed sum", lambda g: values(g, "RelevanceMassAccuracy")),
    "PointingGame": ("NaN is written into an array of bool", without_evidence),
    "normalise=True, the default": ("maps are divided by the maximum of the batch", by_neighbours),
    "Infidelity, its own perturbations": ("patches add up instead of being drawn", piled_up),
    "Infidelity, more samples": ("each sample removes the same patches again", again),
    "PixelFlipping, whole pixels": ("the step has to divide the pixels of one channel", whole_pixels),
    "RelativeInputStability, noise": ("uniform noise has a lower bound above 0", one_sided),
    "MPRT, mean over layers": ("the mean holds the model as it is", averaged),
    "RelativeInputStability": (
        "one neighbour of another class makes an image NaN",
        lambda g: values(g, "RelativeInputStability", nr_samples=8),
    ),
}


def seen(given: Given, show: Callable[[Given], str]) -> str:
    """What it does, a crash included."""
    try:
        return show(given)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
