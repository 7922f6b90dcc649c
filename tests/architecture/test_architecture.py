"""The shape of the library, read from its source: who imports whom, who touches files, how long things are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import glasshouse

ROOT = Path(str(glasshouse.__file__)).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in FILES}

# Each may import what stands before it, and nothing else.
ORDER = (
    *("draws", "types", "labels", "hierarchy", "files", "versions", "statistics", "spec", "modes", "folding"),
    *("corruptions", "explainers", "attacks", "consistency", "data", "hierarchies", "models", "metrics", "objectives"),
    *("titles", "selectors", "optimizers", "kept", "weighting", "train"),
    *("detectors", "measure", "checks", "refine", "recipe", "outcome", "timer", "store"),
    *("run", "shifts", "study", "survey", "studies", "registry"),
    *("recipes", "report", "explain", "attack", "evaluate", "review", "terminal", "cli"),
)

READS_FILES = (
    "data/",
    "hierarchies/",
    "models/",
    "report/",
    "review/",
    "files.py",
    "store.py",
    "timer.py",
    "registry.py",
    "run.py",
    "cli/",
)
FILE_CALLS = {
    *("open", "safe_open", "load_file", "save_file", "fromfile", "tofile", "read_table", "read_image", "write_image"),
    *("write_text", "write_bytes", "read_text", "read_bytes", "savez", "savez_compressed", "savefig", "loadtxt"),
    *("np.load", "np.save", "torch.load", "torch.save", "pickle.load", "pickle.dump", "json.load", "json.dump"),
}
FORBIDDEN_NAME = re.compile(
    r"(?:.*_)?(?:utils?|base|common|core|misc|helpers?)|get_.*|compute_.*|Base.*|.*(?:Manager|Helper|Utils?)"
)
CODE_RUNNERS = {"eval", "exec", "compile", "__import__"}


def unit(path: str) -> str:
    """The part of the library that a file belongs to: its package, or itself."""
    return path.split("/")[0].removesuffix(".py")


def package_of(path: str) -> list[str]:
    return ["glasshouse", *path.split("/")[:-1]]


def imported(path: str, tree: ast.Module) -> Iterator[str]:
    """Every module of the library that a file imports anywhere, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "glasshouse")
        elif isinstance(node, ast.ImportFrom):
            parts = package_of(path)[: len(package_of(path)) - node.level + 1] if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            if module.split(".")[0] == "glasshouse":
                yield from (f"{module}.{a.name}" for a in node.names)


def units_imported(path: str, tree: ast.Module) -> set[str]:
    found = {name.split(".")[1] for name in imported(path, tree) if name.count(".")}
    return {u for u in found if u in {unit(p) for p in TREES}} - {unit(path)}


def upward(path: str, tree: ast.Module) -> list[str]:
    """Imports that break the order."""
    return sorted(u for u in units_imported(path, tree) if ORDER.index(u) >= ORDER.index(unit(path)))


def text_of(function: ast.expr) -> str:
    return ast.unparse(function) if isinstance(function, ast.Name | ast.Attribute) else ""


def calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What is called, in full and by its last name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (text := text_of(node.func)):
            yield text, text.rsplit(".", 1)[-1]


def touches_files(tree: ast.AST) -> list[str]:
    return [full for full, last in calls(tree) if full in FILE_CALLS or last in {c for c in FILE_CALLS if "." not in c}]


def runs_code(tree: ast.AST) -> list[str]:
    """Calls that could run what a file says. ``model.eval()`` is none."""
    found = [
        full for full, _ in calls(tree) if full in CODE_RUNNERS or re.fullmatch(r"c?[pP]ickle\.(?!.*Error).*", full)
    ]
    found += [
        n.func.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "Unpickler"
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and text_of(node.func) == "torch.load":
            safe = [k for k in node.keywords if k.arg == "weights_only" and ast.unparse(k.value) == "True"]
            found += [] if safe else ["torch.load"]
        if isinstance(node, ast.Call) and text_of(node.func) == "np.load":
            safe = [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) == "False"]
            found += [] if safe else ["np.load"]
    return found


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))


def length(function: ast.FunctionDef) -> int:
    """Lines without decorators and docstring."""
    first = function.body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def bases() -> dict[str, list[str]]:
    """Every class of the library with what it inherits from."""
    every = (n for tree in TREES.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef))
    return {n.name: [text_of(b).rsplit(".", 1)[-1] for b in n.bases] for n in every}


def depth(name: str, known: dict[str, list[str]]) -> int:
    return 1 + max((depth(b, known) for b in known[name] if b in known and b != name), default=0)


PATHS = pytest.mark.parametrize("path", TREES)


def test_every_part_has_its_place_in_the_order() -> None:
    assert {unit(p) for p in TREES} - {"__init__"} <= set(ORDER) and len(set(ORDER)) == len(ORDER)


