"""How often intervals cover and tests reject, by simulation with fixed seeds.

The figures are those of docs/statistics.md; each is held to three standard errors or more. Those
that take thousands of calls run in `make test-all` alone: in `make test` the same intervals are
held to numbers of R.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reprostats.stats.agreement import cohen_kappa, gwet_ac1
from reprostats.stats.comparison import probability_of_improvement
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.icc_map import icc_map
from reprostats.stats.measurement import measurement_error
from reprostats.stats.median import median_ci, median_difference
from reprostats.stats.paired import paired_ttest
from reprostats.stats.signed_rank import wilcoxon_test

pytestmark = pytest.mark.slow
long = pytest.mark.long


def covers(found, truth, prefix="ci"):
    return (found[f"{prefix}_low"] <= truth) & (truth <= found[f"{prefix}_high"])


@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7, 0.9])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_icc(n, rho, shift):
    """20,000 elements each. ``shift`` is the SD of raters, in units of the total without them."""
    k, elements = 4, 20_000
    rng = np.random.default_rng(1)
    ratings = rho**0.5 * rng.normal(size=(n, 1, elements))
    ratings = ratings + (1 - rho) ** 0.5 * rng.normal(size=(n, k, elements))
    ratings += shift * rng.normal(size=(1, k, elements))
    consistency = icc_map(ratings, form="ICC(C,1)")
    assert covers(vars(consistency), rho).mean() == pytest.approx(0.95, abs=0.006)
    if rho == 0:
        assert (consistency.p_value < 0.05).mean() == pytest.approx(0.05, abs=0.006)
        return  # Satterthwaite's limits need not enclose a negative estimate: see icc
    agreement = icc_map(ratings, form="ICC(A,1)")
    coverage = covers(vars(agreement), rho / (1 + shift**2)).mean()
    print(f"ICC(A,1) n={n} rho={rho} shift={shift}: {coverage:.4f}")
    if (
        shift == 0 or n == 10
    ):  # four raters say little about how raters differ, and 30 subjects rely on it
        assert 0.93 < coverage < 0.985
    else:
        assert 0.90 < coverage < 0.96


@long
@pytest.mark.parametrize("effect", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("n", [6, 15])
def test_paired(n, effect):
    rng = np.random.default_rng(2)
    hits, repeats = np.zeros(4), 1000
    for _ in range(repeats):
        base = rng.normal(size=n)
        # SDs of the two and of their difference are 1, correlation 1/2.
        first = base / 2**0.5 + rng.normal(size=n) / 2**0.5 + effect
        second = base / 2**0.5 + rng.normal(size=n) / 2**0.5
        found = paired_ttest(first, second).iloc[0]
        hits += [
            covers(found, effect),
            covers(found, effect, "cohen_dz"),
            covers(found, effect, "hedges_gav"),
            covers(wilcoxon_test(first, second).iloc[0], effect),
        ]
    print(f"paired n={n} effect={effect}: t, d_z, g_av, Hodges-Lehmann {hits / repeats}")
    assert hits[:2] / repeats == pytest.approx(0.95, abs=0.021)
    assert 0.90 < hits[2] / repeats < 0.99
    assert hits[3] / repeats > 0.93


@long
def test_equivalence_at_the_margin():
    rng = np.random.default_rng(3)
    rejected = [
        equivalence_test(rng.normal(0.8, 0.5, 20), rng.normal(0, 0.5, 20), margin=0.8, paired=False)
        for _ in range(2000)
    ]
    rate = pd.concat(rejected)["equivalent"].mean()
    print(f"equivalence at the margin: {rate:.4f}")
    assert rate == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
@pytest.mark.parametrize("n", [7, 10, 20, pytest.param(50, marks=long)])
def test_median(n, draw):
    """20,000 samples each; the bootstrap falls short by as much as docs/statistics.md says."""
    rng = np.random.default_rng(4)
    truth = 0.0 if draw == "normal" else np.log(2)
    table = pd.DataFrame({"g": np.repeat(np.arange(20_000), n)})
    table["v"] = getattr(rng, draw if draw == "normal" else "exponential")(size=len(table))
    for method in ("exact", "interpolated", "percentile", "bca"):
        found = median_ci(table, value="v", by="g", method=method)
        coverage = covers(found, truth).mean()
        print(f"median n={n} {draw} {method}: {coverage:.4f}")
        if method == "exact":
            assert coverage == pytest.approx(found["coverage"][0], abs=0.005)
        elif method == "interpolated":
            assert coverage == pytest.approx(0.95, abs=0.012)
        else:
            assert 0.86 < coverage < 0.96
        if draw == "normal":
            assert coverage == pytest.approx(found["coverage"][0], abs=0.015)


@long
@pytest.mark.parametrize("n", [7, 10, 30])
def test_median_difference(n):
    rng = np.random.default_rng(5)
    found = pd.concat(
        median_difference(rng.normal(size=n), rng.normal(size=n), paired=False) for _ in range(1500)
    )
    coverage = covers(found, 0).mean()
    print(f"median difference n={n}: {coverage:.4f}")
    assert 0.935 < coverage < 0.985


@long
def test_measurement_error():
    rng = np.random.default_rng(6)
    hits, repeats = np.zeros(2), 1500
    for _ in range(repeats):
        cases = 10 + rng.normal(size=(15, 1))
        values = cases + 0.5 * rng.normal(size=(15, 3))
        plain = measurement_error(values, interval="chi-squared")
        values = cases * (1 + 0.1 * rng.normal(size=(15, 3)))
        scaled = measurement_error(values, interval="chi-squared")
        hits += [covers(plain.iloc[0], 0.5), covers(scaled.iloc[3], 0.1)]
    print(f"SEM, within-case CV: {hits / repeats}")
    assert hits / repeats == pytest.approx(0.95, abs=0.018)


@long
@pytest.mark.parametrize("n", [30, 100])
def test_kappa(n):
    """Two raters who each see the truth (60 : 40) with probability 0.85."""
    rng = np.random.default_rng(7)
    true = 0.6 * (0.85**2 + 0.15**2) + 0.4 * (0.85**2 + 0.15**2)
    share = 0.6 * 0.85 + 0.4 * 0.15
    kappa = (true - share**2 - (1 - share) ** 2) / (1 - share**2 - (1 - share) ** 2)
    chance = 2 * share * (1 - share)
    hits, repeats = np.zeros(2), 1500
    for _ in range(repeats):
        truth = rng.random(n) < 0.6
        first, second = (truth == (rng.random(n) < 0.85) for _ in range(2))
        hits += [
            covers(cohen_kappa(first, second, categories=[False, True]).iloc[0], kappa),
            covers(
                gwet_ac1(first, second, categories=[False, True]).iloc[0],
                (true - chance) / (1 - chance),
            ),
        ]
    print(f"kappa, AC1 n={n}: {hits / repeats}")
    assert (hits / repeats > 0.93).all()
    assert (hits / repeats < 0.97).all()


@long
def test_probability_of_improvement():
    """Cases and runs both vary: 12 cases, 5 runs of each of two equal algorithms."""
    rng = np.random.default_rng(8)
    index = pd.MultiIndex.from_product(
        [["a", "b"], range(5), range(12)], names=["model", "run", "case"]
    )
    hits, repeats = 0, 250
    for _ in range(repeats):
        values = rng.normal(size=(1, 1, 12)) + 0.5 * rng.normal(size=(2, 5, 1))
        values = values + 0.5 * rng.normal(size=(2, 5, 12))
        table = pd.DataFrame({"dice": values.ravel()}, index=index).reset_index()
        found = probability_of_improvement(
            table, value="dice", algorithm="model", case="case", run="run"
        )
        hits += covers(found.iloc[0], 0.5)
    print(f"probability of improvement: {hits / repeats:.4f}")
    assert 0.92 < hits / repeats <= 1
