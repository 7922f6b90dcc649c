"""A whole run, taken up again wherever it was cut off."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny as tiny_module
import torch
from tiny import LOOK, NAMES, Few, tiny
from torch import nn

from glasshouse import run as run_module
from glasshouse.attacks import FGSM, PGD
from glasshouse.data import Digits
from glasshouse.data.samples import at_most
from glasshouse.detectors import Spurious
from glasshouse.detectors.findings import Findings, Masked
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy, MassInside
from glasshouse.models import SmallCNN
from glasshouse.objectives import CrossEntropy
from glasshouse.outcome import Outcome, without_nan
from glasshouse.recipe import Arm, Recipe, folder_name
from glasshouse.refine import InMemory, refine
from glasshouse.run import run, salted
from glasshouse.spec import parse
from glasshouse.store import load_findings, load_values
from glasshouse.train import Training
from glasshouse.types import Batch, Objective, Samples

ARMS = ("baseline", "refined", "no-explanation", "random-masks")


@dataclass
class Trained:
    """What one training of a run was given."""

    label: str
    samples: Samples
    objective: Objective


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Outcome, Path, list[Trained]]]:
    """The tiny recipe, carried out once, and what its trainings saw."""
    out, seen, fit = tmp_path_factory.mktemp("run") / "out", [], run_module.fit

    def watched(model: nn.Module, objective: Any, samples: Any, training: Any, **rest: Any) -> Any:
        seen.append(Trained(rest["label"], samples, objective))
        return fit(model, objective, samples, training, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "fit", watched)
        yield run(tiny(), out, NAMES), out, seen


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def lasting(folder: Path) -> dict[str, bytes]:
    """What must be the same for the same recipe: all but the clock."""
    return {k: v for k, v in contents(folder).items() if not k.endswith(("timing.json", "memory.json"))}


def test_a_run_leaves_its_recipe_weights_logs_findings_values_and_results(done: Any) -> None:
    _, out, _ = done
    found = set(contents(out))
    rounds = sorted(k for k in found if k.startswith("refined/round-") and k.endswith("weights.safetensors"))
    assert 1 <= len(rounds) <= 2
    trainings = ["baseline", *(f"{arm}/round-{i + 1}" for arm in ARMS[1:] for i in range(len(rounds)))]
    expected = {f"{t}/{name}" for t in trainings for name in ("weights.safetensors", "objective.txt", "log.jsonl")}
    expected |= {f"{arm}/values.npz" for arm in ARMS} | {"recipe.txt", "results.json", "timing.json", "memory.json"}
    expected |= {f"refined/findings-{i + 1}.safetensors" for i in range(len(rounds) + 1)}
    expected |= {f"{arm}/checks.json" for arm in ("baseline", "refined")}
    assert found == expected
    assert parse((out / "recipe.txt").read_text(), NAMES) == tiny()


def test_results_are_the_means_of_the_values_per_sample(done: Any) -> None:
    outcome, out, _ = done
    told = json.loads((out / "results.json").read_text())
    assert list(told["arms"]) == ["baseline", "refined", "no explanation", "random masks"]
    for arm, metrics in told["arms"].items():
        values = load_values(out / folder_name(arm) / "values.npz")
        assert values is not None and list(metrics) == list(values) == [repr(m) for m in tiny().metrics]
        for metric, row in metrics.items():
            assert values[metric].shape == (30,) and row["count"] == 30
            assert row["mean"] == pytest.approx(float(values[metric].double().mean()))
            assert row["low"] <= row["mean"] <= row["high"]
    for comparison in told["comparisons"].values():
        assert set(comparison) == {"baseline", "no explanation", "random masks"}
    first = told["rounds"]["refined"][0]
    assert 0 < first["area"] < 1 and set(first["quality"]) == {"precision", "recall", "auroc"}
    clean = repr(Accuracy())
    found = outcome.comparisons(clean)["baseline"].difference
    means = {arm: told["arms"][arm][clean]["mean"] for arm in ("refined", "baseline")}
    assert found == pytest.approx(means["refined"] - means["baseline"])


def test_the_models_in_hand_are_those_on_disk(done: Any) -> None:
    outcome, out, _ = done
    metric = Accuracy()
    stage_values = load_values(out / "baseline" / "values.npz")
    again = measure(outcome.models["baseline"], outcome.test, tiny().metrics, LOOK, seed=3)
    assert stage_values is not None and torch.equal(again[repr(metric)], stage_values[repr(metric)])
    assert not any(m.training for model in outcome.models.values() for m in model.modules())


def test_a_second_call_only_reads(done: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, out, _ = done
    before = contents(out)

    def never(*arguments: object, **rest: object) -> None:
        raise AssertionError("this is done already")

    monkeypatch.setattr(run_module, "fit", never)
    monkeypatch.setattr(run_module, "measure", never)
    monkeypatch.setattr(run_module, "self_checks", never)
    monkeypatch.setattr(Spurious, "fit", never)
    again = run(tiny(), out, NAMES)
    assert contents(out) == before
    assert again.seconds == first.seconds and again.checks == first.checks
    for name, model in first.models.items():
        for a, b in zip(model.state_dict().values(), again.models[name].state_dict().values(), strict=True):
            assert torch.equal(a, b)
    for name, rounds in first.rounds.items():
        for a, b in zip(rounds, again.rounds[name], strict=True):
            assert a.quality == b.quality
            assert all(torch.equal(s, t) for s, t in zip(a.findings, b.findings, strict=True))


def test_another_recipe_is_refused_and_nothing_changes(done: Any) -> None:
    _, out, _ = done
    before = contents(out)
    for other in (replace(tiny(), seed=4), tiny(epochs=2), replace(tiny(), arms=())):
        with pytest.raises(ValueError, match="holds a run of another recipe"):
            run(other, out, NAMES)
    assert contents(out) == before


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="not empty and holds no run"):
        run(tiny(), tmp_path, NAMES)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}
    with pytest.raises(ValueError, match="is a file"):
        run(tiny(), tmp_path / "thesis.txt", NAMES)


def test_a_recipe_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for content in (b"Recipe(", b"\xff\xfe", b"Nope()"):
        (tmp_path / "recipe.txt").write_bytes(content)
        with pytest.raises(ValueError, match=r"recipe\.txt: "):
            run(tiny(), tmp_path, NAMES)


class Three(SmallCNN):
    """A model that ignores how many classes it should have."""

    def __call__(self, classes: int) -> nn.Module:
        return super().__call__(3)


class Broken(SmallCNN):
    """A model whose logits are not numbers."""

    def __call__(self, classes: int) -> nn.Module:
        model = super().__call__(classes)
        nn.init.constant_(model.network.head.weight, float("nan"))
        return model


@pytest.mark.parametrize(("model", "said"), [(Three(width=2), r"\[1, 3\].*\[1, 10\]"), (Broken(width=2), "NaN")])
def test_a_model_that_does_not_fit_is_refused_before_anything_is_written(model: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        run(replace(tiny(), model=model), tmp_path / "out", NAMES)
    assert not (tmp_path / "out").exists()


def test_every_training_saw_the_masks_it_should_and_never_the_datas_own(done: Any) -> None:
    _, out, seen = done
    assert seen[0].label == "train baseline"
    guided = [s for s in seen if "/" in s.label]
    assert guided and all(isinstance(s.samples, Masked) for s in guided)
    own = {s.label: s.samples.findings for s in guided}
    for number in range(len(guided) // 3):
        refined, random = own[f"train refined/round-{number + 1}"], own[f"train random-masks/round-{number + 1}"]
        assert own[f"train no-explanation/round-{number + 1}"] is None
        assert refined.flagged.any() and torch.equal(random.flagged.sum(1), refined.flagged.sum(1))
        assert not torch.equal(random.flagged, refined.flagged)
        assert torch.equal(random.index, refined.index) and torch.equal(random.segments, refined.segments)
    stored = load_findings(out / "refined" / "findings-1.safetensors")
    assert stored is not None and torch.equal(own["train refined/round-1"].flagged, stored.flagged)


def test_every_arm_sees_the_same_number_of_images_in_the_same_order(done: Any) -> None:
    _, out, seen = done
    rows = {arm: (out / arm / "round-1" / "log.jsonl").read_text().count("\n") for arm in ARMS[1:]}
    assert len(set(rows.values())) == 1 and rows["refined"] == 3
    assert len({len(s.samples) for s in seen}) == 1
    assert salted(3, "round-1") != salted(3, "round-2") and salted(3, "round-1") != salted(4, "round-1")


def test_findings_of_a_round_add_to_those_before(done: Any) -> None:
    outcome, _, seen = done
    used = [s.samples.findings for s in seen if s.label.startswith("train refined")]
    for earlier, later in pairwise(used):
        assert (later.flagged | ~earlier.flagged).all()
    assert len(outcome.rounds["refined"]) == len(used) + 1


def test_every_arm_starts_where_the_baseline_ended(tmp_path: Path) -> None:
    outcome = run(replace(tiny(), refining=Training(epochs=0), rounds=1), tmp_path / "out", NAMES)
    baseline = outcome.models["baseline"].state_dict()
    for name in ("refined", "no explanation", "random masks"):
        found = outcome.models[name].state_dict()
        assert outcome.models[name] is not outcome.models["baseline"]
        assert all(torch.equal(found[k], v) for k, v in baseline.items())


class TestOnlyLater(Few):
    """The few digits, of which the test images may not be touched while a detector is at work."""

    __test__ = False

    def __call__(self, split: str) -> Samples:
        samples = super().__call__(split)
        return Guarded(samples) if split == "test" else samples


@dataclass(frozen=True, eq=False)
class Guarded:
    samples: Samples

    @property
    def classes(self) -> tuple[str, ...]:
        return self.samples.classes

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Batch:
        assert not DETECTING, "test images were read in detection or training"
        return self.samples[index]


DETECTING: list[str] = []


def test_detection_and_training_read_training_images_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def guarded(function: Any, name: str) -> Any:
        def inner(*arguments: Any, **rest: Any) -> Any:
            DETECTING.append(name)
            calls.append(name)
            try:
                return function(*arguments, **rest)
            finally:
                DETECTING.pop()

        return inner

    monkeypatch.setattr(Spurious, "fit", guarded(Spurious.fit, "detect"))
    monkeypatch.setattr(run_module, "fit", guarded(run_module.fit, "train"))
    recipe = replace(tiny(), data=TestOnlyLater(size=16), rounds=1)
    run(recipe, tmp_path / "out", NAMES | {"TestOnlyLater": TestOnlyLater})
    assert calls.count("detect") == 2 and calls.count("train") == 4


@dataclass
class FixedRounds:
    """A closed loop whose findings are given."""

    flags: list[list[int]]
    trained: int = 0

    def findings(self, flagged: list[int]) -> Findings:
        score = torch.zeros(1, 16)
        score[0, flagged] = 1
        segments = torch.arange(16).view(1, 4, 4)
        return Findings(torch.tensor([0]), torch.tensor([0]), segments, score, torch.zeros(2, 4, 4))

    def detect(self, number: int, model: nn.Module) -> Findings:
        return self.findings(self.flags[number])

    def train(self, number: int, model: nn.Module, objective: Objective, findings: Findings) -> Objective:
        assert number == self.trained
        self.trained += 1
        return objective


@pytest.mark.parametrize(
    ("flags", "at_most_rounds", "trained", "last"),
    [
        ([[1, 2], [3], [3]], 2, 2, [3]),
        ([[1, 2], [2], [9]], 2, 1, [2]),  # nothing new
        ([[1, 2], [], [9]], 5, 1, []),
        ([[], [], []], 2, 1, []),
        ([[1], [2], [3], [4]], 3, 3, [4]),
    ],
)
def test_the_loop_ends_when_nothing_new_is_found_or_it_is_out_of_rounds(
    flags: list[list[int]], at_most_rounds: int, trained: int, last: list[int]
) -> None:
    rounds = FixedRounds(flags)
    found = refine(nn.Identity(), CrossEntropy(), rounds, at_most=at_most_rounds)
    assert rounds.trained == trained and len(found) == trained + 1
    assert found[-1].flagged[0].nonzero().flatten().tolist() == last
    joined = set().union(*flags[:trained])
    assert set(found[-2].flagged[0].nonzero().flatten().tolist()) == joined


def test_the_loop_runs_in_memory_as_well() -> None:
    samples = at_most(Digits(size=16)("train"), 60)
    model = SmallCNN(width=3)(10)
    before = [p.clone() for p in model.parameters()]
    rounds = InMemory(Spurious(lime=LOOK, images=16, pool=16), samples, Training(epochs=1, batch_size=30))
    assert len(refine(model, CrossEntropy(), rounds, at_most=1)) == 2
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("size", [4, 100])
def test_evaluation_is_one_value_a_sample_in_order(size: int) -> None:
    samples = at_most(Digits(size=16)("test"), 10)
    model = SmallCNN(width=3)(10).train()
    metrics = (Accuracy(), Accuracy(attack=PGD(steps=2)), MassInside())
    values = measure(model, samples, metrics, LOOK, batch_size=size)
    assert list(values) == [repr(m) for m in metrics] and all(v.shape == (10,) for v in values.values())
    assert all(m.training for m in model.modules())
    with torch.no_grad():
        predicted = model.eval()(samples[list(range(10))].x).argmax(1)
    assert torch.equal(values[repr(Accuracy())], (predicted == samples[list(range(10))].y).float())
    again = measure(model, samples, metrics, LOOK, batch_size=size)
    assert all(torch.equal(again[k], v) for k, v in values.items())
    with pytest.raises(ValueError, match="explainer"):
        measure(model, samples, metrics, batch_size=size)


def test_the_seed_decides_the_random_starts() -> None:
    samples = at_most(Digits(size=16)("test"), 8)
    seen: list[torch.Tensor] = []

    @dataclass(frozen=True)
    class Start:
        def __call__(self, model: nn.Module, batch: Batch) -> torch.Tensor:
            seen.append(FGSM(random_start=True)(model, batch.x, batch.y))
            return batch.y.float()

    model = SmallCNN(width=2)(10)
    for seed in (0, 0, 1):
        measure(model, samples, (Start(),), seed=seed)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


def test_explanations_are_of_the_predicted_class() -> None:
    samples = at_most(Digits(size=16)("test"), 8)
    model = SmallCNN(width=2)(10)
    asked: list[torch.Tensor] = []

    @dataclass(frozen=True)
    class Asked:
        def __call__(self, net: nn.Module, x: torch.Tensor, target: torch.Tensor, *, create_graph: bool = False) -> Any:
            asked.append(target)
            return x.sum(1)

    measure(model, samples, (MassInside(),), Asked())
    with torch.no_grad():
        assert torch.equal(asked[0], model.eval()(samples[list(range(8))].x).argmax(1))


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    script = [sys.executable, str(tiny_module.__file__), str(tmp_path / "killed"), "6", "0.1"]
    killed = subprocess.Popen(script)
    run(tiny(6), tmp_path / "whole", NAMES)
    state = tmp_path / "killed" / "baseline" / "state.safetensors"
    while not state.exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    left = contents(tmp_path / "killed")
    assert "baseline/state.safetensors" in left and "baseline/weights.safetensors" not in left
    run(tiny(6), tmp_path / "killed", NAMES)
    expected, found = lasting(tmp_path / "whole"), lasting(tmp_path / "killed")
    leftovers = {k for k in found if Path(k).name.startswith(".")}  # a temporary file that was being written
    assert set(found) - leftovers == set(expected)
    assert all(found[k] == expected[k] for k in expected)
    for name in ("baseline/weights.safetensors", "baseline/values.npz", "results.json"):
        assert name in expected


@pytest.mark.parametrize("moment", [2, 5, 8, 11, 14, 20, 26, 32])
def test_a_run_that_was_stopped_at_any_moment_goes_on_to_the_same_bytes(moment: int, done: Any, tmp_path: Path) -> None:
    told: list[str] = []

    def stop(label: str, done: int, total: int) -> None:
        told.append(label)
        if len(told) == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny(), tmp_path / "out", NAMES, progress=stop)
    run(tiny(), tmp_path / "out", NAMES)
    assert lasting(tmp_path / "out") == lasting(done[1])


def test_a_damaged_file_of_a_run_is_named_in_one_sentence(done: Any, tmp_path: Path) -> None:
    _, out, _ = done
    for name in ("baseline/weights.safetensors", "refined/findings-1.safetensors", "refined/values.npz"):
        copied = tmp_path / name.replace("/", "-")
        for file, content in contents(out).items():
            (copied / file).parent.mkdir(parents=True, exist_ok=True)
            (copied / file).write_bytes(content)
        (copied / name).write_bytes(contents(out)[name][:40])
        with pytest.raises(ValueError, match=Path(name).name) as caught:
            run(tiny(), copied, NAMES)
        assert "\n" not in str(caught.value)


def test_a_damaged_clock_does_not_cost_a_run(done: Any, tmp_path: Path) -> None:
    _, out, _ = done
    for file, content in contents(out).items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    (tmp_path / "timing.json").write_text("{")
    (tmp_path / "refined" / "values.npz").unlink()
    try:
        run(tiny(), tmp_path, NAMES)
    except ValueError as error:
        assert "timing.json" in str(error)  # refusing is as good, if it says what to remove


def test_data_without_masks_is_measured_without_what_needs_them(tmp_path: Path) -> None:
    recipe = replace(tiny(), data=Few(size=16, decoy=None), arms=(), rounds=1)
    outcome = run(recipe, tmp_path / "out", NAMES)
    assert list(outcome.values["baseline"]) == [repr(Accuracy()), repr(Accuracy(attack=FGSM()))]
    assert outcome.comparisons(repr(Accuracy())) == {} and outcome.guided is None


def test_two_arms_never_share_a_folder(tmp_path: Path) -> None:
    arms = tuple(Arm(name=n, objective=CrossEntropy(), detector=Spurious(lime=LOOK, images=8)) for n in ("a b", "a-b"))
    with pytest.raises(ValueError):
        run(replace(tiny(), arms=arms), tmp_path / "out", NAMES)


@pytest.mark.parametrize(
    ("name", "folder"), [("No explanation!", "no-explanation"), ("../../etc", "etc"), ("λ", "arm")]
)
def test_an_arms_folder_stays_within_the_run(name: str, folder: str) -> None:
    assert folder_name(name) == folder


def test_the_recipe_of_a_run_says_what_was_done() -> None:
    text = repr(tiny())
    assert isinstance(parse(text, NAMES), Recipe) and parse(text, NAMES) == tiny()
    assert np.isfinite(salted(10**9, "x"))


def test_what_is_no_number_is_null_in_json() -> None:
    found = without_nan({"a": [float("nan"), 1.5], "b": {"c": float("inf"), "d": "nan"}})
    assert found == {"a": [None, 1.5], "b": {"c": None, "d": "nan"}}
