"""median_ci against the binomial distribution, by exhaustion and by simulation."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprostats.errors import InputError
from reprostats.stats.median import lower_rank, median_ci

COLUMNS = ["median", "ci_low", "ci_high", "coverage", "n", "method", "note"]

samples = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=40)


def result(values, **options):
    table = median_ci(values, **options)
    assert len(table) == 1
    return table.iloc[0]


def exact_coverage(n, rank):
    """Count the outcomes of n fair coins, in integers."""
    return 1 - 2 * sum(comb(n, heads) for heads in range(rank)) / 2**n


class TestRank:
    # Ranks for 95 %: Conover, "Practical Nonparametric Statistics" (1999), the sign test.
    @pytest.mark.parametrize(
        ("n", "rank", "coverage"),
        [
            (6, 1, 0.96875),
            (8, 1, 0.9921875),
            (9, 2, 0.9609375),
            (10, 2, 0.978515625),
            (20, 6, 0.958610534667969),
        ],
    )
    def test_known(self, n, rank, coverage):
        found = result(np.arange(1, n + 1))
        assert (found["ci_low"], found["ci_high"]) == (rank, n + 1 - rank)
        assert found["coverage"] == pytest.approx(coverage, rel=1e-12)

    @pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1 - 2 / 2**6])
    def test_the_largest_rank_that_covers(self, level):
        sizes = np.arange(1, 300)
        ranks = lower_rank(sizes, level)
        for n, rank in zip(sizes, ranks, strict=True):
            assert rank == 0 or exact_coverage(int(n), int(rank)) >= level
            assert rank + 1 > (n + 1) / 2 or exact_coverage(int(n), int(rank) + 1) < level

    def test_large_samples(self):
        sizes = np.array([10**4, 10**6, 10**9])
        expected = sizes / 2 - 1.959963984540054 * np.sqrt(sizes) / 2
        np.testing.assert_allclose(lower_rank(sizes, 0.95), expected, atol=1.5)

    def test_by_exhaustion(self):
        """Every way in which seven values can fall below or above the median."""
        rank = int(lower_rank(7, 0.9))
        covered = sum(rank <= sum(below) <= 7 - rank for below in product([0, 1], repeat=7))
        assert result(range(7), confidence_level=0.9)["coverage"] == covered / 2**7

    def test_by_simulation(self):
        rng = np.random.default_rng(4)
        table = pd.DataFrame(
            {"trial": np.repeat(np.arange(20_000), 15), "loss": rng.exponential(size=300_000)}
        )
        found = median_ci(table, value="loss", by="trial")
        covers = (found["ci_low"] <= np.log(2)) & (np.log(2) <= found["ci_high"])
        # Three standard errors of a proportion of 20,000.
        assert covers.mean() == pytest.approx(found["coverage"][0], abs=0.004)


class TestSmall:
    @pytest.mark.parametrize("n", range(1, 6))
    def test_too_few_for_the_level(self, n):
        found = result(np.arange(n))
        assert (found["ci_low"], found["ci_high"]) == (-np.inf, np.inf)
        assert found["coverage"] == 1
        assert found["median"] == (n - 1) / 2
        assert "too few values" in found["note"]

    def test_a_lower_level_is_met(self):
        found = result([3, 1, 2, 5, 4], confidence_level=0.9)
        assert (found["ci_low"], found["ci_high"]) == (1, 5)
        assert found["coverage"] == 1 - 2 / 2**5

    def test_equal_values(self):
        found = result([0.1] * 10)
        assert found["median"] == found["ci_low"] == found["ci_high"] == 0.1
        assert found["coverage"] == pytest.approx(0.978515625)
        assert found["note"] == "all values are equal"

    @pytest.mark.parametrize("value", [1.7e308, 5e-324])
    def test_extreme_units(self, value):
        assert result([value] * 6)["median"] == value
        assert result([-value, value])["median"] == 0


class TestProperties:
    @given(samples)
    def test_median_is_numpys(self, values):
        found = result(values)
        assert found["median"] == np.median(values)
        assert found["ci_low"] <= found["median"] <= found["ci_high"]
        assert found["coverage"] >= 0.95
        assert found["n"] == len(values)

    @given(samples, st.randoms(use_true_random=False))
    def test_order(self, values, random):
        shuffled = random.sample(values, len(values))
        pd.testing.assert_frame_equal(median_ci(shuffled), median_ci(values))

    @given(samples, st.integers(-(10**6), 10**6), st.sampled_from([2.0, -4.0]))
    def test_shift_and_scale(self, values, shift, scale):
        found = result([(value + shift) * scale for value in values])
        expected = result(values)
        ends = sorted((expected[["ci_low", "ci_high"]] + shift) * scale)
        assert [found["ci_low"], found["ci_high"]] == ends
        assert found["median"] == (expected["median"] + shift) * scale

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-9, 9)), min_size=1, max_size=60))
    def test_groups_equal_single_samples(self, rows):
        table = pd.DataFrame(rows, columns=["group", "value"])
        found = median_ci(table, value="value", by=["group"])
        assert list(found.columns) == ["group", *COLUMNS]
        parts = [median_ci(part) for _, part in table.groupby("group")["value"]]
        pd.testing.assert_frame_equal(found[COLUMNS], pd.concat(parts, ignore_index=True))
        assert list(found["group"]) == sorted(set(table["group"]))


class TestGroups:
    TABLE = pd.DataFrame(
        {
            "model": pd.Categorical(list("bbaab"), categories=["a", "b", "unused"]),
            "fold": [1, 2, 1, 1, np.nan],
            "dice": [0.5, 0.6, 0.7, 0.9, 0.8],
        }
    )

    def test_two_factors_with_an_empty_level(self):
        found = median_ci(self.TABLE, value="dice", by=["model", "fold"])
        assert list(found["model"]) == ["a", "b", "b", "b"]
        np.testing.assert_array_equal(found["fold"], [1, 1, 2, np.nan])
        np.testing.assert_allclose(found["median"], [0.8, 0.5, 0.6, 0.8])
        assert list(found["n"]) == [2, 1, 1, 1]

    def test_without_groups(self):
        found = median_ci(self.TABLE, value="dice")
        pd.testing.assert_frame_equal(found, median_ci(self.TABLE["dice"]))

    def test_diverged_trial(self):
        table = self.TABLE.copy()
        table.loc[3, "dice"] = np.nan
        message = r"column 'dice' holds nan in row 3, model='a' \(1 such among 5 rows\).*diverged"
        with pytest.raises(InputError, match=message):
            median_ci(table, value="dice", by="model")

    def test_unknown_column(self):
        with pytest.raises(InputError, match="unknown column 'modle'; did you mean 'model'"):
            median_ci(self.TABLE, value="dice", by="modle")

    def test_a_name_of_the_result(self):
        with pytest.raises(InputError, match="'method', which is also a column of the result"):
            median_ci(self.TABLE.rename(columns={"model": "method"}), value="dice", by="method")

    def test_no_rows(self):
        with pytest.raises(InputError, match="not empty"):
            median_ci(self.TABLE.iloc[:0], value="dice", by="model")

    def test_value_is_missing(self):
        with pytest.raises(InputError, match="needs value="):
            median_ci(self.TABLE, by="model")
        with pytest.raises(InputError, match="must be a DataFrame"):
            median_ci([1, 2], value="dice")


class TestInput:
    def test_not_finite(self):
        with pytest.raises(InputError, match=r"values holds nan at position 2 .*diverged"):
            median_ci([1, 2, np.nan])

    def test_empty(self):
        with pytest.raises(InputError, match="values is empty"):
            median_ci([])

    def test_shape(self):
        with pytest.raises(InputError, match=r"values has shape \(2, 2\)"):
            median_ci(np.ones((2, 2)))

    def test_method(self):
        with pytest.raises(InputError, match="unknown method 'exakt'; did you mean 'exact'"):
            median_ci([1, 2], method="exakt")

    @pytest.mark.parametrize("level", [0, 1, 95])
    def test_confidence_level(self, level):
        with pytest.raises(InputError, match="confidence_level"):
            median_ci([1, 2], confidence_level=level)
