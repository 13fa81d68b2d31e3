"""How many repeats or cases a study needs, before it is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.checks import (
    check_confidence_level,
    check_integer,
    check_positive,
    check_truth,
    is_between,
)
from reprostats.stats.median import lower_rank

_PAIR = 2
_LARGEST = 10_000_000


def repeats_for_mean(
    *, half_width: float, sd: float, confidence_level: float = 0.95, assurance: float = 0.5
) -> pd.DataFrame:
    """Return the number of repeats for an interval of a mean that is narrow enough.

    Parameters
    ----------
    half_width
        Wanted half-width of the interval, in the unit of ``sd``.
    sd
        Standard deviation between repeats, from a pilot or a paper.
    confidence_level
        Of the interval, between 0 and 1.
    assurance
        Probability with which the interval shall be as narrow: its width varies, as the SD that
        it is made from does. 0.5: about half of such studies.

    Returns
    -------
    DataFrame
        One row: ``n``, ``half_width`` (that n values reach with this assurance), ``assurance``.

    Raises
    ------
    InputError
        If a number is not positive, a probability lies outside (0, 1), or 10 million are too few.

    References
    ----------
    L. L. Kupper and K. B. Hafner, "How appropriate are popular sample size formulas?", The American
    Statistician 43(2), 101-105 (1989).

    Examples
    --------
    >>> int(repeats_for_mean(half_width=0.5, sd=1.0)["n"].iloc[0])
    18
    """
    check_positive(half_width=half_width, sd=sd)
    check_confidence_level(confidence_level)
    _check_probability(assurance=assurance)
    tail = (1 - confidence_level) / 2

    def reached(n: int) -> float:  # in units of sd, which may be huge
        largest_sd = math.sqrt(2 * special.gammaincinv((n - 1) / 2, assurance) / (n - 1))
        return float(-special.stdtrit(n - 1, tail) * largest_sd / math.sqrt(n))

    n = _smallest(lambda n: reached(n) <= float(half_width) / float(sd), 2)
    return pd.DataFrame([{"n": n, "half_width": reached(n) * float(sd), "assurance": assurance}])


def repeats_for_median(
    *, half_width: float, sd: float, confidence_level: float = 0.95
) -> pd.DataFrame:
    """Return the number of repeats for an exact interval of a median that is narrow enough.

    Parameters
    ----------
    half_width, sd, confidence_level
        As of `repeats_for_mean`; values are taken as normal to plan with.

    Returns
    -------
    DataFrame
        One row: ``n`` and ``half_width`` (that is expected).

    Raises
    ------
    InputError
        As `repeats_for_mean`.

    Notes
    -----
    The interval is that of `median_ci`. The expectation of an order statistic is Blom's
    approximation, ndtri((r - 0.375) / (n + 0.25)). The half-width does not fall with every n,
    since ranks are whole: n is the smallest from which it stays below.

    Examples
    --------
    >>> int(repeats_for_median(half_width=0.5, sd=1.0)["n"].iloc[0])
    33
    """
    check_positive(half_width=half_width, sd=sd)
    check_confidence_level(confidence_level)

    def reached(n: int) -> float:
        rank = int(lower_rank(n, confidence_level))
        return float(-special.ndtri((rank - 0.375) / (n + 0.25)) * sd) if rank else math.inf

    # Half-widths go up and down within steps of n that are short beside n itself.
    rough = _smallest(lambda n: reached(n) <= half_width, 2)
    around = range(max(rough // 2, 2), 2 * rough + 20)
    n = max((size for size in around if reached(size) > half_width), default=1) + 1
    return pd.DataFrame([{"n": n, "half_width": reached(n)}])


def cases_for_paired_power(
    *, effect: float, power: float = 0.8, significance_level: float = 0.05, two_sided: bool = True
) -> pd.DataFrame:
    """Return the number of pairs with which a paired t test finds a difference.

    Parameters
    ----------
    effect
        Difference over the SD of differences (Cohen's d_z).
    power
        Probability of finding it, between 0 and 1.
    significance_level
        Of the test, between 0 and 1.
    two_sided
        Whether both directions count; only the direction of the effect counts as found.

    Returns
    -------
    DataFrame
        One row: ``n`` and ``power`` (that n pairs reach).

    Raises
    ------
    InputError
        As `repeats_for_mean`.

    Examples
    --------
    >>> int(cases_for_paired_power(effect=0.5, power=0.8)["n"].iloc[0])
    34
    """
    _check_effect(effect)
    check_truth(two_sided, name="two_sided")
    _check_probability(power=power, significance_level=significance_level)
    tail = significance_level / (2 if two_sided else 1)

    def reached(n: int) -> float:
        limit = -special.stdtrit(n - 1, tail)
        return float(1 - special.nctdtr(n - 1, abs(effect) * math.sqrt(n), limit))

    n = _smallest(lambda n: reached(n) >= power, 2)
    return pd.DataFrame([{"n": n, "power": reached(n)}])


def subjects_for_icc(
    *, icc: float, n_raters: int, half_width: float, confidence_level: float = 0.95
) -> pd.DataFrame:
    """Return the number of subjects for an interval of an ICC that is narrow enough.

    This is for ICC(1,1) and ICC(C,1), where differences between raters are error or do not count.
    For ICC(A,1), whose raters are a sample too, see `plan_icc`.

    Parameters
    ----------
    icc
        Expected coefficient of a single rating, from 0 to below 1.
    n_raters
        Ratings of each subject (repeats of a training), at least 2.
    half_width
        Wanted half-width of the interval.
    confidence_level
        Of the interval, between 0 and 1.

    Returns
    -------
    DataFrame
        One row: ``n`` and ``half_width`` (that is expected).

    Raises
    ------
    InputError
        As `repeats_for_mean`, or if ``icc`` or ``n_raters`` is out of range.

    References
    ----------
    D. G. Bonett, "Sample size requirements for estimating intraclass correlations with desired
    precision", Statistics in Medicine 21(9), 1331-1335 (2002), Eq. 3.

    Examples
    --------
    >>> int(subjects_for_icc(icc=0.8, n_raters=3, half_width=0.1)["n"].iloc[0])
    36
    """
    check_positive(half_width=half_width)
    check_confidence_level(confidence_level)
    if not is_between(icc, 0, 1, from_low=True):
        raise InputError(f"icc is {icc!r}; it must be 0 or more and less than 1")
    check_integer(n_raters, 2, name="n_raters")
    z = -float(special.ndtri((1 - confidence_level) / 2))
    spread = (1 - icc) * (1 + (n_raters - 1) * icc) * math.sqrt(2 / (n_raters * (n_raters - 1)))

    def reached(n: int) -> float:
        return z * spread / math.sqrt(n - 1)

    n = _smallest(lambda n: reached(n) <= half_width * (1 + 1e-12), 2)
    return pd.DataFrame([{"n": n, "half_width": reached(n)}])


def smallest_between(enough: Callable[[int], bool], low: int, high: int) -> int:
    """Return the smallest n above ``low`` that is enough, if ``high`` is and every larger one is.

    Examples
    --------
    >>> smallest_between(lambda n: n * n >= 50, 1, 100)
    8
    """
    while high - low > 1:
        between = (low + high) // 2
        low, high = (low, between) if enough(between) else (between, high)
    return high


def cheapest_plan(
    reached: Callable[[int, int], float],
    enough: Callable[[float], bool],
    cost: Callable[[int, int], float],
    most: tuple[int, int],
    columns: Sequence[str],
) -> pd.DataFrame:
    """Return for each number of one thing the fewest of another that are enough, and the cheapest.

    Parameters
    ----------
    reached
        What so many of both reach; more of the second never make it worse.
    enough
        Whether that is enough.
    cost
        Of so many of both.
    most
        The most that are possible of both; at least two are needed of each.
    columns
        Names of the two numbers and of what they reach.

    Returns
    -------
    DataFrame
        ``columns``, ``cost`` and ``cheapest``; a row for each number of the first that can do.
    """
    rows = []
    for first in range(_PAIR, most[0] + 1):
        if enough(reached(first, most[1])):
            second = smallest_between(lambda n: enough(reached(first, n)), _PAIR - 1, most[1])  # noqa: B023
            rows.append((first, second, reached(first, second), cost(first, second)))
    plan = pd.DataFrame(rows, columns=[*columns, "cost"])
    return plan.assign(cheapest=plan.index == (plan["cost"].idxmin() if len(plan) else -1))


def _smallest(enough: Callable[[int], bool], least: int) -> int:
    """Return the smallest n that is enough, if every larger one is."""
    high = least
    while not enough(high):
        high *= 2
        if high > _LARGEST:
            raise InputError(
                f"more than {_LARGEST:,} would be needed; ask for less precision or power"
            )
    return smallest_between(enough, max(high // 2, least - 1), high)


def _check_effect(effect: object) -> None:
    """Refuse an effect that is 0 or no finite number; its sign is its direction."""
    if not is_between(effect, -math.inf, math.inf) or effect == 0:
        raise InputError(f"effect is {effect!r:.60}; it must be a finite number other than 0")


def _check_probability(**numbers: float) -> None:
    for name, number in numbers.items():
        if not is_between(number, 0, 1):
            raise InputError(f"{name} is {number!r}; it must lie between 0 and 1")
