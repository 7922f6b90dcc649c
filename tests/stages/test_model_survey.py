"""A survey of models is a study: a page to look at, every number as plain data, every value by image."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import FGSM, Linf
from glasshouse.explainers import EdgeMap, GradCAM, InputGradient, RandomMap
from glasshouse.metrics import Accuracy, Sparseness, Stability
from glasshouse.metrics.localisation import maps_of
from glasshouse.models import SmallCNN
from glasshouse.models.weights import save_weights
from glasshouse.registry import names
from glasshouse.report import write_document
from glasshouse.statistics import compare, estimate, holm
from glasshouse.studies import ModelSurvey, NamedModel
from glasshouse.studies.model_survey_found import comparisons
from glasshouse.study import Pictures, Table, Unfinished, conduct
from glasshouse.survey import Cell, Survey
from glasshouse.types import Batch
from trained import DIGITS, digits_net

FRAGILE = Accuracy(attack=FGSM(ball=Linf(eps=0.03)))


@dataclass(frozen=True)
class Centre:
    """How much of a map is in the middle; not of Grad-CAM."""

    needs: ClassVar[tuple[str, ...]] = ("attribution",)
    family: ClassVar[str] = "localisation"
    better: ClassVar[int] = 1

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        maps = maps_of(self, batch).abs()
        if torch.equal(maps, maps.clamp_max(0)):
            raise ValueError("nothing there")
        return maps[:, 4:12, 4:12].sum((1, 2)) / maps.sum((1, 2))


@dataclass(frozen=True)
class Nowhere:
    """An explainer that has nothing to say."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        raise ValueError("<nothing> to say")


KNOWN = names() | {"Centre": Centre, "Nowhere": Nowhere}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ModelSurvey:
    folder = tmp_path_factory.mktemp("weights")
    models = []
    for name, eps in (("plain <i>", 0.0), ("hard", 0.06)):
        save_weights(digits_net(eps), folder / f"{eps}.safetensors")
        models.append(NamedModel(name, SmallCNN(width=8, weights=str(folder / f"{eps}.safetensors"))))
    explainers = (InputGradient(), GradCAM(), RandomMap(), EdgeMap(), Nowhere())
    metrics = (FRAGILE, Sparseness(), Centre(), Stability(copies=1))
    return ModelSurvey(DIGITS, tuple(models), explainers, metrics, images=60, pictures=2, batch_size=32, seed=3)


