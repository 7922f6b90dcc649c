"""Several models judged by their explanations: the same images, explainers and metrics for all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..data.samples import Renamed, at_most, limited, title_of
from ..draws import seeded_globally
from ..files import store_name
from ..measure import tried
from ..metrics.verdicts import predicted
from ..modes import device_of, frozen
from ..spec import require
from ..store import keep_values
from ..study import Document, Room, Unfinished
from ..survey import Survey, survey, tasks_of
from ..train import fresh
from ..types import Architecture, Data, Explainer, Metric, Samples
from .model_survey_document import document

__all__ = ["ModelSurvey", "NamedModel"]


@dataclass(frozen=True)
class NamedModel:
    """A network with its weights, and what it is called in tables."""

    name: str
    model: Architecture

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")


@dataclass(frozen=True)
class ModelSurvey:
    """Which of several models has the better explanations, by which explainer, and is that more than chance?

    Every one of ``metrics`` that is about explanations is measured with every one of ``explainers`` on the images that
    all models get right, out of ``images`` of the split (0: all); other metrics on all of these. Differences to the
    first model are tested image by image and corrected for their number (Holm). ``explainers`` should hold some that
    explain nothing (RandomMap, EdgeMap, OfRandomisedModel): what does no better than these says nothing of a model.

    What cannot be measured, such as a metric that needs a derivative of an explainer that has none, is left out and
    named. ``classes`` are those of the models, where the data has others. Maps of ``pictures`` images are shown.

    Cost: that of the metrics and explainers, for every model; one image more to try them.
    """

    data: Data
    models: tuple[NamedModel, ...]
    explainers: tuple[Explainer, ...] = ()
    metrics: tuple[Metric, ...] = ()
    images: int = 1000
    split: str = "test"
    classes: tuple[str, ...] = ()
    pictures: int = 3
    batch_size: int = 128
    seed: int = 0
    title: str = "Models by their explanations"

    def __post_init__(self) -> None:
        names = [store_name(one.name) for one in self.models]
        require(self, len(names) >= 1, "models has at least one")
        require(self, len(set(names)) == len(names), "models has a name twice")
        require(self, len(set(self.explainers)) == len(self.explainers), "explainers has one twice")
        require(self, len(set(self.metrics)) == len(self.metrics), "metrics has one twice")
        require(self, self.images >= 0, "images is 0 (all) or more")
        require(self, self.pictures >= 0, "pictures is at least 0")
        require(self, self.batch_size >= 1, "batch_size is at least 1")
        require(self, self.seed >= 0, "seed is at least 0")

    def __call__(self, device: str) -> Surveying:
        """The experiment; ValueError if data or a model cannot be used, or a metric needs an explainer."""
        tasks_of(self.metrics, self.explainers)
        whole = self.data(self.split)
        samples = at_most(whole, self.images, self.seed)
        if self.classes and self.classes != tuple(samples.classes):
            samples = Renamed(samples, self.classes)
        models = {one.name: fresh(one.model, len(samples.classes), self.seed).eval() for one in self.models}
        for name, model in models.items():
            try:
                tried(model, samples)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        models = {name: model.to(device) for name, model in models.items()}
        return Surveying(self, samples, limited(torch.arange(len(whole)), self.images, self.seed), models)


class Seen(NamedTuple):
    """Some of the judged images, and their maps by model and explainer; none where there is no explanation."""

    x: Tensor  # [n, C, H, W]
    titles: tuple[str, ...]
    maps: dict[tuple[str, Explainer], Tensor]  # [n, H, W]


@dataclass(frozen=True, eq=False)
class Surveying:
    """The survey with its images and models at hand."""

    study: ModelSurvey
    samples: Samples
    index: Tensor  # [N] positions in the split
    models: Mapping[str, nn.Module]

    def conduct(self, room: Room) -> Document:
        """Every model measured, or this shard's part of that."""
        study = self.study
        found = survey(
            self.models,
            self.samples,
            study.metrics,
            study.explainers,
            room=room,
            shard=room.shard,
            tolerant=True,
            batch_size=study.batch_size,
            seed=study.seed,
            progress=room.progress,
        )
        if found is None:
            raise Unfinished
        if found.refused and not any(values.isfinite().any() for values in found.values.values()):
            raise ValueError(f"nothing could be measured: {next(iter(found.refused.values()))}")
        self.keep(found, room)
        return document(study, found, self.shown(found, room), self.samples, room.device)

    def keep(self, found: Survey, room: Room) -> None:
        """Every image's values, in the order in which ``results.json`` names them."""
        told = {"index": self.index, "judged": found.judged}
        told |= {f"right_{k}": right for k, right in enumerate(found.right)}
        told |= {f"value_{k}": values for k, values in enumerate(found.values.values())}
        keep_values(room.out / "values.npz", told)

    def shown(self, found: Survey, room: Room) -> Seen:
        """The first judged images, with every map that there is."""
        chosen = found.judged.nonzero()[: self.study.pictures, 0].tolist()
        explainers = self.study.explainers if chosen else ()
        x = self.samples[chosen or [0]].x
        pairs = {(name, e): f"{i}-{k}" for i, name in enumerate(self.models) for k, e in enumerate(explainers)}
        kept = room.step("shown", lambda: self.maps(x, pairs)) if pairs else {}
        titles = tuple(title_of(self.samples, i) for i in chosen)
        return Seen(x[: len(chosen)], titles, {pair: kept[key] for pair, key in pairs.items() if key in kept})

    def maps(self, x: Tensor, pairs: Mapping[tuple[str, Explainer], str]) -> dict[str, Tensor]:
        """Maps for the class that is predicted, by their key; none of an explainer that cannot explain the model."""
        found = {}
        for (name, explainer), key in pairs.items():
            model = self.models[name]
            on = x.to(device_of(model))
            with frozen(model), seeded_globally(self.study.seed, 0), suppress(ValueError):
                found[key] = explainer(model, on, predicted(model, on)).detach().cpu()
        return found
