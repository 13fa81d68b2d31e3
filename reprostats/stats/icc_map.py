"""Intraclass correlation of every element of a map, such as every voxel of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from reprostats.errors import InputError, unknown_name
from reprostats.stats.checks import check_confidence_level, count
from reprostats.stats.icc import (
    FORMS,
    Form,
    MeanSquares,
    _degrees,
    _f_lower_quantile,
    _f_upper_tail,
    _odds,
    coefficient,
    mean_squares,
)
from reprostats.stats.interpolation import Polynomial, polynomial

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

    Image = str | Path | SpatialImage

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

_MAPS = ("icc", "ci_low", "ci_high", "f", "p_value")

# Values of one block; with its temporaries it stays in the processor's cache.
_BLOCK = 600_000

# Shows its progress from here on (values, not elements): about a second.
_LONG = 100_000_000

# Largest error of an interpolated logarithm, which is the relative error of the number.
_TOLERANCE = 1e-10

# Degrees of freedom below it are rare and are not interpolated.
_LEAST_DEGREES = 1.0


@dataclass(frozen=True)
class IccMap:
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
        """Give one row an element with a coefficient: its index, ``icc``, ``ci_low`` and so on."""
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
        Of the two-sided intervals, between 0 and 1.
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
    are formed from ratings less the first one, in one pass over a block that fits the cache;
    elements in which that loses digits (raters nearly or exactly equal, constants, extreme units)
    are computed again as `icc` does. Quantiles and tails of F are smooth functions of one
    variable over a map: a Chebyshev series replaces them if it is proved to 1e-10 relative, and
    they are called as they are if not.

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
    chosen = {known.name: known for known in FORMS}.get(form)
    if chosen is None:
        raise unknown_name("form", form, [known.name for known in FORMS])
    data, affine = _read(ratings)
    shape = data.shape[2:]
    inside = _inside(mask, shape)
    calculate = _Calculation(chosen, confidence_level, *data.shape[:2])
    maps = {name: np.full(shape, np.nan) for name in _MAPS}
    flat = {name: values.reshape(-1) for name, values in maps.items()}
    missing = 0
    for place, block in _blocks(data, inside):
        squares, complete = _squares(block)
        missing += int((~complete).sum())
        for name, values in calculate(squares)._asdict().items():
            flat[name][place] = np.where(complete, values, np.nan)
    n_elements = int(np.prod(shape)) if inside is None else int(inside.size)
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
        self.tail = (1 - confidence_level) / 2
        self.df1 = n_subjects - 1.0
        within = n_subjects * (n_raters - 1.0)
        self.df2 = within if form.model == "one-way" else self.df1 * (n_raters - 1)
        self.size = float(n_subjects * n_raters)

    def __call__(self, squares: MeanSquares) -> _Found:
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = self._interval(squares)
            residual = squares.within if self.form.model == "one-way" else squares.error
            f = squares.subjects / residual
            p_value = _upper_tail(f, self.df1, self.df2)
            return _Found(coefficient(squares, self.form), low, high, f, p_value)

    def _interval(self, squares: MeanSquares) -> tuple[Floats, Floats]:
        """Do what `reprostats.stats.icc.interval` does, with quantiles interpolated."""
        df1 = np.asarray(self.df1)
        if self.form.model == "agreement":
            df2 = _degrees(squares, self.form, _odds(squares))
            lower, upper = _quantiles(self.tail, self.df1, df2, self.size)
        else:
            lower = _f_lower_quantile(self.tail, np.asarray(self.df2), df1)
            upper = _f_lower_quantile(self.tail, df1, np.asarray(self.df2))
        low = coefficient(squares, self.form, lower)
        high = coefficient(squares, self.form, 1 / upper)
        if self.form.model == "agreement" and self.form.average:
            defined = squares.subjects + squares.raters + squares.error > 0
            low, high = (np.where(defined & np.isnan(end), -np.inf, end) for end in (low, high))
        certain = (squares.within == 0) & (squares.subjects > 0)
        return np.where(certain, 1.0, low), np.where(certain, 1.0, high)


def _quantiles(tail: float, df1: float, df2: Floats, largest: float) -> tuple[Floats, Floats]:
    """Give the lower quantiles of F(df2, df1) and F(df1, df2) for many ``df2``."""
    interpolated = df2 >= _LEAST_DEGREES
    usual = np.where(interpolated, df2, _LEAST_DEGREES)
    rare = np.flatnonzero(~interpolated)
    found = []
    for exchanged in (True, False):
        fit = _log_quantile(tail, df1, largest, exchanged=exchanged)
        if fit is None:
            found.append(_quantile(tail, df1, df2, exchanged=exchanged))
            continue
        values = np.exp(fit(1 / usual))
        values[rare] = _quantile(tail, df1, df2[rare], exchanged=exchanged)
        found.append(values)
    return found[0], found[1]


def _quantile(tail: float, df1: float, df2: Floats, *, exchanged: bool) -> Floats:
    ends = (df2, np.asarray(df1)) if exchanged else (np.asarray(df1), df2)
    return _f_lower_quantile(tail, *ends)


@lru_cache(maxsize=64)
def _log_quantile(tail: float, df1: float, largest: float, *, exchanged: bool) -> Polynomial | None:
    """Fit the logarithm of the quantile as a function of 1 / df2."""
    return polynomial(
        lambda inverse: np.log(_quantile(tail, df1, 1 / inverse, exchanged=exchanged)),
        1 / largest,
        1 / _LEAST_DEGREES,
        tolerance=_TOLERANCE,
    )


def _upper_tail(f: Floats, df1: float, df2: float) -> Floats:
    """Give the probability of a larger F, interpolated if that is proved exact enough."""
    fit = _log_tail(df1, df2)
    if fit is None:
        return _f_upper_tail(f, np.asarray(df1), np.asarray(df2))
    share = df2 / (df2 + df1 * f)
    rest = np.where(np.isposinf(f), 1.0, df1 * f / (df2 + df1 * f))
    logarithm = fit(np.sqrt(rest)) + df2 / 2 * np.log(share)
    return np.asarray(np.exp(np.minimum(logarithm, 0.0)))


@lru_cache(maxsize=64)
def _log_tail(df1: float, df2: float) -> Polynomial | None:
    """Fit ln(I_w(a, b) / w**a) as a function of sqrt(1 - w), in which it is analytic on [0, 1]."""
    a, b = df2 / 2, df1 / 2

    def logarithm(root: Floats) -> Floats:
        rest = root**2
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            near_one = np.log(special.betainc(a, b, 1 - rest)) - a * np.log1p(-rest)
            series = special.hyp2f1(a + b, 1.0, a + 1, np.minimum(1 - rest, 0.5))
            near_zero = b * np.log(rest) - np.log(a) - special.betaln(a, b) + np.log(series)
        return np.asarray(np.where(rest < 0.5, near_one, near_zero))  # noqa: PLR2004

    return polynomial(logarithm, 0.0, 1.0, tolerance=_TOLERANCE)


def _squares(ratings: Floats) -> tuple[MeanSquares, Booleans]:
    """Compute the mean squares of a block and tell which elements have all ratings.

    Parameters
    ----------
    ratings
        Shape (subjects, raters, elements).
    """
    n, k = ratings.shape[:2]
    with np.errstate(over="ignore", invalid="ignore"):
        from_first = ratings - ratings[:1, :1]
        total = np.einsum("ijb,ijb->b", from_first, from_first)
        rows, columns = from_first.sum(axis=1), from_first.sum(axis=0)
        grand = columns.sum(axis=0)
        rows -= grand / n
        columns -= grand / k
        subjects = np.einsum("ib,ib->b", rows, rows) / k
        raters = np.einsum("jb,jb->b", columns, columns) / n
        error = total - grand**2 / (n * k) - subjects - raters
        size = (n * k) ** 2 * 1e-30 * (ratings[0, 0] ** 2 + total)
        sure = (np.minimum(np.minimum(subjects, raters), error) > size) & (error > 1e-6 * total)
        sure &= (total > 1e-250) & (total < 1e250)  # noqa: PLR2004
    squares = _assemble(subjects, raters, error, n, k)
    return squares, _correct(squares, ratings, np.flatnonzero(~sure))


def _assemble(subjects: Floats, raters: Floats, error: Floats, n: int, k: int) -> MeanSquares:
    return MeanSquares(
        subjects=subjects / (n - 1),
        within=(raters + error) / (n * (k - 1)),
        raters=raters / (k - 1),
        error=error / ((n - 1) * (k - 1)),
        n_subjects=n,
        n_raters=k,
    )


def _correct(squares: MeanSquares, ratings: Floats, doubtful: NDArray[np.intp]) -> Booleans:
    """Compute doubtful elements again, in place, and tell which elements have all ratings."""
    complete = np.ones(ratings.shape[2], dtype=np.bool_)
    if not doubtful.size:
        return complete
    chosen = ratings[:, :, doubtful]
    complete[doubtful] = np.isfinite(chosen).all(axis=(0, 1))
    chosen = np.where(complete[doubtful], chosen, 0.0)
    exponent = np.frexp(np.abs(chosen).max(axis=(0, 1)))[1] - 1
    again = mean_squares(np.ldexp(chosen, -exponent))
    for name in ("subjects", "within", "raters", "error"):
        getattr(squares, name)[doubtful] = getattr(again, name)
    return complete


def _blocks(
    data: NDArray[Any], inside: NDArray[np.intp] | None
) -> Iterator[tuple[slice | NDArray[np.intp], Floats]]:
    """Give flat places in the map and their ratings, shape (subjects, raters, elements)."""
    n, k, *shape = data.shape
    flat = _flat(data)
    elements = int(np.prod(shape)) if inside is None else inside.size
    step = max(_BLOCK // (n * k), 64)
    for first in _progress(range(0, elements, step), n * k * elements):
        around = slice(first, min(first + step, elements))
        place = around if inside is None else inside[around]
        if flat is not None:
            block = flat[:, :, place]
        else:
            numbers = np.arange(around.start, around.stop) if inside is None else inside[around]
            index: tuple[Any, ...] = np.unravel_index(numbers, shape)
            block = data[(slice(None), slice(None), *index)]
        yield place, block.astype(np.float64, copy=False)


def _flat(data: NDArray[Any]) -> NDArray[Any] | None:
    """Give the data with one map axis, or None if that would need a copy of all."""
    flat = data.reshape(*data.shape[:2], -1)
    return flat if np.shares_memory(flat, data) else None


def _progress(blocks: range, values: int) -> Iterator[int]:
    if values < _LONG:
        return iter(blocks)
    from tqdm.auto import tqdm

    return iter(tqdm(blocks, desc="icc_map", unit="block"))


def _inside(mask: ArrayLike | Image | None, shape: tuple[int, ...]) -> NDArray[np.intp] | None:
    if mask is None:
        return None
    values = np.asarray(_image(mask).dataobj) if _is_image(mask) else np.asarray(mask)
    if values.shape != shape:
        raise InputError(f"mask has shape {values.shape}; the map has shape {shape}")
    return np.flatnonzero(values)


def _read(ratings: Any) -> tuple[NDArray[Any], Floats | None]:
    if _is_image(_leaf(ratings)):
        return _read_images(ratings)
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


def _leaf(ratings: Any) -> Any:
    while isinstance(ratings, list | tuple) and ratings:
        ratings = ratings[0]
    return ratings


def _is_image(value: object) -> bool:
    return isinstance(value, str | Path) or hasattr(value, "dataobj")


def _image(value: Any) -> SpatialImage:
    import nibabel

    if not hasattr(value, "dataobj"):
        if not Path(value).is_file():
            raise InputError(f"there is no image {value}")
        value = nibabel.load(value)
    return cast("SpatialImage", value)


def _read_images(rows: Sequence[Sequence[Any]]) -> tuple[NDArray[Any], Floats]:
    """Read images on one grid into float32, in which most are stored, or float64."""
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise InputError(f"subjects have {sorted(lengths)} images; each needs one for every rater")
    first = _image(rows[0][0])
    size = (len(rows), lengths.pop())
    _check_size(size)
    kind = np.float64 if first.get_data_dtype().itemsize > 4 else np.float32  # noqa: PLR2004
    data = np.empty((*size, *first.shape), dtype=kind)
    for subject, row in enumerate(rows):
        for rater, value in enumerate(row):
            image = _image(value)
            _check_grid(image, first, subject, rater)
            data[subject, rater] = np.asarray(image.dataobj)
    return data, np.asarray(first.affine, dtype=np.float64)


def _check_grid(image: SpatialImage, first: SpatialImage, subject: int, rater: int) -> None:
    if image.shape != first.shape or not np.allclose(image.affine, first.affine, atol=1e-4):
        raise InputError(
            f"the image of subject {subject}, rater {rater} has shape {image.shape} or an affine "
            f"that differs from those of the first image, {first.shape}; resample them to one grid"
        )


def _check_size(shape: Sequence[int]) -> None:
    for number, noun in zip(shape[:2], ("subject", "rater"), strict=True):
        if number < 2:  # noqa: PLR2004
            raise InputError(f"there is {count(number, noun)}; at least 2 {noun}s are needed")
