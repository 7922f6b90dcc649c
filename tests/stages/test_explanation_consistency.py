"""Explanation consistency as a study: a whole one on digits, what it keeps, how it goes on, and its recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from glasshouse import store
from glasshouse.cli import app
from glasshouse.data import VOC, Biased, BrightRegions, Digits, OtherBackgrounds
from glasshouse.data.samples import Wrapped, at_most
from glasshouse.explainers import GradCAM, XGradCAM
from glasshouse.files import store_name
from glasshouse.labels import indicators
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy, Inconsistency, Loss, Uncertainty
from glasshouse.metrics.debiasing import unbiased_share
from glasshouse.models import SmallCNN
from glasshouse.objectives import CrossEntropy, Focal
from glasshouse.objectives.focal import focal_losses
from glasshouse.recipes import explanation_consistency
from glasshouse.recipes.consistency_sizes import SIZES
from glasshouse.registry import names
from glasshouse.report import write_document
from glasshouse.selectors import CEAL, ByScore, RandomChoice
from glasshouse.spec import parse, pretty
from glasshouse.studies import Compared, Debiasing, ExplanationConsistency, FewSamples, Strategy, Way
from glasshouse.studies import consistency_ways as ways
from glasshouse.studies import debiasing as bias
from glasshouse.studies import few_samples as few
from glasshouse.study import Document, Lines, Pictures, Room, conduct
from glasshouse.train import Adam, Training, fit, fresh
from glasshouse.types import NOWHERE, Batch, Samples, Selection
from glasshouse.weighting import Hardest, Reweighting, Shuffled

pytestmark = pytest.mark.filterwarnings("ignore:all training samples weigh")


class FewBright(BrightRegions):
    """A few digits, whose pixels are told."""

    def __call__(self, split: str) -> Samples:
        return at_most(super().__call__(split), 60)

    __repr__ = BrightRegions.__repr__


@dataclass(frozen=True)
class Plain:
    """The same without any mask; ``several``: its class as a row of zeros and a one."""

    several: bool = False

    def __call__(self, split: str) -> Samples:
        return Unmasked(DATA(split), self.several)


@dataclass(frozen=True, eq=False)
class Unmasked(Wrapped):
    several: bool

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        y = indicators(batch.y, 10) if self.several else batch.y
        return batch._replace(y=y, mask=None, regions=None)


NAMES = names() | {"FewBright": FewBright, "Plain": Plain}
DATA = FewBright(data=Digits(decoy=None, size=16), level=0.3)
NET = SmallCNN(width=4)
TRAINING = Training(epochs=2, batch_size=20, optimizer=Adam(lr=5e-3))
NAME = "<b>digits</b>"
EQUAL = "equal weights"
LETTER = ways.LITERAL
RANDOM, OURS = Strategy("RAND", RandomChoice()), Strategy("ours", ByScore(score=Inconsistency()))
SURE = Strategy("CEAL", CEAL(threshold=9.0))


def weighed(name: str, **settings: Any) -> Way:
    return Way(name, weighting=Reweighting(every=1, **settings))


def compared() -> Compared:
    return Compared(
        name=NAME,
        data=DATA,
        model=NET,
        ways=(
            Way(ways.BASELINE),
            weighed(EQUAL, shape=Hardest(share=1.0)),
            weighed(ways.HNM, score=Loss(), shape=Hardest()),
            Way(ways.FL, Focal()),
            weighed(ways.XGRAD, score=Inconsistency(explainer=XGradCAM())),
            weighed(ways.SHUFFLED, shape=Shuffled()),
        ),
        training=TRAINING,
        published="ResNet-50",
        metrics=(ways.CLEAN, ways.XGRAD_MIOU, ways.GRAD_MIOU),
        eps=(4 / 255,),
        curves=(ways.BASELINE, ways.XGRAD, EQUAL),
        test_images=20,
    )


def biases(**settings: Any) -> Debiasing:
    usual = Debiasing(data=DATA, model=NET, training=TRAINING, settings=((0.5, 1.0), (-0.5, 1.0)), every=1)
    return replace(usual, **settings)


def labels(**settings: Any) -> FewSamples:
    usual = FewSamples(
        data=DATA,
        model=NET,
        training=TRAINING,
        strategies=(RANDOM, SURE, OURS),
        shares=(0.3, 0.5, 0.75),
        test_images=20,
    )
    return replace(usual, **settings)


def study() -> ExplanationConsistency:
    return ExplanationConsistency(
        compared=(compared(),),
        debiasing=biases(),
        few=labels(shares=(0.3, 0.6)),
        seeds=2,
        pictures=2,
        seed=3,
    )


def small(**settings: Any) -> ExplanationConsistency:
    """One way for one epoch under one seed."""
    one = replace(compared(), ways=(Way(ways.BASELINE),), training=replace(TRAINING, epochs=1), **settings)
    return ExplanationConsistency(compared=(one,), seeds=1, pictures=0)


def no_number(text: str) -> None:
    pytest.fail(f"{text} is no JSON")


class Done:
    """A study that was carried out."""

    def __init__(self, out: Path, of: ExplanationConsistency) -> None:
        self.out = out
        self.document: Document = conduct(of, out, NAMES)
        write_document(self.document, of, out)
        self.text = (out / "results.json").read_text()
        self.told: dict[str, Any] = json.loads(self.text, parse_constant=no_number)

    def values(self, way: str, seed: int, kind: str = "values") -> dict[str, Tensor]:
        found = store.load_values(self.out / "steps" / store_name(f"{NAME}-{way}-{seed}") / f"{kind}.npz")
        assert found is not None
        return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(tmp_path_factory.mktemp("study") / "out", study())


def test_every_way_is_measured_under_every_seed(finished: Done) -> None:
    found = finished.told["networks"][NAME]
    assert list(found) == [way.name for way in compared().ways]
    fgsm = repr(ways.fgsm(4 / 255))
    for way, told in found.items():
        assert {repr(m) for m in compared().metrics} <= set(told["values"])
        assert (fgsm in told["values"]) == (way in compared().curves)
        assert all(len(value["seeds"]) == 2 for value in told["values"].values())
        assert len(told["mAP"]) == len(told["backgrounds"]["seeds"]) == 2
        assert [len(part) for part in told["mIoU over pairs and classes"]] == [2, 2]
    first, second = (finished.values(ways.BASELINE, seed)[repr(ways.GRAD_MIOU)] for seed in (3, 4))
    assert len(first) == 20 and not torch.equal(first, second)
    assert finished.told["setup"]["seeds"] == "3, 4"
    assert "60 training images, 20 test images, 10 classes, SmallCNN, 2 epochs" in finished.told["setup"]["networks"]


def test_equal_weights_are_no_weights(finished: Done) -> None:
    """Exactly: whatever "ours" gains, it is not by being weighed at all."""
    found = finished.told["networks"][NAME]
    assert found[EQUAL]["values"] == found[ways.BASELINE]["values"]
    for seed in (3, 4):
        own, other = finished.values(EQUAL, seed), finished.values(ways.BASELINE, seed)
        assert own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)
        hard = finished.values(ways.HNM, seed, "scores")["logits"]
        assert not torch.equal(hard, finished.values(ways.BASELINE, seed, "scores")["logits"])
    assert [[row["weight_effective"] for row in log] for log in found[EQUAL]["weights"]] == [[1.0], [1.0]]


def test_each_way_trains_by_its_own_objective_and_weights(finished: Done) -> None:
    networks = finished.out / "networks"
    for way in compared().ways:
        stage = store.Stage(networks / store_name(f"{NAME}-{way.name}-3"))
        assert store.parsed(stage.folder / "objective.txt", NAMES) == way.objective
        assert any("weight_effective" in row for row in stage.rows()) == (way.weighting is not None)
        assert len({row["epoch"] for row in stage.rows()}) == 2
    told = finished.told["networks"][NAME]
    assert [round(row["weight_0"], 6) for row in told[ways.HNM]["weights"][0]] == [0.5]
    assert told[ways.BASELINE]["weights"] == [[], []]


def test_what_is_kept_of_a_network_is_of_that_network(finished: Done) -> None:
    """Its values can be measured again from the weights on disk."""
    model = fresh(NET, 10, 4)
    assert store.Stage(finished.out / "networks" / store_name(f"{NAME}-{ways.XGRAD}-4")).load(model, NAMES)
    model.eval()
    test = at_most(DATA("test"), 20)
    metrics = (*compared().metrics, ways.fgsm(4 / 255))
    again = measure(model, test, metrics, GradCAM(), seed=4)
    assert all(torch.equal(again[name], value) for name, value in finished.values(ways.XGRAD, 4).items())
    moved = at_most(OtherBackgrounds(data=DATA)("test"), 20)
    before = measure(model, moved, (Accuracy(),), seed=4)
    assert torch.equal(before[repr(Accuracy())], finished.values(ways.XGRAD, 4, "moved")[repr(Accuracy())])
    scores = finished.values(ways.XGRAD, 4, "scores")
    assert torch.equal((scores["logits"].argmax(1) == scores["y"]).float(), again[repr(ways.CLEAN)])


def test_the_page_is_whole_and_escaped(finished: Done) -> None:
    page = (finished.out / "index.html").read_text()
    assert NAME not in page and "&lt;b&gt;digits&lt;/b&gt;" in page
    assert page.count("<section>") == page.count("</section>")
    assert page.count("<img") == page.count('src="data:image/')
    assert "{{" not in page and str(finished.out) not in page
    texts = [section.title for section in finished.document.sections]
    for text in (*texts, *(claim.text for claim in finished.document.claims)):
        shown = text.replace("<", "&lt;").replace(">", "&gt;")
        assert shown in page or shown.replace("'", "&#39;") in page, shown
    titles = " ".join(section.title for section in finished.document.sections)
    for figure in ("Fig. 3", "Fig. 8", "Fig. 9a, b", "Fig. 9c, d", "contradicts itself", "how samples weigh"):
        assert figure in titles
    assert "45.72" in page and "0.0938" in page


def test_pictures_show_where_each_network_looks(finished: Done) -> None:
    (found,) = (s for s in finished.document.sections if isinstance(s, Pictures))
    assert found.columns == ("image", ways.BASELINE, ways.HNM, ways.XGRAD)
    test = at_most(DATA("test"), 20)
    first, last = test[[0, 19]].x
    assert len(found.rows) == 2
    assert torch.equal(found.rows[0][0].x, first) and torch.equal(found.rows[1][0].x, last)
    assert found.rows[0][0].caption == test.classes[int(test[[0]].y)]
    model = fresh(NET, 10, 3)
    store.Stage(finished.out / "networks" / store_name(f"{NAME}-{ways.HNM}-3")).load(model, NAMES)
    predicted = int(model.eval()(first[None]).argmax())
    assert found.rows[0][2].caption == test.classes[predicted]
    maps = GradCAM()(model, first[None], torch.tensor([predicted]))[0].relu()
    scaled = (maps - maps.min()) / (maps.max() - maps.min())
    selected = found.rows[0][2].selected
    assert selected is not None and torch.equal(selected, scaled >= 0.5)


def test_a_study_that_was_cut_off_goes_on_to_the_same_bits(finished: Done, tmp_path: Path) -> None:
    """Cut off in the last batch of two trainings, it ends as if it never had been, and nothing is done twice."""
    out, before = tmp_path / "out", set[str]()
    for label in (f"train {NAME}-{ways.XGRAD}-4", "train ours, darker"):
        begun: list[str] = []

        def cut(told: str, done: int, total: int, at: str = label, begun: list[str] = begun) -> None:
            begun.append(told)
            if told.startswith(at) and done == total:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            conduct(study(), out, NAMES, progress=cut)
        assert not (out / "results.json").exists()
        assert not before & set(begun)
        before |= set(begun) - {begun[-1]}
    again = conduct(study(), out, NAMES)
    assert again.claims == finished.document.claims
    assert (out / "results.json").read_text() == finished.text
    kept = [p.relative_to(finished.out) for p in sorted(finished.out.rglob("*.*")) if p.is_file()]
    assert len([p for p in kept if p.suffix == ".npz"]) == 6 * 2 * 4 + 2 * 3 * 2 + 4 * 2
    for file in kept:
        if file.name != "index.html":
            assert (out / file).read_bytes() == (finished.out / file).read_bytes(), file


# planted biases


def test_a_bias_is_ranked_after_every_epoch(finished: Done) -> None:
    found = finished.told["debiasing"]
    assert list(found) == ["brighter by 0.5 deviations", "darker by 0.5 deviations"]
    runs = [run for by in found.values() for told in by.values() for run in told["seeds"]]
    assert len(runs) == 2 * 3 * 2 and all(len(run) == 2 and 0 <= min(run) <= max(run) <= 1 for run in runs)
    told = found["darker by 0.5 deviations"]["ours"]
    assert told["mean"] == pytest.approx(100 * sum(map(sum, told["seeds"])) / 4)
    assert found["brighter by 0.5 deviations"] != found["darker by 0.5 deviations"]


@pytest.mark.parametrize(("sign", "share"), [(1.0, 1.0), (-1.0, 0.0), (0.0, 0.2)])
def test_the_share_is_of_samples_without_the_bias(sign: float, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bias, "scores", lambda way, model, samples, seed: sign * (~samples.biased).float())
    found = bias.ranked(biases(), biases().ways()[0], (0.5, 1.0), "cpu", 1)["share"]
    assert found.tolist() == pytest.approx([share, share])
    assert bias.chance(biases()) == pytest.approx(0.2)


def test_random_weights_find_as_many_as_there_are() -> None:
    samples: Any = Biased(data=DATA, shift=0.5, seed=1)("train")
    generator = torch.Generator().manual_seed(0)
    shares = [unbiased_share(torch.rand(60, generator=generator), samples.biased) for _ in range(300)]
    assert sum(shares) / 300 == pytest.approx(bias.chance(biases()), abs=0.02)


@pytest.mark.parametrize(("setting", "change"), [((0.5, 1.0), 1), ((-0.5, 1.0), -1), ((0.0, 1.5), 1)])
def test_what_is_trained_on_has_the_bias(
    setting: tuple[float, float], change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Samples, Training]] = []
    monkeypatch.setattr(bias, "fit", lambda net, objective, *what, **more: given.append(what))
    for way in biases().ways():
        bias.ranked(biases(), way, setting, "cpu", 7)
    ((samples, _), *_) = given
    every = list(range(60))
    moved = (samples[every].x - DATA("train")[every].x).mean((1, 2, 3))
    assert int((moved * change > 0).sum()) == 48 and int((moved == 0).sum()) == 12
    drawn: Any = Biased(data=DATA, seed=7)("train")
    assert torch.equal(moved == 0, ~drawn.biased)
    assert [training.weighting for _, training in given] == [way.weighting for way in biases().ways()]
    assert [replace(training, weighting=None) for _, training in given] == [TRAINING] * 3


def test_each_way_ranks_by_its_own_score() -> None:
    samples = Biased(data=DATA, shift=0.5)("train")
    model = fresh(NET, 10, 0)
    batch = samples[list(range(60))]
    logits = model.eval()(batch.x).detach()
    model.train()
    found = {way.name: bias.scores(way, model, samples, 0) for way in biases().ways()}
    assert model.training
    torch.testing.assert_close(found["FL"], focal_losses(logits, batch.y, 2.0, 0.25))
    torch.testing.assert_close(found["HNM"], nn.functional.cross_entropy(logits, batch.y, reduction="none"))
    torch.testing.assert_close(found["ours"], Inconsistency()(model, batch), atol=1e-4, rtol=1e-3)
    other = replace(biases(), score=Inconsistency(only_correct=False, explainer=XGradCAM()))
    assert bias.scores(other.ways()[2], model, samples, 0).ne(found["ours"]).any()


def test_settings_have_names_of_their_own() -> None:
    settings = ((0.5, 1.0), (-0.5, 1.0), (0.0, 1.5), (0.5, 1.5), (0.0, 1.0))
    assert len({store_name(bias.title(setting)) for setting in settings}) == 5


# few labels


@dataclass
class Trainings:
    """Which samples each training has, in place of training."""

    train: Samples
    sizes: list[int]
    seen: list[set[int]]

    def __call__(self, model: nn.Module, objective: object, samples: Samples, training: object, *, seed: int) -> None:
        self.sizes.append(len(samples))
        self.seen.append(set(samples.chosen) if samples is not self.train else set(range(60)))  # type: ignore[attr-defined]


def trained(study: FewSamples, strategy: Strategy | None, seed: int, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    spy = Trainings(study.data("train"), [], [])
    monkeypatch.setattr(few, "fit", spy)
    found = few.grown(study, spy.train, strategy, "cpu", seed)
    assert all(values.shape == (len(study.shares), 20) for values in found.values())
    return spy


def test_every_strategy_begins_with_the_same_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [trained(labels(), strategy, 1, monkeypatch) for strategy in (RANDOM, SURE, OURS)]
    assert [run.seen[0] for run in runs] == [runs[0].seen[0]] * 3
    assert trained(labels(), OURS, 2, monkeypatch).seen[0] != runs[0].seen[0]
    random, _, ours = runs
    assert random.sizes == ours.sizes == [18, 30, 45]
    for run in (random, ours):
        assert [len(one) for one in run.seen] == run.sizes
        assert run.seen[0] < run.seen[1] < run.seen[2]
    everything = trained(labels(), None, 1, monkeypatch)
    assert everything.seen == [set(range(60))] * 3


def test_pseudo_labels_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[int], int]] = []
    starts: list[int] = []
    plain = CEAL.__call__

    def call(self: CEAL, model: nn.Module, samples: Samples, chosen: Tensor, count: int, seed: int) -> Selection:
        asked.append((chosen.tolist(), count))
        starts.append(self.start)
        return plain(self, model, samples, chosen, count, seed)

    monkeypatch.setattr(CEAL, "__call__", call)
    run = trained(labels(), SURE, 1, monkeypatch)
    assert run.sizes == [18, 60, 60]  # surer than 9 nats it always is: all that is left comes in
    assert [(len(chosen), count) for chosen, count in asked] == [(18, 12), (30, 15)]
    assert starts == [18, 18]
    assert few.started(CEAL(start=5), 18) == CEAL(start=5)
    assert few.started(RandomChoice(), 18) == RandomChoice()


def test_what_is_sure_is_trained_on_with_the_models_own_label() -> None:
    model, train = fresh(NET, 10, 0).eval(), DATA("train")
    chosen = torch.arange(10)
    samples, now = few.more(CEAL(threshold=9.0), model, train, chosen, 15, 0)
    assert len(now) == 15 and now[:10].tolist() == list(range(10))
    places = torch.tensor(samples.chosen)  # type: ignore[attr-defined]
    assert sorted(places.tolist()) == list(range(60))
    batch, own = samples[list(range(60))], torch.isin(places, now)
    with torch.no_grad():
        expected = torch.where(own, train[places.tolist()].y, model(batch.x).argmax(1))
    assert torch.equal(batch.y, expected)
    assert not torch.equal(batch.y, train[places.tolist()].y)


@pytest.mark.parametrize("several", [False, True])
def test_nothing_is_chosen_by_labels_that_nobody_asked_for(several: bool) -> None:
    """With all labels wrong, but for those of the start, the same samples are chosen."""
    model, train = fresh(NET, 10, 0), Plain(several)("train")
    fit(model, CrossEntropy(), train, replace(TRAINING, epochs=4))
    everything, chosen = train[list(range(60))], torch.arange(10)
    y = torch.cat([everything.y[:10], everything.y.roll(1, -1)[10:] if several else (everything.y[10:] + 1) % 10])
    for selector in (OURS.selector, ByScore(), ByScore(score=Loss())):
        found = [few.more(selector, model, s, chosen, 30, 0)[1] for s in (train, few.Relabelled(train, y))]
        assert len(found[0]) == 30 and torch.equal(*found)
    own = few.unlabelled(model, train)[list(range(60))].y
    with torch.no_grad():
        logits = model(everything.x)
    if several:
        assert torch.equal(own > 0, (logits > 0) | (logits == logits.amax(1, keepdim=True)))
    else:
        assert torch.equal(own, logits.argmax(1))


def test_several_classes_leave_pseudo_labels_out(tmp_path: Path) -> None:
    one = labels(data=Plain(several=True), training=replace(TRAINING, epochs=1), shares=(0.3, 0.6))
    found = few.learnt(one, Room(tmp_path, NAMES), "cpu", range(1))
    assert list(found) == ["RAND", "ours", "ALL"]
    assert set(found["ours"]) == {repr(ways.CLEAN)}  # nobody knows where the classes are


def test_few_labels_are_told_at_each_share(finished: Done) -> None:
    found = finished.told["few"]
    assert list(found) == ["RAND", "CEAL", "ours", "ALL"]
    assert all(set(by) == {repr(ways.CLEAN), repr(ways.GRAD_MIOU)} for by in found.values())
    assert all(len(run) == 2 for by in found.values() for runs in by.values() for run in runs)
    (lines,) = (s for s in finished.document.sections if isinstance(s, Lines) and "label next" in s.title)
    curve = {line.name: line.points for line in lines.charts[0].lines}["ours"]
    assert [round(x) for x, _ in curve] == [30, 60]
    runs = found["ours"][repr(ways.CLEAN)]
    assert [y for _, y in curve] == pytest.approx([50 * (runs[0][i] + runs[1][i]) for i in (0, 1)])


# other data


def test_data_that_does_not_say_where_things_are(tmp_path: Path) -> None:
    done = Done(tmp_path / "out", small(data=Plain(), eps=()))
    (found,) = done.told["networks"][NAME].values()
    assert set(found["values"]) == {repr(ways.CLEAN)}
    assert found["backgrounds"] is None and found["mIoU over pairs and classes"] == [[], []]
    assert not any("mIoU" in claim.text for claim in done.document.claims)
    assert done.document.claims[0].text.startswith("People")


def test_each_seed_begins_with_a_network_of_its_own(tmp_path: Path) -> None:
    one = replace(compared(), ways=(Way(ways.BASELINE),), training=replace(TRAINING, epochs=0))
    done = Done(tmp_path / "out", ExplanationConsistency(compared=(one,), seeds=2, pictures=0))
    x = at_most(DATA("test"), 20)[list(range(20))].x
    for seed in (0, 1):
        with torch.no_grad():
            logits = fresh(NET, 10, seed).eval()(x)
        torch.testing.assert_close(done.values(ways.BASELINE, seed, "scores")["logits"], logits)


def test_photographs_with_several_classes(shared_data: Path, tmp_path: Path) -> None:
    data = VOC(root=str(shared_data / "voc2012-seg"), size=32, limit=24)
    one = replace(
        compared(),
        data=data,
        training=replace(TRAINING, epochs=2),
        ways=(Way(ways.BASELINE), weighed(ways.XGRAD, score=Inconsistency(explainer=XGradCAM()))),
    )
    done = Done(tmp_path / "out", ExplanationConsistency(compared=(one,), seeds=1, pictures=1))
    for told in done.told["networks"][NAME].values():
        assert told["values"][repr(ways.GRAD_MIOU)]["mean"] > 0
        assert told["backgrounds"] is not None and 0 <= told["mAP"][0] <= 1
    assert "voc2012" not in (tmp_path / "out" / "results.json").read_text()


def test_bright_pixels_are_the_object() -> None:
    batch = DATA("train")[[0, 1, 2]]
    assert batch.mask is not None and batch.regions is not None
    assert torch.equal(batch.mask, batch.x.mean(1) > 0.3)
    assert 0 < int(batch.mask.sum()) < batch.mask.numel() / 2
    for image in range(3):
        assert sorted(set(batch.regions[image].flatten().tolist())) == [NOWHERE, int(batch.y[image])]
        assert torch.equal(batch.regions[image] >= 0, batch.mask[image])
    with pytest.raises(ValueError, match="one class an image"):
        BrightRegions(data=Plain(several=True))("test")[[0]]


# what is refused


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: replace(compared(), name=" "), "name is not empty"),
        (lambda: replace(compared(), ways=()), "ways has at least one"),
        (lambda: replace(compared(), ways=(Way("a b"), Way("a-b"))), "ways has a name twice"),
        (lambda: replace(compared(), published="VGG"), "published is '' or one of: ResNet-50"),
        (lambda: replace(compared(), test_images=-1), "test_images"),
        (lambda: replace(study(), compared=()), "at least one network"),
        (lambda: replace(study(), compared=(compared(), compared())), "compared has a name twice"),
        (lambda: replace(study(), seeds=0), "seeds is at least 1"),
        (lambda: replace(study(), pictures=-1), "pictures is at least 0"),
        (lambda: replace(study(), seed=-1), "seed is at least 0"),
        (lambda: Way(" "), "name is not empty"),
        (lambda: biases(settings=()), "settings has at least one"),
        (lambda: biases(settings=((0.5, 1.0), (0.5, 1.0))), "settings has one twice"),
        (lambda: biases(share=1.0), "share is between 0 and 1"),
        (lambda: biases(every=0), "every is at least 1"),
        (lambda: biases(every=3), "at most the 2 epochs"),
        (lambda: biases(top=0.0), "top is between 0 and 1"),
        (lambda: labels(shares=(0.3,)), "shares has two or more"),
        (lambda: labels(shares=(0.5, 0.3)), "rising"),
        (lambda: labels(shares=(0.0, 0.3)), "above 0"),
        (lambda: labels(shares=(0.5, 1.1)), "at most 1"),
        (lambda: labels(strategies=(RANDOM, RANDOM)), "strategies has a name twice"),
        (lambda: labels(strategies=(Strategy("ALL", RandomChoice()),)), "strategies has a name twice"),
        (lambda: labels(strategies=(Strategy("a b", CEAL()), Strategy("a-b", CEAL()))), "strategies has a name twice"),
        (lambda: labels(test_images=-1), "test_images"),
        (lambda: Strategy("", CEAL()), "name is not empty"),
        (lambda: BrightRegions(data=Digits(), level=1.0), "level is at least 0 and below 1"),
    ],
)
def test_what_cannot_be_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        wrong()


def test_nothing_is_written_where_a_network_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere"):
        conduct(small(model=SmallCNN(width=4, weights="nowhere.safetensors")), tmp_path / "out", NAMES)
    assert not (tmp_path / "out").exists()


# the recipe


@pytest.mark.parametrize("scale", list(SIZES))
def test_every_scale_is_the_same_experiment(scale: str) -> None:
    found = explanation_consistency(voc=DATA, cub=DATA, imagenet9=DATA, scale=scale)
    assert parse(pretty(found), NAMES) == found and parse(repr(found), NAMES) == found
    assert [one.name for one in found.compared[-2:]] == ["icCNN, CUB-200-2011", "icCNN, ImageNet-9"]
    for one in found.compared[:-2]:
        by = {way.name: way for way in one.ways}
        assert {ways.BASELINE, ways.HNM, ways.FL, ways.EFL, ways.GUIDED, ways.LITERAL, ways.XGRAD, ways.EIGEN} < set(by)
        assert by[ways.BASELINE].weighting is None
        for own, control in ((ways.XGRAD, ways.SHUFFLED), (ways.SMALL_EPS, ways.SMALL_SHUFFLED)):
            weighting = by[own].weighting
            assert weighting is not None
            assert by[control] == Way(control, weighting=replace(weighting, shape=Shuffled()))
        assert set(one.curves) <= set(by)
    for one in found.compared[-2:]:
        by = {way.name: way for way in one.ways}
        assert {type(way.objective).__name__ for way in one.ways} == {"Compositional"}
        psis = [getattr(by[name].weighting, "score").psi for name in (ways.XGRAD, ways.SOFTSIGN, ways.ARCTAN)]  # noqa: B009
        assert [type(psi).__name__ for psi in psis] == ["Tanh", "Softsign", "Arctan"]
    assert found.debiasing is not None and found.debiasing.settings == ((0.5, 1.0), (-0.5, 1.0), (0.0, 1.5))
    assert found.few is not None and [s.name for s in found.few.strategies] == ["RAND", "AL", "CEAL", "CORE", "ours"]
    assert found.few.strategies[1].selector == ByScore(score=Uncertainty())
    fewer = explanation_consistency(voc=DATA, scale=scale, parts="compared")
    assert fewer.debiasing is None and fewer.few is None
    assert fewer.compared == found.compared[:-2]


def test_the_paper_scale_is_the_papers() -> None:
    found = explanation_consistency(voc=VOC(root="somewhere"), scale="paper")
    assert [one.name for one in found.compared] == ["ResNet-50", "MobileNetV2", "icCNN, ResNet-50"]
    assert [one.published for one in found.compared] == ["ResNet-50", "MobileNetV2", ""]
    training = found.compared[0].training
    assert (training.batch_size, training.optimizer) == (8, Adam(lr=1e-4))
    assert found.seeds == 3 and found.compared[0].data == VOC(root="somewhere", size=224)
    own = next(way.weighting for way in found.compared[0].ways if way.name == ways.XGRAD)
    assert own is not None and own.every == 4
    assert getattr(own.score, "background").eps == 0.1  # noqa: B009
    assert found.debiasing is not None and found.debiasing.model == found.compared[1].model
    assert found.few is not None and found.few.shares == (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def test_only_the_default_size_is_changed() -> None:
    def side(data: Any, scale: str = "small") -> Any:
        return explanation_consistency(voc=data, scale=scale).compared[0].data

    assert side(VOC(root="somewhere")) == VOC(root="somewhere", size=32)
    assert side(VOC(root="somewhere", size=48)) == VOC(root="somewhere", size=48)
    assert side(DATA) == DATA
    (first, *_) = explanation_consistency().compared
    assert first.data == BrightRegions(data=Digits(decoy=None, size=32), level=0.3)


def test_another_network_takes_the_place_of_the_scales() -> None:
    found = explanation_consistency(model=NET)
    assert [(one.name, one.published) for one in found.compared] == [("network", ""), ("icCNN, network", "")]
    assert found.compared[0].model == NET
    assert found.debiasing is not None and found.debiasing.model == NET
    assert found.few is not None and found.few.model == NET


def glasshouse(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("scale=nope",), "unknown scale 'nope'; there are: smoke, small, paper"),
        (("parts=odd",), "unknown parts 'odd'; there are: all, compared"),
        (("scale=small",), "scale=small needs images with regions: give voc=FOLDER"),
        (("voc=/nowhere",), "no such folder"),
        (("seeds=0",), "seeds is at least 1"),
    ],
)
def test_bad_input_is_one_sentence(settings: tuple[str, ...], told: str, tmp_path: Path) -> None:
    result = glasshouse("run", "explanation_consistency", *settings, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
