"""The command ``reprostats study``."""

from __future__ import annotations

import argparse
import shlex
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprostats import paths
from reprostats.errors import ReprostatsError

if TYPE_CHECKING:
    from reprostats.study.plan import PlannedTrial
    from reprostats.study.study import Study

_say = partial(print, flush=True)


def add_commands(commands: Any) -> None:
    """Add ``study`` to a command line."""
    words = "run a program as the trials of a study, and tell whether its result is real"
    study = commands.add_parser("study", help=words, description=words)
    study.add_argument("file", type=Path, metavar="FILE", help="a YAML file")
    study.add_argument("--plan-only", action="store_true", help="check the file, list the trials")
    study.add_argument("--workers", type=int, help="trials at a time")
    study.add_argument("--retry", action="store_true", help="run again what did not complete")
    study.add_argument(
        "--adopt",
        action="store_true",
        help="let trials of an earlier version of its files count: your word that it is the same",
    )
    study.add_argument(
        "--keep-going", action="store_true", help="run all trials even if the first ones fail"
    )
    study.add_argument("--out", type=Path, help="folder of the page, its tables and figures")
    study.set_defaults(action=_study)


def _study(options: argparse.Namespace) -> None:
    from reprostats.study.study_file import read_study_file

    out = options.out and options.out.resolve()
    folder = options.file.parent
    if not folder.is_dir():
        raise ReprostatsError(f"{folder}: there is no such folder.")
    with chdir(folder), _notes():
        file, study = read_study_file(Path(options.file.name))
        _say(f"Part of the identity of every trial: {', '.join(study.files) or 'no file'}.")
        if options.plan_only:
            _say(*_plan(study), sep="\n")
            return
        try:
            study.run(
                workers=options.workers,
                retry=options.retry,
                adopt=options.adopt,
                keep_going=options.keep_going,
            )
        except KeyboardInterrupt:
            raise ReprostatsError(
                "stopped by hand. The trials that ended are recorded; the same command goes on."
            ) from None
        report = study.report(**file.asked)
        place = out or paths.report(study.name)
        page, *_ = report.write(place)
        _say(f"\n{report}\n\nTables and figures: {place}\n{page}")


@contextmanager
def _notes() -> Iterator[None]:
    """Show a warning as a line for people, without the code that gave it."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: _say(f"note: {message}")
        yield


def _plan(study: Study) -> Iterator[str]:
    """Say of each trial what would be started, and whether it is recorded."""
    from reprostats.study.recorded import recorded_trials

    done = recorded_trials(study.folder, [trial.identity for trial in study.trials])
    for condition, trials in study.planned.items():
        yield f"{condition}: {len(trials)} trials"
        for trial in trials:
            status = done[trial.identity].status if trial.identity in done else "to run"
            yield f"  {trial.identity}  {status:8}  {_line(study, trial)}"
    every = [trial.identity for trial in study.trials]
    yield f"{len(every)} trials; {len(done)} recorded, {len(every) - len(done)} to run."


def _line(study: Study, trial: PlannedTrial) -> str:
    """Return the command of a trial as a shell would take it."""
    from reprostats.study.command import Command, placeholder_values
    from reprostats.study.folder import trial_folder
    from reprostats.study.placeholders import filled

    values = placeholder_values(trial, trial_folder(study.folder, trial.identity))
    texts = study.function.arguments if isinstance(study.function, Command) else ()
    return shlex.join(filled(text, values) for text in texts)
