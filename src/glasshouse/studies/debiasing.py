"""Do weights find the samples that do not share a planted bias? Wu et al., IEEE TMM 2024,
https://arxiv.org/abs/2408.04600, section IV-D"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Biased
from ..files import store_name
from ..metrics import Inconsistency, Loss
from ..metrics.debiasing import unbiased_share
from ..objectives import Focal
from ..objectives.focal import focal_losses
from ..spec import require
from ..study import Room
from ..train import State, Training, fit, fresh
from ..types import Architecture, Batch, Data, Progress, Samples, silent
from ..weighting import Hardest, Reweighting
from ..weighting.reweighting import scored
from .consistency_ways import Way

FL, HNM, OURS = "FL", "HNM", "ours"


@dataclass(frozen=True)
class Debiasing:
    """Training on data most of which has a bias, in each of three settings: brighter, darker, of larger magnitude.

    After every ``every`` epochs the samples are ranked by focal loss, by hard negative mining and by explanation
    inconsistency, each in the training that uses it; what counts is the share of unbiased ones among the ``top``.
    """

    data: Data
    model: Architecture
    training: Training = Training()
    score: Inconsistency = Inconsistency()
    settings: tuple[tuple[float, float], ...] = ((0.5, 1.0), (-0.5, 1.0), (0.0, 1.5))  # shift and factor
    share: float = 0.8
    every: int = 2
    top: float = 0.2

    def __post_init__(self) -> None:
        require(self, len(self.settings) >= 1, "settings has at least one")
        require(self, len({title(s) for s in self.settings}) == len(self.settings), "settings has one twice")
        require(self, 0 < self.share < 1, "share is between 0 and 1")
        known = f"every is at least 1 and at most the {self.training.epochs} epochs"
        require(self, 1 <= self.every <= self.training.epochs, known)
        require(self, 0 < self.top < 1, "top is between 0 and 1")

    def ways(self) -> tuple[Way, ...]:
        """Focal loss, hard negative mining, ours."""
        return (
            Way(FL, Focal()),
            Way(HNM, weighting=Reweighting(score=Loss(), shape=Hardest(), every=self.every)),
            Way(OURS, weighting=Reweighting(score=self.score, every=self.every)),
        )


Shares = dict[str, dict[str, list[list[float]]]]  # setting: way: seeds: share of unbiased at each ranking


def title(setting: tuple[float, float]) -> str:
    """A setting in words, which also name what is kept of it."""
    shift, factor = setting
    parts = [f"{'brighter' if shift > 0 else 'darker'} by {abs(shift):g} deviations"] if shift else []
    return ", ".join(parts + ([f"magnitude x {factor:g}"] if factor != 1 or not shift else []))


def debiased(study: Debiasing, room: Room, device: str, seeds: range) -> Shares:
    """The shares in every setting, of every way, under every seed."""
    found: Shares = {}
    for setting in study.settings:
        for way in study.ways():
            take = partial(ranked, study, way, setting, device, progress=room.progress)
            name = store_name(f"debiasing-{title(setting)}-{way.name}")
            runs = [room.step(f"{name}-{seed}", partial(take, seed=seed)) for seed in seeds]
            found.setdefault(title(setting), {})[way.name] = [run["share"].tolist() for run in runs]
    return found


def ranked(
    study: Debiasing, way: Way, setting: tuple[float, float], device: str, seed: int, progress: Progress = silent
) -> dict[str, Tensor]:
    """One training; ``share``: of unbiased samples among the highest scores, each time that they are ranked."""
    shift, factor = setting
    samples: Any = Biased(data=study.data, shift=shift, factor=factor, share=study.share, seed=seed)("train")
    model = fresh(study.model, len(samples.classes), seed).to(device)
    shares: list[float] = []

    def after(state: State) -> None:
        if state.epoch % study.every == 0:
            shares.append(unbiased_share(scores(way, model, samples, seed), samples.biased, study.top))

    training, label = replace(study.training, weighting=way.weighting), f"train {way.name}, {title(setting)}"
    fit(model, way.objective, samples, training, seed=seed, after_epoch=after, progress=progress, label=label)
    return {"share": torch.tensor(shares, dtype=torch.float64)}


def scores(way: Way, model: nn.Module, samples: Samples, seed: int) -> Tensor:
    """What a way ranks the samples by, with the network as it stands; it goes on training as it was."""
    score = focal if way.weighting is None else way.weighting.score
    return scored(score, model, samples, 0, seed).cpu()


def focal(model: nn.Module, batch: Batch) -> Tensor:
    """The focal loss of each image, ``[B]``."""
    with torch.no_grad():
        return focal_losses(model(batch.x), batch.y, Focal().gamma, Focal().alpha)


def chance(study: Debiasing) -> float:
    """The share that random weights reach."""
    return 1 - study.share


def whole(runs: list[list[float]]) -> float:
    """Mean share over rankings and seeds, in per cent."""
    return 100 * float(np.mean([share for run in runs for share in run]))
