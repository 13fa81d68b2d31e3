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

from reprostats.errors import InputError, unknown_name
from reprostats.stats.categories import Coded, Labels, coded_ratings
from reprostats.stats.checks import check_confidence_level, count

Floats = NDArray[np.float64]
Weights = Literal["none", "linear", "quadratic"]

_PERFECT = "raters agree on every subject: the interval has no width"

_COLUMNS = ["coefficient", "estimate", "ci_low", "ci_high", "standard_error"]
_COLUMNS += ["agreement", "chance_agreement", "p_value"]
_COLUMNS += ["n_subjects", "n_raters", "n_categories", "note"]


class _Estimate(NamedTuple):
    estimate: float
    standard_error: float
    agreement: float
    chance_agreement: float
    error_if_none: float
    note: str


def cohen_kappa(
    first: Labels,
    second: Labels | None = None,
    *,
    weights: Weights = "none",
    categories: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
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
    Estimate and both standard errors, at the estimate for the interval and at 0 for the test, are
    those of Fleiss, Cohen and Everitt [1]_; interval and test are those of a normal distribution
    and need some tens of subjects. If both raters use one and the same category throughout, kappa
    is 0/0: NaN, with a note.

    References
    ----------
    .. [1] J. L. Fleiss, J. Cohen and B. S. Everitt, "Large sample standard errors of kappa and
       weighted kappa", Psychological Bulletin 72(5), 323-327 (1969).

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
    check_confidence_level(confidence_level)
    if weights not in get_args(Weights):
        raise unknown_name("weights", weights, get_args(Weights))
    coded = coded_ratings(first, second, categories)
    _check_two_complete(coded)
    if weights != "none" and not coded.is_ordered:
        raise InputError(
            "weights need the order of the categories, and text has none: "
            "give categories=, from lowest to highest"
        )
    found = _kappa(coded, _agreement_weights(len(coded.categories), weights))
    tail = float(special.ndtri((1 - confidence_level) / 2))
    name = "Cohen's kappa" + ("" if weights == "none" else f", {weights} weights")
    z = _ratio(found.estimate, found.error_if_none)
    return _as_row(name, found, coded, -tail, 2 * float(special.ndtr(-abs(z))))


def gwet_ac1(
    first: Labels,
    second: Labels | None = None,
    *,
    categories: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
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
    being fixed; interval and test use t with n - 1 degrees of freedom, as irrCAC does. Raters who
    agree on every subject have AC1 = 1 with a standard error of 0, which does not mean certainty
    about other subjects. A single known category leaves nothing to agree on: NaN, with a note.

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
    check_confidence_level(confidence_level)
    coded = coded_ratings(first, second, categories)
    return _by_t("Gwet's AC1", _ac1(coded), coded, confidence_level)


def _by_t(name: str, found: _Estimate, coded: Coded, confidence_level: float) -> pd.DataFrame:
    df = int((coded.codes >= 0).any(axis=1).sum()) - 1  # a subject without ratings tells nothing
    quantile = -float(special.stdtrit(df, (1 - confidence_level) / 2))
    t = _ratio(found.estimate, found.error_if_none)
    return _as_row(name, found, coded, quantile, 2 * float(special.stdtr(df, -abs(t))))


def fleiss_kappa(
    first: Labels,
    second: Labels | None = None,
    *,
    categories: Sequence[Hashable] | None = None,
    confidence_level: float = 0.95,
) -> pd.DataFrame:
    """Estimate the agreement of several raters beyond chance by Fleiss' kappa.

    Like Cohen's, it is small where one category holds nearly all subjects; see `gwet_ac1`.

    Parameters
    ----------
    first, second, categories, confidence_level
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
    Gwet's linearisation over subjects, as irrCAC has it; interval and test use t with n - 1
    degrees of freedom.

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
    check_confidence_level(confidence_level)
    coded = coded_ratings(first, second, categories)
    one_category = "all ratings are of one category: kappa is 0/0"
    found = _linearised(coded, lambda common: common, if_certain=one_category)
    return _by_t("Fleiss' kappa", found, coded, confidence_level)


def _kappa(coded: Coded, weights: Floats) -> _Estimate:
    """Estimate kappa; ``weights`` of agreement have shape (categories, categories)."""
    n, size = len(coded.codes), len(coded.categories)
    shares = np.zeros((size, size))
    np.add.at(shares, (coded.codes[:, 0], coded.codes[:, 1]), 1 / n)
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed = float((shares * weights).sum())
    chance = float(rows @ weights @ columns)
    if np.isclose(chance, 1, rtol=0, atol=1e-12):
        note = "both raters use one category only: kappa is 0/0"
        return _Estimate(np.nan, np.nan, observed, chance, np.nan, note)
    kappa = (observed - chance) / (1 - chance)
    marginal = (weights @ columns)[:, None] + (rows @ weights)[None, :]
    spread = weights * (1 - chance) - marginal * (1 - observed)
    centre = observed * chance - 2 * chance + observed
    variance = float((shares * spread**2).sum()) - centre**2
    if_none = float(rows @ (weights - marginal) ** 2 @ columns) - chance**2
    error, error_if_none = (
        max(value, 0.0) ** 0.5 / ((1 - chance) ** power * n**0.5)
        for value, power in ((variance, 2), (if_none, 1))
    )
    note = _PERFECT if np.isclose(observed, 1, rtol=0, atol=1e-12) else ""
    return _Estimate(kappa, 0.0 if note else error, observed, chance, error_if_none, note)


def _ac1(coded: Coded) -> _Estimate:
    size = len(coded.categories)
    if size == 1:
        observed = float(_agreed(_counts(coded))[0].mean())
        note = "only one category is known, so there is nothing to agree on; name them all"
        return _Estimate(np.nan, np.nan, observed, np.nan, np.nan, note)
    return _linearised(coded, lambda common: (1 - common) / (size - 1))


def _agreed(counts: Floats) -> tuple[Floats, Floats]:
    """Return how far raters of each subject agree, and the weight of each, of mean 1."""
    raters = counts.sum(axis=1)
    several = raters > 1
    pairs = (counts * (counts - 1)).sum(axis=1)
    weight = np.where(several, len(counts) / several.sum(), 0.0)
    agreed = np.where(several, pairs / np.maximum(raters * (raters - 1), 1), 0.0)
    return agreed * weight, weight


def _linearised(
    coded: Coded, by_category: Callable[[Floats], Floats], *, if_certain: str = ""
) -> _Estimate:
    """Estimate a coefficient whose chance agreement is a sum over the shares of categories.

    ``by_category`` gives the chance that a rating of each category meets another one like it;
    ``if_certain`` is the note where that is certain, so that there is no coefficient.
    """
    counts = _counts(coded)
    shares = counts / counts.sum(axis=1)[:, None]
    common = shares.mean(axis=0)
    agreed, weight = _agreed(counts)
    observed = float(agreed.mean())
    chances = by_category(common)
    chance = float(common @ chances)
    if np.isclose(chance, 1, rtol=0, atol=1e-12):
        return _Estimate(np.nan, np.nan, observed, chance, np.nan, if_certain)
    estimate = (observed - chance) / (1 - chance)
    own = (agreed - weight * chance) / (1 - chance)
    shift = 2 * (1 - estimate) * (shares @ chances - chance) / (1 - chance)
    error = float(np.std(own - shift, ddof=0, mean=estimate) / (len(counts) - 1) ** 0.5)
    note = _PERFECT if observed == 1 else ""
    return _Estimate(estimate, error, observed, chance, error, note)


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


def _as_row(
    name: str, found: _Estimate, coded: Coded, quantile: float, p_value: float
) -> pd.DataFrame:
    margin = quantile * found.standard_error
    row: dict[str, Any] = {
        "coefficient": name,
        **found._asdict(),
        "ci_low": float(np.maximum(found.estimate - margin, -1.0)),
        "ci_high": float(np.minimum(found.estimate + margin, 1.0)),
        "p_value": p_value,
        "n_subjects": int((coded.codes >= 0).any(axis=1).sum()),
        "n_raters": coded.codes.shape[1],
        "n_categories": len(coded.categories),
    }
    return pd.DataFrame([row])[_COLUMNS]


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
