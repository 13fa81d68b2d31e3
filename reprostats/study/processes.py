"""Processes that a trial leaves behind, and how they are found and ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_BECOME_PARENT_OF_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of Linux's prctl


def adopt_orphans() -> None:
    """Become the parent of what descendants of this process leave, however deep it is nested.

    What has begun a session of its own is in no group that could be ended, but it is adopted.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_BECOME_PARENT_OF_ORPHANS, 1, 0, 0, 0)


def children() -> set[int]:
    """Return the child processes of this one; none where the system has no list of them."""
    process = os.getpid()
    try:
        return set(map(int, Path(f"/proc/self/task/{process}/children").read_text().split()))
    except OSError:
        return set()


def end_orphans(own: set[int]) -> None:
    """End all child processes but some, and what they leave in turn.

    Parameters
    ----------
    own
        Child processes that go on. Those that may not be ended are added.
    """
    while orphans := children() - own:
        for orphan in orphans:
            try:
                os.kill(orphan, signal.SIGKILL)
                os.waitpid(orphan, 0)
            except (PermissionError, ChildProcessError):  # another user's, such as of sudo
                own.add(orphan)
