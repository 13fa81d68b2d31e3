"""The paper's tables and figures, from results made of random numbers and from its own numbers."""

import numpy as np
import pytest
from scipy import stats

from reprostats.errors import InputError
from reprostats.report import monte_carlo as report
from tests.experiments.cross_validation import CASES, cross_validation, simulated, table, trial


def constant(*statuses, value=0.9):
    """Repetitions of one condition whose second fold has the status that is given."""
    trials = []
    for init, status in enumerate(statuses):
        folds = cross_validation("one", init, lambda _: value)
        if status != "ok":
            folds[1] = trial("one", init, 1, {}, status=status)
        trials += folds
    return table(trials)


class TestRepetitions:
    def test_with_the_same_seeds_have_the_same_number(self):
        values = report.values_by_repetition(simulated())
        counts = values.groupby(["condition", "repetition"]).size()
        assert counts.to_dict() == {(c, r): 12 for c in ("one", "two") for r in (1, 2, 3)}

    def test_missing_repetition_does_not_move_the_numbers(self):
        results = simulated()
        left = results[(results["condition"] == "one") | (results["init"] != 1)]
        values = report.values_by_repetition(left)
        assert set(values.loc[values["condition"] == "two", "repetition"]) == {1, 3}

    def test_repeats_of_the_same_seeds_are_told_apart(self):
        trials = [t for repeat in range(2) for t in cross_validation("one", 7, len, repeat=repeat)]
        assert set(report.values_by_repetition(table(trials))["repetition"]) == {1, 2}

    @pytest.mark.parametrize("column", ["seeds that are not recorded", "another source"])
    def test_count_in_each_condition_where_seeds_do_not_tell(self, column):
        results = simulated(2)
        streams = ["init", "batch_order", "augmentation", "dropout", "split", "noise"]
        if column == "another source":
            results = results.assign(threads=results["init"] + 1, init=0)
        else:
            results = results.assign(run_seed=results["init"]).drop(
                columns=streams, errors="ignore"
            )
        values = report.values_by_repetition(results)
        counts = values.groupby(["condition", "repetition"]).size()
        assert counts.to_dict() == {(c, r): 12 for c in ("one", "two") for r in (1, 2)}

    def test_case_tested_on_twice(self):
        trials = cross_validation("one", 0, lambda _: 0.9)
        trials[1] = trial("one", 0, 1, {"p00": 0.9, "p01": 0.8})
        with pytest.raises(InputError, match=r"'p00' was measured more than once .* folds overlap"):
            report.values_by_repetition(table(trials))

    def test_metric_that_is_not_there(self):
        with pytest.raises(InputError, match="'dise'; did you mean 'dice'"):
            report.values_by_repetition(simulated(), "dise")


class TestTables:
    def test_of_repetitions_are_medians_with_exact_intervals(self):
        results = simulated()
        rows = report.repetition_tables(results)[1].frame
        values = report.values_by_repetition(results)
        ordered = np.sort(values.query("condition == 'two' and repetition == 2")["value"])
        row = rows.iloc[1]
        assert row["repetition"] == 2
        assert row["median"] == pytest.approx(np.median(ordered))
        # n = 12: the 3rd and 10th values cover with 1 - 2 P(B < 3) = 0.9614.
        assert stats.binom(12, 0.5).cdf(2) * 2 < 0.05 < stats.binom(12, 0.5).cdf(3) * 2
        assert (row["ci_low"], row["ci_high"]) == (ordered[2], ordered[9])

    def test_sizes_and_times_of_whole_cross_validations(self):
        """A repetition that lacks a fold has an interval, but no training time."""
        results = constant("ok", "timeout", "ok")
        row = report.cross_validation_table(results).frame.iloc[0]
        assert (row["repetitions"], row["ci_size"]) == (3, 0)
        assert row["training_time"] == 10 + 11 + 12
        assert len(report.training_times(results)) == 2

    def test_times_that_were_not_measured_are_left_open(self):
        results = simulated().drop(columns="training_time")
        assert report.cross_validation_table(results).frame["training_time"].isna().all()

    def test_missing_fold_is_seen_in_the_number_of_cases(self):
        frame = report.repetition_tables(constant("failed", "ok"))[0].frame
        assert frame["n"].tolist() == [8, 12]

    def test_are_written_in_all_formats(self, tmp_path):
        results = simulated()
        tables = [*report.repetition_tables(results), report.cross_validation_table(results)]
        written = [path for each in tables for path in each.write(tmp_path)]
        assert len(set(written)) == 4 * 3
        assert all(path.stat().st_size for path in written)


