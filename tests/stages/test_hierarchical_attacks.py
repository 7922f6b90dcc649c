"""Attacks on two levels as a study: verdicts where the numbers are known, tables, and a whole one on digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from glasshouse.data import BrightRegions, Digits
from glasshouse.data.samples import at_most
from glasshouse.hierarchy import grouped
from glasshouse.models import SmallCNN
from glasshouse.outcome import without_nan
from glasshouse.recipes import hierarchical_attacks
from glasshouse.recipes.coarse_to_fine import ROUND
from glasshouse.recipes.hierarchical_attacks import SIZES
from glasshouse.registry import names
from glasshouse.report import write_document
from glasshouse.report.documents import drawn
from glasshouse.shifts import Moment, RelevanceShift
from glasshouse.statistics import compare
from glasshouse.studies import HierarchicalAttacks, LevelTrial
from glasshouse.studies import hierarchical_ways as ways
from glasshouse.studies.hierarchical_claims import claims
from glasshouse.studies.hierarchical_compared import TITLES, against, named, tried
from glasshouse.studies.hierarchical_document import document
from glasshouse.studies.hierarchical_figures import figures, fooling, tradeoff
from glasshouse.studies.hierarchical_found import EXPLAINABILITY, LEVELS, LOWER, MOVED, Bout, Degenerate
from glasshouse.studies.hierarchical_measured import readings
from glasshouse.studies.hierarchical_published import INCONSISTENCIES, TABLE_I, TABLE_II
from glasshouse.studies.hierarchical_tables import degenerate, explained, gained, norms
from glasshouse.study import NOT_REPRODUCED, REFUTED, REPRODUCED, SUPPORTED, UNTESTED, Claim, Document, Lines, conduct
from glasshouse.train import Adam, Training
from glasshouse.types import Samples

IMAGES, WRONG = 24, 4  # the last ones are wrong before anything happens
BUMPS = 0.01 * torch.sin(torch.arange(IMAGES) * 1.0)
LRP10, LRP20, LRP40 = (ways.LRP.format(eps) for eps in ways.EPS)
MARGIN, PGD, DEEPFOOL = ways.CONTROL, ways.RIVAL, ways.DEEPFOOL
Values = dict[str, Tensor]
Changes = Mapping[tuple[str, str], Mapping[str, float]]


@pytest.fixture(autouse=True)
def _flipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same differences come again and again, and signs are flipped 9,999 times for each."""
    monkeypatch.setattr("glasshouse.studies.hierarchical_found.compare", lambda a, b: kept(a.tobytes(), b.tobytes()))


@cache
def kept(a: bytes, b: bytes) -> Any:
    return compare(*(np.frombuffer(v) for v in (a, b)))


def values(explains: float, rho: float, fooled: float = 1, **others: float) -> Values:
    """What an attack comes to that explains so much; of the images that were right so many are fooled."""
    found = {m: (1 - explains if m in LOWER else explains) + BUMPS * (1 + i) for i, m in enumerate(EXPLAINABILITY)}
    found |= dict.fromkeys(MOVED, explains + BUMPS)
    found |= {"rho_2": rho + BUMPS / 100, "rho_1": rho / 2 + BUMPS / 100, "rho_inf": 2 * rho + BUMPS / 100}
    found |= {name: value + BUMPS / 100 for name, value in others.items()}
    right = (torch.arange(IMAGES) < IMAGES - WRONG).float()
    reached = (torch.arange(IMAGES) < round(fooled * (IMAGES - WRONG))).float()
    return found | {"right": right, "fooled": torch.maximum(reached, 1 - right), "other": reached}


PLAIN: dict[str, dict[str, float]] = {
    LRP10: {"explains": 0.5, "rho": 0.01},
    LRP20: {"explains": 0.6, "rho": 0.012},
    LRP40: {"explains": 0.7, "rho": 0.014},
    MARGIN: {"explains": 0.4, "rho": 0.01},
    PGD: {"explains": 0.3, "rho": 0.02},
    ways.PLAUSIBLE: {"explains": 0.4, "rho": 0.01},
    ways.LITERAL: {"explains": 0.1, "rho": 0.001, "fooled": 0},
    DEEPFOOL: {"explains": 0.2, "rho": 0.009},
    ways.SMALL_PGD: {"explains": 0.2, "rho": 0.009},
}


