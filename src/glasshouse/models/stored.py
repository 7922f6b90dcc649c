"""Reading tensors without running code (safetensors, https://github.com/huggingface/safetensors)."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

_TORCH = (".pth", ".pt", ".th")
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
_DEEPEST = 8  # wrappers; a hostile file may contain itself


def stored_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors or torch file, as it stands there but without wrappers.

    Raises:
        ValueError: if there is no such file, or it holds anything but plain tensors by name.
    """
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    if path.suffix.lower() not in (".safetensors", *_TORCH):
        raise ValueError(f"{path} has no ending of weights; allowed: .safetensors, {', '.join(_TORCH)}")
    return _unwrapped(_content(path), path)


def _content(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():  # what torch warns of ends in an error here anyway
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        if isinstance(error, pickle.UnpicklingError) and _is_pickle(path, error):
            reason = "it is a pickle of more than plain tensors, and reading it would run code"
            raise ValueError(f"{path} is refused: {reason}; save the state dict only") from None
        kind = "safetensors" if path.suffix.lower() == ".safetensors" else "torch"
        raise ValueError(f"{path} is not a {kind} file of weights, or it is corrupt") from None


def _is_pickle(path: Path, error: Exception) -> bool:
    with path.open("rb") as file:
        return file.read(2).startswith((b"\x80", b"PK")) or "GLOBAL" in str(error)


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    for _ in range(_DEEPEST):
        inner = [content[k] for k in _WRAPPERS if k in content] if isinstance(content, Mapping) else []
        content = next((c for c in inner if isinstance(c, Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path} holds no state dict, that is, tensors by name")
    for key, value in content.items():
        if not isinstance(key, str) or not _is_plain(value):
            raise ValueError(f"{path} holds no state dict: its entry {key!r} is not a plain tensor with a name")
    return dict(content)


def _is_plain(value: Any) -> bool:
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    # A view that repeats one element lets a tiny file ask for all memory.
    stored = value.untyped_storage().nbytes()
    return not value.is_quantized and not value.is_complex() and value.nbytes <= stored
