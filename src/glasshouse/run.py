"""Carrying out a recipe in a run directory."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from . import store
from .checks import self_checks
from .data.samples import at_most
from .detectors.findings import Findings, Masked, moved, quality
from .detectors.spurious import masks_of
from .files import write_whole
from .measure import measure, tried
from .metrics import Accuracy
from .metrics.localisation import foreground, on_evidence, on_maps
from .outcome import Outcome, Round, results, without_nan
from .recipe import Arm, Recipe, folder_name
from .refine import Detector, refine
from .timer import Timer, noted
from .titles import attack_title
from .train import State, Training, fit, fresh, validation_of
from .types import Metric, Objective, Progress, Samples, silent


def run(
    recipe: Recipe, out: Path, names: Mapping[str, type], *, device: str = "cpu", progress: Progress = silent
) -> Outcome:
    """Carry out a recipe, or what is left of it, and write everything but the report.

    Raises:
        ValueError: before anything is written if data, model or ``out`` cannot be used.
    """
    work = Work(Outcome(recipe, out, *splits(recipe)), names, device, progress)
    work.tried()
    store.opened(out, recipe, names)
    work.outcome.seconds |= noted(out / "timing.json")
    work.outcome.memory |= noted(out / "memory.json")
    work.baseline()
    for arm in recipe.arms:
        work.arm(arm)
    work.measure()
    if recipe.checks:
        work.check()
    write_whole(out / "results.json", json.dumps(without_nan(results(work.outcome)), indent=1) + "\n")
    return work.outcome


def splits(recipe: Recipe) -> tuple[Samples, Samples, Samples | None]:
    """Training, test and, where a training selects by them, validation samples; the same under every seed.

    Raises:
        ValueError: if the data cannot be used.
    """
    train, test = recipe.data("train"), at_most(recipe.data("test"), recipe.test_images)
    if len(train.classes) != len(test.classes):
        raise ValueError(f"training has {len(train.classes)} classes, test has {len(test.classes)}")
    return train, test, validation_of(recipe.data, recipe.training, recipe.refining)


class Work:
    """The steps of a run, each of which looks first whether it is done."""

    def __init__(self, outcome: Outcome, names: Mapping[str, type], device: str, progress: Progress) -> None:
        self.outcome, self.names, self.device, self.progress = outcome, names, device, progress
        self.recipe, self.out = outcome.recipe, outcome.out
        self.seen = at_most(outcome.test, self.recipe.watched)

    def built(self) -> nn.Module:
        """A new model, the same each time."""
        return fresh(self.recipe.model, len(self.outcome.train.classes), self.recipe.seed).to(self.device)

    def tried(self) -> None:
        """Fail before anything is written: a batch through the model, a look at each split."""
        model = self.built()
        for split in (self.outcome.train, self.outcome.test, self.outcome.validation):
            if split is not None:
                tried(model, split)

    def trained(
        self, stage: store.Stage, model: nn.Module, objective: Objective, samples: Samples, training: Training
    ) -> Objective:
        """A training that is done, taken up again, or done from the start."""
        done = stage.load(model, self.names)
        if done is not None:
            return done
        name = str(stage.folder.relative_to(self.out))
        with self.timed(name):
            objective = fit(
                model,
                objective,
                samples,
                training,
                validation=self.outcome.validation,
                seed=salted(self.recipe.seed, stage.folder.name),
                resume=lambda optimizer: stage.resume(model, optimizer, objective, self.names),
                after_epoch=lambda state: stage.keep(model, self.watched(model, state)),
                progress=self.progress,
                label=f"train {name}",
            )
        stage.finish(model, objective)
        return objective

    def watched(self, model: nn.Module, state: State) -> State:
        """The state with what the recipe wants to know after each epoch in the last row of its log."""
        if not self.recipe.each_epoch or not state.log:
            return state
        values = measure(model, self.seen, self.recipe.each_epoch, seed=self.recipe.seed)
        means = {name: float(value.double().nanmean()) for name, value in values.items()}
        return state._replace(log=[*state.log[:-1], state.log[-1] | means])

    def baseline(self) -> None:
        model = self.built()
        stage = store.Stage(self.out / "baseline")
        self.trained(stage, model, self.recipe.objective, self.outcome.train, self.recipe.training)
        self.outcome.models["baseline"] = model.eval()

    def arm(self, arm: Arm) -> None:
        model = self.built()
        model.load_state_dict(self.outcome.models["baseline"].state_dict())
        folder = self.out / folder_name(arm.name)
        if arm.detector is None:
            self.control(arm, model, folder)
        else:
            rounds = StoredRounds(self, arm, folder)
            refine(model, arm.objective, rounds, at_most=self.recipe.rounds, tolerance=self.recipe.tolerance)
            self.outcome.rounds[arm.name] = rounds.seen
        self.outcome.models[arm.name] = model.eval()

    def control(self, arm: Arm, model: nn.Module, folder: Path) -> None:
        """As many rounds as the arm it is the control of, without masks or with that arm's at random places."""
        objective = arm.objective
        for number in range(len(self.outcome.rounds[arm.control_of]) - 1):
            findings = None
            if arm.random_masks:
                kept = self.outcome.rounds[arm.control_of][number].findings
                findings = moved(kept, salted(self.recipe.seed, f"moved {number}"))
            samples = Masked(self.outcome.train, findings)
            stage = store.Stage(folder / f"round-{number + 1}")
            objective = self.trained(stage, model, objective, samples, self.recipe.refining)

    def measure(self) -> None:
        metrics = self.recipe.metrics
        if foreground(self.outcome.test[[0]]) is None:
            metrics = tuple(m for m in metrics if not on_evidence(m))
        for name, model in self.outcome.models.items():
            path = self.out / folder_name(name) / "values.npz"
            values = store.load_values(path)
            if values is None:
                with self.timed(f"measure {name}"):
                    values = self.measured(model, metrics, f"measure {name}")
                store.keep_values(path, values)
            self.outcome.values[name] = values

    def check(self) -> None:
        """Self-checks of the baseline and of what became of it."""
        metrics = [m for m in self.recipe.metrics if isinstance(m, Accuracy)]
        attacks = {m.attack: attack_title(m.attack) for m in metrics if m.attack is not None}
        guided = self.outcome.guided
        for name in ("baseline", *([guided.name] if guided else [])):
            path = self.out / folder_name(name) / "checks.json"
            found = store.load_checks(path)
            if found is None:
                with self.timed(f"check {name}"):
                    found = self_checks(
                        self.outcome.models[name],
                        self.outcome.test,
                        attacks,
                        {m.attack: self.outcome.values[name][repr(m)] for m in metrics},
                        train=self.outcome.train,
                        images=self.recipe.checks,
                        seed=self.recipe.seed,
                        progress=self.progress,
                        label=f"check {name}",
                    )
                store.keep_checks(path, found)
            self.outcome.checks[name] = found

    def measured(self, model: nn.Module, metrics: tuple[Metric, ...], label: str) -> dict[str, Tensor]:
        explainer = self.recipe.explainer if any(map(on_maps, metrics)) else None
        return measure(
            model,
            self.outcome.test,
            metrics,
            explainer,
            seed=self.recipe.seed,
            progress=self.progress,
            label=label,
        )

    def timed(self, name: str) -> Timer:
        return Timer(self.outcome, name, self.device)


