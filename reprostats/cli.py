"""The command ``reprostats``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from reprostats import __version__, paths
from reprostats.errors import InputError, PlanOnlyError, ReprostatsError
from reprostats.review.commands import add_commands
from reprostats.review.commands import check as check_review
from reprostats.study import catalogue_commands as catalogue
from reprostats.study import certificate_commands as certificates
from reprostats.study import commands as studies
from reprostats.train import commands as training

_ANSWERS = ("format", "algorithm", "run", "fold", "case", "label", "metric", "metric_column",
            "value_column", "study", "truths")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 1 after an error for people.

    ``compare`` and ``verify`` return as ``diff`` does: 0 if equal, 1 if not or undetermined, 2
    after an error.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.action(options) or 0
    except ReprostatsError as error:
        print(f"reprostats: {error}", file=sys.stderr)
        return int(options.trouble)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reprostats", description="Tell whether a deep-learning result is real."
    )
    parser.set_defaults(trouble=1)
    parser.add_argument("--version", action="version", version=f"reprostats {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="execute notebooks headless and say what they wrote")
    run.add_argument(
        "notebooks", nargs="*", type=Path, help="notebooks; default: all of this checkout"
    )
    run.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter of the notebook; the value is read as YAML",
    )
    run.add_argument("-f", "--file", type=Path, help="a YAML file of parameters")
    run.add_argument(
        "--plan-only",
        action="store_true",
        help="run one trial of the first study, say how many there are and how long they may take",
    )
    run.set_defaults(action=_run)
    compare = commands.add_parser(
        "compare", help="say whether two runs are equal bit for bit, and what differs around them"
    )
    compare.add_argument(
        "one", type=Path, metavar="RUN_A", help="folder of a trial, a training or a study"
    )
    compare.add_argument("other", type=Path, metavar="RUN_B", help="another one")
    compare.set_defaults(action=_compare, trouble=2)
    _add_verdict(commands)
    studies.add_commands(commands)
    catalogue.add_commands(commands)
    certificates.add_commands(commands)
    training.add_commands(commands)
    add_commands(commands)
    check = commands.add_parser("check", help="short for: review check")
    check.add_argument("file", nargs="?", help="the file of papers")
    check.set_defaults(action=check_review, papers="papers.yaml")
    return parser


def _add_verdict(commands: Any) -> None:
    """Add the command ``verdict``."""
    verdict = commands.add_parser(
        "verdict", help="tell from a study's folder or a file of results whether a result is real"
    )
    verdict.add_argument(
        "path", type=Path, metavar="PATH", help="a folder or a file, also of another tool"
    )
    verdict.add_argument("--metric", required=True, help="the metric that is asked about")
    verdict.add_argument("--margin", type=float, help="largest difference that does not matter")
    verdict.add_argument("--baseline", help="the condition with which the others are compared")
    verdict.add_argument("--trivial-value", type=float, help="what is reached without training")
    better = verdict.add_mutually_exclusive_group()
    for word, higher in (("higher", True), ("lower", False)):
        better.add_argument(
            f"--{word}-is-better", dest="higher_is_better", action="store_const", const=higher,
            help=f"a {word} value of the metric is better; for metrics that are not known here",
        )  # fmt: skip
    verdict.add_argument("--out", type=Path, help="write a page, tables and figures to this folder")
    _add_answers(verdict.add_argument_group("how results of other tools are read"))
    verdict.set_defaults(action=_verdict)


def _add_answers(group: Any) -> None:
    """Add the options by which the caller says what only he knows of results of other tools."""
    group.add_argument("--format", help="name of the format, such as nnunet, mlflow or table")
    group.add_argument(
        "--algorithm", action="append", metavar="FIELD", help="field that names the algorithm"
    )
    group.add_argument("--run", metavar="FIELD", help="field of the run, such as its seed")
    group.add_argument("--fold", metavar="FIELD", help="field of the fold; 'none': no folds")
    group.add_argument("--case", metavar="COLUMN", help="column of the case, in tables")
    group.add_argument("--label", metavar="COLUMN", help="column of the class, in tables")
    group.add_argument("--metric-column", metavar="COLUMN", help="column of the metric's name")
    group.add_argument("--value-column", metavar="COLUMN", help="column of the metric's value")
    group.add_argument("--study", action="append", help="which study, experiment or data set")
    group.add_argument("--truths", type=Path, metavar="FOLDER", help="true masks of the cases")


def _run(options: argparse.Namespace) -> None:
    from filelock import FileLock

    from reprostats.notebooks import execute

    notebooks = options.notebooks or _all_notebooks()
    values = _values(options.parameter, options.file)
    if values and len(notebooks) != 1:
        raise InputError("parameters are those of one notebook: name that notebook.")
    paths.runs().mkdir(parents=True, exist_ok=True)
    with FileLock(paths.runs() / ".notebooks.lock"):
        if options.plan_only:
            _print_plans(notebooks, values)
            return
        folders = []
        for notebook in notebooks:
            folders.append(paths.report(notebook.stem))
            execute(notebook, values, folders[-1])
    for folder in folders:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        print(f"\n{folder}", *names, sep="\n  ")


def _compare(options: argparse.Namespace) -> int:
    from reprostats.records.compare import (
        compare_records,
        compare_studies,
        is_study,
        unmatched,
    )

    if not is_study(options.one) and not is_study(options.other):
        comparison = compare_records(options.one, options.other)
        print(comparison)
        return int(not comparison.equal)
    comparisons = compare_studies(options.one, options.other)
    for identity, comparison in comparisons.items():
        print(f"trial {identity}: {comparison}\n")
    equal = sum(comparison.equal for comparison in comparisons.values())
    alone = unmatched(options.one, options.other)
    print(
        f"{equal} of {len(comparisons)} trials that both have recorded are equal to the last bit; "
        f"{len(alone)} are recorded on one side only."
    )
    return int(equal < len(comparisons) or bool(alone))


def _verdict(options: argparse.Namespace) -> None:
    from reprostats.importers import read_results
    from reprostats.records.compare import is_study
    from reprostats.study.folder import kept_losses, read_facts
    from reprostats.verdicts.report import verdict

    answers = {name: getattr(options, name) for name in _ANSWERS}
    results = read_results(options.path, **answers)
    folder = options.path if options.path.is_dir() else options.path.parent
    report = verdict(
        results,
        metric=options.metric,
        margin=options.margin,
        baseline=options.baseline,
        trivial_value=options.trivial_value,
        higher_is_better=options.higher_is_better,
        losses=kept_losses(folder, map(str, results.table["trial"].unique())),
        facts=read_facts(folder, results.table) if is_study(options.path) else None,
    )
    print(report)
    if options.out is not None:
        print("\nWritten:", *report.write(options.out), sep="\n  ")


def _print_plans(notebooks: Sequence[Path], values: dict[str, Any]) -> None:
    """Execute each notebook up to its first study, and print what that has to do."""
    from reprostats.notebooks import NotebookError, execute

    for notebook in notebooks:
        with TemporaryDirectory() as folder, _variable("REPROSTATS_PLAN_ONLY", "1"):
            try:
                execute(notebook, values, Path(folder))
            except NotebookError as error:
                if error.name != PlanOnlyError.__name__:
                    raise
                print(f"{notebook.name}: {error.message}")
            else:
                print(f"{notebook.name}: no study.")


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _all_notebooks() -> list[Path]:
    found = sorted(paths.checkout("notebooks").glob("*.ipynb"))
    if not found:
        raise InputError("this is not a checkout with notebooks; name the notebooks to run.")
    return found


def _values(given: Sequence[Sequence[str]], file: Path | None) -> dict[str, Any]:
    """Collect parameters: those of the file, then those given one by one."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="safe", pure=True)
    values: Any = {}
    try:
        if file is not None:
            values = reader.load(file.read_text(encoding="utf-8")) or {}
        if not isinstance(values, dict):
            raise InputError(f"{file}: must be a mapping from parameter to value.")
        return values | {name: reader.load(text) for name, text in given}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file or 'parameter'}: not valid YAML: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
