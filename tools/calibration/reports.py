"""How often the verdicts of the experiments' reports err, from record to verdict.

The trials are those that each experiment plans. Their values are drawn instead of trained: a value
is the sum of a case, of what the seeds do, of condition x case, of what the computing does beside
the seeds (nothing, if the trial is deterministic), and a residual. All conditions are equal; or all
differ from the baseline by the margin. Then the report's comparisons are asked. A study errs if one
of them finds a difference, or equivalence at the margin.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from reprostats import Study
from reprostats.experiments import counting, data_parallel, monte_carlo, reconstruction
from reprostats.experiments import repeatability as repeatable
from reprostats.experiments.data_parallel_parameters import DataParallelParameters, baseline_of
from reprostats.records.checksum import digest
from reprostats.records.record import WHOLE, TrialRecord
from reprostats.report.tables import Table
from reprostats.sources import STREAMS
from reprostats.stats.algorithms import GENERALISATIONS, GeneraliseTo
from reprostats.study.plan import PlannedTrial
from reprostats.study.recorded_table import RecordedTrial, results_table
from reprostats.verdicts.comparison import ask_comparison
from reprostats.verdicts.evidence import gather

REPORTS = {  # whether their metric is measured by case
    "Monte-Carlo cross-validation": True,
    "MR reconstruction": True,
    "data parallel": True,
    "repeatability": False,
    "counting": False,
}
DESIGNS: list[tuple[str, float, GeneraliseTo]] = [
    (name, difference, generalise_to)
    for name, has_cases in REPORTS.items()
    for difference, generalise_to in product((0.0, 1.0), GENERALISATIONS)
    if has_cases or generalise_to == "runs"
]
REPEATS = 400
FIRST = 20  # studies; if none of them compares anything, no other will
N_CASES = 24
# Standard deviations, in units of what the seeds do.
CASE, PAIR, COMPUTING, RESIDUAL = 3.0, 0.5, 0.3, 1.5
MARGIN = 3.0


@dataclass(frozen=True)
class Simulated:
    """A report: its study, and what its verdicts are about."""

    study: Study
    metric: str
    middle: float
    seed_sd: float
    baseline: str | None
    has_cases: bool


def reports() -> dict[str, Simulated]:
    """Plan the study of each report with five trainings a condition or more."""
    parallel = DataParallelParameters(
        policies=("constant", "linear", "GreScale"), world_sizes=(1, 4), repeats=5
    )
    images = reconstruction.ReconstructionParameters(networks=5)
    return {
        "Monte-Carlo cross-validation": Simulated(
            monte_carlo.studies(
                monte_carlo.MonteCarloParameters(repeats=5, conditions={"A": {}, "B": {}})
            )["monte_carlo"],
            "dice", 0.85, 0.01, "A", has_cases=True,
        ),
        "MR reconstruction": Simulated(
            reconstruction.studies(images, "parallel_imaging")["sources"],
            "nrmse", 10.0, 0.3, reconstruction.BASELINE, has_cases=True,
        ),
        "data parallel": Simulated(
            data_parallel.studies(parallel)["data_parallel"],
            "dice", 0.85, 0.01, baseline_of(parallel).condition, has_cases=True,
        ),
        "repeatability": Simulated(
            repeatable.studies(repeatable.RepeatabilityParameters(trials=7))["repeatability"],
            "accuracy", 0.95, 0.004, "unseeded", has_cases=False,
        ),
        "counting": Simulated(
            counting.studies(counting.CountingParameters(trials=7))["counting"],
            "error_rate", 12.0, 1.0, "unseeded", has_cases=False,
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What the values are drawn from.

    Parameters
    ----------
    difference
        Of every other condition to the baseline, in units of the margin.
    generalise_to
        For what the conditions differ by that. For these networks, trainings do not differ on
        average over cases; for these cases, the parts of condition x case add up to 0.
    """

    difference: float
    generalise_to: GeneraliseTo


