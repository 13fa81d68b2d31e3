"""Your own results, your own script and your own training function, each to a report.

Three ways lead into the same report: a file or folder of results that is there already, a program
that is started as it is, and a function that takes a trial.
"""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reprostats import paths
from reprostats.importers import read_results
from reprostats.study.study import Study
from reprostats.study.study_file import read_study_file
from reprostats.train.extensions import find
from reprostats.verdicts.report import Report, verdict


class YourOwnParameters(BaseModel):
    """The parameters of the notebook: where your results, script and function are.

    Parameters
    ----------
    folder
        In which the others are looked for; empty: the examples that come with the notebook.
    results
        A file or folder of results; `reprostats.read_results` reads many formats.
    answers
        What the files do not tell, by the arguments of `reprostats.read_results`, such as
        ``{"run": "seed"}``.
    metric
        Of the results, that is asked about.
    margin
        Largest difference of that metric that does not matter, in its own unit; None: nothing is
        said of equivalence.
    study
        A file that says how a script is started: see `reprostats.study.study_file.StudyFile`.
    trainer
        A training function, ``module:function`` or ``file.py:function``.
    trainer_config, trainer_varied
        Its config, and what is varied; see `reprostats.Study`.
    trainer_metric, trainer_margin, trainer_trivial_value
        What is asked of it; see `reprostats.verdict`.
    workers
        Trials at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str = ""
    results: str = "dice.csv"
    answers: dict[str, Any] = {}
    metric: str = "dice"
    margin: float | None = Field(default=0.01, gt=0)
    study: str = "study.yaml"
    trainer: str = "own_trainer:train"
    trainer_config: dict[str, Any] = {"learning_rate": 0.01, "width": 8}
    trainer_varied: dict[str, list[Any]] | list[dict[str, Any]] = {
        "learning_rate": [0.01, 0.001],
        "init": [0, 1, 2, 3],
    }
    trainer_metric: str = "accuracy"
    trainer_margin: float | None = Field(default=0.02, gt=0)
    trainer_trivial_value: float | None = 0.63
    workers: int = Field(default=2, ge=1)

    @property
    def place(self) -> Path:
        """The folder, whole."""
        return Path(self.folder).resolve() if self.folder else paths.checkout("data", "examples")


def report_on_results(parameters: YourOwnParameters) -> Report:
    """Read the results, and report on them.

    Raises
    ------
    InputError
        If they cannot be read, or something must be said of them; the message has the argument.
    """
    imported = read_results(parameters.place / parameters.results, **parameters.answers)
    return verdict(imported, metric=parameters.metric, margin=parameters.margin)


def report_on_script(parameters: YourOwnParameters) -> Report:
    """Start the script for every trial that has no record yet, and report on all.

    Raises
    ------
    InputError
        If the file of the study is wrong, or no trial completed.
    """
    path = parameters.place / parameters.study
    with chdir(path.parent):
        file, study = read_study_file(Path(path.name))
        study.run(workers=parameters.workers)
        return study.report(**file.asked)


def report_on_trainer(parameters: YourOwnParameters) -> Report:
    """Run the trials of the training function that have no record yet, and report on all.

    Raises
    ------
    InputError
        If there is no such function, it does not fit its config, or no trial completed.
    """
    function = find("function", parameters.trainer, parameters.place)
    study = Study(function, config=parameters.trainer_config, varied=parameters.trainer_varied)
    study.run(workers=parameters.workers)
    return study.report(
        metric=parameters.trainer_metric,
        margin=parameters.trainer_margin,
        trivial_value=parameters.trainer_trivial_value,
    )
