"""The front of masks: guesses by hand, planted evidence, what is counted, and what an image's neighbours may not change."""  # noqa: E501

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from glasshouse.explainers import ConstantFill, EvolvedFront, Grid, MeanFill
from glasshouse.explainers.evolved_front import Front, guesses, largest
from glasshouse.explainers.kriging import Posterior, Prior
from nets import SIDE, Net, mixed_net

SMALL = EvolvedFront(segmenter=Grid(cells=4), shares=(0.125, 0.25, 0.5), rounds=8)


class Pieces(nn.Module):
    """Class 0 where cells 1, 6 and 11 of 4 x 4 are seen, better so together; cells 12 to 15 speak against it."""

    def forward(self, x: Tensor) -> Tensor:
        c = nn.functional.adaptive_avg_pool2d(x.mean(1), 4).flatten(1)
        odds = 2 * (c[:, 1] + c[:, 6] + c[:, 11]) + 2 * c[:, 1] * c[:, 6] - c[:, 12:].sum(1) - 3
        return torch.stack([odds, torch.zeros_like(odds)], 1)


class Counting(nn.Module):
    """A model that counts the images it is asked about."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.asked = model, 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return self.model(x)


def white(number: int = 1) -> tuple[Tensor, Tensor]:
    return torch.ones(number, 3, SIDE, SIDE), torch.zeros(number, dtype=torch.int64)


def believed(single: Tensor, pairs: Tensor, pair: Tensor, deviation: float) -> tuple[Prior, Posterior]:
    """A prior and a posterior of one image, of weights that are known but for a common deviation."""
    size, number = len(single), len(pair)
    covariance = deviation**2 * torch.eye(size + number, dtype=torch.float64)[None]
    nothing = torch.zeros(1, dtype=torch.float64)
    prior = Prior(torch.eye(size, dtype=torch.float64)[None], pairs[None], torch.ones(1, number, dtype=torch.float64))
    return prior, Posterior(single[None].double(), pair[None].double(), nothing, covariance, nothing)


def test_the_largest_are_taken_from_the_superpixels_that_an_image_has() -> None:
    values = torch.tensor([[[0.1, 0.9, 0.5, 7.0]], [[0.4, 0.3, 0.2, 0.1]]])
    on = largest(values, torch.tensor([2, 3]), torch.tensor([3, 4]))
    assert on.tolist() == [[[False, True, True, False]], [[True, True, True, False]]]
    negative, equal = torch.tensor([[[0.3, -0.2, 0.0, 0.9]]]), torch.zeros(1, 1, 4)
    assert largest(negative, torch.tensor([3]), torch.tensor([3])).tolist() == [[[True, True, True, False]]]
    assert largest(equal, torch.tensor([2]), torch.tensor([4])).tolist() == [[[True, True, False, False]]]


def test_a_guess_takes_the_highest_weights_and_counts_neighbours_that_it_has_taken() -> None:
    single = torch.tensor([1.0, 0.9, 0.8, 0.0])
    number, count, still = torch.tensor([2]), torch.tensor([4]), torch.zeros(1, 4)
    alone = guesses(*believed(single, torch.tensor([[2, 3]]), torch.zeros(1), 0.1), number, count, still)
    assert alone[0, 0].tolist() == [True, True, False, False]
    together = guesses(*believed(single, torch.tensor([[0, 2]]), torch.tensor([0.5]), 0.1), number, count, still)
    assert together[0, 0].tolist() == [True, False, True, False]
    mirrored = torch.tensor([0.8, 0.9, 1.0, 0.0])
    other = guesses(*believed(mirrored, torch.tensor([[0, 2]]), torch.tensor([0.5]), 0.1), number, count, still)
    assert other[0, 0].tolist() == [True, False, True, False]


def test_guesses_stray_as_far_as_weights_are_uncertain_and_the_first_not_at_all() -> None:
    single, noise = torch.linspace(1, 0, 8), torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    number, count = torch.tensor([4]), torch.tensor([8])
    sure, unsure = (
        guesses(*believed(single, torch.tensor([[0, 1]]), torch.zeros(1), deviation), number, count, noise)[0]
        for deviation in (1e-4, 2.0)
    )
    expected = torch.tensor([True] * 4 + [False] * 4)
    assert (sure == expected).all()
    assert torch.equal(unsure[0], expected) and 0.2 < float(unsure[1:, 5].float().mean()) < 0.8


def test_the_front_of_a_model_with_known_evidence_is_found() -> None:
    x, target = white()
    front = replace(SMALL, shares=(0.125, 0.1875, 0.5)).front(Pieces(), x, target)
    assert front.masks[0, 0].nonzero()[:, 0].tolist() == [1, 6]
    assert front.masks[0, 1].nonzero()[:, 0].tolist() == [1, 6, 11]
    assert not front.masks[0, 2, 12:].any() and front.masks[0, 2, [1, 6, 11]].all()
    assert front.fitness[0].tolist() == pytest.approx(torch.tensor([3.0, 5.0, 5.0]).sigmoid().tolist(), abs=1e-5)
    assert float(front.unmasked[0]) == pytest.approx(float(torch.tensor(1.0).sigmoid()), abs=1e-5)
    assert float(front.sufficient[0]) == 0.125


def test_few_rounds_find_nearly_the_best_of_all_masks_of_a_size() -> None:
    model = mixed_net()
    x = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    target = torch.zeros(1, dtype=torch.int64)
    search = replace(SMALL, segmenter=Grid(cells=3), shares=(0.34,), rounds=8)
    front = search.front(model, x, target)
    segments = front.segments[0]
    every = []
    for members in combinations(range(9), 3):
        shown = x * torch.isin(segments, torch.tensor(members))
        with torch.no_grad():
            every.append(float(model.eval()(shown).softmax(1)[0, 0]))
    every.sort(reverse=True)
    assert float(front.fitness[0, 0]) >= every[2] - 1e-6


def test_more_superpixels_never_do_worse_and_no_mask_is_too_large(net: Net) -> None:
    x = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    front = SMALL.front(net, x, torch.tensor([0, 1, 2]))
    assert (front.fitness.diff(dim=1) >= 0).all()
    assert (front.masks.sum(2) <= torch.tensor([2, 4, 8])).all() and front.masks.any(2).all()
    assert (front.trace.diff(dim=2) >= 0).all() and (front.asked.diff(dim=2) >= 0).all()
    assert (front.trace[:, :, -1] <= front.fitness + 1e-6).all()


def test_what_is_counted_is_what_the_model_was_asked(net: Net) -> None:
    model = Counting(net)
    x, target = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1])
    front = SMALL.front(model, x, target)
    assert model.asked == int(front.evaluations.sum()) <= 2 * (3 * 5 * 8 + 1)
    # Of one superpixel of four there are four masks: none is asked for twice.
    few = replace(SMALL, segmenter=Grid(cells=2), shares=(0.25,), rounds=9).front(net, x, target)
    assert int(few.asked.max()) <= 4


def test_the_probabilities_are_those_of_the_masked_images(net: Net) -> None:
    x, target = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 1])
    front = SMALL.front(net, x, target)
    for image in range(2):
        for level in range(3):
            keep = front.masks[image, level][front.segments[image]]
            with torch.no_grad():
                probability = net.eval()(x[image : image + 1] * keep).softmax(1)[0, target[image]]
            torch.testing.assert_close(front.fitness[image, level], probability, atol=1e-5, rtol=1e-4)


def test_an_image_does_not_depend_on_its_neighbours_and_a_seed_on_nothing_else(net: Net) -> None:
    x, target = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2])
    together = SMALL.front(net, x, target)
    for image in range(3):
        alone = SMALL.front(net, x[image : image + 1], target[image : image + 1])
        assert torch.equal(alone.masks[0], together.masks[image])
        assert torch.equal(alone.asked[0], together.asked[image])
    other = replace(SMALL, seed=1, rounds=1).front(net, x, target)
    assert not torch.equal(other.masks, replace(SMALL, rounds=1).front(net, x, target).masks)


def test_attribution_is_the_share_of_masks_that_a_superpixel_is_in() -> None:
    x, target = white()
    search = replace(SMALL, shares=(0.125, 0.1875))
    cells = search(Pieces(), x, target)[0].reshape(4, SIDE // 4, 4, SIDE // 4)[:, 0, :, 0].flatten()
    assert cells[[1, 6]].tolist() == [1, 1] and float(cells[11]) == 0.5 and float(cells.sum()) == 2.5


def test_no_share_suffices_where_the_whole_image_is_needed() -> None:
    class Whole(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mean = x.mean((1, 2, 3))
            return torch.stack([10 * mean, torch.zeros_like(mean)], 1)

    front: Front = SMALL.front(Whole(), *white())
    assert front.sufficient.isnan().all()


def test_an_image_that_its_fill_does_not_change_is_searched_without_an_error() -> None:
    x = torch.full((1, 3, SIDE, SIDE), 0.3)
    front = replace(SMALL, fill=MeanFill()).front(Pieces(), x, torch.tensor([0]))
    torch.testing.assert_close(front.fitness[0], front.unmasked.expand(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "fields", [{"shares": ()}, {"shares": (0.5, 0.25)}, {"shares": (0.5, 1.5)}, {"children": 1}, {"rounds": 0}]
)
def test_bad_settings_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="EvolvedFront: "):
        EvolvedFront(**fields)  # type: ignore[arg-type]


def test_the_darkest_fill_is_the_default() -> None:
    assert EvolvedFront().fill == ConstantFill(value=0.0)
