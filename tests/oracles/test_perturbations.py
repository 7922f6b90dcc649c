"""Explanations that hide parts of an image: linear and additive models, and the same by loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glasshouse.explainers import RISE, BlurFill, ConstantFill, ImageMeanFill, MeanFill, Occlusion
from glasshouse.explainers.occlusion import windows
from glasshouse.explainers.rise import Draws, drawn, enlarged, soft_masks
from glasshouse.explainers.superpixels import backdrop
from glasshouse.types import Batch
from nets import CLASSES, SIDE, Linear, seeded_net

FILLS: list[Any] = [ConstantFill(0.3), ImageMeanFill(), BlurFill(sigma=0.2)]


def test_windows_slide_by_their_stride_and_end_with_the_side() -> None:
    rows = windows(7, 3, 2, torch.zeros(0))
    assert rows.tolist() == [[1, 1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1]]
    assert windows(6, 3, 2, torch.zeros(0)).argmax(1).tolist() == [0, 2, 3]
    assert windows(4, 4, 1, torch.zeros(0)).tolist() == [[1, 1, 1, 1]]


def test_a_backdrop_is_each_images_own(batch: Batch) -> None:
    means = batch.x.mean((2, 3), keepdim=True).expand_as(batch.x)
    torch.testing.assert_close(backdrop(ImageMeanFill(), batch.x), means)
    torch.testing.assert_close(backdrop(MeanFill(), batch.x), means)  # the image is one superpixel


@pytest.mark.parametrize("fill", FILLS, ids=repr)
def test_occlusion_of_a_linear_model_is_what_each_window_holds(
    fill: Any, linear: Callable[[], Linear], batch: Batch
) -> None:
    model, y = linear(), batch.y % 2
    weight = model.weight.detach() * torch.where(y == 0, 1.0, -1.0).view(-1, 1, 1, 1)
    held = (weight * (batch.x - backdrop(fill, batch.x))).sum(1)
    expected, count = torch.zeros_like(held), torch.zeros(SIDE, SIDE)
    for top in (0, 3, 6, 9, 11):
        for left in (0, 3, 6, 9, 11):
            place = (slice(None), slice(top, top + 5), slice(left, left + 5))
            expected[place] += held[place].sum((1, 2))[:, None, None]
            count[place[1:]] += 1
    found = Occlusion(window=5, stride=3, fill=fill, probability=False)(model, batch.x, y)
    torch.testing.assert_close(found, expected / count, atol=1e-5, rtol=1e-4)


def test_a_window_of_one_pixel_finds_every_weight(linear: Callable[[], Linear]) -> None:
    model = linear()
    found = Occlusion(window=1, stride=1, fill=ConstantFill(0.0), probability=False)(
        model, torch.ones(1, 3, SIDE, SIDE), torch.tensor([0])
    )
    torch.testing.assert_close(found[0], model.weight.detach().sum(0), atol=1e-5, rtol=1e-4)


def test_occlusion_speaks_of_probabilities_unless_told_otherwise(batch: Batch) -> None:
    net = seeded_net().eval()
    found = Occlusion(window=SIDE)(net, batch.x, batch.y)
    with torch.no_grad():
        drop = net(batch.x).softmax(1) - net(torch.full_like(batch.x, 0.5)).softmax(1)
    torch.testing.assert_close(found[:, 0, 0], drop.gather(1, batch.y[:, None])[:, 0])
    assert torch.equal(found, found[:, :1, :1].expand_as(found))


def test_the_default_window_is_an_eighth_and_half_of_it_overlaps() -> None:
    rows, columns = Occlusion().sides(torch.zeros(1, 3, 32, 64))
    assert rows.shape == (15, 32) and columns.shape == (31, 64) and (rows.sum(1) == 4).all()
    assert [len(side) for side in Occlusion().sides(torch.zeros(1, 3, 5, 5))] == [5, 5]


def test_a_window_fits_into_the_image(batch: Batch) -> None:
    net = seeded_net().eval()
    assert Occlusion(window=SIDE, stride=1)(net, batch.x, batch.y).isfinite().all()
    with pytest.raises(ValueError, match="a window of 17 pixels does not fit into 16 x 16"):
        Occlusion(window=SIDE + 1)(net, batch.x, batch.y)
    with pytest.raises(ValueError, match="stride is at most window"):
        Occlusion(window=3, stride=4)
    assert Occlusion(stride=100)(net, batch.x, batch.y).isfinite().all()  # no gaps: at most the window


@pytest.mark.parametrize("explainer", [Occlusion(window=5), RISE(masks=40)], ids=repr)
def test_a_map_does_not_depend_on_how_much_runs_at_once(explainer: Any, batch: Batch) -> None:
    net = seeded_net().eval()
    maps = [type(explainer)(**{**vars(explainer), "batch_size": n})(net, batch.x, batch.y) for n in (1, 4, 50, 1000)]
    for other in maps[1:]:
        torch.testing.assert_close(other, maps[0], atol=1e-6, rtol=1e-4)


def mask_by_hand(grid: np.ndarray, shift: tuple[int, int], side: int) -> np.ndarray:
    """Bilinear enlargement pixel by pixel, between cell centres, then cut at the shift."""
    cells, cell = len(grid), -(-side // len(grid))
    grown = (cells + 1) * cell
    place = np.clip((np.arange(grown) + 0.5) * cells / grown - 0.5, 0, cells - 1)
    low = np.floor(place).astype(int)
    high, part = np.minimum(low + 1, cells - 1), place - np.floor(place)
    rows = grid[low] * (1 - part)[:, None] + grid[high] * part[:, None]
    large = rows[:, low] * (1 - part) + rows[:, high] * part
    return large[shift[0] : shift[0] + side, shift[1] : shift[1] + side]


@pytest.mark.parametrize(("cells", "side"), [(4, 16), (7, 16), (3, 5), (1, 4), (7, 3)])
def test_masks_are_grids_enlarged_and_shifted(cells: int, side: int) -> None:
    x = torch.zeros(0, 3, side, side, dtype=torch.float64)
    draws = drawn(6, cells, 0.5, 1, x)
    masks = soft_masks(draws, x)
    assert masks.shape == (6, side, side)
    cell = -(-side // cells)
    for grid, shift, mask in zip(draws.grids, draws.shifts, masks, strict=True):
        down, right = (int(s * cell) for s in shift)
        assert np.allclose(mask.numpy(), mask_by_hand(grid.numpy(), (down, right), side), atol=1e-6)


def test_masks_keep_what_they_should_on_average() -> None:
    x = torch.zeros(1, 3, 32, 32)
    for keep in (0.2, 0.5):
        masks = soft_masks(drawn(4000, 7, keep, 0, x), x)
        assert masks.mean((0,)).sub(keep).abs().max() < 0.05 and masks.min() >= 0 and masks.max() <= 1 + 1e-6
    assert enlarged(32, 7, torch.tensor([0.0, 0.999]), x).shape == (2, 32, 7)
    assert len({tuple(row) for row in drawn(50, 7, 0.5, 0, x).shifts.tolist()}) == 50


class Constant(nn.Module):
    """Sees nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([1.0, 2.0]).expand(len(x), 2)


