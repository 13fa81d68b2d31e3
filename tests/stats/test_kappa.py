"""cohen_kappa and gwet_ac1 against R's psych, irrCAC, textbooks, and their own symmetries."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from reprostats.errors import InputError
from reprostats.stats.agreement import cohen_kappa, fleiss_kappa, gwet_ac1
from tests.stats.reference import beside, check, designs, read

RATINGS = read("kappa_ratings.csv")
DESIGNS = {name: table[["first", "second"]] for name, table in designs("kappa_ratings.csv").items()}
EXPECTED = read("kappa_expected.csv")

ABSTRACTORS = RATINGS[RATINGS["design"] == "abstractors"][["first", "second"]].to_numpy()

# Data set cac.raw4raters of R's irrCAC: 12 subjects, 4 raters, 5 categories.
RAW = [
    [1, 1, None, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [None, 5, 5, 5],
    [None, None, 1, 1],
    [None, None, 3, None],
]

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40).map(
    np.array
)


def one(table):
    assert len(table) == 1
    return table.iloc[0]


def test_kappa_against_psych():
    """psych::cohen.kappa, 67 designs, tests/reference/make_kappa.R. psych does not bound limits.

    Its limits of weighted kappa are not compared: for `abstractors` with quadratic weights psych
    2.2.9 and others give a variance of 0. statsmodels is the authority for those, below.
    """
    found = [
        cohen_kappa(
            DESIGNS[row.design],
            weights=row.weights,
            categories=range(1, row.n_categories + 1),
            confidence_level=row.confidence_level,
            interval="wald",
        )
        for row in EXPECTED.itertuples()
    ]
    expected = EXPECTED.assign(
        ci_low=EXPECTED["ci_low"].clip(lower=-1), ci_high=EXPECTED["ci_high"].clip(upper=1)
    )
    limits = ["ci_low", "ci_high"]
    # Where raters agree on all, psych gives the root of what rounding leaves of a variance, 1e-9.
    compared = (expected["weights"] == "none") & (expected["estimate"] < 1)
    expected[limits] = expected[limits].where(compared)
    check(beside(expected, found), ["estimate", *limits], relative=1e-10, absolute=1e-13)
    assert EXPECTED["design"].nunique() == 67


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
@pytest.mark.parametrize("design", RATINGS["design"].unique())
def test_errors_against_statsmodels(design, weights):
    """statsmodels.stats.inter_rater.cohens_kappa, both standard errors (Fleiss et al., 1969)."""
    ratings = RATINGS[RATINGS["design"] == design][["first", "second"]].to_numpy()
    size = ratings.max()
    counts = np.zeros((size, size))
    np.add.at(counts, tuple(ratings.T - 1), 1)
    expected = cohens_kappa(counts, wt=None if weights == "none" else weights)
    found = one(cohen_kappa(ratings, weights=weights, categories=range(1, size + 1)))
    assert found["estimate"] == pytest.approx(expected.kappa, rel=1e-10)
    assert found["standard_error"] == pytest.approx(expected.std_kappa, rel=1e-10)
    assert found["p_value"] == pytest.approx(expected.pvalue_two_sided, rel=1e-7, abs=1e-300)


def test_kappa_against_irrcac():
    """kappa2.table(cont3x3abstractors) in irrCAC's vignette: 0.7964094, SE 0.05891072."""
    found = one(cohen_kappa(ABSTRACTORS))
    assert found["estimate"] == pytest.approx(0.7964094, abs=5e-8)
    assert found["standard_error"] == pytest.approx(0.05891072, abs=5e-9)


def test_ac1_of_several_raters_against_irrcac():
    """gwet.ac1.raw(cac.raw4raters): 0.77544, SE 0.14295, CI (0.461, 1), p 0.000208721."""
    found = one(gwet_ac1(RAW, interval="wald"))
    assert found["estimate"] == pytest.approx(0.77544, abs=5e-6)
    assert found["standard_error"] == pytest.approx(0.14295, abs=5e-6)
    assert found["ci_low"] == pytest.approx(0.461, abs=5e-4)
    assert found["ci_high"] == 1
    assert found["p_value"] == pytest.approx(0.000208721, rel=1e-4)
    assert (found["n_subjects"], found["n_raters"], found["n_categories"]) == (12, 4, 5)


def test_ac1_of_two_raters_against_irrcac():
    """gwet.ac1.table(cont3x3abstractors): 0.8493305, SE 0.04321747.

    irrCAC divides the variance by n for a table and by n - 1 for raw ratings; here it is always
    n - 1.
    """
    found = one(gwet_ac1(ABSTRACTORS))
    assert found["estimate"] == pytest.approx(0.8493305, abs=5e-8)
    assert found["standard_error"] == pytest.approx(0.04321747 * (100 / 99) ** 0.5, abs=5e-9)


