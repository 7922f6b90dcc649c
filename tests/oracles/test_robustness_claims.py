"""Claims on robustness and interpretability, and their controls, where the values behind them are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from robust_models import (
    CAM,
    GRADIENT,
    LOTS,
    REDRAWN,
    ROS,
    ROS_BY_NORMS,
    SCALED,
    STANDARD,
    STRONG,
    UNSCALED,
    USUAL,
    WEAK,
    Means,
    bumpy,
    changed,
    seen,
    trial_of,
    without,
)
from torch import Tensor, nn

from glasshouse import statistics
from glasshouse.explainers import OfRandomisedModel, RandomMap
from glasshouse.metrics import (
    Complexity,
    Deletion,
    MaxSensitivity,
    PointingGame,
    Sparseness,
    WorstCaseSensitivity,
)
from glasshouse.studies import NamedModel, RobustnessStudy, robustness_found
from glasshouse.studies.robustness_controls import claims
from glasshouse.studies.robustness_document import document
from glasshouse.studies.robustness_figures import figures
from glasshouse.studies.robustness_found import Found, Subject
from glasshouse.studies.robustness_tables import saturation, tables
from glasshouse.study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim, Lines, Table
from glasshouse.types import Batch


def once(find: Callable[..., Any], known: dict[Any, Any]) -> Callable[..., Any]:
    """The same, found once for the same numbers."""

    def remembered(*arrays: Any) -> Any:
        key = (find.__name__, *(np.asarray(a).tobytes() for a in arrays))
        if key not in known:
            known[key] = find(*arrays)
        return known[key]

    return remembered


KNOWN: dict[Any, Any] = {}


@pytest.fixture(autouse=True)
def _found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same values come again and again, and each is shuffled 9,999 times."""
    for place, name in ((statistics, "sign_flip"), (robustness_found, "trend"), (robustness_found, "doses")):
        monkeypatch.setattr(place, name, once(getattr(place, name), KNOWN))


def matching(f: Found, part: str) -> list[Claim]:
    return [claim for claim in claims([f]) if part in claim.text]


def told(f: Found, part: str) -> Claim:
    """The claim whose text has this part."""
    found = matching(f, part)
    assert len(found) == 1, [claim.text for claim in claims([f])]
    return found[0]


def both(*changes: Means) -> Means:
    """The usual means but for all that each of these has changed."""
    found = dict(USUAL)
    for means in changes:
        found |= {key: own for key, own in means.items() if USUAL.get(key) != own}
    return found


LESS_CONCISE = both(changed(Sparseness(), 0.7, 0.6, 0.5, 0.55), changed(Complexity(), 3.0, 4.0, 5.0, 4.5))
HALF_CONCISE = changed(Complexity(), 3.0, 4.0, 5.0, 4.5)
LESS_STABLE = both(changed(MaxSensitivity(), 0.5, 0.6, 1.0, 0.7), changed(SCALED, 0.5, 0.7, 1.0, 0.8))
LESS_STABLE = both(LESS_STABLE, changed(WorstCaseSensitivity(), 1.0, 1.2, 2.0, 1.4))
RELEVANT = both(changed(Deletion(), 0.4, 0.3, 0.2, 0.25), changed(PointingGame(), 0.3, 0.4, 0.6, 0.5))
IRRELEVANT = both(changed(Deletion(), 0.2, 0.3, 0.4, 0.35), changed(PointingGame(), 0.6, 0.4, 0.3, 0.35))


