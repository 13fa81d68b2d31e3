"""Folds, and leaks planted in them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats.datasets.folds import (
    Division,
    Fold,
    LeakError,
    check_folds,
    divide,
    patient_folds,
)
from reprostats.datasets.patients import Cohort, Patient
from reprostats.datasets.preprocessing import Standardisation, fit_standardisation
from reprostats.errors import InputError

NAMES = ["p1", "p2", "p3", "p4", "p5", "p6"]


def patient(identity, seed):
    images = np.random.default_rng(seed).normal(seed, 1, (2, 4, 4)).astype(np.float32)
    return Patient(identity, images, images > seed, (1.0, 1.0))


@pytest.fixture
def cohort():
    return Cohort("c", tuple(patient(name, seed) for seed, name in enumerate(NAMES)))


@pytest.fixture
def folds():
    return patient_folds(NAMES, 3, np.random.default_rng(1))


class TestDrawing:
    @given(st.integers(2, 12), st.integers(0, 20), st.integers(0, 2**32))
    def test_every_patient_is_tested_on_once_and_folds_are_even(self, n_folds, more, seed):
        patients = [f"p{number}" for number in range(n_folds + more)]
        found = patient_folds(patients, n_folds, np.random.default_rng(seed))
        tested = [name for fold in found for name in fold.test]
        assert sorted(tested) == sorted(patients)
        assert len({len(fold.test) for fold in found}) <= 2
        for fold in found:
            assert not set(fold.test) & set(fold.training)
            assert set(fold.test) | set(fold.training) == set(patients)

    def test_the_generator_decides(self):
        one, same, other = (
            patient_folds(NAMES, 3, np.random.default_rng(seed)) for seed in (1, 1, 2)
        )
        assert one == same
        assert one != other

    def test_fewer_patients_than_folds(self):
        with pytest.raises(InputError, match="6 patients are fewer than 7 folds"):
            patient_folds(NAMES, 7, np.random.default_rng(1))

    def test_one_fold(self):
        with pytest.raises(InputError, match="needs at least 2"):
            patient_folds(NAMES, 1, np.random.default_rng(1))


class TestLeaksInFolds:
    def test_patient_in_two_folds(self, folds, cohort):
        stolen = folds[1].test[0]
        first = replace(
            folds[0],
            test=(*folds[0].test, stolen),
            training=tuple(name for name in folds[0].training if name != stolen),
        )
        planted = [first, *folds[1:]]
        with pytest.raises(LeakError, match=f"in more than one fold: {stolen}"):
            divide(cohort, planted, 0)

    def test_patient_trained_and_tested_on(self, folds, cohort):
        tested = folds[2].test[1]
        planted = [*folds[:2], replace(folds[2], training=(*folds[2].training, tested))]
        for number in range(3):  # whichever fold is asked for
            with pytest.raises(LeakError, match=f"fold 3 of 3: trained and tested on: {tested}"):
                divide(cohort, planted, number)

    def test_patient_named_twice(self):
        with pytest.raises(LeakError, match="in more than one fold: p1"):
            patient_folds(["p1", "p2", "p1"], 2, np.random.default_rng(3))

    def test_patient_under_two_names(self, cohort):
        twin = replace(cohort.patients[0], identity="p7")
        both = Cohort("c", (*cohort, twin))
        folds = [Fold(0, 2, ("p1", "p2", "p3"), ("p4", "p5", "p6", "p7"))]
        folds.append(Fold(1, 2, folds[0].test, folds[0].training))
        with pytest.raises(LeakError, match=r"fold 1 of 2: .* under another name: p7 = p1"):
            divide(both, folds, 0)

    def test_slices_that_show_nothing_are_no_leak(self):
        blank = np.zeros((2, 4, 4), np.float32)
        images = [np.concatenate([patient("p", seed).images, blank]) for seed in range(4)]
        cohort = Cohort(
            "c",
            tuple(
                Patient(f"p{number}", image, image > 0, (1.0, 1.0))
                for number, image in enumerate(images, start=1)
            ),
        )
        folds = patient_folds(cohort.identities, 2, np.random.default_rng(1))
        assert len(divide(cohort, folds, 0).training) == 2

    def test_patient_in_no_fold(self, folds):
        with pytest.raises(InputError, match="in no fold: p7"):
            check_folds(folds, [*NAMES, "p7"])

    def test_stranger(self, folds):
        with pytest.raises(InputError, match="not in the cohort: "):
            check_folds(folds, NAMES[:5])


class TestLeaksInStandardisation:
    def test_fitted_on_everybody(self, cohort, folds):
        seen = fit_standardisation(cohort.patients)
        tested = ", ".join(sorted(folds[0].test))
        with pytest.raises(LeakError, match=f"the standardisation saw test patients: {tested}"):
            divide(cohort, folds, 0, seen)

    def test_fitted_on_everybody_but_saying_otherwise(self, cohort, folds):
        seen = replace(fit_standardisation(cohort.patients), fitted_on=folds[0].training)
        tested = ", ".join(folds[0].test)
        with pytest.raises(LeakError, match=f"it saw other pixels, perhaps .* {tested}"):
            divide(cohort, folds, 0, seen)

    def test_fitted_on_too_few(self, cohort, folds):
        left_out, *others = folds[0].training
        fitted = fit_standardisation(cohort.chosen(others))
        with pytest.raises(LeakError, match=f"they differ by {left_out}"):
            divide(cohort, folds, 0, fitted)

    def test_division_made_by_hand_is_checked_too(self, cohort, folds):
        division = divide(cohort, folds, 0)
        leaky = Standardisation(0.0, 1.0, cohort.identities)
        with pytest.raises(LeakError, match="saw test patients"):
            replace(division, standardisation=leaky)
        with pytest.raises(LeakError, match="trained and tested on"):
            replace(division, training=(*division.training, division.test[0]))

    def test_a_fault_in_the_fitting_itself_is_caught(self, cohort, folds, monkeypatch):
        """As if somebody changed the code to fit on all patients."""
        monkeypatch.setattr(
            "reprostats.datasets.folds.fit_standardisation",
            lambda _: replace(fit_standardisation(cohort.patients), fitted_on=folds[0].training),
        )
        with pytest.raises(LeakError, match="it saw other pixels"):
            divide(cohort, folds, 0)


class TestDividing:
    def test_training_pixels_have_median_0_and_sd_1(self, cohort, folds):
        images, masks = divide(cohort, folds, 1).training_slices()
        assert np.median(images) == pytest.approx(0, abs=1e-6)
        assert images.std() == pytest.approx(1, rel=1e-5)
        assert images.shape == masks.shape == (8, 4, 4)

    def test_test_patients_do_not_move_the_training_ones(self, cohort, folds):
        changed = dict.fromkeys(folds[0].test, 100.0)
        moved = cohort.changed(
            lambda p: replace(p, images=p.images + np.float32(changed.get(p.identity, 0)))
        )
        one, other = (divide(each, folds, 0) for each in (cohort, moved))
        assert one.standardisation == other.standardisation
        assert (one.training_slices()[0] == other.training_slices()[0]).all()

    def test_division_by_own_statistics_given(self, cohort, folds):
        fitted = fit_standardisation(cohort.chosen(folds[0].training))
        assert divide(cohort, folds, 0, fitted).standardisation == fitted

    @pytest.mark.parametrize("number", [-1, 3])
    def test_fold_that_is_not_there(self, cohort, folds, number):
        with pytest.raises(InputError, match=f"no fold {number}; folds go from 0 to 2"):
            divide(cohort, folds, number)


class TestStructureMissingInAFold:
    @staticmethod
    def without(cohort, names):
        def empty(each: Patient) -> Patient:
            masks = each.masks & (each.identity not in names)
            return replace(each, masks=masks)

        return replace(cohort, empty="keep").changed(empty)

    def test_in_the_test_patients_is_warned_of(self, cohort, folds):
        names = folds[0].test
        with pytest.warns(UserWarning, match=f"fold 1 of 3: none of its test .*{names[0]}"):
            assert isinstance(divide(self.without(cohort, names), folds, 0), Division)

    def test_in_the_training_patients_is_refused(self, cohort, folds):
        names = folds[0].training
        with pytest.raises(InputError, match=r"fold 1 of 3: none of its training .* be learnt"):
            divide(self.without(cohort, names), folds, 0)
