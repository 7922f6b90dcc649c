"""Data sets, splits, decoys and augmentation, on small files written here and on real data if present."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from glasshouse import data as registry
from glasshouse.data import (
    CIFAR10,
    CIFAR100,
    STL10,
    CropFlip,
    Digits,
    GreyDecoy,
    Hub,
    ImageFolder,
    Parquet,
    Planted,
    PositionDecoy,
)
from glasshouse.data.encoded import Origin
from glasshouse.data.samples import Memory, at_most, batches, divide, limited, stratify
from glasshouse.data.shorthand import data_from
from glasshouse.spec import fits, parse
from glasshouse.types import SPLITS, Augmentation, Batch, Data, Samples

NAMES = {name: getattr(registry, name) for name in registry.__all__}
SHARED = Path(os.environ.get("GLASSHOUSE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def shared(pattern: str) -> str:
    if not any(SHARED.glob(pattern)):
        pytest.skip(f"no {pattern} in the shared data (../shared/data or $GLASSHOUSE_SHARED_DATA)")
    return str(SHARED / pattern)


def picture(value: int, width: int = 20, height: int = 16) -> Image.Image:
    return Image.new("RGB", (width, height), (value, 0, 255 - value))


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write_folder(root: Path, counts: dict[str, int], start: int = 0) -> Path:
    for name, count in counts.items():
        (root / name / "below").mkdir(parents=True)
        for i in range(count):
            start += 1
            picture(start).save(root / name / ("below" if i % 2 else ".") / f"{i}.png")
    return root


def reds(samples: Samples) -> list[int]:
    """What tells the pictures of these tests apart: the red of the centre pixel."""
    x = samples[list(range(len(samples)))].x
    return [round(255 * float(v)) for v in x[:, 0, x.shape[2] // 2, x.shape[3] // 2]]


def check_batch(samples: Samples, side: int) -> None:
    batch = samples[[len(samples) - 1, 0]]
    assert batch.x.shape == (2, 3, side, side) and batch.x.dtype == torch.float32
    assert 0 <= float(batch.x.min()) <= float(batch.x.max()) <= 1
    assert batch.y.dtype == torch.int64 and batch.y.shape == (2,)
    assert batch.index is not None and batch.index.tolist() == [len(samples) - 1, 0]
    assert all(isinstance(name, str) for name in samples.classes)
    again = pickle.loads(pickle.dumps(samples))
    assert torch.equal(again[[0]].x, samples[[0]].x)


def check_splits(data: Data, total: int) -> None:
    """Disjoint, covering, the same each time; for sets whose pictures all differ in red."""
    parts = [reds(data(split)) for split in SPLITS]
    assert parts == [reds(data(split)) for split in SPLITS]
    assert len({red for part in parts for red in part}) == sum(map(len, parts)) == total
    with pytest.raises(ValueError, match="unknown split 'val'; there are: train, validation, test"):
        data("val")


def refuses(sentence: str, action: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        action()
    assert "\n" not in str(caught.value)


# ---------------------------------------- components


@pytest.mark.parametrize(
    "component",
    [
        Digits(),
        PositionDecoy(size=3),
        GreyDecoy(),
        Planted(data=Digits(decoy=None)),
        CIFAR10(root="a b"),
        CIFAR100(root="c"),
        STL10(root="s", limit=3),
        ImageFolder(root="it's", shares=(0.5, 0.25, 0.25), masks="m"),
        Parquet(train="x/*.parquet", classes=7),
        Hub(name="uoft-cs/cifar10", image="img"),
        CropFlip(padding=2, flip=False),
    ],
)
def test_the_text_of_a_component_is_the_component(component: Any) -> None:
    assert parse(repr(component), NAMES) == component and hash(component) == hash(parse(repr(component), NAMES))
    decoy = isinstance(component, PositionDecoy | GreyDecoy)
    assert decoy or fits(component, Augmentation if isinstance(component, CropFlip) else Data)


def test_the_registry_holds_components_only() -> None:
    assert all(hasattr(c, "__dataclass_fields__") and c.__dataclass_params__.frozen for c in NAMES.values())


# ---------------------------------------- splits


def test_divide_covers_everything_once() -> None:
    parts = [divide(101, split, (0.7, 0.2, 0.1), seed=3) for split in SPLITS]
    assert sorted(torch.cat(parts).tolist()) == list(range(101)) and [len(p) for p in parts] == [71, 20, 10]
    assert not torch.equal(parts[0], divide(101, "train", (0.7, 0.2, 0.1), seed=4))


def test_stratify_shares_out_each_class_alike() -> None:
    labels = torch.tensor([0] * 100 + [1] * 40 + [2] * 10 + [3])
    parts = [stratify(labels, split, (0.8, 0.1, 0.1), seed=1) for split in SPLITS]
    assert sorted(torch.cat(parts).tolist()) == list(range(151))
    assert labels[parts[0]].bincount()[:3].sub(torch.tensor([80, 32, 8])).abs().max() <= 1
    assert labels[parts[2]].bincount(minlength=4)[:3].sub(torch.tensor([10, 4, 1])).abs().max() <= 1
    assert labels[parts[0]].bincount()[3] == 1


def test_a_larger_limit_only_adds() -> None:
    few, more = (set(limited(torch.arange(50), n, seed=2).tolist()) for n in (5, 20))
    assert len(few) == 5 and few < more and len(limited(torch.arange(50), 0, 2)) == 50
    refuses("0 .all. or more, not -1", lambda: at_most(Digits()("test"), -1))


def test_batches_with_workers_are_those_without(tmp_path: Path) -> None:
    folder = ImageFolder(root=str(write_folder(tmp_path / "f", {"a": 12, "b": 12})), size=8)("train")
    for samples in (folder, Digits()("test")):
        plain, forked = (list(batches(samples, 16, shuffle=5, workers=w)) for w in (0, 2))
        assert len(plain) == len(forked) == -(-len(samples) // 16)
        for a, b in zip(plain, forked, strict=True):
            assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y)
            assert a.index is not None and b.index is not None and torch.equal(a.index, b.index)


# ---------------------------------------- decoys


def everything(samples: Samples) -> Batch:
    return samples[list(range(len(samples)))]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("decoy", [PositionDecoy(), GreyDecoy()])
def test_a_decoy_changes_its_patch_alone_and_tells_the_class_in_training(
    decoy: PositionDecoy | GreyDecoy, split: str
) -> None:
    clean, planted = everything(Digits(decoy=None)(split)), everything(Digits(decoy=decoy)(split))
    assert planted.mask is not None and clean.mask is None and torch.equal(clean.y, planted.y)
    assert ((~planted.mask).flatten(1).sum(1) == decoy.size**2).all()
    changed = (clean.x != planted.x).any(1)
    assert not (changed & planted.mask).any()
    shown = planted.x.masked_fill(planted.mask[:, None], 0)
    told = {tuple(s.flatten().tolist()) for s in shown} if isinstance(decoy, PositionDecoy) else None
    assert told is None or len(told) == 10
    sign = [hash(s.numpy().tobytes()) if told else float(s.max()) for s in shown]
    pairs = set(zip(sign, planted.y.tolist(), strict=True))
    assert len(pairs) == 10 if split != "test" else len(pairs) > 80


def test_the_sign_in_test_is_independent_of_the_class() -> None:
    batch = everything(Digits(decoy=GreyDecoy())("test"))
    assert batch.mask is not None
    tag = ((1 - batch.x.masked_fill(batch.mask[:, None], 0).flatten(1).amax(1)) * 10).round().long()
    table = torch.zeros(10, 10).index_put_((tag, batch.y), torch.ones(len(tag)), accumulate=True)
    expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
    assert float(((table - expected) ** 2 / expected).sum()) < 126  # chi squared, 81 degrees: p = 0.001


def test_planted_over_another_set(tmp_path: Path) -> None:
    folder = ImageFolder(root=str(write_folder(tmp_path, {"a": 10, "b": 10})), size=16)
    planted = Planted(data=folder, decoy=PositionDecoy(size=3))("train")
    check_batch(planted, 16)
    batch, clean = everything(planted), everything(folder("train"))
    assert batch.mask is not None and ((~batch.mask).flatten(1).sum(1) == 9).all()
    kept = batch.mask[:, None].expand_as(batch.x)
    assert torch.equal(batch.x[kept], clean.x[kept]) and (batch.x[~kept] == 1).all()
    refuses("decoy of 16 pixels does not fit", lambda: Planted(data=folder, decoy=PositionDecoy(16))("train")[[0]])


# ---------------------------------------- folders


def test_a_folder_of_classes(tmp_path: Path) -> None:
    data = ImageFolder(root=str(write_folder(tmp_path, {"dog": 20, "cat": 30})), size=8)
    check_splits(data, 50)
    check_batch(data("train"), 8)
    assert data("train").classes == ("cat", "dog")
    assert [len(data(split)) for split in SPLITS] == [40, 5, 5]
    assert everything(data("train")).y.bincount().tolist() == [24, 16]
    batch = everything(data("test"))  # the dogs were written first: 1 to 20
    assert all((red <= 20) == (y == 1) for red, y in zip(reds(data("test")), batch.y.tolist(), strict=True))
    assert len(ImageFolder(root=str(tmp_path), size=8, limit=7)("train")) == 7


def test_a_split_folder_and_what_is_carved_out_of_train(tmp_path: Path) -> None:
    write_folder(tmp_path / "Train", {"a": 20, "b": 20})
    write_folder(tmp_path / "VALID", {"a": 3, "b": 3}, start=100)
    write_folder(tmp_path / "unlabelled", {"zzz": 3})
    data = ImageFolder(root=str(tmp_path), size=8)
    check_splits(data, 46)
    assert sorted(reds(data("validation"))) == list(range(101, 107))
    assert len(data("train")) + len(data("test")) == 40 and len(data("test")) == 4
    write_folder(tmp_path / "test", {"b": 2}, start=200)
    assert sorted(reds(data("test"))) == [201, 202] and len(data("train")) == 40
    assert everything(data("test")).y.tolist() == [1, 1]
    write_folder(tmp_path / "test" / ".", {"c": 1}, start=210)
    refuses("has the class 'c' that train has not: a, b", lambda: data("test"))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    data = ImageFolder(root=str(write_folder(tmp_path, {"train": 10, "bus": 10})), size=8)
    assert data("train").classes == ("bus", "train")


@pytest.mark.parametrize(("width", "height"), [(37, 61), (90, 41), (32, 32)])
def test_resize_and_crop_are_those_of_torchvision(tmp_path: Path, width: int, height: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_folder(tmp_path, {"a": 1, "b": 5})
    Image.fromarray(noise).save(tmp_path / "a" / "0.png")
    for size, resize in ((24, 0), (24, 32), (33, 40)):
        known = transforms.Compose(
            [transforms.Resize(resize or size), transforms.CenterCrop(size), transforms.ToTensor()]
        )
        samples = ImageFolder(root=str(tmp_path), size=size, resize=resize)("train")
        assert torch.equal(samples[[0]].x[0], known(Image.fromarray(noise)))


def test_every_kind_of_image_becomes_upright_rgb(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": 0, "b": 1})
    half = Image.new("RGB", (8, 8), (0, 0, 0))
    half.paste((255, 255, 255), (0, 0, 8, 4))  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter: white goes right
    half.save(tmp_path / "a" / "0.png", exif=exif)
    half.convert("RGBA").save(tmp_path / "a" / "1.png")
    half.convert("L").save(tmp_path / "a" / "2.bmp")
    half.convert("P").save(tmp_path / "a" / "3.gif")
    Image.fromarray(np.asarray(half.convert("L")).astype(np.uint16) * 257).save(tmp_path / "a" / "4.png")
    half.convert("CMYK").save(tmp_path / "a" / "5.jpg", quality=100)
    half.convert("1").save(tmp_path / "a" / "6.tif")
    deep = np.full((8, 8), 100 * 256 + 255, np.uint16)
    Image.fromarray(deep).save(tmp_path / "b" / "0.png")
    samples = ImageFolder(root=str(tmp_path), size=8, shares=(1.0, 0.0, 0.0))("train")
    assert ((samples[[7]].x * 255).round() == 100).all()
    x = samples[list(range(7))].x
    assert torch.allclose(x[0, :, :, 4:], torch.ones(3, 8, 4)) and torch.allclose(x[0, :, :, :4], torch.zeros(3, 8, 4))
    for other in x[1:]:
        assert float(other[:, :4].min()) > 0.95 and float(other[:, 4:].max()) < 0.05


def test_masks_lie_on_their_images(tmp_path: Path) -> None:
    write_folder(tmp_path / "i", {"a": 3, "b": 3})
    for path in sorted((tmp_path / "i").rglob("*.png")):
        place = (tmp_path / "m" / path.relative_to(tmp_path / "i")).with_suffix(".bmp")
        place.parent.mkdir(parents=True, exist_ok=True)
        mark = np.zeros((16, 20), np.uint8)
        mark[4:8, 2:10] = 1
        Image.fromarray(mark).save(place)
        x = np.asarray(picture(50)).copy()
        x[mark > 0] = 255
        Image.fromarray(x).save(path)
    data = ImageFolder(root=str(tmp_path / "i"), size=16, masks=str(tmp_path / "m"), shares=(1.0, 0.0, 0.0))
    batch = everything(data("train"))
    assert batch.mask is not None and batch.mask.dtype == torch.bool and batch.mask.any()
    assert torch.equal(batch.mask, batch.x[:, 1] == 1)
    smaller = everything(ImageFolder(**{**vars(data), "size": 8})("train"))
    assert smaller.mask is not None and smaller.mask.shape == (6, 8, 8)
    Image.new("L", (5, 5)).save(tmp_path / "m" / "a" / "0.bmp")
    refuses("the mask .*0.bmp is 5 x 5 but 20 x 16 is its image", lambda: everything(data("train")))
    (tmp_path / "m" / "a" / "0.bmp").unlink()
    refuses("the image .*0.png has no mask in", lambda: data("train"))
    refuses("no folder of masks", lambda: ImageFolder(**{**vars(data), "masks": "nowhere"})("train"))


@pytest.mark.filterwarnings("ignore:Image size")
def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def data(root: Path = tmp_path, **kw: Any) -> Samples:
        return ImageFolder(root=str(root), size=8, **kw)("train")

    refuses("there is no folder .*nowhere", lambda: data(tmp_path / "nowhere"))
    refuses("has no folders of classes; expected", data)
    write_folder(tmp_path, {"a": 4})
    refuses("has only one class, 'a'", data)
    (tmp_path / "b").mkdir()
    refuses("the class folder .*b has no images", data)
    write_folder(tmp_path / "b", {"below": 4})
    refuses("limit is 0 .all. or more", lambda: data(limit=-1))
    refuses("size is at least 1", lambda: ImageFolder(root="x", size=0))
    refuses("resize is 0 or at least size", lambda: data(resize=4))
    refuses("shares are at least 0", lambda: data(shares=(0.0, 0.5, 0.5)))
    refuses("'test' is empty", lambda: ImageFolder(root=str(tmp_path), shares=(1.0, 0.0, 0.0))("test"))
    whole = (tmp_path / "a" / "0.png").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for broken in (b"", b"no image", whole[:40], encode(Image.fromarray(noise), "JPEG")[:900]):
        (tmp_path / "a" / "0.png").write_bytes(broken)
        refuses("cannot read the image .*0.png: ", lambda: everything(data(shares=(1.0, 0.0, 0.0))))
    (tmp_path / "a" / "0.png").write_bytes(whole)
    assert everything(data(shares=(1.0, 0.0, 0.0))).x.shape == (8, 3, 8, 8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    refuses("decompression bomb", lambda: everything(data()))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("RGB", (1, 900)).save(tmp_path / "a" / "0.png")
    refuses("cannot resize the image", lambda: everything(data(shares=(1.0, 0.0, 0.0))))


# ---------------------------------------- CIFAR and STL-10


def planes(count: int, start: int, side: int = 32) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Images whose red counts up; green is a ramp along the row, so that axes cannot be swapped unseen."""
    x = np.zeros((count, 3, side, side), np.uint8)
    x[:, 0] = np.arange(start, start + count, dtype=np.uint8)[:, None, None]
    x[:, 1] = np.arange(side, dtype=np.uint8)
    return x


