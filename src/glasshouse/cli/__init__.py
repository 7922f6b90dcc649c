"""The command line: commands for people, one file for each group of them."""

from __future__ import annotations

from collections.abc import Callable

import typer

from .attacking import attack
from .closed_loop import refine, run
from .evaluating import evaluate
from .explaining import explain
from .listing import list_components
from .reviewing import review

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="See through an image classifier and harden it, in one closed loop: explain, find what it should not rely "
    "on, attack, refine, measure both sides again, report.",
)
COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_components,
    "run": run,
    "refine": refine,
    "explain": explain,
    "attack": attack,
    "evaluate": evaluate,
    "review": review,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """The entry point of the command ``glasshouse``."""
    app()
