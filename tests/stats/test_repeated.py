"""repeated_measures_anova against R's car and lmerTest, and its own symmetries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.paired import paired_ttest
from reprostats.stats.repeated import repeated_measures_anova, sphericity
from tests.stats.reference import beside, check, designs, read

DATA = designs("repeated_data.csv")
COMPLETE = read("repeated_expected.csv")
MIXED = read("repeated_mixed_expected.csv")
KENWARD_ROGER = read("kenward_roger_expected.csv")
EXACT = read("repeated_exact_expected.csv")
SPHERICITY = ["mauchly_w", "mauchly_p", "greenhouse_geisser", "huynh_feldt"]
CORRECTED = ["p_greenhouse_geisser", "p_huynh_feldt"]


def of_design(name, **options):
    table = DATA[name]
    within = [factor for factor in ("a", "b") if table[factor].nunique() > 1]
    between = ["group"] if table["group"].nunique() > 1 else []
    return repeated_measures_anova(
        table, value="y", subject="subject", within=within, between=between, **options
    ).set_index("source")


def in_order(expected, **options):
    """Analyse every design of a table of reference, its terms in the same order."""
    groups = expected.groupby("design", sort=False)["source"]
    return [of_design(name, **options).loc[terms] for name, terms in groups]


def one_way(subjects=8, levels=3, seed=1):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(subjects, 1)) + rng.normal(size=(subjects, levels))
    return long(scores)


def long(scores):
    table = pd.DataFrame(scores).melt(ignore_index=False, var_name="loss", value_name="dice")
    return table.reset_index(names="case")


def of(table, **options):
    options = {"value": "dice", "subject": "case", "within": ["loss"]} | options
    return repeated_measures_anova(table, **options)


class TestAgainstR:
    def test_complete(self):
        """car 3.1.1 under R 4.2.2, type 2, 60 designs; make_repeated.R."""
        expected = COMPLETE.assign(huynh_feldt=COMPLETE["huynh_feldt"].clip(upper=1))
        # car prints 0 for p that it does not correct: factors of two levels, and between subjects.
        corrected = [*CORRECTED, "greenhouse_geisser", "huynh_feldt"]
        expected[corrected] = expected[corrected].where(expected["mauchly_w"].notna())
        joined = beside(expected, in_order(expected))
        sums = ["sum_of_squares", "df", "error", "df_error", "f", "p_value"]
        check(joined, [*sums, *SPHERICITY, *CORRECTED], relative=1e-9)
        assert expected["design"].nunique() == 60
        assert expected["mauchly_w"].notna().sum() >= 100

    def test_missing_cells(self):
        """lmerTest 3.1.3 under R 4.2.2, type 3, Satterthwaite, 90 designs; make_repeated.R.

        Seven of them, in which lmerTest's F has fewer digits, are the subject of the next test.
        """
        joined = beside(MIXED, in_order(MIXED, method="mixed"))
        check(joined, ["df", "df_error", "p_value"], relative=1e-6)
        check(joined[~joined["design"].isin(EXACT["design"])], ["f"], relative=1e-6)
        assert MIXED["design"].nunique() == 90
        assert MIXED["singular"].sum() >= 50
        assert joined["note_found"].str.contains("missing: mixed model, Satterthwaite").all()

    def test_missing_cells_in_exact_arithmetic(self):
        """F at the optimum of the likelihood in 40 digits; make_repeated_exact.py.

        These are the designs in which lmerTest differs most: it is lmerTest that does, by up to
        7e-6 of F.
        """
        joined = beside(EXACT, in_order(EXACT, method="mixed"))
        check(joined, ["f"], relative=1e-10)
        beside_r = EXACT.merge(MIXED, on=["design", "source"], suffixes=("", "_found"))
        assert (beside_r["f_found"] / beside_r["f"] - 1).abs().max() > 1e-6

    def test_kenward_roger(self):
        """pbkrtest 0.5.2, R 4.2.2, 90 designs, 39 with a variance at 0; make_kenward_roger.R."""
        found = in_order(KENWARD_ROGER, method="mixed", df="kenward-roger")
        joined = beside(KENWARD_ROGER, found)
        check(joined, ["df", "df_error", "f", "p_value"], relative=1e-6)
        assert KENWARD_ROGER["design"].nunique() == 90
        assert joined["note_found"].str.endswith("Kenward and Roger's degrees of freedom").all()

    @pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
    def test_balanced_mixed_model_equals_univariate(self, df):
        squares = of_design("complete_9", method="univariate")
        mixed = of_design("complete_9", method="mixed", df=df)
        for column in ("df", "df_error", "f", "p_value", "partial_eta_squared"):
            assert mixed.loc["a", column] == pytest.approx(squares.loc["a", column], rel=1e-7)


class TestDefinitions:
    def test_two_levels_are_a_paired_t_test(self):
        table = one_way(levels=2)
        row = of(table).iloc[0]
        scores = table.pivot_table(index="case", columns="loss", values="dice")
        t, p_value = stats.ttest_rel(scores[0], scores[1])
        assert row["f"] == pytest.approx(t**2)
        assert row["p_value"] == pytest.approx(p_value)
        assert (row[SPHERICITY] == 1).all()
        assert row["p_huynh_feldt"] == pytest.approx(row["p_value"])
        assert paired_ttest(scores[1], scores[0])["p_value"].iloc[0] == pytest.approx(p_value)

    def test_effect_sizes(self):
        row = of(one_way()).iloc[0]
        table = one_way().pivot_table(index="case", columns="loss", values="dice").to_numpy()
        total = np.square(table - table.mean()).sum()
        subjects = 3 * np.square(table.mean(axis=1) - table.mean()).sum()
        ss = row["sum_of_squares"]
        assert row["eta_squared"] == pytest.approx(ss / total)
        assert row["partial_eta_squared"] == pytest.approx(ss / (ss + row["error"]))
        assert row["generalized_eta_squared"] == pytest.approx(ss / (ss + row["error"] + subjects))

    def test_spherical_contrasts(self):
        w, p_value, greenhouse_geisser, huynh_feldt = sphericity(np.eye(3), 20)
        assert w == p_value == greenhouse_geisser == huynh_feldt == 1

    def test_fewer_subjects_than_contrasts(self):
        row = of(one_way(subjects=4, levels=6)).iloc[0]
        assert np.isnan(row["mauchly_w"])
        assert 0.2 <= row["greenhouse_geisser"] <= 1
        assert "Mauchly's W is not defined" in row["note"]


class TestSymmetries:
    @pytest.mark.parametrize(("shift", "scale"), [(1e6, 1.0), (0.0, 2.0**-300), (-4.0, 2.0**200)])
    def test_shift_scale_and_order(self, shift, scale):
        table, expected = one_way(), of(one_way()).iloc[0]
        moved = table.assign(dice=(table["dice"] + shift) * scale).sample(frac=1, random_state=2)
        found = of(moved).iloc[0]
        for column in ("f", "p_value", *SPHERICITY, *CORRECTED, "generalized_eta_squared"):
            assert found[column] == pytest.approx(expected[column], rel=1e-8)

    def test_names_of_levels_do_not_matter(self):
        table = one_way()
        named = table.assign(loss=table["loss"].map({0: "focal", 1: "dice", 2: "both"}))
        assert of(named)["f"][0] == pytest.approx(of(table)["f"][0])


class TestNothingVaries:
    @pytest.mark.parametrize("offset", [0.0, 0.1, 1e9])
    def test_subjects_that_respond_alike(self, offset):
        row = of(long(np.arange(5.0)[:, None] + np.array([0.0, 0.25, 0.75]) + offset)).iloc[0]
        assert row["f"] == np.inf
        assert row["p_value"] == row["error"] == 0
        assert "subjects respond alike" in row["note"]

    def test_bitwise_identical_measurements(self):
        row = of(long(np.repeat(np.random.default_rng(4).normal(size=(5, 1)), 3, axis=1))).iloc[0]
        assert row["sum_of_squares"] == row["error"] == 0
        assert np.isnan(row["f"])
        assert "0/0" in row["note"]

    @pytest.mark.parametrize("value", [0.0, 0.1, 1e300])
    def test_constant(self, value):
        row = of(long(np.full((5, 3), value))).iloc[0]
        assert np.isnan(row["f"])
        assert "the response is constant" in row["note"]


class TestInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"within": "loss"}, "within is 'loss'; it must be a list"),
            ({"within": []}, "within names no factor"),
            ({"within": ["los"]}, "unknown column 'los'; did you mean 'loss'"),
            ({"between": ["loss"]}, "column 'loss' is named more than once"),
            ({"between": ["other"]}, "varies within a subject"),
            ({"method": "anova"}, "method is 'anova'"),
            ({"df": "kenward"}, "unknown degrees of freedom 'kenward'"),
        ],
    )
    def test_refused(self, options, message):
        with pytest.raises(InputError, match=message):
            of(one_way().assign(other=lambda t: t.index % 3), **options)

    def test_missing_cell_where_every_one_is_needed(self):
        with pytest.raises(InputError, match="1 cell of subjects and loss have no observation"):
            of(one_way().drop(index=3), method="univariate")

    def test_doubled_cell(self):
        table = pd.concat([one_way(), one_way().iloc[[4]]], ignore_index=True)
        with pytest.raises(InputError, match="row 24 measures a subject in a cell"):
            of(table)

    def test_missing_value(self):
        table = one_way()
        table.loc[3, "dice"] = np.nan
        with pytest.raises(InputError, match="column 'dice' holds nan in row 3"):
            of(table)

    def test_one_subject(self):
        with pytest.raises(InputError, match="column 'case' has one level"):
            of(one_way(subjects=1))


@pytest.mark.long
class TestCalibration:
    """1,500 tables of 12 subjects by 4 levels with no effect, variances 1, 1, 4 and 16."""

    def test_level_without_sphericity(self):
        rng = np.random.default_rng(41)
        spread = np.array([1.0, 1.0, 2.0, 4.0])
        found = [
            of(long(rng.normal(size=(12, 1)) + spread * rng.normal(size=(12, 4)))).iloc[0]
            for _ in range(1500)
        ]
        rate = {
            name: np.mean([row[name] < 0.05 for row in found]) for name in ("p_value", *CORRECTED)
        }
        assert rate["p_value"] > 0.06  # without a correction the test rejects too often
        assert 0.03 <= rate["p_greenhouse_geisser"] <= 0.06
        assert 0.035 <= rate["p_huynh_feldt"] <= 0.07
