"""What metrics share of a batch is found once, with the same random numbers whoever asks first."""

from __future__ import annotations

import pytest
import torch

from glasshouse.explainers import GradCAM, InputGradient
from glasshouse.metrics.verdicts import Verdicts
from nets import full_batch, seeded_net

NET, BATCH = seeded_net().eval(), full_batch(3)._replace(attribution=None)


def drawn() -> torch.Tensor:
    return torch.rand(4)


def never() -> torch.Tensor:
    raise AssertionError("it was found before")


def test_nothing_is_found_twice() -> None:
    for verdicts in (Verdicts(NET, BATCH), Verdicts(NET, BATCH, seed=3)):
        found = verdicts.once(("lots", 1), drawn)
        assert verdicts.once(("lots", 1), never) is found
        assert verdicts.once("nothing", lambda: None) is None and verdicts.once("nothing", never) is None
        with pytest.raises(AssertionError, match="before"):
            verdicts.once(("lots", 2), never)


def test_with_a_seed_it_does_not_matter_who_asks_first() -> None:
    first = Verdicts(NET, BATCH, seed=3)
    torch.manual_seed(0)
    found = first.once("a", drawn)
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))  # and nobody else's numbers are taken
    second = Verdicts(NET, BATCH, seed=3)
    second.once("b", lambda: torch.rand(50))
    torch.rand(7)
    assert torch.equal(second.once("a", drawn), found)
    assert not torch.equal(Verdicts(NET, BATCH, seed=4).once("a", drawn), found)


def test_without_a_seed_numbers_go_on() -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    verdicts = Verdicts(NET, BATCH)
    assert torch.equal(verdicts.once("a", drawn), expected)
    assert not torch.equal(verdicts.once("b", drawn), expected)


def test_a_view_has_its_own_maps_and_shares_all_else() -> None:
    verdicts = Verdicts(NET, BATCH, seed=3)
    found = verdicts.once("a", drawn)
    view, other = verdicts.by(InputGradient()), verdicts.by(GradCAM())
    assert verdicts.explainer is None and verdicts.batch.attribution is None
    for one in (view, other):
        expected = one.explainer(NET, BATCH.x, verdicts.predicted)  # type: ignore[misc]
        torch.testing.assert_close(one.batch.attribution, expected)
        assert one.once("a", never) is found and one.logits is verdicts.logits
    assert (view.explainer, other.explainer) == (InputGradient(), GradCAM())
    assert other.explained(InputGradient()) is view.batch.attribution
    late = view.once("late", drawn)
    assert verdicts.once("late", never) is late and other.once("late", never) is late


def test_maps_are_of_the_class_that_is_predicted() -> None:
    verdicts = Verdicts(NET, BATCH)
    assert not torch.equal(verdicts.predicted, BATCH.y)
    expected = InputGradient()(NET, BATCH.x, NET(BATCH.x).argmax(1))
    torch.testing.assert_close(verdicts.explained(InputGradient()), expected)
