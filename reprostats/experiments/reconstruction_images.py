"""What trials reconstructed: their images beside the baseline's, and beside classical methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError
from reprostats.experiments.reconstruction_task import (
    Image,
    ReconstructionCase,
    ReconstructionTask,
)
from reprostats.experiments.reconstruction_trial import kept_images, measures, task_of
from reprostats.metrics.reconstruction import nrmse
from reprostats.study.folder import trial_folder
from reprostats.study.results import commonest_reason, is_completed, trials_of
from reprostats.study.study import Study

BASELINE = "baseline"


def differences(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Compare the images of every completed trial with those of the baseline's first.

    Parameters
    ----------
    study
        What was run.
    results
        Its results.

    Returns
    -------
    pandas.DataFrame
        One row per completed trial and test case: ``condition``, ``trial``, ``case``,
        ``difference`` (NRMSE against the baseline's image in percent), ``largest`` (largest
        absolute difference, in the unit of the image), both inside the brain and of what is
        compared with the truth too, and ``equal`` (the whole image, bit for bit).

    Raises
    ------
    InputError
        If no trial of the baseline completed.
    """
    task = task_of_study(study)
    cases = task.test_cases()
    reference = kept_images(_folder(study, first_of_baseline(results)), cases)
    rows = []
    for row in _completed_trials(results).itertuples():
        images = kept_images(_folder(study, str(row.trial)), cases)
        rows += [
            {"condition": row.condition, "trial": row.trial, "case": case.identity}
            | _difference(task, case, reference[case.identity], images[case.identity])
            for case in cases
        ]
    return pd.DataFrame(rows)


def slices(study: Study, results: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Take the middle slice of the first test case: truth, baseline, and what each source changes.

    Returns
    -------
    dict
        Real images by name: ``"truth"``, ``"baseline"``, and the difference from the baseline of
        the last network of every source that changed a bit of the slice.
    """
    task = task_of_study(study)
    case = task.test_cases()[0]

    def compared(trial: str) -> NDArray[np.float64]:
        kept = kept_images(_folder(study, trial), [case])
        return np.asarray(task.compared(kept[case.identity], case))

    baseline = compared(first_of_baseline(results))
    middle = len(baseline) // 2
    shown = {"truth": task.compared(case.truth, case)[middle], BASELINE: baseline[middle]}
    last = _completed_trials(results).groupby("condition", sort=False)["trial"].last()
    for name, trial in last.drop(BASELINE).items():
        change = compared(trial)[middle] - baseline[middle]
        if change.any():
            shown[str(name)] = change
    return shown


def classical(task: ReconstructionTask) -> pd.DataFrame:
    """Reconstruct the test cases without training.

    Settings are chosen by the mean NRMSE of the training cases.

    Returns
    -------
    pandas.DataFrame
        One row per method and test case: ``method``, ``setting``, ``case``, ``nrmse``
        (percent), ``psnr`` (dB), ``ssim``.
    """
    rows = []
    for method, settings in task.classical().items():
        training_cases = task.training_cases() if len(settings) > 1 else []
        errors = {
            setting: sum(measures(task, c, reconstruct(c))["nrmse"] for c in training_cases)
            for setting, reconstruct in settings.items()
        }
        best = min(errors, key=errors.__getitem__)
        rows += [
            {"method": method, "setting": best, "case": case.identity}
            | measures(task, case, settings[best](case))
            for case in task.test_cases()
        ]
    return pd.DataFrame(rows)


def task_of_study(study: Study) -> ReconstructionTask:
    """Make the task of a study that trains, or that uses a trained network."""
    config = study.config
    return task_of(config.get("training", config))


def first_of_baseline(results: pd.DataFrame) -> str:
    """Return the first completed trial of the baseline.

    Raises
    ------
    InputError
        If there is none; the message gives the commonest reason.
    """
    trials = _completed_trials(results)
    chosen = trials.loc[trials["condition"] == BASELINE, "trial"]
    if chosen.empty:
        raise InputError(
            "no trial of the baseline completed: there is nothing to compare with. "
            f"{commonest_reason(results)}".rstrip()
        )
    return str(chosen.iloc[0])


def _completed_trials(results: pd.DataFrame) -> pd.DataFrame:
    trials = trials_of(results)
    return trials[is_completed(trials)]


def _difference(
    task: ReconstructionTask, case: ReconstructionCase, reference: Image, image: Image
) -> dict[str, object]:
    before, after = task.compared(reference, case), task.compared(image, case)
    return {
        "difference": nrmse(before, after, mask=case.brain),
        "largest": float(np.abs(after - before)[case.brain].max()),
        "equal": reference.dtype == image.dtype and reference.tobytes() == image.tobytes(),
    }


def _folder(study: Study, trial: str) -> Path:
    return trial_folder(study.folder, trial)
