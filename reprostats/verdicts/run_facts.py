"""Plain facts of a study, gathered from its records: what was trained, on what, how often, where.

None always means that something is not known. What is empty is known to be empty: no GPU, no fold,
no uncommitted code. Nothing is guessed, so that no sentence made from these facts can claim more
than the study knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from reprostats.records.dotted import by_dotted_path
from reprostats.records.record import WHOLE, TrialRecord
from reprostats.sources import CHOICES, SOURCES, STREAMS
from reprostats.study.results import (
    FINGERPRINT,
    TRIAL_TIME,
    as_text,
    check_results,
    columns_ending,
    is_completed,
    metrics_of,
    trials_of,
)
from reprostats.verdicts.machines import Machine, distinct, machine_of, package_versions

Levels = Mapping[str, Any]


@dataclass(frozen=True)
class RunFacts:
    """What is known of a study; None wherever something is not known.

    Parameters
    ----------
    functions
        Names of the trial functions.
    trials_planned, trials_recorded, trials_completed
        Numbers of trials.
    repeats
        Smallest number of completed trials that share configuration and fold: how often each
        training was run.
    failures
        Number of trials that did not complete, by status and reason.
    metrics
        Names of what was measured.
    values_by_case
        Whether there are values of single cases.
    varied
        Sources of variability that were varied, each with its number of levels.
    varied_together
        Groups of varied sources whose levels change together.
    unused
        Varied sources that no completed trial asked for; they can have had no effect.
    held
        Sources that all trials share, each with its level; of random streams and choices only
        those that a trial asked for.
    seeds
        Distinct seeds by random stream, of the streams that were drawn from.
    in_process
        Whether trials ran in processes of the study, which seeds their global generators and sets
        their flags. A command does not: it is another program.
    config
        Values that all trials share, by name; nested names have dots.
    config_varied
        The other values, by name.
    folds
        Number of folds.
    data_set
        Name of the data.
    training_samples, validation_samples, test_samples
        Numbers of samples; several where trials differ.
    subjects
        Number of patients or other subjects in all.
    training_subjects, validation_subjects, test_subjects
        Numbers of them in each part; several where trials differ.
    augmentation, loss, optimiser, network, framework
        As the trial function described them.
    deterministic
        Whether PyTorch's deterministic algorithms were on, or ``"portable"`` where arithmetic was
        the same as on every machine; several values if that was varied. What
        another program does of that is not known.
    devices
        Devices that PyTorch used, such as ``"cpu"`` and ``"cuda:0"``.
    machines
        Where trials ran.
    packages
        Versions of the main packages, by name.
    git_commits
        Versions of the code; empty where there is no repository.
    lock_files
        Names of the files that pin package versions; empty where there are none.
    seconds
        Wall time of each trial.
    fingerprints
        Names of what is compared bit for bit.
    """

    functions: tuple[str, ...] | None = None
    trials_planned: int | None = None
    trials_recorded: int | None = None
    trials_completed: int | None = None
    repeats: int | None = None
    failures: Mapping[str, int] | None = None
    metrics: tuple[str, ...] | None = None
    values_by_case: bool | None = None
    varied: Mapping[str, int] | None = None
    varied_together: tuple[tuple[str, ...], ...] | None = None
    unused: tuple[str, ...] | None = None
    held: Levels | None = None
    seeds: Mapping[str, tuple[int, ...]] | None = None
    in_process: bool | None = None
    config: Mapping[str, Any] | None = None
    config_varied: Mapping[str, tuple[Any, ...]] | None = None
    folds: int | None = None
    data_set: str | None = None
    training_samples: tuple[int, ...] | None = None
    validation_samples: tuple[int, ...] | None = None
    test_samples: tuple[int, ...] | None = None
    subjects: int | None = None
    training_subjects: tuple[int, ...] | None = None
    validation_subjects: tuple[int, ...] | None = None
    test_subjects: tuple[int, ...] | None = None
    augmentation: str | None = None
    loss: str | None = None
    optimiser: str | None = None
    network: str | None = None
    framework: str | None = None
    deterministic: tuple[bool | str, ...] | None = None
    devices: tuple[str, ...] | None = None
    machines: tuple[Machine, ...] | None = None
    packages: Mapping[str, tuple[str, ...]] | None = None
    git_commits: tuple[str, ...] | None = None
    lock_files: tuple[str, ...] | None = None
    seconds: tuple[float, ...] | None = None
    fingerprints: tuple[str, ...] | None = None

    def hyperparameter(self, *names: str) -> tuple[Any, ...] | None:
        """Return the values of a hyperparameter, under the first of some names that is known.

        Examples
        --------
        >>> RunFacts(config={"training.lr": 0.1}).hyperparameter("learning_rate", "lr")
        (0.1,)
        """
        shared = {name: (value,) for name, value in (self.config or {}).items()}
        every = {**shared, **(self.config_varied or {})}
        for name in names:
            places = [place for place in every if place.rpartition(".")[2] == name]
            if len(places) == 1:
                return every[places[0]]
        return None


def gather_run_facts(
    records: Iterable[TrialRecord],
    environments: Mapping[str, Mapping[str, Any]],
    *,
    planned: int | None = None,
) -> RunFacts:
    """Gather the facts of a study from the records of its trials.

    Parameters
    ----------
    records
        Of all trials, whether they completed or not.
    environments
        Descriptions of the environments, by the name that records give.
    planned
        Number of trials that were planned; None if it is not known.

    Examples
    --------
    >>> gather_run_facts([], {}).trials_completed is None
    True
    """
    every = list(records)
    if not every:
        return RunFacts(trials_planned=planned)
    well = list(filter(_is_completed, every))
    names = distinct(record.environment for record in every)
    described = [environments[name] for name in names if name in environments]
    in_process = any(record.effective for record in well) if well else None
    return replace(
        _of_trials(every, planned),
        **_of_sources([_levels(record) for record in every], _asked_for(well)),
        **_of_config([record.config for record in every]),
        **_of_data([record.description for record in well]),
        **_of_machines(described),
        deterministic=_known(r.effective.get("deterministic", r.levels.get("deterministic"))
                             for r in every if "deterministic" in {*r.effective, *r.levels}
                             and in_process is not False),
        devices=_known(str(r.effective["device"]) for r in well if "device" in r.effective),
        seeds=_seeds(well),
        in_process=in_process,
    )  # fmt: skip


def gather_table_facts(results: pd.DataFrame, *, planned: int | None = None) -> RunFacts:
    """Gather what a results table alone tells, be it of a study or from elsewhere.

    Raises
    ------
    InputError
        If it is not a results table; see `reprostats.study.results.check_results`.

    Examples
    --------
    >>> table = pd.DataFrame({"trial": ["a", "b"], "metric": "dice", "value": [0.8, 0.9]})
    >>> facts = gather_table_facts(table)
    >>> facts.trials_completed, facts.metrics, facts.seeds
    (2, ('dice',), None)
    """
    table = check_results(results)
    trials = trials_of(table).drop_duplicates("trial")
    well = is_completed(trials)
    failed = zip(trials.loc[~well, "status"], trials.loc[~well, "reason"], strict=True)
    folds = trials["fold"].nunique() if "fold" in trials else None
    by = [as_text(trials[name]) for name in ("condition", "fold") if name in trials]
    sources = [name for name in SOURCES if name in trials]
    facts = RunFacts(
        trials_planned=planned,
        trials_recorded=len(trials),
        trials_completed=int(well.sum()),
        repeats=int(well.groupby(by).sum().min()),
        failures=_failures(failed),
        metrics=tuple(metrics_of(table)),
        values_by_case=bool((table["case"] != WHOLE).any()),
        folds=folds,
        seconds=tuple(trials[TRIAL_TIME].astype(float)) if TRIAL_TIME in trials else None,
        fingerprints=_known(
            name.removesuffix(FINGERPRINT) for name in columns_ending(trials, FINGERPRINT)
        ),
    )
    levels = [
        dict(zip(sources, row, strict=True)) for row in trials[sources].itertuples(index=False)
    ]
    return replace(facts, **_of_sources(levels, None)) if sources else facts


def _is_completed(record: TrialRecord) -> bool:
    return record.completed


def _known(values: Iterable[Any]) -> tuple[Any, ...] | None:
    """Return distinct values; None if there is none."""
    return distinct(values) or None


def _of_trials(records: Sequence[TrialRecord], planned: int | None) -> RunFacts:
    well = list(filter(_is_completed, records))
    failed = [record for record in records if not _is_completed(record)]
    measured = [row for record in well for row in record.metrics]
    return RunFacts(
        functions=distinct(record.function for record in records),
        trials_planned=planned,
        trials_recorded=len(records),
        trials_completed=len(well),
        repeats=min(_repeats(records).values()),
        failures=_failures((record.status, record.reason) for record in failed),
        metrics=distinct(metric for metric, _, _ in measured),
        values_by_case=any(case != WHOLE for _, case, _ in measured),
        folds=len({record.fold for record in records} - {None}),
        seconds=tuple(record.seconds for record in records),
        fingerprints=distinct(name for record in well for name in record.fingerprints),
    )


def _repeats(records: Sequence[TrialRecord]) -> Counter[str]:
    """Count the completed trials of every configuration and fold, those without one too."""
    counts: Counter[str] = Counter()
    for record in records:
        counts[repr((sorted(record.config.items()), record.fold))] += _is_completed(record)
    return counts


def _failures(failed: Iterable[tuple[str, str]]) -> dict[str, int]:
    told = (f"{status}: {reason}" if reason else status for status, reason in failed)
    return dict(Counter(told).most_common())


def _levels(record: TrialRecord) -> dict[str, Any]:
    """Return the levels of a trial, with the seeds that it really had."""
    return {**record.levels, **{n: s for n, s in record.seeds.items() if n in record.levels}}


def _asked_for(well: Sequence[TrialRecord]) -> set[str] | None:
    """Return random streams and choices that some trial asked for; None if no trial can tell."""
    return {name for record in well for name in record.used} if well else None


def _of_sources(levels: Sequence[Levels], asked_for: set[str] | None) -> dict[str, Any]:
    known = distinct(name for each in levels for name in each if name in SOURCES)
    columns = {name: [repr(each.get(name)) for each in levels] for name in known}
    varied = {name: len({*column}) for name, column in columns.items() if len({*column}) > 1}
    silent = {*STREAMS, *CHOICES} - (asked_for or set())
    held = {n: levels[0].get(n) for n in known if n not in varied and n not in silent}
    return {
        "varied": varied,
        "varied_together": _together({name: columns[name] for name in varied}),
        "unused": None if asked_for is None else tuple(n for n in varied if n in silent),
        "held": held,
    }


def _together(columns: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Group columns that divide the trials in the same way."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, column in columns.items():
        groups.setdefault(tuple(column.index(level) for level in column), []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _of_config(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    plain = [by_dotted_path(config) for config in configs]
    values = {n: distinct(c.get(n) for c in plain) for n in distinct(n for c in plain for n in c)}
    return {
        "config": {name: several[0] for name, several in values.items() if len(several) == 1},
        "config_varied": {name: several for name, several in values.items() if len(several) > 1},
    }


def _of_data(descriptions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def said(*names: str) -> str | None:
        values = _known(d[name] for d in descriptions for name in names if name in d)
        return "; ".join(map(str, values)) if values else None

    def counted(name: str) -> tuple[int, ...] | None:
        counts = {_count(d[name]) for d in descriptions if name in d} - {None}
        return tuple(sorted(count for count in counts if count is not None)) or None

    parts = ("training", "validation", "test")
    return {
        "data_set": said("dataset", "data_set"),
        **{f"{part}_samples": counted(part) for part in parts},
        **{f"{part}_subjects": counted(f"{part}_patients") for part in parts},
        "subjects": _subjects(descriptions, parts),
        **{name: said(name) for name in ("augmentation", "loss", "network", "framework")},
        "optimiser": said("optimiser", "optimizer"),
    }


def _count(described: object) -> int | None:
    """Return a number that was described as such, or by listing what it counts."""
    if isinstance(described, bool) or not isinstance(described, int | list | tuple):
        return None
    return described if isinstance(described, int) else len(described)


def _subjects(descriptions: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> int | None:
    """Count the subjects of all parts and trials; they are known only where all are listed."""
    subjects: set[str] = set()
    for described in descriptions:
        for part in parts:
            listed = described.get(f"{part}_patients")
            if isinstance(listed, list | tuple):
                subjects |= {*map(str, listed)}
            elif described.get(part) or listed:
                return None
    return len(subjects) or None


def _of_machines(described: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    commits = [each["git_commit"] for each in described if "git_commit" in each]
    locks = [each["lock_files"] for each in described if "lock_files" in each]
    return {
        "machines": _known(map(machine_of, described)),
        "packages": package_versions(described) or None,
        "git_commits": distinct(filter(None, commits)) if commits else None,
        "lock_files": distinct(name for files in locks for name in files) if locks else None,
    }


def _seeds(well: Sequence[TrialRecord]) -> dict[str, tuple[int, ...]] | None:
    if not well:
        return None
    names = distinct(name for record in well for name in record.used if name in record.seeds)
    return {
        name: distinct(r.seeds[name] for r in well if name in r.used and name in r.seeds)
        for name in names
    }
