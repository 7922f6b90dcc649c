"""Does robustness buy interpretability? Models of varying robustness, and what happens to their explanations.

Weng Pei He, Nanyang Technological University, 2025 (project CCDS24-0496; only the abstract is public)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from ..data.samples import at_most
from ..explainers import GradCAM, InputGradient
from ..files import store_name
from ..measure import tried
from ..metrics import Accuracy, Neighbours, WorstCaseSensitivity
from ..modes import device_of
from ..spec import require
from ..study import Document, Room
from ..survey import Survey, survey
from ..train import Training, fresh, validation_of
from ..types import Architecture, Attack, Data, Explainer, Metric, Samples
from . import robustness_ways as known
from .model_survey import NamedModel
from .robustness_document import document
from .robustness_found import Found, Scene, Subject
from .robustness_misleading import misleading
from .robustness_ways import RobustTraining

__all__ = ["RobustTraining", "RobustnessStudy", "RobustnessTrial"]


@dataclass(frozen=True)
class RobustnessTrial:
    """Models of varying robustness on one data set: trained here in several ``ways``, or ``given`` with their weights.

    Accuracy is that of the whole test split. ``threats`` are tried on ``attacked`` of its images (0: all), and models
    are ranked by the first. Explanations are measured on those of ``images`` (0: all) that every model gets right:
    ``metrics`` by every one of ``explainers``, what is ``searched`` for by gradients of maps by the ``smooth`` ones.
    """

    name: str
    data: Data
    ways: tuple[RobustTraining, ...] = ()
    model: Architecture | None = None
    training: Training = Training()
    given: tuple[NamedModel, ...] = ()
    explainers: tuple[Explainer, ...] = known.EXPLAINERS
    metrics: tuple[Metric, ...] = known.metrics(Neighbours(), steps=32)
    smooth: tuple[Explainer, ...] = (InputGradient(), GradCAM())
    searched: tuple[Metric, ...] = (WorstCaseSensitivity(),)
    threats: tuple[Attack, ...] = known.threats(1.0)
    attacked: int = 1000
    images: int = 1000
    batch_size: int = 64

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
        called = [store_name(name) for name in (*(w.name for w in self.ways), *(m.name for m in self.given))]
        require(self, len(called) >= 1, "ways or given has at least one")
        require(self, len(set(called)) == len(called), "ways and given have a name twice")
        require(self, not self.ways or self.model is not None, "ways need a model")
        require(self, len(self.threats) >= 1, "threats has at least one")
        require(self, self.attacked >= 0, "attacked is 0 (all) or more")
        require(self, self.images >= 0, "images is 0 (all) or more")
        require(self, self.batch_size >= 1, "batch_size is at least 1")


@dataclass(frozen=True)
class RobustnessStudy:
    """Are explanations of robust models more concise, more stable and more relevant, and what does it cost?

    In each of the ``trials`` models of varying robustness are ranked by their accuracy under a fixed threat model, and
    their explanations measured on the images that all of them get right, next to baselines that explain nothing.
    ``pictures`` explanations are shown that look right and are not.

    Cost: that of the trainings, of the threats and of the survey, for every model.
    """

    trials: tuple[RobustnessTrial, ...]
    pictures: int = 4
    seed: int = 0
    title: str = "Robustness and interpretability"

    def __post_init__(self) -> None:
        names = [store_name(trial.name) for trial in self.trials]
        require(self, len(names) >= 1, "trials has at least one")
        require(self, len(set(names)) == len(names), "trials has a name twice")
        called = [store_name(f"{t.name} {s.name}") for t in self.trials for s in subjects_of(t, self.seed)]
        require(self, len(set(called)) == len(called), "trials have two models with one name")
        require(self, self.pictures >= 0, "pictures is at least 0")
        require(self, self.seed >= 0, "seed is at least 0")

    def __call__(self, device: str) -> Studying:
        """The experiment; ValueError if data or a model cannot be used."""
        return Studying(self, tuple(Splits.of(trial, self.seed) for trial in self.trials), device)


@dataclass(frozen=True, eq=False)
class Splits:
    """A trial with its images at hand."""

    trial: RobustnessTrial
    train: Samples | None
    test: Samples

    @classmethod
    def of(cls, trial: RobustnessTrial, seed: int) -> Splits:
        """ValueError if a model cannot take the images."""
        test = trial.data("test")
        networks = [trial.model] if trial.model is not None and trial.ways else []
        for network in (*networks, *(one.model for one in trial.given)):
            tried(fresh(network, len(test.classes), seed), test)
        return cls(trial, trial.data("train") if trial.ways else None, test)


@dataclass(frozen=True, eq=False)
class Studying:
    """The study with its data at hand."""

    study: RobustnessStudy
    parts: tuple[Splits, ...]
    device: str

    def conduct(self, room: Room) -> Document:
        """Every model of every trial, measured."""
        return document(self.study, [self.found(room, part) for part in self.parts], self.device)

    def found(self, room: Room, part: Splits) -> Found:
        """One trial."""
        trial = part.trial
        subjects = subjects_of(trial, self.study.seed)
        models = {s.name: self.model(room, part, s) for s in subjects}
        some = at_most(part.test, trial.images, self.study.seed)
        few = at_most(part.test, trial.attacked, self.study.seed)
        asked = partial(measured, room, trial, models, seed=self.study.seed)
        clean = asked("clean", part.test, (), ())
        threatened = asked("threats", few, tuple(Accuracy(attack=threat) for threat in trial.threats), ())
        explained = asked("explained", some, trial.metrics, trial.explainers)
        if trial.searched and trial.smooth:
            more = asked("searched", some, trial.searched, trial.smooth)
            values, refused = explained.values | more.values, explained.refused | more.refused
            explained = replace(explained, values=values, refused=refused)
        found = Found(trial, subjects, clean, threatened, explained)
        return found._replace(scenes=self.scenes(found, models, some))

    def model(self, room: Room, part: Splits, subject: Subject) -> nn.Module:
        """One model, trained or as it was given."""
        trial, classes = part.trial, len(part.test.classes)
        if subject.way is None:
            own = next(one for one in trial.given if one.name == subject.name)
            return fresh(own.model, classes, subject.seed).to(room.device).eval()
        if trial.model is None or part.train is None:
            raise ValueError(f"trial {trial.name!r} has ways and no model")
        network = fresh(trial.model, classes, subject.seed).to(room.device)
        name, validation = f"{trial.name} {subject.name}", validation_of(trial.data, trial.training)
        objective = subject.way.objective
        return room.trained(name, network, part.train, trial.training, subject.seed, validation, objective).eval()

    def scenes(self, found: Found, models: dict[str, nn.Module], samples: Samples) -> tuple[Scene, ...]:
        """Explanations by the most robust model that look right and are not."""
        judged = found.explained.judged.nonzero()[:, 0].tolist()
        if not judged or not self.study.pictures:
            return ()
        best = found.names[int(found.axis.argmax())]
        batch = samples[judged[:64]].to(device_of(models[best]))
        return misleading(models[best], batch, samples.classes, best, self.study.pictures)


def subjects_of(trial: RobustnessTrial, seed: int) -> tuple[Subject, ...]:
    """Every way under each of its seeds, then what was given."""
    trained = [Subject(f"{way.name} seed {s}", way, s) for way in trial.ways for s in range(seed, seed + way.seeds)]
    return (*trained, *(Subject(one.name, None, seed) for one in trial.given))


def measured(
    room: Room,
    trial: RobustnessTrial,
    models: dict[str, nn.Module],
    name: str,
    samples: Samples,
    metrics: Sequence[Metric],
    explainers: Sequence[Explainer],
    *,
    seed: int,
) -> Survey:
    """One survey of a trial, kept under its name."""
    found = survey(
        models,
        samples,
        metrics,
        explainers,
        room=room,
        name=f"{store_name(trial.name)}/{name}/",
        batch_size=trial.batch_size,
        seed=seed,
        tolerant=True,
        progress=room.progress,
    )
    if found is None:
        raise ValueError(f"steps of {trial.name!r} are missing")
    return found
