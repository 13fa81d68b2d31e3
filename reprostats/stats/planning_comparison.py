"""How many trainings and test cases a comparison of two algorithms needs.

The variance of the difference of two algorithms, each trained r times and tested on n cases, is
2 / (n r) (v_e + n v_run + r v_pair) with the variances of runs, of algorithm x case and of the
residual. More cases do not make the part of runs smaller, nor more trainings that of cases; see
`reprostats.stats.pooled`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.checks import (
    check_choice,
    check_confidence_level,
    check_integer,
    check_not_negative,
    check_positive,
    is_between,
)
from reprostats.stats.equivalence import equivalence_power
from reprostats.stats.mean_squares import Runs, mean_squares
from reprostats.stats.planning import cheapest_plan
from reprostats.stats.run_table import check_squares, matrices_of, relation_of

_PAIR = 2
_MOST_TRAININGS, _MOST_CASES = 10_000, 10_000_000


@dataclass(frozen=True)
class ComparisonVariances:
    """What makes the difference of two algorithms vary, in squared units of the value.

    Parameters
    ----------
    run
        Between trainings of one algorithm; of crossed runs, what is left beside the shared seed.
    pair
        Of algorithm x case: how much the difference depends on the case.
    residual
        What is left.
    runs
        ``"nested"`` or ``"crossed"``.
    """

    run: float
    pair: float
    residual: float
    runs: Runs = "nested"

    def variance(self, n_runs: int, n_cases: int) -> tuple[float, float]:
        """Return the parts of the variance of the difference: of runs, and of cases."""
        factor = 2 / (n_runs * n_cases)
        return factor * (self.residual + n_cases * self.run), factor * n_runs * self.pair

    def df(self, n_runs: int, n_cases: int) -> float:
        """Return the degrees of freedom that are expected, weighed by the shares of the parts."""
        of_runs, of_cases = self.variance(n_runs, n_cases)
        run_df = (_PAIR if self.runs == "nested" else 1) * (n_runs - 1)
        total = of_runs + of_cases
        return 1 / (of_runs / total / run_df + of_cases / total / (n_cases - 1))


def comparison_variances(
    table: pd.DataFrame,
    *,
    value: str,
    algorithm: str,
    run: str,
    case: str,
    runs: Runs | None = None,
) -> ComparisonVariances:
    """Estimate from a pilot what makes the difference of its algorithms vary.

    Parameters
    ----------
    table, value, algorithm, run, case, runs
        As of `reprostats.compare_algorithms`. Every run has a finite value for every case, and
        algorithms have equally many runs.

    Returns
    -------
    ComparisonVariances
        From the mean squares; 0 where an estimate is below.

    Raises
    ------
    InputError
        As `reprostats.compare_algorithms`, or if the table is not complete.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "model": ["a"] * 6 + ["b"] * 6, "seed": [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4],
    ...     "case": [*"xyz"] * 4,
    ...     "dice": [0.80, 0.70, 0.90, 0.84, 0.73, 0.93, 0.70, 0.62, 0.79, 0.75, 0.64, 0.83]})
    >>> pilot = comparison_variances(
    ...     table, value="dice", algorithm="model", run="seed", case="case")
    >>> round(pilot.run**0.5, 3), round(pilot.pair**0.5, 3), round(pilot.residual**0.5, 3)
    (0.024, 0.004, 0.008)
    """
    if runs is not None:
        check_choice(runs, get_args(Runs), name="relation of runs")
    by_name = matrices_of(table, value, algorithm, run, case)
    check_squares(by_name)
    relation = relation_of(by_name) if runs is None else runs
    matrices = list(by_name.values())
    _check_complete(matrices, relation)
    first = matrices[0]
    if relation == "crossed":
        matrices = [matrix.loc[first.index] for matrix in matrices]
    squares = mean_squares(
        [matrix[first.columns].to_numpy(dtype=np.float64) for matrix in matrices], relation
    )
    n_runs, n_cases = first.shape
    return ComparisonVariances(
        max(squares.runs - squares.residual, 0.0) / n_cases,
        squares.excess / n_runs,
        squares.residual,
        relation,
    )


def plan_comparison(
    variances: ComparisonVariances,
    *,
    difference: float | None = None,
    margin: float | None = None,
    power: float = 0.8,
    training_cost: float = 1.0,
    case_cost: float = 0.0,
    max_trainings: int = 50,
    max_cases: int = 10_000,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Tell how many trainings and cases decide a comparison for new trainings and new cases.

    Parameters
    ----------
    variances
        Of a pilot (`comparison_variances`), or as they are expected.
    difference
        Difference that shall be found, in the unit of the value; or
    margin
        Margin within which equivalence shall be shown where there is no difference.
    power
        Probability with which that succeeds.
    training_cost, case_cost
        Of one training of one algorithm, and of one case, in any unit.
    max_trainings, max_cases
        The most that are possible.
    confidence_level
        Of the interval; the tests have the level 1 - ``confidence_level``.

    Returns
    -------
    DataFrame
        One row a number of trainings of each algorithm that can do: ``n_runs``, ``n_cases`` (the
        fewest that are enough), ``power``, ``cost`` (of two algorithms) and ``cheapest``. Empty if
        nothing within the limits is enough: then the part of the variance that cannot be made
        smaller is too large.

    Raises
    ------
    InputError
        If not one of ``difference`` and ``margin`` is given, or a number is out of range.

    Notes
    -----
    The power of the t test is that of the noncentral t distribution, with the variance and the
    degrees of freedom that are expected. The power of two one-sided tests at no difference is taken
    as that of `reprostats.stats.equivalence.equivalence_power`. A pilot knows its variances badly;
    plan with larger ones, too.

    Examples
    --------
    Trainings cost 100 times as much as cases:

    >>> pilot = ComparisonVariances(run=0.01**2, pair=0.02**2, residual=0.03**2)
    >>> plan = plan_comparison(pilot, difference=0.02, training_cost=100, case_cost=1)
    >>> print(plan[plan["cheapest"]].round(2).to_string(index=False))
     n_runs  n_cases  power  cost  cheapest
          6      118    0.8  1318      True
    """
    _check(variances, difference, margin, power, training_cost, case_cost)
    check_confidence_level(confidence_level)
    most = (
        check_integer(max_trainings, _PAIR, name="max_trainings", most=_MOST_TRAININGS),
        check_integer(max_cases, _PAIR, name="max_cases", most=_MOST_CASES),
    )
    alpha = 1 - confidence_level

    def reached(n_runs: int, n_cases: int) -> float:
        return _power(variances, n_runs, n_cases, difference, margin, alpha)

    return cheapest_plan(
        reached,
        lambda found: found >= power,
        lambda n_runs, n_cases: 2 * n_runs * training_cost + n_cases * case_cost,
        most,
        ["n_runs", "n_cases", "power"],
    )


