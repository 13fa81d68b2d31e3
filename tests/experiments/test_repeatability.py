"""The experiment: a small size of the real thing."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML
from safetensors.torch import load_file

from reprostats.errors import InputError
from reprostats.experiments import laboratory, lenet, repeatability
from reprostats.experiments.regimes import other_hardware, regimes
from reprostats.learning.fingerprint import fingerprint
from reprostats.sources import STREAMS, complete_levels
from reprostats.study.trial import Trial

ROOT = Path(__file__).parent.parent.parent
PARAMETERS = repeatability.RepeatabilityParameters(
    trials=2, epochs=1, pairs=2, frameworks=("torch",)
)


def trained(folder: Path, *, config: dict | None = None, **levels) -> tuple[Trial, dict]:
    folder.mkdir()
    trial = Trial({"epochs": 1} | (config or {}), complete_levels(levels), 0, None, folder)
    return trial, lenet.train_lenet(trial)


class TestTraining:
    def test_seeded_trials_are_bitwise_equal(self, tmp_path):
        (one, _), (same, _) = (trained(tmp_path / str(n), init=3) for n in range(2))
        assert one.fingerprints == same.fingerprints

    @pytest.mark.parametrize("source", ["init", "batch_order", "split"])
    def test_each_stream_alone_changes_the_weights(self, tmp_path, source):
        one, _ = trained(tmp_path / "one")
        other, _ = trained(tmp_path / "other", **{source: 1})
        assert one.fingerprints["weights"] != other.fingerprints["weights"]

    @pytest.mark.parametrize("source", ["augmentation", "dropout"])
    def test_streams_it_does_not_have_change_nothing(self, tmp_path, source):
        one, _ = trained(tmp_path / "one")
        other, _ = trained(tmp_path / "other", **{source: 1})
        assert one.fingerprints == other.fingerprints

    def test_metrics_belong_together(self, tmp_path):
        _, metrics = trained(tmp_path / "one")
        counts = torch.tensor([35, 36, 35, 36, 36, 36, 36, 35, 34, 36])  # of the test images
        right = sum(
            float(metrics["class_accuracy"][str(digit)]) * counts[digit].item()
            for digit in range(10)
        )
        assert metrics["errors"] == round(counts.sum().item() - right)
        assert metrics["accuracy"] == pytest.approx(1 - metrics["errors"] / counts.sum().item())

    def test_learns(self, tmp_path):
        _, metrics = trained(tmp_path / "one", config={"epochs": 4})
        assert metrics["accuracy"] > 0.9

    def test_saved_weights_have_the_fingerprint(self, tmp_path):
        trial, _ = trained(tmp_path / "one")
        saved = load_file(trial.folder / "weights.safetensors")
        assert fingerprint(saved) == trial.fingerprints["weights"]

    def test_times_are_measured(self, tmp_path):
        trial, _ = trained(tmp_path / "one")
        assert set(trial.times) == {"training", "testing"}
        assert all(seconds > 0 for seconds in trial.times.values())


class TestRegimes:
    def test_have_as_many_trials_as_asked(self):
        for trials in (2, 7, 11):
            parameters = repeatability.RepeatabilityParameters(trials=trials)
            for condition in regimes(parameters).values():
                assert len(list(condition.settings())) * condition.repeats == trials

    def test_unseeded_differ_in_every_stream_from_trial_to_trial(self):
        settings = list(regimes(PARAMETERS)["unseeded"].settings())
        assert all(
            one.levels[name] != other.levels[name]
            for one, other in pairwise(settings)
            for name in STREAMS
        )

    def test_unseeded_are_planned_from_the_seed_or_left_to_the_system(self):
        planned = [list(regimes(PARAMETERS)["unseeded"].settings()) for _ in range(2)]
        assert planned[0] == planned[1]
        left = regimes(repeatability.RepeatabilityParameters(unseeded="os"))["unseeded"]
        levels = {setting.levels[name] for setting in left.settings() for name in STREAMS}
        assert levels == {"os"}

    def test_hardware_regime_changes_hardware_alone(self):
        settings = list(
            regimes(repeatability.RepeatabilityParameters(trials=7))["other hardware"].settings()
        )
        hardware = {(setting.levels["threads"], setting.levels["isa"]) for setting in settings}
        assert len(hardware) == 7
        assert {setting.levels[name] for setting in settings for name in STREAMS} == {2019}

    @pytest.mark.parametrize("threads", [1, 2])
    def test_hardware_that_the_processor_chooses_by_itself_is_no_other(self, threads):
        """With "native" the processor takes its best instruction set: the same kernels."""
        parameters = repeatability.RepeatabilityParameters(threads=threads)
        planned = regimes(parameters)["other hardware"].settings()
        best = other_hardware(1)[0]["isa"]
        pairs = [(setting.levels["threads"], setting.levels["isa"]) for setting in planned]
        assert (threads, best) not in pairs
        assert len(set(pairs)) == parameters.trials

    def test_for_a_gpu_every_processor_is_other_hardware(self):
        setups = other_hardware(3, {"device": "cuda", "threads": 1})
        assert {setup["device"] for setup in setups} == {"cpu"}
        assert [setup["threads"] for setup in setups] == [
            setup["threads"] for setup in other_hardware(3)
        ]


@pytest.mark.parametrize(
    "wrong",
    [{"dataset": "cifar"}, {"epochs": 0}, {"trials": 1}, {"learning_rate": "fast"}, {"x": 1}],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        repeatability.RepeatabilityParameters(**wrong)


@pytest.mark.slow
@pytest.mark.skipif(
    not (Path(os.environ.get("REPROSTATS_DATA", "data/raw")) / "mnist").is_dir(),
    reason="MNIST is not in the folder REPROSTATS_DATA names",
)
def test_mnist_is_learnt(tmp_path):
    _, metrics = trained(tmp_path / "one", config={"dataset": "mnist", "batch_size": 128})
    assert metrics["accuracy"] > 0.93


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of the studies beside the regimes."""
    with pytest.MonkeyPatch.context() as patch:
        runs = tmp_path_factory.mktemp("runs")
        patch.setenv("REPROSTATS_RUNS", str(runs))
        yield runs


