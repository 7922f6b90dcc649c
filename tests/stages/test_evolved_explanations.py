"""E-LIME and its controls: a whole study, and every control where the answer is known."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from glasshouse.cli import app
from glasshouse.explainers import ELIME, BlurFill, ConstantFill, Grid
from glasshouse.explainers.designs import uniform
from glasshouse.explainers.evolved_front import Front
from glasshouse.explainers.evolved_lime import Evolved
from glasshouse.explainers.masked import Maskable, maskable
from glasshouse.studies.evolved_claims import claims
from glasshouse.studies.evolving import Evolving, filled
from glasshouse.studies.rows import (
    ELIME_NAME,
    FRONT,
    GREEDY,
    LIME_NAME,
    RANDOM,
    SPARSE,
    Row,
    agreement,
    chance,
    jaccard,
    passed,
    spread,
)
from glasshouse.studies.searches import greedy, probability, random_search, sufficient
from glasshouse.study import REFUTED, SUPPORTED, UNTESTED

SMALL = (
    *("search.population=6", "search.generations=3", "lime.samples=24", "front.rounds=2", "fast_lime.samples=12"),
    *("fast_lime.gradients=4", "training.epochs=1", "search.segmenter=Grid(cells=4)"),
)


def glasshouse(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def small(out: Path, *more: str) -> Result:
    return glasshouse("run", "evolved_explanations", *SMALL, *more, "--device", "cpu", "--out", str(out))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("study") / "out"
    return out, small(out, "title=<b>study</b>", "seeds=3")


def results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text())


def timeless(out: Path) -> str:
    """The results without the clock."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if k not in ("seconds", "claims")}
        return [without(v) for v in value] if isinstance(value, list) else value

    return json.dumps(without(results(out)))


# a whole study


def test_the_smallest_scale_runs_on_its_own_and_ends_with_claims_and_a_report(finished: tuple[Path, Result]) -> None:
    out, result = finished
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "of the abstract" in told and "Report: " in told and "not testable here" in told
    assert {p.name for p in out.iterdir()} == {"recipe.txt", "results.json", "index.html", "steps", "networks"}
    found = results(out)
    assert {c["source"] for c in found["claims"]} == {"paper", "control"}
    assert {c["verdict"] for c in found["claims"]} <= {SUPPORTED, REFUTED, UNTESTED}
    assert len(found["runs"]) == 2 * 2 * (5 * 3 + 2)
    assert str(out) not in (out / "results.json").read_text() and "NaN" not in (out / "results.json").read_text()


def test_the_report_is_self_contained_and_escaped(finished: tuple[Path, Result]) -> None:
    page = (finished[0] / "index.html").read_text()
    assert "<b>study</b>" not in page and "&lt;b&gt;study&lt;/b&gt;" in page
    assert page.count("<section>") == page.count("</section>") == 9
    assert (
        page.count("<img") == page.count('src="data:image/')
        and "http" not in page.split("</style>")[1].split("<pre>")[0]
    )
    for text in ("What the paper claims", "What has to hold as well", "random search", "SmallCNN 2", "{{"):
        assert (text in page) is (text != "{{")


def test_every_rival_spends_as_much_as_elime_and_selects_as_much_where_it_should(finished: tuple[Path, Result]) -> None:
    runs = results(finished[0])["runs"]
    own = {(r["network"], r["image"], r["seed"]): r for r in runs if r["method"] == ELIME_NAME}
    assert len(own) == 12 and all(r["evaluations"] > 6 for r in own.values())
    for run in runs:
        rival = own[run["network"], run["image"], run["seed"]]
        assert run["whole"] == pytest.approx(rival["whole"], abs=1e-6) and run["superpixels"] == 16 == len(run["mask"])
        assert run["share"] == run["mask"].count("1") / 16
        if run["method"] == RANDOM:
            assert run["evaluations"] == rival["evaluations"]
        if run["method"] == GREEDY:
            assert run["seed"] == 0 and run["evaluations"] == rival["evaluations"]
        if run["method"] in (LIME_NAME, "FastLIME, as many"):
            assert run["share"] == rival["share"]
        if run["method"] == LIME_NAME:
            assert run["evaluations"] == 25


