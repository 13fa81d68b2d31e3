"""Cartesian sampling masks: which positions of k-space are measured.

Masks are boolean tensors of the shape of an image, True where sampled, with the centre of k-space
at n // 2 of each axis and a block around it always sampled. Masks of lines sample all of the other
axes (the readout) at every line chosen; `poisson_disc` chooses single points of a plane in which
both axes are phase-encoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.mri.checks import checked_shape

_MOST_TRIES = 30
_SURPLUS = 1.02
_DENSITY_POWER = 3.0

Mask = NDArray[np.bool_]


def equispaced(
    shape: Sequence[int],
    *,
    acceleration: int = 4,
    centre: int = 24,
    offset: int = 0,
    axis: int = -1,
) -> torch.Tensor:
    """Sample every so many-th line, and a block of lines at the centre.

    Parameters
    ----------
    shape
        Of the image: two or three sides.
    acceleration
        Distance of the lines. What is saved overall is less, because of the centre.
    centre
        Lines of the block; 0 for none.
    offset
        Lines by which the pattern is shifted; with 0 it has the line at the centre.
    axis
        The phase-encoded axis.

    Returns
    -------
    Tensor
        Boolean, of the shape.

    Raises
    ------
    InputError
        If the acceleration is below 1, or the centre does not fit.

    Notes
    -----
    4-fold regular sampling of Cartesian lines is that of Hammernik et al., Magn Reson Med 79:3055
    (2018).

    Examples
    --------
    >>> equispaced((1, 9), centre=2).int().tolist()
    [[1, 0, 0, 1, 1, 0, 0, 0, 1]]
    """
    lines, sides = _lines(shape, axis, acceleration, centre)
    chosen = _central(lines, centre) | (
        (np.arange(lines) - lines // 2 - offset) % acceleration == 0
    )
    return _spread(chosen, sides, axis)


def variable_density(
    shape: Sequence[int],
    generator: np.random.Generator,
    *,
    acceleration: float = 4,
    centre: int = 24,
    power: float = _DENSITY_POWER,
    axis: int = -1,
) -> torch.Tensor:
    """Sample lines at random, more of them near the centre.

    Parameters
    ----------
    shape
        Of the image: two or three sides.
    generator
        Draws the lines.
    acceleration
        All lines over sampled lines, the centre counted among them; it is kept to one line.
    centre
        Lines of the block; 0 for none.
    power
        How fast the density falls; 0 is uniform.
    axis
        The phase-encoded axis.

    Returns
    -------
    Tensor
        Boolean, of the shape.

    Raises
    ------
    InputError
        If the centre alone has more lines than the acceleration leaves, the acceleration is below
        1, or the power is below 0.

    Notes
    -----
    Lines are drawn one after another, without putting back, with weights (1 - |k| / kmax)^power:
    the polynomial density of Lustig, Donoho and Pauly, Magn Reson Med 58:1182 (2007). kmax lies
    one line beyond the last, so that no line is ruled out.

    Examples
    --------
    >>> mask = variable_density((3, 40), np.random.default_rng(1), centre=6)
    >>> mask.shape, mask[0].sum().item(), mask[0, 17:23].all().item()
    (torch.Size([3, 40]), 10, True)
    """
    lines, sides = _lines(shape, axis, acceleration, centre)
    if not 0 <= power < math.inf:
        raise InputError(f"power is {power}; a finite number of 0 or more is due.")
    chosen = _central(lines, centre)
    wanted = _wanted(lines, acceleration, centre)
    distance = np.abs(np.arange(lines) - lines // 2) / (lines // 2 + 1)
    weights = np.where(chosen, 0.0, (1 - distance) ** power)
    if wanted:
        chosen[generator.choice(lines, wanted, replace=False, p=weights / weights.sum())] = True
    return _spread(chosen, sides, axis)


def poisson_disc(
    shape: Sequence[int],
    generator: np.random.Generator,
    *,
    acceleration: float = 4,
    centre: Sequence[int] = (24, 24),
) -> torch.Tensor:
    """Sample points at random that keep a distance, smaller near the centre.

    Parameters
    ----------
    shape
        Rows and columns, both phase-encoded.
    generator
        Draws the points.
    acceleration
        All points over sampled points, the centre counted among them; it is kept to one point.
    centre
        Rows and columns of the block.

    Returns
    -------
    Tensor
        Boolean, of the shape.

    Raises
    ------
    InputError
        If the shape has not two sides, the centre does not fit or has more points than the
        acceleration leaves, or the acceleration is below 1.

    Notes
    -----
    Poisson discs for MRI: Vasanawala et al., IEEE Int Symp Biomed Imaging (2011); of variable
    density: Dwork et al., Magn Reson Imaging 77:186 (2021). Darts are thrown at the grid (Cook,
    ACM Trans Graph 5:51 (1986)): every position is tried once in random order, and is taken if it
    lies outside the disc of each one taken before. The radius of a disc in
    samples is 1 + s |k|, with |k| = 1 at the end of an axis; s is searched until the acceleration
    is met, and the few points too many are dropped at random. The block has no discs.

    scipy.stats.qmc.PoissonDisk has one radius for all discs, and its points do not lie on a grid.

    Examples
    --------
    >>> mask = poisson_disc((32, 40), np.random.default_rng(1), centre=(6, 6))
    >>> mask.sum().item(), mask[13:19, 17:23].all().item()
    (320, True)
    """
    sides = checked_shape(shape, (2,), "mask")
    if len(centre) != len(sides):
        raise InputError(f"centre is {tuple(centre)}; it needs rows and columns.")
    for side, inner in zip(sides, centre, strict=True):
        _check_sampling(side, acceleration, inner)
    block = np.logical_and.outer(*map(_central, sides, centre))
    wanted = _wanted(block.size, acceleration, int(block.sum()))
    points = np.flatnonzero(_searched_darts(block, wanted, generator.permutation(block.size)))
    block.flat[generator.choice(points, wanted, replace=False)] = True
    return torch.from_numpy(block)


def _searched_darts(block: Mask, wanted: int, order: NDArray[np.int64]) -> Mask:
    """Bisect for the steepest growth of the radius that still gives all points wanted."""
    low, high = 0.0, float(max(block.shape))
    found = ~block
    for _ in range(_MOST_TRIES):
        if found.sum() <= _SURPLUS * wanted:
            break
        middle = (low + high) / 2
        darts = _darts(block, _radii(block.shape, middle), order)
        if darts.sum() >= wanted:
            low, found = middle, darts
        else:
            high = middle
    return found


def _radii(shape: tuple[int, ...], growth: float) -> NDArray[np.float64]:
    rows, columns = (2 * (np.arange(side) - side // 2) / side for side in shape)
    return 1 + growth * np.hypot(rows[:, None], columns)


def _darts(block: Mask, radii: NDArray[np.float64], order: NDArray[np.int64]) -> Mask:
    """Take positions in this order, each unless it lies in the disc of one taken before."""
    taken, blocked = np.zeros_like(block), block.copy()
    for row, column in zip(*np.unravel_index(order, block.shape), strict=True):
        if blocked[row, column]:
            continue
        taken[row, column] = True
        radius = radii[row, column]
        first_row, first_column = (max(0, math.ceil(at - radius)) for at in (row, column))
        near = blocked[first_row : int(row + radius) + 1, first_column : int(column + radius) + 1]
        rows, columns = (np.arange(side) for side in near.shape)
        squares = np.add.outer(
            (rows + first_row - row) ** 2, (columns + first_column - column) ** 2
        )
        near |= squares < radius**2
    return taken


def _lines(
    shape: Sequence[int], axis: int, acceleration: float, centre: int
) -> tuple[int, list[int]]:
    sides = checked_shape(shape, (2, 3), "mask")
    if not -len(sides) <= axis < len(sides):
        raise InputError(f"axis is {axis}; a mask of {len(sides)} axes has no such one.")
    _check_sampling(sides[axis], acceleration, centre)
    return sides[axis], sides


def _check_sampling(side: int, acceleration: float, centre: int) -> None:
    if not 1 <= acceleration < math.inf:
        raise InputError(f"acceleration is {acceleration}; 1 (all sampled) or more is due.")
    if not 0 <= centre <= side:
        raise InputError(f"centre is {centre}; an axis of {side} samples can have 0 to {side}.")


def _wanted(everything: int, acceleration: float, central: int) -> int:
    """Count what is to be sampled outside the centre."""
    total = max(1, round(everything / acceleration))
    if total < central:
        raise InputError(
            f"the centre has {central} of {everything} samples, more than the {total} that "
            f"{acceleration:g}-fold acceleration leaves; make it smaller."
        )
    return total - central


def _central(side: int, inner: int) -> Mask:
    offset = np.arange(side) - side // 2
    return np.asarray((offset >= -(inner // 2)) & (offset < inner - inner // 2))


def _spread(chosen: Mask, sides: list[int], axis: int) -> torch.Tensor:
    """Repeat a choice of lines along all other axes."""
    line = torch.from_numpy(chosen).reshape(
        [-1 if a == axis % len(sides) else 1 for a in range(len(sides))]
    )
    return line.expand(sides).clone()
