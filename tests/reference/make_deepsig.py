"""Write deepsig_expected.csv: two samples, and deepsig's violation ratio and upper limit.

    python make_deepsig.py          with deepsig 1.2.8 and NumPy installed

`ratio`: compute_violation_ratio with steps of 0.0005. `limit`: aso with 2,000 resamples and steps
of 0.005, by which it is known to about 0.01.
"""

from __future__ import annotations

import csv
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIZES = [(5, 5), (5, 10), (10, 10), (8, 20), (20, 20), (25, 10), (40, 40), (20, 5)]
SHIFTS = (0.0, 0.5, 1.0)


def main() -> None:
    """Compare two samples in every design."""
    from deepsig import aso
    from deepsig.aso import compute_violation_ratio

    generator = np.random.default_rng(20260401)
    rows = []
    for number, (n, m) in enumerate(SIZES):
        first = np.round(generator.normal(SHIFTS[number % 3], 1.0, n), 3)
        second = np.round(generator.normal(0.0, 1.0 + 0.5 * (number % 2), m), 3)
        ratio = compute_violation_ratio(first, second, dt=0.0005)
        limit = aso(first, second, num_bootstrap_iterations=2000, seed=number, show_progress=False)
        scores = [" ".join(map(str, sample.tolist())) for sample in (first, second)]
        rows.append((*scores, f"{ratio:.8g}", f"{limit:.8g}"))
    with (HERE / "deepsig_expected.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("first", "second", "ratio", "limit"))
        writer.writerows(rows)
    packages = "\n".join(f"{name} {version(name)}" for name in ("deepsig", "numpy"))
    (HERE / "deepsig_versions.txt").write_text(packages + "\n")


if __name__ == "__main__":
    main()
