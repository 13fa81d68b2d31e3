"""Comparison of algorithms, against R's friedman.test, Demsar's tables and exhaustion."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.aggregates import Interval, MiddleMean, ShareAbove
from reprostats.stats.comparison import (
    critical_difference,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from tests.reference import make_rliable
from tests.stats.reference import read

NAMES = {"value": "dice", "algorithm": "model", "case": "case", "run": "run"}
RLIABLE = read("rliable_expected.csv").set_index(["design", "aggregate"])
BOOTSTRAP = {**NAMES, "interval": "stratified bootstrap", "n_resamples": 8000}
FUNCTIONS = [
    probability_of_improvement,
    interquartile_mean,
    performance_profile,
    critical_difference,
]

# Hollander and Wolfe (1973), p. 140, of R's ?friedman.test: three ways to round first base, 22
# players, seconds.
ROUNDING_TIMES = [
    5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70,
    5.45, 5.55, 5.60, 5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70,
    5.25, 5.20, 5.10, 5.65, 5.55, 5.45, 5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40,
    5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55, 5.50, 5.45, 5.25, 5.65, 5.60, 5.40,
    5.70, 5.65, 5.55, 6.30, 6.30, 6.25,
]  # fmt: skip


def scores(values, names="abcdefgh"):
    """Long table of an array (algorithms, cases, runs)."""
    values = np.asarray(values, dtype=float)
    rows = [
        (names[a], c, r, values[a, c, r])
        for a, c, r in product(*(range(size) for size in values.shape))
    ]
    return pd.DataFrame(rows, columns=["model", "case", "run", "dice"])


def random_scores(shape, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(1, shape[1], 1)) + 0.5 * rng.normal(size=shape)
    values[0] += shift
    return values


class TestImprovement:
    def test_by_counting(self):
        values = np.random.default_rng(1).integers(0, 5, size=(2, 6, 3))
        found = probability_of_improvement(scores(values), **NAMES).iloc[0]
        wins = [
            (values[0, c, i] > values[1, c, j]) + 0.5 * (values[0, c, i] == values[1, c, j])
            for c, i, j in product(range(6), range(3), range(3))
        ]
        assert found["probability"] == pytest.approx(np.mean(wins), rel=1e-12)

    def test_both_directions(self):
        found = probability_of_improvement(scores(random_scores((2, 8, 4))), **NAMES)
        there, back = found.iloc[0], found.iloc[1]
        assert there["probability"] == pytest.approx(1 - back["probability"])
        assert there["ci_low"] == pytest.approx(1 - back["ci_high"])

    def test_always_better(self):
        found = probability_of_improvement(scores(random_scores((2, 8, 4), shift=50)), **NAMES)
        assert list(found.iloc[0][["probability", "ci_high"]]) == [1, 1]
        # Wilson's interval of 4 in 4, as there are 4 runs: R's prop.test(4, 4, correct = FALSE).
        assert found.iloc[0]["ci_low"] == pytest.approx(0.5101092, abs=1e-6)

    def test_one_run_is_noted(self):
        found = probability_of_improvement(scores(random_scores((2, 8, 1))), **NAMES)
        assert found["note"].str.contains("another training").all()


def test_interquartile_mean_by_hand():
    """Of 1 to 8 the middle half is 3, 4, 5, 6."""
    found = interquartile_mean(scores(np.arange(1, 9).reshape(1, 4, 2)), **NAMES).iloc[0]
    assert found["interquartile_mean"] == 4.5


def test_the_interval_of_a_share_holds_cases_and_runs():
    """By hand from the mean squares of 0 and 1, with degrees of freedom by linear weights."""
    above = (random_scores((1, 7, 5), seed=3)[0] > 0).astype(float)
    n, r = above.shape
    rest = above - above.mean(axis=1, keepdims=True) - above.mean(axis=0) + above.mean()
    of_rest = (rest**2).sum() / ((n - 1) * (r - 1))
    of_runs = n * above.mean(axis=0).var(ddof=1)
    of_cases = max(r * above.mean(axis=1).var(ddof=1) - of_rest, 0)
    variance, share = of_runs + of_cases, above.mean()
    df = 1 / ((of_runs / (r - 1) + of_cases / (n - 1)) / variance)
    reach = stats.t.ppf(0.975, df) * (variance / n / r) ** 0.5 / share / (1 - share)
    logit = np.log(share / (1 - share))
    limits = 1 / (1 + np.exp(-np.array([logit - reach, logit + reach])))
    found = performance_profile(scores([above]), **NAMES, thresholds=[0.5]).iloc[0]
    assert of_cases > 0
    np.testing.assert_allclose(found[["ci_low", "ci_high"]].astype(float), limits, rtol=1e-12)


class TestStratifiedBootstrap:
    """rliable 1.2.0: make_rliable.py, limits with their Monte Carlo error."""

    def table(self, design):
        return scores([matrix.T for matrix in make_rliable.values(design).values()])

    def near(self, design, aggregate, estimate, low, high):
        """Four standard errors of a difference: eight blocks of 1,000 there, 8,000 here."""
        known = RLIABLE.loc[design, aggregate]
        assert estimate == pytest.approx(known["estimate"], abs=1e-7)
        for found, limit in ((low, "low"), (high, "high")):
            error = 4 * max(known[f"{limit}_error"], 1e-3) * (2 / 8) ** 0.5
            assert found == pytest.approx(known[limit], abs=error), limit

    @pytest.mark.parametrize("design", make_rliable.SHAPES)
    def test_rliable(self, design):
        table = self.table(design)
        found = interquartile_mean(table, **BOOTSTRAP).iloc[0]
        self.near(design, "interquartile mean", *found[["interquartile_mean", "ci_low", "ci_high"]])
        found = probability_of_improvement(table, **BOOTSTRAP).iloc[0]
        columns = ["probability", "ci_low", "ci_high"]
        self.near(design, "probability of improvement", *found[columns])
        profile = performance_profile(table, **BOOTSTRAP, thresholds=make_rliable.THRESHOLDS)
        for row in profile[profile["algorithm"] == "a"].to_dict("records"):
            columns = ["share", "ci_low", "ci_high"]
            self.near(design, f"share above {row['threshold']}", *(row[name] for name in columns))

    def test_one_seed_one_result(self):
        table = self.table("few")
        first, again = (interquartile_mean(table, **BOOTSTRAP, seed=3) for _ in range(2))
        other = interquartile_mean(table, **BOOTSTRAP, seed=4)
        pd.testing.assert_frame_equal(first, again)
        assert (first["ci_low"] != other["ci_low"]).all()

    def test_cases_are_fixed_and_one_run_gives_nothing(self):
        found = interquartile_mean(scores(random_scores((2, 8, 1))), **BOOTSTRAP)
        assert found["ci_low"].isna().all()
        assert found["note"].str.endswith("cases are fixed; one run: nothing to draw from").all()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"interval": "bootstrap"}, "unknown interval 'bootstrap'"),
            ({"n_resamples": 0}, "n_resamples is 0"),
            ({"seed": 1.5}, "seed is 1.5"),
        ],
    )
    def test_refused(self, options, message):
        for function in FUNCTIONS[:3]:
            with pytest.raises(InputError, match=message):
                function(self.table("few"), **NAMES, **options)


def test_equal_runs_leave_cases_to_vary():
    """Without a spread of runs the interquartile mean varies with cases alone: n - 1 df."""
    values = np.repeat(random_scores((1, 9, 1), seed=4), 4, axis=2)
    found = interquartile_mean(scores(values), **NAMES).iloc[0]
    ordered = np.sort(values, axis=None)
    drawn = np.clip(values[0, :, 0], ordered[9], ordered[-10]) / 0.5
    margin = stats.t.ppf(0.975, 8) * drawn.std(ddof=1) / 3
    assert found["ci_high"] - found["ci_low"] == pytest.approx(2 * margin)


@pytest.mark.parametrize("aggregate", [MiddleMean(), ShareAbove(0.0)])
def test_coverage_where_runs_vary_as_cases_do(aggregate):
    """50 cases, 2 runs, run SD 1: with Satterthwaite's degrees of freedom it was 86 to 88 %.

    600 studies, standard error 0.9; docs/calibration.md has more designs.
    """
    generator = np.random.default_rng(12)
    true, hits = 0.5 if aggregate.is_share else 0.0, 0
    for _ in range(600):
        values = generator.normal(size=(50, 1)) + generator.normal(size=2)
        values = values + generator.normal(size=(50, 2))
        _, low, high = Interval("jackknife", 0.95, 2, 0).of(aggregate, values)
        hits += low <= true <= high
    assert hits / 600 == pytest.approx(0.945, abs=0.028)


@pytest.mark.parametrize("function", [interquartile_mean, performance_profile])
def test_largest_numbers_do_not_warn(function):
    found = function(scores([[[-1e308, 1e308], [1e308, -1e308], [1e308, 0]]]), **NAMES)
    assert np.isfinite(found.iloc[:, 1]).all()


def test_profile():
    found = performance_profile(scores([[[1, 2], [3, 4]]]), **NAMES, thresholds=[0, 2, 4])
    assert found["share"].tolist() == [1, 0.5, 0]
    whole = performance_profile(scores(random_scores((2, 5, 3))), **NAMES)
    assert len(whole) == 102
    assert whole.groupby("algorithm")["share"].apply(lambda s: s.is_monotonic_decreasing).all()


class TestRanks:
    def test_friedman_against_r(self):
        """friedman.test(RoundingTimes): chi-squared = 11.143, df = 2, p-value = 0.003805."""
        values = -np.reshape(ROUNDING_TIMES, (22, 3)).T[:, :, None]
        found = critical_difference(scores(values), **NAMES).iloc[0]
        assert found["chi_squared"] == pytest.approx(11.143, abs=5e-4)
        assert found["df"] == 2
        assert found["p_value"] == pytest.approx(0.003805, abs=5e-7)

    @pytest.mark.parametrize(("k", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (8, 3.031)])
    def test_nemenyi_against_demsar(self, k, q):
        """Demsar (2006), Table 5a, q of 0.05."""
        found = critical_difference(scores(random_scores((k, 14, 2))), **NAMES).iloc[0]
        expected = q * np.sqrt(k * (k + 1) / (6 * 14))
        assert found["critical_difference"] == pytest.approx(expected, abs=1e-3)

    def test_runs_do_not_make_cases(self):
        values = random_scores((3, 10, 1))
        once = critical_difference(scores(values), **NAMES)
        again = critical_difference(scores(np.repeat(values, 9, axis=2)), **NAMES)
        pd.testing.assert_frame_equal(once, again)

    def test_ties_everywhere(self):
        found = critical_difference(scores(np.ones((3, 4, 2))), **NAMES)
        assert np.isnan(found["p_value"]).all()
        assert found["note"].str.contains("tie on every case").all()
        assert found["tied_with_best"].all()

    def test_two(self):
        with pytest.raises(InputError, match="use wilcoxon_test"):
            critical_difference(scores(random_scores((2, 4, 2))), **NAMES)


@pytest.mark.parametrize("function", FUNCTIONS)
class TestRefusal:
    def test_runs_as_cases(self, function):
        """Without the true column of runs, a case has several values."""
        table = scores(random_scores((3, 4, 3))).assign(run=0)
        with pytest.raises(InputError, match="not independent"):
            function(table, **NAMES)

    def test_the_same_column_twice(self, function):
        with pytest.raises(InputError, match="must be three columns"):
            function(scores(random_scores((3, 4, 3))), **(NAMES | {"run": "case"}))

    def test_a_missing_case(self, function):
        table = scores(random_scores((3, 4, 3))).drop(index=5)
        with pytest.raises(InputError, match="algorithm 'a', run 2 has no finite value for case 1"):
            function(table, **NAMES)

    def test_nan(self, function):
        table = scores(random_scores((3, 4, 3)))
        table.loc[0, "dice"] = np.nan
        with pytest.raises(InputError, match="no finite value for case 0"):
            function(table, **NAMES)

    def test_one_case(self, function):
        with pytest.raises(InputError, match="at least 2 are needed"):
            function(scores(random_scores((3, 1, 3))), **NAMES)

    def test_column(self, function):
        with pytest.raises(InputError, match="unknown column 'dcie'; did you mean 'dice'"):
            function(scores(random_scores((3, 2, 3))), **(NAMES | {"value": "dcie"}))
