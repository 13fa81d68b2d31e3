"""Susceptibility mapping data from NIfTI: local field, mask and susceptibility of each subject."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reprostats.datasets.susceptibility import SusceptibilitySubject
from reprostats.datasets.volumes import SUFFIXES, Volume, read_volume
from reprostats.errors import InputError, NotAvailableError, unknown_name

FieldUnit = Literal["ppm", "Hz", "rad"]

HZ_PER_PPM_AND_TESLA = 42.577478518
"""Gyromagnetic ratio of the proton over 2 pi in MHz/T (CODATA 2018)."""

_PARTS = ("field", "mask", "susceptibility")
_TOLERANCE = 1e-3
_LARGEST_MEDIAN = 1.0  # ppm


def load_qsm(
    folder: Path,
    *,
    unit: FieldUnit = "ppm",
    field_strength: float | None = None,
    echo_time: float | None = None,
) -> tuple[SusceptibilitySubject, ...]:
    """Read subjects from NIfTI files (``.nii.gz`` or ``.nii``).

    Parameters
    ----------
    folder
        Holds for each subject ``NAME/field.nii.gz``, ``NAME/mask.nii.gz`` and
        ``NAME/susceptibility.nii.gz``, or ``NAME_field.nii.gz`` and so on. The field is the local
        one, without background; susceptibility is in ppm. Both count inside the mask alone.
    unit
        Of the field: ``"ppm"`` of B0, ``"Hz"`` (needs the field strength), or ``"rad"`` of phase
        at one echo (needs both).
    field_strength
        B0 in T.
    echo_time
        In s.

    Returns
    -------
    tuple of SusceptibilitySubject
        In the order of their names, with axes z, y, x. B0 is along z of the scanner, in the axes
        of the array as the affine turns them, so the affine must be that of the scanner and not
        of a template.

    Raises
    ------
    NotAvailableError
        If the folder does not exist or has no such files.
    InputError
        If files are missing, cannot be read, are complex, hold values that are not finite, or
        differ in shape or affine; if a mask is empty or holds other than integers; if a
        number that the unit needs is missing; or if the field is beyond what tissue makes (a
        median above 1 ppm in the mask), as it is with a wrong unit. What is wrong with several
        subjects is said of all of them.

    Examples
    --------
    >>> import nibabel
    >>> folder = getfixture("tmp_path")
    >>> values = np.full((4, 5, 6), 0.25, np.float32)
    >>> for name in ("field", "mask", "susceptibility"):
    ...     image = nibabel.Nifti1Image(values if name != "mask" else values * 4, np.eye(4))
    ...     nibabel.save(image, folder / f"p1_{name}.nii")
    >>> (subject,) = load_qsm(folder)
    >>> subject.identity, subject.field.shape, subject.b0
    ('p1', (6, 5, 4), (1.0, 0.0, 0.0))
    """
    found = _files(folder)
    problems: list[str] = []
    subjects = []
    for identity, files in sorted(found.items()):
        try:
            subjects.append(_subject(identity, files, unit, field_strength, echo_time))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n  ".join(problems))
    return tuple(subjects)


def field_in_ppm(
    field: NDArray[np.float32],
    unit: FieldUnit,
    *,
    field_strength: float | None = None,
    echo_time: float | None = None,
) -> NDArray[np.float32]:
    """Convert a field to ppm of B0.

    Parameters
    ----------
    field
        Any shape.
    unit, field_strength, echo_time
        As of `load_qsm`.

    Raises
    ------
    InputError
        If the unit is unknown, or a number that it needs is missing or out of range.

    Notes
    -----
    phase = 2 pi f TE, and f = 42.577 MHz/T x B0 x ppm.

    Examples
    --------
    >>> field = np.array([127.732], np.float32)
    >>> field_in_ppm(field, "Hz", field_strength=3.0).round(4).tolist()
    [1.0]
    """
    if unit not in get_args(FieldUnit):
        raise unknown_name("unit of the field", unit, get_args(FieldUnit))
    factor = 1.0
    if unit == "rad":
        factor /= 2 * np.pi * _due(echo_time, "echo_time", "s", unit, most=1.0)
    if unit != "ppm":
        factor /= HZ_PER_PPM_AND_TESLA * _due(field_strength, "field_strength", "T", unit, most=25)
    return np.asarray(factor * field, dtype=np.float32)


def b0_direction(volume: Volume) -> tuple[float, float, float]:
    """Return the direction of B0, along z of the scanner, in the axes z, y, x of the array.

    Raises
    ------
    InputError
        If the axes of the affine are not at right angles.

    Examples
    --------
    >>> turn = np.deg2rad(30)
    >>> affine = np.eye(4)
    >>> affine[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    >>> volume = Volume(np.zeros((2, 2, 2), np.float32), affine, (1.0,) * 3, Path("a.nii"))
    >>> [round(each, 3) for each in b0_direction(volume)]
    [0.866, 0.5, 0.0]
    """
    columns = volume.affine[:3, :3]
    axes = columns / np.linalg.norm(columns, axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() > _TOLERANCE:
        raise InputError(f"{volume.path}: the axes of its affine are not at right angles.")
    along = axes[2] / np.linalg.norm(axes[2])
    return float(along[2]), float(along[1]), float(along[0])


def read_real_volume(path: Path, channel: int | None = None) -> Volume:
    """Read a NIfTI file as `read_volume` does, and refuse complex values.

    Raises
    ------
    NotAvailableError, InputError
        As `read_volume`, and if values are complex.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            return read_volume(path, channel)
        except np.exceptions.ComplexWarning:
            raise InputError(
                f"{path}: its values are complex; real ones are due. Save magnitude and phase."
            ) from None


def check_same_grid(first: Volume, second: Volume) -> None:
    """Refuse two volumes whose voxels do not lie in the same places.

    Raises
    ------
    InputError
        If shapes differ, or affines by more than 0.001.
    """
    shapes = [volume.values.shape[::-1] for volume in (first, second)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{second.path}: has {shapes[1]} voxels, {first.path} has {shapes[0]}; they must agree."
        )
    apart = float(np.abs(first.affine - second.affine).max())
    if apart > _TOLERANCE:
        raise InputError(
            f"{second.path}: its affine differs from that of {first.path} by up to {apart:.3g}. "
            "Resample one to the other, or mend the header."
        )


def read_mask(path: Path, like: Volume) -> NDArray[np.bool_]:
    """Read a mask: True where it is not 0.

    Parameters
    ----------
    path
        NIfTI file.
    like
        A volume on the grid of the mask.

    Raises
    ------
    InputError
        If it lies on another grid, is empty, or holds other than integers, or as
        `read_real_volume`.
    """
    mask = read_real_volume(path)
    check_same_grid(like, mask)
    if not np.array_equal(mask.values, np.round(mask.values)):
        raise InputError(f"{path}: a mask holds integers, 0 for background.")
    if not mask.values.any():
        raise InputError(f"{path}: the mask of {mask.values.shape[::-1]} voxels is empty.")
    return np.asarray(mask.values != 0)


def _subject(
    identity: str,
    files: dict[str, Path],
    unit: FieldUnit,
    field_strength: float | None,
    echo_time: float | None,
) -> SusceptibilitySubject:
    if missing := [part for part in _PARTS if part not in files]:
        there = next(iter(files.values()))
        raise InputError(f"{there}: subject {identity} has no {' and no '.join(missing)}.")
    field, susceptibility = (read_real_volume(files[n]) for n in ("field", "susceptibility"))
    check_same_grid(field, susceptibility)
    mask = read_mask(files["mask"], field)
    local = field_in_ppm(field.values, unit, field_strength=field_strength, echo_time=echo_time)
    _check_size(local[mask], field.path, unit)
    return SusceptibilitySubject(
        identity,
        np.where(mask, susceptibility.values, np.float32(0)),
        np.where(mask, local, np.float32(0)),
        mask,
        field.spacing,
        b0_direction(field),
        str(files["field"].parent),
    )


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """Return what there is of each subject."""
    if not folder.is_dir():
        raise NotAvailableError(f"{folder}: there is no such folder.")
    found: dict[str, dict[str, Path]] = {}
    for part, suffix in ((part, suffix) for part in _PARTS for suffix in SUFFIXES):
        for path in folder.glob(f"*/{part}{suffix}"):
            found.setdefault(path.parent.name, {})[part] = path
        for path in folder.glob(f"[!.]*_{part}{suffix}"):
            found.setdefault(path.name.removesuffix(f"_{part}{suffix}"), {})[part] = path
    if not found:
        raise NotAvailableError(
            f"{folder}: holds no NAME/field.nii.gz and no NAME_field.nii.gz; {_named(_PARTS)} of "
            "each subject are due."
        )
    return found


def _check_size(field: NDArray[np.float32], path: Path, unit: FieldUnit) -> None:
    median = float(np.median(np.abs(field)))
    if median > _LARGEST_MEDIAN:
        raise InputError(
            f"{path}: read as {unit}, half of the field in the mask is beyond {median:.3g} ppm. "
            "Local fields of tissue are far below 1 ppm: is the unit right, the background removed?"
        )


def _due(value: float | None, name: str, measured_in: str, unit: str, *, most: float) -> float:
    if value is None or not 0 < value <= most:
        raise InputError(
            f"{name} is {value}; a field in {unit} needs it in {measured_in}, above 0 to {most:g}."
        )
    return value


def _named(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
