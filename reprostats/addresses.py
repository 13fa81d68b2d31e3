"""What jsonschema loads to check international addresses, loaded when an address is checked.

Altair and nbformat load jsonschema, and jsonschema loads rfc3987-syntax where it is installed, as
it is with JupyterLab. That builds its grammar when it is loaded, which takes longer than to load
Altair itself, in each process that draws a figure or opens a notebook. None of them checks such an
address.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_GRAMMAR = "rfc3987_syntax"


def load_jsonschema() -> None:
    """Load jsonschema without the grammar, which is built when the first address is checked.

    Examples
    --------
    >>> load_jsonschema()
    >>> import jsonschema
    >>> checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    >>> checker.conforms(1, "iri")
    True
    """
    if not {"jsonschema", _GRAMMAR} & sys.modules.keys() and find_spec(_GRAMMAR):
        with _stand_in():
            import_module("jsonschema")


@contextmanager
def _stand_in() -> Iterator[None]:
    """Let what is loaded here find a module that loads the grammar when it is called."""
    module = ModuleType(_GRAMMAR)
    module.is_valid_syntax = _is_valid_syntax  # type: ignore[attr-defined]
    sys.modules[_GRAMMAR] = module
    try:
        yield
    finally:
        del sys.modules[_GRAMMAR]


def _is_valid_syntax(term: str, value: str) -> bool:
    return bool(import_module(_GRAMMAR).is_valid_syntax(term, value))
