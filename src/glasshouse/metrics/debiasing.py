"""Whether sample weights find the images that do not share the bias of most."""

from __future__ import annotations

from torch import Tensor


def unbiased_share(weights: Tensor, biased: Tensor, top: float = 0.2) -> float:
    """The share of images without the bias among the share ``top`` of all images that have the highest weights.

    Wu et al., IEEE TMM 2024, https://arxiv.org/abs/2408.04600, section IV-D. Weights that say nothing give the share
    of such images among all. Of equal weights at the border, a random choice is taken in, as in the mean over all
    such choices.

    Shape: weights ``[N]``, biased ``[N]`` bool -> a share of ``top * N`` images, rounded to a whole number, at least 1.
    Raises:
        ValueError: if the two are not of the same images, a weight is NaN, or ``top`` is no share.
    """
    if weights.ndim != 1 or weights.shape != biased.shape or not len(weights):
        raise ValueError(f"weights and biased are [N], not {list(weights.shape)} and {list(biased.shape)}")
    if weights.isnan().any():
        raise ValueError("a weight that is NaN has no place among the others")
    if not 0 < top <= 1:
        raise ValueError(f"top is above 0 and at most 1, not {top}")
    places = max(1, round(top * len(weights)))
    border = weights.topk(places).values[-1]
    unbiased = (~biased.bool()).double()
    above, level = weights > border, weights == border
    left = places - int(above.sum())  # places for those at the border
    return float(unbiased[above].sum() + left * unbiased[level].mean()) / places
