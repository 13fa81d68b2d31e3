"""anova against R, NIST's certified sets, exact arithmetic and SciPy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.anova import anova
from tests.stats.reference import REFERENCE, beside, check, designs, read

DATA = designs("anova_data.csv")
EXPECTED = read("anova_expected.csv")
CASES = EXPECTED[["design", "formula", "typ"]].drop_duplicates().to_records(index=False).tolist()
SUMS = ["sum_of_squares", "df", "f", "p_value"]
COLUMNS = [
    *("source", "sum_of_squares", "df", "mean_square", "f", "p_value"),
    *("eta_squared", "partial_eta_squared", "omega_squared", "note"),
]

BALANCED = pd.DataFrame(
    {
        "init": np.repeat(["a", "b", "c"], 4),
        "device": np.tile(["cpu", "gpu"], 6),
        "seed": np.repeat([1, 2, 3], 4),
        "depth": np.tile([1.0, 2.0, 4.0], 4),
        "dice": [0.81, 0.84, 0.8, 0.86, 0.9, 0.91, 0.88, 0.93, 0.7, 0.75, 0.72, 0.71],
    }
)

groups = st.lists(
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=6), min_size=2, max_size=5
)


def long(samples):
    rows = [(f"g{i}", value) for i, sample in enumerate(samples) for value in sample]
    return pd.DataFrame(rows, columns=["group", "value"])


def one_way(samples):
    found = anova(long(samples), "value ~ group")
    assert list(found["source"]) == ["group", "Residual"]
    return found


def exact_one_way(samples):
    """Give the sums of squares of float64 values without rounding."""
    exact = [[Fraction(float(value)) for value in sample] for sample in samples]
    size = sum(map(len, exact))
    mean = sum(map(sum, exact)) / size
    means = [sum(sample) / len(sample) for sample in exact]
    between = sum(
        len(sample) * (centre - mean) ** 2 for sample, centre in zip(exact, means, strict=True)
    )
    within = sum(
        (value - centre) ** 2
        for sample, centre in zip(exact, means, strict=True)
        for value in sample
    )
    f = between / (len(exact) - 1) / (within / (size - len(exact)))
    return float(between), float(within), float(f)


def simon_lesage(replicates, leading):
    """Build NIST's SmLs sets from decimals, as Simon and Lesage (1989) constructed them."""

    def decimal(tenths):
        return float(f"{leading}.{tenths}")

    bases = [4, 3, 5, 3, 5, 3, 5, 3, 5]
    return [
        [decimal(base), *[decimal(base - 1), decimal(base + 1)] * ((replicates - 1) // 2)]
        for base in bases
    ]


def nist(name):
    """Read a NIST file: the data, and its certified sums of squares and F."""
    lines = (REFERENCE / "nist" / f"{name}.dat").read_text(encoding="utf-8").splitlines()
    between, within = (line.split() for line in lines if line.startswith(("Between ", "Within ")))
    start = max(i for i, line in enumerate(lines) if line.startswith("Data:")) + 1
    pairs = [line.split() for line in lines[start:] if line.strip()]
    samples = [[float(y) for level, y in pairs if level == name] for name in sorted(dict(pairs))]
    return samples, float(between[-3]), float(within[-2]), float(between[-1])


class TestAgainstR:
    """stats::anova (type 1) and car 3.1.1 (types 2 and 3) under R 4.2.2; make_anova.R."""

    def test_sums_of_squares(self):
        expected = EXPECTED.replace({"source": {"Residuals": "Residual"}})
        cases = expected.groupby(["design", "formula", "typ"], sort=False)
        found = [anova(DATA[design], formula, typ=typ) for (design, formula, typ), _ in cases]
        joined = beside(expected, found)
        assert (joined["source"] == joined["source_found"]).all()
        # R decomposes the numbers as they are: an offset of a million costs it six digits of 16.
        moved = joined["design"].map(
            lambda name: abs(DATA[name]["y"].mean()) > 1e5 * DATA[name]["y"].std()
        )
        check(joined[moved], SUMS, relative=1e-8)
        check(joined[~moved], SUMS, relative=1e-10)
        assert expected["design"].nunique() == 101

    @pytest.mark.parametrize("typ", [1, 2])
    def test_empty_cells_are_noted(self, typ):
        found = anova(DATA["empty_cell"], "y ~ a * b", typ=typ)
        row = found.set_index("source").loc["a:b"]
        assert row["df"] == 1
        assert "1 degree of freedom lost" in row["note"]


class TestNist:
    """Certified values of the Statistical Reference Datasets, analysis of variance."""

    @pytest.mark.parametrize(("name", "digits"), [("SiRstv", 13), ("AtmWtAg", 9)])
    def test_observed_data(self, name, digits):
        # AtmWtAg has seven leading digits in common: its decimals, read as float64, hold F to
        # about ten digits. test_exact shows that none of those is lost.
        samples, between, within, f = nist(name)
        found = one_way(samples)
        assert found["sum_of_squares"][0] == pytest.approx(between, rel=10.0**-digits)
        assert found["sum_of_squares"][1] == pytest.approx(within, rel=10.0**-digits)
        assert found["f"][0] == pytest.approx(f, rel=10.0**-digits)

    @pytest.mark.parametrize("replicates", [21, 201, 2001])
    @pytest.mark.parametrize("leading", [1, 10**6, 10**12])
    def test_simon_lesage(self, replicates, leading):
        """SmLs01 to SmLs09: certified F is the number of replicates, SS 0.08 times that and 0.09.

        Reading the decimals as float64 moves each by up to half a spacing, and so the deviations
        of 0.1 that make up the sums by up to that share; test_exact shows that nothing else is
        lost.
        """
        found = one_way(simon_lesage(replicates, leading))
        input_error = np.spacing(float(leading)) / 0.1 + 1e-13
        assert found["df"].tolist() == [8, 9 * (replicates - 1)]
        within = 0.09 * (replicates - 1)
        assert found["sum_of_squares"].tolist() == pytest.approx(
            [0.08 * replicates, within], rel=input_error
        )
        assert found["f"][0] == pytest.approx(replicates, rel=2 * input_error)

    @pytest.mark.parametrize("leading", [1, 10**6, 10**12])
    @pytest.mark.parametrize("replicates", [21, 201])
    def test_exact(self, replicates, leading):
        samples = simon_lesage(replicates, leading)
        between, within, f = exact_one_way(samples)
        found = one_way(samples)
        assert found["sum_of_squares"].tolist() == pytest.approx([between, within], rel=1e-14)
        assert found["f"][0] == pytest.approx(f, rel=1e-14)

    @pytest.mark.parametrize("name", ["SiRstv", "AtmWtAg"])
    def test_exact_on_observed_data(self, name):
        samples = nist(name)[0]
        assert one_way(samples)["f"][0] == pytest.approx(exact_one_way(samples)[2], rel=1e-14)


class TestOneWay:
    @given(groups, st.sampled_from([0.0, 1e6, 1e9]))
    def test_exact(self, samples, offset):
        table = long(samples)
        assume(len(table) > len(samples))
        assume(any(len(set(sample)) > 1 for sample in samples))
        shifted = [[value + offset for value in sample] for sample in samples]
        between, within, f = exact_one_way(shifted)
        found = one_way(shifted)
        assert found["sum_of_squares"][0] == pytest.approx(between, rel=1e-12, abs=1e-12)
        assert found["sum_of_squares"][1] == pytest.approx(within, rel=1e-12)
        assert found["f"][0] == pytest.approx(f, rel=1e-11, abs=1e-11)

    def test_scipy(self):
        samples = [np.random.default_rng(i).normal(loc=i / 3, size=5 + i) for i in range(4)]
        expected = stats.f_oneway(*samples)
        found = one_way(samples)
        assert found["f"][0] == pytest.approx(expected.statistic, rel=1e-12)
        assert found["p_value"][0] == pytest.approx(expected.pvalue, rel=1e-12)

    @given(groups, st.randoms(use_true_random=False))
    def test_order_of_rows(self, samples, random):
        table = long(samples)
        assume(len(table) > len(samples))
        shuffled = table.iloc[random.sample(range(len(table)), len(table))]
        found, expected = (anova(each, "value ~ group") for each in (shuffled, table))
        np.testing.assert_allclose(
            found[COLUMNS[1:-1]], expected[COLUMNS[1:-1]], rtol=1e-9, atol=1e-11
        )

    @given(groups, st.sampled_from([-3.0, 1e-6, 2.0**900]))
    def test_scale(self, samples, scale):
        assume(sum(map(len, samples)) > len(samples))
        found = one_way([[value * scale for value in sample] for sample in samples])
        expected = one_way(samples)
        ratios = COLUMNS[4:-1]
        np.testing.assert_allclose(found[ratios], expected[ratios], rtol=1e-9, atol=1e-11)


class TestEffectSizes:
    def test_columns(self):
        found = anova(BALANCED, "dice ~ init * device")
        assert list(found.columns) == COLUMNS
        assert list(found["source"]) == ["init", "device", "init:device", "Residual"]
        assert (found["note"] == "").all()

    def test_balanced_shares_add_up(self):
        found = anova(BALANCED, "dice ~ init * device")
        total = np.var(BALANCED["dice"]) * len(BALANCED)
        assert found["sum_of_squares"].sum() == pytest.approx(total, rel=1e-13)
        residual = found["sum_of_squares"].iloc[-1] / total
        assert found["eta_squared"].sum() + residual == pytest.approx(1, rel=1e-13)

    def test_definitions(self):
        """Kirk, "Experimental Design" (2013): omega squared from F, df and n; likewise eta."""
        found = anova(BALANCED, "dice ~ init")
        f, n = found["f"][0], len(BALANCED)
        assert found["omega_squared"][0] == pytest.approx(2 * (f - 1) / (2 * (f - 1) + n))
        assert found["eta_squared"][0] == pytest.approx(2 * f / (2 * f + n - 3))
        assert found["partial_eta_squared"][0] == pytest.approx(found["eta_squared"][0])

    @pytest.mark.parametrize("formula", ["dice ~ init * device", "dice ~ init + device"])
    def test_types_agree_on_balanced_data(self, formula):
        first, second, third = (anova(BALANCED, formula, typ=typ) for typ in (1, 2, 3))
        for other in (second, third):
            np.testing.assert_allclose(first[COLUMNS[1:-1]], other[COLUMNS[1:-1]], rtol=1e-11)


class TestNoResidual:
    def table(self, noise=0.0):
        table = BALANCED.copy()
        table["dice"] = table["init"].map({"a": 0.1, "b": 0.2, "c": 0.3}) + noise
        return table

    @pytest.mark.parametrize("offset", [0.0, 1e9])
    def test_exactly_none(self, offset):
        found = anova(self.table(offset), "dice ~ init")
        assert found["f"][0] == np.inf
        assert found["p_value"][0] == 0
        assert found["sum_of_squares"][1] == 0
        assert list(found.loc[0, COLUMNS[6:9]]) == [1, 1, 1]
        assert "no residual" in found["note"][0]

    @pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 1, 2]])
    def test_none_but_the_rounding_of_the_projection(self, order):
        table = long([[1.0], [0.0], [0.0], [0.0, 0.0]]).iloc[order]
        found = anova(table, "value ~ group")
        assert found["sum_of_squares"][1] == 0
        assert found["f"][0] == np.inf

    def test_none_but_rounding(self):
        table = self.table()
        table["dice"] += table["device"].map({"cpu": 0.1, "gpu": 0.7})
        found = anova(table, "dice ~ init + device")
        assert (found["f"][:2] == np.inf).all()
        assert found["sum_of_squares"][2] == 0

    def test_a_term_without_effect(self):
        found = anova(self.table(), "dice ~ init + device").set_index("source")
        assert found.loc["init", "f"] == np.inf
        assert np.isnan(found.loc["device", "f"])
        assert "0/0" in found.loc["device", "note"]

    @pytest.mark.parametrize("value", [0.0, 0.1, 1e300, 5e-324])
    def test_constant_response(self, value):
        found = anova(BALANCED.assign(dice=value), "dice ~ init * device")
        assert (found["sum_of_squares"] == 0).all()
        assert found[["f", "p_value", "eta_squared"]].isna().all(axis=None)
        assert found["note"][:3].str.contains("the response is constant").all()


