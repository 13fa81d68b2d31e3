"""Results tables of policies and world sizes, made of chosen numbers."""

import numpy as np
import pandas as pd

from reprostats.experiments.segmentation_trial import MEASURES

PATIENTS = {"p1": -0.02, "p2": 0.0, "p3": 0.02}
SEEDS = range(5)
USUAL = {
    ("constant", 1): 0.0, ("constant", 8): -0.05, ("constant", 18): -0.1,
    ("linear", 8): 0.0, ("linear", 18): -0.03, ("GreScale, tuned", 18): 0.0,
}  # fmt: skip


def name(policy: str, world_size: int) -> str:
    return f"{policy}, {world_size} worker{'' if world_size == 1 else 's'}"


def trial(policy, world_size, seed, value, *, status="ok"):
    """A training with every measure at ``value`` for the mean over patients."""
    common = {
        "study": "data_parallel", "condition": name(policy, world_size),
        "trial": f"{policy}-{world_size}-{seed}", "repeat": 0, "status": status,
        "reason": "" if status == "ok" else "the training loss is nan", "init": seed,
        "world_size": world_size, "policy": policy,
        "training_time": 10.0 / world_size + 0.01 * seed,
    }  # fmt: skip
    if status != "ok":
        return [common | {"metric": "", "case": "all", "value": np.nan}]
    return [
        common | {"metric": metric, "case": patient, "value": value + shift}
        for metric in MEASURES
        for patient, shift in PATIENTS.items()
    ]


def made(shifts, *, noise=0.001, luck=0.01, seeds=SEEDS, diverged=()):
    """Trainings whose Dice is 0.9 plus the shift of (policy, world size); seeds are shared."""
    generator = np.random.default_rng(1)
    of_seed = dict(zip(seeds, generator.normal(0, luck, len(seeds)), strict=True))
    rows = []
    for (policy, world_size), shift in shifts.items():
        for seed in seeds:
            status = "diverged" if (policy, world_size, seed) in diverged else "ok"
            value = 0.9 + shift + of_seed[seed] + generator.normal(0, noise)
            rows += trial(policy, world_size, seed, value, status=status)
    return pd.DataFrame(rows)
