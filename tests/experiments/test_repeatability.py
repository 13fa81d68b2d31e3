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
from reprostats.experiments.regimes import regimes
from reprostats.learning.fingerprint import fingerprint
from reprostats.report import repeatability as report
from reprostats.sources import STREAMS, complete_levels
from reprostats.study.trial import Trial

ROOT = Path(__file__).parent.parent.parent
PARAMETERS = repeatability.Parameters(trials=3, epochs=1)


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
            parameters = repeatability.Parameters(trials=trials)
            for condition in regimes(parameters).values():
                assert len(list(condition.settings())) * condition.repeats == trials

    def test_unseeded_differ_in_every_stream_from_trial_to_trial(self):
        settings = list(regimes(PARAMETERS)["unseeded"].settings())
        assert all(
            one[name] != other[name] for one, other in pairwise(settings) for name in STREAMS
        )

    def test_unseeded_are_planned_from_the_seed_or_left_to_the_system(self):
        planned = [list(regimes(PARAMETERS)["unseeded"].settings()) for _ in range(2)]
        assert planned[0] == planned[1]
        left = regimes(repeatability.Parameters(unseeded="os"))["unseeded"]
        assert {level for each in left.settings() for level in (each[s] for s in STREAMS)} == {"os"}

    def test_hardware_regime_changes_hardware_alone(self):
        settings = list(regimes(repeatability.Parameters())["other hardware"].settings())
        hardware = {(each["threads"], each["isa"]) for each in settings}
        assert len(hardware) == 7
        assert {each[name] for each in settings for name in STREAMS} == {2019}


@pytest.mark.parametrize(
    "wrong",
    [{"dataset": "cifar"}, {"epochs": 0}, {"trials": 1}, {"learning_rate": "fast"}, {"x": 1}],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        repeatability.Parameters(**wrong)


def test_parameter_files_fit():
    files = sorted((ROOT / "data" / "parameters").glob("01_repeatability_*.yaml"))
    assert files
    for file in files:
        repeatability.Parameters(**YAML(typ="safe").load(file.read_text()))


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


@pytest.mark.slow
@pytest.mark.xdist_group("repeatability")
@pytest.mark.usefixtures("folder")
class TestBesideTheRegimes:
    """Libraries, tests in other environments, the cost of determinism."""

    def test_libraries_differ_in_what_they_say_and_start_alike(self):
        results = repeatability.libraries(PARAMETERS).run(workers=1, progress=False)
        trials = results.drop_duplicates("trial").set_index(["condition", "init"])
        keras, ours = (trials.loc[name] for name in ("Keras", "PyTorch, weights of Keras"))
        assert (keras["initial_weights_sha256"] == ours["initial_weights_sha256"]).all()
        assert (keras["weights_sha256"] != ours["weights_sha256"]).all()
        assert trials["initial_weights_sha256"].nunique() == 3 * PARAMETERS.pairs
        table = report.library_table(results).frame
        assert table["Set up as"].tolist()[0] == "Keras"
        assert table["Initial weights"].nunique() == 3
        assert table.loc[0, ["Difference", "p"]].isna().all()
        assert table.loc[1:, "p"].between(0, 1).all()

    def test_a_trained_network_tested_again(self, folder):
        study = repeatability.study(PARAMETERS)
        results = study.run(workers=1, progress=False)
        again = repeatability.tested_again(PARAMETERS, study, results)
        tested = again.run(workers=1, progress=False)
        same = tested[tested["condition"] == "same environment"]
        assert same.loc[same["metric"] == "largest_difference", "value"].tolist() == [0, 0]
        table = report.retest_table(tested).frame
        assert (table.loc[:1, "Verdict"] == "repeats to the last bit").all()
        assert table["Largest difference of a logit"].max() < 1e-4
        first = results.query("condition == 'deterministic'")["trial"].iloc[0]
        trained = study.folder / "trials" / first
        initial = (trained / "initial_weights.safetensors").read_bytes()
        (trained / "weights.safetensors").write_bytes(initial)
        changed = repeatability.Parameters(**{**PARAMETERS.model_dump(), "trials": 2})
        broken = repeatability.tested_again(changed, study, results)
        broken.folder = folder / "studies" / "broken"
        reasons = broken.run(workers=1, progress=False)["reason"].unique()
        assert all("not the weights that were trained" in each for each in reasons)

    def test_cost_of_determinism(self):
        results = repeatability.cost(PARAMETERS).run(workers=1, progress=False)
        table = report.cost_table(results).frame
        assert table["Setting"].tolist() == [
            "plain",
            "deterministic, memory not filled",
            "deterministic",
        ]
        assert (table["Step (ms)"] > 0).all()
        assert table.loc[0, "Ratio to plain"] == 1

    def test_facts(self):
        study = repeatability.study(PARAMETERS)
        study.run(workers=1, progress=False)
        facts = study.facts()
        assert facts["Dataset"] == "digits"
        assert facts["Training"] == "1203"
        assert facts["Runs"] == "12, of which 12 completed"
        assert "epochs = 1" in facts["Hyperparameters"]
        for item in ("Processor", "Memory", "GPU", "Packages", "Git commit", "Run time", "Seeds",
                     "Augmentation", "Validation", "Test", "Lock files (SHA-256)"):  # fmt: skip
            assert facts[item]
        assert report.facts_table(facts).frame["Item"].tolist() == list(facts)


def test_nothing_to_test_again(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROSTATS_RUNS", str(tmp_path))
    study = repeatability.study(PARAMETERS)
    empty = study.results()
    with pytest.raises(InputError, match="no deterministic trial ended well"):
        repeatability.tested_again(PARAMETERS, study, empty)


def test_parameters_of_the_notebook_reach_both_tasks():
    chosen = laboratory.Parameters(cells={"epochs": 3}, cell_trials=4, seed=5, epochs=2)
    assert chosen.of_digits() == repeatability.Parameters(seed=5, epochs=2)
    assert (chosen.of_cells().epochs, chosen.of_cells().trials, chosen.of_cells().seed) == (3, 4, 5)