def simulated_results(
    simulated: Simulated, truth: Truth, generator: np.random.Generator
) -> pd.DataFrame:
    """Draw the values of all trials of a study, and put them into its results table."""
    of_case = CASE * generator.normal(size=N_CASES)
    effects: dict[object, float] = {}

    def effect(sd: float, *key: object) -> float:
        return effects.setdefault(key, sd * generator.normal())

    def record(condition: str, trial: PlannedTrial) -> TrialRecord:
        seeds = [trial.levels[name] for name in STREAMS]
        training = trial.identity if "os" in seeds else digest(seeds)
        # Without determinism, one set-up does not give the same bits again.
        set_up = digest([trial.levels, trial.fold])
        computed = set_up if trial.levels["deterministic"] else trial.identity
        shift = effect(0.5**0.5, training) + effect(0.5**0.5, condition, training)
        shift += effect(COMPUTING, condition, computed)
        if truth.generalise_to == "cases":
            shift = 0.0
        if condition != simulated.baseline:
            shift += truth.difference * MARGIN
        pair = np.array([effect(PAIR, condition, k) for k in range(N_CASES)])
        if truth.generalise_to == "runs":
            pair -= pair.mean()
        rest = np.array([effect(RESIDUAL, condition, computed, k) for k in range(N_CASES)])
        values = simulated.middle + simulated.seed_sd * (of_case + shift + pair + rest)
        fold, folds = trial.fold or 0, 1 if trial.fold is None else n_folds
        cases = [f"case {k}" for k in range(N_CASES)] if simulated.has_cases else [WHOLE]
        metrics = [
            (simulated.metric, case, float(values[k]))
            for k, case in enumerate(cases)
            if k % folds == fold
        ]
        return TrialRecord(
            function=trial.function,
            code=trial.code,
            config=dict(trial.config),
            levels=dict(trial.levels),
            repeat=trial.repeat,
            fold=trial.fold,
            metrics=metrics,
            fingerprints={"weights": digest([training, computed, condition])},
        )

    planned = simulated.study.planned
    n_folds = len({trial.fold for trials in planned.values() for trial in trials})
    recorded = [
        RecordedTrial(condition, trial.identity, record(condition, trial))
        for condition, trials in planned.items()
        for trial in trials
    ]
    return results_table(simulated.study.name, recorded)


def errs(simulated: Simulated, truth: Truth, generator: np.random.Generator) -> tuple[bool, bool]:
    """Tell whether one study errs, and whether it makes any comparison at all."""
    results = simulated_results(simulated, truth, generator)
    evidence = gather(
        results,
        simulated.metric,
        margin=MARGIN * simulated.seed_sd,
        baseline=simulated.baseline,
    )
    asked = [
        v
        for v in ask_comparison(evidence)
        if v.generalise_to == truth.generalise_to and np.isfinite(v.p_value)
    ]
    if truth.difference:
        return any(v.equivalent for v in asked), bool(asked)
    return any(v.outcome not in ("undetermined", "not compared") for v in asked), bool(asked)


def simulate(design: tuple[str, float, GeneraliseTo]) -> dict[str, object]:
    """Count the studies of one report that err."""
    name, difference, generalise_to = design
    truth = Truth(difference, generalise_to)
    simulated = reports()[name]
    generator = np.random.default_rng([len(name), int(difference), len(generalise_to)])
    found: list[tuple[bool, bool]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while len(found) < REPEATS:
            found.append(errs(simulated, truth, generator))
            if len(found) == FIRST and not any(compared for _, compared in found):
                break
    return {
        "report": name,
        "generalise_to": generalise_to,
        "truth": "at the margin" if difference else "no difference",
        "studies": len(found),
        "compared": sum(compared for _, compared in found),
        "errors": sum(wrong for wrong, _ in found),
    }


def section(kept: pd.DataFrame) -> list[str]:
    """Write the section of the page from the results that are kept."""
    said = (
        "How often a verdict of a report is wrong, simulated from the records of trials to the "
        "verdicts: a difference where there is none, or equivalence of conditions that differ by "
        "the margin. At most 5 % is right; p values are adjusted over all comparisons of a report, "
        "so that a study errs if any of them does. Where no study makes a comparison, trainings of "
        "a condition share seeds that others vary, and the report says that nothing can be said."
    )
    return ["## Verdicts of the reports", said, _table(kept).markdown()]


def _table(kept: pd.DataFrame) -> Table:
    frame = kept.assign(rate=100 * kept["errors"] / kept["compared"].where(kept["compared"] > 0))
    return Table(
        "calibration_reports",
        frame,
        "Studies in which a verdict is wrong, in percent",
        {"rate": 1},
        f"{REPEATS} studies a row (standard error 1.1 percentage points at 5 %); fewer where none "
        f"of the first {FIRST} makes a comparison.",
        {
            "report": "Report", "generalise_to": "Generalised to", "truth": "True",
            "studies": "Studies", "compared": "With a comparison", "errors": "Wrong",
            "rate": "Wrong (%)",
        },
    )  # fmt: skip
