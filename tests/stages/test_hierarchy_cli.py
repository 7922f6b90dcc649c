"""--hierarchy reads a flat network as one of two levels, in every command that takes a model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from glasshouse.attack import attack
from glasshouse.attacks import FGSM, AtLevel, Linf
from glasshouse.cli import app
from glasshouse.cli.attacking import attacked
from glasshouse.cli.subjects import About
from glasshouse.hierarchy import Hierarchy, grouped
from glasshouse.models.two_levels import GroupedNetwork
from glasshouse.models.weights import save_weights
from glasshouse.registry import names
from glasshouse.report.attacked import Attacked
from trained import digits, digits_net

ROUND, STRAIGHT = [0, 3, 6, 8, 9], [1, 2, 4, 5, 7]
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = "Digits(size=16, decoy=None)"
FINE = "AtLevel(attack=PGD(ball=Linf(eps=0.1), steps=5), criterion=FineChanges())"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(digits_net(), path)
    return path


@pytest.fixture
def groups(tmp_path: Path) -> str:
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"round": ROUND, "straight": STRAIGHT}))
    return str(path)


@pytest.fixture
def partial(tmp_path: Path) -> str:
    path = tmp_path / "few.csv"
    path.write_text("class,superclass\n" + "".join(f"{k},{'round' if k in ROUND else 'straight'}\n" for k in range(7)))
    return f"HierarchyFile(path={str(path)!r}, partial=True)"


def glasshouse(command: str, weights: Path, out: Path, *more: str, model: str = "SmallCNN(width=8)") -> Result:
    given = ("--model", model, "--weights", str(weights), "--data", DIGITS, "--device", "cpu")
    return CliRunner().invoke(app, [command, *given, "--out", str(out), *more])


def said(result: Result) -> str:
    return " ".join(result.output.split())


def whole() -> Hierarchy:
    return grouped({"round": ROUND, "straight": STRAIGHT}, list(map(str, range(10))))


def attacked_by(weights: Path, method: str, hierarchy: str, images: int, classes: Path | None = None) -> Attacked:
    """What the command finds, without its page."""
    about = About("SmallCNN(width=8)", str(weights), DIGITS, "test", classes, hierarchy, images, "cpu", 64, 0)
    return attacked(method, False, about, names())


def test_an_attack_on_the_fine_level_stays_in_the_superclass(weights: Path, groups: str) -> None:
    found = attacked_by(weights, FINE, groups, 12)
    network, parents = GroupedNetwork(digits_net(), whole()).eval(), whole().parents
    with torch.no_grad():
        after = network(found.x_adv).argmax(1)
    broken = found.broken
    assert int(broken.sum()) > 3 and torch.equal(parents[after[broken]], parents[found.y[broken]])
    assert torch.equal(found.predicted_adv, after)


def test_an_attack_leaves_a_page_that_names_the_hierarchy(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(json.dumps(NAMES))
    (tmp_path / "groups.csv").write_text(
        "class,superclass\n" + "".join(f"{n},{'round' if k in ROUND else 'straight'}\n" for k, n in enumerate(NAMES))
    )
    more = ("--classes", str(tmp_path / "names.json"), "--hierarchy", str(tmp_path / "groups.csv"), "--images", "1")
    result = glasshouse("attack", weights, tmp_path / "out", *more, "--attack", FINE)
    assert result.exit_code == 0, result.output
    assert "note:" not in result.output
    (row,) = csv.DictReader((tmp_path / "out" / "table.csv").open())
    assert row["true"] in NAMES
    told = json.loads((tmp_path / "out" / "attack.json").read_text())
    assert told["model"].startswith("Grouped(model=SmallCNN(") and "HierarchyFile(path=" in told["model"]


def test_images_of_no_superclass_are_attacked_as_of_no_known_class(
    weights: Path, partial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = attacked_by(weights, "AtLevel(attack=FGSM(ball=Linf(eps=0.1)))", partial, 30)
    told = " ".join(capsys.readouterr().err.split())
    plain = attacked_by(weights, "FGSM", "", 30)
    lost = plain.y >= 7
    assert 0 < int(lost.sum()) < 30 and torch.equal(found.y, plain.y.masked_fill(lost, -1))
    assert f"note: {int(lost.sum())} of 30 images are of a class in no superclass, and attacked away" in told
    assert int(found.predicted.max()) <= 6


def test_in_python_labels_outside_are_warned_of_and_the_predicted_class_is_attacked() -> None:
    few = grouped({"round": [0, 3, 6], "straight": [1, 2, 4, 5]}, list(map(str, range(10))), partial=True)
    network, batch = GroupedNetwork(digits_net(), few).eval(), digits(12)
    method = AtLevel(attack=FGSM(ball=Linf(eps=0.1)))
    outside = batch.y >= 7
    with pytest.warns(UserWarning, match=f"{int(outside.sum())} of 12 images are of a class in no superclass"):
        found = attack(network, batch.x, method, y=batch.y, full=True)
    assert torch.equal(found.y, batch.y.masked_fill(outside, -1)) and 0 < int(outside.sum()) < 12
    with torch.no_grad():
        against = torch.where(outside, network(batch.x).argmax(1), batch.y)
    assert torch.equal(found.x_adv, method(network, batch.x, against))


def test_an_explanation_is_of_the_network_of_two_levels(weights: Path, groups: str, tmp_path: Path) -> None:
    more = ("--images", "2", "--explainer", "AtCoarse")
    without = glasshouse("explain", weights, tmp_path / "out", *more)
    assert without.exit_code == 2 and "AtCoarse needs a model of two levels" in said(without)
    result = glasshouse("explain", weights, tmp_path / "out", "--hierarchy", groups, *more)
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert told["model"].startswith("Grouped(model=SmallCNN(")


def test_an_evaluation_leaves_out_images_of_no_superclass(weights: Path, partial: str, tmp_path: Path) -> None:
    more = ("--images", "40", "--checks", "0", "--attack", "AtLevel(attack=FGSM())")
    result = glasshouse("evaluate", weights, tmp_path / "out", "--hierarchy", partial, *more)
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "out" / "values.npz") as kept:
        y = kept["y"]
    assert 0 < len(y) < 40 and y.max() <= 6
    assert f"note: {40 - len(y)} of 40 images are of a class in no superclass, and left out" in said(result)


def test_an_evaluation_of_a_whole_hierarchy_leaves_out_nothing(weights: Path, groups: str, tmp_path: Path) -> None:
    more = ("--images", "20", "--checks", "0", "--metric", "Accuracy")
    result = glasshouse("evaluate", weights, tmp_path / "out", "--hierarchy", groups, *more)
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "out" / "values.npz") as kept:
        assert len(kept["y"]) == 20
    assert "note:" not in result.output
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["model"].startswith("Grouped(model=SmallCNN(")


@pytest.mark.parametrize("command", ["attack", "explain", "evaluate"])
def test_a_hierarchy_that_does_not_fit_is_one_sentence(
    command: str, weights: Path, groups: str, tmp_path: Path
) -> None:
    (tmp_path / "odd.json").write_text('{"a": [0, 1], "b": ["tow"]}')
    (tmp_path / "one.json").write_text('{"a": [0, 1], "b": [2]}')
    own = f"Grouped(model=SmallCNN(width=8), hierarchy=HierarchyFile(path={groups!r}))"
    for more, sentence in (
        (("--hierarchy", "PGD"), "'PGD' is no hierarchy; see: glasshouse list hierarchies"),
        (("--hierarchy", "SmallCNN"), "'SmallCNN' is no hierarchy"),
        (("--hierarchy", "Nope"), "unknown component 'Nope'; known: CIFAR100Superclasses, CIFAR10Kinds, ClassGroups"),
        (("--hierarchy", "groups.yaml"), "path ends in .json or .csv, not 'groups.yaml'"),
        (("--hierarchy", "my/groups"), "path ends in .json or .csv, not 'my/groups'"),
        (("--hierarchy", str(tmp_path / "none.json")), "no such file:"),
        (("--hierarchy", str(tmp_path / "odd.json")), "odd.json: there is no class 'tow'"),
        (("--hierarchy", str(tmp_path / "one.json")), "7 classes are in no superclass, first 3 ('3'); partial=True"),
        (("--hierarchy", "ImageNetSuperclasses"), "for the 1000 classes of ILSVRC-2012"),
    ):
        result = glasshouse(command, weights, tmp_path / "out", "--images", "2", *more)
        assert result.exit_code == 2 and sentence in said(result) and "Traceback" not in said(result), said(result)
        assert not (tmp_path / "out").exists()
    result = glasshouse(command, weights, tmp_path / "out", "--images", "2", "--hierarchy", groups, model=own)
    assert result.exit_code == 2 and "--hierarchy is for a network of one level, and this one has" in said(result)


def test_an_evaluation_of_nothing_is_refused(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"a": [3], "b": [4]}')
    (tmp_path / "names.txt").write_text("\n".join(f"{k}" for k in range(10)))
    hierarchy = f"HierarchyFile(path={str(tmp_path / 'odd.json')!r}, partial=True)"
    result = glasshouse("evaluate", weights, tmp_path / "out", "--hierarchy", hierarchy, "--images", "2")
    assert result.exit_code == 2 and "2 of 2 images are of a class in no superclass: there is noth" in said(result)


def test_the_order_of_classes_that_are_not_cifars_is_told_of(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "names.json").write_text(json.dumps(NAMES))
    more = ("--classes", str(tmp_path / "names.json"), "--hierarchy", "CIFAR10Kinds", "--images", "2")
    result = glasshouse("explain", weights, tmp_path / "out", *more, "--explainer", "GradCAM")
    assert result.exit_code == 0 and "note: no class is called as in CIFAR-10, such as 'zero'" in said(result)
    attacked_by(weights, "FGSM", "CIFAR10Kinds", 2, tmp_path / "names.json")
    assert "note: no class is called as in CIFAR-10, such as 'zero'" in capsys.readouterr().err