def losses(size: float = 1e-8, along: float = 1.0) -> Degenerate:
    """Relevance from 1 has a loss of that size, and relevance from the logit goes along with the margin so far."""
    started = torch.tensor([[r.start == "1" and r.p == 1 and r.rules.startswith("z+")] for r in readings()])
    whole = torch.where(started, size, 1.0).expand(-1, 2)
    slopes = torch.where(torch.tensor([[r.start == "logit"] for r in readings()]), along, 0.5).expand(-1, 2)
    return Degenerate("network", {"value": whole, "slope": whole, "off": 1 - whole, "along": slopes})


def shift(negative: float = 0.0) -> RelevanceShift:
    maps = torch.ones(2, 4, 4)
    maps[1, 0, 0] = -16 * negative
    moment = Moment("before", torch.rand(3, 4, 4), ("round", "straight"), maps, (0.7, 0.2), False)
    return RelevanceShift("image", "coarse", moment, (moment._replace(name=LRP10),))


def bout(
    changes: Changes | None = None,
    without: tuple[str, ...] = (),
    lost: Degenerate | None = None,
    pictures: tuple[RelevanceShift, ...] | None = None,
) -> Bout:
    """The usual values but for some, by level and way."""
    known = {name: own for name, own in PLAIN.items() if name not in without}
    found = {
        level: {name: values(**(own | dict((changes or {}).get((level, name), {})))) for name, own in known.items()}
        for level in LEVELS
    }
    trial = LevelTrial("the network", Digits(), ROUND, SmallCNN(), tuple(ways.way(n, ways.PGD()) for n in known))
    hierarchy = grouped({"round": [0, 1], "straight": [2]}, ["a", "b", "c"])
    return Bout(trial, hierarchy, found, lost or losses(), (shift(),) if pictures is None else pictures)


def verdict(b: Bout, part: str) -> Claim:
    """The claim whose text has this part."""
    found = [claim for claim in claims([b], None) if part in claim.text]
    assert len(found) == 1, [claim.text for claim in claims([b], None)]
    return found[0]


def both(way: str, **changed: float) -> Bout:
    return bout({(level, way): changed for level in LEVELS})


DECIDED = [
    ("LRPC fools", REPRODUCED, bout({("coarse", LRP40): {"fooled": 0.5}}), NOT_REPRODUCED),
    ("LRPC fools", REPRODUCED, bout({("fine", LRP40): {"fooled": 0.5}}), REPRODUCED),
    ("LRPF fools", REPRODUCED, bout({("fine", LRP10): {"fooled": 0.7}}), NOT_REPRODUCED),
    ("LRPC explains itself better than PGD", REPRODUCED, both(PGD, explains=0.5), NOT_REPRODUCED),
    ("LRPC explains itself better than PGD", REPRODUCED, both(PGD, shift_original=0.9), NOT_REPRODUCED),
    ("LRPF explains itself better than PGD", REPRODUCED, both(PGD, entropy=0.1), NOT_REPRODUCED),
    ("LRPC explains itself better than DeepFool", REPRODUCED, both(DEEPFOOL, explains=0.8), NOT_REPRODUCED),
    ("LRPF explains itself better than DeepFool", REPRODUCED, both(DEEPFOOL, fooled=0), UNTESTED),
    ("LRPF explains itself better as eps", REPRODUCED, both(LRP40, explains=0.4), NOT_REPRODUCED),
    ("LRPC explains itself better as eps", REPRODUCED, both(LRP10, explains=0.7), NOT_REPRODUCED),
    ("perturbation of LRPC grows", REPRODUCED, both(LRP40, rho=0.009), NOT_REPRODUCED),
    ("perturbation of LRPF grows", REPRODUCED, both(LRP10, rho=0.014), NOT_REPRODUCED),
    ("no more than PGDC", REPRODUCED, both(ways.SMALL_PGD, rho_inf=0.01), NOT_REPRODUCED),
    ("no more than PGDC", REPRODUCED, both(ways.SMALL_PGD, rho_1=0.003), NOT_REPRODUCED),
    ("on par with DFC", REPRODUCED, both(DEEPFOOL, rho_inf=0.013), NOT_REPRODUCED),
    ("on par with DFC", REPRODUCED, both(DEEPFOOL, rho_inf=0.014), REPRODUCED),
    ("concentrates on critical", REPRODUCED, both(DEEPFOOL, overlap_original=0.6), NOT_REPRODUCED),
    ("concentrates on critical", REPRODUCED, both(DEEPFOOL, rank_judge=0.9), REPRODUCED),
    ("Negative relevance", NOT_REPRODUCED, bout(pictures=(shift(0.1),)), REPRODUCED),
    ("Negative relevance", NOT_REPRODUCED, bout(pictures=()), UNTESTED),
    ("Imperceptible at eps 40", REPRODUCED, both(LRP40, rho_inf=0.04), NOT_REPRODUCED),
    ("as printed is 0", SUPPORTED, both(ways.LITERAL, fooled=0.1), REFUTED),
    ("as printed is 0", SUPPORTED, bout(lost=losses(size=0.02)), REFUTED),
    ("as printed is 0", SUPPORTED, bout(without=(ways.LITERAL,)), SUPPORTED),
    ("it is the margin", SUPPORTED, bout(lost=losses(along=0.98)), REFUTED),
    ("it is the margin", SUPPORTED, both(ways.PLAUSIBLE, fooled=0.9), REFUTED),
    ("coarse: explains itself better than the same", SUPPORTED, both(MARGIN, explains=0.5), REFUTED),
    ("fine: explains itself better than the same", SUPPORTED, bout({("coarse", MARGIN): {"explains": 0.5}}), SUPPORTED),
    ("coarse: so also by Grad-CAM", SUPPORTED, both(MARGIN, rank_judge=0.6), REFUTED),
    ("fine: so also by Grad-CAM", SUPPORTED, both(MARGIN, gini=0.9), SUPPORTED),
    ("coarse: at eps 10 at least", SUPPORTED, both(LRP10, fooled=0.9), REFUTED),
    ("fine: at eps 10 at least", SUPPORTED, both(LRP10, fooled=0.95), SUPPORTED),
]


