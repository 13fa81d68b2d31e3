"""Write rliable_expected.csv: intervals of rliable's stratified bootstrap, and how far they vary.

    python make_rliable.py          with rliable 1.2.0, arch and NumPy installed

rliable.library.get_interval_estimates (percentile, no bootstrap over tasks) on what `values` makes.
Limits are means of eight blocks of 1,000 resamples; `low_error` and `high_error` are the standard
deviations between the blocks: the Monte Carlo error of 1,000 resamples.
"""

from __future__ import annotations

import csv
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SHAPES = {"few": (4, 6), "many": (8, 20), "ties": (5, 10)}
BLOCKS, RESAMPLES = 8, 1000
THRESHOLDS = (0.3, 0.6)
HEADER = ("design", "aggregate", "estimate", "low", "high", "low_error", "high_error")


def values(design: str) -> dict[str, np.ndarray]:
    """Return scores of two algorithms, shape (runs, cases), between 0 and 1."""
    runs, cases = SHAPES[design]
    cells = np.arange(runs * cases).reshape(runs, cases)
    scores = {name: (cells * step % 101) / 101 for name, step in (("a", 37), ("b", 53))}
    scores["a"] = np.sqrt(scores["a"])
    return {name: np.round(s, 1 if design == "ties" else 4) for name, s in scores.items()}


def main() -> None:
    """Bootstrap every design by rliable."""
    from rliable import library, metrics

    aggregates = {
        "interquartile mean": metrics.aggregate_iqm,
        "probability of improvement": metrics.probability_of_improvement,
        **{f"share above {t}": lambda x, t=t: float(np.mean(x > t)) for t in THRESHOLDS},
    }
    rows = []
    for design in SHAPES:
        scores = values(design)
        for name, aggregate in aggregates.items():
            pair = name == "probability of improvement"
            given = {"x": (scores["a"], scores["b"]) if pair else scores["a"]}
            limits = []
            for seed in range(BLOCKS):
                estimates, found = library.get_interval_estimates(
                    given, aggregate, reps=RESAMPLES, random_state=np.random.RandomState(seed)
                )
                limits.append(np.ravel(found["x"]))
            mean, sd = np.mean(limits, axis=0), np.std(limits, axis=0, ddof=1)
            rows.append((design, name, float(np.ravel(estimates["x"])[0]), *mean, *sd))
    with (HERE / "rliable_expected.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows((*row[:2], *(f"{number:.8g}" for number in row[2:])) for row in rows)
    packages = "\n".join(f"{name} {version(name)}" for name in ("rliable", "arch", "numpy"))
    (HERE / "rliable_versions.txt").write_text(packages + "\n")


if __name__ == "__main__":
    main()
