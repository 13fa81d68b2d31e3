"""Susceptibility and its field with known truth: brains deformed from the MNI152 template.

References
----------
.. [1] J. P. Marques et al., "QSM reconstruction challenge 2.0: a realistic in silico head phantom
   for MRI data simulation and evaluation of susceptibility mapping procedures", Magnetic Resonance
   in Medicine 86(1), 526-542 (2021). The susceptibility of tissues.
.. [2] R. M. Weisskoff and S. Kiihne, "MRI susceptometry: image-based measurement of absolute
   susceptibility of MR contrast agents and human blood", Magnetic Resonance in Medicine 24(2),
   375-383 (1992).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reprostats.datasets.susceptibility import Mask, SusceptibilitySubject
from reprostats.datasets.templates import (
    MNI_ORIGIN,
    Template,
    Volume,
    centred,
    head_deformation,
    load_template,
    smooth_noise,
    warp,
)
from reprostats.errors import InputError
from reprostats.mri.dipole import DipoleField, dipole_kernel

Places = NDArray[np.float64]

GREY_MATTER, WHITE_MATTER, FLUID = 0.020, -0.030, 0.019
"""Susceptibility in ppm [1]_."""

_DATASET = "mni152-susceptibility"
_MOST_SUBJECTS = 10_000
_SPREAD = 0.2
_TEXTURE = 0.01  # ppm
_TEXTURE_SMOOTHNESS = 3.0  # mm
_FINER = 3


@dataclass(frozen=True)
class Nucleus:
    """A deep grey nucleus as two ellipsoids, left and right.

    Parameters
    ----------
    name
        In anatomy.
    susceptibility
        In ppm [1]_.
    centre
        Of the right one in MNI space: z, y and x in mm.
    half_axes
        Along z, y and x in mm.
    """

    name: str
    susceptibility: float
    centre: tuple[float, float, float]
    half_axes: tuple[float, float, float]


NUCLEI = (
    Nucleus("thalamus", 0.020, (8, -19, 12), (8, 13, 8)),
    Nucleus("caudate head", 0.044, (9, 13, 13), (9, 9, 4.5)),
    Nucleus("putamen", 0.038, (1, 4, 27), (9, 14, 4.5)),
    Nucleus("globus pallidus", 0.131, (-1, -4, 20), (5, 8, 4)),
    Nucleus("substantia nigra", 0.111, (-12, -17, 10), (3.5, 6, 3)),
    Nucleus("red nucleus", 0.100, (-9, -20, 5.5), (4, 3.5, 3)),
    Nucleus("dentate nucleus", 0.152, (-34, -57, 15), (5, 8, 4)),
)
"""Of two that overlap, the later one counts. Places and sizes are rounded from anatomy, and only
meant to be plausible."""


def simulated_susceptibility(
    n_subjects: int,
    generator: np.random.Generator,
    *,
    resolution: int = 2,
    noise: float = 0.002,
    b0: tuple[float, float, float] = (1.0, 0.0, 0.0),
    size: tuple[int, int, int] | None = None,
) -> tuple[SusceptibilitySubject, ...]:
    """Draw subjects whose susceptibility is known, and with it their field.

    Each brain is the template after a random smooth deformation, as in
    `reprostats.datasets.simulated.simulated_cohort`. Tissue has the susceptibilities of [1]_, in
    proportion to its probability; those of the `NUCLEI` vary by up to a fifth between subjects.
    Smooth texture (SD 0.01 ppm, smoothed over 3 mm) lies in all of it. In it run 4 to 8 veins: 40
    to 80 mm long, 1 to 1.5 mm in radius, of 0.25 to 0.4 ppm. That is what 4 pi 0.18 ppm x
    haematocrit x (1 - oxygenation) [2]_ gives at a haematocrit of 0.42 and oxygenations from 0.74
    to 0.58. There are up to 3 microbleeds (0.5 to 1.5 ppm) and, in every second subject, a
    calcification (-2 to -1 ppm), balls with radii of 1.5 to 3 mm.

    Parameters
    ----------
    n_subjects
        From 1.
    generator
        What they are drawn from. Each has a generator of its own, spawned from it, so that the
        first ten of twenty are the same as ten.
    resolution
        Side of a voxel in mm.
    noise
        SD of the Gaussian noise of the field in ppm.
    b0
        Unit vector along the main field: z, y and x. z, from feet to head, comes first.
    size
        Sides along z, y and x, around the centre; default: those of the template. What is cut off
        makes no field.

    Returns
    -------
    tuple of SusceptibilitySubject
        The susceptibility being without noise.

    Raises
    ------
    InputError
        If a number is out of range.

    Notes
    -----
    The field is that of `reprostats.mri.dipole` with a kernel of twice the shape, so that nothing
    wraps around; its mean over that larger volume is 0. It has no background: outside the brain
    susceptibility is 0. Also simplified: nuclei are ellipsoids, veins are not connected and run
    anywhere; susceptibility is the same in all directions (in white matter it is not); noise does
    not depend on the signal, which near strong sources would vanish.

    Examples
    --------
    >>> subject, _ = simulated_susceptibility(2, np.random.default_rng(1), resolution=8)
    >>> subject.field.shape, bool(subject.field[~subject.brain].any())
    ((25, 30, 26), False)
    """
    if not 1 <= n_subjects < _MOST_SUBJECTS:
        raise InputError(f"n_subjects is {n_subjects}; need from 1 to {_MOST_SUBJECTS - 1}.")
    if not 0 <= noise < np.inf:
        raise InputError(f"noise is {noise} ppm; it must be finite, 0 or more.")
    template = load_template(resolution)
    sides = _sides(template, size)
    kernel = dipole_kernel([2 * side for side in sides], template.spacing, b0)
    field = DipoleField(kernel, sides)
    return tuple(
        _subject(f"brain-{number:03d}", template, child, field, noise, b0)
        for number, child in enumerate(generator.spawn(n_subjects), start=1)
    )


def put_along(
    path: Places, radius: float, value: float, volume: Volume, spacing: Sequence[float]
) -> None:
    """Set a volume, in place, to a value within a radius of a path: a tube, or a ball of one point.

    Voxels that it fills in part, on a grid three times as fine, are changed in part.

    Parameters
    ----------
    path
        Points in mm from the first voxel, closer together than the radius: shape
        (points, 3).
    radius
        In mm.
    value
        In the unit of the volume.
    volume
        Shape (z, y, x). What lies outside it is left out.
    spacing
        Of its voxels in mm.

    Examples
    --------
    >>> volume = np.zeros((20, 20, 20), np.float32)
    >>> put_along(np.full((1, 3), 20.0), 9.0, 1.0, volume, (2.0, 2.0, 2.0))
    >>> round(float(volume.sum() * 2**3)), round(4 / 3 * np.pi * 9**3)  # mm³
    (3080, 3054)
    """
    fine = np.asarray(spacing) / _FINER
    reach = [np.arange(-(radius // step), radius // step + 1) for step in fine]
    cube = np.stack(np.meshgrid(*reach, indexing="ij"), axis=-1).reshape(-1, 3)
    ball = cube[np.linalg.norm(cube * fine, axis=1) <= radius]
    points = (np.round(path / fine)[:, None] + ball).reshape(-1, 3).astype(np.int64)
    # Voxel i is made of the fine places 3 i - 1, 3 i and 3 i + 1, which are 3 i to 3 i + 2 now.
    points += _FINER // 2
    sides = [_FINER * side for side in volume.shape]
    points = points[((points >= 0) & (points < sides)).all(axis=1)]
    places = np.unique(np.ravel_multi_index(tuple(points.T), sides))
    voxels = np.stack(np.unravel_index(places, sides)) // _FINER
    part = np.zeros_like(volume)
    np.add.at(part, tuple(voxels), 1 / _FINER**3)
    volume += part * (value - volume)


def _subject(
    identity: str,
    template: Template,
    generator: np.random.Generator,
    operator: DipoleField,
    noise: float,
    b0: tuple[float, float, float],
) -> SusceptibilitySubject:
    deformation = head_deformation(template, generator)
    inside = warp(template.inside.astype(np.float32), deformation) > 0.5  # noqa: PLR2004
    whole = warp(_tissue(template, generator), deformation)
    whole += _TEXTURE * smooth_noise(
        whole.shape, generator, _TEXTURE_SMOOTHNESS / template.spacing[0]
    )
    _add_sources(whole, inside, template.spacing, generator)
    brain = centred(inside, operator.shape)
    susceptibility = np.where(brain, centred(whole, operator.shape), 0).astype(np.float32)
    clean = operator.forward(torch.from_numpy(susceptibility)).numpy()
    noisy = clean + noise * generator.normal(size=clean.shape)
    field = np.where(brain, noisy, 0).astype(np.float32)
    return SusceptibilitySubject(
        identity, susceptibility, field, brain, template.spacing, b0, _DATASET
    )


def _tissue(template: Template, generator: np.random.Generator) -> Volume:
    """Return the susceptibility of the template: tissue by probability, and nuclei in it."""
    fluid = 1 - template.brain
    whole = GREY_MATTER * template.grey_matter + WHITE_MATTER * template.white_matter
    whole = whole + FLUID * fluid
    for nucleus in NUCLEI:
        part = _ellipsoids(template, nucleus)
        value = nucleus.susceptibility * generator.uniform(1 - _SPREAD, 1 + _SPREAD)
        whole += part * (value - whole)
    return np.asarray(whole, dtype=np.float32)


def _ellipsoids(template: Template, nucleus: Nucleus) -> Volume:
    """Return the part of each voxel, 0 to 1, that lies in the nucleus of either side, about."""
    axes = [
        start + mm * np.arange(side, dtype=np.float32)
        for start, mm, side in zip(
            MNI_ORIGIN, template.spacing, template.intensities.shape, strict=True
        )
    ]
    axes[-1] = np.abs(axes[-1])
    away = [
        ((axis - middle) / half) ** 2
        for axis, middle, half in zip(axes, nucleus.centre, nucleus.half_axes, strict=True)
    ]
    distance = np.sqrt(away[0][:, None, None] + away[1][:, None] + away[2])
    steepness = np.mean(nucleus.half_axes) / template.spacing[0]
    return np.asarray(np.clip(0.5 + steepness * (1 - distance), 0, 1), dtype=np.float32)


def _add_sources(
    whole: Volume, inside: Mask, spacing: Sequence[float], generator: np.random.Generator
) -> None:
    """Put veins, microbleeds and a calcification into the susceptibility."""
    for _ in range(generator.integers(4, 9)):
        path = _vein(_anywhere(inside, spacing, generator), generator)
        put_along(path, generator.uniform(1, 1.5), generator.uniform(0.25, 0.4), whole, spacing)
    lesions = [(0.5, 1.5)] * generator.integers(0, 4) + [(-2.0, -1.0)] * generator.integers(0, 2)
    for range_ in lesions:
        place = _anywhere(inside, spacing, generator)
        put_along(
            place[None], generator.uniform(1.5, 3), generator.uniform(*range_), whole, spacing
        )


def _anywhere(inside: Mask, spacing: Sequence[float], generator: np.random.Generator) -> Places:
    """Draw a place inside, in mm from the first voxel."""
    places = np.argwhere(inside)
    return np.asarray(places[generator.integers(len(places))] * np.asarray(spacing))


def _vein(start: Places, generator: np.random.Generator) -> Places:
    """Walk 40 to 80 mm in steps of half a millimetre, turning slowly: shape (steps, 3), in mm."""
    steps = int(generator.integers(80, 160))
    turns = np.cumsum(generator.normal(0, 0.08, (steps, 3)), axis=0)
    heading = generator.normal(size=3)
    directions = heading / np.linalg.norm(heading) + turns
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(start + 0.5 * np.cumsum(directions / lengths, axis=0))


def _sides(template: Template, size: tuple[int, int, int] | None) -> tuple[int, ...]:
    if size is None:
        return template.intensities.shape
    if len(size) != 3 or not all(side >= 1 for side in size):  # noqa: PLR2004
        raise InputError(f"size is {size}; need three sides from 1.")
    return size