@pytest.mark.parametrize(("part", "usual", "other", "otherwise"), DECIDED, ids=[f"{i}" for i in range(len(DECIDED))])
def test_values_decide(part: str, usual: str, other: Bout, otherwise: str) -> None:
    assert verdict(bout(), part).verdict == usual
    assert verdict(other, part).verdict == otherwise


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        (PGD, "LRPC explains itself better than PGD"),
        (DEEPFOOL, "LRPF explains itself better than DeepFool"),
        (DEEPFOOL, "on par"),
        (ways.SMALL_PGD, "no more than PGDC"),
        (MARGIN, "fine: so also by Grad-CAM"),
    ],
)
def test_what_was_not_tried_is_untested(missing: str, part: str) -> None:
    told = verdict(bout(without=(missing,)), part)
    assert told.verdict == UNTESTED and "not measured here" in told.measured and "nan" not in told.measured


def test_few_images_decide_nothing() -> None:
    """Of ten measures, eight images have no p-value below 10 * 2 / 2^8, and nine have 10 * 2 / 2^9 = 0.04."""
    few, enough = (verdict(both(MARGIN, fooled=n / 20), "coarse: explains itself better") for n in (8, 9))
    assert (few.verdict, few.measured) == (UNTESTED, "only 8 images are fooled by both")
    assert enough.verdict == SUPPORTED and enough.measured == "better by 10 of 10 measures, worse by none, 9 images"


def test_half_of_the_measures_are_not_most() -> None:
    part = "coarse: explains itself better than the same"
    five, six = (verdict(both(MARGIN, **dict.fromkeys(EXPLAINABILITY[n:], 0.5)), part) for n in (5, 6))
    assert (five.verdict, five.measured[:17]) == (REFUTED, "better by 5 of 10")
    assert (six.verdict, six.measured[:17]) == (SUPPORTED, "better by 6 of 10")


@pytest.mark.parametrize("what", ["value", "slope"])
def test_a_loss_that_has_either_a_size_or_a_slope_is_not_inert(what: str) -> None:
    small, large = losses().values, losses(size=0.02).values
    told = verdict(bout(lost=Degenerate("network", {**small, what: large[what]})), "as printed is 0")
    assert told.verdict == REFUTED


