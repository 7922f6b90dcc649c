"""LIME-guided refinement, its ablations and its controls, on several data sets and under several seeds.

Nayyem, Rakin & Wang, 2024, https://arxiv.org/abs/2412.18952
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from torch import Tensor

from ..data.corrupted import CorruptedSamples
from ..data.samples import at_most
from ..detectors.findings import Findings
from ..files import store_name
from ..measure import measure
from ..outcome import Outcome
from ..recipe import Recipe, folder_name
from ..run import Work, run, splits
from ..spec import require
from ..store import Stage
from ..study import Document, Room
from ..types import Corruption, Metric, Progress, Samples, silent
from . import lime_arms as arms
from .lime_document import document
from .lime_found import Found, Seen, Step, scenes
from .lime_published import PUBLISHED


@dataclass(frozen=True)
class Trial:
    """One data set and one way to train on it: a recipe, and whose of the paper's numbers stand beside its own.

    Under ``corruptions`` the ``corrupted_arms`` are measured, clean and under attack.
    """

    name: str
    recipe: Recipe
    published: str = ""
    corruptions: tuple[Corruption, ...] = ()
    corrupted_arms: tuple[str, ...] = (arms.BASELINE, arms.LITERAL, arms.FULL, arms.FGSM_ONLY)

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
        known = f"published is '' or one of: {', '.join(PUBLISHED)}"
        require(self, self.published in ("", *PUBLISHED), known)
        require(self, len(set(self.corruptions)) == len(self.corruptions), "corruptions has one twice")


@dataclass(frozen=True)
class LIMERefinement:
    """Does refinement guided by LIME make a classifier robust, and what of it do the explanations buy?

    Each trial's recipe is carried out under every seed, each in a run directory of its own. The arms that ``closely``
    names are measured further on ``close_images`` test images, and on ``corrupted_images`` under corruption. Arms are
    known by their names (:mod:`glasshouse.studies.lime_arms`); what a claim needs and no recipe has is not testable.

    Differs from the paper: detection sees training images, but for the arm that is there to quantify the leak; each
    step of PGD follows the gradient where it is; thresholds are quantiles, the paper's are not public.

    Cost: that of the recipes, times ``seeds``.
    """

    trials: tuple[Trial, ...]
    seeds: int = 3
    closely: tuple[str, ...] = arms.CLOSELY
    close: tuple[Metric, ...] = arms.CLOSE
    close_images: int = 512
    corrupted: tuple[Metric, ...] = arms.CORRUPTED
    corrupted_images: int = 1000
    pictures: int = 6
    seed: int = 0
    title: str = "Refinement guided by LIME"

    def __post_init__(self) -> None:
        require(self, len(self.trials) >= 1, "trials has at least one trial")
        folders = [store_name(trial.name) for trial in self.trials]
        require(self, len(set(folders)) == len(folders), "trials has a name twice")
        require(self, self.seeds >= 1, "seeds is at least 1")
        require(self, self.close_images >= 1, "close_images is at least 1")
        require(self, self.corrupted_images >= 1, "corrupted_images is at least 1")
        require(self, self.pictures >= 0, "pictures is at least 0")
        require(self, self.seed >= 0, "seed is at least 0")

    def under(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.seeds)

    def __call__(self, device: str) -> Refining:
        """The experiment; ValueError if the data or a model of a trial cannot be used."""
        for trial in self.trials:
            Work(Outcome(trial.recipe, Path(), *splits(trial.recipe)), {}, device, silent).tried()
        return Refining(self, device)


@dataclass(frozen=True, eq=False)
class Refining:
    """The study with its data at hand."""

    study: LIMERefinement
    device: str

    def conduct(self, room: Room) -> Document:
        """Every trial under every seed, then what came of it."""
        found = [
            Found(trial, tuple(self.seen(room, trial, seed) for seed in self.study.under()), self.study.close)
            for trial in self.study.trials
        ]
        return document(self.study, found, room.device)

    def seen(self, room: Room, trial: Trial, seed: int) -> Seen:
        """One trial under one seed."""
        folder = f"{store_name(trial.name)}/seed-{seed}"
        recipe = replace(trial.recipe, seed=seed, title=f"{trial.name}, seed {seed}")
        outcome = run(recipe, room.out / folder, room.names, device=self.device, progress=labelled(room, trial, seed))
        closer = Closer(room, trial, outcome, folder, seed)
        return Seen(
            values=outcome.values,
            close=closer.close(self.study),
            corrupted=closer.corrupted(self.study),
            logs={name: logged(outcome, name) for name in outcome.models},
            steps={name: stepped([r.findings for r in rounds]) for name, rounds in outcome.rounds.items()},
            quality={name: [r.quality for r in rounds] for name, rounds in outcome.rounds.items()},
            checks=outcome.checks,
            seconds=outcome.seconds,
            memory=outcome.memory,
            counts=(len(outcome.train), len(outcome.test), len(outcome.train.classes)),
            scenes=scenes(outcome, self.study.pictures) if seed == self.study.seed else [],
        )


@dataclass(frozen=True, eq=False)
class Closer:
    """What is measured of some arms beside the recipe's own metrics; each step is kept on disk."""

    room: Room
    trial: Trial
    outcome: Outcome
    folder: str
    seed: int

    def close(self, study: LIMERefinement) -> dict[str, dict[str, Tensor]]:
        """The costly metrics, on fewer images."""
        images = at_most(self.outcome.test, study.close_images)
        names = [name for name in study.closely if name in self.outcome.models]
        return {name: self.measured(name, images, study.close, f"close {name}") for name in names}

    def corrupted(self, study: LIMERefinement) -> dict[str, dict[Corruption, dict[str, Tensor]]]:
        """The same images under every corruption."""
        images = at_most(self.outcome.test, study.corrupted_images)
        names = [name for name in self.trial.corrupted_arms if name in self.outcome.models]
        return {
            name: {
                c: self.measured(name, CorruptedSamples(images, c), study.corrupted, f"{name} under {told(c)}")
                for c in self.trial.corruptions
            }
            for name in names
        }

    def measured(self, name: str, images: Samples, metrics: Sequence[Metric], label: str) -> dict[str, Tensor]:
        """Values, now or before the study was cut off."""
        model = self.outcome.models[name]
        progress = labelled(self.room, self.trial, self.seed)
        return self.room.step(
            f"{self.folder}/{store_name(label)}",
            lambda: measure(model, images, metrics, seed=self.seed, progress=progress, label=label),
        )


def labelled(room: Room, trial: Trial, seed: int) -> Progress:
    """The room's progress, which says which run it is about."""
    return lambda label, done, total: room.progress(f"{trial.name}, seed {seed}: {label}", done, total)


def told(corruption: Corruption) -> str:
    """A corruption with its severity, in one word."""
    return f"{type(corruption).__name__}-{getattr(corruption, 'severity', '')}"


def logged(outcome: Outcome, name: str) -> list[dict[str, float]]:
    """The training log of an arm over all its rounds, whose epochs are counted on."""
    if name == arms.BASELINE:
        return Stage(outcome.out / name).rows()
    folder, rows, epochs = outcome.out / folder_name(name), [], 0
    for number in range(1, outcome.recipe.rounds + 1):
        rows += [row | {"epoch": row["epoch"] + epochs} for row in Stage(folder / f"round-{number}").rows()]
        epochs += outcome.recipe.refining.epochs
    return rows


def stepped(findings: Sequence[Findings]) -> list[Step]:
    """How the set of spurious features went over the rounds; the last is what the refined model itself shows."""
    new = [1.0, *(now.new_since(before) for before, now in pairwise(findings))]
    return [Step(f.area(), share) for f, share in zip(findings, new, strict=True)]