def test_text_book():
    """Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions" (2003), Table 18.1.

    Shares of 100 subjects in three diagnoses, for which it gives kappa as 0.68.
    """
    shares = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
    cells = [(i, j) for i in range(3) for j in range(3) for _ in range(shares[i, j])]
    found = one(cohen_kappa(np.array(cells)))
    assert found["agreement"] == pytest.approx(0.89, abs=1e-12)
    assert round(found["estimate"], 2) == 0.68


class TestNothingToShare:
    def test_one_category(self):
        for found in (one(cohen_kappa(["a"] * 5, ["a"] * 5)), one(gwet_ac1(["a"] * 5, ["a"] * 5))):
            assert np.isnan(found["estimate"])
            assert found["agreement"] == 1
            assert "categor" in found["note"]

    def test_one_category_of_two(self):
        found = one(gwet_ac1(["a"] * 5, ["a"] * 5, categories=["a", "b"]))
        assert found["estimate"] == found["ci_high"] == 1
        assert found["ci_low"] < 0.2
        assert found["p_value"] == 0.5**5

    def test_perfect(self):
        for function in (cohen_kappa, gwet_ac1, fleiss_kappa):
            found = one(function([1, 2, 3, 1], [1, 2, 3, 1], interval="wald"))
            assert found["estimate"] == found["ci_low"] == found["ci_high"] == 1
            assert "no width" in found["note"]
            found = one(function([1, 2, 3, 1], [1, 2, 3, 1]))
            assert found["estimate"] == found["ci_high"] == 1
            assert found["ci_low"] < 0.3
            assert found["note"] == "raters agree on every subject"

    def test_three_subjects_are_not_certain(self):
        """Where AC1 of two categories is 0, raters agree on three subjects in one case of eight."""
        found = one(gwet_ac1(list("aab"), list("aab")))
        assert found["p_value"] == 0.125
        assert found["ci_low"] < 0 < found["ci_high"] == 1


@cache
def tables_of_ten():
    """Every table of ten subjects and two categories, with the intervals of kappa and of AC1."""
    found = {}
    for table in np.ndindex(11, 11, 11):
        if sum(table) <= 10 and table[1] <= table[2]:
            a, b, c, d = (*table, 10 - sum(table))
            ratings = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], (a, b, c, d), axis=0)
            rows = [
                one(function(ratings, categories=[0, 1])) for function in (cohen_kappa, gwet_ac1)
            ]
            limits = [(row["ci_low"], row["ci_high"]) for row in rows]
            found[a, b, c, d] = found[a, c, b, d] = limits
    return found


class TestProfile:
    @pytest.mark.parametrize("function", [cohen_kappa, gwet_ac1, fleiss_kappa])
    @pytest.mark.parametrize(
        ("counts", "low", "high"),
        [((12, 12, 4, 4), 0.1578688201, 0.7349519816), ((6, 6, 0, 0), 0.5150119867, 1.0)],
    )
    def test_even_margins_against_wilson(self, function, counts, low, high):
        """Kappa and AC1 are then 2 p - 1 of the share p of agreement.

        R 4.2.2: 2 * prop.test(24, 32, correct=FALSE)$conf.int - 1, and of 12 in 12.
        """
        ratings = np.repeat([[0, 0], [1, 1], [0, 1], [1, 0]], counts, axis=0)
        found = one(function(ratings))
        assert found["ci_low"] == pytest.approx(low, abs=1e-9)
        assert found["ci_high"] == pytest.approx(high, abs=1e-9)

    @pytest.mark.parametrize("function", [cohen_kappa, gwet_ac1])
    def test_nears_the_wald_interval(self, function):
        ratings = np.repeat([[0, 0], [1, 1], [0, 1], [2, 2]], 10_000, axis=0)
        found, wald = one(function(ratings)), one(function(ratings, interval="wald"))
        width = wald["ci_high"] - wald["ci_low"]
        for limit in ("ci_low", "ci_high"):
            assert found[limit] == pytest.approx(wald[limit], abs=0.01 * width)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("prevalence", "kappa"), [(0.5, 0.3), (0.5, 0.6), (0.8, 0.3), (0.8, 0.6)]
    )
    def test_exact_coverage_of_ten_subjects(self, prevalence, kappa):
        """Every table of ten subjects and two categories, weighed by its probability."""
        differ = (1 - kappa) * prevalence * (1 - prevalence)
        shares = [prevalence - differ, differ, differ, 1 - prevalence - differ]
        ac1 = 1 - 2 * differ / (1 - 2 * prevalence * (1 - prevalence))
        hits, known = np.zeros(2), np.zeros(2)
        for counts, limits in tables_of_ten().items():
            chance = stats.multinomial.pmf(counts, 10, shares)
            for place, ((low, high), true) in enumerate(zip(limits, (kappa, ac1), strict=True)):
                hits[place] += chance * (low <= true <= high)
                known[place] += chance * np.isfinite(low)
        assert (hits / known > 0.925).all()

    @pytest.mark.parametrize("function", [gwet_ac1, fleiss_kappa])
    def test_coverage_of_four_raters_and_three_categories(self, function):
        """200 studies, standard error 1.6 points; in 1000 it is 94 and 95 %, and 79 % by Wald."""
        generator, prevalence = np.random.default_rng(9), np.array([0.85, 0.1, 0.05])
        chance = (prevalence**2).sum()
        agreement = 0.9 + 0.1 * chance
        if function is gwet_ac1:
            chance = (1 - chance) / 2
        true, hits, known = (agreement - chance) / (1 - chance), 0, 0
        for _ in range(200):
            truth = generator.choice(3, (30, 1), p=prevalence)
            guess = generator.choice(3, (30, 4), p=prevalence)
            ratings = np.where(generator.random((30, 4)) < 0.9**0.5, truth, guess)
            found = one(function(ratings, categories=[0, 1, 2]))
            hits += found["ci_low"] <= true <= found["ci_high"]
            known += np.isfinite(found["ci_low"])
        assert 0.90 <= hits / known <= 0.99

    @pytest.mark.parametrize("form", ["series", "categorical", "table"])
    def test_levels_of_ordered_categories(self, form):
        """As text they would be sorted: high, low, middle."""
        levels = ["low", "middle", "high"]
        first, second = (
            pd.Categorical(labels, categories=levels, ordered=True)
            for labels in (["low", "high", "middle", "high"], ["low", "high", "low", "middle"])
        )
        given = {
            "series": (pd.Series(first), pd.Series(second)),
            "categorical": (first, second),
            "table": (pd.DataFrame({"first": first, "second": second}),),
        }[form]
        found = one(cohen_kappa(*given, weights="linear"))
        numbers = one(cohen_kappa([0, 2, 1, 2], [0, 2, 0, 1], weights="linear"))
        assert found["estimate"] == numbers["estimate"]

    def test_unknown_interval(self):
        with pytest.raises(InputError, match="unknown interval 'wlad'; did you mean 'wald'"):
            cohen_kappa(["a", "b"], ["a", "b"], interval="wlad")


