"""LIME-guided refinement as a study: a whole one on digits, its controls, what it keeps, and how it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LOOK, NAMES, Few
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from glasshouse import store
from glasshouse.attacks import FGSM
from glasshouse.cli import app
from glasshouse.corruptions import Brightness, Fog
from glasshouse.detectors import Aggregated, Signed, Spurious
from glasshouse.explainers import InputGradient
from glasshouse.files import store_name
from glasshouse.metrics import Accuracy, Stability, Under
from glasshouse.models import SmallCNN
from glasshouse.objectives import CrossEntropy
from glasshouse.recipe import Arm, Recipe
from glasshouse.recipes.lime_refinement import adversarial, lime_refinement, paper
from glasshouse.recipes.lime_sizes import SIZES
from glasshouse.report import write_document
from glasshouse.run import run, splits
from glasshouse.studies import LIMERefinement, Trial
from glasshouse.studies import lime_arms as arms
from glasshouse.studies.lime_refinement import logged
from glasshouse.study import conduct
from glasshouse.train import Adam, Training
from glasshouse.types import Samples

FOG = Fog(severity=3)
SIGNED = Spurious(rule=Signed(runs=2), lime=LOOK, images=24, pool=24)
WATCHED = (arms.CLEAN, Under(metric=arms.CLEAN, corruption=FOG))


def recipe() -> Recipe:
    training = Training(epochs=1, batch_size=40, optimizer=Adam(lr=5e-3))
    return Recipe(
        data=Few(size=16, decoy=None),
        model=SmallCNN(width=4),
        arms=(
            Arm(arms.FULL, paper(SIZES["smoke"]), SIGNED),
            Arm(arms.FGSM_ONLY, adversarial(), control_of=arms.FULL),
            Arm(arms.RANDOM, paper(SIZES["smoke"]), control_of=arms.FULL, random_masks=True),
            Arm(arms.SENSITIVITY, CrossEntropy(), SIGNED),
            Arm(arms.AGGREGATED, paper(SIZES["smoke"]), Aggregated(detector=SIGNED)),
            Arm(arms.LEAK, paper(SIZES["smoke"]), Aggregated(detector=SIGNED), leak=True),
        ),
        training=training,
        refining=training,
        rounds=2,
        tolerance=-1.0,
        metrics=(arms.CLEAN, arms.fgsm(0.03), arms.pgd(0.03)),
        explainer=LOOK,
        test_images=20,
        checks=2,
        each_epoch=WATCHED,
        watched=10,
    )


def study() -> LIMERefinement:
    return LIMERefinement(
        trials=(
            Trial("<b>digits</b>", recipe(), "CIFAR-10", (FOG, Brightness(severity=3)), (arms.BASELINE, arms.FULL)),
            Trial("planted", replace(recipe(), data=Few(size=16), arms=recipe().arms[:2])),
        ),
        seeds=2,
        close=(Stability(explainer=InputGradient(), copies=2),),
        close_images=8,
        corrupted=(arms.CLEAN, Accuracy(attack=FGSM())),
        corrupted_images=10,
        pictures=2,
        seed=5,
    )


def carried_out(out: Path) -> dict[str, Any]:
    document = conduct(study(), out, NAMES)
    write_document(document, study(), out)
    told: dict[str, Any] = json.loads((out / "results.json").read_text())
    return told


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("study") / "out"
    return out, carried_out(out)


def timeless(found: dict[str, Any]) -> dict[str, Any]:
    """The results without what a clock told."""
    kept = {k: v for k, v in found.items() if k != "claims"}
    kept["claims"] = [c for c in found["claims"] if "25 %" not in c["text"]]
    kept["trials"] = {
        name: {k: v for k, v in trial.items() if k not in ("seconds", "memory")}
        for name, trial in found["trials"].items()
    }
    return kept


def run_of(out: Path, seed: int = 5) -> Path:
    return out / store_name("<b>digits</b>") / f"seed-{seed}"


def test_every_arm_is_measured_under_every_seed(finished: tuple[Path, dict[str, Any]]) -> None:
    out, found = finished
    trial = found["trials"]["<b>digits</b>"]
    assert list(trial["arms"]) == [arms.BASELINE, *(arm.name for arm in recipe().arms)]
    for name, values in trial["arms"].items():
        for metric in recipe().metrics:
            assert len(values[repr(metric)]["seeds"]) == 2, (name, metric)
    assert set(trial["corrupted"]) == {arms.BASELINE, arms.FULL}
    assert set(trial["corrupted"][arms.FULL][repr(FOG)]) == {repr(arms.CLEAN), repr(Accuracy(attack=FGSM()))}
    assert repr(study().close[0]) in trial["arms"][arms.FULL]
    assert repr(study().close[0]) not in trial["arms"][arms.LEAK]
    steps = out / "steps" / store_name("<b>digits</b>")
    assert all((steps / f"seed-{seed}" / "close-full.npz").is_file() for seed in (5, 6))
    first, second = (
        store.load_values(run_of(out, seed) / "full" / "values.npz")[repr(arms.fgsm(0.03))]  # type: ignore[index]
        for seed in (5, 6)
    )
    assert len(first) == len(second) == 20
    assert not torch.equal(first, second) or trial["arms"][arms.FULL][repr(arms.fgsm(0.03))]["mean"] in (0.0, 1.0)


def test_equal_detectors_look_at_the_baseline_once(finished: tuple[Path, dict[str, Any]]) -> None:
    run = run_of(finished[0])
    seconds = json.loads((run / "timing.json").read_text())
    assert "detect full 1" in seconds and "detect full 2" in seconds
    assert "detect sensitivity term only 1" not in seconds and "detect sensitivity term only 2" in seconds
    shared = run / "sensitivity-term-only" / "findings-1.safetensors"
    assert shared.read_bytes() == (run / "full" / "findings-1.safetensors").read_bytes()
    assert (run / "aggregated" / "findings-1.safetensors").read_bytes() != shared.read_bytes()


def test_only_the_leak_looks_at_test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[int, Samples]] = []
    plain = Aggregated.fit

    def fit(self: Aggregated, model: Any, samples: Samples, *more: Any) -> Any:
        looked.append((len(samples), samples))
        return plain(self, model, samples, *more)

    monkeypatch.setattr(Aggregated, "fit", fit)
    one = replace(study(), trials=(Trial("one", replace(recipe(), rounds=1)),), seeds=1, close=())
    conduct(one, tmp_path / "out", NAMES)
    assert [count for count, _ in looked] == [120, 120, 20, 20]


def test_every_seed_is_measured_on_the_same_images() -> None:
    tests = [splits(replace(recipe(), seed=seed))[1] for seed in (1, 2)]
    assert len(tests[0]) == 20
    assert torch.equal(*(test[list(range(20))].x for test in tests))


def test_what_is_watched_is_in_the_log_once_an_epoch(finished: tuple[Path, dict[str, Any]]) -> None:
    for folder in ("baseline", "full/round-1", "fgsm-only/round-2"):
        rows = store.Stage(run_of(finished[0]) / folder).rows()
        assert len(rows) == 3
        assert [sum(repr(m) in row for row in rows) for m in WATCHED] == [1, 1]
        assert all(0 <= rows[-1][repr(m)] <= 1 for m in WATCHED)


def test_memory_and_seconds_are_noted(finished: tuple[Path, dict[str, Any]]) -> None:
    trial = finished[1]["trials"]["<b>digits</b>"]
    for seconds, memory in zip(trial["seconds"], trial["memory"], strict=True):
        assert set(seconds) == set(memory)
        assert min(memory.values()) > 10


def test_the_page_is_self_contained_and_escaped(finished: tuple[Path, dict[str, Any]]) -> None:
    page = (finished[0] / "index.html").read_text()
    assert "<b>digits</b>" not in page and "&lt;b&gt;digits&lt;/b&gt;" in page
    assert page.count("<section>") == page.count("</section>")
    assert page.count("<img") == page.count('src="data:image/')
    for text in (
        "What a round costs",
        "Inconsistencies of the paper",
        "39.15",
        "what is called spurious",
        "Fig. 10, 11",
    ):
        assert text in page, text
    assert "{{" not in page and str(finished[0]) not in page


def test_the_same_seed_gives_the_same_bits(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    again = carried_out(tmp_path / "again")
    assert timeless(again) == timeless(finished[1])
    files = sorted(p.relative_to(finished[0]) for p in finished[0].rglob("*.safetensors"))
    assert len(files) > 20
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (finished[0] / file).read_bytes(), file


def test_a_study_that_was_cut_off_goes_on(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off in the second seed, it ends as if it never had been, and what is done is not done again."""
    out, trained = tmp_path / "out", []
    finish = store.Stage.finish

    def cut(self: store.Stage, *what: Any) -> None:
        trained.append(str(self.folder.relative_to(out)))
        if len(trained) == 18:
            raise KeyboardInterrupt
        finish(self, *what)

    monkeypatch.setattr(store.Stage, "finish", cut)
    with pytest.raises(KeyboardInterrupt):
        conduct(study(), out, NAMES)
    before = list(trained)
    assert timeless(carried_out(out)) == timeless(finished[1])
    assert not set(before[:-1]) & set(trained[18:])
    assert before[-1] in trained[18:]