def test_what_sees_nothing_has_a_flat_map(batch: Batch) -> None:
    y = batch.y % 2
    p = torch.tensor([1.0, 2.0]).softmax(0)[y]
    flat = p[:, None, None].expand(-1, SIDE, SIDE)
    torch.testing.assert_close(RISE(masks=20)(Constant(), batch.x, y), flat)
    assert not Occlusion(window=4)(Constant(), batch.x, y).any()


def test_rise_is_the_mean_over_its_masks(batch: Batch) -> None:
    net, rise = seeded_net().eval(), RISE(masks=30, cells=4, keep=0.3, seed=5, fill=ConstantFill(0.4))
    masks = soft_masks(Draws(*drawn(30, 4, 0.3, 5, batch.x)), batch.x)
    total = torch.zeros(len(batch.x), SIDE, SIDE)
    with torch.no_grad():
        for mask in masks:
            p = net(batch.x * mask + 0.4 * (1 - mask)).softmax(1).gather(1, batch.y[:, None])[:, 0]
            total += p[:, None, None] * mask
    torch.testing.assert_close(rise(net, batch.x, batch.y), total / masks.sum(0), atol=1e-6, rtol=1e-4)


def test_rise_finds_the_cell_that_matters() -> None:
    weight = torch.zeros(3, SIDE, SIDE)
    weight[:, 4:8, 8:12] = 0.1
    found = RISE(masks=600, cells=4)(Linear(weight), torch.ones(1, 3, SIDE, SIDE), torch.tensor([0]))[0]
    assert found[4:8, 8:12].mean() > found.mean() + 2 * found.std()
    assert int(found.flatten().argmax()) in [r * SIDE + c for r in range(3, 9) for c in range(7, 13)]


@pytest.mark.parametrize("explainer", [Occlusion(window=4), RISE(masks=8)], ids=repr)
def test_a_flat_image_and_a_class_that_is_none(explainer: Any) -> None:
    net, x = seeded_net().eval(), torch.full((2, 3, SIDE, SIDE), 0.5)
    assert explainer(net, x, torch.tensor([0, 1])).isfinite().all()
    with pytest.raises(ValueError, match=f"the model has {CLASSES} classes"):
        explainer(net, x, torch.tensor([0, CLASSES]))


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Occlusion(window=-1), "window is 0"),
        (lambda: Occlusion(stride=-1), "stride is 0"),
        (lambda: Occlusion(batch_size=-1), "batch_size is 0"),
        (lambda: RISE(masks=0), "masks is at least 1"),
        (lambda: RISE(cells=0), "cells is at least 1"),
        (lambda: RISE(keep=1.0), "keep is between 0 and 1, not 1.0"),
        (lambda: RISE(batch_size=-1), "batch_size is 0"),
    ],
)
def test_a_field_out_of_range_is_refused(make: Callable[[], Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        make()
