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
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import as_numbers, check_confidence_level, count
from reprostats.stats.precision import centre, power_of_two, rounding

if TYPE_CHECKING:
    from reprostats.stats import icc_reml

Floats = NDArray[np.float64]

# A difference of mean squares no larger than this share of them is rounding.
_CANCELLED = 1e-12


class Form(NamedTuple):
    """A form of the coefficient: its model and whether it rates one rating or the mean of k."""

    name: str
    shrout_fleiss: str
    model: Literal["one-way", "agreement", "consistency"]
    average: bool


FORMS = (
    Form("ICC(1,1)", "ICC(1,1)", "one-way", average=False),
    Form("ICC(A,1)", "ICC(2,1)", "agreement", average=False),
    Form("ICC(C,1)", "ICC(3,1)", "consistency", average=False),
    Form("ICC(1,k)", "ICC(1,k)", "one-way", average=True),
    Form("ICC(A,k)", "ICC(2,k)", "agreement", average=True),
    Form("ICC(C,k)", "ICC(3,k)", "consistency", average=True),
)


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of the subjects-by-raters layout, each of shape (...map).

    Parameters
    ----------
    subjects
        Between subjects, n - 1 degrees of freedom (MSR of McGraw and Wong).
    within
        Within subjects, n(k - 1) degrees of freedom (MSW).
    raters
        Between raters, k - 1 degrees of freedom (MSC).
    error
        What subjects and raters leave over, (n - 1)(k - 1) degrees of freedom (MSE).
    n_subjects, n_raters
        n and k.
    """

    subjects: Floats
    within: Floats
    raters: Floats
    error: Floats
    n_subjects: int
    n_raters: int


class FTest(NamedTuple):
    """F statistic, its degrees of freedom and its upper tail, each of shape (...map)."""

    f: Floats
    df1: Floats
    df2: Floats
    p_value: Floats


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
    Estimates, intervals and tests are those of Tables 4, 7 and 8 of [1]_. The interval of
    ICC(A,1) and ICC(A,k) uses Satterthwaite's degrees of freedom [3]_ at the estimate; their test
    uses them where ``agreement_test`` says: at a ``null`` of 0, ``df2`` is (n - 1)(k - 1). Where
    the estimate is clearly negative the approximation may give limits that do not enclose it; they
    are given as published, and noted.

    *Raters that are equal*, or differ by no more than rounding a constant shift can cause, leave
    no error: the coefficient is 1, its interval [1, 1], F is infinite and p is 0. *Ratings that
    are all equal* have no variance to share out: NaN. *Subjects with equal means* give
    ICC(.,k) = -inf, the limit of 1 - MS/MSR. The note says which it was.

    *ICC(A,k)* divides by MSR + (MSC - MSE)/n. When raters differ less than chance alone would
    make them differ, and subjects even less, that estimate of a variance is zero or negative, and
    the quotient of two negative numbers may be any number above 1. No coefficient is given then
    (NaN, with a note), and a limit of the interval that meets the same divisor is -inf, the
    lower end of the range of ICC(A,k); F and p, which do not need it, are given.

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
    ICC(A,1) 0.290   0.019    0.761
    ICC(C,1) 0.715   0.342    0.946
    ICC(1,k) 0.443  -0.884    0.912
    ICC(A,k) 0.620   0.071    0.927
    ICC(C,k) 0.909   0.676    0.986
    """
    check_confidence_level(confidence_level)
    if not 0 <= null < 1:
        raise InputError(f"null is {null}; it must be 0 or more and less than 1")
    _check_choice("method", method, (None, "anova", "reml"))
    _check_choice("agreement_test", agreement_test, ("psych", "irr"))
    matrix = _matrix(ratings, subject=subject, rater=rater, value=value, method=method)
    if method == "reml" or np.isnan(matrix).any():
        return _by_reml(matrix, confidence_level, null, agreement_test)
    scaled = matrix / power_of_two(matrix)
    identical = bool((scaled == scaled[:, :1]).all())
    squares = mean_squares(scaled)
    rows = [
        _row(squares, form, confidence_level, null, agreement_test, identical=identical)
        for form in FORMS
    ]
    return pd.DataFrame(rows)


