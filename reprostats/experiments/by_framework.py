"""Trainings of one task in all frameworks and regimes: what is planned, and the tables of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from reprostats.experiments.available import available
from reprostats.experiments.regimes import Regimes
from reprostats.report.libraries import (
    availability_table,
    repeats_table,
    times_table,
    trials_table,
)
from reprostats.report.repeatability import Measures
from reprostats.report.tables import Table
from reprostats.sources import Level, missing_frameworks, seeds
from reprostats.study.plan import Condition
from reprostats.study.study import Study
from reprostats.study.tracing import TrialFunction
from reprostats.verdicts.report import Report

Framework = Literal["torch", "tensorflow", "jax", "keras-torch"]
FrameworkRegime = Literal["seeded", "more threads", "deterministic", "inverted flags"]

TITLES: dict[str, str] = {
    "torch": "PyTorch",
    "tensorflow": "Keras on TensorFlow",
    "jax": "Keras on JAX",
    "keras-torch": "Keras on PyTorch",
}
"""What the frameworks are called in tables."""


class Frameworks(Regimes):
    """How a training is repeated (`Regimes`), and in which frameworks.

    Parameters
    ----------
    frameworks
        What is compared: PyTorch itself, and Keras on its backends, as far as they are installed.
    framework_trials
        Trials of each framework in each regime; 7 in the paper.
    framework_regimes
        ``"seeded"``; ``"more threads"``, one more than ``threads``; ``"deterministic"``; and
        ``"inverted flags"``: cuDNN may choose its algorithms by a race, and need not take
        deterministic ones, which takes a GPU.
    framework_epochs
        Passes over the training samples; None for as many as in the other trials.
    """

    frameworks: tuple[Framework, ...] = ("torch", "tensorflow", "jax", "keras-torch")
    framework_trials: int = Field(default=7, ge=2)
    framework_regimes: tuple[FrameworkRegime, ...] = ("seeded", "more threads")
    framework_epochs: int | None = Field(default=2, ge=1)


def framework_study(
    function: TrialFunction, config: Mapping[str, Any], parameters: Frameworks, name: str
) -> tuple[Study | None, dict[str, str]]:
    """Plan the trainings of all frameworks in all regimes, each with its own formula of Adam.

    Parameters
    ----------
    function, config, name
        Of the study; the config has ``epochs``.
    parameters
        What is compared.

    Returns
    -------
    tuple
        The study, None where no framework is installed beside PyTorch; and the reasons by the name
        of each condition that this machine cannot give.
    """
    conditions = {
        _condition_name(framework, regime): Condition(
            {**levels, "adam": _own_adam(framework), "framework": framework},
            repeats=parameters.framework_trials,
        )
        for framework in parameters.frameworks
        for regime, levels in _regimes(parameters).items()
    }
    possible, missing = available(conditions)
    reasons = {name: str(error) for name, error in missing.items()}
    if len(installed(parameters.frameworks)) == 1:
        return None, reasons
    epochs = parameters.framework_epochs or config["epochs"]
    study = Study(function, config={**config, "epochs": epochs}, conditions=possible, name=name)
    return study, reasons


def installed(frameworks: tuple[Framework, ...]) -> list[Framework]:
    """Return PyTorch, and the frameworks beside it that are asked for and installed.

    Examples
    --------
    >>> installed(("torch",))
    ['torch']
    """
    missing = missing_frameworks()
    others = [name for name in frameworks if name != "torch" and name not in missing]
    return ["torch", *others]


def availability(parameters: Frameworks) -> Table:
    """Say which of the frameworks that are asked for this machine has."""
    return availability_table(missing_frameworks(), list(parameters.frameworks))


def framework_tables(
    results: pd.DataFrame, parameters: Frameworks, missing: Mapping[str, str], measures: Measures
) -> list[Table]:
    """Return the tables of a study of `framework_study`.

    Parameters
    ----------
    results, parameters, missing
        Of the study.
    measures
        What is shown of each trial.
    """
    parts = {
        _condition_name(framework, regime): (TITLES[framework], regime)
        for framework in parameters.frameworks
        for regime in parameters.framework_regimes
    }
    return [
        repeats_table(results, parts, missing, measures),
        trials_table(results, parts, measures),
        times_table(results, parts),
    ]


def framework_report(
    function: TrialFunction,
    config: Mapping[str, Any],
    parameters: Frameworks,
    measures: Measures,
    *,
    name: str,
    **asked: Any,
) -> Report | None:
    """Run a task in all frameworks and regimes, and report on it.

    Parameters
    ----------
    function, config, parameters, name
        As of `framework_study`.
    measures
        As of `framework_tables`.
    **asked
        As of `reprostats.Study.report`.

    Returns
    -------
    Report or None
        The common report with the tables of `framework_tables`; None where no framework is
        installed beside PyTorch.
    """
    study, missing = framework_study(function, config, parameters, name)
    if study is None:
        return None
    results = study.run(workers=parameters.workers)
    tables = framework_tables(results, parameters, missing, measures)
    return study.report(**asked).extended(tables=tables)


def _condition_name(framework: str, regime: str) -> str:
    return f"{TITLES[framework]}, {regime}"


def _own_adam(framework: str) -> Level:
    return "pytorch" if framework == "torch" else "keras"


def _regimes(parameters: Frameworks) -> dict[str, dict[str, Level]]:
    """Return the regimes that are asked for, by name."""
    seeded: dict[str, Level] = {
        **parameters.always(),
        **seeds(parameters.seed),
        "threads": parameters.threads,
    }
    every: dict[str, dict[str, Level]] = {
        "seeded": seeded,
        "more threads": {**seeded, "threads": parameters.threads + 1},
        "deterministic": {**seeded, "deterministic": True},
        "inverted flags": {**seeded, "cudnn_benchmark": True},
    }
    return {name: every[name] for name in parameters.framework_regimes}
