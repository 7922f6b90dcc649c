"""Models: pixels in, logits out; weights come back bit for bit, and files are never believed."""

from __future__ import annotations

import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from glasshouse import models
from glasshouse.models import ResNet18, ResNet20, ResNet32, ResNet56, SmallCNN, TorchVision
from glasshouse.models.normalised import Normalised
from glasshouse.models.weights import load_weights, read_weights, save_weights
from glasshouse.spec import fits, parse
from glasshouse.types import Architecture

NAMES = {name: getattr(models, name) for name in models.__all__}
TWO_LEVELS = ("CoarseToFine", "Grouped")  # they need a hierarchy: test_two_levels.py
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def shared() -> Path:
    beside = Path(__file__).resolve().parents[2] / "../shared/data"
    folder = Path(os.environ.get("GLASSHOUSE_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no shared data: set GLASSHOUSE_SHARED_DATA to its folder")
    return folder


def tiny(classes: int = 3, **fields: Any) -> Any:
    return SmallCNN(width=2, **fields)(classes)


def stored(state: Any, path: Path) -> str:
    torch.save(state, path)
    return str(path)


def rows(path: Path, count: int) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return next(parquet.ParquetFile(path).iter_batches(count)).to_pylist()


def pixels(encoded: bytes, crop: int) -> Tensor:
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(encoded)).convert("RGB")
    left, top = (image.width - crop) // 2, (image.height - crop) // 2
    raw = image.crop((left, top, left + crop, top + crop)).tobytes()
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(crop, crop, 3).permute(2, 0, 1) / 255


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        hits = [model.eval()(a).argmax(1) == b for a, b in zip(x.split(250), y.split(250), strict=True)]
    return torch.cat(hits).float().mean().item()


# --- networks


@pytest.mark.parametrize(
    ("architecture", "count"),
    [(ResNet18(), 11_173_962), (ResNet20(), 269_722), (ResNet32(), 464_154), (ResNet56(), 853_018)],
)
def test_the_published_number_of_parameters(architecture: Architecture, count: int) -> None:
    with torch.device("meta"):  # shapes only
        assert sum(p.numel() for p in architecture(10).parameters()) == count


@pytest.mark.parametrize("component", [ResNet20(), SmallCNN(width=4), TorchVision()])
@pytest.mark.parametrize("side", [16, 33])
def test_logits_of_any_size_of_image(component: Architecture, side: int) -> None:
    model = component(7).eval()
    x = torch.rand(2, 3, side, side)
    assert model(x).shape == (2, 7)
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)


def test_resnet18_halves_the_image_three_times_only() -> None:
    network: Any = ResNet18()(7).eval()
    shapes = []
    network.network.layer4.register_forward_hook(lambda module, x, y: shapes.append((x[0].shape, y.shape)))
    assert network(torch.rand(1, 3, 32, 32)).shape == (1, 7)
    assert shapes == [((1, 256, 8, 8), (1, 512, 4, 4))]


def test_last_feature_map_of_the_small_network() -> None:
    assert tiny().network.features(torch.rand(1, 3, 32, 32)).shape == (1, 8, 8, 8)


