"""Networks of two levels trained: data read by superclass, the study, what it leaves behind, and its recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

from glasshouse.cli import app
from glasshouse.data import CIFAR100, Digits, Superclasses, WithinSuperclass
from glasshouse.data.samples import Memory, Renamed, Subset, at_most
from glasshouse.data.superclasses import covered, labels_in, within
from glasshouse.hierarchies import CIFAR100Superclasses, ClassGroups, ImageNetSuperclasses
from glasshouse.hierarchy import Hierarchy
from glasshouse.metrics import Accuracy
from glasshouse.models import CoarseToFine, SmallCNN, TorchVision
from glasshouse.models.two_levels import OnlyClass
from glasshouse.models.weights import read_weights
from glasshouse.recipes import coarse_to_fine
from glasshouse.registry import names
from glasshouse.report import write_document
from glasshouse.spec import parse, pretty
from glasshouse.studies import TrainedCoarseToFine
from glasshouse.studies.coarse_to_fine import WEIGHTS, trained_two_levels
from glasshouse.studies.coarse_to_fine_document import FLAT, ROUTE, Found, told, verdict
from glasshouse.study import TASK, Document, Room, conduct
from glasshouse.train import Adam, Training, fit, fresh
from glasshouse.types import NOWHERE, Batch, Samples
from hierarchical import PARITY, PARTIAL

PIXELS = torch.arange(24, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
CLASSES = tuple("abcdefghi")


@dataclass(frozen=True)
class Nine:
    """24 images of nine classes; the pixels are the number of the image."""

    regions: bool = False

    def __call__(self, split: str) -> Samples:
        regions = torch.arange(-2, 14).clamp_max(8).view(1, 4, 4).expand(24, -1, -1) if self.regions else None
        titles = tuple(map(str, range(24)))
        return Memory(PIXELS, torch.arange(24) % 9, CLASSES, regions=regions, titles=titles)


class Unread(Memory):
    """Images that must not be read."""

    def __getitem__(self, index: Sequence[int]) -> Batch:
        raise AssertionError("read")


@dataclass(frozen=True)
class Few(Digits):
    """A few digits."""

    def __call__(self, split: str) -> Samples:
        return at_most(super().__call__(split), 120)


NAMES = names() | {"Few": Few, "Nine": Nine}
DATA = Few(decoy=None, size=16)
NET = SmallCNN(width=4)
TRAINING = Training(epochs=2, batch_size=20, optimizer=Adam(lr=5e-3))
SOME = ClassGroups((("round", (8, 0, 6)), ("one", (1,)), ("rest", (2, 3, 4, 5))), partial=True)


def whole(samples: Samples) -> Batch:
    return samples[list(range(len(samples)))]


def test_superclasses_are_the_classes_and_what_is_in_none_is_left_out() -> None:
    samples = Superclasses(data=Nine(), hierarchy=PARTIAL)("train")
    batch = whole(samples)
    kept = [i for i in range(24) if i % 9 in (0, 1, 2, 4, 5, 7)]
    assert samples.classes == ("a", "b", "c") and len(samples) == len(kept)
    assert (batch.x[:, 0, 0, 0] * 255).round().int().tolist() == kept
    assert batch.y.tolist() == [{4: 0, 2: 0, 7: 1, 0: 2, 5: 2, 1: 2}[i % 9] for i in kept]
    assert batch.index is not None and batch.index.tolist() == list(range(len(kept)))
    assert [samples.title(i) for i in range(3)] == ["0", "1", "2"] and samples.title(3) == "4"  # type: ignore[attr-defined]


@pytest.mark.parametrize("superclass", ["c", 2])
def test_within_a_superclass_its_classes_are_in_its_own_order(superclass: str | int) -> None:
    samples = WithinSuperclass(data=Nine(), hierarchy=PARTIAL, superclass=superclass)("test")
    batch = samples[[1, 0, 2]]
    assert samples.classes == ("a", "f", "b") and len(samples) == 9
    assert (batch.x[:, 0, 0, 0] * 255).round().int().tolist() == [1, 0, 5] and batch.y.tolist() == [2, 0, 1]


def test_the_class_of_each_pixel_goes_along() -> None:
    own = Nine(regions=True)("train")[[0]].regions
    for data, places in (
        (Superclasses(Nine(regions=True), PARTIAL), (2, 2, 0, NOWHERE, 0, 2, NOWHERE, 1, NOWHERE)),
        (WithinSuperclass(Nine(regions=True), PARTIAL, "a"), (NOWHERE, NOWHERE, 1, NOWHERE, 0, *[NOWHERE] * 4)),
    ):
        found = data("train")[[0]].regions
        assert own is not None and found is not None
        expected = [k if k < 0 else places[k] for k in own.flatten().tolist()]
        assert found.flatten().tolist() == expected


def test_no_image_is_read_for_its_label_where_labels_are_kept() -> None:
    labels = torch.arange(24) % 9
    unread = Unread(PIXELS, labels, CLASSES)
    hierarchy = PARTIAL(CLASSES)
    assert torch.equal(labels_in(Subset(Subset(unread, (5, 3, 9)), (2, 0))), torch.tensor([0, 5]))
    assert len(within(unread, hierarchy, 2)) == 9 and len(covered(unread, hierarchy)) == 17
    more = tuple("abcdefghijk")
    moved = Renamed(Memory(PIXELS, labels, CLASSES), more[::-1])  # keeps none: these have to be read
    assert labels_in(moved).tolist() == [10 - k for k in labels.tolist()]


def test_what_is_left_out_keeps_its_classes() -> None:
    samples = covered(Nine()("train"), PARTIAL(CLASSES))
    assert samples.classes == CLASSES and set(whole(samples).y.tolist()) == {0, 1, 2, 4, 5, 7}


@dataclass(frozen=True)
class Several:
    """Images of two classes each."""

    def __call__(self, split: str) -> Samples:
        return Memory(PIXELS[:4], torch.eye(4), ("a", "b", "c", "d"))


REFUSED = [
    (Superclasses(Nine(), PARITY), "there are classes 0 to 8"),
    (Superclasses(Several(), ClassGroups((("x", (0, 1)), ("y", (2, 3))))), "one class each, and these labels name sev"),
    (WithinSuperclass(Nine(), PARTIAL, "bird"), "no superclass 'bird'; there are, from 0 on: a, b, c$"),
    (WithinSuperclass(Nine(), PARTIAL, 3), "no superclass 3; there are, from 0 on: a, b, c$"),
    (WithinSuperclass(Nine(), PARTIAL, -1), "no superclass -1"),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED, ids=[s[:20] for _, s in REFUSED])
def test_data_that_cannot_be_read_by_superclass_says_why(data: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        data("train")
    with pytest.raises(ValueError, match="unknown split 'all'"):
        data("all")


def test_a_superclass_without_images_is_refused_before_anything_is_trained() -> None:
    lacking = replace(study(), data=OnlyOdd())
    with pytest.raises(ValueError, match="the data has no images of the superclass 'round'"):
        lacking("cpu")


@dataclass(frozen=True)
class OnlyOdd:
    """Digits but 0, 6 and 8."""

    def __call__(self, split: str) -> Samples:
        samples = DATA(split)
        return Subset(samples, tuple(i for i, k in enumerate(labels_in(samples).tolist()) if k % 2))


def study(**settings: Any) -> TrainedCoarseToFine:
    usual = TrainedCoarseToFine(
        data=DATA, hierarchy=SOME, coarse=NET, fine=SmallCNN(width=3), flat=NET, training=TRAINING, seed=2
    )
    return replace(usual, **settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Document]:
    out = tmp_path_factory.mktemp("levels") / "run"
    return out, conduct(study(title="<i>levels</i>"), out, NAMES)


def right(out: Path, name: str) -> dict[str, Tensor]:
    return Room(out, NAMES).step(f"right-{name}", lambda: pytest.fail("not kept"))


def component(out: Path, **settings: Any) -> CoarseToFine:
    return CoarseToFine(hierarchy=SOME, coarse=NET, fine=SmallCNN(width=3), weights=str(out / WEIGHTS), **settings)


def test_the_networks_in_one_file_are_those_that_were_measured(finished: tuple[Path, Document]) -> None:
    out, document = finished
    model = component(out)(10).eval()
    test = covered(DATA("test"), SOME(tuple(map(str, range(10)))))
    values, batch = right(out, "coarse-to-fine"), whole(test)
    assert torch.equal(Accuracy()(model, batch), values["class"])
    assert torch.equal(values["class"], values["coarse"] * values["fine"])
    coarse = whole(Superclasses(DATA, SOME)("test"))
    assert torch.equal(Accuracy()(model.coarse, coarse), values["coarse"])
    assert torch.equal(coarse.y.float(), values["group"])
    for k in range(3):
        own = whole(WithinSuperclass(DATA, SOME, k)("test"))
        assert torch.equal((model.fine[k](own.x).argmax(1) == own.y).float(), values["fine"][values["group"] == k])
    found = json.loads((out / "results.json").read_text())
    assert found["right"][ROUTE]["class"]["mean"] == pytest.approx(values["class"].mean().item())
    assert found["within"][ROUTE][1]["superclass"] == "one" and found["within"][ROUTE][1]["mean"] == 1.0
    difference = (values["class"] - right(out, FLAT)["class"]).mean().item()
    assert found["over the flat network"]["difference"] == pytest.approx(difference)
    assert document.results["setup"]["hierarchy"] == "8 of 10 classes in 3 superclasses"


def test_each_network_is_trained_on_what_is_its_business(finished: tuple[Path, Document]) -> None:
    out, _ = finished
    parts = {"coarse": (NET, Superclasses(DATA, SOME))} | {
        f"fine.{k}": (SmallCNN(width=3), WithinSuperclass(DATA, SOME, k)) for k in (0, 2)
    }
    stored = read_weights(out / WEIGHTS)
    for name, (architecture, data) in parts.items():
        samples = data("train")
        own = fresh(architecture, len(samples.classes), 2)
        fit(own, TASK, samples, TRAINING, seed=2)
        for key, value in own.state_dict().items():
            assert torch.equal(stored[f"{name}.{key}"], value), key
    assert isinstance(component(out)(10).fine[1], OnlyClass)
    kept = {p.name for p in (out / "networks").iterdir()}
    assert kept == {"flat", "levels-coarse", "levels-fine-0", "levels-fine-2"}


def test_cut_off_it_goes_on_and_ends_the_same(finished: tuple[Path, Document], tmp_path: Path) -> None:
    out, document = finished
    again = tmp_path / "again"
    seen: list[str] = []

    def cut(label: str, done: int, total: int) -> None:
        seen.append(label)
        if label == "train levels-fine-2" and done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conduct(study(title="<i>levels</i>"), again, NAMES, progress=cut)
    assert not (again / WEIGHTS).exists()
    seen.clear()
    conduct(study(title="<i>levels</i>"), again, NAMES, progress=lambda label, done, total: seen.append(label))
    assert "train levels-coarse" not in seen and "train levels-fine-0" not in seen and "train levels-fine-2" in seen
    for name in (WEIGHTS, "results.json", "networks/flat/weights.safetensors", "steps/right-flat.npz"):
        assert (again / name).read_bytes() == (out / name).read_bytes()
    seen.clear()
    third = conduct(study(title="<i>levels</i>"), again, NAMES, progress=lambda label, done, total: seen.append(label))
    assert third.claims == document.claims and not seen


def test_the_page_has_every_network_and_is_escaped(finished: tuple[Path, Document]) -> None:
    out, document = finished
    page = write_document(document, study(title="<i>levels</i>"), out).read_text()
    assert "<i>levels</i>" not in page
    for text in ("fine 2", "Both levels together", "not testable here", "8 of 10 classes in 3 superclasses"):
        assert text in page
    rows = {row[0]: row for section in document.sections if hasattr(section, "rows") for row in section.rows}
    sizes = [len(WithinSuperclass(DATA, SOME, k)("train")) for k in range(3)]
    assert [rows[f"fine {k}"][3] for k in range(3)] == list(map(str, sizes)) and rows["coarse"][3] == str(sum(sizes))
    assert rows["fine 0"][1:3] == ("round", "3") and rows["fine 1"][5].startswith("100.0 %")


def test_networks_for_other_studies_are_trained_in_their_room(tmp_path: Path) -> None:
    training = replace(TRAINING, epochs=1, best=Accuracy())
    model = trained_two_levels(Room(tmp_path, NAMES), "digits", DATA, SOME, NET, NET, training, 1)
    assert not model.training and model(DATA("test")[[0, 1]].x).shape == (2, 10)
    assert (tmp_path / "networks" / "digits-fine-2" / "weights.safetensors").is_file()
    again = trained_two_levels(Room(tmp_path, NAMES), "digits", DATA, SOME, NET, NET, training, 1)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


def test_without_a_flat_network_there_is_nothing_to_compare(tmp_path: Path) -> None:
    document = conduct(study(flat=None, test_images=9, training=replace(TRAINING, epochs=0)), tmp_path / "run", NAMES)
    assert [c.verdict for c in document.claims] == ["not testable here"] * 3
    assert document.results["over the flat network"] is None and "Against" not in document.verdict
    assert len(right(tmp_path / "run", "coarse-to-fine")["class"]) == 9


def found(coarse: float, fine: tuple[float, float], flat: float, published: bool = True) -> Found:
    """Two superclasses (of the paper's eight with 393 classes) of 500 images each that are so often right."""
    sizes = (50, 49, 49, 49, 49, 49, 49, 49) if published else (2, 2)
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    groups = tuple(tuple(range(end - size, end)) for end, size in zip(ends, sizes, strict=True))
    h = Hierarchy(tuple(map(str, range(len(sizes)))), tuple(map(str, range(ends[-1]))), groups)
    group = torch.arange(1000.0) // 500

    def share(p: float, count: int) -> Tensor:
        return (torch.arange(count) < round(p * count)).float()

    two = {"coarse": share(coarse, 1000), "fine": torch.cat([share(p, 500) for p in fine]), "group": group}
    two["class"] = two["coarse"] * two["fine"]
    return Found(h, (1, *sizes), {ROUTE: two, FLAT: two | {"class": share(flat, 1000)}}, "cpu")


@pytest.mark.parametrize(
    ("given", "verdicts"),
    [
        (found(0.95, (0.8, 0.9), 0.5), ("reproduced", "reproduced", "supported")),
        (found(0.93, (0.8, 0.94), 0.99), ("not reproduced", "not reproduced", "not supported")),
        (found(0.99, (0.7, 0.9), 0.5), ("not reproduced", "not reproduced", "supported")),
        (found(0.96, (0.8, 0.9), 0.5, published=False), ("not testable here", "not testable here", "supported")),
    ],
)
def test_numbers_of_the_paper_are_judged_on_its_classes_only(given: Found, verdicts: tuple[str, ...]) -> None:
    claims = told(given)
    assert tuple(claim.verdict for claim in claims) == verdicts
    assert f"{100 * given.right[ROUTE]['coarse'].mean():.1f} % [" in claims[0].measured
    assert f"{100 * given.right[ROUTE]['class'].mean():.1f} %" in verdict(claims, given)


def test_a_recipe_of_each_scale_is_a_component() -> None:
    cifar = CIFAR100(root="c")
    recipes = (
        coarse_to_fine(),
        coarse_to_fine(data=cifar, scale="small"),
        coarse_to_fine(data=replace(cifar, limit=7), scale="small", fine=NET),
        coarse_to_fine(data=cifar, scale="paper", weights="v.pth"),
        coarse_to_fine(data=DATA, hierarchy=SOME, coarse=NET),
    )
    for recipe in recipes:
        assert parse(pretty(recipe), NAMES) == recipe
    assert recipes[1].hierarchy == CIFAR100Superclasses() and recipes[1].data == replace(cifar, limit=10_000)
    assert recipes[2].data == replace(cifar, limit=7) and recipes[2].fine == NET
    vgg = TorchVision(name="vgg16", weights="v.pth", new_head=True)
    assert recipes[3].hierarchy == ImageNetSuperclasses() and recipes[3].data == cifar
    assert (recipes[3].coarse, recipes[3].fine, recipes[3].flat) == (vgg, vgg, vgg)
    assert (recipes[4].hierarchy, recipes[4].coarse, recipes[4].flat) == (SOME, NET, NET)
    for arguments, sentence in (
        ({"scale": "huge"}, "unknown scale 'huge'; there are: smoke, small, paper"),
        ({"scale": "small"}, "scale=small needs images: give data=FOLDER"),
        ({"data": DATA}, "needs a hierarchy: give hierarchy=..."),
    ):
        with pytest.raises(ValueError, match=sentence):
            coarse_to_fine(**arguments)  # type: ignore[arg-type]


def glasshouse(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_from_the_command_line_to_an_attack_on_the_trained_networks(tmp_path: Path) -> None:
    out = tmp_path / "run"
    groups = "ClassGroups(groups=(('round', (0, 3, 6, 8, 9)), ('straight', (1, 2, 4, 5, 7))))"
    small = ("training.epochs=1", "coarse=SmallCNN(width=4)", "fine=SmallCNN(width=3)", "test_images=20")
    ran = glasshouse("run", "coarse_to_fine", *small, "--out", str(out), "--device", "cpu")
    assert ran.exit_code == 0, ran.output
    assert "Of 2 numbers of the paper: 2 not testable here" in " ".join(ran.output.split())
    model = f"CoarseToFine(hierarchy={groups}, coarse=SmallCNN(width=4), fine=SmallCNN(width=3))"
    about = ("--data", "Digits(decoy=None)", "--images", "4", "--device", "cpu", "--out", str(tmp_path / "attacked"))
    flat = str(out / "networks" / "flat" / "weights.safetensors")
    wrong = glasshouse("attack", "--model", model, "--weights", flat, *about)
    assert wrong.exit_code == 2 and "no tensor 'places'" in " ".join(wrong.output.split())
    attack = ("--attack", "AtLevel(attack=PGD(steps=2), criterion=CoarseChanges())")
    done = glasshouse("attack", "--model", model, "--weights", str(out / WEIGHTS), *attack, *about)
    assert done.exit_code == 0 and "note" not in done.output, done.output
    read = f"Grouped(model=SmallCNN(width=4), hierarchy={groups})"
    about = (*about[:-1], str(tmp_path / "flat"))
    done = glasshouse("attack", "--model", read, "--weights", flat, *attack, *about)
    assert done.exit_code == 0 and "note" not in done.output, done.output


def test_weights_within_a_network_are_weights(capsys: pytest.CaptureFixture[str]) -> None:
    from glasshouse.cli.subjects import weighted
    from glasshouse.models import Grouped

    known, none = SmallCNN(weights="w.pth"), SmallCNN()
    for component, noted in (
        (Grouped(model=known, hierarchy=PARITY), False),
        (Grouped(model=none, hierarchy=PARITY), True),
        (CoarseToFine(hierarchy=PARITY, coarse=known, fine=none), True),
        (CoarseToFine(hierarchy=PARITY, coarse=known, fine=known), False),
        (none, True),
    ):
        assert weighted(component, "") == component
        assert ("the network is random" in capsys.readouterr().err) == noted, component
