"""What a model does to its input, written down while it does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_AUGMENTED = ("iadd", "isub", "imul", "itruediv")
# What they give has the shape of their argument and nothing of its values.
_SHAPE_ONLY = (
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "zeros_like", "ones_like", "full_like"),
    *("empty_like", "rand_like", "randn_like"),
)
_WITH_INDICES = {
    f"{kind}max_pool{n}d": getattr(torch.nn.functional, f"{kind}max_pool{n}d_with_indices")
    for kind in ("", "adaptive_")
    for n in (1, 2, 3)
}


class Ref(NamedTuple):
    """Stands in an operation's arguments for what an earlier operation gave."""

    entry: int


@dataclass
class Entry:
    """One operation on something that depends on the input."""

    name: str  # the module that it happens in
    kind: str  # the function, say "conv2d"
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    value: Tensor
    part: int | None = None  # which element of the result, where that is a tuple
    indices: Tensor | None = None  # where the maxima of a pooling are
    version: int = 0  # of the value when it was read

    @property
    def parents(self) -> list[int]:
        """The entries that it reads, once for each time it does."""
        return list(refs((self.args, self.kwargs)))


class Tape(NamedTuple):
    """The operations in their order; the first is the input, and ``output`` the number of the logits'."""

    entries: list[Entry]
    output: int

    @property
    def logits(self) -> Tensor:
        """``[B, K]``"""
        return self.entries[self.output].value


def refs(arguments: Any) -> Iterator[int]:
    """Numbers of the entries anywhere within arguments."""
    if isinstance(arguments, Ref):
        yield arguments.entry
    elif isinstance(arguments, tuple | list):
        for argument in arguments:
            yield from refs(argument)
    elif isinstance(arguments, dict):
        yield from refs(tuple(arguments.values()))


def replaced(arguments: Any, fits: Callable[[Any], bool], new: Callable[[Any], Any]) -> Any:
    """Arguments of any nesting with some of them replaced."""
    if fits(arguments):
        return new(arguments)
    if type(arguments) in (tuple, list):
        return type(arguments)(replaced(a, fits, new) for a in arguments)
    if isinstance(arguments, dict):
        return {k: replaced(v, fits, new) for k, v in arguments.items()}
    return arguments


def called(entry: Entry, values: Mapping[int, Tensor]) -> Tensor:
    """The operation once more, on other values of what it reads; these stay as they are."""
    if writes(entry.kind, entry.kwargs):
        values = {k: v.clone() for k, v in values.items()}
    args, kwargs = replaced((entry.args, entry.kwargs), lambda a: isinstance(a, Ref), lambda a: values[a.entry])
    result = entry.function(*args, **kwargs)
    return result if entry.part is None else result[entry.part]


def kind_of(function: Any) -> str:
    """The plain name of a function of torch: ``add`` for ``Tensor.__add__``, ``T`` for the property."""
    name = getattr(function, "__name__", None) or str(function)
    if name == "__get__":
        return str(function.__self__.__name__)
    return name[2:-2] if name.startswith("__") and name.endswith("__") else name


def writes(kind: str, kwargs: dict[str, Any]) -> bool:
    """Whether an operation overwrites its first argument."""
    return kind in _AUGMENTED or kind.endswith("_") or kwargs.get("inplace") is True


@dataclass
class _Recorder(TorchFunctionMode):
    """Sees every function of torch that is called, whichever module or control flow calls it."""

    entries: list[Entry] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)  # names of the modules that are running
    numbers: dict[int, int] = field(default_factory=dict)  # of entries, by the id of their tensor

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        recorded = replaced((args, kwargs), self.known, lambda a: Ref(self.numbers[id(a)]))
        read = list(refs(recorded))
        if not read:
            return func(*args, **kwargs)
        kind = kind_of(func)
        if kind in _SHAPE_ONLY:
            return func(*args, **kwargs)
        if writes(kind, kwargs):
            self.keep(read[0])
        result, indices = self.run(kind, func, args, kwargs)
        outputs = result if isinstance(result, tuple | list) else (result,)
        for part, value in enumerate(outputs):
            if isinstance(value, Tensor):
                number = part if outputs is result else None
                self.add(Entry(self.place, kind, func, recorded[0], recorded[1], value, number, indices))
        return result

    def known(self, argument: Any) -> bool:
        return isinstance(argument, Tensor) and id(argument) in self.numbers

    @property
    def place(self) -> str:
        return self.inside[-1] if self.inside else ""

    def run(self, kind: str, func: Any, args: Any, kwargs: Any) -> tuple[Any, Tensor | None]:
        """The result, and for a maximum also where it was found: the very same pass yields both."""
        if kind not in _WITH_INDICES or kwargs.get("return_indices"):
            return func(*args, **kwargs), None
        rest = {k: v for k, v in kwargs.items() if k != "return_indices"}
        return _WITH_INDICES[kind](*args, **rest)

    def add(self, entry: Entry) -> None:
        entry.version = entry.value._version
        self.numbers[id(entry.value)] = len(self.entries)
        self.entries.append(entry)

    def keep(self, number: int) -> None:
        """Keep the value of an entry that is about to be overwritten."""
        entry = self.entries[number]
        entry.value = entry.value.clone()
        entry.version = entry.value._version


@contextmanager
def _named(model: nn.Module, inside: list[str]) -> Iterator[None]:
    """Keep ``inside`` up to date with the modules that run."""

    def entering(name: str) -> Callable[..., None]:
        return lambda module, inputs: inside.append(name)

    def leaving(module: nn.Module, inputs: Any, output: Any) -> None:
        inside.pop()

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                stack.callback(module.register_forward_pre_hook(entering(name), prepend=True).remove)
                stack.callback(module.register_forward_hook(leaving, always_call=True).remove)
        yield


def record(model: nn.Module, x: Tensor) -> Tape:
    """One forward pass, on a tape. Control flow, reused modules and activations in place are as the model has them.

    Raises:
        ValueError: if the logits are no ``[B, K]``, or cannot be followed back to ``x`` (a scripted or compiled model).
    """
    recorder = _Recorder()
    recorder.add(Entry("", "input", lambda: None, (), {}, x))
    with _named(model, recorder.inside), recorder:
        logits = model(x)
    _require_followed(logits, recorder)
    return Tape(recorder.entries, recorder.numbers[id(logits)])


def _require_followed(logits: Any, recorder: _Recorder) -> None:
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        told = f"a tensor {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"LRP needs logits [B, K]; the model gives {told}")
    if id(logits) not in recorder.numbers:
        raise ValueError(
            "the logits cannot be followed back to the pixels: some part of the model runs outside torch's functions"
            " (compiled, scripted, numpy); explain the plain module instead"
        )


def require_kept(tape: Tape, needed: Iterable[int]) -> None:
    """Raise ValueError if a value was overwritten after it had been read, by a write into a view of it, say."""
    for entry in (tape.entries[k] for k in needed):
        if entry.value._version != entry.version:
            where = f"{entry.kind} in {entry.name or 'the model itself'}"
            raise ValueError(f"the result of {where} is overwritten in place after it was read, so LRP cannot use it")
