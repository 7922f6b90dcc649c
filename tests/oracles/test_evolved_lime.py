"""E-LIME: the steps of its genetic algorithm by hand, its memory, its budget, and evidence that was planted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from glasshouse.explainers import ELIME, ConstantFill, Grid, MeanFill
from glasshouse.explainers.evolved_lime import Memory, chosen, crossed, evaluated, tournament
from glasshouse.explainers.masked import Maskable, maskable, probability_of_target
from nets import SIDE, Net, mixed_net

SMALL = ELIME(segmenter=Grid(cells=4), population=12, generations=6)


def images(number: int = 3) -> tuple[Tensor, Tensor]:
    x = torch.rand(number, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    return x, torch.arange(number)


def probability(model: nn.Module, x: Tensor, segments: Tensor, mask: Tensor, target: int) -> float:
    """Of one image whose unselected superpixels are black, written out."""
    shown = x.clone()
    for j in range(len(mask)):
        if not mask[j]:
            shown[:, segments == j] = 0
    with torch.no_grad():
        return float(model.eval()(shown[None]).softmax(1)[0, target])


class ThreeCells(nn.Module):
    """Class 0 where cells 1, 6 and 11 of 4 x 4 are seen, and cell 12 is not."""

    def forward(self, x: Tensor) -> Tensor:
        c = nn.functional.adaptive_avg_pool2d(x.mean(1), 4).flatten(1)
        odds = 3 * (c[:, 1] + c[:, 6] + c[:, 11] - 2 * c[:, 12]) - 4
        return torch.stack([odds, torch.zeros_like(odds)], 1)


def test_tournaments_are_won_by_the_fittest() -> None:
    fitness = torch.tensor([[0.1, 0.9, 0.5, 0.7], [0.8, 0.2, 0.3, 0.1]])
    entrants = torch.tensor([[0, 2, 3], [1, 0, 0], [2, 2, 2]])
    assert tournament(fitness, entrants).tolist() == [[3, 1, 2], [0, 0, 2]]


def test_children_share_out_their_parents_genes() -> None:
    first, second = torch.tensor([[[1, 1, 1, 1], [0, 0, 1, 1]]]), torch.tensor([[[0, 0, 0, 0], [1, 0, 1, 0]]])
    exchange = torch.tensor([[True, False, True, False], [False, False, False, False]])
    assert crossed(first, second, exchange).tolist() == [[[0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 1, 1], [1, 0, 1, 0]]]


def test_rows_are_chosen_image_by_image() -> None:
    strings = torch.tensor([[[1, 0], [0, 1]], [[1, 1], [0, 0]]])
    assert chosen(strings, torch.tensor([[1, 1], [0, 1]])).tolist() == [[[0, 1], [0, 1]], [[1, 1], [0, 0]]]


def population(rows: int = 10, count: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(1, rows, count, generator=generator) < 0.5, torch.rand(1, rows, generator=generator)


def test_the_fittest_survive_unchanged_and_come_first() -> None:
    strings, fitness = population()
    search = replace(SMALL, population=10, elites=3)
    following = search.bred(strings, fitness, torch.tensor([16]), 1)
    assert following.shape == strings.shape
    assert torch.equal(following[0, :3], strings[0, fitness[0].argsort(descending=True)[:3]])
    assert not torch.equal(following, search.bred(strings, fitness, torch.tensor([16]), 2))


def test_without_crossover_and_with_every_gene_mutated_children_are_their_parents_inverted() -> None:
    strings, fitness = population()
    search = replace(SMALL, population=10, crossover=0.0, mutation=1.0)
    following = search.bred(strings, fitness, torch.tensor([16]), 1)
    parents = {tuple(row) for row in strings[0].tolist()}
    assert all(tuple(row) in parents for row in (~following[0, 1:]).tolist())


def test_crossover_mixes_and_leaves_what_parents_agree_on() -> None:
    strings, fitness = population()
    strings[0, :, 0], strings[0, :, 1] = True, False
    following = replace(SMALL, population=10, crossover=1.0, mutation=1e-9).bred(
        strings, fitness, torch.tensor([16]), 1
    )
    assert following[0, :, 0].all() and not following[0, :, 1].any()
    parents = {tuple(row) for row in strings[0].tolist()}
    assert sum(tuple(row) not in parents for row in following[0].tolist()) >= 5


def test_mutation_flips_one_gene_of_a_string_on_average() -> None:
    search = replace(SMALL, population=400, crossover=0.0)
    strings = torch.zeros(2, 400, 20, dtype=torch.bool)
    following = search.bred(strings, torch.zeros(2, 400), torch.tensor([20, 5]), 1)[:, 1:]
    flips = following.sum(2).float().mean(1)
    assert (flips - 1).abs().max() < 0.2 and not following[1, :, 5:].any()
    often = replace(search, mutation=0.3).bred(strings, torch.zeros(2, 400), torch.tensor([20, 5]), 1)
    assert abs(float(often[0, 1:].float().mean()) - 0.3) < 0.03


def test_the_fit_have_more_children() -> None:
    strings = torch.eye(10, dtype=torch.bool)[None].repeat(1, 1, 1)
    fitness = torch.arange(10.0)[None]
    following = replace(SMALL, population=10, crossover=0.0, mutation=1e-9)
    children = torch.cat([following.bred(strings, fitness, torch.tensor([10]), g)[0, 1:] for g in range(40)])
    share = children.float().mean(0)
    expected = [((k + 1) ** 3 - k**3) / 1000 for k in range(10)]  # the best of three
    assert (share - torch.tensor(expected)).abs().max() < 0.07


def test_a_memory_knows_what_it_was_told_image_by_image() -> None:
    memory = Memory(2, 3, torch.device("cpu"))
    strings = torch.tensor([[[1, 0, 1], [0, 0, 0]], [[1, 1, 1], [0, 1, 0]]]).bool()
    assert not memory.recalled(strings)[1].any()
    memory.kept(strings, torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
    asked = torch.tensor([[[0, 0, 0], [1, 1, 1]], [[0, 1, 0], [1, 0, 1]]]).bool()
    fitness, known = memory.recalled(asked)
    assert known.tolist() == [[True, False], [True, False]]
    assert fitness[:, 0].tolist() == pytest.approx([0.2, 0.4])
    every = torch.cartesian_prod(*[torch.tensor([False, True])] * 12)[None]
    assert len(Memory(1, 12, torch.device("cpu")).hashed(every)[0].unique()) == 4096


def test_a_string_is_evaluated_once_also_within_a_population(net: Net) -> None:
    x, y = images(2)
    cut = maskable(Grid(cells=2), ConstantFill(value=0.0), x, y)
    strings = torch.tensor(
        [[[1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 1, 1]], [[1, 1, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]]]
    ).bool()
    memory, passes = Memory(2, 4, torch.device("cpu")), []
    net.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    with torch.no_grad():
        net.eval()
        fitness, new = evaluated(net, cut, strings, memory, 100, probability_of_target)
        assert new.tolist() == [2, 2] and passes == [4]
        again, none = evaluated(net, cut, strings.flip(1), memory, 100, probability_of_target)
    assert none.tolist() == [0, 0] and passes == [4] and torch.equal(again, fitness.flip(1))
    for i in range(2):
        for j in range(3):
            expected = probability(net, x[i], cut.segments[i], strings[i, j], i)
            assert float(fitness[i, j]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("batch_size", [5, 256])
def test_the_model_sees_no_string_twice_and_not_more_than_the_budget(batch_size: int, net: Net) -> None:
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    x, y = images(1)
    found = replace(SMALL, segmenter=Grid(cells=2), batch_size=batch_size).evolved(net, x, y)
    shown = torch.cat(seen)
    assert len(shown) == int(found.evaluations[0]) <= 2**4 and max(map(len, seen)) <= batch_size
    assert len({tuple(image.flatten().tolist()) for image in shown}) == len(shown)
    seen.clear()
    x, y = images(3)
    found = replace(SMALL, batch_size=batch_size).evolved(net, x, y)
    assert sum(map(len, seen)) == int(found.evaluations.sum())
    assert found.evaluations.max() <= 12 * 7 + 1 and found.asked.shape == found.trace.shape == (3, 7)
    assert (found.asked.diff(dim=1) >= 0).all() and found.asked[:, 0].max() <= 13


def test_fitness_is_the_probability_of_the_target_in_the_image_that_a_mask_leaves(net: Net) -> None:
    x, y = images()
    found = SMALL.evolved(net, x, y)
    for i in range(3):
        expected = probability(net, x[i], found.segments[i], found.mask[i], int(y[i]))
        assert float(found.fitness[i]) == pytest.approx(expected, rel=1e-4)
        whole = probability(net, x[i], found.segments[i], torch.ones(16), int(y[i]))
        assert float(found.unmasked[i]) == pytest.approx(whole, rel=1e-4)
    assert torch.equal(found.fitness, found.trace[:, -1])
    painted = SMALL(net, x, y)
    for i in range(3):
        assert torch.equal(painted[i], found.mask[i][found.segments[i]].float())


def test_the_best_is_never_lost(net: Net) -> None:
    x, y = images()
    trace = replace(SMALL, generations=15).evolved(net, x, y).trace
    assert (trace.diff(dim=1) >= 0).all() and (trace[:, -1] > trace[:, 0]).all()


def test_planted_evidence_is_found() -> None:
    found = ELIME(segmenter=Grid(cells=4)).evolved(ThreeCells(), torch.ones(1, 3, SIDE, SIDE), torch.tensor([0]))
    assert found.mask[0, [1, 6, 11]].all() and not found.mask[0, 12]
    assert float(found.fitness[0]) == pytest.approx(1 / (1 + torch.tensor(-5.0).exp().item()), rel=1e-4)
    assert found.unmasked[0] < 0.5 < found.fitness[0] and found.evaluations[0] <= 1051


def test_the_whole_image_takes_part_where_it_is_asked_to(net: Net) -> None:
    x, y = images()
    searches = [replace(SMALL, density=0.01, generations=0, whole=whole).evolved(net, x, y) for whole in (False, True)]
    assert (searches[1].fitness >= searches[1].unmasked).all()
    assert (searches[0].selected < 4).all()
    assert (searches[1].evaluations <= searches[0].evaluations).all()  # it was known already


def test_share_counts_against_the_superpixels_of_each_image() -> None:
    x = torch.ones(2, 3, SIDE, SIDE)
    segments = Grid(cells=4)(x)
    segments[1] = Grid(cells=2)(x)[1]
    found = SMALL.evolved(ThreeCells(), x, torch.zeros(2, dtype=torch.int64), segments)
    assert found.mask[1, :4].tolist() == [True, True, False, True]
    assert torch.equal(found.selected, found.mask.sum(1)) and not found.mask[1, 4:].any()
    assert found.share.tolist() == pytest.approx([float(found.mask[0].sum()) / 16, 0.75])


def test_the_density_is_that_of_the_first_strings() -> None:
    for density in (0.2, 0.8):
        drawn = replace(SMALL, density=density).drawn(0, 0, 500, torch.tensor([16])) < density
        assert abs(float(drawn.float().mean()) - density) < 0.02


def test_images_of_a_batch_do_not_see_each_other(net: Net) -> None:
    x, y = images(3)
    segments = Grid(cells=4)(x)
    segments[1] = Grid(cells=2)(x)[1]
    together = SMALL.evolved(net, x, y, segments)
    for i, count in enumerate((16, 4, 16)):
        alone = SMALL.evolved(net, x[i : i + 1], y[i : i + 1], segments[i : i + 1])
        assert torch.equal(alone.mask[0], together.mask[i, :count]) and not together.mask[i, count:].any()
        torch.testing.assert_close(alone.trace[0], together.trace[i])
        assert torch.equal(alone.asked[0], together.asked[i])


def test_a_seed_is_a_search() -> None:
    x, y = images()
    one, again, other = (replace(SMALL, seed=s).evolved(mixed_net(), x, y) for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.mask, other.mask)


def test_one_search_in_place_of_many_copies_of_images(net: Net) -> None:
    """A population is masked as it is evaluated: no copy of an image for every string of it."""
    x, y = images(2)
    largest: list[int] = []
    under = Maskable.under

    def watched(self: Maskable, on: Tensor, owner: Tensor) -> Tensor:
        largest.append(len(self.x))
        return under(self, on, owner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maskable, "under", watched)
        SMALL.evolved(net, x, y)
    assert max(largest) == 2


def test_any_fill_and_what_cannot_be(net: Net) -> None:
    x, y = images()
    assert not torch.equal(replace(SMALL, fill=MeanFill()).evolved(net, x, y).trace, SMALL.evolved(net, x, y).trace)
    with pytest.raises(ValueError, match="create_graph: a selection"):
        SMALL(net, x, y, create_graph=True)
    with pytest.raises(ValueError, match="at least 2 of them"):
        replace(SMALL, segmenter=Grid(cells=1))(net, x, y)
    with pytest.raises(ValueError, match="returns probabilities"):
        SMALL(nn.Sequential(net, nn.Softmax(1)), x, y)
    for fields in ({"population": 1}, {"elites": 0}, {"elites": 12}, {"tournament": 0}, {"density": 1.0}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            replace(SMALL, **fields)
