"""Whether two conditions are equivalent, rather than merely not significantly different."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from reprostats.errors import InputError
from reprostats.stats.checks import as_numbers, check_finite, check_truth, count, is_between
from reprostats.stats.paired import as_pairs
from reprostats.stats.precision import centre, power_of_two, rounding

Floats = NDArray[np.float64]

_COLUMNS = ["difference", "margin", "ci_low", "ci_high", "t_lower", "t_upper", "df", "p_value"]
_COLUMNS += ["equivalent", "n_first", "n_second", "note"]


def equivalence_test(
    first: ArrayLike | pd.DataFrame,
    second: ArrayLike | None = None,
    *,
    margin: float,
    paired: bool = True,
    significance_level: float = 0.05,
) -> pd.DataFrame:
    """Test whether two means differ by less than a margin (two one-sided tests, TOST).

    That a difference is not significant does not show that there is none: too few data never
    show one. This test has the burden of proof the other way round.

    Parameters
    ----------
    first, second
        Arrays, in the same unit. Paired: of shape (n,), or ``first`` alone of shape (n, 2), as of
        `paired_ttest`. Not paired: of shapes (n,) and (m,).
    margin
        Largest difference that does not matter, in their unit and above 0; state it before you
        look at the data.
    paired
        Whether element i of both belongs to the same case. If not, variances may differ (Welch).
    significance_level
        Largest probability of calling conditions equivalent whose means differ by ``margin``.

    Returns
    -------
    DataFrame
        One row: ``difference`` (mean of first minus that of second), ``margin``, ``ci_low`` and
        ``ci_high`` (the interval of level 1 - 2 ``significance_level``: equivalent means that it
        lies within the margins), ``t_lower`` and ``t_upper`` (against a difference of -margin
        and of +margin), ``df``, ``p_value`` (the larger of the two), ``equivalent``, ``n_first``,
        ``n_second`` and ``note``.

    Raises
    ------
    InputError
        If the margin is not above 0, or as `paired_ttest`.

    Notes
    -----
    After Schuirmann [1]_. Data that do not vary (identical repeats) are equivalent with p = 0 if
    their constant difference lies within the margin, and not equivalent with p = 1 if it does not;
    the note says so.

    References
    ----------
    .. [1] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power
       approach for assessing the equivalence of average bioavailability", Journal of
       Pharmacokinetics and Biopharmaceutics 15(6), 657-680 (1987).

    Examples
    --------
    >>> first, second = [96.1, 95.9, 96.0, 96.2], [96.0, 95.9, 96.1, 96.0]
    >>> found = equivalence_test(first, second, margin=0.5)
    >>> print(found[["difference", "ci_low", "ci_high", "p_value"]].round(4).to_string(index=False))
     difference  ci_low  ci_high  p_value
           0.05 -0.1019   0.2019    0.003
    >>> bool(found["equivalent"].iloc[0])
    True
    """
    check_truth(paired, name="paired")
    if not is_between(margin, 0, math.inf):
        raise InputError(f"margin is {margin!r}; it must be above 0, in the unit of the values")
    if not is_between(significance_level, 0, 0.5):
        raise InputError(
            f"significance_level is {significance_level!r}; it must lie between 0 and 0.5"
        )
    sides = list(as_pairs(first, second).T) if paired else _two_samples(first, second)
    unit = power_of_two(np.concatenate([*sides, [margin]]))
    scaled = [side / unit for side in sides]
    difference, error, df = _paired(*scaled) if paired else _welch(*scaled)
    noise = 4 * float(rounding(np.concatenate([*scaled, [margin / unit]])))
    row = _tost(difference, error, df, margin / unit, significance_level, noise)
    row |= {name: unit * row[name] for name in ("difference", "margin", "ci_low", "ci_high")}
    row |= {"n_first": len(sides[0]), "n_second": len(sides[1])}
    return pd.DataFrame([row])[_COLUMNS]


def equivalence_power(shift: float, df: float, alpha: float) -> float:
    """Return how probably two one-sided tests show equivalence where there is no difference.

    Parameters
    ----------
    shift
        The margin in standard errors.
    df
        Degrees of freedom of the standard error.
    alpha
        Level of the tests.

    Notes
    -----
    Taken as 2 P(T <= shift - t(1 - alpha)) - 1, a slight underestimate.

    Examples
    --------
    >>> round(equivalence_power(3.0, 20, 0.05), 3)
    0.783
    """
    return max(0.0, 2 * float(stats.t.cdf(shift - float(stats.t.isf(alpha, df)), df)) - 1)


def _tost(
    difference: float, error: float, df: float, margin: float, level: float, noise: float
) -> dict[str, Any]:
    inside = margin - abs(difference)
    if not error and abs(inside) <= noise:  # at the margin is not within it
        difference = math.copysign(margin, difference)
    lower, upper = (_quotient(difference + end, error) for end in (margin, -margin))
    p_value = max(float(special.stdtr(df, -lower)), float(special.stdtr(df, upper)))
    width = -float(special.stdtrit(df, level)) * error
    if not error and abs(inside) <= noise:
        p_value = 1.0
    note = "" if error else "differences do not vary: they are certain, t is infinite"
    return {
        "difference": difference,
        "margin": margin,
        "ci_low": difference - width,
        "ci_high": difference + width,
        "t_lower": lower,
        "t_upper": upper,
        "df": df,
        "p_value": p_value,
        "equivalent": p_value <= level,
        "note": note,
    }


def _quotient(distance: float, error: float) -> float:
    if error:
        return distance / error
    return math.copysign(math.inf, distance) if distance else 0.0


def _paired(first: Floats, second: Floats) -> tuple[float, float, float]:
    unit = float(rounding(np.stack([first, second])))
    differences = first - second
    spread = float(np.std(centre(differences), ddof=1))
    n = len(differences)
    return float(differences.mean()), spread / n**0.5 if spread > unit else 0.0, n - 1.0


def _welch(first: Floats, second: Floats) -> tuple[float, float, float]:
    """Return the difference of means, its standard error and Satterthwaite's degrees of freedom."""
    parts = [float(np.var(centre(side), ddof=1)) / len(side) for side in (first, second)]
    parts = [
        part if math.sqrt(part * len(side)) > float(rounding(side)) else 0.0
        for part, side in zip(parts, (first, second), strict=True)
    ]
    degrees = [len(first) - 1, len(second) - 1]
    total = sum(parts)
    below = sum(part**2 / df for part, df in zip(parts, degrees, strict=True))
    df = total**2 / below if below else float(sum(degrees))
    return float(first.mean() - second.mean()), math.sqrt(total), df


def _two_samples(first: ArrayLike | pd.DataFrame, second: ArrayLike | None) -> list[Floats]:
    if second is None:
        raise InputError("second is missing; without pairs two samples are needed")
    sides = [as_numbers(first, name="first"), as_numbers(second, name="second")]
    for name, side in zip(("first", "second"), sides, strict=True):
        if side.ndim != 1:
            raise InputError(f"{name} has shape {side.shape}; it must be (n,)")
        check_finite(side, name=name)
        if len(side) < 2:  # noqa: PLR2004
            raise InputError(f"{name} has {count(len(side), 'value')}; at least 2 are needed")
    return sides