class TestSymmetries:
    @given(pairs)
    def test_swap(self, ratings):
        for function in (cohen_kappa, gwet_ac1):
            there, back = one(function(ratings)), one(function(ratings[:, ::-1]))
            numbers = ["estimate", "standard_error", "agreement", "chance_agreement"]
            np.testing.assert_allclose(
                there[numbers].astype(float), back[numbers].astype(float), atol=1e-9
            )

    @given(pairs)
    def test_names_do_not_matter(self, ratings):
        named = np.array(["d", "c", "b", "a"])[ratings]
        for function in (cohen_kappa, gwet_ac1):
            there, back = one(function(ratings)), one(function(named))
            assert there["estimate"] == pytest.approx(back["estimate"], abs=1e-12, nan_ok=True)

    @given(pairs)
    def test_bounds(self, ratings):
        for function in (cohen_kappa, gwet_ac1):
            found = one(function(ratings))
            if not np.isnan(found["estimate"]):
                assert -1 <= found["ci_low"] <= found["estimate"] + 1e-12
                assert found["estimate"] <= found["ci_high"] + 1e-12 <= 1 + 2e-12

    @given(pairs)
    def test_two_categories_make_weights_equal(self, ratings):
        """With two categories every disagreement has the same distance."""
        binary = ratings % 2
        values = [
            one(cohen_kappa(binary, weights=name, categories=[0, 1]))["estimate"]
            for name in ("none", "linear", "quadratic")
        ]
        assert values[1] == pytest.approx(values[0], abs=1e-12, nan_ok=True)
        assert values[2] == pytest.approx(values[0], abs=1e-12, nan_ok=True)


class TestInput:
    def test_missing(self):
        with pytest.raises(InputError, match="no rating of subject 1 by rater 0"):
            cohen_kappa(["a", None, "b"], ["a", "b", "b"])

    def test_lengths(self):
        with pytest.raises(InputError, match="first has 2 ratings and second 3"):
            gwet_ac1(["a", "b"], ["a", "b", "b"])

    def test_too_few(self):
        with pytest.raises(InputError, match="at least 2 are needed"):
            cohen_kappa(["a"], ["b"])

    def test_three_raters(self):
        with pytest.raises(InputError, match="use gwet_ac1"):
            cohen_kappa([[1, 1, 2], [1, 2, 2]])

    def test_order_of_text(self):
        with pytest.raises(InputError, match="give categories="):
            cohen_kappa(["low", "high"], ["low", "low"], weights="linear")

    def test_unknown_category(self):
        with pytest.raises(InputError, match="unknown category 'yse'; did you mean 'yes'"):
            cohen_kappa(["yes", "yse"], ["yes", "no"], categories=["yes", "no"])

    def test_unknown_weights(self):
        with pytest.raises(InputError, match="unknown weights 'square'"):
            cohen_kappa(["a", "b"], ["a", "b"], weights="square")

    def test_no_pairs(self):
        with pytest.raises(InputError, match="no subject is rated by two raters"):
            gwet_ac1([["a", None], [None, "b"]])

    def test_shape(self):
        with pytest.raises(InputError, match=r"must be \(subjects, raters\)"):
            gwet_ac1(["a", "b"])
