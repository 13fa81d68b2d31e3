"""Does counting cells repeat? A U-Net with unbiased stereology, after Alahmari et al. (2020).

The same four conditions as for classification (`reprostats.experiments.regimes`), seven trials in
each. What a trial is stands in `reprostats.experiments.counting_trial`.

Alahmari, Goldgof, Mouton, Hall: Challenges for the repeatability of deep learning models.
IEEE Access 8 (2020), doi:10.1109/ACCESS.2020.3039833.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from pydantic import Field

from reprostats.experiments import by_framework
from reprostats.experiments.by_framework import Framework, Frameworks
from reprostats.experiments.counting_trial import CountingConfig, cell_pictures, train_counter
from reprostats.experiments.regimes import regimes
from reprostats.report.counting import (
    COUNTING,
    CellPicture,
    cells_figure,
    masks_figure,
    measure_table,
    perfect_mask_table,
    trial_table,
)
from reprostats.report.figure import Figure
from reprostats.study.folder import trial_folder
from reprostats.study.results import completed
from reprostats.study.study import Study
from reprostats.verdicts.report import Report, verdict

# A network that marks nothing counts no cell: the error of the count is then 100 %.
_NOTHING_COUNTED = 100.0
_FIELDS_SHOWN = 2


class CountingParameters(CountingConfig, Frameworks):
    """What is trained (`CountingConfig`), and how it is repeated (`Frameworks`).

    Parameters
    ----------
    margin
        Largest difference of the error rate that does not matter, in percentage points.
    """

    frameworks: tuple[Framework, ...] = ("torch",)
    framework_epochs: int | None = Field(default=None, ge=1)
    margin: float = Field(default=5.0, gt=0)

    def training(self) -> CountingConfig:
        """Return the part that every trial shares."""
        return CountingConfig(**self.model_dump(include=set(CountingConfig.model_fields)))


def studies(parameters: CountingParameters) -> dict[str, Study]:
    """Plan the study of the four conditions, by its name.

    Examples
    --------
    >>> len(studies(CountingParameters(trials=2))["counting"].trials)
    8
    """
    study = Study(
        train_counter,
        config=parameters.training(),
        conditions=regimes(parameters),
        name="counting",
    )
    return {study.name: study}


def report(parameters: CountingParameters) -> Report:
    """Run what is missing, and report on it.

    Returns
    -------
    Report
        The common report on the error rate of the count, whose table ``times`` is Table 2 of the
        paper and whose figure ``values`` is its Figure 2 or 5, depending on the initialiser. Beside
        it ``counting_trials`` and ``counting_measures`` (Tables 3 to 5), ``counting_perfect_mask``,
        and the figures ``values_separated`` (the same cells after touching ones were separated)
        and, where test fields are fixed, ``counting_cells`` (what the first trial marked) and
        ``counting_two_networks`` (two trials without a fixed seed side by side, as in Figure 4).
    """
    (study,) = studies(parameters).values()
    results = study.run(workers=parameters.workers)
    common = study.report(
        metric="error_rate",
        margin=parameters.margin,
        baseline="unseeded",
        trivial_value=_NOTHING_COUNTED,
        title="Does counting cells repeat?",
    )
    return common.extended(
        tables=[trial_table(results), measure_table(results), perfect_mask_table(results)],
        figures=[_separated(results), *_cells(parameters, study, results)],
    )


def framework_report(parameters: CountingParameters) -> Report | None:
    """Run the U-Net in all frameworks, and report on it.

    Returns
    -------
    Report or None
        The common report on the error rate; beside it ``framework_repeats``,
        ``framework_trials`` (Tables 3 to 5 of the paper) and ``framework_times`` (Table 2). None
        where ``frameworks`` names none beside PyTorch, as by default, or none is installed.
    """
    return by_framework.framework_report(
        train_counter,
        parameters.training().model_dump(mode="json"),
        parameters,
        COUNTING,
        name="counting_frameworks",
        metric="error_rate",
        margin=parameters.margin,
        trivial_value=_NOTHING_COUNTED,
        title="Do frameworks count alike?",
    )


def _separated(results: pd.DataFrame) -> Figure:
    """Draw the error rate that is left after touching cells were separated."""
    figure = verdict(results, metric="error_rate_separated").figures["values"]
    return replace(figure, name="values_separated")


def _cells(parameters: CountingParameters, study: Study, results: pd.DataFrame) -> list[Figure]:
    """Draw what the first completed trial found; test fields drawn at random are not kept."""
    if parameters.held_out != "fixed":
        return []
    trials = completed(results).drop_duplicates("trial")
    pictures = _pictures(parameters, study, str(trials["trial"].iloc[0]))
    shown = [cells_figure(pictures[:_FIELDS_SHOWN])]
    unseeded = list(trials.loc[trials["condition"] == "unseeded", "trial"])
    if len(unseeded) > 1:
        first, second = (_pictures(parameters, study, trial) for trial in unseeded[:2])
        shown.append(masks_figure(first, second))
    return shown


def _pictures(parameters: CountingParameters, study: Study, trial: str) -> list[CellPicture]:
    """Show again what a trial found."""
    return cell_pictures(parameters.training(), trial_folder(study.folder, trial))
