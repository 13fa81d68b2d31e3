"""Cohorts by description."""

import numpy as np
import pytest
from PIL import Image

from reprostats.datasets.cohorts import Data, Heads, load_cohort
from reprostats.datasets.patients import Cohort
from reprostats.datasets.registry import COHORTS
from reprostats.errors import InputError, NotAvailableError


class TestData:
    def test_slices(self, tmp_path, monkeypatch):
        monkeypatch.setenv("REPROSTATS_DATA", str(tmp_path))
        for kind in ("images", "masks"):
            (tmp_path / "own" / kind).mkdir(parents=True)
            for patient in "ab":
                for number in (1, 2):
                    path = tmp_path / "own" / kind / f"{patient}_{number}.png"
                    pixels = np.zeros((20, 24), np.uint8)
                    pixels[8:12, 8:14] = 200
                    Image.fromarray(pixels).save(path)
        chosen = Data(dataset="slices", folder="own", downsampling=2, size=(8, 8))
        cohort = load_cohort(chosen)
        assert isinstance(cohort, Cohort)
        assert [(each.identity, each.images.shape) for each in cohort] == [
            ("a", (2, 8, 8)),
            ("b", (2, 8, 8)),
        ]

    @pytest.mark.parametrize("dataset", ["slices", "volumes", "decathlon"])
    def test_folder_that_is_not_there(self, tmp_path, monkeypatch, dataset):
        monkeypatch.setenv("REPROSTATS_DATA", str(tmp_path))
        with pytest.raises(NotAvailableError, match="none"):
            load_cohort(Data(dataset=dataset, folder="none"))
        with pytest.raises(InputError, match="needs the name of its folder"):
            load_cohort(Data(dataset=dataset))

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="there is no data set 'mni125'"):
            Data(dataset="mni125")

    def test_what_is_registered_is_known_and_its_patients_are_prepared(self, monkeypatch):
        def first_head(data, prepare):
            return Cohort("one", COHORTS["mni152"](data, prepare).patients[:1])

        monkeypatch.setitem(COHORTS, "first_head", first_head)
        heads = Heads(patients=2, slices=2, resolution=8)
        cohort = load_cohort(Data(dataset="first_head", heads=heads, size=(32, 48)))
        assert [patient.images.shape for patient in cohort] == [(2, 32, 48)]