@pytest.fixture(scope="module")
def ended(study: ModelSurvey, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("survey") / "out"
    document = conduct(study, out, KNOWN)
    write_document(document, study, out)
    return document, out


def cells(out: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    rows = json.loads((out / "results.json").read_text())["cells"]
    return {(row["model"], row["by"], row["metric"]): row for row in rows}


def test_every_number_is_that_of_the_kept_values(ended: tuple[Any, Path], study: ModelSurvey) -> None:
    out = ended[1]
    told, values = json.loads((out / "results.json").read_text()), np.load(out / "values.npz")
    assert told["images"] == 60 and told["judged"] == int(values["judged"].sum()) > 30
    assert [m["name"] for m in told["models"]] == ["plain <i>", "hard"]
    index, y = values["index"], DIGITS("test")[values["index"].tolist()].y
    assert len(set(index.tolist())) == 60 and max(index) > 60
    for k, (row, eps) in enumerate(zip(told["models"], (0.0, 0.06), strict=True)):
        with torch.no_grad():
            right = digits_net(eps)(DIGITS("test")[index.tolist()].x).argmax(1) == y
        assert values[f"right_{k}"].tolist() == right.tolist()
        assert row["accuracy"] == pytest.approx(estimate(right.double().numpy())._asdict())
    assert len(cells(out)) == len(told["cells"]) == 2 * (1 + 3 * 5)
    for row in told["cells"]:
        found = estimate(values[row["values"]].astype(np.float64))
        assert row["count"] == found.count == (0 if row["refused"] else 60 if not row["by"] else told["judged"])
        if found.count:
            assert (row["mean"], row["low"], row["high"]) == pytest.approx(found[:3])


def test_differences_are_paired_and_corrected_and_baselines_take_no_part(ended: tuple[Any, Path]) -> None:
    values, rows = np.load(ended[1] / "values.npz"), cells(ended[1])
    tested = {key: row for key, row in rows.items() if row["against_first"]}
    assert {key[:2] for key in tested} == {("hard", "InputGradient"), ("hard", "GradCAM")} and len(tested) == 6
    own = [values[row["values"]].astype(np.float64) for row in tested.values()]
    first = [values[rows["plain <i>", *key[1:]]["values"]].astype(np.float64) for key in tested]
    expected = [compare(a, b) for a, b in zip(own, first, strict=True)]
    corrected = holm([c.p for c in expected])
    for row, c, p in zip(tested.values(), expected, corrected, strict=True):
        assert row["against_first"]["difference"] == pytest.approx(c.difference)
        assert row["against_first"]["p"] == pytest.approx(p)
    assert any(p > c.p for c, p in zip(expected, corrected, strict=True))


def test_faithful_is_what_a_map_has_over_a_random_one_on_the_same_model() -> None:
    metric, own, chance = Centre(), InputGradient(), RandomMap()
    object.__setattr__(metric, "family", "faithfulness")
    told = {("a", own): 0.5, ("a", chance): 0.4, ("b", own): 0.8, ("b", chance): 0.9}
    columns = {Cell(model, e, metric): torch.full((5,), mean) for (model, e), mean in told.items()}
    found = comparisons(Survey(("a", "b"), (own, chance), (metric,), columns, torch.ones(2, 5, dtype=torch.bool)))
    assert found[Cell("b", own, metric)].difference == pytest.approx(-0.2) and len(found) == 1


def table(document: Any, title: str) -> Table:
    return next(s for s in document.sections if s.title == title)


def test_marks_say_who_is_better(ended: tuple[Any, Path]) -> None:
    document, out = ended
    rows = {row[:2]: row for row in table(document, "Concise, in numbers").rows}
    told = cells(out)["hard", "InputGradient", "Sparseness()"]
    assert told["against_first"]["difference"] > 0 and told["against_first"]["p"] < 0.05
    assert rows["sparseness ↑", "InputGradient"][2:] == (
        rows["sparseness ↑", "InputGradient"][2],
        f"{told['mean']:.3g} [{told['low']:.3g}, {told['high']:.3g}] ▲",
    )
    assert not re.search("[▲▼≠]", " ".join(rows["sparseness ↑", "EdgeMap"] + rows["sparseness ↑", "RandomMap"]))
    assert rows["sparseness ↑", "Nowhere"][2:] == ("not measurable", "not measurable")
    against = table(document, "Against plain <i>")
    assert against.columns == ("model", "Concise", "Stable", "Localised") and len(against.rows) == 1
    chance = {row[0]: row[1:] for row in table(document, "Better than a random map?").rows}
    assert set(chance) == {"InputGradient", "GradCAM"} and chance["InputGradient"] == ("better in 1 of 1",) * 2


def test_the_verdict_counts(ended: tuple[Any, Path]) -> None:
    told = json.loads((ended[1] / "results.json").read_text())
    signs = [
        (c["against_first"]["difference"] > 0) == (c["better"] > 0)
        for c in told["cells"]
        if c["against_first"] and c["against_first"]["p"] < 0.05
    ]
    counts = [f"{word} in {signs.count(sign)}" for word, sign in (("better", True), ("worse", False)) if sign in signs]
    assert ended[0].verdict == (
        f"All 2 models get {told['judged']} of 60 images right; explanations are measured on these. Against plain <i>, "
        f"significantly, hard is {', '.join(counts)} of 6 measurements."
    )


def test_what_cannot_be_measured_is_named_with_its_reason(ended: tuple[Any, Path]) -> None:
    rows = table(ended[0], "What cannot be measured").rows
    assert {row[1] for row in rows} == {"Nowhere"} and {row[2] for row in rows} == {"all"} and len(rows) == 3
    assert rows[0] == ("sparseness", "Nowhere", "all", "Sparseness by Nowhere: <nothing> to say")


def test_maps_of_judged_images_are_shown(ended: tuple[Any, Path], study: ModelSurvey) -> None:
    shown = next(s for s in ended[0].sections if isinstance(s, Pictures))
    judged = np.load(ended[1] / "values.npz")["judged"].nonzero()[0][:2]
    positions = np.load(ended[1] / "values.npz")["index"][judged].tolist()
    assert len(shown.rows) == 4 and shown.columns == ("image", *(type(e).__name__ for e in study.explainers))
    batch = DIGITS("test")[positions]
    torch.testing.assert_close(shown.rows[2][0].x, batch.x[1])
    for row, eps in zip(shown.rows[2:], (0.0, 0.06), strict=True):
        expected = InputGradient()(digits_net(eps), batch.x, batch.y)[1]
        torch.testing.assert_close(row[1].attribution, expected, atol=1e-5, rtol=1e-3)
        assert row[-1].attribution is None and row[-1].caption == "cannot be explained"


def test_the_page_is_whole_and_escaped(ended: tuple[Any, Path]) -> None:
    page = (ended[1] / "index.html").read_text()
    assert "plain <i>" not in page and "<nothing>" not in page and "plain &lt;i&gt;" in page
    for text in ("Concise: how few pixels", "What the models look at", "What it cost", "FGSM", "not measurable"):
        assert text in page
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)"', page))


def test_shards_leave_what_one_process_leaves(ended: tuple[Any, Path], study: ModelSurvey, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(Unfinished):
        conduct(study, out, KNOWN, shard=(1, 2))
    assert not (out / "results.json").exists() and not (out / "values.npz").exists()
    conduct(study, out, KNOWN, shard=(0, 2))
    for name in ("results.json", "values.npz", "recipe.txt"):
        assert (out / name).read_bytes() == (ended[1] / name).read_bytes()


def test_another_survey_is_not_mixed_in(ended: tuple[Any, Path], study: ModelSurvey) -> None:
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        conduct(replace(study, seed=4), ended[1], KNOWN)


def test_two_processes_may_begin_the_same_run(study: ModelSurvey, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".recipe.txt.0a1b").write_text("half of it")
    small = replace(study, images=8, metrics=(), explainers=())
    assert conduct(small, tmp_path / "out", KNOWN).results["images"] == 8


def test_no_image_that_all_get_right_is_a_sentence(study: ModelSurvey, tmp_path: Path) -> None:
    net = deepcopy(digits_net(0.0))
    with torch.no_grad():
        for parameter in (net.network.head.weight, net.network.head.bias):  # type: ignore[union-attr]
            parameter.copy_(parameter.roll(1, 0))
    save_weights(net, tmp_path / "rolled.safetensors")
    rolled = NamedModel("rolled", SmallCNN(width=8, weights=str(tmp_path / "rolled.safetensors")))
    wrong = replace(study, models=(study.models[0], rolled), images=20, metrics=(Sparseness(),))
    document = conduct(wrong, tmp_path / "out", KNOWN)
    assert document.verdict.startswith("All 2 models get 0 of 20 images right: no explanation was measured")
    assert write_document(document, wrong, tmp_path / "out").is_file()


def test_many_models_are_told_in_several_tables(study: ModelSurvey, tmp_path: Path) -> None:
    models = tuple(NamedModel(f"m{k}", SmallCNN(width=2)) for k in range(8))
    many = replace(study, models=models, metrics=(Sparseness(),), explainers=(EdgeMap(),), images=20)
    document = conduct(many, tmp_path / "out", KNOWN)
    titles = {s.title: s.columns for s in document.sections if isinstance(s, Table)}
    assert titles["Concise, in numbers, models 1 to 6"] == ("metric", "explainer", *(f"m{k}" for k in range(6)))
    assert titles["Concise, in numbers, models 7 to 8"][2:] == ("m6", "m7")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"models": ()}, "models has at least one"),
    ({"models": (NamedModel("a b", SmallCNN()), NamedModel("a-b", SmallCNN()))}, "models has a name twice"),
    ({"explainers": (GradCAM(), GradCAM())}, "explainers has one twice"),
    ({"metrics": (Sparseness(), Sparseness())}, "metrics has one twice"),
    ({"images": -1}, "images is 0 .all. or more, not -1"),
    ({"batch_size": 0}, "batch_size is at least 1, not 0"),
    ({"pictures": -1}, "pictures is at least 0, not -1"),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_a_survey_that_cannot_be_is_refused(study: ModelSurvey, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(study, **change)


def test_nothing_is_written_where_a_model_cannot_be_used(study: ModelSurvey, tmp_path: Path) -> None:
    weights = NamedModel("odd", SmallCNN(width=9, weights=study.models[0].model.weights))  # type: ignore[attr-defined]
    for change, said in (
        ({"models": (weights,)}, "are of another network"),
        ({"explainers": ()}, "Sparseness needs an explainer"),
    ):
        with pytest.raises(ValueError, match=said):
            conduct(replace(study, **change), tmp_path / "out", KNOWN)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="nothing could be measured: Sparseness by Nowhere: <nothing> to say"):
        conduct(replace(study, explainers=(Nowhere(),), metrics=(Sparseness(),)), tmp_path / "none", KNOWN)
