"""An attack keeps what became of each image, exactly and as pictures."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from glasshouse.attack import attack
from glasshouse.attacks import FGSM, L2, PGD, DeepFool, Linf, Ranked
from glasshouse.cli import app
from glasshouse.data import Digits
from glasshouse.models import SmallCNN
from glasshouse.models.weights import save_weights
from glasshouse.objectives import CrossEntropy
from glasshouse.report.attacked import Attacked
from glasshouse.titles import attack_title, brief, family_title
from glasshouse.train import Adam, Training, fit
from glasshouse.types import Batch

PLAIN = Digits(size=16, decoy=None)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    network = SmallCNN(width=4)(10)
    fit(network, CrossEntropy(), PLAIN("train"), Training(epochs=4, optimizer=Adam(lr=5e-3)))
    return network.eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    return PLAIN("test")[list(range(24))]


@pytest.fixture(scope="module")
def found(model: nn.Module, batch: Batch) -> Attacked:
    titles = ['=1+1,"x"', *(f"<i>{i}</i>" for i in range(1, 24))]
    return attack(model, batch.x, PGD(Linf(eps=0.03), steps=5, step_size=0.3), y=batch.y, titles=titles, batch_size=7)


def classes_of(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1)


def test_broken_are_those_that_were_right_and_are_no_more(found: Attacked, model: nn.Module, batch: Batch) -> None:
    before, after = classes_of(model, batch.x), classes_of(model, found.x_adv)
    assert torch.equal(found.predicted, before) and torch.equal(found.predicted_adv, after)
    assert torch.equal(found.broken, (before == batch.y) & (after != batch.y))
    assert 0 < int(found.broken.sum()) < 24 and not bool(found.right.all())
    assert float(found.delta.abs().max()) <= 0.03 + 1e-6
    rounded = (found.x_adv * 255).round() / 255
    assert torch.equal(found.predicted_rounded, classes_of(model, rounded))
    told = dict(found.summary)
    assert told["of these broken"].startswith(str(int(found.broken.sum()))) and told["allowed"] == "0.03"


def test_what_was_wrong_before_is_not_called_broken(found: Attacked) -> None:
    relabelled = replace(found, y=torch.where(found.broken, (found.y + 1) % 10, found.y))
    assert not relabelled.broken.any() and (relabelled.predicted_adv != relabelled.predicted).any()


def test_how_it_is_batched_changes_nothing_and_the_seed_decides(model: nn.Module, batch: Batch) -> None:
    method = PGD(Linf(eps=0.03), steps=2)
    whole = attack(model, batch.x, method, y=batch.y, seed=1)
    parts = attack(model, batch.x, method, y=batch.y, seed=1, batch_size=5)
    torch.testing.assert_close(parts.x_adv, whole.x_adv, atol=1e-6, rtol=0)
    assert not torch.equal(attack(model, batch.x, method, y=batch.y, seed=2).x_adv, whole.x_adv)


def test_without_a_true_class_the_predicted_one_is_attacked(model: nn.Module, batch: Batch) -> None:
    method = FGSM(Linf(eps=0.06))
    unknown = attack(model, batch.x, method)
    assert unknown.y.eq(-1).all() and unknown.right.all()
    assert torch.equal(unknown.x_adv, method(model, batch.x, classes_of(model, batch.x)))
    one = attack(model, batch.x[0], method)
    assert one.x_adv.shape == (1, 3, 16, 16)


def test_the_whole_budget_is_spent_on_request(model: nn.Module, batch: Batch) -> None:
    method = PGD(Linf(eps=0.06), steps=5, step_size=0.4, random_start=False)
    stopped, full = (attack(model, batch.x, method, y=batch.y, full=f) for f in (False, True))
    assert torch.equal(full.x_adv, method(model, batch.x, batch.y))
    assert stopped.delta.flatten(1).norm(dim=1).mean() < full.delta.flatten(1).norm(dim=1).mean()


def test_files_hold_the_exact_images_pictures_and_a_table(found: Attacked, tmp_path: Path) -> None:
    page = found.save(tmp_path / "out")
    out = page.parent
    assert len(list((out / "images").iterdir())) == len(list((out / "perturbations").iterdir())) == 24
    with np.load(out / "adversarial.npz") as kept:
        assert np.array_equal(kept["x_adv"], found.x_adv.numpy()) and kept["broken"].dtype == bool
        assert np.array_equal(kept["delta"], found.delta.numpy())
    for i in (0, 23):
        picture = np.asarray(Image.open(out / "images" / f"{i:05d}.png"))
        assert np.array_equal(picture, (found.x_adv[i].permute(1, 2, 0) * 255).round().byte().numpy())
        change = np.asarray(Image.open(out / "perturbations" / f"{i:05d}.png")).astype(float)
        assert abs(change.mean() - 127.5) < 60 and (change.max() >= 254 or change.min() <= 1)
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert [row["title"] for row in rows] == list(found.titles)
    assert [int(row["broken"]) for row in rows] == found.broken.int().tolist()
    assert all(float(row["linf"]) <= 0.03 + 1e-5 and 0 <= float(row["probability_adv"]) <= 1 for row in rows)
    norms = found.delta.flatten(1).norm(dim=1)
    assert [float(row["l2"]) for row in rows] == pytest.approx(norms.tolist(), abs=1e-5)
    told = json.loads((out / "attack.json").read_text())
    assert told["broken"] == int(found.broken.sum()) and told["attack"] == repr(found.attack)
    with pytest.raises(ValueError, match="not empty"):
        found.save(out)


def test_the_page_shows_broken_images_first_and_escapes_names(found: Attacked, tmp_path: Path) -> None:
    text = found.save(tmp_path / "out").read_text()
    assert "<i>3</i>" not in text and "&lt;i&gt;3&lt;/i&gt;" in text
    assert text.index("· broken ·") < text.index("· stands ·")
    assert text.count("<figure>") == 24 and found._repr_html_().strip() in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)


def test_attacks_have_names_that_people_use() -> None:
    assert attack_title(PGD()) == "PGD-40, 8/255" and attack_title(FGSM(L2(eps=0.5))) == "FGSM, L2 0.5"
    assert attack_title(PGD(steps=3, target=Ranked(rank=-1))) == "PGD-3 (target=Ranked(rank=-1)), 8/255"
    assert family_title(PGD(ball=L2(eps=0.5))) == "PGD-40, L2" and family_title(PGD()) == "PGD-40"
    assert attack_title(DeepFool()).startswith("DeepFool") and "inf" in attack_title(DeepFool())
    assert brief(PGD(steps=3)) == "PGD(steps=3)"


# the command


@pytest.fixture(scope="module")
def weights(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(model, path)
    return path


def command(weights: Path, *more: str) -> list[str]:
    return ["attack", "--model", "SmallCNN(width=4)", "--weights", str(weights), *more]


@pytest.mark.parametrize("method", ["PGD(steps=4)", "DeepFool(steps=4)", "Square(queries=20)", "APGD(steps=5)"])
def test_the_command_attacks(method: str, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = command(weights, "--data", "Digits(size=16, decoy=None)", "--images", "6", "--attack", method)
    result = CliRunner().invoke(app, [*asked, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "right before" in result.output and (out / "index.html").is_file()
    assert len(list(csv.DictReader((out / "table.csv").open()))) == 6
    again = CliRunner().invoke(app, [*asked, "--out", str(out)])
    assert again.exit_code == 2 and "not empty" in again.output


def test_a_photo_without_a_class_can_be_attacked(weights: Path, tmp_path: Path, batch: Batch) -> None:
    Image.fromarray((batch.x[0].permute(1, 2, 0) * 255).byte().numpy()).save(tmp_path / "one.png")
    out = tmp_path / "out"
    asked = command(weights, "--data", f"Photos(root={str(tmp_path / 'one.png')!r}, size=16)", "--out", str(out))
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    (row,) = csv.DictReader((out / "table.csv").open())
    assert row["true"] == "" and row["title"] == "one.png"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--attack", "Accuracy"), "'Accuracy' is no attack; see: glasshouse list attacks"),
        (("--attack", "PGD(target=Label(label=77))"), "is none of the model's 10 classes"),
        (("--attack", "PGD(target=Ranked(rank=0))"), "rank is 1"),
        (("--images", "0"), "--images is at least 1"),
        (("--data", "/no/such"), "/no/such"),
    ],
)
def test_bad_input_is_one_sentence(more: tuple[str, ...], sentence: str, weights: Path, tmp_path: Path) -> None:
    data = ("--data", "Digits(size=16, decoy=None)", "--out", str(tmp_path / "out"))
    result = CliRunner().invoke(app, [*command(weights, *data), *more])
    told = " ".join(result.output.split())
    assert result.exit_code == 2 and sentence in told and "Traceback" not in told
    assert not (tmp_path / "out").exists()
