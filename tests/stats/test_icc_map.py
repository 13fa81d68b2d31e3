"""icc_map against icc, element by element, and against what would break a fast path."""

from __future__ import annotations

import tracemalloc

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from reprostats.errors import InputError
from reprostats.stats.icc import FORMS, icc
from reprostats.stats.icc_map import icc_map
from reprostats.stats.interpolation import polynomial

NAMES = ["icc", "ci_low", "ci_high", "f", "p_value"]
FORM_NAMES = [form.name for form in FORMS]
SIZES = [(2, 2), (3, 2), (2, 5), (6, 4), (30, 5), (12, 20), (120, 3)]


def voxels(n, k, *shape, seed=0, noise=0.5, shift=0.3):
    rng = np.random.default_rng(seed)
    subjects = rng.normal(size=(n, 1, *shape))
    raters = shift * rng.normal(size=(1, k, *shape))
    return subjects + raters + noise * rng.normal(size=(n, k, *shape))


def assert_equals_icc(ratings, form, **options):
    """Compare with `icc` of every element: 1e-6 relative, 1e-9 where a number is near 0."""
    found = icc_map(ratings, form=form, **options)
    for place in np.ndindex(*ratings.shape[2:]):
        options = {"agreement_interval": "satterthwaite", **options}
        table = icc(ratings[(slice(None), slice(None), *place)], **options)
        row = table.set_index("form").loc[form]
        np.testing.assert_allclose(
            [getattr(found, name)[place] for name in NAMES],
            row[NAMES].astype(float),
            rtol=1e-6,
            atol=1e-9,
            err_msg=f"{place}: {row['note']}",
        )
        # Tails need relative accuracy however small they are, down to the smallest normal number.
        assert found.p_value[place] == pytest.approx(
            row["p_value"], rel=1e-6, abs=1e-300, nan_ok=True
        )
    return found


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("form", FORM_NAMES)
def test_equals_icc(size, form):
    assert_equals_icc(voxels(*size, 2, 3), form)


@pytest.mark.parametrize("noise", [1e-12, 1e-7, 1e-3, 1.0, 30.0, 1e6])
@pytest.mark.parametrize("shift", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("form", ["ICC(A,1)", "ICC(C,1)", "ICC(A,k)"])
def test_any_share_of_noise(noise, shift, form):
    assert_equals_icc(voxels(8, 3, 4, noise=noise, shift=shift, seed=2), form)


@pytest.mark.parametrize("form", FORM_NAMES)
@pytest.mark.parametrize(
    ("offset", "scale"), [(1e6, 1.0), (-1e9, 1.0), (0.0, 1e-180), (0.0, 1e180)]
)
def test_offset_and_unit(form, offset, scale):
    assert_equals_icc((voxels(10, 4, 3) + offset) * scale, form)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99, 0.9999])
def test_confidence_level(level):
    assert_equals_icc(voxels(15, 4, 8), "ICC(A,1)", confidence_level=level)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 9),
    st.integers(2, 6),
    st.sampled_from(FORM_NAMES),
    st.integers(0, 10**6),
    st.integers(1, 40),
)
def test_small_whole_numbers(n, k, form, seed, largest):
    """Ties, equal raters, equal subjects and constants come up by themselves here."""
    ratings = np.random.default_rng(seed).integers(0, largest + 1, size=(n, k, 4)).astype(float)
    assert_equals_icc(ratings, form)


class TestHardElements:
    def test_identical_repeats(self):
        ratings = np.repeat(np.random.default_rng(1).normal(size=(10, 1, 7)), 4, axis=1)
        for form in FORM_NAMES:
            found = icc_map(ratings, form=form)
            for name, value in zip(NAMES, [1, 1, 1, np.inf, 0], strict=True):
                assert (getattr(found, name) == value).all()

    def test_a_background_of_zeros(self):
        ratings = voxels(10, 3, 20)
        ratings[:, :, 5:12] = 0
        found = assert_equals_icc(ratings, "ICC(A,1)")
        assert np.isnan(found.icc[5:12]).all()
        assert "7 elements had no finite coefficient" in found.summary()

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_missing_ratings(self, bad):
        ratings = voxels(10, 3, 20)
        ratings[4, 1, 3] = bad
        found = icc_map(ratings)
        assert found.n_missing == 1
        assert np.flatnonzero(np.isnan(found.icc)).tolist() == [3]
        whole = icc_map(np.delete(ratings, 3, axis=2))
        np.testing.assert_array_equal(np.delete(found.icc, 3), whole.icc)
        assert "1 element had a rating that is not finite" in found.summary()

    def test_negative(self):
        rng = np.random.default_rng(3)
        ratings = rng.normal(size=(12, 4, 40))
        ratings -= 0.98 * ratings.mean(axis=1, keepdims=True)
        found = assert_equals_icc(ratings, "ICC(A,1)")
        assert (found.icc < 0).all()


