"""paired_ttest against R's t.test, Lakens (2013), and its own symmetries."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.paired import paired_ttest
from tests.stats.reference import beside, check, designs, read

DATA = designs("paired_data.csv")
EXPECTED = read("paired_expected.csv")
NUMBERS = ["difference", "ci_low", "ci_high", "t", "df", "p_value"]
EFFECTS = ["cohen_dz", "hedges_gav"]
ENDS = [f"{name}_{end}" for name in EFFECTS for end in ("low", "high")]

# Lakens (2013), Table 1: ten people rate two films.
FILMS = [9, 7, 8, 9, 8, 9, 9, 10, 9, 9], [9, 6, 7, 8, 7, 9, 8, 8, 8, 7]

samples = st.lists(
    st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), min_size=2, max_size=20
).map(lambda pairs: np.array(pairs, dtype=float))


def result(first, second=None, **options):
    table = paired_ttest(first, second, **options)
    assert len(table) == 1
    return table.iloc[0]


def test_columns():
    expected = [*NUMBERS]
    for name in EFFECTS:
        expected += [name, f"{name}_low", f"{name}_high"]
    expected += ["n", "note"]
    assert list(paired_ttest(*FILMS).columns) == expected


def test_against_r():
    """stats::t.test of R 4.2.2 on 71 designs, written by tests/reference/make_paired.R."""
    options = EXPECTED[["design", "alternative", "confidence_level"]].to_dict("records")
    found = [paired_ttest(DATA[row.pop("design")][["first", "second"]], **row) for row in options]
    joined = beside(EXPECTED, found)
    check(joined, NUMBERS, relative=2e-12)
    assert (joined["note_found"] == "").all()
    assert EXPECTED["design"].nunique() == 71


def test_lakens_2013():
    """t(9) = 4.74, d_z = 1.50, g_av = 1.08, as printed for the films within subjects."""
    found = result(*FILMS)
    assert found["df"] == 9
    assert [round(found[name], 2) for name in ("t", *EFFECTS)] == [4.74, 1.50, 1.08]


def test_two_columns_are_two_samples():
    table = pd.DataFrame({"b": FILMS[0], "a": FILMS[1]})
    pd.testing.assert_frame_equal(paired_ttest(table), paired_ttest(*FILMS))


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
def test_an_offset_loses_no_digits(offset):
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(2, 12)) + offset
    exact = [Fraction(a) - Fraction(b) for a, b in zip(first, second, strict=True)]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
    found = result(first, second)
    assert found["difference"] == pytest.approx(float(mean), rel=1e-13)
    assert found["cohen_dz"] == pytest.approx(float(mean) / float(variance) ** 0.5, rel=1e-13)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**1000])
def test_extreme_units(scale):
    found, expected = result(*np.multiply(FILMS, scale)), result(*FILMS)
    assert found["difference"] == scale
    assert list(found[["t", "p_value", *EFFECTS]]) == list(expected[["t", "p_value", *EFFECTS]])


class TestNoVariance:
    @pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
    @pytest.mark.parametrize("values", [[0.1, 0.7, 0.2], [0.1] * 4, [0.0, 0.0]])
    def test_equal_pairs(self, values, alternative):
        found = result(values, values, alternative=alternative)
        assert list(found[["difference", "ci_low", "ci_high", "t", *EFFECTS]]) == [0] * 6
        assert found["p_value"] == 1
        assert "bit for bit" in found["note"]

    @pytest.mark.parametrize(
        ("alternative", "p_value"), [("two-sided", 0), ("greater", 0), ("less", 1)]
    )
    @pytest.mark.parametrize("shift", [0.3, 1e-6, 1e6])
    def test_constant_shift(self, shift, alternative, p_value):
        values = np.array([0.1, 0.7, 0.2, 0.35])
        found = result(values + shift, values, alternative=alternative)
        assert found["difference"] == pytest.approx(shift, rel=1e-9)
        assert found["ci_low"] == found["ci_high"] == found["difference"]
        assert found["t"] == found["cohen_dz"] == np.inf
        assert found["p_value"] == p_value
        expected = shift / np.std(values, ddof=1) * (1 - 3 / (4 * 8 - 9))
        assert found["hedges_gav"] == pytest.approx(expected, rel=1e-9)
        assert "same amount" in found["note"]

    def test_a_negative_shift_of_constants(self):
        found = result([3, 3, 3], [5, 5, 5])
        assert list(found[["difference", "t", *EFFECTS]]) == [-2, -np.inf, -np.inf, -np.inf]
        assert found["p_value"] == 0

    def test_the_last_bit_is_no_difference(self):
        values = np.array([0.1, 0.7, 0.2])
        found = result(np.nextafter(values, 1), values)
        assert found["difference"] == 0
        assert found["p_value"] == 1
        assert "to within float64 rounding" in found["note"]


class TestSymmetries:
    @given(samples)
    def test_swap(self, pairs):
        there, back = result(pairs), result(pairs[:, ::-1])
        mirrored = [*("difference", "ci_low", "ci_high", "t"), *EFFECTS]
        np.testing.assert_allclose(
            list(back[["difference", "ci_high", "ci_low", "t", *EFFECTS]]),
            [-value for value in there[mirrored]],
            rtol=1e-12,
            atol=1e-12,
        )
        assert back["p_value"] == pytest.approx(there["p_value"], rel=1e-12)

    @given(samples, st.randoms(use_true_random=False))
    def test_order_of_cases(self, pairs, random):
        shuffled = pairs[random.sample(range(len(pairs)), len(pairs))]
        names = [*NUMBERS, *EFFECTS]
        np.testing.assert_allclose(
            result(shuffled)[names].astype(float),
            result(pairs)[names].astype(float),
            rtol=1e-10,
            atol=1e-12,
        )

    @given(samples, st.integers(-(10**6), 10**6), st.sampled_from([-2.0, 1e-3, 7e5]))
    def test_shift_and_scale(self, pairs, shift, scale):
        expected = result(pairs)
        assume(not expected["note"])
        found = result((pairs + shift) * scale)
        units = found[["difference", "cohen_dz", "hedges_gav", "t"]].astype(float)
        signed = np.array([scale, *[np.sign(scale)] * 3])
        wanted = expected[["difference", "cohen_dz", "hedges_gav", "t"]].astype(float)
        np.testing.assert_allclose(units, wanted * signed, rtol=1e-7, atol=1e-9 * abs(scale))

    @given(samples)
    def test_one_sided_p_values_make_the_two_sided(self, pairs):
        both, less, greater = (
            result(pairs, alternative=name)["p_value"] for name in ("two-sided", "less", "greater")
        )
        assume(not result(pairs)["note"])
        assert less + greater == pytest.approx(1, abs=1e-12)
        assert both == pytest.approx(2 * min(less, greater), rel=1e-12)


def test_scipy_agrees_where_it_can():
    first, second = np.random.default_rng(6).normal(size=(2, 40))
    expected = stats.ttest_rel(first, second)
    found = result(first, second)
    assert found["t"] == pytest.approx(expected.statistic, rel=1e-12)
    assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-12)


class TestInput:
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_not_finite(self, bad):
        with pytest.raises(InputError, match=r"second holds (nan|inf) at position 1 .* diverged"):
            paired_ttest([1, 2, 3], [1, bad, 3])

    def test_lengths(self):
        with pytest.raises(InputError, match="first has 3 values and second 2"):
            paired_ttest([1, 2, 3], [1, 2])

    @pytest.mark.parametrize("values", [[], [1]])
    def test_too_few(self, values):
        with pytest.raises(InputError, match="at least 2 pairs are needed"):
            paired_ttest(values, values)

    @pytest.mark.parametrize("first", [[1, 2, 3], np.ones((3, 3)), 5])
    def test_second_is_missing(self, first):
        with pytest.raises(InputError, match=r"without second it must be \(n, 2\)"):
            paired_ttest(first)

    def test_shape(self):
        with pytest.raises(InputError, match=r"second has shape \(2, 2\)"):
            paired_ttest([1, 2], np.ones((2, 2)))

    def test_text(self):
        with pytest.raises(InputError, match="first must hold real numbers"):
            paired_ttest(["a", "b"], [1, 2])

    def test_complex(self):
        with pytest.raises(InputError, match="first must hold real numbers"):
            paired_ttest([1 + 1j, 2], [1, 2])

    def test_alternative(self):
        with pytest.raises(InputError, match="unknown alternative 'greatr'; did you mean"):
            paired_ttest(*FILMS, alternative="greatr")

    def test_confidence_level(self):
        with pytest.raises(InputError, match="confidence_level is 95"):
            paired_ttest(*FILMS, confidence_level=95)

    def test_labels_in_another_order(self):
        first = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"])
        second = pd.Series([3.0, 1.0, 2.5], index=["c", "a", "b"])
        with pytest.raises(InputError, match="same labels in another order"):
            paired_ttest(first, second)
        found = result(first, second.reindex(first.index))
        assert found["difference"] == pytest.approx(-0.5 / 3)

    def test_labels_of_two_selections_pair_by_position(self):
        table = pd.DataFrame({"model": ["a", "b"] * 3, "dice": [1.0, 2, 3, 5, 4, 9]})
        sides = [table.loc[table["model"] == name, "dice"] for name in "ab"]
        assert result(*sides)["difference"] == pytest.approx(-8 / 3)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_effect_size_where_scipy_gives_nan_for_noncentral_t(level):
    """Two pairs with t = 49: SciPy's distribution is NaN at a noncentrality of -15.5."""
    pairs = np.array([[0.0, 841.0], [0.0, 876.0]])
    there, back = (
        paired_ttest(each, confidence_level=level).iloc[0] for each in (pairs, pairs[:, ::-1])
    )
    assert there["cohen_dz_low"] < there["cohen_dz"] < there["cohen_dz_high"]
    assert there["cohen_dz_low"] == pytest.approx(-back["cohen_dz_high"], rel=1e-12)
