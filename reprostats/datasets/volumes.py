"""Volumes from NIfTI files, of three axes or four, and patients made of them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from reprostats.datasets.patients import Cohort, Patient, Prepare, unchanged
from reprostats.errors import InputError, NotAvailableError

SUFFIXES = (".nii.gz", ".nii")

_AXES = 3
_AFFINE_TOLERANCE = 1e-3  # mm
_LARGEST_LIST = 20
_CHUNK = 2**22

Result = TypeVar("Result")


@dataclass(frozen=True)
class Volume:
    """A volume in the closest canonical orientation, its axes being z, y and x.

    Parameters
    ----------
    values
        Shape (z, y, x): feet to head, back to front, left to right.
    affine
        From voxel (x, y, z) to mm, shape (4, 4).
    spacing
        Distance of voxels along z, y and x, in mm.
    path
        Where it was read.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    spacing: tuple[float, float, float]
    path: Path


@dataclass(frozen=True)
class VolumePair:
    """An image and its mask on disk.

    Parameters
    ----------
    identity
        The patient.
    image, mask
        NIfTI files.
    """

    identity: str
    image: Path
    mask: Path


def read_volume(path: Path, channel: int | None = None) -> Volume:
    """Read a NIfTI file.

    Parameters
    ----------
    path
        ``.nii`` or ``.nii.gz``.
    channel
        Which volume of a file of four axes (time or contrast), from 0; needed for these alone.

    Raises
    ------
    NotAvailableError
        If there is no such file.
    InputError
        If it cannot be read, is cut short, has other than 3 or 4 axes, a channel is missing or
        too much, or a value is not finite.

    Examples
    --------
    >>> import nibabel
    >>> path = getfixture("tmp_path") / "a.nii.gz"
    >>> data = np.zeros((4, 5, 6), np.float32)
    >>> nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1.5, 8.0, 1.0])), path)
    >>> volume = read_volume(path)
    >>> volume.values.shape, volume.spacing
    ((6, 5, 4), (8.0, 1.5, 1.0))
    """
    import nibabel

    values, affine = _read(path)
    values = _one_channel(values, channel, path)
    if bad := int(np.count_nonzero(~np.isfinite(values))):
        x, y, z = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path}: {bad} voxels are not finite numbers, the first at ({x}, {y}, {z})."
        )
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, affine))
    spacing = tuple(float(mm) for mm in reversed(image.header.get_zooms()))
    turned = np.ascontiguousarray(image.get_fdata(dtype=np.float32).transpose(2, 1, 0))
    return Volume(turned, image.affine, spacing, path)  # type: ignore[arg-type]


def read_patient(
    pair: VolumePair, *, label: int | None = None, channel: int | None = None, every: int = 1
) -> Patient:
    """Read an image with its mask and cut them into transversal slices.

    Parameters
    ----------
    pair
        The files.
    label
        Value of the structure in the mask; default: everything but 0.
    channel
        Which volume of an image of four axes.
    every
        Take every slice, every second, ...

    Raises
    ------
    InputError
        If image and mask differ in shape or affine, the mask holds other than integers, or
        as `read_volume` and `Patient`.
    """
    image, mask = read_volume(pair.image, channel), read_volume(pair.mask)
    _check_alike(image, mask)
    if not np.array_equal(mask.values, np.round(mask.values)):
        raise InputError(f"{mask.path}: a mask holds integers, 0 for background.")
    inside = mask.values > 0 if label is None else mask.values == label
    if every < 1:
        raise InputError(f"every is {every}; need an integer from 1.")
    between, *plane = image.spacing
    spacing = (every * between, *plane)
    return Patient(pair.identity, image.values[::every], inside[::every], spacing, str(pair.image))


def load_volumes(
    folder: Path,
    *,
    label: int | None = None,
    channel: int | None = None,
    every: int = 1,
    prepare: Prepare = unchanged,
) -> Cohort:
    """Read a folder of NIfTI volumes, one patient a file.

    Parameters
    ----------
    folder
        Holds ``images/NAME.nii.gz`` (or ``.nii``) and ``masks/NAME.nii.gz`` (or ``labels``); the
        name is the patient.
    label, channel, every
        As of `read_patient`.
    prepare
        What is done to each patient before the cohort is checked, such as resampling to one
        spacing and cropping to one size.

    Raises
    ------
    NotAvailableError
        If a folder is missing.
    InputError
        If an image has no mask or a mask no image, or as `read_patient` and `Cohort`. What is
        wrong with files is listed for all of them.
    """
    return read_cohort(
        folder.name,
        pair_volumes(folder),
        lambda pair: prepare(read_patient(pair, label=label, channel=channel, every=every)),
    )


