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
from reprostats.errors import DivergedError, InputError
from reprostats.experiments import data_parallel
from reprostats.experiments.advisor import Proposal, Settings
from reprostats.experiments.data_parallel import Parameters, Policy, Task, Training
from reprostats.learning.loop import predict
from reprostats.learning.schedules import GreScale
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
    config = Training(**{**TASK, **(task or {})}, policy=policy or Policy(learning_rate=0.05))
    chosen = complete_levels({"initialiser": "he_normal"} | levels)
    trial = Trial(config.model_dump(mode="json"), chosen, 0, None, folder)
    return trial, data_parallel.train_segmentation(trial)


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
            trained(tmp_path / name, policy=Parameters(task=TASK).policy_of(name))[0]
            for name in ("constant", "linear", "linear, warm-up")
        ]
        assert len({trial.fingerprints["weights"] for trial in alone}) == 1

    @pytest.mark.parametrize("optimiser", ["sgd", "lars", "adam"])
    def test_every_optimiser_trains(self, tmp_path, optimiser):
        policy = Policy(learning_rate=0.01, optimiser=optimiser)
        trial, found = trained(tmp_path / "one", policy=policy, world_size=2)
        assert trial.description["optimiser"] == optimiser
        assert all(0 <= value <= 1 for value in found["dice"].values())

    def test_fcn_trains_too(self, tmp_path):
        task = {"network": "fcn", "widths": (4, 8), "size": (32, 32)}
        _, found = trained(tmp_path / "one", task=task, world_size=2)
        assert set(found["dice"]) == set(found["mean_iou"])

    def test_learns(self, tmp_path):
        task = {"epochs": 40, "batch_size": 1}
        _, found = trained(tmp_path / "one", task=task, policy=Policy(learning_rate=0.05))
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
        config = Training(**trial.config)
        cohort = data_parallel.load_cohort(config)
        held = data_parallel.hold_out(cohort, config, Trial({}, {"split": 0}, 0, None, tmp_path)
                                      .generator("split")).test  # fmt: skip
        model = data_parallel._network(Trial({}, trial.levels, 0, None, tmp_path), config)
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
                policy=Policy(learning_rate=1e30),
                task={"normalisation": "none", "epochs": 6},
            )


class TestHoldOut:
    def cohort(self):
        return data_parallel.load_cohort(Task(**TASK))

    def test_nobody_left(self):
        task = Task(**{**TASK, "test_patients": 3})
        with pytest.raises(InputError, match="4 of 4 patients are held out; nobody is left"):
            data_parallel.hold_out(self.cohort(), task, np.random.default_rng(1))

    def test_standardised_by_the_training_patients_alone(self):
        held = data_parallel.hold_out(self.cohort(), Task(**TASK), np.random.default_rng(1))
        assert held.validation.standardisation == held.test.standardisation
        assert not set(held.test.standardisation.fitted_on) & {
            *held.test.fold.test, *held.validation.fold.test,
        }  # fmt: skip

    def test_slice_of_a_test_patient_among_those_trained_on(self):
        from dataclasses import replace

        cohort = self.cohort()
        twins = replace(cohort.patients[1], identity="twin", origin="")
        both = data_parallel.Cohort("twins", (*cohort.patients, twins))
        with pytest.raises(LeakError, match="under another name"):
            _ = [
                data_parallel.hold_out(both, Task(**TASK), np.random.default_rng(seed))
                for seed in range(30)
            ]


class TestPolicies:
    def test_of_the_thesis(self):
        """5 of 100 epochs of warm-up, to k times the rate; 4/7 and 3/7 of the rest."""
        parameters = Parameters(task={**TASK, "epochs": 100}, learning_rate=1e-5)
        found = parameters.policy_of("GreScale").schedule(12).rates(10, 100)
        np.testing.assert_allclose(found, GreScale(workers=12).rates(10, 100), rtol=1e-12)
        warm = parameters.policy_of("linear, warm-up").schedule(18).rates(10, 100)
        assert (warm[0], warm[50], warm[-1]) == pytest.approx((1e-5, 18e-5, 18e-5))

    def test_without_warm_up_the_first_step_is_the_largest(self):
        parameters = Parameters(learning_rate=0.1)
        assert set(parameters.policy_of("linear").schedule(8).rates(3, 4)) == {0.8}
        assert set(parameters.policy_of("constant").schedule(8).rates(3, 4)) == {0.1}

    def test_rates_are_those_of_the_training(self):
        parameters = Parameters(task=TASK)
        found = data_parallel.rates(parameters, 2)
        assert set(found) == set(parameters.policies)
        assert {len(each) for each in found.values()} == {2 * 2}
        assert data_parallel.steps_with(parameters, 2) == 2


