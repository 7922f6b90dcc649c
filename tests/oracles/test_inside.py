"""Where the highest pixels of a map lie, next to the formulas in plain Python."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor, nn

from glasshouse.metrics import EnergyInside, MassInside, RankInside
from glasshouse.metrics.inside import boxed
from glasshouse.titles import title
from glasshouse.types import NOWHERE, VOID, Batch

X = torch.zeros(1, 1, 2, 2)
NONE = pytest.approx(float("nan"), nan_ok=True)


def of(metric: object, maps: Tensor, mask: Tensor | None = None, regions: Tensor | None = None) -> list[float]:
    batch = Batch(X.expand(len(maps), 1, 2, 2), torch.zeros(len(maps), dtype=torch.int64), mask, maps, regions=regions)
    return metric(nn.Flatten(), batch).tolist()  # type: ignore[operator,no-any-return]


def random_scene() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    maps = torch.randint(-3, 4, (60, 4, 5), generator=generator).float()  # with many that are equal
    return maps, torch.rand(60, 4, 5, generator=generator) < torch.rand(60, 1, 1, generator=generator)


def test_rank_accuracy_is_the_mean_over_all_orders_of_equal_pixels() -> None:
    maps = torch.tensor([[3.0, 1, 1, 1, 0, 2], [1, 1, 1, 1, 1, 1], [5, 4, 3, 2, 1, 0], [0, 0, 1, 0, 0, 1]])[:, None]
    mask = torch.tensor([[1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0], [0, 1, 1, 0, 1, 0]]).bool()[
        :, None
    ]
    expected = []
    for one, inside in zip(maps.flatten(1).tolist(), mask.flatten(1).tolist(), strict=True):
        hits = []
        for order in permutations(range(6)):
            top = sorted(order, key=lambda k: -one[k])[: sum(inside)]  # sorting keeps the order of equals
            hits.append(sum(inside[k] for k in top) / sum(inside))
        expected.append(sum(hits) / len(hits))
    assert of(RankInside(), maps, mask) == pytest.approx(expected)


def test_rank_accuracy_without_equals_counts_the_highest() -> None:
    maps, mask = random_scene()
    maps = maps + torch.arange(20).view(4, 5) / 100
    for one, inside, found in zip(maps, mask, of(RankInside(), maps, mask), strict=True):
        places = int(inside.sum())
        top = one.flatten().argsort(descending=True)[:places]
        assert found == (pytest.approx(float(inside.flatten()[top].double().mean())) if places else NONE)


def test_energy_inside_the_box_and_the_evidence_itself() -> None:
    maps, mask = random_scene()
    columns = (of(EnergyInside(), maps, mask), of(EnergyInside(box=False), maps, mask))
    for one, inside, box_share, own_share in zip(maps.double(), mask, *columns, strict=True):
        if not inside.any():
            assert [box_share, own_share] == [NONE, NONE]
            continue
        energy = (one - one.min()) / (one.max() - one.min())
        rows, across = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
        part = energy[rows.min() : rows.max() + 1, across.min() : across.max() + 1]
        assert box_share == pytest.approx(float(part.sum() / energy.sum()), abs=1e-6)
        assert own_share == pytest.approx(float(energy[inside].sum() / energy.sum()), abs=1e-6)


def test_a_flat_map_is_worth_what_chance_is() -> None:
    mask = torch.zeros(1, 4, 5, dtype=torch.bool)
    mask[0, 1, 1], mask[0, 2, 3] = True, True
    flat = torch.full((1, 4, 5), -2.0)
    assert of(RankInside(), flat, mask) == of(EnergyInside(box=False), flat, mask) == [pytest.approx(2 / 20)]
    assert of(EnergyInside(), flat, mask) == [pytest.approx(6 / 20)]


def test_no_attribution_is_worth_something_where_a_map_has_negatives() -> None:
    maps, mask = torch.tensor([[[0.0, 0, 4, -4]]]), torch.tensor([[[True, True, False, False]]])
    assert of(EnergyInside(), maps, mask) == [0.5] and of(MassInside(), maps, mask) == [0]


def test_what_is_not_to_be_judged_counts_neither_way() -> None:
    regions = torch.tensor([[[0, 0, NOWHERE, 2, VOID, VOID]], [[VOID] * 6], [[NOWHERE] * 5 + [VOID]]])
    maps = torch.tensor([[[5.0, 1, 3, 2, 9, -9]]]).expand(3, 1, 6)
    assert of(RankInside(), maps, regions=regions) == [pytest.approx(2 / 3), NONE, NONE]
    assert of(EnergyInside(), maps, regions=regions) == [1, NONE, NONE]
    assert of(EnergyInside(box=False), maps, regions=regions) == [pytest.approx(5 / 7), NONE, NONE]


def test_a_box_goes_from_the_first_to_the_last() -> None:
    mask = torch.zeros(4, 5, 6, dtype=torch.bool)
    mask[0, 1, 4] = mask[0, 3, 2] = mask[1, 4, 5] = mask[2, 0, 0] = mask[2, 4, 5] = True
    found = boxed(mask)
    assert found[0].nonzero().tolist() == [[r, c] for r in (1, 2, 3) for c in (2, 3, 4)]
    assert found[1].nonzero().tolist() == [[4, 5]] and found[2].all() and not found[3].any()


def test_without_evidence_in_the_data_they_say_so() -> None:
    for metric in (RankInside(), EnergyInside()):
        with pytest.raises(ValueError, match=f"{type(metric).__name__} needs Batch.mask"):
            of(metric, torch.rand(1, 2, 2))


def test_their_titles() -> None:
    assert title(RankInside()) == "rank accuracy"
    assert title(EnergyInside()) == "energy in the evidence's box"
    assert title(EnergyInside(box=False)) == "energy inside the evidence"
