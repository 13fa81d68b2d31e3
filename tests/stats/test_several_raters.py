"""Several raters, and concordance: published numbers, other implementations, simulation."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from reprostats import fleiss_kappa, krippendorff_alpha, lin_concordance
from reprostats.errors import InputError

NONE = np.nan
# Krippendorff (2011), section on missing data; the same as cac.raw4raters of R's irrCAC.
OBSERVERS = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
    [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
]).T  # fmt: skip


class TestFleiss:
    def test_against_irrcac(self):
        """R's irrCAC, its vignette: fleiss.kappa.raw(cac.raw4raters): 0.76117, SE 0.15302."""
        row = fleiss_kappa(OBSERVERS, interval="wald").iloc[0]
        assert row["estimate"] == pytest.approx(0.76117, abs=6e-6)
        assert row["standard_error"] == pytest.approx(0.15302, abs=6e-6)
        assert row["ci_low"] == pytest.approx(0.424, abs=6e-4)
        assert row["ci_high"] == 1
        assert row["p_value"] == pytest.approx(0.000419, abs=6e-7)

    @pytest.mark.parametrize("seed", range(5))
    def test_against_statsmodels(self, seed):
        ratings = np.random.default_rng(seed).integers(0, 3, size=(15, 4))
        table, _ = aggregate_raters(ratings)
        row = fleiss_kappa(ratings).iloc[0]
        assert row["estimate"] == pytest.approx(statsmodels_fleiss(table), rel=1e-12)

    def test_raters_who_agree_throughout(self):
        row = fleiss_kappa([["a"] * 3, ["b"] * 3, ["a"] * 3]).iloc[0]
        assert row["estimate"] == row["ci_high"] == 1
        assert row["ci_low"] < 0.3

    def test_one_category(self):
        row = fleiss_kappa([["a"] * 3] * 4, categories=["a", "b"]).iloc[0]
        assert np.isnan(row["estimate"])
        assert "0/0" in row["note"]


class TestKrippendorff:
    @pytest.mark.parametrize(
        ("level", "alpha"),
        [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
    )
    def test_published(self, level, alpha):
        row = krippendorff_alpha(OBSERVERS, level=level).iloc[0]
        assert row["estimate"] == pytest.approx(alpha, abs=6e-4)
        assert row["ci_low"] < alpha < row["ci_high"]
        assert (row["n_subjects"], row["n_ratings"]) == (11, 40)  # one unit has one rating

    def test_text_is_nominal(self):
        words = np.array([["yes", "no"], ["no", "no"], ["yes", "yes"], ["no", None]], dtype=object)
        numbers = np.array([[1, 0], [0, 0], [1, 1], [0, NONE]])
        pd.testing.assert_frame_equal(krippendorff_alpha(words), krippendorff_alpha(numbers))

    def test_interval_of_two_complete_raters_is_near_icc_one(self):
        """Alpha of interval data is ICC(1,1) but for a factor that goes to 1."""
        generator = np.random.default_rng(3)
        ratings = generator.normal(size=(400, 1)) + 0.5 * generator.normal(size=(400, 2))
        row = krippendorff_alpha(ratings, level="interval").iloc[0]
        assert row["estimate"] == pytest.approx(0.8, abs=0.04)

    def test_equal_ratings(self):
        row = krippendorff_alpha(np.ones((4, 3))).iloc[0]
        assert np.isnan(row["estimate"])
        assert "nothing to agree on" in row["note"]

    @pytest.mark.parametrize(
        ("ratings", "level", "message"),
        [
            (OBSERVERS, "interval ", "did you mean 'interval'"),
            (OBSERVERS[:, 0], "nominal", "must be"),
            ([[1, NONE], [2, NONE], [1, 1]], "nominal", "at least 2 are needed"),
            ([[1, -2], [2, 1]], "ratio", "finite numbers of 0 or more"),
            ([[1, np.inf], [2, 1]], "interval", "finite numbers"),
            ([["a", "b"], ["a", "a"]], "ordinal", "real numbers"),
        ],
    )
    def test_bad_input(self, ratings, level, message):
        with pytest.raises(InputError, match=message):
            krippendorff_alpha(ratings, level=level)


class TestConcordance:
    def test_by_hand(self):
        """Means 3 and 3.08, variances 2 and 1.9056, covariance 1.94, all over n."""
        row = lin_concordance([1.0, 2, 3, 4, 5], [1.1, 2.2, 2.9, 4.3, 4.9]).iloc[0]
        assert row["concordance"] == pytest.approx(2 * 1.94 / (2 + 1.9056 + 0.0064))
        assert row["correlation"] * row["bias_correction"] == pytest.approx(row["concordance"])

    def test_shift_and_scale_count(self):
        first = np.arange(10.0)
        assert lin_concordance(first, first)["concordance"].iloc[0] == 1
        shifted = lin_concordance(first, first + 3).iloc[0]
        assert (shifted["correlation"], shifted["concordance"] < 0.8) == (pytest.approx(1), True)

    @pytest.mark.parametrize("shift", [0.0, 0.5])
    def test_interval_covers(self, shift):
        """1,000 studies of 40 pairs: standard error 0.7 points."""
        generator, hits = np.random.default_rng(4), 0
        true = 2 * 0.8 / (2 + shift**2)
        for _ in range(1000):
            case = generator.normal(size=40) * 0.8**0.5
            noise = generator.normal(size=(2, 40)) * 0.2**0.5
            row = lin_concordance(case + noise[0], case + shift + noise[1]).iloc[0]
            hits += row["ci_low"] <= true <= row["ci_high"]
        assert 0.925 <= hits / 1000 <= 0.975

    def test_constant(self):
        row = lin_concordance([1.0, 1, 1], [1.0, 2, 3]).iloc[0]
        assert np.isnan(row["concordance"])
        assert "does not vary" in row["note"]
