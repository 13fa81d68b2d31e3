"""icc against R, Shrout and Fleiss (1979), exact arithmetic, and its own symmetries."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reprostats.errors import InputError
from reprostats.stats.icc import icc
from reprostats.stats.icc_forms import FORMS, coefficient, f_test, interval, mean_squares
from tests.stats.reference import beside, check, designs, read

NUMBERS = ["icc", "ci_low", "ci_high", "f", "df1", "df2", "p_value"]

# Shrout and Fleiss (1979), Table 2: four judges rate six targets.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)


def layouts_of(file: str) -> dict[str, np.ndarray]:
    """Read designs, one subject a row."""
    return {
        name: np.array([row.split() for row in table["ratings"]], float)
        for name, table in designs(file).items()
    }


RATINGS = layouts_of("icc_ratings.csv")
EXPECTED = read("icc_expected.csv")
MISSING_RATINGS = layouts_of("icc_missing_ratings.csv")
MISSING = read("icc_missing_expected.csv")

layouts = st.tuples(st.integers(2, 8), st.integers(2, 6)).flatmap(
    lambda shape: hnp.arrays(np.float64, shape, elements=st.integers(-50, 50).map(float))
)


def of_design(name: str, **options: float) -> pd.DataFrame:
    return icc(RATINGS[name], agreement_interval="satterthwaite", **options).set_index(
        "shrout_fleiss"
    )


def same(first: pd.DataFrame, second: pd.DataFrame, tolerance: float) -> None:
    np.testing.assert_allclose(first[NUMBERS], second[NUMBERS], rtol=tolerance, atol=tolerance)


def exact_mean_squares(ratings: np.ndarray) -> dict[str, Fraction]:
    """Compute the textbook sums of squares of float64 ratings without rounding."""
    x = [[Fraction(float(cell)) for cell in row] for row in ratings]
    n, k = len(x), len(x[0])
    rows = [sum(row) / k for row in x]
    columns = [sum(column) / n for column in zip(*x, strict=True)]
    mean = sum(rows) / n
    error = sum((x[i][j] - rows[i] - columns[j] + mean) ** 2 for i in range(n) for j in range(k))
    return {
        "subjects": k * sum((row - mean) ** 2 for row in rows) / (n - 1),
        "raters": n * sum((column - mean) ** 2 for column in columns) / (k - 1),
        "error": error / ((n - 1) * (k - 1)),
        "within": sum((x[i][j] - rows[i]) ** 2 for i in range(n) for j in range(k)) / (n * (k - 1)),
    }


class TestPublished:
    """Shrout and Fleiss (1979), Table 4, with the digits that R's psych 2.2.9 prints."""

    def test_estimates(self):
        expected = [0.16574177, 0.28976378, 0.71484071, 0.44279713, 0.62005055, 0.90931554]
        np.testing.assert_allclose(icc(SHROUT_FLEISS)["icc"], expected, atol=1e-8)

    def test_tests(self):
        found = icc(SHROUT_FLEISS)
        np.testing.assert_allclose(found["f"], [1.79467849, *[11.02724796] * 2] * 2, atol=1e-8)
        np.testing.assert_allclose(found["p_value"], [0.16476881, *[0.00013457] * 2] * 2, atol=1e-8)
        assert list(found["df2"]) == [18, 15, 15] * 2

    def test_intervals(self):
        found = icc(SHROUT_FLEISS, agreement_interval="satterthwaite")
        low = [-0.13293, 0.01879, 0.34246, -0.88444, 0.07114, 0.67567]
        high = [0.72256, 0.76108, 0.94586, 0.91242, 0.92723, 0.98589]
        np.testing.assert_allclose(found["ci_low"], low, atol=1e-5)
        np.testing.assert_allclose(found["ci_high"], high, atol=1e-5)

    def test_columns(self):
        found = icc(SHROUT_FLEISS)
        assert list(found.columns) == [
            *("form", "shrout_fleiss", *NUMBERS, "n_subjects", "n_raters", "note")
        ]
        assert list(found["form"]) == [form.name for form in FORMS]
        assert (found["note"] == "").all()