class StoredRounds:
    """The rounds of an arm, each kept on disk."""

    def __init__(self, work: Work, arm: Arm, folder: Path) -> None:
        self.work, self.arm, self.folder = work, arm, folder
        self.seen: list[Round] = []

    def detect(self, number: int, model: nn.Module) -> Findings:
        detector = self.arm.detector
        if detector is None:
            raise ValueError(f"the arm {self.arm.name!r} has no detector")
        path = self.folder / f"findings-{number + 1}.safetensors"
        findings = store.load_findings(path)
        if findings is None:
            findings = self.shared(detector) if number == 0 else None
            if findings is None:
                label = f"detect {self.arm.name} {number + 1}"
                samples = self.work.outcome.test if self.arm.leak else self.work.outcome.train
                with self.work.timed(label):
                    findings = detector.fit(model, samples, self.work.progress, label)
            store.keep_findings(path, findings)
        masks = masks_of(self.work.outcome.train, findings.index)
        self.seen.append(Round(findings, None if masks is None else quality(findings, masks)))
        return findings

    def shared(self, detector: Detector) -> Findings | None:
        """What an earlier arm's equal detector found in the baseline, from which all arms start."""
        for arm in self.work.recipe.arms:
            if arm.name in self.work.outcome.rounds and (arm.detector, arm.leak) == (detector, self.arm.leak):
                return self.work.outcome.rounds[arm.name][0].findings
        return None

    def train(self, number: int, model: nn.Module, objective: Objective, findings: Findings) -> Objective:
        # What this round trains on is what the controls move about.
        self.seen[-1] = self.seen[-1]._replace(findings=findings)
        stage = store.Stage(self.folder / f"round-{number + 1}")
        samples = Masked(self.work.outcome.train, findings)
        return self.work.trained(stage, model, objective, samples, self.work.recipe.refining)


def salted(seed: int, name: str) -> int:
    """A seed of its own for every name; the rounds of all arms share theirs, so that they differ in nothing else."""
    return (seed * 1_000_003 + zlib.crc32(name.encode())) % 2**31
