"""Two-stage intervals and confidence sequences: formulas, and levels that hold while one looks."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from reprostats import confidence_sequence, two_stage_interval
from reprostats.errors import InputError

FINITE = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


class TestTwoStageInterval:
    def test_number_of_values_by_hand(self):
        """t(4) = 2.776445 from a printed table; s^2 = 2.5; (2.776445^2 x 2.5) = 19.27."""
        found = two_stage_interval([1, 2, 3, 4, 5], half_width=1).iloc[0]
        assert found["n_needed"] == 20
        assert found["sd_first_stage"] == pytest.approx(2.5**0.5, rel=1e-15)

    def test_second_stage_does_not_enter_the_spread(self):
        first = two_stage_interval([1, 2, 3, 4, 5], half_width=1).iloc[0]
        both = two_stage_interval([1, 2, 3, 4, 5], [100, -100, 3], half_width=1).iloc[0]
        assert both["n_needed"] == first["n_needed"]
        width = both["ci_high"] - both["ci_low"]
        assert width == pytest.approx(2 * 2.7764451 * 2.5**0.5 / 8**0.5, rel=1e-7)

    def test_reaches_the_half_width(self):
        rng = np.random.default_rng(3)
        first = rng.normal(size=6)
        needed = int(two_stage_interval(first, half_width=0.4)["n_needed"].iloc[0])
        found = two_stage_interval(first, rng.normal(size=needed - 6), half_width=0.4).iloc[0]
        assert found["n"] == needed
        assert (found["ci_high"] - found["ci_low"]) / 2 <= 0.4

    def test_covers_whatever_the_spread_is(self):
        """4,000 studies of 4 first values: standard error of the coverage 0.34 points."""
        rng = np.random.default_rng(11)
        hits = 0
        for _ in range(4_000):
            first = rng.normal(size=4)
            needed = two_stage_interval(first, half_width=1.0)["n_needed"].iloc[0]
            # The mean of the second stage has the distribution of a single normal number.
            m = int(needed) - 4
            second = np.full(m, rng.normal() / m**0.5) if m else []
            found = two_stage_interval(first, second, half_width=1.0).iloc[0]
            hits += found["ci_low"] <= 0 <= found["ci_high"]
        assert 0.94 <= hits / 4_000 <= 0.96

    def test_equal_values_show_no_spread(self):
        found = two_stage_interval([0.1 + 0.2, 0.3], half_width=0.1).iloc[0]
        assert math.isnan(found["n_needed"])
        assert math.isnan(found["ci_low"])
        assert "no spread" in found["note"]

    @pytest.mark.parametrize(
        ("values", "half_width", "said"),
        [
            ([1.0], 0.1, "at least 2"),
            ([1.0, math.nan], 0.1, "nan at position 1"),
            ([1.0, 2.0], 0, "half_width is 0"),
            ([[1.0, 2.0]], 1, "one sequence"),
        ],
    )
    def test_refuses(self, values, half_width, said):
        with pytest.raises(InputError, match=said):
            two_stage_interval(values, half_width=half_width)


class TestConfidenceSequence:
    @pytest.mark.parametrize("effect_size", [0.3, 1.0, 2.5])
    def test_evidence_is_the_bayes_factor(self, effect_size):
        """The density of t under a normal effect over that under none, integrated by SciPy."""
        values = np.random.default_rng(1).normal(0.5, 1.0, 12)
        found = confidence_sequence(values, effect_size=effect_size)
        for n in (2, 5, 12):
            t = stats.ttest_1samp(values[:n], 0).statistic
            density, _ = integrate.quad(
                lambda d: stats.nct.pdf(t, n - 1, d * n**0.5) * stats.norm.pdf(d, 0, effect_size),  # noqa: B023
                -12 * effect_size,
                12 * effect_size,
                limit=200,
            )
            expected = density / stats.t.pdf(t, n - 1)
            assert found["e_value"].iloc[n - 1] == pytest.approx(expected, rel=1e-7)

    @given(st.lists(FINITE, min_size=6, max_size=12), st.floats(0.5, 0.99))
    def test_limits_are_where_the_evidence_reaches_one_over_alpha(self, values, level):
        last = confidence_sequence(values, confidence_level=level).iloc[-1]
        if not math.isfinite(last["ci_low"]):
            return
        for limit in (last["ci_low"], last["ci_high"]):
            against = confidence_sequence(np.array(values) - limit, confidence_level=level)
            assert against["e_value"].iloc[-1] == pytest.approx(1 / (1 - level), rel=1e-4)

    @pytest.mark.parametrize("effect_size", [0.5, 1.0, 3.0])
    def test_level_holds_at_every_look(self, effect_size):
        """4,000 studies without a difference, looked at 100 times: at most 5 % ever say so.

        A t test at each look says so in over 30 %.
        """
        values = np.random.default_rng(5).normal(size=(4_000, 100))
        crossed, t_test = 0, 0
        for row in values:
            found = confidence_sequence(row, effect_size=effect_size)
            crossed += bool((found["e_value"] >= 20).any())
            n = np.arange(2, 101)
            sd = np.sqrt((np.cumsum(row**2)[1:] - np.cumsum(row)[1:] ** 2 / n) / (n - 1))
            t_test += bool(
                (np.abs(np.cumsum(row)[1:] / n / sd * n**0.5) > stats.t.isf(0.025, n - 1)).any()
            )
        assert crossed / 4_000 <= 0.05
        assert t_test / 4_000 > 0.3

    def test_equal_differences_show_nothing(self):
        """Dice values with two decimals may differ by 0.01 five times; that is no certainty."""
        found = confidence_sequence([0.9 - 0.89, 0.8 - 0.79, 0.7 - 0.69, 0.6 - 0.59, 0.5 - 0.49])
        assert found["e_value"].tolist() == [1.0] * 5
        assert np.isinf(found["ci_low"]).all()

    def test_a_large_offset_costs_no_digits(self):
        values = np.random.default_rng(2).normal(size=50)
        near = confidence_sequence(values)["ci_low"]
        far = confidence_sequence(values + 1e6)["ci_low"] - 1e6
        np.testing.assert_allclose(near[10:], far[10:], atol=1e-8)

    @given(st.lists(FINITE, min_size=1, max_size=10), st.sampled_from([2.0**-40, 2.0**40]))
    def test_unit_does_not_matter(self, values, unit):
        one = confidence_sequence(values)
        other = confidence_sequence(np.array(values) * unit)
        pd.testing.assert_series_equal(one["e_value"], other["e_value"])

    @pytest.mark.parametrize("values", [[1e308, -1e308, 1e308], [5e-324, 0, 5e-324], [3.0]])
    def test_extreme_values_leak_no_warning(self, values):
        assert len(confidence_sequence(values)) == len(values)

    @pytest.mark.parametrize(
        ("values", "options", "said"),
        [
            ([], {}, "no value"),
            ([math.inf, 1.0], {}, "inf at position 0"),
            ([1.0], {"effect_size": 0}, "effect_size is 0"),
            ([1.0], {"confidence_level": 95}, "confidence_level is 95"),
            (["a"], {}, "real numbers"),
        ],
    )
    def test_refuses(self, values, options, said):
        with pytest.raises(InputError, match=said):
            confidence_sequence(values, **options)