class TestAgainstR:
    """psych 2.2.9 under R 4.2.2, 248 designs; make_icc.R. Worst of each column below 3e-9."""

    def test_designs(self):
        families = EXPECTED["design"].str.extract(r"^(.*)_\d+$")[0]
        assert EXPECTED["design"].nunique() == 248
        assert {"ordinary", "boundary", "tiny", "large", "offset", "unit", "close"} < set(families)

    def test_null_of_zero(self):
        cases = EXPECTED[["design", "confidence_level"]].drop_duplicates().itertuples(index=False)
        found = [of_design(name, confidence_level=level) for name, level in cases]
        joined = beside(EXPECTED, found)
        # Past its pole ICC(A,k) has no value, and R prints numbers above 1; see the notes of icc.
        past = joined[["icc", "ci_low", "ci_high"]] > 1
        assert joined.loc[past.any(axis=1), "shrout_fleiss"].eq("ICC(2,k)").all()
        assert past.any(axis=1).sum() == 9
        assert joined.loc[past["icc"], "icc_found"].isna().all()
        for limit in ("ci_low", "ci_high"):
            assert np.isneginf(joined.loc[past[limit], f"{limit}_found"]).all()
        assert (joined.loc[past.any(axis=1), "note_found"] != "").all()
        joined[past.columns] = joined[past.columns].mask(past)
        check(joined, NUMBERS, relative=1e-8)

    def test_null_of_a_half(self):
        once = EXPECTED.drop_duplicates(["design", "shrout_fleiss"])
        columns = ["f", "df2", "p_value"]
        found = [of_design(name, null=0.5)[columns] for name in once["design"].unique()]
        joined = beside(once, [table.add_suffix("_half") for table in found])
        check(joined, [f"{column}_half" for column in columns], relative=1e-8)


class TestPrecision:
    @pytest.mark.parametrize("offset", [0.0, 1e6, 1e9, -1e9])
    @pytest.mark.parametrize("shape", [(2, 2), (6, 4), (30, 5)])
    def test_mean_squares_hold_what_float64_holds(self, offset, shape):
        ratings = np.random.default_rng(7).normal(size=shape) + offset
        found = mean_squares(ratings)
        for name, exact in exact_mean_squares(ratings).items():
            assert float(getattr(found, name)) == pytest.approx(float(exact), rel=1e-13)

    def test_an_offset_of_one_rater(self):
        ratings = np.random.default_rng(8).normal(size=(10, 3)) + np.array([0, 1e9, 0])
        exact = exact_mean_squares(ratings)
        assert float(mean_squares(ratings).error) == pytest.approx(float(exact["error"]), rel=1e-12)

    @pytest.mark.parametrize("scale", [2.0**-1000, 2.0**1000])
    def test_extreme_units(self, scale):
        same(icc(SHROUT_FLEISS * scale), icc(SHROUT_FLEISS), 0)

    def test_a_map_equals_its_elements(self):
        ratings = np.random.default_rng(9).normal(size=(7, 3, 2, 5))
        squares = mean_squares(ratings)
        for form in FORMS:
            low, high = interval(squares, form, 0.9)
            whole = [coefficient(squares, form), low, high, f_test(squares, form, 0.2).p_value]
            table = icc(
                ratings[:, :, 1, 3],
                confidence_level=0.9,
                null=0.2,
                agreement_interval="satterthwaite",
            )
            one = table.set_index("form").loc[form.name, ["icc", "ci_low", "ci_high", "p_value"]]
            np.testing.assert_allclose(
                [part[1, 3] for part in whole], one.astype(float), rtol=1e-12
            )