def test_p_values_are_corrected_for_the_measures() -> None:
    found = against(bout(), "coarse", LRP10, MARGIN, ("gini", "entropy"))
    alone = against(bout(), "coarse", LRP10, MARGIN, ("gini",))
    assert found and alone and found.shared == IMAGES - WRONG
    assert alone.gains["gini"].p == pytest.approx(1e-4) and found.gains["gini"].p == pytest.approx(2e-4)
    assert found.gains["entropy"].difference == pytest.approx(0.1)  # lower is better


def test_the_paper_counts_images_that_were_wrong() -> None:
    told = verdict(both(LRP10, fooled=0.5), "LRPC fools")
    assert told.measured.startswith("50.0, 100.0, 100.0 % of those that were right; counted as there 58.3, 100.0")
    assert told.published == "87.1, 92.5, 99.3 % (Table I)"


def test_eps_are_tried_in_their_order() -> None:
    assert list(tried(bout(), ways.LRP).items()) == [(10, LRP10), (20, LRP20), (40, LRP40)]
    fewer = bout(without=(LRP10,))
    assert verdict(fewer, "coarse: at eps 20 at least").measured.startswith("100.0 %")


# tables


def test_numbers_of_both_tables() -> None:
    by_hand = [
        [(0.0294, 0.0216, 0.0399, 87.1), (0.0323, 0.0174, 0.0778, 92.5), (0.0405, 0.0195, 0.1557, 99.3)],
        [(0.0127, 0.0084, 0.0241, 98.7), (0.0145, 0.0079, 0.0542, 100), (0.0151, 0.0066, 0.0819, 100)],
    ]
    rivals = [
        [(0.0045, 0.0031, 0.0408, 100), (0.0262, 0.0224, 0.0101, 100)],
        [(0.0020, 0.0013, 0.0029, 100), (0.0078, 0.0092, 0.0035, 95.7)],
    ]
    for table, own, others in zip((TABLE_I, TABLE_II), by_hand, rivals, strict=True):
        assert list(table.items()) == list(
            zip((LRP10, LRP20, LRP40, DEEPFOOL, ways.SMALL_PGD), own + others, strict=True)
        )


def test_published_numbers_stand_beside_ours() -> None:
    b = both(DEEPFOOL, rho_2=0.006, fooled=0.5)
    b.values["fine"][DEEPFOOL]["rho_1"] = (torch.arange(IMAGES) >= 10).float()  # only where nothing is fooled
    table = norms(b, "fine")
    row = dict(zip(table.columns, next(r for r in table.rows if r[0] == DEEPFOOL), strict=True))
    assert row["images"] == "20" and row["rho, l2"] == "0.0060±0.0000" and row["rho, l1"].startswith("0.5000")
    theirs = [c for c, name in zip(table.rows[-2], table.columns, strict=True) if name == "paper"]
    assert table.rows[-2][0] == DEEPFOOL and theirs == ["0.0020", "0.0013", "0.0029", "100.0"]
    assert row["fooled, %"].startswith("50.0 [30") and row["of all, %"] == "58.3"
    margin = next(r for r in table.rows if r[0] == MARGIN)
    assert [c for c, name in zip(margin, table.columns, strict=True) if name == "paper"] == ["–"] * 4


def test_means_are_over_the_images_that_are_fooled() -> None:
    b = both(PGD, fooled=0.5)
    own = b.values["coarse"][PGD]
    own["gini"][:10], own["gini"][10:] = 0.25, 0.75
    related, concentrated = explained(b, "coarse")
    rows = {row[0]: dict(zip(concentrated.columns, row, strict=True)) for row in concentrated.rows}
    assert (rows[PGD]["images"], rows[PGD]["Gini index"]) == ("10", "0.250") and "on the object" not in rows[PGD]
    assert (rows[ways.LITERAL]["images"], rows[ways.LITERAL]["Gini index"]) == ("0", "–")
    b.values["coarse"][PGD]["inside"] = b.values["coarse"][PGD]["gini"]
    assert explained(b, "coarse")[1].columns[4] == "on the object"
    assert {*related.columns, *concentrated.columns[1:]} == {"", "images"} | {
        named(m) for m in (*EXPLAINABILITY, *MOVED)
    }


