"""One value a case from a metric of a whole test set, such as an area under the ROC curve.

A metric such as AUC or F1 has one value a run, so that nothing can be said of other cases from it
alone. Its jackknife pseudovalues can stand for the values of cases: with n cases, the metric m of
all of them and m_k of all but case k, the pseudovalue of k is n m - (n - 1) m_k [1]_. They are
shifted so that their mean is m (normalised pseudovalues); analysed by mean squares they then give
the estimates, standard errors and degrees of freedom of Obuchowski and Rockette's method, the
standard of diagnostic imaging, with covariances by the jackknife [2]_.

References
----------
.. [1] D. D. Dorfman, K. S. Berbaum and C. E. Metz, "Receiver operating characteristic rating
   analysis: generalization to the population of readers and patients with the jackknife method",
   Investigative Radiology 27(9), 723-731 (1992).
.. [2] S. L. Hillis, N. A. Obuchowski, K. M. Schartz and K. S. Berbaum, "A comparison of the
   Dorfman-Berbaum-Metz and Obuchowski-Rockette methods for receiver operating characteristic (ROC)
   data", Statistics in Medicine 24(10), 1579-1607 (2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.stats.checks import check_table, count, is_between, labels_of

Statistic = Callable[[pd.DataFrame], float]

_AT_LEAST = 2


def pseudovalues(
    table: pd.DataFrame, statistic: Statistic, *, algorithm: str, run: str, case: str
) -> pd.DataFrame:
    """Turn a metric of the whole test set into one value a case, for `compare_algorithms`.

    Parameters
    ----------
    table
        Long table of what the metric is computed from, such as truth and score. A case may have
        several rows in a run, such as lesions of a patient: they are left out together.
    statistic
        The metric: takes the rows of one run, and returns a number.
    algorithm, run, case
        Columns of what is compared, of the training, and of what was measured.

    Returns
    -------
    DataFrame
        One row an algorithm, run and case: the three columns, and ``pseudovalue``, in the unit of
        the metric. The mean over the cases of a run is the metric of that run.

    Raises
    ------
    InputError
        If the table is empty, a column is not known or empty somewhere, a run has fewer than two
        cases, or the metric is not a finite number for a run or for a run without one of its cases.

    Notes
    -----
    The jackknife holds for metrics that change little with one case, such as AUC, F1, sensitivity
    and means; it fails for those that jump, such as a median or a maximum. The metric is computed
    once for each case of each run, and once more for each run.

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "model": ["a"] * 8 + ["b"] * 8, "seed": ([1] * 4 + [2] * 4) * 2, "case": [*"wxyz"] * 4,
    ...     "ill": [0, 0, 1, 1] * 4,
    ...     "score": [1, 5, 4, 8, 2, 3, 7, 6, 4, 5, 3, 6, 2, 6, 4, 5]})
    >>> def auc(rows):
    ...     ill, well = (rows.loc[rows["ill"] == k, "score"].to_numpy() for k in (1, 0))
    ...     return np.mean(ill[:, None] > well)
    >>> values = pseudovalues(table, auc, algorithm="model", run="seed", case="case")
    >>> values.groupby(["model", "seed"])["pseudovalue"].mean().tolist()
    [0.75, 1.0, 0.5, 0.5]
    >>> from reprostats import compare_algorithms
    >>> compared = compare_algorithms(
    ...     values, value="pseudovalue", algorithm="model", run="seed", case="case", runs="crossed")
    >>> compared[["difference", "se"]].round(3).to_numpy().tolist()
    [[0.375, 0.125]]
    """
    check_table(table)
    if not callable(statistic):
        raise InputError(f"statistic is {statistic!r:.60}; it must be a function of rows of a run")
    for name in (algorithm, run, case):
        _check_column(table, name)
    parts = []
    for labels, rows in table.groupby([algorithm, run], sort=False, observed=True):
        cases, values = _of_run(
            rows, statistic, case, f"algorithm {labels[0]!r}, run {labels[1]!r}"
        )
        columns = {algorithm: labels[0], run: labels[1], case: cases, "pseudovalue": values}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _of_run(
    rows: pd.DataFrame, statistic: Statistic, case: str, where: str
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    codes, cases = pd.factorize(rows[case])
    n = len(cases)
    if n < _AT_LEAST:
        raise InputError(f"{where} has {count(n, 'case')}; at least {_AT_LEAST} are needed")
    whole = _number(statistic, rows, where)
    without = np.array([
        _number(statistic, rows[codes != place], f"{where} without case {label!r}")
        for place, label in enumerate(cases)
    ])  # fmt: skip
    # n m - (n - 1) m_k, shifted by a constant so that the mean is m.
    return np.asarray(cases), whole + (n - 1) * (without.mean() - without)


def _number(statistic: Statistic, rows: pd.DataFrame, where: str) -> float:
    try:
        found = statistic(rows)
    except Exception as error:
        error.add_note(f"while the statistic was computed for {where}")
        raise
    if not is_between(found, -math.inf, math.inf):
        raise InputError(
            f"the statistic is {found!r} for {where}; it must be a finite number for every run, "
            "and for every run without any one of its cases"
        )
    return float(found)


def _check_column(table: pd.DataFrame, name: Hashable) -> None:
    if (empty := labels_of(table, name).isna()).any():
        row = int(np.flatnonzero(empty)[0])
        raise InputError(f"column {name!r} is empty in row {row}")
