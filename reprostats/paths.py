"""The only place that knows folders.

Two environment variables move what this package reads and writes:

``REPROSTATS_DATA``
    where data sets lie, one folder each (default: ``data/raw`` of a checkout)
``REPROSTATS_RUNS``
    where trials, executed notebooks, tables and figures go (default: ``data/runs`` of a checkout)

Outside a checkout both defaults lie in the current folder, under ``reprostats-data`` and
``reprostats-runs``.
"""

from __future__ import annotations

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


def _folder(variable: str, in_checkout: str, elsewhere: str) -> Path:
    if named := os.environ.get(variable):
        return Path(named).expanduser().resolve()
    checkout = is_checkout()
    return _CHECKOUT / in_checkout if checkout else Path.cwd() / elsewhere


def is_checkout() -> bool:
    """Tell whether the package runs from a checkout of its repository."""
    return (_CHECKOUT / "papers.yaml").is_file()


def checkout(*parts: str) -> Path:
    """Return a path inside the checkout."""
    return _CHECKOUT.joinpath(*parts)


def data(name: str) -> Path:
    """Return the folder in which the data set of this name is looked for."""
    return _folder("REPROSTATS_DATA", "data/raw", "reprostats-data") / name


def runs() -> Path:
    """Return the folder that holds everything computed here."""
    return _folder("REPROSTATS_RUNS", "data/runs", "reprostats-runs")


def study(name: str) -> Path:
    """Return the folder of the trials of one study."""
    return runs() / "studies" / name


def training(name: str) -> Path:
    """Return the folder of a training that a configuration file of this name describes."""
    return runs() / "trainings" / name


def report(name: str) -> Path:
    """Return the folder of the tables and figures of one notebook or report."""
    return runs() / "reports" / name