def mean_squares(ratings: Floats) -> MeanSquares:
    """Compute the mean squares of one layout, or of every element of a map.

    Columns are centred first and then compared with the first column, so that an offset common
    to all ratings or to one rater loses no digits, and raters that are equal bit for bit have an
    error of exactly 0. A mean square that rounding of the ratings can explain is set to 0.

    Parameters
    ----------
    ratings
        Finite numbers of shape (subjects, raters, ...map), at least 2 by 2.

    Examples
    --------
    >>> found = mean_squares(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]) + 1e9)
    >>> float(found.subjects), float(found.raters), float(found.error), float(found.within)
    (8.0, 1.5, 0.0, 0.5)
    """
    n_subjects, n_raters = ratings.shape[:2]
    rough = ratings.mean(axis=0, keepdims=True)
    deviations = ratings - rough
    contrast = deviations - deviations[:, :1]
    shift = contrast + (rough - rough[:, :1])
    rows = deviations[:, 0] + contrast.mean(axis=1)
    columns = shift.mean(axis=0)
    error = centre(centre(contrast, axis=1), axis=0)
    unit = rounding(ratings, axis=(0, 1)) ** 2

    def square(values: Floats, weight: int, degrees: int) -> Floats:
        axes = tuple(range(values.ndim - unit.ndim))
        found = weight * np.square(values).sum(axis=axes) / degrees
        return np.where(found <= weight * unit, 0.0, found)

    between_raters = square(centre(columns), n_subjects, n_raters - 1)
    residual = square(error, 1, (n_subjects - 1) * (n_raters - 1))
    return MeanSquares(
        subjects=square(centre(rows), n_raters, n_subjects - 1),
        within=(between_raters + (n_subjects - 1) * residual) / n_subjects,
        raters=between_raters,
        error=residual,
        n_subjects=n_subjects,
        n_raters=n_raters,
    )


def coefficient(squares: MeanSquares, form: Form, multiplier: ArrayLike = 1.0) -> Floats:
    """Estimate one form from mean squares; element by element.

    Parameters
    ----------
    squares
        Mean squares of shape (...map).
    form
        One of ``FORMS``.
    multiplier
        Factor on the mean square between subjects. With the quantiles of F as factors this gives
        the limits of the interval: Table 7 of McGraw and Wong (1996) is its Table 4 with MSR so
        multiplied.

    Returns
    -------
    ndarray
        Shape (...map). -inf where subject means are equal and the form is an average; NaN where
        ICC(A,k) has a divisor that is not positive, and where nothing varies.
    """
    n, k = squares.n_subjects, squares.n_raters
    subjects = np.asarray(multiplier) * squares.subjects
    if form.model == "agreement":
        residual = squares.error
        extra = (squares.raters - squares.error) / n
        divisor = subjects + extra if form.average else subjects + (k - 1) * residual + k * extra
        size = subjects + (squares.raters + squares.error) / n
        divisor = np.where(divisor > _CANCELLED * size, divisor, np.nan)
    else:
        residual = squares.within if form.model == "one-way" else squares.error
        divisor = subjects if form.average else subjects + (k - 1) * residual
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((subjects - residual) / divisor)


def interval(squares: MeanSquares, form: Form, confidence_level: float) -> tuple[Floats, Floats]:
    """Give the two-sided interval of one form; element by element.

    Returns
    -------
    tuple of ndarray
        Lower and upper limit, each of shape (...map), after Table 7 of McGraw and Wong (1996).
    """
    tail = (1 - confidence_level) / 2
    df1 = np.asarray(squares.n_subjects - 1.0)
    df2 = _degrees(squares, form, _odds(squares))
    low = coefficient(squares, form, _f_lower_quantile(tail, df2, df1))
    high = coefficient(squares, form, 1 / _f_lower_quantile(tail, df1, df2))
    if form.model == "agreement" and form.average:
        # A divisor at or below 0 lies past the pole to which ICC(A,k) falls as MSR shrinks.
        defined = squares.subjects + squares.raters + squares.error > 0
        low, high = (np.where(defined & np.isnan(end), -np.inf, end) for end in (low, high))
    certain = (squares.within == 0) & (squares.subjects > 0)
    return np.where(certain, 1.0, low), np.where(certain, 1.0, high)


