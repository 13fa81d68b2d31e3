"""Running one trial in this process, and recording what came out, whatever it was."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reprostats import sources
from reprostats.errors import CommandError, DivergedError, InputError
from reprostats.records.record import COMPLETED, Row, Status, TrialRecord
from reprostats.records.stopwatch import Stopwatch
from reprostats.seeds import seed_global_generators, seed_sequence
from reprostats.study.command import Command
from reprostats.study.failures import planned_fields
from reprostats.study.outcome import check_doubles, clean, clean_values, has_diverged, metric_rows
from reprostats.study.streams import global_states
from reprostats.study.tracing import TrialFunction, traced
from reprostats.study.trial import Trial


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
    """Return the part of a record that depends on what the function did."""
    try:
        if isinstance(function, Command):
            rows = metric_rows(function(trial))
        else:
            rows = _called(traced(function, trace) if trace else function, trial)
    except DivergedError as error:
        return _failure("diverged", error)
    except CommandError as error:
        return _failure(error.status, error)
    except BaseException as error:  # an exit or interrupt in somebody's code is no end of ours
        return _failure("failed", error)
    outcome = {
        # What is in effect in another program, that of a command, is not known here.
        "effective": _effective_at_the_end(trial) if trial.effective else {},
        "metrics": rows,
        "times": clean_values(trial.times),
    }
    if diverged := has_diverged(rows):
        reason = f"metric {diverged!r} has no finite value"
        return outcome | {"status": "diverged", "reason": reason}
    return outcome | {"status": COMPLETED}


def _called(function: TrialFunction, trial: Trial) -> list[Row]:
    """Call a function under the levels of its trial; return what it measured."""
    # A stream whose level is "os" has drawn its seed already: that is what is applied.
    trial.effective = sources.apply({**trial.levels, **trial.streams.seeds})
    untouched = global_states()
    rows = metric_rows(function(trial))
    check_doubles(rows)
    if global_states() != untouched:
        trial.streams.used.add("dropout")
    return rows


def _effective_at_the_end(trial: Trial) -> dict[str, bool | int | float | str]:
    """Read back once more, and name what the function changed by itself."""
    now = sources.read_back()
    changed = [name for name, value in now.items() if trial.effective.get(name) != value]
    note = {"changed_by_function": ", ".join(changed)} if changed else {}
    return {**trial.effective, **now, **note}


def _failure(status: Status, error: BaseException) -> dict[str, Any]:
    """Say what was raised and, unless that is no place in somebody's code, where."""
    said = clean(_said(error))
    if not isinstance(error, DivergedError | CommandError):
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


def warm_up() -> None:
    """Take a trial's first steps once, so that what they import is there before the fork."""
    import torch

    seed_global_generators(seed_sequence("warm-up", 0))
    sources.read_back()
    global_states()
    # The first step of an optimiser imports about a second's worth. Nothing runs backwards here:
    # PyTorch's autograd cannot be used on both sides of a fork.
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.Adam([weight]).step()