class TestPlan:
    def test_every_policy_has_the_seeds_of_the_baseline(self):
        parameters = Parameters(task=TASK, repeats=3)
        plans = data_parallel.studies(parameters)
        assert set(plans) == set(parameters.policies)
        seeds = {name: {t.levels["init"] for t in plan.trials} for name, plan in plans.items()}
        assert len({frozenset(each) for each in seeds.values()}) == 1
        sizes = {name: {t.levels["world_size"] for t in p.trials} for name, p in plans.items()}
        assert sizes["constant"] == {1, 2, 4, 8}
        assert sizes["GreScale"] == {2, 4, 8}

    def test_split_is_the_same_in_all(self):
        plans = data_parallel.studies(Parameters(task=TASK)).values()
        assert {t.levels["split"] for plan in plans for t in plan.trials} == {2020}

    def test_stages_have_seeds_of_their_own(self):
        parameters = Parameters()
        drawn = [
            data_parallel.repeat_seeds(parameters, stage, 5)
            for stage in ("report", "tuning", "confirmation")
        ]
        assert len(set(sum(drawn, []))) == 15  # noqa: RUF017
        assert data_parallel.repeat_seeds(parameters, "tuning", 2) == drawn[1][:2]

    def test_every_confirmation_has_seeds_of_its_own(self):
        parameters = Parameters()
        drawn = [
            data_parallel.advisor_seeds(
                parameters,
                Proposal(iteration=n, action=action, settings=parameters.start(), reason=""),
            )
            for n, action in enumerate(("defaults", "confirm", "lower_rate", "confirm"))
        ]
        assert drawn[0] == drawn[2]
        assert len({seed for each in drawn for seed in each}) == 3 * len(drawn[0])

    def test_one_number_of_workers(self):
        assert list(data_parallel.studies(Parameters(world_sizes=(1,)))) == ["constant"]

    def test_guideline_is_in_proportion_to_the_training(self):
        parameters = Parameters(task={**TASK, "epochs": 20}, margin=2.0)
        rules = data_parallel.guideline(parameters, 18)
        assert (rules.warmup_step, rules.decay_step, rules.margin) == pytest.approx((1, 2, 0.02))
        assert rules.start.warmup_epochs == pytest.approx(1)

    def test_nothing_to_time(self):
        with pytest.raises(InputError, match="real_workers is empty"):
            data_parallel.timing(Parameters(real_workers=()))
        assert data_parallel.run_timing(Parameters(real_workers=())).empty


def recorded(**of_second):
    """Results of two seeds, 1 and 2, and two validation patients."""
    rows = [
        {"init": seed, "metric": f"validation_{name}", "case": who, "value": value,
         "status": "ok", "reason": ""} | (of_second if (seed, who) == (2, "b") else {})
        for seed in (1, 2) for name in FIVE for who, value in (("a", 0.5), ("b", 0.7))
    ]  # fmt: skip
    return pd.DataFrame(rows)


