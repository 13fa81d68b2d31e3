"""What variance components cost beside statsmodels' MixedLM and lme4.

Run it with ``python tests/benchmarks/bench_components.py``. On 30 cases by 20 inits, fully crossed
and with cells missing, it prints the time of each program for the same estimates (medians of
rounds taken in turn), the ratio, and the largest relative difference between
the estimates. lme4 is timed inside R, without R's start, if R is there.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

from reprostats.stats.components import fit_components, variance_components

LME4 = """
suppressPackageStartupMessages(library(lme4))
d <- read.csv("FILE")
times <- sapply(1:9, function(i) system.time(lmer(y ~ 1 + (1 | case) + (1 | init), d))[["elapsed"]])
cat(median(times))
"""


def runs(keep: float) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    case, init = (part.ravel() for part in np.indices((30, 20)))
    dice = 2 * rng.normal(size=30)[case] + 0.5 * rng.normal(size=20)[init] + rng.normal(size=600)
    table = pd.DataFrame({"case": case, "init": init, "y": dice})
    return table.sample(frac=keep, random_state=4).sort_index()


def seconds(*functions: Callable[[], object], rounds: int = 9) -> list[float]:
    """Take turns, so that whatever else the machine does falls on all alike; give medians."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def of_statsmodels(table: pd.DataFrame) -> np.ndarray:
    """Fit with the optimiser that gives five digits: the default one gives four on this data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = smf.mixedlm(
            "y ~ 1",
            table.assign(everything=1),
            groups="everything",
            vc_formula={"case": "0 + C(case)", "init": "0 + C(init)"},
        )
        found = model.fit(reml=True, method="bfgs", gtol=1e-9)
    return np.append(found.vcomp, found.scale)


def of_lme4(table: pd.DataFrame) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs.csv"
        table.to_csv(file, index=False)
        command = ["Rscript", "-e", LME4.replace("FILE", file.as_posix())]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compare(name: str, table: pd.DataFrame) -> None:
    options = {"value": "y", "random": ["case", "init"]}
    fit, whole, peer = seconds(
        lambda: fit_components(table, **options),
        lambda: variance_components(table, **options),
        lambda: of_statsmodels(table),
    )
    worst = np.abs(fit_components(table, **options).variances / of_statsmodels(table) - 1).max()
    print(f"{name}: {len(table)} observations")
    print(f"  estimates {1e3 * fit:.1f} ms; with intervals of all {1e3 * whole:.1f} ms")
    print(f"  MixedLM {1e3 * peer:.0f} ms: {peer / whole:.1f} times as long as all")
    print(f"  largest relative difference to MixedLM {worst:.1e}")
    if shutil.which("Rscript"):
        found = of_lme4(table)
        print(f"  lme4 {1e3 * found:.1f} ms: {found / fit:.1f} times as long as the estimates")


def main() -> None:
    compare("complete", runs(1.0))
    compare("a tenth missing", runs(0.9))


if __name__ == "__main__":
    main()
