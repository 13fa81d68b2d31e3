"""Trials that were recorded before the code was changed: what changed, and how they are kept.

The trials of a study are other trials once their code has another meaning
(`reprostats.study.code`). What each version of the code was made of lies in the folder ``code`` of
the study, so that it can be said what changed. Whether the change matters to results, only the
user knows: who says that it does not adopts the trials.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from reprostats.records.by_digest import intact_content, path_of, write_by_digest
from reprostats.records.checksum import canonical_json
from reprostats.records.files import LOCK, has_record, is_of_record, write_record
from reprostats.records.record import Adoption, TrialRecord
from reprostats.sources import SOURCES
from reprostats.study.folder import intact_record, recorded_identities, trial_folder
from reprostats.study.notices import warn_of_earlier_code
from reprostats.study.plan import PlannedTrial

CODE_FOLDER = "code"
"""The folder, in that of a study, of what the versions of its code are made of."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial that ran to its end with other code than that of today, and all else the same.

    Parameters
    ----------
    trial
        What is planned today.
    identity
        Of the recorded trial.
    record
        What was recorded.
    """

    trial: PlannedTrial
    identity: str
    record: TrialRecord


def write_code(folder: Path, code: Mapping[str, str]) -> None:
    """Write what the code of the trials is made of, to the folder of the study.

    Parameters
    ----------
    folder
        Of the study.
    code
        SHA-256 of each function, class, value and file, by name.
    """
    write_by_digest(folder / CODE_FOLDER, dict(code))


def earlier_trials(
    folder: Path, missing: Sequence[PlannedTrial], planned: Collection[str]
) -> list[EarlierTrial]:
    """Find the trials of earlier code that would be what is planned, were it not for the code.

    Trials that failed are left out. Where several versions were recorded, the newest counts.

    Parameters
    ----------
    folder
        Of the study.
    missing
        The planned trials without a record.
    planned
        Identities of all planned trials.
    """
    wanted = {_apart_from_code(trial): trial for trial in missing}
    found: dict[str, list[EarlierTrial]] = {}
    others = recorded_identities(folder) - set(planned) if wanted else set()
    for identity in sorted(others):
        record = intact_record(folder, identity)
        if (
            record is not None
            and record.ran_through
            and (key := _apart_from_code(record)) in wanted
        ):
            found.setdefault(key, []).append(EarlierTrial(wanted[key], identity, record))
    return [max(trials, key=_how_new) for trials in found.values()]


def _how_new(earlier: EarlierTrial) -> tuple[str, int]:
    """Return what is largest for the newest trial; of one that was adopted, the trial that ran."""
    return earlier.record.started, -len(earlier.record.adopted)


def _apart_from_code(trial: PlannedTrial | TrialRecord) -> str:
    """Return what makes a trial beside its code; sources that it does not know at their default."""
    levels = {source.name: source.default for source in SOURCES.values()} | dict(trial.levels)
    return canonical_json([trial.function, trial.config, levels, trial.repeat, trial.fold])


def changed_code(folder: Path, before: str, now: str) -> list[str] | None:
    """Name what differs between two versions of the code of a study.

    Parameters
    ----------
    folder
        Of the study.
    before, now
        SHA-256 of both.

    Returns
    -------
    list of str or None
        Functions, classes, values and files; of a class of which a method changed, the method.
        None if it is not recorded what one of the versions was made of.
    """
    one, other = (intact_content(path_of(folder / CODE_FOLDER, each)) for each in (before, now))
    if one is None or other is None:
        return None
    names = {name for name in one | other if one.get(name) != other.get(name)}
    return sorted(name for name in names if not any(n.startswith(f"{name}.") for n in names))


def what_changed(folder: Path, earlier: Iterable[EarlierTrial]) -> list[str] | None:
    """Name what changed since any of some trials was recorded; None if it is not known.

    Beside the code that is each source of variability that reprostats did not know then.
    """
    names: set[str] = set()
    for before, now, sources in {_difference(each) for each in earlier}:
        changed = changed_code(folder, before, now)
        if changed is None:
            return None
        names |= {*changed, *sources}
    return sorted(names)


def _difference(earlier: EarlierTrial) -> tuple[str, str, tuple[str, ...]]:
    new = earlier.trial.levels.keys() - earlier.record.levels.keys()
    return earlier.record.code, earlier.trial.code, tuple(f"source {name}" for name in sorted(new))


def keep_or_announce(
    name: str,
    folder: Path,
    planned: Sequence[PlannedTrial],
    done: Collection[str],
    *,
    adopt: bool,
) -> None:
    """Adopt the trials of earlier code, or warn that they no longer count.

    Parameters
    ----------
    name, folder
        Of the study.
    planned
        All its trials.
    done
        Identities of those that have a record.
    adopt
        Whether the user says that the change of the code does not matter.
    """
    missing = [trial for trial in planned if trial.identity not in done]
    earlier = earlier_trials(folder, missing, {trial.identity for trial in planned})
    if adopt:
        for each in earlier:
            adopt_trial(folder, each)
    elif earlier:
        warn_of_earlier_code(name, len(earlier), what_changed(folder, earlier))


def adopt_trial(folder: Path, earlier: EarlierTrial) -> None:
    """Let a trial of earlier code count as the planned one; the record says so.

    The folder of the earlier trial stays as it is. What the trial kept is copied.

    Parameters
    ----------
    folder
        Of the study.
    earlier
        The trial.
    """
    source = trial_folder(folder, earlier.identity)
    target = trial_folder(folder, earlier.trial.identity)
    target.mkdir(parents=True, exist_ok=True)
    adoption = Adoption(
        code=earlier.record.code,
        trial=earlier.identity,
        changed=what_changed(folder, [earlier]),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with FileLock(target / LOCK):
        if has_record(target):  # another process has run it meanwhile
            return
        for path in source.iterdir():
            if path.is_dir():
                shutil.copytree(path, target / path.name, dirs_exist_ok=True)
            elif path.name != LOCK and not is_of_record(path):
                shutil.copy2(path, target / path.name)
        steps = [*earlier.record.adopted, adoption]
        # Last: a trial counts as recorded once its record is there.
        write_record(
            target,
            earlier.record.model_copy(
                update={
                    "code": earlier.trial.code,
                    "levels": dict(earlier.trial.levels),
                    "adopted": steps,
                }
            ),
        )
