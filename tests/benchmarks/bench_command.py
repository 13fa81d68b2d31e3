"""What the study engine costs beyond starting the command of a trial.

Run it with ``python tests/benchmarks/bench_command.py``. Each round starts the same command both
ways in turn: by ``subprocess.run`` alone, and as trials of a study on one worker. The time of one
trial is that of a long study less that of a short one, divided by the difference in their number,
so the start of the worker cancels out. It prints medians over the rounds, their difference and
their ratio.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time

from reprostats import Study

COMMAND = ["sh", "-c", "echo value: 1"]
FEW, MANY, ROUNDS = 5, 105, 5


def alone(number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        subprocess.run(COMMAND, capture_output=True, check=True)
    return (time.perf_counter() - start) / number


def study_seconds(repeats: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        study = Study.from_command(
            COMMAND, metrics=re.compile(r"value: (?P<value>\d)"), repeats=repeats, folder=folder
        )
        start = time.perf_counter()
        results = study.run(workers=1, progress=False)
        seconds = time.perf_counter() - start
    if not (results["status"] == "ok").all():
        raise RuntimeError(results["reason"].iloc[0])
    return seconds


def as_trial() -> float:
    return (study_seconds(MANY) - study_seconds(FEW)) / (MANY - FEW)


def main() -> None:
    study_seconds(FEW)  # the first one starts the fork server
    pairs = [(alone(MANY), as_trial()) for _ in range(ROUNDS)]
    plain, trial = (1e3 * statistics.median(each) for each in zip(*pairs, strict=True))
    print(f"the command alone: {plain:.1f} ms; as a trial: {trial:.1f} ms")
    print(f"the engine's own cost: {trial - plain:.1f} ms; ratio {trial / plain:.1f}")


if __name__ == "__main__":
    main()