class TestMissing:
    """Restricted maximum likelihood, held to mean squares, lme4 and exact F."""

    EMPTY: ClassVar = [(2, 3), (0, 0)]

    def ratings(self):
        ratings = SHROUT_FLEISS.astype(float)
        for cell in self.EMPTY:
            ratings[cell] = np.nan
        return ratings

    @pytest.mark.parametrize("null", [0.0, 0.3])
    @pytest.mark.parametrize("test", ["psych", "irr"])
    @pytest.mark.parametrize(
        "name", ["shrout_fleiss", "plain", "offset_million", "dice", "ordinary_1"]
    )
    def test_complete_layouts_give_what_mean_squares_give(self, name, test, null):
        options = {"null": null, "agreement_test": test}
        squares, reml = (of_design(name, method=method, **options) for method in ("anova", "reml"))
        squares["icc"] = squares["icc"].clip(lower=0)
        np.testing.assert_allclose(reml[NUMBERS], squares[NUMBERS], rtol=1e-7)

    def test_uses_every_rating(self):
        found = icc(self.ratings()).set_index("form")
        assert (found["df2"] == [16, 13, 13] * 2).all()
        assert found["note"].str.contains("2 of 24 cells have no rating").all()

    def test_against_r(self):
        """145 designs; make_icc_missing.R says how lme4 1.1.31, anova and qf give each number.

        lme4's own optimum has four digits or so; refined by R's optim, estimates agree to 1e-6
        too. R has no interval of ICC(A,.) for missing cells.
        """
        assert MISSING["design"].nunique() == 145
        found = [icc(MISSING_RATINGS[name], method="reml") for name in MISSING["design"].unique()]
        joined = beside(MISSING, found)
        check(joined, NUMBERS, relative=1e-6)
        assert joined[["ci_low", "ci_high"]].notna().all(axis=1).sum() == 4 * 145

    def test_an_empty_cell_in_a_long_table(self):
        long = pd.DataFrame(self.ratings()).melt(ignore_index=False).reset_index()
        whole = icc(long, subject="index", rater="variable", value="value")
        absent = icc(long.dropna(), subject="index", rater="variable", value="value")
        same(whole, icc(self.ratings()), 1e-9)
        same(absent, icc(self.ratings()), 1e-9)

    def test_raters_of_their_own_for_every_subject(self):
        ratings = np.full((4, 12), np.nan)
        for subject in range(4):
            ratings[subject, 3 * subject : 3 * subject + 3] = SHROUT_FLEISS[subject, :3]
        found, expected = icc(ratings).set_index("form"), icc(SHROUT_FLEISS[:4, :3])
        one_way = expected.set_index("form").loc[["ICC(1,1)", "ICC(1,k)"]]
        for column in ("ci_low", "ci_high", "f", "p_value"):
            np.testing.assert_allclose(found.loc[one_way.index, column], one_way[column], rtol=1e-7)
        assert found.loc["ICC(1,k)", "note"].endswith("k is 3, the most ratings of a subject")
        assert found.loc["ICC(A,1)", ["icc", "f"]].isna().all()
        assert "cannot be told apart" in found.loc["ICC(A,1)", "note"]

    def test_identical_and_constant(self):
        ratings = np.repeat(self.ratings()[:, 1:2], 4, axis=1)
        ratings[2, 3] = np.nan
        found = icc(ratings)
        assert (found[["icc", "ci_low", "ci_high"]] == 1).all(axis=None)
        assert (found["f"] == np.inf).all()
        assert (found["p_value"] == 0).all()
        constant = icc(ratings * 0 + 0.1)
        assert constant[["icc", "ci_low", "f", "p_value"]].isna().all(axis=None)
        assert constant["note"].str.contains("all ratings are equal").all()

    def test_at_zero(self):
        ratings = np.array([[1, 2, np.nan], [3, 1, 2], [2, 3, 1]])
        row = icc(ratings).set_index("form").loc["ICC(C,1)"]
        assert row["icc"] == 0
        assert row["ci_low"] < 0 < row["ci_high"]
        assert "the coefficient is at 0" in row["note"]

    def test_refused(self):
        with pytest.raises(InputError, match=r"method is 'ml'; it must be one of None, 'anova'"):
            icc(SHROUT_FLEISS, method="ml")
        with pytest.raises(InputError, match="agreement_test is 'spss'"):
            icc(SHROUT_FLEISS, agreement_test="spss")
        ratings = self.ratings()
        ratings[1] = np.nan
        with pytest.raises(InputError, match="subject 1 has no rating; leave the subject out"):
            icc(ratings)


