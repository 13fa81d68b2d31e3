"""Measure error rates and coverage by simulation, and write the page of them.

    python tools/calibrate.py                  simulate all (an hour on 2 cores), keep, write
    python tools/calibrate.py --only raters    simulate one part, keep the others
    python tools/calibrate.py --page           write docs/calibration.md from the kept results

The parts are modules of `tools/calibration`; each says what is drawn.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
from calibration import aggregates, agreement, algorithms, order, raters, reports

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "data" / "measured"
PAGE = ROOT / "docs" / "calibration.md"
PARTS = {
    "algorithms": algorithms,
    "reports": reports,
    "agreement": agreement,
    "raters": raters,
    "aggregates": aggregates,
    "order": order,
}
_HEAD = (
    "Error rates and coverage, measured by simulation with fixed seeds. Made by `python "
    "tools/calibrate.py`; every row is in `data/measured/calibration_*.csv`."
)


def page() -> str:
    """Write the page from the results that are kept."""
    sections = [
        text
        for name, part in PARTS.items()
        for text in part.section(pd.read_csv(MEASURED / f"calibration_{name}.csv"))
    ]
    return "\n\n".join(text.strip() for text in ["# Calibration", _HEAD, *sections]) + "\n"


def simulate(name: str, processes: int | None) -> None:
    """Simulate one part, and keep its results."""
    part = PARTS[name]
    with ProcessPoolExecutor(processes) as pool:
        rows = list(pool.map(part.simulate, part.DESIGNS, chunksize=1 + len(part.DESIGNS) // 100))
    pd.DataFrame(rows).to_csv(MEASURED / f"calibration_{name}.csv", index=False)


def main() -> int:
    """Simulate, unless the page alone is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--page", action="store_true", help="from the results that are kept")
    parser.add_argument("--only", choices=PARTS, help="simulate this part alone")
    parser.add_argument("--processes", type=int, help="at a time; by default one a core")
    asked = parser.parse_args()
    for name in [] if asked.page else [asked.only] if asked.only else PARTS:
        simulate(name, asked.processes)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
