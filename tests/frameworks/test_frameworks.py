"""Keras on each backend beside PyTorch: equal weights, equal losses, equal steps.

In the environment of the tests there is no Keras, so most of these are skipped. With all of it:
``pip install --constraint constraints.txt --editable '.[test,frameworks]'``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reprostats import Condition, Study
from reprostats.errors import InputError, NotAvailableError
from reprostats.experiments import counting_trial, lenet, monte_carlo
from reprostats.records.tensors import read_tensors
from reprostats.sources import complete_levels, environment, missing_frameworks
from reprostats.sources import framework as source
from reprostats.study.folder import trial_folder

FRAMEWORKS = ("tensorflow", "jax", "keras-torch")
HERE = Path(__file__).parent
FLOAT32 = 2.0**-23
MISSING = missing_frameworks()


@pytest.fixture(scope="module", params=FRAMEWORKS)
def answers(request):
    if request.param in MISSING:
        pytest.skip(MISSING[request.param])
    done = subprocess.run(
        [sys.executable, HERE / "one_backend.py"],
        env=environment(complete_levels({"framework": request.param})),
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
class TestOneBackend:
    def test_the_first_loss_is_equal_to_rounding(self, answers):
        for name, each in answers["float32"].items():
            assert each["first_loss"] <= 2 * FLOAT32, name

    def test_one_step_in_float64(self, answers):
        for name, each in answers["float64"].items():
            assert each["first_loss"] < 1e-14, name
            assert each["weights"] < 1e-10, name

    def test_batch_normalisation_keeps_another_variance(self, answers):
        """PyTorch keeps the variance with n - 1, Keras that with n: of 8,192 values of about 1
        they differ by 1/8191, and a tenth of that enters the running variance."""
        for name, each in answers["float64"].items():
            assert (each["running_var"] > 1e-6) == name.startswith("marrone")
            assert each["running_var"] < 1e-4

    def test_parameters(self, answers):
        if "parameters" not in answers:
            pytest.skip("counted on one backend")
        assert answers["parameters"] == {
            "lenet": 61706, "unet": 31030593, "batch": 31042369,
        }  # fmt: skip

    def test_keras_draws_from_equation_1(self, answers):
        """A kernel of shape (5, 5, 60, 160): the bound of Equation 1 is sqrt(6 / 5500)."""
        assert 0.0330 < answers["largest_of_glorot"] <= (6 / 5500) ** 0.5

    def test_the_first_step_of_its_adam(self, answers):
        """By hand: 1e-3 * sqrt(1e-3) / 0.1 * 1e-7 / (sqrt(1e-15) + 1e-7)."""
        by_hand = 1e-3 * 1e-3**0.5 / 0.1 * 1e-7 / (1e-15**0.5 + 1e-7)
        assert answers["first_step"] == pytest.approx(by_hand, rel=1e-4)

    def test_weights_of_another_layout(self, answers):
        assert "'classifier.1.weight' has shape (120, 84)" in answers["wrong_layout"]

    def test_a_gpu_asked_of_a_cpu_build(self, answers):
        if "no_gpu" not in answers:
            pytest.skip("this build has a GPU")
        assert f"this build of {answers['backend']} finds no GPU" in answers["no_gpu"]


class TestSource:
    def test_a_framework_that_is_not_installed(self, monkeypatch):
        monkeypatch.setattr(source, "find_spec", lambda name: None if name == "jax" else name)
        monkeypatch.setattr(source, "_version", lambda _: "3.15.1")
        with pytest.raises(NotAvailableError, match=r"'jax'.*lacks jax; pip install jax"):
            complete_levels({"framework": "jax"})
        assert complete_levels({"framework": "tensorflow"})["framework"] == "tensorflow"
        assert list(missing_frameworks()) == ["jax"]

    @pytest.mark.parametrize("version", ["2.15.0", "4.0", "of unknown version"])
    def test_a_keras_that_is_not_known(self, monkeypatch, version):
        monkeypatch.setattr(source, "find_spec", lambda name: name)
        monkeypatch.setattr(source, "_version", lambda _: version)
        with pytest.raises(NotAvailableError, match=f"it has Keras {version}, not Keras 3"):
            complete_levels({"framework": "jax"})

    def test_no_such_framework(self):
        with pytest.raises(InputError, match="takes one of 'torch', 'tensorflow', 'jax'"):
            complete_levels({"framework": "keras"})

    def test_pytorch_itself_changes_nothing_in_the_environment(self, monkeypatch):
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        variables = environment(complete_levels({}))
        assert variables["KERAS_BACKEND"] == "jax"  # of a function that uses Keras by itself
        assert "TRIAL_FRAMEWORK" not in variables

    def test_threads_reach_every_framework(self):
        variables = environment(complete_levels({"threads": 3}))
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
        assert {variables[name] for name in names} == {"3"}

    def test_keras_is_never_imported_where_pytorch_trains(self):
        program = (
            "import sys; from reprostats import sources; sources.warm_up(); "
            "print('keras' in sys.modules)"
        )
        variables = {k: v for k, v in os.environ.items() if k != "TRIAL_FRAMEWORK"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, check=True
        )
        assert done.stdout.strip() == b"False"


def relative_distance(one, other):
    differing = sum(float((one[name] - other[name]).square().sum()) for name in one)
    return (differing / sum(float(one[name].square().sum()) for name in one)) ** 0.5


@pytest.mark.slow
@pytest.mark.skipif("keras-torch" in MISSING, reason=MISSING.get("keras-torch", ""))
class TestTasks:
    """Trials of both tasks of Alahmari et al. and of Marrone et al., in a study."""

    def run(self, folder, function, config, **levels):
        conditions = {
            name: Condition({"framework": name, **levels}, repeats=2)
            for name in ("torch", "keras-torch")
        }
        folds = 2 if function is monte_carlo.train_unet else None
        study = Study(function, config=config, conditions=conditions, folder=folder, folds=folds)
        results = study.run(workers=1, progress=False)
        assert (results["status"] == "ok").all(), results["reason"].unique()
        return results.drop_duplicates("trial")

    def weights(self, folder, results):
        first = results.drop_duplicates("condition")["trial"]
        return [read_tensors(trial_folder(folder, trial), "weights") for trial in first]

    @pytest.mark.parametrize("task", ["classification", "counting"])
    def test_of_alahmari_repeat_and_are_near(self, tmp_path, task):
        function, config = {
            "classification": (lenet.train_lenet, {"epochs": 1}),
            "counting": (
                counting_trial.train_counter,
                {"epochs": 1, "drawn_fields": 6, "weight_decay": 1e-3,
                 "weight_decay_rule": "keras"},
            ),
        }[task]  # fmt: skip
        results = self.run(tmp_path, function, config, initialiser="glorot_uniform")
        hashes = results.groupby("condition")["weights_sha256"].nunique()
        assert hashes.to_dict() == {"torch": 1, "keras-torch": 1}
        assert results["initial_weights_sha256"].nunique() == 1
        ours, theirs = self.weights(tmp_path, results)
        assert 0 < relative_distance(ours, theirs) < 1e-5

    def test_of_marrone_is_near(self, tmp_path):
        config = {"heads": {"patients": 4, "slices": 2, "resolution": 8}, "folds": 2, "epochs": 1}
        levels = {"initialiser": "marrone_normal", "adam_epsilon": 1e-3}
        results = self.run(tmp_path, monte_carlo.train_unet, config, **levels)
        ours, theirs = self.weights(tmp_path, results)
        same = {name: each for name, each in ours.items() if name in theirs}
        assert {name for name in ours if name not in theirs} == {
            name for name in ours if name.endswith("num_batches_tracked")
        }
        # An epsilon as large as this: the bias before a batch normalisation has no gradient but
        # rounding, which Adam with a small one makes as large as any other step.
        assert 0 < relative_distance(same, theirs) < 1e-3

    def test_a_type_that_keras_does_not_keep_is_one_failed_condition(self, tmp_path):
        conditions = {
            "torch": Condition({"dtype": "float64"}),
            "Keras": Condition({"dtype": "float64", "framework": "keras-torch"}),
        }
        study = Study(
            lenet.train_lenet, config={"epochs": 1}, conditions=conditions, folder=tmp_path
        )
        results = study.run(workers=1, progress=False).drop_duplicates("condition")
        status = results.set_index("condition")["status"].to_dict()
        assert status == {"torch": "ok", "Keras": "failed"}
        assert results["reason"].str.contains("trained in float32 here").sum() == 1