@pytest.mark.parametrize(
    ("part", "usual", "other", "otherwise"),
    [
        ("PGD-AT (L-inf) makes explanations more concise", REPRODUCED, LESS_CONCISE, NOT_REPRODUCED),
        ("PGD-AT (L-inf) makes explanations more concise", REPRODUCED, HALF_CONCISE, NOT_REPRODUCED),
        ("PGD-AT (L2) makes explanations more concise", REPRODUCED, LESS_CONCISE, NOT_REPRODUCED),
        ("PGD-AT (L-inf) makes explanations more stable", REPRODUCED, LESS_STABLE, NOT_REPRODUCED),
        ("PGD-AT (L2) makes explanations more stable", REPRODUCED, LESS_STABLE, NOT_REPRODUCED),
        ("PGD-AT (L-inf) does not necessarily", REPRODUCED, RELEVANT, NOT_REPRODUCED),
        ("PGD-AT (L-inf) does not necessarily", REPRODUCED, IRRELEVANT, REPRODUCED),
        ("PGD-AT (L2) does not necessarily", REPRODUCED, RELEVANT, NOT_REPRODUCED),
        ("the more robust a model, the more concise", REPRODUCED, LESS_CONCISE, NOT_REPRODUCED),
        ("the more robust a model, the more stable", REPRODUCED, LESS_STABLE, NOT_REPRODUCED),
        ("a more robust model is not necessarily", REPRODUCED, RELEVANT, NOT_REPRODUCED),
        ("a more robust model is not necessarily", REPRODUCED, IRRELEVANT, REPRODUCED),
        (
            "relative to the output, explanations",
            REPRODUCED,
            changed(ROS, 2.0, 1.5, 1.0, 1.2),
            NOT_REPRODUCED,
        ),
        ("scale of logits is left out", REPRODUCED, changed(ROS_BY_NORMS, 1.0, 1.0, 1.0, 1.0), NOT_REPRODUCED),
        (
            "with random weights",
            SUPPORTED,
            USUAL | {(Sparseness(), REDRAWN): (0.4, 0.4, 0.45, 0.4)},
            REFUTED,
        ),
        ("the unscaled Lipschitz constant", SUPPORTED, changed(UNSCALED, 1.0, 0.9, 0.8, 0.9), REFUTED),
        ("a search finds less stable", SUPPORTED, changed(WorstCaseSensitivity(), 2.0, 1.2, 0.4, 1.1), REFUTED),
        ("more faithful than maps by lot", SUPPORTED, changed(Deletion(), 0.3, 0.3, 0.6, 0.3), REFUTED),
        ("more faithful than maps by lot", SUPPORTED, changed(Deletion(), 0.6, 0.6, 0.4, 0.6), SUPPORTED),
    ],
)
def test_values_decide(part: str, usual: str, other: Means, otherwise: str) -> None:
    assert told(seen(USUAL), part).verdict == usual
    assert told(seen(other), part).verdict == otherwise


def test_output_stability_and_scale_are_apart_from_stability() -> None:
    """What is worse in the output and better by size alone leaves no trace in the claim about stability."""
    for metric in (ROS, ROS_BY_NORMS, UNSCALED):
        other = told(seen(changed(metric, 1.0, 1.0, 1.0, 1.0)), "(L-inf) makes explanations more stable")
        assert other == told(seen(USUAL), "(L-inf) makes explanations more stable")
        assert "of 6 (metric and explainer)" in other.measured


def test_a_cell_that_cannot_tell_better_from_worse_does_not_count() -> None:
    @dataclass(frozen=True)
    class Neither:
        family: ClassVar[str] = "conciseness"
        better: ClassVar[int] = 0

        def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
            return batch.x.flatten(1).sum(1)

    odd = USUAL | {(Neither(), e): (0.1, 0.2, 0.3, 0.2) for e in (GRADIENT, CAM)}
    for part in ("(L-inf) makes explanations more concise", "the more robust a model, the more concise"):
        assert told(seen(odd), part) == told(seen(USUAL), part)


def test_every_seed_has_to_agree() -> None:
    def torn(mean: float, subject: Subject) -> Tensor:
        return bumpy(mean, subject.seed) + (0.5 if subject.seed and subject.way == STANDARD else 0)

    only = {key: own for key, own in USUAL.items() if key[0] == Sparseness()}
    assert told(seen(only), "(L-inf) makes explanations more concise").verdict == REPRODUCED
    claim = told(seen(only, value=torn), "(L-inf) makes explanations more concise")
    assert claim.verdict == NOT_REPRODUCED and "not under every seed" in claim.measured


# modest training


@pytest.mark.parametrize(
    ("weak", "verdict", "share"),
    [(0.65, REPRODUCED, "75 %"), (0.59, NOT_REPRODUCED, "45 %"), (0.8, REPRODUCED, "100 %")],
)
def test_modest_training_gives_half_at_a_quarter_of_the_eps(weak: float, verdict: str, share: str) -> None:
    only = {(Sparseness(), GRADIENT): (0.5, weak, 0.7, 0.6)}
    claim = told(seen(only), "modest training")
    assert claim.verdict == verdict and f"median {share}" in claim.measured and "of 1 that gain" in claim.measured


def test_the_share_is_of_the_largest_gain_wherever_it_is() -> None:
    ways = (STANDARD, WEAK, replace(STRONG, name="middle", eps=4 / 255), STRONG)
    only = {(Sparseness(), GRADIENT): (0.5, 0.6, 0.9, 0.7)}
    assert "median 25 %" in told(seen(only, ways=ways), "modest training").measured


