"""Read a review, and say all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from reprostats import paths
from reprostats.errors import InputError, unknown_name
from reprostats.review.form import Form, RunFile, papers_model, run_file_model
from reprostats.review.memory import without_collection
from reprostats.review.questions import QuestionError, Questions
from reprostats.review.record import PapersFile
from reprostats.review.runs import read_runs
from reprostats.review.twice import papers_given_twice
from reprostats.review.validate import validate
from reprostats.review.vocabulary import Vocabulary, vocabulary_model
from reprostats.yaml_files.located import Document, read_yaml
from reprostats.yaml_files.mistakes import Mistake, YamlFileError
from reprostats.yaml_files.validate import Model


@dataclass(frozen=True)
class Protocol:
    """What a review asks of papers, and the words in which answers are written.

    Parameters
    ----------
    path
        The file of the form; the files that it names lie beside it.
    form
        The questions.
    vocabulary
        The words.
    """

    path: Path
    form: Form
    vocabulary: Vocabulary

    @cached_property
    def questions(self) -> Questions:
        """What can be asked of a record."""
        return Questions(self.form, self.vocabulary)

    @cached_property
    def run_file(self) -> type[RunFile]:
        """The type of a file that holds a run of one's own."""
        return run_file_model(self.form)

    def read(self, name: str, model: type[Model]) -> Model:
        """Read a file that the form names and check it.

        Raises
        ------
        YamlFileError
            If anything is wrong in the file.
        """
        document = read_yaml(self.path.parent / name)
        context = {"vocabulary": self.vocabulary, "questions": self.questions}
        record, mistakes = validate(document, model, context)
        mistakes += document.mistakes
        if mistakes or record is None:
            raise YamlFileError(mistakes)
        return record


@dataclass(frozen=True)
class Review:
    """Reviewed papers and the words they are described with.

    Parameters
    ----------
    title
        What the review is about.
    source
        Where its records come from; empty if the file does not say.
    papers
        The records, in the order of the file.
    protocol
        What was asked of the papers.
    """

    title: str
    source: str
    papers: tuple[Any, ...]
    protocol: Protocol

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that the records use."""
        return self.protocol.vocabulary

    @property
    def questions(self) -> Questions:
        """What can be asked of a record."""
        return self.protocol.questions

    def __len__(self) -> int:
        return len(self.papers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.papers)

    def paper(self, key: str) -> Any:
        """Return the paper with this key.

        Raises
        ------
        InputError
            If there is none; the message names the nearest key.
        """
        by_key = {paper.key: paper for paper in self.papers}
        if key not in by_key:
            raise unknown_name("paper", key, by_key)
        return by_key[key]

    def of_papers(self) -> Review:
        """Keep the reviewed papers, without runs of one's own."""
        return replace(self, papers=tuple(paper for paper in self if paper.own_run is None))

    def where(self, condition: str) -> Review:
        """Keep the papers for which a condition holds; all of them if it is empty.

        Raises
        ------
        InputError
            If the condition cannot be asked of these records; the message says where and what
            would be right.

        Examples
        --------
        >>> len(load_papers().where("year >= 2016 and network == 'CNN'"))
        17
        """
        if not condition.strip():
            return self
        try:
            holds = self.questions.ask(condition).holds
        except QuestionError as error:
            raise InputError(f"where {condition!r}: {error}") from None
        return replace(self, papers=tuple(paper for paper in self.papers if holds(paper)))


def load_papers(
    path: Path | str | None = None, text: str | None = None, runs: Iterable[Path | str] = ()
) -> Review:
    """Read a file of reviewed papers and check it.

    Parameters
    ----------
    path
        The file; ``papers.yaml`` of the checkout if left out.
    text
        What is checked as if it stood in the file; the content of the file if left out.
    runs
        Records of runs of one's own that shall stand below the papers: files, or folders that hold
        some (`reprostats.review.runs`).

    Returns
    -------
    Review
        The papers and their vocabulary.

    Raises
    ------
    YamlFileError
        If anything is wrong in the file or in its vocabulary. The message has one line for each
        mistake, with file, line, column, and what would be right; ``mistakes`` holds them as data.

    Examples
    --------
    >>> review = load_papers()
    >>> review.paper("kamnitsas2017").training_data.data_sets[1].training_ratio.value
    Decimal('72')
    """
    place = Path(path) if path is not None else paths.checkout("papers.yaml")
    with without_collection():
        review = _review(read_yaml(place, text))
        own = read_runs(runs, review.protocol.run_file, review.vocabulary, review.papers)
        return replace(review, papers=(*review.papers, *own))


