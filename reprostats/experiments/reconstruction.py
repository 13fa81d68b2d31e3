"""What moves a learned MR reconstruction? Six sources of variability, after Oh, Jung and Lee.

A baseline is trained twice first, to see that training repeats at all: the loss of every step, and
every reconstructed image. Then each source is changed alone: hardware (on a processor, the number
of threads and the instruction set), the benchmarking and the determinism of convolutions, the data
type, the order of the mini-batches, the initial weights. What became of the images is measured
against the truth and against the baseline, after training and in inference with one trained
network. Beyond the paper: a factorial design, which ranks the sources and their interactions, and
the step in which two trainings diverge.

Oh, Jung, Lee: Intrinsic reproducibility issues in deep learning-based MR reconstruction. Abstract
of a conference of the ISMRM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from reprostats.errors import unknown_name
from reprostats.experiments.available import available
from reprostats.experiments.parallel_imaging import ParallelImagingConfig
from reprostats.experiments.reconstruction_images import (
    BASELINE,
    classical,
    differences,
    first_of_baseline,
    slices,
    task_of_study,
)
from reprostats.experiments.reconstruction_trial import reconstruct_again, train_network
from reprostats.experiments.reconstruction_verdicts import (
    TrainingsDiverge,
    ask_baseline,
    ask_classical,
    ask_sharing,
)
from reprostats.experiments.regimes import drawn_seeds, on_other_hardware
from reprostats.experiments.susceptibility_mapping import SusceptibilityMappingConfig
from reprostats.learning.loop import steps_per_epoch
from reprostats.report import reconstruction as tables
from reprostats.report.divergence import growth_figure
from reprostats.report.factorial import factorial_table
from reprostats.sources import DTYPES, Level, seeds
from reprostats.study.design import fractional_factorial, full_factorial
from reprostats.study.folder import kept_losses, trial_folder
from reprostats.study.plan import Condition
from reprostats.study.rerun import TraceError
from reprostats.study.results import is_completed, trials_of
from reprostats.study.study import Study
from reprostats.verdicts._base import NO
from reprostats.verdicts.learned import Learned
from reprostats.verdicts.report import Report

TaskName = Literal["susceptibility_mapping", "parallel_imaging"]
Config = ParallelImagingConfig | SusceptibilityMappingConfig

_OF_TRAINING = ("mini-batch order", "weight initialisation")
_FEWEST_STEPS = 2
_ERROR_OF_NOTHING = 100.0  # NRMSE in percent of an image that is 0 everywhere


class ReconstructionParameters(BaseModel):
    """The parameters of the notebook.

    Parameters
    ----------
    parallel_imaging, susceptibility_mapping
        What differs from the defaults of the two tasks.
    sources
        Names of the conditions that are compared with the baseline; None: all that there are.
    networks
        Networks trained for each source, and one for each other data type; 5 in the paper.
    verified_steps
        Steps for which the baseline is trained twice and compared; 1,000 in the paper.
    initialiser
        Where it is not the source; see `reprostats.models.initialisers`.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. The benchmarking of convolutions is on in the
        baseline of a GPU, as in the paper; a processor has none.
    threads
        Threads of one operation, where hardware is not the source.
    seed
        Of the baseline; other seeds are drawn from it.
    factors
        Sources that are crossed in the factorial design, with their levels.
    runs
        Of a fractional design, if each has two levels; None: every combination.
    margin
        Largest difference of NRMSE that does not matter, in percentage points.
    time_limit
        Seconds after which a trial is stopped and recorded as timed out; None: never. The
        verification, whose trainings are longer, has none. PyTorch has
        no fast convolutions of three axes in float64 or float16 on a processor.
    workers
        Trials at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parallel_imaging: ParallelImagingConfig = ParallelImagingConfig()
    susceptibility_mapping: SusceptibilityMappingConfig = SusceptibilityMappingConfig()
    sources: tuple[str, ...] | None = None
    networks: int = Field(default=5, ge=2)
    verified_steps: int = Field(default=1000, ge=_FEWEST_STEPS)
    initialiser: str = "glorot_uniform"
    device: str = "cpu"
    threads: Annotated[int, Field(ge=1)] = 1
    seed: int = Field(default=2019, ge=0)
    factors: dict[str, list[Level]] = {
        "init": [1, 2, 3],
        "batch_order": [1, 2, 3],
    }
    runs: int | None = None
    margin: float = Field(default=1.0, gt=0)
    time_limit: float | None = Field(default=None, gt=0)
    workers: int = Field(default=1, ge=1)

    def config_of(self, task: TaskName) -> Config:
        """Return what is trained in a task."""
        return self.parallel_imaging if task == "parallel_imaging" else self.susceptibility_mapping

    def baseline(self) -> dict[str, Level]:
        """Return the levels of the baseline.

        Examples
        --------
        >>> ReconstructionParameters().baseline()["cudnn_benchmark"]
        False
        """
        return {
            **seeds(self.seed),
            "initialiser": self.initialiser,
            "threads": self.threads,
            "device": self.device,
            "cudnn_benchmark": self.device != "cpu",
            "deterministic": False,
            "dtype": "float32",
        }


