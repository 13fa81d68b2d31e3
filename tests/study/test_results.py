"""The results table: what it says of trials, what it refuses, what a completed trial is."""

import math

import numpy as np
import pandas as pd
import pytest

from reprostats import Condition, Study
from reprostats.errors import InputError
from reprostats.study.folder import UNPLANNED, read_study
from reprostats.study.results import (
    TIME,
    assumptions,
    check_results,
    columns_ending,
    commonest_reason,
    completed,
    of_newest_code,
    setting_columns,
    shared_seeds,
    trial_values,
)
from reprostats.study.runs import case_values, run_names, runs_of
from tests.study import trials


def table(**columns) -> pd.DataFrame:
    base = {"condition": "a", "trial": ["1", "1", "2", "2"], "metric": "dice",
            "case": ["x", "y", "x", "y"], "value": [0.8, 0.9, 0.7, 0.6], "status": "ok",
            "reason": ""}  # fmt: skip
    return pd.DataFrame(base | columns)


class TestCheck:
    def test_gives_the_table_back(self):
        pd.testing.assert_frame_equal(check_results(table()), table())

    def test_completes_what_is_missing_and_says_so(self):
        bare = pd.DataFrame({"trial": ["1", "2"], "metric": "accuracy", "value": [0.8, 0.9]})
        checked = check_results(bare)
        assert checked["status"].tolist() == ["ok", "ok"]
        assert checked["condition"].nunique() == 1
        assert [said.split(":")[0] for said in assumptions(bare)] == [
            "There is no column condition",
            "There is no column case",
            "There is no column status",
        ]
        assert assumptions(checked) == []

    @pytest.mark.parametrize(
        ("results", "message"),
        [
            (table().drop(columns="value"), "there is no column 'value'"),
            (table()[:0], "there is no row"),
            ([1, 2], "must be a pandas table with one row a value, not list"),
            (
                table(value=[0.8, 0.9, "bad", 0.6]),
                "row 2, column value: 'bad' is no number",
            ),
            (
                table(case=["x", "y", "x", "x"]),
                "row 3: trial '2' of 'a' has a second value of metric 'dice', case 'x'",
            ),
            (
                table(status=["ok", "failed", "ok", "ok"]),
                "trial '1' of 'a' has more than one status",
            ),
        ],
    )
    def test_refuses_with_the_place(self, results, message):
        with pytest.raises(InputError, match=message):
            check_results(results)

    def test_unknown_metric(self):
        with pytest.raises(InputError, match="unknown metric 'dise'; did you mean 'dice'"):
            check_results(table(), "dise")

    def test_missing_values_are_values(self):
        checked = check_results(table(value=[0.8, None, np.inf, 0.6]))
        assert math.isnan(checked["value"].iloc[1])


class TestCompleted:
    def test_failed_trials_are_left_out(self):
        results = table(status=["failed", "failed", "ok", "ok"], reason="no file")
        assert completed(results)["trial"].unique().tolist() == ["2"]

    def test_none_says_why(self):
        results = table(status="failed", reason="no file")
        with pytest.raises(InputError, match=r"no trial completed.*2 of 2\): failed, no file"):
            completed(results)

    def test_metric_that_only_failed_trials_lack_says_why(self):
        results = table(status=["failed", "failed", "ok", "ok"], reason="no file")
        with pytest.raises(InputError, match=r"unknown metric.*'hd'.*\(1 of 1\): failed, no file"):
            completed(results, "hd")

    def test_reason_counts_trials_and_not_rows(self):
        results = table(status=["failed", "failed", "ok", "ok"], reason=["r", "r", "", ""])
        assert commonest_reason(results).startswith("1 of 2 trials did not complete")

    def test_value_of_a_trial_is_the_mean_of_its_cases(self):
        values = trial_values(table(), ["dice"])
        assert values["dice"].tolist() == pytest.approx([0.85, 0.65])
        assert values["number"].tolist() == [1, 2]

    def test_no_mean_over_the_cases_that_are_left(self):
        values = trial_values(table(value=[0.8, np.nan, 0.7, np.inf]), ["dice", "none"])
        assert values[["dice", "none"]].isna().all(axis=None)


class TestRuns:
    def test_folds_of_one_repeat_are_one_run(self):
        results = table(trial=["1", "2", "3", "4"], fold=[0, 1, 0, 1], repeat=[0, 0, 1, 1], init=7)
        assert run_names(results).tolist() == ["1", "1", "3", "3"]
        assert case_values(results, "dice")["run"].tolist() == ["1", "1", "3", "3"]

    def test_overlapping_folds_are_refused(self):
        results = table(trial=["1", "2", "3", "4"], fold=[0, 1, 0, 1], repeat=0, case="x")
        with pytest.raises(InputError, match="case 'x' was measured more than once in one run"):
            case_values(results, "dice")

    def test_run_is_complete_if_the_trials_of_all_folds_completed(self):
        rows = table(case=list("abab"), trial=list("1234"), fold=[0, 1, 0, 1], repeat=[0, 0, 1, 1],
                     status=["ok", "ok", "failed", "ok"])  # fmt: skip
        assert runs_of(rows)["complete"].tolist() == [True, True, False, False]
        assert runs_of(rows[:3])["complete"].tolist() == [True, True, False]

    def test_seeds_are_shared_whatever_else_differs(self):
        rows = table(trial=list("1234"), init=[1, 1, 2, 2], repeat=0, threads=[1, 2, 1, 2])
        seeds = shared_seeds(rows).tolist()
        assert seeds[0] == seeds[1] != seeds[2] == seeds[3]
        assert shared_seeds(rows.drop(columns="init")).tolist() == [""] * 4

    def test_settings_are_neither_hashes_nor_times(self):
        results = table(repeat=0, init=1, weights_sha256="f", trial_time=1.0, code="c", rate=0.1)
        assert setting_columns(results) == ["repeat", "init", "rate"]


