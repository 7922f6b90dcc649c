"""Carrying out :class:`EvolvedExplanations`: every search on every network and image, under every seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ..explainers.evolved_lime import Evolved
from ..explainers.masked import Maskable, maskable
from ..explainers.superpixels import chunks
from ..files import store_name
from ..modes import frozen
from ..study import Document, Room
from ..types import Batch, Fill, Samples
from .evolved_document import document
from .rows import BY_TEN, ELIME_NAME, FAST, FRONT, GREEDY, LIME_NAME, RANDOM, SPARSE, Row, passed
from .searches import greedy, probability, random_search, strongest, sufficient

if TYPE_CHECKING:
    from .evolved_explanations import EvolvedExplanations


class Material(NamedTuple):
    """Images and networks at hand."""

    batch: Batch
    titles: tuple[str, ...]
    networks: dict[str, nn.Module]
    untrained: tuple[str, ...]
    training: Samples | None  # what those are trained on
    validation: Samples | None  # where the training selects by it


class Scene(NamedTuple):
    """One network and the images that are explained at once."""

    network: str
    first: int  # place of the first image
    model: nn.Module
    others: tuple[nn.Module, ...]
    images: Maskable


class Method(NamedTuple):
    """A search: ``search(scene, seed, what E-LIME found)``; its forward passes an image; under how many seeds."""

    name: str
    passes: int
    runs: int
    search: Callable[[Scene, int, Evolved | None], Evolved]


class Evolving:
    """The study with its material."""

    def __init__(self, study: EvolvedExplanations, material: Material) -> None:
        self.study, self.material = study, material
        self.done: dict[str, int] = {}

    def conduct(self, room: Room) -> Document:
        """Train what has to be trained, search, measure, sum up."""
        for name in self.material.untrained:
            samples = self.material.training
            if samples is not None:
                validation = self.material.validation
                network = self.material.networks[name]
                room.trained(name, network, samples, self.study.training, self.study.seed, validation)
        for model in self.material.networks.values():
            model.eval()
        scenes = list(self.scenes(room))
        rows = [row for scene in scenes for row in self.rows(room, scene)]
        return document(self.study, self.material, scenes, rows, room.device)

    def scenes(self, room: Room) -> Iterator[Scene]:
        """Every network with every few images, cut into superpixels once."""
        batch = self.material.batch.to(room.device)
        for part in chunks(len(batch.x), self.study.together):
            x = batch.x[part]
            segments = room.step(f"superpixels-{part.start}", partial(self.cut, x))
            for name, model in self.material.networks.items():
                with torch.no_grad(), frozen(model):
                    target = model(x).argmax(1)
                pieces = segments["segments"].to(room.device)
                images = maskable(self.study.search.segmenter, self.study.search.fill, x, target, pieces)
                others = tuple(m for n, m in self.material.networks.items() if n != name)
                yield Scene(name, part.start, model, others, images)

    def cut(self, x: Tensor) -> dict[str, Tensor]:
        return {"segments": self.study.search.segmenter(x).cpu()}

    def methods(self) -> list[Method]:
        """E-LIME first: the others look at what it found."""
        study, full = self.study, self.study.search.population * (self.study.search.generations + 1)
        front = len(study.front.shares) * study.front.children * study.front.rounds
        found = [
            Method(ELIME_NAME, full, study.seeds, self.evolved),
            Method(RANDOM, full, study.seeds, self.at_random),
            Method(GREEDY, full, 1, self.greedily),
            Method(LIME_NAME, study.lime.samples, study.seeds, self.by_lime),
            Method(FAST, study.fast_lime.samples + 2 * study.fast_lime.gradients, study.seeds, self.by_fast_lime),
            Method(FRONT, front, study.seeds, self.by_front),
            Method(SPARSE, full, 1, self.sparse),
            Method(BY_TEN, study.lime.samples, 1, self.by_ten),
        ]
        return found if study.by_ten else found[:-1]

    def rows(self, room: Room, scene: Scene) -> Iterator[Row]:
        """What every method finds, kept on disk one by one."""
        methods, images = self.methods(), len(self.material.batch.x)
        total = sum(m.passes * m.runs for m in methods) * images
        for seed in range(self.study.seeds):
            own: Evolved | None = None
            for method in methods:
                if seed >= method.runs:
                    continue
                room.progress(scene.network, self.done.get(scene.network, 0), total)
                name = f"{store_name(scene.network)}/{store_name(method.name)}-{scene.first}-{seed}"
                kept = room.step(name, partial(self.taken, method, scene, seed, own))
                if method.name == ELIME_NAME:
                    own = Evolved(scene.images.segments, *(kept[k].to(room.device) for k in Evolved._fields[1:]))
                self.done[scene.network] = self.done.get(scene.network, 0) + method.passes * len(scene.images.x)
                yield from self.told(method, scene, seed, kept)
        room.progress(scene.network, self.done[scene.network], total)

    def taken(self, method: Method, scene: Scene, seed: int, own: Evolved | None) -> dict[str, Tensor]:
        """Search, with the clock running; then try what was found elsewhere."""
        start = time.perf_counter()
        found = Evolved(*(t.cpu() for t in method.search(scene, seed, own)))
        seconds = time.perf_counter() - start
        mask = found.mask.to(scene.images.x.device)
        size, everything = self.study.search.batch_size, torch.ones_like(mask)
        rest = {
            "removed": probability(scene.model, scene.images, ~mask, size),
            "fills": stacked(
                [probability(scene.model, filled(scene.images, f), mask, size) for f in self.study.second_fills], mask
            ),
            "others": stacked([probability(m, scene.images, mask, size) for m in scene.others], mask),
            "others_whole": stacked([probability(m, scene.images, everything, size) for m in scene.others], mask),
        }
        kept = {k: v for k, v in found._asdict().items() if k != "segments"} | {k: v.cpu() for k, v in rest.items()}
        return kept | {"seconds": torch.tensor([seconds], dtype=torch.float64)}

    def told(self, method: Method, scene: Scene, seed: int, kept: dict[str, Tensor]) -> Iterator[Row]:
        """A row for each image."""
        for i, count in enumerate(scene.images.count.tolist()):
            trace = tuple(zip(kept["asked"][i].tolist(), kept["trace"][i].tolist(), strict=True))
            whole = float(kept["unmasked"][i])
            yield Row(
                network=scene.network,
                image=self.material.titles[scene.first + i],
                method=method.name,
                seed=seed,
                probability=float(kept["fitness"][i]),
                whole=whole,
                removed=float(kept["removed"][i]),
                fills=tuple(kept["fills"][i].tolist()),
                others=tuple(zip(kept["others"][i].tolist(), kept["others_whole"][i].tolist(), strict=True)),
                seconds=float(kept["seconds"]) / len(scene.images.x),
                evaluations=int(kept["asked"][i, -1]),
                passed=passed(trace, whole),
                superpixels=count,
                mask=kept["mask"][i, :count],
                trace=trace,
            )

    def evolved(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        return self.search(scene, seed, self.study.search.density)

    def sparse(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        return self.search(scene, seed, self.study.search.density / 2)

    def search(self, scene: Scene, seed: int, density: float) -> Evolved:
        search, images = replace(self.study.search, seed=self.salted(seed), density=density), scene.images
        return search.evolved(scene.model, images.x, images.target, images.segments)

    def at_random(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        search = self.study.search
        # One seed further: the first population was drawn from this one.
        return random_search(
            scene.model, scene.images, given(own), search.density, search.batch_size, self.salted(seed) + 1
        )

    def greedily(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        return greedy(scene.model, scene.images, given(own), self.study.search.batch_size)

    def by_lime(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        return self.ranked(replace(self.study.lime, batch_size=self.study.search.batch_size), scene, seed, own)

    def by_ten(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        return self.ranked(replace(self.study.lime, batch_size=10), scene, seed, own)

    def by_fast_lime(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        return self.ranked(replace(self.study.fast_lime, batch_size=self.study.search.batch_size), scene, seed, own)

    def by_front(self, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        search = self.study.search
        front = replace(self.study.front, fill=search.fill, batch_size=search.batch_size, seed=self.salted(seed))
        return sufficient(front.front(scene.model, scene.images.x, scene.images.target, scene.images.segments))

    def ranked(self, explainer: object, scene: Scene, seed: int, own: Evolved | None) -> Evolved:
        """The strongest superpixels of LIME or FastLIME, fitted with E-LIME's fill on E-LIME's superpixels."""
        weighing = replace(explainer, fill=self.study.search.fill, seed=self.salted(seed))  # type: ignore[type-var]
        images = scene.images
        surrogate = weighing.surrogate(scene.model, images.x, images.target, images.segments)  # type: ignore[attr-defined]
        return strongest(scene.model, images, surrogate, given(own), self.study.search.batch_size)

    def salted(self, seed: int) -> int:
        return self.study.seed * 1000 + 2 * seed


def given(own: Evolved | None) -> Evolved:
    """What E-LIME found, which every other method looks at."""
    if own is None:
        raise ValueError("E-LIME searches first")
    return own


def filled(images: Maskable, fill: Fill) -> Maskable:
    """The same images with something else behind their superpixels."""
    return images._replace(filled=fill(images.x, images.segments))


def stacked(columns: list[Tensor], mask: Tensor) -> Tensor:
    """Columns side by side, ``[B, K]``, also if there is none."""
    return torch.stack(columns, 1) if columns else mask.new_zeros(len(mask), 0, dtype=torch.float32)