class TestGeneralisedInterval:
    """Of ICC(A,1), whose published interval is too short with few raters."""

    def covered(self, n, k, repeats, missing=0.0, **options):
        """ICC(A,1) is 0.9, and raters differ as much as the residual."""
        generator, hits = np.random.default_rng([n, k]), 0
        spread = (0.1 / 2 / 0.9) ** 0.5
        for _ in range(repeats):
            ratings = (
                generator.normal(size=(n, 1))
                + spread * generator.normal(size=k)
                + spread * generator.normal(size=(n, k))
            )
            ratings[:, 1:][generator.random(size=(n, k - 1)) < missing] = np.nan
            row = icc(ratings, **options).set_index("form").loc["ICC(A,1)"]
            hits += row["ci_low"] <= 0.9 <= row["ci_high"]
        return hits / repeats

    def test_covers_where_the_published_one_does_not(self):
        """Findings of simulation: 73 % for n = 100 and k = 2; standard error here 1.4 points."""
        assert self.covered(100, 2, 250, agreement_interval="satterthwaite") < 0.83
        assert 0.91 <= self.covered(100, 2, 250) <= 0.985

    @pytest.mark.slow
    def test_covers_with_missing_ratings(self):
        assert 0.9 <= self.covered(20, 4, 100, missing=0.15) <= 1.0

    def test_average_is_the_same_interval_on_another_scale(self):
        found = icc(SHROUT_FLEISS).set_index("form")
        for name in ("ci_low", "ci_high"):
            single = found.loc["ICC(A,1)", name]
            average = 4 * single / (1 + 3 * single)
            assert found.loc["ICC(A,k)", name] == pytest.approx(average, rel=1e-12)


class TestOfAgreement:
    """The test of ICC(A,1) as irr prints it, for irr's data set ``anxiety``."""

    ANXIETY: ClassVar = [
        *("3 3 2", "3 6 1", "3 4 4", "4 6 4", "5 2 3", "5 4 2", "2 2 1", "3 4 6", "5 3 1", "2 3 1"),
        *("2 2 1", "6 3 2", "1 3 3", "5 3 3", "2 2 1", "2 2 1", "1 1 3", "2 3 3", "4 3 2", "3 4 2"),
    ]

    def test_irr(self):
        ratings = [[int(score) for score in row.split()] for row in self.ANXIETY]
        found = icc(ratings, agreement_test="irr", agreement_interval="satterthwaite")
        row = found.set_index("form").loc["ICC(A,1)"]
        # icc(anxiety, model = "twoway", type = "agreement"): ICC(A,1) = 0.198,
        # F(19,39.7) = 1.83, p = 0.0543, -0.039 < ICC < 0.494
        assert row["icc"] == pytest.approx(0.198, abs=5e-4)
        assert row["f"] == pytest.approx(1.83, abs=5e-3)
        assert row["df2"] == pytest.approx(39.7, abs=0.05)
        assert row["p_value"] == pytest.approx(0.0543, abs=5e-5)
        assert row["ci_low"] == pytest.approx(-0.039, abs=5e-4)
        assert row["ci_high"] == pytest.approx(0.494, abs=5e-4)

    def test_psych(self):
        row = icc(SHROUT_FLEISS, agreement_test="psych").set_index("form").loc["ICC(A,1)"]
        assert row["df2"] == 15


