"""More trainings: how many would decide what is undecided.

Planned from the spread of the trainings that are there, for a margin that was stated: enough
trainings that a difference as large as the margin is found, and that equivalence is shown where
there is none, each with the same power. Without a margin nothing can be planned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from reprostats.stats.equivalence import equivalence_power
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
from reprostats.verdicts.comparison import Comparison
from reprostats.verdicts.evidence import Evidence

POWER = 0.8

_PAIR = 2
_MOST = 10_000


@dataclass(frozen=True)
class MoreTrainings(Verdict):
    """How many trainings of each condition would decide a comparison for new trainings.

    Parameters
    ----------
    first, second, metric
        Names.
    n_runs
        Distinct trainings of each so far.
    sd
        Standard deviation between trainings (of differences, if trainings are pairs); NaN if there
        are too few.
    paired
        Whether trainings that share their seeds are pairs.
    margin
        In the metric's unit; None if none was stated.
    needed
        Trainings of each condition; None if that cannot be planned.
    decided
        Whether the comparison is decided already.
    alpha
        Level of the tests.
    power
        Probability with which that many decide.
    shared
        Sources of which several trainings share a level.
    """

    question = "more trainings"

    first: str
    second: str
    metric: str
    n_runs: tuple[int, int]
    sd: float
    paired: bool
    margin: float | None
    needed: int | None
    decided: bool
    alpha: float
    power: float = POWER
    shared: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """The question."""
        return f"Are there enough trainings to compare {self.first} with {self.second}?"

    @property
    def more(self) -> int | None:
        """How many more trainings of the condition that has fewer; None if not known."""
        return None if self.needed is None else max(0, self.needed - min(self.n_runs))

    @property
    def answer(self) -> Answer:
        """Undetermined if it cannot be planned."""
        if self.decided:
            return YES
        if self.needed is None:
            return UNDETERMINED if self.margin is None or min(self.n_runs) >= _PAIR else NO
        return NO if self.more else NOT_APPLICABLE

    @property
    def sentence(self) -> str:
        """How many are needed."""
        have = f"There are {self.n_runs[0]} and {self.n_runs[1]} distinct trainings."
        if self.shared:
            have += f" They share levels of {', '.join(self.shared)}."
        if self.decided:
            return f"{have} For new trainings the comparison is decided."
        if min(self.n_runs) < _PAIR:
            return f"{have} At least two of each, with different seeds, are needed to see a spread."
        if self.margin is None:
            return f"{have} State a margin to plan how many would decide."
        if self.needed is None:
            return f"{have} More than {_MOST} of each would be needed for a margin of {self._m}."
        if not self.more:
            return (
                f"{have} That many decide with a probability of {self.power:.0%} if the SD between "
                f"trainings is {number(self.sd, 2)}; these did not. Train more."
            )
        return (
            f"{have} About {counted(self.needed, 'training')} of each, {self.more} more, decide "
            f"with a probability of {self.power:.0%} whether the difference reaches {self._m}, if "
            f"the SD {'of differences ' if self.paired else ''}between trainings is "
            f"{number(self.sd, 2)}.{self._own_levels}"
        )

    @property
    def _own_levels(self) -> str:
        if not self.shared:
            return ""
        return f" Each of them needs a level of its own of {', '.join(self.shared)}."

    @property
    def _m(self) -> str:
        return number(self.margin or math.nan)


def ask_more_trainings(evidence: Evidence, compared: list[Comparison]) -> list[Verdict]:
    """Ask of each pair of conditions how many trainings would decide.

    Parameters
    ----------
    evidence
        What is known.
    compared
        The comparisons for new trainings on these cases.
    """
    return [_more(verdict, evidence) for verdict in compared]


def _more(compared: Comparison, evidence: Evidence) -> MoreTrainings:
    paired = compared.runs == "crossed"
    sd = compared.sd if min(compared.n_runs) >= _PAIR else math.nan
    plan = evidence.margin is not None and sd > 0
    needed = trainings_needed(sd, evidence.margin, compared.alpha, paired=paired) if plan else None
    decided = compared.answer != UNDETERMINED and not compared.untrained
    return MoreTrainings(
        compared.first,
        compared.second,
        compared.metric,
        compared.n_runs,
        sd,
        paired,
        evidence.margin,
        needed,
        decided,
        compared.alpha,
        shared=tuple(compared.shared),
    )


@lru_cache(maxsize=256)
def trainings_needed(sd: float, margin: float, alpha: float, *, paired: bool) -> int | None:
    """Return the number of trainings of each condition that decides with the power 0.8.

    Parameters
    ----------
    sd
        Between trainings, or of differences between pairs of them.
    margin
        Largest difference that does not matter, in the unit of ``sd``.
    alpha
        Level of the tests.
    paired
        Whether ``sd`` is that of differences.

    Returns
    -------
    int or None
        The smallest number with which the t test finds a difference of ``margin``, and two
        one-sided tests show equivalence where there is no difference, each with probability 0.8;
        None if 10,000 are too few.

    Notes
    -----
    Power of the t test by the noncentral t distribution; power of the two one-sided tests at no
    difference by `reprostats.stats.equivalence.equivalence_power`.

    Examples
    --------
    >>> trainings_needed(0.01, 0.02, 0.05, paired=False)
    6
    """
    # Starting from the normal approximation spares the search through small numbers.
    groups = 1 if paired else 2
    for n in _sizes():
        df = groups * (n - 1)
        error = sd * (groups / n) ** 0.5
        shift = margin / error
        critical = float(stats.t.isf(alpha / 2, df))
        finds = float(stats.nct.sf(critical, df, shift))
        if min(finds, equivalence_power(shift, df, alpha)) >= POWER:
            return n
    return None


def _sizes() -> list[int]:
    """Return the numbers that are tried: each up to 200, then steps of one per cent."""
    large = np.unique(np.geomspace(200, _MOST, 400).astype(int))
    return [*range(2, 200), *map(int, large)]
