"""Corrupted data sets: drawn as they are read, and the published arrays."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from glasshouse.corruptions import Brightness, GaussianNoise
from glasshouse.data import CIFARC, Corrupted, Digits, Photos, Planted
from glasshouse.data.samples import Memory, Subset, batches, title_of
from glasshouse.registry import names
from glasshouse.spec import parse

COUNT = 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two corruptions of seven images; each byte tells the severity and the image."""
    severity, image = np.divmod(np.arange(5 * COUNT), COUNT)
    for k, name in enumerate(("gaussian_noise", "fog")):
        pixels = np.broadcast_to((severity * 20 + image + 100 * k)[:, None, None, None], (5 * COUNT, 32, 32, 3))
        pixels = pixels.astype(np.uint8)
        pixels[..., 2] = 255
        np.save(tmp_path / f"{name}.npy", pixels)
    np.save(tmp_path / "labels.npy", np.tile(np.arange(COUNT), 5).astype(np.uint8))
    return tmp_path


def test_only_the_named_splits_are_corrupted() -> None:
    data = Digits()
    corrupted = Corrupted(data=data, corruption=Brightness(severity=5))
    index = [3, 1, 4]
    for split in ("train", "validation"):
        assert torch.equal(corrupted(split)[index].x, data(split)[index].x)
    before, after = data("test")[index], corrupted("test")[index]
    assert torch.equal(after.x, Brightness(severity=5)(before.x)) and not torch.equal(after.x, before.x)
    both = replace(corrupted, splits=("train", "test"))
    assert not torch.equal(both("train")[index].x, data("train")[index].x)
    assert torch.equal(both("validation")[index].x, data("validation")[index].x)


def test_all_but_the_pixels_stays() -> None:
    data = Planted(data=Digits())
    before, after = data("test"), Corrupted(data=data, corruption=GaussianNoise())("test")
    assert after.classes == before.classes and len(after) == len(before)
    for name in ("y", "mask", "index"):
        assert torch.equal(getattr(after[[5, 2]], name), getattr(before[[5, 2]], name))


def test_a_title_is_passed_on(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30), "red").save(tmp_path / "cat.png")
    samples = Corrupted(data=Photos(root=str(tmp_path), size=32), corruption=GaussianNoise())("test")
    assert "cat.png" in title_of(samples, 0)


def test_an_image_is_the_same_each_time_in_any_batch_and_for_any_worker() -> None:
    samples = Subset(Corrupted(data=Digits(), corruption=GaussianNoise(seed=4))("test"), tuple(range(40)))
    whole = samples[range(40)].x
    torch.testing.assert_close(torch.cat([samples[[i]].x for i in range(40)]), whole, atol=1e-6, rtol=0)
    for workers in (0, 2):
        assert torch.equal(torch.cat([b.x for b in batches(samples, 40, workers=workers)]), whole)


def test_a_corrupted_data_set_is_its_text() -> None:
    data = Corrupted(data=Digits(), corruption=GaussianNoise(severity=5), splits=("validation", "test"))
    assert parse(repr(data), names()) == data
    with pytest.raises(ValueError, match="takes a Corruption"):
        parse("Corrupted(data=Digits, corruption=Digits)", names())


@pytest.mark.parametrize("splits", [(), ("testing",), ("test", "val")])
def test_unknown_splits_are_refused(splits: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="splits is a tuple of one or more of: train, validation, test"):
        Corrupted(data=Digits(), corruption=GaussianNoise(), splits=splits)
    with pytest.raises(ValueError, match="unknown split"):
        Corrupted(data=Digits(), corruption=GaussianNoise())("testing")


@pytest.mark.parametrize("severity", range(1, 6))
def test_published_arrays_are_read_as_they_are(folder: Path, severity: int) -> None:
    samples = CIFARC(root=str(folder), corruption="fog", severity=severity)("test")
    assert len(samples) == COUNT
    batch = samples[[6, 0, 2]]
    assert batch.x.shape == (3, 3, 32, 32) and batch.x.dtype == torch.float32
    expected = torch.tensor([6.0, 0, 2]) + 100 + 20 * (severity - 1)
    torch.testing.assert_close(batch.x[:, 0, 3, 5] * 255, expected)
    torch.testing.assert_close(batch.x[:, 2], torch.ones(3, 32, 32))
    assert batch.y.tolist() == [6, 0, 2] and batch.y.dtype == torch.int64
    assert batch.index is not None and batch.index.tolist() == [6, 0, 2]
    assert samples.classes[:4] == ("airplane", "automobile", "bird", "cat") and len(samples.classes) == 10


def test_arrays_stay_on_the_disk(folder: Path) -> None:
    samples = CIFARC(root=str(folder))("test")
    assert isinstance(samples.pictures, np.memmap) and samples.pictures.mode == "r"
    for batch in batches(samples, 3, workers=1):
        assert batch.x.shape[1:] == (3, 32, 32)


