"""The commands ``reprostats review ...``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprostats.errors import InputError

if TYPE_CHECKING:
    from reprostats.report.tables import Table
    from reprostats.review.load import Review

_PAPERS = "papers.yaml"


def add_commands(commands: Any) -> None:
    """Add ``review`` and its commands into a command line."""
    review = commands.add_parser("review", help="make, check and extend a literature review")
    within = review.add_subparsers(required=True, metavar="COMMAND")
    _build_parser(within)
    _check_parser(within)
    _add_parser(within)
    show = _parser(within, "show", "show all that is recorded of a paper", _show)
    show.add_argument("key", metavar="PAPER", help="key of the paper")
    _agreement_parser(within)
    _export_parser(within)


def _parser(commands: Any, name: str, words: str, action: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    parser.add_argument(
        "--papers",
        default=_PAPERS,
        help="the file of papers; default: papers.yaml, here or in the checkout",
    )
    parser.set_defaults(action=action)
    return parser


def _filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--where", default="", metavar="QUESTION",
        help="only these papers, such as \"year >= 2016 and network == 'CNN'\"",
    )  # fmt: skip


def _runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", nargs="+", default=[], metavar="PATH",
        help="records of your own runs beside the papers: files, or folders of reports",
    )  # fmt: skip


def _build_parser(commands: Any) -> None:
    parser = _parser(commands, "build", "make every table, figure and reference", _build)
    _filter(parser)
    _runs(parser)
    parser.add_argument("--formats", default="tex csv html md", help="formats of the tables")
    parser.add_argument("--figures", default="svg png", help="formats of the figures")
    parser.add_argument("--to", type=Path, help="folder; default: review/tables beside the papers")


def _check_parser(commands: Any) -> None:
    parser = _parser(commands, "check", "find every mistake in a review", check)
    _runs(parser)
    parser.add_argument("file", nargs="?", help="the file of papers")


def _add_parser(commands: Any) -> None:
    parser = _parser(commands, "add", "add a record with every field to fill", _add)
    parser.add_argument(
        "paper", help="a DOI, an arXiv number, an entry of BibTeX, a file of one, or - to read it"
    )
    parser.add_argument("--title", help="title, where it is not given otherwise")
    parser.add_argument("--author", action="append", default=[], help="may be given repeatedly")
    parser.add_argument("--year", type=int, help="year of publication")


def _agreement_parser(commands: Any) -> None:
    parser = _parser(commands, "agreement", "compare two readings of the same papers", _agreement)
    parser.add_argument(
        "other", nargs="?", help="a second file; default: second_reading in the records"
    )
    _filter(parser)
    parser.add_argument("--level", type=float, default=0.95, help="confidence level")
    parser.add_argument("--to", type=Path, help="folder to write both tables into")


def _export_parser(commands: Any) -> None:
    parser = _parser(commands, "export", "write the records for other programs", _export)
    parser.add_argument("format", choices=("csv", "bib", "ris"))
    _filter(parser)
    parser.add_argument("--to", type=Path, help="file; default: standard output")


def _load(options: argparse.Namespace) -> Review:
    from reprostats.review.build import found
    from reprostats.review.load import load_papers

    return load_papers(found(options.papers)).where(getattr(options, "where", ""))


def _build(options: argparse.Namespace) -> None:
    from reprostats.review import build

    names = ("papers", "where", "formats", "figures", "runs")
    chosen = {name: getattr(options, name) for name in names}
    made = build.build(build.Parameters(**chosen))
    folder = options.to or build.found(options.papers).parent / "review" / "tables"
    written = made.write(folder)
    _say(f"{_counted(made.review)}; {len(written)} files in {folder}")
    judged = [one.verdict for one in made.audited]
    for verdict in dict.fromkeys(judged):
        _say(f"  claims that agree: {verdict}: {judged.count(verdict)}")


def check(options: argparse.Namespace) -> None:
    """Read every file of a review and print that all is well, or raise every mistake at once."""
    from reprostats.review.build import found
    from reprostats.review.check import check_review

    path = found(options.file or options.papers)
    review = check_review(path, getattr(options, "runs", ()))
    _say(f"{path}: {_counted(review)}, no mistakes")


def _counted(review: Review) -> str:
    papers = len(review.of_papers())
    runs = len(review) - papers
    return f"{papers} papers" + (f", {runs} own run{'s' * (runs > 1)}" if runs else "")


def _add(options: argparse.Namespace) -> None:
    from reprostats.review.add import add
    from reprostats.review.build import found

    path = found(options.papers)
    written = sys.stdin.read() if options.paper == "-" else options.paper
    known = {"title": options.title, "authors": options.author, "year": options.year}
    key = add(path, written, {name: value for name, value in known.items() if value})
    _say(f"{path}: added {key}; fill what is marked unread")


def _show(options: argparse.Namespace) -> None:
    from reprostats.review.show import paper_table

    _print(paper_table(_load(options), options.key))


def _agreement(options: argparse.Namespace) -> None:
    from reprostats.review.agreement import agreement
    from reprostats.review.build import found
    from reprostats.review.load import load_papers

    other = load_papers(found(options.other)) if options.other else None
    compared = agreement(_load(options), other)
    tables = [compared.table(options.level), compared.disagreements()]
    for table in tables:
        _print(table)
        if options.to:
            table.write(options.to)


def _export(options: argparse.Namespace) -> None:
    from reprostats.files import write_atomically
    from reprostats.review.references import bibtex, ris
    from reprostats.review.show import records_table

    makers = {"csv": lambda review: records_table(review).csv(), "bib": bibtex, "ris": ris}
    text = makers[options.format](_load(options))
    if options.to is None:
        sys.stdout.write(text)
    elif options.to.is_dir():
        raise InputError(f"{options.to} is a folder; name a file.")
    else:
        write_atomically(options.to, text)
        _say(str(options.to))


def _print(table: Table) -> None:
    _say(table.markdown())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