class TestNoError:
    @pytest.mark.parametrize("offset", [0.0, 0.1, 1e9])
    def test_bitwise_identical_raters(self, offset):
        column = np.random.default_rng(1).normal(size=(6, 1)) + offset
        found = icc(np.repeat(column, 7, axis=1))
        assert (found[["icc", "ci_low", "ci_high"]] == 1).all(axis=None)
        assert (found["f"] == np.inf).all()
        assert (found["p_value"] == 0).all()
        assert found["note"].str.contains("bit for bit").all()

    def test_identical_whatever_the_null(self):
        found = icc(np.repeat([[0.1], [0.2], [0.4]], 3, axis=1), null=0.99)
        assert (found["p_value"] == 0).all()

    def test_one_last_bit_is_told_apart_from_identity(self):
        ratings = np.repeat([[0.1], [0.2], [0.4]], 3, axis=1)
        ratings[1, 2] = np.nextafter(ratings[1, 2], 1)
        found = icc(ratings)
        assert (found["icc"] == 1).all()
        assert found["note"].str.contains("to within float64 rounding").all()

    def test_constant_shift(self):
        column = np.random.default_rng(2).normal(size=(6, 1))
        found = icc(column + np.array([0, 0.3, 0.7])).set_index("form")
        consistent = found.loc[["ICC(C,1)", "ICC(C,k)"]]
        assert (consistent[["icc", "ci_low", "ci_high"]] == 1).all(axis=None)
        assert (consistent["f"] == np.inf).all()
        agreement = found.loc["ICC(A,1)"]
        # MSE is 0, so ICC(A,1) is the variance of subjects over that plus the variance of shifts.
        subjects, shifts = np.var(column, ddof=1), np.var([0, 0.3, 0.7], ddof=1)
        assert agreement["icc"] == pytest.approx(subjects / (subjects + shifts), rel=1e-12)
        assert 0 < agreement["ci_low"] < agreement["icc"] < agreement["ci_high"] < 1
        assert "constants only" in agreement["note"]

    @pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 5e-324])
    def test_constant_data(self, value):
        found = icc(np.full((5, 3), value))
        assert found[["icc", "ci_low", "ci_high", "f", "p_value"]].isna().all(axis=None)
        assert found["note"].str.contains("all ratings are equal").all()

    def test_subjects_that_do_not_differ(self):
        found = icc(np.zeros((4, 1)) + np.array([0.1, 0.2, 0.3])).set_index("form")
        assert found.loc["ICC(A,1)", "icc"] == 0
        assert np.isnan(found.loc["ICC(C,1)", "icc"])
        assert found.loc["ICC(1,1)", "icc"] == pytest.approx(-1 / 2)
        assert (found["note"] != "").all()


