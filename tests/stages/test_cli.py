"""The command line as a person meets it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from glasshouse.cli import app

TINY = (
    "Recipe(data=Digits(size=16), model=SmallCNN(width=4), training=Training(epochs=1), refining=Training(epochs=1), "
    "arms=(Arm(name='refined', objective=Changed(change=Transplant()), "
    "detector=Spurious(images=24, lime=LIME(segmenter=Grid(cells=4), samples=16), "
    "rule=Transplanted(candidates=4, recipients=2, share=0.01))), "
    "Arm(name='random masks', objective=Changed(change=Transplant()), control_of='refined', random_masks=True)), "
    "rounds=1, metrics=(Accuracy(), Accuracy(attack=PGD(steps=2)), Accuracy(attack=FGSM()), MassInside()), "
    "explainer=LIME(segmenter=Grid(cells=4), samples=16), test_images=32, pictures=3, title='<b>tiny</b>')"
)


def glasshouse(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_every_command_explains_itself() -> None:
    for command in ((), ("list",), ("run",), ("refine",), ("explain",)):
        result = glasshouse(*command, "--help")
        assert result.exit_code == 0 and "Usage" in result.output


def test_list_names_components_with_fields_and_papers() -> None:
    result = glasshouse("list")
    assert result.exit_code == 0
    for text in (
        "PGD(ball=Linf(",
        "https://arxiv.org/abs/1706.06083",
        "LIME(segmenter=",
        "demo()",
        "Recipe(data=<Data>",
    ):
        assert text in result.output


def test_list_shows_a_component_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass Mine:\n    '''All mine.'''\n    size: int = 3\n"
    )
    result = glasshouse("list", "your own", "--import", str(file))
    assert result.exit_code == 0 and "Mine(size=3)" in result.output and "All mine." in result.output


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("cli") / "run"
    return out, glasshouse("run", TINY, "--out", str(out), "--device", "cpu")


def test_a_run_ends_with_a_table_a_verdict_and_the_report(finished: tuple[Path, Result]) -> None:
    out, result = finished
    assert result.exit_code == 0, result.output
    assert "random masks" in result.output and "test images the baseline is right on" in result.output
    assert "Report: " in result.output and (out / "report.html").is_file()


def test_the_summary_has_the_numbers(finished: tuple[Path, Result]) -> None:
    summary = json.loads((finished[0] / "summary.json").read_text())
    assert set(summary) == {
        "baseline_accuracy",
        "refined_accuracy",
        "control_accuracy",
        "detector_auroc",
        "seconds",
        "report",
    }
    assert 0 <= summary["refined_accuracy"] <= 1 and set(summary["control_accuracy"]) == {"random masks"}
    assert summary["detector_auroc"] is None or 0 <= summary["detector_auroc"] <= 1


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_whole_self_contained_and_escaped(finished: tuple[Path, Result]) -> None:
    page = (finished[0] / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert not tags.open and tags.sources and all(s.startswith("data:image/") for s in tags.sources)
    assert "<b>tiny</b>" not in page and "&lt;b&gt;tiny&lt;/b&gt;" in page
    for text in ("Accuracy under attack", "random masks", "95 %", "What it should not rely on"):
        assert text in page


def test_the_same_command_again_changes_nothing(finished: tuple[Path, Result]) -> None:
    out, _ = finished
    before = {p: p.read_bytes() for p in out.rglob("*.safetensors")} | {
        out / "results.json": (out / "results.json").read_bytes()
    }
    result = glasshouse("run", str(out / "recipe.txt"), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert all(path.read_bytes() == content for path, content in before.items())


def test_settings_reach_the_recipe(tmp_path: Path, finished: tuple[Path, Result]) -> None:
    result = glasshouse("run", TINY, "arms.0.detector.rule.share=0.5", "seed=x", "--out", str(tmp_path / "o"))
    assert result.exit_code == 2 and "seed takes a whole number, not 'x'" in result.output


BAD = [
    (
        ("run", "nope"),
        r"no recipe 'nope'; there are cifar10, coarse_to_fine, demo, evolved_explanations, explanation_cons",
    ),
    (("run", "demo", "nosuch=3"), r"Recipe has no field 'nosuch'; it has: data, model"),
    (("run", "demo", "rounds=2.5"), r"rounds takes a whole number, not '2.5'"),
    (("run", "demo", "rounds=0"), r"Recipe: rounds is at least 1, not 0"),
    (("run", "demo", "model=Nope"), r"unknown component 'Nope'; known: CoarseToFine, Grouped, ICCNN, ResNet18, "),
    (("run", "demo", "model=PGD"), r"model takes an Architecture, called with \(classes\), not 'PGD'"),
    (("run", "demo", "arms.7.name=x"), r"no element '7'; there are: 0, 1, 2"),
    (("run", "demo", "just text"), r"'just text' is no setting; write field=value"),
    (("run", "demo", "--device", "tpu9"), r"there is no device 'tpu9' here; cpu always works"),
    (("run", "cifar10"), r"the recipe cifar10 needs data=\.\.\."),
    (("run", "cifar10", "data=Digits", "scale=huge"), r"unknown scale 'huge'; there are: smoke, paper"),
    (("list", "nothing"), r"unknown kind 'nothing'; there are: data, corruptions, hierarchies, models"),
    (("refine", "--model", "SmallCNN", "--data", "/no/such/folder"), r"'/no/such/folder' was understood as a path"),
    (("refine", "--model", "resnet999", "--data", "Digits"), r"torchvision has no classifier 'resnet999'"),
    (
        ("refine", "--model", "SmallCNN", "--weights", "no.safetensors", "--data", "Digits"),
        r"no such file: no\.safetensors",
    ),
    (("refine", "--model", "PGD", "--data", "Digits"), r"'PGD' is no network"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(a)[:40] for a, _ in BAD])
def test_bad_input_is_one_sentence_and_status_2(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = () if arguments[0] == "list" else ("--out", str(tmp_path / "out"))
    result = glasshouse(*arguments, *out)
    told = " ".join(result.output.split())
    assert result.exit_code == 2, told
    assert re.search(sentence, told) and told.startswith("error: ") and "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_weights_and_data_that_do_not_fit_leave_nothing_behind(tmp_path: Path) -> None:
    from glasshouse.models import SmallCNN
    from glasshouse.models.weights import save_weights

    save_weights(SmallCNN(width=4)(3), tmp_path / "three.safetensors")
    arguments = ("--model", "SmallCNN(width=4)", "--weights", str(tmp_path / "three.safetensors"), "--data", "Digits")
    result = glasshouse("refine", *arguments, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2 and "are for 3 classes, the data has 10" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_directory_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = glasshouse("run", TINY, "--out", str(tmp_path))
    assert result.exit_code == 2 and "is not empty and holds no run" in " ".join(result.output.split())
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
