"""The parts of residual networks for small images (He et al., CVPR 2016, https://arxiv.org/abs/1512.03385)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F


class Subsample(nn.Module):
    """Option A: every second pixel, and zeros for the new channels; no parameters."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # Half of the zeros on each side: the public weights were trained so.
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


def projection(inputs: int, outputs: int) -> nn.Module:
    """Option B: a strided 1x1 convolution."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    def __init__(self, inputs: int, outputs: int, shortcut: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else shortcut(inputs, outputs)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(inner)) + self.shortcut(x))


class ResidualNetwork(nn.Module):
    """Stem, one layer of blocks for each width, pooling, linear; named like the public weights."""

    def __init__(
        self, widths: tuple[int, ...], blocks: int, shortcut: Callable[[int, int], nn.Module], classes: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.depth = len(widths)
        for i, (before, width) in enumerate(zip((widths[0], *widths), widths, strict=False), start=1):
            inputs = (before, *[width] * (blocks - 1))
            self.add_module(f"layer{i}", nn.Sequential(*(Block(n, width, shortcut) for n in inputs)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(widths[-1], classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{i}")(x)
        return self.linear(self.pool(x).flatten(1))


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
