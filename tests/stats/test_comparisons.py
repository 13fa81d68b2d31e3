"""Effect-size intervals, equivalence, Wilcoxon and families of comparisons, against R."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.family import adjust_p_values, paired_comparisons
from reprostats.stats.paired import noncentrality_interval, paired_ttest
from reprostats.stats.signed_rank import wilcoxon_test

REFERENCE = Path(__file__).parents[1] / "reference"
DATA = pd.read_csv(REFERENCE / "comparisons_data.csv")
EXPECTED = pd.read_csv(REFERENCE / "comparisons_expected.csv").to_dict("records")
ADJUSTED = pd.read_csv(REFERENCE / "p_adjusted.csv")

samples = st.lists(
    st.tuples(st.integers(-30, 30), st.integers(-30, 30)), min_size=2, max_size=12
).map(lambda pairs: np.array(pairs, dtype=float))


def one(table):
    assert len(table) == 1
    return table.iloc[0]


def sides(row):
    data = DATA[DATA["design"] == row["design"]]
    return data["first"].to_numpy(), data["second"].to_numpy()


def opened(row, low, high):
    """Limits as a one-sided question leaves them."""
    return (
        -np.inf if row["alternative"] == "less" else low,
        np.inf if row["alternative"] == "greater" else high,
    )


class TestAgainstR:
    """R 4.2.2, tests/reference/make_comparisons.R."""

    @pytest.mark.parametrize("row", EXPECTED, ids=lambda row: str(list(row.values())[:3]))
    def test_effect_size(self, row):
        """stats::pt loses digits in its far tail: 1e-7 is what uniroot on it holds."""
        options = {name: row[name] for name in ("alternative", "confidence_level")}
        found = one(paired_ttest(*sides(row), **options))
        np.testing.assert_allclose(
            found[["cohen_dz_low", "cohen_dz_high"]].astype(float),
            opened(row, row["dz_low"], row["dz_high"]),
            rtol=1e-7,
            atol=1e-9,
        )

    @pytest.mark.parametrize("row", EXPECTED, ids=lambda row: str(list(row.values())[:3]))
    def test_wilcoxon(self, row):
        options = {name: row[name] for name in ("alternative", "confidence_level")}
        found = one(wilcoxon_test(*sides(row), **options))
        names = ["w", "p_value", "difference", "ci_low", "ci_high"]
        expected = [row[name] for name in ("w", "w_p_value", "hodges_lehmann", "w_low", "w_high")]
        np.testing.assert_allclose(found[names].astype(float), expected, rtol=1e-10)
        assert found["coverage"] >= row["confidence_level"]

    @pytest.mark.parametrize("row", EXPECTED[::6], ids=lambda row: row["design"])
    def test_equivalence(self, row):
        for paired, name in ((True, "tost_paired"), (False, "tost_welch")):
            found = one(equivalence_test(*sides(row), margin=0.8, paired=paired))
            assert found["p_value"] == pytest.approx(row[name], rel=1e-10)
            assert found["equivalent"] == (row[name] <= 0.05)

    @pytest.mark.parametrize("method", ["holm", "benjamini-hochberg"])
    def test_adjustment(self, method):
        found = adjust_p_values(ADJUSTED["p_value"], method=method)
        np.testing.assert_allclose(found, ADJUSTED[method.replace("-", "_")], rtol=1e-14)


class TestEffectSize:
    def test_no_effect(self):
        """At t = 0 the statistic lies below 0 as often as a normal variable does."""
        low, high = noncentrality_interval(0.0, 20, 0.025)
        assert low == pytest.approx(-1.959963984540054, rel=1e-9)
        assert high == pytest.approx(-low, rel=1e-12)

    @pytest.mark.parametrize("t", [500.0, 990.0, 1010.0, 1e5, 1e12])
    def test_no_step_where_the_method_changes(self, t):
        low, high = noncentrality_interval(t, 9, 0.025)
        expected = t * np.sqrt(stats.chi2.ppf([0.025, 0.975], 9) / 9)
        np.testing.assert_allclose([low, high], expected, rtol=30 / t**2 + 1e-14)

    @given(samples)
    def test_encloses_the_estimate(self, pairs):
        found = one(paired_ttest(pairs))
        for name in ("cohen_dz", "hedges_gav"):
            low, middle, high = (found[f"{name}{end}"] for end in ("_low", "", "_high"))
            assert low <= middle or low == pytest.approx(middle, rel=1e-9, abs=1e-9)
            assert middle <= high or high == pytest.approx(middle, rel=1e-9, abs=1e-9)

    def test_excludes_zero_as_the_test_does(self):
        rng = np.random.default_rng(3)
        for _ in range(50):
            found = one(paired_ttest(rng.normal(0.5, 1, 12), rng.normal(0, 1, 12)))
            outside = not found["cohen_dz_low"] <= 0 <= found["cohen_dz_high"]
            assert outside == (found["p_value"] < 0.05)


class TestNadeauBengio:
    def test_formula(self):
        """Nadeau and Bengio (2003), section 4: variance (1/J + n2/n1) times that of the scores."""
        rng = np.random.default_rng(4)
        first, second = rng.normal(0.8, 0.05, 10), rng.normal(0.75, 0.05, 10)
        found = one(paired_ttest(first, second, test_train_ratio=1 / 9))
        difference = first - second
        t = difference.mean() / np.sqrt((1 / 10 + 1 / 9) * difference.var(ddof=1))
        assert found["t"] == pytest.approx(t, rel=1e-12)
        assert found["p_value"] == pytest.approx(2 * stats.t.sf(abs(t), 9), rel=1e-10)
        plain = one(paired_ttest(first, second))
        wider = (found["ci_high"] - found["ci_low"]) / (plain["ci_high"] - plain["ci_low"])
        assert wider == pytest.approx(np.sqrt(1 + 10 / 9), rel=1e-12)
        assert found["cohen_dz"] == plain["cohen_dz"]

    @pytest.mark.parametrize("ratio", [-0.1, np.nan, np.inf])
    def test_ratio(self, ratio):
        with pytest.raises(InputError, match="test_train_ratio"):
            paired_ttest([1, 2], [2, 1], test_train_ratio=ratio)


class TestWilcoxon:
    @given(samples)
    def test_ties_by_exhaustion(self, pairs):
        """All 2**n signs, with the ranks that the data have."""
        pairs = pairs[:8]
        found = one(wilcoxon_test(pairs))
        differences = pairs[:, 0] - pairs[:, 1]
        kept = differences[differences != 0]
        if not len(kept):
            assert found["p_value"] == 1
            return
        ranks = stats.rankdata(np.abs(kept))
        sums = np.array([ranks[list(signs)].sum() for signs in _signs(len(kept))])
        w = ranks[kept > 0].sum()
        expected = min(1, 2 * min((sums <= w).mean(), (sums >= w).mean()))
        assert found["p_value"] == pytest.approx(expected, rel=1e-12)
        assert found["w"] == w

    def test_many_pairs(self):
        rng = np.random.default_rng(5)
        first, second = rng.normal(0.1, 1, 400), rng.normal(0, 1, 400)
        found = one(wilcoxon_test(first, second))
        expected = stats.wilcoxon(first, second, correction=True, method="approx")
        assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-10)
        exact_side = one(wilcoxon_test(first[:200], second[:200]))
        assert exact_side["ci_low"] < exact_side["difference"] < exact_side["ci_high"]

    def test_too_few(self):
        found = one(wilcoxon_test([1, 2, 3], [0, 0, 0]))
        assert (found["ci_low"], found["ci_high"]) == (-np.inf, np.inf)
        assert "too few pairs" in found["note"]

    def test_equal(self):
        found = one(wilcoxon_test([1.0] * 8, [1.0] * 8))
        assert list(found[["difference", "ci_low", "ci_high", "w"]]) == [0] * 4
        assert found["p_value"] == 1
        assert found["n_equal"] == 8

    def test_constant(self):
        found = one(wilcoxon_test(np.arange(8) + 2.0, np.arange(8)))
        assert list(found[["difference", "ci_low", "ci_high"]]) == [2] * 3
        assert found["p_value"] == 2 / 2**8

    @given(samples)
    def test_swap(self, pairs):
        there, back = one(wilcoxon_test(pairs)), one(wilcoxon_test(pairs[:, ::-1]))
        assert back["p_value"] == pytest.approx(there["p_value"], rel=1e-12)
        assert list(back[["difference", "ci_low", "ci_high"]]) == [
            -there["difference"],
            -there["ci_high"],
            -there["ci_low"],
        ]


def _signs(n):
    return (np.flatnonzero(chosen) for chosen in product([0, 1], repeat=n))


class TestEquivalence:
    def test_interval_and_verdict_agree(self):
        rng = np.random.default_rng(6)
        for _ in range(50):
            first, second = rng.normal(0.2, 1, 15), rng.normal(0, 1, 15)
            found = one(equivalence_test(first, second, margin=0.7))
            assert found["equivalent"] == (found["ci_low"] > -0.7 and found["ci_high"] < 0.7)

    @pytest.mark.parametrize("paired", [True, False])
    def test_identical_repeats(self, paired):
        found = one(equivalence_test([0.9] * 5, [0.9] * 5, margin=0.01, paired=paired))
        assert (found["difference"], found["p_value"], found["equivalent"]) == (0, 0, True)
        assert "do not vary" in found["note"]

    @pytest.mark.parametrize("paired", [True, False])
    def test_a_constant_difference_beyond_the_margin(self, paired):
        found = one(equivalence_test([1.0] * 5, [0.9] * 5, margin=0.01, paired=paired))
        assert (found["p_value"], found["equivalent"]) == (1, False)

    @pytest.mark.parametrize("margin", [0, -1, np.nan, np.inf])
    def test_margin(self, margin):
        with pytest.raises(InputError, match="margin is"):
            equivalence_test([1, 2], [2, 1], margin=margin)

    def test_second_is_missing(self):
        with pytest.raises(InputError, match="two samples are needed"):
            equivalence_test([1, 2], margin=1, paired=False)

    def test_too_few(self):
        with pytest.raises(InputError, match="second has 1 value; at least 2"):
            equivalence_test([1, 2], [2], margin=1, paired=False)

    def test_level(self):
        with pytest.raises(InputError, match=r"significance_level is 0.95"):
            equivalence_test([1, 2], [2, 1], margin=1, significance_level=0.95)


class TestFamily:
    def table(self):
        rng = np.random.default_rng(7)
        frame = pd.DataFrame(
            list(product("abc", range(6), range(3))), columns=["model", "case", "run"]
        )
        return frame.assign(dice=rng.normal(0.8, 0.02, len(frame)) + 0.1 * (frame["model"] == "c"))

    def test_runs_are_averaged_within_cases(self):
        table = self.table()
        found = paired_comparisons(table, value="dice", case="case", condition="model")
        means = table.pivot_table("dice", "case", "model")
        expected = one(paired_ttest(means["a"], means["b"]))
        assert found.loc[0, "t"] == pytest.approx(expected["t"])
        assert found["n"].tolist() == [6, 6, 6]
        assert found[["first", "second"]].to_numpy().tolist() == [
            ["a", "b"],
            ["a", "c"],
            ["b", "c"],
        ]
        np.testing.assert_array_equal(found["p_adjusted"], adjust_p_values(found["p_value"]))

    def test_baseline(self):
        options = {"value": "dice", "case": "case", "condition": "model"}
        found = paired_comparisons(self.table(), baseline="c", **options)
        assert found[["first", "second"]].to_numpy().tolist() == [["a", "c"], ["b", "c"]]
        with pytest.raises(InputError, match="unknown condition 'd'"):
            paired_comparisons(self.table(), baseline="d", **options)

    def test_a_missing_case(self):
        table = self.table().query("not (model == 'b' and case == 4)")
        with pytest.raises(InputError, match="case 4 has no finite value in condition 'b'"):
            paired_comparisons(table, value="dice", case="case", condition="model")

    def test_one_condition(self):
        with pytest.raises(InputError, match="at least 2 are needed to compare"):
            paired_comparisons(
                self.table().query("model == 'a'"), value="dice", case="case", condition="model"
            )

    def test_missing_p_values_do_not_count(self):
        np.testing.assert_array_equal(adjust_p_values([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
    def test_adjusted_are_not_smaller(self, p_values):
        holm = adjust_p_values(p_values)
        rate = adjust_p_values(p_values, method="benjamini-hochberg")
        assert (holm >= rate - 1e-15).all()
        assert (rate >= np.array(p_values) - 1e-15).all()
        assert (holm <= 1).all()

    def test_range(self):
        with pytest.raises(InputError, match="between 0 and 1"):
            adjust_p_values([0.5, 1.5])
