"""Facts are those of the records, and nothing is known that the records do not hold."""

from __future__ import annotations

from dataclasses import fields

import pandas as pd
import pytest

from reprostats.errors import InputError
from reprostats.sources import complete_levels
from reprostats.verdicts.run_facts import RunFacts, gather_run_facts, gather_table_facts
from tests.verdicts.hand_made import CONFIG, DESCRIPTION, ENVIRONMENT, facts, five_trials, record


class TestTrials:
    def test_are_counted(self):
        failed = [
            record(6, status="diverged", reason="loss is nan", metrics=[], description={}),
            record(7, status="diverged", reason="loss is nan", metrics=[], description={}),
            record(8, status="killed", metrics=[], description={}),
        ]
        gathered = gather_run_facts([*five_trials(), *failed], {}, planned=9)
        assert (gathered.trials_planned, gathered.trials_recorded) == (9, 8)
        assert gathered.trials_completed == 5
        assert gathered.failures == {"diverged: loss is nan": 2, "killed": 1}

    def test_repeats_are_of_one_configuration_and_fold(self):
        assert facts().repeats == 5
        rates = [record(config={"learning_rate": rate}) for rate in (0.1, 0.01)]
        assert facts(rates).repeats == 1
        assert facts([record(fold=fold) for fold in (0, 1)]).repeats == 1
        assert facts([record(), record(2, status="failed", config={})]).repeats == 0

    def test_what_was_measured(self):
        assert facts().metrics == ("dice",)
        assert facts().values_by_case is True
        whole = [record(metrics=[("accuracy", "all", 0.9)])]
        assert facts(whole).values_by_case is False

    def test_nothing_is_known_without_records(self):
        assert gather_run_facts([], {}) == RunFacts()

    def test_folds(self):
        assert facts().folds == 0
        assert facts([record(fold=fold) for fold in (0, 1, 2)]).folds == 3


class TestSources:
    def test_varied_together(self):
        assert facts().varied == {"init": 5, "batch_order": 5}
        assert facts().varied_together == (("init", "batch_order"),)
        assert facts().seeds == {"init": (1, 2, 3, 4, 5), "batch_order": (1, 2, 3, 4, 5)}

    def test_crossed_sources_are_not_together(self):
        crossed = [
            record(levels=complete_levels({"init": seed, "threads": threads}), seeds={})
            for seed in (1, 2)
            for threads in (1, 2)
        ]
        assert facts(crossed).varied == {"init": 2, "threads": 2}
        assert facts(crossed).varied_together == ()

    def test_seeds_drawn_by_the_operating_system_are_levels(self):
        drawn = [
            record(levels=complete_levels({"init": "os"}), seeds={"init": seed}, used=["init"])
            for seed in (11, 12, 13)
        ]
        assert facts(drawn).varied == {"init": 3}

    def test_a_varied_stream_that_nobody_drew_from(self):
        levels = [complete_levels({"dropout": seed}) for seed in (1, 2)]
        undrawn = [record(levels=each, seeds={"dropout": each["dropout"]}) for each in levels]
        assert facts(undrawn).unused == ("dropout",)

    def test_streams_that_nobody_drew_from_are_not_called_held(self):
        held = facts().held
        assert held is not None
        assert "threads" in held
        assert "dropout" not in held
        assert "dropout" in (facts([record(used=["init", "dropout"])]).held or {})


class TestConfig:
    def test_shared_and_varied(self):
        rates = [record(config=CONFIG | {"learning_rate": rate}) for rate in (0.1, 0.01)]
        assert facts(rates).config == {"batch_size": 8, "epochs": 3}
        assert facts(rates).config_varied == {"learning_rate": (0.1, 0.01)}
        assert facts(rates).hyperparameter("learning_rate", "lr") == (0.1, 0.01)

    def test_nested_values_are_found_by_their_name(self):
        nested = facts([record(config={"optimiser": {"lr": 0.1}, "model": {"dropout": 0.5}})])
        assert nested.hyperparameter("learning_rate", "lr") == (0.1,)
        assert nested.hyperparameter("batch_size") is None

    def test_a_name_that_stands_for_two_values_is_not_known(self):
        assert facts([record(config={"a": {"lr": 1}, "b": {"lr": 2}})]).hyperparameter("lr") is None