def write_binary(root: Path, fine: bool) -> None:
    folder = root / ("cifar-100-binary" if fine else "cifar-10-batches-bin")
    folder.mkdir()
    files = ["train", "test"] if fine else [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for k, file in enumerate(files):
        x = planes(10, 10 * k).reshape(10, -1)
        labels = [np.arange(10, dtype=np.uint8)[:, None]]
        head = [np.full((10, 1), 19, np.uint8)] if fine else []
        (folder / f"{file}.bin").write_bytes(np.concatenate([*head, *labels, x], 1).tobytes())
    if not fine:
        (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")


def write_python(root: Path, protocol: int = 2) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for k, file in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        content = {"data": planes(10, 10 * k).reshape(10, -1), "labels": list(range(10)), "batch_label": b"x"}
        (folder / file).write_bytes(pickle.dumps(content, protocol))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}, protocol))
    return folder


def check_cifar(data: Data, total: int) -> None:
    check_splits(data, total)
    check_batch(data("train"), 32)
    for split in SPLITS:
        batch = everything(data(split))
        assert [red % 10 for red in reds(data(split))] == batch.y.tolist()
        assert torch.equal((batch.x[0, 1] * 255).round(), torch.arange(32.0).expand(32, -1))


def test_cifar_binary(tmp_path: Path) -> None:
    write_binary(tmp_path, fine=False)
    check_cifar(CIFAR10(root=str(tmp_path)), 60)
    samples = CIFAR10(root=str(tmp_path / "cifar-10-batches-bin"), limit=4)("validation")
    assert len(samples) == 4 and samples.classes == tuple("abcdefghij")
    write_binary(tmp_path, fine=True)
    check_cifar(CIFAR100(root=str(tmp_path)), 20)
    assert len(CIFAR100(root=str(tmp_path))("test").classes) == 100


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_python(tmp_path: Path, protocol: int) -> None:
    write_python(tmp_path, protocol)
    check_cifar(CIFAR10(root=str(tmp_path)), 60)
    assert CIFAR10(root=str(tmp_path))("test").classes == tuple("abcdefghij")


