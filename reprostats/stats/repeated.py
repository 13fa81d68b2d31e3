"""Analysis of variance with repeated measures.

References
----------
.. [1] J. W. Mauchly, "Significance test for sphericity of a normal n-variate distribution", The
   Annals of Mathematical Statistics 11(2), 204-209 (1940); p with the second-order term of
   T. W. Anderson, "An Introduction to Multivariate Statistical Analysis", section 10.7 (1958).
.. [2] S. W. Greenhouse and S. Geisser, "On methods in the analysis of profile data",
   Psychometrika 24(2), 95-112 (1959).
.. [3] H. Huynh and L. S. Feldt, "Estimation of the Box correction for degrees of freedom from
   sample data in randomized block and split-plot designs", Journal of Educational Statistics 1(1),
   69-82 (1976); with the correction of B. Lecoutre, 16(4), 371-372 (1991).
.. [4] S. Olejnik and J. Algina, "Generalized eta and omega squared statistics", Psychological
   Methods 8(4), 434-447 (2003).
.. [5] A. Kuznetsova, P. B. Brockhoff and R. H. B. Christensen, "lmerTest package: tests in linear
   mixed effects models", Journal of Statistical Software 82(13) (2017).
.. [6] D. Lakens, "Calculating and reporting effect sizes to facilitate cumulative science",
   Frontiers in Psychology 4, 863 (2013): partial eta squared from F.
.. [7] M. G. Kenward and J. H. Roger, "Small sample inference for fixed effects from restricted
   maximum likelihood", Biometrics 53(3), 983-997 (1997).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.checks import (
    as_numbers,
    check_choice,
    check_integer,
    count,
    is_one_of,
    labels_of,
    names_in,
)
from reprostats.stats.f_distribution import f_upper_tail
from reprostats.stats.factors import response
from reprostats.stats.precision import centre, power_of_two, rounding
from reprostats.stats.reml import orthonormal
from reprostats.stats.repeated_mixed import (
    DEGREES_OF_FREEDOM,
    DegreesOfFreedom,
    mixed_model_tests,
)

Floats = NDArray[np.float64]

# What is left of a column by those it is adjusted for, if it is a combination of them.
_ALIASED = 1e-10
_CANCELLED = 1e-10  # a difference no larger than this share of its terms is rounding

COLUMNS = (
    *("source", "sum_of_squares", "df", "error", "df_error", "f", "p_value"),
    *("mauchly_w", "mauchly_p", "greenhouse_geisser", "huynh_feldt"),
    *("p_greenhouse_geisser", "p_huynh_feldt"),
    *("eta_squared", "partial_eta_squared", "generalized_eta_squared", "note"),
)


class _Stratum(NamedTuple):
    """Contrasts of a subject's cells: their factors, scores (n, contrasts), and how many cells."""

    names: tuple[str, ...]
    scores: Floats
    cells: int


class _Effect(NamedTuple):
    """A term with its sum of squares and its error, and the products of the error's contrasts."""

    source: str
    sum_of_squares: float
    df: int
    error: float
    df_error: int
    products: Floats
    cells: int
    is_within: bool


