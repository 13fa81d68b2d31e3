"""The engine: what it runs, in which environment, what it records, and what it survives."""

import functools
import json
import math
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import psutil
import pytest

from reprostats import Condition, Study
from reprostats.errors import DamagedFileError, InputError, NotAvailableError
from reprostats.records.environments import write_environment
from reprostats.records.files import read_record, write_record
from reprostats.records.record import TrialRecord
from reprostats.records.stopwatch import Stopwatch
from reprostats.sources import instruction_sets
from reprostats.study import pool
from reprostats.study.failures import planned_fields, record_failure
from reprostats.study.pool import WorkerError
from tests.study import trials


def value(results: pd.DataFrame, metric: str, case: str = "all") -> list[float]:
    return results[(results["metric"] == metric) & (results["case"] == case)]["value"].tolist()


def study(function, folder, **settings) -> Study:
    return Study(function, folder=folder, **settings)


class TestRuns:
    def test_each_trial_once_and_only_what_is_missing(self, tmp_path):
        log = tmp_path / "log"
        settings = {"config": {"log": str(log)}, "varied": {"init": [1, 2, 3]}}
        first = study(trials.logged, tmp_path / "s", **settings).run(workers=2, progress=False)
        assert log.read_text().count("ran") == 3
        again = study(trials.logged, tmp_path / "s", **settings).run(workers=2, progress=False)
        assert log.read_text().count("ran") == 3
        pd.testing.assert_frame_equal(first, again)
        study(trials.logged, tmp_path / "s", **settings, repeats=2).run(workers=1, progress=False)
        assert log.read_text().count("ran") == 6

    def test_results_without_running(self, tmp_path):
        planned = study(trials.constant, tmp_path, repeats=2)
        assert planned.results().empty
        run = planned.run(workers=1, progress=False)
        pd.testing.assert_frame_equal(run, planned.results())

    def test_parquet_holds_the_results(self, tmp_path):
        results = study(trials.by_case, tmp_path, repeats=2).run(workers=1, progress=False)
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "results.parquet"), results, check_dtype=False
        )

    def test_conditions_that_share_a_trial_run_it_once(self, tmp_path):
        log = tmp_path / "log"
        conditions = {"a": Condition(repeats=2), "b": Condition({"init": 0}, repeats=1)}
        results = study(
            trials.logged, tmp_path / "s", config={"log": str(log)}, conditions=conditions
        ).run(workers=1, progress=False)
        assert log.read_text().count("ran") == 2
        assert results.groupby("condition")["trial"].nunique().to_dict() == {"a": 2, "b": 1}

    def test_cases_are_rows_and_times_are_not(self, tmp_path):
        results = study(trials.by_case, tmp_path).run(workers=1, progress=False)
        assert set(results["metric"]) == {"dice", "loss"}
        assert value(results, "dice", "patient 1") == [0.5]
        assert math.isnan(value(results, "dice", "patient 2")[0])
        assert value(results, "loss") == [0.25]
        assert (results["trial_time"] > 0).all()

    def test_a_record_tells_tensors_and_times_apart(self, tmp_path):
        planned = study(trials.kept_and_timed, tmp_path)
        results = planned.run(workers=1, progress=False)
        record = planned.record(planned.trials[0].identity)
        assert record.kept == ["weights"]
        assert set(record.fingerprints) == {"weights", "order"}
        assert record.metrics == [("value", "all", 1.0)]
        assert results["training_time"].tolist() == [record.times["training"]]

    def test_folds_are_crossed_with_repeats(self, tmp_path):
        planned = study(trials.constant, tmp_path, folds=3, repeats=2)
        assert sorted({(each.fold, each.repeat) for each in planned.trials}) == [
            (fold, repeat) for fold in range(3) for repeat in range(2)
        ]

    def test_a_trial_has_a_folder_and_a_log(self, tmp_path):
        results = study(trials.big, tmp_path).run(workers=1, progress=False)
        folder = Path(results["folder_sha256"].iloc[0])
        assert folder.parent == tmp_path / "trials"
        assert (folder / "log.txt").read_text() == "printed by the trial\n"
        assert value(results, "x", "6") == [6 / 7]

    def test_function_of_a_script_runs(self, tmp_path):
        script = tmp_path / "mine.py"
        script.write_text(
            "from reprostats import Study\n"
            "OFFSET = 40\n"
            "def helper(x):\n    return x + OFFSET\n"
            "def train(trial):\n    return {'value': helper(2)}\n"
            "if __name__ == '__main__':\n"
            f"    study = Study(train, folder={str(tmp_path / 's')!r})\n"
            "    print(study.run(progress=False)['value'][0])\n"
        )
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "42.0"


