"""What a study warns of after a run: sources varied in vain, machines that were not the same."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
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


def warn(text: str) -> None:
    """Warn at the line of the caller's code that called this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        "reprostats."
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def say(text: str) -> None:
    """Print a sentence at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class IdleSources:
    """Warns of sources that were varied and that no trial drew from or asked for, of each once.

    Parameters
    ----------
    name
        Of the study.
    conditions
        Its conditions.
    """

    def __init__(self, name: str, conditions: Iterable[Condition]) -> None:
        self._name = name
        self._conditions = list(conditions)
        self._warned: set[str] = set()

    def look(self, records: Iterable[TrialRecord], which: str = "") -> None:
        """Warn of what no completed trial has used.

        Parameters
        ----------
        records
            Of the trials to look at.
        which
            Which these are, if it is not all of them: ``"the first trials"``.
        """
        completed = [record for record in records if record.completed]
        used = {source for record in completed for source in record.used}
        idle = set(_idle_sources(self._conditions, used)) - self._warned
        if completed and idle:
            self._warned |= idle
            by = f"not used by {which} of" if which else "never used by"
            warn(
                f"varied, but {by} {self._name!r}: {', '.join(sorted(idle))}. Use "
                "trial.stream(NAME), trial.generator(NAME) or trial.level(NAME) in the trial "
                "function."
            )


def warn_of_idle_seeds(command: Command, conditions: Iterable[Condition]) -> None:
    """Warn, before anything runs, if a random stream is varied that the command cannot know.

    As far as can be told: that a program reads an environment variable is only seen where a file
    of the study names it.
    """
    if idle := _idle_sources(conditions, command.used):
        warn(
            f"varied, but not used by the command as far as can be told: {', '.join(idle)}. "
            f"{how_to_reach(idle)}"
        )


def _idle_sources(conditions: Iterable[Condition], used: set[str]) -> list[str]:
    # Of streams that share one seed, it is the seed that is varied: one that is used is enough.
    groups = [group for condition in conditions for group in condition.sharing_levels()]
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
            warn(
                f"the trials of {name!r} draw from the global generators (random, numpy.random, "
                f"PyTorch), which the study seeds from the stream {stream!r}, here at its default "
                f"level: repeats may be equal for that reason alone. Vary {stream}, or "
                f"fix it to say that you mean this seed; to give weights a seed of their own, use "
                "trial.stream('init')."
            )


def warn_of_mixed_environments(name: str, folder: Path, records: Iterable[TrialRecord]) -> None:
    """Warn if trials ran on different machines, or the description of one cannot be read."""
    environments, faults = read_environments(folder, records)
    for fault in faults:
        warn(fault)
    described = {each: [content[part] for part in _PARTS] for each, content in environments.items()}
    if len(set(map(canonical_json, described.values()))) > 1:
        warn(
            f"the trials of {name!r} ran on different machines or with different packages: "
            f"compare {', '.join(sorted(described))} in {folder}/environments."
        )


def warn_of_earlier_code(name: str, number: int, changed: Sequence[str] | None) -> None:
    """Warn, before anything is trained, that trials of earlier code no longer count.

    Parameters
    ----------
    name
        Of the study.
    number
        Of those trials.
    changed
        What changed since, None if it is not known.
    """
    what = "not known; it was not recorded what they ran" if changed is None else ", ".join(changed)
    trials = "1 recorded trial" if number == 1 else f"{number} recorded trials"
    warn(
        f"{trials} of {name!r} no longer count and are run again, because of what changed since "
        f"then: {what}. If that does not matter to the results, stop, and keep them with "
        "run(adopt=True), or --adopt on the command line."
    )