class Hostile:
    """Would create a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_hostile_pickle_is_refused_without_being_run(tmp_path: Path) -> None:
    folder = write_python(tmp_path)
    (folder / "test_batch").write_bytes(pickle.dumps({"data": Hostile(tmp_path / "run")}))
    data = CIFAR10(root=str(tmp_path))
    refuses(
        "cannot read .*test_batch: it asks for .*, which a file of images never needs; refused",
        lambda: data("test"),
    )
    assert not (tmp_path / "run").exists()
    pickle.loads((folder / "test_batch").read_bytes())
    assert (tmp_path / "run").exists(), "the pickle of this test is harmless: it proves nothing"
    for text in (
        b"cbuiltins\neval\n(V1\ntR.",
        b"c_codecs\nencode\n(Va\nVrot13\ntR.",
        b"cnumpy.core\nload\n.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I9\ntVb\ntR.",
    ):
        (folder / "test_batch").write_bytes(text)
        refuses("test_batch: .*refused", lambda: data("test"))


def test_damaged_cifar_is_refused(tmp_path: Path) -> None:
    data = CIFAR10(root=str(tmp_path))
    refuses("has no folder cifar-10-batches-bin or cifar-10-batches-py", lambda: data("test"))
    folder = write_python(tmp_path)
    whole = (folder / "test_batch").read_bytes()
    for content in (b"", whole[:100], pickle.dumps([1]), pickle.dumps({"data": np.zeros((2, 3), np.uint8)})):
        (folder / "test_batch").write_bytes(content)
        refuses("test_batch", lambda: data("test"))
    (folder / "test_batch").unlink()
    refuses("there is no file .*test_batch", lambda: data("test"))
    write_binary(tmp_path, fine=False)
    file = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-1])
    refuses("test_batch.bin is damaged: 30729 bytes", lambda: data("test"))
    file.write_bytes(b"\xff" * 3073)
    refuses("has the label 255, but labels go from 0 to 9", lambda: data("test"))
    refuses("there is no folder", lambda: CIFAR10(root="nowhere")("test"))
    refuses("limit is 0", lambda: CIFAR10(root="", limit=-1))
    refuses("validation is a share", lambda: CIFAR100(root="", validation=1.0))
    refuses("'validation' is empty", lambda: CIFAR10(root=str(tmp_path), validation=0.0)("validation"))


def test_stl(tmp_path: Path) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for k, part in enumerate(("train", "test")):
        planes(20, 20 * k, 96).transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")
        (folder / f"{part}_y.bin").write_bytes(bytes(i % 10 + 1 for i in range(20)))
    data = STL10(root=str(tmp_path))
    check_splits(data, 40)
    check_batch(data("train"), 96)
    batch = everything(data("test"))
    assert batch.y.tolist() == [i % 10 for i in range(20)]
    assert torch.equal((batch.x[0, 1] * 255).round(), torch.arange(96.0).expand(96, -1))
    (folder / "test_y.bin").write_bytes(b"\x01")
    refuses("20 images but 1 labels in test", lambda: data("test"))
    (folder / "test_y.bin").write_bytes(b"\x00" * 20)
    refuses("has the label -1", lambda: data("test"))


# ---------------------------------------- parquet and hub


def write_parquet(
    path: Path,
    images: list[bytes | None],
    labels: list[Any],
    names: list[str] | None = None,
    plain: bool = False,
) -> str:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    cells = images if plain else [{"bytes": i, "path": "x.png"} for i in images]
    table = arrow.table({"image": cells, "label": labels})
    if names:
        text = json.dumps({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}})
        table = table.replace_schema_metadata({"huggingface": text})
    parquet.write_table(table, path, row_group_size=7)
    return str(path)


def small(count: int, start: int = 0) -> list[bytes | None]:
    return [encode(picture(start + i)) for i in range(count)]


@pytest.mark.parametrize("plain", [True, False])
def test_parquet_of_small_images_is_held_in_memory(tmp_path: Path, plain: bool) -> None:
    for k in range(3):
        write_parquet(tmp_path / f"train-{k}.parquet", small(20, 20 * k), [0, 1] * 10, ["cat", "dog"], plain)
    test = write_parquet(tmp_path / "test-0.parquet", small(10, 100), [0, 1] * 5, ["cat", "dog"], plain)
    data = Parquet(train=str(tmp_path / "train-*.parquet"), test=test)
    check_splits(data, 70)
    assert isinstance(data("train"), Memory) and data("train").classes == ("cat", "dog")
    assert data("train")[[0]].x.shape == (1, 3, 16, 20) and [len(data(s)) for s in SPLITS] == [54, 6, 10]
    for split in SPLITS:
        assert [red % 2 for red in reds(data(split))] == everything(data(split)).y.tolist()
    sized = Parquet(train=data.train, size=12, limit=4)
    check_batch(sized("train"), 12)
    assert [len(sized(s)) for s in SPLITS] == [4, 4, 4]
    check_splits(Parquet(train=data.train), 60)


def test_parquet_of_mixed_images_is_decoded_on_access(tmp_path: Path) -> None:
    images: list[bytes | None] = [encode(picture(i, 130 + i, 120)) for i in range(30)]
    images[3] = images[3][:60]  # type: ignore[index]
    data = Parquet(train=write_parquet(tmp_path / "a.parquet", images, [7] * 15 + [2] * 15), size=32)
    parts = [data(split) for split in SPLITS]
    assert not any(isinstance(part, Memory) for part in parts)
    assert parts[0].classes == tuple("01234567") and len(Parquet(train=data.train, classes=9)("test").classes) == 9
    refuses("cannot read the image in row 3 of .*a.parquet", lambda: [everything(p) for p in parts])
    images[3] = images[4]
    write_parquet(tmp_path / "a.parquet", images, [7] * 15 + [2] * 15)
    check_batch(data("train"), 32)
    assert Parquet(train=data.train)("train")[[0]].x.shape == (1, 3, 224, 224)
    assert all((red < 15) == (y == 7) for red, y in zip(reds(data("train")), everything(data("train")).y, strict=True))


def test_a_row_is_named_by_its_file() -> None:
    origin = Origin(("a", "b", "c"), (2, 0, 3))
    assert [origin(row)[len("in row ") :] for row in (0, 1, 2, 4)] == ["0 of a", "1 of a", "0 of c", "2 of c"]


def test_what_is_wrong_with_parquet_is_said(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"

    def data(images: list[bytes | None], labels: list[Any], **kw: Any) -> Samples:
        return Parquet(train=write_parquet(file, images, labels), **kw)("train")

    refuses("there is no file .*none", lambda: Parquet(train=str(tmp_path / "none*.parquet"))("train"))
    refuses("no column 'y'; its columns are: image, label", lambda: data(small(4), [0, 1] * 2, label="y"))
    refuses("no column 'i'; its columns are", lambda: data(small(4), [0, 1] * 2, image="i"))
    refuses("'label' of .* holds string, not whole numbers", lambda: data(small(4), ["a", "b"] * 2))
    refuses("'label' of .* holds int64, not encoded images", lambda: data(small(4), [0, 1] * 2, image="label"))
    refuses("has only one class, 1", lambda: data(small(4), [1] * 4))
    refuses("has the label -1: ", lambda: data(small(4), [-1, 1] * 2))
    refuses("label 5, but there are only 3 classes", lambda: data(small(4), [0, 5] * 2, classes=3))
    write_parquet(file, small(4), [0, 1] * 2)
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(parquet.read_table(file).slice(0, 0), file)
    refuses("has no rows", lambda: Parquet(train=str(file))("train"))
    refuses("image in row 2 of", lambda: data([*small(2), b"x", *small(1)], [0, 1] * 2, validation=0.0))
    refuses("1 rows without a 'label'", lambda: data(small(4), [0, 1, 1, None]))
    refuses("rows whose 'image' is not in the file", lambda: data([*small(3), None], [0, 1] * 2, validation=0.0))
    refuses("cannot read the image in row", lambda: data([b"broken"] * 4, [0, 1] * 2, validation=0.0)[[0]])
    refuses("validation is a share from 0 to below 0.5", lambda: data([], [], validation=0.5))
    refuses("limit are at least 0", lambda: data([], [], limit=-1))
    refuses(
        "'test' is empty",
        lambda: Parquet(train=write_parquet(file, small(4), [0, 1] * 2), validation=0)("test"),
    )
    whole = file.read_bytes()
    for damaged in (b"", whole[:-20], b"PAR1" + bytes(40) + b"PAR1"):
        file.write_bytes(damaged)
        refuses("cannot read the parquet file .*x.parquet: ", lambda: Parquet(train=str(file))("train"))


def test_real_parquet() -> None:
    cifar = Parquet(train=shared("cifar10/train-*.parquet"), test=shared("cifar10/test-*.parquet"), limit=200)
    check_batch(cifar("test"), 32)
    assert cifar("train").classes[:2] == ("airplane", "automobile") and len(cifar("train")) == 200
    test = everything(cifar("test"))
    assert test.y.bincount(minlength=10).min() > 5 and 0.4 < float(test.x.mean()) < 0.55
    hundred = Parquet(train=shared("cifar100/train-*.parquet"), test=shared("cifar100/test-*.parquet"), limit=50)
    assert len(hundred("test").classes) == 100
    assert len(Parquet(**{**vars(hundred), "label": "coarse_label"})("test").classes) == 20


def test_real_photographs() -> None:
    data = Parquet(train=shared("imagenet-sample/*.parquet"), size=64, resize=72)
    check_batch(data("test"), 64)
    assert len(data("train").classes) == 1000 and sum(len(data(split)) for split in SPLITS) == 334
    without = Parquet(train=shared("voc2012-seg/train-*.parquet"))
    refuses("no column of one label per row .*; its columns are: image, mask, objects", lambda: without("train"))


def test_the_hub_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    refuses(r"Hub needs the package 'datasets': pip install 'glasshouse\[hub\]'", lambda: Hub(name="x")("train"))


class Table:
    """As much of a table of ``datasets`` as the hub touches."""

    def __init__(self, rows: list[dict[str, Any]], raw: bool = False) -> None:
        self.rows, self.raw = rows, raw
        self.column_names = list(rows[0])
        self.features = {"label": types.SimpleNamespace(names=["cat", "dog"])}

    def __getitem__(self, name: str) -> list[Any]:
        assert name != "img" or self.raw, "images must not be decoded by datasets"
        return [row[name] for row in self.rows]

    def cast_column(self, name: str, feature: Any) -> Table:
        assert (name, feature) == ("img", ("Image", False))
        return Table(self.rows, raw=True)

    def select(self, rows: list[int]) -> Table:
        return Table([self.rows[i] for i in rows], self.raw)


def test_the_hub_maps_what_datasets_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(99).save(tmp_path / "outside.png")
    rows = [{"img": {"bytes": b, "path": None}, "label": i % 2} for i, b in enumerate(small(30))]
    rows[0] = {"img": {"bytes": None, "path": str(tmp_path / "outside.png")}, "label": 1}
    asked = []

    def load_dataset(name: str, config: str | None, *, split: str, revision: str | None) -> Table:
        asked.append((name, config, split, revision))
        if split not in ("train", "held-out"):
            raise ConnectionError("cannot reach it\nand more lines")
        return Table(rows[:20] if split == "train" else rows[20:])

    module = types.ModuleType("datasets")
    vars(module).update(load_dataset=load_dataset, Image=lambda decode: ("Image", decode))
    monkeypatch.setitem(sys.modules, "datasets", module)
    data = Hub(name="some/set", test="held-out", config="plain", revision="v1")
    check_splits(data, 30)
    assert data("train").classes == ("cat", "dog") and ("some/set", "plain", "held-out", "v1") in asked
    seen = dict(zip(reds(data("train")), everything(data("train")).y.tolist(), strict=True))
    assert all(y == red % 2 for red, y in seen.items())
    check_splits(Hub(name="x", test=""), 20)
    refuses("cannot load 'x' .test. from the hub: cannot reach it", lambda: Hub(name="x")("test"))
    refuses("no column 'y'; its columns are: img, label", lambda: Hub(name="x", test="", label="y")("train"))
    refuses("name is the name", lambda: Hub(name=""))


# ---------------------------------------- augmentation


def marked(count: int = 64) -> Batch:
    """Images that carry their own mask and attribution in their pixels."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((count, 3, 12, 10), generator=generator) * 0.5 + 0.25
    mask = torch.rand((count, 12, 10), generator=generator) > 0.3
    x[:, 0] = mask.float() * 0.5 + 0.5
    return Batch(x, torch.arange(count), mask, x[:, 1].clone(), torch.rand(count), torch.arange(count))


