"""Whether an attribution is about the model and the class at all. Two controls: a map that stays is about neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..draws import draws
from ..explainers import InputGradient
from ..explainers.redrawn import drawn_modules, redrawn, tensors_of
from ..spec import require
from ..types import Batch, Explainer
from .fooling import map_ssim, rank_correlation
from .verdicts import Verdicts


def rank_of_size(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rho of the absolute values, ``[B]``."""
    return rank_correlation(a.abs(), b.abs())


SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "rank": rank_correlation,
    "absolute rank": rank_of_size,
    "ssim": map_ssim,
}


def require_similarity(metric: ModelRandomisation | RandomLogit) -> None:
    """ValueError unless the similarity is one."""
    require(metric, metric.similarity in SIMILARITIES, f"similarity is one of: {', '.join(SIMILARITIES)}")


@dataclass(frozen=True)
class ModelRandomisation:
    """How alike the attribution stays while the model's weights are drawn anew, from its last layers to its first: the
    mean over ``stages``. Adebayo et al., NeurIPS 2018, https://arxiv.org/abs/1810.03292

    A control, lower is better: near 0 for maps that are about what the model has learned, near 1 for maps of the image
    alone. All stages explain the class that the model predicted with its own weights. Each stage takes as many of the
    modules with weights as the others, in the order in which the model names them; with ``stages`` 1 all at once, the
    end of the cascade. Without ``cascade`` each stage by itself is drawn anew, and the others are as they were trained.
    ``similarity`` is Spearman's correlation of the maps ("rank") or of their sizes ("absolute rank"), or "ssim" of
    their sizes.

    It compares explainers on one model. Models compare where their architecture is the same: what the image alone
    gives to a map hangs on it. Traps: sizes of maps share the image's edges, so that "absolute rank" and "ssim" are
    well above 0 for sound explainers, too; noisy maps look sound (Hedström et al., 2024,
    https://arxiv.org/abs/2401.06465), and a random map that is the same for each model has 1. Never read it alone.

    How weights are drawn says :func:`glasshouse.explainers.redrawn.redrawn`; they follow from ``seed`` alone.

    Shape: ``[B]`` in [-1, 1]; NaN where a map is flat at every stage, or the first one.
    Cost: ``stages`` + 1 explanations; weights are drawn once for each batch, whatever the number of explainers.
    Differs from the paper: stages hold several layers, and the value is their mean.
    """

    explainer: Explainer = InputGradient()
    similarity: str = "rank"
    cascade: bool = True
    stages: int = 4
    seed: int = 0
    family: ClassVar[str] = "sanity"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require_similarity(self)
        require(self, self.stages >= 1, "stages is at least 1")

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        before = verdicts.explained(self.explainer)
        key = (ModelRandomisation.staged, self.explainer, self.cascade, self.stages, self.seed)
        after = verdicts.once(key, lambda: self.staged(verdicts))
        return torch.stack([SIMILARITIES[self.similarity](before, maps) for maps in after]).nanmean(0)

    def staged(self, verdicts: Verdicts) -> list[Tensor]:
        """The maps of each stage, ``[B, H, W]``, for the class of the model as it is."""
        model, x, target = verdicts.model, verdicts.batch.x, verdicts.predicted
        fresh = verdicts.once((redrawn, self.seed), lambda: redrawn(model, self.seed))
        return [self.explainer(other, x, target).detach() for other in stages(model, fresh, self.stages, self.cascade)]


def stages(model: nn.Module, fresh: nn.Module, count: int, cascade: bool) -> Iterator[nn.Module]:
    """Copies of the model with more and more of the weights of ``fresh``, the last layers first; without ``cascade``
    with those of one part after another. It is the same copy each time; of a single stage, ``fresh`` itself."""
    names = list(drawn_modules(model))[::-1]
    count = min(count, len(names))
    if count == 1:
        yield fresh
        return
    mixed = deepcopy(model)
    for k in range(count):
        part = names[k * len(names) // count : (k + 1) * len(names) // count]
        overwrite(mixed, fresh, part)
        yield mixed
        if not cascade:
            overwrite(mixed, model, part)


@torch.no_grad()
def overwrite(model: nn.Module, source: nn.Module, names: list[str]) -> None:
    """The modules of these names get the weights of another model."""
    for name in names:
        pairs = zip(*(tensors_of(m.get_submodule(name)) for m in (model, source)), strict=True)
        for to, of in pairs:
            to.copy_(of)


@dataclass(frozen=True)
class RandomLogit:
    """How alike the attributions of the predicted class and of another are, which each image draws.
    Sixt et al., ICML 2020, https://arxiv.org/abs/1912.09818

    A control, lower is better: 1 for maps that do not depend on the class. ``similarity`` as in
    :class:`ModelRandomisation`. It compares explainers on one model, and models with the same classes: classes that are
    alike rest on the same pixels, and with few classes logits oppose each other. With two, whose logits differ in sign
    alone, every gradient has -1 by "rank" and 1 by "absolute rank". Maps of noise have 0 only if they depend on the
    class.

    Shape: ``[B]`` in [-1, 1]; NaN where one of the maps is flat.
    Cost: two explanations.
    Raises:
        ValueError: if the model has one class.
    """

    explainer: Explainer = InputGradient()
    similarity: str = "rank"
    family: ClassVar[str] = "sanity"
    better: ClassVar[int] = -1

    def __post_init__(self) -> None:
        require_similarity(self)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        """The same, with what is known of the batch."""
        other = verdicts.once(other_classes, lambda: other_classes(verdicts))
        after = self.explainer(verdicts.model, verdicts.batch.x, other).detach()
        return SIMILARITIES[self.similarity](verdicts.explained(self.explainer), after)


def other_classes(verdicts: Verdicts) -> Tensor:
    """A class for each image that is not the predicted one, all others alike, ``[B]``; ValueError if there is none."""
    classes = verdicts.logits.shape[1]
    if classes < 2:
        raise ValueError("RandomLogit needs a model of at least two classes")
    return (verdicts.predicted + draws(verdicts.batch.x).integers(1, classes)) % classes
