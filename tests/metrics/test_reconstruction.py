"""Differences of images: by hand, against scikit-image, inside a mask, bad input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage import metrics as skimage_metrics

from reprostats.errors import InputError
from reprostats.metrics.reconstruction import nrmse, psnr, reconstruction_metrics, ssim

RANDOM = np.random.default_rng(1)
TRUTH = RANDOM.random((24, 21))
OTHER = TRUTH + 0.1 * RANDOM.standard_normal(TRUTH.shape)
MASK = np.zeros(TRUTH.shape, bool)
MASK[6:18, 5:15] = True
IMAGES = arrays.arrays(
    float, arrays.array_shapes(min_dims=2, max_dims=3), elements=st.floats(-9, 9, width=16)
)


class TestByHand:
    def test_nrmse(self):
        """||(1, 2)|| = sqrt(5) over ||(3, 4)|| = 5; the pixel outside the mask counts nothing."""
        found = nrmse([3.0, 4.0, 7.0], [4.0, 6.0, 99.0], mask=[1, 1, 0])
        assert found == pytest.approx(100 * math.sqrt(5) / 5, rel=1e-15)

    def test_nrmse_of_complex_images(self):
        """|1j - 1|² = 2 over |1|² + |1|² = 2."""
        assert nrmse([1 + 0j, 1], [1j, 1]) == pytest.approx(100, rel=1e-15)

    def test_psnr(self):
        """Range 2, squared errors 0, 0, 0.04, 0: 10 log10(4 / 0.01)."""
        found = psnr([0.0, 1.0, 2.0, 1.0], [0.0, 1.0, 2.2, 1.0])
        assert found == pytest.approx(10 * math.log10(400), rel=1e-12)

    def test_range_is_that_inside_the_mask(self):
        assert psnr([0.0, 1.0, 50.0], [0.1, 1.1, 0.0], mask=[1, 1, 0]) == pytest.approx(20)
        assert psnr([0.0, 1.0], [0.1, 1.1], data_range=10) == pytest.approx(40)

    def test_ssim_of_wang(self):
        """Eq. 13 of Wang et al. (2004) in full, at one pixel in the middle of its 11 x 11 window.

        The Gaussian of SD 1.5 as scipy's filter weighs a single pixel.
        """
        truth, other = TRUTH[:11, :11], OTHER[:11, :11]
        one = np.zeros((11, 11))
        one[5, 5] = 1
        weight = ndimage.gaussian_filter(one, 1.5, truncate=3.5)
        x, y = (float((weight * image).sum()) for image in (truth, other))
        xx, yy, xy = (
            float((weight * one * two).sum())
            for one, two in ((truth, truth), (other, other), (truth, other))
        )
        c1, c2 = 0.01**2, 0.03**2  # range 1
        expected = (2 * x * y + c1) * (2 * (xy - x * y) + c2)
        expected /= (x**2 + y**2 + c1) * (xx - x**2 + yy - y**2 + c2)
        middle = one.astype(bool)
        assert ssim(truth, other, mask=middle, data_range=1.0) == pytest.approx(expected, rel=1e-9)
        assert ssim(truth, other, data_range=1.0) == pytest.approx(expected, rel=1e-9)


class TestAgainstScikitImage:
    """Without a mask all three are its functions, with the settings said."""

    RANGE = float(np.ptp(TRUTH))

    def test_nrmse(self):
        expected = skimage_metrics.normalized_root_mse(TRUTH, OTHER, normalization="euclidean")
        assert nrmse(TRUTH, OTHER) == pytest.approx(100 * expected, rel=1e-12)

    def test_psnr(self):
        expected = skimage_metrics.peak_signal_noise_ratio(TRUTH, OTHER, data_range=self.RANGE)
        assert psnr(TRUTH, OTHER) == pytest.approx(expected, rel=1e-12)

    def test_ssim(self):
        expected = skimage_metrics.structural_similarity(
            TRUTH,
            OTHER,
            data_range=self.RANGE,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim(TRUTH, OTHER) == pytest.approx(expected, rel=1e-12)


class TestProperties:
    @settings(deadline=None)
    @given(IMAGES.filter(np.any))
    def test_equal_images(self, image):
        assert nrmse(image, image) == 0
        if np.ptp(image):
            assert psnr(image, image) == math.inf

    @settings(deadline=None)
    @given(IMAGES.filter(lambda image: np.abs(image).max() > 0.01), st.floats(0.1, 100))
    def test_unit_does_not_matter(self, image, unit):
        other = image[::-1]
        assert nrmse(image * unit, other * unit) == pytest.approx(nrmse(image, other), abs=1e-9)

    def test_equal_images_have_an_ssim_of_one(self):
        assert ssim(TRUTH, TRUTH) == ssim(TRUTH, TRUTH, mask=MASK) == 1

    def test_all_at_once(self):
        assert reconstruction_metrics(TRUTH, OTHER, mask=MASK, data_range=1.5) == {
            "nrmse": nrmse(TRUTH, OTHER, mask=MASK),
            "psnr": psnr(TRUTH, OTHER, mask=MASK, data_range=1.5),
            "ssim": ssim(TRUTH, OTHER, mask=MASK, data_range=1.5),
        }

    def test_what_lies_far_outside_the_mask_counts_nothing(self):
        other = OTHER.copy()
        other[0, 0] = 7  # 6 rows off: out of reach of a window of 11
        for measure in (nrmse, psnr, ssim):
            assert measure(TRUTH, other, mask=MASK) == measure(TRUTH, OTHER, mask=MASK)

    def test_volumes(self):
        volume = RANDOM.random((12, 13, 14))
        assert 0 < ssim(volume, volume + 0.1 * RANDOM.random(volume.shape)) < 1

    def test_single_precision_is_summed_in_double(self):
        """A million equal pixels off by 1 in 1000: 0.1 percent, to 1e-4 of it."""
        truth = np.full(1_000_000, 1000, np.float32)
        assert nrmse(truth, truth + np.float32(1)) == pytest.approx(0.1, rel=1e-12)


class TestBadInput:
    @pytest.mark.parametrize("measure", [nrmse, psnr, ssim])
    @pytest.mark.parametrize(
        ("truth", "other", "mask", "message"),
        [
            (TRUTH, OTHER[:-1], None, r"truth has shape \(24, 21\) and reconstruction \(23, 21\)"),
            (TRUTH, OTHER, MASK[:-1], r"the mask has shape \(23, 21\), the images have \(24, 21\)"),
            (TRUTH, OTHER, MASK & False, r"no pixel counts: the mask of shape \(24, 21\) is empty"),
            (TRUTH, OTHER, MASK * 0.5, "a mask holds 0 and 1 alone, not 0.5"),
            (np.zeros((0, 3)), np.zeros((0, 3)), None, r"no pixel counts"),
            (TRUTH, np.where(MASK, np.nan, OTHER), None, "reconstruction .* finite at 120 pixels"),
            (np.where(MASK, np.inf, TRUTH), OTHER, MASK, "truth .* not finite at 120 pixels"),
        ],
    )
    def test_is_refused(self, measure, truth, other, mask, message):
        with pytest.raises(InputError, match=message):
            measure(truth, other, mask=mask)

    def test_nan_outside_the_mask_matters_for_ssim_alone(self):
        other = np.where(MASK, OTHER, np.nan)
        assert nrmse(TRUTH, other, mask=MASK) == nrmse(TRUTH, OTHER, mask=MASK)
        with pytest.raises(InputError, match="not finite"):
            ssim(TRUTH, other, mask=MASK)

    def test_truth_of_zeros_is_refused(self):
        with pytest.raises(InputError, match="truth is 0 at all 120 pixels that count"):
            nrmse(TRUTH * ~MASK, OTHER, mask=MASK)

    @pytest.mark.parametrize("measure", [psnr, ssim])
    def test_complex_images_and_bad_ranges_are_refused(self, measure):
        with pytest.raises(InputError, match=r"shape \(24, 21\) are complex; .* magnitudes"):
            measure(TRUTH * 1j, OTHER)
        for data_range in (0.0, -1.0, math.nan):
            with pytest.raises(InputError, match=r"the data range is .* above 0"):
                measure(TRUTH, OTHER, data_range=data_range)
        with pytest.raises(InputError, match=r"the data range is 0\.0"):
            measure(np.ones((12, 12)), np.zeros((12, 12)))

    @pytest.mark.parametrize("shape", [(12,), (12, 10), (11, 11, 11, 11)])
    def test_shapes_without_ssim_are_refused(self, shape):
        image = RANDOM.random(shape)
        with pytest.raises(InputError, match="SSIM needs two or three axes of 11 or more"):
            ssim(image, image)
