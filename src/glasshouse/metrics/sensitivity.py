"""How far an attribution moves, at most, when the image hardly does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..explainers import InputGradient
from ..types import Batch, Explainer
from .neighbours import Neighbours, largest, near, near_maps
from .perturbation import known
from .verdicts import Verdicts


@dataclass(frozen=True)
class MaxSensitivity:
    """The largest ||a(x') - a(x)|| / ||a(x)|| over the neighbours x'. Yeh et al., NeurIPS 2019,
    https://arxiv.org/abs/1901.09392

    Lower is more stable. Both maps explain the class that is predicted of x. A factor on all maps of a model changes
    nothing, and so models, explainers and image sizes compare, with the same neighbours: the value grows with their
    size, and with their number, since it is a largest one. It is no bound: 10 points of a ball of thousands of
    dimensions hardly ever come near to the worst (:class:`WorstCaseSensitivity` looks for that).

    The trap: a map that never changes has 0, the best value, whatever it says; so read a constant map beside it. Coarse
    and smoothed maps score well for the same reason. A neighbour's map that is the same in shape and twice as large
    counts 1; with ``scale_free`` both maps are divided by their own norms first, and only direction counts: the value
    is then sqrt(2 - 2 cos), in [0, 2].

    Shape: ``[B]``, >= 0; NaN for a map of zeros.
    Cost: as many explanations as there are neighbours, and one; shared by all metrics with the same neighbours.
    Differs from the paper: where the change is not divided by ||a(x)||; maps are sums over channels.
    """

    explainer: Explainer = InputGradient()
    around: Neighbours = Neighbours()
    scale_free: bool = False
    family: ClassVar[str] = "stability"
    better: ClassVar[int] = -1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        maps, others = verdicts.explained(self.explainer), near_maps(verdicts, self.around, self.explainer)
        moved = change(maps, others, self.scale_free)
        if not self.scale_free:
            moved = moved / norm(maps[None])
        return known(largest(moved, moved.isfinite()), maps).float()


@dataclass(frozen=True)
class LocalLipschitz:
    """The largest ||a(x') - a(x)|| / ||x' - x|| over the neighbours x'. Alvarez-Melis & Jaakkola, 2018,
    https://arxiv.org/abs/1806.08049

    Lower is more stable. With ``scale_free`` both maps are divided by their own norms first, which makes models and
    explainers comparable on images of one size. The paper's own number, without it, is in units of the map: halve a
    model's logits and it halves. Adversarial training shrinks gradients, so that it falls even where no map has become
    more stable; compare nothing by it but neighbours of one model and explainer. Distances between images are Euclidean
    over all pixels: with noise of a given size they grow, and the value falls, as the square root of their number.

    Shape: ``[B]``, >= 0; NaN for a map of zeros.
    Cost: that of :class:`MaxSensitivity`, shared with it.
    Differs from the paper: which looks for the largest by Bayesian optimisation or in the data.
    """

    explainer: Explainer = InputGradient()
    around: Neighbours = Neighbours()
    scale_free: bool = True
    family: ClassVar[str] = "stability"
    better: ClassVar[int] = -1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        maps, others = verdicts.explained(self.explainer), near_maps(verdicts, self.around, self.explainer)
        distance = verdicts.once((distances, self.around), lambda: distances(verdicts, self.around))
        steep = change(maps, others, self.scale_free) / distance
        return known(largest(steep, steep.isfinite()), maps).float()


def distances(verdicts: Verdicts, around: Neighbours) -> Tensor:
    """||x' - x|| of each neighbour, ``[N, B]`` float64."""
    return norm(near(verdicts, around).double() - verdicts.batch.x.double())


def norm(values: Tensor) -> Tensor:
    """Euclidean norms, ``[N, B, ...]`` -> ``[N, B]`` float64: squares of what is as small as 1e-30 are no 0 there."""
    return values.double().flatten(2).norm(dim=2)


def change(maps: Tensor, others: Tensor, scale_free: bool) -> Tensor:
    """How far other maps ``[N, B, H, W]`` are from the maps ``[B, H, W]``, ``[N, B]`` float64; with ``scale_free`` each
    in units of its own norm."""
    first, second = maps[None].double(), others.double()
    return norm(unit(second) - unit(first)) if scale_free else norm(second - first)


def unit(maps: Tensor) -> Tensor:
    """Maps ``[N, B, H, W]`` with norm 1; zeros stay zeros."""
    size = norm(maps)[..., None, None]
    return maps / torch.where(size > 0, size, 1.0)
