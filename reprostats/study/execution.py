"""Running one trial in this process, and recording what came out, whatever it was."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reprostats.errors import DivergedError, InputError, NotAvailableError
from reprostats.provenance import read_back
from reprostats.records.record import TIME_SUFFIX, WHOLE, Row, Status, TrialRecord
from reprostats.records.stopwatch import Stopwatch
from reprostats.seeds import seed_sequence
from reprostats.study.failures import planned_fields
from reprostats.study.outcome import check_doubles, clean, clean_values, has_diverged, metric_rows
from reprostats.study.streams import global_states, seed_global_generators
from reprostats.study.tracing import TrialFunction, traced
from reprostats.study.trial import Trial

_CAPABILITY = {"baseline": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512"}


def run_trial(function: TrialFunction, request: dict[str, Any]) -> TrialRecord:
    """Call a trial function in this process and record what came out, whatever it was."""
    planned = {name: request[name] for name in ("config", "levels", "repeat", "fold")}
    trial = Trial(**planned, folder=Path(request["folder"]))
    stopwatch = Stopwatch()
    outcome = _outcome(function, trial, request.get("trace"))
    described = planned_fields(request) | {
        "environment": request["environment"],
        "seeds": trial.streams.seeds,
        "used": sorted(trial.streams.used),
        "description": clean_values(trial.description),
        "started": stopwatch.started,
        "seconds": stopwatch.seconds,
    }
    try:
        fingerprints, kept = clean_values(trial.fingerprints), sorted(map(clean, trial.kept))
        return TrialRecord(**described, **outcome, fingerprints=fingerprints, kept=kept)
    except ValidationError as error:
        refused = InputError(f"not recordable: {error}")
        return TrialRecord(**described, **_failure("failed", refused))


def _outcome(function: TrialFunction, trial: Trial, trace: str | None) -> dict[str, Any]:
    """Give the part of a record that depends on what the function did."""
    try:
        trial.effective = _apply_levels(trial)
        untouched = global_states()
        rows = metric_rows((traced(function, trace) if trace else function)(trial))
        check_doubles([*rows, *_times(trial), (f"trial{TIME_SUFFIX}", WHOLE, 0.0)])
    except DivergedError as error:
        return _failure("diverged", error)
    except BaseException as error:  # an exit or interrupt in somebody's code is no end of ours
        return _failure("failed", error)
    if global_states() != untouched:
        trial.streams.used.add("dropout")
    outcome = {
        "effective": _effective_at_the_end(trial),
        "metrics": rows,
        "times": clean_values(trial.times),
    }
    if diverged := has_diverged(rows):
        reason = f"metric {diverged!r} has no finite value"
        return outcome | {"status": "diverged", "reason": reason}
    return outcome | {"status": "ok"}


def _effective_at_the_end(trial: Trial) -> dict[str, bool | int | float | str]:
    """Read back once more, and name what the function changed by itself."""
    now = read_back()
    changed = [name for name, value in now.items() if trial.effective.get(name) != value]
    note = {"changed_by_function": ", ".join(changed)} if changed else {}
    return {**trial.effective, **now, **note}


def _times(trial: Trial) -> list[Row]:
    return [(f"{name}{TIME_SUFFIX}", WHOLE, seconds) for name, seconds in trial.times.items()]


def _failure(status: Status, error: BaseException) -> dict[str, Any]:
    """Say what was raised and, unless the training diverged, where."""
    said = clean(_said(error))
    if status != "diverged":
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({Path(each.filename).name}, line {each.lineno})" for each in place)
        said = f"{type(error).__name__}: {said}{where}"
    details = clean("".join(traceback.format_exception(error)))
    return {"status": status, "reason": said, "traceback": details}


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as worse:
        return f"(its message cannot be read: {type(worse).__name__})"


def rehearse() -> None:
    """Take a trial's first steps once, so that what they import is there before the fork."""
    import torch

    seed_global_generators(seed_sequence("rehearsal", 0))
    read_back()
    global_states()
    # The first step of an optimiser imports about a second's worth. Nothing runs backwards here:
    # PyTorch's autograd cannot be used on both sides of a fork.
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.Adam([weight]).step()


def _apply_levels(trial: Trial) -> dict[str, bool | int | float | str]:
    """Set what is set inside the process, then read back what PyTorch really uses.

    Raises
    ------
    NotAvailableError
        If PyTorch uses another instruction set or number of threads than was asked for.
    """
    import torch

    levels = trial.levels
    if str(levels["device"]).startswith("cuda"):
        torch.cuda.init()  # before seeding: a seed kept for later would be that of the last stream
    trial.streams.seed_globally("dropout")
    torch.set_num_threads(int(levels["threads"]))
    if levels["deterministic"]:
        torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = bool(levels["memory_fill"])  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = bool(levels["deterministic"])
    torch.backends.cudnn.benchmark = bool(levels["cudnn_benchmark"])
    torch.backends.cudnn.allow_tf32 = bool(levels["tf32"])
    torch.set_float32_matmul_precision(str(levels["matmul_precision"]))
    effective = read_back()
    asked = {"threads": levels["threads"], "isa": _CAPABILITY.get(str(levels["isa"]))}
    for name, wanted in asked.items():
        if wanted is not None and effective[name] != wanted:
            raise NotAvailableError(
                f"source {name!r}: asked for {wanted!r}, but PyTorch uses {effective[name]!r}."
            )
    return effective
