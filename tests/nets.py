"""Small networks whose every answer is known or quickly computed, and a record of all that a borrower may disturb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from glasshouse.hierarchy import grouped
from glasshouse.models.two_levels import GroupedNetwork
from glasshouse.types import NOWHERE, Batch

SIDE, CLASSES = 16, 4


class Net(nn.Module):
    """Convolutions with BatchNorm and a linear head over the mean; ``stride`` makes the feature map smaller."""

    def __init__(self, activation: Callable[[], nn.Module] = nn.Softplus, stride: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=stride, padding=1),
            nn.BatchNorm2d(6),
            activation(),
            nn.Conv2d(6, 8, 3, padding=1),
            activation(),
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Linear(nn.Module):
    """Logits (w.x, -w.x): the optimal attack and every gradient are known in closed form."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        score = (x * self.weight).flatten(1).sum(1)
        return torch.stack([score, -score], 1)


def seeded_net(seed: int = 0, activation: Callable[[], nn.Module] = nn.Softplus, stride: int = 1) -> Net:
    torch.manual_seed(seed)
    net = Net(activation, stride)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.5)
    return net


class TwoLevelNet(GroupedNetwork):
    """A net of four classes in two superclasses, whose layers keep their names."""

    def __init__(self, net: Net) -> None:
        super().__init__(net, grouped({"even": (0, 2), "odd": (1, 3)}, "abcd"))

    @property
    def features(self) -> nn.Module:
        return self.network.features

    @property
    def head(self) -> nn.Module:
        return self.network.head


def steep_net(seed: int = 0) -> nn.Module:
    """Two layers that look at every pixel: what is masked changes probabilities by tens of per cent."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 24), nn.Softplus(), nn.Linear(24, CLASSES))
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    return net.eval()


def mixed_net(activation: Callable[[], nn.Module] = nn.Softplus) -> Net:
    """BatchNorm in training mode, another module in evaluation mode, one frozen parameter."""
    net = seeded_net(activation=activation).train()
    net.features[0].eval()
    net.head.bias.requires_grad_(False)
    return net


def full_batch(count: int = 6) -> Batch:
    """A batch with every field; the evidence should be in the middle."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    mask[:, 4:12, 3:13] = True
    return Batch(
        torch.rand(count, 3, SIDE, SIDE, generator=generator),
        torch.arange(count) % CLASSES,
        mask,
        torch.randn(count, SIDE, SIDE, generator=generator),
        torch.rand(count, generator=generator) + 0.5,
        torch.arange(count),
        torch.where(mask, (torch.arange(count) % CLASSES).view(-1, 1, 1), NOWHERE),
    )


def state(model: nn.Module) -> dict[str, Any]:
    """All of a model that a borrower could leave changed."""
    return {
        "modes": [m.training for m in model.modules()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grads": [p.grad for p in model.parameters()],
        "hooks": [
            len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) + len(m._backward_pre_hooks)
            for m in model.modules()
        ],
        "tensors": {k: v.tolist() for k, v in model.state_dict().items()},
    }


def with_field(component: Any, name: str, value: Any) -> Any:
    """A copy with ``name`` replaced at every depth where there is a field of that name."""
    changed = {
        f.name: value if f.name == name else with_field(getattr(component, f.name), name, value)
        for f in fields(component)
        if f.name == name or is_dataclass(getattr(component, f.name))
    }
    return replace(component, **changed)


class Boom(RuntimeError):
    """Thrown inside a model."""


def exploding(model: nn.Module, call: int) -> nn.Module:
    """The model, whose head throws at its ``call``-th forward pass."""
    calls = iter(range(1, 1_000_000))

    def hook(module: nn.Module, inputs: object) -> None:
        if next(calls) == call:
            raise Boom

    model.get_submodule("head").register_forward_pre_hook(hook)
    return model