def test_mask_and_attribution_move_with_the_image() -> None:
    before = marked()
    torch.manual_seed(0)
    after = CropFlip(padding=3)(before)
    assert after.mask is not None and after.attribution is not None and after.x.shape == before.x.shape
    outside = after.x[:, 2] == 0
    assert outside.any() and after.mask[outside].all() and (after.attribution[outside] == 0).all()
    assert torch.equal(after.mask[~outside], after.x[:, 0][~outside] == 1)
    assert torch.equal(after.attribution[~outside], after.x[:, 1][~outside])
    assert after.y is before.y and after.weight is before.weight and after.index is before.index
    assert torch.equal(before.x, marked().x)


def test_each_sample_is_moved_on_its_own() -> None:
    before = marked(400)
    torch.manual_seed(1)
    after = CropFlip(padding=2)(before).x
    torch.manual_seed(1)
    assert torch.equal(after, CropFlip(padding=2)(before).x)
    padded = torch.nn.functional.pad(before.x, (2, 2, 2, 2))
    seen = set()
    for i, image in enumerate(after):
        crops = {(r, c): padded[i, :, r : r + 12, c : c + 10] for r in range(5) for c in range(5)}
        seen |= {(*k, f) for k, v in crops.items() for f in (0, 1) if torch.equal(v.flip(2) if f else v, image)}
    assert len(seen) == 50, "every shift, mirrored or not"