def read_cohort(
    name: str, pairs: Sequence[VolumePair], read: Callable[[VolumePair], Patient]
) -> Cohort:
    """Read patients one by one; if some cannot be read, say so of all of them at once.

    Raises
    ------
    InputError
        If a patient cannot be read, or as `Cohort`.
    """
    problems: list[str] = []
    patients = [_collected(problems, lambda pair=pair: read(pair)) for pair in pairs]  # type: ignore[misc]
    _raise_all(name, problems)
    return Cohort(name, tuple(patient for patient in patients if patient is not None))


def pair_volumes(folder: Path) -> list[VolumePair]:
    """Pair images and masks of a folder by name, without reading them.

    Raises
    ------
    NotAvailableError, InputError
        As `load_volumes`.
    """
    masks_folder = next((folder / n for n in ("masks", "labels") if (folder / n).is_dir()), None)
    if not (folder / "images").is_dir() or masks_folder is None:
        raise NotAvailableError(
            f"{folder}: a data set of volumes is a folder with 'images' and with 'masks' or "
            "'labels', whose NIfTI files have the same names."
        )
    images, masks = _volumes_in(folder / "images"), _volumes_in(masks_folder)
    problems = [f"{images[n]}: has no mask in {masks_folder}." for n in images.keys() - masks]
    problems += [f"{masks[n]}: has no image in {folder / 'images'}." for n in masks.keys() - images]
    if not images and not masks:
        problems.append(f"{folder / 'images'}: holds no NIfTI file ({', '.join(SUFFIXES)}).")
    _raise_all(str(folder), sorted(problems))
    return [VolumePair(name, images[name], masks[name]) for name in sorted(images)]


def _volumes_in(folder: Path) -> dict[str, Path]:
    """Return NIfTI files by name without suffix, hidden ones left out."""
    return {
        path.name.removesuffix(suffix): path
        for suffix in SUFFIXES
        for path in folder.glob(f"[!.]*{suffix}")
    }


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    import nibabel

    if not path.is_file():
        raise NotAvailableError(f"{path}: there is no such file.")
    try:
        _check_checksum(path)
        image: Any = nibabel.load(path)
        return image.get_fdata(dtype=np.float32), image.affine
    # Which of these it is depends on where the file is damaged.
    except (
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path}: cannot be read as NIfTI, perhaps cut short ({reason}). Get it again."
        ) from None


def _check_checksum(path: Path) -> None:
    """Read a compressed file to its end, where its checksum is; nibabel stops before."""
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            while file.read(_CHUNK):
                pass


def _one_channel(
    values: NDArray[np.float32], channel: int | None, path: Path
) -> NDArray[np.float32]:
    if values.ndim == _AXES + 1 and values.shape[-1] == 1 and channel is None:
        return values[..., 0]
    if values.ndim not in {_AXES, _AXES + 1}:
        raise InputError(f"{path}: has {values.ndim} axes; need 3, or 4 and a channel.")
    if values.ndim == _AXES:
        if channel not in {None, 0}:
            raise InputError(f"{path}: has 3 axes, so there is no channel {channel}.")
        return values
    if channel is None or not 0 <= channel < values.shape[-1]:
        raise InputError(
            f"{path}: holds {values.shape[-1]} volumes; choose a channel from 0 to "
            f"{values.shape[-1] - 1}, not {channel}."
        )
    return values[..., channel]


def _check_alike(image: Volume, mask: Volume) -> None:
    if image.values.shape != mask.values.shape:
        sizes = (" x ".join(map(str, v.values.shape[::-1])) for v in (mask, image))
        raise InputError("{}: a mask of {} voxels; its image has {}.".format(mask.path, *sizes))
    apart = float(np.abs(image.affine - mask.affine).max())
    if apart > _AFFINE_TOLERANCE:
        raise InputError(
            f"{mask.path}: its affine differs from that of {image.path} by up to {apart:.3g}: the "
            "mask lies elsewhere than the image. Resample one to the other, or mend the header."
        )


def _collected(problems: list[str], read: Callable[[], Result]) -> Result | None:
    """Call a function; where it raises, keep the message, so that other files are read too."""
    try:
        return read()
    except InputError as error:
        problems.append(str(error))
        return None


def _raise_all(place: str, problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        more = len(problems) - _LARGEST_LIST
        shown = [*problems[:_LARGEST_LIST], *([f"... and {more} more"] if more > 0 else [])]
        raise InputError("\n  ".join([f"{place}: {len(problems)} problems", *shown]))
