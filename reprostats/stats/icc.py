"""Intraclass correlation coefficients, after McGraw and Wong (1996).

The forms, and when each is meant:

=========  ===========  ==========================================================================
form       Shrout and   answers
           Fleiss
=========  ===========  ==========================================================================
ICC(1,1)   ICC(1,1)     raters are not the same ones for every subject (one-way)
ICC(A,1)   ICC(2,1)     do single ratings agree in absolute value (two-way)
ICC(C,1)   ICC(3,1)     do single ratings agree up to a constant for each rater (two-way)
ICC(.,k)   ICC(.,k)     the same for the mean of the k ratings
=========  ===========  ==========================================================================

References
----------
.. [1] K. O. McGraw and S. P. Wong, "Forming inferences about some intraclass correlation
   coefficients", Psychological Methods 1(1), 30-46 (1996); correction in 1(4), 390.
.. [2] P. E. Shrout and J. L. Fleiss, "Intraclass correlations: uses in assessing rater
   reliability", Psychological Bulletin 86(2), 420-428 (1979).
.. [3] F. E. Satterthwaite, "An approximate distribution of estimates of variance components",
   Biometrics Bulletin 2(6), 110-114 (1946).
.. [4] A. C. Ionan, M.-Y. C. Polley, L. M. McShane and K. K. Dobbin, "Comparison of confidence
   interval methods for an intra-class correlation coefficient (ICC)", BMC Medical Research
   Methodology 14, 121 (2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError
from reprostats.stats.checks import check_confidence_level, count, is_between, is_one_of
from reprostats.stats.icc_forms import (
    FORMS,
    Form,
    MeanSquares,
    coefficient,
    f_test,
    generalised_interval,
    interval,
    mean_squares,
)
from reprostats.stats.icc_shape import (
    FAR_FROM_NORMAL,
    FEW_SUBJECTS,
    FEWEST_TO_DRAW,
    bootstrap_interval,
    is_far_from_normal,
    of_average,
)
from reprostats.stats.precision import power_of_two
from reprostats.stats.ratings import read_ratings

if TYPE_CHECKING:
    from reprostats.stats import icc_reml

Floats = NDArray[np.float64]
AgreementInterval = Literal["generalised", "satterthwaite"]
Interval = Literal["normal", "bootstrap"]


def icc(
    ratings: ArrayLike | pd.DataFrame,
    *,
    subject: str | None = None,
    rater: str | None = None,
    value: str | None = None,
    confidence_level: float = 0.95,
    null: float = 0.0,
    method: Literal["anova", "reml"] | None = None,
    agreement_test: Literal["psych", "irr"] = "psych",
    agreement_interval: AgreementInterval = "generalised",
    interval: Interval = "normal",
) -> pd.DataFrame:
    """Estimate the six intraclass correlations, with intervals and tests.

    No subject is rated twice by a rater; cells may be missing. For repeatability, subjects are
    the cases and raters are the repeats of a training.

    Parameters
    ----------
    ratings
        Array or table of shape (subjects, raters), in any unit, NaN where there is no rating; or,
        when the next three are given, a long table with one rating a row.
    subject, rater, value
        Columns of the long table.
    confidence_level
        Of the two-sided intervals, between 0 and 1.
    null
        The coefficient under the null hypothesis, 0 or more and less than 1. The test is
        one-sided: is the coefficient larger?
    method
        "anova": mean squares, which need every cell. "reml": restricted maximum likelihood, which
        uses every rating there is and puts no coefficient below 0. By default "anova" if every
        cell is there, else "reml", and the note says so.
    agreement_test
        Where the degrees of freedom of the test of ICC(A,1) and ICC(A,k) are taken: "psych", at
        ``null``, as R's psych does for a null of 0; "irr", at the estimate, as R's irr does.
    agreement_interval
        Of ICC(A,1) and ICC(A,k). "generalised": a generalised confidence interval [4]_, which
        holds its level with few raters. "satterthwaite": that of McGraw and Wong, as R's psych and
        irr have it; where raters differ as much as the residual, it covers 73 to 92 % instead of
        95 %.
    interval
        Of all forms. "normal": of mean squares, as above; the note says where ratings are far from
        normal. "bootstrap": subjects drawn anew, raters taken as they are, so that ICC(A,.) holds
        for these raters; it needs every cell.

    Returns
    -------
    DataFrame
        One row a form: ``form`` (McGraw and Wong), ``shrout_fleiss``, ``icc``, ``ci_low``,
        ``ci_high``, ``f``, ``df1``, ``df2``, ``p_value``, ``n_subjects``, ``n_raters``, and a
        ``note`` that is empty unless a result needs a word.

    Raises
    ------
    InputError
        If a cell is doubled, infinite, or missing where ``method`` is "anova" (named), if a subject
        or a rater has no rating, if there are fewer than two of either, or if a column or level
        is wrong.

    Notes
    -----
    Estimates, intervals and tests are those of Tables 4, 7 and 8 of [1]_. For ICC(A,1) and
    ICC(A,k) that is the interval "satterthwaite", with Satterthwaite's degrees of freedom [3]_ at
    the estimate; the one by default draws the mean squares from their pivots. Their test uses
    Satterthwaite's degrees of freedom where ``agreement_test`` says: at a ``null`` of 0, ``df2``
    is (n - 1)(k - 1). Where the estimate is clearly negative Satterthwaite's approximation may give
    limits that do not enclose it; they are given as published, and noted.

    *Raters that are equal*, or differ by no more than rounding a constant shift can cause, leave
    no error: the coefficient is 1, its interval [1, 1], F is infinite and p is 0. *Ratings that
    are all equal* have no variance to share out: NaN. *Subjects with equal means* give
    ICC(.,k) = -inf, the limit of 1 - MS/MSR. The note says which it was.

    *ICC(A,k)* divides by MSR + (MSC - MSE)/n. When raters differ less than chance alone would
    make them differ, and subjects even less, that estimate of a variance is zero or negative, and
    the quotient of two negative numbers may be any number above 1. No coefficient is given then
    (NaN, with a note), and a limit of the interval that meets the same divisor is -inf, the
    lower end of the range of ICC(A,k); F and p, which do not need it, are given.

    *Ratings far from normal.* The intervals of mean squares suppose normal subjects and residuals.
    With 100 lognormal subjects (ICC 0.9, three raters) they cover 46 %, and more subjects do not
    help; with t of five degrees of freedom 79 %. Where every cell is there, the note says that
    means of subjects or residuals are skewed or have longer tails than normal ones show by chance
    (at a level of 1 %, with eight subjects or more). ``interval="bootstrap"`` is studentised, for
    Fisher's z: it covers 82 to 86 % with 10 to 100 lognormal subjects, 91 to 94 % with t, and 93 to
    94 % with normal ones. See ``reprostats.stats.icc_shape`` and ``docs``, page "Statistics".

    *With REML* ICC(1,.) comes from subjects and a residual, the others from subjects, raters and a
    residual. Tests and intervals invert the F statistic of the subjects after raters: exact for
    ICC(1,.) and ICC(C,.) whatever cells are missing, with Satterthwaite's degrees of freedom for
    ICC(A,.); equal to those of the mean squares if none is (see ``reprostats.stats.icc_reml``).
    ``k`` is the number of raters. If raters do not overlap, so that a two-way model cannot be
    fitted, only ICC(1,.) is given, with k the most ratings of a subject.

    References
    ----------
    See the head of this module.

    Examples
    --------
    Four judges rate six targets (Shrout and Fleiss, 1979):

    >>> ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8],
    ...            [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> print(icc(ratings)[["form", "icc", "ci_low", "ci_high"]].round(3).to_string(index=False))
        form   icc  ci_low  ci_high
    ICC(1,1) 0.166  -0.133    0.723
    ICC(A,1) 0.290   0.030    0.730
    ICC(C,1) 0.715   0.342    0.946
    ICC(1,k) 0.443  -0.884    0.912
    ICC(A,k) 0.620   0.110    0.916
    ICC(C,k) 0.909   0.676    0.986
    """
    check_confidence_level(confidence_level)
    if not is_between(null, 0, 1, from_low=True):
        raise InputError(f"null is {null!r}; it must be 0 or more and less than 1")
    _check_choice("method", method, (None, "anova", "reml"))
    _check_choice("agreement_test", agreement_test, ("psych", "irr"))
    _check_choice("agreement_interval", agreement_interval, get_args(AgreementInterval))
    _check_choice("interval", interval, get_args(Interval))
    if method == "reml" and interval == "bootstrap":
        raise InputError("interval='bootstrap' needs the mean squares of method='anova'")
    needed = method == "anova" or interval == "bootstrap"
    matrix = read_ratings(ratings, subject=subject, rater=rater, value=value, complete=needed)
    if method == "reml" or np.isnan(matrix).any():
        return _by_reml(matrix, confidence_level, null, agreement_test, agreement_interval)
    scaled = matrix / power_of_two(matrix)
    identical = bool((scaled == scaled[:, :1]).all())
    squares = mean_squares(scaled)
    rows = [
        _row(
            squares,
            form,
            confidence_level,
            null,
            agreement_test,
            agreement_interval,
            identical=identical,
        )
        for form in FORMS
    ]
    found = pd.DataFrame(rows)
    if squares.within == 0 or squares.error == 0:
        return found
    if interval == "bootstrap":
        return _with_bootstrap(found, scaled, confidence_level)
    if is_far_from_normal(scaled):
        return _noted(found, FAR_FROM_NORMAL)
    return found


def _with_bootstrap(found: pd.DataFrame, ratings: Floats, confidence_level: float) -> pd.DataFrame:
    single = {
        model: bootstrap_interval(ratings, model, confidence_level)
        for model in dict.fromkeys(form.model for form in FORMS)
    }
    k = ratings.shape[1]
    ends = [
        [of_average(end, k) if form.average else end for end in single[form.model]]
        for form in FORMS
    ]
    if len(ratings) < FEWEST_TO_DRAW:
        found = _noted(found, FEW_SUBJECTS)
    return found.assign(ci_low=[low for low, _ in ends], ci_high=[high for _, high in ends])


def _noted(found: pd.DataFrame, word: str) -> pd.DataFrame:
    return found.assign(note=[f"{note}; {word}" if note else word for note in found["note"]])


def _row(
    squares: MeanSquares,
    form: Form,
    confidence_level: float,
    null: float,
    agreement_test: Literal["psych", "irr"],
    agreement_interval: AgreementInterval,
    *,
    identical: bool,
) -> dict[str, object]:
    estimate = coefficient(squares, form)
    low, high = interval(squares, form, confidence_level)
    generalised = form.model == "agreement" and agreement_interval == "generalised"
    if generalised and squares.error > 0 and squares.subjects + squares.raters > 0:
        low, high = generalised_interval(squares, form, confidence_level)
    f, df1, df2, p_value = f_test(squares, form, null, agreement_test)
    numbers = {"icc": estimate, "ci_low": low, "ci_high": high}
    trusted = bool(
        np.isneginf(estimate) | ((low <= estimate) & (estimate <= high) & ~np.isinf(low))
    )
    numbers |= {"f": f, "df1": df1, "df2": df2, "p_value": p_value}
    return {
        "form": form.name,
        "shrout_fleiss": form.shrout_fleiss,
        **{name: float(number) for name, number in numbers.items()},
        "n_subjects": squares.n_subjects,
        "n_raters": squares.n_raters,
        "note": _note(squares, form, identical=identical, trusted=trusted),
    }


def _note(squares: MeanSquares, form: Form, *, identical: bool, trusted: bool) -> str:
    no_error = squares.within == 0 if form.model == "one-way" else squares.error == 0
    note = ""
    if squares.subjects == 0 and squares.within == 0:
        note = "all ratings are equal: there is no variance to share out"
    elif squares.within == 0:
        how = "bit for bit" if identical else "to within float64 rounding"
        note = f"raters are equal {how}: no error, the coefficient is 1 without uncertainty"
    elif squares.subjects == 0 and no_error:
        note = "raters differ by constants only and subjects do not differ: F is 0/0"
    elif no_error:
        note = "raters differ by constants only: no error, F is infinite"
    elif form.model == "agreement" and np.isnan(coefficient(squares, form)):
        note = (
            "raters and subjects differ less than the error lets expect: "
            f"the divisor of {form.name} is not positive, so it has no estimate"
        )
    elif squares.subjects == 0:
        note = "subject means are equal: F is 0 and the interval has no width"
    elif not trusted:
        note = (
            "Satterthwaite's approximation does not hold for so small a coefficient: "
            "do not rely on the interval"
        )
    return note


def _check_choice(name: str, value: object, known: tuple[object, ...]) -> None:
    if not is_one_of(value, known):
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, known))}")


def _by_reml(
    matrix: Floats,
    confidence_level: float,
    null: float,
    agreement_test: Literal["psych", "irr"],
    agreement_interval: AgreementInterval,
) -> pd.DataFrame:
    """Return the table of `icc` for a layout that may have missing cells."""
    from reprostats.stats import icc_reml

    fits: dict[str, icc_reml.Fit | InputError] = {}
    rows = []
    for form in FORMS:
        if form.model not in fits:
            try:
                fits[form.model] = icc_reml.fit(matrix, form.model)
            except InputError as error:
                fits[form.model] = error
        rows.append(
            {"form": form.name, "shrout_fleiss": form.shrout_fleiss}
            | _numbers_by_reml(
                fits[form.model],
                matrix,
                form,
                confidence_level,
                null,
                agreement_test,
                agreement_interval,
            )
        )
    names = ["form", "shrout_fleiss", *("icc", "ci_low", "ci_high", "f", "df1", "df2", "p_value")]
    return pd.DataFrame(rows)[[*names, "n_subjects", "n_raters", "note"]]


def _numbers_by_reml(
    fitted: icc_reml.Fit | InputError,
    matrix: Floats,
    form: Form,
    confidence_level: float,
    null: float,
    agreement_test: Literal["psych", "irr"],
    agreement_interval: AgreementInterval,
) -> dict[str, object]:
    from reprostats.stats import icc_reml

    n_subjects, n_raters = matrix.shape
    sizes = {"n_subjects": n_subjects, "n_raters": n_raters}
    nothing = dict.fromkeys(("icc", "ci_low", "ci_high", "f", "df1", "df2", "p_value"), np.nan)
    times, note = _times(matrix, form)
    try:
        if isinstance(fitted, InputError):
            raise fitted
        found = icc_reml.numbers(fitted, times, confidence_level, null, agreement_test)
        if form.model == "agreement" and agreement_interval == "generalised":
            found |= icc_reml.generalised_interval(fitted, times, confidence_level)
    except InputError as error:
        return {**nothing, **sizes, "note": f"no estimate: {error}"}
    return {**found, **sizes, "note": "; ".join(filter(None, [_reml_note(matrix, fitted), note]))}


def _times(matrix: Floats, form: Form) -> tuple[int, str]:
    """Return the number of ratings that an average is taken of, and a word on it."""
    rated = np.isfinite(matrix)
    overlap = bool((rated.sum(axis=0) > 1).any())
    if not form.average or overlap:
        return (matrix.shape[1] if form.average else 1), ""
    most = int(rated.sum(axis=1).max())
    return most, f"k is {most}, the most ratings of a subject"


def _reml_note(matrix: Floats, fitted: icc_reml.Fit) -> str:
    missing = int(np.isnan(matrix).sum())
    notes = []
    if missing:
        cells = count(matrix.size, "cell")
        notes.append(f"{missing} of {cells} have no rating: restricted maximum likelihood")
    if fitted.components.is_constant:
        notes.append("all ratings are equal: there is no variance to share out")
    elif fitted.is_certain:
        notes.append("ratings of a subject are equal: no error, the coefficient is 1")
    elif fitted.components.variances[0] == 0:
        notes.append("subjects differ no more than the error explains: the coefficient is at 0")
    return "; ".join(notes)
