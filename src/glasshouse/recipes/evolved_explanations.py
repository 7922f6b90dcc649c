"""Do E-LIME's claims hold, and does its search find what chance, greed and LIME do not?

Bin Wang, Wenbin Pei, Bing Xue, Mengjie Zhang, 2022, https://arxiv.org/abs/2211.15143
"""

from __future__ import annotations

from dataclasses import replace

from ..data import Digits
from ..explainers import ELIME, LIME, EvolvedFront, Grid, Slic
from ..models import SmallCNN, TorchVision
from ..studies import EvolvedExplanations
from ..train import Adam, Training
from ..types import Architecture, Data

SCALES = ("smoke", "small", "paper")
PAPER = Slic(count=100, sigma=5.0)


def evolved_explanations(
    data: Data | None = None,
    scale: str = "smoke",
    networks: tuple[Architecture, ...] = (),
    resnet50: str = "",
    densenet121: str = "",
    mobilenet_v2: str = "",
    vit_b_16: str = "",
) -> EvolvedExplanations:
    """E-LIME on the networks whose weights are given, next to random, greedy and LIME's masks of the same budget.

    ``smoke`` takes seconds and needs nothing: small networks learn digits first. ``small`` is 3 seeds on 4 images, ten
    minutes for two small networks on two cores; ``paper`` is 30 seeds, for a GPU. ``networks`` are any others, such as
    (TorchVision(name='squeezenet1_1', weights='s.safetensors'),).
    """
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SCALES)}")
    files = {"resnet50": resnet50, "densenet121": densenet121, "mobilenet_v2": mobilenet_v2, "vit_b_16": vit_b_16}
    known = (*(TorchVision(name=name, weights=file) for name, file in files.items() if file), *networks)
    if scale == "smoke":
        return smoke(data, known)
    if data is None or not known:
        missing = "data=..." if data is None else "a network, such as resnet50=FILE"
        raise ValueError(f"scale={scale} explains real images on trained networks: give {missing}")
    if scale == "paper":
        return EvolvedExplanations(data=data, networks=known, by_ten=True)
    return EvolvedExplanations(data=data, networks=known, seeds=3)


def smoke(data: Data | None, networks: tuple[Architecture, ...]) -> EvolvedExplanations:
    """Two images, two seeds, a fifth of the budget."""
    if data is None and networks:
        raise ValueError("the networks need images that they know: give data=...")
    study = EvolvedExplanations(
        search=ELIME(segmenter=PAPER, population=20, generations=10),
        lime=LIME(samples=200),
        front=EvolvedFront(rounds=10),
        seeds=2,
        images=2,
        title="Evolved explanations, to try out",
    )
    if networks and data is not None:
        return replace(study, data=data, networks=networks)
    learning = Training(epochs=8, optimizer=Adam(lr=4e-3))
    return replace(
        study,
        data=data or Digits(decoy=None),
        networks=(SmallCNN(width=8), SmallCNN(width=12)),
        search=replace(study.search, segmenter=Grid(cells=6)),
        training=learning,
    )
