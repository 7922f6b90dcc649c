"""What the pages tell people to type works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from glasshouse.registry import names
from glasshouse.spec import parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_readme_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    scope: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), scope)
    assert "Estimate(mean=" in capsys.readouterr().out
    assert tuple(scope["attribution"].shape) == (16, 32, 32)  # type: ignore[attr-defined]


def test_the_example_of_weighed_training_runs() -> None:
    (example,) = blocks(ROOT / "docs" / "consistency.md", "python")
    scope: dict[str, object] = {}
    exec(compile(example, "consistency.md", "exec"), scope)
    assert not scope["model"].training  # type: ignore[attr-defined]


def test_the_example_of_a_survey_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(ROOT / "docs" / "metrics.md", "python")
    scope: dict[str, object] = {}
    exec(compile(example, "metrics.md", "exec"), scope)
    assert "Estimate(mean=" in capsys.readouterr().out
    assert len(scope["values"]) == len(scope["found"].judged)  # type: ignore[arg-type, attr-defined]


def test_the_component_of_the_docs_can_be_imported_and_used_in_a_recipe(tmp_path: Path) -> None:
    (example,) = blocks(ROOT / "docs" / "components.md", "python")
    file = tmp_path / "mine.py"
    file.write_text(example)
    metrics = parse("(Accuracy(), Lead(scale=0.1))", names(file))
    assert repr(metrics[1]) == "Lead(scale=0.1)"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_component_that_a_page_names_with_fields_exists(page: Path) -> None:
    known = names()
    for text in re.findall(r"`([A-Z][A-Za-z0-9]+\([^`<]*=[^`<]*\))`", page.read_text()):
        if "..." not in text and "attack, " not in text:
            parse(text.strip('"'), known)
