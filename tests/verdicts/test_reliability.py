"""reliability against the functions that it joins, and against runs that failed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from reprostats.errors import InputError
from reprostats.stats.components import variance_components
from reprostats.stats.icc import icc
from reprostats.stats.measurement import measurement_error
from reprostats.verdicts.reliability import reliability


def results(values, metric="dice"):
    """A results table of values (cases, runs) that completed."""
    values = np.asarray(values, dtype=float)
    rows = [
        ("c", f"t{run}", metric, f"p{case:02}", values[case, run], "ok")
        for run, case in product(range(values.shape[1]), range(values.shape[0]))
    ]
    names = ["condition", "trial", "metric", "case", "value", "status"]
    return pd.DataFrame(rows, columns=names)


def failed(trial, status="diverged"):
    row = {"condition": "c", "trial": trial, "metric": "", "case": "all"}
    return pd.DataFrame([row | {"value": np.nan, "status": status}])


@pytest.fixture
def values():
    rng = np.random.default_rng(1)
    return 0.8 + 0.05 * rng.normal(size=(12, 1)) + 0.01 * rng.normal(size=(12, 5))


def test_joins_what_there_is(values):
    found = reliability(results(values))
    agreement = icc(values).set_index("form").loc["ICC(A,1)"]
    errors = measurement_error(values)
    quantities = found.quantities.set_index("quantity")
    assert quantities.loc["ICC(A,1)", "estimate"] == pytest.approx(agreement["icc"], rel=1e-12)
    np.testing.assert_allclose(quantities["estimate"].iloc[1:], errors["estimate"], rtol=1e-12)
    long = results(values)
    expected = variance_components(long, value="value", random=["case", "trial"])
    np.testing.assert_allclose(found.components["variance"], expected["variance"], rtol=1e-6)


def test_failed_runs_are_counted(values):
    partly = results(values[:, :1]).assign(trial="t9", status="timed out")
    table = pd.concat([results(values), failed("t7"), failed("t8"), partly], ignore_index=True)
    found = reliability(table)
    assert (found.n_runs, found.n_failed) == (8, 3)
    assert found.failures == {"diverged": 2, "timed out": 1}
    assert "3 of 8 runs did not complete (2 diverged, 1 timed out)" in found.summary()
    assert (found.table()["n_failed"] == 3).all()
    assert found.scores.shape == (12, 5)


def test_incomplete_cases_are_counted(values):
    values[3, 2] = np.nan
    found = reliability(results(values))
    assert found.n_excluded == 1
    assert "1 case without a finite value in every run left out" in found.summary()


def test_identical_runs(values):
    found = reliability(results(np.repeat(values[:, :1], 4, axis=1)))
    quantities = found.quantities.set_index("quantity")["estimate"]
    assert quantities["ICC(A,1)"] == 1
    assert quantities["minimal detectable change"] == 0
    assert "ICC(A,1) 1 (95% CI 1 to 1)" in found.summary()


def test_constant_results():
    found = reliability(results(np.full((4, 3), 0.9)))
    assert np.isnan(found.quantities["estimate"][0])
    assert "Of the variance" not in found.summary()


def test_summary_and_chart(values):
    found = reliability(results(values))
    text = found.summary()
    assert text.startswith("dice of 12 cases in 5 runs: ICC(A,1) 0.9")
    assert "lies between cases" in text
    assert "did not complete" not in text
    chart = found.chart().to_dict()
    assert chart["title"] == "dice of every case in 5 runs"


def test_one_number_is_said_once(values):
    text = reliability(results(values)).summary()
    assert "minimal detectable change 0.0" in text
    assert "which is the repeatability coefficient too" in text
    other = reliability(results(values), confidence_level=0.9).summary()
    assert "repeatability coefficient 0.0" in other
    assert "too" not in other


def test_an_icc_below_zero_is_explained():
    values = np.array([[0.9, 0.7, 0.8], [0.7, 0.8, 0.9], [0.8, 0.9, 0.7], [0.85, 0.75, 0.8]])
    found = reliability(results(values))
    assert found.quantities["estimate"][0] < 0
    assert found.components.set_index("component").loc["case", "variance"] == 0
    assert "The ICC is below 0 because" in found.summary()


def test_a_notebook_shows_sentences_table_and_chart(values):
    found = reliability(results(values))
    shown = found._repr_html_()
    assert shown.startswith(f"<p>{found.summary()}</p>")
    assert "minimal detectable change</td>" in shown
    assert "<svg" in shown
    assert "Each point is a run" in shown


class TestInput:
    def test_several_conditions(self, values):
        other = results(values).assign(condition="d")
        table = pd.concat([results(values), other.assign(trial="x" + other["trial"])])
        with pytest.raises(InputError, match="choose condition= from c, d"):
            reliability(table)
        assert reliability(table, condition="d").n_runs == 5
        with pytest.raises(InputError, match="unknown condition 'e'"):
            reliability(table, condition="e")

    @pytest.mark.parametrize("metric", ["dice", "hd"])
    def test_too_few_or_none_says_why(self, metric):
        results = pd.DataFrame({
            "trial": ["a", "b"], "metric": ["dice", ""], "case": "all", "value": [0.9, None],
            "status": ["diverged", "failed"], "reason": ["", "no file"],
        })  # fmt: skip
        with pytest.raises(InputError, match=r"2 of 2 trials did not complete; the commonest"):
            reliability(results, metric)

    def test_metric(self, values):
        with pytest.raises(InputError, match="unknown metric 'dcie'; did you mean 'dice'"):
            reliability(results(values), "dcie")

    def test_not_by_case(self, values):
        table = results(values[:1], "accuracy").assign(case="all")
        with pytest.raises(InputError, match="once a run, not by case"):
            reliability(table, "accuracy")

    def test_too_few(self, values):
        with pytest.raises(InputError, match="'dice' has 1 completed run"):
            reliability(results(values[:, :1]))
        with pytest.raises(InputError, match="'dice' has 1 complete case"):
            reliability(results(values[:1]))

    def test_no_complete_case_names_a_value_that_is_missing(self, values):
        few = values[:3, :2]
        few[1:, 1] = np.nan
        said = r"1 complete case; .* 2 cases of 3 are not: the first, 'p01', has none in run 't1'"
        with pytest.raises(InputError, match=said):
            reliability(results(few))

    def test_column(self, values):
        with pytest.raises(InputError, match="unknown column 'status'"):
            reliability(results(values).drop(columns="status"))
