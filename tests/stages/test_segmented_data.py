"""Data in which the class of each pixel is known: VOC, CUB, ImageNet-9, and what wraps them."""

from __future__ import annotations

import io
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from glasshouse.corruptions import Brightness
from glasshouse.data import CUB200, VOC, Biased, Corrupted, Digits, ImageNet9, OtherBackgrounds, Planted, PositionDecoy
from glasshouse.data.backgrounds import of_no_common_class
from glasshouse.data.parquet import Parquet
from glasshouse.data.samples import Memory, Renamed, Subset, title_of
from glasshouse.data.shorthand import data_from
from glasshouse.data.voc_files import OBJECTS
from glasshouse.registry import names
from glasshouse.types import NOWHERE, SPLITS, VOID, Batch, Samples

ROWS, COLUMNS, CELL = 8, 10, 2  # masks are drawn in cells of 2 x 2 pixels; cut to 8 x 8 the outer columns go
TRAIN, VAL = [f"2007_{i:06}" for i in range(12)], [f"2008_{i:06}" for i in range(12, 16)]


def drawing(i: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The mask of image ``i``, a number for each cell."""
    cells = np.zeros((ROWS, COLUMNS), np.uint8)
    cells[:, 0] = 3  # cut away
    if i != 5:
        cells[2:4, 2:5] = i + 1  # 6 cells, the class i
        cells[4, 2:5] = 255
    if i % 4 == 1 and i != 5:
        cells[6:8, 2:7] = 20  # 10 cells, the class 19
    return cells


def scene(i: int) -> Image.Image:
    """Image ``i``: its red is 10 i."""
    return Image.new("RGB", (COLUMNS * CELL, ROWS * CELL), (10 * i, 100, 0))


def mask_image(cells: np.ndarray[Any, Any]) -> Image.Image:
    """A picture with a palette, as VOC has them."""
    image = Image.fromarray(np.kron(cells, np.ones((CELL, CELL), np.uint8)), "P")
    image.putpalette([(7 * k) % 256 for k in range(768)])
    return image


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """VOC 2012 as torchvision leaves it."""
    folder = tmp_path / "voc" / "VOCdevkit" / "VOC2012"
    for below in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / below).mkdir(parents=True)
    for i, name in enumerate(TRAIN + VAL):
        scene(i).save(folder / "JPEGImages" / f"{name}.jpg", "PNG")  # what is inside counts, and PNG is exact
        mask_image(drawing(i)).save(folder / "SegmentationClass" / f"{name}.png")
    for part, listed in (("train", TRAIN), ("val", VAL)):
        (folder / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(listed) + "\n")
    return tmp_path / "voc"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """The same as parquet files, training in two of them."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (folder := tmp_path / "hub").mkdir()
    for name, rows in (("train-0", range(7)), ("train-1", range(7, 12)), ("val-0", range(12, 16))):
        images = [{"bytes": encoded(scene(i)), "path": None} for i in rows]
        masks = [{"bytes": encoded(mask_image(drawing(i))), "path": None} for i in rows]
        table = {"image": images, "mask": masks, "objects": [[i] for i in rows]}
        parquet.write_table(arrow.table(table), folder / f"{name}.parquet", row_group_size=3)
    return folder


def everything(samples: Samples) -> Batch:
    return samples[list(range(len(samples)))]


def numbers_of(batch: Batch) -> list[int]:
    """Which images these are, by their red."""
    return [round(255 * float(red) / 10) for red in batch.x[:, 0, 4, 4]]


def given(values: Tensor | None) -> Tensor:
    assert values is not None
    return values


def cut(i: int) -> Tensor:
    """What must come out of :func:`drawing`: the inner columns, each class one lower."""
    cells = torch.from_numpy(drawing(i)[:, 1:-1].astype(np.int64))
    return torch.where(cells == 255, VOID, torch.where(cells == 0, NOWHERE, cells - 1))


def refuses(sentence: str, action: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        action()
    assert "\n" not in str(caught.value)


# ---------------------------------------- VOC


def test_an_image_has_the_classes_of_its_pixels_after_the_cut(devkit: Path) -> None:
    for split in SPLITS:
        samples = VOC(root=str(devkit), size=8, validation=0.25)(split)
        batch = everything(samples)
        assert samples.classes == OBJECTS and len(OBJECTS) == 20 and OBJECTS[14] == "person"
        assert (
            batch.y.dtype == torch.float32 and float(batch.y.max()) == 1 and given(batch.regions).dtype == torch.int64
        )
        for k, i in enumerate(numbers_of(batch)):
            expected = {i, 19} if i % 4 == 1 else {i}
            assert set(batch.y[k].nonzero()[:, 0].tolist()) == expected
            assert torch.equal(given(batch.regions)[k], cut(i))
        assert torch.equal(given(batch.mask), given(batch.regions) >= 0)
        assert given(batch.index).tolist() == list(range(len(samples)))
        assert torch.equal(given(pickle.loads(pickle.dumps(samples))[[0]].regions), given(samples[[0]].regions))


def test_the_official_val_is_for_test_and_what_shows_nothing_is_left_out(devkit: Path) -> None:
    train, validation, test = (numbers_of(everything(VOC(root=str(devkit), size=8)(split))) for split in SPLITS)
    assert test == [12, 13, 14, 15]
    assert sorted(train + validation) == [i for i in range(12) if i != 5] and validation
    assert train == sorted(train)
    refuses("unknown split 'val'", lambda: VOC(root=str(devkit), size=8)("val"))


def test_a_single_class_is_that_of_most_pixels(devkit: Path) -> None:
    batch = everything(VOC(root=str(devkit), size=8, single=True)("train"))
    assert batch.y.dtype == torch.int64
    assert batch.y.tolist() == [19 if i % 4 == 1 else i for i in numbers_of(batch)]
    assert {int(k) for k in given(batch.regions)[numbers_of(batch).index(1)].unique()} == {VOID, NOWHERE, 1, 19}


def test_a_folder_and_parquet_files_are_the_same_data(devkit: Path, tables: Path) -> None:
    roots = (devkit, devkit / "VOCdevkit", devkit / "VOCdevkit" / "VOC2012", tables)
    for size in (8, 100):
        for split in SPLITS:
            first, *others = (everything(VOC(root=str(root), size=size)(split)) for root in roots)
            assert (given(first.regions) == VOID).any() and torch.equal(given(first.mask), given(first.regions) >= 0)
            for other in others:
                assert all(torch.equal(given(a), given(b)) for a, b in zip(first, other, strict=True) if a is not None)


def test_large_images_and_masks_are_cut_as_torchvision_cuts(devkit: Path) -> None:
    ramp = np.arange(ROWS * COLUMNS * CELL**2, dtype=np.int64).reshape(ROWS * CELL, COLUMNS * CELL) * 5 % 21
    picture = np.stack([ramp * 12] * 3, -1).astype(np.uint8)
    folder = devkit / "VOCdevkit" / "VOC2012"
    Image.fromarray(picture).save(folder / "JPEGImages" / f"{VAL[0]}.jpg", "PNG")
    Image.fromarray(ramp.astype(np.uint8)).save(folder / "SegmentationClass" / f"{VAL[0]}.png")
    for size, resize in ((100, 0), (97, 130), (8, 12)):
        samples = VOC(root=str(devkit), size=size, resize=resize)("test")
        batch = samples[[0]]
        mask = transforms.resize(Image.fromarray(ramp.astype(np.uint8)), resize or size, InterpolationMode.NEAREST)
        image = transforms.resize(Image.fromarray(picture), resize or size)
        drawn = transforms.pil_to_tensor(transforms.center_crop(mask, size))[0].long()
        assert torch.equal(given(batch.regions)[0], drawn - 1)
        torch.testing.assert_close(batch.x[0], transforms.to_tensor(transforms.center_crop(image, size)))
        assert title_of(samples, 1) == f"{VAL[1]}.jpg"


def test_what_is_left_out_does_not_count_to_the_limit(devkit: Path) -> None:
    data = VOC(root=str(devkit), size=8, validation=0.0)
    listed = [numbers_of(everything(replace(data, limit=n)("train"))) for n in range(1, 12)]
    drawn = [set(some) for some in listed]
    assert [len(some) for some in drawn] == list(range(1, 12)) and all(some == sorted(some) for some in listed)
    others = (numbers_of(everything(replace(data, limit=3, seed=seed)("train"))) for seed in range(5))
    assert len({tuple(some) for some in others}) > 1
    assert all(few < more for few, more in pairwise(drawn))


def test_with_a_limit_no_more_masks_are_read_than_it_takes(devkit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glasshouse.data.voc.TOGETHER", 2)
    few = VOC(root=str(devkit), size=8, validation=0.0, limit=2)
    near = numbers_of(everything(replace(few, limit=4)("train")))  # the first two or three pairs that are read
    for i, name in enumerate(TRAIN):
        if i not in near:
            (devkit / "VOCdevkit" / "VOC2012" / "SegmentationClass" / f"{name}.png").write_bytes(b"")
    assert len(few("train")) == 2
    refuses("cannot read the image", lambda: replace(few, limit=12)("train"))


def test_what_is_wrong_with_voc_is_said(devkit: Path, tmp_path: Path) -> None:
    folder, data = devkit / "VOCdevkit" / "VOC2012", VOC(root=str(devkit), size=8)
    mask, image = folder / "SegmentationClass" / f"{VAL[0]}.png", folder / "JPEGImages" / f"{VAL[0]}.jpg"
    good = mask.read_bytes()
    refuses("there is no folder .*nowhere", lambda: replace(data, root=str(tmp_path / "nowhere"))("train"))
    refuses("has neither VOCdevkit/.* nor files train", lambda: replace(data, root=str(tmp_path))("train"))
    scene(3).save(mask)
    refuses(f"the mask .*{VAL[0]}.png holds colours \\(RGB\\)", lambda: data("test"))
    mask_image(np.full((ROWS, COLUMNS), 21, np.uint8)).save(mask)
    refuses(f"the mask .*{VAL[0]}.png has the number 21; there are 0 to 20, and 255", lambda: data("test"))
    mask_image(np.ones((ROWS + 1, COLUMNS), np.uint8)).save(mask)
    refuses(f"the mask is 20 x 18 but 20 x 16 is its image .*{VAL[0]}.jpg", lambda: data("test"))
    mask.write_bytes(good[:70])
    refuses(f"cannot read the image .*{VAL[0]}.png", lambda: data("test"))
    mask.unlink()
    refuses(f"cannot read the image .*{VAL[0]}.png", lambda: data("test"))
    mask.write_bytes(good)
    image.write_bytes(b"no image")
    refuses(f"cannot read the image .*{VAL[0]}.jpg", lambda: replace(data, size=100)("test"))
    image.unlink()
    refuses(f"cannot read the image .*{VAL[0]}.jpg", lambda: data("test"))
    listed = folder / "ImageSets" / "Segmentation" / "val.txt"
    for text, sentence in (
        ("../../secret\n", r"val.txt has '../../secret', which is no name of an image"),
        ("\n", "val.txt is empty"),
        (b"\xff\xfe", "cannot read the list of images .*val.txt: it is no text"),
        (None, "cannot read the list of images .*val.txt: No such file"),
    ):
        listed.unlink() if text is None else listed.write_bytes(text if isinstance(text, bytes) else text.encode())
        refuses(sentence, lambda: data("test"))
    mask_image(np.zeros((ROWS, COLUMNS), np.uint8)).save(mask)
    listed.write_text(VAL[0])
    refuses("the split 'test' has no image that shows an object", lambda: data("test"))
    refuses("the split 'validation' is empty", lambda: replace(data, validation=0.0)("validation"))


@pytest.mark.parametrize("cls", [VOC, CUB200, ImageNet9])
def test_what_is_wrong_with_the_fields_is_said(cls: Any) -> None:
    refuses("size is at least 1", lambda: cls(root="r", size=0))
    refuses("resize is 0 or at least size", lambda: cls(root="r", resize=100))
    refuses("validation is a share from 0 to below 1", lambda: cls(root="r", validation=1.0))
    refuses("limit is 0", lambda: cls(root="r", limit=-1))


def test_what_is_wrong_with_the_tables_is_said(tables: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data, file = VOC(root=str(tables), size=8), tables / "val-0.parquet"
    rows = parquet.read_table(file)
    image, mask = (rows.column(name).to_pylist() for name in ("image", "mask"))
    parquet.write_table(arrow.table({"image": image, "mask": [1, 2, 3, 4]}), file)
    refuses("the column 'mask' of .*val-0.parquet holds int64, not encoded images", lambda: data("test"))
    parquet.write_table(arrow.table({"image": image}), file)
    refuses("has no column of one mask per row", lambda: data("test"))
    mask[2] = {"bytes": b"\x89PNG no more", "path": None}
    parquet.write_table(arrow.table({"image": image, "mask": mask}), file)
    refuses("cannot read the image in row 2 of .*val-0.parquet", lambda: data("test"))
    file.write_bytes(b"PAR1")
    refuses("cannot read the parquet file .*val-0.parquet", lambda: data("test"))


def test_the_real_photographs(shared_data: Path) -> None:
    if not (root := shared_data / "voc2012-seg").is_dir():
        pytest.skip("no voc2012-seg in the shared data")
    data = VOC(root=str(root), size=224, limit=120)
    batch = everything(Subset(data("test"), tuple(range(0, 120, 10))))
    assert batch.x.shape == (12, 3, 224, 224) and 0.35 < float(batch.x.mean()) < 0.6
    there = torch.stack([(given(batch.regions) == k).flatten(1).any(1) for k in range(20)], 1)
    assert torch.equal(there, batch.y > 0) and 1 <= float(batch.y.sum(1).mean()) < 2
    whole = everything(VOC(root=str(root), size=32)("test"))
    assert 100 < int(whole.y[:, OBJECTS.index("cat")].sum()) < 130  # 445 images, mostly animals
    # What is drawn as a class differs from what is around it: the mask lies on its object, not beside it.
    inside, edge = given(whole.mask), given(whole.regions) == VOID
    assert 0.1 < float(inside.float().mean()) < 0.6 and 0 < float(edge.float().mean()) < 0.15


# ---------------------------------------- CUB


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Three species of five training and two test images, with outlines beside."""
    folder = tmp_path / "cub" / "CUB_200_2011"
    species = ("001.Albatross", "002.Auklet", "003.Blackbird")
    images, labels, training = [], [], []
    for i in range(21):
        name = f"{species[i % 3]}/bird_{i}"
        for below in (folder / "images", folder.parent / "segmentations"):
            (below / species[i % 3]).mkdir(parents=True, exist_ok=True)
        scene(i).save(folder / "images" / f"{name}.jpg", "PNG")
        levels = np.kron(votes(), np.ones((CELL, CELL), np.uint8))
        kind: str = ("L", "RGBA", "LA")[i % 3]  # all occur among the published ones
        Image.fromarray(levels).convert(kind).save(folder.parent / "segmentations" / f"{name}.png")
        images.append(f"{i + 1} {name}.jpg")
        labels.append(f"{i + 1} {i % 3 + 1}")
        training.append(f"{i + 1} {int(i < 15)}")
    classes = [f"{k + 1} {name}" for k, name in enumerate(species)]
    lists = {
        "images": images,
        "image_class_labels": labels,
        "train_test_split": training,
        "classes": classes,
    }
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder.parent


def votes() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What share of five annotators saw the bird, of 255, in each cell."""
    cells = np.zeros((ROWS, COLUMNS), np.uint8)
    cells[2:6, 2:8] = 102
    cells[3:5, 3:7] = 153
    cells[3, 3] = 255
    return cells


@pytest.mark.parametrize("inside", [False, True])
def test_a_bird_is_where_most_annotators_saw_it(birds: Path, inside: bool) -> None:
    if inside:
        (birds / "segmentations").rename(birds / "CUB_200_2011" / "segmentations")
    bird = torch.from_numpy(votes()[:, 1:-1] > 127)
    for root in (birds, birds / "CUB_200_2011"):
        for split in SPLITS:
            samples = CUB200(root=str(root), size=8, validation=0.2)(split)
            batch = everything(samples)
            assert batch.y.dtype == torch.int64 and batch.y.tolist() == [i % 3 for i in numbers_of(batch)]
            assert torch.equal(given(batch.mask), bird.expand(len(batch.y), -1, -1))
            expected = torch.where(bird, batch.y[:, None, None], NOWHERE)
            assert torch.equal(given(batch.regions), expected) and expected.dtype == given(batch.regions).dtype
            assert samples.classes == ("001.Albatross", "002.Auklet", "003.Blackbird")
            assert [title_of(samples, k) for k in range(2)] == [f"bird_{i}.jpg" for i in numbers_of(batch)[:2]]


def test_the_official_split_of_the_birds(birds: Path) -> None:
    data = CUB200(root=str(birds), size=8, validation=0.2)
    train, validation, test = (numbers_of(everything(data(split))) for split in SPLITS)
    assert test == list(range(15, 21)) and sorted(train + validation) == list(range(15))
    assert sorted(i % 3 for i in validation) == [0, 1, 2]  # each species alike
    shutil.rmtree(birds / "segmentations")
    plain = everything(data("test"))
    assert plain.mask is None and plain.regions is None and numbers_of(plain) == test
    assert len(replace(data, limit=4)("train")) == 4


def test_what_is_wrong_with_the_birds_is_said(birds: Path) -> None:
    folder, data = birds / "CUB_200_2011", CUB200(root=str(birds), size=8)
    refuses("has no CUB_200_2011/train_test_split.txt", lambda: CUB200(root=str(birds / "segmentations"))("train"))
    outline = birds / "segmentations" / "001.Albatross" / "bird_15.png"
    Image.new("L", (4, 6)).save(outline)
    refuses("the mask is 4 x 6 but 20 x 16 is its image .*bird_15.jpg", lambda: data("test")[[0]])
    outline.write_bytes(b"")
    refuses("cannot read the image .*bird_15.png", lambda: data("test")[[0]])
    outline.unlink()
    refuses("the image .*bird_15.jpg has no mask in", lambda: data("test"))
    for file, text, sentence in (
        ("images", "1 ../../secret.jpg", "images.txt leads to another folder: ../../secret.jpg"),
        ("images", "1", "images.txt is damaged: each line is a number and a text"),
        ("images", "99 a/b.jpg", "do not tell the class and the split of image 99, a/b.jpg"),
        ("train_test_split", "1 7", "do not tell the class and the split of image 1"),
        ("image_class_labels", "1 4", "do not tell the class and the split of image 1"),
    ):
        before = (folder / f"{file}.txt").read_text()
        (folder / f"{file}.txt").write_text(text)
        refuses(sentence, lambda: data("test"))
        (folder / f"{file}.txt").write_text(before)
    (folder / "classes.txt").unlink()
    refuses("cannot read the list .*classes.txt: No such file", lambda: data("test"))


# ---------------------------------------- ImageNet-9


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    """Two classes; images of a variant are told apart by their red."""
    start = 0
    for below, count in (("original/train", 5), ("original/val", 2), ("mixed_rand/val", 2), ("fg_mask/val", 0)):
        for name in ("00_dog", "01_bird"):
            (folder := tmp_path / "nine" / below / name).mkdir(parents=True)
            for _ in range(count):
                scene(start).save(folder / f"{start}.png")
                start += 1
    return tmp_path / "nine"


def test_each_variant_has_test_images_of_its_own(nine: Path) -> None:
    data = ImageNet9(root=str(nine), size=8, validation=0.2)
    mixed = replace(data, variant="mixed_rand")
    train, validation = (everything(mixed(split)) for split in SPLITS[:2])
    assert sorted(numbers_of(train) + numbers_of(validation)) == list(range(10))
    assert sorted(validation.y.tolist()) == [0, 1]
    assert numbers_of(everything(data("test"))) == [10, 11, 12, 13]
    assert numbers_of(everything(mixed("test"))) == [14, 15, 16, 17]
    assert everything(mixed("test")).y.tolist() == [0, 0, 1, 1] and mixed("test").classes == ("00_dog", "01_bird")
    (nine / "original" / "train").rename(nine / "train")
    assert numbers_of(everything(data("train"))) == numbers_of(train)
    shutil.rmtree(nine / "train")
    assert numbers_of(everything(mixed("test"))) == [14, 15, 16, 17]
    refuses("has no training images: neither train nor original/train is there", lambda: data("train"))
    there = "has no variant 'only_fg' of ImageNet-9; there are: fg_mask, mixed_rand, original"
    refuses(there, lambda: replace(data, variant="only_fg")("test"))
    refuses("there is no folder", lambda: ImageNet9(root=str(nine / "nothing"))("test"))
    refuses("the split 'test' is empty", lambda: replace(data, variant="fg_mask")("test"))


# ---------------------------------------- bias


@dataclass(frozen=True)
class Known:
    """Samples that are there."""

    samples: Samples

    def __call__(self, split: str) -> Samples:
        return self.samples


def several_classes(count: int = 11) -> Memory:
    """Random images with two of five classes each, masks, regions and titles."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (count, 3, 6, 6), generator=generator, dtype=torch.uint8)
    labels, regions = torch.zeros(count, 5), torch.full((count, 6, 6), NOWHERE, dtype=torch.int8)
    for i in range(count):
        for k in (i % 5, (i + 1) % 5):
            labels[i, k] = 1
            regions[i, k] = k
        regions[i, 5] = VOID
    titles = tuple(f"picture {i}.jpg" for i in range(count))
    return Memory(pixels, labels, tuple("abcde"), regions >= 0, regions, titles)


@pytest.mark.parametrize(("shift", "factor"), [(0.5, 1.0), (-0.5, 1.0), (0.0, 1.5), (0.25, 0.5)])
def test_a_biased_image_is_what_the_formula_says(shift: float, factor: float) -> None:
    samples = several_classes()
    biased: Any = Biased(data=Known(samples), shift=shift, factor=factor, seed=4)("train")
    assert biased.biased.dtype == torch.bool and int(biased.biased.sum()) == round(0.8 * 11)
    before, after = everything(samples), everything(biased)
    for i in range(11):
        x = before.x[i].double().numpy()
        expected = np.clip(factor * x + shift * np.std(x), 0, 1) if biased.biased[i] else x
        np.testing.assert_allclose(after.x[i].numpy(), expected, atol=1e-6)
    for name in ("y", "mask", "regions", "index"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    assert torch.equal(biased[[7, 2]].x, after.x[[7, 2]]) and title_of(biased, 3) == "picture 3.jpg"


def test_the_share_is_exact_and_drawn_once() -> None:
    samples = several_classes()
    drawn = {}
    for share in (0.0, 0.31, 0.8, 1.0):
        biased: Any = Biased(data=Known(samples), shift=0.5, share=share)("train")
        again: Any = Biased(data=Known(samples), factor=1.5, share=share)("train")
        assert int(biased.biased.sum()) == round(share * 11) and torch.equal(biased.biased, again.biased)
        drawn[share] = biased.biased
    other: Any = Biased(data=Known(samples), shift=0.5, seed=1)("train")
    assert not torch.equal(other.biased, drawn[0.8])


def test_bias_is_in_the_splits_that_are_named() -> None:
    digits = Digits(decoy=None)
    data = Biased(data=digits, shift=0.5, share=1.0)
    assert not torch.equal(data("train")[[0]].x, digits("train")[[0]].x)
    assert torch.equal(data("test")[[0]].x, digits("test")[[0]].x)
    assert not torch.equal(replace(data, splits=("test",))("test")[[0]].x, digits("test")[[0]].x)
    refuses("splits is a tuple", lambda: replace(data, splits=("val",)))
    refuses("share is from 0 to 1", lambda: replace(data, share=1.2))
    refuses("factor is at least 0", lambda: replace(data, factor=-1.0))
    refuses("unknown split", lambda: data("val"))


# ---------------------------------------- what wraps data with several classes


def test_memory_keeps_regions_and_titles() -> None:
    samples = several_classes()
    batch = samples[[4, 1]]
    assert given(batch.regions).dtype == torch.int64 and given(batch.regions)[:, :, 0].tolist() == [
        [0, -1, -1, -1, 4, -2],
        [-1, 1, 2, -1, -1, -2],
    ]
    assert title_of(samples, 4) == "picture 4.jpg"
    plain = Memory(samples.pixels, samples.labels, samples.classes)
    assert plain[[0]].regions is None and title_of(plain, 4) == "image 4"


def test_wrapped_samples_keep_their_regions_and_classes() -> None:
    samples = several_classes()
    batch = samples[[6, 2]]
    chosen = Subset(samples, (1, 6, 2))[[1, 2]]
    corrupted = Corrupted(data=Known(samples), corruption=Brightness())("test")[[6, 2]]
    for other in (chosen, corrupted):
        assert torch.equal(other.y, batch.y) and torch.equal(given(other.regions), given(batch.regions))


def test_renamed_classes_move_in_labels_and_regions() -> None:
    samples = several_classes()
    called = ("z", "e", "d", "y", "c", "b", "a")
    batch, renamed = samples[[4, 1]], Renamed(samples, called)[[4, 1]]
    assert renamed.y.dtype == torch.float32 and renamed.y.shape == (2, 7)
    for k in range(2):
        assert {called[i] for i in renamed.y[k].nonzero()[:, 0]} == {"abcde"[i] for i in batch.y[k].nonzero()[:, 0]}
    for old, new in zip(
        given(batch.regions).flatten().tolist(), given(renamed.regions).flatten().tolist(), strict=True
    ):
        assert (called[new] == "abcde"[old]) if old >= 0 else new == old
    same = Renamed(samples, ("v", "w", "x", "y", "z"))[[4, 1]]
    assert torch.equal(same.y, batch.y) and torch.equal(given(same.regions), given(batch.regions))


def test_a_decoy_hides_what_is_below_and_tells_the_first_class() -> None:
    samples = several_classes()
    first = [min(i % 5, (i + 1) % 5) for i in range(11)]
    one = Memory(samples.pixels, torch.tensor(first), samples.classes)
    batch = everything(Planted(data=Known(samples), decoy=PositionDecoy(size=2))("train"))
    assert torch.equal(batch.x, everything(Planted(data=Known(one), decoy=PositionDecoy(size=2))("train")).x)
    before = everything(samples)
    patch = (batch.x != before.x).any(1)
    assert patch.any() and (given(batch.regions)[patch] == NOWHERE).all() and not given(batch.mask)[patch].any()
    far = batch.x[:, 0] < 1  # the decoy is white
    assert torch.equal(given(batch.regions)[far], given(before.regions)[far])
    assert torch.equal(everything(Planted(data=Known(samples), decoy=PositionDecoy(size=2))("test")).y, before.y)


def test_the_other_background_has_none_of_the_classes() -> None:
    samples = several_classes()
    y = samples.labels
    drawn = torch.stack([of_no_common_class(y, seed) for seed in range(200)])
    for i in range(len(y)):
        assert set(drawn[:, i].tolist()) == {j for j in range(len(y)) if not (y[i] * y[j]).any()}
    shared = torch.eye(3)
    shared[:, 0] = 1
    refuses("no image has a background for image 0: each shares a class", lambda: of_no_common_class(shared, 0))


def test_objects_keep_their_regions_before_other_backgrounds() -> None:
    samples = several_classes()
    batch = everything(samples)
    other = everything(OtherBackgrounds(data=Known(samples))("test"))
    assert torch.equal(other.y, batch.y) and torch.equal(given(other.regions), given(batch.regions))
    donors = of_no_common_class(samples.labels, 0)
    inside = given(batch.mask)
    for i, donor in enumerate(donors.tolist()):
        own = given(batch.regions)[donor] != NOWHERE  # not to be judged: perhaps part of the object
        mean = batch.x[donor][:, ~own].mean(1)
        expected = torch.where(own, mean[:, None, None], batch.x[donor])
        expected = torch.where(inside[i], batch.x[i], expected)
        torch.testing.assert_close(other.x[i], expected)


# ---------------------------------------- what a person types


def test_folders_are_recognised(devkit: Path, tables: Path, birds: Path, nine: Path) -> None:
    known = {name: cls for name, cls in names().items() if name in ("VOC", "CUB200", "ImageNet9", "Digits")}
    voc = devkit / "VOCdevkit" / "VOC2012"
    for root in (devkit, voc.parent, voc, tables):
        assert data_from(str(root), known) == VOC(root=str(root)) and len(VOC(root=str(root), size=8)("test")) == 4
    voc.rename(devkit / "mine")
    assert data_from(str(devkit / "mine"), known) == VOC(root=str(devkit / "mine"))
    for root in (birds, birds / "CUB_200_2011"):
        assert data_from(str(root), known) == CUB200(root=str(root))
    assert data_from(str(nine), known) == ImageNet9(root=str(nine))
    assert data_from(str(nine / "mixed_rand"), known) != ImageNet9(root=str(nine / "mixed_rand"))
    (tables / "train-0.parquet").write_bytes(b"damaged")
    damaged = data_from(str(tables), known)
    assert isinstance(damaged, Parquet)
    refuses("cannot read the parquet file", lambda: damaged("train"))
    with_labels = pytest.importorskip("pyarrow").table({"image": [b""], "mask": [b""], "label": [1]})
    from pyarrow import parquet

    parquet.write_table(with_labels, tables / "train-0.parquet")
    assert isinstance(data_from(str(tables), known), Parquet)
