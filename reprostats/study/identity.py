"""Plain values: of what the identity of a trial is made."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from reprostats.errors import InputError


def plain_config(config: object) -> dict[str, Any]:
    """Turn a config (mapping, dataclass or pydantic model) into plain JSON values.

    Tuples become lists; all else reads back as it was.

    Raises
    ------
    InputError
        If a value is not a number, text, True, False, None, or a list or mapping of these.

    Examples
    --------
    >>> plain_config({"epochs": 5, "widths": (8, 16)})
    {'epochs': 5, 'widths': [8, 16]}
    """
    if config is None:
        return {}
    if isinstance(config, BaseModel):
        config = config.model_dump(mode="python")
    elif is_dataclass(config) and not isinstance(config, type):
        config = asdict(config)
    if not isinstance(config, Mapping):
        raise InputError(
            f"config must be a mapping, a dataclass or a model, not {type(config).__name__}."
            f"{_hint(config)}"
        )
    return dict(_plain(config, "config"))


def _plain(value: object, place: str) -> Any:
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise InputError(f"{place}: key {wrong[0]!r} must be text.")
        return {key: _plain(each, f"{place}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{place}[{number}]") for number, each in enumerate(value)]
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    raise InputError(
        f"{place} = {value!r} cannot be part of a trial's identity. Use finite numbers, text, "
        f"True, False, None, and lists and mappings of these.{_hint(value)}"
    )


def _hint(value: object) -> str:
    """Say how arguments of a command line become a mapping."""
    if isinstance(value, Namespace | SimpleNamespace):
        return " Use vars(args): it makes a mapping of a namespace."
    return ""
