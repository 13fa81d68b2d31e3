"""From gradient-echo magnitude and phase to the local field: the steps before dipole inversion.

References
----------
.. [1] M. A. Herráez et al., "Fast two-dimensional phase-unwrapping algorithm based on sorting by
   reliability following a noncontinuous path", Applied Optics 41(35), 7437-7444 (2002); in three
   dimensions: H. Abdul-Rahman et al., Applied Optics 46(26), 6623-6635 (2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reprostats.datasets.qsm_files import (
    HZ_PER_PPM_AND_TESLA,
    b0_direction,
    check_same_grid,
    read_real_volume,
)
from reprostats.datasets.volumes import Volume
from reprostats.errors import InputError
from reprostats.mri.checks import check_mask

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LONGEST = 1.0  # s
_STRONGEST = 25.0  # T
_LEAST_RANGE = 0.2 * np.pi
_MOST_RANGE = 2.002 * np.pi


@dataclass(frozen=True, eq=False)
class GradientEcho:
    """Magnitude and wrapped phase of one scan.

    Parameters
    ----------
    magnitude
        float32, shape (echoes, z, y, x).
    phase
        In rad, from -pi to pi: float32, of the same shape.
    echo_times
        In s.
    field_strength
        B0 in T.
    spacing
        Of voxels along z, y and x in mm.
    b0
        Unit vector along the main field: z, y and x.
    origin
        Where the phase was read.

    Examples
    --------
    >>> ones = np.ones((1, 4, 4, 4), np.float32)
    >>> scan = GradientEcho(ones, ones, (0.01,), 3.0, (1.0,) * 3, (1.0, 0.0, 0.0), Path("p.nii"))
    >>> scan.phase.shape
    (1, 4, 4, 4)
    """

    magnitude: Array
    phase: Array
    echo_times: tuple[float, ...]
    field_strength: float
    spacing: tuple[float, float, float]
    b0: tuple[float, float, float]
    origin: Path


@dataclass(frozen=True, eq=False)
class FieldMap:
    """The field fitted to the phase of several echoes; background and local field together.

    Parameters
    ----------
    hertz, ppm
        float32, shape (z, y, x), 0 outside the mask. Up to a constant where not even the first
        echo difference is known to be less than half a turn.
    misfit
        Of the phase in rad: weighted root mean square over echoes; 0 with one or two echoes.
    """

    hertz: Array
    ppm: Array
    misfit: Array


def read_gradient_echo(
    magnitude: Path,
    phase: Path,
    *,
    echo_times: Sequence[float],
    field_strength: float,
    half_turn: float = np.pi,
) -> GradientEcho:
    """Read magnitude and phase from NIfTI files, each with all echoes.

    Parameters
    ----------
    magnitude, phase
        Files of four axes, the last one echoes, or of three with one echo.
    echo_times
        In s, increasing.
    field_strength
        B0 in T.
    half_turn
        The stored value that means pi: 4096 for integers from -4096 to 4095. The phase
        increases with the field; give a negative number where it is stored the other way round.

    Raises
    ------
    NotAvailableError
        If a file does not exist.
    InputError
        If echo times or field strength are out of range; if files differ in shape or affine, or
        do not hold one volume for each echo time; if a magnitude is negative; if the phase, so
        scaled, runs over more than two turns or less than a tenth of one; or as `read_volume`.

    Examples
    --------
    >>> import nibabel
    >>> folder = getfixture("tmp_path")
    >>> stored = np.arange(-4096, 4096, dtype=np.int16).reshape(16, 16, 32)
    >>> for name, values in (("magnitude", np.ones_like(stored)), ("phase", stored)):
    ...     nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{name}.nii")
    >>> files = folder / "magnitude.nii", folder / "phase.nii"
    >>> scan = read_gradient_echo(*files, echo_times=[0.01], field_strength=3.0, half_turn=4096)
    >>> scan.phase.shape, round(float(scan.phase.max()), 2)
    ((1, 32, 16, 16), 3.14)
    """
    times = _checked_times(echo_times)
    if not 0 < field_strength <= _STRONGEST:
        raise InputError(f"field_strength is {field_strength}; above 0 to {_STRONGEST:g} T is due.")
    magnitudes, first = _read_echoes(magnitude, len(times))
    phases, second = _read_echoes(phase, len(times))
    check_same_grid(first, second)
    if magnitudes.min() < 0:
        raise InputError(f"{magnitude}: holds magnitudes down to {magnitudes.min():g}, below 0.")
    return GradientEcho(
        magnitudes,
        _in_radians(phases, half_turn, phase),
        times,
        field_strength,
        second.spacing,
        b0_direction(second),
        phase,
    )


def signal_mask(scan: GradientEcho) -> Mask:
    """Return where there is signal: the largest connected part, holes filled.

    The threshold is Otsu's, of the first echo. This is no brain extraction: scalp and muscle stay.
    For susceptibility mapping, a mask made by a program for that is better.

    Raises
    ------
    InputError
        If all magnitudes are the same.

    Examples
    --------
    >>> first = np.zeros((1, 9, 9, 9), np.float32)
    >>> first[0, 2:7, 2:7, 2:7] = 1
    >>> first[0, 4, 4, 4] = 0
    >>> scan = GradientEcho(first, first, (0.01,), 3.0, (1.0,) * 3, (1.0, 0.0, 0.0), Path("p.nii"))
    >>> int(signal_mask(scan).sum())
    125
    """
    from skimage.filters import threshold_otsu

    first = scan.magnitude[0]
    if first.min() == first.max():
        raise InputError(f"{scan.origin}: all magnitudes of the first echo are {first.min():g}.")
    labels, number = ndimage.label(first > threshold_otsu(first))
    sizes = ndimage.sum_labels(labels > 0, labels, range(1, number + 1))
    return np.asarray(ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes))))


def unwrap(scan: GradientEcho, mask: Mask) -> Array:
    """Unwrap the phase of each echo in space, by scikit-image [1]_, and then between echoes.

    The median change from the first to the second echo is taken to be less than half a turn, and
    further echoes to follow the same line; with a larger change the field is off by a constant.

    Parameters
    ----------
    scan
        Shape (echoes, z, y, x).
    mask
        Where; shape (z, y, x).

    Returns
    -------
    ndarray
        In rad, shape (echoes, z, y, x), 0 outside the mask.

    Raises
    ------
    InputError
        If the mask is empty or has another shape.

    Examples
    --------
    >>> phase = np.broadcast_to(np.linspace(-4, 4, 9, dtype=np.float32), (1, 9, 9, 9))
    >>> wrapped = np.angle(np.exp(1j * phase))
    >>> ones = np.ones_like(phase)
    >>> scan = GradientEcho(ones, wrapped, (0.01,), 3.0, (1.0,) * 3, (1.0, 0.0, 0.0), Path("p.nii"))
    >>> unwrap(scan, ones[0] > 0)[0, 0, 0].round(3).tolist()
    [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    """
    from skimage.restoration import unwrap_phase

    check_mask(mask, scan.phase.shape[1:])
    phases = [
        np.ma.filled(unwrap_phase(np.ma.array(each, mask=~mask), rng=0), 0) for each in scan.phase
    ]
    for number in range(1, len(phases)):
        expected = _expected(phases, scan.echo_times, number)
        turns = np.round(np.median((phases[number] - expected)[mask]) / (2 * np.pi))
        phases[number] = np.where(mask, phases[number] - 2 * np.pi * turns, 0)
    return np.stack(phases).astype(np.float32)


def fit_field(scan: GradientEcho, phase: Array, mask: Mask) -> FieldMap:
    """Fit a line over the echo times to the phase of each voxel, weighted by magnitude squared.

    Parameters
    ----------
    scan
        Gives echo times and weights; 1 / magnitude is in proportion to the SD of the phase.
    phase
        Unwrapped, in rad, shape (echoes, z, y, x). Of one echo, the phase at time 0 is taken for
        0; of more it is fitted too.
    mask
        Where; shape (z, y, x).

    Raises
    ------
    InputError
        If shapes differ, or the mask is empty.

    Examples
    --------
    >>> times = (0.004, 0.008)
    >>> ones = np.ones((2, 4, 4, 4), np.float32)
    >>> phase = ones * (2 * np.pi * 25.0 * np.array(times, np.float32))[:, None, None, None]
    >>> scan = GradientEcho(ones, phase, times, 3.0, (1.0,) * 3, (1.0, 0.0, 0.0), Path("p.nii"))
    >>> field = fit_field(scan, phase, ones[0] > 0)
    >>> round(float(field.hertz[0, 0, 0]), 3), round(float(field.ppm[0, 0, 0]), 3)
    (25.0, 0.196)
    """
    check_mask(mask, scan.phase.shape[1:])
    if phase.shape != scan.phase.shape:
        raise InputError(f"the phase has shape {phase.shape}; the scan has {scan.phase.shape}.")
    times = np.asarray(scan.echo_times)[:, None]
    weights = np.maximum(scan.magnitude[:, mask].astype(np.float64) ** 2, np.finfo(float).tiny)
    weights /= weights.sum(axis=0)
    values = phase[:, mask].astype(np.float64)
    middle = (weights * times).sum(axis=0) if len(times) > 1 else 0.0
    level = (weights * values).sum(axis=0) if len(times) > 1 else 0.0
    away = times - middle
    slopes = (weights * away * values).sum(axis=0) / (weights * away**2).sum(axis=0)
    misfit = np.sqrt((weights * (values - level - slopes * away) ** 2).sum(axis=0))
    hertz = slopes / (2 * np.pi)
    ppm = hertz / (HZ_PER_PPM_AND_TESLA * scan.field_strength)
    return FieldMap(*(_filled(each, mask) for each in (hertz, ppm, misfit)))


def _read_echoes(path: Path, number: int) -> tuple[Array, Volume]:
    """Read all volumes of a file: shape (echoes, z, y, x); and the first with its affine."""
    volumes = [read_real_volume(path, channel) for channel in range(number)]
    if (there := _echoes_in(path)) != number:
        raise InputError(f"{path}: holds {there} echoes; {number} echo times were given.")
    return np.stack([volume.values for volume in volumes]), volumes[0]


def _echoes_in(path: Path) -> int:
    import nibabel

    shape = nibabel.load(path).shape  # type: ignore[attr-defined]
    return int(shape[-1]) if len(shape) > 3 else 1  # noqa: PLR2004


def _in_radians(values: Array, half_turn: float, path: Path) -> Array:
    """Scale to rad, and wrap to a turn around 0."""
    if not np.isfinite(half_turn) or half_turn == 0:
        raise InputError(f"half_turn is {half_turn}; the stored value that means pi is due.")
    scaled = values * (np.pi / half_turn)
    if not _LEAST_RANGE <= np.ptp(scaled) <= _MOST_RANGE:
        raise InputError(
            f"{path}: the phase runs from {values.min():g} to {values.max():g}. With half_turn "
            f"{half_turn:g} that is {np.ptp(scaled) / (2 * np.pi):.3g} turns; from a tenth to one "
            "are due. Which stored value means pi?"
        )
    return np.asarray(np.angle(np.exp(1j * scaled)), dtype=np.float32)


def _checked_times(echo_times: Sequence[float]) -> tuple[float, ...]:
    times = tuple(float(each) for each in echo_times)
    if not times or not np.all(np.diff([0.0, *times]) > 0) or times[-1] > _LONGEST:
        raise InputError(
            f"echo_times are {times}; seconds are due, increasing, above 0 and up to "
            f"{_LONGEST:g} (milliseconds are thousandths)."
        )
    return times


def _expected(phases: Sequence[Array], times: Sequence[float], number: int) -> Array:
    """Extrapolate the phase of an echo from the two before it, or from one."""
    before = phases[number - 1]
    if number == 1:
        return before
    steps = (times[number] - times[number - 1]) / (times[number - 1] - times[number - 2])
    return np.asarray(before + steps * (before - phases[number - 2]))


def _filled(values: NDArray[np.float64], mask: Mask) -> Array:
    volume = np.zeros(mask.shape, np.float32)
    volume[mask] = values
    return volume
