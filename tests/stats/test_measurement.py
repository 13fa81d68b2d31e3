"""measurement_error and bland_altman against Bland and Altman's own data and R."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.stats.measurement import bland_altman, measurement_error

# Bland and Altman (1986), Lancet i, 307-310, Table: peak expiratory flow rate of 17 people (l/min),
# two measurements with a Wright meter and two with a mini Wright meter.
WRIGHT = np.array(
    [
        [494, 490], [395, 397], [516, 512], [434, 401], [476, 470], [557, 611], [413, 415],
        [442, 431], [650, 638], [433, 429], [417, 420], [656, 633], [267, 275], [478, 492],
        [178, 165], [423, 372], [427, 421],
    ]
)  # fmt: skip
MINI = np.array(
    [
        [512, 525], [430, 415], [520, 508], [428, 444], [500, 500], [600, 625], [364, 460],
        [380, 390], [658, 642], [445, 432], [432, 420], [626, 605], [260, 227], [477, 467],
        [259, 268], [350, 370], [451, 443],
    ]
)  # fmt: skip

matrices = st.integers(2, 6).flatmap(
    lambda k: st.lists(
        st.lists(st.integers(1, 500), min_size=k, max_size=k), min_size=2, max_size=8
    ).map(lambda rows: np.array(rows, dtype=float))
)


def by_quantity(table):
    return table.set_index("quantity")


class TestBlandAltman1986:
    def test_limits_of_agreement(self):
        """First measurements: mean -2.1, SD 38.8, limits -79.7 and 75.5 with 2 SD."""
        found = by_quantity(bland_altman(WRIGHT[:, 0], MINI[:, 0]))
        assert round(found.loc["bias", "estimate"], 1) == -2.1
        assert round(found.loc["bias", "sd"], 1) == 38.8
        spread = found.loc["bias", "sd"]
        assert found.loc["lower limit", "estimate"] == pytest.approx(
            -2.1176 - 1.96 * spread, abs=1e-2
        )
        # The paper: -22.0 to 17.8 for the bias, with t(16) = 2.12 and SE 9.4.
        assert round(found.loc["bias", "standard_error"], 1) == 9.4
        assert found.loc["bias", "ci_low"] == pytest.approx(-22.0, abs=0.1)
        assert found.loc["bias", "ci_high"] == pytest.approx(17.8, abs=0.1)
        # It approximates the SE of a limit as sqrt(3/17) SD = 16.3; the formula gives 16.2.
        assert found.loc["upper limit", "standard_error"] == pytest.approx(16.3, abs=0.3)

    def test_repeatability(self):
        """SD within people of the Wright meter 15.3 and of the mini meter 19.9 l/min.

        BMJ 1996 and the 1999 review give the coefficients of repeatability of the same data as
        1.96 sqrt(2) s_w: from the differences of pairs, sqrt(sum d**2 / 2n) is s_w.
        """
        for values, expected in ((WRIGHT, 15.3), (MINI, 19.9)):
            found = by_quantity(measurement_error(values))
            difference = values[:, 0] - values[:, 1]
            within = np.sqrt((difference**2).sum() / (2 * 17))
            error = found.loc["standard error of measurement"]
            assert error["estimate"] == pytest.approx(within, rel=1e-12)
            assert round(error["estimate"], 1) == expected
            repeatability = found.loc["repeatability coefficient", "estimate"]
            assert repeatability == pytest.approx(1.959964 * 2**0.5 * within, rel=1e-6)

    def test_replicates(self):
        """Bland and Altman (1999), 5.2, for equal numbers: var = var(means) + (1 - 1/m) s_w**2.

        The paper's 5.1 corrects the SD of differences of means, here from pairs of single ones.
        """
        differences = WRIGHT - MINI
        cases = np.repeat(np.arange(17), 2)
        found = by_quantity(bland_altman(WRIGHT.ravel(), MINI.ravel(), case=cases))
        within = differences.var(axis=1, ddof=1).mean()
        expected = np.sqrt(differences.mean(axis=1).var(ddof=1) + within / 2)
        assert found.loc["bias", "sd"] == pytest.approx(expected, rel=1e-12)
        assert found.loc["bias", "estimate"] == pytest.approx(differences.mean(), rel=1e-12)
        assert (found["n_pairs"] == 34).all()
        assert (found["n_cases"] == 17).all()


class TestZou2013:
    """Cardiac output of Bland and Altman (1999), Table 4: subjects 1 to 4, which Zou analyses.

    Radionuclide ventriculography and impedance cardiography, litres a minute, in pairs. Zou's
    limits as SimplyAgree 0.2 tests them for its data ``reps``, "examples from Zou".
    """

    VENTRICULOGRAPHY: ClassVar = [
        *[7.83, 7.42, 7.89, 7.12, 7.88, 6.16, 7.26, 6.71, 6.54],
        *[4.75, 5.24, 4.86, 4.78, 6.05, 5.42, 4.21, 3.61, 3.72, 3.87, 3.92],
    ]
    CARDIOGRAPHY: ClassVar = [
        *[6.57, 5.62, 6.90, 6.57, 6.35, 4.06, 4.29, 4.26, 4.09],
        *[4.71, 5.50, 5.08, 5.02, 6.01, 5.67, 4.14, 4.20, 4.61, 4.68, 5.04],
    ]

    def test_true_value_varies(self):
        cases = np.repeat([1, 2, 3, 4], [5, 4, 6, 5])
        found = by_quantity(bland_altman(self.VENTRICULOGRAPHY, self.CARDIOGRAPHY, case=cases))[:3]
        assert found["estimate"].tolist() == pytest.approx([0.7255, -2.14, 3.59], abs=2e-3)
        lower, upper = found.loc["lower limit"], found.loc["upper limit"]
        assert [lower["ci_low"], lower["ci_high"]] == pytest.approx([-9.83, -0.33], abs=0.01)
        assert [upper["ci_low"], upper["ci_high"]] == pytest.approx([1.77, 11.27], abs=0.011)


def test_chi_limits_against_r():
    """R 4.2.2: sqrt(17 / qchisq(c(.975, .025), 17)) = 0.7503875952 1.4991439902."""
    found = by_quantity(measurement_error(WRIGHT, interval="chi-squared")).loc[
        "standard error of measurement"
    ]
    assert found["ci_low"] / found["estimate"] == pytest.approx(0.7503875952, abs=1e-9)
    assert found["ci_high"] / found["estimate"] == pytest.approx(1.4991439902, abs=1e-9)


class TestMeasurementError:
    def test_missing_repeats(self):
        values = np.array([[1.0, 2, 4], [3, np.nan, 5], [7, np.nan, np.nan], [2, 2, 3]])
        found = by_quantity(measurement_error(values)).loc["standard error of measurement"]
        squares = (
            np.var([1, 2, 4], ddof=1) * 2 + np.var([3, 5], ddof=1) + np.var([2, 2, 3], ddof=1) * 2
        )
        assert found["estimate"] == pytest.approx(np.sqrt(squares / 5), rel=1e-12)
        assert (found["df"], found["n_cases"]) == (5, 3)

    def test_identical_repeats(self):
        found = measurement_error([[0.1, 0.1], [0.7, 0.7]])
        assert (found[["estimate", "ci_low", "ci_high"]] == 0).all(axis=None)
        assert found["note"].str.contains("are equal").all()

    def test_values_that_are_not_positive(self):
        found = by_quantity(measurement_error([[0.0, 1], [2, 3]]))
        variation = found.loc["within-case coefficient of variation"]
        assert np.isnan(variation["estimate"])
        assert "above 0" in variation["note"]

    @given(matrices, st.integers(-1000, 1000), st.sampled_from([1e-3, 2.0, 1e4]))
    def test_shift_and_scale(self, values, shift, scale):
        there, moved = measurement_error(values), measurement_error((values + shift) * scale)
        np.testing.assert_allclose(
            moved["estimate"][:3], scale * there["estimate"][:3], rtol=1e-7, atol=1e-9 * scale
        )

    @given(matrices, st.sampled_from([1e-3, 2.0, 1e4]))
    def test_variation_has_no_unit(self, values, scale):
        there, moved = measurement_error(values), measurement_error(values * scale)
        assert moved["estimate"][3] == pytest.approx(there["estimate"][3], rel=1e-7, abs=1e-12)

    def test_an_offset_loses_no_digits(self):
        values = np.random.default_rng(1).normal(size=(8, 3))
        exact, moved = measurement_error(values), measurement_error(values + 2.0**30)
        np.testing.assert_allclose(moved["estimate"][:3], exact["estimate"][:3], rtol=1e-6)

    @pytest.mark.parametrize("values", [[[1, 2]], [[1, np.nan], [1, 2]], np.empty((0, 2))])
    def test_too_few(self, values):
        with pytest.raises(InputError, match="at least 2 cases are needed"):
            measurement_error(values)

    def test_infinite(self):
        with pytest.raises(InputError, match="case 1, repeat 0 is inf"):
            measurement_error([[1, 2], [np.inf, 2]])


class TestBlandAltman:
    def test_constant_difference(self):
        found = bland_altman([1, 2, 3], [2, 3, 4])[:3]
        assert (found[["estimate", "ci_low", "ci_high"]] == -1).all(axis=None)
        assert found["note"].str.contains("do not vary").all()

    def test_swap(self):
        there = by_quantity(bland_altman(WRIGHT[:, 0], MINI[:, 0]))
        back = by_quantity(bland_altman(MINI[:, 0], WRIGHT[:, 0]))
        assert there.loc["lower limit", "estimate"] == -back.loc["upper limit", "estimate"]
        assert there.loc["lower limit", "ci_low"] == -back.loc["upper limit", "ci_high"]

    def test_case(self):
        with pytest.raises(InputError, match=r"case has shape \(1,\); it must be \(2,\)"):
            bland_altman([1, 2], [2, 4], case=["a"])
        with pytest.raises(InputError, match="at least 2 cases"):
            bland_altman([1, 2], [2, 4], case=["a", "a"])
        with pytest.raises(InputError, match="case is empty for pair 1"):
            bland_altman([1, 2], [2, 4], case=["a", None])

    @pytest.mark.long
    def test_intervals_cover(self):
        """Limits of agreement with replicates, 20 cases of 2: 95 % within three standard errors."""
        rng = np.random.default_rng(2)
        cases, hits, repeats = np.repeat(np.arange(20), 2), np.zeros(3), 1500
        truth = 1.959964 * np.sqrt(1 + 0.5) * np.array([0, -1, 1])
        for _ in range(repeats):
            values = rng.normal(size=20)[cases] + np.sqrt(0.5) * rng.normal(size=40)
            found = bland_altman(values, np.zeros(40), case=cases)[:3]
            hits += (found["ci_low"] <= truth) & (truth <= found["ci_high"])
        assert ((hits / repeats > 0.93) & (hits / repeats < 0.967)).all()


class TestProportionalBias:
    FIRST, SECOND = [10, 12, 9, 14, 11, 18, 25, 31], [9.5, 12.5, 8, 13, 10.5, 16, 22.5, 27]

    def test_against_r(self):
        """R 4.2.2: summary(lm(I(x - y) ~ I((x + y) / 2))), confint, t.test(x - y)$p.value."""
        found = by_quantity(bland_altman(self.FIRST, self.SECOND))
        row = found.loc["proportional bias"]
        assert row["estimate"] == pytest.approx(0.173013871375, rel=1e-10)
        assert row["standard_error"] == pytest.approx(0.0351017761431, rel=1e-10)
        assert row["p_value"] == pytest.approx(0.00263307028148, rel=1e-10)
        assert row["ci_low"] == pytest.approx(0.0871229193337, rel=1e-10)
        assert row["ci_high"] == pytest.approx(0.258904823415, rel=1e-10)
        assert found.loc["bias", "p_value"] == pytest.approx(0.0280006049421, rel=1e-10)
        assert found["note"].str.contains("change with the mean").tolist() == [False, *[True] * 2,
                                                                               False]  # fmt: skip

    def test_peak_flow_has_none(self):
        """Bland and Altman's peak flow meters, first measurements, by `lm` of R 4.2.2."""
        found = by_quantity(bland_altman(WRIGHT[:, 0], MINI[:, 0]))
        assert found.loc["proportional bias", "estimate"] == pytest.approx(0.0286874451525)
        assert found.loc["proportional bias", "p_value"] == pytest.approx(0.749498533649)
        assert not found["note"].any()

    def test_means_of_cases(self):
        cases = np.repeat(range(8), 2)
        twice = by_quantity(
            bland_altman(np.repeat(self.FIRST, 2), np.repeat(self.SECOND, 2), case=cases)
        )
        once = by_quantity(bland_altman(self.FIRST, self.SECOND))
        columns = ["estimate", "p_value"]
        assert twice.loc["proportional bias", columns].tolist() == pytest.approx(
            once.loc["proportional bias", columns].tolist()
        )

    def test_no_slope(self):
        assert "fewer than 3" in bland_altman([1, 2], [2, 4])["note"].iloc[3]
        assert "means do not vary" in bland_altman([1, 2, 3], [3, 2, 1])["note"].iloc[3]
        row = bland_altman([1, 2, 3], [2, 3, 4]).iloc[3]
        assert (row["estimate"], row["p_value"]) == (0, 1)


class TestGeneralisedInterval:
    """Repeats that shift all cases alike, as trainings do."""

    def covered(self, interval, repeats=500, missing=0.0):
        generator, hits, true = np.random.default_rng(4), 0, 2**0.5
        for _ in range(repeats):
            values = 10 * generator.normal(size=(50, 1)) + generator.normal(size=5)
            values = values + generator.normal(size=(50, 5))
            values[generator.random(size=values.shape) < missing] = np.nan
            row = by_quantity(measurement_error(values, interval=interval)).iloc[0]
            hits += row["ci_low"] <= true <= row["ci_high"]
        return hits / repeats

    def test_covers_where_chi_squared_does_not(self):
        """50 cases, 5 runs, variance of runs as large as the residual: 41 % were covered."""
        assert self.covered("chi-squared") < 0.5
        assert 0.92 <= self.covered("generalised") <= 0.98

    @pytest.mark.slow
    def test_covers_with_missing_repeats(self):
        assert 0.9 <= self.covered("generalised", repeats=100, missing=0.1) <= 1.0

    def test_bad_name(self):
        with pytest.raises(InputError, match="unknown interval 'gci'"):
            measurement_error(WRIGHT, interval="gci")
