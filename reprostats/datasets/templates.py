"""A head of known anatomy, and what makes one head differ from another.

The anatomy is the MNI152 template [1]_ as nilearn carries it: intensities and the probabilities of
grey and white matter. Random smooth deformations, bias fields, contrast and noise make of it as
many heads as are needed, of which everything is known.

References
----------
.. [1] V. Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies",
   NeuroImage 54(1), 313-327 (2011).
.. [2] H. Gudbjartsson and S. Patz, "The Rician distribution of noisy MRI data", Magnetic Resonance
   in Medicine 34(6), 910-914 (1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reprostats import paths
from reprostats.errors import InputError
from reprostats.files import write_atomically

Volume = NDArray[np.float32]

MNI_ORIGIN = (-72.0, -134.0, -98.0)
"""Where voxel (0, 0, 0) of every template lies in MNI space: z, y and x in mm."""

_PARTS = ("intensities", "grey_matter", "white_matter")
_DISPLACEMENT = 5.0  # mm
_SMOOTHNESS = 20.0  # mm
_LARGEST_EXPONENT = 1.5
_DARKEST = 0.1

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class Template:
    """A head, its axes being z (feet to head), y (back to front) and x (left to right).

    Parameters
    ----------
    intensities
        T1-weighted, without skull, from 0 to 1.
    grey_matter, white_matter
        Probabilities, from 0 to 1.
    spacing
        Distance of voxels along each axis, in mm.
    """

    intensities: Volume
    grey_matter: Volume
    white_matter: Volume
    spacing: tuple[float, float, float]

    @property
    def brain(self) -> Volume:
        """Probability of grey or white matter."""
        return np.asarray(np.minimum(self.grey_matter + self.white_matter, 1))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Brain with the fluid in it: brighter than a tenth of the brightest, holes filled."""
        return np.asarray(ndimage.binary_fill_holes(self.intensities > _DARKEST))


@lru_cache(maxsize=2)
def load_template(resolution: int = 4) -> Template:
    """Load the MNI152 template at an integer of millimetres.

    nilearn takes seconds to do so; what it gave is kept under `reprostats.paths.runs`.

    Parameters
    ----------
    resolution
        Side of a voxel in mm, from 1 to 20.

    Raises
    ------
    InputError
        If the resolution is out of range.

    Examples
    --------
    >>> template = load_template(8)
    >>> template.intensities.shape, template.spacing
    ((25, 30, 26), (8.0, 8.0, 8.0))
    """
    if not 1 <= resolution <= 20:  # noqa: PLR2004
        raise InputError(f"resolution is {resolution}; it must lie between 1 and 20 mm.")
    cache = paths.runs() / "cache" / f"mni152-{resolution}mm-nilearn-{version('nilearn')}.npz"
    head, grey, white = _cached(cache) or _from_nilearn(resolution, cache)
    return Template(head, grey, white, (float(resolution),) * 3)


def head_deformation(template: Template, generator: np.random.Generator) -> Volume:
    """Draw what tells the shape of one head from another.

    Returns
    -------
    ndarray
        Displacements of 5 mm root mean square along each axis, smoothed over 20 mm: shape
        (3, *shape of the template), in voxels.

    Examples
    --------
    >>> template = load_template(8)
    >>> field = head_deformation(template, np.random.default_rng(1))
    >>> round(float(8 * np.sqrt((field**2).mean())), 2)
    5.0
    """
    voxel = template.spacing[0]
    return random_deformation(
        template.intensities.shape,
        generator,
        displacement=_DISPLACEMENT / voxel,
        smoothness=_SMOOTHNESS / voxel,
    )


def head_intensities(
    template: Template, deformation: Volume, generator: np.random.Generator
) -> Volume:
    """Return the deformed head a contrast of its own: intensities to a power of 1/1.5 to 1.5.

    Returns
    -------
    ndarray
        From 0 to 1, in the shape of the template.

    Examples
    --------
    >>> template, generator = load_template(8), np.random.default_rng(1)
    >>> still = np.zeros((3, *template.intensities.shape), np.float32)
    >>> head = head_intensities(template, still, generator)
    >>> float(head.max()), head.shape == template.intensities.shape
    (1.0, True)
    """
    exponent = _LARGEST_EXPONENT ** generator.uniform(-1, 1)
    return np.asarray(np.clip(warp(template.intensities, deformation), 0, 1) ** exponent)


def centred(array: NDArray[Pixel], sides: Sequence[int]) -> NDArray[Pixel]:
    """Cut or fill with zeros the last axes to these sides; what is at n // 2 stays there.

    Examples
    --------
    >>> centred(np.array([1, 2, 3, 4]), (2,)).tolist(), centred(np.array([1, 2]), (5,)).tolist()
    ([2, 3], [0, 1, 2, 0, 0])
    """
    for axis, side in zip(range(-len(sides), 0), sides, strict=True):
        before = side // 2 - array.shape[axis] // 2
        added = [(0, 0)] * array.ndim
        added[axis] = (max(before, 0), max(side - array.shape[axis] - before, 0))
        start = max(-before, 0)
        array = np.pad(array, added).take(range(start, start + side), axis=axis)
    return array


