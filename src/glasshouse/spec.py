"""Text <-> component. The text of a component is its ``repr``; nothing is ever evaluated.

``parse(repr(c), names) == c`` holds for every component, so that one text serves the command line, the recipe
file, the cache key and the row of a report.
"""

from __future__ import annotations

import ast
import inspect
import math
import operator
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import cache
from typing import Any

_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CONSTANTS = {"inf": math.inf, "nan": math.nan}
_LARGEST = 2**63
_LONGEST = 100_000  # characters: far above any recipe, far below what exhausts the parser


def parse(text: str, names: Mapping[str, type], hint: Any = Any) -> Any:
    """Build the component that ``text`` describes, e.g. ``PGD(ball=Linf(eps=8/255), steps=10)``.

    A bare name is the component with its defaults: ``PGD`` is ``PGD()``. ``hint`` is the annotation of the place
    where the value goes; messages then name what fits there.

    Raises:
        ValueError: on anything but literals, arithmetic on numbers and calls of known names, on an unknown field
            and on a value of the wrong kind; the message names the thing and what is allowed.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"the text is {len(text)} characters long; at most {_LONGEST} are read")
    try:
        return _build(ast.parse(text.strip(), mode="eval").body, names, hint)
    except SyntaxError as error:
        raise ValueError(f"cannot read {text!r}: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("the text is nested too deeply") from None


def pretty(value: Any, indent: int = 0, width: int = 100) -> str:
    """The text of a component over several lines where it is long; ``parse`` reads it back."""
    inline = repr(value)
    if len(inline) + indent <= width:
        return inline
    if is_dataclass(value) and not isinstance(value, type):
        head, tail = f"{type(value).__name__}(", ")"
        parts = [(f"{f.name}=", getattr(value, f.name)) for f in fields(value)]
    elif isinstance(value, tuple):
        head, tail = "(", ")"
        parts = [("", element) for element in value]
    else:
        return inline
    inner = " " * (indent + 4)
    lines = [f"{inner}{name}{pretty(part, indent + 4, width)},\n" for name, part in parts]
    return f"{head}\n{''.join(lines)}{' ' * indent}{tail}"


def _build(node: ast.expr, names: Mapping[str, type], hint: Any = Any) -> Any:
    match node:
        case ast.Constant(value=int() as value) if abs(value) > _LARGEST:
            raise ValueError("a number is too large")
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return tuple(_build(element, names, _element(hint)) for element in elements)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(_build(operand, names), node)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            a, b = (_number(_build(side, names), node) for side in (left, right))
            try:
                return _ARITHMETIC[type(op)](a, b)
            except ZeroDivisionError:
                raise ValueError(f"division by zero in {ast.unparse(node)!r}") from None
            except OverflowError:
                raise ValueError("a number is too large") from None
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.Name(id=name):
            return _make(name, [], names, hint)
        case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords):
            return _make(name, keywords, names, hint)
        case ast.Call(func=ast.Name(id=name)):
            raise ValueError(f"{name}: give fields by name, as in {name}(field=value)")
    raise ValueError(f"not a literal or a component: {ast.unparse(node)!r}")


def _number(value: Any, node: ast.expr) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"arithmetic is for numbers only: {ast.unparse(node)!r}")
    return value


def _make(name: str, keywords: list[ast.keyword], names: Mapping[str, type], hint: Any) -> Any:
    if name not in names:
        fitting = sorted(n for n, cls in names.items() if accepts(hint, cls))
        raise ValueError(f"unknown component {name!r}; known: {', '.join(fitting or sorted(names))}")
    cls = names[name]
    known = {f.name: f for f in fields(cls)}
    given = [str(k.arg) for k in keywords]
    if unknown := [k for k in given if k not in known]:
        raise ValueError(f"{name} has no field {unknown[0]!r}; it has: {', '.join(known) or 'none'}")
    if len(set(given)) < len(given):
        raise ValueError(f"{name}: a field is given twice")
    if missing := [k for k, f in known.items() if required(f) and k not in given]:
        raise ValueError(f"{name} needs a value for {missing[0]!r}")
    return cls(**{str(k.arg): _field(cls, str(k.arg), k.value, names) for k in keywords})


def _field(cls: type, name: str, node: ast.expr, names: Mapping[str, type]) -> Any:
    hint = hints_of(cls)[name]
    if isinstance(node, ast.Name) and node.id not in (*names, *_CONSTANTS) and not components(hint):
        raise ValueError(f"{cls.__name__}: field {name!r} takes {describe(hint)}, not {node.id!r}")
    value = _build(node, names, hint)
    check(cls, name, value)
    return value


def _element(hint: Any) -> Any:
    arguments = typing.get_args(hint)
    return arguments[0] if typing.get_origin(hint) is tuple and arguments else Any


def components(hint: Any) -> bool:
    """Whether the annotation lets a component in."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, tuple):
        return any(map(components, typing.get_args(hint)))
    return hint is Any or (isinstance(hint, type) and hint not in (int, float, str, bool, type(None), type(Ellipsis)))


