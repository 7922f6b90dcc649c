"""The training loop: it learns, it can be cut off anywhere, and it says when it diverges."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glasshouse.data import CropFlip, Digits
from glasshouse.data.samples import Memory, at_most
from glasshouse.detectors.findings import Findings
from glasshouse.models import SmallCNN
from glasshouse.objectives import Adversarial, Changed, CrossEntropy, Lagrangian, Sum, Transplant
from glasshouse.registry import names
from glasshouse.store import Stage, keep_findings, keep_values, load_findings, load_values
from glasshouse.train import SGD, Adam, Cosine, Resumed, State, Steps, Training, Triangle, fit, seeded_globally
from glasshouse.types import Batch, Objective, Samples

NAMES = names()
VALIDATION = at_most(Digits(size=16)("validation"), 30)
TRAINING = Training(epochs=4, batch_size=24, optimizer=Adam(lr=5e-3))
HARD = Changed(change=Transplant(), objective=Sum(terms=(CrossEntropy(), Adversarial(), Lagrangian(delta=1e-4))))


@pytest.fixture(scope="module")
def samples() -> Samples:
    return at_most(Digits(size=16)("train"), 97)  # the last batch has a single image


def model() -> nn.Module:
    with seeded_globally(7, 0):
        return SmallCNN(width=3)(10)


def task_loss(net: nn.Module, samples: Samples) -> float:
    with torch.no_grad():
        return float(CrossEntropy()(net, samples[list(range(len(samples)))])["task"])


def test_training_lowers_the_loss_and_ends_in_evaluation_mode(samples: Samples) -> None:
    net = model()
    before = task_loss(net.eval(), samples)
    done = fit(net, CrossEntropy(), samples, Training(epochs=8, batch_size=24, optimizer=Adam(lr=3e-2)))
    assert done == CrossEntropy() and not any(m.training for m in net.modules())
    assert task_loss(net, samples) < 0.8 * before


def test_no_epochs_change_nothing(samples: Samples) -> None:
    net = model()
    fit(net, HARD, samples, replace(TRAINING, epochs=0))
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), model().state_dict().values(), strict=True))


class Interrupted(Exception):
    """In place of a power cut."""


def staged(
    folder: Path, samples: Samples, training: Training, stop: int = 0, objective: Objective = HARD
) -> tuple[nn.Module, Objective]:
    """A training as a run does it, cut off after ``stop`` epochs if that is not 0."""
    net, stage = model(), Stage(folder)

    def keep(state: State) -> None:
        stage.keep(net, state)
        if state.epoch == stop:
            raise Interrupted

    def resume(optimizer: torch.optim.Optimizer) -> Resumed:
        return stage.resume(net, optimizer, objective, NAMES)

    options: Any = {"validation": VALIDATION, "seed": 3, "resume": resume, "after_epoch": keep}
    return net, fit(net, objective, samples, training, **options)


def interrupted(folder: Path, samples: Samples, training: Training, stop: int) -> None:
    with pytest.raises(Interrupted):
        staged(folder, samples, training, stop)


def bits(net: nn.Module) -> dict[str, bytes]:
    return {k: v.numpy().tobytes() for k, v in net.state_dict().items()}


OPTIMIZERS = [Adam(lr=5e-3), SGD(lr=0.02), SGD(lr=0.02, momentum=0.0)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("stops", [(1,), (3,), (1, 2, 3)], ids=repr)
def test_interrupted_and_continued_is_uninterrupted_bit_for_bit(
    optimizer: Any, stops: tuple[int, ...], samples: Samples, tmp_path: Path
) -> None:
    training = replace(TRAINING, optimizer=optimizer, augmentation=CropFlip(padding=1))
    expected, objective = staged(tmp_path / "whole", samples, training)
    for stop in stops:
        interrupted(tmp_path / "parts", samples, training, stop)
        torch.manual_seed(stop)  # whatever happened in between
    found, resumed = staged(tmp_path / "parts", samples, training)
    assert bits(found) == bits(expected)
    assert resumed == objective != HARD
    logs = [(tmp_path / part / "log.jsonl").read_bytes() for part in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_an_epoch_that_was_logged_but_not_kept_is_cut_from_the_log(samples: Samples, tmp_path: Path) -> None:
    interrupted(tmp_path, samples, TRAINING, 2)
    log = tmp_path / "log.jsonl"
    kept = log.read_bytes()
    with log.open("a") as file:
        file.write('{"epoch": 2, "step": 0, "half a li')
    staged(tmp_path, samples, TRAINING)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert log.read_bytes().startswith(kept)
    assert [(r["epoch"], r["step"]) for r in rows] == [(e, s) for e in range(4) for s in range(4)]


def test_a_log_without_a_state_is_started_anew(samples: Samples, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("from before\n")
    staged(tmp_path, samples, replace(TRAINING, epochs=1))
    assert "from before" not in (tmp_path / "log.jsonl").read_text()


def test_a_log_that_was_lost_does_not_end_in_zeros(samples: Samples, tmp_path: Path) -> None:
    interrupted(tmp_path, samples, TRAINING, 2)
    (tmp_path / "log.jsonl").write_text("")
    staged(tmp_path, samples, TRAINING)
    assert b"\0" not in (tmp_path / "log.jsonl").read_bytes()


def test_a_log_that_was_removed_stops_no_training(samples: Samples, tmp_path: Path) -> None:
    interrupted(tmp_path, samples, TRAINING, 2)
    (tmp_path / "log.jsonl").unlink()
    staged(tmp_path, samples, TRAINING)


def test_the_log_has_a_row_a_step_with_every_term(samples: Samples, tmp_path: Path) -> None:
    staged(tmp_path, samples, TRAINING)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(set(r) == {"epoch", "step", "lr", "task", "adversarial", "constraint"} for r in rows)
    assert rows[0]["lr"] == 5e-3 and all(a["lr"] > b["lr"] for a, b in pairwise(rows))


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    assert [Cosine()(epoch, 2) for epoch in (0, 1)] == [1.0, pytest.approx(0.5)]
    assert Cosine()(0.5, 2) == pytest.approx(0.5 + 0.5 * 0.5**0.5)


def test_the_learning_rate_falls_in_steps_or_rises_and_falls_or_stays() -> None:
    steps = Steps(at=(2, 5), factor=0.1)
    assert [steps(epoch, 9) for epoch in (0, 1.99, 2, 4.5, 5, 8.9)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert Steps(at=())(7, 9) == 1.0
    triangle = Triangle(peak=0.4)
    assert [triangle(epoch, 10) for epoch in (0, 2, 4, 7, 10)] == pytest.approx([0, 0.5, 1, 0.5, 0])


@pytest.mark.parametrize("schedule", [Steps(at=(1, 3)), None, Triangle()], ids=repr)
def test_every_step_has_the_learning_rate_of_its_moment(schedule: Any, samples: Samples, tmp_path: Path) -> None:
    staged(tmp_path, samples, replace(TRAINING, schedule=schedule), objective=CrossEntropy())
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    moments = [row["epoch"] + row["step"] / 5 for row in rows]  # of five batches the last has one image only
    shares = [1.0 if schedule is None else schedule(moment, 4) for moment in moments]
    assert [row["lr"] for row in rows] == pytest.approx([5e-3 * share for share in shares])


def test_epochs_and_seeds_have_an_order_of_their_own(samples: Samples) -> None:
    def orders(seed: int) -> list[tuple[int, ...]]:
        seen: list[tuple[int, ...]] = []

        @dataclass(frozen=True)
        class Watching:
            def __call__(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
                seen.append(tuple(batch.index.tolist()))
                return CrossEntropy()(net, batch)

        fit(model(), Watching(), samples, replace(TRAINING, epochs=2), seed=seed)
        return seen

    first = orders(0)
    assert first == orders(0) and first != orders(1) and first[:4] != first[4:]
    for epoch in (first[:4], first[4:]):
        flat = [i for step in epoch for i in step]
        assert len(flat) == len(set(flat)) == 96  # the single image of the last batch is left out


def test_training_leaves_the_global_stream_of_random_numbers_as_it_was(samples: Samples) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    fit(model(), HARD, samples, replace(TRAINING, epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_frozen_parameters_stay_as_they_are(samples: Samples) -> None:
    net = model()
    net.network.features[0][0].weight.requires_grad_(False)
    before = bits(net)
    fit(net, CrossEntropy(), samples, replace(TRAINING, epochs=1))
    changed = {k for k, v in bits(net).items() if v != before[k]}
    assert "network.features.0.0.weight" not in changed and "network.head.weight" in changed


@dataclass(frozen=True)
class Diverging:
    """Not a number from a certain step on."""

    value: float = float("nan")

    def __call__(self, net: nn.Module, batch: Batch) -> dict[str, Tensor]:
        task = CrossEntropy()(net, batch)["task"]
        return {"task": task, "wild": 0 * task + self.value}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_one_sentence_and_keeps_no_state(
    value: float, samples: Samples, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"training diverged: term 'wild' is (nan|inf) in epoch 1, step 1; try"):
        staged(tmp_path, samples, TRAINING, objective=Diverging(value))
    assert not Stage(tmp_path).state.exists()


def test_progress_is_told_to_the_last_step(samples: Samples) -> None:
    told: list[tuple[str, int, int]] = []
    fit(model(), CrossEntropy(), samples, TRAINING, progress=lambda *a: told.append(a), label="here")
    assert told[-1] == ("here", 20, 20) and [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_finished_stage_is_loaded_with_its_objective(samples: Samples, tmp_path: Path) -> None:
    net, objective = staged(tmp_path, samples, TRAINING)
    stage, other = Stage(tmp_path), model()
    assert stage.load(other, NAMES) is None and stage.state.is_file()
    stage.finish(net, objective)
    assert not stage.state.exists()
    assert stage.load(other, NAMES) == objective and bits(other) == bits(net)


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    cut = {"empty": b"", "truncated": content[: len(content) // 2], "other": b"not at all " * 9}
    path.write_bytes(cut[how])


HOW = ["empty", "truncated", "other"]


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_state_is_named_in_one_sentence(how: str, samples: Samples, tmp_path: Path) -> None:
    interrupted(tmp_path, samples, TRAINING, 2)
    damaged(Stage(tmp_path).state, how)
    with pytest.raises(ValueError, match=r"state\.safetensors is damaged .*; remove it") as caught:
        staged(tmp_path, samples, TRAINING)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", HOW)
def test_damaged_values_and_findings_are_named_in_one_sentence(how: str, tmp_path: Path) -> None:
    values, found = tmp_path / "values.npz", tmp_path / "findings.safetensors"
    keep_values(values, {"a": torch.rand(50)})
    segments = torch.zeros(1, 2, 2).long()
    keep_findings(
        found, Findings(torch.arange(1), torch.zeros(1).long(), segments, torch.ones(1, 1), torch.zeros(2, 2, 2))
    )
    damaged(values, how)
    damaged(found, how)
    with pytest.raises(ValueError, match=r"values\.npz is damaged .*; remove it"):
        load_values(values)
    with pytest.raises(ValueError, match=r"findings\.safetensors is damaged .*; remove it"):
        load_findings(found)


def test_values_come_back_bit_for_bit_and_have_the_same_bytes_every_time(tmp_path: Path) -> None:
    values = {"Accuracy(attack=None)": torch.rand(9), "b": torch.tensor([float("nan"), 1.0])}
    keep_values(tmp_path / "one.npz", values)
    keep_values(tmp_path / "two.npz", values)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    found = load_values(tmp_path / "one.npz")
    assert found is not None and list(found) == list(values)
    assert all(found[k].numpy().tobytes() == v.numpy().tobytes() for k, v in values.items())
    assert load_values(tmp_path / "none.npz") is None and load_findings(tmp_path / "none") is None


def test_a_single_image_trains_nothing_and_says_nothing_wrong() -> None:
    one = Memory(torch.zeros(1, 3, 16, 16).byte(), torch.zeros(1).long(), ("a", "b"), torch.ones(1, 16, 16).bool())
    net = SmallCNN(width=2)(2)
    before = bits(net)
    for objective in (CrossEntropy(), Lagrangian()):
        assert fit(net, objective, one, replace(TRAINING, epochs=1)) == objective
    assert bits(net) == before


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Training(epochs=-1), "epochs"),
        (lambda: Training(batch_size=1), "batch_size"),
        (lambda: Training(workers=-1), "workers"),
        (lambda: Adam(lr=0.0), "lr is above 0"),
        (lambda: SGD(lr=-1.0), "lr is above 0"),
        (lambda: Training(average=1.0), "average is at least 0 and below 1"),
        (lambda: Training(best_every=0), "best_every is at least 1"),
        (lambda: Steps(at=(3, 3)), "at rises"),
        (lambda: Steps(at=(0, 3)), "at rises"),
        (lambda: Steps(factor=0.0), "factor is above 0"),
        (lambda: Triangle(peak=1.0), "peak is between 0 and 1"),
    ],
)
def test_trainings_that_cannot_be_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
