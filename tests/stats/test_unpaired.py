"""Welch's t test and Hedges' g."""

import math

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reprostats import compare_algorithms, unpaired_ttest
from reprostats.errors import InputError

SAMPLE = st.lists(st.floats(-100, 100).map(lambda x: round(x, 2)), min_size=3, max_size=8)


def with_moments(mean: float, sd: float, n: int) -> np.ndarray:
    values = np.random.default_rng(n).normal(size=n)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


def test_hedges_g_of_borenstein():
    """Borenstein et al., Introduction to Meta-Analysis (2009), chapter 4: d 0.5970, g 0.5924."""
    found = unpaired_ttest(with_moments(103, 5.5, 50), with_moments(100, 4.5, 50)).iloc[0]
    assert found["hedges_g"] == pytest.approx(0.5924, abs=5e-5)


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
@given(first=SAMPLE, second=SAMPLE)
def test_agrees_with_scipy(alternative, first, second):
    if np.ptp(first) < 0.1 or np.ptp(second) < 0.1:
        return
    found = unpaired_ttest(first, second, alternative=alternative).iloc[0]
    expected = stats.ttest_ind(first, second, equal_var=False, alternative=alternative)
    limits = expected.confidence_interval(0.95)
    assert found["t"] == pytest.approx(expected.statistic, rel=1e-9, abs=1e-12)
    assert found["df"] == pytest.approx(expected.df, rel=1e-9)
    assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-8)
    assert found["ci_low"] == pytest.approx(limits.low, rel=1e-8, abs=1e-9)
    assert found["ci_high"] == pytest.approx(limits.high, rel=1e-8, abs=1e-9)


def test_agrees_with_pingouin():
    rng = np.random.default_rng(3)
    first, second = rng.normal(1, 2, 40), rng.normal(0, 1, 25)
    found = unpaired_ttest(first, second).iloc[0]
    assert found["p_value"] == pytest.approx(
        pingouin.ttest(first, second, correction=True)["p_val"].iloc[0], rel=1e-6
    )
    # pingouin takes the approximate correction 1 - 3 / (4 df - 1).
    approximate = pingouin.compute_effsize(first, second, eftype="hedges")
    assert found["hedges_g"] == pytest.approx(approximate, rel=1e-4)


def test_is_the_comparison_of_run_means():
    rng = np.random.default_rng(4)
    first, second = rng.normal(0.9, 0.01, 5), rng.normal(0.88, 0.02, 4)
    table = pd.DataFrame(
        {
            "model": ["a"] * 5 + ["b"] * 4,
            "run": range(9),
            "dice": np.concatenate([first, second]),
        }
    )
    expected = compare_algorithms(
        table, value="dice", algorithm="model", run="run", generalise_to="runs"
    ).iloc[0]
    found = unpaired_ttest(first, second).iloc[0]
    for name in ("difference", "ci_low", "ci_high", "p_value", "df"):
        assert found[name] == pytest.approx(expected[name], rel=1e-10)
    assert found["hedges_g"] == pytest.approx(expected["effect_size"], rel=1e-10)


def test_interval_of_hedges_g_covers():
    """2,000 pairs of samples of 5 and 8, effect 1: standard error of the coverage 0.5 points."""
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(2_000):
        found = unpaired_ttest(rng.normal(1, 1, 5), rng.normal(0, 1, 8)).iloc[0]
        hits += found["hedges_g_low"] <= 1 <= found["hedges_g_high"]
    assert 0.93 <= hits / 2_000 <= 0.97


def test_without_a_spread_there_is_no_test():
    found = unpaired_ttest([0.1 + 0.2, 0.3], [0.4, 0.4]).iloc[0]
    assert found["difference"] == pytest.approx(-0.1)
    assert math.isnan(found["p_value"])
    assert "do not vary" in found["note"]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([1.0], [1.0, 2.0], "first has 1 value"),
        ([1.0, math.inf], [1.0, 2.0], "inf at position 1"),
        ([[1.0, 2.0]], [1.0, 2.0], "shape"),
        (["a", "b"], [1.0, 2.0], "real numbers"),
    ],
)
def test_refuses(first, second, said):
    with pytest.raises(InputError, match=said):
        unpaired_ttest(first, second)


def test_refuses_an_unknown_alternative():
    with pytest.raises(InputError, match="alternative"):
        unpaired_ttest([1, 2], [3, 4], alternative="larger")
