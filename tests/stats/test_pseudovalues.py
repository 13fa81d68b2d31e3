"""Pseudovalues of a metric of the test set: published analyses of readers, and the OR formulas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats import compare_algorithms, pseudovalues
from reprostats.errors import InputError
from tests.shared import SHARED, needs

REFERENCE = SHARED / "reference" / "mrmc" / "published_examples"
KEY = {"algorithm": "treatment", "run": "reader", "case": "case"}


def auc(rows: pd.DataFrame) -> float:
    ill, well = (rows.loc[rows["truth"] == k, "rating"].to_numpy() for k in (1, 0))
    return float(np.mean((ill[:, None] > well) + 0.5 * (ill[:, None] == well)))


def ratings(readers=4, well=9, ill=7, seed=3):
    """Two treatments, the same readers and cases: ratings 1 to 5."""
    generator = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [well, ill])
    case = generator.normal(size=truth.size)
    rows = [
        {"treatment": treatment, "reader": reader, "case": k, "truth": truth[k],
         "rating": int(np.clip(np.round(3 + truth[k] * (1 + 0.5 * treatment) + score[k]), 1, 5))}
        for treatment in range(2)
        for reader in range(readers)
        for score in [0.7 * case + generator.normal(size=truth.size)]
        for k in range(truth.size)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def compared(table, statistic=auc, **options):
    values = pseudovalues(table, statistic, **KEY)
    return compare_algorithms(values, value="pseudovalue", **KEY, **options)


def obuchowski_rockette(table: pd.DataFrame) -> dict[str, float]:
    """Two treatments, factorial, covariances by the jackknife (Hillis 2007, eq. 4 to 7)."""
    groups = dict(list(table.groupby(["treatment", "reader"])))
    readers = table["reader"].nunique()
    theta = np.reshape([auc(rows) for rows in groups.values()], (2, readers))
    cases = table["case"].unique()
    n = len(cases)
    left_out = [[auc(rows[rows["case"] != k]) for k in cases] for rows in groups.values()]
    covariance = (n - 1) ** 2 / n * np.cov(left_out)
    of = covariance.reshape(2, readers, 2, readers)
    other = ~np.eye(readers, dtype=bool)
    cov2 = np.mean([of[i, :, i, :][other] for i in range(2)])  # same treatment, other reader
    cov3 = of[0, :, 1, :][other].mean()  # both are others
    residual = theta - theta.mean(axis=0) - theta.mean(axis=1, keepdims=True) + theta.mean()
    by_reader = (residual**2).sum() / (readers - 1)
    total = by_reader + readers * max(cov2 - cov3, 0.0)
    se = (2 / readers * total) ** 0.5
    df = total**2 / (by_reader**2 / (readers - 1))
    difference = theta[0].mean() - theta[1].mean()
    p_value = 2 * stats.t.sf(abs(difference) / se, df)
    return {"difference": difference, "se": se, "df_hillis": df, "p_hillis": p_value}


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_obuchowski_rockette_formulas(seed):
    table = ratings(seed=seed)
    row = compared(table, runs="crossed").iloc[0]
    for name, number in obuchowski_rockette(table).items():
        assert row[name] == pytest.approx(number, rel=1e-9), name


@needs("reference/mrmc")
class TestPublished:
    """Printed by OR-DBM MRMC 2.51 and in the MRMCaov user guide; see the column printed_source."""

    def expected(self, dataset):
        table = pd.read_csv(REFERENCE / "expected.csv")
        chosen = table[
            (table["dataset"] == dataset)
            & (table["cov"] == "jackknife")
            & table["design"].isin(["factorial", "readers nested in tests"])
            & (table["factors"] == "random readers, random cases")
        ]
        return chosen.set_index("quantity")

    @pytest.mark.parametrize("dataset", ["VanDyke", "Franken"])
    def test_factorial(self, dataset):
        row = compared(pd.read_csv(REFERENCE / f"{dataset}.csv"), runs="crossed").iloc[0]
        expected = self.expected(dataset)
        names = {"difference": "difference", "se": "se", "df_hillis": "df", "p_hillis": "p_value"}
        for ours, theirs in names.items():
            known = expected.loc[theirs]
            assert row[ours] == pytest.approx(known["expected"], rel=1e-9), ours
            # And as printed, to half a unit of the last digit.
            places = len(str(known["printed"]).partition(".")[2])
            assert row[ours] == pytest.approx(float(known["printed"]), abs=0.51 * 10**-places)

    @pytest.mark.parametrize("dataset", ["VanDyke", "Franken"])
    def test_readers_nested_in_tests(self, dataset):
        """Of unequal numbers of readers (VanDykeNest) OR weighs covariances in another way."""
        row = compared(pd.read_csv(REFERENCE / f"{dataset}.csv"), runs="nested").iloc[0]
        expected = self.expected(f"{dataset}Relab")["expected"]
        names = {"difference": "difference", "se": "se", "df_hillis": "df", "p_hillis": "p_value"}
        for ours, theirs in names.items():
            assert row[ours] == pytest.approx(expected[theirs], rel=1e-9), ours

    @pytest.mark.parametrize("dataset", ["VanDyke", "Franken"])
    def test_fixed_cases(self, dataset):
        """Cases fixed: a paired t test of the readers' areas."""
        table = pd.read_csv(REFERENCE / f"{dataset}.csv")
        row = compared(table, runs="crossed", generalise_to="runs").iloc[0]
        known = pd.read_csv(REFERENCE / "expected.csv")
        known = known[(known["dataset"] == dataset) & (known["cov"] == "none")]
        known = known.set_index("quantity")["expected"]
        for name in ("difference", "se", "df", "p_value"):
            assert row[name] == pytest.approx(known[name], rel=1e-9), name

    def test_areas_of_partly_paired_cases(self):
        """Kundel: test 1 has cases of its own. OR gives one standard error to all three pairs,
        from mean covariances; REML, which is used here, tells pairs with common cases from
        others. So the areas are compared.
        """
        values = pseudovalues(pd.read_csv(REFERENCE / "Kundel.csv"), auc, **KEY)
        areas = values.groupby(["treatment", "reader"])["pseudovalue"].mean()
        means = areas.groupby("treatment").mean()
        known = pd.read_csv(REFERENCE / "expected.csv")
        known = known[(known["dataset"] == "Kundel") & (known["cov"] == "jackknife")]
        for row in known[known["quantity"] == "difference"].to_dict("records"):
            first, second = (int(part) for part in row["level"].split(" - "))
            assert means[first] - means[second] == pytest.approx(row["expected"], rel=1e-9)


