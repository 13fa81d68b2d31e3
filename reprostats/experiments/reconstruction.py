"""What moves a learned MR reconstruction? Six sources of variability, after Oh, Jung and Lee.

A baseline is trained twice first, to see that training repeats at all: the loss of every step, and
every reconstructed image. Then each source is changed alone: hardware (on a processor, the number
of threads and the instruction set), the benchmarking and the determinism of convolutions, the data
type, the order of the mini-batches, the initial weights. What became of the images is measured
against the truth and against the baseline, after training and in inference with one trained
network. Beyond the paper: a factorial design, which ranks the sources and their interactions.

Oh, Jung, Lee: Intrinsic reproducibility issues in deep learning-based MR reconstruction. Abstract
of a conference of the ISMRM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load_file

from reprostats.errors import InputError, NotAvailableError
from reprostats.experiments.parallel_imaging import Training as ParallelImagingTraining
from reprostats.experiments.reconstruction_task import Case, Image, Task
from reprostats.experiments.reconstruction_trial import (
    kept_images,
    measures,
    reconstruct_again,
    task_of,
    train_network,
)
from reprostats.experiments.regimes import drawn_seeds, on_other_hardware
from reprostats.experiments.susceptibility_mapping import Training as SusceptibilityTraining
from reprostats.learning.loop import steps_per_epoch
from reprostats.metrics.reconstruction import nrmse
from reprostats.study.design import fractional_factorial, full_factorial
from reprostats.study.levels import Level
from reprostats.study.plan import Condition
from reprostats.study.sources import DTYPES, seeds
from reprostats.study.study import Study

TaskName = Literal["parallel_imaging", "susceptibility_mapping"]
Config = ParallelImagingTraining | SusceptibilityTraining

BASELINE = "baseline"
_OF_TRAINING = ("mini-batch order", "weight initialisation")
_FEWEST_STEPS = 2


class Parameters(BaseModel):
    """The parameters of the notebook.

    Parameters
    ----------
    parallel_imaging, susceptibility_mapping
        What differs from the defaults of the two tasks.
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

    parallel_imaging: ParallelImagingTraining = ParallelImagingTraining()
    susceptibility_mapping: SusceptibilityTraining = SusceptibilityTraining()
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

    def of(self, task: TaskName) -> Config:
        """Give the training of a task."""
        return self.parallel_imaging if task == "parallel_imaging" else self.susceptibility_mapping

    def baseline(self) -> dict[str, Level]:
        """Give the levels of the baseline.

        Examples
        --------
        >>> Parameters().baseline()["cudnn_benchmark"]
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


def verification(parameters: Parameters, task: TaskName) -> Study:
    """Plan to train the baseline twice, for as many steps as shall be compared."""
    config = parameters.of(task)
    steps = steps_per_epoch(config.samples, config.batch_size)
    longer = config.model_copy(update={"epochs": math.ceil(parameters.verified_steps / steps)})
    return Study(
        train_network,
        config=longer,
        conditions={BASELINE: Condition(parameters.baseline(), repeats=2)},
        name=f"{task}_verification",
    )


def sources(parameters: Parameters, task: TaskName) -> Study:
    """Plan to train with each source changed alone; those that this machine lacks are left out.

    Raises
    ------
    NotAvailableError
        If this machine cannot give the baseline.
    """
    return Study(
        train_network,
        config=parameters.of(task),
        conditions=_available(_training_conditions(parameters)),
        name=f"{task}_sources",
    )


def not_available(parameters: Parameters) -> dict[str, str]:
    """Give the sources that cannot be changed here, and why."""
    found = {}
    if parameters.device == "cpu":
        found["convolution benchmarking"] = "cuDNN has it, and the trials are on a processor"
    lacking = _lacking(_training_conditions(parameters))
    return found | {name: str(error) for name, error in lacking.items()}


def inference(
    parameters: Parameters, task: TaskName, trained: Study, results: pd.DataFrame
) -> Study:
    """Plan to load the first network of the baseline in other environments and reconstruct again.

    The order of mini-batches and initial weights play no part. The paper leaves the data type out;
    here it is tried, since weights that are shared may be used in any.

    Parameters
    ----------
    parameters, task
        As of `sources`.
    trained
        The study whose baseline is taken.
    results
        Its results.

    Raises
    ------
    InputError
        If no trial of the baseline ended well.
    """
    first = results.loc[results["trial"] == _first(results)].iloc[0]
    conditions = {BASELINE: Condition(parameters.baseline(), repeats=2)}
    every = _training_conditions(parameters)
    conditions |= {name: every[name] for name in every if name not in (BASELINE, *_OF_TRAINING)}
    return Study(
        reconstruct_again,
        config={
            "training": parameters.of(task).model_dump(),
            "folder": str(trained.folder / "trials" / first["trial"]),
            "weights": first["weights_sha256"],
        },
        conditions=_available(conditions),
        name=f"{task}_inference",
    )


def factorial(parameters: Parameters, task: TaskName) -> Study:
    """Plan a factorial design over the sources of ``factors``.

    Raises
    ------
    InputError
        See `reprostats.study.design`.
    """
    if parameters.runs is None:
        settings = full_factorial(parameters.factors)
    else:
        settings = fractional_factorial(parameters.factors, parameters.runs)
    fixed = {n: each for n, each in parameters.baseline().items() if n not in parameters.factors}
    return Study(
        train_network,
        config=parameters.of(task),
        conditions={"factorial": Condition(fixed, settings)},
        name=f"{task}_factorial",
    )


def classical(config: Config) -> pd.DataFrame:
    """Reconstruct the test subjects without training.

    Settings are chosen by the mean NRMSE of the training subjects.

    Returns
    -------
    pandas.DataFrame
        One row per method and test subject: ``method``, ``setting``, ``case``, ``nrmse``
        (percent), ``psnr`` (dB), ``ssim``.
    """
    task = task_of(config.model_dump())
    rows = []
    for method, settings in task.classical().items():
        known = task.training_cases() if len(settings) > 1 else []
        errors = {
            setting: sum(measures(task, case, reconstruct(case))["nrmse"] for case in known)
            for setting, reconstruct in settings.items()
        }
        best = min(errors, key=errors.__getitem__)
        rows += [
            {"method": method, "setting": best, "case": case.identity}
            | measures(task, case, settings[best](case))
            for case in task.test_cases()
        ]
    return pd.DataFrame(rows)


def losses(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Give the loss of every step: columns ``condition``, ``trial``, ``step`` and ``loss``.

    Raises
    ------
    InputError
        If no trial ended well.
    """
    _first(results)
    tables = []
    for _, each in _ended_well(results).iterrows():
        kept = load_file(_folder(study, each["trial"]) / "losses.safetensors")["losses"].ravel()
        steps = np.arange(1, len(kept) + 1)
        tables.append(
            pd.DataFrame({"step": steps, "loss": kept}).assign(
                condition=each["condition"], trial=each["trial"]
            )
        )
    return pd.concat(tables, ignore_index=True)


