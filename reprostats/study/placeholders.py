"""Texts with names in braces, such as ``--seed {init}``, and the values that take their place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from string import Formatter

from reprostats.errors import InputError, unknown_name


def placeholders(text: str, where: str) -> list[str]:
    """Return the names that stand in braces, in their order.

    Parameters
    ----------
    text
        Doubled braces are braces and no placeholder.
    where
        Named in errors.

    Raises
    ------
    InputError
        If a brace is not closed, or holds more than a name.

    Examples
    --------
    >>> placeholders("--seed={init} --set={{a}}", "command")
    ['init']
    """
    remedy = "write {{ and }} for braces that are no placeholder"
    try:
        parts = [part[1:] for part in Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"{where}: {text!r}: {error}; {remedy}.") from None
    for name, form, conversion in parts:
        if not name or form or conversion:
            raise InputError(f"{where}: {text!r}: a placeholder is a name in braces; {remedy}.")
    return [str(name) for name, *_ in parts]


def check_placeholders(text: str, where: str, known: Iterable[str]) -> None:
    """Refuse a placeholder that is not known.

    Raises
    ------
    InputError
        If there is one; the message lists those that are known.
    """
    names = list(known)
    for name in placeholders(text, where):
        if name not in names:
            raise unknown_name("placeholder", name, names, where=where)


def filled(text: str, values: Mapping[str, object]) -> str:
    """Put values in the place of names.

    A text stands as it is; all else as JSON writes it: ``0.001``, ``true``, ``[8, 16]``.

    Examples
    --------
    >>> filled("--seed={init} --set={{a}}", {"init": 7})
    '--seed=7 --set={a}'
    """
    return "".join(
        literal + ("" if name is None else _text(values[name]))
        for literal, name, *_ in Formatter().parse(text)
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
