"""Each source of variability, varied alone, changes what it should and nothing else."""

import json

import pytest
import torch

from reprostats import Condition, Study
from reprostats.errors import InputError, NotAvailableError
from reprostats.study.record import read_record
from reprostats.study.sources import CHOICES, SOURCES, STREAMS, complete_levels
from reprostats.study.trial import Trial
from tests.study import trials

NO_GPU = torch.cuda.device_count() == 0
# Another level than the default for every source that this machine can vary.
OTHER = {
    **dict.fromkeys(STREAMS, 1),
    "initialiser": "glorot_uniform",
    "adam_epsilon": 1e-3,
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
    "adam_epsilon": {"asked.adam_epsilon"},
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
    assert set(MOVES) | {"cudnn_benchmark", "tf32", "device"} == set(SOURCES)


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
    def test_not_available_here_unless_the_trials_run_elsewhere(self, source, level):
        with pytest.raises(NotAvailableError, match="not available on this machine"):
            complete_levels({source: level})
        assert complete_levels({source: level}, elsewhere=True)[source] == level

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
    with pytest.warns(UserWarning, match=r"never used by 'constant': dtype\. .*trial\.level"):
        study.run(workers=1, progress=False)
