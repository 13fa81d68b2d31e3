"""compare_algorithms against R: lmerTest, pbkrtest and R's mean squares, in 40 designs.

comparison_designs.py makes the designs, make_comparison.R analyses them; its head says what each
column of comparison_expected.csv is.

What is compared of a design: the estimate always; se, df and p of the rule of linear weights,
computed by R from its mean squares (balanced designs, and two algorithms with unequal nested runs)
or from lmer's variances (others). lmer's own standard error is compared where the likelihood is
analysed, and in balanced designs without a variance at 0: with one lmer pools mean squares, and
the analysis of variance does not. In balanced designs without a variance at 0 Satterthwaite's and
Kenward and Roger's degrees of freedom follow from the mean squares, untruncated.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.stats.algorithms import compare_algorithms
from reprostats.stats.mean_squares import mean_squares
from reprostats.stats.run_table import matrices_of
from tests.reference.comparison_designs import Row, rows
from tests.stats.reference import check, read

DATA = dict(list(pd.DataFrame(rows(), columns=Row._fields).groupby("design", sort=False)))
EXPECTED = read("comparison_expected.csv")
# Balanced and no variance at 0: lmer and the analysis of variance are one.
BALANCED = (EXPECTED["layout"] == "complete") & ~EXPECTED["singular"]
COLUMNS = {"value": "value", "algorithm": "algorithm", "run": "run", "case": "case"}


@pytest.fixture(scope="module")
def compared() -> pd.DataFrame:
    """R's numbers with those of `compare_algorithms` beside them."""
    found = [
        compare_algorithms(table, **COLUMNS, runs=table["runs"].iloc[0]).assign(design=name)
        for name, table in DATA.items()
    ]
    mine = pd.concat(found).rename(columns={"difference": "estimate"})
    key = ["design", "first", "second"]
    mine = mine.set_index(key).add_suffix("_found").reset_index()
    joined = EXPECTED.merge(mine, on=key, validate="one_to_one")
    assert len(joined) == len(mine) == len(EXPECTED)
    return joined


def test_designs_are_of_all_kinds():
    kinds = EXPECTED.groupby(["runs", "layout", "singular"])["design"].nunique()
    assert EXPECTED["design"].nunique() == len(DATA) == 40
    assert (kinds.groupby(["runs", "layout"]).sum() >= 4).all()
    assert EXPECTED.groupby("design")["singular"].first().sum() >= 10
    assert set(EXPECTED.groupby("design").size()) == {1, 3, 6, 10}  # 2 to 5 algorithms


@pytest.mark.parametrize(
    ("analysis", "designs", "relative"), [("mean squares", 22, 1e-8), ("likelihood", 18, 1e-6)]
)
def test_linear_weights(compared, analysis, designs, relative):
    chosen = compared[compared["analysis"] == analysis]
    assert chosen["design"].nunique() == designs
    check(chosen, ["estimate", "se", "df", "p_value"], relative=relative)
    likely = chosen["note_found"].str.contains("restricted maximum likelihood")
    assert likely.all() == likely.any() == (analysis == "likelihood")


def test_standard_error_is_lmers(compared):
    same = BALANCED | (compared["analysis"] == "likelihood")
    chosen = compared[same].assign(se=lambda table: table["lmer_se"])
    assert chosen["design"].nunique() == 33
    check(chosen, ["se"], relative=1e-6)


def test_satterthwaite_and_kenward_roger_follow_from_the_mean_squares(compared):
    chosen = compared[BALANCED]
    assert chosen["design"].nunique() == 15
    for name, part in chosen.groupby("design"):
        table = DATA[name]
        matrices = matrices_of(table, "value", "algorithm", "run", "case")
        arrays = [matrix.to_numpy() for matrix in matrices.values()]
        squares = mean_squares(arrays, table["runs"].iloc[0])
        case_df = (len(arrays) - 1) * (arrays[0].shape[1] - 1)
        residual_df = squares.run_df * (arrays[0].shape[1] - 1)
        terms = np.array([squares.runs, squares.pairs, squares.residual])
        variance = squares.runs + squares.pairs - squares.residual
        df = variance**2 / (terms**2 / [squares.run_df, case_df, residual_df]).sum()
        np.testing.assert_allclose(part["satterthwaite_df"], df, rtol=1e-5)
        np.testing.assert_allclose(part["kenward_roger_df"], df, rtol=1e-5)
        p_value = 2 * stats.t.sf((part["estimate_found"] / part["se_found"]).abs(), df)
        np.testing.assert_allclose(part["satterthwaite_p"], p_value, rtol=1e-5)
        np.testing.assert_allclose(part["kenward_roger_p"], p_value, rtol=1e-5)