class TestValuesBySeed:
    def test_have_a_gap_where_a_training_diverged(self):
        results = recorded()
        results.loc[results["init"] == 2, "status"] = "diverged"
        found = data_parallel.by_seed(results, [2, 1])
        assert found["dice"][1] == pytest.approx(0.6)
        assert math.isnan(found["dice"][0])
        none = data_parallel.by_seed(results.assign(status="diverged"), [1, 2])
        assert np.isnan(none["dice"]).all()

    def test_have_a_gap_where_one_patient_has_no_finite_outputs(self):
        found = data_parallel.by_seed(recorded(value=math.nan), [1, 2])
        assert found["dice"][0] == pytest.approx(0.6)
        assert all(math.isnan(values[1]) for values in found.values())

    @pytest.mark.parametrize("status", ["failed", "killed", "timeout"])
    def test_crash_is_no_divergence(self, status):
        with pytest.raises(InputError, match=f"1 of 2 trainings crashed.*seed 2: {status}, disk"):
            data_parallel.by_seed(recorded(status=status, reason="disk full"), [1, 2])

    def test_seed_without_a_training(self):
        with pytest.raises(InputError, match=r"seeds \[3\]"):
            data_parallel.by_seed(recorded(), [1, 2, 3])


def test_launcher_is_told_the_same_training(tmp_path):
    levels = complete_levels({"world_size": 2, "initialiser": "he_normal", "init": 7})
    config = Training(**TASK, policy=Policy(learning_rate=0.3))
    told = data_parallel._processes(Trial({}, levels, 0, None, tmp_path), config)
    assert (told.workers, told.strategy.name, told.seed) == (2, "distributed", 7)
    assert told.schedule.learning_rate == 0.3
    assert told.data.heads == config.heads
    assert told.model.parameters["widths"] == (4, 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"world_sizes": (2, 4)}, {"policies": ("GreScale",)}, {"policies": ("grescale",)},
        {"repeats": 1}, {"margin": 0}, {"task": {"epochs": 0}}, {"advisor": {"workers": [0]}},
        {"x": 1}, {"real_workers": (2, 4)}, {"task": {"policy": {}}},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        Parameters(**wrong)


def test_parameter_files_fit():
    files = sorted((ROOT / "data" / "parameters").glob("04_data_parallel_*.yaml"))
    assert len(files) == 2
    for file in files:
        parameters = Parameters(**YAML(typ="safe").load(file.read_text()))
        assert all(parameters.policy_of(name).schedule(18) for name in parameters.policies)
        assert {1, 18} <= set(parameters.world_sizes)
        for workers in parameters.advisor.workers:
            assert data_parallel.guideline(parameters, workers).workers == workers


@pytest.mark.slow
def test_advisor_on_a_study_computes_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    parameters = Parameters(
        task=TASK, workers=1, world_sizes=(1,), repeats=2,
        advisor={"workers": [2], "fewest_workers": 2, "repeats": 2, "most_runs": 3},
    )  # fmt: skip
    (one,) = data_parallel.advise(parameters)
    trials = sorted((tmp_path / "studies" / "data_parallel" / "trials").iterdir())
    times = {path: path.stat().st_mtime_ns for path in trials}
    (again,) = data_parallel.advise(parameters)
    assert again == one
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(one.history.runs) <= 3
    values, baseline = data_parallel.evaluate(
        parameters,
        Proposal(iteration=0, action="defaults", settings=parameters.start(), reason=""),
        2,
    )
    assert list(values["dice"]) == list(one.history.runs[0].outcome["dice"])
    assert set(values) == set(baseline) == FIVE


@pytest.mark.slow
def test_real_workers_are_timed(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    heads = {**TASK["heads"], "patients": 8}
    parameters = Parameters(task={**TASK, "heads": heads}, real_workers=(1, 2), timing_repeats=2)
    found = data_parallel.timing(parameters).run(workers=1, progress=False)
    assert set(found["status"]) == {"ok"}, found["reason"].iloc[0]
    times = found[found["metric"] == "training_time"]
    assert sorted(times["world_size"]) == [1, 1, 2, 2]
    assert (times["value"] > 0).all()
    alike = found[found["metric"] == "dice"].groupby(["world_size", "case"])["value"].nunique()
    assert (alike == 1).all()


def test_settings_of_the_advisor_are_a_policy():
    settings = Settings(learning_rate=0.3, decay=2, warmup_epochs=1, decay_epochs=3,
                        optimiser="lars")  # fmt: skip
    policy = Policy.tuned(settings)
    assert policy.schedule(4) == GreScale(
        workers=4, learning_rate=0.3, decay=2, warmup_epochs=1, decay_epochs=3
    )
    assert policy.optimiser == "lars"