def test_labels_may_be_those_of_one_severity(folder: Path) -> None:
    np.save(folder / "labels.npy", np.arange(COUNT)[::-1].copy())
    assert CIFARC(root=str(folder), severity=5)("test")[range(COUNT)].y.tolist() == [6, 5, 4, 3, 2, 1, 0]


def test_a_hundred_classes_are_numbers(folder: Path) -> None:
    np.save(folder / "labels.npy", np.arange(COUNT) * 16)
    samples = CIFARC(root=str(folder))("test")
    assert len(samples.classes) == 100 and samples.classes[96] == "96" and samples[[6]].y.tolist() == [96]


@pytest.mark.parametrize("split", ["train", "validation", "testing"])
def test_there_is_only_a_test_split(folder: Path, split: str) -> None:
    with pytest.raises(ValueError, match="only the split 'test', not"):
        CIFARC(root=str(folder))(split)


def test_unknown_corruptions_and_severities_name_what_there_is(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no corruption 'rain'; there are: fog, gaussian_noise$"):
        CIFARC(root=str(folder), corruption="rain")("test")
    for outside in ("../fog", "labels", ""):
        with pytest.raises(ValueError, match="no corruption"):
            CIFARC(root=str(folder), corruption=outside)("test")
    with pytest.raises(ValueError, match="severity is a whole number from 1 to 5, not 6"):
        CIFARC(root=str(folder), severity=6)
    with pytest.raises(ValueError, match="there is no folder"):
        CIFARC(root=str(folder / "none"))("test")
    with pytest.raises(ValueError, match=r"no files such as gaussian_noise\.npy"):
        CIFARC(root=str(Path(__file__).parent))("test")


class Boom:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return exec, ("raise SystemExit('a pickle was run')",)


def numpy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


GOOD = numpy_bytes(np.zeros((10, 32, 32, 3), np.uint8))
BROKEN: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "junk": lambda: b"\x00 no array" * 50,
    "truncated": lambda: GOOD[:-100],
    "header only": lambda: GOOD[:20],
    "pickle": lambda: pickle.dumps(Boom()),
    "array of objects": lambda: numpy_bytes(np.array([Boom()], dtype=object)),
    "archive": archive,
    "huge": lambda: GOOD.replace(b"(10, 32, 32, 3)", b"(10**9,32,32,3)"),
    "huge number": lambda: GOOD.replace(b"(10, 32, 32, 3), }", b"(99999999999,32,3)"),
    "floats": lambda: numpy_bytes(np.zeros((10, 32, 32, 3))),
    "flat": lambda: numpy_bytes(np.zeros((10, 3072), np.uint8)),
    "channels first": lambda: numpy_bytes(np.zeros((10, 3, 32, 32), np.uint8)),
    "no images": lambda: numpy_bytes(np.zeros((0, 32, 32, 3), np.uint8)),
    "no multiple of 5": lambda: numpy_bytes(np.zeros((12, 32, 32, 3), np.uint8)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_and_hostile_images_are_refused(folder: Path, what: str) -> None:
    (folder / "fog.npy").write_bytes(BROKEN[what]())
    with pytest.raises(ValueError, match=r"fog\.npy") as caught:
        CIFARC(root=str(folder), corruption="fog")("test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        *(
            np.arange(COUNT + 1),
            np.arange(COUNT) / 2,
            np.arange(COUNT) - 1,
            np.arange(COUNT) + 95,
            np.zeros((COUNT, 1)),
        ),
        *(np.arange(5 * COUNT), np.array([Boom()] * COUNT, dtype=object), np.zeros(0, int)),
    ],
    ids=str,
)
def test_labels_that_do_not_fit_are_refused(folder: Path, labels: np.ndarray) -> None:
    (folder / "labels.npy").write_bytes(numpy_bytes(labels))
    with pytest.raises(ValueError, match=r"labels\.npy"):
        CIFARC(root=str(folder))("test")


def test_missing_labels_are_told(folder: Path) -> None:
    (folder / "labels.npy").unlink()
    with pytest.raises(ValueError, match=r"there is no file .*labels\.npy"):
        CIFARC(root=str(folder))("test")


def test_samples_in_memory_can_be_corrupted_as_well() -> None:
    from glasshouse.data.corrupted import CorruptedSamples

    memory = Memory(torch.full((3, 3, 8, 8), 51, dtype=torch.uint8), torch.arange(3), ("a", "b", "c"))
    samples = CorruptedSamples(memory, Brightness(severity=4))
    torch.testing.assert_close(samples[[1]].x, torch.full((1, 3, 8, 8), 0.4))
    assert samples.classes == ("a", "b", "c")
    assert title_of(samples, 2) == "image 2"
