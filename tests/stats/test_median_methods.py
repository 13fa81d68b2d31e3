"""The other intervals of a median, against R's boot, exhaustion and their own symmetries."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.stats.bootstrap import median_ranks
from reprostats.stats.median import median_ci, median_ci_size, median_difference

REFERENCE = Path(__file__).parents[1] / "reference"
DATA = pd.read_csv(REFERENCE / "median_data.csv")
EXPECTED = pd.read_csv(REFERENCE / "median_expected.csv").to_dict("records")
METHODS = ["exact", "interpolated", "percentile", "bca"]

samples = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=30)


def one(table):
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row["design"])
def test_percentile_against_boot(row):
    """200,000 resamples of R's boot, tests/reference/make_median.R, four standard errors allowed.

    The limits here are those of infinitely many resamples. With 200,000 the share below a limit is
    known to sqrt(tail (1 - tail) / 200,000), so that R may stop one value before or after.
    """
    values = DATA[DATA["design"] == row["design"]]["value"]
    level = row["confidence_level"]
    tail = (1 - level) / 2
    error = 4 * np.sqrt(tail * (1 - tail) / 200_000)
    wide, narrow = (
        one(median_ci(values, method="percentile", confidence_level=level + sign * 2 * error))
        for sign in (1, -1)
    )
    assert wide["ci_low"] * (1 - 1e-12) <= row["ci_low"] <= narrow["ci_low"] * (1 + 1e-12)
    assert narrow["ci_high"] * (1 - 1e-12) <= row["ci_high"] <= wide["ci_high"] * (1 + 1e-12)


def test_percentile_is_what_boot_gives_in_nearly_all_designs():
    equal = 0
    for row in EXPECTED:
        values = DATA[DATA["design"] == row["design"]]["value"]
        found = one(
            median_ci(values, method="percentile", confidence_level=row["confidence_level"])
        )
        equal += found["ci_low"] == pytest.approx(row["ci_low"], rel=1e-12)
        equal += found["ci_high"] == pytest.approx(row["ci_high"], rel=1e-12)
    assert len(EXPECTED) == 30
    assert equal >= 58  # of 60 limits


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_bootstrap_distribution_by_exhaustion(n):
    """All n**n resamples."""
    middle = [sorted(ranks) for ranks in product(range(n), repeat=n)]
    sums = np.array([ranks[(n - 1) // 2] + ranks[n // 2] for ranks in middle])
    expected = np.bincount(sums, minlength=2 * n - 1) / n**n
    found = median_ranks(n)
    chances = np.bincount(found.lower + found.upper, found.probability, 2 * n - 1)
    np.testing.assert_allclose(chances, expected, atol=1e-12)


@pytest.mark.parametrize("n", [7, 8, 61, 500])
def test_bootstrap_distribution_sums_to_one_and_is_symmetric(n):
    found = median_ranks(n)
    assert found.probability.sum() == pytest.approx(1, abs=1e-12)
    centre = ((found.lower + found.upper) * found.probability).sum()
    assert centre == pytest.approx(n - 1, abs=1e-8)


def test_interpolation_as_published():
    """Hettmansperger and Sheather (1986): n = 10, 95 %, between ranks 2 and 3.

    Exact coverage 0.978516 and 0.890625, so that their I is 0.324444 and lambda 0.657658.
    """
    values = [4.1, 2.2, 8.9, 3.3, 7.1, 5.5, 6.2, 9.9, 1.7, 4.8]
    share = (1002 / 1024 - 0.95) / (1002 / 1024 - 912 / 1024)
    weight = 8 * share / (2 + 6 * share)
    found = one(median_ci(values, method="interpolated"))
    assert found["ci_low"] == pytest.approx(2.2 + weight * (3.3 - 2.2), rel=1e-12)
    assert found["ci_high"] == pytest.approx(8.9 - weight * (8.9 - 7.1), rel=1e-12)


class TestEveryMethod:
    @given(samples, st.sampled_from(METHODS))
    def test_encloses_the_median(self, values, method):
        found = one(median_ci(values, method=method))
        assert found["ci_low"] <= found["median"] <= found["ci_high"]

    @given(samples, st.sampled_from(METHODS))
    def test_mirror(self, values, method):
        there, back = (
            one(median_ci(values, method=method)),
            one(median_ci(np.negative(values), method=method)),
        )
        assert there["ci_low"] == pytest.approx(-back["ci_high"], abs=1e-9)
        assert there["ci_high"] == pytest.approx(-back["ci_low"], abs=1e-9)

    @given(samples, st.sampled_from(METHODS), st.integers(-5, 5), st.sampled_from([0.5, 2.0]))
    def test_shift_and_scale(self, values, method, shift, scale):
        there = one(median_ci(values, method=method))
        moved = one(median_ci((np.array(values) + shift) * scale, method=method))
        for name in ("median", "ci_low", "ci_high"):
            assert moved[name] == pytest.approx((there[name] + shift) * scale, abs=1e-9)

    @pytest.mark.parametrize("method", METHODS)
    def test_equal_values(self, method):
        found = one(median_ci([0.5] * 12, method=method))
        assert found["ci_low"] == found["ci_high"] == 0.5
        assert "all values are equal" in found["note"]

    @pytest.mark.parametrize("method", METHODS)
    def test_groups_are_done_as_one_by_one(self, method):
        rng = np.random.default_rng(1)
        sizes = [1, 2, 7, 8, 7, 20]
        table = pd.DataFrame({"g": np.repeat(range(6), sizes), "v": rng.normal(size=sum(sizes))})
        found = median_ci(table, value="v", by="g", method=method)
        for g, row in found.set_index("g").iterrows():
            alone = one(median_ci(table.loc[table["g"] == g, "v"], method=method))
            pd.testing.assert_series_equal(row, alone, check_names=False)

    def test_coverage_of_small_samples_is_told(self):
        found = one(median_ci(range(7), method="bca"))
        assert 0.85 < found["coverage"] < 0.91
        assert "does not hold its level" in found["note"]
        assert np.isnan(one(median_ci(range(100), method="bca"))["coverage"])

    def test_unknown(self):
        with pytest.raises(InputError, match="unknown method 'bac'; did you mean 'bca'"):
            median_ci([1, 2], method="bac")


class TestDifference:
    def test_paired_is_the_median_of_differences(self):
        rng = np.random.default_rng(2)
        first, second = rng.normal(size=(2, 12))
        found, expected = one(median_difference(first, second)), one(median_ci(first - second))
        assert found["difference"] == expected["median"]
        assert list(found[["ci_low", "ci_high"]]) == list(expected[["ci_low", "ci_high"]])

    def test_two_samples_by_resampling(self):
        """A bootstrap of 400,000 resamples gives the limits to its own noise."""
        rng = np.random.default_rng(3)
        first, second = rng.normal(1, 1, 9), rng.normal(0, 1, 14)
        resampled = np.median(rng.choice(first, (400_000, 9)), axis=1)
        resampled -= np.median(rng.choice(second, (400_000, 14)), axis=1)
        found = one(median_difference(first, second, paired=False))
        expected = np.quantile(resampled, [0.025, 0.975])
        np.testing.assert_allclose(found[["ci_low", "ci_high"]].astype(float), expected, atol=0.02)
        assert found["difference"] == np.median(first) - np.median(second)

    def test_constants(self):
        found = one(median_difference([2.0] * 4, [1.0] * 5, paired=False))
        assert list(found[["difference", "ci_low", "ci_high"]]) == [1, 1, 1]

    def test_second_is_missing(self):
        with pytest.raises(InputError, match="two samples are needed"):
            median_difference([1, 2], paired=False)


class TestSize:
    def test_is_the_median_over_repeats(self):
        rng = np.random.default_rng(4)
        table = pd.DataFrame(
            list(product("KM", range(5), range(12))), columns=["framework", "run", "case"]
        ).assign(dice=rng.normal(size=120))
        options = {"value": "dice", "method": "percentile"}
        found = median_ci_size(table, repeat="run", by="framework", **options)
        limits = median_ci(table, by=["framework", "run"], **options)
        sizes = limits["ci_high"] - limits["ci_low"]
        expected = sizes.groupby(limits["framework"]).median()
        assert found["median_ci_size"].tolist() == expected.tolist()
        assert found["n_repeats"].tolist() == [5, 5]