def test_pseudovalues_of_a_mean_are_the_values():
    generator = np.random.default_rng(1)
    table = ratings().assign(dice=generator.normal(size=len(ratings())))
    values = pseudovalues(table, lambda rows: rows["dice"].mean(), **KEY)
    np.testing.assert_allclose(values["pseudovalue"], table["dice"], rtol=1e-12, atol=1e-12)


def test_rows_of_a_case_are_left_out_together():
    table = ratings()
    twice = pd.concat([table, table]).sample(frac=1, random_state=2)
    once, again = (pseudovalues(t, auc, **KEY).sort_values([*KEY.values()]) for t in (table, twice))
    np.testing.assert_allclose(again["pseudovalue"], once["pseudovalue"], rtol=1e-12)


def test_mean_of_a_run_is_its_metric():
    """F1 is biased by the jackknife; its mean over runs must still be the F1 that is reported."""

    def f1(rows):
        hit = rows["rating"] > 3
        return 2 * (hit & (rows["truth"] == 1)).sum() / (hit.sum() + rows["truth"].sum())

    table = ratings()
    values = pseudovalues(table, f1, **KEY)
    means = values.groupby(["treatment", "reader"])["pseudovalue"].mean()
    metric = {key: f1(rows) for key, rows in table.groupby(["treatment", "reader"])}
    np.testing.assert_allclose(means, pd.Series(metric), rtol=1e-12)


class TestRefused:
    def test_a_metric_that_one_case_makes_undefined(self):
        def sensitivity(rows):
            ill = rows[rows["truth"] == 1]
            return (ill["rating"] > 3).sum() / len(ill) if len(ill) else np.nan

        message = "statistic is nan for algorithm 0, run 0 without case 9; it must be a finite"
        with pytest.raises(InputError, match=message):
            pseudovalues(ratings(ill=1), sensitivity, **KEY)

    def test_no_number(self):
        with pytest.raises(InputError, match="the statistic is 'high' for algorithm 0, run 0"):
            pseudovalues(ratings(), lambda _: "high", **KEY)

    def test_an_error_of_the_metric_says_where(self):
        with pytest.raises(KeyError) as raised:
            pseudovalues(ratings(), lambda rows: rows["dice"].mean(), **KEY)
        assert raised.value.__notes__ == ["while the statistic was computed for algorithm 0, run 0"]

    def test_one_case(self):
        with pytest.raises(InputError, match="run 0 has 1 case; at least 2 are needed"):
            pseudovalues(ratings().query("case == 0"), lambda _: 1.0, **KEY)

    def test_columns(self):
        with pytest.raises(InputError, match="unknown column 'readr'; did you mean 'reader'"):
            pseudovalues(ratings(), auc, **(KEY | {"run": "readr"}))
        table = ratings().astype({"case": float})
        table.loc[4, "case"] = np.nan
        with pytest.raises(InputError, match="column 'case' is empty in row 4"):
            pseudovalues(table, auc, **KEY)
