"""``glasshouse evaluate`` of several models or explainers, as a person types it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from glasshouse.cli import app
from glasshouse.models.weights import save_weights
from trained import digits_net

DATA = ("--data", "Digits(decoy=None, size=16)", "--device", "cpu", "--images", "40", "--batch-size", "16")
NET = ("--model", "SmallCNN(width=8)")
TWO = ("--explainer", "InputGradient", "--explainer", "GradCAM")
QUICK = ("--metric", "Sparseness", "--no-baselines")


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["evaluate", *DATA, *arguments])


def sentence(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, and what lies about beside them."""
    weights = tmp_path_factory.mktemp("weights")
    for name, eps in (("b-plain", 0.0), ("a-hard", 0.06)):
        save_weights(digits_net(eps), weights / f"{name}.safetensors")
    for name in (".hidden.pth", "names.txt", "log.jsonl"):
        (weights / name).write_text("no\nweights")
    (weights / "older.pth").mkdir()
    return weights


@pytest.fixture(scope="module")
def compared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("compared") / "out"
    attack = ("--attack", "FGSM(ball=Linf(eps=0.03))", "--metric", "Sparseness")
    return out, evaluate(*NET, "--weights", str(folder), *TWO, *attack, "--out", str(out), "--seed", "5")


def test_a_folder_of_weights_is_compared(compared: tuple[Path, Result]) -> None:
    out, result = compared
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"index.html", "recipe.txt", "results.json", "steps", "values.npz"}
    told = json.loads((out / "results.json").read_text())
    assert [model["name"] for model in told["models"]] == ["a-hard", "b-plain"] and told["images"] == 40
    explainers = {cell["by"] for cell in told["cells"]}
    assert explainers == {"", "InputGradient", "GradCAM", "RandomMap", "EdgeMap", "OfRandomisedModel"}
    assert {cell["title"] for cell in told["cells"] if not cell["by"]} == {"accuracy, FGSM, 0.03"}
    assert "seed=5" in (out / "recipe.txt").read_text()


def test_the_table_and_the_verdict_are_told(compared: tuple[Path, Result]) -> None:
    out, result = compared
    told = json.loads((out / "results.json").read_text())
    text = sentence(result)
    assert f"All 2 models get {told['judged']} of 40 images right" in text and f"Report: {out}" in result.output
    for word in ("a-hard", "b-plain", "InputGradient", "RandomMap", f"{told['cells'][3]['mean']:.3g}"):
        assert word in text


def test_the_same_command_goes_on_and_another_is_refused(compared: tuple[Path, Result], folder: Path) -> None:
    out, _ = compared
    before = {path: path.stat().st_mtime_ns for path in out.rglob("steps/*")}
    same = (*NET, "--weights", str(folder), *TWO, "--attack", "FGSM(ball=Linf(eps=0.03))", "--metric", "Sparseness")
    again = evaluate(*same, "--out", str(out), "--seed", "5")
    assert again.exit_code == 0 and {path: path.stat().st_mtime_ns for path in before} == before
    other = evaluate(*same, "--out", str(out), "--seed", "6")
    assert other.exit_code == 2 and "holds a run of another recipe" in sentence(other)


def test_shards_end_in_one_report(folder: Path, tmp_path: Path) -> None:
    command = (*NET, "--weights", str(folder), *TWO, *QUICK, "--out", str(tmp_path / "out"))
    first = evaluate(*command, "--shard", "2/2")
    assert first.exit_code == 0 and "Shard 2/2 is done, others are not" in sentence(first)
    assert not (tmp_path / "out" / "index.html").exists()
    last = evaluate(*command, "--shard", "1/2")
    assert last.exit_code == 0 and (tmp_path / "out" / "index.html").is_file()
    whole = evaluate(*command[:-1], str(tmp_path / "whole"))
    assert whole.exit_code == 0
    results = [np.load(tmp_path / name / "values.npz") for name in ("out", "whole")]
    assert all(np.array_equal(results[0][k], results[1][k], equal_nan=True) for k in results[1])


def test_several_explainers_of_one_model_are_compared(folder: Path, tmp_path: Path) -> None:
    weights = str(folder / "b-plain.safetensors")
    result = evaluate(*NET, "--weights", weights, *TWO, *QUICK, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0 and "The model gets" in sentence(result), result.output
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(c["model"], c["by"]) for c in told["cells"]] == [("b-plain", "InputGradient"), ("b-plain", "GradCAM")]


