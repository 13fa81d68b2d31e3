"""A trial function with its training traced, and the trace on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprostats.study.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from reprostats.learning.trace import Trace

TrialFunction = Callable[[Trial], object]

EVENTS = "events.parquet"
OPERATIONS = "operations.parquet"


def trace_folder(trial: Path) -> Path:
    """Return the folder of a trace, apart from what the trial keeps."""
    return trial / "trace"


def traced(function: TrialFunction, options: str) -> TrialFunction:
    """Return a trial function that leaves a trace in the trial's folder, whatever becomes of it.

    Parameters
    ----------
    function
        What is traced.
    options
        `reprostats.learning.trace.TraceOptions` as JSON.
    """
    from reprostats.learning.trace import Trace, TraceOptions, tracing

    chosen = TraceOptions.model_validate_json(options)

    def run(trial: Trial) -> object:
        folder = trace_folder(trial.folder)
        folder.mkdir(parents=True, exist_ok=True)
        ended: list[object] = []
        trace = Trace()
        try:
            with tracing(chosen, folder, trace):
                ended.append(function(trial))
        finally:
            _write(trace, folder)
        return ended[0] if ended else {"steps": trace.steps}

    return run


def _write(trace: Trace, folder: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from reprostats.learning.operations import Operation
    from reprostats.learning.trace import Event

    for name, kind, rows in (
        (EVENTS, Event, trace.events),
        (OPERATIONS, Operation, trace.operations),
    ):
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)]
        table = dict(zip(kind._fields, columns or [[] for _ in kind._fields], strict=True))
        parquet.write_table(pa.table(table), folder / name)


def read_trace(folder: Path, name: str) -> pd.DataFrame:
    """Read the events or operations of a trace: one row each, digests as hexadecimal digits."""
    import pandas as pd

    table = pd.read_parquet(trace_folder(folder) / name)
    digests = [column for column in ("digest", "given", "gave") if column in table]
    return table.assign(**{each: table[each].map(bytes.hex) for each in digests})