def test_normalisation_is_inside_and_not_in_the_state() -> None:
    model = Normalised(nn.Identity(), (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    x = torch.rand(2, 3, 4, 4)
    expected = torch.stack([(x[:, 0] - 0.1) / 0.5, (x[:, 1] - 0.2) / 0.25, (x[:, 2] - 0.3) / 2], 1)
    torch.testing.assert_close(model(x), expected)
    assert not model.state_dict()
    torch.testing.assert_close(model(x[:, :1]), model(x[:, :1].expand(-1, 3, -1, -1)))


def test_fields_reach_the_normalisation() -> None:
    model = ResNet20(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))(10)
    assert model.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert model.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.parametrize("training", [True, False])
def test_plain_logits_without_auxiliary_classifiers(name: str, training: bool) -> None:
    with torch.device("meta"):  # shapes only
        logits = TorchVision(name=name)(5).train(training)(torch.rand(2, 3, 299, 299))
    assert isinstance(logits, Tensor) and logits.shape == (2, 5)


# --- configuration


@pytest.mark.parametrize("name", [n for n in models.__all__ if n not in TWO_LEVELS])
def test_the_text_of_a_component_is_the_component(name: str) -> None:
    component = NAMES[name](weights="a b/c's.pth", new_head=True)
    assert parse(repr(component), NAMES) == component
    assert parse(name, NAMES) == NAMES[name]()
    assert fits(component, Architecture)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SmallCNN(width=0),
            "SmallCNN: width must be at least 1, not 0",
        ),
        (lambda: ResNet20(std=(1.0, 0.0, 1.0)), "each std must be above 0"),
        (lambda: ResNet18(mean=(0.5, 0.5)), "mean and std need three finite numbers each"),
        (lambda: TorchVision(mean=(0.0, float("nan"), 0.0)), "mean and std need three finite numbers each"),
        (lambda: TorchVision(name="resnet19"), "no classifier 'resnet19'; close names: resnet18"),
        (lambda: TorchVision(name="resnet19"), "torchvision.models.list_models(module=torchvision.models)"),
        (lambda: TorchVision(name="fcn_resnet50"), "no classifier 'fcn_resnet50'"),
        (lambda: ResNet20()(1), "a classifier needs at least 2 classes, not 1"),
        (lambda: TorchVision()(0), "a classifier needs at least 2 classes, not 0"),
    ],
)
def test_impossible_fields_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


# --- saving and loading


@pytest.mark.parametrize("component", [SmallCNN(width=3), ResNet20(), TorchVision(name="mnasnet0_5")])
def test_saved_weights_come_back_bit_for_bit(component: Any, tmp_path: Path) -> None:
    model, path = component(4), tmp_path / "w.safetensors"
    model(torch.rand(2, 3, 33, 33))  # moves the statistics of BatchNorm off their initial values
    save_weights(model, path)
    again = NAMES[type(component).__name__](**{**vars(component), "weights": str(path)})(4)
    ours, theirs = model.network.state_dict(), again.network.state_dict()
    assert list(ours) == list(theirs)
    assert all(ours[k].dtype == theirs[k].dtype and torch.equal(ours[k], theirs[k]) for k in ours)
    assert os.listdir(tmp_path) == ["w.safetensors"]  # noqa: PTH208


def test_tied_and_strided_weights_and_a_child_named_like_a_wrapper(tmp_path: Path) -> None:
    def build() -> Normalised:
        first, second = nn.Linear(4, 4), nn.Linear(4, 4)
        second.weight = first.weight
        first.bias = nn.Parameter(torch.rand(8)[::2])
        inner = nn.ModuleDict({"model": nn.Sequential(first, second)})
        return Normalised(inner, HALF, HALF)

    model, again, path = build(), build(), tmp_path / "w.safetensors"
    save_weights(model, path)
    load_weights(again, path)
    ours, theirs = model.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(tiny(), path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(tiny(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_saving_needs_the_ending_and_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.safetensors$"):
        save_weights(tiny(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="no such folder"):
        save_weights(tiny(), tmp_path / "absent" / "w.safetensors")


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "network.", "_orig_mod.", "module._orig_mod.network."])
@pytest.mark.parametrize(
    "wrappers", [(), ("state_dict",), ("model",), ("model_state_dict",), ("net",), ("state_dict", "net")]
)
def test_prefixes_and_wrappers_of_other_programs(prefix: str, wrappers: tuple[str, ...], tmp_path: Path) -> None:
    model = tiny()
    state: Any = {prefix + k: v for k, v in model.network.state_dict().items()}
    for wrapper in wrappers:
        state = {"epoch": 3, wrapper: state}
    again = tiny(weights=stored(state, tmp_path / "w.pth"))
    assert torch.equal(again.network.head.weight, model.network.head.weight)


def test_state_of_the_whole_model_loads(tmp_path: Path) -> None:
    model = tiny()
    again = tiny(weights=stored(model.state_dict(), tmp_path / "w.pt"))
    assert torch.equal(again.network.head.weight, model.network.head.weight)


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.tensor([0.1]).half(), "b": torch.tensor([0.1]).bfloat16(), "n": torch.tensor(3)}, path)
    read = read_weights(path)
    assert [read[k].dtype for k in "abn"] == [torch.float32, torch.float32, torch.int64]
    assert read["a"].item() == torch.tensor(0.1).half().item()


