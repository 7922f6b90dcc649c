"""Training with explanation consistency, its rivals and its controls, on several networks and under several seeds.

Wu, Jiang, Wang, Tang, He & Lin, IEEE TMM 2024, https://arxiv.org/abs/2408.04600
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from ..data import OtherBackgrounds
from ..data.samples import at_most
from ..explainers import GradCAM
from ..files import store_name
from ..measure import measure, tried
from ..metrics import Accuracy
from ..metrics.localisation import on_evidence, pair_table
from ..metrics.multilabel import scores_of
from ..objectives import Compositional
from ..spec import require
from ..study import Document, Room
from ..train import Training, fresh
from ..types import Architecture, Data, Metric, Samples
from . import consistency_ways as known
from .consistency_document import document
from .consistency_found import Bout, Scene, Seen, filter_scenes, floor_of, scenes
from .consistency_published import PUBLISHED
from .consistency_ways import Way
from .debiasing import Debiasing, debiased
from .few_samples import FewSamples, learnt, measurable

__all__ = ["Compared", "ExplanationConsistency"]


@dataclass(frozen=True)
class Compared:
    """One network on one data set, trained in several ways, and whose of the paper's numbers stand beside its own.

    ``eps`` are those of FGSM in the robustness curve, of the ways named in ``curves``. Where the data has masks and
    ``backgrounds`` is on, accuracy is measured on objects before the backgrounds of other test images, too.
    """

    name: str
    data: Data
    model: Architecture
    ways: tuple[Way, ...]
    training: Training = Training()
    published: str = ""
    metrics: tuple[Metric, ...] = known.MEASURED
    eps: tuple[float, ...] = known.EPS
    curves: tuple[str, ...] = (known.BASELINE, known.XGRAD, known.BLACK, known.MEAN, known.SMALL_EPS)
    backgrounds: bool = True
    test_images: int = 0

    def __post_init__(self) -> None:
        require(self, bool(self.name.strip()), "name is not empty")
        folders = [store_name(way.name) for way in self.ways]
        require(self, len(folders) >= 1, "ways has at least one")
        require(self, len(set(folders)) == len(folders), "ways has a name twice")
        require(self, self.published in ("", *PUBLISHED), f"published is '' or one of: {', '.join(PUBLISHED)}")
        require(self, self.test_images >= 0, "test_images is 0 (all) or more")


@dataclass(frozen=True)
class ExplanationConsistency:
    """Does weighing samples by how inconsistent their explanations are make networks more accurate, and their maps
    better, and is it the explanations that do it?

    Each of the ``compared`` networks is trained in every way under every seed. ``debiasing`` follows the weights over
    training on data with a planted bias, ``few`` lets selection strategies choose what is labelled next. What a claim
    needs and no way has is not testable here.

    Differs from the paper: its letter, which saturates, is one way among others (``"ours, at image size"``); "ours" are
    those with distances on the cells of the map.

    Cost: that of the trainings, times ``seeds``.
    """

    compared: tuple[Compared, ...]
    debiasing: Debiasing | None = None
    few: FewSamples | None = None
    seeds: int = 3
    pictures: int = 6
    seed: int = 0
    title: str = "Explanation consistency"

    def __post_init__(self) -> None:
        folders = [store_name(one.name) for one in self.compared]
        require(self, len(folders) >= 1, "compared has at least one network")
        require(self, len(set(folders)) == len(folders), "compared has a name twice")
        require(self, self.seeds >= 1, "seeds is at least 1")
        require(self, self.pictures >= 0, "pictures is at least 0")
        require(self, self.seed >= 0, "seed is at least 0")

    def under(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.seeds)

    def __call__(self, device: str) -> Comparing:
        """The experiment; ValueError if the data or a network cannot be used."""
        parts = [Splits(one, one.data("train"), one.data("test")) for one in self.compared]
        for part in parts:
            tried(part.built(self.seed), part.train)
            tried(part.built(self.seed), part.test)
        return Comparing(self, tuple(parts), device)


@dataclass(frozen=True, eq=False)
class Splits:
    """A network with its data at hand."""

    compared: Compared
    train: Samples
    whole: Samples

    @property
    def test(self) -> Samples:
        return at_most(self.whole, self.compared.test_images)

    def built(self, seed: int) -> nn.Module:
        """The network before training, the same each time."""
        return fresh(self.compared.model, len(self.train.classes), seed)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What can be measured on these images."""
        return measurable(self.compared.metrics, self.test)


