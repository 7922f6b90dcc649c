"""Real networks and images for the benchmarks, from a folder with their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from glasshouse.data import Parquet
from glasshouse.models import ResNet20, TorchVision
from glasshouse.types import Data


class Setting(NamedTuple):
    """A network and images that it knows."""

    name: str
    model: nn.Module
    x: Tensor


def folder(given: str) -> Path | None:
    """Where the files are: as given, by GLASSHOUSE_DATA, or beside the checkout; None where there are none."""
    named = given or os.environ.get("GLASSHOUSE_DATA", "")
    root = Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared" / "data"
    return root if (root / "weights").is_dir() else None


def resnet20(root: Path, images: int) -> Setting:
    """ResNet-20 on CIFAR-10."""
    network = ResNet20(weights=str(root / "weights" / "resnet20-cifar10.th"))(10)
    test = next((root / "cifar10").glob("test*.parquet"))
    return Setting("ResNet-20, CIFAR-10", network, spread(Parquet(train=str(test), label="label"), images))


def mobilenet(root: Path, images: int) -> Setting:
    """MobileNetV2 on ImageNet images of 225 pixels."""
    weights = str(root / "weights" / "mobilenet_v2-imagenet.safetensors")
    half = (0.5, 0.5, 0.5)
    network = TorchVision(name="mobilenet_v2", weights=weights, mean=half, std=half)(1000)
    (file,) = (root / "imagenet-sample").glob("sample*.parquet")
    return Setting("MobileNetV2, ImageNet, 225", network, spread(Parquet(train=str(file), size=225), images))


def spread(data: Data, images: int) -> Tensor:
    """Images from all over a data set."""
    samples = data("train")
    return samples[[i * len(samples) // images for i in range(images)]].x


def predicted(model: nn.Module, x: Tensor) -> Tensor:
    """The class of each image."""
    with torch.no_grad():
        return torch.cat([model(one).argmax(1) for one in ones(x)])


def ones(tensor: Tensor) -> Iterator[Tensor]:
    """Image after image, or target after target, each as a batch of its own."""
    return (tensor[i : i + 1] for i in range(len(tensor)))
