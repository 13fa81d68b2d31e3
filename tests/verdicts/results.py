"""Results tables made of chosen numbers, for the tests of verdicts."""

import numpy as np
import pandas as pd

MEANS = {"U-Net": 0.90, "FCN": 0.80}


def results(
    *,
    means=MEANS,
    runs=4,
    cases=6,
    run_sd=0.01,
    noise=0.005,
    seed=0,
    shared_seeds=True,
    metric="dice",
    **columns,
) -> pd.DataFrame:
    """Make a table of conditions x trainings x cases, with the level of ``init`` of each."""
    generator = np.random.default_rng(seed)
    by_case = 0.02 * generator.normal(size=cases)
    rows = []
    for number, (name, mean) in enumerate(means.items()):
        for run in range(runs):
            level = run if shared_seeds else run + 100 * number
            shift = run_sd * generator.normal()
            values = mean + by_case + shift + noise * generator.normal(size=cases)
            rows += [
                {"study": "tried", "condition": name, "trial": f"{name}-{run}", "repeat": 0,
                 "fold": pd.NA, "status": "ok", "reason": "", "init": level, "threads": 1,
                 "metric": metric, "case": f"case {case}", "value": value}
                for case, value in enumerate(values)
            ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


def with_hashes(table: pd.DataFrame, hashes: dict[str, str]) -> pd.DataFrame:
    """Add the fingerprint of the weights by trial."""
    return table.assign(weights_sha256=[hashes[trial] for trial in table["trial"]])


def failed(condition="U-Net", trial="bad", reason="OSError: no file", status="failed"):
    """Make the row of a trial that did not complete."""
    row = {"study": "tried", "condition": condition, "trial": trial, "repeat": 0, "fold": pd.NA,
           "status": status, "reason": reason, "init": 77, "threads": 1, "metric": "",
           "case": "all", "value": np.nan}  # fmt: skip
    return pd.DataFrame([row])
