"""What makes two trials the same trial: their function, config, source levels, repeat and fold.

The function counts with its source code, and with that of everything of the same package or
script that it reaches by name, so that an edited model is trained again. Code in other packages
and names looked up at run time (``getattr`` with a computed name, imports inside a function)
do not count.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from pydantic import BaseModel

from reprostats.errors import InputError

_CONSTANTS = (bool, int, float, complex, str, bytes, tuple, frozenset, types.NoneType)


def canonical_json(content: object) -> str:
    """Write JSON in one way only: sorted keys, no spaces, every digit, no NaN.

    Examples
    --------
    >>> canonical_json({"b": 0.1, "a": [1, 2]})
    '{"a":[1,2],"b":0.1}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: object) -> str:
    """Give the SHA-256 of a JSON value, in hexadecimal digits."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def plain_config(config: object) -> dict[str, Any]:
    """Turn a config (mapping, dataclass or pydantic model) into plain JSON values.

    Raises
    ------
    InputError
        If a value cannot be written as JSON and read back the same.

    Examples
    --------
    >>> plain_config({"epochs": 5, "widths": (8, 16)})
    {'epochs': 5, 'widths': [8, 16]}
    """
    if config is None:
        return {}
    if isinstance(config, BaseModel):
        return config.model_dump(mode="json")
    if is_dataclass(config) and not isinstance(config, type):
        config = asdict(config)
    if not isinstance(config, Mapping):
        raise InputError(
            f"config must be a mapping, a dataclass or a model, not {type(config).__name__}."
        )
    return {str(key): _plain(key, value) for key, value in config.items()}


def _plain(key: object, value: object) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"config[{key!r}] = {value!r} cannot be part of a trial's identity: {error}. "
            "Use numbers, text, True/False, None, lists and mappings of these."
        ) from error


def function_name(function: Callable[..., object]) -> str:
    """Give the name under which a trial function is recorded: ``module:qualified.name``."""
    return f"{function.__module__}:{function.__qualname__}"


def code_digest(function: Callable[..., object]) -> str:
    """Give the SHA-256 of a trial function's own code and of all it reaches in its package.

    Raises
    ------
    InputError
        If the function's source cannot be read, or it holds values of an enclosing function
        (they would change results without changing the identity).
    """
    if not inspect.isfunction(function):
        raise InputError(
            f"the trial function must be a plain function, not {type(function).__name__}; "
            "pass what it needs through config."
        )
    if function.__closure__:
        names = ", ".join(function.__code__.co_freevars)
        raise InputError(
            f"trial function {function.__qualname__!r} uses {names} of an enclosing function; "
            "pass such values through config, so that they count for the identity of a trial."
        )
    found: dict[str, str] = {}
    _collect(function, function.__module__.partition(".")[0], found)
    return digest(found)


def _collect(thing: object, package: str, found: dict[str, str]) -> None:
    if isinstance(thing, types.FunctionType | type):
        thing = inspect.unwrap(thing) if isinstance(thing, types.FunctionType) else thing
        key = f"{thing.__module__}:{thing.__qualname__}"
        if thing.__module__.partition(".")[0] != package or key in found:
            return
        found[key] = _source(thing)
        for function in _functions(thing):
            for name, value in _referenced(function):
                if isinstance(value, _CONSTANTS):
                    found[f"{function.__module__}:{name}"] = repr(value)
                else:
                    _collect(value, package, found)


def _source(thing: types.FunctionType | type) -> str:
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as error:
        raise InputError(
            f"the source code of {thing.__qualname__!r} cannot be read ({error}); "
            "define it in a file or a notebook cell, so that its trials can be told from others."
        ) from error


def _functions(thing: types.FunctionType | type) -> Iterator[types.FunctionType]:
    if isinstance(thing, types.FunctionType):
        yield thing
        return
    for member in vars(thing).values():
        inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
        if isinstance(inner, types.FunctionType):
            yield inner


def _referenced(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """Give the globals that a function names, and the members it names of global modules."""
    names = set(_names(function.__code__))
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType):
            for member in sorted(names & vars(value).keys()):
                yield f"{name}.{member}", vars(value)[member]
        else:
            yield name, value


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