class TestData:
    def test_described(self):
        known = facts()
        assert (known.data_set, known.loss, known.optimiser) == ("cells", "cross-entropy", "Adam")
        assert (known.training_samples, known.validation_samples) == ((80,), (10,))
        assert known.subjects is None

    def test_listed_patients_are_counted_once(self):
        folds = [["a", "b", "c"], ["b", "c", "d"]]
        tests = [["d"], ["a"]]
        described = [
            record(
                fold=number,
                description={"training": 9, "validation": 0, "test": 3}
                | {"training_patients": training, "test_patients": test},
            )
            for number, (training, test) in enumerate(zip(folds, tests, strict=True))
        ]
        assert facts(described).subjects == 4
        assert facts(described).training_subjects == (3,)

    def test_subjects_are_not_known_where_a_part_lists_none(self):
        listed = DESCRIPTION | {"training_patients": ["a", "b"]}
        assert facts([record(description=listed)]).subjects is None

    def test_failed_trials_do_not_tell_the_data(self):
        failed = record(2, status="failed", reason="no file", description={"dataset": "other"})
        assert facts([record(), failed]).data_set == "cells"


class TestEnvironment:
    def test_machine(self):
        (machine,) = facts().machines or ()
        assert (machine.processor, machine.cores, machine.memory_gb) == ("Intel Xeon", 2, 8.0)
        assert (machine.gpus, machine.python) == ((), "3.11.9")
        assert facts().packages == {
            "torch": ("2.7.1",),
            "numpy": ("2.2.0",),
            "reprostats": ("0.1.0",),
        }

    def test_gpu(self):
        gpu = {"name": "NVIDIA H200", "memory.total": "24576 MiB", "driver_version": "550"}
        (machine,) = facts(machine=ENVIRONMENT["machine"] | {"gpus": [gpu]}).machines or ()
        assert machine.gpus is not None
        assert str(machine.gpus[0]) == "NVIDIA H200 (24 GB)"

    def test_looked_for_and_not_there_is_empty(self):
        assert facts(git_commit="", lock_files={}).git_commits == ()
        assert facts(git_commit="", lock_files={}).lock_files == ()

    def test_an_environment_that_says_nothing_of_it(self):
        gathered = gather_run_facts(five_trials(), {"here": {"python": "3.11.9"}})
        assert gathered.git_commits is None
        assert gathered.lock_files is None
        assert gathered.packages is None

    def test_an_environment_that_is_lost(self):
        assert gather_run_facts(five_trials(), {}).machines is None

    def test_deterministic_algorithms(self):
        assert facts().deterministic == (False,)
        switched = [record(effective={"deterministic": on}) for on in (False, True)]
        assert facts(switched).deterministic == (False, True)


class TestTable:
    def test_a_bare_table_tells_its_trials_alone(self):
        table = pd.DataFrame({"trial": ["a", "b"], "metric": "dice", "value": [0.8, 0.9]})
        gathered = gather_table_facts(table)
        known = {f.name for f in fields(RunFacts) if getattr(gathered, f.name) is not None}
        assert known == {
            "trials_recorded",
            "trials_completed",
            "repeats",
            "failures",
            "metrics",
            "values_by_case",
        }

    def test_sources_and_failures_of_a_table(self):
        table = pd.DataFrame(
            {
                "trial": ["a", "b", "c"],
                "metric": "dice",
                "value": [0.8, 0.9, None],
                "status": ["ok", "ok", "failed"],
                "reason": ["", "", "no file"],
                "init": [1, 2, 3],
                "fold": [0, 1, 0],
            }
        )
        gathered = gather_table_facts(table)
        assert gathered.failures == {"failed: no file": 1}
        assert gathered.varied == {"init": 3}
        assert gathered.unused is None
        assert gathered.folds == 2
        assert gathered.repeats == 1

    def test_no_table(self):
        with pytest.raises(InputError, match="there is no column 'trial'"):
            gather_table_facts(pd.DataFrame({"value": [1.0]}))
