"""Records of earlier versions, brought up to date when they are read.

A change of the form of a record is made in three steps, all of them here but the first: change
`reprostats.records.record` and raise its version and `VERSION`; write a function that turns the
content of the version before into the new one; add it to `_MIGRATIONS`. Files are never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reprostats.records.record import TIME_SUFFIX, WHOLE

VERSION = 3

Content = dict[str, Any]


def version_of(content: Content) -> int:
    """Return the version of the content of a record, 0 if it names none."""
    # Version 1 called it "format".
    version = content.get("version", content.get("format"))
    return version if type(version) is int else 0  # True is not 1 here


def migrated(content: Content) -> Content:
    """Return the content of a record in the form of today.

    Examples
    --------
    >>> training = {"format": 1, "config": {}, "metrics": {"dice": {"a": 0.9}}}
    >>> migrated(training)["metrics"]
    [['dice', 'a', 0.9]]
    """
    while version_of(content) in _MIGRATIONS:
        content = _MIGRATIONS[version_of(content)](content)
    return content


def _from_version_1(content: Content) -> Content:
    """Name the kind. There were two forms, one for trials and one for trainings."""
    content = {name: value for name, value in content.items() if name != "format"}
    one_form = _from_trial_1 if "function" in content else _from_training_1
    return one_form(content) | {"version": 2}


def _from_trial_1(content: Content) -> Content:
    """Take the times out of the metrics. What tensors were kept was not recorded."""
    rows = content.get("metrics", [])
    times = [row for row in rows if row[0].endswith(TIME_SUFFIX) and row[1] == WHOLE]
    return content | {
        "kind": "trial",
        "metrics": [row for row in rows if row not in times],
        "times": {name.removesuffix(TIME_SUFFIX): value for name, _, value in times},
        "kept": None,
    }


def _from_training_1(content: Content) -> Content:
    """Make rows of the metrics, and put the commit into the environment."""
    commit = content.pop("git_commit", "")
    times, fingerprints = content.get("times", {}), content.get("fingerprints", {})
    return content | {
        "kind": "training",
        "metrics": [
            [metric, case, value]
            for metric, cases in content.get("metrics", {}).items()
            for case, value in cases.items()
        ],
        "environment": content.get("environment", {}) | {"git_commit": commit},
        "seconds": sum(times.values()),  # the whole was not timed
        "kept": sorted(fingerprints),  # each was that of a file
    }


def _from_version_2(content: Content) -> Content:
    """Nothing was adopted."""
    return content | {"version": 3}


_MIGRATIONS: dict[int, Callable[[Content], Content]] = {1: _from_version_1, 2: _from_version_2}
