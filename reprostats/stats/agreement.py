"""Agreement of two or more raters beyond chance.

What each function is for:

==================  ==============================================================================
`cohen_kappa`       two raters put every subject into a category
`gwet_ac1`          the same for two or more raters; right also where one category is rare
`fleiss_kappa`      kappa of two or more raters, who need not be the same for every subject
==================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.categories import Coded, Labels, coded_ratings
from reprostats.stats.chance_corrected import (
    Coefficient,
    Patterns,
    kappa,
    kappa_interval,
    pattern_interval,
)
from reprostats.stats.checks import check_choice, check_confidence_level, count

Floats = NDArray[np.float64]
Weights = Literal["none", "linear", "quadratic"]
Interval = Literal["profile", "wald"]

_PERFECT = "raters agree on every subject"

_COLUMNS = ["coefficient", "estimate", "ci_low", "ci_high", "standard_error"]
_COLUMNS += ["agreement", "chance_agreement", "p_value"]
_COLUMNS += ["n_subjects", "n_raters", "n_categories", "note"]


class _Estimate(NamedTuple):
    estimate: float
    standard_error: float
    agreement: float
    chance_agreement: float
    ci_low: float
    ci_high: float
    p_value: float
    note: str


def cohen_kappa(
    first: Labels,
    second: Labels | None = None,
    *,
    weights: Weights = "none",
    categories: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
    interval: Interval = "profile",
) -> pd.DataFrame:
    """Estimate the agreement of two raters beyond chance.

    Valid where both raters judge the same subjects independently. Where one category holds nearly
    all subjects, kappa is small even if the raters nearly always agree; see `gwet_ac1`.

    Parameters
    ----------
    first, second
        Categories (numbers, text or truth values) of shape (subjects,), one sequence a rater; or
        ``first`` alone, of shape (subjects, 2). Every subject needs both.
    weights
        Of a disagreement: ``"none"`` counts all as equal; ``"linear"`` and ``"quadratic"`` by the
        distance of the categories, which must then be ordered.
    categories
        All categories, in order. By default the levels of ordered categories of pandas, else
        those that were used, sorted.
    confidence_level
        Of the interval, between 0 and 1.
    interval
        "profile": holds its level with few subjects and rare categories, and has a width where
        raters agree on every subject [2]_. "wald": the estimate and its standard error times a
        quantile, as most programs have it; it needs some tens of subjects in every category.

    Returns
    -------
    DataFrame
        One row: ``coefficient``, ``estimate``, ``ci_low``, ``ci_high`` (within [-1, 1]),
        ``standard_error``, ``agreement`` and ``chance_agreement`` (shares, weighted if weights
        are), ``p_value`` (two-sided, of no agreement beyond chance), ``n_subjects``, ``n_raters``,
        ``n_categories`` and ``note``, empty unless a result needs a word.

    Raises
    ------
    InputError
        If a rating is missing (named) or not among ``categories``, lengths differ, there are
        fewer than two subjects, or the order of text that weights need is not given.

    Notes
    -----
    Estimate and both standard errors, at the estimate and, for the test, at 0, are those of
    Fleiss, Cohen and Everitt [1]_; the test is that of a normal distribution. The profile interval
    holds the values of kappa that lie within a quantile of the standard error at that value: for
    two categories after Lee and Tu [2]_; for more, and for weights, see
    ``reprostats.stats.chance_corrected``. Its measured coverage is in ``docs``, page "Calibration".
    If both raters use one and the same category throughout, kappa is 0/0: NaN, with a note.

    References
    ----------
    .. [1] J. L. Fleiss, J. Cohen and B. S. Everitt, "Large sample standard errors of kappa and
       weighted kappa", Psychological Bulletin 72(5), 323-327 (1969).
    .. [2] J. J. Lee and Z. N. Tu, "A better confidence interval for kappa on measuring agreement
       between two raters with binary outcomes", Journal of Computational and Graphical Statistics
       3(3), 301-321 (1994).

    Examples
    --------
    Two reviewers check whether 50 papers report the seed:

    >>> first = ["yes"] * 25 + ["no"] * 25
    >>> second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    >>> columns = ["estimate", "agreement", "chance_agreement"]
    >>> print(cohen_kappa(first, second)[columns].round(3).to_string(index=False))
     estimate  agreement  chance_agreement
          0.4        0.7               0.5
    """
    _check_options(confidence_level, interval)
    check_choice(weights, get_args(Weights), name="weights")
    coded = coded_ratings(first, second, categories)
    _check_two_complete(coded)
    if weights != "none" and not coded.is_ordered:
        raise InputError(
            "weights need the order of the categories, and text has none: "
            "give categories=, from lowest to highest"
        )
    found = _kappa(
        coded, _agreement_weights(len(coded.categories), weights), interval, confidence_level
    )
    name = "Cohen's kappa" + ("" if weights == "none" else f", {weights} weights")
    return _as_row(name, found, coded)


def gwet_ac1(
    first: Labels,
    second: Labels | None = None,
    *,
    categories: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
    interval: Interval = "profile",
) -> pd.DataFrame:
    """Estimate the agreement of raters beyond chance by Gwet's AC1, steady for rare categories.

    Parameters
    ----------
    first, second
        Categories (numbers, text or truth values) of shape (subjects,), one sequence a rater; or
        ``first`` alone, of shape (subjects, raters). Missing ratings (None, NaN) are allowed: a
        subject with one rating counts for how common categories are, not for agreement.
    categories
        All categories; by default those that were used. AC1 depends on their number, so name
        them where one was never used.
    confidence_level
        Of the interval, between 0 and 1.
    interval
        As of `cohen_kappa`; "wald" takes the quantile of t with n - 1 degrees of freedom, as
        irrCAC does.

    Returns
    -------
    DataFrame
        One row, as of `cohen_kappa`.

    Raises
    ------
    InputError
        If a rating is not among ``categories``, lengths differ, there are fewer than two
        subjects or raters, or no subject has two ratings.

    Notes
    -----
    With p_k the mean share of category k among K, chance agreement is
    sum p_k (1 - p_k) / (K - 1). The variance is Gwet's linearisation over subjects [1]_, raters
    being fixed; the test uses t with n - 1 degrees of freedom, as irrCAC does. Raters who agree on
    every subject have AC1 = 1 with a standard error of 0, which is no certainty about other
    subjects. So p is at least K to the power of -n, the largest chance that raters of AC1 = 0 agree
    on n subjects. A single known category leaves nothing to agree on: NaN, with a note.

    References
    ----------
    .. [1] K. L. Gwet, "Computing inter-rater reliability and its variance in the presence of high
       agreement", British Journal of Mathematical and Statistical Psychology 61, 29-48 (2008).

    Examples
    --------
    Where nearly every paper reports a seed, kappa and AC1 tell different stories:

    >>> first, second = ["yes"] * 20, ["yes"] * 18 + ["no"] * 2
    >>> first[-1] = "no"
    >>> print(gwet_ac1(first, second)[["estimate", "agreement"]].round(3).to_string(index=False))
     estimate  agreement
        0.942       0.95
    >>> round(float(cohen_kappa(first, second)["estimate"].iloc[0]), 3)
    0.643
    """
    _check_options(confidence_level, interval)
    coded = coded_ratings(first, second, categories)
    size = len(coded.categories)
    if size == 1:
        return _as_row("Gwet's AC1", _nothing_to_agree_on(coded), coded)
    found = _by_pattern(
        coded, lambda common: (1 - common) / (size - 1), interval, confidence_level, chance=1 / size
    )
    return _as_row("Gwet's AC1", found, coded)


def fleiss_kappa(
    first: Labels,
    second: Labels | None = None,
    *,
    categories: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
    interval: Interval = "profile",
) -> pd.DataFrame:
    """Estimate the agreement of several raters beyond chance by Fleiss' kappa.

    Like Cohen's, it is small where one category holds nearly all subjects; see `gwet_ac1`.

    Parameters
    ----------
    first, second, categories, confidence_level, interval
        As of `gwet_ac1`, missing ratings too.

    Returns
    -------
    DataFrame
        One row, as of `cohen_kappa`.

    Raises
    ------
    InputError
        As `gwet_ac1`.

    Notes
    -----
    Chance agreement is the sum of the squared mean shares of the categories [1]_. The variance is
    Gwet's linearisation over subjects, as irrCAC has it; the test uses t with n - 1 degrees of
    freedom. Its p is at least the chance that raters agree on all n subjects by chance.

    References
    ----------
    .. [1] J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological
       Bulletin 76(5), 378-382 (1971).

    Examples
    --------
    >>> ratings = [["yes", "yes", "yes"], ["no", "no", "no"], ["yes", "yes", "no"]]
    >>> round(float(fleiss_kappa(ratings)["estimate"].iloc[0]), 3)
    0.55
    """
    _check_options(confidence_level, interval)
    coded = coded_ratings(first, second, categories)
    found = _by_pattern(coded, lambda common: common, interval, confidence_level)
    return _as_row("Fleiss' kappa", found, coded)


def _kappa(coded: Coded, weights: Floats, interval: Interval, confidence_level: float) -> _Estimate:
    """Estimate kappa; ``weights`` of agreement have shape (categories, categories)."""
    n, size = len(coded.codes), len(coded.categories)
    shares = np.zeros((size, size))
    np.add.at(shares, (coded.codes[:, 0], coded.codes[:, 1]), 1 / n)
    found = kappa(shares, weights)
    if np.isnan(found.estimate):
        return _without(found, "both raters use one category only: kappa is 0/0")
    error = 0.0 if found.is_certain else (found.variance / n) ** 0.5
    quantile = -float(special.ndtri((1 - confidence_level) / 2))
    if interval == "wald":
        limits = _wald(found, quantile * error)
    else:
        limits = kappa_interval(shares, weights, n, quantile)
    z = _ratio(found.estimate, _kappa_error_if_none(shares, weights, n))
    p_value = 2 * float(special.ndtr(-abs(z)))
    return _known(found, error, limits, p_value, interval)


def _kappa_error_if_none(shares: Floats, weights: Floats, n: int) -> float:
    """Return the standard error of kappa where there is no agreement beyond chance."""
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    chance = float(rows @ weights @ columns)
    marginal = (weights @ columns)[:, None] + (rows @ weights)[None, :]
    variance = float(rows @ (weights - marginal) ** 2 @ columns) - chance**2
    return float(max(variance, 0.0) ** 0.5 / ((1 - chance) * n**0.5))


def _by_pattern(
    coded: Coded,
    by_category: Callable[[Floats], Floats],
    interval: Interval,
    confidence_level: float,
    *,
    chance: float | None = None,
) -> _Estimate:
    """Estimate a coefficient of several raters.

    ``by_category`` is that of `Patterns.coefficient`; ``chance`` is the largest agreement that
    chance can make, by default that which it makes here.
    """
    counts = _counts(coded)
    n = len(counts)
    found = Patterns.of_counts(counts).coefficient(np.full(n, 1 / n), by_category)
    if np.isnan(found.estimate):
        return _without(found, "all ratings are of one category: kappa is 0/0")
    error = (found.variance / (n - 1)) ** 0.5
    tail = (1 - confidence_level) / 2
    if interval == "wald":
        limits = _wald(found, -float(special.stdtrit(n - 1, tail)) * error)
    else:
        limits = pattern_interval(counts, by_category, -float(special.ndtri(tail)))
    p_value = 2 * float(special.stdtr(n - 1, -abs(_ratio(found.estimate, error))))
    n_paired = int((counts.sum(axis=1) > 1).sum())
    least = (found.chance_agreement if chance is None else chance) ** n_paired
    return _known(found, error, limits, max(p_value, least), interval)


def _nothing_to_agree_on(coded: Coded) -> _Estimate:
    patterns = Patterns.of_counts(_counts(coded))
    observed = float(patterns.agreed.sum() / patterns.paired.sum())
    note = "only one category is known, so there is nothing to agree on; name them all"
    return _without(Coefficient(np.nan, np.nan, observed, np.nan), note)


def _known(
    found: Coefficient,
    error: float,
    limits: tuple[float, float],
    p_value: float,
    interval: Interval,
) -> _Estimate:
    note = _PERFECT if found.is_certain else ""
    if note and interval == "wald":
        note += ": the interval has no width"
    agreement = found.agreement, found.chance_agreement
    return _Estimate(found.estimate, error, *agreement, *limits, p_value, note)


def _without(found: Coefficient, note: str) -> _Estimate:
    """Say why there is no coefficient."""
    agreement = found.agreement, found.chance_agreement
    return _Estimate(np.nan, np.nan, *agreement, np.nan, np.nan, np.nan, note)


def _wald(found: Coefficient, margin: float) -> tuple[float, float]:
    return max(found.estimate - margin, -1.0), min(found.estimate + margin, 1.0)


def _counts(coded: Coded) -> Floats:
    """Count how many raters put each subject into each category: shape (subjects, categories)."""
    counts = np.zeros((len(coded.codes), len(coded.categories)))
    for column in coded.codes.T:
        rated = np.flatnonzero(column >= 0)
        counts[rated, column[rated]] += 1
    counts = np.asarray(counts[counts.sum(axis=1) > 0])
    if not (counts.sum(axis=1) > 1).any():
        raise InputError("no subject is rated by two raters, so agreement cannot be told")
    return counts


def _agreement_weights(size: int, weights: Weights) -> Floats:
    if weights == "none" or size == 1:
        return np.eye(size)
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) / (size - 1)
    power = 1 if weights == "linear" else 2
    similarity: Floats = 1 - np.power(distance, power)
    return similarity


def _ratio(estimate: float, error: float) -> float:
    if error == 0:
        return np.inf if estimate else 0.0
    return estimate / error


def _as_row(name: str, found: _Estimate, coded: Coded) -> pd.DataFrame:
    row: dict[str, Any] = {
        "coefficient": name,
        **found._asdict(),
        "n_subjects": int((coded.codes >= 0).any(axis=1).sum()),
        "n_raters": coded.codes.shape[1],
        "n_categories": len(coded.categories),
    }
    return pd.DataFrame([row])[_COLUMNS]


def _check_options(confidence_level: float, interval: Interval) -> None:
    check_confidence_level(confidence_level)
    check_choice(interval, get_args(Interval), name="interval")


def _check_two_complete(coded: Coded) -> None:
    if coded.codes.shape[1] != 2:  # noqa: PLR2004
        raise InputError(
            f"there are {coded.codes.shape[1]} raters; Cohen's kappa is for 2: "
            "use gwet_ac1, or compare two at a time"
        )
    bad = np.argwhere(coded.codes < 0)
    if bad.size:
        raise InputError(
            f"there is no rating of subject {bad[0, 0]} by rater {bad[0, 1]} "
            f"({count(len(bad), 'such rating')}); leave such subjects out knowingly, or use "
            "gwet_ac1, which takes them"
        )
