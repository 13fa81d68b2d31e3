"""The advisor against Optuna's TPE, with the same number of trainings.

Run it with ``python tests/benchmarks/bench_advisor.py [WORLD_SIZE]``. Both tune GreScale for so
many virtual workers (default: 8) on the simulated heads, from the same default settings, by the
mean Dice of the same validation patients over the same seeds; TPE gets as many runs as the advisor
took. What they came to is then trained with seeds that neither has seen, and compared seed by seed
with the baseline on one worker. TPE is random itself, so it searches several times.
"""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import optuna
import torch

from reprostats import paired_ttest
from reprostats.errors import DivergedError
from reprostats.experiments.advisor import tune
from reprostats.experiments.advisor_guideline import Guideline, Settings
from reprostats.experiments.data_parallel_advice import guideline_for
from reprostats.experiments.data_parallel_parameters import BASELINE, DataParallelParameters
from reprostats.experiments.rate_policies import RatePolicy
from reprostats.experiments.segmentation_trial import train_segmentation
from reprostats.sources import complete_levels, seeds
from reprostats.study.trial import Trial

REPEATS, SEARCHES, FRESH = 3, 3, 6
RANDOM_RUNS = 3  # with which TPE begins; its own default, 10, would leave it nothing but chance
MEASURES = ("dice", "mean_accuracy", "mean_iou")

Values = dict[str, list[float]]


@cache
def trained(
    parameters: DataParallelParameters, policy: RatePolicy, world_size: int, seed: int
) -> tuple[float, ...]:
    """Train once and give the means over validation patients; NaN where training diverged."""
    levels = {**seeds(seed), "split": parameters.seed, "initialiser": parameters.initialiser}
    config = parameters.config().model_copy(update={"policy": policy}).model_dump(mode="json")
    with tempfile.TemporaryDirectory() as folder:
        chosen = complete_levels({**levels, "world_size": world_size})
        try:
            found = train_segmentation(Trial(config, chosen, 0, None, Path(folder)))
        except DivergedError:
            return (float("nan"),) * len(MEASURES)
    return tuple(float(np.mean(list(found[f"validation_{name}"].values()))) for name in MEASURES)


def values(
    parameters: DataParallelParameters, policy: RatePolicy, world_size: int, stage: str, count: int
) -> Values:
    chosen = parameters.drawn_seeds(stage, count)
    rows = [trained(parameters, policy, world_size, seed) for seed in chosen]
    return {name: [row[place] for row in rows] for place, name in enumerate(MEASURES)}


def by_advisor(parameters: DataParallelParameters, rules: Guideline) -> tuple[Settings, int, str]:
    def evaluate(proposal):
        stage = "confirmation" if proposal.action == "confirm" else "tuning"
        policy = RatePolicy.tuned(proposal.settings)
        found = values(parameters, policy, rules.world_size, stage, REPEATS)
        return found, values(parameters, parameters.policy(BASELINE), 1, stage, REPEATS)

    history, end = tune(evaluate, rules)
    return end.settings, len(history.iterations), end.ending


def suggested(trial: optuna.Trial, rules: Guideline) -> Settings:
    """Draw settings from the space that the advisor's actions span."""
    start, end = rules.start, float(rules.epochs)
    optimiser = trial.suggest_categorical("optimiser", ["sgd", *rules.optimisers])
    share = trial.suggest_float("share", rules.rate_factor**6, 1.0, log=True)
    warmup = trial.suggest_float("warmup", start.warmup_epochs, end / 2)
    return Settings(
        learning_rate=share * {"sgd": start.learning_rate, **rules.optimisers}[optimiser],
        decay=trial.suggest_float("decay", start.decay, rules.highest_decay, log=True),
        warmup_epochs=warmup,
        decay_epochs=trial.suggest_float("left", 3 / 7, 1.0) * (end - warmup),
        optimiser=optimiser,
    )


def by_tpe(parameters: DataParallelParameters, rules: Guideline, runs: int, seed: int) -> Settings:
    found: dict[int, Settings] = {}

    def objective(trial: optuna.Trial) -> float:
        found[trial.number] = suggested(trial, rules)
        policy = RatePolicy.tuned(found[trial.number])
        dice = np.mean(values(parameters, policy, rules.world_size, "tuning", REPEATS)["dice"])
        return float(np.nan_to_num(dice))

    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_RUNS)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    start = rules.start
    study.enqueue_trial(
        {"optimiser": "sgd", "share": 1.0, "warmup": start.warmup_epochs, "decay": start.decay,
         "left": 3 / 7}
    )  # fmt: skip
    study.optimize(objective, n_trials=runs)
    return found[study.best_trial.number]


def report(
    name: str, parameters: DataParallelParameters, settings: Settings, world_size: int
) -> None:
    found = values(parameters, RatePolicy.tuned(settings), world_size, "report", FRESH)["dice"]
    base = values(parameters, parameters.policy(BASELINE), 1, "report", FRESH)["dice"]
    pairs = 100 * np.array([found, base]).T
    whole = pairs[np.isfinite(pairs).all(axis=1)]
    test = paired_ttest(whole).iloc[0]
    lost = f", {len(pairs) - len(whole)} diverged" if len(whole) < len(pairs) else ""
    print(
        f"{name:12} Dice {whole[:, 0].mean():6.2f} %, to the baseline {test['difference']:+.2f} "
        f"({test['ci_low']:+.2f} to {test['ci_high']:+.2f}) points{lost}; {settings}"
    )


def main(world_size: int) -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parameters = DataParallelParameters(advisor={"world_sizes": [world_size], "min_world_size": 2})
    rules = guideline_for(parameters, world_size)
    settings, runs, ending = by_advisor(parameters, rules)
    print(f"{world_size} workers, {runs} iterations of {REPEATS} trainings; advisor: {ending}")
    report("defaults", parameters, rules.start, world_size)
    report("advisor", parameters, settings, world_size)
    for seed in range(SEARCHES):
        report(f"TPE, seed {seed}", parameters, by_tpe(parameters, rules, runs, seed), world_size)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
