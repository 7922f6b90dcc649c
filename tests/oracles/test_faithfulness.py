"""Faithfulness next to the formulas, pixel by pixel in plain Python, and to a sparse solver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn

from glasshouse.explainers import BlurFill, ConstantFill, EdgeMap, RandomMap
from glasshouse.explainers.superpixels import backdrop
from glasshouse.metrics import (
    ROAD,
    Deletion,
    FaithfulnessCorrelation,
    Infidelity,
    Insertion,
    PixelFlipping,
    Sufficiency,
)
from glasshouse.metrics.imputation import imputed
from glasshouse.metrics.infidelity import corners, noises_of, squares_of
from glasshouse.metrics.removal import evenly, ranking, removed
from glasshouse.metrics.road import noise_of
from glasshouse.metrics.subsets import subsets_of
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.types import Batch
from nets import SIDE, full_batch, steep_net

PIXELS = SIDE * SIDE
EVERY: list[Any] = [Deletion(), Insertion(), PixelFlipping(), Sufficiency(), ROAD(), FaithfulnessCorrelation()]
EVERY += [Infidelity(), Infidelity(kind="noise", samples=40)]


@pytest.fixture
def net() -> nn.Module:
    return steep_net()


@pytest.fixture
def known(net: nn.Module) -> Verdicts:
    return Verdicts(net, full_batch(4), seed=3)


def told(net: nn.Module, image: Tensor, chosen: int, score: str = "probability") -> float:
    with torch.no_grad():
        logits = net(image[None])[0].double()
    return float((logits.softmax(0) if score == "probability" else logits)[chosen])


def walk(
    net: nn.Module, x: Tensor, behind: Tensor, order: list[int], counts: tuple[int, ...], score: str
) -> list[float]:
    """One image, one pixel after another."""
    with torch.no_grad():
        chosen = int(net(x[None]).argmax())
    values = []
    for count in counts:
        copy = x.clone().flatten(1)
        for pixel in order[:count]:
            copy[:, pixel] = behind.flatten(1)[:, pixel]
        values.append(told(net, copy.view_as(x), chosen, score))
    return values


def area(shares: list[float], values: list[float]) -> float:
    pairs = zip(zip(shares, values, strict=True), zip(shares[1:], values[1:], strict=False), strict=False)
    return sum((b - a) * (u + v) / 2 for (a, u), (b, v) in pairs)


def descending(attribution: Tensor) -> list[int]:
    values = attribution.flatten().tolist()
    return sorted(range(len(values)), key=lambda i: -values[i])


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_removal_pixel_by_pixel(score: str, net: nn.Module, known: Verdicts) -> None:
    batch, counts = known.batch, evenly(PIXELS, 7)
    assert batch.attribution is not None and counts[0] == 0 and counts[-1] == PIXELS and len(counts) == 8
    grey, blurred = (backdrop(fill, batch.x) for fill in (ConstantFill(0.5), BlurFill()))
    shares = [count / PIXELS for count in counts]
    for i, x in enumerate(batch.x):
        most = descending(batch.attribution[i])
        gone = walk(net, x, grey[i], most, counts, score)
        left = walk(net, x, blurred[i], most[::-1], tuple(PIXELS - count for count in counts), score)
        deletion = Deletion(steps=7, fill=ConstantFill(0.5), score=score)
        assert deletion.curve(known)[1][i].tolist() == pytest.approx(gone, abs=1e-4)
        assert deletion.given(known)[i].item() == pytest.approx(area(shares, gone), abs=1e-4)
        assert Insertion(steps=7, score=score).given(known)[i].item() == pytest.approx(area(shares, left), abs=1e-4)


@pytest.mark.parametrize("features", [0, 1, 60, 300])
def test_pixel_flipping_by_so_many_at_a_time(features: int, net: nn.Module, known: Verdicts) -> None:
    x, attribution = known.batch.x[0], known.batch.attribution
    assert attribution is not None
    counts = tuple(sorted({*range(0, PIXELS, features or PIXELS // 32), PIXELS}))
    values = walk(net, x, torch.zeros_like(x), descending(attribution[0]), counts, "probability")
    metric = PixelFlipping(features=features)
    shares, curve = metric.curve(known)
    assert shares.tolist() == pytest.approx([count / PIXELS for count in counts])
    assert curve[0].tolist() == pytest.approx(values, abs=1e-5)
    expected = area(shares.tolist(), values)
    assert replace(metric, relative=False).given(known)[0].item() == pytest.approx(expected, abs=1e-5)
    assert metric.given(known)[0].item() == pytest.approx(expected / values[0], abs=1e-5)


def test_either_order_is_a_walk_of_its_own(net: nn.Module, known: Verdicts) -> None:
    assert known.batch.attribution is not None
    turned = Verdicts(net, known.batch._replace(attribution=-known.batch.attribution), seed=3)
    counts, black = evenly(PIXELS, 4), ConstantFill(0.0)
    most, least = (removed(Deletion(), known, first, black, counts).own for first in (True, False))
    assert not torch.equal(most, least)
    torch.testing.assert_close(least, removed(Deletion(), turned, True, black, counts).own)


def test_a_quotient_by_nothing_is_no_number(net: nn.Module) -> None:
    batch = full_batch(3)
    net[-1].bias.data -= 100.0  # type: ignore[union-attr,index,operator]
    assert PixelFlipping(score="logit")(net, batch).isnan().all()
    assert PixelFlipping(score="logit", relative=False)(net, batch).isfinite().all()


def test_sufficiency_keeps_the_most_relevant(net: nn.Module, known: Verdicts) -> None:
    x, attribution = known.batch.x[1], known.batch.attribution
    assert attribution is not None
    most = descending(attribution[1])
    whole, tenth, half = walk(
        net, x, torch.zeros_like(x), most[::-1], (0, PIXELS - round(0.1 * PIXELS), PIXELS // 2), "probability"
    )
    found = Sufficiency(shares=(0.1, 0.5)).given(known)[1].item()
    assert found == pytest.approx(whole - (tenth + half) / 2, abs=1e-5)


def test_equal_pixels_go_by_lots_and_others_by_value(net: nn.Module) -> None:
    batch = full_batch(6)
    flat = Verdicts(net, batch._replace(attribution=torch.ones(6, SIDE, SIDE)), seed=0)
    order = ranking(Deletion(), flat)
    assert torch.equal(order.sort(1).values, torch.arange(PIXELS, dtype=torch.int32).expand(6, -1))
    place = torch.arange(PIXELS).double()
    for row in order.double():
        assert abs(np.corrcoef(row, place)[0, 1]) < 0.25
    assert len({tuple(row.tolist()) for row in order}) == 6
    steps = torch.arange(PIXELS).div(64, rounding_mode="floor").view(1, SIDE, SIDE).expand(6, -1, -1)
    stairs = ranking(Deletion(), Verdicts(net, batch._replace(attribution=steps.float()), seed=0))
    assert torch.equal(stairs.div(64, rounding_mode="floor"), (3 - steps.flatten(1)).int())


def test_correlation_and_infidelity_by_their_formulas(net: nn.Module, known: Verdicts) -> None:
    batch = known.batch
    assert batch.attribution is not None
    for score in ("probability", "logit"):
        sets = subsets_of(known, 30, 0.1)
        assert (sets.flatten(2).sum(2) == round(0.1 * PIXELS)).all()
        found = FaithfulnessCorrelation(30, 0.1, ConstantFill(0.3), score).given(known)
        squares = squares_of(known, 30, 5)
        infidelity = [
            Infidelity(30, window=5, product=product, scaled=scaled, relative=relative, score=score).given(known)
            for product, scaled, relative in (
                ("change", False, False),
                ("removed", True, False),
                ("change", True, True),
            )
        ]
        noises = noises_of(known, 30, 0.2)
        noisy = Infidelity(30, kind="noise", sigma=0.2, scaled=False, relative=False, score=score).given(known)
        for i, x in enumerate(batch.x):
            chosen, a = int(known.predicted[i]), batch.attribution[i].double()
            whole = told(net, x, chosen, score)
            lost = [whole - told(net, torch.where(s, 0.3, x), chosen, score) for s in sets[i]]
            sums = [float(a[s].sum()) for s in sets[i]]
            assert found[i].item() == pytest.approx(np.corrcoef(sums, lost)[0, 1], abs=1e-4)
            lost_ = np.array([whole - told(net, torch.where(s, 0.0, x), chosen, score) for s in squares[i]])
            change = np.array([float((a * x * s).sum()) for s in squares[i]])
            inside = np.array([float(a[s].sum()) for s in squares[i]])
            assert infidelity[0][i].item() == pytest.approx(np.mean((change - lost_) ** 2), rel=1e-4)
            assert infidelity[1][i].item() == pytest.approx(best(inside, lost_), rel=1e-3)
            assert infidelity[2][i].item() == pytest.approx(best(change, lost_) / np.mean(lost_**2), rel=1e-3)
            after = np.array([whole - told(net, x - u, chosen, score) for u in noises[i]])
            product = np.array([float((a * u).sum()) for u in noises[i]])
            assert noisy[i].item() == pytest.approx(np.mean((product - after) ** 2), rel=1e-4)


def best(product: np.ndarray[Any, Any], lost: np.ndarray[Any, Any]) -> float:
    """What the best multiple leaves."""
    (beta,), *_ = np.linalg.lstsq(product[:, None], lost, rcond=None)
    return float(np.mean((beta * product - lost) ** 2))


def test_squares_are_everywhere_alike(net: nn.Module) -> None:
    known = Verdicts(net, full_batch(6), seed=1)
    place = corners(known, 400, 3)
    assert place.min() == 0 and place.max() == SIDE - 3 and place.shape == (6, 400, 2)
    counts = torch.stack([torch.bincount(p, minlength=SIDE - 2) for p in place.flatten(0, 1).T])
    assert (counts.float() / (6 * 400) - 1 / (SIDE - 2)).abs().max() < 0.004
    assert len({tuple(p.flatten().tolist()) for p in place[:, :3]}) > 1
    squares = squares_of(known, 400, 3)
    assert (squares.flatten(2).sum(2) == 9).all() and squares.shape == (6, 400, SIDE, SIDE)
    assert (noises_of(known, 200, 0.5).flatten(1).std(1) - 0.5).abs().max() < 0.01


def solved(x: np.ndarray[Any, Any], gone: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Every missing pixel the mean of its neighbours by 1/6 and 1/12, by a sparse solver."""
    index = {tuple(p): i for i, p in enumerate(np.argwhere(gone))}
    matrix, known = lil_matrix((len(index), len(index))), np.zeros((len(index), len(x)))
    for (row, column), i in index.items():
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                other, weight = (row + down, column + right), 1 / 12 if down and right else 1 / 6
                if (down, right) == (0, 0) or not (0 <= other[0] < gone.shape[0] and 0 <= other[1] < gone.shape[1]):
                    continue
                matrix[i, i] += weight
                if other in index:
                    matrix[i, index[other]] -= weight
                else:
                    known[i] += weight * x[:, other[0], other[1]]
    filled = x.copy()
    filled[:, gone] = spsolve(matrix.tocsc(), known).reshape(len(index), -1).T
    return filled


