"""Maps whose every pixel is known, and what they are worth beside regions that are known, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.data.samples import Memory, at_most
from glasshouse.explainers import GradCAM
from glasshouse.measure import measure
from glasshouse.metrics import ExactMatch, ForegroundIoU, MassInside, MIoU, PointingGame
from glasshouse.metrics.localisation import on_evidence, on_maps, pair_table, pairs_of, widened
from glasshouse.metrics.overlap import accumulated_iou, class_ious, marked, overlaps, present_pairs, regions_of
from glasshouse.titles import title
from glasshouse.types import NOWHERE, VOID, Batch
from nets import CLASSES, Net, full_batch, seeded_net

N, V = NOWHERE, VOID


class Brightest(nn.Module):
    """Logits that are the same for each image; explanations are drawn by :class:`Drawn`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * torch.tensor([1.0, 0.5, 0.25])


@dataclass(frozen=True)
class Drawn:
    """The map of class k is channel k of the image, or, turned, what it is not."""

    offset: float = 0.0
    turned: bool = False

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        assert len(x) == len(target) > 0
        maps = x.gather(1, target.view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:]))[:, 0]
        return (1 - maps if self.turned else maps) + self.offset


def scene() -> Batch:
    """Two images of 2 x 4 pixels: classes 0 and 2 in the first, class 1 in the second; one pixel each is void."""
    regions = torch.tensor([[[0, 0, N, 2], [0, N, V, 2]], [[1, 1, 1, N], [1, N, V, N]]])
    x = torch.stack([(regions == k).float() for k in range(3)], 1)
    return Batch(x, torch.tensor([[1.0, 0, 1], [0, 1, 0]]), regions=regions)


def test_a_map_marks_what_is_high_between_its_lowest_and_highest() -> None:
    maps = torch.tensor([[[2.0, 4.0, 6.0]], [[-8.0, 1.0, 2.0]], [[3.0, 3.0, 3.0]], [[-1.0, -2.0, -3.0]]])
    assert marked(maps, 0.5).tolist() == [[[False, True, True]], [[False, True, True]], [[False] * 3], [[False] * 3]]
    assert marked(maps, 0.51)[:2].tolist() == [[[False, False, True]]] * 2
    generator = torch.Generator().manual_seed(0)
    assert marked(torch.randn(50, 4, 4, generator=generator), 1.0).sum((1, 2)).eq(1).all()


def test_pixels_are_counted_by_hand() -> None:
    regions = torch.tensor([[[0, 0, V, N], [0, 1, V, N]]]).expand(3, 2, 4)
    maps = torch.zeros(3, 2, 4)
    maps[0, 0] = 1  # two of class 0, a void pixel, one of no class
    maps[1, 1] = 1  # one of class 0, one of class 1, a void pixel, one of no class
    found = overlaps(maps, regions, torch.tensor([0, 1, 0]))  # the third marks nothing
    assert found.intersection.tolist() == [2, 1, 0]
    assert found.union.tolist() == [4, 3, 3]


def test_overlaps_are_those_of_one_pair_at_a_time() -> None:
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(40, 5, 6, generator=generator)
    regions = torch.randint(-2, 3, (40, 5, 6), generator=generator)
    classes = torch.randint(0, 3, (40,), generator=generator)
    found = overlaps(maps, regions, classes, 0.4)
    for p in range(40):
        both = either = 0
        values = [max(v, 0.0) for v in maps[p].flatten().double().tolist()]
        low, high = min(values), max(values)
        for v, region in zip(values, regions[p].flatten().tolist(), strict=True):
            if region != V:
                chosen, inside = (v - low) / (high - low) >= 0.4, region == int(classes[p])
                both, either = both + (chosen and inside), either + (chosen or inside)
        assert (int(found.intersection[p]), int(found.union[p])) == (both, either)