def test_all_runs_differ_by_seed_only_where_chance_is_at_work(finished: tuple[Path, Result]) -> None:
    runs = [r for r in results(finished[0])["runs"] if r["network"] == "SmallCNN"]
    for method in (ELIME_NAME, RANDOM):
        assert len({r["mask"] for r in runs if r["method"] == method}) > 2
    assert {r["seed"] for r in runs if r["method"] == SPARSE} == {0}


def test_the_same_command_again_takes_no_step_again(
    finished: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = finished
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    monkeypatch.setattr(Evolving, "taken", lambda *anything: pytest.fail("a step is taken again"))
    result = small(out, "title=<b>study</b>", "seeds=3")
    assert result.exit_code == 0, result.output
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    again = glasshouse("run", str(out / "recipe.txt"), "--device", "cpu", "--out", str(out))
    assert again.exit_code == 0 and (out / "index.html").read_bytes() == before[out / "index.html"]


def test_a_study_that_was_cut_off_goes_on_and_ends_the_same(
    finished: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, taken, count = tmp_path / "out", Evolving.taken, [0]

    def cut(self: Evolving, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] == 9:
            raise KeyboardInterrupt
        return taken(self, *arguments)

    monkeypatch.setattr(Evolving, "taken", cut)
    result = small(out, "title=<b>study</b>", "seeds=3")
    assert result.exit_code == 130 and "goes on" in result.output and not (out / "results.json").exists()
    assert len(list((out / "steps").glob("*/*.npz"))) == 8
    assert small(out, "title=<b>study</b>", "seeds=3").exit_code == 0
    assert count[0] == 9 + 2 * 17 - 8 and timeless(out) == timeless(finished[0])


def test_a_damaged_step_is_named_and_nothing_else_is_done(finished: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    step = next((out / "steps" / "SmallCNN").glob("*.npz"))
    step.write_bytes(step.read_bytes()[:100])
    result = small(out, "title=<b>study</b>", "seeds=3")
    assert result.exit_code == 2 and "is damaged" in " ".join(result.output.split())


def test_the_study_is_listed_with_its_recipe() -> None:
    result = glasshouse("list", "recipes")
    assert result.exit_code == 0 and "evolved_explanations(data: Data | None = None" in result.output
    assert "EvolvedExplanations(data=" in glasshouse("list", "studies").output


# the controls, where the answer is known


class Additive(nn.Module):
    """The log-odds of the first class are a sum over the cells of a white image."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.tensor(weights).view(1, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        odds = (x[:, :1] * self.weight).flatten(1).sum(1) / 4
        return torch.stack([odds, torch.zeros_like(odds)], 1)


WEIGHTS = [0.9, -0.4, 0.8, -0.3, 0.1, -0.2, 0.7, -0.1, 0.6, -0.5, 0.5, -0.6, 0.4, -0.7, 0.3, -0.8]


@pytest.fixture
def scene() -> tuple[Additive, Maskable]:
    white = torch.ones(2, 3, 8, 8)
    return Additive(WEIGHTS), maskable(Grid(cells=4), ConstantFill(), white, torch.zeros(2, dtype=torch.int64))


def rival(evaluations: list[list[int]], selected: int = 3) -> Evolved:
    asked = torch.tensor(evaluations)
    mask = torch.arange(16).expand(len(asked), -1) < selected
    half = torch.full((len(asked),), 0.5)
    return Evolved(torch.zeros(len(asked), 8, 8), mask, half, half, half[:, None].expand(asked.shape), asked)


def odds(mask: Tensor) -> Tensor:
    return (mask.float() @ torch.tensor(WEIGHTS)).sigmoid()


def test_greedy_takes_what_speaks_for_the_class_and_nothing_else(scene: tuple[Additive, Maskable]) -> None:
    found = greedy(*scene, rival([[20, 200], [20, 200]]), 8)
    assert found.mask.tolist() == [[w > 0 for w in WEIGHTS]] * 2
    assert torch.allclose(found.fitness, odds(found.mask))
    assert found.evaluations.tolist() == [137, 137]  # 16 + 15 + ... + 1, and the whole image


def test_greedy_stops_in_the_middle_of_a_round_when_the_budget_is_spent(scene: tuple[Additive, Maskable]) -> None:
    found = greedy(*scene, rival([[5, 18], [17, 20]]), 8)
    # 16 go to the first round, which cell 0 wins; 1 or 3 are left for the next ones.
    assert found.evaluations.tolist() == [18, 20]
    assert found.mask.int().sum(1).tolist() == [1, 2]
    assert found.trace[0].tolist() == pytest.approx([odds(torch.eye(16)[0]).item()] * 2)
    assert found.trace[1, 1] == pytest.approx(odds(torch.eye(16)[0] + torch.eye(16)[2]).item())


def test_random_search_is_the_best_of_exactly_so_many_masks(scene: tuple[Additive, Maskable]) -> None:
    model, images = scene
    few, many = (random_search(model, images, rival([[4, 12], [4, n]]), 0.5, 8, seed=3) for n in (12, 300))
    drawn = {n: odds(uniform(n, 16, 3) < 0.5) for n in (11, 299)}
    assert few.fitness[1].item() == pytest.approx(drawn[11].max().item())
    for found, count in ((many.fitness[1], 299), (many.fitness[0], 11), (many.trace[1, 0], 3)):
        assert found.item() == pytest.approx(drawn[299][:count].max().item())
    assert torch.allclose(odds(many.mask), many.fitness) and many.evaluations.tolist() == [12, 300]


def test_random_search_calls_the_model_as_often_as_its_rival_did(scene: tuple[Additive, Maskable]) -> None:
    model, images = scene
    seen = [0]
    model.register_forward_pre_hook(lambda module, inputs: seen.__setitem__(0, seen[0] + len(inputs[0])))
    random_search(model, images, rival([[30], [50]]), 0.5, 8, seed=0)
    assert seen[0] == 29 + 49


def test_another_fill_stands_behind_the_same_mask(scene: tuple[Additive, Maskable]) -> None:
    model, images = scene
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[:, 0] = True
    assert torch.allclose(probability(model, images, mask, 8), odds(mask))
    # A white image out of focus is as white as before, whatever is switched off.
    blurred = probability(model, filled(images, BlurFill()), mask, 8)
    assert torch.allclose(blurred, odds(torch.ones(2, 16)))


def test_of_a_front_the_smallest_mask_that_is_enough_counts() -> None:
    fitness = torch.tensor([[0.2, 0.7, 0.9], [0.2, 0.4, 0.3]])
    masks = torch.arange(5) < torch.tensor([1, 2, 4])[:, None]
    trace, asked = fitness[:, :, None].expand(2, 3, 2), torch.tensor([10, 20]).expand(2, 3, 2)
    front = Front(
        torch.zeros(2, 4, 4), (0.2, 0.4, 0.8), masks.expand(2, 3, 5), fitness, torch.full((2,), 0.6), trace, asked
    )
    found = sufficient(front)
    assert found.selected.tolist() == [2, 2] and found.fitness.tolist() == pytest.approx([0.7, 0.4])
    assert found.asked.tolist() == [[31, 61], [31, 61]]


def test_elime_beats_chance_where_evidence_is_planted(scene: tuple[Additive, Maskable]) -> None:
    model, images = scene
    own = ELIME(segmenter=Grid(cells=4), population=20, generations=10).evolved(
        model, images.x, images.target, images.segments
    )
    chance_found = random_search(model, images, own, 0.5, 64, seed=1)
    assert (own.fitness >= chance_found.fitness).all() and (chance_found.evaluations == own.evaluations).all()


# what many runs come to


def row(
    method: str = ELIME_NAME,
    seed: int = 0,
    image: str = "cat",
    network: str = "one",
    gain: float = 0.1,
    selected: int = 5,
    seconds: float = 1.0,
    fills: float = 0.9,
    other: tuple[tuple[float, float], ...] = ((0.9, 0.5),),
) -> Row:
    mask = torch.arange(10) < selected
    whole = 0.5
    measured = (0.2, (fills,), other, seconds, 100, 50.0, 10)
    return Row(network, image, method, seed, whole + gain, whole, *measured, mask, ((50.0, whole + gain),))


def many(**changes: dict[str, Any]) -> list[Row]:
    """Three seeds on twelve images with every claim fulfilled, but for what is told of a method."""
    usual: dict[str, dict[str, Any]] = {
        ELIME_NAME: {"gain": 0.2},
        RANDOM: {},
        GREEDY: {},
        LIME_NAME: {"seconds": 11.0},
        SPARSE: {"selected": 5},
        FRONT: {"selected": 6},
    }
    told = {
        "ELIME": ELIME_NAME,
        "RANDOM": RANDOM,
        "GREEDY": GREEDY,
        "LIME": LIME_NAME,
        "SPARSE": SPARSE,
        "FRONT": FRONT,
    }
    for name, change in changes.items():
        usual[told[name]] = usual[told[name]] | change
    return [
        row(method, seed, f"image {i}", network, **keys)
        for network in ("one", "two")
        for i in range(6)
        for method, keys in usual.items()
        for seed in range(1 if method in (GREEDY, SPARSE) else 3)
    ]


def verdicts(rows: list[Row]) -> dict[str, str]:
    keys = (
        *("raised", "minute", "faster", "number", "networks", "recognised", "random", "greedy", "lime"),
        *("fill", "other", "seeds", "needed"),
    )
    return dict(zip(keys, (c.verdict for c in claims(rows, ["blur"], 0.5, "cpu")), strict=True))


def test_claims_that_hold_are_supported() -> None:
    found = verdicts(many())
    assert {k for k, v in found.items() if v != SUPPORTED} == {"recognised"} and found["recognised"] == UNTESTED


@pytest.mark.parametrize(
    ("changes", "refuted"),
    [
        ({"ELIME": {"gain": -0.01}}, {"raised", "networks", "random", "greedy", "lime"}),
        ({"ELIME": {"seconds": 61.0}, "LIME": {"seconds": 700.0}}, {"minute"}),
        ({"LIME": {"seconds": 10.0}}, {"faster"}),
        ({"SPARSE": {"selected": 3}}, {"number"}),
        ({"RANDOM": {"gain": 0.2}}, {"random"}),
        ({"GREEDY": {"gain": 0.3}}, {"greedy"}),
        ({"LIME": {"gain": 0.2}}, {"lime"}),
        ({"ELIME": {"fills": 0.5}}, {"fill"}),
        ({"ELIME": {"other": ((0.9, 0.5), (0.4, 0.4))}}, {"other"}),
        ({"FRONT": {"selected": 2}}, {"needed"}),
    ],
)
def test_claims_that_do_not_hold_are_not_supported(changes: dict[str, Any], refuted: set[str]) -> None:
    rows = many(**changes)
    assert {k for k, v in verdicts(rows).items() if v == REFUTED} - {"faster"} == refuted - {"faster"}
    assert ("faster" in refuted) <= (verdicts(rows)["faster"] == REFUTED)


def test_a_single_run_that_fails_refutes_a_claim_about_every_run() -> None:
    rows = many()
    worse = [
        r._replace(probability=0.5) if (r.method, r.seed, r.image) == (ELIME_NAME, 1, "image 3") else r for r in rows
    ]
    assert verdicts(worse)["raised"] == REFUTED
    told = claims(worse, ["blur"], 0.5, "cpu")[0].measured
    assert told.startswith("34 of 36 runs") and "random search: 36 of 36" in told


def test_masks_that_differ_between_seeds_are_another_explanation() -> None:
    moved = [r._replace(mask=r.mask.roll(3 * r.seed)) if r.method == ELIME_NAME else r for r in many()]
    assert verdicts(moved)["seeds"] == REFUTED


def test_few_images_decide_nothing_and_one_network_says_nothing_of_others() -> None:
    few = [r._replace(others=()) for r in many() if r.image in ("image 0", "image 1") and r.network == "one"]
    found = verdicts(few)
    assert [found[k] for k in ("random", "greedy", "lime", "networks", "other")] == [UNTESTED] * 5
    found = verdicts([r for r in few if r.method not in (SPARSE, FRONT)])
    assert found["number"] == found["needed"] == UNTESTED
    assert verdicts(many(FRONT={"gain": -0.1, "selected": 2}))["needed"] == UNTESTED


def test_the_arithmetic_of_masks_and_runs() -> None:
    a, b = torch.tensor([1, 1, 0, 0]).bool(), torch.tensor([0, 1, 1, 0]).bool()
    assert jaccard(a, b) == pytest.approx(1 / 3) and jaccard(~(a | ~a), ~(a | ~a)) == 1
    rows = [row(selected=5)._replace(mask=m, superpixels=4) for m in (a, b, a)]
    assert agreement(rows) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3) and math.isnan(agreement(rows[:1]))
    assert chance(rows) == pytest.approx(1 / 3)
    assert passed(((10, 0.2), (20, 0.5), (30, 0.6)), 0.5) == 30 and math.isnan(passed(((10, 0.2),), 0.5))
    assert spread([1.0, math.nan, 3.0])[:] == (2.0, pytest.approx(math.sqrt(2)), 1.0, 3.0, 2)
    assert spread([])[4] == 0 and math.isnan(spread([1.0]).sd)


# what cannot be done


BAD = [
    (("scale=huge",), r"unknown scale 'huge'; there are: smoke, small, paper"),
    (("scale=small",), r"scale=small explains real images on trained networks: give data=\.\.\."),
    (("scale=paper", "data=Digits"), r"give a network, such as resnet50=FILE"),
    (("resnet50=no.pth",), r"the networks need images that they know: give data="),
    (("resnet50=no.pth", "data=Digits"), r"no such file: no\.pth"),
    (("networks=(SmallCNN(),)", "data=Digits"), r"the network SmallCNN has no weights; give it weights=FILE"),
    (("networks=(SmallCNN,SmallCNN)", "data=Digits"), r"networks has a network twice"),
    (("networks=(PGD,)", "data=Digits"), r"networks takes a tuple, each element an Architecture"),
    (("seeds=1",), r"seeds is at least 2"),
    (("positions=(5000,)",), r"there is no image 5000 in the split 'test', which has 413"),
    (("search.whole=True",), r"would make the first claim true by construction"),
    (("data=Digits(size=12)", "search.segmenter=Grid(cells=20)"), r"has no 20 x 20 cells"),
    (("nosuch=3",), r"EvolvedExplanations has no field 'nosuch'; it has: data, networks"),
]


@pytest.mark.parametrize(("settings", "sentence"), BAD, ids=[" ".join(s) for s, _ in BAD])
def test_bad_input_is_one_sentence_and_status_2(
    settings: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = glasshouse("run", "evolved_explanations", *settings, "--device", "cpu", "--out", str(tmp_path / "out"))
    told = " ".join(result.output.split())
    assert result.exit_code == 2 and re.search(sentence, told) and "Traceback" not in told, told


def test_the_folder_of_another_study_is_left_alone(finished: tuple[Path, Result]) -> None:
    out, _ = finished
    before = (out / "results.json").read_bytes()
    result = small(out, "seeds=2")
    assert result.exit_code == 2 and "holds a run of another recipe" in " ".join(result.output.split())
    assert (out / "results.json").read_bytes() == before


def test_images_without_classes_cannot_train_a_network(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 40), (200, 10, 10)).save(tmp_path / "red.png")
    given = (f"data={tmp_path / 'red.png'}", "--device", "cpu", "--out", str(tmp_path / "out"))
    result = glasshouse("run", "evolved_explanations", *given)
    told = " ".join(result.output.split())
    assert (
        result.exit_code == 2 and "images without classes cannot train it" in told and not (tmp_path / "out").exists()
    )


# studies of one's own

MINE = '''
from dataclasses import dataclass

import torch

from glasshouse.study import Claim, Document, Room, Table


@dataclass(frozen=True)
class Twice:
    """Doubles a number."""

    number: int = 3
    seed: int = 0

    def __call__(self, device: str) -> "Doubling":
        if self.number < 0:
            raise ValueError("number is at least 0")
        return Doubling(self.number)


class Doubling:
    def __init__(self, number):
        self.number = number

    def conduct(self, room: Room) -> Document:
        kept = room.step("double", lambda: {"value": torch.tensor([2 * self.number])})
        table = Table("Doubled", "a note", ("", "value"), (("<i>twice</i>", str(int(kept["value"]))),))
        claim = Claim("it doubles", "paper", "supported", "2", "6")
        return Document("Mine", "It is so.", (claim,), (table,), (("seed", "0"),), {"value": int(kept["value"])})
'''


def test_a_study_of_ones_own_needs_no_line_in_the_package(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    given = ("--import", str(tmp_path / "mine.py"), "--device", "cpu", "--out", str(tmp_path / "out"))
    result = glasshouse("run", "Twice(number=3)", *given)
    assert result.exit_code == 0, result.output
    assert (
        results(tmp_path / "out")["value"] == 6
        and (tmp_path / "out" / "recipe.txt").read_text() == "Twice(number=3, seed=0)\n"
    )
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<i>twice" not in page and "&lt;i&gt;twice" in page and "It is so." in page
    refused = glasshouse("run", "Twice(number=-1)", *given[:-1], str(tmp_path / "none"))
    assert refused.exit_code == 2 and not (tmp_path / "none").exists()
    assert "and no study" in " ".join(glasshouse("run", "PGD()", *given).output.split())
