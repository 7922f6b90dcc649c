"""Rating two models' maps: which pairs there are, how votes are kept, and what they come to."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rated import NAMES, Visitor, begun, port_of, served, two, written
from typer.testing import CliRunner, Result

from glasshouse.cli import app, reviewing
from glasshouse.report import figures
from glasshouse.review import Vote, Votes, opened, rating_of, tally, write_results
from glasshouse.review.pairs import Pair, explained, map_picture, png
from glasshouse.review.rating import FIRST_GUESS, seconds_left
from glasshouse.review.server import serve
from glasshouse.review.tally import Ballot
from glasshouse.statistics import estimate


def glasshouse(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def vote(pair: str, rater: str, better: str, left: str = "A") -> Vote:
    """Who likes which side, A, B or neither (=), of a pair shown with A or B on the left."""
    choice = "same" if better == "=" else "left" if better == left else "right"
    return Vote(pair, rater, left, choice, "2026-01-01T00:00:00.000+00:00")


def votes_on(pair: str, text: str) -> list[Vote]:
    """A rater for each letter, every other one with B on the left."""
    return [vote(pair, f"rater {i}", letter, "AB"[i % 2]) for i, letter in enumerate(text)]


# what votes come to


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("BBBAA", "pos"),
        ("AAABB", "neg"),
        ("===AB", "same"),
        ("BB=A=", "same"),  # as many for B as for neither
        ("AABB=", "same"),  # the two against each other
        ("BB=A", "pos"),  # most, though not more than half
        ("AABB", "same"),
        ("AB=", "same"),
        ("B", "pos"),
    ],
)
def test_most_votes_decide_and_a_tie_is_no_difference(text: str, decision: str) -> None:
    assert tally(votes_on("p", text)).decisions == {"p": decision}


def test_shares_have_wilson_intervals_and_only_pairs_with_enough_votes_count() -> None:
    each = {"a": "BBB", "b": "BBA", "c": "AAA", "d": "===", "e": "BB", "f": "B"}
    every = [v for pair, text in each.items() for v in votes_on(pair, text)]
    found = tally(every, raters=3)
    assert found.decisions == {"a": "pos", "b": "pos", "c": "neg", "d": "same"}
    assert found.shares["pos"] == estimate(np.array([1.0, 1, 0, 0])) and found.shares["pos"].mean == 0.5
    z = 1.959963984540054
    centre, half = (2 + z**2 / 2) / (4 + z**2), z / (4 + z**2) * (2 * 2 / 4 + z**2 / 4) ** 0.5
    assert found.shares["pos"][1:3] == pytest.approx((centre - half, centre + half))
    assert [found.shares[k].mean for k in ("same", "neg")] == [0.25, 0.25]
    assert set(tally(every).decisions) == set("abcdef")


def test_the_sign_test_leaves_out_what_is_the_same() -> None:
    better, worse, alike = (votes_on(p, t) for p, t in (("p", "B"), ("n", "A"), ("s", "=")))
    several = [v._replace(pair=f"{v.pair}{i}") for v, n in ((*better, 8), (*worse, 1), (*alike, 30)) for i in range(n)]
    assert tally(several).p == pytest.approx(2 * (1 + 9) / 2**9)
    assert tally(alike).p == 1 and tally([]).p == 1


def test_kappa_is_fleiss_worked_by_hand_and_agreement_counts_pairs_of_raters() -> None:
    found = tally([*votes_on("p", "BBA"), *votes_on("q", "AAA"), *votes_on("r", "===")])
    assert found.agreement == pytest.approx((1 / 3 + 1 + 1) / 3)
    chance = (2 / 9) ** 2 + (3 / 9) ** 2 + (4 / 9) ** 2
    assert found.kappa == pytest.approx((7 / 9 - chance) / (1 - chance))
    assert np.isnan(tally(votes_on("p", "B")).kappa) and np.isnan(tally(votes_on("p", "BBB")).kappa)
    assert tally(votes_on("p", "BBB")).agreement == 1


def test_the_share_of_the_left_map_tells_habit_from_judgement() -> None:
    lazy = [Vote("p", str(i), "AB"[i % 2], "left", "") for i in range(6)] + [Vote("q", "x", "A", "same", "")]
    found = tally(lazy)
    assert found.left.mean == 1 and found.left.count == 6 and found.decisions["p"] == "same"


def test_a_ballot_counts_sides_and_not_places() -> None:
    found = tally([Vote("p", "1", "A", "right", ""), Vote("p", "2", "B", "left", ""), Vote("p", "3", "B", "right", "")])
    assert found.ballots == {"p": Ballot(2, 0, 1)}


# how votes are kept


def test_the_last_vote_of_a_rater_on_a_pair_counts_and_all_stay_in_the_file(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "v", ["p", "q"])
    for better in "ABB":
        votes.add(vote("p", "Ada", better))
    votes.add(vote("p", "Bo", "="))
    again = Votes(tmp_path / "v", ["p", "q"])
    assert len((tmp_path / "v").read_text().splitlines()) == 4
    for kept in (votes, again):
        assert tally(kept.every()).ballots == {"p": Ballot(1, 1, 0)} and kept.torn == 0
    assert again.of("Ada") == {"p": vote("p", "Ada", "B")} and again.of("Cy") == {}


def test_a_line_that_was_cut_off_costs_that_vote_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "v"
    Votes(file, ["p"]).add(vote("p", "Ada", "B"))
    file.write_bytes(file.read_bytes() + b'{"pair": "p", "rater": "B')
    votes = Votes(file, ["p"])
    assert votes.torn == 1 and len(votes.every()) == 1
    votes.add(vote("p", "Cy", "A"))
    again = Votes(file, ["p"])
    assert again.torn == 1 and {v.rater for v in again.every()} == {"Ada", "Cy"}


def test_a_vote_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    votes, synced = Votes(tmp_path / "v", ["p"]), list[int]()
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    votes.add(vote("p", "Ada", "B"))
    assert synced == [(tmp_path / "v").stat().st_size] and synced[0] > 0

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        votes.add(vote("p", "Bo", "B"))
    assert [v.rater for v in votes.every()] == ["Ada"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (vote("x", "Ada", "B"), "line 2: there is no pair 'x'"),
        (vote("p", "Ada", "B")._replace(choice="both"), "line 2: unknown choice 'both'; there are: left, same, right"),
        (vote("p", "", "B"), "line 2: a vote says who gave it"),
        (vote("p", "Ada", "B")._replace(left="C"), "line 2: a vote says who gave it, and whether A or B"),
    ],
)
def test_a_vote_on_something_else_is_refused(line: Vote, sentence: str, tmp_path: Path) -> None:
    Votes(tmp_path / "v", ["p"]).add(vote("p", "Bo", "B"))
    with pytest.raises(ValueError, match=sentence.split(": ", 1)[1]):
        Votes(tmp_path / "v", ["p"]).add(line)
    with (tmp_path / "v").open("a") as file:
        file.write(json.dumps(line._asdict()) + "\n")
    with pytest.raises(ValueError, match=sentence):
        Votes(tmp_path / "v", ["p"])


def test_raters_at_once_lose_nothing(tmp_path: Path) -> None:
    names = [f"p{i}" for i in range(20)]
    several = [Votes(tmp_path / "v", names) for _ in range(2)]  # two processes would be as these
    work = [
        threading.Thread(target=lambda r=r: [several[r % 2].add(vote(n, f"rater {r}", "B")) for n in names])
        for r in range(6)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    again = Votes(tmp_path / "v", names)
    assert len(again.every()) == 120 and again.torn == 0


# which pairs there are


def test_images_are_kept_with_their_maps_to_8_bits(tmp_path: Path) -> None:
    x = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = explained(written(tmp_path / "a", 1))
    for i in range(6):
        torch.testing.assert_close(found.image(i), x[i], atol=0.5001 / 255, rtol=0)


def test_every_image_comes_with_every_explainer_that_both_have(tmp_path: Path) -> None:
    a = written(tmp_path / "a", 1, looks=("GradCAM", "LIME", "Gradient"))
    b = written(tmp_path / "b", 2, looks=("Gradient", "GradCAM"))
    found = rating_of(a, b)
    assert {p.explainer for p in found.pairs} == {"GradCAM", "Gradient"} and len(found.pairs) == 12
    assert {p.explainer for p in rating_of(a, b, "Gradient").pairs} == {"Gradient"}
    few = [rating_of(a, b, images=3, seed=seed).pairs for seed in (0, 0, 1)]
    assert few[0] == few[1] != few[2] and all(len(pairs) == 6 for pairs in few)
    assert len({p.position for p in few[0]}) == 3


def test_sides_are_drawn_for_each_rater_and_pair_and_are_balanced(tmp_path: Path) -> None:
    rating, _ = begun(tmp_path)
    raters = [f"rater {i}" for i in range(100)]
    left = np.array([[rating.left(rater, pair) == "B" for pair in rating.pairs] for rater in raters])
    assert 0.45 < left.mean() < 0.55 and np.ptp(left.mean(0)) < 0.4
    assert len({tuple(row) for row in left.tolist()}) == 100
    orders = [rating.order(rater) for rater in raters]
    assert all(sorted(order) == sorted(rating.pairs) for order in orders) and len({tuple(o) for o in orders}) == 100
    assert [rating.left("rater 7", pair) for pair in rating.pairs] == ["AB"[int(b)] for b in left[7]]


def test_what_is_on_the_left_is_what_the_vote_says(tmp_path: Path) -> None:
    rating, _ = begun(tmp_path)
    seen = set()
    for rater in ("Ada", "Bo", "Cy"):
        for pair in rating.pairs:
            kept = rating.vote(rater, pair, "left")
            own = (rating.a if kept.better == "A" else rating.b).values[pair.explainer]
            x = rating.a.image(pair.position)
            expected = png(map_picture(own, own, x, pair.position, by_superpixels=False))
            assert rating.picture(rater, pair, "left") == expected != rating.picture(rater, pair, "right")
            assert rating.picture(rater, pair, "image") == png(figures.photo(x))
            seen.add(kept.better)
    assert seen == {"A", "B"}


def test_how_large_a_map_is_does_not_show() -> None:
    x, maps = torch.rand(3, 8, 8), torch.randn(2, 8, 8)
    for by_superpixels in (False, True):
        pictures = [map_picture(k * maps, maps, x, 1, by_superpixels=by_superpixels) for k in (1, 1000)]
        np.testing.assert_allclose(*pictures, atol=1e-6)
    chosen = (maps > 0).float()
    alone, beside = map_picture(chosen, chosen, x, 0, by_superpixels=False), None
    beside = map_picture(chosen, maps, x, 0, by_superpixels=False)
    np.testing.assert_allclose(alone, figures.darkened(x, chosen[0] > 0))
    np.testing.assert_allclose(beside, figures.overlay(x, chosen[0]))


def test_a_picture_holds_pixels_and_nothing_else() -> None:
    with Image.open(io.BytesIO(png(figures.photo(torch.rand(3, 8, 8))))) as image:
        assert image.format == "PNG" and image.size == (8, 8) and image.info == {}


def test_the_pace_is_the_raters_own_without_the_pauses() -> None:
    times = ["00:00:00", "00:00:04", "01:00:00", "01:00:08", "02:00:00", "02:00:04"]
    votes = [vote("p", "Ada", "B")._replace(time=f"2026-01-01T{t}+00:00") for t in times]
    assert seconds_left(votes, 10) == 40 and seconds_left(votes[:2], 10) == 10 * FIRST_GUESS
    assert seconds_left([vote("p", "Ada", "B")._replace(time="noon")], 1) == FIRST_GUESS


# the command


def cast(folder: Path, out: Path, raters: int, **options: object) -> Votes:
    """Votes of people who always find the candidate better on even images and see nothing on odd ones."""
    rating = rating_of(*(folder / name for name in NAMES), **options)  # type: ignore[arg-type]
    votes = opened(rating, out)
    for rater in range(raters):
        for pair in rating.pairs:
            side = "left" if rating.left(f"rater {rater}", pair) == "B" else "right"
            votes.add(rating.vote(f"rater {rater}", pair, "same" if pair.position % 2 else side))
    return votes


def test_the_export_has_shares_with_intervals_by_explainer_and_every_pair(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    cast(tmp_path, tmp_path / "votes", 5)
    result = glasshouse("review", "--rate", str(a), str(b), "--out", str(tmp_path / "votes"), "--export")
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "votes" / "results.json").read_text())
    assert told["votes"] == 60 and len(told["raters"]) == 5 and told["lines cut off"] == 0
    assert told["A"]["model"] == f"model of {NAMES[0]}" and told["B"]["folder"] == str(b)
    for name in ("GradCAM", "Gradient"):
        row = told["decided"][name]
        assert row["pairs"] == 6 and (row["pos"]["pairs"], row["same"]["pairs"], row["neg"]["pairs"]) == (3, 3, 0)
        assert row["pos"]["share"] == 0.5 and row["pos"]["low"] == pytest.approx(0.1876, abs=1e-3)
        assert row["p of pos as likely as neg"] == 0.25 and row["kappa"] == 1
    assert told["with any votes"] == told["decided"]
    assert told["pairs"][1] == {
        **{"explainer": "GradCAM", "index": 10, "title": "1.png", "explained in A": "cat", "explained in B": "cat"},
        **{"pos": 0, "same": 5, "neg": 0, "decision": "same"},
    }
    assert "50 %" in result.output and "[19, 81]" in result.output and "GradCAM" in result.output


def test_pairs_that_wait_for_raters_are_told_apart(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    cast(tmp_path, tmp_path / "votes", 2)
    given = ("review", "--rate", str(a), str(b), "--out", str(tmp_path / "votes"), "--export")
    result = glasshouse(*given)
    told = json.loads((tmp_path / "votes" / "results.json").read_text())
    assert told["decided"]["GradCAM"]["pairs"] == 0 and told["decided"]["GradCAM"]["pos"]["share"] is None
    assert told["with any votes"]["GradCAM"]["pairs"] == 6
    assert "5 raters or more" in result.output and "1 rater or more" in result.output
    assert "1 rater or more" not in glasshouse(*given, "--raters", "2").output


def test_a_folder_of_votes_goes_on_only_with_what_it_was_begun_with(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    c = written(tmp_path / "c", 3)
    out = tmp_path / "votes"
    cast(tmp_path, out, 1)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    cases = (
        ((a, c), (), "holds votes with other maps; give another folder"),
        ((b, a), (), "holds votes with other maps"),
        ((a, b), ("--seed", "3"), "holds votes with seed 0, not 3"),
        ((a, b), ("--explainer", "GradCAM"), "holds votes with explainers"),
        ((a, b), ("--images", "2"), "holds votes with other images"),
    )
    for folders, more, sentence in cases:
        result = glasshouse("review", "--rate", *map(str, folders), "--out", str(out), "--export", *more)
        told = " ".join(result.output.split())
        assert result.exit_code == 2 and sentence in told, told
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    moved = shutil.copytree(a, tmp_path / "moved")
    assert glasshouse("review", "--rate", str(moved), str(b), "--out", str(out), "--export").exit_code == 0


def test_bad_input_is_one_sentence_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviewing, "server", lambda: lambda *given: pytest.fail("the page is shown"))
    a, b = two(tmp_path)
    fewer, other = written(tmp_path / "fewer", 1, images=3), written(tmp_path / "other", 2, looks=("LIME",))
    old, broken, changed = (shutil.copytree(b, tmp_path / name) for name in ("old", "broken", "changed"))
    arrays = dict(np.load(b / "explanations.npz"))
    np.savez(old / "explanations.npz", **{k: v for k, v in arrays.items() if k != "pixels"})
    arrays["pixels"] = arrays["pixels"] ^ np.uint8(1)
    np.savez(changed / "explanations.npz", **arrays)
    (broken / "explanations.json").write_text('{"explainers": 3}')
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    cases = (
        (a, tmp_path / "no", (), "no holds no explanations; make it with: glasshouse explain"),
        (a, fewer, (), r"are not about the same images \(\[6, 3, 8, 8\] and \[3, 3, 8, 8\]\)"),
        (a, changed, (), r"are not about the same images \(the one at 0 differs\); explain both with the same --data"),
        (a, a, (), "hold the same maps; explain with two models"),
        (a, other, (), "no explainer with the same settings is in both folders"),
        (a, b, ("--explainer", "LIME"), "no explainer 'LIME' is in both folders; there are: GradCAM, Gradient"),
        (a, old, (), "does not hold the images that it explains; explain them again"),
        (a, broken, (), r"explanations.json is damaged"),
        (a, b, ("--images", "0"), "--images is at least 1, not 0"),
        (a, b, ("--export",), "votes holds no votes yet"),
        (a, b, ("--out", str(tmp_path / "mine")), "is not empty and holds no votes"),
        (a, b, ("--out", str(a / "index.html")), "is a file; give the name of a folder"),
    )
    for first, second, more, sentence in cases:
        out = () if "--out" in more else ("--out", str(tmp_path / "votes"))
        result = glasshouse("review", "--rate", str(first), str(second), *out, *more)
        told = " ".join(result.output.split())
        assert result.exit_code == 2 and re.search(sentence, told) and told.count("error: ") == 1, (sentence, told)
    assert not (tmp_path / "votes").exists() and [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_without_its_extra_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = two(tmp_path)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "glasshouse.review.server", raising=False)
    result = glasshouse("review", "--rate", str(a), str(b), "--out", str(tmp_path / "votes"))
    told = " ".join(result.output.split())
    assert result.exit_code == 2 and "needs uvicorn; install it with: pip install 'glasshouse[review]'" in told
    assert not (tmp_path / "votes").exists()


def parts(address: str) -> tuple[int, str]:
    """Port and token."""
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{32,})", address)
    assert found, address
    return int(found[1]), found[2]


def test_a_killed_server_loses_no_vote(tmp_path: Path) -> None:
    rating, votes = begun(tmp_path)
    forked = multiprocessing.get_context("fork")
    here, there = forked.Pipe()
    process = forked.Process(target=serve, args=(rating, votes, 0, there.send), daemon=True)
    process.start()
    try:
        assert here.poll(20)
        visitor = Visitor(*parts(here.recv()))
        visitor.vote(visitor.vote(visitor.enter("Ada"), "left"), "same")
    finally:
        process.kill()
        process.join(10)
    assert process.exitcode == -signal.SIGKILL
    again = opened(rating, tmp_path / "votes")
    assert [v.choice for v in again.every()] == ["left", "same"]
    with served(rating, again) as pages:
        assert Visitor(port_of(pages), pages.token).enter("Ada") == "/pair/3"


def test_an_interrupted_server_counts_the_votes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = two(tmp_path)

    def visit(address: str) -> None:
        try:
            visitor = Visitor(*parts(address))
            visitor.vote(visitor.enter("Ada"), "right")
            with socket.socket() as elsewhere:  # another address of this machine, as the network has one
                told.append(str(elsewhere.connect_ex(("127.0.0.2", visitor.port))))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    at_once = threading.Timer(0.5, lambda: visit(told[0]))
    told: list[str] = []
    monkeypatch.setattr(reviewing, "announced", lambda address: (told.append(address), at_once.start()))
    result = glasshouse("review", "--rate", str(a), str(b), "--out", str(tmp_path / "votes"))
    at_once.join(10)
    assert result.exit_code == 0 and "B against A" in result.output, result.output
    assert told[1] == str(errno.ECONNREFUSED)
    assert json.loads((tmp_path / "votes" / "results.json").read_text())["votes"] == 1


def test_results_can_be_written_from_the_call(tmp_path: Path) -> None:
    rating, votes = begun(tmp_path)
    votes.add(rating.vote("Ada", Pair("GradCAM", 4), "same"))
    told = json.loads(write_results(rating, votes, 1, tmp_path).read_text())
    assert [row["decision"] for row in told["pairs"] if row["decision"]] == ["same"]
