"""The spread of the trainings of other algorithms, for one that was trained once.

One training says nothing of how far others would lie. If trainings of all algorithms vary alike,
as an analysis of variance supposes, the pooled spread of the others stands in. With v the variance
of the mean of one training (about its algorithm; of crossed runs, about algorithm and seed), the
difference of two algorithms has the variance v (1/r1 + 1/r2), and 2 v / r of r pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reprostats.stats.contrast import NOTHING_SHARED, Contrast, Shared, over_runs
from reprostats.stats.mean_squares import Floats, Runs, interaction

_AT_LEAST = 2


@dataclass(frozen=True)
class StandIn:
    """A pooled spread.

    Parameters
    ----------
    variance
        Of the mean of one training, in squared units of the value.
    df
        Its degrees of freedom.
    lenders
        The algorithms whose trainings it comes from.
    once
        The algorithms for which it stands in.
    """

    variance: float
    df: int
    lenders: tuple[object, ...]
    once: tuple[object, ...]

    @property
    def note(self) -> str:
        """Whose spread stands in for whose."""
        lenders, once = (", ".join(map(str, names)) for names in (self.lenders, self.once))
        return (
            f"the spread of the trainings of {lenders} stands in for that of {once}: one training"
        )

    def contrast(self, first: Floats, second: Floats, runs: Runs) -> Contrast:
        """Compare two algorithms over runs; shapes (runs, cases), crossed runs in one order."""
        pairs = runs == "crossed"
        factor = 2 / len(first) if pairs else 1 / len(first) + 1 / len(second)
        return Contrast(
            float(first.mean() - second.mean()),
            (factor * self.variance) ** 0.5,
            ((1.0, self.df),),
            sd=((2 if pairs else 1) * self.variance) ** 0.5,
        )


@dataclass(frozen=True)
class Trainings:
    """The distinct runs of all algorithms, and which of these were trained once.

    Parameters
    ----------
    matrices
        By algorithm: one row a distinct run, one column a case; missing values are NaN.
    runs
        ``"nested"`` or ``"crossed"``.
    trained_once
        Algorithms with one run; not those with equal ones, which show a fixed seed.
    """

    matrices: Mapping[Any, pd.DataFrame]
    runs: Runs
    trained_once: Sequence[object]

    def stand_in(
        self, names: Sequence[object], cases: pd.Index[Any] | None = None
    ) -> StandIn | None:
        """Return the spread that stands in where one of the named was trained once."""
        once = tuple(name for name in names if name in self.trained_once)
        return stand_in(self.matrices, self.runs, once, cases) if once else None


def stand_in(
    matrices: Mapping[Any, pd.DataFrame],
    runs: Runs,
    once: tuple[object, ...],
    cases: pd.Index[Any] | None = None,
) -> StandIn | None:
    """Pool the spread of run means of all algorithms that have several distinct runs.

    Parameters
    ----------
    matrices, runs
        As of `Trainings`.
    once
        The algorithms for which it stands in.
    cases
        Those that are averaged; runs that lack one are left out. None: all that a run has.

    Returns
    -------
    StandIn or None
        None where nothing is left, or it does not vary.

    Examples
    --------
    >>> once, twice = pd.DataFrame([[0.8, 0.7]]), pd.DataFrame([[0.6, 0.7], [0.8, 0.9]])
    >>> found = stand_in({"a": once, "b": twice}, "nested", ("a",))
    >>> round(found.variance, 3), found.df, found.note
    (0.02, 1, 'the spread of the trainings of b stands in for that of a: one training')
    """
    means = {}
    for name, matrix in matrices.items():
        chosen = matrix if cases is None else matrix.reindex(columns=cases).dropna()
        means[name] = chosen.mean(axis=1).dropna()
    means = {name: of_runs for name, of_runs in means.items() if len(of_runs) >= _AT_LEAST}
    squares, df = (_within if runs == "nested" else _about_seeds)(list(means.values()))
    return StandIn(squares / df, df, tuple(means), once) if df > 0 and squares > 0 else None


def over_trainings(
    first: Floats,
    second: Floats,
    runs: Runs,
    shared: Shared = NOTHING_SHARED,
    spread: StandIn | None = None,
) -> Contrast:
    """Compare over runs alone, by their own spread or by the one that stands in."""
    if spread is not None:
        return spread.contrast(first, second, runs)
    return over_runs(first, second, runs, shared)


def _within(means: Sequence[pd.Series[float]]) -> tuple[float, int]:
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in means)
    return squares, sum(len(values) - 1 for values in means)


def _about_seeds(means: Sequence[pd.Series[float]]) -> tuple[float, int]:
    """Return the sum of squares of algorithm x run, on the runs that all have."""
    if len(means) < _AT_LEAST:
        return 0.0, 0
    block = pd.concat(means, axis=1, join="inner").to_numpy(dtype=np.float64)
    if len(block) < _AT_LEAST:
        return 0.0, 0
    return interaction(block), (block.shape[0] - 1) * (block.shape[1] - 1)