def test_a_run_within_a_study_is_a_run(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Its directory holds its own recipe, by which the same command writes its own report."""
    folder = run_of(finished[0], seed=6)
    told = store.parsed(folder / "recipe.txt", NAMES)
    before = (folder / "results.json").read_bytes()
    outcome = run(told, folder, NAMES, progress=lambda label, done, total: pytest.fail(f"{label} is done again"))
    assert (folder / "results.json").read_bytes() == before
    assert sorted({row["epoch"] for row in logged(outcome, arms.FULL)}) == [0, 1]


def test_what_is_measured_under_corruption_is_corrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Tensor] = {}

    def noted(model: nn.Module, samples: Samples, metrics: Any, *, label: str, **more: Any) -> dict[str, Tensor]:
        given[label] = samples[[0, 1]].x
        return {repr(metric): torch.zeros(len(samples)) for metric in metrics}

    monkeypatch.setattr("glasshouse.studies.lime_refinement.measure", noted)
    few = replace(recipe(), arms=recipe().arms[:1], rounds=1)
    conduct(replace(study(), trials=(Trial("one", few, "", (FOG,), (arms.BASELINE,)),), seeds=1), tmp_path, NAMES)
    plain, corrupted = given["close baseline"], given["baseline under Fog-3"]
    assert torch.equal(corrupted, FOG(plain))
    assert not torch.equal(corrupted, plain)


# the recipe


@pytest.mark.parametrize("scale", list(SIZES))
def test_every_scale_is_the_same_experiment(scale: str) -> None:
    found = lime_refinement(cifar10=Few(), cifar100=Few(), scale=scale, recipe="both")
    assert [t.name for t in found.trials] == [
        *("CIFAR-10, weak recipe", "CIFAR-10, strong recipe", "CIFAR-10 with a planted shortcut"),
        *("CIFAR-100, weak recipe", "CIFAR-100, strong recipe"),
    ]
    assert [t.published for t in found.trials] == ["CIFAR-10", "CIFAR-10", "", "CIFAR-100", "CIFAR-100"]
    grid = {arm.name: arm for arm in found.trials[0].recipe.arms}
    assert {arms.TRAINED_ON, arms.FGSM_ONLY, arms.MASKING, arms.SENSITIVITY, arms.RANDOM} < set(grid)
    assert {arms.SPURIOUS_FGSM, arms.LITERAL, arms.AUTOMATIC, arms.FULL, arms.BEST, arms.LEAK} < set(grid)
    for control, of in ((arms.RANDOM, arms.FULL), (arms.BEST_UNGUIDED, arms.BEST), (arms.BEST_RANDOM, arms.BEST)):
        assert grid[control].objective == grid[of].objective and grid[control].control_of == of
    assert [arm.name for arm in grid.values() if arm.leak] == [arms.LEAK]
    assert {type(c).__name__ for c in found.trials[0].corruptions} >= {"Fog", "Spatter"}
    assert len({type(c) for c in found.trials[0].corruptions}) == 19
    assert set(arms.MEASURED) == set(found.trials[0].recipe.metrics)


def test_the_paper_scale_is_the_papers() -> None:
    found = lime_refinement(cifar10=Few(), scale="paper", recipe="weak")
    recipe = found.trials[0].recipe
    assert type(recipe.model).__name__ == "ResNet18"
    assert recipe.training.epochs == recipe.rounds * recipe.refining.epochs == 30
    assert found.seeds == 3 and recipe.test_images == 0
    eps = {round(m.attack.ball.eps, 3) for m in recipe.metrics if isinstance(m, Accuracy) and m.attack}  # type: ignore[attr-defined]
    assert eps == {0.01, 0.03, 0.1, 0.3}


def glasshouse(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("scale=huge",), "smoke, small, paper"),
        (("recipe=odd",), "weak, strong, both"),
        (("scale=small",), "cifar10=FOLDER"),
        (("cifar10=/nowhere",), "no such folder"),
        (("seeds=0",), "seeds is at least 1"),
    ],
)
def test_bad_input_is_one_sentence(settings: tuple[str, ...], told: str, tmp_path: Path) -> None:
    result = glasshouse("run", "lime_refinement", *settings, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_leak_needs_a_detector_of_classes() -> None:
    with pytest.raises(ValueError, match="Aggregated"):
        Arm("leak", CrossEntropy(), SIGNED, leak=True)
