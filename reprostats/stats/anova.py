"""Analysis of variance of a long table, from a formula."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, special

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import check_table, count, is_one_of, labels_of
from reprostats.stats.precision import centre, power_of_two, rounding

if TYPE_CHECKING:
    from patsy import DesignMatrix, ModelDesc  # type: ignore[import-untyped]
    from patsy import Term as PatsyTerm

Floats = NDArray[np.float64]

# A column is taken to be a combination of others when they leave no more than this share of it.
_COLLINEAR = 1e-10


@dataclass(frozen=True)
class _Term:
    """A term of the model: its centred columns, shape (n, columns), and where they came from."""

    name: str
    factors: frozenset[str]
    columns: Floats
    slope: str


class _Part(NamedTuple):
    """A sum of squares and its degrees of freedom."""

    sum_of_squares: float
    df: int

    @property
    def mean_square(self) -> float:
        return self.sum_of_squares / self.df if self.df else math.nan


class _Floor(NamedTuple):
    """The sums of squares that rounding alone can make."""

    of_input: float
    of_arithmetic: float

    @classmethod
    def of(cls, response: Floats, centred: Floats, terms: list[_Term]) -> _Floor:
        """Bound what storing the response and projecting it onto the terms can add."""
        columns = 1 + sum(term.columns.shape[1] for term in terms)
        arithmetic = 16 * columns * np.finfo(np.float64).eps ** 2 * (centred @ centred)
        return cls(float(rounding(response)) ** 2, float(arithmetic))

    def clear(self, sum_of_squares: float, df: int) -> float:
        """Set to 0 a sum of squares that is no more than rounding."""
        beyond = sum_of_squares > df * self.of_input + self.of_arithmetic
        return sum_of_squares if beyond else 0.0


def anova(table: pd.DataFrame, formula: str, *, typ: Literal[1, 2, 3] = 2) -> pd.DataFrame:
    """Split the variance of a response among the terms of a formula.

    Parameters
    ----------
    table
        Long table, one observation a row.
    formula
        Response and terms, as in R: ``"dice ~ C(init) * framework"``. Text columns are factors;
        a column of numbers is a slope with one degree of freedom unless it is written ``C(name)``.
        A name that is not a Python name is written ``Q("mean dice")``.
    typ
        1 gives each term what the terms before it leave; 2 what all terms leave that do not
        contain it (main effects are not adjusted for their interactions); 3 what all other terms
        leave, with factors coded to sum to zero. They agree if the design is balanced.

    Returns
    -------
    DataFrame
        One row a term, main effects first, as written, and ``Residual``: ``source``,
        ``sum_of_squares`` and ``mean_square`` (squared unit of the response), ``df``, ``f``,
        ``p_value``, ``eta_squared``, ``partial_eta_squared``, ``omega_squared`` and ``note``,
        empty unless a result needs a word.

    Raises
    ------
    InputError
        If the formula cannot be read or has no intercept, a column is not in the table, a value
        is missing or not finite (named; rows are not dropped in silence), a factor has one level,
        a slope does not vary, or the model leaves no residual degrees of freedom.

    Notes
    -----
    A sum of squares is the squared length of the centred response in the directions that the
    term adds to those it is adjusted for, found by Householder QR [1]_: never a difference of two
    large numbers, so that an offset of the response costs no digits. Aliased columns and empty
    cells lower ``df``, as in R, and are noted; with empty cells type 3 depends on the coding.

    With SS_total the sum of squares of the response about its mean, eta squared is SS/SS_total,
    partial eta squared SS/(SS + SS_residual), and omega squared
    (SS - df MS_residual)/(SS_total + MS_residual) [2]_, which may be below 0.

    *No residual*, or none beyond float64 rounding of the response: F is infinite and p is 0, or
    NaN for a term that has no sum of squares either. *A constant response*: F, p and the effect
    sizes are NaN. The note says so.

    References
    ----------
    .. [1] J. M. Chambers and T. J. Hastie (eds), "Statistical Models in S", chapters 4 and 5,
       Chapman and Hall (1992).
    .. [2] S. Olejnik and J. Algina, "Generalized eta and omega squared statistics", Psychological
       Methods 8(4), 434-447 (2003).

    Examples
    --------
    Three inits, each trained six times (scores out of 15):

    >>> runs = pd.DataFrame({
    ...     "init": ["a"] * 6 + ["b"] * 6 + ["c"] * 6,
    ...     "score": [6, 8, 4, 5, 3, 4, 8, 12, 9, 11, 6, 8, 13, 9, 11, 8, 7, 12],
    ... })
    >>> columns = ["source", "sum_of_squares", "df", "f", "p_value", "eta_squared"]
    >>> print(anova(runs, "score ~ init")[columns].round(4).to_string(index=False))
      source  sum_of_squares  df      f  p_value  eta_squared
        init            84.0   2 9.2647   0.0024       0.5526
    Residual            68.0  15    NaN      NaN          NaN
    """
    if not is_one_of(typ, (1, 2, 3)):
        raise InputError(f"typ is {typ!r}; it must be 1, 2 or 3")
    response, terms = _model(table, formula, typ)
    scale = power_of_two(response)
    centred = centre(response / scale)
    floor = _Floor.of(response / scale, centred, terms)
    parts = [
        _part(term, _adjusted_for(terms, place, typ), centred, floor)
        for place, term in enumerate(terms)
    ]
    residual = _residual(terms, centred, floor)
    total = floor.clear(float(centred @ centred), len(centred) - 1)
    rows = [_row(term, part, residual, total) for term, part in zip(terms, parts, strict=True)]
    rows.append(_sums("Residual", residual))
    return _in_unit(pd.DataFrame(rows), scale)


def _part(term: _Term, others: list[_Term], response: Floats, floor: _Floor) -> _Part:
    """Return what a term adds to the others."""
    directions = _directions(term.columns, _span(others, len(response)))
    found = float(np.square(directions.T @ response).sum())
    df = directions.shape[1]
    return _Part(floor.clear(found, df), df)


def _residual(terms: list[_Term], response: Floats, floor: _Floor) -> _Part:
    span = _span(terms, len(response))
    df = len(response) - 1 - span.shape[1]
    if df < 1:
        raise InputError(
            f"the model leaves no residual: {count(len(response), 'observation')} for "
            f"{count(span.shape[1] + 1, 'coefficient')}; leave out the highest interaction, or "
            "repeat the observations"
        )
    left = response - span @ (span.T @ response)
    left -= span @ (span.T @ left)
    found = float(left @ left)
    return _Part(floor.clear(found, df), df)


def _adjusted_for(terms: list[_Term], place: int, typ: int) -> list[_Term]:
    """Return the terms that come before this one in the sense of the type of sum of squares."""
    term = terms[place]
    if typ == 1:
        return terms[:place]
    others = terms[:place] + terms[place + 1 :]
    return [other for other in others if typ == 3 or not other.factors > term.factors]  # noqa: PLR2004


def _span(terms: list[_Term], n: int) -> Floats:
    """Return orthonormal columns, shape (n, rank), that span the columns of the terms."""
    span = np.empty((n, 0))
    for term in terms:
        span = np.hstack([span, _directions(term.columns, span)])
    return span


def _directions(columns: Floats, span: Floats) -> Floats:
    """Return orthonormal columns that span what ``columns`` add to an orthonormal ``span``."""
    length = np.linalg.norm(columns, axis=0)
    left: Floats = columns[:, length > 0] / length[length > 0]
    for _ in range(2):  # once is not enough: Giraud, Langou and Rozloznik (2005)
        left = left - span @ (span.T @ left)
    if not left.shape[1]:
        return left
    orthonormal, triangle, _ = linalg.qr(left, mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(triangle)) > _COLLINEAR).sum())
    return np.asarray(orthonormal[:, :rank])


def _sums(source: str, part: _Part) -> dict[str, Any]:
    return {
        "source": source,
        "sum_of_squares": part.sum_of_squares,
        "df": part.df,
        "mean_square": part.mean_square,
        "f": np.nan,
        "p_value": np.nan,
        "eta_squared": np.nan,
        "partial_eta_squared": np.nan,
        "omega_squared": np.nan,
        "note": "",
    }


def _row(term: _Term, part: _Part, residual: _Part, total: float) -> dict[str, Any]:
    row = _sums(term.name, part) | {"note": _note(term, part, residual, total)}
    if not part.df or total == 0:
        return row
    if part.sum_of_squares + residual.sum_of_squares == 0:
        return row | {"eta_squared": 0.0, "omega_squared": 0.0}  # none of a total that is not 0
    f = part.mean_square / residual.mean_square if residual.sum_of_squares else np.inf
    share = residual.df / (residual.df + part.df * f)
    noise = part.df * residual.mean_square
    return row | {
        "f": f,
        "p_value": float(special.betainc(residual.df / 2, part.df / 2, share)),
        "eta_squared": min(part.sum_of_squares / total, 1.0),
        "partial_eta_squared": part.sum_of_squares
        / (part.sum_of_squares + residual.sum_of_squares),
        "omega_squared": min((part.sum_of_squares - noise) / (total + residual.mean_square), 1.0),
    }


def _note(term: _Term, part: _Part, residual: _Part, total: float) -> str:
    notes = [term.slope] if term.slope else []
    missing = term.columns.shape[1] - part.df
    if missing:
        notes.append(
            f"{count(missing, 'degree')} of freedom lost: columns are empty cells or are "
            "combinations of other terms"
        )
    if total == 0:
        notes.append("the response is constant: F is 0/0")
    elif residual.sum_of_squares == 0 and part.sum_of_squares == 0:
        notes.append("no residual and nothing to this term: F is 0/0")
    elif residual.sum_of_squares == 0:
        notes.append("no residual beyond float64 rounding: F is infinite")
    return "; ".join(notes)


def _in_unit(rows: pd.DataFrame, scale: float) -> pd.DataFrame:
    with np.errstate(over="ignore"):
        for name in ("sum_of_squares", "mean_square"):
            rows[name] = rows[name] * scale * scale
    return rows


def _model(table: pd.DataFrame, formula: str, typ: int) -> tuple[Floats, list[_Term]]:
    """Read a formula and a table into the response, shape (n,), and the terms of the model."""
    check_table(table)
    if not isinstance(formula, str):
        raise InputError(f"formula is {formula!r:.60}; it must be text, such as 'dice ~ C(init)'")
    description = _description(formula)
    names = _columns_named(description, [name for name in table.columns if isinstance(name, str)])
    used = pd.DataFrame({name: labels_of(table, name) for name in names})
    _check_complete(used)
    for name in used.select_dtypes("category"):
        used[name] = used[name].cat.remove_unused_categories()
    outcome, design = _matrices(description, used, typ)
    response = np.asarray(outcome, dtype=np.float64)
    if response.shape[1] != 1:
        raise InputError(f"the response of {formula!r} must be one column of numbers")
    _check_finite(formula, response, np.asarray(design))
    _check_factors(design)
    written = [term for term in description.rhs_termlist if term.factors]
    terms = [_term(design, term, used) for term in sorted(written, key=_degree)]
    if not terms:
        raise InputError(f"{formula!r} names no term to the right of '~'")
    return response[:, 0], terms


def _description(formula: str) -> ModelDesc:
    from patsy import ModelDesc, PatsyError

    try:
        description = ModelDesc.from_formula(formula)
    except PatsyError as error:
        raise InputError(f"the formula {formula!r} cannot be read: {error.message}") from error
    if len(description.lhs_termlist) != 1:
        raise InputError(f"the formula {formula!r} needs one response to the left of '~'")
    if not any(not term.factors for term in description.rhs_termlist):
        raise InputError(
            f"the formula {formula!r} removes the intercept; an analysis of variance compares "
            "with the grand mean and needs it"
        )
    return description


def _columns_named(description: ModelDesc, known: list[str]) -> list[str]:
    """Return the columns a formula uses, refusing names that are neither columns nor functions."""
    from patsy import builtins

    codes = [
        factor.code
        for term in description.lhs_termlist + description.rhs_termlist
        for factor in term.factors
    ]
    found = dict.fromkeys(name for code in codes for name in _names(code))
    functions = {"np", *vars(builtins)}
    for name in found:
        if name not in known and name not in functions:
            raise unknown_name("column", name, known, where="formula")
    return [name for name in found if name in known]


def _names(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code, mode="eval")):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Q":
            yield from (str(leaf.value) for leaf in node.args if isinstance(leaf, ast.Constant))


def _matrices(
    description: ModelDesc, table: pd.DataFrame, typ: int
) -> tuple[DesignMatrix, DesignMatrix]:
    from patsy import EvalEnvironment, PatsyError, build_design_matrices, dmatrices

    scope = EvalEnvironment([{"np": np}])
    try:
        with np.errstate(all="ignore"):
            outcome, design = dmatrices(description, table, eval_env=scope, NA_action="raise")
            if typ == 3:  # noqa: PLR2004
                _sum_to_zero(design)
                (design,) = build_design_matrices([design.design_info], table, NA_action="raise")
    except (PatsyError, ArithmeticError, TypeError, ValueError) as error:
        raise InputError(f"the formula {description.describe()!r} does not fit: {error}") from error
    return outcome, design


def _sum_to_zero(design: DesignMatrix) -> None:
    """Recode factors so that effects sum to zero, which type 3 sums of squares suppose."""
    for subterms in design.design_info.term_codings.values():
        for subterm in subterms:
            for contrast in subterm.contrast_matrices.values():
                if contrast.matrix.shape[0] > contrast.matrix.shape[1]:
                    contrast.matrix = contrast.matrix - contrast.matrix.mean(axis=0)


def _degree(term: PatsyTerm) -> int:
    """Order terms as R does: main effects as written, then interactions of two, and so on."""
    return len(term.factors)


def _term(design: DesignMatrix, term: PatsyTerm, table: pd.DataFrame) -> _Term:
    columns = _centred(np.asarray(design)[:, design.design_info.slice(term)])
    codes = frozenset(factor.code for factor in term.factors)
    if len(codes) == 1 and not columns.any():
        raise InputError(f"{term.name()} does not vary; leave it out of the formula")
    whole = [code for code in sorted(codes) if _is_whole_number(table, code)]
    slope = f"{', '.join(whole)} holds numbers and is a slope; write C(...) for a factor"
    return _Term(term.name(), codes, columns, slope if whole else "")


def _centred(columns: Floats) -> Floats:
    """Centre each column; one that varies by rounding alone becomes 0."""
    scaled = columns / power_of_two(columns)
    centred = centre(scaled)
    spread = np.sqrt(np.square(centred).mean(axis=0))
    return np.where(spread > rounding(scaled, axis=0), centred, 0.0)


def _is_whole_number(table: pd.DataFrame, code: str) -> bool:
    return code in table.columns and pd.api.types.is_integer_dtype(table[code])


def _check_complete(used: pd.DataFrame) -> None:
    for name in used.columns:
        missing = used[name].isna()
        if missing.any():
            raise InputError(
                f"column {name!r} is missing in row {used.index[missing][0]!r} "
                f"({int(missing.sum())} of {len(used)} rows). Leave such rows out knowingly, with "
                f"table.dropna(subset=[{name!r}]), and report how many"
            )


def _check_finite(formula: str, response: Floats, design: Floats) -> None:
    for what, values in (("response", response), ("right-hand side", design)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if bad.size:
            raise InputError(
                f"the {what} of {formula!r} is not finite in {count(bad.size, 'observation')}, "
                f"first at position {bad[0]} counted from 0"
            )


def _check_factors(design: DesignMatrix) -> None:
    for factor, info in design.design_info.factor_infos.items():
        if info.type == "categorical" and len(info.categories) < 2:  # noqa: PLR2004
            raise InputError(
                f"factor {factor.name()} has one level, {info.categories[0]!r}; "
                "at least 2 are needed: leave it out of the formula"
            )
