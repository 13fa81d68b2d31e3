"""Comparison of algorithms over trainings and cases."""

import pytest

from reprostats.stats.algorithms import Contrast


class TestWeighedQuantiles:
    """The p value is the level at which the interval ends at no difference."""

    @pytest.mark.parametrize("run_df", [1, 2, 4, 8])
    @pytest.mark.parametrize("case_df", [3, 7, 12, 99])
    @pytest.mark.parametrize("share", [0.01, 0.5])
    @pytest.mark.parametrize("level", [0.5, 0.95, 0.9999])
    def test_p_value_and_interval_agree(self, run_df, case_df, share, level):
        """SciPy's t.isf(1e-300, df) is -inf for 3 <= df <= 12, which once made every p value 0."""
        parts = ((share, run_df), (1 - share, case_df))
        width = Contrast(0.0, 1.0, parts, strict=True).interval(level)[1]
        touching = Contrast(width, 1.0, parts, strict=True)
        assert touching.interval(level)[0] == pytest.approx(0.0, abs=1e-9)
        assert touching.p_value() == pytest.approx(1 - level, rel=1e-6)

    def test_p_value_far_away_is_small_and_no_error(self):
        parts = ((0.5, 4.0), (0.5, 7.0))
        assert 0 < Contrast(1e6, 1.0, parts, strict=True).p_value() < 1e-15
        assert Contrast(1e300, 1.0, parts, strict=True).p_value() == 0