def studies(parameters: ReconstructionParameters, task: TaskName) -> dict[str, Study]:
    """Plan what is trained: the verification of the baseline, the sources, the factorial design.

    Parameters
    ----------
    parameters
        Of the notebook.
    task
        ``"susceptibility_mapping"`` or ``"parallel_imaging"``.

    Returns
    -------
    dict
        ``"verification"``: the baseline, twice, for as many steps as shall be compared.
        ``"sources"``: the baseline, and each source changed alone; those that this machine lacks
        are left out (`not_available`). ``"factorial"``: the sources of ``factors``, crossed.

    Raises
    ------
    NotAvailableError
        If this machine cannot give the baseline.
    InputError
        If the factorial design cannot be made; see `reprostats.study.design`.
    """
    config, base = parameters.config_of(task), parameters.baseline()
    steps = steps_per_epoch(config.samples, config.batch_size)
    longer = config.model_copy(update={"epochs": math.ceil(parameters.verified_steps / steps)})
    fixed = {name: level for name, level in base.items() if name not in parameters.factors}
    planned: dict[str, tuple[Config, dict[str, Condition]]] = {
        "verification": (longer, {BASELINE: Condition(base, repeats=2)}),
        "sources": (config, _available(source_conditions(parameters))),
        "factorial": (config, {"factorial": Condition(fixed, _crossed(parameters))}),
    }
    return {
        name: Study(train_network, config=what, conditions=conditions, name=f"{task}_{name}")
        for name, (what, conditions) in planned.items()
    }


def inference(
    parameters: ReconstructionParameters, task: TaskName, trained: Study, results: pd.DataFrame
) -> Study:
    """Plan to use the baseline's first network in other environments, on the same test cases.

    The order of mini-batches and initial weights play no part. The paper leaves the data type out;
    here it is tried, since weights that are shared may be used in any.

    Parameters
    ----------
    parameters, task
        As of `studies`.
    trained
        The study of sources, whose baseline is taken.
    results
        Its results.

    Raises
    ------
    InputError
        If no trial of the baseline completed.
    """
    trial = first_of_baseline(results)
    trials = trials_of(results).drop_duplicates("trial").set_index("trial")
    every = source_conditions(parameters)
    conditions = {name: every[name] for name in every if name not in _OF_TRAINING}
    return Study(
        reconstruct_again,
        config={
            "training": parameters.config_of(task).model_dump(),
            "folder": str(trial_folder(trained.folder, trial)),
            "weights": trials.loc[trial, "weights_sha256"],
        },
        conditions=_available(conditions),
        name=f"{task}_inference",
    )


def reports(parameters: ReconstructionParameters) -> dict[str, Report]:
    """Report on both tasks, by name; see `report`."""
    return {task: report(parameters, task) for task in get_args(TaskName)}


def report(parameters: ReconstructionParameters, task: TaskName) -> Report:
    """Run what is missing, and tell what moves the reconstructions of a task.

    Parameters
    ----------
    parameters, task
        As of `studies`.

    Returns
    -------
    Report
        That of the study of sources, for the NRMSE of the test cases in percent, extended by the
        questions ``"baseline"``, ``"sharing"``, ``"classical"`` and ``"divergence"``; the tables
        ``baseline``, ``images``, ``inference_of_one_network``, ``methods_for_one_network`` and
        ``factorial``; and the figures ``images_moved``, ``slices`` and ``divergence``.

    Raises
    ------
    InputError
        If no trial of the baseline completed, or as `studies`.
    """
    planned = studies(parameters, task)
    sources = planned["sources"]
    verified = planned["verification"].run(workers=parameters.workers)
    limits: dict[str, Any] = {"workers": parameters.workers, "time_limit": parameters.time_limit}
    limits["keep_going"] = True  # what a type of numbers does not allow is a result
    results = sources.run(**limits)
    shared = inference(parameters, task, sources, results)
    inferred, crossed = shared.run(**limits), planned["factorial"].run(**limits)
    common = sources.report(
        metric="nrmse",
        margin=parameters.margin,
        baseline=BASELINE,
        trivial_value=_ERROR_OF_NOTHING,
        title=f"{task.replace('_', ' ').capitalize()}: what moves a learned reconstruction?",
    )
    checked = _with_verification(common, planned["verification"], verified)
    moved = _with_images(checked, sources, results, shared, inferred)
    compared = _with_methods(moved, sources, results, parameters.margin)
    ranked = compared.extended(
        tables=[
            tables.inference_table(inferred, margin=parameters.margin),
            tables.pairwise_table(results),
            factorial_table(crossed, list(parameters.factors), metric="nrmse"),
        ]
    )
    diverged = _with_divergence(ranked, sources, results, parameters.workers)
    return _noted(diverged, _notes(parameters))


