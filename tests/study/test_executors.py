"""Where trials run: by this process, by any executor, on two machines; and what is shown."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
from filelock import FileLock

from reprostats import Condition, Study
from reprostats.errors import InputError, NotAvailableError, PlanOnlyError
from reprostats.study import pool
from reprostats.study.executors import Progress, run_tasks
from reprostats.study.pool import Task, Worker, WorkerError, WorkerPool, execute
from reprostats.study.preview import Preview
from tests.study import trials

pytestmark = pytest.mark.xdist_group("executors")  # the cluster is started once


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two worker processes on this machine."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as started:
        yield started


def values(results: pd.DataFrame) -> pd.DataFrame:
    return results.drop(columns=[name for name in results if name.endswith("_time")])


@pytest.mark.slow
class TestCluster:
    def test_same_results_bit_for_bit(self, cluster, tmp_path):
        settings = {"varied": {"init": [1, 2], "threads": [1, 2]}, "repeats": 2}
        here = Study(trials.trained, folder=tmp_path / "here", **settings)
        there = Study(trials.trained, folder=tmp_path / "there", **settings)
        one = here.run(workers=2, progress=False)
        other = there.run(executor=cluster.scheduler_address, progress=False)
        pd.testing.assert_frame_equal(values(one), values(other))
        assert (one["status"] == "ok").all()
        assert one["weights_sha256"].nunique() > 1

    def test_worker_killed_in_mid_run_costs_only_its_trials_in_flight(self, cluster, tmp_path):
        log = tmp_path / "log"
        study = Study(trials.slow_logged, config={"log": str(log)}, repeats=12, folder=tmp_path)
        victim = next(iter(cluster.workers.values())).pid
        killer = threading.Thread(target=kill_after_lines, args=(victim, log, 3))
        killer.start()
        results = study.run(executor=cluster.scheduler_address, progress=False)
        killer.join()
        assert (results["status"] == "ok").all()
        assert results["trial"].nunique() == 12
        assert 12 <= log.read_text().count("ran") <= 13

    def test_no_worker_process_is_left_behind(self, cluster, tmp_path):
        study = Study(trials.constant, repeats=2, folder=tmp_path)
        study.run(executor=cluster.scheduler_address, progress=False)
        assert not workers_that_write_under(tmp_path)


class Job:
    """A job as submitit gives it: no future, and pickled on its way to another machine."""

    def __init__(self, submission: bytes, *, killed: bool) -> None:
        self.submission, self.killed, self.looks, self.asked = submission, killed, 0, False

    def done(self) -> bool:
        self.looks += 1
        return self.looks > 2

    def result(self) -> object:
        self.asked = True
        if self.killed:
            raise RuntimeError("job 17 ended with state TIMEOUT")
        function, arguments = pickle.loads(self.submission)
        return function(*arguments)

    def cancel(self) -> None:
        raise AssertionError("a job that has ended is not cancelled")


class Slurm:
    """An executor as submitit has it: jobs are sent to the cluster when their batch ends."""

    def __init__(self, killed: int | None = None) -> None:
        self.killed, self.jobs, self.arrays = killed, [], []
        self.collecting = False

    def submit(self, function, *arguments) -> Job:
        assert self.collecting
        killed = len(self.jobs) == self.killed
        self.jobs.append(Job(pickle.dumps((function, arguments)), killed=killed))
        return self.jobs[-1]

    @contextmanager
    def batch(self):
        before, self.collecting = len(self.jobs), True
        yield
        self.collecting = False
        self.arrays.append(len(self.jobs) - before)


@contextmanager
def threads(request):
    with ThreadPoolExecutor(2) as executor:
        yield executor


@contextmanager
def processes(request=None):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


@contextmanager
def dask_client(request):
    from distributed import Client

    with Client(request.getfixturevalue("cluster"), set_as_default=False) as client:
        yield client


@contextmanager
def dask_executor(request):
    with dask_client(request) as client:
        yield client.get_executor()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Results of trials that ran in worker processes of this machine."""
    return drawn(tmp_path_factory.mktemp("here")).run(workers=1, progress=False)


def drawn(folder: Path) -> Study:
    return Study(trials.streams, varied={"init": [1, 2, 3]}, folder=folder)


@pytest.mark.slow
class TestExecutor:
    @pytest.mark.parametrize("kind", [threads, processes, dask_client, dask_executor])
    def test_same_results_bit_for_bit_and_it_stays_open(self, kind, here, tmp_path, request):
        with kind(request) as executor:
            results = drawn(tmp_path).run(executor=executor, progress=False)
            assert executor.submit(int, "7").result() == 7
        assert (results["status"] == "ok").all()
        pd.testing.assert_frame_equal(values(here), values(results))

    def test_jobs_of_slurm(self, here, tmp_path):
        executor, study = Slurm(), drawn(tmp_path)
        assert study.preview(executor=executor, workers=5).missing == 2
        assert executor.arrays == [1]
        results = study.run(executor=executor, progress=False)
        assert executor.arrays == [1, 2]
        pd.testing.assert_frame_equal(values(here), values(results))

    def test_a_process_that_dies_is_told_and_what_is_recorded_stays(self, tmp_path):
        log = tmp_path / "log"
        study = Study(trials.slow_logged, config={"log": str(log)}, repeats=4,
                      folder=tmp_path / "s")  # fmt: skip
        with processes() as executor:
            victim = executor.submit(os.getpid).result()
            killer = threading.Thread(target=kill_after_lines, args=(victim, log, 2))
            killer.start()
            with pytest.raises(WorkerError, match="trials have no record, because the executor"):
                study.run(executor=executor, progress=False)
            killer.join()
        assert set(study.results()["status"]) == {"ok"}


