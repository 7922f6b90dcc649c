"""Text to component: what is read, what is refused, and in which words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from glasshouse.attacks import FGSM, L2, PGD, Limited, Linf
from glasshouse.data import Digits
from glasshouse.explainers import LIME, GradCAM, Grid
from glasshouse.metrics import Accuracy
from glasshouse.models import SmallCNN
from glasshouse.objectives import Adversarial, CrossEntropy, Lagrangian, Sum
from glasshouse.recipe import Arm, Recipe
from glasshouse.registry import components_of, names
from glasshouse.spec import check, describe, fits, override, parse, pretty
from glasshouse.train import Training
from glasshouse.types import Attack, Explainer, Objective

NAMES = names()


def read(text: str) -> object:
    return parse(text, NAMES)


HOSTILE = [
    "__import__('os').system('x')",
    "open('x')",
    "(lambda: 1)()",
    "lambda: 1",
    "PGD.__class__",
    "PGD().steps",
    "PGD.__init__.__globals__",
    "PGD(steps=(lambda: 5)())",
    "PGD(steps=__import__('os').getpid())",
    "f'{1}'",
    "f'{__import__(\"os\")}'",
    "[x for x in (1, 2)]",
    "(y := 1)",
    "1 if True else 2",
    "{'a': 1}",
    "{1, 2}",
    "b'bytes'",
    "1j",
    "...",
    "not True",
    "~1",
    "1 < 2",
    "1 and 2",
    "(1, 2)[0]",
    "'a' * 1000000000",
    "'a' + 'b'",
    "(1,) * 1000000000",
    "2**100",
    "10**10**10",
    "1 << 100000",
    "7 // 2",
    "7 % 2",
    "True + 1",
    "1 / 0",
    "-'a'",
    "PGD(3)",
    "PGD(*(3,))",
    "PGD(**{'steps': 3})",
    "PGD(**PGD())",
    "PGD(steps=1)(steps=2)",
    "PGD(steps=1, steps=2)",
    "PGD(",
    "PGD)",
    "",
    "   ",
    "PGD; PGD",
    "PGD\nPGD",
    "import os",
    "await x",
    "PGD(steps=)",
    "\x00",
    "'\ud800'",
    "(" * 5000 + ")" * 5000,
    "-" * 50_000 + "1",
    "1" + "+1" * 40_000,
    "Sum(terms=(" * 150 + "))" * 150,
    "1" * 5000,
    "0x" + "f" * 1000 + " / 3",
    "0x" + "f" * 1000 + " * 1.5",
    "PGD(steps=" + "9" * 4000 + " * " + "9" * 4000 + ")",
    "'" + "x" * 200_000 + "'",
    "print",
    "eval",
    "Nope()",
    "Nope(steps=1)",
]


@pytest.mark.parametrize("text", HOSTILE, ids=[ascii(text[:40]) for text in HOSTILE])
def test_text_that_is_no_component_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


def test_nothing_in_a_text_is_ever_run(tmp_path: Path) -> None:
    file = tmp_path / "made"
    for text in (f"open({str(file)!r}, 'w')", f"PGD(steps=open({str(file)!r}, 'w'))"):
        with pytest.raises(ValueError, match=r"unknown component|give fields by name"):
            read(text)
    assert not file.exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8/255", 8 / 255),
        ("-3", -3),
        ("2 * (3 - 1) + 0.5", 4.5),
        ("- -2", 2),
        ("'it''s'", "its"),
        ("None", None),
        ("True", True),
        ("()", ()),
        ("(1,)", (1,)),
        ("[1, (2.5, 'x')]", (1, (2.5, "x"))),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("1e-3", 0.001),
        (" PGD ", PGD()),
        ("PGD()", PGD()),
        ("PGD(ball=L2, steps=2*5)", PGD(ball=L2(), steps=10)),
        ("FGSM(ball=Linf(eps=8/255))", FGSM(ball=Linf(eps=8 / 255))),
        ("Linf(eps=1)", Linf(eps=1)),
        ("Sum(terms=[CrossEntropy, Lagrangian()])", Sum(terms=(CrossEntropy(), Lagrangian()))),
        ("Accuracy(attack=None)", Accuracy()),
        ("GradCAM(layer='features.3')  # a comment", GradCAM(layer="features.3")),
        ("LIME(\n  segmenter=Grid(cells=4),\n)", LIME(segmenter=Grid(cells=4))),
    ],
)
def test_literals_arithmetic_and_names_are_read(text: str, value: object) -> None:
    found = read(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Nope", "unknown component 'Nope'; known: .*PGD"),
        ("PGD(stepz=3)", "PGD has no field 'stepz'; it has: ball, steps, step_size, random_start"),
        ("MeanFill(x=1)", "MeanFill has no field 'x'; it has: none"),
        ("PGD(3)", r"PGD: give fields by name, as in PGD\(field=value\)"),
        ("ImageFolder()", "ImageFolder needs a value for 'root'"),
        ("PGD(steps=1, steps=2)", "PGD.*twice"),
        ("1 / (2 - 2)", "division by zero"),
        ("PGD(", "cannot read"),
        ("Linf(eps=-1)", "Linf.*: eps is at least 0"),
        ("PGD(steps=0)", "steps is at least 1"),
        ("PGD(step_size=nan)", "step_size is above 0"),
    ],
)
def test_a_refusal_names_the_thing_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('PGD(steps="ten")', "PGD: field 'steps' takes a whole number, not 'ten'"),
        ("PGD(steps=2.0)", "whole number"),
        ("PGD(steps=True)", "whole number"),
        ("PGD(steps=None)", "whole number"),
        ("PGD(step_size=True)", "a number"),
        ("PGD(random_start=1)", "True or False"),
        ("PGD(ball=FGSM())", r"PGD: field 'ball' takes a Ball, not FGSM\("),
        ("PGD(ball=8/255)", "a Ball"),
        ("PGD(ball='Linf')", "a Ball"),
        ("Accuracy(attack=CrossEntropy())", r"an Attack, called with \(model, x, y\) or None"),
        ("Sum(terms=CrossEntropy())", r"a tuple, each element an Objective, called with \(model, batch\)"),
        ("Sum(terms=(CrossEntropy(), PGD()))", "a tuple, each element an Objective"),
        ("LIME(segmenter=MeanFill())", "a Segmenter"),
        ("LIME(fill=Grid())", "a Fill"),
        ("GradCAM(layer=3)", "a text"),
        ("Limited(attack=GradCAM())", "an Attack"),
        ("Explained(explainer=PGD())", "an Explainer"),
        ("Training(optimizer=SmallCNN())", "an Optimizer"),
        ("Planted(data=SmallCNN())", "a Data"),
        ("TorchVision(mean=(1.0, 2.0))", "a tuple of 3"),
        ("Arm(name='a', control_of='b', objective=PGD())", r"Arm: field 'objective' takes an Objective"),
        ("Arm(name='a', control_of='b', objective=Accuracy())", r"Arm: field 'objective' takes an Objective"),
        ("Arm(name='a', detector=CrossEntropy(), objective=CrossEntropy())", "a Detector"),
        ("Recipe(data=Digits(), model=SmallCNN(), arms=(), metrics=(CrossEntropy(),))", "a Metric"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text)


def test_a_protocol_asks_for_methods_and_not_for_a_base() -> None:
    assert fits(PGD(), Attack) and not fits(PGD(), Explainer) and not fits(GradCAM(), Attack)
    assert fits(Adversarial(), Objective) and not fits(CrossEntropy, Objective) and not fits(lambda m, b: {}, Objective)
    assert fits((1, 2.5), tuple[float, ...]) and not fits([1], tuple[float, ...]) and not fits((1,), tuple[int, int])
    assert describe(tuple[int, str]) == "a tuple of 2: a whole number, a text"
    with pytest.raises(ValueError, match="PGD: field 'steps' takes a whole number"):
        check(PGD, "steps", 2.5)


def recipe() -> Recipe:
    arm = Arm(name="refined", objective=Sum(terms=(CrossEntropy(), Adversarial(attack=PGD(steps=3)))), control_of="x")
    detected = Arm(name="x", objective=CrossEntropy(), detector=NAMES["Spurious"]())
    return Recipe(data=Digits(), model=SmallCNN(), arms=(detected, arm), training=Training(epochs=3))


def test_override_replaces_a_field_at_any_depth() -> None:
    changed = override(recipe(), "arms.1.objective.terms.1.attack.ball.eps", 0.5)
    assert changed.arms[1].objective.terms[1].attack == PGD(ball=Linf(eps=0.5), steps=3)
    assert changed.arms[0] == recipe().arms[0] and recipe().arms[1].objective.terms[1].attack.ball == Linf()
    assert override(recipe(), "training.epochs", 7).training == Training(epochs=7)
    assert override((1, 2, 3), "1", 9) == (1, 9, 3)
    assert override(PGD(), "ball", L2()).ball == L2()


def test_override_puts_any_component_that_fits_in_place_of_an_element() -> None:
    changed = override(recipe(), "arms.1.objective.terms.0", Lagrangian())
    assert changed.arms[1].objective.terms[0] == Lagrangian()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("arms.2.name", "y", "no element '2'; there are: 0, 1"),
        ("arms.-1.name", "y", "no element '-1'"),
        ("arms.one", "y", "no element 'one'"),
        ("arms..name", "y", "no element ''"),
        ("", 1, "Recipe has no field ''"),
        ("nope", 1, "Recipe has no field 'nope'; it has: data, model, arms"),
        ("training.epochs.x", 1, "int has no field 'x'; it has: none"),
        ("training.epochs", "many", "epochs.* takes a whole number, not 'many'"),
        ("training.epochs", -1, "epochs is at least 0"),
        ("arms.0", 5, "an Arm"),
        ("arms.1.objective.terms.0", PGD(), "terms"),
        ("arms.0.name", "refined", "named twice"),
    ],
)
def test_override_refuses_what_parse_would_refuse(path: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        override(recipe(), path, value)


def test_a_long_text_is_shown_over_several_lines_and_a_short_one_on_one() -> None:
    text = pretty(recipe())
    assert read(text) == recipe() and max(map(len, text.splitlines())) <= 120 and text.count("\n") > 10
    assert pretty(Linf()) == repr(Linf()) and pretty((), width=0) == "(\n)"
    assert parse("(\n)", NAMES) == ()


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ([("a", "")], "a detector or the arm"),
        ([("  ", "x")], "name is not empty"),
        ([("a", "b")], "no earlier arm"),
        ([("a", "baseline")], "no earlier arm"),
        ([("baseline", None)], "named twice, or 'baseline'"),
        ([("a", None), ("a", None)], "named twice"),
        ([("b", "a"), ("a", None)], "no earlier arm"),
        ([("a", None), ("b", "a"), ("c", "b")], None),
        ([("a b", None), ("a-b", None)], None),
        ([("Baseline", None)], None),
    ],
)
def test_arms_that_cannot_be_told_apart_or_have_nothing_to_control_are_refused(
    arms: list[tuple[str, str | None]], said: str | None
) -> None:
    detector = NAMES["Spurious"]()
    with pytest.raises(ValueError, match=said):
        Recipe(
            data=Digits(),
            model=SmallCNN(),
            arms=tuple(
                Arm(name=name, objective=CrossEntropy(), detector=detector if of is None else None, control_of=of or "")
                for name, of in arms
            ),
        )


OWN = '''
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import Tensor, nn
from glasshouse.attacks import PGD
from glasshouse.types import Attack

@dataclass(frozen=True)
class Nothing:
    """An attack that does nothing."""
    inner: Attack = PGD()
    times: int = 1

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return x.detach()

@dataclass(frozen=True)
class _Hidden:
    x: int = 1

@dataclass
class Loose:
    x: int = 1
'''


def written(folder: Path, text: str, name: str = "my.py") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_users_own_component_is_one_of_the_names(tmp_path: Path) -> None:
    file = written(tmp_path, OWN)
    assert set(components_of(file)) == {"Nothing"}
    own = names(file)
    found = parse("Accuracy(attack=Nothing(inner=FGSM(), times=2))", own)
    assert found.attack.times == 2 and fits(found.attack, Attack)
    assert parse(repr(found), own) == found == parse(repr(found), names(str(file)))
    with pytest.raises(ValueError, match="Nothing: field 'times' takes a whole number"):
        parse("Nothing(times='x')", own)
    with pytest.raises(ValueError, match="unknown component 'Nothing'"):
        read("Nothing")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN.replace("Nothing", "PGD2").replace("class PGD2", "class FGSM"), "the name 'FGSM' is taken by glasshouse"),
        ("x = 1\n", "defines no component"),
        ("from glasshouse.attacks import PGD\n", "defines no component"),
        ("import no_such_module\n", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:\n", "cannot be imported: SyntaxError"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError"),
        ("raise SystemExit(3)\n", "cannot be imported"),
    ],
)
def test_a_file_that_adds_nothing_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    for _ in range(2):  # the second time as well: a half-imported module may not be left behind
        with pytest.raises(ValueError, match=said) as caught:
            names(file)
        assert str(file) in str(caught.value)


def test_files_that_are_no_python_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        names(tmp_path / "missing.py")
    with pytest.raises(ValueError, match="is no Python file"):
        names(written(tmp_path, OWN, "my.txt"))


def test_two_files_may_not_bring_the_same_name(tmp_path: Path) -> None:
    one, two = written(tmp_path, OWN, "one.py"), written(tmp_path, OWN, "two.py")
    with pytest.raises(ValueError, match="the name 'Nothing' is taken"):
        names(one, two)


def test_a_limited_attack_is_read_back_with_its_region() -> None:
    assert read(repr(Limited())) == Limited()


@dataclass(frozen=True)
class Pair:
    """Two numbers."""

    both: tuple[int, int] = (1, 2)


def test_a_field_of_a_fixed_number_of_values_takes_no_other_number() -> None:
    known = {"Pair": Pair}
    assert parse("Pair(both=(3, 4))", known) == Pair(both=(3, 4))
    with pytest.raises(ValueError, match="a tuple of 2: a whole number, a whole number"):
        parse("Pair(both=(3,))", known)
