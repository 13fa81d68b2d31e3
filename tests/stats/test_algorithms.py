"""Comparison of algorithms: against outside numbers, by simulation, and on input that cannot do."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reprostats import adjust_p_values, compare_algorithms
from reprostats.errors import InputError
from reprostats.stats.algorithms import GENERALISATIONS, compare_matrices
from reprostats.stats.contrast import Contrast
from reprostats.stats.pooled import by_likelihood
from reprostats.stats.stand_in import stand_in
from tests.shared import SHARED, needs

REFERENCE = SHARED / "reference" / "mrmc" / "continuous"
COLUMNS = {"value": "dice", "algorithm": "model", "run": "seed", "case": "case", "runs": "nested"}
PAIRS = {**COLUMNS, "runs": "crossed"}


def simulated(generator, *, runs=3, cases=20, run_sd=0.0, pair_sd=0.0, names="ab"):
    """Make a matrix of runs x cases for each algorithm; all have the same expectation."""
    by_case = generator.normal(size=cases)
    matrices = {}
    for name in names:
        of_run = run_sd * generator.normal(size=(runs, 1))
        of_pair = pair_sd * generator.normal(size=cases)
        values = by_case + of_run + of_pair + generator.normal(size=(runs, cases))
        matrices[name] = pd.DataFrame(values)
    return matrices


def long(**changes) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "model": ["a"] * 6 + ["b"] * 6,
            "seed": [1, 1, 1, 2, 2, 2] * 2,
            "case": [*"xyz"] * 4,
            "dice": [0.80, 0.70, 0.90, 0.84, 0.73, 0.93, 0.70, 0.62, 0.79, 0.75, 0.64, 0.83],
        }
    )
    return table.assign(**changes)


# Designs of the reference whose cells are all there, and others. d14 (identical runs), d16 (two
# shared seeds) and d31 (one run) have tests of their own.
COMPLETE = [
    *[(f"d{n:02}", "nested") for n in (1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 13, 15, 22, 32)],
    *[(f"d{n}", "crossed") for n in (17, 18, 20, 21)],
]
INCOMPLETE = [*[(f"d{n}", "nested") for n in (24, 25, 26, 28)], ("d29", "crossed")]
OF_TWO = [case for case in COMPLETE if case[0] not in ("d05", "d06", "d07", "d12", "d18")]


@needs("reference/mrmc")
class TestAuthority:
    """All designs of the reference: mean squares and REML by other hands, lmerTest, pbkrtest."""

    def table(self, design: str) -> pd.DataFrame:
        return pd.read_csv(REFERENCE / "data" / f"{design}.csv")

    def compared(self, design: str, **options) -> pd.DataFrame:
        return compare_algorithms(
            self.table(design), value="score", algorithm="algorithm", run="run", case="case",
            margin=0.5, **options,
        )  # fmt: skip

    def check(self, rows: pd.DataFrame, design: str, method: str, rel: float = 1e-8) -> None:
        expected = pd.read_csv(REFERENCE / "expected.csv")
        known = expected[(expected["design"] == design) & (expected["method"] == method)]
        known = known.set_index("contrast")
        names = {"difference": "estimate", "se": "se", "df": "df", "p_value": "p_value",
                 "ci_low": "ci_low", "ci_high": "ci_high"}  # fmt: skip
        for row in rows.to_dict("records"):
            there = known.loc[f"{row['first']} - {row['second']}"]
            for ours, theirs in names.items():
                if math.isfinite(there[theirs]):
                    assert row[ours] == pytest.approx(there[theirs], rel=rel), (row["first"], ours)

    @pytest.mark.parametrize(("design", "runs"), COMPLETE)
    def test_complete_data(self, design, runs):
        rows = self.compared(design, runs=runs)
        self.check(rows, design, "anova_linear_weights")

    @pytest.mark.parametrize(("design", "runs"), COMPLETE)
    def test_published_standard_beside(self, design, runs):
        rows = self.compared(design, runs=runs)
        expected = pd.read_csv(REFERENCE / "expected.csv")
        known = expected[(expected["design"] == design) & (expected["method"] == "anova_hillis")]
        np.testing.assert_allclose(rows["df_hillis"], known["df"], rtol=1e-8)
        np.testing.assert_allclose(rows["p_hillis"], known["p_value"], rtol=1e-8)

    @pytest.mark.parametrize(("design", "runs"), INCOMPLETE)
    def test_missing_cells_and_unequal_numbers(self, design, runs):
        rows = self.compared(design, runs=runs)
        assert rows["note"].str.contains("estimated by restricted maximum likelihood").all()
        self.check(rows, design, f"reml_{runs}_linear_weights", rel=2e-7)

    @pytest.mark.parametrize(("design", "runs"), [*COMPLETE, *INCOMPLETE, ("d16", "crossed")])
    def test_likelihood_gives_the_same_where_mean_squares_would_do(self, design, runs):
        table = self.table(design)
        matrices = {
            name: part.pivot_table(index="run", columns="case", values="score")
            for name, part in table.groupby("algorithm", sort=False)
        }
        pairs = len(table.drop_duplicates(["algorithm", "run"])) - len(matrices)
        run_df = pairs - (table["run"].nunique() - 1 if runs == "crossed" else 0)
        analysis = by_likelihood(matrices, runs, run_df)
        rows = []
        for first, second in combinations(matrices, 2):
            contrast = analysis.contrast(first, second, strict=False)
            rows.append({"first": first, "second": second, "difference": contrast.difference,
                         "se": contrast.se})  # fmt: skip
        expected = pd.read_csv(REFERENCE / "expected.csv").query(
            f"design == {design!r} and method == 'reml_{runs}_linear_weights'"
        )
        for row in rows:
            there = expected[expected["contrast"] == f"{row['first']} - {row['second']}"]
            for known in there.to_dict("records"):  # of some designs not every contrast is known
                assert row["difference"] == pytest.approx(known["estimate"], rel=1e-6)
                assert row["se"] == pytest.approx(known["se"], rel=1e-6)

    @pytest.mark.parametrize(("design", "runs"), COMPLETE)
    def test_strict_p_values_are_what_is_adjusted(self, design, runs):
        rows = self.compared(design, runs=runs)
        expected = pd.read_csv(REFERENCE / "expected.csv")
        method = "anova_cochran_cox" if len(rows) > 1 else "anova_linear_weights"
        known = expected[(expected["design"] == design) & (expected["method"] == method)]
        adjusted = adjust_p_values(known["p_value"].to_numpy())
        np.testing.assert_allclose(rows["p_adjusted"], adjusted, rtol=1e-7)

    @pytest.mark.parametrize(("design", "runs"), [case for case in OF_TWO if case[0] != "d22"])
    def test_these_networks(self, design, runs):
        rows = self.compared(design, runs=runs, generalise_to="cases")
        self.check(rows, design, "cases_only (runs fixed)")

    @pytest.mark.parametrize(
        ("design", "runs"), [case for case in OF_TWO if case[1] == "crossed"] + [("d16", "crossed")]
    )
    def test_these_cases_with_shared_seeds(self, design, runs):
        rows = self.compared(design, runs=runs, generalise_to="runs")
        self.check(rows, design, "runs_only (cases fixed)")

    @pytest.mark.parametrize(("design", "runs"), [case for case in COMPLETE if case[0] != "d22"])
    def test_equivalence(self, design, runs):
        rows = self.compared(design, runs=runs)
        expected = pd.read_csv(REFERENCE / "expected.csv")
        method = "anova_linear_weights_tost_margin_0.5"
        known = expected[(expected["design"] == design) & (expected["method"] == method)]
        np.testing.assert_allclose(rows["p_equivalence"], known["p_value"], rtol=1e-8)

    def test_two_shared_seeds_weigh_quantiles(self):
        rows = self.compared("d16", runs="crossed")
        assert math.isnan(rows["df"].iloc[0])
        self.check(rows.assign(df=math.nan), "d16", "anova_cochran_cox", rel=1e-7)

    def test_runs_equal_up_to_rounding_are_one(self):
        row = self.compared("d14", runs="nested", generalise_to="runs").iloc[0]
        assert (row["n_runs_first"], row["n_runs_second"]) == (1, 1)
        assert math.isnan(row["p_value"])

    def test_one_run_of_each_says_nothing_of_trainings(self):
        row = self.compared("d31", runs="nested").iloc[0]
        assert math.isnan(row["p_value"])
        assert "nothing can be said of other trainings" in row["note"]
        networks = self.compared("d31", runs="nested", generalise_to="cases")
        self.check(networks, "d31", "cases_only")

    def test_the_spread_of_others_stands_in_for_one_run(self):
        rows = self.compared("d26", runs="nested")
        self.check(rows, "d26", "reml_nested_linear_weights", rel=2e-7)
        alone = (rows["first"] == "A") | (rows["second"] == "A")
        assert alone.sum() == 2
        said = "the spread of the trainings of B, C stands in for that of A: one training"
        assert (rows["note"].str.contains(said) == alone).all()


def test_run_means_are_welchs_test():
    """R: t.test(c(.81, .8366667), c(.7033333, .74)), by hand from its formulas."""
    row = compare_algorithms(long(), **COLUMNS, generalise_to="runs").iloc[0]
    first, second = np.array([2.40, 2.50]) / 3, np.array([2.11, 2.22]) / 3
    se = (first.var(ddof=1) / 2 + second.var(ddof=1) / 2) ** 0.5
    assert row["se"] == pytest.approx(se)
    assert row["difference"] == pytest.approx(first.mean() - second.mean())


class TestRunFactors:
    """Runs that share the split of the data: nested runs, worked by hand from mean squares."""

    def table(self, sd=1.0):
        generator = np.random.default_rng(3)
        rows = [
            [name, f"{name}{split}{init}", split, value]
            for name in "ab"
            for split, shift in enumerate(sd * generator.normal(size=4))
            for init, value in enumerate(shift + 0.1 * generator.normal(size=3))
        ]
        return pd.DataFrame(rows, columns=["model", "run", "split", "dice"])

    def compared(self, table, **options):
        columns = {"value": "dice", "algorithm": "model", "run": "run", "generalise_to": "runs"}
        return compare_algorithms(table, **columns, **options).iloc[0]

    def test_variance_is_that_of_the_means_of_splits(self):
        table = self.table()
        row = self.compared(table, run_factors=["split"])
        means = table.pivot_table(index="model", columns="split", values="dice")
        # With 3 runs a split, Var(mean) = MS(split) / 12 = the variance of split means over 4.
        variances = means.var(axis=1) / 4
        assert row["se"] == pytest.approx(variances.sum() ** 0.5, rel=1e-9)
        assert row["df"] < 2 * 3 + 1  # of splits, not the 22 of runs
        assert row["se"] > 1.5 * self.compared(table)["se"]

    def test_a_run_has_one_level(self):
        table = self.table()
        doubled = pd.concat([table.assign(case=1), table.assign(case=2, split=9)])
        with pytest.raises(InputError, match="has two levels of split"):
            self.compared(doubled, case="case", run_factors=["split"])

    @pytest.mark.parametrize("factors", ["split", ["splits"]])
    def test_bad_columns(self, factors):
        with pytest.raises(InputError, match=r"must be a list of names|did you mean 'split'"):
            self.compared(self.table(), run_factors=factors)


class TestLabelsOfRuns:
    def test_shared_labels_are_a_question(self):
        columns = {name: value for name, value in COLUMNS.items() if name != "runs"}
        with pytest.raises(InputError, match="say runs='crossed'; if the labels are mere numbers"):
            compare_algorithms(long(), **columns)

    def test_labels_of_one_algorithm_are_nested(self):
        table = long()
        named = table.assign(seed=table["model"] + table["seed"].astype(str))
        columns = {name: value for name, value in COLUMNS.items() if name != "runs"}
        pd.testing.assert_frame_equal(
            compare_algorithms(named, **columns), compare_algorithms(long(), **COLUMNS)
        )


class TestEffectSize:
    def test_hedges_g_of_run_means(self):
        """g of two groups (R's effectsize::hedges_g): J = gamma(m/2) / gamma((m-1)/2) sqrt(2/m)."""
        first, second = [0.80, 0.84, 0.79], [0.70, 0.74, 0.77]
        table = pd.DataFrame(
            {"model": ["a"] * 3 + ["b"] * 3, "seed": range(6), "dice": [*first, *second]}
        )
        row = compare_algorithms(
            table, value="dice", algorithm="model", run="seed", generalise_to="runs"
        ).iloc[0]
        sd = ((np.var(first, ddof=1) + np.var(second, ddof=1)) / 2) ** 0.5
        exact = math.gamma(2) / math.gamma(1.5) * (2 / 4) ** 0.5
        assert exact == pytest.approx(0.797885, rel=1e-6)  # sqrt(2 / pi), for 4 df
        assert row["sd"] == pytest.approx(sd)
        assert row["effect_size"] == pytest.approx((np.mean(first) - np.mean(second)) / sd * exact)

    def test_adjusted_interval_is_bonferronis(self):
        table = pd.DataFrame({
            "model": [*"aaabbbccc"], "seed": range(9),
            "dice": [0.80, 0.84, 0.79, 0.70, 0.74, 0.77, 0.5, 0.55, 0.61]})  # fmt: skip
        options = {"value": "dice", "algorithm": "model", "run": "seed", "generalise_to": "runs"}
        rows = compare_algorithms(table, **options)
        stricter = compare_algorithms(table, **options, confidence_level=1 - 0.05 / 3)
        np.testing.assert_allclose(rows["ci_low_adjusted"], stricter["ci_low"], rtol=1e-9)
        np.testing.assert_allclose(rows["ci_high_adjusted"], stricter["ci_high"], rtol=1e-9)


class TestOneRunAmongOthers:
    """The pooled spread of the trainings of the other algorithms stands in."""

    NOTE = "stands in for that of a: one training"

    def matrices(self, runs=(1, 4, 3), cases=12, seed=4):
        generator = np.random.default_rng(seed)
        settings = {"cases": cases, "run_sd": 0.5, "runs": max(runs)}
        matrices = simulated(generator, **settings, names="abc")
        return {name: matrices[name].iloc[:n] for name, n in zip("abc", runs, strict=True)}

    def rows(self, matrices, **options):
        rows = compare_matrices(matrices, **options)
        return rows.set_index(["first", "second"])

    def test_runs_nested_is_the_anova_of_run_means(self):
        """R: t of summary(emmeans(lm(mean ~ algorithm), pairwise ~ algorithm)): pooled SD."""
        matrices = self.matrices()
        row = self.rows(matrices, generalise_to="runs").loc[("a", "b")]
        means = [matrix.mean(axis=1) for matrix in matrices.values()]
        pooled = (3 * means[1].var(ddof=1) + 2 * means[2].var(ddof=1)) / 5
        assert row["se"] == pytest.approx((pooled * (1 + 1 / 4)) ** 0.5)
        assert row["df"] == pytest.approx(5)
        assert row["sd"] == pytest.approx(pooled**0.5)
        assert "the spread of the trainings of b, c " + self.NOTE in row["note"]
        welch = self.rows(matrices, generalise_to="runs").loc[("b", "c")]
        assert welch["note"] == ""

    def test_runs_crossed_is_two_way(self):
        """Seeds 0 of all, 1 and 2 of b and c: the residual of seeds by b and c, 2 df."""
        matrices = self.matrices(runs=(1, 3, 3))
        row = self.rows(matrices, runs="crossed", generalise_to="runs").loc[("a", "c")]
        means = [matrices[name].mean(axis=1) for name in "bc"]
        residual = (means[0] - means[1]).var(ddof=1) / 2
        assert row["se"] == pytest.approx((2 * residual) ** 0.5)
        assert row["df"] == pytest.approx(2)
        assert self.NOTE in row["note"]

    def test_two_algorithms(self):
        matrices = self.matrices()
        del matrices["c"]
        for what in ("runs", "runs and cases"):
            row = self.rows(matrices, generalise_to=what).iloc[0]
            means = matrices["b"].mean(axis=1)
            of_runs = means.var(ddof=1) * (1 + 1 / 4)
            assert row["se"] >= of_runs**0.5 * (1 - 1e-12)
            assert row["note"] == f"the spread of the trainings of b {self.NOTE}"
        assert row["sd"] == pytest.approx(means.std(ddof=1))

    def test_two_algorithms_with_shared_seeds_have_one_pair(self):
        matrices = self.matrices()
        del matrices["c"]
        for what in ("runs", "runs and cases"):
            row = self.rows(matrices, runs="crossed", generalise_to=what).iloc[0]
            assert math.isnan(row["p_value"])
            assert "nothing can be said of other trainings" in row["note"]

    def test_data_too_large_for_likelihood_are_compared_by_pairs(self):
        matrices = self.matrices(cases=400)
        rows = self.rows(matrices)
        assert not rows["note"].str.contains("likelihood").any()
        row, of_runs = rows.loc[("a", "b")], self.rows(matrices, generalise_to="runs")
        assert self.NOTE in row["note"]
        assert row["se"] >= of_runs.loc[("a", "b"), "se"]

    def test_missing_cells_do_not_matter(self):
        matrices = {name: matrix.astype(float) for name, matrix in self.matrices().items()}
        for matrix in matrices.values():
            matrix.iloc[:, 0] = np.nan
            matrix.iloc[0, 1] = np.nan
        rows = self.rows(matrices)
        assert rows["p_value"].notna().all()
        assert self.NOTE in rows.loc[("a", "b"), "note"]

    def test_cases_alone_need_no_spread_of_runs(self):
        rows = self.rows(self.matrices(), generalise_to="cases")
        assert (rows["note"] == "").all()

    def test_equal_runs_are_no_single_run(self):
        """They show a fixed seed: what other trainings would do is not known, whoever else did."""
        matrices = self.matrices()
        matrices["a"] = pd.concat([matrices["a"]] * 2, ignore_index=True)
        for what in ("runs", "runs and cases"):
            row = self.rows(matrices, generalise_to=what).loc[("a", "b")]
            assert math.isnan(row["p_value"])

    def test_others_that_do_not_vary_lend_nothing(self):
        matrices = self.matrices()
        for name in "bc":
            matrices[name] = matrices[name] - matrices[name].to_numpy().mean(axis=1, keepdims=True)
            matrices[name] = matrices[name].round(0) * 0 + np.arange(12.0)
        row = self.rows(matrices, generalise_to="runs").loc[("a", "b")]
        assert math.isnan(row["p_value"])

    def test_error_rate(self):
        """600 tables without a difference: 5 % within three standard errors, 0.9 points each."""
        generator = np.random.default_rng(23)
        rejected = 0
        for _ in range(600):
            matrices = simulated(generator, runs=4, cases=5, run_sd=0.5)
            matrices["a"] = matrices["a"].iloc[:1]
            spread = stand_in(matrices, "nested", ("a",))
            first, second = (matrix.to_numpy() for matrix in matrices.values())
            rejected += spread.contrast(first, second, "nested").p_value() < 0.05
        assert rejected / 600 == pytest.approx(0.05, abs=0.027)


class TestWhatCannotBeSaid:
    def test_one_run_says_nothing_of_trainings(self):
        table = long()[lambda t: t["seed"] == 1]
        for what in ("runs", "runs and cases"):
            row = compare_algorithms(table, **COLUMNS, generalise_to=what).iloc[0]
            assert math.isnan(row["p_value"])
            assert "nothing can be said of other trainings" in row["note"]
        assert compare_algorithms(table, **COLUMNS, generalise_to="cases").iloc[0]["p_value"] < 1

    def test_one_value_a_run_says_nothing_of_cases(self):
        table = long()[lambda t: t["case"] == "x"]
        row = compare_algorithms(table, **COLUMNS, generalise_to="cases").iloc[0]
        assert "nothing can be said of other cases" in row["note"]
        assert compare_algorithms(table, **COLUMNS, generalise_to="runs").iloc[0]["p_value"] < 1

    def test_equal_runs_count_once(self):
        same = long(dice=[0.8, 0.7, 0.9] * 2 + [0.70, 0.62, 0.79, 0.75, 0.64, 0.83])
        row = compare_algorithms(same, **COLUMNS, generalise_to="runs").iloc[0]
        assert row["n_runs_first"] == 1
        assert "equal runs show a fixed seed" in row["note"]
        assert math.isnan(row["p_value"])

    def test_one_value_twice_is_no_copy(self):
        table = long()[lambda t: t["case"] == "x"].assign(dice=[0.8, 0.8, 0.7, 0.75])
        row = compare_algorithms(table, **COLUMNS, generalise_to="runs").iloc[0]
        assert row["n_runs_first"] == 2

    def test_means_that_do_not_vary_prove_nothing(self):
        table = long()[lambda t: t["case"] == "x"].assign(dice=[0.8, 0.8, 0.7, 0.7])
        row = compare_algorithms(table, **COLUMNS, generalise_to="runs").iloc[0]
        assert "no spread to judge by" in row["note"]
        assert math.isnan(row["p_value"])

    def test_pairs_that_differ_by_the_same_prove_nothing(self):
        table = long(dice=[0.80, 0.70, 0.90, 0.84, 0.73, 0.93] * 2)
        table.loc[table["model"] == "b", "dice"] -= 0.5
        row = compare_algorithms(table, **PAIRS, generalise_to="runs").iloc[0]
        assert "all pairs of runs differ by the same" in row["note"]

    def test_equal_pairs_are_equivalent(self):
        same = long(dice=[0.80, 0.70, 0.90, 0.84, 0.73, 0.93] * 2)
        for what in GENERALISATIONS:
            row = compare_algorithms(same, **PAIRS, generalise_to=what, margin=0.01).iloc[0]
            assert (row["p_value"], row["p_equivalence"]) == (1.0, 0.0)

    def test_cases_without_a_value_are_left_out(self):
        table = long()
        table.loc[0, "dice"] = np.nan
        row = compare_algorithms(table, **COLUMNS, generalise_to="runs").iloc[0]
        assert row["n_cases"] == 2
        assert "1 case(s) without a finite value" in row["note"]

    def test_no_common_case(self):
        table = long(case=[*"xyz", *"xyz", *"uvw", *"uvw"])
        row = compare_algorithms(table, **COLUMNS).iloc[0]
        assert math.isnan(row["difference"])
        assert row["note"].endswith("no case has a finite value in every run")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"runs": "paired"}, "unknown relation of runs 'paired'"),
            ({"generalise_to": "patients"}, "unknown generalise_to 'patients'"),
            ({"margin": -0.1}, "margin must be a number above 0"),
            ({"margin": "big"}, "margin must be a number above 0"),
            ({"baseline": "c"}, "unknown baseline 'c'"),
            ({"confidence_level": 95}, "confidence_level"),
            ({"value": "dise"}, "unknown column 'dise'; did you mean 'dice'"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            compare_algorithms(long(), **{**COLUMNS, **options})

    def test_values_twice(self):
        with pytest.raises(InputError, match="row 3: a second value of 'a', run '1', case 'x'"):
            compare_algorithms(long(seed=1), **COLUMNS)

    def test_one_algorithm(self):
        with pytest.raises(InputError, match="at least two are compared"):
            compare_algorithms(long()[:6], **COLUMNS)

    def test_crossed_runs_with_other_labels(self):
        table = long(seed=[1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
        with pytest.raises(InputError, match="other labels of runs"):
            compare_algorithms(table, **PAIRS)


@settings(deadline=None)  # the first call loads SciPy's distributions
@given(arrays(float, (3, 4), elements=st.integers(-1000, 1000)), st.sampled_from([0.5, 2.0, 4.0]))
def test_scale_and_order_change_nothing_else(values, factor):
    """Twice the values give twice the difference, and the order of algorithms its sign alone."""
    matrices = {"a": pd.DataFrame(values), "b": pd.DataFrame(values[::-1] ** 2 / 8)}
    scaled = {name: factor * matrix for name, matrix in matrices.items()}
    turned = {"b": matrices["b"], "a": matrices["a"]}
    for what in GENERALISATIONS:
        row, other, back = (
            compare_matrices(each, generalise_to=what).iloc[0]
            for each in (matrices, scaled, turned)
        )
        assert other["difference"] == pytest.approx(factor * row["difference"], abs=1e-9)
        assert back["difference"] == pytest.approx(-row["difference"], abs=1e-9)
        if math.isfinite(row["p_value"]) and row["se"] > 1e-6:
            assert other["p_value"] == pytest.approx(row["p_value"], rel=1e-6, abs=1e-12)
            assert back["p_value"] == pytest.approx(row["p_value"], rel=1e-6, abs=1e-12)


def rejected(generator, repetitions, what, **settings) -> float:
    count = 0
    for _ in range(repetitions):
        matrices = simulated(generator, **settings)
        row = compare_matrices(matrices, generalise_to=what).iloc[0]
        count += row["p_value"] < 0.05
    return count / repetitions


class TestErrorRate:
    """Two algorithms that do not differ, whose trainings scatter: 5 % are called different."""

    # 600 repetitions: standard error 0.9 points; the limits are three of them from 5 %.
    REPETITIONS = 600
    LOW, HIGH = 0.023, 0.077

    @pytest.mark.parametrize("what", ["runs", "runs and cases"])
    def test_holds_where_averaged_runs_fail(self, what):
        generator = np.random.default_rng(20)
        settings = {"runs": 5, "cases": 50, "run_sd": 0.3**0.5}
        rate = rejected(generator, self.REPETITIONS, what, **settings)
        assert self.LOW <= rate <= self.HIGH
        only_cases = rejected(generator, self.REPETITIONS, "cases", **settings)
        assert only_cases > 0.3  # what it costs to take cases for the unit

    @pytest.mark.long
    @pytest.mark.parametrize("runs", [2, 3, 10])
    @pytest.mark.parametrize("run_sd", [0.0, 0.3, 1.0])
    @pytest.mark.parametrize("pair_sd", [0.0, 0.7])
    def test_over_designs(self, runs, run_sd, pair_sd):
        generator = np.random.default_rng([runs, int(10 * run_sd), int(10 * pair_sd)])
        settings = {"runs": runs, "cases": 20, "run_sd": run_sd, "pair_sd": pair_sd}
        rate = rejected(generator, 4000, "runs and cases", **settings)
        assert 0.025 <= rate <= 0.065

    def test_equivalence_at_the_margin(self):
        generator = np.random.default_rng(21)
        shown = 0
        for _ in range(self.REPETITIONS):
            matrices = simulated(generator, runs=5, cases=30, run_sd=0.3)
            matrices["a"] += 0.8
            row = compare_matrices(matrices, generalise_to="runs", margin=0.8).iloc[0]
            shown += row["p_equivalence"] < 0.05
        assert shown / self.REPETITIONS <= self.HIGH


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
