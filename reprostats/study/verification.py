"""Making and verifying certificates: a training is trained again, and every step is compared.

Where the training was in portable arithmetic, any machine can verify it; any other training only
has the same bits in the set-up it ran in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from reprostats.errors import InputError, NotAvailableError
from reprostats.records.by_digest import intact_content, path_of
from reprostats.records.checksum import digest
from reprostats.records.environments import environments_folder, read_environment
from reprostats.records.files import read_record
from reprostats.records.record import TrialRecord
from reprostats.sources import SOURCES, Level
from reprostats.study.certificate import (
    EVENT_DIGITS,
    Certificate,
    CertifiedStep,
    chain_head,
    chained,
    is_hardware,
)
from reprostats.study.code import code_dependencies, function_name
from reprostats.study.contents import Content, contents, file_hashes, split_files
from reprostats.study.earlier_code import CODE_FOLDER
from reprostats.study.folder import trial_folder
from reprostats.study.plan import PlannedTrial
from reprostats.study.pool import Task
from reprostats.study.rerun import Rerun
from reprostats.study.setup import worker_setup
from reprostats.study.tracing import EVENTS, TrialFunction, read_trace

if TYPE_CHECKING:
    import pandas as pd

_WHOLE = "the training"


@dataclass(frozen=True)
class Verification:
    """Whether a training gave again what its certificate says.

    Parameters
    ----------
    verified
        True if every step, every fingerprint and every metric is the same.
    steps
        Number of steps that were compared.
    of_steps
        Number of steps of the training.
    portable
        Whether the training was in portable arithmetic.
    levels
        Levels that this machine took in place of those of the certificate, which it does not
        have, as (certificate, here) by source.
    step, phase, place, what
        The first difference: number of the step from 0, and which tensor of which module; see
        `reprostats.learning.trace.Event`. Step is None where the steps are equal and what the
        certificate says of the end is not.
    """

    verified: bool
    steps: int
    of_steps: int
    portable: bool
    levels: Mapping[str, tuple[object, object]]
    step: int | None = None
    phase: str = ""
    place: str = ""
    what: str = ""

    def __str__(self) -> str:
        """Say the verdict, and how far it goes."""
        if self.verified and self.steps < self.of_steps:
            said = (
                f"Verified as far as compared: the first {self.steps} of {self.of_steps} steps "
                "have the bits of the certificate. What comes after them was not looked at."
            )
        elif self.verified:
            said = (
                f"Verified: {self.steps} steps and what came out have the bits of the certificate."
            )
        elif self.step is None:
            said = f"Refuted: all steps are as certified, but not {self.what}."
        else:
            said = f"Refuted at step {self.step}, phase {self.phase}: {self.what} of {self.place}."
        if self.portable:
            said += " The training was in portable arithmetic; any machine can verify it."
        else:
            said += (
                " The training was not in portable arithmetic; other hardware or other versions "
                "give other bits even where nothing is wrong."
            )
        changed = [f"{name} {here!r} for {there!r}" for name, (there, here) in self.levels.items()]
        lacking = f" In place of what this machine lacks: {', '.join(changed)}."
        return said + (lacking if changed else "")


def certify(
    function: TrialFunction, folder: Path, identity: str, *, progress: bool = True
) -> Certificate:
    """Train a recorded trial again with its training traced, and certify it.

    Parameters
    ----------
    function
        The trial function.
    folder
        Of the study.
    identity
        Of the trial.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        If the trial did not complete, its code or files have changed since, or it left other
        fingerprints when it was trained again.
    """
    record = read_record(trial_folder(folder, identity), TrialRecord)
    if not record.completed:
        raise InputError(f"trial {identity} is recorded as {record.status}; nothing to certify.")
    code, files = _recorded_code(folder, record)
    reached = _Reached.of(function, code, files)
    trial = PlannedTrial(
        record.function, record.code, record.config, record.levels, record.repeat, record.fold
    )
    events, again, ran = reached.train(trial, record, progress=progress)
    if again.fingerprints != record.fingerprints or again.metrics != record.metrics:
        raise InputError(
            f"trial {identity} does not repeat: trained again, it gave other results than its "
            "record. A certificate would be refuted by the next who trains."
        )
    levels = dict(ran.levels)
    head = chain_head(code, files, record.config, levels, (record.repeat, record.fold))
    place = environments_folder(trial_folder(folder, identity))
    return Certificate(
        function=record.function,
        code=code,
        files=files,
        config=record.config,
        levels=levels,
        repeat=record.repeat,
        fold=record.fold,
        environment=read_environment(place, record),
        steps=chained(head, events),
        fingerprints=record.fingerprints,
        metrics=record.metrics,
    )


def verify(
    certificate: Certificate,
    function: TrialFunction | None = None,
    *,
    steps: int | None = None,
    progress: bool = True,
) -> Verification:
    """Train again what a certificate is of, and compare every step.

    Parameters
    ----------
    certificate
        What `reprostats.study.certificate.read_certificate` returned.
    function
        The trial function; default: it is imported by its name.
    steps
        Train and compare so many steps alone; default: the whole training.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        If the function or one of the files is another one than was certified; each is named. If
        fewer than one step is to be compared.
    NotAvailableError
        If this machine lacks a level of a training that is not portable.
    """
    whole = len(certificate.steps) - 1
    if steps is not None and steps < 1:
        raise InputError(f"steps is {steps}; 1 or more are due.")
    compared = whole if steps is None else min(steps, whole)
    chosen = imported_function(certificate.function) if function is None else function
    reached = _Reached.of(chosen, certificate.code, certificate.files)
    levels = _levels_here(certificate)
    code = digest(reached.everything)
    trial = PlannedTrial(
        function_name(chosen), code, certificate.config, levels, certificate.repeat,
        certificate.fold,
    )  # fmt: skip
    events, again, _ = reached.train(
        trial, None, progress=progress, steps=None if compared == whole else compared
    )
    common: dict[str, Any] = {
        "steps": compared,
        "of_steps": whole,
        "portable": certificate.portable,
        "levels": {
            name: (certificate.levels.get(name), level)
            for name, level in levels.items()
            if level != certificate.levels.get(name)
        },
    }
    found = chained(certificate.head, events)
    if compared < whole:
        refuted = _first_difference(certificate.steps[:compared], found[:compared], events)
    else:
        refuted = _first_difference(certificate.steps, found, events) or _other_end(
            certificate, again
        )
    return Verification(verified=refuted is None, **common, **(refuted or {}))


def imported_function(name: str) -> TrialFunction:
    """Import a trial function by the name under which it is recorded.

    Raises
    ------
    InputError
        If it was defined in a script or notebook, or is not found.

    Examples
    --------
    >>> imported_function("reprostats.experiments.lenet:train_lenet").__name__
    'train_lenet'
    """
    module, _, place = name.partition(":")
    if module == "__main__" or "<locals>" in place:
        raise InputError(
            f"{name}: defined in a script, a notebook or another function, so it cannot be "
            "imported. Call certify or verify of reprostats.study.verification there."
        )
    try:
        found: Any = import_module(module)
        for part in place.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{name} cannot be imported ({error}); run this in the folder of its module, "
            f"{Path.cwd()} is not."
        ) from None
    function: TrialFunction = found
    return function


@dataclass(frozen=True)
class _Reached:
    """A trial function with the code and files that were found to be those of a certificate."""

    function: TrialFunction
    code: Mapping[str, str]
    files: Mapping[str, Content]

    @classmethod
    def of(
        cls, function: TrialFunction, code: Mapping[str, str], files: Mapping[str, str]
    ) -> _Reached:
        """Compare what a function reaches today with what it reached.

        Raises
        ------
        InputError
            If anything differs.
        """
        found = contents(list(files), Path.cwd()) if files else {}
        reached = code_dependencies(function)
        hashes = {name: each.sha256 for name, each in found.items()}
        differing = [*_differing_names(code, reached), *_differing_names(files, hashes)]
        if differing:
            raise InputError(f"{', '.join(differing)}: not the code or files that were certified.")
        return cls(function, reached, found)

    @property
    def everything(self) -> dict[str, str]:
        """What belongs to the identity of a trial, by name."""
        return {**self.code, **file_hashes(self.files)}

    def train(
        self,
        trial: PlannedTrial,
        record: TrialRecord | None,
        *,
        progress: bool,
        steps: int | None = None,
    ) -> tuple[pd.DataFrame, TrialRecord, PlannedTrial]:
        """Train; return the events of its trace, its record, and the trial with drawn seeds."""
        options = {} if steps is None else {"stop_after": steps - 1}
        with TemporaryDirectory() as name:
            place = Path(name).resolve()
            setup = worker_setup(self.function, self.code, self.files, place)
            task = Task(trial, trial_folder(place, trial.identity), setup, None)
            how: dict[str, Any] = {"workers": 1, "progress": progress, "description": "training"}
            with Rerun([task], [record], place, **how) as rerun:
                (folder,) = rerun.trace(detail="module", **options)
                again = read_record(folder, TrialRecord)
                if not again.completed:
                    raise InputError(f"trained again, the trial {again.status}: {again.reason}")
                return read_trace(folder, EVENTS), again, rerun.trials[0]


def _recorded_code(folder: Path, record: TrialRecord) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the code of a trial was made of: functions and values, and files."""
    everything = intact_content(path_of(folder / CODE_FOLDER, record.code))
    if everything is None:
        raise InputError(
            f"{folder / CODE_FOLDER} does not hold what the code of this trial was made of."
        )
    return split_files(everything)


