"""Patient-based folds, and the check that no patient is trained and tested on.

The check is no test: `divide` makes it every time a fold is divided, and there is no other way
from a cohort to the arrays of a training.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reprostats.datasets.patients import Cohort, Images, Masks, Patient, listed
from reprostats.datasets.preprocessing import (
    Standardisation,
    fit_standardisation,
    median_and_sd,
)
from reprostats.errors import InputError, ReprostatsError

_FEWEST_FOLDS = 2


class LeakError(ReprostatsError):
    """What is tested on was seen in training."""


@dataclass(frozen=True)
class Fold:
    """Who is trained on and who is tested on, by name.

    Parameters
    ----------
    number, n_folds
        Which fold, from 0, of how many.
    training, test
        Names of patients.
    """

    number: int
    n_folds: int
    training: tuple[str, ...]
    test: tuple[str, ...]

    def __str__(self) -> str:
        return f"fold {self.number + 1} of {self.n_folds}"


@dataclass(frozen=True)
class Division:
    """The standardised patients of one fold; see `divide`.

    Parameters
    ----------
    fold
        Who is trained on and who is tested on.
    training, test
        The patients, standardised.
    standardisation
        What was subtracted and divided by.

    Raises
    ------
    LeakError
        If a patient is in both parts, or the standardisation was not fitted on exactly the
        training patients; it names the patients.
    """

    fold: Fold
    training: tuple[Patient, ...]
    test: tuple[Patient, ...]
    standardisation: Standardisation

    def __post_init__(self) -> None:
        training = tuple(patient.identity for patient in self.training)
        test = tuple(patient.identity for patient in self.test)
        _check_fold(replace(self.fold, training=training, test=test))
        _check_fitted_on(self.fold, self.standardisation.fitted_on, training, test)

    def training_slices(self) -> tuple[Images, Masks]:
        """Return all slices of all training patients, shapes (slices, height, width)."""
        images = np.concatenate([patient.images for patient in self.training])
        return images, np.concatenate([patient.masks for patient in self.training])


def patient_folds(
    patients: Sequence[str], n_folds: int, generator: np.random.Generator
) -> list[Fold]:
    """Draw folds of patients: each is tested on in one fold and trained on in all others.

    Parameters
    ----------
    patients
        Their names; the same order gives the same folds.
    n_folds
        Number of folds; they differ by one patient at most.
    generator
        What the order is drawn from.

    Returns
    -------
    list of Fold
        Checked by `check_folds`.

    Raises
    ------
    InputError
        If there are fewer than 2 folds or fewer patients than folds.
    LeakError
        If a patient is named twice.

    Examples
    --------
    >>> folds = patient_folds(["a", "b", "c", "d", "e"], 2, np.random.default_rng(1))
    >>> sorted(len(fold.test) for fold in folds)
    [2, 3]
    """
    if n_folds < _FEWEST_FOLDS:
        raise InputError(f"n_folds is {n_folds}; cross-validation needs at least 2.")
    if len(patients) < n_folds:
        raise InputError(
            f"{len(patients)} patients are fewer than {n_folds} folds; ask for at most as many "
            "folds as patients."
        )
    order = generator.permutation(len(patients))
    tests = [{patients[place] for place in order[number::n_folds]} for number in range(n_folds)]
    folds = [
        Fold(
            number,
            n_folds,
            tuple(name for name in patients if name not in test),
            tuple(name for name in patients if name in test),
        )
        for number, test in enumerate(tests)
    ]
    check_folds(folds, patients)
    return folds


def check_folds(folds: Sequence[Fold], patients: Sequence[str]) -> None:
    """Make sure that every patient is tested on exactly once, and not trained on then.

    Raises
    ------
    LeakError
        If a patient is trained and tested on in a fold, or tested on in two; it names them.
    InputError
        If a patient is tested on in no fold, or is none of the cohort.
    """
    for fold in folds:
        _check_fold(fold)
    tested = Counter(name for fold in folds for name in fold.test)
    if twice := [name for name, times in tested.items() if times > 1]:
        raise LeakError(f"in more than one fold: {listed(twice)}. A patient belongs to one.")
    if missing := [name for name in patients if name not in tested]:
        raise InputError(f"in no fold: {listed(missing)}.")
    if strangers := sorted(set(tested) - set(patients)):
        raise InputError(f"in a fold, but not in the cohort: {listed(strangers)}.")


def divide(
    cohort: Cohort,
    folds: Sequence[Fold],
    number: int,
    standardisation: Standardisation | None = None,
) -> Division:
    """Take the patients of one fold from a cohort, standardised, after checking for leaks.

    Parameters
    ----------
    cohort
        The patients.
    folds
        All folds, from `patient_folds`.
    number
        The fold to give, from 0.
    standardisation
        Default: fitted here, on the fold's training patients.

    Raises
    ------
    LeakError
        If a patient is in two folds; if a slice of a test patient is, under another name, in the
        training part; if the standardisation was fitted on others than the fold's training
        patients, or its numbers are not theirs.
    InputError
        If there is no fold of this number, no training patient has the structure, or as
        `check_folds`.

    Warns
    -----
    UserWarning
        If no test patient has the structure.

    Notes
    -----
    Names can lie, so values are looked at: slices are compared by their SHA-256, and median and
    standard deviation are measured again.
    """
    check_folds(folds, cohort.identities)
    if not 0 <= number < len(folds):
        raise InputError(f"there is no fold {number}; folds go from 0 to {len(folds) - 1}.")
    fold = folds[number]
    training, test = cohort.chosen(fold.training), cohort.chosen(fold.test)
    _check_structure(fold, training, test)
    _check_slices(fold, training, test)
    used = standardisation or fit_standardisation(training)
    division = Division(fold, _standardised(training, used), _standardised(test, used), used)
    _check_values(used, training, fold)
    return division


def _check_fold(fold: Fold) -> None:
    if both := [name for name in fold.test if name in set(fold.training)]:
        raise LeakError(f"{fold}: trained and tested on: {listed(both)}.")
    if not fold.training or not fold.test:
        raise InputError(f"{fold}: no {'training' if not fold.training else 'test'} patient.")


def _check_slices(fold: Fold, training: Sequence[Patient], test: Sequence[Patient]) -> None:
    """Look for slices that a training and a test patient share, whatever their names."""
    seen = {each: patient.identity for patient in training for each in _hashes(patient)}
    shared = {
        f"{patient.identity} = {seen[each]}"
        for patient in test
        for each in _hashes(patient)
        if each in seen
    }
    if shared:
        raise LeakError(
            f"{fold}: slices of test patients are slices of training patients under another name: "
            f"{listed(sorted(shared))}. Give all slices of a patient one name."
        )


def _hashes(patient: Patient) -> set[bytes]:
    """Return the hash of every slice that shows something."""
    return {
        hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
        for image in patient.images
        if image.min() < image.max()
    }


def _check_fitted_on(
    fold: Fold, fitted_on: Sequence[str], training: Sequence[str], test: Sequence[str]
) -> None:
    if leaked := sorted(set(fitted_on) & set(test)):
        raise LeakError(
            f"{fold}: the standardisation saw test patients: {listed(leaked)}. Fit it on the "
            "training patients of the fold."
        )
    if apart := sorted(set(fitted_on) ^ set(training)):
        raise LeakError(
            f"{fold}: the standardisation was not fitted on the fold's training patients; they "
            f"differ by {listed(apart)}."
        )


def _check_values(used: Standardisation, training: Sequence[Patient], fold: Fold) -> None:
    median, sd = median_and_sd(training)
    if (used.median, used.sd) != (median, sd):
        raise LeakError(
            f"{fold}: the standardisation says it was fitted on the {len(training)} training "
            f"patients, but their median and SD are {median:.6g} and {sd:.6g}, not "
            f"{used.median:.6g} and {used.sd:.6g}: it saw other pixels, perhaps those of the "
            f"test patients {listed(fold.test)}."
        )


def _check_structure(fold: Fold, training: Sequence[Patient], test: Sequence[Patient]) -> None:
    if not any(patient.masks.any() for patient in training):
        raise InputError(
            f"{fold}: none of its training patients has the structure; nothing can be learnt: "
            f"{listed(fold.training)}."
        )
    if not any(patient.masks.any() for patient in test):
        warnings.warn(
            f"{fold}: none of its test patients has the structure, so that sensitivity and "
            f"distances are not defined there: {listed(fold.test)}.",
            stacklevel=3,
        )


def _standardised(
    patients: Sequence[Patient], standardisation: Standardisation
) -> tuple[Patient, ...]:
    return tuple(
        replace(patient, images=standardisation.apply(patient.images)) for patient in patients
    )