def random_deformation(
    shape: tuple[int, ...],
    generator: np.random.Generator,
    *,
    displacement: float,
    smoothness: float,
) -> Volume:
    """Draw a smooth field of displacements.

    Parameters
    ----------
    shape
        Of the volume.
    generator
        What the field is drawn from.
    displacement
        Root mean square displacement along each axis, in voxels.
    smoothness
        SD of the Gaussian kernel that smooths white noise, in voxels. Below about 4 times the
        displacement, space may fold.

    Returns
    -------
    ndarray
        Shape (axes, *shape), in voxels.

    Raises
    ------
    InputError
        If displacement is negative or smoothness not above 0.

    Examples
    --------
    >>> field = random_deformation((9, 9), np.random.default_rng(1), displacement=2, smoothness=3)
    >>> field.shape, round(float(np.sqrt((field**2).mean())), 3)
    ((2, 9, 9), 2.0)
    """
    if not displacement >= 0:
        raise InputError(f"displacement is {displacement}; it must be 0 or more voxels.")
    fields = [smooth_noise(shape, generator, smoothness) for _ in shape]
    return np.stack([displacement * field for field in fields]).astype(np.float32)


def warp(volume: Volume, deformation: Volume) -> Volume:
    """Return a volume whose voxel at x shows what was at x + deformation(x), linearly interpolated.

    Outside the volume there is 0.

    Parameters
    ----------
    volume
        Shape ``shape``.
    deformation
        Shape (axes, *shape), in voxels.

    Examples
    --------
    >>> warp(np.array([1, 2, 3], np.float32), np.ones((1, 3), np.float32)).tolist()
    [2.0, 3.0, 0.0]
    """
    grid = np.indices(volume.shape, dtype=np.float32)
    return np.asarray(ndimage.map_coordinates(volume, grid + deformation, order=1))


def bias_field(
    shape: tuple[int, ...], generator: np.random.Generator, *, strength: float, smoothness: float
) -> Volume:
    """Draw a smooth field of positive factors, as receive coils make it.

    Parameters
    ----------
    shape, generator, smoothness
        As of `random_deformation`.
    strength
        SD of the factor's logarithm.

    Examples
    --------
    >>> field = bias_field((9, 9), np.random.default_rng(1), strength=0.2, smoothness=3)
    >>> round(float(np.log(field).std()), 2)
    0.2
    """
    factors = np.exp(strength * smooth_noise(shape, generator, smoothness))
    return np.asarray(factors, dtype=np.float32)


def rician_noise(volume: Volume, generator: np.random.Generator, sd: float) -> Volume:
    """Return magnitudes with noise of a standard deviation in both channels of the receiver [2]_.

    Examples
    --------
    >>> noisy = rician_noise(np.zeros(1000, np.float32), np.random.default_rng(1), 2.0)
    >>> bool(abs(noisy.mean() - 2.0 * np.sqrt(np.pi / 2)) < 0.2)
    True
    """
    real, imaginary = generator.normal(0, sd, (2, *volume.shape)).astype(np.float32)
    return np.asarray(np.hypot(volume + real, imaginary))


def smooth_noise(
    shape: tuple[int, ...], generator: np.random.Generator, smoothness: float
) -> Volume:
    """Draw smooth noise with mean 0 and standard deviation 1 over the volume.

    Raises
    ------
    InputError
        If smoothness is not above 0.
    """
    if not smoothness > 0:
        raise InputError(f"smoothness is {smoothness}; it must be above 0 voxels.")
    field = ndimage.gaussian_filter(generator.normal(size=shape), smoothness, mode="reflect")
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def _cached(path: Path) -> tuple[Volume, ...] | None:
    """Read the kept arrays; None if there are none, or they are damaged."""
    try:
        with np.load(BytesIO(path.read_bytes())) as kept:
            return tuple(kept[name] for name in _PARTS)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _from_nilearn(resolution: int, cache: Path) -> tuple[Volume, ...]:
    from nilearn import datasets

    loaders = (
        datasets.load_mni152_template,
        datasets.load_mni152_gm_template,
        datasets.load_mni152_wm_template,
    )
    head, grey, white = (_as_volume(load(resolution=resolution)) for load in loaders)
    arrays = (head / head.max(), grey, white)
    content = BytesIO()
    np.savez_compressed(content, **dict(zip(_PARTS, arrays, strict=True)))
    write_atomically(cache, content.getvalue())
    return arrays


def _as_volume(image: object) -> Volume:
    """Return the values of a NIfTI image with axes z, y and x."""
    values = image.get_fdata(dtype=np.float32)  # type: ignore[attr-defined]
    return np.ascontiguousarray(values.transpose(2, 1, 0))
