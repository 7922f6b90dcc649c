"""Weights from and to files (safetensors, https://github.com/huggingface/safetensors)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..files import write_whole
from ..types import Architecture
from .normalised import Normalised
from .stored import stored_tensors
from .two_levels import GroupedNetwork

_PREFIXES = ("module.", "model.", "network.", "_orig_mod.")
# Public files of googlenet and inception_v3 hold further classifiers, which are for their training only.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or torch file by name, without wrappers and prefixes, at least float32.

    Raises:
        ValueError: if there is no such file, or it is anything but finite plain tensors by name.
    """
    found = stored_tensors(Path(path))
    prefix = _shared_prefix(found)
    state = {k.removeprefix(prefix): _at_least_single(v.detach()) for k, v in found.items()}
    if broken := [k for k, v in state.items() if not v.isfinite().all()]:
        raise ValueError(f"weights {path} hold NaN or infinity in {len(broken)} tensors, first {broken[0]!r}")
    return state


def _at_least_single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor


def _shared_prefix(keys: Iterable[str]) -> str:
    keys, prefix = list(keys), ""
    while shared := [p for p in _PREFIXES if keys and all(k.startswith(prefix + p) for k in keys)]:
        prefix += shared[0]
    return prefix


def load_weights(model: nn.Module, path: str | Path, new_head: bool = False) -> None:
    """Load all of a file into a model, inside its :class:`Normalised`; ``new_head`` leaves a head for other classes.

    Raises:
        ValueError: if the file cannot be read, or is of another network or another number of classes.
    """
    network = bare(model)
    own = network.state_dict()
    given, differing = _matched(own, path)
    if differing and not new_head:
        classes = f"{len(given[differing[0]])} classes, the data has {len(own[differing[0]])}"
        raise ValueError(f"weights {path} are for {classes}; give new_head=True to start a fresh head")
    # In place: mnasnet asks for the version that hangs on the dictionary, which no safetensors file holds.
    own.update({k: v for k, v in given.items() if k not in differing})
    network.load_state_dict(own)


def classes_in(path: str | Path, architecture: Architecture) -> int:
    """For how many classes the weights in a file are; ``architecture`` is that network without weights.

    An architecture whose networks are not all alike but for a head says so itself, by a method of this name.

    Raises:
        ValueError: if the file cannot be read, or is of another network.
    """
    own: Callable[[str | Path], int] | None = getattr(architecture, "classes_in", None)
    if own:
        return own(path)
    given, differing = _matched(bare(architecture(2)).state_dict(), path)
    return len(given[differing[0]]) if differing else 2


def _matched(own: Mapping[str, Tensor], path: str | Path) -> tuple[dict[str, Tensor], list[str]]:
    """What a file holds for a network, by the network's names, and the names of the head if its shape is another."""
    prefix = _shared_prefix(own)  # a network may itself have a single child called, say, "model"
    given = {prefix + k: v for k, v in read_weights(path).items()}
    given = {k: v for k, v in given.items() if k in own or not k.removeprefix(prefix).startswith(_AUXILIARY)}
    differing = [k for k in own if k in given and own[k].shape != given[k].shape]
    _require_same_network(own, given, differing, path)
    return given, differing


def _require_same_network(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], differing: list[str], path: str | Path
) -> None:
    faults = {
        # Files from before PyTorch 0.4.1 do not count batches.
        "missing": [k for k in own if k not in given and not k.endswith("num_batches_tracked")],
        "unexpected": [k for k in given if k not in own],
        "of another shape": [] if _is_head(own, given, differing) else differing,
    }
    told = [f"{len(keys)} tensors are {fault}, first {keys[0]!r}" for fault, keys in faults.items() if keys]
    if told:
        raise ValueError(f"weights {path} are of another network: {', '.join(told)}")


def _is_head(own: Mapping[str, Tensor], given: Mapping[str, Tensor], keys: list[str]) -> bool:
    """Whether the tensors belong to one module and differ in their first axis, the classes, only."""
    one = len({k.rpartition(".")[0] for k in keys}) == 1
    return one and all(own[k].ndim == given[k].ndim > 0 and own[k].shape[1:] == given[k].shape[1:] for k in keys)


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Write the state dict of a model, inside its :class:`Normalised`, as safetensors; never half a file.

    Raises:
        ValueError: if the path does not end in ``.safetensors``, or its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"{path} must end in .safetensors")
    if not path.parent.is_dir():
        raise ValueError(f"no such folder: {path.parent}")
    # Clones, since safetensors refuses tensors that share memory (tied weights) or are not contiguous.
    contiguous = torch.contiguous_format
    state = {k: v.detach().cpu().clone(memory_format=contiguous) for k, v in bare(model).state_dict().items()}
    write_whole(path, save(state))


def bare(model: nn.Module) -> nn.Module:
    """The network inside a :class:`Normalised`, a flat one read level by level or not; any other model itself."""
    return bare(model.network) if isinstance(model, Normalised | GroupedNetwork) else model