def pretend(task: Task, wait: bool) -> tuple[str, str]:
    """Take the place of `execute` where only the way there matters."""
    return task.trial.identity, "ok"


class TestArrays:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch):
        monkeypatch.setattr("reprostats.study.executors.execute", pretend)
        monkeypatch.setattr("reprostats.study.executors._SECONDS_BETWEEN_LOOKS", 0.01)

    def run(self, executor: Slurm, folder: Path) -> None:
        study = drawn(folder)
        tasks = [Task(trial, folder, "", None) for trial in study.trials]
        run_tasks(tasks, workers=1, executor=executor, progress=False)

    def test_have_a_size_that_slurm_takes(self, tmp_path, monkeypatch):
        monkeypatch.setattr("reprostats.study.executors._MOST_AT_ONCE", 2)
        executor = Slurm()
        self.run(executor, tmp_path)
        assert executor.arrays == [2, 1]

    def test_a_job_that_is_killed_costs_its_own_trial(self, tmp_path):
        executor = Slurm(killed=0)
        with pytest.raises(WorkerError, match=r"1 of 3 trials have no record.*state TIMEOUT"):
            self.run(executor, tmp_path)
        assert all(job.asked for job in executor.jobs)


class TestRefused:
    @pytest.mark.parametrize("executor", [4, object(), ThreadPoolExecutor, "no address"])
    def test_no_executor(self, tmp_path, executor, monkeypatch):
        monkeypatch.setattr("reprostats.study.executors._ANSWER_WITHIN", 0.5)
        with pytest.raises(InputError, match=r"executor must be an object|no Dask scheduler"):
            drawn(tmp_path).run(executor=executor, progress=False)

    def test_executor_that_was_shut_down(self, tmp_path):
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        with pytest.raises(NotAvailableError, match="takes no trials: cannot schedule new"):
            drawn(tmp_path).run(executor=executor, progress=False)

    def test_one_that_takes_some_and_then_no_more(self, tmp_path):
        executor = Breaks()
        with pytest.raises(NotAvailableError, match="takes no trials: the queue is full"):
            drawn(tmp_path).run(executor=executor, progress=False)
        assert executor.futures[0].cancelled()


class Breaks:
    """An executor that accepts one function, does not begin it, and accepts no second one."""

    def __init__(self) -> None:
        self.futures: list[Future] = []

    def submit(self, *_) -> Future:
        if self.futures:
            raise RuntimeError("the queue is full")
        self.futures.append(Future())
        return self.futures[0]


@pytest.mark.slow
class TestWorkers:
    def task(self, folder: Path, run: str):
        study = Study(trials.constant, folder=folder)
        (task,) = study._tasks(study.trials, None)
        return replace(task, run=run)

    def test_one_that_stays_idle_is_ended(self, tmp_path, monkeypatch):
        monkeypatch.setattr(pool, "_IDLE_SECONDS", 0.2)
        assert execute(self.task(tmp_path, "idle"))[1] == "ok"
        assert eventually(lambda: not workers_that_write_under(tmp_path))
        pool.close_workers("idle")

    def test_one_that_is_idle_for_less_takes_the_next_trial(self, tmp_path, monkeypatch):
        started = []
        monkeypatch.setattr(Worker, "load", lambda worker: started.append(load(worker)))
        workers = WorkerPool()
        try:
            for name in ("a", "b"):
                task = self.task(tmp_path / "s", "")
                workers.run(replace(task, folder=tmp_path / "s" / name))
        finally:
            workers.close()
        assert len(started) == 1

    def test_a_run_that_was_stopped_waits_for_no_lock(self, tmp_path):
        task = self.task(tmp_path, "stopped")
        task.folder.mkdir(parents=True)
        pool.close_workers("stopped")
        with FileLock(task.folder / ".lock"), pytest.raises(WorkerError, match="was stopped"):
            execute(task)


load = Worker.load


def eventually(condition, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not (fulfilled := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return fulfilled


def workers_that_write_under(folder: Path) -> list[int]:
    """Worker processes keep the log of their study open."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            if "reprostats.study.fork_server" in " ".join(process.info["cmdline"] or []):
                files = [each.path for each in process.open_files()]
                found += [process.pid for path in files if path.startswith(str(folder))]
    return found


def kill_after_lines(pid: int, log: Path, lines: int) -> None:
    while not log.exists() or log.read_text().count("ran") < lines:
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


def test_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr("reprostats.study.executors._ANSWER_WITHIN", 0.5)
    study = Study(trials.constant, folder=tmp_path)
    with pytest.raises(NotAvailableError, match="no Dask scheduler answers at 'tcp://127"):
        study.run(executor="tcp://127.0.0.1:9", progress=False)
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
