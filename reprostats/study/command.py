"""A program as a trial function: it is started for every trial, and its metrics are read.

Its identity is not code but what is written here: the command with its placeholders, where its
metrics stand, what is kept, its environment variables; and the content of its files, which the
study adds. All else (processes, time limits, records) is as of any trial function.

What a program is given beside its arguments: the seeds of the random streams in environment
variables (``REPROSTATS_SEED_INIT``, ``REPROSTATS_SEED_BATCH_ORDER`` ...), the folder of its trial
in ``REPROSTATS_FOLDER``, and the variables of the sources that act through them: threads,
instruction set, hash seed. Its output goes to ``log.txt`` in the folder of its trial. Of more than
3 MiB the first and the last MiB stay, and a line between them says how much is left out.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from reprostats.errors import CommandError, InputError, NotAvailableError
from reprostats.records.checksum import digest
from reprostats.records.files import LOCK, is_of_record
from reprostats.records.record import Row
from reprostats.sources import SOURCES, STREAMS
from reprostats.study.command_metrics import FORMATS, metrics_in_file, metrics_in_output
from reprostats.study.command_output import BoundedLog, Output, run_program
from reprostats.study.contents import Content, fingerprint_of_files
from reprostats.study.failures import how_it_ended
from reprostats.study.placeholders import filled, placeholders
from reprostats.study.trial import Trial

if TYPE_CHECKING:
    from reprostats.study.plan import PlannedTrial

FOLDER = "REPROSTATS_FOLDER"
"""The environment variable that holds the folder of a trial."""
LOG = "log.txt"
PLACES = ("folder", "repeat", "fold", "python")
"""The placeholders that are neither sources nor values of the config."""

_THIS_PYTHON = "{python}"
_SEED_LIMIT = 2**31  # set.seed of R takes no larger seed, and numpy.random.seed one bit more
_LARGEST_SCRIPT = 2**20  # bytes; what is larger is data


def seed_variable(stream: str) -> str:
    """Return the environment variable that holds the seed of a random stream.

    Examples
    --------
    >>> seed_variable("batch_order")
    'REPROSTATS_SEED_BATCH_ORDER'
    """
    return f"REPROSTATS_SEED_{stream.upper()}"


@dataclass(frozen=True)
class Command:
    """A program with its arguments, to be started for every trial.

    Parameters
    ----------
    arguments
        The program and its arguments. Names in braces are placeholders: random streams and other
        sources, values of the config, ``folder`` (of the trial), ``repeat``, ``fold``, and
        ``python``, the interpreter that runs the study.
    metrics
        A JSON or CSV file in the trial's folder, see
        `reprostats.study.command_metrics.metrics_in_file`; or a pattern whose named groups are
        metrics: the last match in the output counts.
    keep
        Outputs in the trial's folder whose SHA-256 is recorded: paths, folders or globs.
    env
        Environment variables; placeholders are filled here too.
    folder
        In which the program runs.
    mentioned
        Random streams whose environment variable some file of the study names.

    Raises
    ------
    InputError
        If a placeholder is not one, the pattern has no named group, or a path leads out of the
        folder of the trial.

    Examples
    --------
    >>> command = Command(("Rscript", "fit.R", "{init}"), "metrics.json")
    >>> command.name, command.used
    ('Rscript fit.R {init}', {'init'})
    """

    arguments: tuple[str, ...]
    metrics: str | re.Pattern[str]
    keep: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."
    mentioned: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_arguments(self.arguments)
        check_metrics(self.metrics)
        check_keep(self.keep)
        check_env(self.env)

    @property
    def name(self) -> str:
        """The command as it was written."""
        return " ".join(self.arguments)

    @property
    def title(self) -> str:
        """The name of its first script, or of the program."""
        return Path((*self.scripts, self.arguments[0])[0]).stem

    @property
    def texts(self) -> dict[str, str]:
        """The texts that may hold placeholders, by what errors call them."""
        places = {f"command[{n}]": text for n, text in enumerate(self.arguments)}
        return places | {f"env[{name!r}]": text for name, text in self.env.items()}

    @property
    def placeholders(self) -> set[str]:
        """The names of all placeholders."""
        return {name for where, text in self.texts.items() for name in placeholders(text, where)}

    @property
    def used(self) -> set[str]:
        """The sources that reach the program by a placeholder, or whose variable a file names."""
        return (self.placeholders & SOURCES.keys()) | self.mentioned

    @property
    def scripts(self) -> list[str]:
        """The arguments that are existing files: their content is part of the identity.

        So are the value of ``--config=FILE`` and words inside an argument, as in
        ``sh -c "./fit.sh > log"``. The program itself counts where it lies below the folder in
        which it runs, and not where it is installed.
        """
        folder = Path(self.folder).resolve()
        program, *others = self.arguments
        parts = [part for text in others for part in (text, text.partition("=")[2], *text.split())]
        if "/" in program and (folder / program).resolve().is_relative_to(folder):
            parts.insert(0, program)
        return [part for part in dict.fromkeys(parts) if part and _is_file(folder / part)]

    def dependencies(self) -> dict[str, str]:
        """Return what takes the place of code in the identity of trials, as one SHA-256."""
        pattern = self.metrics
        metrics = pattern if isinstance(pattern, str) else [pattern.pattern, pattern.flags]
        return {"command": digest([self.arguments, metrics, self.keep, dict(self.env)])}

    def reading(self, files: Iterable[Content]) -> Command:
        """Return the command with the streams whose environment variable some script names."""
        texts = [Path(each.path).read_bytes() for each in files if each.size <= _LARGEST_SCRIPT]
        names = {n for n in STREAMS if any(seed_variable(n).encode() in text for text in texts)}
        return replace(self, mentioned=frozenset(names))

    def check_program(self) -> None:
        """Check that the program is there.

        Raises
        ------
        NotAvailableError
            If it is not found, or may not be executed.
        """
        program = self.arguments[0]
        if placeholders(program, "command"):
            return
        there = str(Path(self.folder) / program) if "/" in program else program
        if shutil.which(there, path=self.env.get("PATH")) is None:
            where = f"in {self.folder}" if "/" in program else "on the PATH"
            raise NotAvailableError(
                f"command: there is no program {program!r} {where}, or it may not be executed."
            )

    def own_environment(self) -> dict[str, object]:
        """Return the program's path, and that its packages are not known if it is no Python here.

        Those of the process that starts it say nothing of another program.
        """
        named = self.arguments[0].replace(_THIS_PYTHON, sys.executable)
        program = shutil.which(named, path=self.env.get("PATH")) or named
        beside = (Path(self.folder) / program).parent == Path(sys.executable).parent
        unknown: dict[str, object] = {} if beside else {"python": "", "packages": {}}
        return {"program": program, **unknown}

    def __call__(self, trial: Trial) -> dict[str, dict[str, float]]:
        """Run the program for a trial, and read its metrics.

        Raises
        ------
        CommandError
            If it cannot be started, ends with another status than 0, or leaves no metrics.
        """
        _limit_drawn_seeds(trial)
        trial.streams.used |= self.used
        _empty(trial.folder)
        found = self._run(trial)
        metrics: dict[str, dict[str, float]] = {}
        for metric, case, value in self._rows(trial, found):
            metrics.setdefault(metric, {})[case] = value
        trial.fingerprints |= {each: _fingerprint(each, trial.folder) for each in self.keep}
        return metrics

    def _run(self, trial: Trial) -> dict[str, str]:
        """Run the program; return what the pattern, if there is one, found in its output."""
        values = placeholder_values(trial, trial.folder) | trial.streams.seeds
        arguments = [filled(each, values) for each in self.arguments]
        pattern = None if isinstance(self.metrics, str) else self.metrics
        with BoundedLog(trial.folder / LOG) as log:
            log.write(f"$ {shlex.join(arguments)}\n".encode())
            output = Output(log, pattern)
            variables = self._variables(trial, values)
            try:
                code = run_program(arguments, self.folder, variables, output.take)
            except OSError as error:
                raise CommandError(f"the command cannot be started: {error.strerror}.") from None
        if code:
            status: Literal["failed", "killed"] = "killed" if code < 0 else "failed"
            raise CommandError(how_it_ended("the command", code) + output.last_lines(), status)
        return output.matches()

    def _variables(self, trial: Trial, values: Mapping[str, object]) -> dict[str, str]:
        seeds = {seed_variable(name): str(seed) for name, seed in trial.streams.seeds.items()}
        own = {name: filled(text, values) for name, text in self.env.items()}
        return {**os.environ, FOLDER: str(trial.folder), **seeds, **own}

    def _rows(self, trial: Trial, found: Mapping[str, str]) -> list[Row]:
        if not isinstance(self.metrics, str):
            return metrics_in_output(found, self.metrics.groupindex)
        path = trial.folder / self.metrics
        if not path.is_file():
            raise CommandError(f"the command ended well but wrote no {self.metrics}{self._hint()}.")
        return metrics_in_file(path)

    def _hint(self) -> str:
        """Say where a file of metrics lies that was looked for in the trial's folder."""
        if not (Path(self.folder) / str(self.metrics)).is_file():
            return " to the folder of the trial, {folder}"
        return (
            f" to the folder of the trial, {{folder}}; the one in {self.folder} is no trial's own, "
            "so that trials that run at a time would take each other's"
        )


