"""Pickles that hold arrays and plain values, read without running what a pickle may ask for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .images import first_line

NDARRAY = object()  # stands for the class, which pickled arrays name and never call


def safely_unpickled(path: Path) -> Any:
    """What a pickle of plain values and arrays holds; ValueError if it is broken or names anything else."""
    with path.open("rb") as file:
        try:
            return ArraysOnly(file, encoding="latin1").load()
        except Exception as error:  # a broken pickle raises nearly anything
            raise ValueError(f"cannot read {path}: {first_line(error)}") from None


class ArraysOnly(pickle.Unpickler):
    """Builds arrays and plain values; a pickle that names anything else is refused before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        known: dict[str, Any] = {
            "numpy.ndarray": NDARRAY,
            "numpy.dtype": np.dtype,
            "multiarray._reconstruct": empty_array,
            "_codecs.encode": latin1,
        }
        short = "multiarray" if module in ("numpy.core.multiarray", "numpy._core.multiarray") else module
        if f"{short}.{name}" not in known:
            raise ValueError(f"it asks for {module}.{name}, which a file of images never needs; refused")
        return known[f"{short}.{name}"]


def empty_array(kind: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """The empty array that a pickled array starts from; its state fills it."""
    if kind is not NDARRAY or tuple(shape) != (0,):
        raise ValueError("its arrays do not begin empty; refused")
    return np.empty((0,), np.uint8)


def latin1(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 pickles bytes for Python 2; no other codec is run."""
    if encoding != "latin1":
        raise ValueError(f"it asks for the codec {encoding!r}; only 'latin1' is known; refused")
    return text.encode("latin1")