@PATHS
def test_imports_go_downwards_only(path: str) -> None:
    if path != "__init__.py":
        assert upward(path, TREES[path]) == []


@pytest.mark.parametrize(
    ("path", "line", "found"),
    [
        ("explainers/lime.py", "from ..attacks import PGD", ["attacks"]),
        ("explainers/lime.py", "from ..attacks.pgd import PGD", ["attacks"]),
        ("explainers/lime.py", "from .. import attacks", ["attacks"]),
        ("explainers/lime.py", "import glasshouse.attacks.pgd", ["attacks"]),
        ("explainers/lime.py", "def f():\n    from glasshouse import attacks", ["attacks"]),
        ("train.py", "from .recipes import demo", ["recipes"]),
        ("spec.py", "from . import cli", ["cli"]),
        ("attacks/pgd.py", "from ..explainers import LIME", []),
        ("attacks/pgd.py", "from .balls import Linf", []),
        ("attacks/pgd.py", "from attacks import torch", []),
    ],
)
def test_an_import_upwards_is_seen(path: str, line: str, found: list[str]) -> None:
    assert upward(path, ast.parse(line)) == found


@PATHS
def test_only_the_command_line_knows_recipes_and_nobody_knows_the_command_line(path: str) -> None:
    found = units_imported(path, TREES[path])
    assert "recipes" not in found or unit(path) == "cli"
    assert "cli" not in found


@PATHS
def test_files_are_touched_where_files_are_the_business(path: str) -> None:
    if not path.startswith(READS_FILES):
        assert touches_files(TREES[path]) == []


@pytest.mark.parametrize(
    "line", ["open('x')", "p.open()", "p.write_text('')", "np.load(f)", "torch.save(a, f)", "safe_open(f)"]
)
def test_a_touched_file_is_seen(line: str) -> None:
    assert touches_files(ast.parse(line))


@PATHS
def test_nothing_that_is_read_is_ever_run(path: str) -> None:
    if path != "data/pickles.py":
        assert runs_code(TREES[path]) == []


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("eval('1')", True),
        ("exec(x)", True),
        ("pickle.loads(b)", True),
        ("pickle.Unpickler(f)", True),
        ("torch.load(f)", True),
        ("torch.load(f, weights_only=False)", True),
        ("torch.load(f, weights_only=True)", False),
        ("np.load(f)", True),
        ("model.eval()", False),
    ],
)
def test_running_what_is_read_is_seen(line: str, seen: bool) -> None:
    assert bool(runs_code(ast.parse(line))) is seen


@PATHS
def test_files_and_functions_are_short(path: str) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= 300
    assert {f.name: length(f) for f in functions(TREES[path]) if length(f) > 45} == {}


def test_classes_are_at_most_two_deep() -> None:
    known = bases()
    assert {name: depth(name, known) for name in known if depth(name, known) > 2} == {}
    assert depth("C", {"C": ["B"], "B": ["A"], "A": []}) == 3


@PATHS
def test_names_say_what_a_thing_is(path: str) -> None:
    parts = [part.removesuffix(".py") for part in path.split("/")]
    defined = [n.name for n in ast.walk(TREES[path]) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert [name for name in (*parts, *defined) if FORBIDDEN_NAME.fullmatch(name)] == []


@pytest.mark.parametrize(
    "name", ["utils", "base", "core", "get_model", "compute_loss", "RunManager", "IOHelper", "BaseNet", "my_utils"]
)
def test_a_name_that_says_nothing_is_seen(name: str) -> None:
    assert FORBIDDEN_NAME.fullmatch(name)


@PATHS
def test_only_the_command_line_prints(path: str) -> None:
    assert unit(path) == "cli" or "print" not in {full for full, _ in calls(TREES[path])}


@PATHS
def test_every_file_begins_with_what_it_is_about(path: str) -> None:
    assert (ast.get_docstring(TREES[path]) or "").strip() and ast.get_docstring(TREES[path]) != "placeholder"


@PATHS
def test_whatever_a_file_offers_is_documented(path: str) -> None:
    module: Any = import_module(
        ".".join(["glasshouse", *path.removesuffix(".py").split("/")]).removesuffix(".__init__")
    )
    for name in getattr(module, "__all__", ()):
        assert (getattr(module, name).__doc__ or "").strip(), name
    for node in TREES[path].body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@PATHS
def test_what_a_package_offers_it_sorts(path: str) -> None:
    module: Any = import_module(
        ".".join(["glasshouse", *path.removesuffix(".py").split("/")]).removesuffix(".__init__")
    )
    names = list(getattr(module, "__all__", ()))
    assert len(set(names)) == len(names) and all(hasattr(module, name) for name in names)
