"""Options that several commands share, and how a command ends that cannot do what it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..terminal import told

Out = Annotated[Path, typer.Option("--out", help="Run directory: new, or one of the same recipe to go on with.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random; by default the recipe's.", min=0)]
Imports = Annotated[
    list[Path] | None, typer.Option("--import", help="A Python file with components of your own; repeatable.")
]
Model = Annotated[
    str, typer.Option(help="A network: SmallCNN, ResNet18, \"TorchVision(name='resnet50')\", resnet50, ...")
]
Weights = Annotated[str, typer.Option(help="Weights (.safetensors, .pth) of the model.")]
Images = Annotated[str, typer.Option(help="An image, a folder of images, parquet files, or a data set such as Digits.")]
Labelled = Annotated[str, typer.Option(help="A folder of images, parquet files, or a data set such as Digits.")]
Split = Annotated[str, typer.Option(help="Where the images come from: train, validation or test.")]
Classes = Annotated[Path | None, typer.Option(help="Names of the model's classes: a JSON list, or lines.")]
Corruptions = Annotated[
    list[str] | None, typer.Option(help="Accuracy under corruption: all, extra, fog, fog:5, ...; repeatable.")
]
Hierarchy = Annotated[
    str,
    typer.Option(
        help="Superclasses to read the network by, as one that decides on two levels: a file such as"
        ' {"animals": ["cat", "dog"], "vehicles": [3, 5]} (.json, or .csv with lines class,superclass), or'
        " ImageNetSuperclasses, \"HierarchyFile(path='groups.json', partial=True)\", ... See: glasshouse list"
        " hierarchies."
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(help="A metric, such as 'Distortion(attack=PGD())'; repeatable. See: glasshouse list metrics."),
]
Attacks = Annotated[
    list[str] | None,
    typer.Option(help="Accuracy under this attack: 'PGD(ball=Linf(eps=4/255))', StandardEnsemble; repeatable."),
]
Models = Annotated[
    list[str], typer.Option(help="A network: SmallCNN, ResNet18, resnet50, ...; repeatable, to compare several.")
]
ManyWeights = Annotated[
    list[str] | None,
    typer.Option(
        help="Its weights (.safetensors, .pth), or a folder of them; repeatable: all of one --model, or one for each."
    ),
]
Explainers = Annotated[
    list[str] | None,
    typer.Option(help="What explains predictions, for metrics of explanations; repeatable, to compare several."),
]
Reference = Annotated[
    Path | None, typer.Option(help="evaluation.json of the model whose errors the mCE is relative to.")
]
NewFolder = Annotated[Path, typer.Option("--out", help="Folder of what comes out: new or empty.")]
Compared = Annotated[
    Path, typer.Option("--out", help="Folder of what comes out: new or empty, or of the same comparison to go on with.")
]
Drawn = Annotated[int, typer.Option("--seed", help="Seed of everything random, and of which images.", min=0)]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FIELD=VALUE]...", help="Settings, such as rounds=3 or arms.0.objective.change.share=0.5."),
]


@contextmanager
def sentences(interrupted: str = "the same command goes on from the last complete epoch") -> Iterator[None]:
    """Errors that a person can mend, as one sentence and exit status 2."""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        told.print(f"[bold red]error:[/bold red] {escape(' '.join(str(error).split()))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        told.print("[bold red]error:[/bold red] the device is out of memory; take smaller batches or another --device")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        told.print(f"interrupted; {interrupted}")
        raise typer.Exit(130) from None
