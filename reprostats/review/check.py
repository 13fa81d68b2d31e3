"""Check every file of a review at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from reprostats.review.audit import AuditFile
from reprostats.review.checklists import Checklist
from reprostats.review.load import Review, load_papers
from reprostats.review.tables import TablesFile
from reprostats.review.vocabulary import Record
from reprostats.yaml_files.mistakes import Mistake, YamlFileError


def check_review(path: Path, runs: Iterable[Path | str] = ()) -> Review:
    """Read a review, runs of one's own beside it, and all that its form names.

    Raises
    ------
    YamlFileError
        With every mistake in every file. What the form says is made of the records can only be
        checked where the form and its vocabulary are right.

    Examples
    --------
    >>> from reprostats import paths
    >>> len(check_review(paths.checkout("papers.yaml")))
    23
    """
    review = load_papers(path, runs=runs)
    form = review.protocol.form
    named: list[tuple[str | None, type[Record]]] = [
        (form.tables, TablesFile),
        (form.audit, AuditFile),
        *((name, Checklist) for name in form.checklists),
    ]
    mistakes: list[Mistake] = []
    for name, model in named:
        if name:
            mistakes += _mistakes(partial(review.protocol.read, name, model))
    if mistakes:
        raise YamlFileError(mistakes)
    return review


def _mistakes(read: Callable[[], object]) -> tuple[Mistake, ...]:
    try:
        read()
    except YamlFileError as error:
        return error.mistakes
    return ()