class TestNegative:
    def test_an_interval_beside_its_estimate_is_noted(self):
        ratings = [
            [-0.48, -0.79, 0.04, -0.3, 0.15, -0.18, -1.43, -0.03],
            [-0.03, -1.21, -0.05, -1.4, -0.36, -0.4, 0.29, 0.01],
            [-0.57, -1.46, -0.12, -0.58, -0.14, -0.24, -0.11, -0.15],
        ]
        found = icc(ratings, agreement_interval="satterthwaite").set_index("shrout_fleiss")
        outside = found["ci_high"] < found["icc"]
        assert list(found.index[outside]) == ["ICC(2,1)", "ICC(2,k)"]
        assert list(found.index[found["note"] != ""]) == ["ICC(2,1)", "ICC(2,k)"]

    def test_a_lower_limit_past_the_pole_is_infinite(self):
        # R's psych 2.2.9 gives a lower limit of 2.02 for ICC(2,k) here.
        row = of_design("smallest").loc["ICC(2,k)"]
        assert row["ci_low"] == -np.inf
        assert "do not rely on the interval" in row["note"]

    def test_a_divisor_below_zero_gives_no_coefficient_above_one(self):
        # pingouin 0.7 gives ICC(A,k) = 3.006682 with the interval [3.0, 3.19] here.
        ratings = np.array([[1, 2, 3], [3, 1, 2], [2.1, 3, 1]])
        row = icc(ratings).set_index("form").loc["ICC(A,k)"]
        assert np.isnan(row["icc"])
        assert row["ci_low"] == -np.inf
        assert 0 <= row["f"] < 1
        assert "divisor of ICC(A,k) is not positive" in row["note"]

    def test_equal_subject_means(self):
        found = icc([[1, 2, 3], [3, 1, 2], [2, 3, 1]]).set_index("form")
        assert found.loc["ICC(1,1)", "icc"] == pytest.approx(-1 / 2)
        assert found.loc["ICC(C,k)", "icc"] == -np.inf
        assert (found["p_value"] == 1).all()
        assert (found["note"] != "").all()

    @given(layouts)
    def test_never_above_one_and_never_silent(self, ratings):
        found = icc(ratings)
        assert not (found[["icc", "ci_low", "ci_high"]] > 1).any(axis=None)
        unexplained = found[NUMBERS].isna().any(axis=1) & (found["note"] == "")
        assert not unexplained.any()
        ordered = found[~found["note"].str.contains("do not rely")].dropna()
        assert (ordered["ci_low"] <= ordered["icc"] + 1e-12).all()
        assert (ordered["icc"] <= ordered["ci_high"] + 1e-12).all()


class TestSymmetries:
    @given(layouts, st.integers(-(10**6), 10**6), st.sampled_from([-3.0, 0.001, 7e5]))
    def test_shift_and_scale(self, ratings, shift, scale):
        expected = icc(ratings)
        assume((expected["note"] == "").all())
        # Integers below 2**53: the shift is exact, so nothing may change but the last digits.
        same(icc((ratings + shift) * scale), expected, 1e-7)
        same(icc(ratings + shift), expected, 1e-12)

    @given(layouts, st.randoms(use_true_random=False))
    def test_order_of_subjects_and_raters(self, ratings, random):
        expected = icc(ratings)
        assume((expected["note"] == "").all())
        rows, columns = (random.sample(range(size), size) for size in ratings.shape)
        same(icc(ratings[np.ix_(rows, columns)]), expected, 1e-11)

    @given(layouts)
    def test_a_larger_confidence_level_is_wider(self, ratings):
        narrow, wide = icc(ratings, confidence_level=0.5), icc(ratings, confidence_level=0.99)
        assume((narrow["note"] == "").all())
        assert (wide["ci_low"] <= narrow["ci_low"] + 1e-12).all()
        assert (wide["ci_high"] >= narrow["ci_high"] - 1e-12).all()


class TestCalibration:
    """Simulation with a known truth: 20,000 layouts of 15 subjects by 4 raters."""

    SUBJECTS, RATERS, NOISE = 2.0, 0.5, 1.0

    def squares(self, rng):
        return mean_squares(
            rng.normal(scale=self.SUBJECTS, size=(15, 1, 20_000))
            + rng.normal(scale=self.RATERS, size=(1, 4, 20_000))
            + rng.normal(scale=self.NOISE, size=(15, 4, 20_000))
        )

    def truth(self, form):
        extra = 0.0 if form.model == "consistency" else self.RATERS**2
        noise = (self.NOISE**2 + extra) / (4 if form.average else 1)
        return self.SUBJECTS**2 / (self.SUBJECTS**2 + noise)

    @pytest.mark.parametrize("form", [form for form in FORMS if form.model != "one-way"])
    def test_coverage_and_level(self, form):
        squares = self.squares(np.random.default_rng(11))
        truth = self.truth(form)
        low, high = interval(squares, form, 0.95)
        assert 0.94 <= ((low <= truth) & (truth <= high)).mean() <= 0.96
        # Satterthwaite's approximation makes the test of agreement reject 5.3 % here, not 5 %.
        assert 0.04 <= (f_test(squares, form, truth).p_value < 0.05).mean() <= 0.055


