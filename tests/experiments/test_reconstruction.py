"""The six sources of MR reconstruction: what is planned, and small studies of both tasks."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from reprostats.errors import InputError, NotAvailableError
from reprostats.experiments import reconstruction
from reprostats.experiments.parallel_imaging import ParallelImagingConfig
from reprostats.experiments.reconstruction_images import classical, differences, slices
from reprostats.experiments.reconstruction_trial import (
    kept_images,
    measures,
    reconstruct_again,
    task_of,
    train_network,
)
from reprostats.experiments.reconstruction_verdicts import (
    TrainingsDiverge,
    ask_baseline,
    ask_classical,
    ask_sharing,
)
from reprostats.experiments.regimes import other_hardware
from reprostats.experiments.susceptibility_mapping import SusceptibilityMappingConfig
from reprostats.report.reconstruction import NETWORK, method_comparison, moved_images
from reprostats.sources import complete_levels, seeds
from reprostats.study.divergence import Divergence
from reprostats.study.plan import Condition
from reprostats.study.study import Study
from reprostats.study.trial import Trial

NO_GPU = torch.cuda.device_count() == 0
PARAMETERS = Path(__file__).parent.parent.parent / "data" / "parameters"
TINY = {
    "parallel_imaging": ParallelImagingConfig(
        training_subjects=1, test_subjects=2, slices=2, coils=2, size=(32, 32), stages=1,
        features=2, kernel_size=3, basis_functions=5, epochs=2, resolution=8,
    ),
    "susceptibility_mapping": SusceptibilityMappingConfig(
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
    return reconstruction.ReconstructionParameters(
        **TINY, networks=2, verified_steps=5, workers=1, **more
    )


def run(trial_task, folder, **levels):
    trial = Trial(
        config=TINY[trial_task].model_dump(),
        levels={**seeds(1), "initialiser": "glorot_uniform", **levels},
        repeat=0,
        fold=None,
        folder=folder,
    )
    return trial, train_network(trial)


class TestPlan:
    def test_each_source_is_changed_alone(self):
        base = complete_levels(parameters().baseline())
        planned = reconstruction.source_conditions(parameters())
        assert set(planned) == {"baseline", *MOVES}
        for source, may_move in MOVES.items():
            for setting in planned[source].settings(remote=True):
                moved = {name for name, level in base.items() if setting.levels[name] != level}
                assert moved <= may_move, source
                assert moved

    def test_five_networks_of_every_source_but_the_types(self):
        planned = reconstruction.source_conditions(reconstruction.ReconstructionParameters())
        counts = {
            source: planned[source].repeats * len(list(planned[source].settings(remote=True)))
            for source in MOVES
        }
        types = [counts.pop(name) for name in MOVES if name.startswith("data type")]
        assert types == [1, 1, 1, 1]
        assert set(counts.values()) == {5}

    def test_what_a_processor_lacks_is_named(self):
        lacking = reconstruction.not_available(parameters())
        assert set(lacking) == {"convolution benchmarking"}
        assert "cuDNN" in lacking["convolution benchmarking"]
        planned = reconstruction.studies(parameters(), "parallel_imaging")
        assert "convolution benchmarking" not in planned["sources"].conditions

    @pytest.mark.parametrize("threads", [1, 2])
    def test_hardware_is_never_that_of_the_baseline(self, threads):
        chosen = parameters(threads=threads).model_copy(update={"networks": 5})
        planned = reconstruction.source_conditions(chosen)["hardware"]
        best = other_hardware(1)[0]["isa"]
        levels = [setting.levels for setting in planned.settings()]
        pairs = {(level["threads"], level["isa"]) for level in levels}
        assert (threads, best) not in pairs
        assert len(pairs) == 5

    @pytest.mark.skipif(not NO_GPU, reason="this machine has a GPU")
    def test_a_baseline_that_is_not_available_is_an_error_at_once(self):
        with pytest.raises(NotAvailableError, match="CUDA"):
            reconstruction.studies(parameters(device="cuda"), "parallel_imaging")

    @TASKS
    def test_the_baseline_is_verified_for_the_steps_that_are_asked(self, task):
        study = reconstruction.studies(parameters(), task)["verification"]
        (first, *_) = study.trials
        samples = len(task_of(TINY[task].model_dump()).samples()[0][0])
        batch = TINY[task].batch_size
        assert first.config["epochs"] * -(-samples // batch) >= 5
        assert len(study.trials) == 2

    def test_a_fraction_of_the_combinations(self):
        factors = {name: [1, 2] for name in ("init", "batch_order", "threads", "dropout", "split")}
        chosen = parameters(factors=factors, runs=16)
        planned = reconstruction.studies(chosen, "parallel_imaging")
        assert len(planned["factorial"].trials) == 16

    @pytest.mark.parametrize("file", sorted(PARAMETERS.glob("03_*.yaml")), ids=lambda p: p.stem)
    def test_parameter_files_are_valid(self, file):
        values = yaml.safe_load(file.read_text()) | {"device": "cpu"}
        # On a processor there is no benchmarking of convolutions to cross.
        values["factors"].pop("cudnn_benchmark", None)
        chosen = reconstruction.ReconstructionParameters(**values)
        for task in TINY:
            assert all(study.trials for study in reconstruction.studies(chosen, task).values())


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
    found = classical(task_of(TINY[task].model_dump()))
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
    study = reconstruction.studies(parameters(), request.param)["sources"]
    yield request.param, study, study.run(workers=1, progress=False)
    patch.undo()


@pytest.mark.slow
class TestStudies:
    def test_sources_break_or_keep_the_bits(self, ran):
        _, study, results = ran
        found = differences(study, results)
        equal = found.groupby("condition")["equal"].all()
        assert equal["baseline"]
        assert equal["convolution determinism"]
        assert not found.loc[found["condition"] == "mini-batch order", "equal"].any()
        assert not found.loc[found["condition"] == "weight initialisation", "equal"].any()
        kept = results.drop_duplicates("trial").groupby("condition")["weights_sha256"].nunique()
        assert kept["mini-batch order"] == 2

    def test_slices_show_what_changed(self, ran):
        shown = slices(*ran[1:])
        assert list(shown)[:2] == ["truth", "baseline"]
        assert "weight initialisation" in shown
        assert "convolution determinism" not in shown

    def test_a_shared_network_gives_the_images_of_its_training(self, ran):
        # In a process with the levels of the training: other threads give other bits.
        task, study, results = ran
        shared = reconstruction.inference(parameters(), task, study, results)
        once = Condition(parameters().baseline())
        again = Study(shared.function, config=shared.config, conditions={"baseline": once})
        (trial,) = again.run(workers=1, progress=False)["trial"].unique()
        cases = task_of(TINY[task].model_dump()).test_cases()
        before = kept_images(Path(shared.config["folder"]), cases)
        after = kept_images(again.folder / "trials" / trial, cases)
        assert all(np.array_equal(before[who], after[who]) for who in before)

    def test_other_weights_are_not_taken_for_the_shared_ones(self, ran, tmp_path):
        task, study, results = ran
        shared = reconstruction.inference(parameters(), task, study, results).config
        weights = load_file(Path(shared["folder"]) / "weights.safetensors")
        name = next(iter(weights))
        save_file({**weights, name: weights[name] + 1}, tmp_path / "weights.safetensors")
        changed = {**shared, "folder": str(tmp_path)}
        with pytest.raises(InputError, match="not the weights that were shared"):
            reconstruct_again(
                Trial(changed, parameters().baseline(), repeat=0, fold=None, folder=tmp_path)
            )

    def test_without_a_baseline_there_is_nothing_to_share(self, ran):
        task, study, results = ran
        with pytest.raises(InputError, match="no trial of the baseline"):
            reconstruction.inference(
                parameters(), task, study, results[results["condition"] != "baseline"]
            )


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The report on parallel imaging, where two data types cannot be trained."""
    patch = pytest.MonkeyPatch()
    patch.setenv("REPROSTATS_RUNS", str(tmp_path_factory.mktemp("runs")))
    factors = {"init": [1, 2], "batch_order": [1, 2]}
    yield reconstruction.report(parameters(factors=factors), "parallel_imaging")
    patch.undo()