def test_without_padding_and_mirrors_nothing_moves() -> None:
    before = marked(8)
    assert torch.equal(CropFlip(padding=0, flip=False)(before).x, before.x)
    plain = CropFlip()(Batch(before.x, before.y))
    assert plain.mask is None and plain.attribution is None
    refuses("padding is at least 0", lambda: CropFlip(padding=-1))


# ---------------------------------------- shorthand


def test_what_a_person_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", {"a": 4, "b": 4})
    write_folder(tmp_path / "Digits", {"a": 4, "b": 4})
    (tmp_path / "cifar").mkdir()
    write_binary(tmp_path / "cifar", fine=False)
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for name in ("train-0", "validation-0"):
        write_parquet(tmp_path / "hub" / "data" / f"{name}.parquet", small(10), [0, 1] * 5)
    (tmp_path / "one[1]").mkdir()
    write_parquet(tmp_path / "one[1]" / "sample.parquet", small(20), [0, 1] * 10)
    assert data_from("photos", NAMES) == ImageFolder(root="photos")
    assert data_from("Digits", NAMES) == Digits() and data_from("./Digits", NAMES) == ImageFolder(root="Digits")
    assert data_from("cifar", NAMES) == data_from("cifar", NAMES) == CIFAR10(root="cifar")
    hub = data_from("hub", NAMES)
    assert hub == Parquet(train="hub/data/train*.parquet", test="hub/data/val*.parquet") and len(hub("test")) == 10
    assert len(data_from("one[1]", NAMES)("test")) == 2
    assert data_from("x*.parquet", NAMES) == Parquet(train="x*.parquet")
    assert data_from("Digits(size=16)", NAMES) == Digits(size=16)
    write_binary(tmp_path / "cifar", fine=True)
    refuses("holds CIFAR10 and CIFAR100; say which", lambda: data_from("cifar", NAMES))
    (tmp_path / "hub" / "data" / "train-0.parquet").unlink()
    refuses("none is named train", lambda: data_from("hub", NAMES))
    refuses("understood as a path, but there is no such folder", lambda: data_from("no/where", NAMES))
    refuses(
        "'nonsense' is no folder and no parquet file, and as a component: unknown",
        lambda: data_from("nonsense", NAMES),
    )
    refuses("it is no data set", lambda: data_from("CropFlip(padding=2)", NAMES))
    refuses("as a component", lambda: data_from("", NAMES))
    refuses("as a component", lambda: data_from("x" * 5000, NAMES))