def repeated_measures_anova(
    table: pd.DataFrame,
    *,
    value: str,
    subject: str,
    within: Sequence[str],
    between: Sequence[str] = (),
    method: Literal["univariate", "mixed"] | None = None,
    df: DegreesOfFreedom = "satterthwaite",
) -> pd.DataFrame:
    """Test factors that vary within subjects, such as cases measured under several settings.

    Parameters
    ----------
    table
        Long table, one observation a row.
    value
        Column of the response, in any unit.
    subject
        Column of the subjects: what is measured repeatedly, such as the case.
    within
        Columns of factors that vary within subjects; each subject is measured at most once in
        every cell.
    between
        Columns of factors that are constant for a subject.
    method
        "univariate": sums of squares of contrasts, which need every cell of every subject.
        "mixed": a linear mixed model, which uses every observation. By default "univariate" if no
        cell is missing, else "mixed".
    df
        Degrees of freedom of the mixed model: "satterthwaite", or "kenward-roger", which scale F
        besides. The univariate tests need neither.

    Returns
    -------
    DataFrame
        One row a term: ``source``, ``sum_of_squares`` and ``error`` (squared unit of the response),
        ``df``, ``df_error``, ``f``, ``p_value``, ``mauchly_w``, ``mauchly_p``,
        ``greenhouse_geisser`` and ``huynh_feldt`` (epsilon, at most 1),
        ``p_greenhouse_geisser``, ``p_huynh_feldt``, ``eta_squared``, ``partial_eta_squared``,
        ``generalized_eta_squared`` and ``note``, empty unless a result needs a word. With
        ``method`` "mixed" sums of squares, sphericity and shares of a total do not exist: NaN;
        ``partial_eta_squared`` is then df F / (df F + df_error) [6]_, which equals the quotient of
        sums of squares where there are such.

    Raises
    ------
    InputError
        If a column is unknown or empty somewhere, a value is not finite, a cell is measured twice,
        a factor has one level, a between factor varies within a subject, a cell is missing where
        ``method`` is "univariate", or there are too few subjects.

    Notes
    -----
    *Univariate*: type 2 sums of squares, as R's car. Epsilon of Greenhouse and Geisser [2]_ and of
    Huynh and Feldt with Lecoutre's correction [3]_ shrink both degrees of freedom; a factor of two
    levels is spherical by definition: W, epsilon and Mauchly's p are 1. Mauchly's p has the
    second-order term [1]_, with the number of measurements in it as in R's ``mauchly.test``; with
    fewer error degrees of freedom than contrasts W is not defined. Partial eta squared is
    SS/(SS + error); generalized eta squared divides by SS and all errors [4]_, with every factor
    taken as manipulated.

    *Mixed*: subjects, and with several within factors the pairs of subject and factor, are random;
    restricted maximum likelihood; type 3 tests with factors coded to sum to zero and degrees of
    freedom of Satterthwaite, as R's lmerTest [5]_, or of Kenward and Roger, as R's pbkrtest [7]_.
    It supposes sphericity.

    *Subjects that respond alike* leave no error: F is infinite and p is 0, or NaN where the term
    has no sum of squares either; the note says so.

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> dice = [[0.71, 0.74, 0.79], [0.85, 0.86, 0.92], [0.80, 0.84, 0.86], [0.90, 0.95, 0.94]]
    >>> runs = pd.DataFrame(dice).melt(ignore_index=False, var_name="loss", value_name="dice")
    >>> found = repeated_measures_anova(
    ...     runs.reset_index(names="case"), value="dice", subject="case", within=["loss"])
    >>> columns = ["source", "df", "df_error", "f", "p_value", "greenhouse_geisser"]
    >>> print(found[columns].round(4).to_string(index=False))
    source  df  df_error       f  p_value  greenhouse_geisser
      loss   2         6 14.8105   0.0048              0.5554
    """
    if not is_one_of(method, (None, "univariate", "mixed")):
        raise InputError(f"method is {method!r}; it must be 'univariate' or 'mixed'")
    check_choice(df, DEGREES_OF_FREEDOM, name="degrees of freedom")
    used = _read(table, value, subject, within, between)
    sizes = [used[name].nunique() for name in within]
    missing = used[subject].nunique() * math.prod(sizes) - len(used)
    if method == "mixed" or (missing and method is None):
        terms = _subsets([*between, *within])
        found = mixed_model_tests(used, value, subject, list(within), terms, missing, df)
        return found.reindex(columns=list(COLUMNS))
    if missing:
        raise InputError(
            f"{count(missing, 'cell')} of subjects and {', '.join(within)} have no observation; "
            "method='mixed' uses the observations there are"
        )
    return _univariate(used, value, subject, list(within), list(between))


def sphericity(
    covariance: Floats, df: int, cells: int | None = None
) -> tuple[float, float, float, float]:
    """Test sphericity and estimate epsilon.

    Parameters
    ----------
    covariance
        Sums of squares and products of orthonormal contrasts about their means, shape
        (contrasts, contrasts), in any unit.
    df
        Its degrees of freedom.
    cells
        How many measurements of a subject the contrasts are made of; by default one more than
        there are contrasts. R's second-order term of p depends on it, and this one with it.

    Returns
    -------
    tuple of float
        Mauchly's W and its p, epsilon of Greenhouse and Geisser, and of Huynh and Feldt (at most
        1). NaN where there is nothing to estimate from.

    Examples
    --------
    >>> [round(number, 4) for number in sphericity(np.diag([1.0, 2.0]), 9)]
    [0.8889, 0.6243, 0.9, 1.0]
    """
    covariance = as_numbers(covariance, name="covariance")
    p = len(covariance) if covariance.ndim else 0
    if not p or covariance.shape != (p, p) or not np.isfinite(covariance).all():
        raise InputError(
            "covariance must hold finite numbers of shape (contrasts, contrasts), one contrast at "
            f"least; it has shape {covariance.shape}"
        )
    check_integer(df, 1, name="df")
    if cells is not None:
        check_integer(cells, 2, name="cells")
    trace = float(np.trace(covariance))
    if trace == 0:
        return (math.nan,) * 4
    if p == 1:
        return (1.0,) * 4
    epsilon = trace**2 / (p * float(np.square(covariance).sum()))
    divisor = p * (df - p * epsilon)
    # With two subjects all contrasts vary together: epsilon is 1 / p, and this one is 0 / 0.
    exists = divisor > _CANCELLED * p * df
    huynh_feldt = min(((df + 1) * p * epsilon - 2) / divisor, 1.0) if exists else math.nan
    w, p_value = math.nan, math.nan
    if df >= p:
        w, p_value = _mauchly(covariance / trace * p, df, cells or p + 1)
    return w, p_value, epsilon, huynh_feldt


