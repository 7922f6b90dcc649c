"""CUB-200-2011: birds of 200 species that look alike, with the outline of each bird."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..types import NOWHERE, Batch, Samples
from .folder import Files, mask_files
from .images import check_cut, fit, opened, parallel, rgb
from .samples import Wrapped, check_split, limited, occupied, stratify
from .segmented import check_size
from .torchvision_sets import check_shares

FOLDER, OUTLINES = "CUB_200_2011", "segmentations"


@dataclass(frozen=True)
class CUB200:
    """Caltech-UCSD Birds-200-2011 (Wah et al., 2011), https://www.vision.caltech.edu/datasets/cub_200_2011.

    ``root`` holds ``CUB_200_2011`` as it was published (or is that folder); ``validation`` is the share of the
    official training images held back, each species alike. Images are decoded on access, their short side at
    ``resize`` (0: ``size``), the centre cut out.

    With the folder ``segmentations`` inside or beside, ``Batch.mask`` is the bird, where at least half of the
    annotators drew it (a grey level above 127), and ``Batch.regions`` has its species there. A bird that lies outside
    the cut has no pixel.

    Raises:
        ValueError: if files are missing, damaged or hostile, or an image lacks its outline; on access, if an image or
            an outline is broken.
    """

    root: str
    size: int = 224
    resize: int = 0
    validation: float = 0.1
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_cut(self)
        check_shares(self)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        folder = bird_folder(Path(self.root))
        paths, labels, classes = bird_list(folder, test=split == "test")
        chosen = torch.arange(len(paths))
        if split != "test":
            chosen = stratify(labels, split, (1.0 - self.validation, self.validation, 0.0), self.seed)
        chosen = limited(occupied(chosen, split, len(paths)), self.limit, self.seed)
        kept = tuple(paths[i] for i in chosen.tolist())
        samples = Files(kept, labels[chosen], classes, self.size, self.resize)
        outlines = next((f for f in (folder / OUTLINES, folder.parent / OUTLINES) if f.is_dir()), None)
        return samples if outlines is None else Birds(samples, mask_files(kept, folder / "images", outlines))


@dataclass(frozen=True, eq=False)
class Birds(Wrapped):
    """Image files of birds with their outlines."""

    samples: Files
    outlines: tuple[Path, ...]

    def __getitem__(self, index: Sequence[int]) -> Batch:
        batch = self.samples[index]
        bird = torch.stack(parallel(self.bird, torch.as_tensor(index, dtype=torch.int64).tolist()))
        regions = torch.where(bird, batch.y[:, None, None], NOWHERE)
        return batch._replace(mask=bird, regions=regions)

    def bird(self, i: int) -> Tensor:
        """``[size, size]`` bool, where at least half of the annotators saw the bird."""
        path, name = self.outlines[i], str(self.outlines[i])
        grey = rgb(opened(path, name), name).convert("L")
        check_size(grey.size, self.samples.paths[i], str(self.samples.paths[i]))
        cut = fit(grey, self.samples.size, self.samples.resize, name, nearest=True)
        return torch.from_numpy(np.array(cut) > 127)


def bird_folder(root: Path) -> Path:
    """The folder with the lists in or at ``root``; ValueError if there is none."""
    found = next((f for f in (root, root / FOLDER) if (f / "train_test_split.txt").is_file()), None)
    if found is None:
        raise ValueError(f"{root} has no {FOLDER}/train_test_split.txt")
    return found


def bird_list(folder: Path, *, test: bool) -> tuple[list[Path], Tensor, tuple[str, ...]]:
    """The image files of the training or the test set, their labels, and the names of all classes."""
    names, images = (numbered(folder / f"{name}.txt") for name in ("classes", "images"))
    places = {number: place for place, number in enumerate(names)}
    species = {i: places.get(which) for i, which in numbered(folder / "image_class_labels.txt").items()}
    training = numbered(folder / "train_test_split.txt")
    for i, path in images.items():
        if species.get(i) is None or training.get(i) not in ("0", "1"):
            raise ValueError(f"the lists in {folder} do not tell the class and the split of image {i}, {path}")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ValueError(f"the list {folder / 'images.txt'} leads to another folder: {path}")
    chosen = [i for i in images if (training[i] == "0") == test]
    labels = torch.tensor([species[i] for i in chosen], dtype=torch.int64)
    return [folder / "images" / images[i] for i in chosen], labels, tuple(names.values())


def numbered(file: Path) -> dict[str, str]:
    """What a list says of each number: lines of a number, a space and a text."""
    try:
        lines = [line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {number: text.strip() for number, text in lines}
    except OSError as error:
        raise ValueError(f"cannot read the list {file}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"the list {file} is damaged: each line is a number and a text") from None