@pytest.mark.long  # notebook 03, executed small, makes the same report
class TestReport:
    def test_has_the_tables_and_figures_of_the_paper(self, reported):
        assert {
            "summary", "comparisons", "trials", "baseline", "images", "inference_of_one_network",
            "methods_for_one_network", "factorial",
        } <= set(reported.tables)  # fmt: skip
        assert set(reported.figures) >= {"values", "images_moved", "slices", "divergence"}
        assert all(figure.caption.endswith(".") for figure in reported.figures.values())

    def test_the_baseline_repeats_in_every_step(self, reported):
        (verdict,) = reported.of("baseline")
        assert verdict.answer == "yes"
        assert verdict.n_steps >= 5

    def test_failed_networks_are_rows_with_their_reason(self, reported):
        trials = reported["trials"].frame.set_index("condition")
        assert trials.loc["data type bfloat16", "status"] == "failed"
        assert "complex numbers" in trials.loc["data type bfloat16", "reason"]
        inference = reported["inference_of_one_network"].frame.set_index("condition")
        assert "complex numbers" in inference.loc["data type bfloat16", "reason"]

    def test_one_baseline_says_nothing_of_new_trainings(self, reported):
        answers = {
            (verdict.first, verdict.generalise_to): verdict.answer
            for verdict in reported.of("better")
        }
        assert answers["hardware", "runs"] == "undetermined"
        assert answers["convolution determinism", "cases"] == "no"

    def test_what_this_machine_lacks_is_noted(self, reported):
        if NO_GPU:
            assert any("convolution benchmarking (cuDNN" in note for note in reported.notes)

    def test_classical_methods_are_compared_for_one_network(self, reported):
        asked = [verdict.asked for verdict in reported.of("classical")]
        assert len(asked) == 2
        assert all("for this one network on new cases" in text for text in asked)


