"""Resampling, cropping and standardisation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reprostats.datasets.patients import Patient
from reprostats.datasets.preprocessing import (
    crop_or_pad,
    downsample,
    fit_standardisation,
    resample,
)
from reprostats.errors import InputError

VALUES = st.floats(-100, 100, width=32)


def patient(images, masks=None, spacing=(1.0, 1.0)):
    images = np.asarray(images, np.float32)
    inside = images > images.min() if masks is None else np.asarray(masks, bool)
    return Patient("p1", images, inside, spacing)


def ball(side=24, radius=8):
    z, y, x = np.indices((side, side, side)) - (side - 1) / 2
    inside = x**2 + y**2 + z**2 <= radius**2
    return patient(inside, inside, (1.0, 1.0, 1.0))


class TestStandardisation:
    @given(arrays.arrays(np.float32, (3, 4, 5), elements=VALUES), VALUES, st.floats(0.5, 50))
    def test_offset_and_scale_do_not_matter(self, images, offset, scale):
        if images.std() < 1:
            return
        one = patient(images, images > 0)
        other = patient(images * np.float32(scale) + offset, images > 0)
        found = [fit_standardisation([each]).apply(each.images) for each in (one, other)]
        assert found[0] == pytest.approx(found[1], abs=1e-2)

    def test_is_the_median_and_not_the_mean(self):
        found = fit_standardisation([patient([[[0, 0, 0, 10]]])])
        assert (found.median, found.sd) == (0.0, pytest.approx(np.std([0, 0, 0, 10])))

    def test_pixels_of_all_patients_count_alike(self):
        """Not the median of medians: 3 pixels of one patient outweigh 1 of another."""
        pair = [patient([[[1, 2, 3]]]), patient([[[9]]], [[[1]]])]
        assert fit_standardisation(pair).median == 2.5

    @pytest.mark.parametrize(
        ("patients", "message"),
        [([], "no patients"), ([patient(np.full((1, 2, 2), 7), np.ones((1, 2, 2)))], "are 7")],
    )
    def test_nothing_to_fit_on(self, patients, message):
        with pytest.raises(InputError, match=message):
            fit_standardisation(patients)


class TestDownsampling:
    @given(arrays.arrays(np.float32, (2, 8, 12), elements=VALUES))
    def test_keeps_the_mean(self, images):
        half = downsample(patient(images, images > 200), 2)
        assert half.images.mean() == pytest.approx(images.mean(), abs=1e-4)
        assert half.size == (4, 6)

    def test_leaves_out_what_fills_no_block(self):
        assert downsample(patient(np.zeros((1, 7, 9)), np.zeros((1, 7, 9))), 2).size == (3, 4)

    @pytest.mark.parametrize("factor", [0, 9])
    def test_factor_out_of_range(self, factor):
        with pytest.raises(InputError, match=f"cannot downsample .* by {factor}"):
            downsample(patient(np.eye(8)[None]), factor)

    def test_spacing_between_slices_stays(self):
        assert downsample(ball(), 2).spacing == (1.0, 2.0, 2.0)


class TestResampling:
    @pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (1.0, 0.5, 0.8), (3.0, 2.0, 2.0)])
    def test_keeps_the_volume_of_a_ball(self, spacing):
        before = ball()
        after = resample(before, spacing)
        volumes = [each.masks.sum() * np.prod(each.spacing) for each in (before, after)]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.06)

    def test_extent_stays_and_spacing_is_the_real_one(self):
        before = patient(np.eye(10)[None])
        after = resample(before, (3.0, 3.0))
        assert after.size == (3, 3)
        assert after.spacing == pytest.approx((10 / 3, 10 / 3))

    def test_same_spacing_changes_nothing(self):
        before = ball()
        after = resample(before, before.spacing)
        assert (after.images == before.images).all()
        assert (after.masks == before.masks).all()

    @pytest.mark.parametrize("spacing", [(1.0,), (1.0, 1.0, 1.0), (0.0, 1.0)])
    def test_spacing_that_does_not_fit(self, spacing):
        with pytest.raises(InputError, match="need 2 numbers above 0"):
            resample(patient(np.eye(4)[None]), spacing)


class TestCropping:
    @given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12))
    def test_gives_the_size(self, height, width, new_height, new_width):
        images = np.arange(height * width, dtype=np.float32).reshape(1, height, width)
        blank = patient(images, np.zeros_like(images))
        found = crop_or_pad(blank, (new_height, new_width))
        assert found.images.shape == found.masks.shape == (1, new_height, new_width)

    @given(st.integers(1, 9), st.integers(0, 7))
    def test_padding_undone_by_cropping(self, side, more):
        images = np.random.default_rng(1).normal(size=(1, side, side)).astype(np.float32)
        before = patient(images, images > 0)
        there = crop_or_pad(before, (side + 2 * more, side + 2 * more))
        assert (crop_or_pad(there, (side, side)).images == images).all()

    def test_truth_that_would_be_cut_off(self):
        mask = np.zeros((1, 8, 8))
        mask[0, 0, :3] = 1
        with pytest.raises(
            InputError, match="cropping patient 'p1' to 4 x 4 cuts off 3 pixels of the truth"
        ):
            crop_or_pad(patient(np.eye(8)[None], mask), (4, 4))

    def test_size_below_1(self):
        with pytest.raises(InputError, match="height and a width from 1"):
            crop_or_pad(patient(np.eye(8)[None]), (0, 4))
