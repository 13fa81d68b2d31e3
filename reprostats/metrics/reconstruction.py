"""Difference of a reconstructed image from the truth (or from a baseline), for each case.

Images are arrays of two or three axes; complex images are compared by `nrmse` as they are, while
`psnr` and `ssim` take magnitudes. A mask says which pixels count.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from reprostats.errors import InputError
from reprostats.metrics.segmentation import Mask, as_mask

Image = NDArray[np.inexact]

# Wang et al. (2004): a Gaussian window of SD 1.5 pixels. Cut at 3.5 SD it has 11 pixels.
_SIGMA = 1.5
_WINDOW = 11


def reconstruction_metrics(
    truth: ArrayLike,
    reconstruction: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    data_range: float | None = None,
) -> dict[str, float]:
    """Measure one case by everything that this module has.

    Parameters
    ----------
    truth, reconstruction
        Real images of the same shape and unit, two or three axes.
    mask
        True or 1 where pixels count; without it, everywhere.
    data_range
        As of `psnr`.

    Returns
    -------
    dict
        ``nrmse`` (percent), ``psnr`` (dB) and ``ssim`` (at most 1).

    Raises
    ------
    InputError
        As `nrmse`, `psnr` and `ssim`.

    Examples
    --------
    >>> truth = np.eye(16)
    >>> found = reconstruction_metrics(truth, 0.9 * truth)
    >>> {name: round(value, 3) for name, value in found.items()}
    {'nrmse': 10.0, 'psnr': 32.041, 'ssim': 0.989}
    """
    return {
        "nrmse": nrmse(truth, reconstruction, mask=mask),
        "psnr": psnr(truth, reconstruction, mask=mask, data_range=data_range),
        "ssim": ssim(truth, reconstruction, mask=mask, data_range=data_range),
    }


def nrmse(truth: ArrayLike, reconstruction: ArrayLike, *, mask: ArrayLike | None = None) -> float:
    """Return the normalised root-mean-square error in percent: 100 ||x - truth|| / ||truth||.

    Parameters
    ----------
    truth, reconstruction
        Real or complex images of the same shape and unit.
    mask
        True or 1 where pixels count; without it, everywhere.

    Returns
    -------
    float
        In percent; 0 where both are equal.

    Raises
    ------
    InputError
        If shapes differ, values are not finite where they count, the mask is empty, or the truth
        is 0 wherever it counts.

    Notes
    -----
    As in the QSM reconstruction challenge: Langkammer et al., Magn Reson Med 79:1661 (2018).

    Examples
    --------
    >>> nrmse([3.0, 4.0, 0.0], [3.0, 4.0, 1.0])
    20.0
    """
    actual, found = _within(*_pair(truth, reconstruction), mask)
    size = np.linalg.norm(actual)
    if not size:
        raise InputError(f"truth is 0 at all {actual.size} pixels that count; NRMSE needs others.")
    return float(100 * np.linalg.norm(found - actual) / size)


def psnr(
    truth: ArrayLike,
    reconstruction: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    data_range: float | None = None,
) -> float:
    """Return the peak signal-to-noise ratio in dB: 10 log10(range² / mean squared error).

    Parameters
    ----------
    truth, reconstruction
        Real images of the same shape and unit.
    mask
        True or 1 where pixels count; without it, everywhere.
    data_range
        Range of the values, in the unit of the images; by default largest minus smallest value of
        the truth where it counts.

    Returns
    -------
    float
        In dB; infinite where both are equal.

    Raises
    ------
    InputError
        If images are complex, shapes differ, values are not finite where they count, the mask is
        empty, or the range is not above 0.

    Examples
    --------
    >>> round(psnr([0.0, 1.0], [0.1, 1.1]), 6)
    20.0
    """
    pair = _within(*_real_pair(truth, reconstruction), mask)
    with np.errstate(divide="ignore"):  # equal images: infinite
        return float(peak_signal_noise_ratio(*pair, data_range=_range(pair[0], data_range)))


def ssim(
    truth: ArrayLike,
    reconstruction: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    data_range: float | None = None,
) -> float:
    """Return the structural similarity, averaged over the pixels that count.

    Parameters
    ----------
    truth, reconstruction
        Real images of the same shape and unit, two or three axes of 11 pixels or more. Values
        outside the mask must be finite too: windows reach over its border.
    mask
        True or 1 where pixels count; without it, all whose window lies in the image.
    data_range
        As of `psnr`.

    Returns
    -------
    float
        At most 1, which is reached by equal images.

    Raises
    ------
    InputError
        As `psnr`, or if an image is smaller than the window.

    Notes
    -----
    Wang et al., IEEE Trans Image Process 13:600 (2004), with their window (Gaussian of SD 1.5
    pixels), K1 = 0.01 and K2 = 0.03, computed by scikit-image.

    Examples
    --------
    >>> image = np.eye(16)
    >>> ssim(image, image)
    1.0
    """
    actual, found = _real_pair(truth, reconstruction)
    counted, _ = _within(actual, found, mask)
    _within(actual, found, None)
    if not 2 <= actual.ndim <= 3 or min(actual.shape) < _WINDOW:  # noqa: PLR2004
        raise InputError(
            f"images have shape {actual.shape}; SSIM needs two or three axes of {_WINDOW} or more."
        )
    mean, everywhere = structural_similarity(
        actual,
        found,
        data_range=_range(counted, data_range),
        gaussian_weights=True,
        sigma=_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    return float(mean if mask is None else everywhere[as_mask(mask)].mean())


def _pair(truth: ArrayLike, reconstruction: ArrayLike) -> tuple[Image, Image]:
    actual, found = (_as_image(each) for each in (truth, reconstruction))
    if actual.shape != found.shape:
        raise InputError(
            f"truth has shape {actual.shape} and reconstruction {found.shape}; both must be alike."
        )
    return actual, found


def _real_pair(truth: ArrayLike, reconstruction: ArrayLike) -> tuple[Image, Image]:
    actual, found = _pair(truth, reconstruction)
    if np.iscomplexobj(actual) or np.iscomplexobj(found):
        raise InputError(
            f"images of shape {actual.shape} are complex; PSNR and SSIM take magnitudes."
        )
    return actual, found


def _as_image(values: ArrayLike) -> Image:
    """Read numbers in double precision, so that sums over many pixels stay exact enough."""
    given = np.asarray(values)
    return given.astype(np.complex128 if np.iscomplexobj(given) else np.float64)


def _within(actual: Image, found: Image, mask: ArrayLike | None) -> tuple[Image, Image]:
    """Return the pixels that count, of both images."""
    inside = _inside(actual.shape, mask)
    for image, name in ((actual, "truth"), (found, "reconstruction")):
        wrong = int(np.count_nonzero(~np.isfinite(image[inside])))
        if wrong:
            raise InputError(
                f"{name} of shape {image.shape} is not finite at {wrong} pixels that count."
            )
    return actual[inside], found[inside]


def _inside(shape: tuple[int, ...], mask: ArrayLike | None) -> Mask:
    inside = np.ones(shape, dtype=np.bool_) if mask is None else as_mask(mask)
    if inside.shape != shape:
        raise InputError(f"the mask has shape {inside.shape}, the images have {shape}.")
    if not inside.any():
        raise InputError(f"no pixel counts: the mask of shape {shape} is empty.")
    return inside


def _range(counted: Image, data_range: float | None) -> float:
    width = float(np.ptp(counted)) if data_range is None else data_range
    if not 0 < width < math.inf:
        raise InputError(
            f"the data range is {width}; a finite number above 0 is due, in the images' unit."
        )
    return width
