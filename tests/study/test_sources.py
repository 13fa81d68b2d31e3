"""Each source of variability, varied alone, changes what it should and nothing else."""

import json
import subprocess
import sys
import textwrap

import pytest
import torch

from reprostats import Condition, Study
from reprostats.errors import InputError, NotAvailableError
from reprostats.records.files import read_record
from reprostats.sources import (
    CHOICES,
    SOURCES,
    STREAMS,
    apply,
    complete_levels,
    environment,
    register,
    seeds,
)
from reprostats.sources.threads import Threads
from reprostats.study.trial import Trial
from tests.study import trials

NO_GPU = torch.cuda.device_count() == 0
# Another level than the default for every source that this machine can vary.
OTHER = {
    **dict.fromkeys(STREAMS, 1),
    "initialiser": "glorot_uniform",
    "adam": "keras",
    "adam_epsilon": 1e-3,
    "framework": "keras-torch",
    "threads": 2,
    "isa": "baseline",
    "hash_seed": 7,
    "deterministic": True,
    "memory_fill": False,
    "matmul_precision": "medium",
    "world_size": 4,
    "dtype": "float64",
}
# What PyTorch or Python report, and the fingerprints that differ, when one source is varied.
MOVES = {
    "init": {"init"},
    "batch_order": {"batch_order"},
    "augmentation": {"augmentation"},
    "dropout": {"dropout"},
    "split": {"split"},
    "initialiser": {"asked.initialiser"},
    "adam": {"asked.adam"},
    "adam_epsilon": {"asked.adam_epsilon"},
    "framework": {"effective.framework", "asked.framework"},
    "threads": {"effective.threads"},
    "isa": {"effective.isa"},
    "hash_seed": {"effective.hash_seed", "set_order"},
    "deterministic": {"effective.deterministic"},
    "memory_fill": {"effective.memory_fill"},
    "matmul_precision": {"effective.matmul_precision"},
    "world_size": {"asked.world_size"},
    "dtype": {"effective.dtype", "asked.dtype"},
}


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """What a trial saw with the default of every source, and with each of them varied alone."""
    folder = tmp_path_factory.mktemp("sources")
    levels = {name: level for name, level in OTHER.items() if can_give(name, level)}
    conditions = {"default": Condition()} | {
        name: Condition({name: level}) for name, level in levels.items()
    }
    study = Study(trials.every_source, conditions=conditions, folder=folder)
    results = study.run(workers=1, progress=False)
    assert (results["status"] == "ok").all(), results["reason"].unique()
    first = results.drop_duplicates("condition").set_index("condition")["trial"]
    return {name: seen(folder / "trials" / trial) for name, trial in first.items()}


def can_give(name, level):
    try:
        complete_levels({name: level})
    except NotAvailableError:
        return False
    return True


def seen(folder):
    record = read_record(folder)
    return {
        **record.fingerprints,
        **{f"effective.{name}": value for name, value in record.effective.items()},
        **{f"asked.{name}": record.levels[name] for name in CHOICES if name in record.used},
    }


@pytest.mark.slow
@pytest.mark.xdist_group("sources")
@pytest.mark.parametrize("source", MOVES)
def test_varied_alone_it_changes_what_it_should_and_nothing_else(observed, source):
    if source not in observed:
        pytest.skip(f"this machine has no other level of {source!r}")
    changed = {
        name
        for name, value in observed["default"].items()
        if observed[source].get(name, value) != value
    }
    assert changed == MOVES[source]


def test_every_source_is_tried():
    elsewhere = {"operand_bits"}  # it needs another one: tests/portable_arithmetic/test_source.py
    assert set(MOVES) | {"cudnn_benchmark", "tf32", "device"} | elsewhere == set(SOURCES)


