"""The robustness study from a recipe to a page, with networks that are trained for an epoch or not at all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import NAMES, Few
from torch import nn

from glasshouse.attacks import PGD, Linf
from glasshouse.data import BrightRegions, Digits
from glasshouse.data.samples import Memory, at_most
from glasshouse.explainers import EdgeMap, GradCAM, InputGradient, OfRandomisedModel, RandomMap
from glasshouse.metrics import Accuracy, Deletion, MaxSensitivity, Neighbours, PointingGame, Sparseness
from glasshouse.metrics import WorstCaseSensitivity as WorstCase
from glasshouse.models import SmallCNN
from glasshouse.models.weights import save_weights
from glasshouse.objectives import TRADES, Adversarial, CrossEntropy
from glasshouse.recipes import robustness_study
from glasshouse.report import write_document
from glasshouse.studies import NamedModel, RobustnessStudy, RobustnessTrial, RobustTraining
from glasshouse.studies import robustness_ways as known
from glasshouse.studies.robustness_misleading import SHARE, cleared, misleading
from glasshouse.studies.robustness_study import subjects_of
from glasshouse.study import Document, Pictures, conduct
from glasshouse.train import Adam, Training
from glasshouse.types import Samples
from trained import digits, digits_net

WEAK, HARD = PGD(ball=Linf(eps=0.03), steps=2), PGD(ball=Linf(eps=0.12), steps=5)
METRICS = (Sparseness(), MaxSensitivity(around=Neighbours(copies=2)), Deletion(steps=4), PointingGame())
TRIAL = RobustnessTrial(
    name="Digits <i>",
    data=BrightRegions(data=Few(decoy=None, size=16), level=0.3),
    ways=(known.standard(1), known.pgd_training(8, 1, 1.0, 1)),
    model=SmallCNN(width=4),
    training=Training(epochs=1, batch_size=20, optimizer=Adam(lr=0.01)),
    explainers=(InputGradient(), GradCAM(), RandomMap(), OfRandomisedModel()),
    metrics=METRICS,
    smooth=(InputGradient(),),
    searched=(WorstCase(steps=1),),
    threats=(WEAK, PGD(ball=Linf(eps=0.01), steps=2)),
    attacked=20,
    images=60,
    batch_size=32,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Document]:
    out = tmp_path_factory.mktemp("robustness") / "out"
    study = RobustnessStudy((TRIAL,), pictures=2)
    found = conduct(study, out, NAMES)
    write_document(found, study, out)
    return out, found


def told(out: Path, trial: str = "Digits <i>") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())["trials"][trial]
    return found


def test_a_study_ends_in_a_page(finished: tuple[Path, Document]) -> None:
    page = (finished[0] / "index.html").read_text()
    assert "Digits <i>" not in page
    for text in (": models", ": accuracy", ": conciseness", ": stability by dose", "faithfulness", "Published numbers"):
        assert text in page
    found = told(finished[0])
    assert list(found["models"]) == ["standard seed 0", "PGD-AT 8/255 seed 0"] and found["judged"] > 0
    assert f"judged on the {found['judged']} of 60 images" in finished[1].verdict


def test_every_metric_is_measured_by_every_explainer(finished: tuple[Path, Document]) -> None:
    cells = {(c["metric"], c["explainer"]): c for c in told(finished[0])["cells"]}
    expected = {(repr(m), repr(e)) for m in METRICS for e in TRIAL.explainers}
    assert set(cells) == expected | {(repr(WorstCase(steps=1)), repr(InputGradient()))}
    judged = told(finished[0])["judged"]
    assert all(mean["count"] == judged for c in cells.values() for mean in c["means"].values())
    by_lot = cells[repr(Sparseness()), repr(RandomMap())]["means"]
    assert len({mean["mean"] for mean in by_lot.values()}) == 1  # the same lots for each model


def test_accuracies_are_of_the_images_that_were_asked_for(finished: tuple[Path, Document]) -> None:
    test = TRIAL.data("test")
    for name, model in told(finished[0])["models"].items():
        assert model["clean"]["count"] == len(test) and {t["count"] for t in model["threats"].values()} == {20}, name
        first, second = (t["mean"] for t in model["threats"].values())
        assert first <= second <= 1


def test_every_way_is_trained_by_its_own_objective(finished: tuple[Path, Document]) -> None:
    told_by = {p.parent.name[-14:]: p.read_text() for p in (finished[0] / "networks").glob("*/objective.txt")}
    assert len(told_by) == 2
    for name, text in told_by.items():
        assert text.startswith("Adversarial" if "255" in name else "CrossEntropy")


def test_pictures_are_of_images_that_all_get_right(finished: tuple[Path, Document]) -> None:
    (shown,) = (s for s in finished[1].sections if isinstance(s, Pictures))
    some = at_most(TRIAL.data("test"), TRIAL.images, 0)
    batch = some[list(range(len(some)))]
    right = [np.load(p)["right"] for p in (finished[0] / "steps").rglob("explained/*-right.npz")]
    assert len(right) == 2 and shown.rows
    for row in shown.rows:
        place = int((batch.x == row[0].x).all(1).all(1).all(1).nonzero()[0])
        assert all(bool(one[place]) for one in right)


def test_a_study_that_goes_on_says_the_same(finished: tuple[Path, Document]) -> None:
    out, found = finished
    before, steps = (out / "results.json").read_bytes(), sorted((out / "steps").rglob("*.npz"))
    steps[0].unlink()
    steps[-1].unlink()
    again = conduct(RobustnessStudy((TRIAL,), pictures=2), out, NAMES)
    assert again.claims == found.claims and (out / "results.json").read_bytes() == before
    assert sorted((out / "steps").rglob("*.npz")) == steps


class Mislabelled(Few):
    """Every label is that of the next digit."""

    def __call__(self, split: str) -> Samples:
        found = super().__call__(split)
        batch = found[list(range(len(found)))]
        return Memory((batch.x * 255).round().byte(), (batch.y + 1) % 10, found.classes)


KNOWN = NAMES | {"Mislabelled": Mislabelled}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for name, eps in (("plain", 0.0), ("hard", 0.06)):
        save_weights(digits_net(eps), folder / f"{name}.safetensors")
    return folder


def smaller(study: RobustnessStudy, **settings: Any) -> RobustnessStudy:
    usual = {"explainers": (InputGradient(), GradCAM()), "metrics": METRICS, "searched": (), "threats": (HARD,)}
    trials = tuple(replace(t, **usual | {"attacked": 20, "images": 30} | settings) for t in study.trials)
    return replace(study, trials=trials)


def test_given_models_are_measured_and_not_trained(weights: Path, tmp_path: Path) -> None:
    study = robustness_study(weights=str(weights), model=SmallCNN(width=8), cifar10=Few(decoy=None, size=16))
    assert [one.name for one in study.trials[0].given] == ["hard", "plain"] and not study.trials[0].ways
    found = conduct(smaller(study), tmp_path / "out", NAMES)
    write_document(found, study, tmp_path / "out")
    assert not (tmp_path / "out" / "networks").exists()
    models = told(tmp_path / "out", "CIFAR-10")["models"]
    (hard,), (plain,) = (m["threats"].values() for m in (models["hard"], models["plain"]))
    assert hard["mean"] > plain["mean"] and models["plain"]["clean"]["mean"] > 0.8
    page = (tmp_path / "out" / "index.html").read_text()
    assert "CIFAR-10: conciseness by adversarial accuracy" in page and "every model" in page


def test_what_cannot_be_measured_is_named_and_has_no_rows(weights: Path, tmp_path: Path) -> None:
    """Nobody said where the evidence is in these images."""
    study = robustness_study(weights=str(weights), model=SmallCNN(width=8), cifar10=Few(decoy=None, size=16))
    found = conduct(smaller(study, searched=(WorstCase(steps=1),), smooth=(EdgeMap(),)), tmp_path / "out", NAMES)
    titles = {section.title: section for section in found.sections}
    assert "CIFAR-10: relevance: localisation" not in titles
    rows = titles["CIFAR-10: what cannot be measured"].rows  # type: ignore[union-attr]
    assert {(row[0], row[1], row[2]) for row in rows} == {
        ("pointing game", "InputGradient", "all"),
        ("pointing game", "GradCAM", "all"),
        ("worst-case sensitivity (steps=1)", "EdgeMap", "all"),
    }
    assert all(row[3] for row in rows)


def test_without_an_image_that_all_get_right_nothing_is_judged(weights: Path, tmp_path: Path) -> None:
    """They get all right, and the labels are of other digits."""
    study = robustness_study(weights=str(weights), model=SmallCNN(width=8), cifar10=Mislabelled(decoy=None, size=16))
    study = smaller(study, images=5)
    found = conduct(study, tmp_path / "out", KNOWN)
    write_document(found, study, tmp_path / "out")
    assert told(tmp_path / "out", "CIFAR-10")["judged"] == 0
    assert found.verdict == "CIFAR-10: of 5 images none is right in all 2 models, so nothing is judged."
    assert "so nothing is judged" in (tmp_path / "out" / "index.html").read_text()
    assert not [s for s in found.sections if isinstance(s, Pictures)]


# what looks right and is not


def test_misleading_maps_are_of_decisions_that_do_not_rest_on_them() -> None:
    net, batch = digits_net(), digits(120)
    scenes = misleading(net, batch, tuple("0123456789"), "mine", 200)
    assert 0 < len(scenes) < 120
    places = [int((batch.x == s.x).all((1, 2, 3)).nonzero()[0]) for s in scenes]
    x = batch.x[places]
    with torch.no_grad():
        target = net(x).argmax(1)
        maps = torch.stack([s.maps["mine"] for s in scenes])
        lots = RandomMap()(net, x, target)
        after, by_lot = (net(cleared(x, m)) for m in (maps, lots))
    assert [s.title for s in scenes] == [str(int(t)) for t in target]
    assert torch.equal(after.argmax(1), target)
    own, chance = (t.softmax(1).gather(1, target[:, None])[:, 0] for t in (after, by_lot))
    assert (own >= chance - 1e-6).all()
    torch.testing.assert_close(maps, InputGradient()(net, x, target).abs(), atol=1e-5, rtol=1e-4)
    plausible = [float(re.search(r"edges (-?[\d.]+);", s.told)[1]) for s in scenes]  # type: ignore[index]
    assert plausible == sorted(plausible, reverse=True) and plausible[0] > plausible[-1]
    few = misleading(net, batch, tuple("0123456789"), "mine", 2)
    assert [s.told for s in few] == [s.told for s in scenes[:2]]
    assert set(scenes[0].maps) == {"mine", "edges of the picture", "random weights"}


def test_what_a_map_marks_most_is_taken_away() -> None:
    x = torch.rand(2, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    maps = torch.arange(100.0).view(1, 10, 10).expand(2, 10, 10)
    gone = (cleared(x, maps) != x).any(1)
    assert torch.equal(gone, maps >= 100 - 100 * SHARE)
    mean = x.mean((2, 3))[..., None].expand(2, 3, 30)
    torch.testing.assert_close(cleared(x, maps)[:, :, 7:].flatten(2), mean)


# the ways, and what is refused


def test_ways_are_called_by_method_and_eps() -> None:
    found = known.pgd_training(8, 10, 0.25, 3)
    assert found.name == "PGD-AT 8/255" and found.eps == pytest.approx(8 / 255) and found.seeds == 3
    assert found.objective == Adversarial(attack=PGD(ball=Linf(eps=8 / 255), steps=10, step_size=0.25))
    round_ = known.pgd_training(0.5, 10, 0.25, 3, known.L2_NORM)
    assert (round_.name, round_.eps, round_.norm) == ("PGD-AT L2 0.5", 0.5, "L2")
    assert isinstance(known.trades_training(8, 10, 0.25, 1).objective, TRADES)
    assert known.fgsm_training(8, 1).objective.attack.random_start  # type: ignore[attr-defined]
    assert known.standard(2) == RobustTraining("standard", CrossEntropy(), 0.0, "standard", "L-inf", 2)
    first = known.threats(1.0)[0]
    assert first.ball == Linf(eps=8 / 255)  # type: ignore[attr-defined]


def test_every_way_is_trained_under_each_of_its_seeds() -> None:
    names = [s.name for s in subjects_of(replace(TRIAL, ways=(known.standard(2), known.fgsm_training(2, 1))), 5)]
    assert names == ["standard seed 5", "standard seed 6", "FGSM-RS 2/255 seed 5"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": " "}, "name is not empty"),
    ({"ways": ()}, "ways or given has at least one"),
    ({"model": None}, "ways need a model"),
    ({"threats": ()}, "threats has at least one"),
    ({"given": (NamedModel("standard", SmallCNN()),)}, "a name twice"),
    ({"attacked": -1}, "attacked is 0"),
    ({"images": -1}, "images is 0"),
    ({"batch_size": 0}, "batch_size is at least 1"),
]


@pytest.mark.parametrize(("settings", "sentence"), REFUSED)
def test_a_trial_says_what_it_needs(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(TRIAL, **settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": ""}, "name is not empty"),
        ({"eps": -1}, "eps is at least 0"),
        ({"eps": 0.1}, "eps is above 0 with a method"),
        ({"method": "PGD-AT"}, "and 0 with 'standard', which has none"),
        ({"seeds": 0}, "seeds is at least 1"),
    ],
)
def test_a_way_says_what_it_needs(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(known.standard(1), **settings)


def test_a_study_says_what_it_needs() -> None:
    for trials, settings, sentence in (
        ((), {}, "at least one"),
        ((TRIAL, TRIAL), {}, "a name twice"),
        ((TRIAL,), {"pictures": -1}, "pictures is at least 0"),
        ((TRIAL,), {"seed": -1}, "seed is at least 0"),
        ((replace(TRIAL, given=(NamedModel("standard seed 0", SmallCNN()),)),), {}, "two models with one name"),
    ):
        with pytest.raises(ValueError, match=sentence):
            RobustnessStudy(trials, **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"not \[1, 10\] logits"):
        RobustnessStudy((replace(TRIAL, model=None, ways=(), given=(NamedModel("odd", Odd()),)),))("cpu")


class Odd:
    """A network of three classes."""

    def __call__(self, classes: int) -> nn.Module:
        return SmallCNN(width=4)(3)

    def __repr__(self) -> str:
        return "Odd()"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"scale": "huge"}, "unknown scale 'huge'; there are: smoke, small, paper"),
        ({"scale": "small"}, "scale=small needs images: give cifar10=FOLDER or imagenet=FOLDER"),
        ({"weights": "w", "cifar10": Digits()}, "a folder of weights needs model=NAME"),
        ({"weights": "w", "model": SmallCNN()}, "and the images of either cifar10 or imagenet"),
        ({"weights": "w", "model": SmallCNN(), "cifar10": Digits(), "imagenet": Digits()}, "either cifar10 or"),
        (
            {"weights": "nowhere", "model": SmallCNN(), "cifar10": Digits()},
            "no such file or folder of weights: nowhere",
        ),
    ],
)
def test_the_recipe_says_what_it_needs(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        robustness_study(**given)


def test_scales_of_the_recipe() -> None:
    (smoke,) = robustness_study().trials
    assert smoke.name == "Digits" and PointingGame() in smoke.metrics and smoke.ways[0].name == "standard"
    (small,) = robustness_study(cifar10=Digits(), scale="small").trials
    assert len(subjects_of(small, 0)) == 21 and isinstance(small.model, SmallCNN)
    cifar, imagenet = robustness_study(cifar10=Digits(), imagenet=Digits(), scale="paper").trials
    assert {w.eps for w in cifar.ways if w.method == "PGD-AT" and w.norm == "L-inf"} == {e / 255 for e in (1, 2, 4, 8)}
    assert {w.seeds for w in cifar.ways} == {3} and {w.seeds for w in imagenet.ways} == {1}
    assert type(cifar.model).__name__ == "ResNet18" and imagenet.training.epochs == 30
    assert cifar.training.best == Accuracy(attack=PGD(steps=10, step_size=0.25)) and cifar.attacked == 1000
    mine = robustness_study(cifar10=Digits(), scale="small", model=SmallCNN(width=3)).trials[0]
    assert mine.model == SmallCNN(width=3) and np.isclose(mine.ways[-1].eps, 1.0)
