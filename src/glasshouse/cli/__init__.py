"""The command line: commands for people, one file for each group of them."""

from __future__ import annotations

import typer

from .closed_loop import refine, run
from .explaining import explain
from .listing import list_components

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="See through an image classifier and harden it, in one closed loop: explain, find what it should not rely "
    "on, attack, refine, measure both sides again, report.",
)
for name, command in (("list", list_components), ("run", run), ("refine", refine), ("explain", explain)):
    app.command(name)(command)


def main() -> None:
    """The entry point of the command ``glasshouse``."""
    app()