def placeholder_values(trial: Trial | PlannedTrial, folder: Path) -> dict[str, object]:
    """Return the value of every placeholder in a trial that has this folder."""
    places = {"folder": str(folder), "repeat": trial.repeat, "fold": trial.fold,
              "python": sys.executable}  # fmt: skip
    return {**trial.config, **trial.levels, **places}


def words_of(command: Sequence[str] | str) -> list[str]:
    """Return program and arguments; a text is split at spaces, as a shell does.

    Raises
    ------
    InputError
        If a quotation mark is not closed.

    Examples
    --------
    >>> words_of("Rscript -e 'cat(1)'")
    ['Rscript', '-e', 'cat(1)']
    """
    try:
        return shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        raise InputError(f"command: {command!r}: {error}.") from None


def command_from(
    command: Sequence[str] | str,
    metrics: str | re.Pattern[str],
    keep: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
) -> Command:
    """Make a command from what a user gives.

    Raises
    ------
    InputError
        As `Command` and `words_of`.
    """
    check_keep(keep)
    return Command(tuple(words_of(command)), metrics, tuple(keep), env, str(folder))


def check_arguments(arguments: Sequence[object]) -> None:
    """Check the arguments of a command.

    Raises
    ------
    InputError
        If there is none, or one is no text, or has a brace that begins no placeholder.
    """
    if not arguments or not all(isinstance(each, str) for each in arguments) or not arguments[0]:
        raise InputError(
            "command must list a program and its arguments as texts, such as "
            f"['python', 'train.py', '--seed', '{{init}}'], not {list(arguments)!r:.80}."
        )
    for number, text in enumerate(arguments):
        placeholders(str(text), f"command[{number}]")