class TestFormula:
    def test_whole_numbers_are_a_slope_and_noted(self):
        slope, factor = (anova(BALANCED, f"dice ~ {seed}") for seed in ("seed", "C(seed)"))
        assert slope["df"][0] == 1
        assert "write C(...) for a factor" in slope["note"][0]
        assert factor["df"][0] == 2
        assert factor["note"][0] == ""

    def test_transformed_response_and_quoted_names(self):
        table = BALANCED.rename(columns={"dice": "mean dice"})
        found = anova(table, "np.log(Q('mean dice')) ~ init")
        expected = anova(BALANCED.assign(dice=np.log(BALANCED["dice"])), "dice ~ init")
        np.testing.assert_allclose(found[SUMS], expected[SUMS], rtol=1e-12)

    def test_a_covariate_with_an_offset(self):
        table = BALANCED.assign(started=BALANCED["depth"] + 2.0**40)
        found, expected = (anova(table, f"dice ~ init + {name}") for name in ("started", "depth"))
        np.testing.assert_allclose(found[SUMS], expected[SUMS], rtol=1e-12)

    def test_a_covariate_given_twice(self):
        table = BALANCED.assign(twice=BALANCED["depth"] * 2)
        found = anova(table, "dice ~ depth + twice")
        assert list(found["df"]) == [0, 0, 10]
        assert found["note"][:2].str.contains("1 degree of freedom lost").all()

    def test_levels_that_do_not_occur(self):
        table = BALANCED.astype({"init": pd.CategoricalDtype(["a", "b", "c", "z"])})
        np.testing.assert_allclose(
            anova(table, "dice ~ init")[SUMS], anova(BALANCED, "dice ~ init")[SUMS]
        )

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("dice ~ inti", "formula: unknown column 'inti'; did you mean 'init'"),
            ("dce ~ init", "unknown column 'dce'; did you mean 'dice'"),
            ("dice ~ C(devise)", "unknown column 'devise'; did you mean 'device'"),
            ("dice ~ Q('in it')", "unknown column 'in it'"),
            ("dice ~ shuffle(init)", "unknown column 'shuffle'"),
            ("dice ~ init +", "cannot be read"),
            ("dice", "needs one response"),
            ("~ init", "needs one response"),
            ("dice ~ 1", "names no term"),
            ("dice ~ init - 1", "removes the intercept"),
            ("init ~ device", "must be one column of numbers"),
            ("dice ~ init * device * C(depth)", "leaves no residual: 12 observations for"),
            ("dice ~ np.log(seed - 1)", "not finite in 4 observations, first at position 0"),
        ],
    )
    def test_refused(self, formula, message):
        with pytest.raises(InputError, match=message):
            anova(BALANCED, formula)

    @pytest.mark.parametrize("typ", [0, 4, "II"])
    def test_type(self, typ):
        with pytest.raises(InputError, match="typ is"):
            anova(BALANCED, "dice ~ init", typ=typ)


