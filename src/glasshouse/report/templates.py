"""Pages from templates, and what stands on all of them: with what they were made."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ..versions import versions


def template(name: str) -> Template:
    """A template; everything that is filled in is escaped, and nothing may be missing."""
    loader = PackageLoader("glasshouse", "report")
    options = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return options.get_template(name)


def setting(told: dict[str, object]) -> list[tuple[str, str]]:
    """What is known of how a page came about, and the versions."""
    return [(name, str(value)) for name, value in (told | versions()).items() if str(value)]