def not_available(parameters: ReconstructionParameters) -> dict[str, str]:
    """Return the sources that cannot be changed here, and why."""
    _, lacking = available(source_conditions(parameters))
    reasons = {name: str(error).rstrip(".") for name, error in lacking.items()}
    if parameters.device == "cpu":
        reasons["convolution benchmarking"] = "cuDNN has it, and the trials are on a processor"
    return reasons


def source_conditions(parameters: ReconstructionParameters) -> dict[str, Condition]:
    """Return the baseline, and each of the six sources changed alone, or those that are asked for.

    Raises
    ------
    InputError
        If a source is asked for that is not there.
    """
    base, count = parameters.baseline(), parameters.networks
    drawn = drawn_seeds(parameters.seed, count)

    def changed(settings: Sequence[Mapping[str, Level]]) -> Condition:
        names = {name for setting in settings for name in setting}
        return Condition({n: v for n, v in base.items() if n not in names}, settings)

    def switched(name: str) -> Condition:
        return Condition({**base, name: not base[name]}, repeats=count)

    types = [name for name in DTYPES if name != base["dtype"]]
    on_gpu = {"convolution benchmarking": switched("cudnn_benchmark")}
    every = {
        "hardware": on_other_hardware(base, count),
        **(on_gpu if base["device"] != "cpu" else {}),
        "convolution determinism": switched("deterministic"),
        **{f"data type {name}": Condition({**base, "dtype": name}) for name in types},
        "mini-batch order": changed([{"batch_order": number} for number in drawn]),
        "weight initialisation": changed([{"init": number} for number in drawn]),
    }
    chosen = every if parameters.sources is None else parameters.sources
    for name in chosen:
        if name not in every:
            raise unknown_name("source", name, every)
    return {BASELINE: Condition(base, repeats=2)} | {name: every[name] for name in chosen}


def _with_verification(report: Report, study: Study, results: pd.DataFrame) -> Report:
    """Add whether the baseline repeats in every step."""
    losses = kept_losses(study.folder, results["trial"].unique())
    verdict = ask_baseline(losses, differences(study, results))
    return report.extended(verdicts=[verdict], tables=[tables.baseline_table(verdict.numbers)])


def _with_images(
    report: Report, sources: Study, results: pd.DataFrame, shared: Study, inferred: pd.DataFrame
) -> Report:
    """Add how far images move from the baseline's, after training and in inference."""
    unit = task_of_study(sources).unit
    trained, used = differences(sources, results), differences(shared, inferred)
    moved = tables.moved_images(trained, used)
    return report.extended(
        verdicts=[ask_sharing(moved)],
        tables=[tables.image_table(moved, unit)],
        figures=[
            tables.image_figure(trained, used),
            tables.slice_figure(slices(sources, results), unit),
        ],
    )


def _with_methods(report: Report, sources: Study, results: pd.DataFrame, margin: float) -> Report:
    """Add the methods that need no training."""
    methods = tables.method_values(classical(task_of_study(sources)), results)
    compared = tables.method_comparison(methods, margin=margin)
    untrained = any(
        isinstance(verdict, Learned) and verdict.condition == BASELINE and verdict.answer == NO
        for verdict in report.verdicts
    )
    return report.extended(
        verdicts=ask_classical(
            compared, network=tables.NETWORK, margin=margin, untrained=untrained
        ),
        tables=[tables.method_table(methods, compared, margin=margin)],
    )


def _with_divergence(report: Report, sources: Study, results: pd.DataFrame, workers: int) -> Report:
    """Add where a training on other hardware diverges from the baseline, if one can be traced."""
    trials = trials_of(results)
    last = trials[is_completed(trials)].groupby("condition", sort=False)["trial"].last()
    if "hardware" not in last:
        return _noted(report, ["No training on other hardware completed: none was traced."])
    try:
        divergence = sources.first_divergence(
            last[BASELINE], last["hardware"], workers=workers, progress=False
        )
    except TraceError as error:
        return _noted(report, [f"Where trainings diverge is not known: {error}"])
    return report.extended(
        verdicts=[TrainingsDiverge("hardware", divergence)],
        figures=[growth_figure(divergence.growth)],
    )


def _noted(report: Report, notes: Sequence[str]) -> Report:
    return replace(report, notes=(*report.notes, *notes))


def _notes(parameters: ReconstructionParameters) -> list[str]:
    lacking = not_available(parameters)
    held = (
        "The baseline is one training, repeated with the same seeds, so that a comparison with it "
        "holds for these networks. How far new trainings differ is the spread of mini-batch order "
        "and weight initialisation."
    )
    return [
        held,
        *(f"Not changed on this machine: {name} ({why})." for name, why in lacking.items()),
    ]


def _crossed(parameters: ReconstructionParameters) -> list[dict[str, Level]]:
    if parameters.runs is None:
        return full_factorial(parameters.factors)
    return fractional_factorial(parameters.factors, parameters.runs)


def _available(conditions: Mapping[str, Condition]) -> dict[str, Condition]:
    possible, lacking = available(conditions)
    if BASELINE in lacking:
        raise lacking[BASELINE]
    return possible