def test_pairs_are_images_with_the_classes_that_are_in_them() -> None:
    image, classes = present_pairs(scene().regions)  # type: ignore[arg-type]
    assert image.tolist() == [0, 0, 1] and classes.tolist() == [0, 2, 1]
    image, classes = present_pairs(torch.tensor([[[N, V]], [[5, V]], [[N, N]]]))
    assert image.tolist() == [1] and classes.tolist() == [5]
    assert not len(present_pairs(torch.full((2, 1, 1), V))[0])


def test_without_regions_the_mask_is_the_region_of_the_true_class() -> None:
    mask = torch.tensor([[[True, False]], [[False, False]]])
    batch = Batch(torch.zeros(2, 3, 1, 2), torch.tensor([2, 1]), mask)
    assert regions_of(batch).tolist() == [[[2, N]], [[N, N]]]
    assert present_pairs(regions_of(batch))[1].tolist() == [2]
    regions = torch.tensor([[[0, 1]], [[1, 1]]])
    assert torch.equal(regions_of(batch._replace(regions=regions)), regions)
    with pytest.raises(ValueError, match=r"needs Batch.regions or Batch.mask"):
        regions_of(batch._replace(mask=None))
    with pytest.raises(ValueError, match=r"only Batch.regions"):
        regions_of(batch._replace(y=torch.ones(2, 3)))


@pytest.mark.parametrize("metric", [MIoU(Drawn()), ForegroundIoU(Drawn()), MIoU(Drawn(offset=-0.5), threshold=1.0)])
def test_the_regions_themselves_are_worth_1_and_all_that_is_not_them_0(metric: Any) -> None:
    model, batch = Brightest(), scene()
    assert metric(model, batch).tolist() == [1.0, 1.0]
    second = Batch(*(None if t is None else t[1:] for t in batch))  # one class, so that its complement is none other
    turned = type(metric)(Drawn(turned=True), metric.threshold)
    assert turned(model, second).tolist() == [0.0]


@pytest.mark.parametrize("metric", [MassInside(), PointingGame(), PointingGame(tolerance=0)])
def test_the_mask_itself_is_worth_1_and_its_complement_0(metric: Any) -> None:
    batch = scene()
    inside = batch.regions >= 0  # type: ignore[operator]
    for told in (batch, batch._replace(mask=inside), batch._replace(regions=None, mask=inside)):
        assert metric(Brightest(), told._replace(attribution=inside.float())).tolist() == [1.0, 1.0]
        assert metric(Brightest(), told._replace(attribution=1 - inside.float())).tolist() == [0.0, 0.0]


def test_an_image_is_worth_the_mean_over_its_classes() -> None:
    batch = scene()
    x = batch.x.clone()
    x[0, 2] = 1.0 * (batch.regions[0] != 0)  # type: ignore[index]  # class 2 and two pixels of none, one of them void
    found = pairs_of(Brightest(), batch._replace(x=x), Drawn(), 0.5)
    assert found.image.tolist() == [0, 0, 1] and found.classes.tolist() == [0, 2, 1]
    assert found.iou.tolist() == [1, 0.5, 1]
    assert MIoU(Drawn())(Brightest(), batch._replace(x=x)).tolist() == [0.75, 1]
    assert ForegroundIoU(Drawn())(Brightest(), batch._replace(x=x)).tolist() == [pytest.approx(5 / 7), 1]


def test_the_foreground_does_not_ask_which_class_is_where() -> None:
    batch = scene()
    swapped = batch._replace(x=batch.x.flip(1))  # what is drawn for class 0 is class 2, and the other way round
    assert MIoU(Drawn())(Brightest(), swapped).tolist() == [0, 1]
    assert ForegroundIoU(Drawn())(Brightest(), swapped).tolist() == [1, 1]


def test_an_image_without_any_class_has_no_value() -> None:
    batch = scene()
    regions = batch.regions.clone()  # type: ignore[union-attr]
    regions[0] = torch.tensor([[N, N, N, N], [N, N, V, N]])
    for metric in (MIoU(Drawn()), ForegroundIoU(Drawn())):
        values = metric(Brightest(), batch._replace(regions=regions))
        assert values[0].isnan() and values[1] == 1
        assert metric(Brightest(), batch._replace(regions=torch.full_like(regions, N))).isnan().all()
    marks = batch._replace(regions=regions, attribution=torch.rand(2, 2, 4))
    assert PointingGame()(Brightest(), marks)[0].isnan() and MassInside()(Brightest(), marks)[0] == 0
    nothing = marks._replace(regions=torch.full_like(regions, V))
    assert PointingGame()(Brightest(), nothing).isnan().all() and MassInside()(Brightest(), nothing).isnan().all()


