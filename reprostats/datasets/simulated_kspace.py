"""Multi-coil k-space with known truth: heads deformed from the MNI152 template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reprostats.datasets.templates import (
    Template,
    centred,
    head_deformation,
    head_intensities,
    load_template,
    warp,
)
from reprostats.errors import InputError
from reprostats.mri.checks import check_finite
from reprostats.mri.coils import check_kspace, simulated_sensitivities
from reprostats.mri.fourier import to_kspace

Complex = NDArray[np.complex64]

_DATASET = "mni152-kspace"
_MOST_SUBJECTS = 10_000
_SLOPE = 1.0  # rad per 100 mm
_CURVATURE = 0.5  # rad per (100 mm)²
_FAR = 100.0  # mm


@dataclass(frozen=True, eq=False)
class KspaceSubject:
    """Slices of one subject as coils receive them, with the truth.

    Parameters
    ----------
    identity
        Name of the subject.
    images
        The truth: complex64, shape (slices, height, width).
    sensitivities
        Of the coils: complex64, shape (slices, coils, height, width), without unit.
    kspace
        Fully sampled, with noise, in the unit of the images: complex64, shape (slices, coils,
        height, width), by `reprostats.mri.fourier.to_kspace`.
    brain
        Where measures are taken: bool, shape (slices, height, width).
    spacing
        Of slices, rows and columns in mm.
    dataset
        Where it comes from.

    Raises
    ------
    InputError
        If types or shapes do not fit, a value is not finite, a coil is zero everywhere in a slice,
        or no voxel is in the brain.

    Examples
    --------
    >>> one = np.ones((1, 1, 4, 4), np.complex64)
    >>> KspaceSubject("p1", one[0], one, one, one[0] == 0, (5.0, 1.0, 1.0), "test")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: test, subject p1: the brain of shape (1, 4, 4) holds no voxel.
    """

    identity: str
    images: Complex
    sensitivities: Complex
    kspace: Complex
    brain: NDArray[np.bool_]
    spacing: tuple[float, ...]
    dataset: str

    def __post_init__(self) -> None:
        try:
            self._check()
        except InputError as error:
            raise InputError(f"{self.dataset}, subject {self.identity}: {error}") from None

    def _check(self) -> None:
        _check_types(self)
        _check_shapes(self)
        check_kspace(_tensor(self.kspace), 2)
        check_kspace(_tensor(self.sensitivities), 2)
        check_finite(_tensor(self.images), "images")
        if not self.brain.any():
            raise InputError(f"the brain of shape {self.brain.shape} holds no voxel.")


def simulated_kspace(
    n_subjects: int,
    generator: np.random.Generator,
    *,
    n_slices: int = 4,
    resolution: int = 2,
    n_coils: int = 6,
    noise: float = 0.01,
    size: tuple[int, int] | None = None,
) -> tuple[KspaceSubject, ...]:
    """Draw subjects whose images, coils and k-space are known.

    Each head is the template after a random smooth deformation, with a contrast of its own, as in
    `reprostats.datasets.simulated.simulated_cohort`. Its brightest voxel in the slices is 1. Its
    phase is a constant, anything in a turn, and a polynomial of second degree in the place: slopes
    along the axes with an SD of 1 rad in 100 mm, and for each square and product of two axes an
    SD of 0.5 rad in (100 mm)². The coils of
    `reprostats.mri.coils.simulated_sensitivities` are other for each subject, and the same in all
    its slices, since they are long wires.

    Parameters
    ----------
    n_subjects
        From 1.
    generator
        What they are drawn from. Each has a generator of its own, spawned from it, so that the
        first ten of twenty are the same as ten.
    n_slices
        Slices, transversal and neighbours, from the middle of the head.
    resolution
        Side of a voxel in mm.
    n_coils
        From 1.
    noise
        SD of the complex Gaussian noise in the real and in the imaginary part of each sample of
        k-space, the brightest voxel being 1. The transform keeps norms, so it is also the SD in
        the real and in the imaginary part of each coil's fully sampled image.
    size
        Height and width, around the centre; default: those of the template, made even.

    Returns
    -------
    tuple of KspaceSubject
        The images being without noise.

    Raises
    ------
    InputError
        If a number is out of range.

    Notes
    -----
    Simplified: the template has no skull, scalp or fat; voxels do not mix what is in them beyond
    the template's own blur, and k-space has no more of the image than the grid shows; noise is not
    correlated between coils; nothing moves, and there is no relaxation during readout.

    Examples
    --------
    >>> subject, _ = simulated_kspace(2, np.random.default_rng(1), n_slices=3, resolution=8)
    >>> subject.kspace.shape, subject.brain.shape, float(abs(subject.images).max())
    ((3, 6, 30, 26), (3, 30, 26), 1.0)
    """
    template = load_template(resolution)
    _check_numbers(n_subjects, n_slices, n_coils, noise, len(template.intensities))
    sides = _sides(template, size)
    return tuple(
        _subject(f"head-{number:03d}", template, child, n_slices, n_coils, noise, sides)
        for number, child in enumerate(generator.spawn(n_subjects), start=1)
    )


def _subject(
    identity: str,
    template: Template,
    generator: np.random.Generator,
    n_slices: int,
    n_coils: int,
    noise: float,
    sides: tuple[int, int],
) -> KspaceSubject:
    deformation = head_deformation(template, generator)
    box = (n_slices, *sides)
    magnitude = centred(head_intensities(template, deformation, generator), box)
    inside = warp(template.inside.astype(np.float32), deformation) > 0.5  # noqa: PLR2004
    phase = _phase(box, template.spacing, generator)
    images = (magnitude / magnitude.max() * np.exp(1j * phase)).astype(np.complex64)
    coils = simulated_sensitivities(sides, n_coils, generator)
    kspace = to_kspace(coils * torch.from_numpy(images)[:, None]).numpy()
    return KspaceSubject(
        identity,
        images,
        coils.expand(n_slices, -1, -1, -1).clone().numpy(),
        kspace + noise * _complex_normal(kspace.shape, generator),
        centred(inside, box),
        template.spacing,
        _DATASET,
    )


def _phase(
    shape: Sequence[int], spacing: Sequence[float], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a polynomial of second degree in the place, in rad, over a grid around its centre."""
    places = [
        (np.arange(side) - side // 2) * mm / _FAR for side, mm in zip(shape, spacing, strict=True)
    ]
    grid = np.stack(np.meshgrid(*places, indexing="ij"))
    constant = generator.uniform(-np.pi, np.pi)
    slopes = generator.normal(0, _SLOPE, len(shape))
    curvatures = np.triu(generator.normal(0, _CURVATURE, (len(shape), len(shape))))
    curved = np.einsum("i...,ij,j...->...", grid, curvatures, grid)
    return np.asarray(constant + np.tensordot(slopes, grid, 1) + curved)


def _complex_normal(shape: Sequence[int], generator: np.random.Generator) -> Complex:
    real, imaginary = generator.normal(size=(2, *shape)).astype(np.float32)
    return np.asarray(real + 1j * imaginary, dtype=np.complex64)


def _tensor(values: Complex) -> torch.Tensor:
    """Return a tensor, of a copy where PyTorch cannot share the memory of the array."""
    return torch.from_numpy(np.require(values, requirements=("C", "W")))


def _sides(template: Template, size: tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        height, width = template.intensities.shape[1:]
        return height + height % 2, width + width % 2
    if len(size) != 2 or not all(side >= 1 for side in size):  # noqa: PLR2004
        raise InputError(f"size is {size}; need a height and a width from 1.")
    return size


def _check_numbers(
    n_subjects: int, n_slices: int, n_coils: int, noise: float, most_slices: int
) -> None:
    if not 1 <= n_subjects < _MOST_SUBJECTS:
        raise InputError(f"n_subjects is {n_subjects}; need from 1 to {_MOST_SUBJECTS - 1}.")
    if not 1 <= n_slices <= most_slices:
        raise InputError(f"n_slices is {n_slices}; the template has from 1 to {most_slices}.")
    if n_coils < 1:
        raise InputError(f"n_coils is {n_coils}; need 1 or more.")
    if not 0 <= noise < np.inf:
        raise InputError(f"noise is {noise}; it must be finite, 0 or more.")


def _check_types(subject: KspaceSubject) -> None:
    for name in ("images", "sensitivities", "kspace"):
        given = getattr(subject, name).dtype
        if given != np.complex64:
            raise InputError(f"{name} are {given}; complex64 is due.")
    if subject.brain.dtype != np.bool_:
        raise InputError(f"brain is {subject.brain.dtype}; bool is due.")


def _check_shapes(subject: KspaceSubject) -> None:
    slices, _, *plane = due = subject.kspace.shape if subject.kspace.ndim == 4 else (0, 0)  # noqa: PLR2004
    shapes = (subject.images.shape, subject.sensitivities.shape, subject.brain.shape)
    if not plane or shapes != ((slices, *plane), due, (slices, *plane)):
        raise InputError(
            f"k-space has shape {subject.kspace.shape}, sensitivities have {shapes[1]}, images "
            f"{shapes[0]} and brain {shapes[2]}; (slices, coils, height, width) is due for the "
            "first two, and the same without coils for the others."
        )
    if len(subject.spacing) not in {2, 3} or not all(0 < mm < np.inf for mm in subject.spacing):
        raise InputError(f"spacing is {subject.spacing} mm; finite numbers above 0 are due.")
