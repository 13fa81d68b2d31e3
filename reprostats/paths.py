"""The only place that knows folders.

Two environment variables move what this package reads and writes:

``REPROSTATS_DATA``
    where data sets lie, one folder each (default: ``data/raw`` of a checkout of reprostats; where
    the package is installed, ``reprostats-data`` in the working folder)
``REPROSTATS_RUNS``
    where trials, executed notebooks, tables and figures go (default: ``reprostats-runs`` in the
    project that runs; in a checkout of reprostats itself ``data/runs``)

The project is the git repository of the working folder, else the working folder: what two projects
compute lies apart, whatever their functions are called.
"""

from __future__ import annotations

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent
_RUNS = "reprostats-runs"


def _named(variable: str) -> Path | None:
    """Return the folder that an environment variable names."""
    named = os.environ.get(variable)
    return Path(named).expanduser().resolve() if named else None


def project() -> Path:
    """Return the folder of the project that runs: its git repository, else the working folder."""
    here = Path.cwd()
    if is_checkout() and here.is_relative_to(_CHECKOUT):  # also of one without git
        return _CHECKOUT
    return next((each for each in (here, *here.parents) if (each / ".git").exists()), here)


def is_checkout() -> bool:
    """Tell whether the package runs from a checkout of its repository."""
    return (_CHECKOUT / "papers.yaml").is_file()


def checkout(*parts: str) -> Path:
    """Return a path inside the checkout."""
    return _CHECKOUT.joinpath(*parts)


def data(name: str) -> Path:
    """Return the folder in which the data set of this name is looked for."""
    default = checkout("data", "raw") if is_checkout() else Path.cwd() / "reprostats-data"
    return (_named("REPROSTATS_DATA") or default) / name


def runs() -> Path:
    """Return the folder that holds everything computed for this project."""
    place = project()
    default = checkout("data", "runs") if place == _CHECKOUT else place / _RUNS
    return _named("REPROSTATS_RUNS") or default


def earlier_runs() -> list[Path]:
    """Return the folders that were that of everything computed in earlier versions, by default."""
    if _named("REPROSTATS_RUNS"):
        return []
    places = [Path.cwd() / _RUNS, *([checkout("data", "runs")] if is_checkout() else [])]
    return [place for place in places if place != runs()]


def hide_from_git(folder: Path) -> None:
    """Make a folder of runs that git passes over: its records are no change of the code."""
    folder.mkdir(parents=True, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")


def study(name: str, within: Path | None = None) -> Path:
    """Return the folder of the trials of one study.

    Parameters
    ----------
    name
        Of the study.
    within
        A folder of runs; default: `runs`.
    """
    return studies(within) / name


def studies(within: Path | None = None) -> Path:
    """Return the folder of all studies, in a folder of runs (default: `runs`)."""
    return (runs() if within is None else within) / "studies"


def training(name: str) -> Path:
    """Return the folder of a training that a configuration file of this name describes."""
    return runs() / "trainings" / name


def report(name: str) -> Path:
    """Return the folder of the tables and figures of one notebook or report."""
    return runs() / "reports" / name
