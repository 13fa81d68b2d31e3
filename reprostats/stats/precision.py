"""Keeping the digits that float64 holds, and knowing where they end."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reprostats.errors import InputError

# Results nearer to each other than this many roundings of the largest value are taken as equal.
_ROUNDINGS = 64
_MAX_DIGITS = 17


def centre(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    """Subtract the mean in two passes, so that a large offset costs no digits.

    The first pass subtracts a float64 number near the mean, which is exact for values close to
    each other (Sterbenz' lemma); the second removes what that number missed. See Chan, Golub and
    LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983).

    Parameters
    ----------
    values
        Numbers of any shape.
    axis
        The axis along which each slice is centred.

    Examples
    --------
    >>> centre(np.array([1e15, 1e15 + 1, 1e15 + 2]))
    array([-1.,  0.,  1.])
    """
    near = values - values.mean(axis=axis, keepdims=True)
    return np.asarray(near - near.mean(axis=axis, keepdims=True))


def rounding(
    values: NDArray[np.float64], axis: int | tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """Return the spread that float64 rounding alone can put into values, in their unit.

    A standard deviation at or below it says nothing about what was measured: adding a constant
    to every value and rounding makes one as large.

    Parameters
    ----------
    values
        Numbers of any shape.
    axis
        The axes over which the largest magnitude is taken; all by default.

    Examples
    --------
    >>> bool(np.std([0.1 + 0.2, 0.3]) <= rounding(np.array([0.1 + 0.2, 0.3])))
    True
    """
    return np.asarray(np.finfo(np.float64).eps * np.abs(values).max(axis=axis))


def power_of_two(values: NDArray[np.float64]) -> float:
    """Return the power of two by which values can be divided, without rounding, to lie in (-2, 2).

    Squares of what remains neither overflow nor underflow.

    Examples
    --------
    >>> power_of_two(np.array([-5.0, 3.0])), power_of_two(np.array([0.0]))
    (4.0, 1.0)
    """
    largest = np.abs(values).max(initial=0.0)
    return float(np.ldexp(1.0, int(np.frexp(largest)[1]) - 1)) if largest > 0 else 1.0


def without_noise(
    results: NDArray[np.float64], values: NDArray[np.float64], digits: int | None = None
) -> NDArray[np.float64]:
    """Round results to what their input can hold, so that equal ones are equal.

    0.1 + 0.2 and 0.3 differ by rounding alone, and so do differences of numbers with two decimals;
    ranked, such noise would become a result.

    Parameters
    ----------
    results
        Sums, means or differences of the values, of any shape.
    values
        The input, in the same unit.
    digits
        Significant digits that results keep, as R's ``digits.rank``. None: results that differ by
        no more than 64 roundings of the largest value are equal.

    Raises
    ------
    InputError
        If ``digits`` is not an integer from 1 to 17.

    Examples
    --------
    >>> sums = np.array([0.1 + 0.2, 0.3])
    >>> bool(sums[0] == sums[1]), len(set(without_noise(sums, np.array([0.1, 0.2, 0.3]))))
    (False, 1)
    """
    if digits is not None:
        if (
            isinstance(digits, bool)
            or not isinstance(digits, int)
            or not 1 <= digits <= _MAX_DIGITS
        ):
            raise InputError(f"digits is {digits!r}; it must be an integer from 1 to 17, or None")
        return _signif(results, digits)
    sizes = np.abs(results).ravel()
    order = np.argsort(sizes, kind="stable")
    near = np.diff(sizes[order], prepend=0.0) <= _ROUNDINGS * rounding(values)
    # Each size becomes the first of those that follow one another closely; the first may be 0.
    firsts = np.where(near, 0.0, sizes[order])
    sizes[order] = np.maximum.accumulate(firsts)
    return np.asarray(np.copysign(sizes.reshape(results.shape), results))


def _signif(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Round to significant digits, as R's ``signif``."""
    rounded = [float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value
               for value in values.ravel().tolist()]  # fmt: skip
    return np.array(rounded).reshape(values.shape)