def _power(
    variances: ComparisonVariances,
    n_runs: int,
    n_cases: int,
    difference: float | None,
    margin: float | None,
    alpha: float,
) -> float:
    error = sum(variances.variance(n_runs, n_cases)) ** 0.5
    df = variances.df(n_runs, n_cases)
    if difference is not None:
        critical = float(stats.t.isf(alpha / 2, df))
        shift = abs(difference) / error
        return float(stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift))
    return equivalence_power((margin or 0.0) / error, df, alpha)


def _check(
    variances: ComparisonVariances,
    difference: float | None,
    margin: float | None,
    power: float,
    training_cost: float,
    case_cost: float,
) -> None:
    if (difference is None) == (margin is None):
        raise InputError("give a difference that shall be found, or a margin: one of the two.")
    wanted = difference if margin is None else margin
    if not is_between(wanted, 0, math.inf):
        raise InputError(f"the difference or margin is {wanted!r}; it must be above 0.")
    if not is_between(power, 0, 1):
        raise InputError(f"power is {power!r}; it must lie between 0 and 1.")
    check_not_negative(training_cost=training_cost, case_cost=case_cost)
    if not isinstance(variances, ComparisonVariances):
        raise InputError(
            f"variances is {variances!r:.60}; it must be what comparison_variances gives."
        )
    check_not_negative(**{"variances.run": variances.run, "variances.pair": variances.pair})
    check_positive(**{"variances.residual": variances.residual})


def _check_complete(matrices: list[pd.DataFrame], runs: Runs) -> None:
    if len(matrices) < _PAIR:
        raise InputError("there is one algorithm; a pilot has at least two.")
    first = matrices[0]
    for matrix in matrices:
        alike = set(matrix.columns) == set(first.columns) and len(matrix) == len(first)
        alike &= runs == "nested" or set(matrix.index) == set(first.index)
        if not alike or not np.isfinite(matrix.to_numpy(dtype=np.float64)).all():
            raise InputError(
                "a pilot needs a finite value of every run for every case, and as many runs of "
                "each algorithm; leave out what is not complete."
            )
    if len(first) < _PAIR or first.shape[1] < _PAIR:
        raise InputError("a pilot needs at least two runs of each algorithm, and two cases.")
