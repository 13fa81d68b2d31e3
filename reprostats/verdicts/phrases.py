"""Facts of a study in words, for checklists, records and the methods section alike.

A phrase is None where the fact is not known, and an empty text where there is known to be nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from reprostats.verdicts.machines import Machine, distinct
from reprostats.verdicts.run_facts import RunFacts

_MOST = 8  # values that are listed before the others are counted

_SWITCHED: dict[bool | str, str] = {True: "on", False: "off", "portable": "portable"}


def varied_sources(facts: RunFacts) -> str | None:
    """Name the sources that were varied, with their numbers of levels; those together in one.

    Examples
    --------
    >>> varied_sources(RunFacts(varied={"init": 5, "batch_order": 5, "threads": 2},
    ...     varied_together=(("init", "batch_order"),)))
    'init and batch_order together (5 levels), threads (2 levels)'
    """
    if facts.varied is None:
        return None
    together = facts.varied_together or ()
    joined = {name: group for group in together for name in group}
    groups = distinct(joined.get(name, (name,)) for name in facts.varied)
    return ", ".join(_group(group, facts.varied[group[0]]) for group in groups)


def _group(group: Sequence[str], levels: int) -> str:
    together = " together" if len(group) > 1 else ""
    return f"{listed(group)}{together} ({levels} levels)"


def held_sources(facts: RunFacts) -> str | None:
    """Name the sources that were held, with their levels."""
    if facts.held is None:
        return None
    # Whether PyTorch's algorithms are deterministic is a fact of its own, where it is known.
    told = {"deterministic"} if facts.deterministic is not None else set()
    return pairs({name: level for name, level in facts.held.items() if name not in told})


def seeds(facts: RunFacts) -> str | None:
    """Return the seeds of the streams that were drawn from; once where all streams share them.

    Examples
    --------
    >>> seeds(RunFacts(seeds={"init": (1, 2), "dropout": (1, 2)}))
    'init, dropout: 1, 2'
    """
    if facts.seeds is None:
        return None
    streams: dict[tuple[int, ...], list[str]] = {}
    for name, numbers in facts.seeds.items():
        streams.setdefault(numbers, []).append(name)
    return "; ".join(f"{', '.join(names)}: {several(n)}" for n, names in streams.items())


def failures(facts: RunFacts) -> str | None:
    """Say how many trials did not complete, by reason."""
    if facts.failures is None:
        return None
    return "; ".join(f"{count} {reason}" for reason, count in facts.failures.items())


def hyperparameters(facts: RunFacts) -> str | None:
    """Return the values of the configuration; those that were compared with all their values."""
    if facts.config is None:
        return None
    varied = {name: several(values) for name, values in (facts.config_varied or {}).items()}
    return pairs({**facts.config, **varied})


def deterministic_algorithms(facts: RunFacts) -> str | None:
    """Say whether PyTorch's deterministic algorithms were on, off, portable or varied."""
    if facts.deterministic is None:
        return None
    return "varied" if len(facts.deterministic) > 1 else _SWITCHED[facts.deterministic[0]]


def processors(facts: RunFacts) -> str | None:
    """Name the processors, with their cores."""
    return _of_machines(facts, "processor", _processor)


def memory(facts: RunFacts) -> str | None:
    """Return the main memory of the machines."""
    return _of_machines(facts, "memory_gb", lambda machine: f"{machine.memory_gb:g} GB of memory")


def folds(facts: RunFacts) -> str | None:
    """Return the number of folds."""
    return None if facts.folds is None else f"{facts.folds} folds" if facts.folds else "no folds"


def gpus(facts: RunFacts) -> str | None:
    """Name the GPUs of the machines, with their memory."""
    known = [machine.gpus for machine in facts.machines or () if machine.gpus is not None]
    return "; ".join(distinct(str(gpu) for each in known for gpu in each)) if known else None


def system(facts: RunFacts) -> str | None:
    """Name the operating systems."""
    return _of_machines(facts, "system", lambda machine: str(machine.system))


def python(facts: RunFacts) -> str | None:
    """Return the versions of Python."""
    return _of_machines(facts, "python", lambda machine: str(machine.python))


