"""Intraclass correlations of ratings that are far from normal: a test of that, and a bootstrap.

The intervals of mean squares suppose that subjects and residuals are normal. With long tails the
mean square of the subjects varies more than chi-squared says, and no number of subjects mends it.

References
----------
.. [1] R. B. D'Agostino, A. Belanger and R. B. D'Agostino Jr., "A suggestion for using powerful and
   informative tests of normality", The American Statistician 44(4), 316-321 (1990).
.. [2] F. J. Anscombe and W. J. Glynn, "Distribution of the kurtosis statistic b2 for normal
   samples", Biometrika 70(1), 227-234 (1983).
.. [3] O. Ukoumunne, A. Davison, M. Gulliford and S. Chinn, "Non-parametric bootstrap confidence
   intervals for the intraclass correlation coefficient", Statistics in Medicine 22, 3805-3821
   (2003).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reprostats.stats.precision import centre

Floats = NDArray[np.float64]
Model = Literal["one-way", "agreement", "consistency"]

FAR_FROM_NORMAL = (
    "ratings are far from normal, and the interval supposes that they are; see interval='bootstrap'"
)
FEW_SUBJECTS = "few subjects: the bootstrap does not hold its level"
FEWEST_TO_DRAW = 10
_LEVEL = 0.01
# What the tests of skewness and of kurtosis need at least.
_FEWEST_FOR_SKEWNESS, _FEWEST_FOR_KURTOSIS = 8, 20
_RESAMPLES, _SEED = 2_000, 2003
_NUMBERS_AT_A_TIME = 2_000_000
_NEAR_ONE = 1e-12


def is_far_from_normal(ratings: Floats) -> bool:
    """Tell whether means of subjects, or residuals, are skewed or have longer tails than normal.

    Four tests share a level of 1 %: skewness [1]_ and, one-sided, kurtosis [2]_ of either. Shorter
    tails do no harm.

    Parameters
    ----------
    ratings
        Complete, shape (subjects, raters).

    Examples
    --------
    >>> normal = np.random.default_rng(1).normal(size=(100, 3))
    >>> is_far_from_normal(normal), is_far_from_normal(np.exp(2 * normal))
    (False, True)
    """
    means = ratings.mean(axis=1)
    residuals = centre(ratings - means[:, None]).ravel()
    p_values = []
    for values in (centre(means), residuals):
        if len(values) < _FEWEST_FOR_SKEWNESS or not values.std() > 0:
            continue
        p_values.append(float(stats.skewtest(values).pvalue))
        if len(values) >= _FEWEST_FOR_KURTOSIS:
            p_values.append(float(stats.kurtosistest(values, alternative="greater").pvalue))
    return min(p_values, default=1.0) < _LEVEL / 4


def bootstrap_interval(
    ratings: Floats, model: Model, confidence_level: float
) -> tuple[float, float]:
    """Return the studentised bootstrap interval of single ratings, subjects drawn anew [3]_.

    It is made for Fisher's z, whose error depends little on its size; the error
    of each resample is that of its jackknife. Raters are the same in each resample. The same
    ratings give the same interval.

    Parameters
    ----------
    ratings
        Complete, of size about 1, shape (subjects, raters).
    model
        Of the coefficient.
    confidence_level
        Of the interval.

    Returns
    -------
    low, high
        NaN where no resample varies.
    """
    n, k = ratings.shape
    near = centre(ratings)
    means = near.mean(axis=1)
    within = np.square(near - means[:, None]).sum(axis=1)
    parts = np.column_stack([means, means**2, within, near])
    z, error = (float(value) for value in _z_and_error(np.ones(n), parts, model))
    counts = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    blocks = np.array_split(counts, max(1, counts.size * parts.shape[1] // _NUMBERS_AT_A_TIME))
    drawn = np.concatenate([_z_and_error(block, parts, model) for block in blocks], axis=-1)
    usable = np.isfinite(drawn).all(axis=0) & (drawn[1] > 0)
    if not usable.any():
        return np.nan, np.nan
    tail = (1 - confidence_level) / 2
    far = np.quantile((drawn[0] - z)[usable] / drawn[1, usable], [1 - tail, tail])
    growth = np.exp(2 * (z - far * error))
    low, high = (growth - 1) / (growth + k - 1)
    return float(low), float(high)


def of_average(single: float, k: int) -> float:
    """Return the coefficient of the mean of k ratings, by Spearman and Brown's formula.

    Examples
    --------
    >>> round(of_average(0.715, 4), 3)
    0.909
    """
    return k * single / (1 + (k - 1) * single)


def _z_and_error(counts: NDArray[Any], parts: Floats, model: Model) -> Floats:
    """Return Fisher's z, and its jackknife error, of resamples: shape (2, ...).

    ``counts`` says how often each subject is in a resample, shape (..., subjects). A resample of
    which one subject is left out has the sums of ``parts`` less those of the subject.
    """
    n = len(parts)
    sums = counts @ parts
    z = _fisher(_coefficient(n, sums, model), parts.shape[1] - 3)
    left_out = _coefficient(n - 1, sums[..., None, :] - parts, model)
    others = _fisher(left_out, parts.shape[1] - 3)
    with np.errstate(invalid="ignore"):
        middle = (counts * others).sum(axis=-1, keepdims=True) / n
        variance = (n - 1) / n * (counts * np.square(others - middle)).sum(axis=-1)
    return np.stack([z, np.sqrt(variance)])


def _coefficient(n: int, sums: Floats, model: Model) -> Floats:
    """Return the coefficient of single ratings from sums over n subjects, shape (..., parts)."""
    k = sums.shape[-1] - 3
    mean = sums[..., 0] / n
    of_subjects = k * (sums[..., 1] - n * mean**2) / max(n - 1, 1)
    within = sums[..., 2]
    of_raters = n * np.square(sums[..., 3:] / n - mean[..., None]).sum(axis=-1)
    error = (within - of_raters) / max((n - 1) * (k - 1), 1)
    shift = 0.0 * error
    if model == "one-way":
        error = within / (n * (k - 1))
    elif model == "agreement":
        shift = k * (of_raters / (k - 1) - error) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((of_subjects - error) / (of_subjects + (k - 1) * error + shift))


def _fisher(coefficient: Floats, k: int) -> Floats:
    """Return Fisher's z of a coefficient of k ratings, which lies above -1 / (k - 1)."""
    least = -1 / (k - 1) + _NEAR_ONE
    inside = np.clip(coefficient, least, 1 - _NEAR_ONE)
    return np.asarray(np.log((1 + (k - 1) * inside) / (1 - inside)) / 2)
