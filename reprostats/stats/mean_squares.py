"""Mean squares of complete data: algorithms x runs x cases.

Formulas and references are those of `reprostats.stats.algorithms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Runs = Literal["nested", "crossed"]


def mean_squares(arrays: Sequence[Floats], runs: Runs, run_df: int) -> tuple[float, float, float]:
    """Return MS(R), MS(AC) and MS(RC) of complete data.

    Parameters
    ----------
    arrays
        Of each algorithm, shape (runs, cases). Crossed runs are in one order.
    runs, run_df
        Their relation, and the degrees of freedom of MS(R).
    """
    n_cases = arrays[0].shape[1]
    by_case = np.stack([array.mean(axis=0) for array in arrays])
    # Two algorithms may have different numbers of runs; then the harmonic mean stands for both.
    n_runs = len(arrays) / sum(1 / len(array) for array in arrays)
    pairs = n_runs * _interaction(by_case) / (len(arrays) - 1) / (n_cases - 1)
    if runs == "crossed":
        stacked = np.stack(arrays)
        stacked = stacked - stacked.mean(axis=0)  # run, case and run x case are shared
        stacked = stacked - stacked.mean(axis=1, keepdims=True)
        arrays = list(stacked)
    within = sum(n_cases * _squares(array.mean(axis=1)) for array in arrays)
    rest = sum(_interaction(array) for array in arrays)
    return within / run_df, pairs, rest / run_df / (n_cases - 1)


def _squares(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _interaction(block: Floats) -> float:
    """Return the sum of squares of what neither rows nor columns explain."""
    rows, columns = block.mean(axis=1, keepdims=True), block.mean(axis=0)
    return float(((block - rows - columns + block.mean()) ** 2).sum())
