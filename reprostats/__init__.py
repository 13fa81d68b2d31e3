"""Tell whether a deep-learning result is real.

The names below are loaded when they are first used, so that importing the package costs little
and never loads PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reprostats.stats.anova import anova as anova
    from reprostats.stats.icc import icc as icc
    from reprostats.stats.median import median_ci as median_ci
    from reprostats.stats.paired import paired_ttest as paired_ttest
    from reprostats.study.plan import Condition as Condition
    from reprostats.study.study import Study as Study
    from reprostats.study.trial import Trial as Trial

__version__ = "0.1.0"

_HOMES = {
    "Condition": "reprostats.study.plan",
    "Study": "reprostats.study.study",
    "Trial": "reprostats.study.trial",
    "anova": "reprostats.stats.anova",
    "icc": "reprostats.stats.icc",
    "median_ci": "reprostats.stats.median",
    "paired_ttest": "reprostats.stats.paired",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are those of _HOMES


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