class TestStreams:
    def test_init_alone_leaves_the_batch_order(self, tmp_path):
        results = study(
            trials.gradient_steps, tmp_path, varied={"init": [1, 2], "batch_order": [1, 2]}
        ).run(workers=1, progress=False)
        rows = results.drop_duplicates("trial").set_index(["init", "batch_order"])
        assert rows.loc[1, "initial_sha256"].nunique() == 1
        assert rows.loc[(1, 1), "initial_sha256"] != rows.loc[(2, 1), "initial_sha256"]
        assert rows.loc[(1, 1), "order_sha256"] == rows.loc[(2, 1), "order_sha256"]
        assert rows.loc[(1, 1), "order_sha256"] != rows.loc[(1, 2), "order_sha256"]
        assert rows["weights_sha256"].nunique() == 4

    def test_seeded_trials_are_bitwise_equal(self, tmp_path):
        results = study(trials.gradient_steps, tmp_path, repeats=3).run(workers=2, progress=False)
        assert results["weights_sha256"].nunique() == 1
        assert len(set(value(results, "loss"))) == 1

    def test_same_seed_gives_other_numbers_to_other_streams(self, tmp_path):
        results = study(trials.streams, tmp_path).run(workers=1, progress=False)
        assert len({value(results, name)[0] for name in ("init", "batch_order", "split")}) == 3

    def test_os_seeds_differ_and_are_recorded(self, tmp_path):
        planned = study(trials.streams, tmp_path, fixed={"init": "os"}, repeats=2)
        results = planned.run(workers=1, progress=False)
        assert len(set(value(results, "init"))) == 2
        assert len(set(value(results, "split"))) == 1
        seeds = [planned.record(each.identity).seeds["init"] for each in planned.trials]
        again = [
            study(trials.streams, tmp_path / str(seed), fixed={"init": seed}).run(
                workers=1, progress=False
            )
            for seed in seeds
        ]
        drawn = {value(each, "init")[0] for each in again}
        assert drawn == set(value(results, "init"))

    def test_global_generators_follow_the_dropout_stream(self, tmp_path):
        results = study(trials.global_draws, tmp_path, varied={"dropout": [1, 2]}, repeats=2).run(
            progress=False
        )
        for metric in ("torch", "numpy", "python"):
            one, same, other, _ = value(results, metric)
            assert one == same
            assert one != other

    def test_varied_but_unused_stream_is_said(self, tmp_path):
        with pytest.warns(UserWarning, match="not used by the first trials of 'constant': init"):
            study(trials.constant, tmp_path, varied={"init": [1, 2]}).run(workers=1, progress=False)

    def test_of_streams_with_one_seed_only_one_need_be_used(self, tmp_path):
        settings = [{"init": 1, "dropout": 1}, {"init": 2, "dropout": 2}]
        study(trials.gradient_steps, tmp_path, varied=settings).run(workers=1, progress=False)

    def test_an_unused_stream_is_named_beside_a_used_one(self, tmp_path):
        settings = [{"init": 1, "dropout": 7, "split": 3}, {"init": 2, "dropout": 8, "split": 4}]
        with pytest.warns(UserWarning, match=r"'gradient_steps': dropout, split\."):
            study(trials.gradient_steps, tmp_path, varied=settings).run(workers=1, progress=False)


