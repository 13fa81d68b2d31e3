"""variance_components against lme4, mean squares, published studies, and its own symmetries."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.anova import anova
from reprostats.stats.components import (
    fit_components,
    gage_repeatability_reproducibility,
    variance_components,
)
from reprostats.stats.factors import fixed_columns, random_factors
from reprostats.stats.reml import contrasts, likelihood

REFERENCE = Path(__file__).parents[1] / "reference"
DATA = dict(list(pd.read_csv(REFERENCE / "components_data.csv").groupby("design")))
EXPECTED = pd.read_csv(REFERENCE / "components_expected.csv", keep_default_na=False)
CROSSED = ["case", "init"]


def layout(cases, inits, repeats=1, keep=1.0, seed=0):
    """Give a crossed layout, some cells left out."""
    case, init, _ = np.indices((cases, inits, repeats)).reshape(3, -1)
    return (
        pd.DataFrame({"case": case, "init": init}).sample(frac=keep, random_state=seed).sort_index()
    )


def simulated(table, random, sds, rng):
    effects = zip(random_factors(table, random), sds, strict=True)
    noise = rng.normal(size=len(table))
    return sum((sd * rng.normal(size=f.levels)[f.codes] for f, sd in effects), start=noise)


def crossed(cases=6, inits=4, keep=1.0, seed=1, repeats=1):
    table = layout(cases, inits, repeats, keep, seed)
    rng = np.random.default_rng(seed)
    return table.assign(dice=simulated(table, CROSSED, [1.0, 0.7], rng))


def components(table, random=CROSSED, **options):
    return variance_components(table, value="dice", random=random, **options).set_index("component")


class TestAgainstR:
    """lme4 1.1.31 under R 4.2.2, refined beyond its default tolerance; make_components.R."""

    @pytest.mark.parametrize(("name", "expected"), list(EXPECTED.groupby("design")))
    def test_reml(self, name, expected):
        random, fixed = (expected[column].iloc[0].split() for column in ("random", "fixed"))
        found = variance_components(DATA[name], value="y", random=random, fixed=fixed)
        variance = found.set_index("component").loc[expected["component"], "variance"]
        total = expected["variance"].sum()
        np.testing.assert_allclose(variance, expected["variance"], rtol=1e-4, atol=1e-6 * total)

    def test_there_are_a_few_hundred_designs_and_boundaries_among_them(self):
        assert EXPECTED["design"].nunique() == 300
        assert (EXPECTED["variance"] == 0).sum() >= 50


class TestPublished:
    """Data sets that R carries; make_published.R gives lme4's variances to ten digits.

    Bates, Maechler, Bolker and Walker print Dyestuff, Penicillin and Pastes in the pages of lme4:
    standard deviations 42.00 and 49.51; 0.8467, 1.9316 and 0.5499; 2.9041, 1.2874 and 0.8234.
    """

    SETS: ClassVar = dict(list(pd.read_csv(REFERENCE / "published_data.csv").groupby("design")))
    EXPECTED: ClassVar = pd.read_csv(REFERENCE / "published_expected.csv", keep_default_na=False)
    PRINTED: ClassVar = {
        "Dyestuff": {"Batch": 42.00, "residual": 49.51},
        "Dyestuff2": {"Batch": 0.0, "residual": 3.7157},
        "Penicillin": {"plate": 0.8467, "sample": 1.9316, "residual": 0.5499},
        "Pastes": {"batch:cask": 2.9041, "batch": 1.2874, "residual": 0.8234},
    }

    def found(self, name):
        table = self.SETS[name]
        levels = [dict(part.split("=") for part in row.split()) for row in table["levels"]]
        chosen = self.EXPECTED[self.EXPECTED["design"] == name].iloc[0]
        return variance_components(
            pd.DataFrame(levels).assign(y=table["y"].to_numpy()),
            value="y",
            random=chosen["random"].split(),
            fixed=chosen["fixed"].split(),
        ).set_index("component")

    @pytest.mark.parametrize("name", SETS)
    def test_lme4(self, name):
        expected = self.EXPECTED[self.EXPECTED["design"] == name].set_index("component")["variance"]
        variance = self.found(name)["variance"][expected.index]
        np.testing.assert_allclose(variance, expected, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("name", PRINTED)
    def test_as_printed(self, name):
        found = self.found(name)["sd"]
        for component, sd in self.PRINTED[name].items():
            assert found[component] == pytest.approx(sd, abs=0.6 * 10 ** -(2 if sd > 10 else 4))


class TestAgainstMeanSquares:
    def test_balanced_crossed_by_hand(self):
        table = crossed()
        found = components(table)["variance"]
        squares = anova(table, "dice ~ C(case) + C(init)")["mean_square"]
        assert found["case"] == pytest.approx((squares[0] - squares[2]) / 4, rel=1e-10)
        assert found["init"] == pytest.approx((squares[1] - squares[2]) / 6, rel=1e-10)
        assert found["residual"] == pytest.approx(squares[2], rel=1e-12)
        assert found["total"] == pytest.approx(found.iloc[:3].sum())

    @pytest.mark.parametrize("random", [["case"], CROSSED, ["case/init"], [*CROSSED, "case:init"]])
    def test_balanced_reml_equals_mean_squares(self, random):
        table, rng = layout(7, 5, 3), np.random.default_rng(5)
        effects = [2.0 * rng.normal(size=size) for size in (7, 5, 35)]
        case, init = table["case"].to_numpy(), table["init"].to_numpy()
        parts = (effects[0][case], effects[1][init], effects[2][case * 5 + init])
        table["dice"] = sum(parts) + rng.normal(size=len(table)) + 1e6
        reml, squares = (components(table, random, method=name) for name in ("reml", "anova"))
        np.testing.assert_allclose(reml["variance"], squares["variance"], rtol=1e-9)

    def test_mean_squares_are_unbiased_with_missing_cells(self):
        table, rng = layout(8, 5, 2, 0.6, seed=3), np.random.default_rng(6)
        random, sds = [*CROSSED, "case:init"], [1.0, 0.5, 0.8]
        found = []
        for _ in range(400):
            table["dice"] = simulated(table, random, sds, rng)
            found.append(fit_components(table, value="dice", random=random, method="anova").raw)
        scale = fit_components(table, value="dice", random=random, method="anova").scale
        assert scale > 0
        means = np.array([raw / raw.sum() for raw in found]).mean(axis=0)
        assert means[-1] == pytest.approx(1 / (1 + 1 + 0.25 + 0.64), abs=0.06)

    def test_negative_mean_square_estimate_is_noted(self):
        table = layout(3, 3)
        table["dice"] = [1, 2, 3, 3, 1, 2, 2.1, 3, 1]
        row = components(table, method="anova").loc["case"]
        assert row["variance"] == 0
        assert row["note"].startswith("the mean squares give -")


class TestIntervals:
    def test_of_the_residual_is_chi_squared(self):
        row = components(crossed(12, 8, 0.7)).loc["residual"]
        fitted = fit_components(crossed(12, 8, 0.7), value="dice", random=CROSSED)
        left = fitted.data.sum_of_squares * fitted.scale**2
        exact = left / stats.chi2.ppf([0.975, 0.025], fitted.data.df)
        np.testing.assert_allclose([row["ci_low"], row["ci_high"]], exact, rtol=3e-3)

    def test_contain_the_estimate_and_widen_with_the_level(self):
        table = crossed(10, 6, 0.8)
        narrow, wide = (components(table, confidence_level=level) for level in (0.5, 0.99))
        assert (wide["ci_low"] <= narrow["ci_low"]).all()
        assert (narrow["ci_high"] <= wide["ci_high"]).all()
        assert ((wide["ci_low"] <= wide["variance"]) & (wide["variance"] <= wide["ci_high"])).all()

    def test_same_data_same_interval(self):
        pd.testing.assert_frame_equal(components(crossed()), components(crossed()))

    def test_at_a_boundary(self):
        table = layout(8, 4)
        table["dice"] = simulated(table, CROSSED, [2.0, 0.0], np.random.default_rng(21))
        row = components(table).loc["init"]
        assert row["variance"] == row["ci_low"] == 0
        assert 0 < row["ci_high"] < np.inf
        assert "at the boundary" in row["note"]

    def test_two_levels_give_a_wide_interval_not_a_made_up_one(self):
        row = components(crossed(9, 2)).loc["init"]
        assert row["ci_high"] > 100 * row["variance"]


class TestNothingVaries:
    @pytest.mark.parametrize("offset", [0.0, 0.1, 1e9])
    def test_bitwise_identical_repeats(self, offset):
        table = layout(6, 5)
        table["dice"] = np.random.default_rng(1).normal(size=6)[table["case"]] + offset
        found = components(table)
        assert (found.loc["residual", ["variance", "ci_low", "ci_high"]] == 0).all()
        assert found.loc["init", "variance"] == 0
        assert found.loc["case", "share"] == 1
        assert found.loc["case", "variance"] == pytest.approx(
            np.var(table.groupby("case")["dice"].first(), ddof=1), rel=1e-6
        )
        assert "with certainty" in found.loc["residual", "note"]
        assert "float64 rounding" in found.loc["init", "note"]

    def test_identical_repeats_within_every_cell(self):
        table = crossed()
        twice = pd.concat([table, table])
        once = components(table)["variance"]
        found = components(twice, [*CROSSED, "case:init"])["variance"]
        assert found["residual"] == 0
        np.testing.assert_allclose(found.iloc[:3], once.iloc[:3], rtol=1e-6)

    @pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 5e-324])
    @pytest.mark.parametrize("method", ["reml", "anova"])
    def test_constant(self, value, method):
        found = components(layout(4, 3).assign(dice=value), method=method)
        numbers = ["variance", "sd", "share", "ci_low", "ci_high", "share_low", "share_high"]
        assert found[numbers].isna().all(axis=None)
        assert found["note"].str.contains("the response is constant").all()

    def test_constant_beside_the_fixed_part(self):
        table = layout(4, 4)
        table["dice"] = np.where(table["init"] > 1, 0.3, 0.1)
        table["device"] = np.where(table["init"] > 1, "gpu", "cpu")
        assert components(table, ["case"], fixed=["device"])["variance"].isna().all()


class TestLikelihood:
    def test_slope_and_information_are_derivatives(self):
        table = crossed(5, 4, 0.8)
        factors = random_factors(table, CROSSED)
        data = contrasts(table["dice"].to_numpy(), fixed_columns(table, []), factors)
        at, step = np.array([0.5, 0.2, 0.8]), 1e-5
        found = likelihood(data, at)
        for place, direction in enumerate(step * np.eye(3)):
            ahead, behind = likelihood(data, at + direction), likelihood(data, at - direction)
            slope = (ahead.value - behind.value) / (2 * step)
            curve = (ahead.slope - behind.slope) / (2 * step)
            assert found.slope[place] == pytest.approx(slope, rel=1e-6)
            np.testing.assert_allclose(found.observed[place], -curve, rtol=1e-6)

    def test_is_that_of_the_error_contrasts_of_all_observations(self):
        table = crossed(5, 4, 0.8)
        factors = random_factors(table, CROSSED)
        y = table["dice"].to_numpy()
        data = contrasts(y, fixed_columns(table, []), factors)

        def dense(variances):
            covariance = variances[-1] * np.eye(len(y))
            for variance, factor in zip(variances, factors, strict=False):
                covariance += variance * (factor.codes[:, None] == factor.codes)
            inverse, ones = np.linalg.inv(covariance), np.ones(len(y))
            weight = ones @ inverse @ ones
            left = y - ones @ inverse @ y / weight
            return -(np.linalg.slogdet(covariance)[1] + np.log(weight) + left @ inverse @ left) / 2

        first, second = np.array([0.5, 0.2, 0.8]), np.array([1.5, 0.0, 0.3])
        gained = likelihood(data, first).value - likelihood(data, second).value
        assert gained == pytest.approx(dense(first) - dense(second), rel=1e-10)


class TestSymmetries:
    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(0, 10**6),
        st.sampled_from([-1e6, 0.0, 12345.0]),
        st.sampled_from([2.0**-300, 0.25, 2.0**300]),
    )
    def test_shift_scale_and_order(self, seed, shift, scale):
        table = crossed(5, 4, 0.8, seed=seed % 50)
        table["dice"] = np.round(table["dice"] * 1024) / 1024
        expected = components(table)["variance"]
        moved = table.assign(dice=(table["dice"] + shift) * scale)
        found = (
            components(moved.sample(frac=1, random_state=seed % 1000))["variance"] / scale / scale
        )
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * expected["total"])

    @pytest.mark.parametrize("scale", [1e-200, 1e200])
    def test_extreme_units_overflow_in_the_variance_alone(self, scale):
        expected, table = components(crossed()), crossed()
        found = components(table.assign(dice=table["dice"] * scale))
        np.testing.assert_allclose(found["sd"] / scale, expected["sd"], rtol=1e-12)
        np.testing.assert_allclose(found["share_low"], expected["share_low"], rtol=1e-9)


class TestGage:
    """A view of the same components."""

    def test_adds_up(self):
        table = crossed(10, 3, repeats=2)
        random = [*CROSSED, "case:init"]
        found = gage_repeatability_reproducibility(
            table, value="dice", part="case", random=random, tolerance=12.0
        ).set_index("source")
        variance = components(table, random)["variance"]
        assert found.loc["repeatability", "variance"] == variance["residual"]
        assert found.loc["reproducibility", "variance"] == pytest.approx(
            variance["init"] + variance["case:init"]
        )
        assert found.loc["gage", "share"] + found.loc["part", "share"] == pytest.approx(1)
        expected = 6 * found["sd"] / 12 * 100
        np.testing.assert_allclose(found["percent_tolerance"], expected)
        ratio = np.sqrt(2 * variance["case"] / found.loc["gage", "variance"])
        assert found.loc["part", "distinct_categories"] == pytest.approx(ratio)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"part": "cases"}, "unknown component 'cases'; did you mean 'case'"),
            ({"part": "case", "tolerance": 0.0}, "tolerance is 0.0"),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(InputError, match=message):
            gage_repeatability_reproducibility(crossed(), value="dice", random=CROSSED, **options)


class TestInput:
    @pytest.mark.parametrize(
        ("random", "message"),
        [
            ("case", r"random is 'case'; it must be a list of names, such as \['case'\]"),
            ([], "random names no factor"),
            (["cse"], "unknown column 'cse'; did you mean 'case'"),
            (["case", "case"], "random names 'case' twice"),
            ([*CROSSED, "case:init"], "'case:init' and the residual cannot be told apart"),
            (["case", "twin"], "'case' and 'twin' group the observations alike"),
            (["case", "one"], "factor 'one' has 1 level; at least 2"),
            (["hole"], "column 'hole' is empty in row 5"),
        ],
    )
    def test_random(self, random, message):
        table = crossed().sort_index().assign(one=1, hole=list("abcde") + [None] * 19)
        table["twin"] = table["case"] * 10
        with pytest.raises(InputError, match=message):
            components(table, random)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_value(self, bad):
        table = crossed()
        table.loc[7, "dice"] = bad
        with pytest.raises(InputError, match=rf"column 'dice' holds {bad} in row 7 \(1 such row"):
            components(table)

    def test_too_few(self):
        table = pd.DataFrame({"case": [1, 2], "init": [1, 2], "dice": [0.1, 0.2]})
        with pytest.raises(InputError, match="group the observations alike"):
            components(table)
        with pytest.raises(InputError, match=r"need more data|cannot be told apart"):
            components(table, ["case"])

    def test_a_fixed_part_that_leaves_nothing(self):
        table = crossed().assign(row=lambda t: t.index.astype(str))
        with pytest.raises(InputError, match="0 degrees of freedom are left"):
            components(table, fixed=["row"])

    @pytest.mark.parametrize("level", [0, 1, 95])
    def test_confidence_level(self, level):
        with pytest.raises(InputError, match="confidence_level"):
            components(crossed(), confidence_level=level)

    def test_method(self):
        with pytest.raises(InputError, match="method is 'ml'"):
            components(crossed(), method="ml")

    @pytest.mark.parametrize("table", [pd.DataFrame(), [1, 2]])
    def test_not_a_table(self, table):
        with pytest.raises(InputError, match="table must be a DataFrame"):
            components(table)

    def test_fixed_slope_with_an_offset_and_factor_of_numbers(self):
        table = crossed(8, 5).assign(started=lambda t: 1e9 + np.arange(len(t)) % 7)
        table["plain"] = table["started"] - 1e9
        first, second = (components(table, fixed=[name]) for name in ("started", "plain"))
        np.testing.assert_allclose(first["variance"], second["variance"], rtol=1e-9)
        table["seed"] = table["plain"].astype(int).map(lambda number: number * number)
        coded = components(table, fixed=["C(seed)"])
        np.testing.assert_allclose(
            coded["variance"], components(table.astype({"seed": str}), fixed=["seed"])["variance"]
        )


def test_the_total_against_r():
    """Graybill and Wang (1980) by R 4.2.2: mean squares of `anova(lm(y ~ s + r))` and `qchisq`.

    c <- c(1/4, 1/6, 1 - 1/4 - 1/6); G <- 1 - df / qchisq(.975, df); H <- df / qchisq(.025, df) - 1
    sum(c * ms) - sqrt(sum((G * c * ms)^2)); sum(c * ms) + sqrt(sum((H * c * ms)^2))
    """
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    table = pd.DataFrame(ratings).melt(ignore_index=False, var_name="r", value_name="y")
    found = variance_components(table.reset_index(names="s"), value="y", random=["s", "r"])
    total = found.iloc[-1]
    assert total["variance"] == pytest.approx(8.81944444444, rel=1e-10)
    assert total["ci_low"] == pytest.approx(4.75316934591, rel=1e-9)
    assert total["ci_high"] == pytest.approx(80.0884161424, rel=1e-9)
