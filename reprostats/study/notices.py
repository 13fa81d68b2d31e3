"""What a study warns of after a run: sources varied in vain, machines that were not the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from reprostats.records.checksum import canonical_json
from reprostats.records.record import TrialRecord
from reprostats.sources import CHOICES, STREAMS, global_streams
from reprostats.study.command import Command
from reprostats.study.command_plan import how_to_reach
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
    used = {source for record in completed for source in record.used}
    if completed and (idle := _idle_sources(conditions, used)):
        warnings.warn(
            f"varied, but never used by {name!r}: {', '.join(idle)}. Use trial.stream(NAME), "
            "trial.generator(NAME) or trial.level(NAME) in the trial function.",
            stacklevel=_CALLER,
        )


def warn_of_idle_seeds(command: Command, conditions: Iterable[Condition]) -> None:
    """Warn, before anything runs, if a random stream is varied that the command cannot know.

    As far as can be told: that a program reads an environment variable is only seen where a file
    of the study names it.
    """
    if idle := _idle_sources(conditions, command.used):
        warnings.warn(
            f"varied, but not used by the command as far as can be told: {', '.join(idle)}. "
            f"{how_to_reach(idle)}",
            stacklevel=_CALLER,
        )


def _idle_sources(conditions: Iterable[Condition], used: set[str]) -> list[str]:
    groups = [group for condition in conditions for group in condition.varied_together()]
    idle = [group for group in groups if group <= {*STREAMS, *CHOICES} - used]
    return sorted(set().union(*idle))


def warn_of_unchosen_seeds(
    name: str, conditions: Iterable[Condition], records: Iterable[TrialRecord]
) -> None:
    """Warn if repeats drew from the global generators, whose seed nobody has chosen.

    The study seeds them, so that repeats are equal in it that may differ outside of it.
    """
    chosen = set().union(*(condition.names() for condition in conditions))
    repeats = [record for record in records if record.completed and record.repeat]
    for stream in global_streams() - chosen:
        if any(stream in record.used for record in repeats):
            warnings.warn(
                f"the trials of {name!r} draw from the global generators (random, numpy.random, "
                f"PyTorch), which the study seeds from the stream {stream!r}, here at its default "
                f"level: repeats may be equal for that reason alone. Vary {stream}, or "
                f"fix it to say that you mean this seed; to give weights a seed of their own, use "
                "trial.stream('init').",
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
