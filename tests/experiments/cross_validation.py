"""Results of repeated cross-validations, made of random numbers: nothing is trained."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from reprostats.records.record import TrialRecord
from reprostats.sources import complete_levels
from reprostats.study.recorded_table import RecordedTrial, results_table
from reprostats.study.trial import Trial

FOLDS = 3
CASES = {f"p{number:02d}": number % FOLDS for number in range(12)}


def trial(condition, init, fold, dice, *, status="ok", repeat=0, weights=None, **levels):
    """Make one fold of one repetition; ``weights`` stands for the hash of what was trained."""
    is_completed = status == "ok"
    record = TrialRecord(
        function="m:f", code="c", config={}, levels=complete_levels({"init": init} | levels),
        repeat=repeat, fold=fold, status=status, reason="" if is_completed else "it broke",
        metrics=[("dice", case, value) for case, value in dice.items()] if is_completed else [],
        fingerprints={} if weights is None else {"weights": weights},
        times={"training": 10.0 + fold, "testing": 1.0},
    )  # fmt: skip
    return RecordedTrial(condition, f"{condition}-{init}-{repeat}-{fold}", record)


def cross_validation(condition, init, value: Callable[[str], float], **more):
    """Make one repetition; ``value`` gives the value of a case."""
    return [
        trial(
            condition, init, fold,
            {case: value(case) for case, home in CASES.items() if home == fold}, **more,
        )
        for fold in range(FOLDS)
    ]  # fmt: skip


def table(trials: Sequence[RecordedTrial]) -> pd.DataFrame:
    return results_table("study", trials)


def copies(n_repetitions: int, conditions: Sequence[str] = ("one",)) -> pd.DataFrame:
    """Repeat one cross-validation bit for bit: all seeds are kept, as in the paper."""
    generator = np.random.default_rng(4)
    values = dict(zip(CASES, generator.normal(0.9, 0.03, len(CASES)), strict=True))
    return table(
        [
            fold
            for condition in conditions
            for repeat in range(n_repetitions)
            for fold in cross_validation(condition, 7, values.__getitem__, repeat=repeat)
        ]
    )


def simulated(
    n_repetitions: int = 3,
    *,
    conditions: Sequence[str] = ("one", "two"),
    shift: float = 0.0,
    case_sd: float = 0.02,
    run_sd: float = 0.005,
    training_sd: float = 0.0,
    network_sd: float = 0.0,
    residual_sd: float = 0.002,
    seed: int = 1,
) -> pd.DataFrame:
    """Draw the values of conditions whose repetitions share their seeds.

    A value is the sum of: its case (``case_sd``), its seeds in all conditions (``run_sd``), its
    repetition of its condition (``training_sd``), its network, one fold of that
    (``network_sd``), and a rest (``residual_sd``). The second condition differs by ``shift``.
    """
    generator = np.random.default_rng(seed)
    folds = np.array(list(CASES.values()))
    cases = generator.normal(0.9, case_sd, len(CASES))
    runs = generator.normal(0, run_sd, n_repetitions)
    trials = []
    for place, condition in enumerate(conditions):
        for run in range(n_repetitions):
            values = cases + runs[run] + generator.normal(0, training_sd) + place * shift
            values += generator.normal(0, network_sd, FOLDS)[folds]
            values += generator.normal(0, residual_sd, len(CASES))
            by_case = dict(zip(CASES, values, strict=True))
            trials += cross_validation(condition, run, by_case.__getitem__)
    return table(trials)


def pretend(trial: Trial) -> dict[str, dict[str, float]]:
    """Stand in for a training: the network of a fold is a random number."""
    generator = trial.generator("init")
    with trial.timed("training"):
        network = float(generator.normal(0.8, 0.02))
    return {"dice": {c: network for c, home in CASES.items() if home == trial.fold}}