def images(sizes):
    """Differences from the baseline: ``sizes`` gives that of each network, by condition."""
    return pd.DataFrame(
        [
            {"condition": condition, "trial": f"{condition}-{number}", "case": case,
             "difference": size, "largest": 10 * size, "equal": size == 0}
            for condition, networks in sizes.items()
            for number, size in enumerate(networks)
            for case in ("a", "b")
        ]
    )  # fmt: skip


def baseline(other, sizes=(0, 0)):
    losses = {"one": np.array([5.0, 4, 3, 2, 1]), "two": np.array(other)}
    return ask_baseline(losses, images({"baseline": sizes}))


class TestBaselineRepeats:
    def test_equal(self):
        verdict = baseline([5.0, 4, 3, 2, 1])
        assert verdict.answer == "yes"
        assert (verdict.n_steps, verdict.n_equal_steps) == (5, 5)
        assert "5 of 5 losses are equal" in verdict.sentence

    def test_one_loss_apart_by_one_bit(self):
        verdict = baseline([5.0, 4, np.nextafter(3.0, 4), 2, 1])
        assert (verdict.answer, verdict.n_equal_steps, verdict.first_other_step) == ("no", 4, 3)
        assert "that of step 3" in verdict.sentence

    def test_losses_equal_and_images_not(self):
        verdict = baseline([5.0, 4, 3, 2, 1], sizes=(0, 1e-9))
        assert (verdict.answer, verdict.images_equal, verdict.largest) == ("no", False, 1e-8)

    def test_one_training_says_nothing(self):
        verdict = ask_baseline({"one": np.ones(3)}, images({"baseline": [0]}))
        assert verdict.answer == "undetermined"
        assert "1 completed training" in verdict.sentence


