"""A cohort with known truth: heads deformed from the MNI152 template, each in its own way."""

from __future__ import annotations

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from reprostats.datasets.patients import Cohort, Patient
from reprostats.datasets.templates import (
    Template,
    bias_field,
    head_deformation,
    head_intensities,
    load_template,
    rician_noise,
    warp,
)
from reprostats.errors import InputError

Structure = Literal["grey_matter", "white_matter", "brain"]

_BIAS = 0.2
_BIAS_SMOOTHNESS = 40.0  # mm
_MOST_PATIENTS = 10_000
_MULTIPLE = 16

Pixel = TypeVar("Pixel", bound=np.generic)


def simulated_cohort(
    n_patients: int,
    generator: np.random.Generator,
    *,
    structure: Structure = "grey_matter",
    n_slices: int = 8,
    resolution: int = 4,
    noise: float = 0.05,
) -> Cohort:
    """Draw patients whose heads, and the truth in them, are known.

    Each head is the template after a random smooth deformation (5 mm root mean square along each
    axis, smoothed over 20 mm), with a contrast of its own (a power between 1/1.5 and 1.5), a bias
    field (SD 0.2 of its logarithm, smoothed over 40 mm) and Rician noise. The truth is where the
    deformed probability of the structure is above one half.

    Parameters
    ----------
    n_patients
        Number of heads, from 1.
    generator
        What they are drawn from. Each has a generator of its own, spawned from it, so that the
        first ten of twenty are the same as ten.
    structure
        ``"grey_matter"``, ``"white_matter"`` or ``"brain"`` (both).
    n_slices
        Slices, transversal and neighbours, from the middle of the head.
    resolution
        Side of a voxel in mm.
    noise
        SD of the noise, the brightest voxel of the template being 1.

    Returns
    -------
    Cohort
        Slices with sides of multiples of 16, so that a U-Net of up to five levels takes them.

    Raises
    ------
    InputError
        If a number is out of range.

    Examples
    --------
    >>> cohort = simulated_cohort(2, np.random.default_rng(1), n_slices=3, resolution=8)
    >>> cohort.identities, cohort.patients[0].images.shape
    (('head-001', 'head-002'), (3, 32, 32))
    """
    template = load_template(resolution)
    if not 1 <= n_patients < _MOST_PATIENTS or not 1 <= n_slices <= len(template.intensities):
        raise InputError(
            f"{n_patients} patients of {n_slices} slices; need from 1 patient, and from 1 to "
            f"{len(template.intensities)} slices at {resolution} mm."
        )
    if not noise >= 0:
        raise InputError(f"noise is {noise}; it must be 0 or more.")
    return Cohort(
        "mni152",
        tuple(
            _head(f"head-{number:03d}", template, child, structure, n_slices, noise)
            for number, child in enumerate(generator.spawn(n_patients), start=1)
        ),
    )


def _head(
    identity: str,
    template: Template,
    generator: np.random.Generator,
    structure: Structure,
    n_slices: int,
    noise: float,
) -> Patient:
    shape, voxel = template.intensities.shape, template.spacing[0]
    deformation = head_deformation(template, generator)
    intensities = head_intensities(template, deformation, generator)
    bias = bias_field(shape, generator, strength=_BIAS, smoothness=_BIAS_SMOOTHNESS / voxel)
    first = (len(intensities) - n_slices) // 2
    shown = slice(first, first + n_slices)
    truth = warp(getattr(template, structure), deformation)[shown] > 0.5  # noqa: PLR2004
    clean = _padded((intensities * bias)[shown].astype(np.float32))
    images = rician_noise(clean, generator, noise)
    return Patient(identity, images, _padded(truth), template.spacing, "mni152")


def _padded(slices: NDArray[Pixel]) -> NDArray[Pixel]:
    """Fill rows and columns up to multiples of 16 with zeros."""
    missing = [-side % _MULTIPLE for side in slices.shape[1:]]
    return np.pad(slices, [(0, 0), *((number // 2, number - number // 2) for number in missing)])