@dataclass(frozen=True, eq=False)
class Comparing:
    """The study with its data at hand."""

    study: ExplanationConsistency
    parts: tuple[Splits, ...]
    device: str

    def conduct(self, room: Room) -> Document:
        """Every network in every way under every seed, then what came of it."""
        bouts = [self.bout(room, part) for part in self.parts]
        study = self.study
        found = debiased(study.debiasing, room, self.device, study.under()) if study.debiasing else None
        few = learnt(study.few, room, self.device, study.under()) if study.few else None
        return document(study, bouts, found, few, self.device)

    def bout(self, room: Room, part: Splits) -> Bout:
        """One network."""
        seen = tuple(
            {way.name: self.seen(room, part, way, seed) for way in part.compared.ways} for seed in self.study.under()
        )
        shown = [way for way in part.compared.ways if way.name in known.SHOWN and self.study.pictures]
        networks = {way.name: self.trained(room, part, way, self.study.seed) for way in shown}
        counts = (len(part.train), len(part.test), len(part.train.classes))
        pictures, filters = scenes(networks, part.test, self.study.pictures), self.filters(room, part, networks)
        return Bout(part.compared, seen, counts, pictures, filters, floor_of(part.test))

    def filters(self, room: Room, part: Splits, networks: Mapping[str, nn.Module]) -> tuple[Scene, ...]:
        """What groups of filters see, of the first networks that were trained to have such groups."""
        grouped = {}
        for way in part.compared.ways:
            if way.name in (known.BASELINE, known.XGRAD) and way.name in networks:
                ended = room.ended(self.name(part, way, self.study.seed))
                if isinstance(ended, Compositional) and ended.groups:
                    grouped[way.name] = (networks[way.name], ended)
        return filter_scenes(grouped, part.test)

    def name(self, part: Splits, way: Way, seed: int) -> str:
        """What a training is called on disk."""
        return f"{part.compared.name}-{way.name}-{seed}"

    def trained(self, room: Room, part: Splits, way: Way, seed: int) -> nn.Module:
        """The network, trained in a way."""
        training = replace(part.compared.training, weighting=way.weighting)
        model = part.built(seed).to(self.device)
        return room.trained(
            self.name(part, way, seed), model, part.train, training, seed, objective=way.objective
        ).eval()

    def seen(self, room: Room, part: Splits, way: Way, seed: int) -> Seen:
        """One network trained in one way under one seed, measured."""
        model, name = self.trained(room, part, way, seed), self.name(part, way, seed)
        attacked: list[Metric] = [known.fgsm(eps) for eps in part.compared.eps]
        steps = {
            "values": lambda: measure(
                model,
                part.test,
                (*part.metrics, *(attacked if way.name in part.compared.curves else ())),
                GradCAM(),
                seed=seed,
                progress=room.progress,
                label=f"measure {name}",
            ),
            "scores": lambda: dict(zip(("logits", "y"), scores_of(model, part.test), strict=True)),
            "pairs": lambda: self.pairs(model, part),
            "moved": lambda: self.moved(model, part, seed),
        }
        found = {kind: room.step(f"{store_name(name)}/{kind}", take) for kind, take in steps.items()}
        return Seen(**found, log=[row for row in room.stage(name).rows() if "weight_effective" in row])

    def pairs(self, model: nn.Module, part: Splits) -> dict[str, Tensor]:
        """Overlaps of Grad-CAM with every class in every image."""
        if not any(on_evidence(m) for m in part.metrics):
            return {}
        return pair_table(model, part.test, GradCAM())._asdict()

    def moved(self, model: nn.Module, part: Splits, seed: int) -> dict[str, Tensor]:
        """Accuracy before the backgrounds of other images."""
        if not part.compared.backgrounds or part.test[[0]].mask is None:
            return {}
        samples = OtherBackgrounds(data=part.compared.data)("test")
        return measure(model, at_most(samples, part.compared.test_images), (Accuracy(),), seed=seed)