class TestInput:
    LONG = pd.DataFrame(
        {
            "case": np.repeat([f"case {i}" for i in range(6)], 4),
            "run": np.tile([f"run {j}" for j in range(4)], 6),
            "dice": SHROUT_FLEISS.ravel(),
        }
    )
    NAMES: ClassVar = {"subject": "case", "rater": "run", "value": "dice"}

    def test_long_table_in_any_order(self):
        shuffled = self.LONG.sample(frac=1, random_state=3)
        same(icc(shuffled, **self.NAMES), icc(SHROUT_FLEISS), 1e-13)

    def test_categories_that_do_not_occur_are_not_raters(self):
        table = self.LONG.astype({"run": "category"})
        table["run"] = table["run"].cat.add_categories(["run 99"])
        same(icc(table, **self.NAMES), icc(SHROUT_FLEISS), 1e-13)

    def test_missing_cell(self):
        with pytest.raises(InputError, match=r"no rating of subject 'case 3' by rater 'run 2'"):
            icc(self.LONG.drop(index=14), method="anova", **self.NAMES)

    def test_missing_value(self):
        table = self.LONG.astype({"dice": float})
        table.loc[[5, 14], "dice"] = np.nan
        message = r"no rating of subject 'case 1' by rater 'run 1' \(and 1 more such cell\)"
        with pytest.raises(InputError, match=message):
            icc(table, method="anova", **self.NAMES)

    def test_nullable_missing_value(self):
        table = self.LONG.astype({"dice": "Int64"})
        table.loc[5, "dice"] = pd.NA
        with pytest.raises(InputError, match="no rating of subject 'case 1' by rater 'run 1'"):
            icc(table, method="anova", **self.NAMES)

    def test_diverged_value_in_a_wide_table(self):
        wide = pd.DataFrame(SHROUT_FLEISS, index=list("abcdef"), columns=list("wxyz"), dtype=float)
        wide.loc["c", "y"] = np.inf
        with pytest.raises(InputError, match="a rating of inf of subject 'c' by rater 'y'"):
            icc(wide)

    def test_doubled_cell(self):
        doubled = pd.concat([self.LONG, self.LONG.iloc[[7]]])
        with pytest.raises(
            InputError, match="subject 'case 1' is rated more than once by rater 'run 3'"
        ):
            icc(doubled, **self.NAMES)

    def test_empty_key(self):
        table = self.LONG.copy()
        table.loc[2, "run"] = None
        with pytest.raises(InputError, match="column 'run' is empty in row 2"):
            icc(table, **self.NAMES)

    @pytest.mark.parametrize("shape", [(1, 4), (4, 1), (0, 3)])
    def test_too_few(self, shape):
        with pytest.raises(InputError, match=r"at least 2 (subjects|raters) are needed"):
            icc(np.ones(shape))

    def test_unknown_column(self):
        with pytest.raises(InputError, match="unknown column 'dce'; did you mean 'dice'"):
            icc(self.LONG, subject="case", rater="run", value="dce")

    def test_incomplete_names(self):
        with pytest.raises(InputError, match="needs subject=, rater= and value="):
            icc(self.LONG, subject="case", value="dice")

    @pytest.mark.parametrize("ratings", [[1, 2, 3], np.ones((2, 2, 2)), [["a", "b"], ["c", "d"]]])
    def test_not_a_layout(self, ratings):
        with pytest.raises(
            InputError, match=r"must be \(subjects, raters\)|must hold real numbers"
        ):
            icc(ratings)

    @pytest.mark.parametrize("level", [0, 1, 95, -0.1, np.nan])
    def test_confidence_level(self, level):
        with pytest.raises(InputError, match="confidence_level"):
            icc(SHROUT_FLEISS, confidence_level=level)

    @pytest.mark.parametrize("null", [1, -0.2, np.nan, 50])
    def test_null(self, null):
        with pytest.raises(InputError, match="null"):
            icc(SHROUT_FLEISS, null=null)
