"""A model with its normalisations folded away is the same function, and is given back as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from glasshouse.folding import folded
from glasshouse.modes import frozen, tap
from nets import Boom, state


class Plain(nn.Module):
    """Convolutions with their normalisations in order, an activation in place, a head that knows where things are."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, groups=2),
            nn.BatchNorm2d(8, affine=False),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(8 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.features(x), 2).flatten(1))


class Residual(Plain):
    """Adds in place what the normalisation gives, as residual networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        identity = self.features(x)
        out = self.bn(self.conv(identity))
        out += identity
        return self.head(F.adaptive_avg_pool2d(self.relu(out), 2).flatten(1))


class ReadTwice(Residual):
    """What the convolution gives goes to its normalisation and elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(self.features(x))
        return self.head(F.adaptive_avg_pool2d(self.bn(out) + out, 2).flatten(1))


class CalledTwice(Residual):
    """One convolution, before two calls of one normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn(self.conv(self.features(x)))
        return self.head(F.adaptive_avg_pool2d(self.bn(self.conv(out)), 2).flatten(1))


class TwoReaders(Residual):
    """One output, two normalisations."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(self.features(x))
        return self.head(F.adaptive_avg_pool2d(self.bn(out) * self.other(out), 2).flatten(1))


class Overwritten(Residual):
    """An activation in place stands between convolution and normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn(F.relu_(self.conv(self.features(x))))
        return self.head(F.adaptive_avg_pool2d(out, 2).flatten(1))


class Hidden(Residual):
    """The convolution is in a block of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Identity(), nn.Conv2d(8, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn(self.block(self.features(x)))
        return self.head(F.adaptive_avg_pool2d(self.relu(out), 2).flatten(1))


class Sequence(nn.Module):
    """In one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv1d(3, 4, 3, dilation=2), nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bn(self.conv(x.flatten(2))).relu().mean(2))


class Weird(Plain):
    """What no folding knows: a transposed convolution, and one whose weight is made anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.ConvTranspose2d(3, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            parametrizations.weight_norm(nn.Conv2d(6, 8, 3)),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
        )


class Unfollowed(Plain):
    """A normalisation without statistics of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.features[4] = nn.BatchNorm2d(8, track_running_stats=False)


# How many normalisations are folded.
NETS: dict[type[nn.Module], int] = {
    Plain: 2,
    Residual: 3,
    ReadTwice: 0,
    CalledTwice: 2,
    TwoReaders: 2,
    Overwritten: 2,
    Hidden: 3,
    Sequence: 1,
    Weird: 0,
    Unfollowed: 1,
}
KINDS = pytest.mark.parametrize("kind", NETS, ids=lambda kind: kind.__name__)


def net_of(kind: Callable[[], nn.Module]) -> nn.Module:
    """Statistics and factors that are far from 0 and 1."""
    torch.manual_seed(3)
    net = kind().double()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if module.affine:
                nn.init.normal_(module.weight, mean=0.5)
                nn.init.normal_(module.bias)
            if module.running_mean is not None:
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.1, 3)
    net.head.weight.requires_grad_(False)
    return net.eval()


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def norms(net: nn.Module) -> list[Any]:
    return [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def away(net: nn.Module) -> list[str]:
    """The normalisations that do nothing now."""
    return [
        n for n, m in net.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and "forward" in vars(m)
    ]


def identities(net: nn.Module) -> list[int]:
    return [id(t) for t in (*net.parameters(), *net.buffers())]


def answers(net: nn.Module, x: Tensor, layer: str = "") -> list[Tensor]:
    """Logits, their gradient in the pixels, and what a layer gives and its gradient."""
    x = x.clone().requires_grad_()
    with tap(net, layer) if layer else nullcontext([x]) as outputs:
        logits = net(x)
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    gradients = torch.autograd.grad((direction * logits).sum(), [x, outputs[0]])
    return [logits.detach(), outputs[0].detach(), *gradients]


def same(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@KINDS
def test_it_is_the_same_function_and_is_given_back(kind: type[nn.Module]) -> None:
    net = net_of(kind)
    before, own = state(net), identities(net)
    inplace = [getattr(m, "inplace", None) for m in net.modules()]
    expected = answers(net, images())
    with frozen(net), folded(net, images(1)):
        assert len(away(net)) == NETS[kind]
        same(answers(net, images()), expected)
        assert not any(getattr(m, "inplace", False) for m in net.modules())
        assert not any(p.requires_grad for p in net.parameters())
    assert state(net) == before and identities(net) == own and not away(net)
    assert [getattr(m, "inplace", None) for m in net.modules()] == inplace
    assert all(type(p) is nn.Parameter for p in net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(answers(net, images()), expected, strict=True))


@KINDS
@pytest.mark.parametrize("where", ["inside", "while it is tried", "while it is followed"])
def test_it_is_given_back_after_an_error(kind: type[nn.Module], where: str) -> None:
    net = net_of(kind)
    calls = iter(range(1, 9))
    last = {"inside": 99, "while it is tried": 3, "while it is followed": 1}[where]

    def explode(module: nn.Module, inputs: object) -> None:
        if next(calls) == last:
            raise Boom

    net.head.register_forward_pre_hook(explode)
    before, own = state(net), identities(net)
    inplace = [getattr(m, "inplace", None) for m in net.modules()]
    with pytest.raises(Boom), folded(net, images(1)):
        raise Boom
    assert state(net) == before and identities(net) == own and not away(net)
    assert [getattr(m, "inplace", None) for m in net.modules()] == inplace


@pytest.mark.parametrize(
    ("kind", "layer", "left"),
    [
        (Plain, "features.3", 1),
        (Plain, "features.4", 2),
        (Plain, "features", 2),
        (Plain, "features.0", 1),
        (Residual, "conv", 2),
        (Residual, "bn", 3),
        (Residual, "relu", 3),
        (Hidden, "block.1", 2),
        (Hidden, "block", 2),  # what a block gives is what its convolution gives
        (Hidden, "block.0", 3),
    ],
)
def test_a_layer_apart_gives_what_it_gave(kind: type[nn.Module], layer: str, left: int) -> None:
    net = net_of(kind)
    expected = answers(net, images(), layer)
    with folded(net, images(1), apart=layer):
        assert len(away(net)) == left
        same(answers(net, images(), layer), expected)


def test_a_normalisation_that_follows_the_batch_stays() -> None:
    net = net_of(Plain)
    net.features[1].train()
    before = state(net)
    expected = answers(copy.deepcopy(net), images())
    with folded(net, images(2)):
        assert away(net) == ["features.4"]
        same(answers(net, images()), expected)
    assert state(net)["modes"] == before["modes"]


def test_what_is_folded_already_is_left_alone() -> None:
    net = net_of(Plain)
    before, expected = state(net), answers(net, images())
    with folded(net, images(1)):
        with folded(net, images(1)):
            same(answers(net, images()), expected)
        assert len(away(net)) == 2
        same(answers(net, images()), expected)
    assert state(net) == before and not away(net)


def test_two_convolutions_with_one_weight() -> None:
    net = net_of(Residual)
    net.twin = nn.Conv2d(8, 8, 1).double()
    net.twin.weight = net.conv.weight
    net.features.append(net.twin)
    expected, own = answers(net, images()), identities(net)
    with folded(net, images(1)):
        assert len(away(net)) == 3
        same(answers(net, images()), expected)
    assert net.twin.weight is net.conv.weight and identities(net) == own


def test_activations_stay_apart_where_nothing_is_folded() -> None:
    net = net_of(ReadTwice)
    with folded(net, images(1)):
        assert not any(m.inplace for m in net.modules() if isinstance(m, nn.ReLU))
    assert all(m.inplace for m in net.modules() if isinstance(m, nn.ReLU))


def test_the_memory_format_of_a_weight_stays() -> None:
    net = net_of(Plain).to(memory_format=torch.channels_last)
    with folded(net, images(1)):
        assert net.features[0].weight.is_contiguous(memory_format=torch.channels_last)
        assert not net.features[0].weight.is_contiguous()


def test_hooks_of_a_normalisation_still_see_what_it_gives() -> None:
    net = net_of(Plain)
    seen: list[Tensor] = []
    net.features[1].register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    net(images())
    with folded(net, images(1)):
        seen[1:] = []
        net(images())
    torch.testing.assert_close(seen[1], seen[0], rtol=1e-9, atol=1e-11)
