"""Cartesian acquisitions of the ISMRM raw data format, put in their places in k-space.

References
----------
.. [1] S. J. Inati et al., "ISMRM Raw data format: a proposed standard for MRI raw datasets",
   Magnetic Resonance in Medicine 77(1), 411-421 (2017); layout and flags as in its `ismrmrd.h`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import torch
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.mri.fourier import to_image, to_kspace

_NAMES = {"": "http://www.ismrm.org/ISMRMRD"}
_REVERSED = 22
_CALIBRATION = 20
_CALIBRATION_AND_IMAGING = 21
# Noise, navigator, phase correction, feedback, dummy and surface coil scans: no lines of an image.
_NO_IMAGE = (19, 23, 24, 26, 27, 28, 29)
_ONE_VALUE = ("contrast", "phase", "set")


@dataclass(frozen=True)
class Header:
    """What the XML header says of the first encoding.

    Parameters
    ----------
    matrix
        Encoded samples along partitions, phase encoding and readout.
    field_of_view
        Encoded, along the same, in mm.
    shown
        Readout of the reconstructed image in mm: smaller where the readout was oversampled.
    centres
        Steps of partitions and of phase encoding that are at k = 0.
    patient
        Its identity, or none.
    """

    matrix: tuple[int, int, int]
    field_of_view: tuple[float, float, float]
    shown: float
    centres: tuple[int, int]
    patient: str | None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of slices or partitions, phase encoding and readout in mm."""
        partitions, phase, readout = (
            mm / n for mm, n in zip(self.field_of_view, self.matrix, strict=True)
        )
        return partitions, phase, readout


def read_header(content: bytes | str, path: Path) -> Header:
    """Read the XML header.

    Parameters
    ----------
    content
        XML.
    path
        Where it was read, for messages.

    Raises
    ------
    InputError
        If it is no XML, lacks something, or the trajectory is not Cartesian.

    Examples
    --------
    >>> read_header("<ismrmrdHeader/>", Path("scan.h5"))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: scan.h5: the ISMRMRD header describes no encoding.
    """
    try:
        # S314: expat bounds what entities may expand to since 2.4.1.
        whole = ET.fromstring(content)  # noqa: S314
    except ET.ParseError as error:
        raise InputError(f"{path}: the ISMRMRD header is no XML ({error}).") from None
    encoding = whole.find("encoding", _NAMES)
    if encoding is None:
        raise InputError(f"{path}: the ISMRMRD header describes no encoding.")
    trajectory = _text(encoding, "trajectory", path).strip().lower()
    if trajectory != "cartesian":
        raise InputError(f"{path}: the trajectory is {trajectory}; only cartesian is read.")
    matrix = tuple(int(_text(encoding, f"encodedSpace/matrixSize/{a}", path)) for a in "zyx")
    view = tuple(float(_text(encoding, f"encodedSpace/fieldOfView_mm/{a}", path)) for a in "zyx")
    if min(*matrix, *view) <= 0:
        raise InputError(f"{path}: a matrix of {matrix} over {view} mm; both must be above 0.")
    return Header(
        matrix,  # type: ignore[arg-type]
        view,  # type: ignore[arg-type]
        float(_text(encoding, "reconSpace/fieldOfView_mm/x", path)),
        (_centre(encoding, 2, matrix[0]), _centre(encoding, 1, matrix[1])),
        whole.findtext("subjectInformation/patientID", None, _NAMES),
    )


def read_acquisitions(
    acquisitions: NDArray[Any], header: Header, path: Path
) -> NDArray[np.complex64]:
    """Put lines into k-space; those measured more than once are averaged.

    Noise scans, navigators and other lines that belong to no image are left out, and so are other
    encodings than the first. Oversampling of the readout is removed. Where partitions are encoded
    (3D), they are transformed and become slices.

    Parameters
    ----------
    acquisitions
        The compound array ``dataset/data``: head, traj and data.
    header
        Of the same file.
    path
        Where it was read, for messages.

    Returns
    -------
    ndarray
        Shape (slices, coils, phase encoding, readout), 0 where nothing was measured.

    Raises
    ------
    InputError
        If nothing is left, a line does not fit into k-space, lines run backwards, coils differ,
        there is more than one contrast, phase or set, or partitions are sampled differently.
    """
    lines = _imaging(acquisitions, path)
    sums, counts = _gridded(lines, header, path)
    kspace = torch.from_numpy(sums / np.maximum(counts, 1)[:, :, None, :, None])
    if header.matrix[0] > 1:
        if (counts.any(0) != counts.any((0, 1))).any():
            raise InputError(f"{path}: partitions differ in the lines that were measured.")
        kspace = to_image(kspace, (1,))
    slices, partitions, *rest = kspace.shape
    return _without_oversampling(kspace.reshape(slices * partitions, *rest), header)


