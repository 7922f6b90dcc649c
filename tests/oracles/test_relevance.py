"""Relevance whose right value is known: by hand, by slow loops, by conservation, by finite differences."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glasshouse.explainers import (
    LRP,
    AlphaBeta,
    Composite,
    Epsilon,
    Flat,
    Gamma,
    Logit,
    OneHot,
    Probability,
    ZBeta,
    ZPlus,
)
from glasshouse.explainers.lrp.composites import (
    epsilon_alpha2_beta1_flat,
    epsilon_gamma_box,
    epsilon_plus_flat,
    z_plus,
)
from glasshouse.explainers.lrp.layer import Geometry, Layer
from glasshouse.explainers.lrp.rules import stabilised
from glasshouse.models import ResNet18, ResNet20, SmallCNN, TorchVision
from glasshouse.models.normalised import Normalised
from nets import Linear, Net, seeded_net

RULES = [
    Epsilon(epsilon=0.1),
    Epsilon(epsilon=0.1, absorb_bias=False),
    ZPlus(stabiliser=1e-3),
    ZPlus(absorb_bias=True),
    AlphaBeta(),
    AlphaBeta(alpha=3, beta=2, absorb_bias=True, stabiliser=1e-3),
    Gamma(),
    Gamma(gamma=2.0, absorb_bias=False),
    ZBeta(),
    Flat(),
]
PRESETS = [z_plus(), epsilon_gamma_box(), epsilon_plus_flat(), epsilon_alpha2_beta1_flat(), Composite(last=Epsilon())]


def everywhere(rule: Any) -> Composite:
    return Composite(first=rule, convolution=rule, dense=rule)


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(rule: Any, a: list[float], w: list[list[float]], b: list[float], r: list[float], box: Any) -> list[float]:
    """The rules as they are printed, one number at a time; ``w[j][i]`` leads from i to j."""
    found = [0.0] * len(a)
    for j, row in enumerate(w):
        plain = [x * v for x, v in zip(a, row, strict=True)]
        bias = b[j] if getattr(rule, "absorb_bias", False) else 0.0
        z_full = sum(plain) + b[j]
        match rule:
            case Epsilon():
                total = sum(plain) + bias
                pieces = [(plain, 1.0, total + math.copysign(rule.epsilon, total))]
            case ZPlus():
                up = [max(p, 0) for p in plain]
                pieces = [(up, 1.0, sum(up) + max(bias, 0) + rule.stabiliser)]
            case AlphaBeta():
                up, down = [max(p, 0) for p in plain], [min(p, 0) for p in plain]
                pieces = [
                    (up, rule.alpha, sum(up) + max(bias, 0) + rule.stabiliser),
                    (down, -rule.beta, sum(down) + min(bias, 0) - rule.stabiliser),
                ]
            case Gamma():
                favours = (lambda p: max(p, 0)) if z_full > 0 else (lambda p: min(p, 0))
                more = [p + rule.gamma * favours(p) for p in plain]
                total = sum(more) + bias + rule.gamma * favours(bias)
                pieces = [(more, 1.0, total + math.copysign(rule.stabiliser, total))]
            case ZBeta():
                low, high = box
                boxed = [
                    x * v - lo * max(v, 0) - hi * min(v, 0) for x, v, lo, hi in zip(a, row, low, high, strict=True)
                ]
                pieces = [(boxed, 1.0, sum(boxed) + rule.stabiliser)]
            case _:
                pieces = [([1.0] * len(a), 1.0, float(len(a)))]
        for contributions, weight, denominator in pieces:
            for i, contribution in enumerate(contributions):
                found[i] += weight * contribution * r[j] / denominator
    return found


@pytest.mark.parametrize("sign", ["positive", "mixed"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_rule_is_its_formula(rule: Any, sign: str) -> None:
    a, w, b, r = seeded(3, 5), seeded(4, 5, seed=1), seeded(4, seed=2), seeded(3, 2, 4, seed=3)
    a = a.abs() if sign == "positive" else a
    box = a - 0.5, a + 0.7
    layer = Layer(a, F.linear(a, w, b), w, b, nonnegative=sign == "positive", bounds=box)
    found = rule(layer, r)
    for n in range(3):
        ends = [end[n].tolist() for end in box]
        for t in range(2):
            expected = slow(rule, a[n].tolist(), w.tolist(), b.tolist(), r[n, t].tolist(), ends)
            torch.testing.assert_close(found[n, t], torch.tensor(expected, dtype=torch.float64))


GEOMETRIES = [
    Geometry((1, 1), (1, 1), (1, 1), 1),
    Geometry((2, 2), (0, 1), (1, 1), 1),
    Geometry((3, 1), (2, 2), (1, 2), 2),
    Geometry((2, 2), (1, 1), (1, 1), 4),
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("rule", [r for r in RULES if not isinstance(r, Flat)], ids=repr)
def test_a_convolution_is_the_dense_layer_that_it_stands_for(rule: Any, geometry: Geometry) -> None:
    a, w, b = seeded(2, 4, 6, 7), seeded(4, 4 // geometry.groups, 3, 3, seed=1), seeded(4, seed=2)
    z = F.conv2d(a, w, b, *geometry)
    basis = torch.eye(4 * 6 * 7, dtype=torch.float64).view(-1, 4, 6, 7)
    matrix = F.conv2d(basis, w, None, *geometry).flatten(1).T
    box = a - 0.5, a + 0.7
    layer = Layer(a, z, w, b, geometry, bounds=box)
    spread = b.repeat_interleave(z[0, 0].numel())
    flat = Layer(a.flatten(1), z.flatten(1), matrix, spread, bounds=(box[0].flatten(1), box[1].flatten(1)))
    r = seeded(2, 3, *z.shape[1:], seed=4)
    torch.testing.assert_close(rule(layer, r).flatten(2), rule(flat, r.flatten(2)))


def test_flat_shares_equally_among_the_inputs_that_there_are() -> None:
    a, w = seeded(1, 1, 1, 3), seeded(1, 1, 1, 3)
    layer = Layer(a, F.conv2d(a, w, padding=(0, 1)), w, None, Geometry((1, 1), (0, 1), (1, 1), 1))
    r = torch.tensor([[[[[6.0, 9.0, 12.0]]]]], dtype=torch.float64)
    assert Flat()(layer, r).flatten().tolist() == [3 + 3, 3 + 3 + 6, 3 + 6]


def test_zeros_stay_stable_and_fields_are_checked() -> None:
    assert stabilised(torch.tensor([0.0, 1.0, -1.0]), 0.5).tolist() == [0.5, 1.5, -1.5]
    nothing = torch.zeros(1, 2)
    layer = Layer(nothing, nothing, torch.ones(2, 2), None, nonnegative=True, bounds=(nothing, nothing))
    for rule in RULES:
        assert rule(layer, torch.ones(1, 1, 2)).isfinite().all()
    for wrong in (lambda: AlphaBeta(alpha=1.0), lambda: ZPlus(stabiliser=0), lambda: Epsilon(epsilon=-1)):
        with pytest.raises(ValueError, match=r"alpha|stabiliser|epsilon"):
            wrong()
    with pytest.raises(ValueError, match="layers that see pixels"):
        ZBeta()(layer._replace(bounds=None), torch.ones(1, 1, 2))


def test_the_relevance_of_a_linear_model_is_pixel_times_weight(linear: Callable[[], Linear]) -> None:
    model, x = linear().double(), torch.rand(2, 3, 16, 16, dtype=torch.float64)
    composite = Composite(stabiliser=1e-12)
    found = LRP(composite=composite).relevance(model, x, torch.tensor([[0, 1], [1, 0]])).map
    weight = model.weight.detach()
    torch.testing.assert_close(found[0], torch.stack([x[0] * weight, -x[0] * weight]))
    torch.testing.assert_close(found[1], torch.stack([-x[1] * weight, x[1] * weight]))


class Branches(nn.Module):
    """A sum, a concatenation and a maximum, each of which can be worked out by hand."""

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(1)  # four of them
        total = pixels[:, :2] + pixels[:, 2:]
        joined = torch.cat([total, pixels[:, 3:]], 1)
        return torch.stack([joined.sum(1), F.max_pool1d(joined[:, None], 2, 1)[:, 0].sum(1)], 1)


def test_sums_share_concatenations_split_and_the_winner_takes_all() -> None:
    x = torch.tensor([[[[1.0, 4.0], [3.0, -2.0]]]])  # total = (4, 2), joined = (4, 2, -2), maxima = (4, 2)
    found = LRP().relevance(Branches(), x, torch.tensor([[0, 1]]))
    assert found.logits.tolist() == [[4, 6]]
    torch.testing.assert_close(found.map[0, 0].flatten(), torch.tensor([1.0, 4.0, 3.0, -2.0 - 2.0]))
    torch.testing.assert_close(found.map[0, 1].flatten(), torch.tensor([1.0, 4.0, 3.0, -2.0]))


def test_windows_that_overlap_may_have_the_same_winner() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.max_pool2d(x, 2, stride=1).flatten(2).mean(2)

    x = torch.tensor([[[[0.0, 1.0, 0.0], [2.0, 9.0, 0.0], [0.0, 0.0, 0.0]], [[8.0, 0, 0], [0, 1, 0], [0, 0, 4.0]]]])
    found = LRP().relevance(Model(), x, torch.tensor([[0, 1]]))
    assert found.map[0, 0, 0, 1, 1] == 9 and found.map[0, 0].count_nonzero() == 1
    torch.testing.assert_close(found.map[0, 1, 1], torch.tensor([[2.0, 0, 0], [0, 0.5, 0], [0, 0, 1.0]]))


def normalised_net(bias: bool = True) -> Net:
    net = seeded_net(activation=nn.ReLU).double()
    norm = net.features[1]
    norm.running_mean, norm.running_var = seeded(6).abs() * 0.3, seeded(6, seed=5).abs() + 0.5
    if not bias:
        for module in (net.features[0], net.features[3], net.head):
            nn.init.zeros_(module.bias)
        nn.init.zeros_(norm.bias)
        nn.init.zeros_(norm.running_mean)
    return net.eval()


def pixels(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_batch_norm_is_folded_into_the_layer_before_it(rule: Any) -> None:
    net, x, targets = normalised_net(), pixels(), torch.tensor([[0], [1], [2]])
    before = LRP(composite=everywhere(rule) if not isinstance(rule, ZBeta) else Composite(), start=OneHot())
    expected = before.relevance(net, x, targets).map
    norm, convolution = net.features[1], net.features[0]
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    with torch.no_grad():
        convolution.bias.copy_((convolution.bias - norm.running_mean) * scale + norm.bias)
        convolution.weight.mul_(scale.view(-1, 1, 1, 1))
    net.features[1] = nn.Identity()
    torch.testing.assert_close(before.relevance(net, x, targets).map, expected)


def test_a_batch_norm_before_its_layer_passes_relevance_on() -> None:
    class Before(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            maps = F.relu(self.stem(x))
            return self.head(F.relu(self.norm(maps)).mean((2, 3)))

    torch.manual_seed(0)
    rows = LRP().audit(Before(), torch.rand(1, 3, 8, 8))
    assert [(r.kind, r.rule) for r in rows][2] == ("batch_norm", "passed on")
    found = LRP(composite=z_plus()).relevance(Before(), torch.rand(2, 3, 8, 8), torch.tensor([[0], [1]]))
    torch.testing.assert_close(found.arrived, found.started)


def test_a_layer_that_others_read_as_well_keeps_its_relevance_from_them() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm, self.head = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            maps = self.stem(x)
            return self.head(torch.cat([F.relu(self.norm(maps)), F.relu(maps)], 1).mean((2, 3)))

    torch.manual_seed(0)
    model = Both()
    assert [r.rule for r in LRP().audit(model, torch.rand(1, 3, 8, 8))][1] == "passed on"
    found = LRP(composite=z_plus()).relevance(model, torch.rand(2, 3, 8, 8), torch.tensor([[0], [1]]))
    torch.testing.assert_close(found.arrived, found.started, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("std", [(0.3, 0.2, 0.5), (0.3, -0.2, 0.5)])
def test_normalisation_inside_the_model_is_the_same_as_in_its_first_weights(std: tuple[float, float, float]) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 3)).double()
    model = Normalised(inner, (0.2, 0.5, 0.6), std).double()
    folded = nn.Sequential(nn.Conv2d(3, 5, 3), *inner[1:]).double()
    with torch.no_grad():
        folded[0].weight.copy_(inner[0].weight / model.std)
        folded[0].bias.copy_(inner[0].bias - (inner[0].weight * model.mean / model.std).sum((1, 2, 3)))
    x, targets = pixels()[..., :8, :8], torch.tensor([[0], [1], [2]])
    first, second = (LRP().relevance(m, x, targets) for m in (model, folded))
    torch.testing.assert_close(first.logits, second.logits)
    torch.testing.assert_close(first.map, second.map)
    assert (LRP(composite=z_plus(), start=OneHot()).relevance(model, x, targets).map >= 0).all()


@pytest.mark.parametrize("start", [OneHot(), Logit(), Probability()], ids=repr)
def test_one_hot_sums_to_1_a_logit_to_itself(start: Any) -> None:
    net, x = normalised_net(), pixels()
    targets = torch.arange(4).expand(3, 4)
    found = LRP(composite=z_plus(), start=start).relevance(net, x, targets)
    expected = {"OneHot": torch.ones_like(found.logits), "Logit": found.logits}
    torch.testing.assert_close(found.started, expected.get(type(start).__name__, found.logits.softmax(1)))
    torch.testing.assert_close(found.arrived, found.started, rtol=1e-6, atol=1e-8)
    assert found.lost.abs().max() < 1e-5
    if isinstance(start, OneHot):  # so the attack's own loss can neither move nor fall
        assert (found.map >= 0).all()


def test_an_attack_on_one_hot_relevance_has_no_gradient_and_on_logits_that_of_the_margin() -> None:
    net, x = normalised_net(), pixels().requires_grad_()
    targets = torch.tensor([[0, 1]] * 3)
    gradients = []
    for start in (OneHot(), Logit()):
        arrived = LRP(composite=z_plus(), start=start).relevance(net, x, targets, create_graph=True).arrived
        gradients.append(torch.autograd.grad((arrived[:, 0] - arrived[:, 1]).sum(), x)[0])
    (margin,) = torch.autograd.grad((net(x)[:, 0] - net(x)[:, 1]).sum(), x)
    assert gradients[0].abs().max() < 1e-6 * margin.abs().max()
    torch.testing.assert_close(gradients[1], margin, rtol=1e-4, atol=1e-6)


def test_epsilon_without_biases_hands_down_the_logit() -> None:
    found = LRP(composite=everywhere(Epsilon())).relevance(
        normalised_net(bias=False), pixels(), torch.tensor([[0, 3]] * 3)
    )
    torch.testing.assert_close(found.arrived, found.logits[:, [0, 3]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("composite", [*PRESETS, everywhere(Epsilon(epsilon=0.1))], ids=range(6))
def test_the_gradient_of_relevance_is_its_finite_difference(composite: Composite) -> None:
    net, x, targets = normalised_net(), pixels(2), torch.tensor([[0, 2], [1, 3]])
    weight = net.features[3].weight

    def value(create_graph: bool = False) -> Tensor:
        return LRP(composite=composite).relevance(net, x, targets, create_graph=create_graph).map.square().sum()

    x.requires_grad_()
    gradients = torch.autograd.grad(value(create_graph=True), (x, weight))
    for tensor, gradient, seed in zip((x, weight), gradients, (7, 8), strict=True):
        direction, step = seeded(*tensor.shape, seed=seed), 1e-7
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                tensor.add_(sign * step * direction)
            ends.append(value())
            with torch.no_grad():
                tensor.sub_(sign * step * direction)
        difference = (ends[0] - ends[1]) / (2 * step)
        torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("composite", PRESETS, ids=range(5))
def test_several_targets_are_those_one_by_one(composite: Composite) -> None:
    net, x, targets = normalised_net(), pixels(), torch.tensor([[0, 2, 2], [1, 3, 0], [3, 2, 1]])
    explainer = LRP(composite=composite)
    together = explainer.relevance(net, x, targets)
    for t in range(3):
        alone = explainer.relevance(net, x, targets[:, t : t + 1])
        torch.testing.assert_close(together.map[:, t], alone.map[:, 0])
        torch.testing.assert_close(together.map[:, t].sum(1), explainer(net, x, targets[:, t]))
    assert together.map.shape == (3, 3, 3, 16, 16) and together.started.shape == together.arrived.shape == (3, 3)


class Reused(nn.Module):
    """The same modules twice, in place, under control flow, with a value that two branches read."""

    def __init__(self, inplace: bool, again: bool = True) -> None:
        super().__init__()
        self.stem, self.twice, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.relu, self.drop, self.again = nn.ReLU(inplace), nn.Dropout(0.5, inplace), again

    def forward(self, x: Tensor) -> Tensor:
        maps = self.relu(self.stem(x))
        if maps.mean() > -1:
            inner = self.twice(self.drop(self.relu(self.twice(maps))))
            inner += maps
        pooled = self.relu(inner).mean((2, 3))
        return self.head(pooled)


@pytest.mark.parametrize("composite", PRESETS, ids=range(5))
def test_reused_modules_and_values_in_place(composite: Composite) -> None:
    maps = []
    for inplace in (False, True):
        torch.manual_seed(0)
        model = Reused(inplace).double()
        maps.append(LRP(composite=composite).relevance(model, pixels(), torch.tensor([[0], [1], [2]])))
    assert torch.equal(maps[0].map, maps[1].map) and maps[0].map.any()


class Around(nn.Module):
    """A stem and a head around anything."""

    def __init__(self, middle: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.middle, self.head = nn.Conv2d(3, 4, 3), middle, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.stem(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("middle", "told"),
    [
        (nn.SiLU(), "silu in middle"),
        (nn.GELU(), "gelu in middle"),
        (nn.Sigmoid(), "sigmoid in middle"),
        (nn.ConvTranspose2d(4, 4, 2), "conv_transpose2d in middle"),
        (nn.GroupNorm(2, 4), "group_norm in middle"),
        (nn.BatchNorm2d(4, track_running_stats=False), "batch_norm in middle"),
        (lambda z: z * z.relu(), "mul in the model itself"),
        (lambda z: 1 / (2 + z.relu()), "rdiv|reciprocal|rtruediv|div"),
        (lambda z: torch.ones(()) / (2 + z.relu()), "div in the model itself"),
        (lambda z: F.batch_norm(z, torch.zeros(4), torch.ones(4), training=True), "batch_norm in the model itself"),
        (lambda z: torch.where(z > 0, z, z), "where in the model itself"),
        (lambda z: z @ z.transpose(2, 3), "matmul in the model itself"),
    ],
)
def test_what_has_no_rule_is_refused_by_its_name(middle: Any, told: str) -> None:
    model = Around(middle)
    with pytest.raises(ValueError, match=f"no rule for .*({told})"):
        LRP()(model, torch.rand(2, 3, 8, 8), torch.tensor([0, 1]))
    rows = LRP().audit(model, torch.rand(2, 3, 8, 8))
    assert rows[0].covered and not all(r.covered for r in rows)


@pytest.mark.parametrize(
    "middle",
    [
        nn.LeakyReLU(),
        nn.ELU(),
        nn.Hardtanh(0, 6),
        nn.Upsample(scale_factor=2),
        nn.AdaptiveMaxPool2d(2),
        nn.ChannelShuffle(2),
        lambda z: torch.cat([c.relu() for c in z.chunk(2, 1)], 1),
        lambda z: F.pad(z.relu(), (1, 1, 1, 1)).transpose(2, 3)[:, :, ::2],
        lambda z: torch.zeros_like(z) - (-z) * 2,
    ],
)
def test_what_keeps_or_moves_values_conserves(middle: Any) -> None:
    torch.manual_seed(0)
    model = Around(nn.Sequential(nn.ReLU(), middle) if isinstance(middle, nn.Module) else middle).double()
    found = LRP(composite=z_plus()).relevance(model, pixels(), torch.tensor([[0, 1]] * 3))
    torch.testing.assert_close(found.arrived, found.started, rtol=1e-5, atol=1e-7)


def test_what_cannot_be_followed_is_refused() -> None:
    x, y = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="followed back"):
        LRP()(Around(lambda z: torch.from_numpy(z.detach().numpy())), x, y)

    def overwritten(z: Tensor) -> Tensor:
        kept = z.relu()
        kept[:, 0] = 0
        return kept

    with pytest.raises(ValueError, match=r"relu in the model itself is overwritten"):
        LRP()(Around(overwritten), x, y)
    with pytest.raises(ValueError, match=r"logits \[B, K\]"):
        LRP()(nn.Conv2d(3, 4, 3), x, y)


@pytest.mark.parametrize("target", [[0, 4], [-1, 0], [[0, 1], [0, 1]], [0], [0.0, 1.0]])
def test_a_target_that_is_no_class_is_refused(target: Any) -> None:
    with pytest.raises(ValueError, match="target"):
        LRP()(normalised_net(), pixels(2), torch.tensor(target))


def test_the_audit_says_which_rule_stands_where() -> None:
    composite = Composite(first=Flat(), convolution=Gamma(), dense=Epsilon(), last=ZPlus())
    rows = LRP(composite=composite).audit(seeded_net(activation=nn.ReLU), torch.rand(1, 3, 16, 16))
    assert [(r.name, r.kind) for r in rows] == [
        ("features.0", "conv2d"),
        ("features.1", "batch_norm"),
        ("features.2", "relu"),
        ("features.3", "conv2d"),
        ("features.4", "relu"),
        ("", "mean"),
        ("head", "linear"),
    ]
    rules = [r.rule for r in rows]
    assert rules[0] == repr(Flat()) and rules[3] == repr(Gamma()) and rules[6] == repr(ZPlus())
    assert rules[1] == "folded into features.0" and all(r.covered for r in rows)


ARCHITECTURES = [
    (SmallCNN(), 32),
    (ResNet18(), 32),
    (ResNet20(), 32),
    *((TorchVision(name=n), 64) for n in ("resnet18", "resnet50", "vgg11_bn", "densenet121", "squeezenet1_1")),
]


@pytest.mark.parametrize(("architecture", "side"), ARCHITECTURES, ids=lambda a: getattr(a, "name", str(a)))
def test_architectures_conserve(architecture: Any, side: int) -> None:
    torch.manual_seed(0)
    model = architecture(10)
    x = F.interpolate(torch.rand(2, 3, 8, 8), (side, side), mode="bilinear")
    with torch.no_grad():
        model.train()(torch.rand(4, 3, side, side))  # running statistics of some images
    best = model.eval()(x).argmax(1)  # a logit of squeezenet is 0 where nothing speaks for it
    found = LRP(composite=z_plus(), start=OneHot()).relevance(model, x, best[:, None])
    torch.testing.assert_close(found.arrived, torch.ones(2, 1), atol=2e-3, rtol=0)


def test_architectures_with_gates_or_attention_are_refused() -> None:
    for name, told in (("vit_b_16", "layer_norm"), ("efficientnet_b0", "silu"), ("mobilenet_v3_small", "hardswish")):
        with torch.device("meta"):
            model = TorchVision(name=name)(10).to_empty(device="cpu")
        with pytest.raises(ValueError, match=rf"no rule for .*{told} in network\."):
            LRP()(model, torch.rand(1, 3, 224, 224), torch.tensor([0]))


@pytest.mark.parametrize(
    ("architecture", "side", "lost"),
    [
        (ResNet20(weights="resnet20-cifar10.th"), 32, (0, 1e-4)),
        (TorchVision(name="squeezenet1_1", weights="squeezenet1_1-imagenet.safetensors"), 96, (0, 1e-4)),
        # Its depthwise filters often act through their bias alone: nothing below them contributes.
        (TorchVision(name="mobilenet_v2", weights="mobilenet_v2-imagenet.safetensors"), 96, (0.5, 1)),
    ],
)
def test_real_weights_conserve_or_say_what_they_lose(
    architecture: Any, side: int, lost: tuple[float, float], shared_data: Path
) -> None:
    weights = shared_data / "weights" / architecture.weights
    model = type(architecture)(**{**vars(architecture), "weights": str(weights)})
    model = model(10 if side == 32 else 1000).eval()
    x = F.interpolate(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), (side, side), mode="bicubic")
    found = LRP(composite=z_plus(), start=OneHot()).relevance(model, x.clamp(0, 1), model(x).argmax(1)[:, None])
    assert (found.lost >= lost[0] - 1e-4).all() and (found.lost <= lost[1]).all()


def test_a_map_without_relevance_is_warned_of_and_a_sound_one_is_not() -> None:
    class Biased(nn.Module):
        """All of the logit comes from the bias of the first layer."""

        def __init__(self, weight: float) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 2, 1), nn.Linear(2, 2)
            nn.init.constant_(self.first.weight, weight)
            nn.init.constant_(self.first.bias, 1.0)
            nn.init.constant_(self.last.weight, 1.0)
            nn.init.zeros_(self.last.bias)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).relu().mean((2, 3)))

    x, target = torch.full((1, 3, 4, 4), 0.5), torch.tensor([0])
    lossy = LRP(composite=Composite(first=Epsilon(), convolution=Epsilon(), dense=Epsilon(), last=Epsilon()))
    with pytest.warns(UserWarning, match="did not keep its relevance, [0-9]% of it arrived"):
        lossy(Biased(1e-3), x, target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lossy(Biased(1.0), x, target)
