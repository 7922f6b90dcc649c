"""E-LIME next to the controls that its claims need: chance, greed and LIME with the same superpixels and budget.

Bin Wang, Wenbin Pei, Bing Xue, Mengjie Zhang, 2022, https://arxiv.org/abs/2211.15143
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ..data import Digits
from ..data.samples import limited, title_of
from ..explainers import ELIME, LIME, BlurFill, EvolvedFront, FastLIME, ImageMeanFill, Slic
from ..models import SmallCNN
from ..models.weights import classes_in
from ..modes import device_of
from ..spec import require
from ..train import Adam, Training, fresh, validation_of
from ..types import Architecture, Batch, Data, Fill, Samples
from .evolving import Evolving, Material


@dataclass(frozen=True)
class EvolvedExplanations:
    """Whether E-LIME's masks say more than masks that were found without it.

    On each network and image, under each seed: E-LIME; as many random masks as it evaluated; greedy selection within
    as many evaluations; as many superpixels as it selected, by the weights of LIME and of FastLIME; the smallest mask
    of a ``front`` that is as probable as the whole image; and, once, E-LIME from half as many superpixels. Superpixels,
    fill and batch size are those of ``search`` for all. Every mask is also tried with the ``second_fills``, with its
    complement, and on the other networks.

    The class explained is the one that the network predicts. Images are ``positions`` of the ``split``, or, without
    any, as many as ``images`` says, drawn by ``seed``; ``together`` of them are explained at once. Networks without
    weights are trained first, as ``training`` says. ``by_ten`` times LIME once more with the batches of its authors.

    Differs from the paper: operators, population and generations are not public; images are cut into superpixels at the
    size that the networks take.

    Cost: for each network, image and seed about 3 ``search`` budgets of forward passes, and once 2 more.
    """

    data: Data = Digits(decoy=None)
    networks: tuple[Architecture, ...] = (SmallCNN(),)
    search: ELIME = ELIME(segmenter=Slic(count=100, sigma=5.0))
    lime: LIME = LIME(samples=1000)
    fast_lime: FastLIME = FastLIME()
    front: EvolvedFront = EvolvedFront()
    second_fills: tuple[Fill, ...] = (ImageMeanFill(), BlurFill())
    seeds: int = 30
    images: int = 4
    positions: tuple[int, ...] = ()
    split: str = "test"
    together: int = 4
    by_ten: bool = False
    training: Training = Training(epochs=0, optimizer=Adam())
    pictures: int = 8
    seed: int = 0
    title: str = "Evolved explanations"

    def __post_init__(self) -> None:
        require(self, len(self.networks) >= 1, "networks has at least one network")
        require(self, len(set(self.networks)) == len(self.networks), "networks has a network twice")
        require(self, self.seeds >= 2, "seeds is at least 2, or nothing can be said about runs")
        require(self, self.images >= 1, "images is at least 1")
        require(self, all(p >= 0 for p in self.positions), "positions are at least 0")
        require(self, len(set(self.positions)) == len(self.positions), "positions has an image twice")
        require(self, self.together >= 1, "together is at least 1")
        require(self, self.pictures >= 0, "pictures is at least 0")
        require(self, self.seed >= 0, "seed is at least 0")
        require(self, not self.search.whole, "search.whole would make the first claim true by construction")

    def __call__(self, device: str) -> Evolving:
        """Images and networks; ValueError if they cannot be used."""
        samples = self.data(self.split)
        batch, titles = self.seen(samples)
        known = named(self.networks)
        networks = {name: built(a, len(samples.classes), self.seed).to(device) for name, a in known.items()}
        check(networks, batch, len(samples.classes))
        untrained = tuple(name for name, architecture in known.items() if not weights_of(architecture))
        if untrained:
            require_training(untrained[0], self.training, samples)
        training = self.data("train") if untrained else None
        validation = validation_of(self.data, self.training) if untrained else None
        return Evolving(self, Material(batch, titles, networks, untrained, training, validation))

    def seen(self, samples: Samples) -> tuple[Batch, tuple[str, ...]]:
        """The images to explain, with what they are called."""
        if beyond := [p for p in self.positions if p >= len(samples)]:
            raise ValueError(f"there is no image {beyond[0]} in the split {self.split!r}, which has {len(samples)}")
        positions = list(self.positions) or limited(torch.arange(len(samples)), self.images, self.seed).tolist()
        batch = samples[positions]
        titles = (title_of(samples, i) for i in positions)
        called = (samples.classes[y] if y >= 0 else "" for y in batch.y.tolist())
        return batch, tuple(f"{name} ({title})" if name else title for name, title in zip(called, titles, strict=True))


def named(networks: Sequence[Architecture]) -> dict[str, Architecture]:
    """Networks by what people call them, numbered where a name comes again."""
    found: dict[str, Architecture] = {}
    called: Counter[str] = Counter()
    for network in networks:
        name = str(getattr(network, "name", type(network).__name__))
        called[name] += 1
        found[name if called[name] == 1 else f"{name} {called[name]}"] = network
    return found


def weights_of(architecture: Architecture) -> str:
    """The file of its weights, none where it has to be trained."""
    return str(getattr(architecture, "weights", ""))


def built(architecture: Any, classes: int, seed: int) -> nn.Module:
    """The network, for the classes of the data or else of its weights; the same each time."""
    weights = weights_of(architecture)
    number = classes or (classes_in(weights, replace(architecture, weights="")) if weights else 2)
    return fresh(architecture, number, seed).eval()


@torch.no_grad()
def check(networks: Mapping[str, nn.Module], batch: Batch, classes: int) -> None:
    """ValueError unless every network gives logits of the same classes for the images."""
    for name, model in networks.items():
        first = batch.x[:1].to(device_of(model))
        try:
            logits = model(first)
        except RuntimeError as error:
            size = " x ".join(map(str, first.shape[-2:]))
            raise ValueError(f"the network {name} cannot take images of {size} pixels: {error}") from None
        classes = classes or logits.shape[-1]
        if logits.shape != (1, classes):
            raise ValueError(f"the network {name} gives {list(logits.shape)} for one image, not [1, {classes}] logits")
        if not logits.isfinite().all():
            raise ValueError(f"the network {name} gives NaN or infinity for the first image")


def require_training(name: str, training: Training, samples: Samples) -> None:
    """ValueError if a network without weights cannot be trained."""
    if not samples.classes:
        raise ValueError(f"the network {name} has no weights, and images without classes cannot train it")
    if training.epochs < 1:
        raise ValueError(f"the network {name} has no weights; give it weights=FILE, or training.epochs=5")
