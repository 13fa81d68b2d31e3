"""Overlap: do the intervals of repeated runs overlap.

A criterion of papers, and of `Marrone et al. (2019)`_ first: a result is called stable if the
intervals of all repetitions overlap. It is weak, because few cases make wide intervals, and wide
intervals overlap; it is therefore no question that every report asks.

.. _Marrone et al. (2019): https://doi.org/10.23919/EUSIPCO.2019.8902690
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.stats.median import median_ci
from reprostats.verdicts._base import (
    NO,
    NOT_APPLICABLE,
    UNDETERMINED,
    YES,
    Answer,
    Verdict,
    counted,
    number,
)
from reprostats.verdicts.evidence import Evidence

_PAIR = 2


@dataclass(frozen=True)
class Overlap(Verdict):
    """Whether the intervals of the median over cases overlap, of all runs of all conditions.

    Parameters
    ----------
    metric
        Its name.
    n_runs, n_distinct
        Complete runs, and how many of them differ in at least one bit. A copy of a run has the
        same interval, which is no evidence.
    n_apart
        Pairs of distinct runs whose intervals do not overlap.
    n_unbounded
        Distinct runs whose interval has no end, because it has too few cases.
    highest_low, lowest_high
        The highest lower limit and the lowest upper limit of distinct runs; NaN without runs.
    confidence_level
        Of the intervals.
    """

    question = "overlap"

    metric: str
    n_runs: int
    n_distinct: int
    n_apart: int
    n_unbounded: int
    highest_low: float
    lowest_high: float
    confidence_level: float

    @property
    def asked(self) -> str:
        """The question."""
        return "Do the intervals of all repetitions overlap?"

    @property
    def answer(self) -> Answer:
        """Not applicable if there are no two distinct runs; undetermined without limits."""
        if self.n_distinct < _PAIR:
            return NOT_APPLICABLE
        if self.n_unbounded:
            return UNDETERMINED
        return NO if self.n_apart else YES

    @property
    def sentence(self) -> str:
        """What overlaps, and what that does not show."""
        if self.n_distinct < _PAIR:
            if self.n_runs < _PAIR:
                return f"There is {counted(self.n_runs, 'complete repetition')}."
            return (
                f"All {self.n_runs} repetitions are equal bit for bit: their intervals are copies "
                "of one interval, and copies are no evidence."
            )
        if self.n_unbounded:
            return (
                f"{self.n_unbounded} of {self.n_distinct} intervals have no end, because there are "
                "too few cases for the confidence level."
            )
        level = f"{self.confidence_level:.0%}"
        limits = (
            f"the highest lower limit of the median {self.metric} is "
            f"{number(self.highest_low, 4)}, the lowest upper limit {number(self.lowest_high, 4)}"
        )
        copies = f" Of {self.n_runs} repetitions, copies count once." if self._has_copies else ""
        if self.n_apart:
            pairs = self.n_distinct * (self.n_distinct - 1) // 2
            return f"{self.n_apart} of {pairs} pairs do not overlap: {limits} ({level}).{copies}"
        return (
            f"All {self.n_distinct} overlap: {limits} ({level}). This does not show that they are "
            f"equal: the fewer the cases, the wider the intervals.{copies}"
        )

    @property
    def _has_copies(self) -> bool:
        return self.n_runs > self.n_distinct


def ask_overlap(evidence: Evidence) -> list[Verdict]:
    """Ask whether the intervals of all complete runs overlap, across conditions too."""
    rows = [(name, run) for name, matrix in evidence.matrices.items() for run in matrix.index]
    runs = pd.MultiIndex.from_frame(pd.DataFrame(rows, columns=["condition", "run"]))
    distinct = runs[~evidence.bits_of_runs.reindex(runs).duplicated()]
    low, high = _limits([evidence.matrices[name].loc[run] for name, run in distinct], evidence)
    return [
        Overlap(
            evidence.metric.name,
            len(runs),
            len(distinct),
            _pairs_apart(low, high),
            int((~np.isfinite(high - low)).sum()),
            float(low.max()) if len(low) else float("nan"),
            float(high.min()) if len(high) else float("nan"),
            evidence.confidence_level,
        )
    ]


def _limits(
    values: list[pd.Series[float]], evidence: Evidence
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the limits of the exact interval of the median of each run."""
    rows = [
        median_ci(run[np.isfinite(run)], confidence_level=evidence.confidence_level).iloc[0]
        for run in values
        if np.isfinite(run).any()
    ]
    return np.array([row["ci_low"] for row in rows]), np.array([row["ci_high"] for row in rows])


def _pairs_apart(low: NDArray[np.float64], high: NDArray[np.float64]) -> int:
    """Count the pairs of intervals without a common value."""
    apart = low[:, None] > high[None, :]
    return int(apart.sum())  # of a pair, one interval alone can lie above the other
