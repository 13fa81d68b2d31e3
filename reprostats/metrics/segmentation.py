"""Agreement of a segmentation with the truth, for each case.

The measures are those of SegEval, the evaluation library of Guedria's thesis [1]_ (section
3.3.2.3 and Table 5.1), with the 95th percentile of the Hausdorff distance [2]_ and the difference
in volume beside them. Masks and label maps are arrays of any number of axes, so slices and volumes
are measured alike.

What is not defined is NaN; the distance to an empty mask is infinite. For a binary case:

=============================  ==========  ===========  ===========  ========
measure                        both empty  truth empty  prediction   both all
                                                        empty        the image
=============================  ==========  ===========  ===========  ========
Dice                           1           0            0            1
sensitivity                    NaN         NaN          0            1
specificity                    1           below 1      1            NaN
precision                      NaN         0            NaN          1
average and 95 % Hausdorff     0           infinite     infinite     0
volume difference              0           above 0      below 0      0
relative volume difference     NaN         NaN          -1           0
=============================  ==========  ===========  ===========  ========

References
----------
.. [1] S. Guedria, "A scalable and component-based deep learning parallelism platform: an
   application to convolutional neural networks for medical imaging segmentation", thesis,
   Université Grenoble Alpes (2020), tel-03011791.
.. [2] A. A. Taha and A. Hanbury, "Metrics for evaluating 3D medical image segmentation: analysis,
   selection, and tool", BMC Medical Imaging 15, 29 (2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from reprostats.errors import InputError

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

_MOST_CLASSES = 1000


def binary_metrics(
    truth: ArrayLike, prediction: ArrayLike, *, spacing: Sequence[float] | None = None
) -> dict[str, float]:
    """Measure one case with one structure by everything that this module has.

    Parameters
    ----------
    truth, prediction
        Masks of the same shape: True or 1 inside, False or 0 outside.
    spacing
        Distance of neighbouring pixels along each axis, in mm; without it, all are 1, so that
        distances and volumes are in pixels.

    Returns
    -------
    dict
        The measures of `overlap`, `class_agreement`, `distances` and `volume_difference`.

    Raises
    ------
    InputError
        If shapes differ, a mask is not binary, or the spacing does not fit.

    Examples
    --------
    >>> found = binary_metrics([[0, 1, 1, 0]], [[0, 1, 0, 0]], spacing=(1, 2))
    >>> found["sensitivity"], found["average_hausdorff"], found["volume_difference"]
    (0.5, 1.0, -2.0)
    """
    return {
        **overlap(truth, prediction),
        **class_agreement(confusion_matrix(as_mask(truth), as_mask(prediction))),
        **distances(truth, prediction, spacing=spacing),
        **volume_difference(truth, prediction, spacing=spacing),
    }


def stack_metrics(
    truth: ArrayLike, prediction: ArrayLike, *, spacing: Sequence[float]
) -> dict[str, float]:
    """Measure one case whose slices stand alone, such as single phases of a beating heart.

    What is made of counts is measured over all slices together. Distances across slices mean
    nothing here, so they are measured in each slice and averaged over the slices in which truth
    and prediction both have the structure; the others are counted.

    Parameters
    ----------
    truth, prediction
        Masks of shape (slices, height, width).
    spacing
        Distance of rows and of columns in mm.

    Returns
    -------
    dict
        As of `binary_metrics`, the volume difference being one of areas added up, and
        ``slices_missed`` (the structure is there, nothing is predicted) and ``slices_invented``
        (the reverse).

    Raises
    ------
    InputError
        As `binary_metrics`.

    Examples
    --------
    >>> truth, prediction = [[[1, 1]], [[0, 1]]], [[[0, 1]], [[0, 0]]]
    >>> found = stack_metrics(truth, prediction, spacing=(2, 2))
    >>> found["dice"], found["average_hausdorff"], found["slices_missed"]
    (0.5, 1.0, 1.0)
    """
    actual, found = _alike_masks(truth, prediction)
    there, predicted = actual.any(axis=(1, 2)), found.any(axis=(1, 2))
    apart = [
        distances(*each, spacing=spacing)
        for each in zip(actual[there & predicted], found[there & predicted], strict=True)
    ] or [dict.fromkeys(("average_hausdorff", "hausdorff_95"), float("nan"))]
    return {
        **overlap(actual, found),
        **class_agreement(confusion_matrix(actual, found)),
        **{name: float(np.mean([each[name] for each in apart])) for name in apart[0]},
        **volume_difference(actual, found, spacing=(1.0, *spacing)),
        "slices_missed": float(np.count_nonzero(there & ~predicted)),
        "slices_invented": float(np.count_nonzero(predicted & ~there)),
    }


def confusion_matrix(truth: ArrayLike, prediction: ArrayLike, n_classes: int = 2) -> Counts:
    """Count the pixels of each class that are predicted as each class.

    Parameters
    ----------
    truth, prediction
        Label maps of the same shape, integers from 0 to ``n_classes - 1``.
    n_classes
        Number of classes, background included.

    Returns
    -------
    ndarray
        Shape (n_classes, n_classes): n_ij, pixels of class i predicted to be of class j.

    Raises
    ------
    InputError
        If shapes differ, or a label lies outside the classes.

    Examples
    --------
    >>> confusion_matrix([0, 1, 2, 2], [0, 1, 1, 2], n_classes=3).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """
    if not 1 <= n_classes <= _MOST_CLASSES:
        raise InputError(f"n_classes is {n_classes}; it must lie between 1 and {_MOST_CLASSES}.")
    actual, found = np.asarray(truth), np.asarray(prediction)
    _check_shapes(actual, found)
    pairs = _labels(actual, n_classes, "truth") * n_classes
    pairs = pairs + _labels(found, n_classes, "prediction")
    counts = np.bincount(pairs.ravel(), minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def class_agreement(confusion: ArrayLike) -> dict[str, float]:
    """Return the five measures of SegEval over all classes, background included.

    Parameters
    ----------
    confusion
        n_ij of `confusion_matrix`, shape (classes, classes).

    Returns
    -------
    dict
        ``mean_dice``, ``pixel_accuracy``, ``mean_accuracy``, ``mean_iou`` and
        ``frequency_weighted_iou``, from 0 to 1.

    Raises
    ------
    InputError
        If the matrix is not square or counts nothing.

    Notes
    -----
    With t_i = sum_j n_ij the pixels of class i and p_i = sum_j n_ji those predicted to be
    (section 3.3.2.3 of the thesis; its n_ij and n_ji in Dice are read as sums over j other
    than i):

    * Dice = mean over i of 2 n_ii / (t_i + p_i)
    * pixel accuracy = sum_i n_ii / sum_i t_i
    * mean accuracy = mean over i of n_ii / t_i
    * mean IoU = mean over i of n_ii / (t_i + p_i - n_ii)
    * frequency-weighted IoU = sum_i t_i n_ii / (t_i + p_i - n_ii) / sum_k t_k

    A class that is neither there nor predicted has no measure and counts in no mean; one that is
    not there but predicted has no accuracy, and a Dice and IoU of 0.

    Examples
    --------
    >>> found = class_agreement([[4, 0], [2, 2]])
    >>> [round(found[name], 3) for name in ("mean_dice", "pixel_accuracy", "mean_accuracy")]
    [0.733, 0.75, 0.75]
    >>> [round(found[name], 3) for name in ("mean_iou", "frequency_weighted_iou")]
    [0.583, 0.583]
    """
    counts = _checked_counts(confusion)
    right, actual, found = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    iou = _ratio(right, actual + found - right)
    return {
        "mean_dice": float(np.nanmean(_ratio(2 * right, actual + found))),
        "pixel_accuracy": float(right.sum() / actual.sum()),
        "mean_accuracy": float(np.nanmean(_ratio(right, actual))),
        "mean_iou": float(np.nanmean(iou)),
        "frequency_weighted_iou": float(np.nansum(actual * iou) / actual.sum()),
    }


def overlap(truth: ArrayLike, prediction: ArrayLike) -> dict[str, float]:
    """Return the measures of one structure that are made of counts.

    Parameters
    ----------
    truth, prediction
        Masks of the same shape.

    Returns
    -------
    dict
        ``dice`` = 2 TP / (2 TP + FP + FN), ``sensitivity`` = TP / (TP + FN), ``specificity`` =
        TN / (TN + FP) (Table 5.1 of the thesis) and ``precision`` = TP / (TP + FP).

    Raises
    ------
    InputError
        If shapes differ or a mask is not binary.

    Notes
    -----
    ``dice`` is that of the structure alone, as in Eq. 1 of Marrone et al. (2019);
    `class_agreement` has the thesis', which is the mean over structure and background.

    Examples
    --------
    >>> overlap([1, 1, 0, 0], [1, 0, 0, 0])["precision"]
    1.0
    """
    counts = confusion_matrix(as_mask(truth), as_mask(prediction))
    (true_negative, false_positive), (false_negative, true_positive) = counts.tolist()
    wrong = false_positive + false_negative
    found = _divide(2 * true_positive, 2 * true_positive + wrong)
    return {
        "dice": found if wrong or true_positive else 1.0,
        "sensitivity": _divide(true_positive, true_positive + false_negative),
        "specificity": _divide(true_negative, true_negative + false_positive),
        "precision": _divide(true_positive, true_positive + false_positive),
    }


def distances(
    truth: ArrayLike, prediction: ArrayLike, *, spacing: Sequence[float] | None = None
) -> dict[str, float]:
    """Return the distances of two masks.

    Parameters
    ----------
    truth, prediction
        Masks of the same shape.
    spacing
        Distance of neighbouring pixels along each axis, in mm; default 1.

    Returns
    -------
    dict
        ``average_hausdorff``: the larger of the two directed averages d(A, B), the mean over all
        pixels of A of the distance to the nearest pixel of B (the thesis' AVD, Table 5.1).
        ``hausdorff_95``: the larger of the two 95th percentiles of the distances from the border
        pixels of one mask to the border of the other. Both in mm.

    Raises
    ------
    InputError
        If shapes differ, a mask is not binary, or the spacing does not fit.

    Examples
    --------
    >>> found = distances([1, 0, 0, 0], [1, 0, 0, 1], spacing=[0.5])
    >>> found["average_hausdorff"], round(found["hausdorff_95"], 3)
    (0.75, 1.425)
    """
    actual, found = _alike_masks(truth, prediction)
    step = _checked_spacing(spacing, actual.ndim)
    if not actual.any() or not found.any():
        apart = 0.0 if actual.any() == found.any() else float("inf")
        return {"average_hausdorff": apart, "hausdorff_95": apart}
    actual, found = _around(actual, found)
    averages = [side.mean() for side in _directed(actual, found, step)]
    borders = _directed(_border(actual), _border(found), step)
    return {
        "average_hausdorff": float(max(averages)),
        "hausdorff_95": float(max(np.percentile(side, 95) for side in borders)),
    }


def volume_difference(
    truth: ArrayLike, prediction: ArrayLike, *, spacing: Sequence[float] | None = None
) -> dict[str, float]:
    """Return by how much the predicted volume (of a slice: area) is too large.

    Parameters
    ----------
    truth, prediction, spacing
        As of `distances`.

    Returns
    -------
    dict
        ``volume_difference`` (mm³; of a slice, mm²) and ``relative_volume_difference`` (over the
        true volume); below 0 where too little was predicted.

    Raises
    ------
    InputError
        As `distances`.

    Examples
    --------
    >>> volume_difference([1, 1, 0], [1, 1, 1], spacing=[2.0])
    {'volume_difference': 2.0, 'relative_volume_difference': 0.5}
    """
    actual, found = _alike_masks(truth, prediction)
    pixel = float(np.prod(_checked_spacing(spacing, actual.ndim)))
    true_count = int(np.count_nonzero(actual))
    extra = int(np.count_nonzero(found)) - true_count
    return {
        "volume_difference": extra * pixel,
        "relative_volume_difference": _divide(extra, true_count),
    }


def as_mask(values: ArrayLike) -> Mask:
    """Read a mask: True or 1 inside, False or 0 outside.

    Raises
    ------
    InputError
        If there is no pixel, or a value is neither 0 nor 1 (NaN, a probability, a label).

    Examples
    --------
    >>> as_mask([0, 2])
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: a mask holds 0 and 1 alone, not 2; compare with a threshold or
        a label first.
    """
    given = np.asarray(values)
    if not given.size:
        raise InputError(f"a mask of shape {given.shape} has no pixels.")
    mask = given == 1
    if given.dtype != bool and not np.all(mask | (given == 0)):
        other = given[~(mask | (given == 0))].ravel()[0]
        raise InputError(
            f"a mask holds 0 and 1 alone, not {other}; compare with a threshold or a label first."
        )
    return np.asarray(mask)


def _alike_masks(truth: ArrayLike, prediction: ArrayLike) -> tuple[Mask, Mask]:
    actual, found = as_mask(truth), as_mask(prediction)
    _check_shapes(actual, found)
    return actual, found


def _labels(values: NDArray[np.generic], n_classes: int, name: str) -> Counts:
    outside = ~np.isin(values, np.arange(n_classes))
    if outside.any():
        raise InputError(
            f"{name} holds {values[outside].ravel()[0]}; labels of {n_classes} classes are the "
            f"integers from 0 to {n_classes - 1}."
        )
    return values.astype(np.int64)


def _check_shapes(truth: NDArray[np.generic], prediction: NDArray[np.generic]) -> None:
    if truth.shape != prediction.shape:
        raise InputError(
            f"truth has shape {truth.shape} and prediction {prediction.shape}; both must be alike."
        )


def _checked_counts(confusion: ArrayLike) -> Counts:
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:  # noqa: PLR2004
        raise InputError(f"a confusion matrix is square, not of shape {counts.shape}.")
    if not counts.sum() > 0:
        raise InputError("the confusion matrix counts no pixels.")
    return counts


def _checked_spacing(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    step = (1.0,) * axes if spacing is None else tuple(map(float, spacing))
    if len(step) != axes or not all(0 < each < np.inf for each in step):
        raise InputError(f"spacing is {spacing}; masks of {axes} axes need {axes} numbers above 0.")
    return step


def _ratio(above: Counts, below: Counts) -> NDArray[np.float64]:
    """Divide; NaN where the divisor is 0."""
    return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0))


def _divide(above: int, below: int) -> float:
    return above / below if below else float("nan")


def _around(first: Mask, second: Mask) -> tuple[Mask, Mask]:
    """Cut both masks to the smallest box that holds them, which changes no distance."""
    (box,) = ndimage.find_objects((first | second).astype(np.int8))
    return first[box], second[box]


def _border(mask: Mask) -> Mask:
    """Return the pixels with a neighbour (sharing a face) outside; outside the array is outside."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _directed(
    first: Mask, second: Mask, step: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each pixel of one mask the distance to the other, in both directions."""
    to_second = ndimage.distance_transform_edt(~second, sampling=step)[first]
    to_first = ndimage.distance_transform_edt(~first, sampling=step)[second]
    return to_second, to_first
