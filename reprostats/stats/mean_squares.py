"""Mean squares of complete data: algorithms x runs x cases.

Formulas and references are those of `reprostats.stats.algorithms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Runs = Literal["nested", "crossed"]


class MeanSquares(NamedTuple):
    """MS(R), MS(AC), MS(RC), and the degrees of freedom of the first."""

    runs: float
    pairs: float
    residual: float
    run_df: int

    @property
    def excess(self) -> float:
        """What algorithm x case adds to the variance beside the residual, never below 0."""
        return max(self.pairs - self.residual, 0.0)


def mean_squares(arrays: Sequence[Floats], runs: Runs) -> MeanSquares:
    """Return the mean squares of complete data.

    Parameters
    ----------
    arrays
        Of each algorithm, shape (runs, cases). Crossed runs are in one order.
    runs
        ``"nested"`` or ``"crossed"``.
    """
    n_cases = arrays[0].shape[1]
    by_case = np.stack([array.mean(axis=0) for array in arrays])
    # Two algorithms may have different numbers of runs; then the harmonic mean stands for both.
    n_runs = len(arrays) / sum(1 / len(array) for array in arrays)
    pairs = n_runs * interaction(by_case) / (len(arrays) - 1) / (n_cases - 1)
    run_df = sum(map(len, arrays)) - len(arrays)
    if runs == "crossed":
        run_df -= len(arrays[0]) - 1
        stacked = np.stack(arrays)
        stacked = stacked - stacked.mean(axis=0)  # run, case and run x case are shared
        stacked = stacked - stacked.mean(axis=1, keepdims=True)
        arrays = list(stacked)
    within = sum(n_cases * _squares(array.mean(axis=1)) for array in arrays)
    rest = sum(interaction(array) for array in arrays)
    return MeanSquares(within / run_df, pairs, rest / run_df / (n_cases - 1), run_df)


def _squares(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())


def interaction(block: Floats) -> float:
    """Return the sum of squares of what neither rows nor columns explain.

    Examples
    --------
    >>> interaction(np.array([[1.0, 2.0], [3.0, 6.0]]))
    1.0
    """
    rows, columns = block.mean(axis=1, keepdims=True), block.mean(axis=0)
    return float(((block - rows - columns + block.mean()) ** 2).sum())