def test_modest_is_a_quarter_at_most_and_needs_a_gain() -> None:
    ways = (STANDARD, replace(WEAK, eps=3 / 255), STRONG)
    only = {(Sparseness(), GRADIENT): (0.5, 0.65, 0.7)}
    assert told(seen(only, ways=ways), "modest training").verdict == UNTESTED
    assert told(seen({(Sparseness(), GRADIENT): (0.7, 0.6, 0.5, 0.5)}), "modest training").verdict == UNTESTED


def test_modest_training_is_of_a_family_each() -> None:
    only = {(Sparseness(), GRADIENT): (0.5, 0.55, 0.7, 0.6), (MaxSensitivity(), GRADIENT): (1.0, 0.3, 0.2, 0.5)}
    assert told(seen(only), "half of the gain in conciseness").verdict == NOT_REPRODUCED
    assert told(seen(only), "half of the gain in stability").verdict == REPRODUCED


@pytest.mark.parametrize(("strong", "verdict"), [(2.0, REFUTED), (1.0, SUPPORTED), (0.5, SUPPORTED)])
def test_what_explains_nothing_is_looked_at_beside_the_output(strong: float, verdict: str) -> None:
    only = {(ROS, GRADIENT): (1.0, 1.5, 2.0, 2.0), (ROS, RandomMap()): (1.0, 1.0, strong, strong)}
    assert told(seen(only), "maps by lot stay as stable").verdict == verdict


# accuracy


def test_robustness_costs_accuracy_or_not() -> None:
    claim = told(seen(USUAL), "robustness costs clean accuracy")
    assert claim.verdict == REPRODUCED and claim.measured.startswith("-25.0 [")
    assert told(seen(USUAL, clean=(0.7, 0.9, 0.95, 0.9)), "robustness costs").verdict == NOT_REPRODUCED
    assert told(seen(USUAL, clean=(0.95, 0.9, 0.925, 0.9)), "robustness costs").verdict == NOT_REPRODUCED  # one image


def brought(count: int, clean: Sequence[float], robust: Sequence[float], means: Means) -> Found:
    """Models of which nobody knows how they were trained."""
    given = tuple(NamedModel(f"model {k}", trial_of().model) for k in range(count))
    return seen(means, trial=trial_of((), given=given), clean=clean, robust=robust)


def test_of_given_models_the_trade_off_is_a_correlation() -> None:
    robust = [0.1 * k for k in range(8)]
    falls = [0.95 - 0.05 * k for k in range(8)]
    f = brought(8, falls, robust, {(Sparseness(), GRADIENT): tuple(robust), (Complexity(), GRADIENT): tuple(falls)})
    claim = told(f, "robustness costs")
    assert claim.verdict == REPRODUCED and claim.measured.startswith("rank correlation -1.00")
    assert told(f, "the more robust a model, the more concise").verdict == REPRODUCED
    assert not matching(f, "PGD-AT") and not matching(f, "modest") and not matching(f, "grows with the eps")
    rises = brought(8, robust, robust, {(Sparseness(), GRADIENT): tuple(falls)})
    assert told(rises, "robustness costs").verdict == NOT_REPRODUCED
    assert told(rises, "the more robust a model, the more concise").verdict == NOT_REPRODUCED
    few = brought(4, falls[:4], robust[:4], {(Sparseness(), GRADIENT): tuple(robust[:4])})
    assert not matching(few, "robust")


def test_too_few_models_for_any_significance_decide_nothing() -> None:
    """Of five models in a row p is 2 in 120, and never significant among three of its kind."""
    robust = [0.1 * k for k in range(5)]
    rising = {(m, e): tuple(robust) for m in (Sparseness(), PointingGame()) for e in (GRADIENT, CAM, OTHER)}
    one = brought(5, CLEAN_OF_FIVE, robust, {key: rising[key] for key in [(Sparseness(), GRADIENT)]})
    assert told(one, "the more concise").verdict == REPRODUCED
    three = brought(5, CLEAN_OF_FIVE, robust, rising)
    assert told(three, "the more concise").verdict == UNTESTED and "too few" in told(three, "the more concise").measured
    assert told(three, "not necessarily").verdict == UNTESTED


OTHER = replace(GRADIENT, times_input=True)
CLEAN_OF_FIVE = (0.9, 0.8, 0.7, 0.6, 0.5)


