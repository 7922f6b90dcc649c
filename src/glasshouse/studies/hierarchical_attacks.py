"""Attacks on both levels of coarse-to-fine classifiers, and whether they explain themselves.

Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..data.samples import at_most
from ..data.superclasses import covered
from ..explainers.superpixels import chunks
from ..files import store_name
from ..hierarchy import Hierarchical, Hierarchies, grouped, hierarchical, labels_of, route
from ..measure import tried
from ..models.two_levels import GroupedNetwork
from ..modes import device_of
from ..shifts import RelevanceShift, relevance_shifts
from ..spec import require
from ..study import Document, Room
from ..train import Training, fresh, validation_of
from ..types import Architecture, Batch, Data, Progress, Samples
from . import hierarchical_ways as known
from .coarse_to_fine import checked, trained, trained_two_levels
from .coarse_to_fine_document import named
from .hierarchical_document import document
from .hierarchical_found import Bout, Degenerate
from .hierarchical_measured import CRITERIA, JUDGE, PLAIN, degeneracy, measured
from .hierarchical_ways import LevelWay

__all__ = ["HierarchicalAttacks", "LevelTrial", "LevelWay"]

SHOWN = (known.ACTIVE, known.LRP.format(known.EPS[-1]), known.DEEPFOOL)


@dataclass(frozen=True)
class LevelTrial:
    """One classifier of two levels, attacked in several ways.

    Without a ``fine`` network, ``model`` is one flat network that is read level by level, trained here only if
    ``training`` has epochs, or one that has two levels by itself, as :class:`CoarseToFine` with weights; with one it is
    the coarse network of two stages, all trained here. ``images`` are taken
    from the test split, 0 for all; ``degenerate`` of them show how degenerate the paper's loss is.
    """

    name: str
    data: Data
    hierarchy: Hierarchies
    model: Architecture
    ways: tuple[LevelWay, ...]
    fine: Architecture | None = None
    training: Training = Training(epochs=0)
    images: int = 0
    degenerate: int = 8
    batch_size: int = 16

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
        folders = [store_name(way.name) for way in self.ways]
        require(self, len(folders) >= 1, "ways has at least one")
        require(self, len(set(folders)) == len(folders), "ways has a name twice")
        require(self, self.images >= 0, "images is 0 (all) or more")
        require(self, self.degenerate >= 0, "degenerate is at least 0")
        require(self, self.batch_size >= 1, "batch_size is at least 1")


@dataclass(frozen=True)
class HierarchicalAttacks:
    """Do attacks that are guided by relevance explain themselves better than those that are not, on either level?

    Each of the ``trials`` is attacked in all its ways. Measured are who is fooled (as the paper counts and among images
    that were right), how large the perturbation is, and what the paper claims without measuring it: how concentrated
    the perturbation is, and what it has to do with the relevance of both classes. ``untrained`` is a network without
    weights on whose logits the degeneracy of the paper's loss is measured, too. ``pictures`` images are shown.

    Cost: that of the attacks, and of the trainings where there are any.
    """

    trials: tuple[LevelTrial, ...]
    untrained: Architecture | None = None
    side: int = 224  # of the images that the untrained network gets
    pictures: int = 2
    seed: int = 0
    title: str = "Attacks on coarse-to-fine classifiers"

    def __post_init__(self) -> None:
        names = [store_name(trial.name) for trial in self.trials]
        require(self, len(names) >= 1, "trials has at least one")
        require(self, len(set(names)) == len(names), "trials has a name twice")
        require(self, self.side >= 1, "side is at least 1")
        require(self, self.pictures >= 0, "pictures is at least 0")
        require(self, self.seed >= 0, "seed is at least 0")

    def __call__(self, device: str) -> Attacks:
        """The experiment; ValueError if data, a hierarchy or a network cannot be used."""
        subjects = tuple(Subject.of(trial, self.seed) for trial in self.trials)
        return Attacks(self, subjects, device)


@dataclass(frozen=True, eq=False)
class Subject:
    """A trial with its images at hand."""

    trial: LevelTrial
    test: Samples

    @classmethod
    def of(cls, trial: LevelTrial, seed: int) -> Subject:
        """ValueError if images, hierarchy and network do not fit."""
        split = trial.data("test")
        hierarchy = trial.hierarchy(split.classes)
        if trial.fine is None:
            tried(fresh(trial.model, len(split.classes), seed), split)
        else:
            checked(trial.data("train"), hierarchy)
        return cls(trial, at_most(covered(split, hierarchy), trial.images, seed))

    def model(self, room: Room, seed: int) -> nn.Module:
        """The classifier, trained or as it is."""
        trial = self.trial
        if trial.fine is not None:
            return trained_two_levels(
                room, trial.name, trial.data, trial.hierarchy, trial.model, trial.fine, trial.training, seed
            )
        hierarchy = trial.hierarchy(self.test.classes)
        flat = fresh(trial.model, len(hierarchy.fine), seed).to(room.device)
        if isinstance(flat, Hierarchical):
            return flat.eval()
        if trial.training.epochs:
            validation = validation_of(trial.data, trial.training)
            flat = trained(room, trial.name, trial.model, trial.data("train"), validation, trial.training, seed)
        return GroupedNetwork(flat, hierarchy).to(room.device).eval()


@dataclass(frozen=True, eq=False)
class Attacks:
    """The study with its data at hand."""

    study: HierarchicalAttacks
    subjects: tuple[Subject, ...]
    device: str

    def conduct(self, room: Room) -> Document:
        """All attacks, what they did, and what came of it."""
        bouts = [self.bout(room, subject) for subject in self.subjects]
        return document(self.study, bouts, self.bare(room), self.device)

    def bout(self, room: Room, subject: Subject) -> Bout:
        """One classifier under all attacks."""
        trial, name = subject.trial, store_name(subject.trial.name)
        model = subject.model(room, self.study.seed)
        shown = self.shown(model, subject)
        values: dict[str, dict[str, dict[str, Tensor]]] = {"coarse": {}, "fine": {}}
        for way in trial.ways:
            for level in values:
                take = partial(attacked, model, subject, way, level, shown, room.progress)
                values[level][way.name] = room.step(f"{name}-{level}-{store_name(way.name)}", take)
        losses = room.step(f"{name}-degenerate", partial(self.degenerate, model, subject))
        pictures = tuple(shift for level in values for shift in pictured(model, subject, level, values[level], shown))
        return Bout(trial, hierarchical(model, self).hierarchy, values, Degenerate(trial.name, losses), pictures)

    def shown(self, model: nn.Module, subject: Subject) -> list[int]:
        """The first images that are right on both levels and not alone in their superclass."""
        batch = subject.test[list(range(min(8 * self.study.pictures, len(subject.test))))]
        if not len(batch.x):
            return []
        levels = hierarchical(model, self)
        truth = labels_of(batch.y, levels.hierarchy)
        sizes = torch.tensor([len(group) for group in levels.hierarchy.groups])
        right = route(levels, batch.x.to(device_of(model))).fine.cpu() == truth.fine
        return (right & (sizes[truth.coarse] > 1)).nonzero()[:, 0].tolist()[: self.study.pictures]

    def degenerate(self, model: nn.Module, subject: Subject) -> dict[str, Tensor]:
        """The paper's loss on the first images."""
        count = min(subject.trial.degenerate, len(subject.test))
        batch: Batch = subject.test[list(range(count))].to(device_of(model))
        return degeneracy(model, batch.x, batch.y) if count else {}

    def bare(self, room: Room) -> Degenerate | None:
        """The paper's loss in an untrained network."""
        if self.study.untrained is None:
            return None
        take = partial(untrained, self.study.untrained, self.study.side, self.study.seed, room.device)
        return Degenerate(f"{named(self.study.untrained)}, untrained", room.step("untrained-degenerate", take))