class TestLayout:
    def test_a_view_that_is_not_contiguous(self):
        ratings = np.moveaxis(voxels(6, 3, 4, 5, 6), (0, 1), (-1, -2)).copy()
        turned = np.moveaxis(ratings, (-1, -2), (0, 1))
        assert not turned.flags.c_contiguous
        np.testing.assert_allclose(icc_map(turned).icc, icc_map(voxels(6, 3, 4, 5, 6)).icc)

    @pytest.mark.parametrize("turned", [False, True])
    def test_mask(self, turned):
        ratings = voxels(6, 3, 9, 8)
        if turned:
            ratings = np.asfortranarray(ratings)
        mask = np.random.default_rng(4).random((9, 8)) < 0.3
        found, whole = icc_map(ratings, mask=mask), icc_map(ratings)
        assert found.n_elements == mask.sum()
        np.testing.assert_allclose(found.icc[mask], whole.icc[mask])
        assert np.isnan(found.p_value[~mask]).all()

    def test_blocks_do_not_show(self):
        ratings = voxels(60, 20, 1700)
        found = icc_map(ratings)
        parts = [icc_map(ratings[:, :, first : first + 100]).icc for first in range(0, 1700, 100)]
        np.testing.assert_allclose(found.icc, np.concatenate(parts), rtol=1e-13)

    @pytest.mark.parametrize("kind", [np.float32, np.int16, np.uint8, np.bool_])
    def test_types(self, kind):
        ratings = (10 + 3 * voxels(6, 3, 9)).astype(kind)
        np.testing.assert_array_equal(icc_map(ratings).icc, icc_map(ratings.astype(float)).icc)

    def test_bounded_memory(self):
        ratings = voxels(10, 4, 300_000).astype(np.float32)
        tracemalloc.start()
        icc_map(ratings)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        maps = 5 * 8 * 300_000
        assert peak < maps + 60e6

    def test_table(self):
        found = icc_map(voxels(6, 3, 4, 5), mask=np.eye(4, 5))
        table = found.table()
        assert list(table.columns) == ["index_0", "index_1", *NAMES]
        assert table["index_0"].tolist() == table["index_1"].tolist() == [0, 1, 2, 3]


class TestImages:
    @pytest.fixture
    def images(self, tmp_path):
        affine = np.diag([2.0, 2.0, 3.0, 1.0])
        ratings = voxels(5, 2, 4, 3, 2).astype(np.float32)
        paths = [[tmp_path / f"{i}_{j}.nii.gz" for j in range(2)] for i in range(5)]
        for i, j in np.ndindex(5, 2):
            nibabel.save(nibabel.Nifti1Image(ratings[i, j], affine), paths[i][j])
        return ratings, paths, affine

    def test_in_and_out(self, images, tmp_path):
        ratings, paths, affine = images
        found = icc_map(paths)
        np.testing.assert_array_equal(found.icc, icc_map(ratings).icc)
        written = found.write(tmp_path / "maps")
        assert [path.name for path in written] == [f"{name}.nii.gz" for name in NAMES]
        image = nibabel.load(written[0])
        np.testing.assert_array_equal(image.affine, affine)
        np.testing.assert_array_equal(np.asarray(image.dataobj), found.icc.astype(np.float32))

    def test_loaded_images_and_a_mask(self, images):
        ratings, paths, affine = images
        loaded = [[nibabel.load(path) for path in row] for row in paths]
        mask = np.zeros((4, 3, 2), dtype=np.uint8)
        mask[1] = 1
        found = icc_map(loaded, mask=nibabel.Nifti1Image(mask, affine))
        assert found.n_elements == 6
        np.testing.assert_array_equal(found.icc, icc_map(ratings, mask=mask).icc)

    def test_grids_differ(self, images):
        _, paths, affine = images
        moved = affine.copy()
        moved[0, 3] = 5
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2), np.float32), moved), paths[2][1])
        with pytest.raises(InputError, match=r"subject 2, rater 1 .* one grid"):
            icc_map(paths)

    def test_uneven(self, images):
        _, paths, _ = images
        with pytest.raises(InputError, match="each needs one for every rater"):
            icc_map([paths[0], paths[1][:1]])

    def test_no_such_file(self):
        with pytest.raises(InputError, match="there is no image"):
            icc_map([["a.nii", "b.nii"], ["c.nii", "d.nii"]])

    def test_axes(self, tmp_path):
        with pytest.raises(InputError, match="NIfTI takes 1 to 3"):
            icc_map(voxels(3, 2, 2, 2, 2, 2)).write(tmp_path)


class TestInput:
    @pytest.mark.parametrize("shape", [(1, 3, 4), (3, 1, 4)])
    def test_too_few(self, shape):
        with pytest.raises(InputError, match=r"at least 2 (subject|rater)s are needed"):
            icc_map(np.ones(shape))

    def test_no_map(self):
        with pytest.raises(InputError, match="For one table of ratings use icc"):
            icc_map(np.ones((3, 4)))

    def test_form(self):
        with pytest.raises(InputError, match=r"unknown form 'ICC\(2,1\)'"):
            icc_map(voxels(3, 2, 2), form="ICC(2,1)")

    def test_mask(self):
        with pytest.raises(InputError, match=r"mask has shape \(3,\); the map has shape \(2,\)"):
            icc_map(voxels(3, 2, 2), mask=[1, 1, 1])

    @pytest.mark.parametrize("values", [1j, "a"])
    def test_numbers(self, values):
        with pytest.raises(InputError, match=r"real numbers|no image"):
            icc_map(np.full((2, 2, 2), values))

    def test_empty_mask(self):
        found = icc_map(voxels(3, 2, 4), mask=np.zeros(4))
        assert "no element has a coefficient" in found.summary()


class TestPolynomial:
    def test_error_is_as_promised(self):
        """The F quantile as a function of 1 / df2, away from the points that were checked."""
        fit = polynomial(
            lambda x: np.log(special.fdtri(29, 1 / x, 0.975)), 0.005, 1, tolerance=1e-9
        )
        x = np.random.default_rng(5).uniform(0.005, 1, 20_000)
        expected = np.log(special.fdtri(29, 1 / x, 0.975))
        np.testing.assert_allclose(fit(x), expected, rtol=0, atol=2e-9)

    def test_a_function_that_is_not_smooth(self):
        assert polynomial(np.abs, -1, 1, tolerance=1e-9) is None

    def test_a_function_with_a_pole(self):
        with np.errstate(divide="ignore"):
            assert polynomial(lambda x: 1 / x, 0, 1, tolerance=1e-9) is None