def check_metrics(metrics: object) -> None:
    """Check where metrics are to be found.

    Raises
    ------
    InputError
        If it is neither a JSON or CSV file in the trial's folder nor a pattern with named groups.
    """
    if isinstance(metrics, re.Pattern):
        if not metrics.groupindex or not isinstance(metrics.pattern, str):
            raise InputError(
                f"metrics: the pattern {metrics.pattern!r} has no named group; write the metric's "
                "name into it: dice: (?P<dice>[0-9.]+)"
            )
    elif not isinstance(metrics, str) or PurePath(metrics).suffix not in FORMATS:
        raise InputError(
            f"metrics must be a file of JSON or CSV, such as 'metrics.json', or a pattern "
            f"(re.compile) of the output, not {metrics!r}."
        )
    else:
        _check_inside("metrics", metrics)


def check_keep(keep: Sequence[object]) -> None:
    """Check what is to be kept.

    Raises
    ------
    InputError
        If it is not a list of paths in the trial's folder.
    """
    if isinstance(keep, str) or not all(isinstance(each, str) and each for each in keep):
        raise InputError(f"keep must list paths or globs, such as ['weights.pt'], not {keep!r}.")
    for each in keep:
        _check_inside("keep", str(each))


def check_env(env: object) -> None:
    """Check environment variables.

    Raises
    ------
    InputError
        If they are no mapping from name to text, or a text has a brace that begins no placeholder.
    """
    if not isinstance(env, Mapping) or not all(
        isinstance(each, str) for pair in env.items() for each in pair
    ):
        raise InputError(f"env must be a mapping from name to text, not {env!r:.80}.")
    for name, text in env.items():
        placeholders(text, f"env[{name!r}]")


def _check_inside(what: str, path: str) -> None:
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise InputError(f"{what}: {path!r} must be a path inside the folder of the trial.")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text too long for a path, or with a zero byte
        return False


def _limit_drawn_seeds(trial: Trial) -> None:
    """Keep seeds that were drawn for this trial to what any program takes."""
    for name, seed in trial.streams.seeds.items():
        if trial.levels[name] == "os":
            trial.streams.seeds[name] = seed % _SEED_LIMIT


def _empty(folder: Path) -> None:
    """Remove what an earlier attempt left, which was ended in the middle."""
    for path in folder.iterdir():
        if path.name not in (LOG, LOCK) and not is_of_record(path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _fingerprint(pattern: str, folder: Path) -> str:
    found = fingerprint_of_files(pattern, folder)
    if found is None:
        raise CommandError(f"the command wrote no {pattern!r}, which is to be kept.")
    return found