def test_defaults_are_those_from_which_recorded_trials_have_their_identity():
    assert complete_levels({}) == {
        **dict.fromkeys(["init", "batch_order", "augmentation", "dropout", "split"], 0),
        "initialiser": "pytorch",
        "adam": "pytorch",
        "adam_epsilon": 1e-8,
        "framework": "torch",
        "threads": 1,
        "isa": "native",
        "hash_seed": 0,
        "deterministic": False,
        "operand_bits": "most",
        "memory_fill": True,
        "cudnn_benchmark": False,
        "tf32": False,
        "matmul_precision": "highest",
        "world_size": 1,
        "dtype": "float32",
        "device": "cpu",
    }


class TestLevels:
    @pytest.mark.parametrize(
        ("source", "level"),
        [
            ("dtype", "float8"),
            ("matmul_precision", "low"),
            ("memory_fill", 1),
            ("adam_epsilon", 0.0),
            ("adam_epsilon", float("nan")),
            ("adam_epsilon", True),
            ("initialiser", ""),
            ("initialiser", 3),
        ],
    )
    def test_no_such_level(self, source, level):
        with pytest.raises(InputError, match=f"source '{source}' has no level"):
            complete_levels({source: level})

    @pytest.mark.skipif(not NO_GPU, reason="this machine has a GPU")
    @pytest.mark.parametrize(
        ("source", "level"), [("device", "cuda"), ("tf32", True), ("cudnn_benchmark", True)]
    )
    def test_not_available_here_unless_the_trials_are_remote(self, source, level):
        with pytest.raises(NotAvailableError, match="not available on this machine"):
            complete_levels({source: level})
        assert complete_levels({source: level}, remote=True)[source] == level

    @pytest.mark.parametrize("name", ["seed", "random_state"])
    def test_a_single_seed_points_to_the_streams(self, name):
        with pytest.raises(InputError) as refused:
            complete_levels({name: 0})
        assert "init, batch_order, augmentation, dropout or split" in str(refused.value)
        assert "hash_seed" not in str(refused.value)
        assert set(seeds(3)) == set(STREAMS)

    def test_numbers_of_numpy_become_plain(self):
        import numpy as np

        levels = complete_levels({"adam_epsilon": np.float64(1e-7), "init": np.int64(3)})
        assert json.dumps([levels["adam_epsilon"], levels["init"]]) == "[1e-07, 3]"


class TestTrial:
    def trial(self, tmp_path, **levels):
        return Trial({}, complete_levels(levels), 0, None, tmp_path)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
    def test_to_takes_the_type_and_leaves_whole_numbers(self, tmp_path, dtype):
        trial = self.trial(tmp_path, dtype=dtype)
        assert trial.to(torch.nn.Linear(1, 1)).weight.dtype == getattr(torch, dtype)
        assert trial.to(torch.arange(3)).dtype == torch.int64
        assert trial.effective["dtype"] == dtype
        assert trial.streams.used == {"dtype", "device"}

    def test_autocast_is_read_back(self, tmp_path):
        trial = self.trial(tmp_path, dtype="autocast")
        layer, x = trial.to(torch.nn.Linear(2, 2)), trial.to(torch.ones(1, 2))
        assert layer.weight.dtype == torch.float32
        with trial.autocast():
            assert layer(x).dtype == torch.bfloat16
        assert trial.effective["autocast"] == "bfloat16"

    def test_autocast_is_nothing_at_other_levels(self, tmp_path):
        with self.trial(tmp_path).autocast():
            assert not torch.is_autocast_enabled("cpu")

    def test_unknown_source(self, tmp_path):
        with pytest.raises(InputError, match="did you mean 'dtype'"):
            self.trial(tmp_path).level("dtyp")

    def test_facts_must_be_plain(self, tmp_path):
        trial = self.trial(tmp_path)
        trial.describe(dataset="mnist", training=10)
        trial.describe(training=11)
        assert trial.description == {"dataset": "mnist", "training": 11}
        with pytest.raises(InputError):
            trial.describe(model=torch.nn.Linear(1, 1))

    def test_kept_tensors_have_their_fingerprint(self, tmp_path):
        from safetensors.torch import load_file

        from reprostats.learning.fingerprint import fingerprint

        trial = self.trial(tmp_path)
        shared = torch.zeros(3)
        trial.keep("state", {"a": shared, "b": shared, "c": torch.ones(4)[::2]})
        assert trial.fingerprints["state"] == fingerprint(load_file(tmp_path / "state.safetensors"))


