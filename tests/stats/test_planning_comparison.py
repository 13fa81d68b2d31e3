"""Planning of trainings and cases: the power that is promised is the power that is there."""

import numpy as np
import pandas as pd
import pytest

from reprostats import ComparisonVariances, comparison_variances, plan_comparison
from reprostats.errors import InputError
from reprostats.stats.algorithms import compare_matrices

PILOT = ComparisonVariances(run=0.01**2, pair=0.02**2, residual=0.03**2)


def simulated(generator, variances, n_runs, n_cases, difference=0.0):
    """Make a matrix of runs x cases for each of two algorithms."""
    of_case = 0.05 * generator.normal(size=n_cases)
    return {
        name: pd.DataFrame(
            0.8
            + shift
            + of_case
            + variances.run**0.5 * generator.normal(size=(n_runs, 1))
            + variances.pair**0.5 * generator.normal(size=n_cases)
            + variances.residual**0.5 * generator.normal(size=(n_runs, n_cases))
        )
        for name, shift in (("a", difference), ("b", 0.0))
    }


class TestPlan:
    def test_difference_is_found_as_often_as_promised(self):
        """500 studies: standard error 1.8 points."""
        row = plan_comparison(PILOT, difference=0.02, training_cost=50, case_cost=1)
        row = row[row["cheapest"]].iloc[0]
        generator = np.random.default_rng(1)
        sizes = int(row["n_runs"]), int(row["n_cases"])
        found = [
            compare_matrices(simulated(generator, PILOT, *sizes, 0.02))["p_value"].iloc[0] < 0.05
            for _ in range(500)
        ]
        assert np.mean(found) == pytest.approx(row["power"], abs=0.06)

    def test_equivalence_is_shown_as_often_as_promised(self):
        row = plan_comparison(PILOT, margin=0.025, training_cost=50, case_cost=1)
        row = row[row["cheapest"]].iloc[0]
        generator = np.random.default_rng(2)
        sizes = int(row["n_runs"]), int(row["n_cases"])
        tables = [
            compare_matrices(simulated(generator, PILOT, *sizes), margin=0.025) for _ in range(500)
        ]
        shown = [table["p_equivalence"].iloc[0] < 0.05 for table in tables]
        assert np.mean(shown) >= row["power"] - 0.05

    def test_cheap_trainings_take_the_place_of_cases(self):
        dear = plan_comparison(PILOT, difference=0.02, training_cost=1000, case_cost=1)
        cheap = plan_comparison(PILOT, difference=0.02, training_cost=1, case_cost=1)
        few, many = (table[table["cheapest"]].iloc[0] for table in (dear, cheap))
        assert few["n_runs"] < many["n_runs"]
        assert few["n_cases"] > many["n_cases"]

    def test_more_cases_cannot_replace_trainings(self):
        """With two runs and a spread of runs as large as the difference, no cases are enough."""
        variances = ComparisonVariances(run=0.02**2, pair=0.0, residual=0.01**2)
        plan = plan_comparison(variances, difference=0.02, max_cases=1_000_000)
        assert plan["n_runs"].min() > 10

    def test_nothing_is_enough(self):
        plan = plan_comparison(PILOT, difference=0.001, max_trainings=5)
        assert plan.empty

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "one of the two"),
            ({"difference": 0.1, "margin": 0.1}, "one of the two"),
            ({"difference": -0.1}, "it must be above 0"),
            ({"margin": "a"}, "it must be above 0"),
            ({"difference": 0.1, "power": 80}, "power is 80"),
            ({"difference": 0.1, "training_cost": -1}, "training_cost is -1"),
            ({"difference": 0.1, "max_trainings": 2.5}, "max_trainings is 2.5"),
        ],
    )
    def test_bad_input(self, options, message):
        with pytest.raises(InputError, match=message):
            plan_comparison(PILOT, **options)


class TestPilot:
    NAMES = {"value": "dice", "algorithm": "model", "run": "run", "case": "case"}  # noqa: RUF012

    def table(self, n_runs=20, n_cases=200):
        parts = simulated(np.random.default_rng(3), PILOT, n_runs, n_cases)
        rows = [
            matrix.set_axis([f"{name}{run}" for run in matrix.index])
            .reset_index(names="run")
            .melt("run", var_name="case", value_name="dice")
            .assign(model=name)
            for name, matrix in parts.items()
        ]
        return pd.concat(rows, ignore_index=True)

    def test_variances_are_found(self):
        found = comparison_variances(self.table(), **self.NAMES)
        assert found.residual == pytest.approx(PILOT.residual, rel=0.1)
        assert found.run == pytest.approx(PILOT.run, rel=0.6)
        assert found.pair == pytest.approx(PILOT.pair, rel=0.3)
        assert found.runs == "nested"

    def test_a_hole_is_refused(self):
        with pytest.raises(InputError, match="a finite value of every run for every case"):
            comparison_variances(self.table(3, 4)[1:], **self.NAMES)
