"""``glasshouse review``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..terminal import rated_table, shown, told
from .options import sentences

if TYPE_CHECKING:  # torch takes seconds to import, and --help should not
    from ..review import Rating, Votes


def review(
    rate: Annotated[
        tuple[Path, Path],
        typer.Option(
            metavar="A B",
            help="Two folders of glasshouse explain: the same images, A by the reference, B by the other.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the votes: new, or one of the same command to go on with.")],
    images: Annotated[int, typer.Option(help="How many images, drawn by the seed; all if there are fewer.")] = 100,
    explainer: Annotated[str, typer.Option(help="Only this explainer; by default all that both folders have.")] = "",
    raters: Annotated[int, typer.Option(help="A pair is decided when so many have voted on it.", min=1)] = 5,
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes any that is free.", min=0, max=65535)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the images, of their order and of the sides.", min=0)] = 0,
    export: Annotated[bool, typer.Option("--export", help="Show no page: only write what the votes come to.")] = False,
) -> None:
    """Ask people which of two maps of an image is better, without telling them which model made it.

    Shows a page to this machine until Ctrl-C. Raters say who they are and get the pairs one after the other, in an
    order and on sides drawn anew for each rater. Every vote is on the disk before the next pair comes. At the end, and
    with --export, the majority of each pair is counted: B better (pos), no difference or a tie (same), A better (neg).
    Leaves votes.jsonl with a line for each vote, results.json with shares, intervals, a sign test and agreement.

    Examples: [bold]glasshouse explain --model resnet18 --weights before.safetensors --data photos/ --images 100
    --explainer GradCAM --out runs/before[/bold]

    [bold]glasshouse explain --model resnet18 --weights after.safetensors --data photos/ --images 100
    --explainer GradCAM --out runs/after[/bold]

    [bold]glasshouse review --rate runs/before runs/after --out runs/votes[/bold]

    [bold]glasshouse review --rate runs/before runs/after --out runs/votes --export[/bold]
    """
    with sentences("every vote so far is kept"):
        serve = None if export else server()
        from ..review import opened, rating_of

        found = rating_of(*rate, explainer, images, seed)
        if export and not (out / "rating.json").is_file():
            raise ValueError(f"{out} holds no votes yet; give the --out of a rating")
        votes = opened(found, out)
        if serve:
            serve(found, votes, port, announced)
        told_results(found, opened(found, out), raters, out)


def server() -> Callable[[Rating, Votes, int, Callable[[str], None]], None]:
    """What shows the pages; ValueError if it is not installed."""
    try:
        from ..review.server import serve
    except ModuleNotFoundError as error:
        raise ValueError(f"the page needs {error.name}; install it with: pip install 'glasshouse[review]'") from None
    return serve


def announced(address: str) -> None:
    """Say where the page is."""
    shown.print(f"Open on this machine: {address}", soft_wrap=True, highlight=False, markup=False)
    told.print("Ctrl-C ends the rating and counts the votes.", highlight=False)


def told_results(found: Rating, votes: Votes, raters: int, out: Path) -> None:
    """The tables, and the file with everything; pairs that wait for more raters are told apart from those decided."""
    from ..review import tallies, write_results

    decided, any_votes = tallies(found, votes, raters), tallies(found, votes, 1)
    shown.print(rated_table(decided, raters))
    if decided != any_votes:
        shown.print(rated_table(any_votes, 1))
    if votes.torn:
        told.print(f"{votes.torn} lines of {votes.path} were cut off while they were written, and do not count")
    shown.print(f"Results: {write_results(found, votes, raters, out)}", soft_wrap=True, highlight=False, markup=False)