class TestEnvironment:
    def test_is_set_before_python_starts(self, tmp_path):
        results = study(
            trials.environment, tmp_path, varied={"threads": [1, 2], "hash_seed": [0, 1]}
        ).run(workers=1, progress=False)
        assert value(results, "threads") == value(results, "omp") == [1, 1, 2, 2]
        assert len(set(value(results, "hash"))) == 2

    def test_deterministic_sets_the_flag_and_the_workspace(self, tmp_path):
        results = study(trials.environment, tmp_path, varied={"deterministic": [False, True]}).run(
            progress=False
        )
        assert value(results, "deterministic") == value(results, "cublas") == [0, 1]

    @pytest.mark.skipif(len(instruction_sets()) < 3, reason="the processor has one instruction set")
    def test_instruction_set_is_what_torch_uses(self, tmp_path):
        names = [name for name in instruction_sets() if name != "native"]
        planned = study(trials.environment, tmp_path, varied={"isa": names})
        results = planned.run(workers=1, progress=False)
        used = results[results["metric"] == "isa"].set_index("isa")["case"].to_dict()
        expected = {"baseline": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512"}
        assert used == {name: expected[name] for name in names}
        for each in planned.trials:
            assert planned.record(each.identity).effective["isa"] == used[each.levels["isa"]]

    def test_shell_does_not_reach_a_controlled_variable(self, tmp_path, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        monkeypatch.setenv("PYTHONHASHSEED", "7")
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        results = study(trials.environment, tmp_path).run(workers=1, progress=False)
        assert value(results, "omp") == [1]
        assert value(results, "cublas") == [0]

    def test_trials_do_not_reach_each_other(self, tmp_path):
        results = study(trials.vandal, tmp_path, fixed={"dropout": 0}, repeats=3).run(
            workers=1, progress=False
        )
        for metric in ("threads", "variable", "deterministic", "draw", "dtype"):
            assert len(set(value(results, metric))) == 1, metric
        assert value(results, "variable")[0] == 0

    def test_environment_is_described(self, tmp_path):
        planned = study(trials.constant, tmp_path)
        planned.run(workers=1, progress=False)
        name = planned.record(planned.trials[0].identity).environment
        content = json.loads((tmp_path / "environments" / f"{name}.json").read_text())
        assert content["packages"]["torch"]
        assert content["variables"]["OMP_NUM_THREADS"] == "1"
        assert content["machine"]["memory_bytes"] > 0


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """All ways to end badly in one study of eleven trials."""
    folder = tmp_path_factory.mktemp("faults")
    planned = Study(trials.faulty, repeats=11, folder=folder)
    return planned, planned.run(workers=2, time_limit=3, progress=False)


@pytest.mark.xdist_group("faults")
class TestFailures:
    @pytest.mark.parametrize(
        ("repeat", "status", "reason"),
        [
            (0, "ok", ""),
            (1, "failed", "ValueError: the seventh image has no mask (trials.py, line"),
            (2, "diverged", "metric 'loss' has no finite value"),
            (3, "diverged", "the loss is nan in epoch 3"),
            (4, "killed", "signal 9 (Killed); the system does this to a process that takes too"),
            (5, "timeout", "ran past its time limit of 3 s"),
            (6, "killed", "exit code 3; see its log.txt"),
            (7, "failed", "the trial function returned list; it must return a mapping"),
            (8, "failed", "metric 'loss' is 'low'; return a number or a mapping"),
            (9, "failed", "SystemExit: 1"),
            (10, "killed", "its worker process ended with signal 9"),
        ],
    )
    def test_is_a_row_with_status_and_reason(self, faults, repeat, status, reason):
        rows = faults[1][faults[1]["repeat"] == repeat]
        assert set(rows["status"]) == {status}
        assert reason in rows["reason"].iloc[0]

    def test_what_cannot_be_recorded_is_said(self, tmp_path):
        results = study(trials.unwritable, tmp_path, repeats=6).run(
            workers=1, progress=False, keep_going=True
        )
        reasons = results.drop_duplicates("trial").set_index("repeat")["reason"]
        assert "fingerprints.weights" in reasons[0]
        assert "\\udcff" in reasons[1]
        assert "returned no metric" in reasons[2]
        assert "metric 'x', case '2': there are 2 values" in reasons[3]
        assert "KeyboardInterrupt" in reasons[4]
        last = results[results["repeat"] == 5]["trial"].iloc[0]
        assert (tmp_path / "trials" / last / "log.txt").read_text().startswith("epoch 1\n")

    def test_of_a_worker_after_the_trial_finished_is_no_failure_of_it(self, tmp_path):
        results = study(trials.outlived_by_nobody, tmp_path).run(workers=1, progress=False)
        assert set(results["status"]) == {"ok"}
        assert value(results, "value") == [1.0]

    def test_past_its_time_a_trial_that_has_a_record_keeps_it(self, tmp_path):
        request = _request(tmp_path)
        record = TrialRecord(**planned_fields(request), metrics=[("value", "all", 1.0)])
        write_record(tmp_path, record)
        record_failure(request, "timeout", "ran past its time limit of 3 s", Stopwatch())
        assert read_record(tmp_path) == record

    def test_takes_no_negative_time_when_the_clock_is_set_back(self, tmp_path, monkeypatch):
        clock = SimpleNamespace(now=lambda _: next(hours))
        hours = iter(datetime(2025, 1, 1, hour, tzinfo=UTC) for hour in (12, 11, 10))
        monkeypatch.setattr("reprostats.records.stopwatch.datetime", clock)
        record_failure(_request(tmp_path), "killed", "by hand", Stopwatch())
        assert read_record(tmp_path).seconds >= 0

    def test_text_that_is_none_is_written_as_what_it_is(self, tmp_path):
        planned = study(trials.tells_what_is_no_text, tmp_path)
        results = planned.run(workers=1, progress=False)
        assert set(results["status"]) == {"ok"}
        record = planned.record(planned.trials[0].identity)
        assert record.description == {"dataset": "\\ud800", "files": {"\\udcff": ["\\udcff"]}}
        assert record.fingerprints == {"file \\udcff": "\\udcff"}

    def test_traceback_is_kept(self, faults):
        planned, results = faults
        trial = results[results["repeat"] == 1]["trial"].iloc[0]
        assert "raise ValueError" in planned.record(trial).traceback

    def test_failed_trials_are_not_run_again_unless_asked(self, faults):
        planned, results = faults
        pd.testing.assert_frame_equal(planned.run(workers=1, progress=False), results)

    def test_retry_keeps_the_old_record(self, tmp_path):
        planned = study(trials.faulty, tmp_path, repeats=2)
        planned.run(workers=1, progress=False)
        failed = next(each for each in planned.trials if each.repeat == 1)
        planned.run(progress=False, retry=True)
        names = sorted(path.name for path in (tmp_path / "trials" / failed.identity).iterdir())
        assert "record.attempt-1.json" in names
        assert "record.json" in names

    def test_nothing_is_left_running(self, tmp_path):
        results = study(trials.leaves_process, tmp_path).run(workers=1, progress=False)
        (child,) = value(results, "child")
        assert _has_ended(int(child))

    def test_function_that_workers_cannot_load(self, tmp_path, monkeypatch):
        (tmp_path / "breaks_elsewhere.py").write_text(
            "import os\n"
            "if 'PYTEST_VERSION' not in os.environ:\n    raise OSError('no licence here')\n"
            "def train(trial):\n    return {}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        import breaks_elsewhere

        monkeypatch.delenv("PYTEST_VERSION")
        with pytest.raises(WorkerError, match="no licence here"):
            study(breaks_elsewhere.train, tmp_path / "s").run(workers=1, progress=False)


class TestDamage:
    @pytest.mark.parametrize("keep", [0, 100, -2])
    def test_truncated_record_is_named_and_nothing_runs(self, tmp_path, keep):
        planned = study(trials.constant, tmp_path, repeats=2)
        planned.run(workers=1, progress=False)
        record = tmp_path / "trials" / planned.trials[0].identity / "record.json"
        record.write_bytes(record.read_bytes()[:keep])
        with pytest.raises(DamagedFileError, match=r"record\.json: damaged.*Move the file away"):
            planned.run(workers=1, progress=False)

    def test_changed_value_is_noticed(self, tmp_path):
        planned = study(trials.constant, tmp_path)
        planned.run(workers=1, progress=False)
        record = tmp_path / "trials" / planned.trials[0].identity / "record.json"
        record.write_text(record.read_text().replace("1.0", "1.5", 1))
        with pytest.raises(DamagedFileError, match="does not match its checksum"):
            planned.results()

    @pytest.mark.parametrize("damage", [b"{}", b"{", None])
    def test_of_an_environment_leaves_results_and_runs(self, tmp_path, damage):
        planned = study(trials.constant, tmp_path)
        before = planned.run(workers=1, progress=False)
        (path,) = (tmp_path / "environments").iterdir()
        path.unlink() if damage is None else path.write_bytes(damage)
        pd.testing.assert_frame_equal(planned.results(), before)
        with pytest.warns(UserWarning, match=path.name):
            pd.testing.assert_frame_equal(planned.run(workers=1, progress=False), before)
        facts = planned.facts()
        assert path.name in facts["Environments that cannot be read"]
        assert facts["Runs"] == "1, of which 1 completed"

    def test_of_an_environment_is_mended_by_the_next_trial(self, tmp_path):
        study(trials.constant, tmp_path).run(workers=1, progress=False)
        (path,) = (tmp_path / "environments").iterdir()
        content = path.read_bytes()
        path.write_bytes(content[:100])
        study(trials.constant, tmp_path, repeats=2).run(workers=1, progress=False)
        assert path.read_bytes() == content

    def test_all_damaged_records_are_named_at_once(self, tmp_path):
        planned = study(trials.constant, tmp_path, repeats=3)
        planned.run(workers=1, progress=False)
        for each in planned.trials[:2]:
            (tmp_path / "trials" / each.identity / "record.json").write_text("{}")
        with pytest.raises(DamagedFileError) as caught:
            planned.run(workers=1, progress=False)
        assert all(each.identity in str(caught.value) for each in planned.trials[:2])

    def test_removed_record_alone_is_computed_again(self, tmp_path):
        log = tmp_path / "log"
        planned = study(trials.logged, tmp_path / "s", config={"log": str(log)}, repeats=3)
        before = planned.run(workers=1, progress=False)
        (planned.folder / "trials" / planned.trials[1].identity / "record.json").unlink()
        after = planned.run(workers=1, progress=False)
        assert log.read_text().count("ran") == 4
        pd.testing.assert_frame_equal(
            before.drop(columns="trial_time"), after.drop(columns="trial_time")
        )


class TestBadInput:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                {"fixed": {"tread": 2}},
                "unknown source of variability 'tread'; did you mean 'threads'",
            ),
            (
                {"fixed": {"threads": 0}},
                "source 'threads' has no level 0; it takes an integer from 1",
            ),
            ({"fixed": {"threads": True}}, "has no level True"),
            ({"fixed": {"init": 1.5}}, "source 'init' has no level 1.5"),
            ({"fixed": {"init": 2**63}}, "source 'init' has no level 9223372036854775808"),
            ({"fixed": {"init": -1}}, "source 'init' has no level -1"),
            (
                {"fixed": {"isa": "sse9"}},
                "source 'isa' has no level 'sse9'; it takes one of 'native'",
            ),
            ({"fixed": {"device": "gpu"}}, "it takes 'cpu', 'cuda' or 'cuda:N'"),
            ({"fixed": {"hash_seed": 2**32}}, "source 'hash_seed' has no level 4294967296"),
            ({"fixed": {"deterministic": 1}}, "it takes True, False or 'portable'"),
            ({"varied": {"init": []}}, "must list its levels"),
            ({"varied": {"isa": "native"}}, "must list its levels"),
            ({"fixed": {"init": 1}, "varied": {"init": [1, 2]}}, "init: both fixed and varied"),
            ({"repeats": 0}, "repeats must be an integer from 1"),
            ({"config": {"x": {1, 2}}}, r"config\['x'\] = \{1, 2\} cannot be part of"),
            ({"config": {"x": {1: 2}}}, r"config\['x'\]: key 1 must be text"),
            ({"varied": {"init": 5}}, r"varied\['init'\] must list its levels, not 5"),
            ({"varied": ["init"]}, "must hold mappings from source to level, not 'init'"),
            ({"varied": {"init": [1, 1]}}, "is listed twice; to run it again, use repeats"),
            ({"folds": 0}, "folds must be an integer from 1"),
            ({"conditions": {}}, "inside conditions, or no conditions"),
            ({"name": "../x"}, "a study's name is the name of a folder, not '../x'"),
            ({"config": {"x": float("nan")}}, r"config\['x'\] = nan"),
            ({"config": 3}, "config must be a mapping"),
            ({"varied": {"init": [1]}, "conditions": {"a": Condition()}}, "inside conditions"),
        ],
    )
    def test_is_refused_before_anything_runs(self, tmp_path, settings, message):
        with pytest.raises(InputError, match=message):
            study(trials.constant, tmp_path, **settings)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "settings", [{"time_limit": "5"}, {"time_limit": 0}, {"workers": 0}, {"workers": 1.5}]
    )
    def test_settings_of_a_run(self, tmp_path, settings):
        with pytest.raises(InputError, match="must be a"):
            study(trials.constant, tmp_path).run(progress=False, **settings)
        assert list(tmp_path.iterdir()) == []

    def test_callable_that_is_no_function(self, tmp_path):
        with pytest.raises(
            InputError, match="must be a plain function, not partial; give constant"
        ):
            study(functools.partial(trials.constant), tmp_path)

    @pytest.mark.parametrize("levels", [{"device": "cuda:7"}, {"tf32": True}])
    def test_level_that_this_machine_lacks(self, tmp_path, levels):
        import torch

        if torch.cuda.device_count() > 0 and "tf32" in levels:
            pytest.skip("this machine has a GPU")
        with pytest.raises(NotAvailableError, match="not available on this machine"):
            study(trials.constant, tmp_path, fixed=levels)


