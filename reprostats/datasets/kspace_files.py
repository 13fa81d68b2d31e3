"""Measured k-space from files: NumPy arrays, HDF5 as fastMRI and ISMRMRD have it.

References
----------
.. [1] J. Zbontar et al., "fastMRI: an open dataset and benchmarks for accelerated MRI",
   arXiv:1811.08839 (2018), and its file format.
.. [2] S. J. Inati et al., "ISMRM Raw data format: a proposed standard for MRI raw datasets",
   Magnetic Resonance in Medicine 77(1), 411-421 (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from reprostats.datasets.ismrmrd import read_acquisitions, read_header
from reprostats.datasets.simulated_kspace import Complex, KspaceSubject
from reprostats.errors import InputError, NotAvailableError
from reprostats.mri.coils import check_kspace, estimated_sensitivities
from reprostats.mri.fourier import to_image

_LEAST_SPAN = 0.75
_SIGNAL = 0.1
_IN_MILLIMETRES = (1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class MeasuredKspace:
    """Slices of one scan as coils received them; the truth is not known.

    Parameters
    ----------
    identity
        Name of the scan.
    patient
        Whose it is: scans of one patient belong into one fold.
    kspace
        complex64, shape (slices, coils, height, width), its centre at n // 2; 0 where not sampled.
    spacing
        Of slices, rows and columns in mm; 1 mm where the file does not say.
    reference
        Magnitudes that came with it: float32, shape (slices, height, width), perhaps smaller than
        k-space; None where there are none.
    maximum
        Of the reference's volume, which fastMRI takes as data range; None where not given.
    origin
        Where it was read.

    Raises
    ------
    InputError
        If k-space is not complex64 with four axes, holds what is not finite, or a coil of a slice
        is zero everywhere.
    """

    identity: str
    patient: str
    kspace: Complex
    spacing: tuple[float, float, float]
    reference: NDArray[np.float32] | None
    maximum: float | None
    origin: Path

    def __post_init__(self) -> None:
        if self.kspace.dtype != np.complex64 or self.kspace.ndim != 4:  # noqa: PLR2004
            raise InputError(
                f"{self.origin}: k-space is {self.kspace.dtype} of shape {self.kspace.shape}; "
                "complex64 (slices, coils, height, width) is due."
            )
        try:
            check_kspace(torch.from_numpy(np.require(self.kspace, requirements=("C", "W"))), 2)
        except InputError as error:
            raise InputError(f"{self.origin}: {error}") from None

    @property
    def sampled(self) -> NDArray[np.bool_]:
        """Where any coil of any slice holds anything, shape (height, width)."""
        return np.asarray(self.kspace.any(axis=(0, 1)))


def read_kspace(path: Path, *, slices: slice = slice(None)) -> MeasuredKspace:
    """Read a file of k-space.

    Parameters
    ----------
    path
        ``.npy`` of shape (coils, height, width) or (slices, coils, height, width); ``.h5`` or
        ``.hdf5`` as fastMRI [1]_ has it (``kspace`` of shape (slices, coils, height, width), or
        without coils from one coil; perhaps ``reconstruction_rss`` or ``reconstruction_esc``) or
        as ISMRMRD [2]_ has it (see `reprostats.datasets.ismrmrd`).
    slices
        Which to keep; of ``.npy`` and fastMRI others are not read at all.

    Raises
    ------
    NotAvailableError
        If there is no such file.
    InputError
        If it cannot be read, is cut short, has another layout, is not complex, or as
        `MeasuredKspace`.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "scan.npy"
    >>> np.save(path, np.ones((8, 5, 4), np.complex128))
    >>> scan = read_kspace(path)
    >>> scan.identity, scan.kspace.shape, scan.kspace.dtype.name
    ('scan', (1, 8, 5, 4), 'complex64')
    """
    if not path.is_file():
        raise NotAvailableError(f"{path}: there is no such file.")
    if path.suffix == ".npy":
        return _from_numpy(path, slices)
    if path.suffix in {".h5", ".hdf5"}:
        return _from_hdf5(path, slices)
    raise InputError(f"{path}: k-space is read from .npy, .h5 and .hdf5 files.")


def with_truth(
    scan: MeasuredKspace, *, centre: tuple[int, int] = (24, 24), signal: float = _SIGNAL
) -> KspaceSubject:
    """Make of a fully sampled scan a subject whose image is taken for the truth.

    Sensitivities are estimated from the centre of k-space, as
    `reprostats.mri.coils.estimated_sensitivities` does. The image is the sum over coils of
    conj(S) F* y, noise included; its brightest voxel is made 1, and k-space is scaled along.

    Parameters
    ----------
    scan
        Sampled without gaps. Margins may be empty: up to a quarter of each side, as where less
        was measured than is shown.
    centre
        Rows and columns of the block that sensitivities are estimated from.
    signal
        Measures are taken where there is more than this part of the brightest voxel: in the
        largest connected part, holes filled.

    Raises
    ------
    InputError
        If there are gaps, or as `estimated_sensitivities`.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "scan.npy"
    >>> np.save(path, np.ones((2, 32, 32), np.complex64))
    >>> subject = with_truth(read_kspace(path))
    >>> subject.identity, subject.images.shape, int(subject.brain.sum())
    ('scan', (1, 32, 32), 1)
    """
    _check_fully_sampled(scan)
    kspace = torch.from_numpy(scan.kspace)
    try:
        sensitivities = estimated_sensitivities(kspace, centre)
    except InputError as error:
        raise InputError(f"{scan.origin}: {error}") from None
    images = (sensitivities.conj() * to_image(kspace)).sum(1).numpy()
    brightest = np.abs(images).max()
    return KspaceSubject(
        scan.identity,
        images / brightest,
        sensitivities.numpy(),
        scan.kspace / brightest,
        _object(np.abs(images), signal * brightest),
        scan.spacing,
        str(scan.origin),
    )


def _from_numpy(path: Path, slices: slice) -> MeasuredKspace:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(path, error) from None
    kspace = values[None] if values.ndim == 3 else values  # noqa: PLR2004
    return MeasuredKspace(
        path.stem,
        path.stem,
        _complex64(_chosen(kspace, slices, path), path),
        _IN_MILLIMETRES,
        None,
        None,
        path,
    )


def _from_hdf5(path: Path, slices: slice) -> MeasuredKspace:
    import h5py

    try:
        with h5py.File(path) as file:
            if "kspace" in file:
                return _from_fastmri(path, file, slices)
            if "dataset" in file:
                return _from_ismrmrd(path, file["dataset"], slices)
            found = ", ".join(sorted(file)) or "nothing"
    # h5py raises these where a file is damaged, depending on where.
    except (OSError, KeyError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    raise InputError(f"{path}: holds {found}; 'kspace' (fastMRI) or 'dataset' (ISMRMRD) is due.")


def _from_fastmri(path: Path, file: Any, slices: slice) -> MeasuredKspace:
    values = file["kspace"]
    chosen = _chosen(values, slices, path)
    reference = next((file[n][slices] for n in file if n.startswith("reconstruction_")), None)
    maximum = file.attrs.get("max")
    return MeasuredKspace(
        path.stem,
        str(file.attrs.get("patient_id", path.stem)),
        _complex64(chosen[:, None] if values.ndim == 3 else chosen, path),  # noqa: PLR2004
        _fastmri_spacing(path, file),
        None if reference is None else np.asarray(reference, np.float32),
        None if maximum is None else float(maximum),
        path,
    )


def _fastmri_spacing(path: Path, file: Any) -> tuple[float, float, float]:
    """Return the spacing; fastMRI stores the readout along the rows."""
    if "ismrmrd_header" not in file:
        return _IN_MILLIMETRES
    between, phase, readout = read_header(file["ismrmrd_header"][()], path).spacing
    return between, readout, phase


def _from_ismrmrd(path: Path, group: Any, slices: slice) -> MeasuredKspace:
    for name in ("xml", "data"):
        if name not in group:
            raise InputError(f"{path}: 'dataset' holds no {name!r}, as ISMRMRD has it.")
    header = read_header(group["xml"][0], path)
    kspace = read_acquisitions(group["data"][()], header, path)
    return MeasuredKspace(
        path.stem, header.patient or path.stem, kspace[slices], header.spacing, None, None, path
    )


def _chosen(values: Any, slices: slice, path: Path) -> Any:
    if values.ndim not in {3, 4}:
        raise InputError(
            f"{path}: k-space has shape {values.shape}; (slices, coils, height, width) is due."
        )
    chosen = values[slices]
    if not len(chosen):
        raise InputError(f"{path}: no slice is left of {len(values)}.")
    return chosen


def _complex64(values: Any, path: Path) -> Complex:
    if values.dtype.kind != "c":
        raise InputError(
            f"{path}: k-space of shape {values.shape} is {values.dtype}; complex64 is due."
        )
    return np.array(values, dtype=np.complex64, order="C")


def _check_fully_sampled(scan: MeasuredKspace) -> None:
    sampled = np.asarray(scan.kspace.any(axis=1))  # of each slice by itself
    (spans,) = ndimage.find_objects(scan.sampled.astype(np.int8))
    whole = all(
        _LEAST_SPAN * side <= span.stop - span.start
        for span, side in zip(spans, sampled.shape[1:], strict=True)
    )
    if not whole or not sampled[:, *spans].all():
        raise InputError(
            f"{scan.origin}: {sampled.mean():.1%} of k-space {sampled.shape[1:]} is sampled; a "
            "truth needs all of it, but for empty margins of up to a quarter."
        )


def _object(magnitude: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return the largest connected part above a threshold, holes filled slice by slice."""
    labels, number = ndimage.label(magnitude > threshold)
    sizes = ndimage.sum_labels(labels > 0, labels, range(1, number + 1))
    largest = labels == 1 + int(np.argmax(sizes))
    return np.stack([ndimage.binary_fill_holes(each) for each in largest])


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return InputError(f"{path}: cannot be read, perhaps cut short ({reason}). Get it again.")