@pytest.mark.parametrize(
    ("robust", "verdict"),
    [((0.0, 0.2, 0.5, 0.3), SUPPORTED), ((0.0, 0.5, 0.2, 0.3), REFUTED), ((0.3, 0.3, 0.3, 0.9), REFUTED)],
)
def test_the_axis_of_robustness_is_one(robust: Sequence[float], verdict: str) -> None:
    claim = told(seen(USUAL, robust=robust), "adversarial accuracy grows")
    assert claim.verdict == verdict and claim.measured.endswith("% at eps 0, 2, 8")
    assert not matching(seen({(Sparseness(), GRADIENT): (0.1,) * 2}, ways=(STANDARD, STRONG)), "grows with the eps")


# what is missing


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("more concise", (Sparseness(), Complexity())),
        ("more stable", (MaxSensitivity(), SCALED, WorstCaseSensitivity())),
        ("more relevant", (Deletion(), PointingGame())),
        ("relative to the output", (ROS,)),
        ("the scale of logits", (ROS_BY_NORMS,)),
        ("more faithful", (Deletion(),)),
        ("random weights", (Sparseness(), Complexity())),
        ("Lipschitz", (SCALED,)),
        ("Lipschitz", (UNSCALED,)),
        ("a search finds", (MaxSensitivity(),)),
        ("a search finds", (WorstCaseSensitivity(),)),
    ],
)
def test_what_was_not_measured_is_not_claimed(part: str, missing: Sequence[Any]) -> None:
    assert matching(seen(USUAL), part) and not matching(seen(without(*missing)), part)


def test_without_random_maps_nothing_is_more_faithful_than_they() -> None:
    assert not matching(seen({key: own for key, own in USUAL.items() if key[1] != LOTS}), "more faithful")


def test_random_weights_are_beside_the_same_explainer_with_its_own() -> None:
    alone = {
        (Sparseness(), OfRandomisedModel(explainer=CAM)): (0.4,) * 4,
        (Sparseness(), GRADIENT): (0.5, 0.6, 0.7, 0.6),
    }
    assert not matching(seen(alone), "random weights")
    flat = USUAL | {(m, GRADIENT): (0.5,) * 4 for m in (Sparseness(), Complexity())}
    assert told(seen(flat), "random weights").verdict == UNTESTED


def test_without_norms_of_their_own_there_is_no_claim() -> None:
    f = seen({(Sparseness(), GRADIENT): (0.5, 0.6, 0.7)}, ways=(STANDARD, WEAK, STRONG))
    assert matching(f, "PGD-AT (L-inf)") and not matching(f, "PGD-AT (L2)")


def test_nothing_is_said_of_no_images() -> None:
    f = seen(USUAL, judged=0)
    found = claims([f])
    decided = [c for c in found if c.verdict != UNTESTED]
    assert {c.text.partition(": ")[2][:12] for c in decided} == {"robustness c", "adversarial "}  # of no explanation
    assert all("nan" not in c.measured for c in found) and len(found) > 8


def refused(f: Found, way_seed: str, metric: Any, explainer: Any) -> Found:
    """The same, but for what could not be measured."""
    for cell, column in f.explained.values.items():
        if (cell.model, cell.metric, cell.explainer) == (way_seed, metric, explainer):
            column.fill_(torch.nan)
    return f


def test_an_explainer_that_cannot_be_measured_leaves_the_others() -> None:
    f = seen(USUAL)
    for name in f.names:
        for metric in (SCALED, MaxSensitivity(), Sparseness()):
            f = refused(f, name, metric, CAM)
    assert told(f, "Lipschitz").measured.endswith("in 1 of 1 explainers")
    assert "in 8 of 8 (model and explainer)" in told(f, "a search finds").measured
    assert "better in 3 and worse in 0 of 3" in told(f, "(L-inf) makes explanations more concise").measured


def test_examples_are_of_one_explainer() -> None:
    first = {(Sparseness(), CAM): (0.5, 0.6, 0.7, 0.6), (Complexity(), GRADIENT): (5.0, 4.0, 3.0, 3.5)}
    told_of = told(seen(first), "(L-inf) makes explanations more concise").measured
    assert "gains of GradCAM: sparseness +0.200" in told_of and "complexity" not in told_of


# tables, drawings and plain data


def row_of(table: Table, *named: str) -> tuple[str, ...]:
    return next(row for row in table.rows if row[: len(named)] == named)