def rows_of(figure, column):
    data = figure.chart.to_dict()["datasets"].values()
    return {row[column] for rows in data for row in rows if column in row}


class TestFigures:
    def test_are_drawn(self, tmp_path):
        results = simulated(12)
        for figure in (report.case_figure(results), report.interval_figure(results)):
            assert all(path.stat().st_size > 5000 for path in figure.write(tmp_path))

    def test_first_ten_repetitions_with_boxes(self):
        figure = report.case_figure(simulated(12), condition="two")
        assert rows_of(figure, "label") == {f"Rep.{number:02d}" for number in range(1, 11)}
        assert "Boxes stand behind groups of 10" in figure.caption

    def test_few_cases_have_no_box(self):
        trials = [trial("one", 0, 0, {"a": 0.9, "b": 0.8}), trial("one", 1, 0, {"a": 0.7, "b": 0})]
        figure = report.case_figure(table(trials))
        assert "Boxes" not in figure.caption
        assert rows_of(figure, "low") == {None}

    def test_condition_that_is_not_there(self):
        with pytest.raises(InputError, match=r"'three'.*Known: one, two"):
            report.case_figure(simulated(), condition="three")

    def test_intervals_of_all_repetitions(self):
        figure = report.interval_figure(simulated(12))
        assert rows_of(figure, "repetition") == set(range(1, 13))
        assert rows_of(figure, "condition") == {"one", "two"}

    def test_cases_are_those_of_the_table(self):
        assert rows_of(report.case_figure(simulated()), "case") == set(CASES)


class TestFactors:
    def test_framework_and_threads_with_repetitions_as_the_unit(self):
        """The medians of conditions one and two differ by the threads that they are given."""
        results = simulated(6)
        threads = results["condition"].map({"one": 1, "two": 2})
        frame = report.factor_table(results.assign(threads=threads), ["threads"]).frame
        assert frame["source"].str.contains("threads").sum() == 1
        intervals = report.repetition_intervals(results)
        wide = intervals.pivot_table("median", "repetition", "condition")
        paired = stats.ttest_rel(wide["one"], wide["two"])
        row = frame[frame["source"].str.contains("threads")].iloc[0]
        assert row["p_value"] == pytest.approx(paired.pvalue)  # two levels: F is t squared

    def test_one_level_of_everything(self):
        (note,) = report.factor_table(simulated(), ["threads"]).frame["note"]
        assert note.startswith("not applicable")

    def test_copies_are_no_replicates(self):
        results = constant("ok", "ok")
        other = results.assign(condition="two", threads=2)
        both = report.pd.concat([results.assign(threads=1), other])
        (note,) = report.factor_table(both, ["threads"]).frame["note"]
        assert note.startswith("undetermined: the repetitions")


def test_an_earlier_result_stands_above_the_repetitions():
    earlier = report.EarlierResult(name="ICPR 2018", median=0.959, low=0.9516, high=0.9664)
    frame = report.repetition_tables(simulated(), earlier=earlier)[0].frame
    assert frame.loc[0, ["repetition", "median"]].tolist() == ["ICPR 2018", 0.959]
    assert frame["repetition"].tolist()[1:] == [1, 2, 3]