def f_test(
    squares: MeanSquares,
    form: Form,
    null: float,
    agreement_test: Literal["psych", "irr"] = "psych",
) -> FTest:
    """Test one form against a coefficient of ``null``, one-sided; element by element.

    Parameters
    ----------
    squares
        Mean squares of shape (...map).
    form
        One of ``FORMS``.
    null
        The coefficient under the null hypothesis.
    agreement_test
        Whether Satterthwaite's degrees of freedom are taken at ``null`` ("psych") or at the
        estimate ("irr").

    Returns
    -------
    FTest
        After Table 8 of McGraw and Wong (1996), each field of shape (...map).
    """
    odds = np.asarray((1 if form.average else squares.n_raters) * null / (1 - null))
    n = squares.n_subjects
    if form.model == "agreement":
        expected = odds / n * squares.raters + (1 + odds * (n - 1) / n) * squares.error
    else:
        residual = squares.within if form.model == "one-way" else squares.error
        expected = (1 + odds) * residual
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.asarray(squares.subjects / expected)
    at = odds if agreement_test == "psych" else _odds(squares)
    df1, df2 = np.asarray(n - 1.0), _degrees(squares, form, at)
    return FTest(f, df1, df2, _f_upper_tail(f, df1, df2))


def _row(
    squares: MeanSquares,
    form: Form,
    confidence_level: float,
    null: float,
    agreement_test: Literal["psych", "irr"],
    *,
    identical: bool,
) -> dict[str, object]:
    estimate = coefficient(squares, form)
    low, high = interval(squares, form, confidence_level)
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


def _odds(squares: MeanSquares) -> Floats:
    """Give k ICC(A,1) / (1 - ICC(A,1)), which equals ICC(A,k) / (1 - ICC(A,k))."""
    n = squares.n_subjects
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            n * (squares.subjects - squares.error) / (squares.raters + (n - 1) * squares.error)
        )


def _degrees(squares: MeanSquares, form: Form, odds: Floats) -> Floats:
    """Give the degrees of freedom of the mean square that subjects are compared with."""
    n, k = squares.n_subjects, squares.n_raters
    if form.model == "one-way":
        return np.asarray(float(n * (k - 1)))
    plain = float((n - 1) * (k - 1))
    if form.model == "consistency":
        return np.asarray(plain)
    with np.errstate(divide="ignore", invalid="ignore"):
        raters = odds / n * squares.raters
        error = (1 + odds * (n - 1) / n) * squares.error
        found = (raters + error) ** 2 / (raters**2 / (k - 1) + error**2 / plain)
    # Where nothing is left of the sum but rounding, the limits do not depend on the quantiles.
    return np.where(np.isfinite(found) & (found > 0), found, plain)


def _f_lower_quantile(tail: float, df1: Floats, df2: Floats) -> Floats:
    """Give the value that F exceeds with probability 1 - tail, by way of the beta distribution.

    Kept from 0 and infinity, so that its inverse, the upper quantile with the degrees of freedom
    exchanged, is finite too.
    """
    share = special.betaincinv(df1 / 2, df2 / 2, tail)
    rest = special.betainccinv(df2 / 2, df1 / 2, tail)
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.clip(df2 * share / (df1 * rest), 1e-150, 1e150))


def _f_upper_tail(f: Floats, df1: Floats, df2: Floats) -> Floats:
    return np.asarray(special.betainc(df2 / 2, df1 / 2, df2 / (df2 + df1 * f)))


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


