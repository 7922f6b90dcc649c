"""A survey measures what the metrics say, on the images that all models get right, however it was cut up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glasshouse.attacks import FGSM, Linf
from glasshouse.data.samples import Memory
from glasshouse.draws import draws
from glasshouse.explainers import GradCAM, InputGradient
from glasshouse.measure import measure
from glasshouse.metrics import Accuracy, Sparseness, Stability
from glasshouse.metrics.verdicts import Verdicts
from glasshouse.modes import frozen
from glasshouse.statistics import estimate
from glasshouse.study import Room
from glasshouse.survey import Cell, Survey, survey
from glasshouse.types import Batch, Explainer
from nets import seeded_net

COUNT, SIDE = 23, 16
EXPLAINERS = (InputGradient(), GradCAM())
CALLS: list[int] = []


@dataclass(frozen=True)
class Counted:
    """An explainer that says how many images it is asked about."""

    size: float = 1.0

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, *, create_graph: bool = False) -> Tensor:
        CALLS.append(len(x))
        return self.size * draws(x).normal(*x.shape[2:])


@dataclass(frozen=True)
class Twice:
    """A metric that explains images by itself."""

    explainer: Explainer = InputGradient()
    family: ClassVar[str] = "stability"

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        return verdicts.explained(self.explainer).flatten(1).sum(1)


@dataclass(frozen=True)
class Picky:
    """A metric of maps that one explainer's do not suit."""

    needs: ClassVar[tuple[str, ...]] = ("attribution",)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.given(Verdicts(model, batch))

    def given(self, verdicts: Verdicts) -> Tensor:
        if isinstance(verdicts.explainer, GradCAM):
            raise ValueError("maps have no\nderivative")
        return verdicts.batch.attribution.flatten(1).amax(1)


METRICS = (Accuracy(attack=FGSM(ball=Linf(eps=0.01))), Sparseness(), Twice(), Stability(copies=1))


def images(labels: Callable[[Tensor], Tensor] | None = None) -> Memory:
    """Images, most of which both models get right where they agree."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        y = seeded_net(0).eval()(pixels / 255).argmax(1)
    y[::5] = (y[::5] + 1) % 4
    return Memory(pixels, y if labels is None else labels(y), tuple("abcd"))


class Otherwise(nn.Module):
    """A net that says something else of bright images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = seeded_net(0)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return torch.where(x.mean((1, 2, 3))[:, None] > 0.505, logits.roll(1, 1), logits)


def models() -> dict[str, nn.Module]:
    return {"first": seeded_net(0).eval(), "other one": Otherwise().eval()}


def found(samples: Memory | None = None, metrics: Any = METRICS, explainers: Any = EXPLAINERS, **more: Any) -> Survey:
    result = survey(
        models(), images() if samples is None else samples, metrics, explainers, **({"batch_size": 6} | more)
    )
    assert result is not None
    return result


@pytest.fixture(scope="module")
def whole() -> Survey:
    return found()


def same(a: Survey, b: Survey) -> bool:
    """Bit by bit."""
    assert list(a.values) == list(b.values) and torch.equal(a.right, b.right)
    return all(np.array_equal(a.values[c].numpy(), b.values[c].numpy(), equal_nan=True) for c in a.values)


def test_judged_are_the_images_that_all_models_get_right(whole: Survey) -> None:
    batch = images()[list(range(COUNT))]
    with torch.no_grad():
        right = torch.stack([model(batch.x).argmax(1) == batch.y for model in models().values()])
    assert torch.equal(whole.right, right) and torch.equal(whole.judged, right.all(0))
    assert 5 < int(whole.judged.sum()) < int(right[0].sum()) < COUNT


