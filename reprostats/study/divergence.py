"""The place where two trials diverge: first step, phase, module and operation whose bits differ.

Both trials are run again, each in the environment of its own, with their training traced
(`reprostats.learning.trace`), and the traces are compared. So the trials may differ in anything,
and may have run on different machines as long as this one can give their levels. Three runs of
each: one to find the step; one that ends there, to find the operation; one to save the tensors in
question and to follow the weights from there on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from reprostats.errors import InputError, unknown_name
from reprostats.notebook_output import InSentences
from reprostats.records.files import read_record
from reprostats.records.record import TrialRecord
from reprostats.study.rerun import Rerun
from reprostats.study.tracing import EVENTS, OPERATIONS, read_trace, trace_folder

if TYPE_CHECKING:
    import pandas as pd

    from reprostats.learning.ulps import Difference

Detail = Literal["step", "module"]
_SNAPSHOTS = 40


@dataclass(frozen=True)
class Divergence(InSentences):
    """Where and how two trials diverge.

    Parameters
    ----------
    trials
        Identities of the two.
    equal
        True if their trainings are equal to the last bit.
    steps
        Number of optimiser steps that each took.
    reproduced
        For each, whether running it again gave the fingerprints of its record; None where it
        left none or did not complete.
    levels
        Levels that differ, as (first, second) by source.
    step, phase, place, what
        First difference: number of the step from 0, ``"initial"``, ``"input"``, ``"forward"``,
        ``"backward"``, ``"update"`` or ``"evaluation"``, module or parameter, and which of its
        tensors. Step and phase are None where nothing differs but the number of steps.
    difference
        Its size.
    repeated
        For each, whether it gave the same bits when it was run once more to look closer; where
        one did not, operation and growth are not told. None if the detail does not show it.
    operation
        First operation of that step that gave another result from the same input; failing that,
        the first whose input differs already. None if there is neither.
    growth
        One row per step looked at: ``step``, ``relative`` (Euclidean norm of the difference of all
        weights over that of the first trial's), ``largest_absolute``, ``largest_ulps``.
    """

    trials: tuple[str, str]
    equal: bool
    steps: tuple[int, int]
    reproduced: tuple[bool | None, bool | None]
    levels: Mapping[str, tuple[object, object]]
    step: int | None = None
    phase: str | None = None
    place: str = ""
    what: str = ""
    difference: Difference | None = None
    repeated: tuple[bool | None, bool | None] = (None, None)
    operation: GuiltyOperation | None = None
    growth: pd.DataFrame = field(default_factory=lambda: growth(()), repr=False, compare=False)

    def __str__(self) -> str:
        return "\n".join(_sentences(self))


@dataclass(frozen=True)
class GuiltyOperation:
    """The operation of a step in which two trials diverge.

    Parameters
    ----------
    name
        Such as ``"aten.convolution_backward.default"``; two names where the trials ran different
        operations at this place.
    phase, place
        Where it ran; see `reprostats.learning.operations.Operation`.
    same_input
        True if it was given the same bits in both trials: the difference arose in it.
    difference
        Size of the largest difference in its results; None where they cannot be compared.
    """

    name: str
    phase: str
    place: str
    same_input: bool
    difference: Difference | None


def first_divergence(rerun: Rerun, *, detail: Detail = "module") -> Divergence:
    """Find where two trials diverge.

    Parameters
    ----------
    rerun
        The two trials.
    detail
        ``"module"``: every module's tensors are compared in every step. ``"step"``: only all
        weights after each step, which costs less; a difference that never reaches the weights is
        then not seen.

    Raises
    ------
    InputError
        If nothing of a training was seen: no PyTorch module was called, no optimiser stepped.
    """
    if detail not in get_args(Detail):
        raise unknown_name("detail", detail, get_args(Detail))
    folders = rerun.trace(detail=detail)
    one, other = (read_trace(folder, EVENTS) for folder in folders)
    if one.empty and other.empty:
        raise InputError(
            "no PyTorch module was called and no optimiser stepped in these trials: there is "
            "nothing to trace."
        )
    common = _common(rerun, folders, (one, other))
    if len(set(common["steps"])) > 1:  # their ends lie at different steps
        one, other = (each[each["phase"] != "end"] for each in (one, other))
    place = first_difference(one, other)
    if place is None:
        return Divergence(**common, equal=len(one) == len(other))
    step = int(one["step"].to_numpy()[place])
    first = (one, other) if detail == "module" else None
    return Divergence(**common, equal=False, **_located(rerun, step, min(common["steps"]), first))


def first_difference(one: pd.DataFrame, other: pd.DataFrame) -> int | None:
    """Return the number of the first row that differs in two tables; None if there is none."""
    length = min(len(one), len(other))
    differs = (one.iloc[:length] != other.iloc[:length]).any(axis=1).to_numpy()
    return int(differs.argmax()) if differs.any() else None


def first_origin(one: pd.DataFrame, other: pd.DataFrame) -> int | None:
    """Return the number of the first operation that gave another result from the same input.

    Where there is none before the trials run different operations: the first that differs at all.
    """
    different = first_difference(one[["name"]], other[["name"]])
    length = min(len(one), len(other)) if different is None else different
    first, second = one.iloc[:length], other.iloc[:length]
    same = (first["given"] == second["given"]).to_numpy()
    found = same & (first["gave"] != second["gave"]).to_numpy()
    return int(found.argmax()) if found.any() else first_difference(one, other)


def _located(
    rerun: Rerun, step: int, steps: int, first: Sequence[pd.DataFrame] | None
) -> dict[str, Any]:
    """Look at the step in which two trials diverge more closely.

    Parameters
    ----------
    rerun
        The two trials.
    step
        In which they diverge.
    steps
        That both took.
    first
        Events of the run in which that was seen, if they have modules.
    """
    closer = rerun.trace(since=step, operations_at=step, stop_after=step)
    events = [read_trace(folder, EVENTS) for folder in closer]
    repeated = (
        tuple(_same_step(before, now, step) for before, now in zip(first, events, strict=True))
        if first
        else (None, None)
    )
    if first and not all(repeated):
        return {**_where(first[0], first_difference(*first), step), "repeated": repeated}
    operations = [read_trace(folder, OPERATIONS) for folder in closer]
    event, operation = first_difference(*events), first_origin(*operations)
    folders = rerun.trace(
        since=step,
        operations_at=step,
        save_event=event,
        save_operation=operation,
        snapshots=snapshot_steps(step, steps),
    )
    return {
        **_where(events[0], event, step),
        "repeated": repeated,
        "difference": _saved_difference(folders, "event"),
        "operation": None if operation is None else _guilty(operations, operation, folders),
        "growth": growth(folders),
    }


def _where(events: pd.DataFrame, event: int | None, step: int) -> dict[str, Any]:
    found = {"phase": "update"} if event is None else events.iloc[event].to_dict()
    return {"step": step, **{name: str(found.get(name, "")) for name in ("phase", "place", "what")}}


def _same_step(before: pd.DataFrame, now: pd.DataFrame, step: int) -> bool:
    """Tell whether a trial gave the same bits in one step when it was run once more."""
    rows = [each[each["step"] == step].reset_index(drop=True) for each in (before, now)]
    return rows[0].equals(rows[1])


def snapshot_steps(first: int, steps: int) -> list[int]:
    """Choose the steps after which weights are compared: the first ones, then ever fewer.

    Examples
    --------
    >>> snapshot_steps(3, 2000)[:6], snapshot_steps(3, 2000)[-1], len(snapshot_steps(3, 2000))
    ([3, 4, 5, 6, 7, 8], 1999, 37)
    """
    import numpy as np

    last = max(steps - 1 - first, 0)
    apart = np.geomspace(1, last + 1, _SNAPSHOTS) - 1
    return [first + int(each) for each in np.unique(np.r_[np.arange(min(8, last)), apart.round()])]


def growth(folders: Sequence[Path]) -> pd.DataFrame:
    """Compare the weights that two traces saved, step by step."""
    import pandas as pd

    saved = [{int(path.stem[5:]) for path in trace_folder(each).glob("step-*")} for each in folders]
    rows = []
    for number in sorted(set.intersection(*saved)) if saved else []:
        found = _saved_difference(folders, f"step-{number}")
        rows.append(
            {
                "step": number,
                "relative": found.relative if found else None,
                "largest_absolute": found.largest_absolute if found else None,
                "largest_ulps": found.largest_ulps if found else None,
            }
        )
    return pd.DataFrame(rows, columns=["step", "relative", "largest_absolute", "largest_ulps"])


def _common(
    rerun: Rerun, folders: Sequence[Path], events: Sequence[pd.DataFrame]
) -> dict[str, Any]:
    one, other = rerun.trials
    return {
        "trials": (one.identity, other.identity),
        "steps": tuple(_steps(each) for each in events),
        "reproduced": tuple(
            _reproduced(record, read_record(folder, TrialRecord))
            for record, folder in zip(rerun.records, folders, strict=True)
        ),
        "levels": {
            name: (level, other.levels[name])
            for name, level in one.levels.items()
            if level != other.levels[name]
        },
    }


def _steps(events: pd.DataFrame) -> int:
    updates = events[events["phase"] == "update"]
    return int(updates["step"].max()) + 1 if len(updates) else 0


def _reproduced(before: TrialRecord | None, again: TrialRecord) -> bool | None:
    if before is None or not before.fingerprints or not (before.completed and again.completed):
        return None
    return before.fingerprints == again.fingerprints


def _guilty(
    operations: Sequence[pd.DataFrame], place: int, folders: Sequence[Path]
) -> GuiltyOperation:
    one, other = (each.iloc[place] for each in operations)
    names = list(dict.fromkeys([one["name"], other["name"]]))
    return GuiltyOperation(
        " or ".join(names),
        one["phase"],
        one["place"],
        len(names) == 1 and one["given"] == other["given"],
        _saved_difference(folders, "operation") if len(names) == 1 else None,
    )


def _saved_difference(folders: Sequence[Path], name: str) -> Difference | None:
    """Compare tensors that two traces saved under one name, taken together."""
    from safetensors.torch import load_file

    from reprostats.learning.ulps import differences

    paths = [trace_folder(folder) / f"{name}.safetensors" for folder in folders]
    if not all(path.exists() for path in paths):
        return None
    one, other = (load_file(path) for path in paths)
    try:
        return differences(one, other)
    except InputError:
        return None


def _sentences(found: Divergence) -> list[str]:
    """Say in words what was found."""
    lines = []
    if found.equal:
        lines.append(f"The two trainings are equal to the last bit ({found.steps[0]} steps).")
    elif found.step is None:
        lines.append(f"Equal as far as both go: {found.steps[0]} and {found.steps[1]} steps.")
    else:
        lines.append(
            f"The two trainings diverge in step {found.step}, phase {found.phase}: "
            f"{found.what} of {found.place or 'the weights'}{_size(found.difference)}."
        )
    if found.operation:
        at = f" in {found.operation.place}" if found.operation.place else ""
        how = "from the same input" if found.operation.same_input else "from input that differs"
        lines.append(
            f"The operation: {found.operation.name}{at} "
            f"({found.operation.phase}), {how}{_size(found.operation.difference)}."
        )
    if len(found.growth):
        last = found.growth.iloc[-1]
        lines.append(
            f"After step {int(last['step'])} the weights "
            + (
                "cannot be compared: their types or shapes differ."
                if last["relative"] is None
                else f"differ by {last['relative']:.3g} of their norm."
            )
        )
    lines += [f"{name}: {one!r} and {other!r}." for name, (one, other) in found.levels.items()]
    lines += [
        f"Trial {trial} does not repeat: run twice, it gave other bits in that step, so the "
        "operation cannot be told."
        for trial, same in zip(found.trials, found.repeated, strict=True)
        if same is False
    ]
    lines += [
        f"Trial {trial} does not repeat: run again, it left other fingerprints than its record."
        for trial, same in zip(found.trials, found.reproduced, strict=True)
        if same is False
    ]
    return lines


def _size(difference: Difference | None) -> str:
    if difference is None or difference.equal:
        return ""
    ulps = "" if difference.largest_ulps is None else f" ({difference.largest_ulps} ulp)"
    return (
        f"; {difference.differing} of {difference.elements} elements differ, at most by "
        f"{difference.largest_absolute:.3g}{ulps}"
    )
