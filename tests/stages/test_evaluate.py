"""An evaluation measures, checks itself, and shows and keeps what it found."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from glasshouse.attacks import FGSM, PGD, Linf
from glasshouse.cli import app
from glasshouse.corruptions import Fog, GaussianNoise
from glasshouse.data import Digits
from glasshouse.data.corrupted import CorruptedSamples
from glasshouse.data.samples import Renamed, at_most
from glasshouse.evaluate import evaluate
from glasshouse.measure import measure
from glasshouse.metrics import SSIM, Accuracy, Distortion, Fooled, MassInside
from glasshouse.metrics.verdicts import correct
from glasshouse.models import SmallCNN
from glasshouse.models.weights import save_weights
from glasshouse.objectives import CrossEntropy
from glasshouse.report.evaluation import Evaluation, Reference, reference_from
from glasshouse.train import Adam, Training, fit
from glasshouse.types import Samples

PLAIN = Digits(size=16, decoy=None)
SWEEP = tuple(Accuracy(attack=PGD(ball=Linf(eps=e), steps=5, step_size=0.3)) for e in (0.01, 0.03))
WORSE = (Fog(severity=1), Fog(severity=5), GaussianNoise(severity=3))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    network = SmallCNN(width=4)(10)
    fit(network, CrossEntropy(), PLAIN("train"), Training(epochs=4, optimizer=Adam(lr=5e-3)))
    return network.eval()


@pytest.fixture(scope="module")
def samples() -> Samples:
    return at_most(PLAIN("test"), 30)


@pytest.fixture(scope="module")
def found(model: nn.Module, samples: Samples) -> Evaluation:
    metrics = (*SWEEP, Distortion(attack=FGSM(Linf(eps=0.03))), SSIM(attack=FGSM(Linf(eps=0.03))))
    evaluation = evaluate(
        model, samples, metrics, corruptions=WORSE, train=PLAIN("train"), checks=16, keep=True, batch_size=8, seed=2
    )
    return replace(evaluation, model="<b>mine</b>", data="digits")


def test_what_is_measured_is_what_the_metrics_say(found: Evaluation, model: nn.Module, samples: Samples) -> None:
    assert found.metrics[0] == Accuracy() and found.metrics[1:3] == SWEEP
    expected = measure(model, samples, found.metrics, seed=2)
    assert found.values.keys() == expected.keys()
    assert all(torch.equal(found.values[k], v) for k, v in expected.items())
    with torch.no_grad():
        batch = samples[list(range(30))]
        assert torch.equal(found.predicted, model(batch.x).argmax(1)) and torch.equal(found.y, batch.y)
    for corruption in WORSE:
        worse = measure(model, CorruptedSamples(samples, corruption), [Accuracy()], seed=2)
        assert torch.equal(found.corrupted[corruption][repr(Accuracy())], worse[repr(Accuracy())])
    means = found.accuracies(Accuracy())
    assert list(means) == [("fog", 1), ("fog", 5), ("gaussian_noise", 3)]
    assert means["fog", 5] <= means["fog", 1] < 1


def test_perturbations_are_those_that_broke(found: Evaluation, model: nn.Module, samples: Samples) -> None:
    batch = samples[list(range(30))]
    assert list(found.perturbations) == [repr(m) for m in SWEEP]
    for name, delta in found.perturbations.items():
        assert delta.shape == batch.x.shape and float(delta.abs().max()) <= 0.03 + 1e-6
        assert torch.equal(correct(model, batch.x + delta, batch.y).float(), found.values[name])


def test_examples_show_the_weakest_attack_that_breaks(found: Evaluation) -> None:
    assert len(found.examples) == 6
    assert {e.attack for e in found.examples if e.predicted != e.predicted_adv} >= {"PGD-5 (step_size=0.3), 0.01"}
    assert all(float((e.x_adv - e.x).abs().max()) <= 0.03 + 1e-6 for e in found.examples)


def test_self_checks_come_along_and_none_fires(found: Evaluation, model: nn.Module, samples: Samples) -> None:
    assert len(found.checks) >= 15 and found.trustworthy
    assert {check.status for check in found.checks} == {"pass"}
    assert evaluate(model, samples, checks=0, pictures=0, metrics=()).checks == ()


def test_an_attacked_corruption_measures_everything(model: nn.Module, samples: Samples) -> None:
    both = evaluate(model, samples, SWEEP, corruptions=WORSE[:1], attack_corrupted=True, checks=0, pictures=0)
    assert list(both.corrupted[WORSE[0]]) == [repr(Accuracy()), *map(repr, SWEEP)]
    seen = CorruptedSamples(samples, WORSE[0])
    assert torch.equal(both.corrupted[WORSE[0]][repr(SWEEP[1])], measure(model, seen, SWEEP)[repr(SWEEP[1])])


def test_what_is_kept_can_be_read_again(found: Evaluation, tmp_path: Path) -> None:
    page = found.save(tmp_path / "out")
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "evaluation.json",
        "index.html",
        "perturbations.npz",
        "values.npz",
    ]
    told = json.loads((page.parent / "evaluation.json").read_text())
    with np.load(page.parent / "values.npz") as values:
        for row, metric in zip(told["metrics"], found.metrics, strict=True):
            assert row["text"] == repr(metric)
            assert np.array_equal(values[row["name"]], found.values[repr(metric)].numpy(), equal_nan=True)
            assert row["mean"] == pytest.approx(float(values[row["name"]].mean()))
        assert np.array_equal(values["fog_5_metric_0"], found.corrupted[WORSE[1]][repr(Accuracy())].numpy())
        assert values["y"].tolist() == found.y.tolist() and values["index"].tolist() == list(range(30))
    with np.load(page.parent / "perturbations.npz") as deltas:
        assert np.array_equal(deltas["metric_2"], found.perturbations[repr(SWEEP[1])].numpy())
    assert [c["status"] for c in told["checks"]] == [c.status for c in found.checks]
    with pytest.raises(ValueError, match="not empty"):
        found.save(tmp_path / "out")


def test_the_page_tells_all_of_it_and_escapes_it(found: Evaluation, tmp_path: Path) -> None:
    text = found.save(tmp_path / "out").read_text()
    assert "<b>mine</b>" not in text and "&lt;b&gt;mine&lt;/b&gt;" in text
    assert "PGD-5 (step_size=0.3), 0.03" in text and "gaussian_noise" in text and "SSIM" in text
    assert text.count('<span class="pass">pass</span>') == len(found.checks)
    assert "No self-check failed." in text and "No mean corruption error" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert found._repr_html_().strip() in text


def test_a_failed_check_is_the_first_thing_that_is_said(model: nn.Module, samples: Samples) -> None:
    class Saturated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            return 1e5 * self.model(x)

    bad = evaluate(Saturated(), samples, SWEEP, checks=16)
    assert not bad.trustworthy
    page = bad._repr_html_()
    assert "do not rely on these numbers" in page and '<span class="fail">fail</span>gradients of the loss' in page


def test_the_corruption_error_is_against_a_named_reference(found: Evaluation, tmp_path: Path) -> None:
    found.save(tmp_path / "reference")
    reference = reference_from(tmp_path / "reference")
    assert reference == reference_from(tmp_path / "reference" / "evaluation.json")
    assert reference.name == "<b>mine</b>" and reference.accuracies == pytest.approx(found.accuracies(Accuracy()))
    itself = replace(found, reference=reference)
    told = json.loads((itself.save(tmp_path / "again").parent / "evaluation.json").read_text())
    assert told["corruption_error"]["mce"] == pytest.approx(1)
    half = {key: 1 - (1 - value) / 2 for key, value in reference.accuracies.items()}
    worse = replace(found, reference=Reference("half", 0.99, half))
    assert "Mean corruption error against half: 200.0" in worse._repr_html_().replace("\u00a0", " ")
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no evaluation\.json"):
        reference_from(tmp_path / "none.json")
    replace(found, corrupted={}).save(tmp_path / "plain")
    with pytest.raises(ValueError, match="no accuracies under corruption"):
        reference_from(tmp_path / "plain")


def test_what_cannot_be_evaluated_is_said(model: nn.Module, samples: Samples) -> None:
    with pytest.raises(ValueError, match=r"\[1, 7\].*not \[1, 10\] logits"):
        evaluate(SmallCNN(width=2)(7), samples)
    with pytest.raises(ValueError, match="cannot take images"):
        evaluate(nn.Sequential(nn.Flatten(), nn.Linear(5, 10)), samples)
    with pytest.raises(ValueError, match="the data has none"):
        evaluate(model, samples, [MassInside()])


def test_metrics_without_a_value_do_not_count(model: nn.Module, samples: Samples) -> None:
    asked = Fooled(attack=FGSM(Linf(eps=0.05)), right_only=True)
    seen = evaluate(model, samples, [asked], checks=0)
    assert seen.estimate(asked).count == int(seen.values[repr(Accuracy())].sum()) < 30


def test_classes_are_matched_by_name(samples: Samples) -> None:
    names = (*"9876543210", "none")
    renamed = Renamed(samples, names)
    assert renamed[[0, 5]].y.tolist() == [9 - y for y in samples[[0, 5]].y.tolist()] and len(renamed) == 30
    same = Renamed(samples, tuple("abcdefghij"))
    assert torch.equal(same[[0, 5]].y, samples[[0, 5]].y)
    with pytest.raises(ValueError, match="class '3' is none of the model's 2 classes"):
        Renamed(OnlyThree(samples), ("0", "1"))


@dataclass(frozen=True, eq=False)
class OnlyThree:
    """A split with one class."""

    samples: Samples
    classes: tuple[str, ...] = ("3",)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: object) -> object:
        return self.samples[index]  # type: ignore[index]


# the command


@pytest.fixture(scope="module")
def weights(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(model, path)
    return path


def command(weights: Path, *more: str) -> list[str]:
    data = "Digits(size=16, decoy=None)"
    return ["evaluate", "--model", "SmallCNN(width=4)", "--weights", str(weights), "--data", data, *more]


def test_the_command_evaluates(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = command(weights, "--images", "20", "--checks", "8", "--out", str(out), "--corruption", "fog:2", "--keep")
    attacks = ("--attack", "PGD(ball=Linf(eps=8/255), steps=3)", "--metric", "Distortion(attack=FGSM)")
    result = CliRunner().invoke(app, [*asked, *attacks])
    assert result.exit_code == 0, result.output
    assert "accuracy, PGD-3, 8/255" in result.output and "self-checks: " in result.output.lower()
    told = json.loads((out / "evaluation.json").read_text())
    titles = [row["title"] for row in told["metrics"]]
    assert titles == ["accuracy", "Distortion, FGSM, 8/255", "accuracy, PGD-3, 8/255"]
    assert told["images"] == 20 and len(told["corruptions"]) == 1 and (out / "perturbations.npz").is_file()
    again = CliRunner().invoke(app, [*asked, *attacks])
    assert again.exit_code == 2 and "not empty" in again.output


def test_a_failed_self_check_is_an_exit_status(weights: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(
        "from dataclasses import dataclass\nimport torch\nfrom glasshouse.models import SmallCNN\n"
        "class Loud(torch.nn.Module):\n"
        "    def __init__(self, m):\n        super().__init__()\n        self.m = m\n"
        "    def forward(self, x):\n        return 1e5 * self.m(x)\n"
        "@dataclass(frozen=True)\nclass LoudCNN:\n"
        '    """Too sure."""\n    weights: str = ""\n'
        "    def __call__(self, classes: int) -> torch.nn.Module:\n"
        f"        return Loud(SmallCNN(width=4, weights={str(weights)!r})(classes))\n"
    )
    asked = ["evaluate", "--model", "LoudCNN", "--data", "Digits(size=16, decoy=None)", "--import", str(own)]
    result = CliRunner().invoke(app, [*asked, "--images", "20", "--checks", "12", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1, result.output
    assert "fail" in result.output and (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--attack", "LIME"), "'LIME' is no attack; see: glasshouse list attacks"),
        (("--metric", "PGD"), "'PGD' is no metric; see: glasshouse list metrics"),
        (("--attack", "PGD(steps=0)"), "steps is at least 1"),
        (("--corruption", "rain"), "rain.*gaussian_noise"),
        (("--reference", "/no/such/file.json"), "no evaluation.json"),
        (("--split", "tset"), "unknown split 'tset'; there are: train, validation, test"),
        (("--device", "abacus"), "there is no device 'abacus'"),
        (("--attack", "StandardEnsemble(ball=Label())"), "ball"),
    ],
)
def test_bad_input_is_one_sentence(more: tuple[str, ...], sentence: str, weights: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*command(weights, "--out", str(tmp_path / "out"), "--images", "4"), *more])
    told = " ".join(result.output.split())
    assert result.exit_code == 2 and re.search(sentence, told) and "Traceback" not in told
    assert not (tmp_path / "out").exists()
