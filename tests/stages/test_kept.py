"""Which weights come out of a training: their average, the best on validation samples, also after an interruption."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import HARD, TRAINING, VALIDATION, Interrupted, bits, model, staged
from tiny import NAMES, Few, tiny
from torch import Tensor, nn

from glasshouse.attacks import PGD, Linf
from glasshouse.data import Digits
from glasshouse.data.samples import Subset, at_most
from glasshouse.kept import Kept
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy
from glasshouse.objectives import CrossEntropy, Ramp
from glasshouse.recipes import cifar10, demo
from glasshouse.refine import InMemory
from glasshouse.run import run
from glasshouse.spec import override, parse
from glasshouse.study import Room
from glasshouse.train import State, Training, fit, seeded_globally
from glasshouse.types import Batch, Samples

CALM = replace(TRAINING, epochs=5)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return at_most(Digits(size=16)("train"), 96)


@dataclass(frozen=True)
class Wavy:
    """A value that goes up and down with the weights, and is at its best somewhere in between."""

    waves: float = 3.0

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        place = torch.stack([p.detach().double().sum() for p in net.parameters()]).sum()
        return (self.waves * place).sin().expand(len(batch.x))


@dataclass(frozen=True)
class Flat:
    """The same value for any weights."""

    value: float = 1.0

    def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
        return torch.full((len(batch.x),), self.value)


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def values_in(folder: Path) -> dict[int, float]:
    """The validation values of a log, by epoch."""
    rows = rows_of(folder)
    told = {int(row["epoch"]): row["validation"] for row in rows if "validation" in row}
    last = {int(row["epoch"]): i for i, row in enumerate(rows)}
    assert all("validation" in rows[last[epoch]] for epoch in told)  # in the last row of its epoch
    return told


@pytest.mark.parametrize("most", [0.3, 0.95])  # the cap soon reached, and never
def test_the_average_is_its_recursion_and_training_goes_on_without_it(most: float, samples: Samples) -> None:
    trail: list[dict[str, Tensor]] = []
    follow = Kept.follow

    def followed(self: Kept, decay: float, step: int) -> None:
        assert step == len(trail) and decay == most
        trail.append({k: v.clone() for k, v in self.model.state_dict().items()})
        follow(self, decay, step)

    training = replace(CALM, average=most)
    net, raw = model(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kept, "follow", followed)
        fit(net, CrossEntropy(), samples, training, after_epoch=lambda state: raw.append(bits(net)))
    assert len(trail) == 20
    expected = {k: v.double() for k, v in trail[0].items()}
    for t, weights in enumerate(trail):
        decay = min(most, t / (t + 9))
        expected = {k: decay * v + (1 - decay) * weights[k].double() for k, v in expected.items()}
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], atol=1e-6, rtol=1e-5)
        else:
            assert torch.equal(value, trail[-1][name])
    other, plain = model(), []
    without = replace(training, average=0.0)
    fit(other, CrossEntropy(), samples, without, after_epoch=lambda state: plain.append(bits(other)))
    assert raw == plain and bits(other) == plain[-1] != bits(net)


@pytest.mark.parametrize("average", [0.0, 0.8])
@pytest.mark.parametrize("every", [1, 2, 7])
def test_the_weights_of_the_best_epoch_come_out(average: float, every: int, samples: Samples, tmp_path: Path) -> None:
    training = replace(CALM, average=average, best=Wavy(), best_every=every)
    net, _ = staged(tmp_path / "run", samples, training)
    told = values_in(tmp_path / "run")
    assert list(told) == [e for e in range(5) if (e + 1) % every == 0 or e == 4]
    assert float(Wavy()(net, VALIDATION[[0]])[0]) == pytest.approx(max(told.values()), abs=1e-12)
    best = max(told, key=lambda epoch: told[epoch])
    assert best < 4 or every > 1, "choose other waves: that the last epoch is best proves little"
    again, kept = model(), []

    def watch(state: State) -> None:
        averaged = {k[8:]: v for k, v in state.kept.items() if k.startswith("average/")}
        kept.append({k: v.clone() for k, v in (averaged or again.state_dict()).items()})

    fit(again, HARD, samples, training, validation=VALIDATION, seed=3, after_epoch=watch)
    assert bits(net) == {k: v.numpy().tobytes() for k, v in kept[best].items()}


def test_of_equals_the_earliest_epoch_is_best(samples: Samples) -> None:
    net, first = model(), []
    fit(
        net,
        CrossEntropy(),
        samples,
        replace(CALM, best=Flat()),
        validation=VALIDATION,
        after_epoch=lambda state: first.append(bits(net)),
    )
    assert bits(net) == first[0] != first[-1]


def test_the_value_is_the_mean_over_the_validation_samples_in_evaluation_mode(samples: Samples, tmp_path: Path) -> None:
    metric = Accuracy(attack=PGD(ball=Linf(eps=0.02), steps=2))
    training = replace(CALM, epochs=1, best=metric)
    net, _ = staged(tmp_path, samples, training)
    (value,) = values_in(tmp_path).values()
    assert value == float(measure(net, VALIDATION, (metric,), seed=3)[repr(metric)].double().mean())


def test_every_epoch_and_batch_is_measured_with_the_same_random_numbers(samples: Samples, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Drawn:
        def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
            return torch.rand(()).expand(len(batch.x))

    torch.manual_seed(8)
    before = torch.get_rng_state()
    staged(tmp_path, samples, replace(CALM, best=Drawn()))
    with seeded_globally(3, 0):
        drawn = float(torch.rand(()))
    assert list(values_in(tmp_path).values()) == pytest.approx([drawn] * 5, rel=1e-6)
    assert torch.equal(torch.get_rng_state(), before)


def test_to_select_changes_nothing_about_the_steps(samples: Samples) -> None:
    raw: list[list[dict[str, bytes]]] = []
    for best in (None, Accuracy(attack=PGD(steps=2))):
        net, after = model(), []
        training = replace(CALM, epochs=3, average=0.9, best=best)
        fit(
            net, HARD, samples, training, validation=VALIDATION, after_epoch=lambda s, n=net, a=after: a.append(bits(n))
        )
        raw.append(after)
    assert raw[0] == raw[1]


def test_to_select_needs_validation_samples(samples: Samples) -> None:
    for validation in (None, Subset(VALIDATION, ())):
        net = model()
        before = bits(net)
        with pytest.raises(ValueError, match=r"Training\.best needs validation samples"):
            fit(net, CrossEntropy(), samples, replace(CALM, best=Accuracy()), validation=validation)
        assert bits(net) == before


def test_a_value_that_is_no_number_is_one_sentence(samples: Samples) -> None:
    with pytest.raises(ValueError, match="the metric that selects the best weights is nan after epoch 1"):
        fit(model(), CrossEntropy(), samples, replace(CALM, best=Flat(float("nan"))), validation=VALIDATION)


def test_no_epochs_choose_nothing(samples: Samples) -> None:
    net = model()
    fit(net, CrossEntropy(), samples, replace(CALM, epochs=0, average=0.9, best=Flat()), validation=VALIDATION)
    assert bits(net) == bits(model())


def test_weights_are_as_they_were_if_the_metric_fails(samples: Samples) -> None:
    class Failing(RuntimeError):
        pass

    def failing(net: nn.Module) -> float:
        raise Failing

    net = model()
    kept = Kept(net)
    kept.follow(0.9, 0)
    with torch.no_grad():
        net.network.head.weight.add_(1)
    before = bits(net)
    with pytest.raises(Failing):
        kept.judge(0, failing)
    assert bits(net) == before and "value" not in kept.tensors


CHOOSING: dict[str, dict[str, Any]] = {
    "average": {"average": 0.9},
    "best": {"best": Wavy()},
    "best under attack": {"best": Accuracy(attack=PGD(ball=Linf(eps=0.02), steps=2))},
    "best average, every 2": {"average": 0.9, "best": Wavy(), "best_every": 2},
}


@pytest.mark.parametrize("chosen", CHOOSING)
@pytest.mark.parametrize("stops", [(4,), (1, 2, 3, 4, 5)], ids=repr)
def test_interrupted_and_continued_the_same_weights_come_out(
    chosen: str, stops: tuple[int, ...], samples: Samples, tmp_path: Path
) -> None:
    training, samples = replace(CALM, **CHOOSING[chosen]), at_most(samples, 48)
    objective = Ramp(objective=HARD, field="objective.terms.1.attack.ball.eps", epochs=3)
    expected, ended = staged(tmp_path / "whole", samples, training, objective=objective)
    for stop in stops:
        with pytest.raises(Interrupted):
            staged(tmp_path / "parts", samples, training, stop, objective)
        torch.manual_seed(stop)
    found, resumed = staged(tmp_path / "parts", samples, training, objective=objective)
    assert bits(found) == bits(expected) and resumed == ended
    assert rows_of(tmp_path / "parts") == rows_of(tmp_path / "whole")


# In a run, a study and a loop in memory


ASKED: list[str] = []


class Split(Few):
    """The few digits, which tell what was asked for."""

    def __call__(self, split: str) -> Samples:
        ASKED.append(split)
        return super().__call__(split)


class NoValidation(Few):
    """The few digits without a validation split."""

    def __call__(self, split: str) -> Samples:
        if split == "validation":
            raise ValueError("the split 'validation' is empty")
        return super().__call__(split)


def test_a_run_selects_on_the_validation_split_in_all_its_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, str]] = []
    samples = {split: Few(size=16)(split) for split in ("train", "validation", "test")}

    @dataclass(frozen=True)
    class Watching:
        def __call__(self, net: nn.Module, batch: Batch) -> Tensor:
            for split, known in samples.items():
                images = known[list(range(len(known)))].x
                if any(torch.equal(batch.x[0], image) for image in images):
                    seen.append((len(batch.x), split))
            return torch.ones(len(batch.x))

    recipe = replace(tiny(), data=Split(size=16), rounds=1)
    training = replace(recipe.training, best=Watching())
    recipe = replace(recipe, training=training, refining=replace(training, average=0.5))
    outcome = run(recipe, tmp_path / "out", NAMES | {"Split": Split})
    assert {split for _, split in seen} == {"validation"} and len(seen) >= 4 * 3
    assert sum(count for count, _ in seen) == 4 * 120  # the baseline and three arms
    assert outcome.validation is not None and len(values_in(tmp_path / "out" / "baseline")) == 1


def test_a_run_without_selection_never_asks_for_validation_samples(tmp_path: Path) -> None:
    ASKED.clear()
    run(replace(tiny(), data=Split(size=16), rounds=1, arms=()), tmp_path / "out", NAMES | {"Split": Split})
    assert set(ASKED) == {"train", "test"}


@pytest.mark.parametrize("field", ["training", "refining"])
def test_a_run_on_data_without_validation_is_refused_before_anything_is_written(field: str, tmp_path: Path) -> None:
    recipe = replace(tiny(), data=NoValidation(size=16), **{field: Training(epochs=1, best=Accuracy())})
    with pytest.raises(ValueError, match="'validation' is empty"):
        run(recipe, tmp_path / "out", NAMES | {"NoValidation": NoValidation})
    assert not (tmp_path / "out").exists()


def test_studies_and_loops_in_memory_select_as_well(samples: Samples, tmp_path: Path) -> None:
    training = replace(CALM, epochs=2, best=Flat())
    Room(tmp_path, NAMES).trained("one", model(), samples, training, 0, VALIDATION)
    assert len(values_in(tmp_path / "networks" / "one")) == 2
    nothing: Any = None
    InMemory(nothing, samples, training, validation=VALIDATION).train(0, model(), CrossEntropy(), nothing)
    with pytest.raises(ValueError, match="needs validation samples"):
        InMemory(nothing, samples, training).train(0, model(), CrossEntropy(), nothing)


def page() -> str:
    return (Path(__file__).parents[2] / "docs" / "training.md").read_text()


def test_the_example_of_the_page_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", page(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(compile(example, "training.md", "exec"), scope)
    assert not scope["model"].training and scope["training"].average == 0.99


def test_the_settings_of_the_page_fit_its_recipes() -> None:
    commands = [
        shlex.split(line) for line in re.findall(r"^glasshouse run (.*)$", page().replace("\\\n", ""), re.MULTILINE)
    ]
    recipes = {"demo": demo(), "cifar10": cifar10(Digits(), scale="paper")}
    for name, *settings in commands:
        own = [setting for setting in settings if re.match(r"(training|objective|refining)\b.*?=", setting)]
        assert own
        for setting in own:
            path, _, text = setting.partition("=")
            override(recipes[name], path, parse(text, NAMES))
    assert len(commands) == 3
