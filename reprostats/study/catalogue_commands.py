"""The commands ``reprostats list``, ``show``, ``export``, ``remove`` and ``merge``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from reprostats import paths
from reprostats.errors import InputError

_say = partial(print, flush=True)


def add_commands(commands: Any) -> None:
    """Add the commands to a command line."""
    words = "list the recorded studies of this project"
    commands.add_parser("list", help=words, description=words).set_defaults(action=_list)
    show = _add(commands, "show", "say what is recorded of a study", _show)
    show.add_argument("study", metavar="NAME", help="its name, or its folder")
    export = _add(
        commands, "export", "write a study as one archive, to send or to deposit", _export
    )
    export.add_argument("study", metavar="NAME", help="its name, or its folder")
    export.add_argument("file", type=Path, metavar="FILE", help="the archive, FILE.zip")
    export.add_argument(
        "--everything",
        action="store_true",
        help="with the tensors that trials kept, and their logs",
    )
    remove = _add(commands, "remove", "remove a study with all its records", _remove)
    remove.add_argument("study", metavar="NAME", help="its name, or its folder")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    merge = _add(commands, "merge", "put a study that ran on two machines into one folder", _merge)
    merge.add_argument("one", metavar="A", help="the study of one machine: its name or folder")
    merge.add_argument("other", metavar="B", help="that of the other machine")
    merge.add_argument("into", metavar="INTO", help="name or path of the merged study")
    merge.add_argument(
        "--machines", nargs=2, metavar=("NAME_A", "NAME_B"),
        help="what the machines are called; default: where the two paths differ",
    )  # fmt: skip


def _add(commands: Any, name: str, words: str, action: Any) -> Any:
    parser = commands.add_parser(name, help=words, description=words)
    parser.set_defaults(action=action)
    return parser


def _list(_options: argparse.Namespace) -> None:
    from reprostats.study.catalogue import StudySummary, study_folders

    folders = study_folders()
    if not folders:
        _say(f"No study is recorded in {paths.studies()}.")
    place = None
    for folder in folders:
        if folder.parent != place:
            place = folder.parent
            _say(f"{place}")
        _say(f"  {StudySummary.of(folder)}")


def _show(options: argparse.Namespace) -> None:
    from reprostats.study.catalogue import describe_study, find_study

    _say(*describe_study(find_study(options.study)), sep="\n")


def _export(options: argparse.Namespace) -> None:
    from reprostats.study.catalogue import export_study, find_study

    names = export_study(find_study(options.study), options.file, everything=options.everything)
    megabytes = options.file.stat().st_size / 1e6
    _say(f"{options.file}: {len(names)} files, {megabytes:.3g} MB.")


def _remove(options: argparse.Namespace) -> None:
    from reprostats.study.catalogue import StudySummary, find_study, remove_study

    folder = find_study(options.study)
    _say(f"{StudySummary.of(folder)}\n{folder}")
    if not options.yes and not _agreed("Remove it with all its records? [y/N] "):
        raise InputError("nothing was removed.")
    remove_study(folder)
    _say("Removed.")


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().casefold() in {"y", "yes"}
    except EOFError:  # nobody is there to answer
        return False


def _merge(options: argparse.Namespace) -> None:
    from reprostats.study.catalogue import find_study, merge_studies

    one, other = find_study(options.one), find_study(options.other)
    machines = options.machines or _where_they_differ(one, other)
    if len(set(machines)) == 1:
        raise InputError(f"--machines: two different names are needed, not {machines[0]!r} twice.")
    into = Path(options.into)
    if into.name == options.into:
        into = paths.study(options.into)
    results = merge_studies(dict(zip(machines, (one, other), strict=True)), into.resolve())
    counts = results.groupby("machine", sort=False)["trial"].nunique()
    told = ", ".join(f"{number} of {machine}" for machine, number in counts.items())
    _say(f"{into.resolve()}: {counts.sum()} trials ({told}).")
    _say(f"reprostats verdict {into.resolve()} --metric NAME")


def _where_they_differ(one: Path, other: Path) -> tuple[str, str]:
    """Name two folders by the last part of their paths in which they differ.

    Raises
    ------
    InputError
        If it is one and the same folder.
    """
    if one == other:
        raise InputError(f"{one}: a study cannot be merged with itself.")
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    return next((a, b) for a, b in pairs if a != b)