@pytest.fixture(scope="module")
def report(folder):
    """One small run of everything, for all tests of this module."""
    return repeatability.report(PARAMETERS)


@pytest.mark.slow
class TestReport:
    """The common report, and what the paper adds."""

    def test_seeded_trials_are_repeatable_and_other_hardware_is_another_question(self, report):
        answers = {v.condition: v.answer for v in report.of("repeatable")}
        assert answers["seeded"] == answers["deterministic"] == "yes"
        assert answers["unseeded"] == answers["other hardware"] == "undetermined"
        others, portable = report.of("reproducible")
        assert others.n_groups == portable.n_groups == 1
        assert others.answer == "no"
        assert portable.answer == "yes"

    def test_nothing_is_said_of_new_trainings_from_one_seed(self, report):
        for comparison in report.of("better"):
            assert comparison.second == "unseeded"
            assert comparison.answer in ("undetermined", "not applicable")

    def test_libraries_start_alike_where_they_say_so(self, report):
        frame = report["libraries"].frame
        starts = frame.set_index("condition")["initial_weights"]
        others = starts[~starts.index.str.startswith("weights")]
        assert others.nunique() == 1
        assert starts.nunique() == 3
        assert frame.loc[0, ["difference", "p_value", "p_adjusted"]].isna().all()
        tested = frame.dropna(subset="p_value")
        assert len(tested)
        assert (tested["p_adjusted"] >= tested["p_value"]).all()
        assert "Keras draws from Equation 1" in report["libraries"].note

    def test_the_formula_of_adam_moves_weights_more_than_the_arithmetic(self, report):
        """Which of the library's differences matter: measured, and in this order."""
        frame = report["library_distances"].frame.set_index("condition")
        arithmetic = frame.loc["arithmetic: two threads"]
        formula = frame.loc["Adam: Keras's formula, epsilon 1e-7"]
        assert arithmetic["initial"] == formula["initial"] == 0
        assert 0 < arithmetic["distance"] < 1e-5
        assert arithmetic["ratio"] == 1
        assert formula["ratio"] > 100
        assert formula["ci_low"] < formula["distance"] < formula["ci_high"]
        order = frame.loc["order of the batches"]
        assert order["distance"] > formula["distance"]

    def test_the_first_steps_weights_of_equation_2_are_wider_by_the_root_of_2(self, report):
        frame = report["library_distances"].frame.set_index("condition")
        initial = frame.loc["weights: Equation 2 (as printed)", "initial"]
        assert initial == pytest.approx(2**0.5 - 1, rel=1e-6)

    def test_a_trained_network_tested_again(self, report):
        frame = report["tested_again"].frame.set_index("condition")
        assert set(frame.loc["same set-up", "outcome"]) == {"same bits"}
        assert frame["largest_difference"].max() < 1e-4

    def test_cost_of_determinism(self, report):
        frame = report["cost_of_determinism"].frame
        settings = ["plain", "deterministic, memory not filled", "deterministic"]
        assert frame["setting"].tolist() == settings
        assert (frame["step_ms"] > 0).all()
        assert frame.loc[0, "ratio"] == 1

    def test_facts(self, report):
        facts = report["facts"].frame.set_index("item")["answer"]
        assert facts["Dataset"] == "digits"
        assert facts["Training"] == "1203"
        assert facts["Runs"].startswith("10, of which 10")
        assert facts.astype(bool).all()

    def test_is_written_whole(self, report, tmp_path):
        names = {path.name for path in report.write(tmp_path)}
        assert {"report.html", "repeatability_trials.tex", "libraries.csv", "values.png"} <= names

    @pytest.mark.usefixtures("report")
    def test_weights_that_are_not_those_that_were_trained(self, tmp_path):
        study = repeatability.studies(PARAMETERS)["repeatability"]
        place = study.folder / "trials" / study.planned["deterministic"][0].identity
        again = repeatability.retest(PARAMETERS, study)
        again.folder = tmp_path / "broken"
        weights = (place / "weights.safetensors").read_bytes()
        (place / "weights.safetensors").write_bytes(
            (place / "initial_weights.safetensors").read_bytes()
        )
        reasons = again.run(workers=1, progress=False, keep_going=True)["reason"].unique()
        (place / "weights.safetensors").write_bytes(weights)
        assert all("not the weights that were trained" in reason for reason in reasons)


