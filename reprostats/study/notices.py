"""What a study warns of after a run: sources varied in vain, machines that were not the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from reprostats.records.checksum import canonical_json
from reprostats.records.record import TrialRecord
from reprostats.sources import CHOICES, STREAMS
from reprostats.study.folder import read_environments
from reprostats.study.plan import Condition

# Of a description of an environment, what may change results.
_PARTS = ("python", "machine", "packages")
_CALLER = 3  # in the stack: the line that called Study.run


def warn_of_idle_sources(
    name: str, conditions: Iterable[Condition], records: Iterable[TrialRecord]
) -> None:
    """Warn if a source was varied that no completed trial drew from or asked for."""
    completed = [record for record in records if record.completed]
    if not completed:
        return
    used = {source for record in completed for source in record.used}
    groups = [group for condition in conditions for group in condition.varied_together()]
    idle = [group for group in groups if group <= {*STREAMS, *CHOICES} - used]
    if idle:
        sources = ", ".join(sorted(set().union(*idle)))
        warnings.warn(
            f"varied, but never used by {name!r}: {sources}. Use trial.stream(NAME), "
            "trial.generator(NAME) or trial.level(NAME) in the trial function.",
            stacklevel=_CALLER,
        )


def warn_of_mixed_environments(name: str, folder: Path, records: Iterable[TrialRecord]) -> None:
    """Warn if trials ran on different machines, or the description of one cannot be read."""
    environments, faults = read_environments(folder, records)
    for fault in faults:
        warnings.warn(fault, stacklevel=_CALLER)
    described = {each: [content[part] for part in _PARTS] for each, content in environments.items()}
    if len(set(map(canonical_json, described.values()))) > 1:
        warnings.warn(
            f"the trials of {name!r} ran on different machines or with different packages: "
            f"compare {', '.join(sorted(described))} in {folder}/environments.",
            stacklevel=_CALLER,
        )
