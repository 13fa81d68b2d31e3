"""Rounding becomes no result: ties are ties, and labels pair or are refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from reprostats import (
    cohen_kappa,
    critical_difference,
    equivalence_test,
    gwet_ac1,
    hodges_lehmann,
    icc,
    paired_ttest,
    repeated_measures_anova,
    subjects_for_icc,
    wilcoxon_test,
    wilson_interval,
)
from reprostats.errors import InputError
from reprostats.stats.precision import without_noise
from reprostats.stats.signed_rank import _normal_tails
from tests.stats.reference import designs, read

DICE = np.array([0.91, 0.82, 0.73, 0.94, 0.65, 0.86, 0.47, 0.88])
OTHER = np.array([0.90, 0.80, 0.74, 0.93, 0.66, 0.84, 0.48, 0.85])


class TestWilcoxon:
    def test_sums_that_differ_by_rounding_are_equal(self):
        """R's wilcox.test with digits.rank = 7 finds no difference to rank either."""
        row = wilcoxon_test([0.1 + 0.2] * 8, [0.3] * 8).iloc[0]
        assert (row["p_value"], row["n_equal"]) == (1.0, 8)

    def test_hundredths_give_what_whole_numbers_give(self):
        """The same p in Dice and in hundredths of it, as whole numbers have no rounding."""
        whole = wilcoxon_test(np.round(100 * DICE), np.round(100 * OTHER)).iloc[0]
        row = wilcoxon_test(DICE, OTHER).iloc[0]
        assert whole["p_value"] == pytest.approx(0.2265625)  # exact, of 128 sign patterns with ties
        assert (row["p_value"], row["w"]) == (whole["p_value"], whole["w"])

    def test_digits_as_in_r(self):
        """R 4.2: ?wilcox.test says that ranks are those of signif(x, digits.rank)."""
        first, second = np.array([1.0, 2.0, 3.004, 4.0]), np.array([0.0, 0.0, 1.0, 1.0])
        assert wilcoxon_test(first, second)["w"].iloc[0] == 10
        rounded = wilcoxon_test(first, second, digits=2).iloc[0]
        assert rounded["difference"] == pytest.approx(2.0)

    @pytest.mark.parametrize(
        "row",
        list(read("ties_expected.csv").itertuples()),
        ids=lambda row: f"{row.design}-{row.digits}",
    )
    def test_digits_rank_of_r(self, row):
        """The examples of ?wilcox.test, and more; tests/reference/make_ties.R says how.

        R gives up exactness at the first tie: its p is compared with that of the normal
        distribution, and the exact one with that of exactRankTests. Without digits.rank R ranks
        what rounding left, as 17 digits do here; by default it is removed.
        """
        pairs = designs("ties_data.csv")[row.design][["first", "second"]].to_numpy()
        kept = 17 if np.isinf(row.digits) else int(row.digits)
        found = wilcoxon_test(pairs, digits=kept).iloc[0]
        assert found["w"] == row.w
        assert found["p_value"] == pytest.approx(row.p_exact, rel=1e-12)
        differences = without_noise(pairs[:, 0] - pairs[:, 1], pairs, kept)
        ranks = rankdata(np.abs(differences))
        assert 2 * min(_normal_tails(ranks, found["w"])) == pytest.approx(
            row.p_approximate, rel=1e-12
        )
        if kept != 17:
            tidy = wilcoxon_test(pairs).iloc[0]
            assert (tidy["w"], tidy["p_value"]) == (found["w"], found["p_value"])

    @pytest.mark.parametrize("digits", [0, 18, 2.0, True, "7"])
    def test_bad_digits(self, digits):
        with pytest.raises(InputError, match="an integer from 1 to 17"):
            wilcoxon_test(DICE, OTHER, digits=digits)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_noise_is_noise_in_every_unit(scale):
    values = scale * np.array([0.1, 0.2, 0.3])
    sums = np.array([values[0] + values[1], values[2], -values[2], 2 * values[2]])
    tidy = without_noise(sums, values)
    assert tidy[0] == tidy[1] == -tidy[2]
    assert tidy[3] == pytest.approx(2 * tidy[1])


class TestRanksOfAlgorithms:
    def table(self, values):
        """Values by algorithm and run, the same on every case."""
        rows = [
            (case, algorithm, run, value)
            for case in range(6)
            for algorithm, of_runs in values.items()
            for run, value in enumerate(of_runs)
        ]
        return pd.DataFrame(rows, columns=["case", "model", "run", "dice"])

    def ranked(self, table):
        return critical_difference(table, value="dice", algorithm="model", case="case", run="run")

    def test_the_same_runs_in_another_order_tie(self):
        """They were told apart with p = 0.0025: their means differ in the last bit."""
        orders = {"a": (0.1, 0.2, 0.3), "b": (0.3, 0.2, 0.1), "c": (0.2, 0.1, 0.3)}
        found = self.ranked(self.table(orders))
        assert (found["mean_rank"] == 2).all()
        assert "tie on every case" in found["note"].iloc[0]

    def test_equal_means_share_their_rank(self):
        """(0.1 + 0.2) / 2 and (0.15 + 0.15) / 2 differ in the last bit, and are 1.5 each."""
        found = self.ranked(self.table({"a": (0.1, 0.2), "b": (0.15, 0.15), "c": (0.0, 0.01)}))
        ranks = found.set_index("algorithm")["mean_rank"]
        assert ranks.to_dict() == {"a": 1.5, "b": 1.5, "c": 3.0}


