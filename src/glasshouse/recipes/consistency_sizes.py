"""The three scales of explanation consistency: minutes, an hour, and that of the paper."""

from __future__ import annotations

from typing import NamedTuple

from ..data import CropFlip
from ..models import ResNet20, SmallCNN, TorchVision
from ..train import Adam, Steps, Training
from ..types import Architecture


class Size(NamedTuple):
    """How much of everything a scale takes; 0 images: all."""

    networks: tuple[tuple[str, Architecture], ...]  # by the paper's name where its numbers stand beside
    interpretable: Architecture  # within icCNN
    layer: str  # of its filters; empty: the last with a spatial extent
    clusters: int
    side: int  # of the images
    training: Training
    every: int  # epochs between reweightings
    small_eps: float  # of the background, where weights are to differ
    online: int  # epochs between reweightings there
    stages: int  # epochs at each share of labels
    shares: tuple[float, ...]
    test: int  # images
    seeds: int


SMOKE = Size(
    networks=(("Digits", SmallCNN(width=8)),),
    interpretable=SmallCNN(width=8),
    layer="",
    clusters=4,
    side=32,
    training=Training(epochs=6, batch_size=64, optimizer=Adam(lr=4e-3)),
    every=2,
    small_eps=4 / 255,
    online=1,
    stages=2,
    shares=(0.3, 0.6, 0.9),
    test=100,
    seeds=2,
)
SMALL = Size(
    networks=(("VOC", ResNet20()),),
    interpretable=ResNet20(),
    layer="",
    clusters=8,
    side=32,
    training=Training(epochs=18, batch_size=32, optimizer=Adam(lr=4e-3), augmentation=CropFlip(padding=2)),
    every=3,
    small_eps=1 / 255,
    online=1,
    stages=6,
    shares=(0.3, 0.5, 0.7, 0.9),
    test=0,
    seeds=3,
)
PAPER = Size(
    networks=(("ResNet-50", TorchVision(name="resnet50")), ("MobileNetV2", TorchVision(name="mobilenet_v2"))),
    interpretable=TorchVision(name="vgg16_bn"),
    layer="network.features.42",
    clusters=16,
    side=224,
    training=Training(epochs=90, batch_size=8, optimizer=Adam(lr=1e-4), schedule=Steps(at=(30, 60))),
    every=4,
    small_eps=1 / 255,
    online=1,
    stages=30,
    shares=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    test=0,
    seeds=3,
)
SIZES = {"smoke": SMOKE, "small": SMALL, "paper": PAPER}