def test_values_are_those_of_the_metrics_by_themselves(whole: Survey) -> None:
    judged = whole.judged.nonzero()[:, 0].tolist()
    for name, model in models().items():
        batch = images()[judged]
        for explainer in EXPLAINERS:
            with frozen(model):
                maps = explainer(model, batch.x, batch.y).detach()
                sparse = Sparseness()(model, batch._replace(attribution=maps))
            told = whole.of(Sparseness(), name, explainer)
            torch.testing.assert_close(told[judged], sparse, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(
                whole.of(Twice(), name, explainer)[judged], maps.flatten(1).sum(1), atol=1e-4, rtol=1e-3
            )
            assert told.dtype == torch.float32 and torch.equal(told.isfinite(), whole.judged)
        attacked = measure(model, images(), METRICS[:1], batch_size=6)[repr(METRICS[0])]
        assert torch.equal(whole.of(METRICS[0], name), attacked) and len(attacked) == COUNT
        mean = estimate(whole.of(Sparseness(), name, EXPLAINERS[0])[judged].double().numpy())
        assert whole.estimate(Sparseness(), name, EXPLAINERS[0]) == mean and mean.count == len(judged)


def test_every_metric_has_every_explainer_and_models_alone_have_none(whole: Survey) -> None:
    expected = {Cell(m, None, METRICS[0]) for m in models()}
    expected |= {Cell(m, e, metric) for m in models() for e in EXPLAINERS for metric in METRICS[1:]}
    assert set(whole.values) == expected and not whole.refused
    assert all(whole.seconds[cell] > 0 for cell in expected)


def test_how_many_images_come_at_once_changes_nothing(whole: Survey) -> None:
    for size in (4, COUNT):
        other = found(batch_size=size)
        for cell, values in whole.values.items():
            torch.testing.assert_close(other.values[cell], values, atol=1e-4, rtol=1e-3, equal_nan=True)


def test_images_are_explained_once_whatever_is_measured() -> None:
    metrics = (Sparseness(), Picky(), Twice())
    CALLS.clear()
    result = found(metrics=metrics, explainers=(Counted(), Counted(size=2.0)))
    assert sum(CALLS) == 2 * 2 * int(result.judged.sum())
    first, second = (result.of(Picky(), "first", e) for e in result.explainers)
    assert torch.equal(2 * first[result.judged], second[result.judged])


class Cut(Exception):
    """What happens to a process."""


@pytest.mark.parametrize(("after", "batches"), [(0, 0), (7, 1), (13, 3), (30, 10)])
def test_what_was_cut_off_goes_on_and_measures_nothing_twice(
    whole: Survey, tmp_path: Path, after: int, batches: int
) -> None:
    room = Room(tmp_path, {})

    def cut(label: str, done: int, total: int) -> None:
        assert label == "measure explanations" and 0 <= done < total == 2 * (4 * 1 + 2 * 6)
        if done == after:
            raise Cut

    with pytest.raises(Cut):
        found(room=room, progress=cut)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(kept) == 2 + batches
    assert same(found(room=room), whole)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


@pytest.mark.parametrize("shards", [2, 9])
def test_shards_find_what_one_process_finds(whole: Survey, tmp_path: Path, shards: int) -> None:
    def part(k: int) -> Survey | None:
        room = Room(tmp_path, {})
        return survey(models(), images(), METRICS, EXPLAINERS, room=room, shard=(k, shards), batch_size=6)

    results = [part(k) for k in range(shards)]
    assert results[:-1] == [None] * (shards - 1)
    assert results[-1] is not None and same(results[-1], whole)


def test_a_shard_takes_its_own_batches_only(tmp_path: Path) -> None:
    def counted(k: int) -> int:
        CALLS.clear()
        room = Room(tmp_path / "room", {})
        survey(models(), images(), (Sparseness(),), (Counted(),), room=room, shard=(k, 2), batch_size=6)
        return len(CALLS)

    total = 2 * -(-int(found().judged.sum()) // 6)
    assert [counted(0), counted(1)] == [-(-total // 2), total // 2] and counted(0) == 0


def test_processes_at_once_do_each_other_no_harm(whole: Survey, tmp_path: Path) -> None:
    others: list[Survey] = []

    @dataclass(frozen=True)
    class Meanwhile(Sparseness):
        """While it measures, another process does all of it in the same room."""

        def given(self, verdicts: Verdicts) -> Tensor:
            if not others:
                others.append(found(room=Room(tmp_path, {})))
            return super().given(verdicts)

    first = found(metrics=(METRICS[0], Meanwhile(), *METRICS[2:]), room=Room(tmp_path, {}))
    assert same(others[0], whole)
    columns = list(zip(first.values.values(), whole.values.values(), strict=True))
    assert all(np.array_equal(a.numpy(), b.numpy(), equal_nan=True) for a, b in columns)
    assert not list(tmp_path.rglob(".*"))


def test_what_cannot_be_measured_is_left_out_with_its_reason(tmp_path: Path) -> None:
    room = Room(tmp_path, {})
    result = found(metrics=(Picky(), Sparseness()), tolerant=True, room=room)
    refused = {Cell(name, GradCAM(), Picky()) for name in models()}
    assert set(result.refused) == refused
    assert set(result.refused.values()) == {"Picky by GradCAM: maps have no derivative"}
    assert all(torch.equal(v.isfinite(), result.judged & (c not in refused)) for c, v in result.values.items())
    assert found(metrics=(Picky(), Sparseness()), tolerant=True, room=room).refused == result.refused
    with pytest.raises(ValueError, match=r"^Picky by GradCAM: maps have no\nderivative$"):
        found(metrics=(Picky(), Sparseness()))


def test_where_no_image_is_right_for_all_nothing_is_judged(whole: Survey) -> None:
    none = found(images(lambda y: (y + 2) % 4), tolerant=True)
    assert not none.judged.any()
    assert all(values.isnan().all() == (cell.explainer is not None) for cell, values in none.values.items())
    assert none.estimate(Sparseness(), "first", InputGradient()).count == 0


def test_a_metric_of_explanations_is_measured_as_it_is_without_explainers() -> None:
    result = found(metrics=(Twice(),), explainers=())
    assert set(result.values) == {Cell(name, None, Twice()) for name in models()}
    assert torch.equal(result.of(Twice(), "first").isfinite(), result.judged)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"explainers": ()}, "Sparseness needs an explainer"),
        ({"shard": (2, 2)}, r"shard is \(k, n\) with k from 0 to n - 1, not \(2, 2\)"),
        ({"shard": (0, 2)}, "a shard needs a room"),
        (
            {"samples": replace(images(), pixels=torch.zeros(0, 3, 16, 16), labels=torch.zeros(0))},
            "there are no images",
        ),
    ],
)
def test_what_cannot_be_done_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        found(**change)


def test_models_have_names_of_their_own() -> None:
    net = seeded_net(0).eval()
    with pytest.raises(ValueError, match="two of the models have one name on disk: a b, a-b"):
        survey({"a b": net, "a-b": net}, images(), ())
    with pytest.raises(ValueError, match="there are no models"):
        survey({}, images(), ())
