"""Runs of one's own as records beside the reviewed papers.

A run fills the same record as a paper. What it knows beyond that stands in its section
``own_run``, whose fields the form names under ``own_runs``. A file holds one record::

    format: 1
    run:
      key: our-unet
      ...
      own_run:
        trials_completed: 5
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reprostats.errors import InputError
from reprostats.files import write_atomically
from reprostats.review.form import RunFile
from reprostats.review.validate import validate
from reprostats.review.vocabulary import Vocabulary
from reprostats.yaml_files.located import Document, read_yaml
from reprostats.yaml_files.mistakes import Mistake, YamlFileError
from reprostats.yaml_files.written import block

RECORD_FILE = "record.yaml"
"""Name of the file of a record in the folder of a report."""


def write_run(path: Path, record: Mapping[str, Any]) -> Path:
    """Write the record of a run to a file that `read_runs` reads.

    Examples
    --------
    >>> path = write_run(getfixture("tmp_path") / "record.yaml", {"key": "a", "notes": ["b: c"]})
    >>> print(path.read_text())
    format: 1
    run:
      key: a
      notes: ['b: c']
    <BLANKLINE>
    """
    write_atomically(path, run_text(record))
    return path


def run_text(record: Mapping[str, Any]) -> str:
    """Return the record of a run as it is written to its file."""
    return "\n".join(block({"format": 1, "run": record})) + "\n"


def read_runs(
    named: Iterable[Path | str],
    model: type[RunFile],
    vocabulary: Vocabulary,
    papers: Sequence[Any] = (),
) -> tuple[Any, ...]:
    """Read records of runs and check them.

    Parameters
    ----------
    named
        Files, or folders: every file ``record.yaml`` in a folder, however deep, is one.
    model, vocabulary
        What a file may hold, in which words: `Protocol.run_file` and `Protocol.vocabulary`.
    papers
        The reviewed papers, whose keys are taken.

    Raises
    ------
    InputError
        If a folder holds no record.
    YamlFileError
        If anything is wrong in a file; every mistake of every file is listed.
    """
    runs: list[Any] = []
    mistakes: list[Mistake] = []
    taken = {paper.key: "a paper of the review" for paper in papers}
    for path in _files(named):
        try:
            runs.append(read_run(path, model, vocabulary, taken=taken))
            taken[runs[-1].key] = str(path)
        except YamlFileError as error:
            mistakes += error.mistakes
    if mistakes:
        raise YamlFileError(mistakes)
    return tuple(runs)


def read_run(
    path: Path,
    model: type[RunFile],
    vocabulary: Vocabulary,
    text: str | None = None,
    taken: Mapping[str, str] | None = None,
) -> Any:
    """Read the record of one run and check it.

    Parameters
    ----------
    path
        The file.
    model, vocabulary
        What a file may hold, in which words: `Protocol.run_file` and `Protocol.vocabulary`.
    text
        What is read as if it stood in the file; the content of the file if left out.
    taken
        Keys that others have, each with whose it is.

    Raises
    ------
    YamlFileError
        If anything is wrong in the file.
    """
    document = read_yaml(path, text)
    file, mistakes = validate(document, model, {"vocabulary": vocabulary})
    mistakes += document.mistakes
    if file is not None:
        mistakes += _of_a_run(document, file.run, taken or {})
    if mistakes or file is None:
        raise YamlFileError(mistakes)
    return file.run


def _of_a_run(document: Document, run: Any, taken: Mapping[str, str]) -> Iterator[Mistake]:
    if run.own_run is None:
        problem = "this is the record of a paper, not of a run"
        yield document.mistake(["run"], problem, "add own_run, or put it into the file of papers")
    if run.key in taken:
        problem = f"the key {run.key!r} is that of {taken[run.key]}"
        yield document.mistake(["run", "key"], problem, "give each run its own key")


def _files(named: Iterable[Path | str]) -> Iterator[Path]:
    for path in map(Path, named):
        if not path.is_dir():
            yield path
        elif files := sorted(path.rglob(RECORD_FILE)):
            yield from files
        else:
            raise InputError(f"{path} holds no {RECORD_FILE}; name the folder of a report.")
