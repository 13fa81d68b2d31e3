"""A brain with its susceptibility and the field it makes, and patches of it to train on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reprostats.datasets.templates import Volume
from reprostats.errors import InputError
from reprostats.mri.checks import checked_direction, checked_voxel_size

Mask = NDArray[np.bool_]
_LEAST_BRAIN = 0.3


@dataclass(frozen=True, eq=False)
class SusceptibilitySubject:
    """The susceptibility of one brain and the field it makes.

    Parameters
    ----------
    identity
        Name of the subject.
    susceptibility
        In ppm: float32, shape (z, y, x), 0 outside the brain.
    field
        Local field over B0 in ppm, as `reprostats.mri.dipole` has it: float32, shape (z, y, x), 0
        outside the brain.
    brain
        bool, shape (z, y, x).
    spacing
        Of voxels along z, y and x in mm.
    b0
        Unit vector along the main field: z, y and x.
    dataset
        Where it comes from.

    Raises
    ------
    InputError
        If types or shapes do not fit, a value is not finite, no voxel is in the brain, something
        lies outside it, or b0 is no unit vector.

    Examples
    --------
    >>> none, all_of_it = np.zeros((2, 2, 2), np.float32), np.ones((2, 2, 2), bool)
    >>> SusceptibilitySubject("p1", none, none, all_of_it, (1.0,) * 3, (2.0, 0.0, 0.0), "test")
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: test, subject p1: b0 is (2.0, 0.0, 0.0), of length 2; a unit
        vector is due, such as (0, 0, 1).
    """

    identity: str
    susceptibility: Volume
    field: Volume
    brain: Mask
    spacing: tuple[float, float, float]
    b0: tuple[float, float, float]
    dataset: str

    def __post_init__(self) -> None:
        try:
            self._check()
        except InputError as error:
            raise InputError(f"{self.dataset}, subject {self.identity}: {error}") from None

    def _check(self) -> None:
        checked_direction(self.b0)
        checked_voxel_size(self.spacing, (3,))
        if self.brain.dtype != np.bool_ or self.brain.ndim != 3:  # noqa: PLR2004
            raise InputError(
                f"brain is {self.brain.dtype} of shape {self.brain.shape}; bool with three axes "
                "is due."
            )
        if not self.brain.any():
            raise InputError(f"the brain of shape {self.brain.shape} holds no voxel.")
        for name in ("susceptibility", "field"):
            _check_volume(getattr(self, name), self.brain, name)


def training_patches(
    subject: SusceptibilitySubject,
    size: int,
    count: int,
    generator: np.random.Generator,
    *,
    least_brain: float = _LEAST_BRAIN,
) -> tuple[Volume, Volume, Mask]:
    """Cut cubes at random places, each place as likely that has enough brain in it.

    Parameters
    ----------
    subject
        To be cut.
    size
        Side of a cube in voxels.
    count
        How many; the same place may come twice.
    generator
        Draws the places.
    least_brain
        The least part of a cube that is brain, above 0 to 1.

    Returns
    -------
    fields, susceptibilities : ndarray
        float32 in ppm, shape (count, size, size, size). The field is that of the whole brain.
    masks : ndarray
        bool, True in the brain.

    Raises
    ------
    InputError
        If a number is out of range, or no place has enough brain.

    Examples
    --------
    >>> from reprostats.datasets.simulated_susceptibility import simulated_susceptibility
    >>> subject, = simulated_susceptibility(1, np.random.default_rng(1), resolution=8)
    >>> fields, _, masks = training_patches(subject, 8, 5, np.random.default_rng(1))
    >>> fields.shape, bool((masks.mean(axis=(1, 2, 3)) >= 0.3).all())
    ((5, 8, 8, 8), True)
    """
    if count < 1 or not 0 < least_brain <= 1:
        raise InputError(
            f"count is {count} and least_brain {least_brain}; need 1 or more, and above 0 to 1."
        )
    starts = _starts(subject, size, least_brain)
    chosen = starts[generator.integers(len(starts), size=count)]
    cubes = [tuple(slice(at, at + size) for at in start) for start in chosen.tolist()]
    return (
        np.stack([subject.field[cube] for cube in cubes]),
        np.stack([subject.susceptibility[cube] for cube in cubes]),
        np.stack([subject.brain[cube] for cube in cubes]),
    )


def _starts(subject: SusceptibilitySubject, size: int, least_brain: float) -> NDArray[np.int64]:
    """Return the first voxels of all cubes with enough brain."""
    shape = subject.brain.shape
    if not 1 <= size <= min(shape):
        raise InputError(
            f"{subject.dataset}, subject {subject.identity}: patches of {size} voxels a side do "
            f"not fit into a volume of {shape}."
        )
    part = _box_sums(subject.brain, size) / size**3
    starts = np.argwhere(part >= least_brain)
    if not len(starts):
        raise InputError(
            f"{subject.dataset}, subject {subject.identity}: no patch of {size} voxels a side "
            f"has {least_brain:.0%} brain; the best has {part.max():.1%}. Choose smaller patches."
        )
    return starts


def _box_sums(mask: Mask, size: int) -> NDArray[np.int64]:
    """Count the voxels of the mask in the cube that starts at each place."""
    sums = mask.astype(np.int64)
    for axis in range(sums.ndim):
        running = np.cumsum(sums, axis=axis)
        running = np.insert(running, 0, 0, axis=axis)
        last, first = (
            running.take(range(start, running.shape[axis] - size + start), axis=axis)
            for start in (size, 0)
        )
        sums = last - first
    return sums


def _check_volume(volume: Volume, brain: Mask, name: str) -> None:
    if volume.dtype != np.float32 or volume.shape != brain.shape:
        raise InputError(
            f"{name} is {volume.dtype} of shape {volume.shape}; float32 of shape {brain.shape}, "
            "that of the brain, is due."
        )
    wrong = np.argwhere(~np.isfinite(volume))
    if len(wrong):
        raise InputError(
            f"{name} of shape {volume.shape} holds {volume[tuple(wrong[0])]} at "
            f"{wrong[0].tolist()}; all its values must be finite."
        )
    if volume[~brain].any():
        raise InputError(f"{name} of shape {volume.shape} is not 0 outside the brain.")