class TestLabels:
    def test_kappa_of_series_in_another_order_is_refused(self):
        first = pd.Series(["a", "b", "a", "b"])
        with pytest.raises(InputError, match="same labels in another order"):
            cohen_kappa(first, first[::-1])

    def test_pairs_with_other_labels_are_refused(self):
        first = pd.Series([1.0, 2.0, 3.0], index=list("abc"))
        second = pd.Series([1.5, 2.0, 4.0], index=list("bcd"))
        with pytest.raises(InputError, match="'a' is in one alone"):
            paired_ttest(first, second)

    def test_numbers_beside_text_are_refused(self):
        with pytest.raises(InputError, match=r"hold text \('1'\) and what is no text \(1\)"):
            cohen_kappa([1, 2, 1], ["1", "2", "1"])

    def test_levels_of_ordered_categories_are_their_order(self):
        levels = pd.CategoricalDtype(["low", "middle", "high"], ordered=True)
        first = pd.Series(["low", "high", "low", "high", "low"], dtype=levels)
        second = pd.Series(["low", "high", "high", "high", "low"], dtype=levels)
        found = cohen_kappa(first, second, weights="linear")
        expected = cohen_kappa(
            first.tolist(), second.tolist(), weights="linear", categories=levels.categories.tolist()
        )
        pd.testing.assert_frame_equal(found, expected)
        assert found["n_categories"].iloc[0] == 3


class TestHodgesLehmann:
    def test_computes_in_float64(self):
        assert hodges_lehmann(np.float32([16777216, 16777218])) == 16777217
        assert hodges_lehmann([1, 2, 9]) == 3.5

    @pytest.mark.parametrize("values", [[[1.0, 2.0]], [1j, 2.0], ["a"]])
    def test_refuses_what_is_no_list_of_numbers(self, values):
        with pytest.raises(InputError, match=r"must be \(n,\)|real numbers"):
            hodges_lehmann(values)


def test_huynh_feldt_of_two_subjects_does_not_exist():
    """0/0: R's car prints NaN."""
    values = np.random.default_rng(5).normal(size=(2, 5))
    table = pd.DataFrame(values).rename_axis("subject").reset_index().melt("subject")
    found = repeated_measures_anova(table, value="value", subject="subject", within=["variable"])
    row = found[found["source"] == "variable"].iloc[0]
    assert np.isnan(row["huynh_feldt"])
    assert np.isnan(row["p_huynh_feldt"])
    assert "Huynh and Feldt is 0/0" in row["note"]


class TestAtTheMargin:
    """A constant difference exactly at the margin is not within it: p = 1."""

    @pytest.mark.parametrize(("first", "second"), [(0.3, 0.2), (0.2, 0.3), (1.1, 1.0)])
    def test_is_not_equivalent(self, first, second):
        row = equivalence_test([first] * 4, [second] * 4, margin=0.1).iloc[0]
        assert (row["p_value"], row["equivalent"]) == (1.0, False)

    def test_within_and_beyond(self):
        assert equivalence_test([0.3] * 4, [0.25] * 4, margin=0.1)["p_value"].iloc[0] == 0
        assert equivalence_test([0.4] * 4, [0.25] * 4, margin=0.1)["p_value"].iloc[0] == 1


def test_subjects_without_a_rating_raise_no_degrees_of_freedom():
    first, second = list("aabbabab"), list("aabbabba")
    plain = gwet_ac1(first, second)
    padded = gwet_ac1(first + [None] * 40, second + [None] * 40)
    pd.testing.assert_frame_equal(plain, padded)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: equivalence_test([1.0, 2], [1.0, 3], margin="a"), "margin is 'a'"),
        (lambda: equivalence_test([1.0, 2], [1.0, 3], margin=10**400), "it must be above 0"),
        (lambda: icc([[1, 2], [3, 4]], null="a"), "null is 'a'"),
        (lambda: paired_ttest([1.0, 2], [1.0, 3], test_train_ratio=None), "ratio is None"),
        (lambda: wilson_interval(2.5, 5), "count is 2.5; it must be an integer"),
        (lambda: wilson_interval(1, np.inf), "total is inf; it must be an integer"),
        (lambda: subjects_for_icc(icc=0.8, n_raters=2.5, half_width=0.1), "n_raters is 2.5"),
        (lambda: subjects_for_icc(icc="a", n_raters=2, half_width=0.1), "icc is 'a'"),
    ],
)
def test_bad_argument_is_one_clear_error(call, message):
    with pytest.raises(InputError, match=message):
        call()


class TestSymmetryIsSupposed:
    def test_skewed_differences_are_noted(self):
        skewed = np.exp(np.linspace(-2, 2.5, 30))
        row = wilcoxon_test(skewed, np.zeros(30)).iloc[0]
        assert "median_difference" in row["note"]
        assert not wilcoxon_test(np.linspace(-2, 2.5, 30), np.zeros(30))["note"].iloc[0]

    def test_normal_differences_are_rarely_noted(self):
        """At a level of 1 %: in 20,000 samples of 30 it was 0.5 %, for Laplace's 1.0 %."""
        generator = np.random.default_rng(4)
        notes = [wilcoxon_test(generator.normal(size=30), np.zeros(30))["note"].iloc[0]
                 for _ in range(200)]  # fmt: skip
        assert sum("skewed" in note for note in notes) <= 5
