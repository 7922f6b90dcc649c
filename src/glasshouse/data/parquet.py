"""Parquet files in the layout of the Hugging Face hub: encoded images and whole-number labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..types import Samples
from .encoded import IMAGES, LABELS, Encoded, Origin, check_classes, check_options, column, settled
from .images import first_line
from .samples import carve, check_split


@dataclass(frozen=True)
class Parquet:
    """Images in parquet files, https://huggingface.co/docs/hub/datasets-image; paths or globs.

    The columns ``image`` and ``label`` are found by their usual names if not told. ``validation`` is the
    share of training held back; without ``test``, as much again is for test. ``limit`` bounds each split.
    Images that are small (96 pixels) and all of one size are decoded at once, as they are unless ``size`` is
    told; others on access, short side at ``resize`` (0: ``size``), the centre cut out, ``size`` 224 unless
    told. ``classes`` is their number if neither the file nor the highest label tells it.

    Raises:
        ValueError: on missing or damaged files, missing columns, and labels that are none; on access, if an
            image is broken.
    """

    train: str
    test: str = ""
    image: str = ""
    label: str = ""
    validation: float = 0.1
    size: int = 0
    limit: int = 0
    seed: int = 0
    classes: int = 0
    resize: int = 0

    def __post_init__(self) -> None:
        check_options(self)

    def __call__(self, split: str) -> Samples:
        check_split(split)
        train = survey(self.train, self.image, self.label)
        test = survey(self.test, self.image, self.label) if self.test else None
        labels = [part.labels for part in (train, test) if part]
        names = check_classes(train.names, self.classes, labels, self.train)
        here = test if test and split == "test" else train
        apart = test is not None
        rows = carve(len(here.labels), split, self.validation, apart=apart, limit=self.limit, seed=self.seed)
        data = read_images(here.origin, here.image, rows)
        return settled(Encoded(data, rows, here.labels[rows], names, here.origin, self.size, self.resize))


def columns(file: Path) -> tuple[str, ...]:
    """The names of the columns of a file."""
    from pyarrow.parquet import read_schema

    with readable(file):
        return tuple(read_schema(file).names)


class Survey(NamedTuple):
    """What is in some files, apart from the images."""

    origin: Origin
    image: str
    labels: Tensor
    names: tuple[str, ...]


def survey(pattern: str, image: str, label: str) -> Survey:
    """The labels and names of the classes of all files of a path or glob, in the order of their names."""
    files = [Path(pattern)] if Path(pattern).is_file() else sorted(map(Path, glob(pattern)))  # noqa: PTH207 (absolute)
    if not files:
        raise ValueError(f"there is no file {pattern}")
    parts = [read_labels(file, image, label) for file in files]
    labels = torch.cat([part.labels for part in parts])
    if not len(labels):
        raise ValueError(f"{pattern} has no rows")
    counts = tuple(len(part.labels) for part in parts)
    return Survey(Origin(tuple(map(str, files)), counts), parts[0].image, labels, parts[0].names)


def read_labels(file: Path, image: str, label: str) -> Survey:
    """The survey of one file."""
    import pyarrow as arrow
    from pyarrow.parquet import ParquetFile

    with readable(file), ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
        image = column(schema.names, image, IMAGES, "image", str(file))
        label = column(schema.names, label, LABELS, "label", str(file))
        check_kind(schema, image, label, file)
        values = parquet.read([label]).column(0)
        if values.null_count:
            raise ValueError(f"{file} has {values.null_count} rows without a {label!r}")
        labels = torch.tensor(values.cast(arrow.int64()).to_numpy())
    return Survey(Origin((), ()), image, labels, class_names(schema.metadata, label))


def check_kind(schema: Any, image: str, label: str, file: Path) -> None:
    """Raise ValueError unless images are encoded bytes and labels whole numbers."""
    from pyarrow import types

    kind = schema.field(label).type
    if not types.is_integer(kind):
        raise ValueError(f"the column {label!r} of {file} holds {kind}, not whole numbers")
    check_encoded(schema, image, file)


def check_encoded(schema: Any, image: str, file: Path) -> None:
    """Raise ValueError unless the images are encoded bytes."""
    from pyarrow import types

    kind = schema.field(image).type
    if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (types.is_binary(kind) or types.is_large_binary(kind)):
        raise ValueError(f"the column {image!r} of {file} holds {kind}, not encoded images")


def class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...]:
    """The names that the hub left in the schema for a column; none if it did not."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()


def read_images(origin: Origin, image: str, rows: Tensor) -> Any:
    """The encoded images of ``rows`` as one arrow array; row groups that hold none of them are not read."""
    import pyarrow as arrow

    starts = torch.tensor([0, *origin.counts]).cumsum(0).tolist()
    pieces: list[Any] = []
    for file, start, end in zip(origin.files, starts, starts[1:], strict=False):
        local = rows[(rows >= start) & (rows < end)] - start
        pieces += read_rows(Path(file), image, local)
    array = arrow.chunked_array(pieces, arrow.large_binary()).combine_chunks()
    return array.combine_chunks() if isinstance(array, arrow.ChunkedArray) else array


def read_rows(file: Path, image: str, rows: Tensor) -> Sequence[Any]:
    """The encoded images of some rows of one file, an array for each row group."""
    from pyarrow.parquet import ParquetFile

    pieces, start = [], 0
    with readable(file), ParquetFile(file) as parquet:
        for group in range(parquet.num_row_groups if len(rows) else 0):
            end = start + parquet.metadata.row_group(group).num_rows
            local = rows[(rows >= start) & (rows < end)] - start
            if len(local):
                values = parquet.read_row_group(group, columns=[image]).column(0)
                pieces.append(as_bytes(values.take(local.numpy()), image, file))
            start = end
    return pieces


def as_bytes(values: Any, image: str, file: Path) -> Any:
    """An arrow array of the encoded images; ValueError if one is missing or left outside the file."""
    import pyarrow as arrow

    if arrow.types.is_struct(values.type):
        values = arrow.compute.struct_field(values, "bytes")
    if values.null_count:
        raise ValueError(f"{file} has {values.null_count} rows whose {image!r} is not in the file")
    return arrow.concat_arrays(values.cast(arrow.large_binary()).chunks)


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turn what arrow says of a damaged file into one sentence."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError) as error:
        raise ValueError(f"cannot read the parquet file {file}: {first_line(error)}") from None
