"""Patients with images and masks, and cohorts of them, checked when they are made."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reprostats.datasets.image_folders import ImageWithMask, load_folder
from reprostats.errors import InputError

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
Prepare = Callable[["Patient"], "Patient"]

_AXES = 3
_IN_PLANE = 2
_LARGEST_LIST = 20
_SPACING_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Patient:
    """The slices of one patient with the truth.

    Parameters
    ----------
    identity
        Name of the patient, unique in a cohort.
    images
        Shape (slices, height, width).
    masks
        Of the same shape: True inside the structure.
    spacing
        In mm. Two numbers (rows, columns): the slices stand alone. Three (slices, rows, columns):
        they lie on one another, so that distances are measured in three dimensions.
    origin
        Where it was read, for messages.

    Raises
    ------
    InputError
        If shapes do not fit, a value is not finite, there is no slice, or the spacing is not one
        of positive numbers.

    Examples
    --------
    >>> ones = np.ones((2, 4, 4))
    >>> Patient("p1", ones.astype(np.float32), ones > 0, (8.0, 1.5, 1.5)).images.shape
    (2, 4, 4)
    >>> Patient("p2", ones.astype(np.float32), ones > 0, (0.0, 1.5))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: patient 'p2': spacing is (0.0, 1.5); need 2 or 3 numbers above 0,
        in mm.
    """

    identity: str
    images: Images
    masks: Masks
    spacing: tuple[float, ...]
    origin: str = ""

    def __post_init__(self) -> None:
        place = f"{self.origin}: patient" if self.origin else "patient"
        if problem := _problem(self):
            raise InputError(f"{place} {self.identity!r}: {problem}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its slices."""
        return self.images.shape[1], self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Cohort:
    """Patients who can be trained on and tested together.

    Parameters
    ----------
    name
        What the cohort is called.
    patients
        In the order in which folds are drawn: keep it the same.
    empty
        Whether a patient whose mask is background throughout is refused or kept.

    Raises
    ------
    InputError
        If there is no patient, two have the same identity, their slices differ in size, or a mask
        is background throughout and shall not be.

    Warns
    -----
    UserWarning
        If pixels differ in size between patients, or a patient has one slice only.

    Examples
    --------
    >>> ones = np.ones((2, 4, 4), np.float32)
    >>> patient = Patient("p1", ones, ones > 0, (1.5, 1.5))
    >>> Cohort("twice", (patient, patient))
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: cohort 'twice': two patients are called 'p1'; each needs a name
        of its own.
    """

    name: str
    patients: tuple[Patient, ...]
    empty: Literal["refuse", "keep"] = "refuse"

    def __post_init__(self) -> None:
        if not self.patients:
            raise InputError(f"cohort {self.name!r} has no patients.")
        self._check_names()
        self._check_sizes()
        self._check_masks()
        self._warn_of_spacings()
        self._warn_of_single_slices()

    @property
    def identities(self) -> tuple[str, ...]:
        """Names of the patients, in order."""
        return tuple(patient.identity for patient in self.patients)

    def chosen(self, identities: Iterable[str]) -> tuple[Patient, ...]:
        """Return patients by name.

        Raises
        ------
        InputError
            If a name is not known.
        """
        by_name = {patient.identity: patient for patient in self.patients}
        wanted = list(identities)
        if unknown := [name for name in wanted if name not in by_name]:
            raise InputError(f"cohort {self.name!r} has no patient {listed(unknown)}.")
        return tuple(by_name[name] for name in wanted)

    def changed(self, change: Prepare) -> Cohort:
        """Return the cohort with every patient changed by a function."""
        return replace(self, patients=tuple(change(patient) for patient in self.patients))

    def __iter__(self) -> Iterator[Patient]:
        return iter(self.patients)

    def __len__(self) -> int:
        return len(self.patients)

    def _check_names(self) -> None:
        ((name, times), *_) = Counter(self.identities).most_common(1)
        if times > 1:
            raise InputError(
                f"cohort {self.name!r}: {'two' if times == 2 else times} patients are called "  # noqa: PLR2004
                f"{name!r}; each needs a name of its own."
            )

    def _check_sizes(self) -> None:
        sizes = Counter(patient.size for patient in self.patients)
        (usual, _), *others = sizes.most_common()
        if others:
            odd = [f"{p.identity} ({_times(p.size)})" for p in self.patients if p.size != usual]
            raise InputError(
                f"cohort {self.name!r}: slices differ in size. Most have {_times(usual)} pixels, "
                f"but not {listed(odd)}. Resample to one spacing, then crop or pad to one size."
            )

    def _check_masks(self) -> None:
        without = [p.identity for p in self.patients if not p.masks.any()]
        if without and self.empty == "refuse":
            raise InputError(
                f"cohort {self.name!r}: the mask is background throughout in {listed(without)}. "
                "Leave such patients out, choose the label that their masks hold, or keep them "
                "with empty='keep'."
            )

    def _warn_of_spacings(self) -> None:
        planes = [patient.spacing[-_IN_PLANE:] for patient in self.patients]
        apart = [
            f"{patient.identity} ({' x '.join(f'{mm:g}' for mm in plane)} mm)"
            for patient, plane in zip(self.patients, planes, strict=True)
            if not np.allclose(plane, planes[0], rtol=_SPACING_TOLERANCE)
        ]
        if apart:
            first = " x ".join(f"{mm:g}" for mm in planes[0])
            warnings.warn(
                f"cohort {self.name!r}: pixels are {first} mm in {self.patients[0].identity}, but "
                f"differ in {listed(apart)}. Resample to one spacing if size matters.",
                stacklevel=4,
            )

    def _warn_of_single_slices(self) -> None:
        single = [patient.identity for patient in self.patients if len(patient) == 1]
        if single:
            warnings.warn(
                f"cohort {self.name!r}: one slice only of {listed(single)}; a measure of such a "
                "patient rests on it alone.",
                stacklevel=4,
            )