def test_nothing_to_test_again(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    study = repeatability.studies(PARAMETERS)["repeatability"]
    with pytest.raises(InputError, match="no trial of condition 'deterministic' completed"):
        repeatability.retest(PARAMETERS, study)


def test_parameters_of_the_notebook_reach_both_tasks():
    chosen = laboratory.LaboratoryParameters(cells={"epochs": 3}, cell_trials=4, seed=5, epochs=2)
    assert chosen.classification() == repeatability.RepeatabilityParameters(seed=5, epochs=2)
    counting = chosen.counting()
    assert (counting.epochs, counting.trials, counting.seed, counting.margin) == (3, 4, 5, 5.0)


def test_the_commonest_digit_is_named_without_training():
    labels = lenet.load("digits").test_labels
    assert lenet.commonest_share("digits") == max((labels == n).double().mean() for n in range(10))


def test_the_paper_size_can_be_planned():
    file = ROOT / "data" / "parameters" / "01_repeatability_paper.yaml"
    chosen = YAML(typ="safe").load(file.read_text())
    parameters = repeatability.RepeatabilityParameters(**chosen, frameworks=("torch",))
    planned = repeatability.studies(parameters)
    assert {name: len(study.trials) for name, study in planned.items()} == {
        "repeatability": 35,
        "libraries": 56,
        "cost_of_determinism": 7,
    }