def test_choice_that_is_not_asked_for_is_warned_of(tmp_path):
    study = Study(trials.constant, varied={"dtype": ["float32", "float64"]}, folder=tmp_path)
    with pytest.warns(UserWarning, match=r"not used by .*'constant': dtype\. .*trial\.level"):
        study.run(workers=1, progress=False)


# What somebody writes who copied a module of reprostats/sources: a source and a training.
STRANGER = """
    import torch

    from reprostats.sources import Switch, register

    SMALLEST = torch.finfo(torch.float32).tiny


    class FlushDenormal(Switch):
        name = "flush_denormal"
        meaning = "denormal numbers are taken as 0"

        def apply(self, level):
            torch.set_flush_denormal(level)

        def read_back(self):
            return {self.name: bool(torch.full((1,), SMALLEST) / 2 == 0)}

        def expected(self, level):
            return {self.name: level}


    register(FlushDenormal())


    def train(trial):
        half = torch.full((1,), SMALLEST) / 2
        return {"half_of_the_smallest": float(half.item() > 0)}
"""
SCRIPT = """
    import json

    import stranger

    from reprostats import Study

    study = Study(stranger.train, varied={"flush_denormal": [False, True]}, folder="study")
    results = study.run(workers=1, progress=False)
    records = [study.record(trial.identity) for trial in study.trials]
    rows = results[results["metric"] == "half_of_the_smallest"]
    print(json.dumps({
        "status": [record.status for record in records],
        "effective": [record.effective["flush_denormal"] for record in records],
        "column": dict(zip(rows["flush_denormal"].map(str), rows["value"])),
    }))
"""


@pytest.mark.slow
def test_a_source_of_a_stranger_is_applied_and_read_back(tmp_path):
    (tmp_path / "stranger.py").write_text(textwrap.dedent(STRANGER))
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "status": ["ok", "ok"],
        "effective": [False, True],
        "column": {"False": 1.0, "True": 0.0},
    }


class TestRegister:
    def test_a_name_is_given_once(self):
        with pytest.raises(InputError, match="there is a source 'threads' already"):
            register(Threads())

    def test_the_default_must_be_a_level(self):
        class Wrong(Threads):
            name = "wrong"
            default = 0

        with pytest.raises(InputError, match="source 'wrong' has no level 0"):
            register(Wrong())
        assert "wrong" not in SOURCES

    @pytest.mark.parametrize("use", [environment, apply])
    def test_a_process_that_did_not_register_it_says_so(self, use):
        levels = complete_levels({}) | {"flush_denormal": True}
        with pytest.raises(InputError, match=r"does not know the source 'flush_denormal': call"):
            use(levels)


def test_what_is_not_in_effect_is_told(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with pytest.raises(NotAvailableError, match="source 'threads': asked for 2, but 3 is in use"):
        Threads().confirm(2)


def test_variables_of_a_source_are_never_inherited(monkeypatch):
    for source in SOURCES.values():
        for variable in source.controlled:
            monkeypatch.setenv(variable, "from the shell")
    assert "from the shell" not in environment(complete_levels({})).values()


@pytest.mark.parametrize("source", ["cudnn_benchmark", "tf32"])
def test_flags_of_gpus_are_applied_and_read_back(source):
    """PyTorch keeps them where there is no GPU, too; there no study may ask for them."""
    before = SOURCES[source].read_back()[source]
    try:
        for level in (True, False):
            SOURCES[source].apply(level)
            assert SOURCES[source].read_back() == {source: level}
    finally:
        SOURCES[source].apply(before)