def test_networks_and_weights_go_in_pairs_under_names_that_tell_them_apart(folder: Path, tmp_path: Path) -> None:
    for name, eps in (("one", 0.0), ("two", 0.06)):
        (tmp_path / name).mkdir()
        save_weights(digits_net(eps), tmp_path / name / "weights.safetensors")
    files = [str(tmp_path / name / "weights.safetensors") for name in ("one", "two")]
    pairs = (
        "--model",
        "SmallCNN(width=8)",
        "--weights",
        files[0],
        "--model",
        "SmallCNN(width=8)",
        "--weights",
        files[1],
    )
    result = evaluate(*pairs, "--metric", "Accuracy", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [model["name"] for model in told["models"]] == ["one/weights", "two/weights"]
    assert {cell["by"] for cell in told["cells"]} == {""}


def test_without_a_metric_every_family_is_measured_beside_baselines(folder: Path, tmp_path: Path) -> None:
    few = ("--images", "3", "--out", str(tmp_path / "out"))
    result = evaluate(*NET, "--weights", str(folder / "b-plain.safetensors"), "--shard", "1/1", *few)
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    families = {cell["family"] for cell in told["cells"]}
    assert families == {"conciseness", "stability", "faithfulness", "sanity", "alignment"}
    assert {"GradCAM", "RandomMap", "EdgeMap"} <= {cell["by"] for cell in told["cells"]}
    assert not any(cell["refused"] for cell in told["cells"])


def test_a_hostile_file_is_not_run(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "evil.pth").write_bytes(b"cposix\nsystem\n(S'touch " + os.fsencode(ran) + b"'\ntR.")
    result = evaluate(*NET, "--weights", str(tmp_path), *QUICK, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2 and "reading it would run code" in sentence(result)
    assert not ran.exists() and not (tmp_path / "out").exists()


BAD = [
    (("--weights", "{}/none", "--weights", "{}/b-plain.safetensors"), "no such file or folder of weights: "),
    (("--weights", "{}/empty"), "there are no weights in "),
    (("--weights", "{}/text"), "is not a torch file of weights, or it is corrupt"),
    (("--weights", "{}", "--weights", "{}/b-plain.safetensors"), "b-plain.safetensors are given twice"),
    (("--weights", "{}", "--model", "SmallCNN", "--model", "ResNet20"), "3 networks have 2 weights; give each --model"),
    (("--model", "SmallCNN(width=8)"), "--model SmallCNN(width=8) is given twice"),
    (("--weights", "{}", "--shard", "3/2"), "--shard takes K/N with K from 1 to N, as in 2/8, not '3/2'"),
    (("--weights", "{}", "--shard", "0/2"), "as in 2/8, not '0/2'"),
    (("--weights", "{}", "--shard", "two"), "as in 2/8, not 'two'"),
    (("--weights", "{}", "--explainer", "GradCAM", "--explainer", "GradCAM()"), "--explainer GradCAM is given twice"),
    (("--weights", "{}", "--metric", "Nope"), "unknown component 'Nope'; known: Accuracy, "),
    (("--weights", "{}", "--metric", "Accuracy", "--explainer", "GradCAM"), "so --explainer has nothing to do"),
    (("--weights", "{}", "--keep"), "--keep is for one model with at most one explainer"),
    (("--weights", "{}", "--checks", "3"), "--checks is for one model with at most one explainer"),
    (("--weights", "{}", "--corruption", "fog"), "--corruption is for one model with at most one explainer"),
    (("--weights", "{}", "--attack-corrupted"), "--attack-corrupted is for one model with at most one explainer"),
    (("--weights", "{}", "--reference", "x.json"), "--reference is for one model with at most one explainer"),
    (("--weights", "{}", "--hierarchy", "x.json"), "--hierarchy is for one model with at most one explainer"),
    (("--weights", "{}", "--classes", "{}/names.txt"), "are for 10 classes, but 2 are named"),
    (("--weights", "{}", "--metric", "MassInside"), "nothing could be measured: MassInside by InputGradient: "),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_what_cannot_be_done_is_one_sentence(
    arguments: tuple[str, ...], said: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "text").mkdir(exist_ok=True)
    (folder / "text" / "words.pth").write_text("no weights")
    typed = [text.replace("{}", str(folder)) for text in arguments]
    result = evaluate(*NET, *typed, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2 and said in sentence(result), result.output
    assert "Traceback" not in result.output and result.output.count("error:") == 1


def test_the_help_teaches() -> None:
    text = sentence(CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "300"}))
    for word in ("--shard", "--weights checkpoints/", "--no-baselines", "images that all models get right"):
        assert word in text