def attacked(
    model: nn.Module, subject: Subject, way: LevelWay, level: str, shown: Sequence[int], progress: Progress
) -> dict[str, Tensor]:
    """Values of each image, and how those that are shown ended."""
    count = min(way.images or len(subject.test), len(subject.test))
    attack, label = getattr(way, level), f"{subject.trial.name}: {way.name}, {level}"
    parts, ended = [], []
    for part in chunks(count, subject.trial.batch_size):
        progress(label, part.start, count)
        index = list(range(part.start, part.stop))
        values = measured(model, subject.test[index].to(device_of(model)), attack, level, JUDGE)
        x_adv = values.pop("x_adv").cpu()
        ended += [x_adv[i - part.start] for i in shown if i in index]
        parts.append({k: v.cpu() for k, v in values.items()})
    progress(label, count, count)
    found = {k: torch.cat([values[k] for values in parts]) for k in parts[0]}
    return found | ({"x_adv": torch.stack(ended)} if len(ended) == len(shown) and shown else {})


def pictured(
    model: nn.Module, subject: Subject, level: str, values: Mapping[str, dict[str, Tensor]], shown: Sequence[int]
) -> tuple[RelevanceShift, ...]:
    """The paper's figures of some images."""
    attacks = {name: values[name]["x_adv"] for name in SHOWN if "x_adv" in values.get(name, {})}
    if not shown or not attacks:
        return ()
    batch = subject.test[shown]
    titles = [f"{subject.trial.name}: {subject.test.classes[int(k)]}" for k in batch.y]
    return relevance_shifts(model, batch.x, batch.y, attacks, CRITERIA[level], PLAIN, titles=titles)


def untrained(architecture: Architecture, side: int, seed: int, device: str) -> dict[str, Tensor]:
    """On two images of noise, each class a superclass of its own."""
    model = fresh(architecture, 8, seed)
    for module in model.modules():  # fresh biases are 0, and rules differ in what they do with biases
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1, generator=torch.Generator().manual_seed(seed))
    hierarchy = grouped({str(k): [k] for k in range(8)}, [str(k) for k in range(8)])
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed)).to(device)
    network = GroupedNetwork(model, hierarchy).to(device).eval()
    return degeneracy(network, x, route(network, x).fine)