def test_maps_are_those_of_each_class_of_each_image_by_itself() -> None:
    model, batch = seeded_net().eval(), full_batch()
    regions = torch.randint(-2, CLASSES, batch.regions.shape, generator=torch.Generator().manual_seed(5))  # type: ignore[union-attr]
    batch = batch._replace(regions=regions)
    found = pairs_of(model, batch, GradCAM(), 0.5)
    assert len(found.image) == 6 * CLASSES  # more pairs than images: several calls
    for i, k, iou in zip(found.image.tolist(), found.classes.tolist(), found.iou.tolist(), strict=True):
        alone = GradCAM()(model, batch.x[i : i + 1], torch.tensor([k]))
        one = overlaps(alone, regions[i : i + 1], torch.tensor([k]))
        assert iou == float(one.intersection.double() / one.union)


def samples_of(batch: Batch) -> Memory:
    """A split of these images."""
    pixels = (batch.x * 255).round().byte()
    return Memory(pixels, batch.y, tuple(map(str, range(batch.x.shape[1]))), regions=batch.regions)


def test_a_table_of_pairs_numbers_the_images_of_the_split() -> None:
    batch = scene()
    samples, told = samples_of(batch), []
    for size in (1, 2):
        table = pair_table(Brightest(), samples, Drawn(), batch_size=size, progress=lambda *state: told.append(state))
        assert table.image.tolist() == [0, 0, 1] and table.classes.tolist() == [0, 2, 1]
        assert table.intersection.tolist() == [3, 2, 4] == table.union.tolist()
        assert float(table.iou.mean()) == 1
    assert told == [("overlap", 1, 2), ("overlap", 2, 2), ("overlap", 2, 2)]
    with pytest.raises(ValueError, match="no images"):
        pair_table(Brightest(), Memory(torch.zeros(0, 3, 2, 2), torch.zeros(0), ("a",)), Drawn())


def test_a_table_leaves_the_model_as_it_was(net: Net) -> None:
    modes = [m.training for m in net.modules()]
    pair_table(net, at_most(samples_of(full_batch()._replace(y=torch.zeros(6).long())), 3), GradCAM())
    assert [m.training for m in net.modules()] == modes


def test_pixels_of_a_class_are_counted_together() -> None:
    classes = torch.tensor([0, 0, 3])
    intersection, union = torch.tensor([1, 30, 5]), torch.tensor([10, 30, 10])
    assert class_ious(classes, intersection, union)[[0, 3]].tolist() == [31 / 40, 0.5]
    assert class_ious(classes, intersection, union)[1:3].isnan().all()
    assert accumulated_iou(classes, intersection, union) == pytest.approx((31 / 40 + 0.5) / 2)


def pointing(maps: Tensor, mask: Tensor, tolerance: int = 0, regions: Tensor | None = None) -> list[float]:
    """The pointing game's values."""
    batch = Batch(torch.zeros(len(maps), 3, *maps.shape[1:]), torch.zeros(len(maps)).long(), mask, maps)
    values: list[float] = PointingGame(tolerance=tolerance)(Brightest(), batch._replace(regions=regions)).tolist()
    return values


def test_the_highest_point_hits_or_misses_and_equal_ones_share() -> None:
    mask = torch.tensor([[[True, True, False, False]]]).expand(5, 1, 4)
    maps = torch.tensor(
        [[[0.0, 5, 4, 4]], [[5, 5, 6, 0]], [[7, 0, 7, 7]], [[2, 2, 2, 2]], [[-1.0, -2, -3, -4]]]
    )  # a hit, a miss, one of three, a flat map, all below 0
    assert pointing(maps, mask) == [1, 0, pytest.approx(1 / 3), 0.5, 1]