def _mauchly(scaled: Floats, df: int, cells: int) -> tuple[float, float]:
    p = len(scaled)
    sign, logarithm = np.linalg.slogdet(scaled)
    if sign <= 0:
        return 0.0, 0.0
    rho = 1 - (2 * p**2 + p + 2) / (6 * p * df)
    second = (p + 2) * (p - 1) * (p - 2) * (2 * p**3 + 6 * p**2 + 3 * cells + 2)
    weight = second / (288 * (df * p * rho) ** 2)
    statistic, degrees = -df * rho * logarithm, p * (p + 1) / 2 - 1
    first, beyond = (special.gammaincc((degrees + more) / 2, statistic / 2) for more in (0, 4))
    return float(np.exp(logarithm)), float(np.clip(first + weight * (beyond - first), 0.0, 1.0))


def _read(
    table: pd.DataFrame, value: str, subject: str, within: Sequence[str], between: Sequence[str]
) -> pd.DataFrame:
    within, between = names_in(within, name="within"), names_in(between, name="between")
    (subject,) = names_in([subject], name="subject")
    if not within:
        raise InputError("within names no factor; without one, use anova")
    response(table, value)
    factors = [subject, *within, *between]
    for name in factors:
        if factors.count(name) > 1:
            raise InputError(f"column {name!r} is named more than once among {factors}")
        labels = labels_of(table, name)
        if labels.isna().any():
            row = table.index[labels.isna()].tolist()[0]
            raise InputError(f"column {name!r} is empty in row {row!r}")
        if labels.nunique() < 2:  # noqa: PLR2004
            raise InputError(f"column {name!r} has one level; at least 2 are needed")
    used = table[[value, *factors]].copy()
    for name in factors:
        used[name] = pd.factorize(used[name], sort=True)[0]
    _check_layout(table, used, subject, within, between)
    return used.sort_values([subject, *within], ignore_index=True)


def _check_layout(
    table: pd.DataFrame,
    used: pd.DataFrame,
    subject: str,
    within: Sequence[str],
    between: Sequence[str],
) -> None:
    doubled = used.duplicated([subject, *within])
    if doubled.any():
        row: Hashable = table.index[doubled].tolist()[0]
        raise InputError(
            f"row {row!r} measures a subject in a cell that has been measured "
            f"({count(int(doubled.sum()), 'such row')}); take the mean of repeats knowingly"
        )
    for name in between:
        if len(used[[subject, name]].drop_duplicates()) > used[subject].nunique():
            raise InputError(f"column {name!r} varies within a subject; it belongs to within")


def _univariate(
    used: pd.DataFrame, value: str, subject: str, within: list[str], between: list[str]
) -> pd.DataFrame:
    measured = used[value].to_numpy(dtype=np.float64)
    scale = power_of_two(measured)
    near = centre(measured / scale)
    unit = power_of_two(near)
    floor = float(rounding(measured / scale) / unit) ** 2 + 16 * float(rounding(near / unit)) ** 2
    cells = (near / unit).reshape(used[subject].nunique(), -1)
    groups = (
        used.groupby(subject)[between].first()
        if between
        else pd.DataFrame(index=used[subject].unique())
    )
    terms = _between_terms(groups, between)
    sizes = {name: used[name].nunique() for name in within}
    tested = [_effects(stratum, terms, floor) for stratum in _strata(cells, sizes)]
    errors = math.fsum(error for _, error in tested)
    effects = [effect for found, _ in tested for effect in found]
    total = errors + sum(effect.sum_of_squares for effect in effects)
    rows = pd.DataFrame([_row(effect, total, errors) for effect in effects], columns=list(COLUMNS))
    with np.errstate(over="ignore"):
        for name in ("sum_of_squares", "error"):
            rows[name] = rows[name] * (scale * unit) * (scale * unit)
    return rows


def _strata(cells: Floats, sizes: dict[str, int]) -> list[_Stratum]:
    """Return contrasts of every set of within factors, and first the mean of a subject."""
    found = []
    for names in _subsets(list(sizes)):
        basis = np.ones((1, 1))
        for name, size in sizes.items():
            own = _contrasts(size) if name in names else np.full((size, 1), size**-0.5)
            basis = np.asarray(np.kron(basis, own), dtype=np.float64)
        found.append(_Stratum(names, cells @ basis, cells.shape[1]))
    return found