def test_gains_are_over_control_and_rivals() -> None:
    table = gained(bout(), "coarse")
    rivals = [name.split(" (")[0] for name in table.columns[1:]]
    assert rivals == [f"over {rival}" for rival in (MARGIN, PGD, DEEPFOOL, ways.SMALL_PGD)]
    assert [row[0] for row in table.rows] == [TITLES[m] for m in EXPLAINABILITY]
    assert all(row[1].startswith("+0.100 [") and row[2].startswith("+0.200 [") for row in table.rows)


def test_every_reading_of_the_loss_has_a_row() -> None:
    uneven = losses(along=0.25).values
    uneven["value"] = uneven["value"] * torch.tensor([0.5, 2])
    table = degenerate([losses(), Degenerate("other", uneven)])
    assert len(table.rows) == 2 * len(readings())
    assert table.rows[0] == ("network", "z+, z-beta", "1", "1", "1.0e-08", "1.0e-08", "1.0e+00", "0.5000")
    assert table.rows[len(readings()) + 1][2:] == ("logit", "1", "2.0e+00", "1.0e+00", "0.0e+00", "0.2500")


# figures and the document


def test_curves_go_from_the_smallest_eps_on() -> None:
    coarse, fine = fooling(both(LRP20, fooled=0.5)).charts
    ours, theirs = (
        next(line for line in fine.lines if line.name == "LRP" and line.published is p) for p in (False, True)
    )
    assert ours.points == ((10, 100), (20, 50), (40, 100)) and ours.band[1][0] < 50 < ours.band[1][1]
    assert theirs.points == ((10, 98.7), (20, 100), (40, 100)) and coarse.lines[-1].points[0] == (10, 87.1)
    chart = tradeoff(both(LRP20, fooled=0), "coarse").charts[0]
    lines = {line.name: line.points for line in chart.lines}
    assert list(lines) == ["LRP", "margin", "PGD", DEEPFOOL] and len(lines["LRP"]) == 2  # an eps that fools nothing
    assert lines["LRP"][1][0] == pytest.approx(0.014, abs=1e-4) and lines["LRP"][1][1] == pytest.approx(0.7, abs=0.01)


def study(b: Bout) -> HierarchicalAttacks:
    return HierarchicalAttacks(trials=(b.trial,))


def test_the_document_is_whole_and_plain() -> None:
    b = bout()
    found = document(study(b), [b], losses()._replace(name="bare"), "cpu")
    told = json.loads(json.dumps(without_nan(found.results), allow_nan=False))
    level = told["trials"]["the network"]["fine"]
    assert set(level["ways"]) == set(PLAIN) and level["right"]["mean"] == pytest.approx(20 / 24)
    assert level["gains"][f"{LRP10} over {MARGIN}"]["gini"]["difference"] == pytest.approx(0.1)
    assert set(told["loss as printed"]) == {"network", "bare"}
    assert told["published"]["coarse"][LRP10] == TABLE_I[LRP10]._asdict()
    assert "Of 15 claims of the paper: 14 reproduced, 1 not reproduced. Of 10 controls: 10 supp" in found.verdict
    assert "LRP, eps 10 fools 100.0 % on the coarse level and 100.0 % on the fine level" in found.verdict
    assert "coarse better by 10 and worse by 0 of 10 measures, overlap with Grad-CAM +0.100 [" in found.verdict
    assert any("coarse 83.3 % right" in text for _, text in found.setup)
    assert [s.title for s in figures(b)] == [s.title for s in found.sections if isinstance(s, Lines)] + [
        "the network: where relevance goes (Fig. 1, 2 of the paper)"
    ]
    assert all(drawn(section)["title"] for section in found.sections)


def test_results_are_of_their_own_level() -> None:
    b = bout({("fine", LRP10): {"fooled": 0.5}})
    found = document(study(b), [b], None, "cpu").results["trials"]["the network"]
    assert [found[level]["ways"][LRP10]["fooled"]["mean"] for level in LEVELS] == [1, 0.5]


