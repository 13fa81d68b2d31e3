"""The six sources of MR reconstruction: what is planned, and small studies of both tasks."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from reprostats.errors import InputError, NotAvailableError
from reprostats.experiments import parallel_imaging, reconstruction, susceptibility_mapping
from reprostats.experiments.reconstruction_trial import (
    kept_images,
    measures,
    reconstruct_again,
    task_of,
    train_network,
)
from reprostats.experiments.regimes import other_hardware
from reprostats.report import reconstruction as report
from reprostats.study.sources import complete_levels, seeds
from reprostats.study.trial import Trial

NO_GPU = torch.cuda.device_count() == 0
PARAMETERS = Path(__file__).parent.parent.parent / "data" / "parameters"
TINY = {
    "parallel_imaging": parallel_imaging.Training(
        training_subjects=1, test_subjects=2, slices=2, coils=2, size=(32, 32), stages=1,
        features=2, kernel_size=3, basis_functions=5, epochs=2, resolution=8,
    ),
    "susceptibility_mapping": susceptibility_mapping.Training(
        training_subjects=1, test_subjects=2, resolution=8, patch_size=8, patches=4, widths=(2, 4),
        epochs=2, batch_size=2,
    ),
}  # fmt: skip
TASKS = pytest.mark.parametrize("task", TINY)
# What each source may move, and nothing else.
MOVES = {
    "hardware": {"threads", "isa"},
    "convolution determinism": {"deterministic"},
    **{f"data type {name}": {"dtype"} for name in ("float64", "bfloat16", "float16", "autocast")},
    "mini-batch order": {"batch_order"},
    "weight initialisation": {"init"},
}


def parameters(**more):
    return reconstruction.Parameters(**TINY, networks=2, verified_steps=5, workers=1, **more)


def run(trial_task, folder, **levels):
    trial = Trial(
        config=TINY[trial_task].model_dump(),
        levels={**seeds(1), "initialiser": "glorot_uniform", **levels},
        repeat=0,
        fold=None,
        folder=folder,
    )
    return trial, train_network(trial)


def again(shared, folder):
    """Reconstruct with shared weights, in this process."""
    levels = parameters().baseline()
    return reconstruct_again(Trial(shared, levels, repeat=0, fold=None, folder=folder))


class TestPlan:
    def test_each_source_is_changed_alone(self):
        base = complete_levels(parameters().baseline())
        planned = reconstruction._training_conditions(parameters())
        assert set(planned) == {"baseline", *MOVES}
        for source, may_move in MOVES.items():
            for setting in planned[source].settings(elsewhere=True):
                moved = {name for name, level in base.items() if setting[name] != level}
                assert moved <= may_move, source
                assert moved

    def test_five_networks_of_every_source_but_the_types(self):
        planned = reconstruction._training_conditions(reconstruction.Parameters())
        counts = {
            source: planned[source].repeats * len(list(planned[source].settings(elsewhere=True)))
            for source in MOVES
        }
        types = [counts.pop(name) for name in MOVES if name.startswith("data type")]
        assert types == [1, 1, 1, 1]
        assert set(counts.values()) == {5}

    def test_what_a_processor_lacks_is_named(self):
        lacking = reconstruction.not_available(parameters())
        assert set(lacking) == {"convolution benchmarking"}
        assert "cuDNN" in lacking["convolution benchmarking"]
        study = reconstruction.sources(parameters(), "parallel_imaging")
        assert "convolution benchmarking" not in study.conditions

    @pytest.mark.parametrize("threads", [1, 2])
    def test_hardware_is_never_that_of_the_baseline(self, threads):
        chosen = parameters(threads=threads).model_copy(update={"networks": 5})
        planned = reconstruction._training_conditions(chosen)["hardware"]
        best = other_hardware(1)[0]["isa"]
        pairs = {(each["threads"], each["isa"]) for each in planned.settings()}
        assert (threads, best) not in pairs
        assert len(pairs) == 5

    @pytest.mark.skipif(not NO_GPU, reason="this machine has a GPU")
    def test_a_baseline_that_is_not_available_is_an_error_at_once(self):
        with pytest.raises(NotAvailableError, match="CUDA"):
            reconstruction.sources(parameters(device="cuda"), "parallel_imaging")

    @TASKS
    def test_the_baseline_is_verified_for_the_steps_that_are_asked(self, task):
        study = reconstruction.verification(parameters(), task)
        (first, *_) = study.trials
        samples = len(task_of(TINY[task].model_dump()).samples()[0][0])
        batch = TINY[task].batch_size
        assert first.config["epochs"] * -(-samples // batch) >= 5
        assert len(study.trials) == 2

    def test_a_fraction_of_the_combinations(self):
        factors = {name: [1, 2] for name in ("init", "batch_order", "threads", "dropout", "split")}
        chosen = parameters(factors=factors, runs=16)
        assert len(reconstruction.factorial(chosen, "parallel_imaging").trials) == 16

    @pytest.mark.parametrize("file", sorted(PARAMETERS.glob("03_*.yaml")), ids=lambda p: p.stem)
    def test_parameter_files_are_valid(self, file):
        found = reconstruction.Parameters(**yaml.safe_load(file.read_text()) | {"device": "cpu"})
        for task in TINY:
            assert reconstruction.sources(found, task).trials


class TestTasks:
    @TASKS
    def test_trains_and_leaves_the_global_generators_alone(self, task, tmp_path):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # noqa: NPY002
        trial, found = run(task, tmp_path)
        assert random.getstate() == before[0]
        assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), before[2])
        assert set(found) == {"nrmse", "psnr", "ssim"}
        assert len(found["nrmse"]) == 2
        assert set(trial.fingerprints) == {"weights", "optimiser", "losses", "reconstructions"}

    @TASKS
    def test_no_subject_is_both_trained_and_tested(self, task):
        found = task_of(TINY[task].model_dump())
        trained = {case.identity for case in found.training_cases()}
        tested = {case.identity for case in found.test_cases()}
        assert trained
        assert tested
        assert not trained & tested

    @TASKS
    def test_the_truth_has_no_error(self, task):
        found = task_of(TINY[task].model_dump())
        case = found.test_cases()[0]
        perfect = measures(found, case, case.truth)
        assert (perfect["nrmse"], perfect["ssim"]) == (0, pytest.approx(1))

    @TASKS
    @pytest.mark.parametrize("initialiser", ["pytorch", "marrone_normal"])
    def test_every_initialiser_draws_other_weights(self, task, initialiser, tmp_path):
        (tmp_path / "a").mkdir()
        one, _ = run(task, tmp_path)
        other, _ = run(task, tmp_path / "a", initialiser=initialiser)
        assert one.fingerprints["weights"] != other.fingerprints["weights"]

    @TASKS
    def test_double_precision(self, task, tmp_path):
        run(task, tmp_path, dtype="float64")
        kept = load_file(tmp_path / "weights.safetensors")
        assert {each.dtype for each in kept.values() if each.is_floating_point()} == {torch.float64}
        cases = task_of(TINY[task].model_dump()).test_cases()
        images = kept_images(tmp_path, cases)
        assert all(np.isfinite(image).all() for image in images.values())

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_complex_numbers_of_half_precision_are_refused(self, dtype, tmp_path):
        with pytest.raises(InputError, match=f"complex numbers of {dtype}"):
            run("parallel_imaging", tmp_path, dtype=dtype)

    def test_susceptibility_is_compared_without_its_mean(self):
        found = task_of(TINY["susceptibility_mapping"].model_dump())
        case = found.test_cases()[0]
        shifted = measures(found, case, np.where(case.brain, case.truth + 0.1, 0))
        assert shifted["nrmse"] == pytest.approx(0, abs=1e-4)

    def test_one_slice_is_no_volume(self):
        config = TINY["parallel_imaging"].model_copy(update={"slices": 1})
        found = task_of(config.model_dump())
        case = found.test_cases()[0]
        assert measures(found, case, case.truth)["ssim"] == pytest.approx(1)

    def test_unknown_task(self):
        with pytest.raises(InputError, match="names no reconstruction task: 'ct'"):
            task_of({"task": "ct"})


@TASKS
def test_classical_methods_have_a_row_for_every_test_subject(task):
    found = reconstruction.classical(TINY[task])
    assert set(found.groupby("method").size()) == {2}
    assert (found["nrmse"] > 0).all()


@pytest.fixture(
    scope="module",
    params=[pytest.param(task, marks=pytest.mark.xdist_group(task)) for task in TINY],
    ids=list(TINY),
)
def ran(request, tmp_path_factory):
    """A task, the study of its sources, and its results."""
    patch = pytest.MonkeyPatch()
    patch.setenv("REPROSTATS_RUNS", str(tmp_path_factory.mktemp("runs")))
    study = reconstruction.sources(parameters(), request.param)
    yield request.param, study, study.run(workers=1, progress=False)
    patch.undo()


@pytest.mark.slow
class TestStudies:
    def test_sources_break_or_keep_the_bits(self, ran):
        _, study, results = ran
        found = reconstruction.differences(study, results)
        equal = found.groupby("condition")["equal"].all()
        assert equal["baseline"]
        assert equal["convolution determinism"]
        assert not found.loc[found["condition"] == "mini-batch order", "equal"].any()
        assert not found.loc[found["condition"] == "weight initialisation", "equal"].any()
        kept = results.drop_duplicates("trial").groupby("condition")["weights_sha256"].nunique()
        assert kept["mini-batch order"] == 2

    def test_tables_and_figures_can_be_made(self, ran):
        task, study, results = ran
        found = reconstruction.differences(study, results)
        table = report.source_table(results, found, margin=1).frame
        assert len(table) == 9
        pictures = reconstruction.pictures(study, results)
        assert list(pictures)[:2] == ["truth", "baseline"]
        assert "weight initialisation" in pictures
        classical = reconstruction.classical(TINY[task])
        assert "network" in set(report.method_table(classical, results).frame["Method"])

    def test_the_baseline_repeats_in_every_step(self, ran):
        study = reconstruction.verification(parameters(), ran[0])
        results = study.run(workers=1, progress=False)
        table = report.verification_table(
            reconstruction.losses(study, results), reconstruction.differences(study, results)
        ).frame
        assert table["Verdict"].tolist() == ["bitwise repeatable"]
        assert table["Steps"].iloc[0] >= 5

    def test_a_shared_network_gives_the_images_of_its_training(self, ran, tmp_path):
        task, study, results = ran
        shared = reconstruction.inference(parameters(), task, study, results).config
        again(shared, tmp_path)
        cases = task_of(TINY[task].model_dump()).test_cases()
        before, after = kept_images(Path(shared["folder"]), cases), kept_images(tmp_path, cases)
        assert all(np.array_equal(before[who], after[who]) for who in before)

    def test_other_weights_are_not_taken_for_the_shared_ones(self, ran, tmp_path):
        task, study, results = ran
        shared = reconstruction.inference(parameters(), task, study, results).config
        weights = load_file(Path(shared["folder"]) / "weights.safetensors")
        name = next(iter(weights))
        save_file({**weights, name: weights[name] + 1}, tmp_path / "weights.safetensors")
        with pytest.raises(InputError, match="not the weights that were shared"):
            again({**shared, "folder": str(tmp_path)}, tmp_path)

    def test_without_a_baseline_there_is_nothing_to_share(self, ran):
        task, study, results = ran
        with pytest.raises(InputError, match="no trial of the baseline"):
            reconstruction.inference(
                parameters(), task, study, results[results["condition"] != "baseline"]
            )
