"""Read a review, and say all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reprostats import paths
from reprostats.errors import unknown_name
from reprostats.review.located import Document, read_yaml
from reprostats.review.mistakes import Mistake, ReviewFileError
from reprostats.review.record import Paper, PapersFile
from reprostats.review.twice import papers_given_twice
from reprostats.review.validate import validate
from reprostats.review.vocabulary import Vocabulary


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
    vocabulary
        The words that the records use.
    """

    title: str
    source: str
    papers: tuple[Paper, ...]
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.papers)

    def __iter__(self) -> Iterator[Paper]:
        return iter(self.papers)

    def paper(self, key: str) -> Paper:
        """Give the paper with this key.

        Raises
        ------
        InputError
            If there is none; the message names the nearest key.
        """
        by_key = {paper.key: paper for paper in self.papers}
        if key not in by_key:
            raise unknown_name("paper", key, by_key)
        return by_key[key]


def load_papers(path: Path | str | None = None) -> Review:
    """Read a file of reviewed papers and check it.

    Parameters
    ----------
    path
        The file; ``papers.yaml`` of the checkout if left out.

    Returns
    -------
    Review
        The papers and their vocabulary.

    Raises
    ------
    ReviewFileError
        If anything is wrong in the file or in its vocabulary. The message has one line for each
        mistake, with file, line, column, and what would be right; ``mistakes`` holds them as data.

    Examples
    --------
    >>> review = load_papers()
    >>> review.paper("kamnitsas2017").training_data.data_sets[1].training_ratio.value
    Decimal('72')
    """
    document = read_yaml(Path(path) if path is not None else paths.checkout("papers.yaml"))
    vocabulary, mistakes = _vocabulary_of(document)
    file, more = validate(document, PapersFile, {"vocabulary": vocabulary})
    mistakes += [*document.mistakes, *more, *papers_given_twice(document)]
    if mistakes or file is None or vocabulary is None:
        raise ReviewFileError(mistakes)
    return Review(file.title, file.source or "", file.papers, vocabulary)


def load_vocabulary(path: Path | str | None = None) -> Vocabulary:
    """Read the words that a review may use and check them.

    Parameters
    ----------
    path
        The file; ``review/vocabulary.yaml`` of the checkout if left out.

    Raises
    ------
    ReviewFileError
        If anything is wrong in the file.

    Examples
    --------
    >>> load_vocabulary().word("metric", "TPR")
    'sensitivity'
    """
    place = Path(path) if path is not None else paths.checkout("review", "vocabulary.yaml")
    document = read_yaml(place)
    vocabulary, mistakes = validate(document, Vocabulary)
    mistakes += document.mistakes
    if mistakes or vocabulary is None:
        raise ReviewFileError(mistakes)
    return vocabulary


def _vocabulary_of(document: Document) -> tuple[Vocabulary | None, list[Mistake]]:
    name = document.data.get("vocabulary") if isinstance(document.data, dict) else None
    if not isinstance(name, str) or not name:
        return None, []
    path = document.path.parent / name
    if not path.is_file():
        problem = f"there is no file {name}"
        remedy = "name the vocabulary by its path from the folder of this file"
        return None, [document.mistake(["vocabulary"], problem, remedy)]
    try:
        return load_vocabulary(path), []
    except ReviewFileError as error:
        return None, list(error.mistakes)