def test_tables_say_what_was_measured() -> None:
    f = seen(USUAL)
    found = {table.title.partition(": ")[2]: table for table in tables(f)}
    assert list(found) == [
        "models",
        "conciseness",
        "stability",
        "relevance: faithfulness",
        "relevance: localisation",
        "how much training suffices",
    ]
    assert row_of(found["models"], "PGD-AT 8/255 seed 0")[1:3] == ("PGD-AT", "8/255")
    assert row_of(found["models"], "PGD-AT L2 1 seed 1")[2] == "L2 1"
    assert row_of(found["models"], "PGD-AT 8/255 seed 0")[3].startswith("70.0 [")
    assert row_of(found["models"], "PGD-AT 8/255 seed 1")[4].startswith("52.5 [")
    concise = found["conciseness"]
    assert concise.columns == ("metric", "explainer", "0/255", "2/255", "8/255", "rho", "p")
    assert row_of(concise, "sparseness ↑", "GradCAM")[2:5] == ("0.5005", "0.6505", "0.7005")
    assert row_of(concise, "complexity ↓", "GradCAM")[5].startswith("-0.9")
    assert "36 images that all 8 models" in concise.note
    assert "above the random map" in found["relevance: faithfulness"].note and "above" not in concise.note


def test_saturation_is_where_something_is_gained() -> None:
    table = saturation(seen(USUAL))
    assert {row[0].split()[0] for row in table.rows} == {
        "sparseness",
        "complexity",
        "max-sensitivity",
        "local",
        "worst-case",
    }
    assert row_of(table, "complexity ↓")[2:] == ("60 [60, 60]", "100 [100, 100]", "8/255")
    quick = saturation(seen(changed(Complexity(), 5.0, 3.1, 3.0, 3.5)))
    assert row_of(quick, "complexity ↓")[4] == "2/255"


def test_given_models_have_columns_of_their_own() -> None:
    f = brought(5, CLEAN_OF_FIVE, (0.1, 0.5, 0.3, 0.2, 0.4), {(Sparseness(), GRADIENT): (0.1, 0.2, 0.3, 0.4, 0.5)})
    concise = tables(f)[1]
    assert concise.columns[2:-2] == f.names and "every model" in concise.note
    drawn = [section for section in figures(f) if isinstance(section, Lines)]
    (line,) = drawn[0].charts[0].lines
    assert np.array(line.points) == pytest.approx(
        np.array([(10, 0.1), (20, 0.4), (30, 0.3), (40, 0.5), (50, 0.2)]), abs=1e-4
    )


def test_curves_are_drawn_by_eps() -> None:
    drawn = {section.title.partition(": ")[2]: section for section in figures(seen(USUAL))}
    assert list(drawn) == [
        "accuracy",
        "conciseness by dose",
        "stability by dose",
        "relevance: faithfulness by dose",
        "relevance: localisation by dose",
    ]
    clean, robust = drawn["accuracy"].charts
    assert (clean.title, robust.title) == ("clean", "8/255")
    (line,) = clean.lines
    assert np.array(line.points) == pytest.approx(np.array([(0, 95), (2, 90), (8, 70)]))
    assert np.array(robust.lines[0].points) == pytest.approx(np.array([(0, 1.25), (2, 21.25), (8, 51.25)]))
    assert all(low <= y <= high for (_, y), (low, high) in zip(line.points, line.band, strict=True))
    sparse = drawn["conciseness by dose"].charts[0]
    assert [one.name for one in sparse.lines] == ["InputGradient", "GradCAM"]
    assert np.array(sparse.lines[0].points) == pytest.approx(
        np.array([(0, 0.5005), (2, 0.6505), (8, 0.7005)]), abs=1e-4
    )


def test_the_document_counts_what_holds() -> None:
    f = seen(USUAL)
    study = RobustnessStudy((f.trial,))
    found = document(study, [f], "cpu")
    papers = [c.verdict for c in found.claims if c.source == "paper"]
    assert papers.count(REPRODUCED) == len(papers) == 14
    assert found.verdict.startswith("Of 14 claims: 14 reproduced. Of 5 controls: 5 supported. digits: 8 models,")
    assert "36 of 40 images" in found.verdict and found.sections[-1].title == "Published numbers"
    (cell,) = (
        c
        for c in found.results["trials"]["digits"]["cells"]
        if (c["metric"], c["explainer"]) == (repr(Complexity()), repr(CAM))
    )
    assert cell["better"] == -1 and cell["means"]["PGD-AT 8/255 seed 1"]["mean"] == pytest.approx(3.001, abs=1e-4)
    assert cell["trend"]["rho"] < -0.9 and [d["gain"] for d in cell["doses"]] == pytest.approx([1.2, 2.0], abs=1e-4)
    nothing = document(study, [seen(USUAL, judged=0)], "cpu")
    assert "of 40 images none is right in all 8 models, so nothing is judged" in nothing.verdict