def accepts(hint: Any, cls: type) -> bool:
    """Whether a component of this class fits the annotation."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(accepts(h, cls) for h in typing.get_args(hint))
    if getattr(hint, "_is_protocol", False):
        return conforms(cls, hint)
    return hint is Any or (isinstance(hint, type) and issubclass(cls, hint))


def hint_at(component: Any, path: str, hint: Any = Any) -> Any:
    """The annotation of the field at a dotted path; ValueError if there is no such field.

    ``hint`` is the annotation of ``component`` itself.
    """
    head, _, rest = path.partition(".")
    if isinstance(component, tuple):
        if not head.isdecimal() or int(head) >= len(component):
            raise ValueError(f"no element {head!r}; there are: {', '.join(map(str, range(len(component))))}")
        inner, found = component[int(head)], _element(hint)
    else:
        cls: type = type(component)
        known = list(hints_of(cls)) if is_dataclass(cls) else []
        if head not in known:
            raise ValueError(f"{cls.__name__} has no field {head!r}; it has: {', '.join(known) or 'none'}")
        inner, found = getattr(component, head), hints_of(cls)[head]
    return hint_at(inner, rest, found) if rest else found


def required(field: Field[Any]) -> bool:
    """Whether a field has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def override(component: Any, path: str, value: Any) -> Any:
    """A copy with the field at the dotted ``path`` replaced; numbers index tuples.

    ``override(recipe, "arms.0.objective.attack.steps", 20)``

    Raises:
        ValueError: if there is no such field, or the value is of the wrong kind.
    """
    hint = hint_at(component, path)
    if not fits(value, hint):
        raise ValueError(f"{path} takes {describe(hint)}, not {value!r}")
    return replaced(component, path, value)


def replaced(component: Any, path: str, value: Any) -> Any:
    """:func:`override` without a look at what fits."""
    head, _, rest = path.partition(".")
    if isinstance(component, tuple):
        i = int(head)
        return (*component[:i], replaced(component[i], rest, value) if rest else value, *component[i + 1 :])
    return replace(component, **{head: replaced(getattr(component, head), rest, value) if rest else value})


def check(cls: type, name: str, value: Any) -> None:
    """Raise ValueError unless ``value`` fits the annotation of the field ``name`` of ``cls``."""
    hint = hints_of(cls)[name]
    if not fits(value, hint):
        raise ValueError(f"{cls.__name__}: field {name!r} takes {describe(hint)}, not {value!r}")


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """The annotations of a component's fields."""
    return typing.get_type_hints(cls)


def fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is what the annotation ``hint`` says; a protocol asks for its methods, not for a base."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, a) for a in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(fits(v, arguments[0]) for v in value)
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if getattr(hint, "_is_protocol", False):
        cls: type = type(value)
        return is_dataclass(cls) and conforms(cls, hint)
    return isinstance(value, hint)


def positional(function: Any) -> list[str]:
    """Names of a function's positional parameters without a default."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    return [p.name for p in found if p.default is inspect.Parameter.empty]


@cache
def conforms(cls: type, protocol: type) -> bool:
    """Whether a class has every method of a protocol, with as many positional parameters, named alike."""
    methods = [
        k for k, v in vars(protocol).items() if inspect.isfunction(v) and k not in ("__init__", "__subclasshook__")
    ]
    return all(
        callable(getattr(cls, m, None))
        and positional(getattr(cls, m)) == positional(getattr(protocol, m))
        and gives_terms(getattr(cls, m)) in (gives_terms(getattr(protocol, m)), None)
        for m in methods
    )


def gives_terms(function: Any) -> bool | None:
    """Whether a function says that it returns a dict, which tells objectives from metrics; None if it says nothing."""
    told = getattr(function, "__annotations__", {}).get("return")
    return None if told is None else "dict[" in str(told)


def describe(hint: Any) -> str:
    """An annotation in words: ``a number``, ``an Attack or None``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(describe, arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"a tuple, each element {describe(arguments[0])}"
    if origin is tuple:
        return f"a tuple of {len(arguments)}: {', '.join(map(describe, arguments))}"
    words = {
        float: "a number",
        int: "a whole number",
        str: "a text",
        bool: "True or False",
        type(None): "None",
    }
    if hint in words:
        return words[hint]
    name = ("an " if hint.__name__[0] in "AEIO" else "a ") + hint.__name__
    if getattr(hint, "_is_protocol", False) and "__call__" in vars(hint):
        return f"{name}, called with ({', '.join(positional(hint.__call__)[1:])})"
    return name


def require(component: Any, condition: bool, rule: str) -> None:
    """Raise ValueError unless ``condition``; a rule begins with the field it is about: ``"steps is at least 1"``."""
    if not condition:
        value = getattr(component, rule.split()[0], None)
        told = f", not {value!r}" if isinstance(value, int | float | str) else ""
        raise ValueError(f"{type(component).__name__}: {rule}{told}")