def _review(document: Document) -> Review:
    form, of_form, mistakes = _form_of(document)
    protocol, more = _with_words(form, of_form) if form else (None, [])
    model = papers_model(form) if form else PapersFile
    context = {"vocabulary": protocol.vocabulary} if protocol else {}
    file, found = validate(document, model, context)
    mistakes += [*more, *document.mistakes, *papers_given_twice(document)]
    mistakes += found if form else filter(_is_of_any_review, found)
    if mistakes or file is None or protocol is None:
        raise YamlFileError(mistakes)
    return Review(file.title, file.source or "", file.papers, protocol)


def load_protocol(path: Path | str | None = None) -> Protocol:
    """Read what a review asks of papers and check it.

    Parameters
    ----------
    path
        The file of the form; ``review/form.yaml`` of the checkout if left out.

    Raises
    ------
    YamlFileError
        If anything is wrong in the form or in its vocabulary.

    Examples
    --------
    >>> load_protocol().vocabulary.word("metrics", "TPR")
    Traceback (most recent call last):
        ...
    KeyError: 'metrics'
    >>> load_protocol().vocabulary.word("metric", "TPR")
    'sensitivity'
    """
    place = Path(path) if path is not None else paths.checkout("review", "form.yaml")
    protocol, mistakes = _with_words(_read_form(place), place)
    if protocol is None:
        raise YamlFileError(mistakes)
    return protocol


def load_vocabulary(path: Path, kinds: Iterable[str]) -> Vocabulary:
    """Read the words that a review may use and check them.

    Parameters
    ----------
    path
        The file.
    kinds
        The kinds of words that it has to hold.

    Raises
    ------
    YamlFileError
        If anything is wrong in the file.
    """
    document = read_yaml(path)
    vocabulary, mistakes = validate(document, vocabulary_model(kinds))
    mistakes += document.mistakes
    if mistakes or vocabulary is None:
        raise YamlFileError(mistakes)
    return vocabulary


def _read_form(path: Path) -> Form:
    document = read_yaml(path)
    form, mistakes = validate(document, Form)
    mistakes += document.mistakes
    if mistakes or form is None:
        raise YamlFileError(mistakes)
    return form


def _with_words(form: Form, path: Path) -> tuple[Protocol | None, list[Mistake]]:
    try:
        words = _beside(read_yaml(path), ["vocabulary"], form.vocabulary)
        return Protocol(path, form, load_vocabulary(words, form.vocabulary_kinds())), []
    except YamlFileError as error:
        return None, list(error.mistakes)


def _form_of(document: Document) -> tuple[Form | None, Path, list[Mistake]]:
    """Read the form that a file of papers names; a missing name is found by its validation."""
    name = document.data.get("form") if isinstance(document.data, dict) else None
    if not isinstance(name, str) or not name:
        return None, document.path, []
    try:
        path = _beside(document, ["form"], name)
        return _read_form(path), path, []
    except YamlFileError as error:
        return None, document.path, list(error.mistakes)


def _is_of_any_review(mistake: Mistake) -> bool:
    """Tell whether a mistake is one whatever the form, which could not be read, may ask."""
    return not (mistake.where.startswith("papers[") and "there is no field" in mistake.problem)


def _beside(document: Document, location: Sequence[str], name: str) -> Path:
    path = document.path.parent / name
    if path.is_file():
        return path
    remedy = "name it by its path from the folder of this file"
    raise YamlFileError([document.mistake(location, f"there is no file {name}", remedy)])