def _levels_here(certificate: Certificate) -> dict[str, Level]:
    """Return the levels of a certificate, with defaults for hardware that this machine lacks."""
    levels: dict[str, Level] = {}
    for name, level in certificate.levels.items():
        if name not in SOURCES:
            raise InputError(f"this version of reprostats has no source {name!r}.")
        levels[name] = level
        try:
            SOURCES[name].check(level)
        except NotAvailableError:
            if not is_hardware(name, certificate.levels):
                raise
            levels[name] = SOURCES[name].default
    return levels


def _first_difference(
    certified: list[CertifiedStep], found: list[CertifiedStep], events: pd.DataFrame
) -> dict[str, Any] | None:
    """Return where the steps of a training differ first from those that were certified."""
    for number, (there, here) in enumerate(zip_longest(certified, found)):
        if there is None or here is None:
            length = f"the number of steps, {len(found) - 1},"
            return {"step": number, "phase": "end", "place": _WHOLE, "what": length}
        if there.chain == here.chain:
            continue
        rows = events[events["step"] == number].reset_index(drop=True)
        pairs = zip(_split(there.events), _split(here.events), strict=False)
        differing = (place for place, (one, other) in enumerate(pairs) if one != other)
        row = next(differing, None)
        if row is None:
            return {"step": number, "phase": "any", "place": _WHOLE, "what": "the chain"}
        event = rows.iloc[row]
        return {"step": number, **{name: str(event[name]) for name in ("phase", "place", "what")}}
    return None


def _other_end(certificate: Certificate, again: TrialRecord) -> dict[str, Any] | None:
    """Return what came out otherwise than is certified, though every step is the same."""
    if names := _differing_names(certificate.fingerprints, again.fingerprints):
        return {"what": f"the fingerprint of {' and '.join(names)}"}
    return {"what": "the metrics"} if certificate.metrics != again.metrics else None


def _split(events: str) -> list[str]:
    return [events[start : start + EVENT_DIGITS] for start in range(0, len(events), EVENT_DIGITS)]


def _differing_names(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