@pytest.mark.parametrize("size", [(16, 16), (9, 21), (32, 50)])
@pytest.mark.parametrize("kind", ["scattered", "one hole", "half", "all but a corner"])
def test_imputation_next_to_a_sparse_solver(kind: str, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(3, 3, *size, generator=generator)
    gone = torch.rand(3, 1, *size, generator=generator) < torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1, 1)
    if kind == "one hole":
        gone = torch.zeros_like(gone)
        gone[:, :, 2:-1, :-3] = True
    if kind == "half":
        gone[:] = torch.arange(size[1]) < size[1] // 2
    if kind == "all but a corner":
        gone = torch.ones_like(gone)
        gone[:, :, 0, :2] = False
    found = imputed(x, gone)
    for image, hole, filled in zip(x.double().numpy(), gone.numpy(), found.numpy(), strict=True):
        assert np.abs(solved(image, hole[0]) - filled).max() < 1e-3
    assert torch.equal(found[~gone.expand_as(x)], x[~gone.expand_as(x)])
    assert torch.equal(imputed(x, torch.zeros_like(gone)), x)


def test_road_by_its_definition() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * PIXELS, 4))
    nn.init.normal_(net[1].weight, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    net[1].weight.data -= net[1].weight.mean(1, keepdim=True)  # type: ignore[operator]
    batch, shares = full_batch(4), (0.2, 0.6, 0.95)
    assert batch.attribution is not None
    known = Verdicts(net, batch, seed=3)
    noise, gap = noise_of(known), ROAD(shares=shares, noise=0.05).given(known)
    morf, lerf = (ROAD(shares=shares, noise=0.05, order=order).given(known) for order in ("morf", "lerf"))
    expected = []
    for i, x in enumerate(batch.x):
        most = descending(batch.attribution[i])
        for order in (most, most[::-1]):
            kept = []
            for share in shares:
                gone = np.zeros(PIXELS, dtype=bool)
                gone[order[: int(share * PIXELS)]] = True
                gone = gone.reshape(SIDE, SIDE)
                filled = torch.from_numpy(solved(x.double().numpy(), gone)).float()
                copy = torch.where(torch.from_numpy(gone), filled + 0.05 * noise[i], x)
                with torch.no_grad():
                    kept.append(int(net(copy[None]).argmax()) == int(known.predicted[i]))
            expected.append(sum(kept) / len(kept))
    assert morf.tolist() == pytest.approx(expected[::2]) and lerf.tolist() == pytest.approx(expected[1::2])
    assert gap.tolist() == pytest.approx((lerf - morf).tolist()) and len(set(expected)) > 1


@pytest.mark.parametrize("metric", EVERY)
def test_maps_that_say_nothing_have_no_advantage(metric: Any, net: nn.Module) -> None:
    batch = full_batch(3)
    values = metric(net, batch._replace(attribution=torch.zeros(3, SIDE, SIDE)))
    if isinstance(metric, FaithfulnessCorrelation):
        assert values.isnan().all()
    elif isinstance(metric, Infidelity):
        assert values.tolist() == [1, 1, 1]
    else:
        assert values.isfinite().all()
    with pytest.raises(ValueError, match=f"{type(metric).__name__} needs an explainer"):
        metric(net, batch._replace(attribution=None))


def test_the_truth_is_faithful() -> None:
    """For a linear model, gradient x input says what each pixel is worth."""
    weight = torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) / 9
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * PIXELS, 2))
    net[1].weight.data, net[1].bias.data = torch.stack([weight, -weight]).flatten(1), torch.zeros(2)  # type: ignore[assignment]
    batch = full_batch(4)
    sign = 1 - 2 * net(batch.x).argmax(1)
    truth = batch._replace(attribution=(batch.x * weight).sum(1) * sign.view(-1, 1, 1))
    removed = Infidelity(product="removed", scaled=False, score="logit")
    assert FaithfulnessCorrelation(score="logit")(net, truth).tolist() == pytest.approx([1] * 4, abs=1e-4)
    assert removed(net, truth).tolist() == pytest.approx([0] * 4, abs=1e-6)
    random = truth._replace(attribution=RandomMap()(net, batch.x, batch.y))
    for metric in (
        Deletion(score="logit"),
        Insertion(score="logit"),
        Sufficiency(score="logit"),
        Infidelity(score="logit"),
    ):
        assert (metric.better * (metric(net, truth) - metric(net, random)) > 0).all()  # type: ignore[operator]
    net[1].weight.data -= net[1].weight.mean(1, keepdim=True)  # type: ignore[operator]
    sign = 1 - 2 * net(batch.x).argmax(1)
    deviation = ((batch.x - 0.5) * net[1].weight[0].view(3, SIDE, SIDE)).sum(1).detach()  # type: ignore[operator]
    assert ROAD()(net, batch._replace(attribution=deviation * sign.view(-1, 1, 1))).mean() > 0.5


