"""Explaining: the command, the call, and what they leave behind."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from glasshouse import explainers as registry
from glasshouse.cli import app
from glasshouse.data import Digits, Photos
from glasshouse.data.shorthand import images_from
from glasshouse.explain import explain
from glasshouse.explainers import LIME, Captum, GradCAM, Grid, InputGradient, Slic
from glasshouse.explainers.superpixels import painted
from glasshouse.models import SmallCNN
from glasshouse.models.weights import save_weights
from glasshouse.registry import names
from glasshouse.spec import conforms
from glasshouse.types import SuperpixelExplainer
from nets import Net, full_batch, mixed_net, state

LOOK = LIME(segmenter=Grid(cells=4), samples=24)
HOSTILE = "<script>alert('x')</script>"


def glasshouse(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that gives no logits near each other."""
    torch.manual_seed(0)
    model = SmallCNN(width=4)(10)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    path = tmp_path_factory.mktemp("weights") / "ten.safetensors"
    save_weights(model, path)
    return path


def arguments(weights: Path, data: str, out: Path, *more: str) -> tuple[str, ...]:
    given = ("--model", "SmallCNN(width=4)", "--weights", str(weights), "--data", data, "--device", "cpu")
    return ("explain", *given, "--out", str(out), *more)


@pytest.fixture(scope="module")
def digits(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Five digits by four explainers, two of one class."""
    out = tmp_path_factory.mktemp("explain") / "new" / "folder"
    looks = (LOOK, GradCAM(), InputGradient(), InputGradient(times_input=True))
    chosen = [text for e in looks for text in ("--explainer", repr(e))]
    more = ("--images", "5", "--seed", "4", "--batch-size", "2", "--target", "3")
    return out, glasshouse(*arguments(weights, "Digits(decoy=None, size=16)", out, *chosen, *more))


def test_the_command_leaves_a_gallery_arrays_and_what_it_did(digits: tuple[Path, Result]) -> None:
    out, result = digits
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["explanations.json", "explanations.npz", "index.html"]
    assert "passes an" in result.output and "Gallery: " in result.output


def test_the_arrays_are_what_the_explainers_say_when_called_by_hand(digits: tuple[Path, Result], weights: Path) -> None:
    kept = np.load(digits[0] / "explanations.npz")
    samples = Digits(decoy=None, size=16)("test")
    batch = samples[kept["index"].tolist()]
    assert len(set(kept["index"].tolist())) == 5 and np.array_equal(kept["y"], batch.y)
    model = SmallCNN(width=4, weights=str(weights))(10).eval()
    with torch.no_grad():
        probability = model(batch.x).softmax(1)
    np.testing.assert_allclose(kept["probability"], probability, atol=1e-5)
    assert np.array_equal(kept["predicted"], probability.argmax(1)) and kept["target"].tolist() == [3] * 5
    target = torch.full((5,), 3)
    by_hand = {"LIME": LOOK, "GradCAM": GradCAM(), "InputGradient": InputGradient()}
    by_hand["InputGradient_2"] = InputGradient(times_input=True)
    for name, explainer in by_hand.items():
        assert kept[name].dtype == np.float32 and kept[name].shape == (5, 16, 16)
        np.testing.assert_allclose(kept[name], explainer(model, batch.x, target), atol=1e-4, rtol=1e-3)
    surrogate = LOOK.surrogate(model, batch.x, target)
    for field, value in surrogate._asdict().items():
        np.testing.assert_allclose(kept[f"LIME.{field}"], value, atol=1e-4, rtol=1e-3)


def test_the_description_has_texts_costs_and_every_image(digits: tuple[Path, Result]) -> None:
    told = json.loads((digits[0] / "explanations.json").read_text())
    assert told["explainers"]["LIME"]["text"] == repr(LOOK) and told["explainers"]["LIME"]["evaluations"] == [24] * 5
    # One look at the first image of each of three batches to find the layer, and one at each image.
    passes = {name: column["passes"] for name, column in told["explainers"].items()}
    assert passes == {"LIME": 120, "GradCAM": 8, "InputGradient": 5, "InputGradient_2": 5}
    assert all(column["seconds"] > 0 for column in told["explainers"].values())
    assert len(told["images"]) == 5 and {i["target"] for i in told["images"]} == {"3"}
    assert {"glasshouse", "torch", "python"} <= set(told["versions"]) and told["seed"] == 4
    assert told["model"].startswith("SmallCNN(width=4") and told["data"] == "Digits(decoy=None, size=16) (test)"
    table = np.array(told["agreement"], dtype=float)
    assert table.shape == (4, 4) and np.allclose(np.diag(table), 1) and np.allclose(table, table.T)


def test_the_same_command_gives_the_same_arrays_and_overwrites_nothing(
    digits: tuple[Path, Result], weights: Path, tmp_path: Path
) -> None:
    chosen = ("--explainer", repr(GradCAM()), "--images", "5", "--seed", "4", "--batch-size", "2", "--target", "3")
    for _ in range(2):
        result = glasshouse(*arguments(weights, "Digits(decoy=None, size=16)", tmp_path / "one", *chosen))
    assert result.exit_code == 2 and "is not empty, and nothing is overwritten" in " ".join(result.output.split())
    first, again = (np.load(folder / "explanations.npz") for folder in (digits[0], tmp_path / "one"))
    assert all(np.array_equal(first[k], again[k]) for k in ("index", "GradCAM", "probability"))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for k, v in attrs if k in ("src", "href")]
        assert tag != "script"
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("path", "line", "rect")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert not tags.open and tags.sources and all(s.startswith("data:image/") for s in tags.sources)
    return tags


def test_the_page_is_whole_self_contained_and_says_what_there_is(digits: tuple[Path, Result]) -> None:
    tags = read((digits[0] / "index.html").read_text())
    assert len(tags.sources) == 5 * (1 + 4)
    for text in ("for the class", "against the class", "InputGradient(times_input=True)", repr(LOOK), "Do they agree?"):
        assert text in tags.text


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (40, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


FAST = ("--explainer", repr(LOOK), "--explainer", "GradCAM")


def test_a_single_image_and_a_folder_of_images_need_no_classes(weights: Path, tmp_path: Path) -> None:
    one = photo(tmp_path / "one" / "cat.png")
    (tmp_path / "one" / "notes.txt").write_text("no image")
    for i, data in enumerate((one, one.parent, f"Photos(root={str(one)!r}, size=32, resize=40)")):
        result = glasshouse(*arguments(weights, str(data), tmp_path / f"out{i}", *FAST))
        assert result.exit_code == 0, result.output
        told = json.loads((tmp_path / f"out{i}" / "explanations.json").read_text())
        assert told["classes"] == [str(k) for k in range(10)]
        assert told["images"][0]["title"] == "cat.png" and told["images"][0]["true"] is None
    assert "true classes are not known" in (tmp_path / "out0" / "index.html").read_text()


def test_names_of_files_and_classes_are_escaped_and_labels_follow_the_names(weights: Path, tmp_path: Path) -> None:
    for name, seed in ((HOSTILE.replace("/", "_"), 1), ("b & b", 2)):
        photo(tmp_path / "data" / name / f"<img src=x>{seed}.png", seed)
    called = ["b & b", *(f"class {i}" for i in range(8)), HOSTILE.replace("/", "_")]
    (tmp_path / "names.json").write_text(json.dumps(called))
    data = f"ImageFolder(root={str(tmp_path / 'data')!r}, size=32)"
    more = ("--classes", str(tmp_path / "names.json"), "--split", "train", "--target", "true")
    result = glasshouse(*arguments(weights, data, tmp_path / "out", *FAST, *more))
    assert result.exit_code == 0, result.output
    kept = np.load(tmp_path / "out" / "explanations.npz")
    assert sorted(kept["y"].tolist()) == [0, 9] and np.array_equal(kept["target"], kept["y"])
    tags = read((tmp_path / "out" / "index.html").read_text())
    assert HOSTILE.replace("/", "_") in tags.text and "<img src=x>1.png" in tags.text and "b & b" in tags.text


def test_a_broken_image_or_weights_that_do_not_fit_leave_nothing(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (tmp_path / "other.safetensors").write_bytes(weights.read_bytes()[:-3])
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    photo(tmp_path / "cat.png")
    cases = (
        (weights, "broken.png", (), "cannot read the image"),
        (tmp_path / "other.safetensors", "cat.png", (), "is not a safetensors file of weights, or it is corrupt"),
        (weights, "cat.png", ("--classes", str(tmp_path / "three.txt")), "are for 10 classes, but 3 are named"),
        (weights, "cat.png", ("--target", "true"), "the true class of image 0 is not known"),
        (weights, "cat.png", ("--classes", str(tmp_path / "cat.png")), "cannot be read as names of classes"),
    )
    for file, data, more, sentence in cases:
        result = glasshouse(*arguments(file, str(tmp_path / data), tmp_path / "out", *FAST, *more))
        told = " ".join(result.output.split())
        assert result.exit_code == 2 and sentence in told and "Traceback" not in told, told
        assert not (tmp_path / "out").exists()


BAD = [
    (("--explainer", "Nope"), r"unknown component 'Nope'; known: .*GradCAM"),
    (("--explainer", "PGD"), r"'PGD' is no explainer; see: glasshouse list explainers"),
    (("--explainer", "LIME(samples=1)"), r"LIME: samples is at least 2, not 1"),
    (("--explainer", "GradCAM", "--explainer", "GradCAM()"), r"the explainer GradCAM\(.*\) is given twice"),
    (("--explainer", "LIME(segmenter=Grid(cells=64))"), r"LIME\(segmenter=Grid\(cells=64\)\): an image of 16 x 16"),
    (("--explainer", "GradCAM(layer='no')"), r"GradCAM\(layer='no'\): the model has no layer 'no'"),
    (("--target", "giraffe"), r"unknown class 'giraffe'; there are, among others: 0, 1, 2"),
    (("--target", "10"), r"there is no class 10; there are 0 to 9"),
    (("--images", "0"), r"--images is at least 1, not 0"),
    (("--images", "-3"), r"--images is at least 1, not -3"),
    (("--split", "tset"), r"unknown split 'tset'; there are: train, validation, test"),
    (("--classes", "none.json"), r"no such file: none\.json"),
    (("--data", "no/such.png"), r"there is no image and no folder no/such\.png"),
    (("--data", "no/such"), r"'no/such' was understood as a path"),
    (("--device", "tpu9"), r"there is no device 'tpu9' here"),
    (("--model", "resnet18"), r"are of another network"),
]


@pytest.mark.parametrize(("more", "sentence"), BAD, ids=[" ".join(m)[:40] for m, _ in BAD])
def test_bad_input_is_one_sentence_and_status_2(
    more: tuple[str, ...], sentence: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = arguments(weights, "Digits(decoy=None, size=16)", tmp_path / "out", "--images", "2")
    result = glasshouse(*given, *(more if "--explainer" in more else (*FAST, *more)))
    told = " ".join(result.output.split())
    assert result.exit_code == 2 and re.search(sentence, told), told
    assert told.count("error: ") == 1 and "Traceback" not in told and not list(tmp_path.iterdir())


def test_out_is_a_folder_with_nothing_in_it(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out, sentence in ((tmp_path, "is not empty"), (tmp_path / "file", "is a file")):
        result = glasshouse(*arguments(weights, "Digits", out, *FAST))
        assert result.exit_code == 2 and sentence in " ".join(result.output.split())
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


def test_an_explainer_of_ones_own_and_a_random_network_are_welcome(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Luminance:\n    '''Mine.'''\n"
        "    def __call__(self, model, x, target, *, create_graph=False):\n        return x.mean(1)\n"
    )
    more = ("--explainer", "Luminance", "--import", str(mine), "--images", "2", "--out", str(tmp_path / "out"))
    result = glasshouse("explain", "--model", "SmallCNN(width=4)", "--data", "Digits(size=16)", *more)
    assert result.exit_code == 0, result.output
    assert "the network is random" in " ".join(result.output.split())
    kept = np.load(tmp_path / "out" / "explanations.npz")
    x = Digits(size=16)("test")[kept["index"].tolist()].x
    np.testing.assert_allclose(kept["Luminance"], x.mean(1))
    assert json.loads((tmp_path / "out" / "explanations.json").read_text())["explainers"]["Luminance"]["passes"] == 0


def test_the_call_gives_everything_back_and_follows_the_target(net: Net) -> None:
    batch = full_batch()
    before = state(net)
    found = explain(net, batch.x, [LOOK, InputGradient()], "true", y=batch.y, classes="abcd", batch_size=4)
    assert state(net) == before
    assert torch.equal(found.target, batch.y) and torch.equal(found.predicted, found.probability.argmax(1))
    torch.testing.assert_close(found.attributions["LIME"], LOOK(net, batch.x, batch.y))
    torch.testing.assert_close(found.attributions["InputGradient"], InputGradient()(net, batch.x, batch.y))
    assert explain(net, batch.x[0], [InputGradient()]).x.shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("target", "expected"),
    [(None, None), ("predicted", None), (1, [1, 1]), ("b", [1, 1]), ("3", [3, 3]), ("0", [2, 2])],
)
def test_a_target_is_a_word_a_name_or_a_number(target: str | int | None, expected: list[int] | None, net: Net) -> None:
    found = explain(net, full_batch(2).x, [InputGradient()], target, classes=("a", "b", "0", "d"))
    assert found.target.tolist() == (found.predicted.tolist() if expected is None else expected)


def test_a_number_for_each_image_is_a_target_too(net: Net) -> None:
    found = explain(net, full_batch(3).x, [InputGradient()], torch.tensor([3, 0, 1]))
    assert found.target.tolist() == [3, 0, 1]


@dataclass(frozen=True)
class Wrong:
    """An explainer that gives the wrong thing."""

    value: float = 0.0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        return x if self.value == 0 else torch.full_like(x[:, 0], self.value)


@dataclass(frozen=True)
class Peek:
    """Says whether the model is as it should be while it is explained."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        loose = model.training or any(p.requires_grad for p in model.parameters())
        return torch.full_like(x[:, 0], float(loose))


def test_an_explainer_gets_the_model_frozen(net: Net) -> None:
    assert not explain(net, full_batch(2).x, [Peek()]).attributions["Peek"].any()


CALLS = [
    ({"explainers": []}, "no explainer is given"),
    ({"explainers": [Slic()]}, "Slic.* is no explainer, called with"),
    ({"explainers": [Wrong()]}, r"Wrong gives \[2, 3, 16, 16\], not \[2, 16, 16\]"),
    ({"explainers": [Wrong(value=float("nan"))]}, r"Wrong\(value=nan\) gives NaN or infinity"),
    ({"classes": ("a", "b")}, "2 names of classes are given, but the model has 4 classes"),
    ({"classes": ("a", "a", "b", "c"), "target": "a"}, "several classes are called 'a'"),
    ({"target": torch.tensor([0, 9])}, "one whole number from 0 to 3"),
    ({"target": "true"}, "the true class of image 0 is not known"),
    ({"y": torch.tensor([0, 7])}, "one whole number from 0 to 3"),
    ({"titles": ("only one",)}, "1 titles for 2 images"),
    ({"x": torch.zeros(2, 3, 16, 16, dtype=torch.int64)}, "x is .*floating point"),
    ({"x": torch.full((1, 3, 16, 16), 2.0)}, r"not all in \[0, 1\]"),
    ({"x": torch.rand(1, 5, 16, 16)}, "the model cannot take images of 16 x 16 pixels"),
]


@pytest.mark.parametrize(("changed", "sentence"), CALLS, ids=[s[:30] for _, s in CALLS])
def test_a_call_that_cannot_be_says_so(changed: dict[str, object], sentence: str, net: Net) -> None:
    given: dict[str, object] = {"x": full_batch(2).x, "explainers": [InputGradient()]} | changed
    with pytest.raises(ValueError, match=sentence):
        explain(net, **given)  # type: ignore[arg-type]


def superpixel_explainers() -> list[type]:
    found = [getattr(registry, name) for name in registry.__all__]
    return [cls for cls in found if conforms(cls, SuperpixelExplainer)]


@pytest.mark.parametrize("cls", superpixel_explainers(), ids=lambda c: c.__name__)
def test_a_map_over_superpixels_is_painted_with_their_weights(cls: type) -> None:
    batch, explainer, net = full_batch(2), cls(), mixed_net()
    surrogate = explainer.surrogate(net, batch.x, batch.y)
    torch.testing.assert_close(explainer(net, batch.x, batch.y), painted(surrogate.beta, surrogate.segments))


def test_photos_are_files_in_order_without_classes(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "deep/c.png"):
        photo(tmp_path / name)
    samples = Photos(root=str(tmp_path), size=16)("test")
    assert len(samples) == 3 and samples.classes == () and samples[[0, 2]].y.tolist() == [-1, -1]
    assert samples[[2, 0]].x.shape == (2, 3, 16, 16)
    assert len(Photos(root=str(tmp_path), limit=2)("train")) == 2
    shutil.rmtree(tmp_path / "deep")
    assert images_from(str(tmp_path), names()) == Photos(root=str(tmp_path))
    assert images_from("Digits", names()) == Digits()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no images"):
        Photos(root=str(tmp_path / "empty"))("test")


def test_a_method_of_captum_explains_like_any_other(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("captum.attr")
    more = ("--explainer", repr(Captum(method="Saliency")), "--explainer", "Captum", "--images", "2")
    result = glasshouse(*arguments(weights, "Digits(size=16)", tmp_path / "out", *more))
    assert result.exit_code == 0, result.output
    assert "Captum(method=&#39;Saliency&#39;)" in (tmp_path / "out" / "index.html").read_text()