def _imaging(acquisitions: NDArray[Any], path: Path) -> NDArray[Any]:
    """Choose the lines of the image."""
    flags = acquisitions["head"]["flags"]
    wrong = np.logical_or.reduce([_has(flags, each) for each in _NO_IMAGE])
    wrong |= _has(flags, _CALIBRATION) & ~_has(flags, _CALIBRATION_AND_IMAGING)
    wrong |= acquisitions["head"]["encoding_space_ref"] != 0
    lines = acquisitions[~wrong]
    heads = lines["head"]
    if not len(lines):
        raise InputError(f"{path}: none of {len(acquisitions)} acquisitions belongs to an image.")
    if _has(heads["flags"], _REVERSED).any():
        raise InputError(f"{path}: lines run backwards (echo-planar imaging); that is not read.")
    if len(np.unique(heads["active_channels"])) > 1:
        raise InputError(f"{path}: acquisitions differ in the number of coils.")
    for name in _ONE_VALUE:
        if len(values := np.unique(heads["idx"][name])) > 1:
            raise InputError(f"{path}: holds {len(values)} values of {name}; only one is read.")
    return np.asarray(lines)


def _gridded(
    lines: NDArray[Any], header: Header, path: Path
) -> tuple[NDArray[np.complex64], NDArray[np.int64]]:
    """Sum lines where they belong: (slices, partitions, coils, phase, readout); and count them."""
    partitions, phases, readout = header.matrix
    heads = lines["head"]
    slices, n_slices = heads["idx"]["slice"], int(heads["idx"]["slice"].max()) + 1
    rows = _places(heads["idx"]["kspace_encode_step_1"], header.centres[1], phases, path)
    depths = _places(heads["idx"]["kspace_encode_step_2"], header.centres[0], partitions, path)
    coils = int(heads["active_channels"][0])
    sums = np.zeros((n_slices, partitions, coils, phases, readout), np.complex64)
    counts = np.zeros((n_slices, partitions, phases), np.int64)
    for place, line in zip(zip(slices, depths, rows, strict=True), lines, strict=True):
        values, columns = _line(line, coils, readout, path)
        at, depth, row = place
        sums[at, depth, :, row, columns] += values
        counts[place] += 1
    return sums, counts


def _line(
    line: NDArray[Any], coils: int, readout: int, path: Path
) -> tuple[NDArray[np.complex64], slice]:
    """Return the samples of one line, shape (coils, samples), and their columns."""
    head = line["head"]
    samples = int(head["number_of_samples"])
    if line["data"].size != 2 * coils * samples:
        raise InputError(
            f"{path}: scan {head['scan_counter']} has {line['data'].size} numbers; {coils} coils "
            f"of {samples} complex samples need {2 * coils * samples}."
        )
    values = line["data"].astype(np.float32).view(np.complex64).reshape(coils, samples)
    kept = values[:, int(head["discard_pre"]) : samples - int(head["discard_post"])]
    first = readout // 2 - int(head["center_sample"]) + int(head["discard_pre"])
    if first < 0 or first + kept.shape[1] > readout:
        raise InputError(
            f"{path}: scan {head['scan_counter']} has {kept.shape[1]} samples with the centre at "
            f"{head['center_sample']}; they do not fit into a readout of {readout}."
        )
    return kept, slice(first, first + kept.shape[1])


def _places(steps: NDArray[Any], centre: int, side: int, path: Path) -> NDArray[np.int64]:
    places = steps.astype(np.int64) - centre + side // 2
    if places.min() < 0 or places.max() >= side:
        raise InputError(
            f"{path}: encoding steps from {steps.min()} to {steps.max()} around {centre} do not "
            f"fit into a matrix of {side}."
        )
    return places


def _without_oversampling(kspace: torch.Tensor, header: Header) -> NDArray[np.complex64]:
    """Keep the middle of the readout in the image, as much as is to be shown."""
    samples = kspace.shape[-1]
    kept = round(samples * header.shown / header.field_of_view[-1])
    if 0 < kept < samples:
        first = samples // 2 - kept // 2
        image = to_image(kspace, (-1,))[..., first : first + kept]
        kspace = to_kspace(image, (-1,))
    return np.ascontiguousarray(kspace.numpy(), dtype=np.complex64)


def _has(flags: NDArray[Any], number: int) -> NDArray[np.bool_]:
    """Tell which acquisitions have a flag; they are counted from 1."""
    return np.asarray((flags >> np.uint64(number - 1)) & np.uint64(1), dtype=bool)


def _centre(encoding: ET.Element, step: int, side: int) -> int:
    name = f"encodingLimits/kspace_encoding_step_{step}/center"
    return int(encoding.findtext(name, str(side // 2), _NAMES))


def _text(encoding: ET.Element, name: str, path: Path) -> str:
    text = encoding.findtext(name, None, _NAMES)
    if text is None:
        raise InputError(f"{path}: the ISMRMRD header lacks encoding/{name}.")
    return text
