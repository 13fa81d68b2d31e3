"""Intraclass correlation of every element of a map, such as every voxel of an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from reprostats.errors import InputError
from reprostats.notebook_output import InSentences
from reprostats.progress import progress_bar
from reprostats.stats.checks import check_choice, check_confidence_level, count
from reprostats.stats.f_distribution import f_limits
from reprostats.stats.f_tables import many_limits, many_upper_tails
from reprostats.stats.icc_forms import (
    FORMS,
    Form,
    MeanSquares,
    coefficient,
    interval,
    mean_squares,
)
from reprostats.stats.images import first_leaf, is_image, load_image, read_images

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

    Image = str | Path | SpatialImage

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Place = slice | NDArray[np.intp]

_MAPS = ("icc", "ci_low", "ci_high", "f", "p_value")

# Values of one block: the ratings of one subject, and some forty temporaries an element. Shorter
# blocks cost more calls of NumPy, and longer ones leave the processor's cache.
_BLOCK, _TEMPORARIES = 1_000_000, 40

# Ratings that are copied at once where sums of all do not do.
_COPIED = 600_000

# Elements of the first block, which fills the tables of quantiles before threads share them.
_FIRST = 64

# Shows its progress from here on (values, not elements): about a second.
_LONG = 100_000_000


@dataclass(frozen=True)
class IccMap(InSentences):
    """One form of the coefficient for every element of a map.

    Parameters
    ----------
    form
        As McGraw and Wong name it, such as ``"ICC(A,1)"``.
    icc, ci_low, ci_high, f, p_value
        Arrays of the shape of the map: estimate, limits, F and p of the test against 0. NaN
        outside the mask, where a rating is missing, and where nothing varies.
    df1, df2
        Degrees of freedom of F.
    n_subjects, n_raters
        Of every element.
    confidence_level
        Of the intervals.
    n_elements, n_missing
        Elements inside the mask, and those among them with a rating that is not finite.
    affine
        From voxels to millimetres, shape (4, 4), if the ratings were images.
    """

    form: str
    icc: Floats
    ci_low: Floats
    ci_high: Floats
    f: Floats
    p_value: Floats
    df1: float
    df2: float
    n_subjects: int
    n_raters: int
    confidence_level: float
    n_elements: int
    n_missing: int
    affine: Floats | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """Say in prose what the map shows, and how much of it could not be computed."""
        values = self.icc[np.isfinite(self.icc)]
        head = (
            f"{self.form} of {count(self.n_elements, 'element')} "
            f"({self.n_subjects} subjects, {self.n_raters} raters)"
        )
        lost = f" {count(self.n_missing, 'element')} had a rating that is not finite."
        constant = self.n_elements - self.n_missing - values.size
        lost = lost if self.n_missing else ""
        lost += f" {count(constant, 'element')} had no finite coefficient." if constant else ""
        if not values.size:
            return f"{head}: no element has a coefficient.{lost}"
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        sure = np.mean(self.ci_low[np.isfinite(self.icc)] > 0)
        return (
            f"{head}: median {middle:.2f}, 5th to 95th percentile {low:.2f} to {high:.2f}; "
            f"the {self.confidence_level:.0%} interval lies above 0 in {sure:.1%} of them.{lost}"
        )

    def table(self) -> pd.DataFrame:
        """Return one row an element with a coefficient: index, ``icc``, ``ci_low`` and so on."""
        places = np.nonzero(~np.isnan(self.icc))
        index = {f"index_{axis}": place for axis, place in enumerate(places)}
        return pd.DataFrame(index | {name: getattr(self, name)[places] for name in _MAPS})

    def write(self, folder: str | Path) -> list[Path]:
        """Write every map as ``{name}.nii.gz`` in float32 and return the paths.

        Raises
        ------
        InputError
            If the map has not one to three axes.
        """
        import nibabel

        if not 1 <= self.icc.ndim <= 3:  # noqa: PLR2004
            raise InputError(f"the map has {count(self.icc.ndim, 'axis')}; NIfTI takes 1 to 3 here")
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        affine = np.eye(4) if self.affine is None else self.affine
        paths = [place / f"{name}.nii.gz" for name in _MAPS]
        for name, path in zip(_MAPS, paths, strict=True):
            image = nibabel.Nifti1Image(getattr(self, name).astype(np.float32), affine)
            nibabel.save(image, path)
        return paths


def icc_map(
    ratings: ArrayLike | Sequence[Sequence[Image]],
    *,
    form: str = "ICC(A,1)",
    confidence_level: float = 0.95,
    mask: ArrayLike | Image | None = None,
) -> IccMap:
    """Estimate one intraclass correlation, its interval and its test, for every element of a map.

    Parameters
    ----------
    ratings
        Array of shape (subjects, raters, ...map), of any real type and unit; or NIfTI images on
        one grid, paths or loaded, as one sequence a subject: ``[[a1, a2], [b1, b2]]``.
    form
        ``"ICC(1,1)"``, ``"ICC(A,1)"``, ``"ICC(C,1)"``, or one of them with ``k`` for 1.
    confidence_level
        Of the two-sided intervals, between 0 and 1. Of ICC(A,1) and ICC(A,k) they are the intervals
        "satterthwaite" of `reprostats.icc`, which cost little and are too short with few raters.
    mask
        True or not 0 where to compute, of the shape of the map; or a NIfTI image.

    Returns
    -------
    IccMap
        With arrays ``icc``, ``ci_low``, ``ci_high``, ``f`` and ``p_value``; ``summary()``,
        ``table()`` and ``write(folder)``.

    Raises
    ------
    InputError
        If there are fewer than two subjects or raters or no map axis, grids or shapes differ, or
        form, mask or level is wrong.

    Notes
    -----
    Every element gets what `reprostats.icc` gives for its ratings, to 1e-6 relative. Mean squares
    are formed from sums, in one pass over the ratings, subject by subject; elements in which that
    loses digits (a large mean, raters nearly or exactly equal, constants, extreme units) are
    computed again from ratings less the first one, or as `icc` does. Quantiles and tails of F are
    smooth functions of one variable over a map: they are looked up in a table where that is proved
    to be exact to 1e-9 relative, and called as they are where not.

    Beyond its input it needs memory for the five maps and about 30 MB.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> voxels = rng.normal(size=(20, 1, 4, 4)) + 0.5 * rng.normal(size=(20, 3, 4, 4))
    >>> found = icc_map(voxels)
    >>> found.icc.shape
    (4, 4)
    >>> print(found.summary())
    ICC(A,1) of 16 elements (20 subjects, 3 raters): median 0.76, 5th to 95th percentile 0.63 to
    0.86; the 95% interval lies above 0 in 100.0% of them.
    """
    check_confidence_level(confidence_level)
    by_name = {known.name: known for known in FORMS}
    check_choice(form, by_name, name="form")
    chosen = by_name[form]
    data, affine = _read(ratings)
    shape = data.shape[2:]
    inside = _inside(mask, shape)
    calculate = _Calculation(chosen, confidence_level, *data.shape[:2])
    maps = {name: np.full(shape, np.nan) for name in _MAPS}
    flat = {name: values.reshape(-1) for name, values in maps.items()}
    readable = _flat(data)
    n_elements = int(np.prod(shape)) if inside is None else int(inside.size)

    def fill(around: slice) -> int:
        block = _Block(readable, around if inside is None else inside[around])
        squares, complete = _squares(block)
        for name, found in calculate(squares)._asdict().items():
            flat[name][block.numbers] = np.where(complete, found, np.nan)
        return int((~complete).sum())

    missing = sum(_in_threads(fill, _ranges(n_elements, data.shape[1]), data.size))
    return IccMap(
        form=form,
        **maps,
        df1=calculate.df1,
        df2=calculate.df2,
        n_subjects=data.shape[0],
        n_raters=data.shape[1],
        confidence_level=confidence_level,
        n_elements=n_elements,
        n_missing=missing,
        affine=affine,
    )


class _Found(NamedTuple):
    icc: Floats
    ci_low: Floats
    ci_high: Floats
    f: Floats
    p_value: Floats


class _Calculation:
    """Estimate, interval and test of one form, from mean squares of shape (elements,)."""

    def __init__(self, form: Form, confidence_level: float, n_subjects: int, n_raters: int) -> None:
        self.form = form
        self.confidence_level = confidence_level
        self.df1 = n_subjects - 1.0
        within = n_subjects * (n_raters - 1.0)
        self.df2 = within if form.model == "one-way" else self.df1 * (n_raters - 1)
        self.size = float(n_subjects * n_raters)

    def __call__(self, squares: MeanSquares) -> _Found:
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = interval(squares, self.form, self.confidence_level, self._limits)
            residual = squares.within if self.form.model == "one-way" else squares.error
            f = squares.subjects / residual
            p_value = many_upper_tails(f, self.df1, self.df2)
            return _Found(coefficient(squares, self.form), low, high, f, p_value)

    def _limits(self, tail: float, _: Floats, df2: Floats) -> tuple[Floats, Floats]:
        if df2.ndim == 0:
            return f_limits(tail, self.df1, df2)
        return many_limits(tail, self.df1, df2, largest=self.size)


class _Block:
    """Ratings of some elements, as float64, of which little is copied at once.

    Parameters
    ----------
    data
        Shape (subjects, raters, elements), or (subjects, raters, ...map) where joining the axes of
        the map would copy all.
    numbers
        Which elements, counted as in a map with one axis.
    """

    def __init__(self, data: NDArray[Any], numbers: Place) -> None:
        self.data, self.numbers = data, numbers
        elements = numbers.stop - numbers.start if isinstance(numbers, slice) else numbers.size
        self.shape = (data.shape[0], data.shape[1], elements)

    def subjects(self) -> Iterator[Floats]:
        """Return the ratings of one subject after another, each of shape (raters, elements)."""
        index = self._index(self.numbers)
        for ratings in self.data:
            yield ratings[(slice(None), *index)].astype(np.float64, copy=False)

    def at(self, places: NDArray[np.intp]) -> Floats:
        """Copy the ratings of some elements of the block, shape (subjects, raters, places)."""
        numbers = self.numbers
        chosen = numbers.start + places if isinstance(numbers, slice) else numbers[places]
        return self.data[(slice(None), slice(None), *self._index(chosen))].astype(np.float64)

    def _index(self, numbers: Place) -> tuple[Place, ...]:
        if self.data.ndim == 3:  # noqa: PLR2004
            return (numbers,)
        if isinstance(numbers, slice):
            numbers = np.arange(numbers.start, numbers.stop)
        return np.unravel_index(numbers, self.data.shape[2:])


def _squares(block: _Block) -> tuple[MeanSquares, Booleans]:
    """Compute the mean squares of a block and tell which elements have all ratings."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares, sure = _from_sums(block.subjects(), block.shape)
    complete = np.ones(block.shape[2], dtype=np.bool_)
    doubtful = np.flatnonzero(~sure)
    step = max(_COPIED // (block.shape[0] * block.shape[1]), 64)
    for first in range(0, doubtful.size, step):
        places = doubtful[first : first + step]
        complete[places] = _correct(squares, block.at(places), places)
    return squares, complete


def _from_sums(
    subjects: Iterable[Floats], shape: tuple[int, int, int], offset: Floats | float = 0.0
) -> tuple[MeanSquares, Booleans]:
    """Compute mean squares from sums, and tell where these have ten digits.

    Parameters
    ----------
    subjects
        The ratings of one subject after another, each of shape (raters, elements).
    shape
        Of them all: (subjects, raters, elements).
    offset
        What was subtracted from the ratings, which were rounded in its unit.
    """
    n, k, elements = shape
    total, rows, row = np.zeros(elements), np.zeros(elements), np.empty(elements)
    columns = np.zeros((k, elements))
    for ratings in subjects:
        total += np.einsum("jb,jb->b", ratings, ratings)
        ratings.sum(axis=0, out=row)
        rows += np.square(row, out=row)
        columns += ratings
    mean = columns.sum(axis=0) ** 2 / (n * k)
    between_subjects = rows / k - mean
    raters = np.einsum("jb,jb->b", columns, columns) / n - mean
    error = total - mean - between_subjects - raters
    size = np.maximum(1e-6 * total, (n * k) ** 2 * 1e-30 * np.square(offset))
    sure = np.minimum(np.minimum(between_subjects, raters), error) > size
    sure &= (total > 1e-250) & (total < 1e250)  # noqa: PLR2004
    return _assemble(between_subjects, raters, error, n, k), sure


def _assemble(subjects: Floats, raters: Floats, error: Floats, n: int, k: int) -> MeanSquares:
    return MeanSquares(
        subjects=subjects / (n - 1),
        within=(raters + error) / (n * (k - 1)),
        raters=raters / (k - 1),
        error=error / ((n - 1) * (k - 1)),
        n_subjects=n,
        n_raters=k,
    )


def _correct(squares: MeanSquares, ratings: Floats, places: NDArray[np.intp]) -> Booleans:
    """Compute some elements again, in place, and tell which of them have all ratings.

    Ratings less the first one are summed; where that loses digits too, all is done as `icc` does.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        again, sure = _from_sums(ratings - ratings[:1, :1], ratings.shape, ratings[0, 0])
    _replace(squares, again, places)
    left = np.flatnonzero(~sure)
    complete = np.ones(places.size, dtype=np.bool_)
    if left.size:
        chosen = ratings[:, :, left]
        complete[left] = np.isfinite(chosen).all(axis=(0, 1))
        chosen = np.where(complete[left], chosen, 0.0)
        exponent = np.frexp(np.abs(chosen).max(axis=(0, 1)))[1] - 1
        _replace(squares, mean_squares(np.ldexp(chosen, -exponent)), places[left])
    return complete


def _replace(squares: MeanSquares, again: MeanSquares, places: NDArray[np.intp]) -> None:
    for name in ("subjects", "within", "raters", "error"):
        getattr(squares, name)[places] = getattr(again, name)


def _ranges(elements: int, n_raters: int) -> list[slice]:
    """Cut elements into a short first block and equal ones, as many for one thread as another."""
    first = min(_FIRST, elements)
    at_least = math.ceil((elements - first) * (n_raters + _TEMPORARIES) / _BLOCK)
    threads = joblib.cpu_count()
    ends = np.linspace(first, elements, math.ceil(at_least / threads) * threads + 1).astype(int)
    pairs = zip([0, *ends], ends, strict=False)
    return [slice(int(start), int(stop)) for start, stop in pairs if stop > start]


def _flat(data: NDArray[Any]) -> NDArray[Any]:
    """Return the data with one map axis, or as they are if that would need a copy of all."""
    flat = data.reshape(*data.shape[:2], -1)
    return flat if np.shares_memory(flat, data) else data


def _in_threads(work: Callable[[slice], int], ranges: list[slice], values: int) -> Iterator[int]:
    """Work on ranges side by side, as NumPy frees the interpreter; the first fills the tables."""
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        first = [work(around) for around in ranges[:1]]
        found = chain(first, pool.map(work, ranges[1:]))
        shown = values >= _LONG
        with closing(progress_bar(len(ranges), "icc_map", "block", shown=shown)) as bar:
            for block in found:
                yield block
                bar.update()


def _inside(mask: ArrayLike | Image | None, shape: tuple[int, ...]) -> NDArray[np.intp] | None:
    if mask is None:
        return None
    values = np.asarray(load_image(mask).dataobj) if is_image(mask) else np.asarray(mask)
    if values.shape != shape:
        raise InputError(f"mask has shape {values.shape}; the map has shape {shape}")
    if values.dtype.kind not in "fiub":
        raise InputError(f"mask must hold truth values or numbers, not {values.dtype}")
    return np.flatnonzero(values)


def _read(ratings: Any) -> tuple[NDArray[Any], Floats | None]:
    if is_image(first_leaf(ratings)):
        data, affine = read_images(ratings)
        _check_size(data.shape)
        return data, affine
    data = np.asarray(ratings)
    if data.dtype.kind not in "fiub":
        raise InputError(f"ratings must hold real numbers, not {data.dtype}")
    if data.ndim < 3:  # noqa: PLR2004
        raise InputError(
            f"ratings has shape {data.shape}; it must be (subjects, raters, ...map). "
            "For one table of ratings use icc"
        )
    _check_size(data.shape)
    return data, None


def _check_size(shape: Sequence[int]) -> None:
    for number, noun in zip(shape[:2], ("subject", "rater"), strict=True):
        if number < 2:  # noqa: PLR2004
            raise InputError(f"there is {count(number, noun)}; at least 2 {noun}s are needed")