def test_a_near_miss_counts_within_the_tolerance() -> None:
    mask = torch.zeros(1, 9, 9, dtype=torch.bool)
    mask[0, 4, 4] = True
    for y, x, away in ((4, 6, 2.0), (5, 5, 2**0.5), (6, 6, 8**0.5), (4, 8, 4.0), (0, 0, 32**0.5)):
        maps = torch.zeros(1, 9, 9)
        maps[0, y, x] = 1
        assert [pointing(maps, mask, t)[0] for t in range(6)] == [float(away <= t) for t in range(6)]
    assert widened(mask, 3).sum() == sum(a * a + b * b <= 9 for a in range(-3, 4) for b in range(-3, 4))
    assert widened(torch.ones(1, 2, 3, dtype=torch.bool), 40).all()  # wider than the image


def test_what_is_not_to_be_judged_neither_helps_nor_harms() -> None:
    mask = torch.tensor([[[True, False, False, False]]])
    regions = torch.tensor([[[0, N, V, N]]])
    maps = torch.tensor([[[3.0, 1.0, 9.0, 0.0]]])
    assert pointing(maps, mask) == [0] and pointing(maps, mask, regions=regions) == [1]
    batch = Batch(torch.zeros(1, 3, 1, 4), torch.zeros(1).long(), mask, maps)
    assert MassInside()(Brightest(), batch).item() == pytest.approx(3 / 13)
    assert MassInside()(Brightest(), batch._replace(regions=regions)).item() == 0.75
    flat = batch._replace(regions=regions, attribution=-maps)
    assert MassInside()(Brightest(), flat).item() == pytest.approx(1 / 3)
    # A mask that reaches into what is not to be judged does so in vain.
    wide = torch.tensor([[[True, False, True, False]]])
    assert MassInside()(Brightest(), flat._replace(mask=wide)).item() == pytest.approx(1 / 3)
    assert pointing(torch.tensor([[[0.0, 0, 0, 1]]]), wide, 1, regions) == [0]


def test_metrics_say_what_they_need() -> None:
    assert [on_maps(m) for m in (MassInside(), PointingGame(), MIoU(), ForegroundIoU(), ExactMatch())] == [
        *(True, True),
        *(False, False, False),
    ]
    assert [on_evidence(m) for m in (MassInside(), PointingGame(), MIoU(), ForegroundIoU(), ExactMatch())] == [
        *(True, True, True, True),
        False,
    ]
    bare = Batch(torch.zeros(1, 3, 2, 2), torch.zeros(1).long(), attribution=torch.zeros(1, 2, 2))
    for metric in (MassInside(), PointingGame(), MIoU(), ForegroundIoU()):
        with pytest.raises(ValueError, match="mask"):
            metric(seeded_net(), bare)
    with pytest.raises(ValueError, match="PointingGame needs an explainer"):
        PointingGame()(seeded_net(), full_batch()._replace(attribution=None))
    with pytest.raises(ValueError, match="tolerance"):
        PointingGame(tolerance=-1)
    for kind in (MIoU, ForegroundIoU):
        for threshold in (0.0, 1.1):
            with pytest.raises(ValueError, match="threshold"):
                kind(threshold=threshold)


def test_metrics_have_titles_of_their_own() -> None:
    assert title(MIoU()) == "mIoU, GradCAM" and title(PointingGame()) == "pointing game"
    assert title(ForegroundIoU(threshold=0.3)) == "foreground IoU, GradCAM, threshold 0.3"
    assert title(PointingGame(tolerance=15)) == "pointing game, within 15 pixels"
    assert title(ExactMatch()) == "all classes right"


def test_overlap_is_measured_like_any_metric() -> None:
    samples = samples_of(scene())
    for size in (1, 2):
        values = measure(Brightest(), samples, (MIoU(Drawn()), PointingGame()), Drawn(), batch_size=size)
        assert values[repr(MIoU(Drawn()))].tolist() == [1, 1]
        assert values[repr(PointingGame())].tolist() == [1, 1]
