"""Make many objects without being interrupted."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Let Python not look for garbage while many objects that stay are made.

    Ten thousand records are some millions of objects. Python would go through all of them again
    and again, which takes longer than making them. What is no longer used is still freed, unless
    it refers to itself; nothing here does.

    Examples
    --------
    >>> with without_collection():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
