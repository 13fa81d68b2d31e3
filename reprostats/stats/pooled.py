"""Trainings and cases both random: the analysis of all algorithms together.

A value is y = mu + algorithm + run + case + algorithm x case + residual. Runs are nested in
algorithms, or crossed with them where runs share their seeds; then there are run, algorithm x run
and run x case besides. The variance of the difference of two algorithms has two parts, one that
more runs make smaller and one that more cases do.

Complete data are analysed by mean squares, pooled over all algorithms; with r1 and r2 runs on n
cases the parts are f MS(R) and f max(MS(AC) - MS(RC), 0) with f = (1/r1 + 1/r2) / n. All other data
are analysed by restricted maximum likelihood; the part of cases is v dV/dv, with the variance v of
algorithm x case and the variance V of the difference. In balanced data with no variance at 0 both
give the same numbers.

References are those of `reprostats.stats.algorithms`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from reprostats.errors import InputError
from reprostats.stats.components import fit_components
from reprostats.stats.contrast import Contrast, Part
from reprostats.stats.mean_squares import Floats, Runs, mean_squares

# Restricted maximum likelihood takes seconds for so many levels, and the cube of it for more.
MAX_LEVELS = 1500

_PAIR = 2
_NO_RESIDUAL = 1e-8  # share of the variance that stands for a residual of none
_FACTORS: Mapping[Runs, Sequence[str]] = {
    "nested": ("case", "algorithm:run", "algorithm:case"),
    "crossed": ("run", "case", "algorithm:run", "algorithm:case", "run:case"),
}
_OF_CASES = "algorithm:case"


@dataclass(frozen=True)
class Pooled:
    """Means of algorithms, and the parts of the variance of their differences.

    Parameters
    ----------
    means
        By algorithm.
    of_runs, of_cases
        The parts of the variance of the difference of two algorithms, shape (algorithms,
        algorithms), in the order of ``means``.
    run_df, case_df
        Their degrees of freedom.
    note
        How the data were analysed, if not by mean squares.
    """

    means: Mapping[Hashable, float]
    of_runs: Floats
    of_cases: Floats
    run_df: float
    case_df: float
    note: str = ""

    def contrast(self, one: Hashable, other: Hashable, *, strict: bool) -> Contrast:
        """Return the difference of two algorithms; ``strict`` is that of `Contrast`."""
        names = list(self.means)
        place = names.index(one), names.index(other)
        parts: list[Part] = [
            (float(self.of_runs[place]), self.run_df),
            (float(self.of_cases[place]), self.case_df),
        ]
        return Contrast.of_parts(self.means[one] - self.means[other], parts, strict=strict)


def pooled(matrices: Mapping[Hashable, pd.DataFrame], runs: Runs) -> Pooled | None:
    """Analyse all algorithms together.

    Parameters
    ----------
    matrices
        By algorithm: one row a run, one column a case; missing values are NaN.
    runs
        ``"nested"`` or ``"crossed"``.

    Returns
    -------
    Pooled or None
        None where nothing is left to estimate the spread of runs or of cases from, or where data
        with missing cells are too large for restricted maximum likelihood.
    """
    known = {name: matrix for name, matrix in matrices.items() if matrix.size}
    cases = pd.concat([pd.Series(matrix.columns) for matrix in known.values()]).unique()
    run_df = _run_df(known, runs)
    if len(known) < _PAIR or run_df < 1 or len(cases) < _PAIR:
        return None
    if _is_complete(known, cases, runs):
        arrays = {n: _in_order(m, cases) for n, m in known.items()}
        return _by_mean_squares(arrays, runs)
    levels = len(cases) * (1 + len(known)) + sum(map(len, known.values()))
    return by_likelihood(known, runs, run_df) if levels <= MAX_LEVELS else None


def _in_order(matrix: pd.DataFrame, cases: NDArray[np.object_]) -> Floats:
    ordered = matrix if np.array_equal(matrix.columns, cases) else matrix[cases]
    return ordered.to_numpy(dtype=np.float64)


def _run_df(matrices: Mapping[Hashable, pd.DataFrame], runs: Runs) -> int:
    """Return the degrees of freedom of runs: within algorithms, or of algorithm x run."""
    labels = [label for matrix in matrices.values() for label in matrix.index]
    within = len(labels) - len(matrices)
    return within - (len(set(labels)) - 1 if runs == "crossed" else 0)


def _is_complete(
    matrices: Mapping[Hashable, pd.DataFrame], cases: NDArray[np.object_], runs: Runs
) -> bool:
    """Tell whether mean squares are enough: no cell is missing, and the design is balanced."""
    tables = list(matrices.values())
    if any(table.shape[1] != len(cases) for table in tables):
        return False
    if not all(np.isfinite(table.to_numpy(dtype=np.float64)).all() for table in tables):
        return False
    if runs == "crossed":
        return all(set(table.index) == set(tables[0].index) for table in tables)
    return len(tables) == _PAIR or len({len(table) for table in tables}) == 1


def _by_mean_squares(arrays: Mapping[Hashable, Floats], runs: Runs) -> Pooled:
    n_cases = next(iter(arrays.values())).shape[1]
    squares = mean_squares(list(arrays.values()), runs)
    counts = np.array([len(array) for array in arrays.values()])
    factor = (1 / counts[:, None] + 1 / counts) / n_cases
    return Pooled(
        {name: float(array.mean()) for name, array in arrays.items()},
        factor * squares.runs,
        factor * squares.excess,
        squares.run_df,
        (len(arrays) - 1) * (n_cases - 1),
    )


def by_likelihood(
    matrices: Mapping[Hashable, pd.DataFrame], runs: Runs, run_df: int
) -> Pooled | None:
    """Analyse data in which cells may be missing, and runs and cases unequal.

    Parameters
    ----------
    matrices, runs
        As of `pooled`.
    run_df
        Degrees of freedom of runs.

    Returns
    -------
    Pooled or None
        None where the design cannot tell the parts of the variance apart.
    """
    names = list(matrices)
    long = pd.concat(
        [
            matrix.reset_index(names="run")
            .melt("run", var_name="case", value_name="value")
            .assign(algorithm=str(place))
            for place, matrix in enumerate(matrices.values())
        ],
        ignore_index=True,
    )
    rows = long[np.isfinite(long["value"].astype(float))].astype({"run": str, "case": str})
    try:
        fitted = fit_components(rows, value="value", random=_FACTORS[runs], fixed=["algorithm"])
    except InputError:
        return None  # a design that cannot tell the parts apart
    variances = dict(zip(_FACTORS[runs], fitted.variances, strict=False))
    means, of_runs, of_cases = _least_squares(rows, variances, float(fitted.variances[-1]))
    cells = sum(matrix.size for matrix in matrices.values())
    missing = cells - len(rows)
    why = f"{missing} of {cells} cells are missing" if missing else "runs or cases are unequal"
    return Pooled(
        dict(zip(names, means.tolist(), strict=True)),
        of_runs,
        of_cases,
        run_df,
        (len(names) - 1) * (rows["case"].nunique() - 1),
        f"{why}: estimated by restricted maximum likelihood",
    )


def _least_squares(
    rows: pd.DataFrame, variances: Mapping[str, float], residual: float
) -> tuple[Floats, Floats, Floats]:
    """Return the means of algorithms by generalised least squares, and the parts of the variance.

    With Z the levels of all factors and D their variances, the inverse of the covariance is
    (I - Z (residual D^-1 + Z'Z)^-1 Z') / residual.
    """
    inside = {name: variance for name, variance in variances.items() if variance > 0}
    residual = max(residual, _NO_RESIDUAL * (sum(variances.values()) + residual))
    y = rows["value"].to_numpy(dtype=np.float64)
    fixed = _indicators(rows["algorithm"])
    random = {name: _indicators(_joined(rows, name)) for name in inside}
    if random:
        levels = sparse.hstack(list(random.values())).tocsc()
        ridge = [np.full(random[name].shape[1], residual / inside[name]) for name in inside]
        solve = splu((levels.T @ levels + sparse.diags(np.concatenate(ridge))).tocsc()).solve

        def weigh(columns: Floats) -> Floats:
            return np.asarray((columns - levels @ solve(levels.T @ columns)) / residual)
    else:

        def weigh(columns: Floats) -> Floats:
            return columns / residual

    x = fixed.toarray()
    weighed = weigh(x)
    covariance = np.linalg.inv(x.T @ weighed)
    means = covariance @ (weighed.T @ y)
    of_cases = np.zeros_like(covariance)
    if _OF_CASES in inside:
        pushed = random[_OF_CASES].T @ weighed @ covariance
        of_cases = inside[_OF_CASES] * pushed.T @ pushed
    total, cases = _of_differences(covariance), _of_differences(of_cases)
    return means, np.maximum(total - cases, 0.0), cases


def _of_differences(covariance: Floats) -> Floats:
    variances = np.diag(covariance)
    return np.asarray(variances[:, None] + variances - 2 * covariance)


def _joined(rows: pd.DataFrame, factor: str) -> pd.Series[str]:
    return rows[factor.split(":")].astype(str).agg("\x1f".join, axis=1)


def _indicators(labels: pd.Series[str]) -> sparse.csc_matrix:
    codes, known = pd.factorize(labels)
    ones = np.ones(len(codes))
    shape = (len(codes), len(known))
    return sparse.csc_matrix((ones, (np.arange(len(codes)), codes)), shape=shape)