class TestInput:
    @pytest.mark.parametrize("column", ["dice", "init"])
    def test_missing_value(self, column):
        table = BALANCED.copy()
        table.loc[4, column] = None
        message = rf"column '{column}' is missing in row 4 \(1 of 12 rows\).*dropna\(subset="
        with pytest.raises(InputError, match=message):
            anova(table, "dice ~ init")

    def test_missing_elsewhere_does_not_matter(self):
        table = BALANCED.assign(depth=np.nan)
        assert np.isfinite(anova(table, "dice ~ init")["f"][0])

    def test_infinite_response(self):
        table = BALANCED.copy()
        table.loc[4, "dice"] = np.inf
        with pytest.raises(InputError, match=r"response .* is not finite in 1 observation"):
            anova(table, "dice ~ init")

    def test_one_level(self):
        with pytest.raises(InputError, match="factor init has one level, 'a'"):
            anova(BALANCED[BALANCED["init"] == "a"], "dice ~ init + device")

    def test_a_slope_that_does_not_vary(self):
        with pytest.raises(InputError, match="depth does not vary"):
            anova(BALANCED.assign(depth=0.1), "dice ~ init + depth")

    @pytest.mark.parametrize("table", [BALANCED.iloc[:0], BALANCED.to_dict("list")])
    def test_not_a_table(self, table):
        with pytest.raises(InputError, match="table must be a DataFrame"):
            anova(table, "dice ~ init")


def test_term_without_effect_in_an_exact_fit_has_a_share_of_0():
    table = pd.DataFrame(
        {"a": list("xxyyzz"), "b": list("pqpqpq"), "value": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]}
    )
    row = anova(table, "value ~ C(a) + C(b)").set_index("source").loc["C(b)"]
    assert row["eta_squared"] == row["omega_squared"] == 0
    assert np.isnan(row["partial_eta_squared"])  # 0 of 0: neither the term nor the residual