def test_old_files_do_not_count_batches(tmp_path: Path) -> None:
    model = tiny()
    old = {k: v for k, v in model.network.state_dict().items() if "num_batches" not in k}
    again = tiny(weights=stored(old, tmp_path / "w.th"))
    assert torch.equal(again.network.head.weight, model.network.head.weight)


def test_auxiliary_classifiers_in_public_files_are_left_out(tmp_path: Path) -> None:
    state = tiny().network.state_dict() | {"AuxLogits.fc.weight": torch.ones(2)}
    assert tiny(weights=stored(state, tmp_path / "w.pth"))


def test_a_new_head_starts_fresh_and_the_rest_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model = tiny(10)
    save_weights(model, path)
    with pytest.raises(ValueError, match=r"^weights \S+ are for 10 classes, the data has 3; give new_head=True to"):
        tiny(3, weights=str(path))
    again = tiny(3, weights=str(path), new_head=True).network
    assert again.head.weight.shape == (3, 8) and again.head.weight.std() > 0
    assert torch.equal(again.features[2][0].weight, model.network.features[2][0].weight)
    same = tiny(10, weights=str(path), new_head=True).network
    assert torch.equal(same.head.weight, model.network.head.weight)


def test_a_head_on_other_features_is_another_network(tmp_path: Path) -> None:
    state = tiny(10).network.state_dict() | {"head.weight": torch.ones(10, 9)}
    with pytest.raises(ValueError, match=r"another network: 2 tensors are of another shape, first 'head\.weight'$"):
        tiny(3, weights=stored(state, tmp_path / "w.pth"), new_head=True)


# --- files that are not what they should be


