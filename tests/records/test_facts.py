"""What a checklist asks, of trials and of trainings."""

import pytest

from reprostats.records.environments import write_environment
from reprostats.records.facts import gather_facts
from reprostats.records.files import read_record
from reprostats.records.record import TrainingRecord, TrialRecord
from tests.records import version_1


def trial(**changes: object) -> TrialRecord:
    fields = {
        "function": "lenet:train", "code": "c", "config": {"epochs": 2}, "repeat": 0, "fold": None,
        "levels": {"init": 3, "threads": 1, "deterministic": True}, "seconds": 2.0,
        "seeds": {"init": 3, "split": 9}, "used": ["init"], "description": {"dataset": "digits"},
    }  # fmt: skip
    return TrialRecord(**(fields | changes))


def test_of_trainings():
    trainings = [
        TrainingRecord(
            config={"epochs": 2, "seed": seed}, world_size=2, description={"training": 12},
            environment=version_1.ENVIRONMENT | {"git_commit": "abc"}, seconds=3.0,
        )
        for seed in (1, 2)
    ]  # fmt: skip
    facts = gather_facts(trainings)
    assert facts == {
        "Runs": "2, of which 2 completed",
        "Training": "12",
        "Hyperparameters": "epochs = 2, seed = 1; epochs = 2, seed = 2",
        "Data-parallel workers": "2",
        "Seeds": "1; 2",
        "Run time": "6 s in all, 3 to 3 s per trial",
        "Processor": "CPU of 2019, 2 cores (4 logical)",
        "Memory": "8.0 GiB",
        "GPU": "none",
        "System": "Linux",
        "Python": "3.12.1",
        "Packages": "torch = 2.7.0, numpy = 2.1.0, monai = none, reprostats = none",
        "Git commit": "abc",
        "Lock files (SHA-256)": "none",
    }


def test_of_a_training_of_version_1(tmp_path):
    facts = gather_facts([read_record(version_1.write_training(tmp_path))])
    assert facts["Git commit"] == "abc123"
    assert facts["Run time"].startswith("1 s in all")


def test_of_trials(tmp_path):
    name = write_environment(tmp_path, version_1.ENVIRONMENT)
    levels = {"init": 3, "threads": 2, "deterministic": True}
    facts = gather_facts(
        [trial(environment=name), trial(environment=name, levels=levels)], tmp_path
    )
    assert facts["Function"] == "lenet:train"
    assert facts["Sources that were varied"] == "threads"
    assert facts["Levels that were fixed"] == "deterministic = True"
    assert facts["Seeds"] == "3"
    assert facts["Memory"] == "8.0 GiB"
    assert "Environments that cannot be read" not in facts


def test_of_failed_trials_count_them():
    facts = gather_facts([trial(), trial(status="failed", description={"dataset": "none"})])
    assert facts["Runs"] == "2, of which 1 completed"
    assert facts["Dataset"] == "digits"


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_damaged_environments_are_named_and_the_rest_is_told(tmp_path, damage):
    intact = write_environment(tmp_path, version_1.ENVIRONMENT)
    other = write_environment(tmp_path, version_1.ENVIRONMENT | {"python": "3.9.0"})
    path = tmp_path / f"{other}.json"
    path.unlink() if damage is None else path.write_bytes(damage)
    facts = gather_facts([trial(environment=intact), trial(environment=other)], tmp_path)
    assert str(path) in facts["Environments that cannot be read"]
    assert facts["Python"] == "3.12.1"
    facts = gather_facts([trial(environment=other)], tmp_path)
    assert facts["Python"] == "not known"
    assert facts["Hyperparameters"] == "epochs = 2"