class Counting(nn.Module):
    """Counts the images that it sees."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.seen = net, 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        out: Tensor = self.net(x)
        return out


def test_passes_are_shared(net: nn.Module) -> None:
    model, batch = Counting(net), full_batch(4)
    known = Verdicts(model, batch, seed=0)

    def cost(metric: Any, explainer: Any) -> int:
        view = known.by(explainer)
        before = model.seen
        metric.given(view)
        return (model.seen - before) // len(batch.x)

    one, other = RandomMap(), EdgeMap()
    assert (cost(Deletion(), one), cost(PixelFlipping(), one), cost(Deletion(score="logit"), one)) == (32, 0, 0)
    assert (cost(Deletion(), other), cost(Insertion(), one), cost(Insertion(), other)) == (31, 32, 31)
    assert (cost(FaithfulnessCorrelation(), one), cost(FaithfulnessCorrelation(), other)) == (100, 0)
    assert (cost(Infidelity(), one), cost(Infidelity(product="removed", scaled=False), other)) == (64, 0)
    assert (cost(ROAD(), one), cost(ROAD(order="morf"), one), cost(ROAD(order="lerf"), other)) == (10, 0, 5)


@pytest.mark.parametrize("metric", EVERY)
def test_who_shares_the_batch_changes_nothing(metric: Any, net: nn.Module) -> None:
    batch = full_batch(5)
    whole = metric.given(Verdicts(net, batch, seed=7))
    parts = [metric.given(Verdicts(net, part, seed=7)) for part in (cut(batch, slice(0, 2)), cut(batch, slice(2, 5)))]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=1e-4)


def cut(batch: Batch, part: slice) -> Batch:
    return Batch(*(None if t is None else t[part] for t in batch))  # type: ignore[arg-type]


def test_a_scaled_map_is_the_same_map(net: nn.Module) -> None:
    batch = full_batch(4)
    assert batch.attribution is not None
    for metric in (Infidelity(), Infidelity(relative=False), Infidelity(kind="noise")):
        for factor in (2.0**-60, -(2.0**30)):
            found = [
                metric.given(Verdicts(net, b, 0))
                for b in (batch, batch._replace(attribution=batch.attribution * factor))
            ]
            torch.testing.assert_close(*found)


def test_what_is_refused(net: nn.Module) -> None:
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (Deletion, {"score": "odds"}, "score is one of probability, logit"),
        (Insertion, {"steps": 0}, "steps is at least 1"),
        (PixelFlipping, {"features": -1}, "features is 0"),
        (Sufficiency, {"shares": (1.5,)}, "shares are between 0 and 1"),
        (ROAD, {"shares": ()}, "shares are between 0 and 1"),
        (ROAD, {"order": "up"}, "order is one of gap, morf, lerf"),
        (FaithfulnessCorrelation, {"share": 1.0}, "share is between 0 and 1"),
        (FaithfulnessCorrelation, {"subsets": 1}, "subsets is at least 2"),
        (Infidelity, {"kind": "blur"}, "kind is one of square, noise"),
        (Infidelity, {"kind": "noise", "product": "removed"}, "product is change"),
    ]
    for component, fields, rule in wrong:
        with pytest.raises(ValueError, match=rule):
            component(**fields)
    with pytest.raises(ValueError, match="a window of 17 pixels does not fit into 16 x 16"):
        Infidelity(window=17)(net, full_batch(2))
