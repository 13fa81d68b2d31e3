"""The mean over trainings that need not be independent: some share the level of a source.

Three splits of the data crossed with three sets of initial weights make nine trainings, but three
splits. Trainings that share a split vary together, and the mean over all nine varies with the
splits as much as a mean over three does. With n_l of N trainings at level l of source s,

    Var(mean) = sum over s of v_s * sum over l of (n_l / N)^2  +  v_e / N

with the variance components v_s of the sources and v_e of what is left. They are estimated by
restricted maximum likelihood (`reprostats.stats.components`). Each part of the sum has its own
degrees of freedom: the levels of the source less 1, and for the last part what is left of the
trainings. Without shared levels it is the usual s^2 / N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.stats.components import fit_components

Floats = NDArray[np.float64]
Part = tuple[float, float]


@dataclass(frozen=True)
class MeanOfRuns:
    """A mean over trainings, and what its variance is made of.

    Parameters
    ----------
    mean
        In the unit of the value.
    parts
        Variance of the mean in squared units, and degrees of freedom, of each part.
    variance
        Of a single new training, with levels of its own in every source.
    variance_low, variance_high
        Its interval.
    """

    mean: float
    parts: tuple[Part, ...]
    variance: float
    variance_low: float
    variance_high: float


def shared_levels(levels: pd.DataFrame) -> pd.DataFrame:
    """Keep the columns in which several runs, but not all of them, have one level.

    Examples
    --------
    >>> levels = pd.DataFrame({"init": [1, 2, 1, 2], "split": [1, 1, 2, 2], "run": [1, 2, 3, 4]})
    >>> list(shared_levels(levels))
    ['init', 'split']
    """
    counts = levels.nunique(dropna=False)
    shared: pd.DataFrame = levels[counts.index[(counts > 1) & (counts < len(levels))]]
    return shared


def mean_of_runs(
    values: Floats, levels: pd.DataFrame, confidence_level: float = 0.95
) -> MeanOfRuns:
    """Estimate the mean over trainings that share levels, and its variance.

    Parameters
    ----------
    values
        One a training, shape (trainings,).
    levels
        What `shared_levels` gives: a row a training, a column a source.
    confidence_level
        Of the interval of the variance.

    Returns
    -------
    MeanOfRuns
        Where the design cannot tell the sources apart, the source with the fewest levels stands
        for all: its part of the variance is then too large rather than too small.

    Examples
    --------
    >>> levels = pd.DataFrame({"split": [1, 1, 2, 2, 3, 3]})
    >>> found = mean_of_runs(np.array([0.8, 0.81, 0.9, 0.91, 0.85, 0.86]), levels)
    >>> round(found.mean, 3), [(round(part, 6), df) for part, df in found.parts]
    (0.855, [(0.000825, 2), (8e-06, 3)])
    """
    names = [str(name) for name in levels]
    table = levels.astype(str).assign(value=values)
    try:
        fitted = fit_components(table, value="value", random=names)
    except InputError:
        if len(names) == 1:
            raise
        fewest = min(names, key=lambda name: levels[name].nunique())
        return mean_of_runs(values, levels[[fewest]], confidence_level)
    counts = {name: levels[name].value_counts().to_numpy() for name in names}
    *variances, residual = fitted.variances
    parts = [
        (float(variance * np.square(counts[name] / len(values)).sum()), len(counts[name]) - 1)
        for name, variance in zip(names, variances, strict=True)
    ]
    left = len(values) - 1 - sum(df for _, df in parts)
    every = np.ones((1, len(names) + 1))
    total = fitted.sums(every, confidence_level).astype(float).iloc[0]
    return MeanOfRuns(
        float(np.mean(values)),
        (*parts, (float(residual) / len(values), max(left, 1))),
        float(total["variance"]),
        float(total["ci_low"]),
        float(total["ci_high"]),
    )
