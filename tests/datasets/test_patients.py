"""Patients, cohorts and folders of slices: what is refused, and by which words."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reprostats.datasets.patients import Cohort, Patient, load_slices
from reprostats.errors import InputError

SUNNYBROOK = Path(os.environ.get("REPROSTATS_DATA", "data/raw")) / "sunnybrook_lv"


def patient(identity="p1", shape=(3, 8, 8), spacing=(1.5, 1.5), seed=0):
    images = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    masks = np.zeros(shape, dtype=bool)
    masks[:, 2:5, 2:5] = True
    return Patient(identity, images, masks, spacing)


class TestPatient:
    def test_nan_is_counted_and_placed(self):
        images = np.zeros((3, 4, 4), np.float32)
        images[1, 2, 2], images[2, 0, 0] = np.nan, np.inf
        with pytest.raises(
            InputError, match=r"scan.nii: patient 'p1': 2 pixels are not finite .* in slice 2"
        ):
            Patient("p1", images, images == 0, (1, 1), "scan.nii")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"images": np.zeros((4, 4), np.float32)}, r"need \(slices, height, width\)"),
            ({"images": np.zeros((0, 4, 4), np.float32)}, r"none of them 0"),
            ({"masks": np.zeros((3, 8, 9), bool)}, r"bool of the images' shape \(3, 8, 8\)"),
            ({"masks": np.zeros((3, 8, 8))}, "masks are float64"),
            ({"spacing": (1.0,)}, "2 or 3 numbers above 0"),
            ({"spacing": (0.0, 1.0)}, "2 or 3 numbers above 0"),
        ],
    )
    def test_what_does_not_fit(self, change, message):
        with pytest.raises(InputError, match=message):
            replace(patient(), **change)


class TestCohort:
    def test_sizes_that_differ_are_named(self):
        others = (patient("p2", shape=(2, 8, 10)), patient("p3"))
        with pytest.raises(
            InputError, match=r"Most have 8 x 8 pixels, but not p2 \(8 x 10\)\. Resample to one"
        ):
            Cohort("c", (patient("p1"), *others))

    def test_spacings_that_differ_are_warned_of(self):
        with pytest.warns(UserWarning, match=r"1.5 x 1.5 mm in p1, but differ in p2 \(1 x 1 mm\)"):
            Cohort("c", (patient("p1"), patient("p2", spacing=(1.0, 1.0))))

    def test_patient_with_one_slice_is_warned_of(self):
        with pytest.warns(UserWarning, match="one slice only of p2"):
            Cohort("c", (patient("p1"), patient("p2", shape=(1, 8, 8))))

    def test_mask_of_background_is_refused_or_kept(self):
        empty = replace(patient("p2"), masks=np.zeros((3, 8, 8), bool))
        with pytest.raises(InputError, match="background throughout in p2"):
            Cohort("c", (patient("p1"), empty))
        assert len(Cohort("c", (patient("p1"), empty), empty="keep")) == 2

    def test_unknown_patient(self):
        with pytest.raises(InputError, match="has no patient p9"):
            Cohort("c", (patient("p1"),)).chosen(["p9"])

    def test_nobody(self):
        with pytest.raises(InputError, match="has no patients"):
            Cohort("c", ())


def write_slices(folder, names, size=(6, 5), value=255):
    for kind in ("images", "labels"):
        (folder / kind).mkdir(exist_ok=True, parents=True)
        for name in names:
            Image.new("L", size, value).save(folder / kind / f"{name}.png")


class TestSlices:
    def test_are_gathered_by_patient(self, tmp_path):
        write_slices(tmp_path, ["b-IM-2", "a-IM-1", "b-IM-1", "a-IM-2"])
        cohort = load_slices(tmp_path, "^(.+)-IM-")
        assert [(p.identity, p.images.shape) for p in cohort] == [
            ("a", (2, 5, 6)),
            ("b", (2, 5, 6)),
        ]

    def test_label_chooses_the_structure(self, tmp_path):
        write_slices(tmp_path, ["a-1", "a-2"], value=3)
        with pytest.raises(InputError, match="background throughout in a"):
            load_slices(tmp_path, "^(.)-", label=2)
        assert load_slices(tmp_path, "^(.)-", label=3).patients[0].masks.all()

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [("^(.+)_IM", "does not fit the name 'a-1'"), ("(", "is no regular expression")],
    )
    def test_pattern_that_does_not_fit(self, tmp_path, pattern, message):
        write_slices(tmp_path, ["a-1"])
        with pytest.raises(InputError, match=message):
            load_slices(tmp_path, pattern)

    def test_sizes_within_a_patient(self, tmp_path):
        write_slices(tmp_path, ["a-1"])
        write_slices(tmp_path, ["a-2"], size=(7, 7))
        with pytest.raises(InputError, match="slices of patient 'a' differ in size: 5 x 6, 7 x 7"):
            load_slices(tmp_path, "^(.)-")

    @pytest.mark.slow
    @pytest.mark.skipif(
        not SUNNYBROOK.is_dir(), reason="sunnybrook_lv is not in the folder REPROSTATS_DATA names"
    )
    def test_sunnybrook_has_45_patients_of_12_to_28_slices(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cohort = load_slices(SUNNYBROOK, "^(.+)-IM-")
        counts = [len(each) for each in cohort]
        assert (len(cohort), sum(counts), min(counts), max(counts)) == (45, 805, 12, 28)
        assert cohort.patients[0].size == (256, 256)