def test_our_numbers_stand_beside_what_contradicts_itself() -> None:
    b = bout()
    table = document(study(b), [b], None, "cpu").sections[-1]
    here = dict(zip((word for word, _ in INCONSISTENCIES), (row[1] for row in table.rows), strict=True))  # type: ignore[union-attr, str-bytes-safe]
    assert here["monotone"].startswith("the network: rho_1 0.0050, 0.0060, 0.0070 (coarse); rho_1 0.0050")
    assert "counted as there" in here["counting"] and "rho_inf 0.02" in here["comparable"]
    assert here["names"] == here["scales"] == "–"
    assert all(here[word] != "–" for word in ("inert", "margin", "negative", "imperceptible", "measured"))


# a whole one


@dataclass(frozen=True)
class Few(Digits):
    """A few digits."""

    def __call__(self, split: str) -> Samples:
        return at_most(super().__call__(split), 120)


NAMES = names() | {"Few": Few}


def tiny() -> HierarchicalAttacks:
    """The smoke recipe with less of everything."""
    whole = hierarchical_attacks(model=SmallCNN(width=4))
    chosen = {name: replace(w, images=4) for w in whole.trials[0].ways if (name := w.name)}
    kept = tuple(shorter(chosen[name]) for name in (LRP10, MARGIN, LRP40, ways.LITERAL, DEEPFOOL))
    data, training = BrightRegions(Few(decoy=None, size=16), level=0.3), Training(epochs=2, optimizer=Adam(lr=5e-3))
    trials = tuple(replace(t, data=data, ways=kept, training=training, degenerate=2) for t in whole.trials)
    return replace(whole, trials=trials, pictures=1, untrained=SmallCNN(width=2), side=8)


def shorter(way: ways.LevelWay) -> ways.LevelWay:
    coarse, fine = (replace(a, steps=3) if hasattr(a, "steps") else a for a in (way.coarse, way.fine))
    return replace(way, coarse=coarse, fine=fine)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Document]:
    out = tmp_path_factory.mktemp("hierarchical") / "out"
    found = conduct(tiny(), out, NAMES)
    write_document(found, tiny(), out)
    return out, found


def test_a_study_ends_in_a_page(finished: tuple[Path, Document]) -> None:
    out, found = finished
    page = (out / "index.html").read_text()
    for text in (
        "Digits, two stages, fine: who is fooled",
        "Table II",
        "What the loss as printed",
        "contradicts itself",
    ):
        assert text in page
    told = json.loads((out / "results.json").read_text())
    assert set(told["trials"]) == {"Digits, flat", "Digits, two stages"} and len(told["claims"]) == len(found.claims)
    inside = told["trials"]["Digits, flat"]["coarse"]["ways"]
    assert all("over those that are fooled" in own for own in inside.values())
    assert "SmallCNN, untrained" in told["loss as printed"]


def test_a_study_that_goes_on_says_the_same(finished: tuple[Path, Document]) -> None:
    out, found = finished
    steps = sorted((out / "steps").glob("*.npz"))
    before, kept = (out / "results.json").read_bytes(), {p: p.read_bytes() for p in steps}
    steps[0].unlink()
    again = conduct(tiny(), out, NAMES)
    assert again.claims == found.claims and again.verdict == found.verdict
    assert (out / "results.json").read_bytes() == before
    assert set((out / "steps").glob("*.npz")) == set(kept)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"scale": "huge"}, "unknown scale 'huge'; there are: smoke, small, paper"),
    ({"scale": "small"}, "scale=small needs images"),
    ({"scale": "small", "imagenet": Digits()}, "imagenet needs a trained network: give weights=FILE"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_the_recipe_says_what_it_needs(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        hierarchical_attacks(**given)


def test_scales_take_flat_networks_or_two_stages() -> None:
    small = hierarchical_attacks(imagenet=Digits(), cifar100=Digits(), weights="w.safetensors", scale="small")
    flat, stages = small.trials
    assert flat.fine is None and flat.training.epochs == 0 and flat.model.weights == "w.safetensors"  # type: ignore[attr-defined]
    assert stages.fine == stages.model and stages.training.epochs > 0 and stages.name == "CIFAR-100"
    size = SIZES["small"]
    assert (flat.images, stages.images) == (size.photographs, size.images) and flat.ways == stages.ways == size.ways
    assert small.untrained is not None and hierarchical_attacks().untrained is None
    (paper,) = hierarchical_attacks(imagenet=Digits(), scale="paper").trials
    assert paper.fine == paper.model and paper.images == 1000
    assert [t.fine is None for t in hierarchical_attacks().trials] == [True, False]
