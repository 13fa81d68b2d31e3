"""Repeated cross-validation: a small size of the real thing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML

from reprostats.datasets import folds as folds_module
from reprostats.datasets.folds import LeakError, patient_folds
from reprostats.datasets.patients import Patient
from reprostats.errors import InputError
from reprostats.experiments import learners, monte_carlo
from reprostats.metrics.segmentation import overlap
from reprostats.sources import complete_levels
from reprostats.study.trial import Trial
from tests.experiments import cross_validation

ROOT = Path(__file__).parent.parent.parent
SMALL = {
    "heads": {"patients": 4, "slices": 2, "resolution": 8},
    "folds": 2,
    "widths": (4, 8),
    "epochs": 1,
}


def trained(folder: Path, *, fold: int = 0, config: dict | None = None, **levels):
    folder.mkdir()
    chosen = complete_levels({"initialiser": "marrone_normal"} | levels)
    trial = Trial(SMALL | (config or {}), chosen, 0, fold, folder)
    return trial, monte_carlo.train_unet(trial)


class TestTraining:
    def test_seeded_trials_are_bitwise_equal(self, tmp_path):
        (one, _), (same, _) = (trained(tmp_path / str(n), init=3) for n in range(2))
        assert one.fingerprints == same.fingerprints
        assert set(one.fingerprints) == {"weights", "losses", "predictions"}

    @pytest.mark.parametrize("source", ["init", "batch_order", "split"])
    def test_each_stream_alone_changes_the_weights(self, tmp_path, source):
        one, _ = trained(tmp_path / "one")
        other, _ = trained(tmp_path / "other", **{source: 4})
        assert one.fingerprints["weights"] != other.fingerprints["weights"]

    def test_augmentation_changes_them_when_there_is_some(self, tmp_path):
        some = {"slice_augmentation": {"rotation_degrees": 20}}
        one, same, other = (
            trained(tmp_path / name, config=some, augmentation=seed)[0]
            for name, seed in (("one", 1), ("same", 1), ("other", 2))
        )
        assert one.fingerprints == same.fingerprints != other.fingerprints
        plain = [trained(tmp_path / f"plain-{seed}", augmentation=seed)[0] for seed in (1, 2)]
        assert plain[0].fingerprints == plain[1].fingerprints

    @pytest.mark.parametrize("dtype", ["float64", "bfloat16", "autocast"])
    def test_other_types_train_too(self, tmp_path, dtype):
        trial, metrics = trained(tmp_path / "one", dtype=dtype)
        assert all(0 <= value <= 1 for value in metrics["dice"].values())
        assert trial.effective["dtype"] == ("float32" if dtype == "autocast" else dtype)

    def test_patients_of_all_folds_are_the_cohort(self, tmp_path):
        tested = [set(trained(tmp_path / str(n), fold=n)[1]["dice"]) for n in range(2)]
        assert not tested[0] & tested[1]
        assert tested[0] | tested[1] == {f"head-00{number}" for number in range(1, 5)}

    def test_learns(self, tmp_path):
        _, one = trained(tmp_path / "one")
        _, many = trained(
            tmp_path / "many",
            config={"epochs": 60, "heads": SMALL["heads"] | {"structure": "brain"}},
        )
        assert min(many["dice"].values()) > 0.9 > min(one["dice"].values())

    def test_says_what_it_did(self, tmp_path):
        trial, _ = trained(tmp_path / "one")
        assert trial.description["training"] == trial.description["test"] == 4
        patients = trial.description["training_patients"] + trial.description["test_patients"]
        assert len(set(patients)) == 4
        assert set(trial.times) == {"training", "testing"}

    def test_metrics_are_those_of_the_kept_predictions(self, tmp_path):
        from safetensors.torch import load_file

        trial, metrics = trained(tmp_path / "one", config={"epochs": 10})
        kept = load_file(trial.folder / "predictions.safetensors")
        cohort = monte_carlo.load_cohort(monte_carlo.MonteCarloConfig(**SMALL))
        for patient in cohort.chosen(kept):
            found = overlap(patient.masks, kept[patient.identity].numpy())
            assert metrics["dice"][patient.identity] == found["dice"]


class TestLeaksAreRefusedInATrial:
    def test_patient_in_two_folds(self, tmp_path, monkeypatch):
        def overlapping(patients, n_folds, generator):
            drawn = patient_folds(patients, n_folds, generator)
            return [drawn[0], replace(drawn[1], training=(*drawn[1].training, drawn[1].test[0]))]

        monkeypatch.setattr(monte_carlo, "patient_folds", overlapping)
        with pytest.raises(LeakError, match=r"trained and tested on: head-00\d"):
            trained(tmp_path / "one")

    def test_standardisation_that_sees_the_test_patients(self, tmp_path, monkeypatch):
        cohort = monte_carlo.load_cohort(monte_carlo.MonteCarloConfig(**SMALL))
        fit = folds_module.fit_standardisation
        monkeypatch.setattr(folds_module, "fit_standardisation", lambda _: fit(cohort.patients))
        with pytest.raises(LeakError, match=r"saw test patients: head-00\d, head-00\d"):
            trained(tmp_path / "one")

    def test_split_drawn_anew_in_every_trial(self, tmp_path):
        with pytest.raises(InputError, match="folds of a repeat must agree"):
            trained(tmp_path / "one", split="os")

    def test_trial_without_a_fold(self, tmp_path):
        with pytest.raises(InputError, match=r"has a fold: Study\(\.\.\., folds=2\)"):
            trained(tmp_path / "one", fold=None)


def test_learning_rate_falls_with_inverse_time(tmp_path, monkeypatch):
    """4 training slices in batches of 4: one step an epoch. lr / (1 + 0.5 t), t = 0, 1, 2."""
    rates = []

    def fit(model, *args, optimiser, schedule, **more):
        for _ in range(3):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step()
        return torch.zeros(1, 1)

    monkeypatch.setattr(learners.loop, "fit", fit)
    trained(
        tmp_path / "one", config={"epochs": 3, "learning_rate": 0.1, "learning_rate_decay": 0.5}
    )
    assert rates == pytest.approx([0.1, 0.1 / 1.5, 0.05])


class TestMeasures:
    TRUTH = np.zeros((3, 6, 6), bool)
    TRUTH[:2, 1:4, 1:4] = True

    def patient(self, spacing):
        return Patient("p1", self.TRUTH.astype(np.float32), self.TRUTH, spacing)

    def test_of_a_volume_are_in_space(self):
        prediction = np.roll(self.TRUTH, 1, axis=0)
        found = monte_carlo.measured(self.patient((8.0, 1.0, 1.0)), prediction)
        assert found["hausdorff_95"] == 8
        assert "slices_missed" not in found

    def test_of_slices_stay_in_the_plane(self):
        prediction = np.roll(self.TRUTH, 1, axis=0)
        found = monte_carlo.measured(self.patient((2.0, 2.0)), prediction)
        assert found["hausdorff_95"] == 0
        assert (found["slices_missed"], found["slices_invented"]) == (1, 1)
        assert found["dice"] == 0.5
        assert found["volume_difference"] == 0


class TestPlan:
    def test_repeats_differ_in_what_varies_alone(self):
        parameters = monte_carlo.MonteCarloParameters(repeats=4, vary=("init", "split"))
        settings = list(monte_carlo.conditions(parameters)["reference"].settings())
        assert len({setting.levels["init"] for setting in settings}) == 4
        assert len({setting.levels["split"] for setting in settings}) == 4
        assert {setting.levels["batch_order"] for setting in settings} == {2019}

    def test_conditions_share_the_seeds_of_their_repeats(self):
        planned = monte_carlo.conditions(monte_carlo.MonteCarloParameters())
        one, two = (list(planned[name].settings()) for name in ("reference", "two threads"))
        assert [setting.levels["init"] for setting in one] == [
            setting.levels["init"] for setting in two
        ]
        assert {setting.levels["threads"] for setting in two} == {2}

    def test_more_repeats_begin_with_the_same(self):
        few, many = (
            list(
                monte_carlo.conditions(monte_carlo.MonteCarloParameters(repeats=n))[
                    "reference"
                ].settings()
            )
            for n in (2, 5)
        )
        assert many[:2] == few

    def test_of_the_paper_keeps_all_seeds(self):
        parameters = monte_carlo.MonteCarloParameters(repeats=50, vary=())
        condition = monte_carlo.conditions(parameters)["reference"]
        assert (len(list(condition.settings())), condition.repeats) == (1, 50)

    def test_size(self):
        parameters = monte_carlo.MonteCarloParameters(repeats=3, folds=4)
        study = monte_carlo.studies(parameters)["monte_carlo"]
        assert len(study.trials) == 2 * 3 * 4
        assert {trial.fold for trial in study.trials} == set(range(4))

    def test_condition_that_sets_what_varies(self):
        parameters = monte_carlo.MonteCarloParameters(conditions={"x": {"init": 3}})
        with pytest.raises(InputError, match="init: both fixed and varied"):
            monte_carlo.studies(parameters)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dataset": "breast"}, {"folds": 1}, {"repeats": 0}, {"vary": ["dropout"]},
        {"conditions": {}}, {"widths": [0]}, {"slice_augmentation": {"turn": 3}}, {"x": 1},
        {"margin": 1.0}, {"margin": 0},
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        monte_carlo.MonteCarloParameters(**wrong)


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """Repeat cross-validations in which a random number stands for a training."""
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    monkeypatch.setattr(monte_carlo, "train_unet", cross_validation.pretend)

    def report(**parameters):
        chosen = {"folds": cross_validation.FOLDS, "repeats": 3} | parameters
        return monte_carlo.report(monte_carlo.MonteCarloParameters(**chosen))

    return report


@pytest.mark.slow
class TestReport:
    def test_is_the_common_one_and_the_paper_s_own(self, pretended, tmp_path):
        report = pretended()
        questions = {verdict.question for verdict in report.verdicts}
        assert {"completed", "repeatable", "better", "overlap"} <= questions
        assert report["verdicts"].frame["question"].iloc[-1] == "overlap"
        for name in ("repetitions_1", "repetitions_2", "cross_validations", "summary"):
            assert report.tables[name].frame.notna().any(axis=None)
        assert report["repetitions_1"].frame["n"].tolist() == [len(cross_validation.CASES)] * 3
        written = {path.name for path in report.write(tmp_path / "report")}
        assert {"report.html", "cases_by_repetition.png", "cross_validations.tex"} <= written
        assert {margin.margin for margin in report.of("better")} == {0.01}

    def test_of_the_paper_s_regime_says_that_repetitions_are_copies(self, pretended):
        report = pretended(vary=(), conditions={"reference": {}})
        assert [verdict.answer for verdict in report.of("repeatable")] == ["yes"]
        spread = report.of("spread")[0]
        assert (spread.n_runs, spread.n_distinct, spread.answer) == (3, 1, "undetermined")
        overlap = report.of("overlap")[0]
        assert overlap.answer == "not applicable"
        assert "equal bit for bit" in overlap.sentence
        assert report["repetitions_1"].frame["median"].nunique() == 1


def test_parameter_files_fit():
    files = sorted((ROOT / "data" / "parameters").glob("02_monte_carlo_*.yaml"))
    assert len(files) == 2
    for file in files:
        parameters = monte_carlo.MonteCarloParameters(**YAML(typ="safe").load(file.read_text()))
        assert monte_carlo.conditions(parameters)
