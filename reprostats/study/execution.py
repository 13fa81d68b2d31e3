"""Running one trial in this process, and recording what came out, whatever it was."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reprostats.errors import DivergedError, NotAvailableError
from reprostats.study.outcome import Row, has_diverged, metric_rows
from reprostats.study.provenance import read_back
from reprostats.study.record import Record, Status, planned_part
from reprostats.study.streams import global_states, seed_global_generators, seed_sequence
from reprostats.study.trial import Trial

TrialFunction = Callable[[Trial], object]

_CAPABILITY = {"baseline": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512"}


def run_trial(function: TrialFunction, request: dict[str, Any]) -> Record:
    """Call a trial function in this process and record what came out, whatever it was."""
    started = datetime.now(UTC)
    clock = time.perf_counter()
    trial = Trial(**{name: request[name] for name in ("config", "levels", "repeat", "fold")},
                  folder=Path(request["folder"]))  # fmt: skip
    base = planned_part(request) | {"started": started.isoformat(timespec="seconds")}
    status: Status = "ok"
    reason = details = ""
    rows: list[Row] = []
    try:
        base["effective"] = _apply_levels(trial)
        untouched = global_states()
        rows = metric_rows(function(trial))
        if diverged := has_diverged(rows):
            status, reason = "diverged", f"metric {diverged!r} has no finite value"
    except DivergedError as error:
        status, reason, details = "diverged", str(error), traceback.format_exc()
    except (Exception, SystemExit) as error:
        status, reason, details = "failed", _describe(error), traceback.format_exc()
    else:
        if global_states() != untouched:
            trial.streams.used.add("dropout")
    seconds = time.perf_counter() - clock
    rows += [(f"{name}_time", "all", value) for name, value in trial.times.items()]
    return Record(
        **base, status=status, reason=reason, traceback=details, metrics=rows, seconds=seconds,
        fingerprints=trial.fingerprints, seeds=trial.streams.seeds, used=sorted(trial.streams.used),
    )  # fmt: skip


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


def _describe(error: BaseException) -> str:
    """Say in one line what was raised and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"


def _apply_levels(trial: Trial) -> dict[str, bool | int | str]:
    """Set what is set inside the process, then read back what PyTorch really uses.

    Raises
    ------
    NotAvailableError
        If PyTorch uses another instruction set or number of threads than was asked for.
    """
    import torch

    levels = trial.levels
    if "dropout" in trial.streams.seeds:
        seed_global_generators(seed_sequence("dropout", trial.streams.seeds["dropout"]))
    torch.set_num_threads(int(levels["threads"]))
    if levels["deterministic"]:
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = bool(levels["deterministic"])
    torch.backends.cudnn.benchmark = bool(levels["cudnn_benchmark"])
    torch.set_float32_matmul_precision("high" if levels["tf32"] else "highest")
    torch.backends.cudnn.allow_tf32 = bool(levels["tf32"])
    effective = read_back()
    asked = {"threads": levels["threads"], "isa": _CAPABILITY.get(str(levels["isa"]))}
    for name, wanted in asked.items():
        if wanted is not None and effective[name] != wanted:
            raise NotAvailableError(
                f"source {name!r}: asked for {wanted!r}, but PyTorch uses {effective[name]!r}."
            )
    return effective
