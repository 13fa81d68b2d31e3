"""The command: workers of their own, and what becomes of them when one is lost."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from reprostats.cli import main
from reprostats.records.files import read_record
from reprostats.train import run as run_module
from reprostats.train.config import TrainingConfig, read_config
from reprostats.train.launch import _Launched
from reprostats.train.reports import Exit, Report, write_exits
from reprostats.train.run import run

PATIENCE_S = 300  # the machine may be busy

DISTRIBUTED = {
    "strategy": "distributed", "workers": 2, "batch_size": 1, "epochs": 4, "timeout_s": 10,
    "checkpoints": {"every_steps": 1},
    "model": {"name": "own.py:Net", "parameters": {"dropout": 0.2}},
}  # fmt: skip


def trouble(kind: str, **more: object) -> dict[str, object]:
    parameters = {"kind": kind, "step": 8, "rank": 1, **more}
    return {"callbacks": [{"name": "own.py:Trouble", "parameters": parameters}]}


def arguments(path: Path) -> list[str]:
    return ["train", str(path), "--folder", str(path.parent / "run")]


def command(path: Path, *before: str) -> list[str]:
    return [sys.executable, *before, "-m", "reprostats.cli", *arguments(path)]


def executed(path: Path, *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(path, *before), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def processes_of(path: Path) -> list[psutil.Process]:
    """Find what still runs for a configuration: its path stands in the command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(path) in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