def unchanged(patient: Patient) -> Patient:
    """Return a patient as it is."""
    return patient


def load_slices(
    folder: Path,
    patient_pattern: str,
    *,
    label: int | None = None,
    prepare: Prepare = unchanged,
) -> Cohort:
    r"""Read a folder of slices with masks, the patient being part of the name.

    Parameters
    ----------
    folder
        Holds ``images`` and ``masks`` (or ``labels``); see `reprostats.datasets.image_folders`.
    patient_pattern
        Regular expression looked for in every name (without suffix); its first group, or else all
        of it, is the patient: ``"^(.+)-IM-"`` takes ``SC-N-03`` from ``SC-N-03-IM-0001-0228``.
    label
        Value of the structure in the masks; default: everything but 0.
    prepare
        What is done to each patient before the cohort is checked, such as cropping to one size.

    Returns
    -------
    Cohort
        Patients and slices in the order of their names. Spacing is 1: images have none.

    Raises
    ------
    InputError
        If the pattern is wrong or does not fit a name, slices of a patient differ in size, or as
        `load_folder`, `Patient` and `Cohort`.

    Examples
    --------
    >>> from PIL import Image
    >>> folder = getfixture("tmp_path")
    >>> for kind in ("images", "masks"):
    ...     (folder / kind).mkdir()
    ...     for name in ("ann-1", "ann-2", "bob-1", "bob-2"):
    ...         Image.new("L", (4, 4), 1).save(folder / kind / f"{name}.png")
    >>> load_slices(folder, r"^(\w+)-").identities
    ('ann', 'bob')
    """
    slices: dict[str, list[ImageWithMask]] = {}
    for sample in load_folder(folder):
        slices.setdefault(_patient_in(sample.name, patient_pattern, folder), []).append(sample)
    found = [prepare(_stacked(name, slices[name], label, folder)) for name in sorted(slices)]
    return Cohort(folder.name, tuple(found))


def listed(names: Iterable[str]) -> str:
    """Join names, the first of them if there are many.

    Examples
    --------
    >>> listed(["a", "b"])
    'a, b'
    """
    every = list(names)
    more = len(every) - _LARGEST_LIST
    return ", ".join(every[:_LARGEST_LIST]) + (f" and {more} more" if more > 0 else "")


def _problem(patient: Patient) -> str:
    """Say what is wrong with a patient; empty if nothing is."""
    images, masks = patient.images, patient.masks
    if images.ndim != _AXES or not images.size:
        return f"images have shape {images.shape}; need (slices, height, width), none of them 0."
    if masks.shape != images.shape or masks.dtype != bool:
        return (
            f"masks are {masks.dtype} of shape {masks.shape}; need bool of the images' shape "
            f"{images.shape}."
        )
    if not np.isfinite(images).all():
        slice_number, *_ = np.argwhere(~np.isfinite(images))[0]
        count = np.count_nonzero(~np.isfinite(images))
        return f"{count} pixels are not finite numbers, the first in slice {slice_number + 1}."
    spacing = patient.spacing
    if len(spacing) not in {_IN_PLANE, _AXES} or not all(0 < mm < np.inf for mm in spacing):
        return f"spacing is {spacing}; need 2 or 3 numbers above 0, in mm."
    return ""


def _patient_in(name: str, pattern: str, folder: Path) -> str:
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise InputError(
            f"patient_pattern {pattern!r} is no regular expression: {error}."
        ) from None
    if match is None:
        raise InputError(f"{folder}: patient_pattern {pattern!r} does not fit the name {name!r}.")
    return str(match[1] if match.re.groups else match[0])


def _stacked(name: str, slices: list[ImageWithMask], label: int | None, folder: Path) -> Patient:
    sizes = {each.image.shape for each in slices}
    if len(sizes) > 1:
        raise InputError(
            f"{folder}: slices of patient {name!r} differ in size: "
            f"{listed(sorted(_times(size) for size in sizes))} pixels."
        )
    masks = np.stack([each.mask for each in slices])
    inside = masks > 0 if label is None else masks == label
    images = np.stack([each.image for each in slices]).astype(np.float32)
    return Patient(name, images, inside, (1.0, 1.0), str(folder))


def _times(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