def packages(facts: RunFacts) -> str | None:
    """Return the versions of the main packages."""
    if facts.packages is None:
        return None
    versions = {name: " or ".join(numbers) for name, numbers in facts.packages.items()}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def code_versions(facts: RunFacts) -> str | None:
    """Return the versions of the code; files may have differed from a commit.

    Examples
    --------
    >>> code_versions(RunFacts(git_commits=("a1b2", "c3d4+changes")))
    'a1b2, c3d4 with changes that were not committed'
    """
    if facts.git_commits is None:
        return None
    changed = " with changes that were not committed"
    return ", ".join(commit.replace("+changes", changed) for commit in facts.git_commits)


def run_time(facts: RunFacts) -> str | None:
    """Return the wall time of the trials, in all and for one.

    Examples
    --------
    >>> run_time(RunFacts(seconds=(10.0, 14.0)))
    '24 s in all, 10 to 14 s per trial'
    """
    if not facts.seconds:
        return None
    low, high = min(facts.seconds), max(facts.seconds)
    each = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return f"{sum(facts.seconds):.0f} s in all, {each} s per trial"


def trials(facts: RunFacts) -> str | None:
    """Say how many trials there are and how many of them completed.

    Examples
    --------
    >>> trials(RunFacts(trials_planned=6, trials_recorded=5, trials_completed=4,
    ...     failures={"diverged": 1}))
    '6 trials planned, 5 recorded, of which 4 completed (1 diverged)'
    """
    if facts.trials_recorded is None:
        return None
    recorded, planned = facts.trials_recorded, facts.trials_planned
    counted = f"{recorded} trial{'s' * (recorded != 1)}"
    if planned not in {None, recorded}:
        counted = f"{planned} trials planned, {recorded} recorded"
    reasons = f" ({failures(facts)})" if facts.failures else ""
    return f"{counted}, of which {facts.trials_completed} completed{reasons}"


def repeats(facts: RunFacts) -> str | None:
    """Say how many trials there are, and how many of each training at least.

    Examples
    --------
    >>> repeats(RunFacts(trials_recorded=6, trials_completed=6, repeats=3))
    '6 trials, of which 6 completed; at least 3 of each configuration and fold'
    """
    counted = trials(facts)
    if facts.repeats is None or counted is None:
        return None
    return f"{counted}; at least {facts.repeats} of each configuration and fold"


def numbers(values: Sequence[int] | None) -> str | None:
    """Return a number, or the smallest and the largest where trials differ.

    Examples
    --------
    >>> numbers((34, 35)), numbers((60000,))
    ('34 to 35', '60000')
    """
    if values is None:
        return None
    return str(values[0]) if len(values) == 1 else f"{min(values)} to {max(values)}"


def samples(facts: RunFacts) -> str | None:
    """Return the sizes of the parts of the data that are known.

    Examples
    --------
    >>> samples(RunFacts(training_samples=(800,), test_samples=(100, 101)))
    '800 samples for training, 100 to 101 for test'
    """
    parts = {
        "training": numbers(facts.training_samples),
        "validation": numbers(facts.validation_samples),
        "test": numbers(facts.test_samples),
    }
    known = [f"{count} for {part}" for part, count in parts.items() if count]
    return ", ".join(known).replace(" for", " samples for", 1) or None


def several(values: Sequence[object]) -> str:
    """List values; of many, the first ones and how many others there are."""
    shown = ", ".join(map(str, values[:_MOST]))
    return shown + (f" and {len(values) - _MOST} others" if len(values) > _MOST else "")


def pairs(values: Mapping[str, object]) -> str:
    """Write names with their values."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def listed(words: Iterable[str]) -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _processor(machine: Machine) -> str:
    cores = f", {machine.cores} core{'s' * (machine.cores != 1)}" if machine.cores else ""
    return f"{machine.processor}{cores}"


def _of_machines(facts: RunFacts, name: str, say: Callable[[Machine], str]) -> str | None:
    known = [machine for machine in facts.machines or () if getattr(machine, name) is not None]
    return "; ".join(distinct(map(say, known))) or None