def _matrix(
    ratings: ArrayLike | pd.DataFrame,
    *,
    subject: str | None,
    rater: str | None,
    value: str | None,
    method: str | None,
) -> Floats:
    """Read either form of input into an array of shape (subjects, raters), NaN where missing."""
    subjects: Sequence[Hashable]
    raters: Sequence[Hashable]
    if subject is None and rater is None and value is None:
        matrix = as_numbers(ratings, name="ratings")
        if matrix.ndim != 2:  # noqa: PLR2004
            raise InputError(
                f"ratings has shape {matrix.shape}; it must be (subjects, raters), or a long "
                "table with subject=, rater= and value= naming its columns"
            )
        wide = ratings if isinstance(ratings, pd.DataFrame) else pd.DataFrame(matrix)
        subjects, raters = list(wide.index), list(wide.columns)
    elif subject is None or rater is None or value is None or not isinstance(ratings, pd.DataFrame):
        raise InputError("a long table needs subject=, rater= and value=, each naming a column")
    else:
        matrix, subjects, raters = _from_long(ratings, subject, rater, value)
    _check_size(matrix)
    _check_cells(matrix, subjects, raters, bad=np.isinf(matrix))
    if method == "anova":
        _check_cells(matrix, subjects, raters, bad=np.isnan(matrix))
    _check_rated(matrix, subjects, raters)
    return matrix


def _from_long(
    table: pd.DataFrame, subject: str, rater: str, value: str
) -> tuple[Floats, list[Hashable], list[Hashable]]:
    for name in (subject, rater, value):
        if name not in table.columns:
            raise unknown_name("column", name, map(str, table.columns))
    for name in (subject, rater):
        if table[name].isna().any():
            row = table.index[table[name].isna()][0]
            raise InputError(f"column {name!r} is empty in row {row!r}; every rating needs one")
    doubled = table.duplicated([subject, rater])
    if doubled.any():
        first = table[doubled].iloc[0]
        raise InputError(
            f"subject {first[subject]!r} is rated more than once by rater {first[rater]!r} "
            f"({count(int(doubled.sum()), 'rating')} too many); take one, or their mean, knowingly"
        )
    rows, subjects = pd.factorize(table[subject])
    columns, raters = pd.factorize(table[rater])
    matrix = np.full((len(subjects), len(raters)), np.nan)
    matrix[rows, columns] = as_numbers(table[value], name=f"column {value!r}")
    return matrix, list(subjects), list(raters)


def _check_size(matrix: Floats) -> None:
    for number, noun in zip(matrix.shape, ("subject", "rater"), strict=True):
        if number < 2:  # noqa: PLR2004
            raise InputError(f"there is {count(number, noun)}; at least 2 {noun}s are needed")


def _check_cells(
    matrix: Floats,
    subjects: Sequence[Hashable],
    raters: Sequence[Hashable],
    *,
    bad: NDArray[np.bool_],
) -> None:
    places = np.argwhere(bad)
    if not places.size:
        return
    row, column = places[0]
    infinite = np.isinf(matrix[row, column])
    what = f"a rating of {matrix[row, column]}" if infinite else "no rating"
    rest = f" (and {count(len(places) - 1, 'more such cell')})" if len(places) > 1 else ""
    advice = (
        "leave out ratings that diverged knowingly, and report how many"
        if infinite
        else "method='reml' estimates from the ratings there are"
    )
    raise InputError(
        f"there is {what} of subject {subjects[row]!r} by rater {raters[column]!r}{rest}; {advice}"
    )


def _check_rated(matrix: Floats, subjects: Sequence[Hashable], raters: Sequence[Hashable]) -> None:
    empty = np.isnan(matrix)
    for names, bare, noun in (
        (subjects, empty.all(axis=1), "subject"),
        (raters, empty.all(axis=0), "rater"),
    ):
        if bare.any():
            raise InputError(
                f"{noun} {names[int(bare.argmax())]!r} has no rating; leave the {noun} out"
            )


def _check_choice(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, known))}")


def _by_reml(
    matrix: Floats,
    confidence_level: float,
    null: float,
    agreement_test: Literal["psych", "irr"],
) -> pd.DataFrame:
    """Give the table of `icc` for a layout that may have missing cells."""
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
                fits[form.model], matrix, form, confidence_level, null, agreement_test
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
    except InputError as error:
        return {**nothing, **sizes, "note": f"no estimate: {error}"}
    return {**found, **sizes, "note": "; ".join(filter(None, [_reml_note(matrix, fitted), note]))}


def _times(matrix: Floats, form: Form) -> tuple[int, str]:
    """Give the number of ratings that an average is taken of, and a word on it."""
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
