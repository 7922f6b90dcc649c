"""The three scales of LIME-guided refinement: minutes, an hour, and that of the paper."""

from __future__ import annotations

from typing import NamedTuple

from ..models import ResNet18, SmallCNN
from ..types import Architecture


class Size(NamedTuple):
    """How much of everything a scale takes; 0 images: all."""

    model: Architecture
    images: int
    lr: float  # of Adam, in the weak recipe
    epochs: int
    rounds: int
    refining: int  # epochs of a round
    looked_at: int  # training images that detectors explain
    samples: int  # LIME's maskings
    runs: int  # explanations of an image for its instability
    steps: int  # of PGD in the best variant's training
    sensitivity: float  # weight of that term: a mean over pixels of squared gradients, 1e-4 on a small network
    test: int  # images
    watched: int  # after every epoch
    close: int  # under the ensemble, and for stability
    budget: float  # of the ensemble
    corrupted: int
    severities: tuple[int, ...]
    checks: int
    seeds: int


SMOKE = Size(
    model=SmallCNN(width=8),
    images=1000,
    lr=4e-3,
    epochs=4,
    rounds=2,
    refining=2,
    looked_at=60,
    samples=24,
    runs=2,
    steps=2,
    sensitivity=10.0,
    test=100,
    watched=64,
    close=16,
    budget=0.05,
    corrupted=32,
    severities=(3,),
    checks=8,
    seeds=2,
)
SMALL = Size(
    model=SmallCNN(width=16),
    images=1600,
    lr=2e-3,
    epochs=8,
    rounds=3,
    refining=2,
    looked_at=240,
    samples=64,
    runs=2,
    steps=4,
    sensitivity=300.0,
    test=600,
    watched=128,
    close=64,
    budget=0.2,
    corrupted=128,
    severities=(3,),
    checks=16,
    seeds=3,
)
PAPER = Size(
    model=ResNet18(),
    images=0,
    lr=1e-3,
    epochs=30,
    rounds=3,
    refining=10,
    looked_at=3500,
    samples=96,
    runs=2,
    steps=7,
    sensitivity=30.0,
    test=0,
    watched=1000,
    close=1000,
    budget=1.0,
    corrupted=1000,
    severities=(1, 3, 5),
    checks=64,
    seeds=3,
)
SIZES = {"smoke": SMOKE, "small": SMALL, "paper": PAPER}
