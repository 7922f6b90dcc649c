"""The networks of the robustness benchmarks: one as it is usually trained, and the same made robust."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from glasshouse.attacks import FGSM, Linf
from glasshouse.data import CropFlip, Parquet
from glasshouse.data.samples import at_most
from glasshouse.models import ResNet20
from glasshouse.models.weights import load_weights, save_weights
from glasshouse.objectives import Adversarial
from glasshouse.terminal import bars
from glasshouse.train import SGD, Training, fit
from glasshouse.types import Batch

KEPT = Path("runs") / "bench" / "robust-resnet20.safetensors"


def standard(root: Path) -> nn.Module:
    """ResNet-20 with the shared weights."""
    return ResNet20(weights=str(root / "weights" / "resnet20-cifar10.th"))(10).eval()


def robust(root: Path, epochs: int = 6) -> nn.Module:
    """The same network after some epochs of FGSM-RS at 8/255 (Wong et al., ICLR 2020, https://arxiv.org/abs/2001.03994)
    on a quarter of CIFAR-10: about 62 % clean and 25 % under PGD. It is kept, and trained (minutes) only once."""
    network = standard(root)
    if KEPT.is_file():
        load_weights(network, KEPT)
        return network.eval()
    first = sorted((root / "cifar10").glob("train*.parquet"))[0]
    samples = Parquet(train=str(first), label="label", validation=0.01)("train")
    objective = Adversarial(attack=FGSM(ball=Linf(eps=8 / 255), random_start=True))
    training = Training(epochs=epochs, batch_size=128, optimizer=SGD(lr=0.05), augmentation=CropFlip())
    with bars() as progress:
        fit(network, objective, samples, training, progress=progress, label="make a robust network")
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    save_weights(network, KEPT)
    return network.eval()


def images(root: Path, count: int) -> Batch:
    """Test images drawn by a seed."""
    test = next((root / "cifar10").glob("test*.parquet"))
    samples = at_most(Parquet(train=str(test), label="label", validation=0.01)("train"), count)
    return samples[list(range(len(samples)))]


def parts(batch: Batch, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels, so many at a time."""
    return ((batch.x[i : i + size], batch.y[i : i + size]) for i in range(0, len(batch.y), size))


@torch.no_grad()
def right(model: nn.Module, x: Tensor, y: Tensor, size: int = 100) -> Tensor:
    """Who is classified rightly, ``[N]`` bool."""
    return torch.cat([model(part).argmax(1) == label for part, label in parts(Batch(x, y), size)])