class TestCode:
    def test_edited_file_is_not_run_under_the_old_identity(self, tmp_path, monkeypatch):
        module = tmp_path / "edited_later.py"
        module.write_text("RATE = 1\ndef train(trial):\n    return {'rate': RATE}\n")
        monkeypatch.syspath_prepend(tmp_path)
        import edited_later

        planned = study(edited_later.train, tmp_path / "s")
        module.write_text("RATE = 2\ndef train(trial):\n    return {'rate': RATE}\n")
        with pytest.raises(WorkerError, match="value edited_later:RATE: not the same here"):
            planned.run(progress=False)

    def test_fixed_for_all_gives_way_to_a_condition(self, tmp_path):
        conditions = {"a": Condition({"init": 1}), "b": Condition(varied={"init": [2, 3]})}
        planned = study(trials.constant, tmp_path, fixed={"init": 9}, conditions=conditions)
        assert sorted(each.levels["init"] for each in planned.trials) == [1, 2, 3]

    def test_hash_seed_drawn_for_each_trial_is_recorded(self, tmp_path):
        planned = study(trials.environment, tmp_path, fixed={"hash_seed": "random"}, repeats=2)
        results = planned.run(workers=1, progress=False)
        seeds = {planned.record(each.identity).effective["hash_seed"] for each in planned.trials}
        assert len(set(value(results, "hash"))) == len(seeds) == 2

    def test_mixed_environments_are_said(self, tmp_path):
        planned = study(trials.constant, tmp_path, repeats=2)
        planned.run(workers=1, progress=False)
        folder = tmp_path / "environments"
        (described,) = folder.iterdir()
        content = json.loads(described.read_text())
        content["packages"]["torch"] = "1.3"
        other = write_environment(folder, content)
        record = planned.record(planned.trials[0].identity)
        changed = record.model_copy(update={"environment": other})
        write_record(tmp_path / "trials" / planned.trials[0].identity, changed)
        with pytest.warns(UserWarning, match="different machines or with different packages"):
            planned.run(progress=False)


