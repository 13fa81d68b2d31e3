"""Segmentation on more and more workers: a small size of the real thing."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML

from reprostats.datasets.folds import LeakError
from reprostats.datasets.patients import Cohort
from reprostats.errors import DivergedError, InputError
from reprostats.experiments import data_parallel, data_parallel_advice
from reprostats.experiments.advisor import Done, History
from reprostats.experiments.advisor_guideline import Proposal, Settings
from reprostats.experiments.data_parallel_parameters import DataParallelParameters
from reprostats.experiments.rate_policies import RatePolicy
from reprostats.experiments.segmentation_trial import (
    SegmentationConfig,
    SegmentationTask,
    hold_out,
    initial_network,
    load_cohort,
    process_config,
    train_segmentation,
)
from reprostats.learning.loop import predict
from reprostats.learning.scaled_schedules import GreScale
from reprostats.metrics.segmentation import class_agreement, confusion_matrix
from reprostats.sources import complete_levels
from reprostats.study.trial import Trial

ROOT = Path(__file__).parent.parent.parent
TASK = {
    "heads": {"patients": 4, "slices": 2, "resolution": 8, "structure": "brain"},
    "widths": (4, 8), "epochs": 2, "validation_patients": 1, "test_patients": 1,
}  # fmt: skip
FIVE = {"dice", "pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou"}


def trained(folder, *, policy=None, task=None, **levels):
    folder.mkdir()
    policy = policy or RatePolicy(learning_rate=0.05)
    config = SegmentationConfig(**{**TASK, **(task or {})}, policy=policy)
    chosen = complete_levels({"initialiser": "he_normal"} | levels)
    trial = Trial(config.model_dump(mode="json"), chosen, 0, None, folder)
    return trial, train_segmentation(trial)


class TestTraining:
    def test_seeded_trials_are_bitwise_equal(self, tmp_path):
        (one, _), (same, _) = (trained(tmp_path / str(n), world_size=3) for n in range(2))
        assert one.fingerprints == same.fingerprints
        assert set(one.fingerprints) == {"weights", "losses"}

    @pytest.mark.parametrize("source", ["init", "batch_order", "split", "world_size"])
    def test_each_source_alone_changes_the_weights(self, tmp_path, source):
        one, _ = trained(tmp_path / "one")
        other, _ = trained(tmp_path / "other", **{source: 4})
        assert one.fingerprints["weights"] != other.fingerprints["weights"]

    def test_more_workers_make_fewer_steps(self, tmp_path):
        """4 training slices, one for each worker and step, 2 epochs."""
        steps = [trained(tmp_path / str(k), world_size=k)[1]["steps"] for k in (1, 2, 3, 4)]
        assert steps == [8, 4, 4, 2]

    def test_one_worker_has_nothing_to_scale(self, tmp_path):
        alone = [
            trained(tmp_path / name, policy=DataParallelParameters(task=TASK).policy(name))[0]
            for name in ("constant", "linear", "linear, warm-up")
        ]
        assert len({trial.fingerprints["weights"] for trial in alone}) == 1

    @pytest.mark.parametrize("optimiser", ["sgd", "lars", "adam"])
    def test_every_optimiser_trains(self, tmp_path, optimiser):
        policy = RatePolicy(learning_rate=0.01, optimiser=optimiser)
        trial, found = trained(tmp_path / "one", policy=policy, world_size=2)
        assert trial.description["optimiser"] == optimiser
        assert all(0 <= value <= 1 for value in found["dice"].values())

    def test_fcn_trains_too(self, tmp_path):
        task = {"network": "fcn", "widths": (4, 8), "size": (32, 32)}
        _, found = trained(tmp_path / "one", task=task, world_size=2)
        assert set(found["dice"]) == set(found["mean_iou"])

    def test_learns(self, tmp_path):
        task = {"epochs": 40, "batch_size": 1}
        _, found = trained(tmp_path / "one", task=task, policy=RatePolicy(learning_rate=0.05))
        assert min(found["dice"].values()) > 0.85

    def test_tells_who_is_who(self, tmp_path):
        trial, found = trained(tmp_path / "one")
        told = trial.description
        assert set(found["dice"]) == set(told["test_patients"])
        assert set(found["validation_dice"]) == set(told["validation_patients"])
        parts = [told[f"{part}_patients"] for part in ("training", "validation", "test")]
        assert len({name for part in parts for name in part}) == sum(map(len, parts)) == 4
        assert {name for name in found if "_" + name not in found} >= FIVE

    def test_measures_are_those_of_segeval(self, tmp_path):
        trial, found = trained(tmp_path / "one")
        config = SegmentationConfig(**trial.config)
        cohort = load_cohort(config)
        held = hold_out(cohort, config, Trial({}, {"split": 0}, 0, None, tmp_path)
                                      .generator("split")).test  # fmt: skip
        model = initial_network(Trial({}, trial.levels, 0, None, tmp_path), config)
        from safetensors.torch import load_file

        model.load_state_dict(load_file(trial.folder / "weights.safetensors"))
        (patient,) = held.test
        outputs = predict(model, torch.from_numpy(patient.images[:, None]), 8)[:, 0].numpy() > 0
        expected = class_agreement(confusion_matrix(patient.masks, outputs))
        for name in FIVE - {"dice"}:
            assert found[name][patient.identity] == pytest.approx(expected[name], abs=0.01)

    def test_rate_that_is_too_high_diverges(self, tmp_path):
        with pytest.raises(DivergedError):
            trained(
                tmp_path / "one",
                policy=RatePolicy(learning_rate=1e30),
                task={"normalisation": "none", "epochs": 6},
            )


class TestHoldOut:
    def cohort(self):
        return load_cohort(SegmentationTask(**TASK))

    def test_nobody_left(self):
        task = SegmentationTask(**{**TASK, "test_patients": 3})
        with pytest.raises(InputError, match="4 of 4 patients are held out; nobody is left"):
            hold_out(self.cohort(), task, np.random.default_rng(1))

    def test_standardised_by_the_training_patients_alone(self):
        held = hold_out(self.cohort(), SegmentationTask(**TASK), np.random.default_rng(1))
        assert held.validation.standardisation == held.test.standardisation
        assert not set(held.test.standardisation.fitted_on) & {
            *held.test.fold.test, *held.validation.fold.test,
        }  # fmt: skip

    def test_slice_of_a_test_patient_among_those_trained_on(self):
        from dataclasses import replace

        cohort = self.cohort()
        twins = replace(cohort.patients[1], identity="twin", origin="")
        both = Cohort("twins", (*cohort.patients, twins))
        with pytest.raises(LeakError, match="under another name"):
            _ = [
                hold_out(both, SegmentationTask(**TASK), np.random.default_rng(seed))
                for seed in range(30)
            ]


class TestPolicies:
    def test_of_the_thesis(self):
        """5 of 100 epochs of warm-up, to k times the rate; 4/7 and 3/7 of the rest."""
        parameters = DataParallelParameters(task={**TASK, "epochs": 100}, learning_rate=1e-5)
        found = parameters.policy("GreScale").schedule(12).rates(10, 100)
        np.testing.assert_allclose(found, GreScale(workers=12).rates(10, 100), rtol=1e-12)
        warm = parameters.policy("linear, warm-up").schedule(18).rates(10, 100)
        assert (warm[0], warm[50], warm[-1]) == pytest.approx((1e-5, 18e-5, 18e-5))

    def test_without_warm_up_the_first_step_is_the_largest(self):
        parameters = DataParallelParameters(learning_rate=0.1)
        assert set(parameters.policy("linear").schedule(8).rates(3, 4)) == {0.8}
        assert set(parameters.policy("constant").schedule(8).rates(3, 4)) == {0.1}

    def test_rates_are_those_of_the_training(self):
        parameters = DataParallelParameters(task=TASK, world_sizes=(1, 2))
        assert data_parallel.steps_with(parameters, 2) == 2
        figure = data_parallel.rate_figure(parameters)
        drawn = [panel["title"] for panel in figure.chart.to_dict()["concat"]]
        assert drawn == list(parameters.policies)
        assert "2 data-parallel workers" in figure.caption


def tuning(parameters, settings=None, ending="nothing left"):
    rules = data_parallel_advice.guideline_for(parameters, 8)
    end = Done(ending=ending, settings=settings or rules.start, reason="all actions were taken")
    return data_parallel_advice.Tuning(8, History(guideline=rules), end)


class TestPlan:
    def test_is_one_study_of_policies_on_numbers_of_workers(self):
        planned = data_parallel.studies(DataParallelParameters(task=TASK))["data_parallel"].planned
        assert list(planned)[:2] == ["constant, 1 worker", "constant, 2 workers"]
        assert len(planned) == 4 + 4 * 3
        policies = {name: trials[0].config["policy"] for name, trials in planned.items()}
        assert policies["linear, 8 workers"]["scaling"] == "linear"
        assert planned["linear, 8 workers"][0].levels["world_size"] == 8
        assert "linear, 1 worker" not in planned

    def test_all_conditions_have_the_same_seeds_and_the_same_split(self):
        parameters = DataParallelParameters(task=TASK, repeats=3)
        planned = data_parallel.studies(parameters)["data_parallel"].planned
        seeds = [{trial.levels["init"] for trial in trials} for trials in planned.values()]
        assert all(each == seeds[0] and len(each) == 3 for each in seeds)
        assert {t.levels["split"] for trials in planned.values() for t in trials} == {2020}

    def test_settings_of_the_advisor_are_a_condition(self):
        parameters = DataParallelParameters(task=TASK)
        tuned = tuning(parameters, Settings(learning_rate=0.01, decay_epochs=1))
        planned = data_parallel.studies(parameters, [tuned])["data_parallel"].planned
        assert planned["GreScale, tuned, 8 workers"][0].config["policy"]["learning_rate"] == 0.01

    def test_defaults_that_the_advisor_kept_are_not_compared_twice(self):
        parameters = DataParallelParameters(task=TASK)
        names = list(data_parallel.conditions(parameters))
        assert list(data_parallel.conditions(parameters, [tuning(parameters)])) == names

    def test_stages_have_seeds_of_their_own(self):
        parameters = DataParallelParameters()
        drawn = [parameters.drawn_seeds(stage, 5) for stage in ("report", "tuning", "confirmation")]
        assert len({seed for seeds in drawn for seed in seeds}) == 15
        assert parameters.drawn_seeds("tuning", 2) == drawn[1][:2]

    def test_every_confirmation_has_seeds_of_its_own(self):
        parameters = DataParallelParameters()
        drawn = [
            data_parallel_advice.advisor_seeds(
                parameters,
                Proposal(iteration=n, action=action, settings=parameters.start(), reason=""),
            )
            for n, action in enumerate(("defaults", "confirm", "lower_rate", "confirm"))
        ]
        assert drawn[0] == drawn[2]
        assert len({seed for each in drawn for seed in each}) == 3 * len(drawn[0])

    def test_one_worker(self):
        parameters = DataParallelParameters(world_sizes=(1,))
        assert list(data_parallel.conditions(parameters)) == ["constant, 1 worker"]

    def test_guideline_is_in_proportion_to_the_training(self):
        parameters = DataParallelParameters(task={**TASK, "epochs": 20}, margin=0.02)
        rules = data_parallel_advice.guideline_for(parameters, 18)
        assert (rules.warmup_step, rules.decay_step, rules.margin) == pytest.approx((1, 2, 0.02))
        assert rules.start.warmup_epochs == pytest.approx(1)
        assert (rules.world_size, rules.min_world_size) == (18, 8)

    def test_nothing_to_time(self):
        assert list(data_parallel.studies(DataParallelParameters(timed_world_sizes=()))) == [
            "data_parallel"
        ]


def recorded(status="ok", reason=""):
    """Results of two seeds, 1 and 2, and two validation patients; the second has a status."""
    rows = [
        {"condition": "c", "trial": f"t{seed}", "init": seed, "metric": f"validation_{name}",
         "case": who, "value": value, "status": status if seed == 2 else "ok", "reason": reason}
        for seed in (1, 2) for name in FIVE for who, value in (("a", 0.5), ("b", 0.7))
    ]  # fmt: skip
    return pd.DataFrame(rows)


class TestValuesBySeed:
    def test_are_means_over_patients_in_the_order_of_the_seeds(self):
        results = recorded()
        results.loc[results["init"] == 2, "value"] += 0.1
        found = data_parallel_advice.values_by_seed(results, [2, 1])
        assert set(found) == FIVE
        assert found["dice"] == pytest.approx([0.7, 0.6])

    def test_have_a_gap_where_a_training_diverged(self):
        found = data_parallel_advice.values_by_seed(recorded("diverged"), [2, 1])
        assert found["dice"][1] == pytest.approx(0.6)
        assert math.isnan(found["dice"][0])
        none = data_parallel_advice.values_by_seed(recorded().assign(status="diverged"), [1, 2])
        assert np.isnan(none["dice"]).all()

    @pytest.mark.parametrize("status", ["failed", "killed", "timeout"])
    def test_crash_is_no_divergence(self, status):
        with pytest.raises(InputError, match=f"1 of 2 trainings crashed.*seed 2: {status}, disk"):
            data_parallel_advice.values_by_seed(recorded(status, "disk full"), [1, 2])

    def test_seed_without_a_training(self):
        with pytest.raises(InputError, match=r"seeds \[3\]"):
            data_parallel_advice.values_by_seed(recorded(), [1, 2, 3])


def test_launcher_is_told_the_same_training(tmp_path):
    levels = complete_levels({"world_size": 2, "initialiser": "he_normal", "init": 7})
    config = SegmentationConfig(**TASK, policy=RatePolicy(learning_rate=0.3))
    told = process_config(Trial({}, levels, 0, None, tmp_path), config)
    assert (told.workers, told.strategy.name, told.seed) == (2, "distributed", 7)
    assert told.schedule.learning_rate == 0.3
    assert told.data.heads == config.heads
    assert told.model.parameters["widths"] == (4, 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"world_sizes": (2, 4)}, {"policies": ("GreScale",)}, {"policies": ("grescale",)},
        {"repeats": 1}, {"margin": 0}, {"margin": 1.0}, {"task": {"epochs": 0}},
        {"advisor": {"world_sizes": [0]}},
        {"x": 1}, {"timed_world_sizes": (2, 4)}, {"task": {"policy": {}}},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        DataParallelParameters(**wrong)


def test_parameter_files_fit():
    files = sorted((ROOT / "data" / "parameters").glob("04_data_parallel_*.yaml"))
    assert len(files) == 2
    for file in files:
        parameters = DataParallelParameters(**YAML(typ="safe").load(file.read_text()))
        assert all(parameters.policy(name).schedule(18) for name in parameters.policies)
        assert {1, 18} <= set(parameters.world_sizes)
        for world_size in parameters.advisor.world_sizes:
            rules = data_parallel_advice.guideline_for(parameters, world_size)
            assert rules.world_size == world_size


@pytest.mark.long  # notebook 04, executed small, makes the same report
def test_report_trains_once_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    heads = {**TASK["heads"], "patients": 8}
    parameters = DataParallelParameters(
        task={**TASK, "heads": heads}, workers=1, world_sizes=(1, 2),
        policies=("constant", "linear"),
        repeats=2, timed_world_sizes=(1, 2), timing_repeats=2,
        advisor={"world_sizes": [2], "min_world_size": 2, "repeats": 2, "max_iterations": 2},
    )  # fmt: skip
    report = data_parallel.report(parameters)
    records = {path: path.stat().st_mtime_ns for path in tmp_path.glob("studies/*/trials/*/*")}
    again = data_parallel.report(parameters)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("studies/*/trials/*/*")} == (
        records
    )
    assert [str(verdict) for verdict in again.verdicts] == list(map(str, report.verdicts))
    assert report.of("completed")[0].answer == "yes"
    asked = {"loss over workers", "won back", "advisor"}
    assert asked <= {verdict.question for verdict in report.verdicts}
    assert {"by_world_size", "advice_2", "speed_up"} <= set(report.tables)
    assert set(report["speed_up"].frame["world_size"]) == {1, 2}
    assert (report["speed_up"].frame["mean"] > 0).all()
    assert {path.suffix for path in report.write(tmp_path / "report")} >= {".html", ".tex", ".svg"}


def test_settings_of_the_advisor_are_a_policy():
    settings = Settings(learning_rate=0.3, decay=2, warmup_epochs=1, decay_epochs=3,
                        optimiser="lars")  # fmt: skip
    policy = RatePolicy.tuned(settings)
    assert policy.schedule(4) == GreScale(
        workers=4, learning_rate=0.3, decay=2, warmup_epochs=1, decay_epochs=3
    )
    assert policy.optimiser == "lars"