def sharing(training, inference):
    return ask_sharing(moved_images(images(training), images(inference)))


class TestSharing:
    def test_a_source_that_is_not_far_below_is_named(self):
        verdict = sharing({"type": [2.0], "hardware": [1.0]}, {"type": [0.5], "hardware": [1e-6]})
        assert verdict.answer == "no"
        assert verdict.near == ("type",)
        assert verdict.orders == pytest.approx({"type": np.log10(4), "hardware": 6})
        assert "less: type (0.6)." in verdict.sentence

    def test_not_a_bit_moves_in_inference(self):
        verdict = sharing({"a": [2.0], "b": [0.0]}, {"a": [0.0], "b": [0.0]})
        assert (verdict.answer, verdict.orders) == ("yes", {"a": np.inf})
        assert "by 2 % (NRMSE) after training, and by 0 %" in verdict.sentence

    def test_a_source_of_one_phase_is_named(self):
        verdict = sharing({"a": [2.0], "order": [3.0]}, {"a": [1e-5], "failed": [1.0]})
        assert verdict.answer == "yes"
        assert verdict.not_compared == ("order", "failed")
        assert "missing: order, failed." in verdict.sentence

    def test_nothing_changes_training(self):
        verdict = sharing({"a": [0.0]}, {"a": [0.5]})
        assert verdict.answer == "not applicable"

    def test_nothing_to_compare(self):
        assert sharing({"baseline": [0.0]}, {"a": [1.0]}).answer == "undetermined"


class TestClassical:
    # Four cases; the method is worse by 3.15 points on average.
    METHODS = pd.DataFrame(
        [
            *(
                {"method": NETWORK, "case": case, "nrmse": value}
                for case, value in zip("abcd", [8.0, 9.5, 7.2, 10.1], strict=True)
            ),
            *(
                {"method": "division", "case": case, "nrmse": value}
                for case, value in zip("abcd", [11.0, 12.6, 10.4, 13.4], strict=True)
            ),
        ]
    )

    def ask(self, methods, **options):
        compared = method_comparison(methods, margin=1.0)
        options = {"network": NETWORK, "margin": 1.0, "untrained": False} | options
        return ask_classical(compared, **options)

    def test_the_network_is_better_for_these_cases(self):
        (verdict,) = self.ask(self.METHODS)
        assert verdict.difference == pytest.approx(-3.15)
        assert verdict.ci_low < -3.15 < verdict.ci_high < 0
        assert verdict.answer == "yes"
        assert "for this one network on new cases" in verdict.asked

    def test_a_network_that_did_not_learn_is_not_compared(self):
        (verdict,) = self.ask(self.METHODS, untrained=True)
        assert verdict.answer == "not applicable"

    def test_one_case_says_nothing(self):
        (verdict,) = self.ask(self.METHODS[self.METHODS["case"] == "a"])
        assert verdict.answer == "undetermined"


@pytest.mark.parametrize(("equal", "answer"), [(True, "no"), (False, "yes")])
def test_where_trainings_diverge(equal, answer):
    step = {} if equal else {"step": 3, "phase": "forward", "place": "net.0", "what": "output"}
    divergence = Divergence(("a", "b"), equal, (5, 5), (None, None), {}, **step)
    verdict = TrainingsDiverge("hardware", divergence)
    assert verdict.answer == answer
    assert verdict.numbers["step"] == (None if equal else 3)
    assert ("equal to the last bit" in verdict.sentence) == equal


class TestChosenSources:
    def test_only_what_is_asked_for_is_changed(self):
        chosen = ("hardware", "mini-batch order")
        parameters = reconstruction.ReconstructionParameters(sources=chosen)
        assert list(reconstruction.source_conditions(parameters)) == ["baseline", *chosen]

    def test_unknown_one_is_named(self):
        parameters = reconstruction.ReconstructionParameters(sources=("batch order",))
        with pytest.raises(InputError, match="unknown source 'batch order'; did you mean"):
            reconstruction.source_conditions(parameters)