def _contrasts(size: int) -> Floats:
    """Return orthonormal contrasts of levels, shape (size, size - 1)."""
    return orthonormal(np.eye(size) - 1 / size)


def _subsets(names: list[str]) -> list[tuple[str, ...]]:
    return [chosen for size in range(len(names) + 1) for chosen in combinations(names, size)]


def _between_terms(
    groups: pd.DataFrame, between: list[str]
) -> list[tuple[tuple[str, ...], Floats]]:
    """Return the directions of each between term, adjusted for those that do not contain it."""
    coded = {names: _coded(groups, names) for names in _subsets(between)}
    found = []
    for names, columns in coded.items():
        others = [other for key, other in coded.items() if not set(key) >= set(names)]
        basis = orthonormal(np.hstack(others)) if others else np.zeros((len(groups), 0))
        left = columns - basis @ (basis.T @ columns)
        left = left - basis @ (basis.T @ left)
        found.append((names, orthonormal(left[:, np.linalg.norm(left, axis=0) > _ALIASED])))
    return found


def _coded(groups: pd.DataFrame, names: tuple[str, ...]) -> Floats:
    columns = np.ones((len(groups), 1))
    for name in names:
        level = np.eye(groups[name].nunique())[groups[name].to_numpy()]
        columns = (columns[:, :, None] * level[:, None, :]).reshape(len(groups), -1)
    return columns


def _effects(
    stratum: _Stratum, terms: list[tuple[tuple[str, ...], Floats]], floor: float
) -> tuple[list[_Effect], float]:
    """Return the effects tested in a stratum, and the sum of squares of their common error."""
    n, p = stratum.scores.shape
    span = orthonormal(np.hstack([directions for _, directions in terms]))
    left = stratum.scores
    for _ in range(2):
        left = left - span @ (span.T @ left)
    df = n - span.shape[1]
    if df < 1:
        raise InputError(
            f"{count(n, 'subject')} in {count(span.shape[1], 'group')} leave no error; "
            "more subjects are needed"
        )
    error = float(np.square(left).sum())
    error = error if error > df * p * floor else 0.0
    effects = []
    for names, directions in terms:
        if not names and not stratum.names:
            continue
        found, size = float(np.square(directions.T @ stratum.scores).sum()), directions.shape[1] * p
        found = found if found > size * floor else 0.0
        source = ":".join([*names, *stratum.names])
        within = bool(stratum.names)
        effects.append(
            _Effect(source, found, size, error, df * p, left.T @ left, stratum.cells, within)
        )
    return effects, error


def _row(effect: _Effect, total: float, errors: float) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
    row |= {"source": effect.source, "sum_of_squares": effect.sum_of_squares, "df": effect.df}
    row |= {"error": effect.error, "df_error": effect.df_error, "note": _note(effect, total)}
    if total == 0 or effect.sum_of_squares + effect.error == 0:
        return row
    ratio = effect.df_error / effect.df
    f = effect.sum_of_squares / effect.error * ratio if effect.error else math.inf
    row |= {"f": f, "p_value": float(f_upper_tail(f, effect.df, effect.df_error))}
    if effect.is_within and effect.error:
        row |= _corrections(effect, f)
    return row | {
        "eta_squared": effect.sum_of_squares / total,
        "partial_eta_squared": effect.sum_of_squares / (effect.sum_of_squares + effect.error),
        "generalized_eta_squared": effect.sum_of_squares / (effect.sum_of_squares + errors),
    }


def _corrections(effect: _Effect, f: float) -> dict[str, float]:
    df = effect.df_error // len(effect.products)
    w, p_value, greenhouse_geisser, huynh_feldt = sphericity(effect.products, df, effect.cells)
    shrunk = [
        float(f_upper_tail(f, epsilon * effect.df, epsilon * effect.df_error))
        for epsilon in (greenhouse_geisser, huynh_feldt)
    ]
    return {
        "mauchly_w": w,
        "mauchly_p": p_value,
        "greenhouse_geisser": greenhouse_geisser,
        "huynh_feldt": huynh_feldt,
        "p_greenhouse_geisser": shrunk[0],
        "p_huynh_feldt": shrunk[1],
    }


def _note(effect: _Effect, total: float) -> str:
    if total == 0:
        return "the response is constant: F is 0/0"
    if effect.error == 0 and effect.sum_of_squares == 0:
        return "no error and nothing to this term: F is 0/0"
    if effect.error == 0:
        return "subjects respond alike: no error beyond float64 rounding, F is infinite"
    if effect.is_within and effect.df_error == len(effect.products) > 1:
        return "two subjects: epsilon of Huynh and Feldt is 0/0, Mauchly's W is not defined"
    if effect.is_within and effect.df_error // len(effect.products) < len(effect.products):
        return "fewer error degrees of freedom than contrasts: Mauchly's W is not defined"
    return ""
