"""Whether the attribution of some pixels together tells what the model loses without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..explainers import ConstantFill
from ..spec import require
from ..types import Batch, Fill
from .localisation import maps_of
from .removal import Answers, answers, behind, clean, lots, require_score
from .verdicts import Verdicts


def patterns(verdicts: Verdicts, count: int, size: int) -> Tensor:
    """Sets of ``size`` places among all, ``[count, H*W]`` bool: each image looks its own pixels' places up in
    :func:`lots`, so that its sets are as random as if drawn for it alone, and nothing is sorted for each."""
    x = verdicts.batch.x
    return verdicts.once(
        (patterns, count, size), lambda: (torch.rand(count, x[0, 0].numel()).argsort(1) < size).to(x.device)
    )


def subsets_of(verdicts: Verdicts, count: int, share: float) -> Tensor:
    """The subsets of each image's pixels that :class:`FaithfulnessCorrelation` removes, ``[B, count, H, W]`` bool."""
    x = verdicts.batch.x
    chosen = patterns(verdicts, count, size_of(share, x))[:, lots(verdicts)]
    return chosen.transpose(0, 1).view(len(x), count, *x.shape[2:])


def size_of(share: float, x: Tensor) -> int:
    """Pixels of a subset."""
    return max(1, round(share * x[0, 0].numel()))


def without(verdicts: Verdicts, count: int, share: float, fill: Fill) -> Answers:
    """What the model says without each subset, ``[B, count]``; no explainer has a part in it."""

    def find() -> Answers:
        x, filled = verdicts.batch.x, behind(verdicts, fill)
        sets, places = patterns(verdicts, count, size_of(share, x)), lots(verdicts)

        def altered(images: slice, group: slice) -> Tensor:
            gone = sets[group][:, places[images]].view(-1, *x[images, :1].shape)
            return torch.where(gone, filled[images], x[images])

        return answers(verdicts, count, altered)

    return verdicts.once((without, count, share, fill), find)


def in_places(values: Tensor, places: Tensor) -> Tensor:
    """Values of pixels ``[B, H*W]`` laid out by the places of :func:`lots`, float64: a sum over a set of places is then
    one product of matrices for all sets and images."""
    return torch.empty_like(values, dtype=torch.float64).scatter_(1, places, values.double())


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of each pair of rows, ``[B]`` float32; NaN where a row is constant."""
    constant = torch.stack([t.amax(1) == t.amin(1) for t in (a, b)]).any(0)
    first, second = (t.double() - t.double().mean(1, keepdim=True) for t in (a, b))
    found = (first * second).sum(1) / (first.square().sum(1) * second.square().sum(1)).sqrt()
    return found.masked_fill(constant, torch.nan).float()


@dataclass(frozen=True)
class FaithfulnessCorrelation:
    """Pearson's correlation, over random subsets of pixels, of their attribution in sum with what the predicted class
    loses when ``fill`` stands in their place; higher is better. Bhatt et al., IJCAI 2020,
    https://arxiv.org/abs/2005.00631

    ``subsets`` sets of ``share`` of the pixels, the same ones for all explainers, whose passes are shared.

    It does not change when a map is multiplied, nor when what the model says is: explainers and models compare, on one
    size of image. Random subsets are all alike: what they differ in is little next to what the model makes of holes in
    general, so that values are small, and those of 100 subsets are known to 0.1 at best for an image. A smaller
    ``share`` says more of single pixels, a larger one more of what they do together.

    Shape: ``[B]`` in [-1, 1]; NaN where a map is flat, or the model says the same of all subsets.
    Cost: ``subsets`` forward passes for all explainers together.
    Raises:
        ValueError: if the batch has no attribution.
    """

    subsets: int = 100
    share: float = 0.2
    fill: Fill = ConstantFill(0.0)
    score: str = "probability"
    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "faithfulness"
    better: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require(self, self.subsets >= 2, "subsets is at least 2")
        require(self, 0 < self.share < 1, "share is between 0 and 1")
        require_score(self, self.score)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        maps = maps_of(self, verdicts.batch).flatten(1)
        told = without(verdicts, self.subsets, self.share, self.fill)
        lost = clean(verdicts).scores(self.score) - told.scores(self.score)
        sets = patterns(verdicts, self.subsets, size_of(self.share, verdicts.batch.x))
        sums = in_places(maps, lots(verdicts)) @ sets.double().T
        flat = maps.amax(1) == maps.amin(1)  # its sums are equal but for rounding
        return pearson(sums, lost).masked_fill(flat, torch.nan)
