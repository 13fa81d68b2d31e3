"""Do frameworks repeat, and what is different between them? After Alahmari et al. (2020).

The same LeNet-5 is trained in PyTorch and in Keras 3 on TensorFlow, JAX and PyTorch, from the same
weights on the same batches: seven times in each regime. And what differs between libraries is
changed one by one: the rule of the initial weights, the order of the batches, the formula of Adam
and its epsilon, and the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reprostats.experiments.by_framework import TITLES, framework_report, installed
from reprostats.experiments.lenet import commonest_share, train_lenet
from reprostats.experiments.regimes import drawn_seeds
from reprostats.records.tensors import read_tensors
from reprostats.report.libraries import distance_table
from reprostats.report.repeatability import CLASSIFICATION
from reprostats.report.tables import Table
from reprostats.sources import Level, seeds
from reprostats.study.folder import trial_folder
from reprostats.study.plan import Condition
from reprostats.study.results import is_completed, trials_of
from reprostats.study.study import Study
from reprostats.verdicts.report import Report

if TYPE_CHECKING:
    import torch

    from reprostats.experiments.repeatability import RepeatabilityParameters

REFERENCE = "PyTorch"
ARITHMETIC = "arithmetic: two threads"
# Each row but the first differs from it in one thing. None is named after a library: Keras draws
# from Equation 1, whatever the paper prints.
_ONE_BY_ONE: dict[str, dict[str, Level]] = {
    REFERENCE: {},
    "weights: Equation 2 (as printed)": {"initialiser": "alahmari_equation_2"},
    "weights: PyTorch's rule": {"initialiser": "pytorch"},
    "Adam: epsilon 1e-7": {"adam_epsilon": 1e-7},
    "Adam: Keras's formula, epsilon 1e-8": {"adam": "keras"},
    "Adam: Keras's formula, epsilon 1e-7": {"adam": "keras", "adam_epsilon": 1e-7},
}


def library_conditions(parameters: RepeatabilityParameters) -> dict[str, Condition]:
    """Plan what differs between libraries, one by one, with seeds that all conditions share.

    The arithmetic is changed in two ways: by the number of threads, and by each framework that is
    installed, with PyTorch's formula of Adam.

    Examples
    --------
    >>> from reprostats.experiments.repeatability import RepeatabilityParameters
    >>> list(library_conditions(RepeatabilityParameters(frameworks=("torch",))))[-2:]
    ['order of the batches', 'arithmetic: two threads']
    """
    drawn = [seeds(number) for number in drawn_seeds(parameters.seed, parameters.pairs)]
    base: dict[str, Level] = {
        "threads": parameters.threads,
        "device": parameters.device,
        "deterministic": True,
        "initialiser": "glorot_uniform",
        "adam": "pytorch",
        "adam_epsilon": 1e-8,
    }
    conditions = {name: Condition(base | levels, drawn) for name, levels in _ONE_BY_ONE.items()}
    # The next seed of the list: the same orders, each with other weights.
    shifted = [
        {**own, "batch_order": other["batch_order"]}
        for own, other in zip(drawn, drawn[1:] + drawn[:1], strict=True)
    ]
    conditions["order of the batches"] = Condition(base, shifted)
    conditions[ARITHMETIC] = Condition(base | {"threads": parameters.threads + 1}, drawn)
    for name in installed(parameters.frameworks)[1:]:
        title = f"arithmetic: {TITLES[name]}"
        conditions[title] = Condition(base | {"framework": name}, drawn)
    return conditions


def distances(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Measure how far the weights of trials are from those of the reference with the same seed.

    Parameters
    ----------
    study
        Of `library_conditions`.
    results
        Its results table.

    Returns
    -------
    DataFrame
        A row for each completed trial whose reference completed too: ``condition``, ``seed``,
        ``initial`` and ``trained``; see `reprostats.report.libraries.distance_table`.
    """
    trials = trials_of(results)
    ended = trials[is_completed(trials)]
    is_reference = ended["condition"] == REFERENCE
    reference = ended.loc[is_reference, ["init", "trial"]].rename(columns={"trial": "reference"})
    pairs = ended[~is_reference].merge(reference, on="init")
    rows = [
        {
            "condition": pair["condition"],
            "seed": pair["init"],
            **_distances(study.folder, pair["trial"], pair["reference"]),
        }
        for pair in pairs[["condition", "init", "trial", "reference"]].to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["condition", "seed", "initial", "trained"])


def library_distance_table(study: Study, results: pd.DataFrame) -> Table:
    """Return the table of `distances`."""
    return distance_table(distances(study, results), ARITHMETIC)


def report(parameters: RepeatabilityParameters) -> Report | None:
    """Run what is missing, and report on it.

    Returns
    -------
    Report or None
        The common report on the accuracy; beside it ``framework_repeats`` (does each framework
        repeat, within and across regimes), ``framework_trials`` (Table 7) and ``framework_times``
        (Table 6). None where no framework is installed beside PyTorch.
    """
    return framework_report(
        train_lenet,
        parameters.training().model_dump(),
        parameters,
        CLASSIFICATION,
        name="frameworks",
        metric="accuracy",
        margin=parameters.margin,
        trivial_value=commonest_share(parameters.dataset),
        title="Do frameworks repeat?",
    )


def _distances(folder: Path, trial: str, reference: str) -> dict[str, float]:
    return {
        column: _relative_distance(
            *(read_tensors(trial_folder(folder, each), name) for each in (trial, reference))
        )
        for column, name in (("initial", "initial_weights"), ("trained", "weights"))
    }


def _relative_distance(
    weights: Mapping[str, torch.Tensor], reference: Mapping[str, torch.Tensor]
) -> float:
    """Return the norm of the difference over that of the reference, of all weights together."""
    squares = [
        ((weights[name].double() - value.double()).square().sum(), value.double().square().sum())
        for name, value in reference.items()
    ]
    differing, whole = (sum(float(part) for part in parts) for parts in zip(*squares, strict=True))
    return math.sqrt(differing / whole)