class TestCommand:
    def test_trains_and_says_what_came_out(self, write, capsys):
        path = write()
        assert main([*arguments(path), "--set", "epochs=1"]) == 0
        record = read_record(path.parent / "run")
        assert record.config["epochs"] == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("epoch 1 of 1: training loss")
        assert f"dice: {record.summary['dice'].mean:.4g}" in lines[1]
        assert lines[-1] == str(path.parent / "run")

    def test_trains_where_runs_are_kept_if_no_folder_is_named(self, write, tmp_path, monkeypatch):
        monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path / "runs"))
        assert main(["train", str(write(epochs=1))]) == 0
        assert read_record(tmp_path / "runs" / "trainings" / "config").status == "ok"

    def test_plan_only_shows_all_and_trains_nothing(self, write, capsys):
        path = write()
        assert main([*arguments(path), "--plan-only"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown == read_config(path).model_dump(mode="json")
        assert not (path.parent / "run").exists()

    @pytest.mark.parametrize(
        ("changes", "wanted"),
        [
            ({"epoch": 3}, "epoch: there is no field 'epoch'; did you mean 'epochs'?"),
            ({"loss": "own.py:not_a_number"}, "the training loss is nan in epoch 1 of 2, step 1"),
            (trouble("raise", rank=0), "training raised ValueError: something is wrong here on"),
        ],
    )
    def test_says_one_thing_and_no_more_when_it_cannot(self, write, capsys, changes, wanted):
        assert main(arguments(write(**changes))) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("reprostats: ")
        assert wanted in line

    def test_of_a_training_that_diverged_is_no_success_the_second_time(self, write, capsys):
        path = write(loss="own.py:not_a_number")
        assert [main(arguments(path)), main(arguments(path))] == [1, 1]
        assert "this training diverged" in capsys.readouterr().err

    def test_stopped_by_hand_says_how_to_go_on(self, write, capsys, monkeypatch):
        def interrupt(*values, **more):
            raise KeyboardInterrupt

        monkeypatch.setattr(run_module, "fit", interrupt)
        assert main(arguments(write())) == 1
        assert "stopped by hand. There is no checkpoint yet" in capsys.readouterr().err

    def test_busy_port_is_told(self, write, capsys):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert main(arguments(write(**DISTRIBUTED, port=port))) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"port {port} is in use; choose another one" in line


class TestMessage:
    @pytest.mark.parametrize(
        ("reports", "exits", "wanted"),
        [
            ([], [], "torchrun ended before the training did."),
            ([], [(1, -9)], "worker 1 of 3 (process 12) was killed by SIGKILL."),
            ([], [(1, -100)], "worker 1 of 3 (process 12) was killed by signal 100."),
            ([], [(2, 7)], "worker 2 of 3 (process 12) ended with exit status 7."),
            ([(0, "no file", None)], [(0, 1)], "worker 0: no file."),
            ([(1, "gone", ()), (2, "bad?", None)], [(1, 1)], "worker 2: bad?"),
            ([(0, "gone", (1,))], [(0, 1)], "worker 1 of 3 did not answer for 30 s and was ended."),
            ([(0, "gone", (1,))], [(1, -11)], "worker 1 of 3 (process 12) was killed by SIGSEGV."),
            (
                [(2, "gone", ())],
                [],
                "worker 0 of 3 and worker 1 of 3 did not answer for 30 s and were ended.",
            ),
        ],
    )
    def test_names_what_came_first(self, tmp_path, reports, exits, wanted):
        for rank, message, lost in reports:
            report = Report(rank=rank, message=message, lost=lost)
            (tmp_path / f"report-{rank}.json").write_text(report.model_dump_json())
        write_exits(tmp_path, [Exit(rank=rank, process=12, code=code) for rank, code in exits])
        config = TrainingConfig(strategy="distributed", workers=3)
        assert _Launched(config, tmp_path, tmp_path, ()).why() == wanted


@pytest.mark.slow
class TestWorkers:
    def test_give_the_weights_of_virtual_workers(self, write, tmp_path):
        done = executed(write(**DISTRIBUTED))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("training loss") == 4
        record = read_record(tmp_path / "run")
        assert record.world_size == 2
        virtual = read_config(write(**(DISTRIBUTED | {"strategy": "virtual"})))
        same = run(virtual, tmp_path / "virtual", lambda _: None)
        assert same is not None
        assert record.fingerprints == same.fingerprints

    @pytest.mark.long
    def test_started_by_torchrun_give_the_same(self, write, tmp_path):
        path = write(**DISTRIBUTED)
        torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
        done = executed(path, *torchrun)
        assert done.returncode == 0, done.stderr
        assert read_record(tmp_path / "run").world_size == 2

    def test_one_killed_ends_the_run_which_goes_on_to_the_same_weights(self, write, tmp_path):
        path = write(**DISTRIBUTED, **trouble("kill"))
        lost = executed(path)
        assert lost.returncode == 1
        process = (tmp_path / "run" / "trouble.txt").read_text()
        (line,) = lost.stderr.splitlines()
        assert f"worker 1 of 2 (process {process}) was killed by SIGKILL." in line
        assert "the same command goes on from" in line
        assert "checkpoints/epoch-00000" in line
        assert processes_of(path) == []
        assert not (tmp_path / "run" / "record.json").exists()
        resumed = executed(path)
        assert resumed.returncode == 0, resumed.stderr
        assert "going on from checkpoint" in resumed.stdout
        record = read_record(tmp_path / "run")
        assert record.resumed
        undisturbed = read_config(write(**(DISTRIBUTED | {"strategy": "virtual"})))
        same = run(undisturbed, tmp_path / "virtual", lambda _: None)
        assert same is not None
        assert record.fingerprints == same.fingerprints

    @pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.long)])
    def test_one_that_hangs_is_named_and_ended(self, write, rank):
        path = write(**DISTRIBUTED, **trouble("stop", rank=rank))
        lost = executed(path)
        assert lost.returncode == 1
        (line,) = lost.stderr.splitlines()
        assert f"worker {rank} of 2 did not answer for 10 s and was ended." in line
        assert "the same command goes on from" in line
        assert processes_of(path) == []

    def test_error_in_ones_own_code_is_told_with_its_line(self, write):
        path = write(**DISTRIBUTED, **trouble("raise"))
        failed = executed(path)
        assert failed.returncode == 1
        (line,) = failed.stderr.splitlines()
        assert "worker 1: training raised ValueError: something is wrong here on line" in line
        assert processes_of(path) == []

    @pytest.mark.long
    def test_divergence_is_recorded_once(self, write, tmp_path):
        path = write(**DISTRIBUTED, loss="own.py:not_a_number")
        diverged = executed(path)
        assert diverged.returncode == 1
        assert "diverged" in diverged.stderr
        assert read_record(tmp_path / "run").status == "diverged"

    def test_end_with_the_command(self, write, tmp_path):
        """Killed in a way that leaves it no time to see to its workers."""
        path = write(**(DISTRIBUTED | {"epochs": 100_000, "checkpoints": {"keep": 1}}))
        with subprocess.Popen(command(path), stdout=subprocess.DEVNULL) as running:
            wait_for(lambda: list((tmp_path / "run" / "checkpoints").glob("epoch-00000[2-9]*")))
            assert len(processes_of(path)) >= 4  # command, torchrun, two workers
            running.send_signal(signal.SIGKILL)
        wait_for(lambda: not processes_of(path))

    @pytest.mark.long
    def test_end_with_torchrun(self, write, tmp_path):
        path = write(**(DISTRIBUTED | {"epochs": 100_000, "checkpoints": {"keep": 1}}))
        with subprocess.Popen(
            command(path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as running:
            wait_for(lambda: list((tmp_path / "run" / "checkpoints").glob("epoch-00000[2-9]*")))
            (torchrun,) = (
                each for each in processes_of(path) if "reprostats.train.agent" in each.cmdline()
            )
            torchrun.kill()
            _, errors = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 1
        assert "torchrun ended before the training did" in errors
        assert processes_of(path) == []

    @pytest.mark.long
    def test_interrupted_by_hand_leaves_none(self, write, tmp_path):
        path = write(**(DISTRIBUTED | {"epochs": 100_000, "checkpoints": {"keep": 1}}))
        with subprocess.Popen(
            command(path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as running:
            wait_for(lambda: list((tmp_path / "run" / "checkpoints").glob("epoch-00000[2-9]*")))
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 1
        (line,) = errors.splitlines()
        assert "stopped by hand" in line
        assert "the same command goes on from" in line
        assert processes_of(path) == []
