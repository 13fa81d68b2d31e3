"""What the first trials of a study tell before hours are spent on the others."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from reprostats import Condition, Study
from reprostats.records.files import write_record
from reprostats.records.record import TrialRecord
from reprostats.study.first_trials import FirstTrials, FirstTrialsFailedError
from reprostats.study.folder import trial_folder
from reprostats.study.plan import PlannedTrial
from tests.study import trials


def run(study, **settings):
    return study.run(workers=1, progress=False, **settings)


def fails(trial):
    with Path(trial.config["log"]).open("a") as log:
        log.write("ran\n")
    if trial.config["good"]:
        return {"dice": trial.generator("init").normal()}
    return 0.91


def failing(tmp_path, **settings):
    config = {"log": str(tmp_path / "log"), "good": False}
    return Study(fails, config=config, folder=tmp_path / "s", **settings)


def test_a_study_whose_first_trial_fails_stops_there(tmp_path):
    study = failing(tmp_path, repeats=8)
    with pytest.raises(FirstTrialsFailedError) as caught:
        run(study)
    said = str(caught.value)
    assert "the study was stopped, because its first trial failed and none has run" in said
    assert "the trial function returned float; it must return a mapping" in said
    log = Path(said.partition("The log: ")[2].partition("/log.txt")[0]) / "log.txt"
    assert log.is_file()
    assert (tmp_path / "log").read_text() == "ran\n"
    results = study.results()
    assert results["status"].tolist() == ["failed"]
    assert (tmp_path / "s" / "results.parquet").is_file()
    assert len(run(study, keep_going=True)) == 8
    assert (tmp_path / "log").read_text().count("ran") == 8


def test_a_condition_that_fails_does_not_stop_another(tmp_path):
    conditions = {"bad": Condition(repeats=2), "good": Condition(repeats=2, config={"good": True})}
    results = run(failing(tmp_path, conditions=conditions))
    ended = results.drop_duplicates(["condition", "trial"]).groupby("condition")["status"]
    assert ended.agg(list).to_dict() == {"bad": ["failed"] * 2, "good": ["ok"] * 2}


def test_of_a_study_that_has_a_result_a_failure_is_a_row(tmp_path):
    study = Study(trials.faulty, repeats=2, folder=tmp_path)
    assert run(study)["status"].tolist() == ["ok", "failed"]
    more = Study(trials.faulty, repeats=4, folder=tmp_path)
    assert set(run(more)["status"]) == {"ok", "failed", "diverged"}


def test_what_is_varied_in_vain_is_told_after_the_first_trial(tmp_path):
    study = Study(trials.slow_constant, varied={"init": range(40)}, folder=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"not used by the first trials of .*: init"):
            run(study)
    assert len(list((tmp_path / "trials").glob("*/record.json"))) < 5


class TestRule:
    """The rule alone, with records written by hand."""

    @pytest.fixture
    def first(self, tmp_path):
        planned = {
            name: [PlannedTrial(name, "c", {}, {"init": n}, 0) for n in (1, 2)] for name in "abcde"
        }

        def make(names="abcde", done=(), **settings):
            chosen = {name: planned[name] for name in names}
            recorded = {
                planned[name][0].identity: SimpleNamespace(ran_through=True) for name in done
            }
            return planned, FirstTrials(tmp_path, chosen, recorded, **settings)

        return make

    def end(self, first, folder, trial, status, reason=""):
        record = TrialRecord(
            function="f", code="c", config={}, levels={}, repeat=0, fold=None,
            status=status, reason=reason,
        )  # fmt: skip
        write_record(trial_folder(folder, trial.identity), record)
        first.look(trial.identity, status)

    def test_the_first_of_each_condition_come_first(self, first):
        planned, rule = first("ab")
        order = rule.come_first([*planned["a"], *planned["b"]])
        assert order == [planned["a"][0], planned["b"][0], planned["a"][1], planned["b"][1]]

    @pytest.mark.parametrize("status", ["failed", "killed", "timeout"])
    def test_all_of_two_conditions(self, first, tmp_path, status):
        planned, rule = first("ab")
        self.end(rule, tmp_path, planned["a"][0], status, "no file")
        self.end(rule, tmp_path, planned["a"][1], status, "no file")
        with pytest.raises(FirstTrialsFailedError, match=f"2 conditions .*: {status}, no file"):
            self.end(rule, tmp_path, planned["b"][0], status, "no file")

    def test_the_first_three_of_five_and_the_commonest_reason(self, first, tmp_path):
        planned, rule = first()
        for name in "dea":  # whatever the others do, and whichever ends first
            self.end(rule, tmp_path, planned[name][0], "failed", "disk full")
        self.end(rule, tmp_path, planned["c"][0], "failed", "no file.")
        with pytest.raises(FirstTrialsFailedError, match=r"\(3 of 5\): failed, disk full\. The"):
            self.end(rule, tmp_path, planned["b"][0], "failed", "no file.")

    @pytest.mark.parametrize("status", ["ok", "diverged"])
    def test_one_that_ran_through_is_enough(self, first, tmp_path, status):
        planned, rule = first("ab")
        self.end(rule, tmp_path, planned["a"][0], "failed")
        self.end(rule, tmp_path, planned["a"][1], status)
        self.end(rule, tmp_path, planned["b"][0], "failed")

    def test_one_of_an_earlier_run_is_enough(self, first, tmp_path):
        planned, rule = first("a", done="a")
        self.end(rule, tmp_path, planned["a"][1], "failed")

    def test_unless_it_is_to_keep_going(self, first, tmp_path):
        planned, rule = first("a", keep_going=True)
        ended = []
        rule.when_all_ended = ended.extend
        self.end(rule, tmp_path, planned["a"][0], "failed")
        assert [record.status for record in ended] == ["failed"]


def test_stopped_by_hand_it_says_so_in_one_sentence(tmp_path):
    program = (
        "from reprostats import Study\nfrom tests.study import trials\n"
        f"Study(trials.slow_constant, repeats=50, folder={str(tmp_path)!r})"
        ".run(workers=1, progress=False)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("trials/*/record.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said == "stopped by hand. Finished trials are kept; run again to go on.\n"
    assert process.returncode != 0
    assert list(tmp_path.glob("trials/*/record.json"))