def differences(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Compare the images of every trial with those of the baseline's first.

    Parameters
    ----------
    study
        What was run.
    results
        Its results.

    Returns
    -------
    pandas.DataFrame
        One row per trial that ended well and test subject: ``condition``, ``trial``, ``case``,
        ``difference`` (NRMSE against the baseline in percent), ``largest`` (largest absolute
        difference, in the unit of the image), both inside the brain and of what is compared with
        the truth too, and ``equal`` (the whole image, bit for bit).

    Raises
    ------
    InputError
        If no trial of the baseline ended well.
    """
    task = _task(study)
    cases = task.test_cases()
    known = kept_images(_folder(study, _first(results)), cases)
    rows = []
    for _, each in _ended_well(results).iterrows():
        found = kept_images(_folder(study, each["trial"]), cases)
        rows += [
            {"condition": each["condition"], "trial": each["trial"], "case": case.identity}
            | _difference(task, case, known[case.identity], found[case.identity])
            for case in cases
        ]
    return pd.DataFrame(rows)


def pictures(study: Study, results: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Give the middle slice of the first test subject: truth, baseline, and each source's change.

    Returns
    -------
    dict
        Real images by name: ``"truth"``, ``"baseline"``, and the difference from the baseline of
        the last network of every source that changed a bit of the slice.
    """
    task = _task(study)
    case = task.test_cases()[0]

    def image(trial: str) -> NDArray[np.float64]:
        found = kept_images(_folder(study, trial), [case])
        return np.asarray(task.compared(found[case.identity], case))

    well = _ended_well(results).groupby("condition", sort=False)["trial"].last()
    baseline = image(_first(results))
    middle = len(baseline) // 2
    shown = {"truth": task.compared(case.truth, case), BASELINE: baseline}
    for name, trial in well.drop(BASELINE).items():
        change = image(trial) - baseline
        if change[middle].any():
            shown[str(name)] = change
    return {name: image[middle] for name, image in shown.items()}


def _difference(task: Task, case: Case, known: Image, found: Image) -> dict[str, object]:
    before, after = task.compared(known, case), task.compared(found, case)
    return {
        "difference": nrmse(before, after, mask=case.brain),
        "largest": float(np.abs(after - before)[case.brain].max()),
        "equal": known.dtype == found.dtype and known.tobytes() == found.tobytes(),
    }


def _training_conditions(parameters: Parameters) -> dict[str, Condition]:
    """Give the baseline, and each of the six sources changed alone."""
    base, count = parameters.baseline(), parameters.networks
    drawn = drawn_seeds(parameters.seed, count)

    def changed(settings: Sequence[Mapping[str, Level]]) -> Condition:
        names = {name for setting in settings for name in setting}
        return Condition({n: v for n, v in base.items() if n not in names}, settings)

    def switched(name: str) -> Condition:
        return Condition({**base, name: not base[name]}, repeats=count)

    types = [name for name in DTYPES if name != base["dtype"]]
    on_gpu = {"convolution benchmarking": switched("cudnn_benchmark")}
    return {
        BASELINE: Condition(base, repeats=2),
        "hardware": on_other_hardware(base, count),
        **(on_gpu if base["device"] != "cpu" else {}),
        "convolution determinism": switched("deterministic"),
        **{f"data type {name}": Condition({**base, "dtype": name}) for name in types},
        "mini-batch order": changed([{"batch_order": number} for number in drawn]),
        "weight initialisation": changed([{"init": number} for number in drawn]),
    }


def _lacking(conditions: Mapping[str, Condition]) -> dict[str, NotAvailableError]:
    """Give the conditions that this machine lacks, and why."""
    found = {}
    for name, condition in conditions.items():
        try:
            list(condition.settings())
        except NotAvailableError as error:
            found[name] = error
    return found


def _available(conditions: Mapping[str, Condition]) -> dict[str, Condition]:
    lacking = _lacking(conditions)
    if BASELINE in lacking:
        raise lacking[BASELINE]
    return {name: each for name, each in conditions.items() if name not in lacking}


def _task(study: Study) -> Task:
    config = study.trials[0].config
    training = config.get("training", config)
    return task_of(training)  # type: ignore[arg-type]


def _ended_well(results: pd.DataFrame) -> pd.DataFrame:
    return results[results["status"] == "ok"].drop_duplicates(["condition", "trial"])


def _first(results: pd.DataFrame) -> str:
    """Give the first trial of the baseline that ended well."""
    well = _ended_well(results)
    chosen = well.loc[well["condition"] == BASELINE, "trial"]
    if chosen.empty:
        raise InputError("no trial of the baseline ended well: there is nothing to compare with.")
    return str(chosen.iloc[0])


def _folder(study: Study, trial: str) -> Path:
    return study.folder / "trials" / trial