class TestInterruption:
    def test_closing_ends_what_a_trial_started(self, tmp_path):
        planned = study(trials.starts_a_program, tmp_path)
        runner = threading.Thread(target=_run_to_the_end, args=(planned,))
        runner.start()
        marker = tmp_path / "trials" / planned.trials[0].identity / "pid"
        deadline = time.monotonic() + 60
        while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pool_ in list(pool._POOLS.values()):
            pool_.close()
        runner.join()
        assert _has_ended(int(marker.read_text()))

    def test_two_studies_in_two_threads_leave_each_other_alone(self, tmp_path):
        short = study(trials.constant, tmp_path / "short")
        long = study(trials.sleeper, tmp_path / "long", config={"seconds": 6})
        with ThreadPoolExecutor(2) as threads:
            ends = [threads.submit(each.run, workers=1, progress=False) for each in (short, long)]
        assert [set(end.result()["status"]) for end in ends] == [{"ok"}, {"ok"}]

    def test_kill_loses_only_the_trials_in_flight(self, tmp_path):
        log = tmp_path / "log"
        program = (
            "from pathlib import Path\n"
            "from reprostats import Study\n"
            "from tests.study import trials\n"
            f"Study(trials.logged, config={{'log': {str(log)!r}}}, repeats=60,"
            f" folder={str(tmp_path / 's')!r}).run(workers=2, progress=False)\n"
        )
        process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        records = tmp_path / "s" / "trials"
        deadline = time.monotonic() + 60
        while len(list(records.glob("*/record.json"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _wait_until_no_worker_is_left(tmp_path)
        planned = study(trials.logged, tmp_path / "s", config={"log": str(log)}, repeats=60)
        kept = planned.results()["trial"].nunique()
        ran = log.read_text().count("ran")
        assert 5 <= kept <= ran <= kept + 2
        results = planned.run(workers=2, progress=False)
        assert log.read_text().count("ran") == ran + 60 - kept
        undisturbed = study(
            trials.logged, tmp_path / "u", config={"log": str(log)}, repeats=60
        ).run(workers=2, progress=False)
        columns = ["trial", "metric", "case", "value", "status"]
        pd.testing.assert_frame_equal(
            results.query("metric != 'trial_time'")[columns],
            undisturbed.query("metric != 'trial_time'")[columns],
        )

    def test_two_runs_on_one_folder_share_the_work(self, tmp_path):
        log = tmp_path / "log"
        program = (
            "from reprostats import Study\n"
            "from tests.study import trials\n"
            f"Study(trials.logged, config={{'log': {str(log)!r}}}, repeats=40,"
            f" folder={str(tmp_path / 's')!r}).run(workers=1, progress=False)\n"
        )
        runs = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
        assert [run.wait() for run in runs] == [0, 0]
        assert log.read_text().count("ran") == 40


def _request(folder: Path) -> dict[str, object]:
    """What a worker is asked, of a trial with all defaults."""
    planned = study(trials.constant, folder / "s").trials[0]
    return pool.Task(planned, folder, "{}", None).request() | {"environment": ""}


def _has_ended(process: int) -> bool:
    """Wait a little for a process to end; a zombie has ended, though nobody has asked yet."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


def _run_to_the_end(planned: Study) -> None:
    with suppress(WorkerError):
        planned.run(workers=1, progress=False)


def _wait_until_no_worker_is_left(folder: Path) -> None:
    """Wait for the workers of studies under a folder, whose log they keep open."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(_writes_under(each, folder) for each in psutil.process_iter()):
            return
        time.sleep(0.05)
    raise AssertionError("a worker outlived its parent")


def _writes_under(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error):
        if "reprostats.study.fork_server" in " ".join(process.cmdline()):
            return any(each.path.startswith(str(folder)) for each in process.open_files())
    return False


def test_numbers_survive_the_record(tmp_path):
    results = study(trials.big, tmp_path).run(workers=1, progress=False)
    found = results.query("metric == 'x'")["value"].to_numpy()
    np.testing.assert_array_equal(found, np.arange(1000) / 7)


def test_worker_ends_with_its_parent(tmp_path):
    program = (
        "from reprostats import Study\n"
        "from tests.study import trials\n"
        f"Study(trials.sleeper, config={{'seconds': 100}}, folder={str(tmp_path)!r})"
        ".run(workers=1, progress=False)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path.cwd())
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("trials/*/log.txt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    _wait_until_no_worker_is_left(tmp_path)
