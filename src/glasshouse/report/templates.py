"""Pages from templates, and what stands on all of them: with what they were made."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from ..versions import versions


def template(name: str, package: str = "report") -> Template:
    """A template of a package, or else of this one; what is filled in is escaped, and nothing may be missing."""
    loader = ChoiceLoader([PackageLoader("glasshouse", part) for part in (package, "report")])
    options = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return options.get_template(name)


def setting(told: dict[str, object]) -> list[tuple[str, str]]:
    """What is known of how a page came about, and the versions."""
    return [(name, str(value)) for name, value in (told | versions()).items() if str(value)]
