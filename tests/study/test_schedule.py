"""Where trials run: in this process, on a Dask cluster, on two machines; and what is shown."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
from filelock import FileLock

from reprostats import Condition, Study
from reprostats.errors import NotAvailableError, PlanOnlyError
from reprostats.study.pool import WorkerError
from reprostats.study.preview import Preview
from reprostats.study.schedule import Progress
from tests.study import trials

TIMES = ["trial_time", "training_time"]


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two worker processes on this machine."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as started:
        yield started


def values(results: pd.DataFrame) -> pd.DataFrame:
    return results[~results["metric"].isin(TIMES)].reset_index(drop=True)


@pytest.mark.slow
@pytest.mark.xdist_group("cluster")
class TestCluster:
    def test_same_results_bit_for_bit(self, cluster, tmp_path):
        settings = {"varied": {"init": [1, 2], "threads": [1, 2]}, "repeats": 2}
        here = Study(trials.trained, folder=tmp_path / "here", **settings)
        there = Study(trials.trained, folder=tmp_path / "there", **settings)
        one = here.run(workers=2, progress=False)
        other = there.run(scheduler=cluster.scheduler_address, progress=False)
        pd.testing.assert_frame_equal(values(one), values(other))
        assert (one["status"] == "ok").all()
        assert one["weights_sha256"].nunique() > 1

    def test_worker_killed_in_mid_run_costs_only_its_trials_in_flight(self, cluster, tmp_path):
        log = tmp_path / "log"
        study = Study(trials.slow_logged, config={"log": str(log)}, repeats=12, folder=tmp_path)
        victim = next(iter(cluster.workers.values())).pid
        killer = threading.Thread(target=kill_after_lines, args=(victim, log, 3))
        killer.start()
        results = study.run(scheduler=cluster.scheduler_address, progress=False)
        killer.join()
        assert (results["status"] == "ok").all()
        assert results["trial"].nunique() == 12
        assert 12 <= log.read_text().count("ran") <= 13

    def test_no_worker_process_is_left_behind(self, cluster, tmp_path):
        study = Study(trials.constant, repeats=2, folder=tmp_path)
        study.run(scheduler=cluster.scheduler_address, progress=False)
        assert not workers_that_write_under(tmp_path)


def workers_that_write_under(folder: Path) -> list[int]:
    """Worker processes keep the log of their study open."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            if "reprostats.study.worker" in " ".join(process.info["cmdline"] or []):
                files = [each.path for each in process.open_files()]
                found += [process.pid for path in files if path.startswith(str(folder))]
    return found


def kill_after_lines(pid: int, log: Path, lines: int) -> None:
    while not log.exists() or log.read_text().count("ran") < lines:
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


def test_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr("reprostats.study.schedule._ANSWER_WITHIN", 0.5)
    study = Study(trials.constant, folder=tmp_path)
    with pytest.raises(NotAvailableError, match="no Dask scheduler answers at 'tcp://127"):
        study.run(scheduler="tcp://127.0.0.1:9", progress=False)
    assert study.results().empty


def hold(path: str, ready, release) -> None:
    with FileLock(path):
        ready.set()
        release.wait()


@pytest.mark.slow
def test_trials_of_another_machine_are_left_for_last(tmp_path):
    """Another process holds the first trial; the others run meanwhile, then that one."""
    log = tmp_path / "log"
    study = Study(trials.logged, config={"log": str(log)}, varied={"init": [1, 2, 3]},
                  folder=tmp_path / "s")  # fmt: skip
    first = study.folder / "trials" / study.trials[0].identity
    first.mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(str(first / ".lock"), ready, release))
    other.start()
    ready.wait()
    run = threading.Thread(target=study.run, kwargs={"workers": 1, "progress": False})
    run.start()
    while not log.exists() or log.read_text().count("ran") < 2:
        time.sleep(0.05)
    assert not (first / "record.json").exists()
    release.set()
    run.join()
    other.join()
    assert log.read_text().count("ran") == 3
    assert (first / "record.json").exists()


def test_full_disk_stops_the_run_and_loses_nothing(tmp_path):
    full = tmp_path / "full"
    full.touch()
    study = Study(trials.fills_the_disk, config={"full": str(full)}, repeats=3,
                  folder=tmp_path / "s")  # fmt: skip
    with pytest.raises(WorkerError, match="could not be recorded"):
        study.run(workers=1, progress=False)
    before = study.results()
    assert before["repeat"].unique().tolist() == [0]
    full.unlink()  # somebody made room
    after = study.run(workers=1, progress=False)
    assert sorted(after["repeat"].unique()) == [0, 1, 2]
    assert (after["status"] == "ok").all()
    pd.testing.assert_frame_equal(after[after["repeat"] == 0].reset_index(drop=True), before)


class TestProgress:
    def test_says_done_running_failed_and_end(self, capsys):
        bar = Progress(3, "study", shown=True)
        bar.update("ok", 2)
        bar.update("diverged", 2)
        bar.close()
        shown = capsys.readouterr().err
        assert "2/3" in shown
        assert "1 running, 1 failed, end about" in shown


class TestPreview:
    def test_counts_shared_trials_once(self):
        preview = Preview.of({"a": ["1", "2"], "b": ["2", "3"]}, {"1": 10.0, "2": 20.0}, 2, 1)
        assert (preview.trials, preview.recorded, preview.missing) == (3, 2, 1)
        assert preview.seconds == 15.0

    def test_runs_and_records_one_trial_where_there_is_none(self, tmp_path):
        log = tmp_path / "log"
        study = Study(trials.logged, config={"log": str(log)}, varied={"init": [1, 2, 3]},
                      folder=tmp_path / "s")  # fmt: skip
        assert study.preview(workers=2).missing == 2
        assert log.read_text().count("ran") == 1
        assert study.preview(workers=2).missing == 2
        assert log.read_text().count("ran") == 1
        assert study.results()["trial"].nunique() == 1

    def test_variable_stops_a_run(self, tmp_path, monkeypatch):
        monkeypatch.setenv("REPROSTATS_PLAN_ONLY", "1")
        conditions = {"a": Condition(repeats=2), "b": Condition({"init": 5}, repeats=2)}
        study = Study(trials.constant, conditions=conditions, folder=tmp_path)
        with pytest.raises(PlanOnlyError, match=r"4 trials \(2 a, 2 b\); 1 recorded, 3 to run"):
            study.run(workers=1, progress=False)
        assert study.results()["trial"].nunique() == 1