class TestConfig:
    """Values of the config are varied and compared like sources."""

    def rates(self, folder, **settings):
        return Study(trials.scaled, config={"scale": 1.0, "shift": 0.0}, folder=folder, **settings)

    def test_varied_values_are_conditions(self, tmp_path):
        study = self.rates(tmp_path, varied={"scale": [1.0, 2.0], "init": [1, 2]})
        results = study.run(workers=1, progress=False)
        assert results["condition"].unique().tolist() == ["scale=1.0", "scale=2.0"]
        assert results["scale"].tolist() == [1.0, 1.0, 2.0, 2.0]
        assert results["value"].iloc[2] == 2 * results["value"].iloc[0]
        assert "shift" not in results

    def test_condition_changes_the_config(self, tmp_path):
        conditions = {"plain": Condition(), "shifted": Condition(config={"shift": 5.0})}
        results = self.rates(tmp_path, conditions=conditions).run(workers=1, progress=False)
        plain, shifted = results["value"]
        assert shifted == plain + 5.0
        assert results["shift"].tolist() == [0.0, 5.0]

    def test_settings_listed_together(self, tmp_path):
        listed = [{"scale": 1.0, "init": 1}, {"scale": 2.0, "init": 2}]
        study = self.rates(tmp_path, varied=listed)
        assert {name: len(trials) for name, trials in study.planned.items()} == {
            "scale=1.0": 1,
            "scale=2.0": 1,
        }

    def test_a_name_that_is_neither_is_refused_with_both_lists(self, tmp_path):
        with pytest.raises(InputError, match=r"neither a source .* nor a value of the config") as e:
            self.rates(tmp_path, varied={"sacle": [1.0]})
        assert "init" in str(e.value)
        assert "scale, shift" in str(e.value)

    def test_a_name_that_is_both_is_refused(self):
        with pytest.raises(InputError, match="a source and a config value of this name"):
            Study(trials.constant, config={"threads": 1}, varied={"threads": [1, 2]})

    def test_condition_with_an_unknown_config_value(self, tmp_path):
        with pytest.raises(InputError, match=r"changes config\['sift'\], but .* scale, shift"):
            self.rates(tmp_path, conditions={"a": Condition(config={"sift": 1.0})})

    def test_lists_and_names_of_columns(self, tmp_path):
        study = Study(
            trials.constant,
            config={"widths": [1], "case": 1, "wait_time": 1},
            varied=[
                {"widths": widths, "case": case, "wait_time": case}
                for widths in ([1], [1, 2])
                for case in (1, 2)
            ],
            folder=tmp_path,
        )
        results = study.run(workers=1, progress=False)
        assert results["widths"].tolist() == ["[1]", "[1]", "[1, 2]", "[1, 2]"]
        assert results["config.case"].tolist() == [1, 2, 1, 2]
        # It ends as the columns of seconds do, and is none.
        assert results["config.wait_time"].tolist() == [1, 2, 1, 2]
        assert "config.wait_time" in setting_columns(results)
        assert columns_ending(results, TIME) == ["trial_time"]
        assert set(results["case"]) == {"all"}


class TestFolder:
    def test_second_study_keeps_the_trials_of_the_first(self, tmp_path):
        first = Study(trials.streams, varied={"init": [1, 2]}, folder=tmp_path, name="one")
        first.run(workers=1, progress=False)
        second = Study(trials.constant, folder=tmp_path, name="two")
        second.run(workers=1, progress=False)
        stored = pd.read_parquet(tmp_path / "results.parquet")
        assert stored["trial"].nunique() == 3
        assert stored.groupby("study")["trial"].nunique().to_dict() == {"one": 2, "two": 1}
        assert set(read_study(tmp_path)["condition"]) == {"one", "two"}

    def test_lost_table_is_made_again_from_the_records(self, tmp_path):
        Study(trials.constant, repeats=2, folder=tmp_path).run(workers=1, progress=False)
        (tmp_path / "results.parquet").write_bytes(b"damaged")
        assert read_study(tmp_path)["condition"].tolist() == [UNPLANNED, UNPLANNED]

    def test_damaged_record_of_another_study_loses_nothing_else(self, tmp_path):
        first = Study(trials.constant, repeats=2, folder=tmp_path, name="one")
        first.run(workers=1, progress=False)
        (tmp_path / "trials" / first.trials[0].identity / "record.json").write_text("{")
        Study(trials.streams, folder=tmp_path, name="two").run(workers=1, progress=False)
        assert read_study(tmp_path)["trial"].nunique() == 2

    def test_not_a_folder_of_a_study(self, tmp_path):
        with pytest.raises(InputError, match="not the folder of a study"):
            read_study(tmp_path)

    def test_newest_code_alone_answers(self):
        results = table(code=["old", "old", "new", "new"])
        assert of_newest_code(results)["trial"].unique().tolist() == ["2"]
