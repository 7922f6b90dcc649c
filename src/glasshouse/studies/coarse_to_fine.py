"""A network for superclasses and one for the classes within each, trained and measured next to a flat one.

Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..data.samples import at_most, batches
from ..data.superclasses import by_superclass, covered, within
from ..files import store_name
from ..hierarchy import Hierarchies, Hierarchy, labels_of
from ..measure import tried
from ..models.coarse_to_fine import fine_network
from ..models.two_levels import CoarseToFineNetwork, GroupedNetwork
from ..models.weights import save_weights
from ..modes import device_of, frozen
from ..spec import require
from ..study import Document, Room
from ..train import Training, fresh, validation_of
from ..types import Architecture, Data, Progress, Samples, silent
from .coarse_to_fine_document import FLAT, ROUTE, Found, document

TwoLevels = CoarseToFineNetwork | GroupedNetwork
WEIGHTS = "coarse-to-fine.safetensors"


@dataclass(frozen=True)
class TrainedCoarseToFine:
    """How right are a network for superclasses and one for the classes within each, and the route through both?

    All are trained alike under one seed, each on the images that are its business, and left in one file,
    ``coarse-to-fine.safetensors`` in the run directory, for :class:`CoarseToFine`. A ``flat`` network, where one is
    given, is trained alike on all classes at once and read by superclass. Images of classes in no superclass are left
    out. Heidarizadeh et al., ICASSP 2025, https://arxiv.org/abs/2501.10906, do not say how theirs were trained.

    Cost: the fine networks together see as many images as the coarse one, and the flat one as many again.
    """

    data: Data
    hierarchy: Hierarchies
    coarse: Architecture
    fine: Architecture
    flat: Architecture | None = None
    training: Training = Training()
    test_images: int = 0
    seed: int = 0
    title: str = "Coarse to fine"

    def __post_init__(self) -> None:
        require(self, self.test_images >= 0, "test_images is 0 (all) or more")
        require(self, self.seed >= 0, "seed is at least 0")

    def __call__(self, device: str) -> Levelled:
        """The experiment; ValueError if the data, the hierarchy or a network cannot be used."""
        train, test = self.data("train"), self.data("test")
        hierarchy = self.hierarchy(train.classes)
        tried(fresh(self.coarse, len(hierarchy.groups), self.seed), by_superclass(train, hierarchy))
        largest = max(checked(train, hierarchy), key=lambda part: len(part.classes))
        tried(fine_network(self.fine, len(largest.classes)), largest)
        if self.flat:
            tried(fresh(self.flat, len(train.classes), self.seed), train)
        if validation := validation_of(self.data, self.training):
            checked(validation, hierarchy)
        return Levelled(self, hierarchy, train, covered(test, hierarchy), device)


@dataclass(frozen=True, eq=False)
class Levelled:
    """The study with its data at hand."""

    study: TrainedCoarseToFine
    hierarchy: Hierarchy
    train: Samples
    whole: Samples
    device: str

    @property
    def test(self) -> Samples:
        return at_most(self.whole, self.study.test_images)

    def conduct(self, room: Room) -> Document:
        """All networks, what they are right on, and what came of it."""
        study = self.study
        model = trained_two_levels(
            room, "levels", study.data, study.hierarchy, study.coarse, study.fine, study.training, study.seed
        )
        save_weights(model, room.out / WEIGHTS)
        models: dict[str, TwoLevels] = {ROUTE: model}
        if study.flat:
            models[FLAT] = self.flat(room, study.flat)
        right = {
            name: room.step(
                f"right-{store_name(name)}", partial(right_on, m, self.test, room.progress, f"measure {name}")
            )
            for name, m in models.items()
        }
        sizes = tuple(len(part) for part in checked(self.train, self.hierarchy))
        return document(study, Found(self.hierarchy, (sum(sizes), *sizes), right, self.device))

    def flat(self, room: Room, architecture: Architecture) -> GroupedNetwork:
        """A flat network trained on the same images, read by superclass."""
        train, seed = covered(self.train, self.hierarchy), self.study.seed
        validation = validation_of(self.study.data, self.study.training)
        judged = covered(validation, self.hierarchy) if validation else None
        network = trained(room, "flat", architecture, train, judged, self.study.training, seed)
        return GroupedNetwork(network, self.hierarchy).to(room.device)


def checked(samples: Samples, hierarchy: Hierarchy) -> list[Samples]:
    """What each fine network is about; ValueError if there are no images for one."""
    return [within(samples, hierarchy, k) for k in range(len(hierarchy.groups))]


def trained_two_levels(
    room: Room,
    name: str,
    data: Data,
    hierarchy: Hierarchies,
    coarse: Architecture,
    fine: Architecture,
    training: Training,
    seed: int,
) -> CoarseToFineNetwork:
    """A coarse network and its fine ones after trainings under one seed, each going on from where it was cut off.

    Raises:
        ValueError: if the hierarchy is over other classes, or a superclass has no images.
    """
    train, validation = data("train"), validation_of(data, training)
    levels = hierarchy(train.classes)
    judged = by_superclass(validation, levels) if validation else None
    model = trained(room, f"{name}-coarse", coarse, by_superclass(train, levels), judged, training, seed)
    networks = []
    for k in range(len(levels.groups)):
        judged = within(validation, levels, k) if validation else None
        networks.append(trained(room, f"{name}-fine-{k}", fine, within(train, levels, k), judged, training, seed))
    return CoarseToFineNetwork(model, networks, levels).to(room.device).eval()


def trained(
    room: Room,
    name: str,
    architecture: Architecture,
    train: Samples,
    validation: Samples | None,
    training: Training,
    seed: int,
) -> nn.Module:
    """One network; nothing is to be learnt of a single class."""
    model = fresh(partial(fine_network, architecture), len(train.classes), seed).to(room.device)
    if len(train.classes) > 1:
        room.trained(name, model, train, training, seed, validation)
    return model.eval()


@torch.no_grad()
def right_on(
    model: TwoLevels, samples: Samples, progress: Progress = silent, label: str = "measure"
) -> dict[str, Tensor]:
    """Where the superclass is right, the class within the true superclass, and the end of the route: ``[N]`` float32
    each; ``group`` is the true superclass.
    """
    rows: list[Tensor] = []
    with frozen(model):
        for batch in batches(samples, 128, device=device_of(model)):
            truth = labels_of(batch.y, model.hierarchy)
            found = model.levels(batch.x, truth.coarse)
            end = model(batch.x).argmax(1)
            right = (found.coarse.argmax(1) == truth.coarse, found.fine.argmax(1) == truth.fine, end == truth.fine)
            rows.append(torch.stack([*(r.float() for r in right), truth.coarse.float()]).cpu())
            progress(label, sum(row.shape[1] for row in rows), len(samples))
    return dict(zip(("coarse", "fine", "class", "group"), torch.cat(rows, 1), strict=True))