class Hostile:
    """Creates a file if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", [None, 0, 2, 4])  # None: in the format of torch
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_hostile_file_is_refused_and_not_run(protocol: int | None, ending: str, tmp_path: Path) -> None:
    path, trace = tmp_path / f"w{ending}", tmp_path / "ran"
    hostile = {"state_dict": {"head.weight": Hostile(trace)}}
    if protocol is None:
        torch.save(hostile, path)
    else:
        path.write_bytes(pickle.dumps(hostile, protocol))
    refused, other = "is refused: .* would run code", "is not a (safetensors|torch) file of weights"
    sentence = refused if ending == ".pth" and protocol != 0 else other  # protocol 0 looks like any text
    with pytest.raises(ValueError, match=sentence):
        read_weights(path)
    assert not trace.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is refused: it is a pickle of more than plain tensors, and reading it"):
        read_weights(stored(tiny(), tmp_path / "w.pth"))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"x", b"version https://git-lfs", b"\xff" * 99, b"<!DOCTYPE html>", None])
def test_a_corrupt_file_is_one_sentence(content: bytes | None, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{ending}"
    if content is None:  # the first half of a good file
        whole = tmp_path / "whole.safetensors"
        save_weights(tiny(), whole) if ending == ".safetensors" else stored(tiny().state_dict(), whole)
        content = whole.read_bytes()[: whole.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file of weights, or it is corrupt$") as caught:
        read_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def itself() -> dict[str, Any]:
    endless: dict[str, Any] = {}
    endless["model"] = endless
    return endless


@pytest.mark.parametrize(
    "content",
    [
        [torch.ones(2)],
        torch.ones(2),
        {},
        {"state_dict": {}},
        {"epoch": 3, "a": torch.ones(2)},
        {3: torch.ones(2)},
        {"a": torch.ones(1).expand(10**13)},
        {"a": torch.ones(2).to_sparse()},
        {"a": torch.ones(2, device="meta")},
        {"a": torch.ones(2, dtype=torch.complex64)},
        itself(),
    ],
    ids=[
        "list",
        "tensor",
        "empty",
        "wrapped",
        "epoch",
        "number",
        "huge",
        "sparse",
        "meta",
        "complex",
        "itself",
    ],
)
def test_anything_but_tensors_by_name_is_no_state_dict(content: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no state dict"):
        read_weights(stored(content, tmp_path / "w.pth"))


def test_no_such_file_and_no_such_ending(tmp_path: Path) -> None:
    for absent in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(ValueError, match=f"^no such file: {re.escape(str(absent))}$"):
            tiny(weights=str(absent))
    other = tmp_path / "w.zip"
    other.touch()
    with pytest.raises(ValueError, match=r"allowed: \.safetensors, \.pth, \.pt, \.th$"):
        read_weights(other)


def test_weights_of_another_network_are_counted_and_named(tmp_path: Path) -> None:
    state = tiny().network.state_dict()
    del state["head.weight"], state["head.bias"]
    state["fc.bias"] = torch.zeros(3)
    both = r"another network: 2 tensors are missing, first 'head\.weight', 1 tensors are unexpected, first 'fc\."
    with pytest.raises(ValueError, match=both):
        tiny(weights=stored(state, tmp_path / "w.pth"))
    other = stored(tiny().network.state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"of another shape, first 'features\.0\.0\.weight'$"):
        SmallCNN(width=3, weights=other, new_head=True)(3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["head.bias", "features.0.1.running_var"])
def test_weights_that_are_not_finite_are_refused(value: float, name: str, tmp_path: Path) -> None:
    state = tiny().network.state_dict()
    state[name][0] = value
    with pytest.raises(ValueError, match=f"hold NaN or infinity in 1 tensors, first '{name}'"):
        tiny(weights=stored(state, tmp_path / "w.pth"))


def test_a_refused_file_changes_nothing(tmp_path: Path) -> None:
    model = tiny()
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    state = {k: v + 1 for k, v in before.items()} | {"extra": torch.ones(1)}
    with pytest.raises(ValueError, match="unexpected"):
        load_weights(model, stored(state, tmp_path / "w.pth"))
    assert all(torch.equal(v, before[k]) for k, v in model.network.state_dict().items())


# --- public weights


def test_the_public_resnet20_reaches_its_accuracy(shared: Path) -> None:
    images = rows(shared / "cifar10/test-00000-of-00001.parquet", 1000)
    x = torch.stack([pixels(row["img"]["bytes"], 32) for row in images])
    y = torch.tensor([row["label"] for row in images])
    assert accuracy(ResNet20(weights=str(shared / "weights/resnet20-cifar10.th"))(10), x, y) > 0.89


@pytest.mark.parametrize(
    ("name", "crop", "fields", "least"),
    [("mobilenet_v2", 225, {"mean": HALF, "std": HALF}, 0.7), ("squeezenet1_1", 227, {}, 0.5)],
)
def test_public_imagenet_weights(name: str, crop: int, fields: Any, least: float, shared: Path) -> None:
    images = rows(shared / "imagenet-sample/sample-00000-of-00001.parquet", 8)
    x = torch.stack([pixels(row["image"]["bytes"], crop) for row in images])
    y = torch.tensor([row["label"] for row in images])
    path = str(shared / f"weights/{name}-imagenet.safetensors")
    assert accuracy(TorchVision(name=name, weights=path, **fields)(1000), x, y) > least
    with pytest.raises(ValueError, match="are for 1000 classes, the data has 10; give new_head=True"):
        TorchVision(name=name, weights=path, **fields)(10)
    assert TorchVision(name=name, weights=path, new_head=True, **fields)(10).eval()(x[:1]).shape == (1, 10)
