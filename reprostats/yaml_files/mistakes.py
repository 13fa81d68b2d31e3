"""Mistakes in a file that people write: each with its place, all of them in one error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from reprostats.errors import InputError


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in a file.

    Parameters
    ----------
    path
        The file, as it was named by the caller.
    line, column
        Where, both counted from 1; 0 if the file as a whole is meant.
    where
        The same place in words of the record; empty if the file as a whole is meant.
    problem
        What is wrong.
    remedy
        What would be right.

    Examples
    --------
    >>> print(Mistake(Path("papers.yaml"), 3, 7, "title", "5 is not text", "write a text"))
    papers.yaml:3:7: title: 5 is not text; write a text
    """

    path: Path
    line: int
    column: int
    where: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        where = f"{self.where}: " if self.where else ""
        return f"{self.path}{place}: {where}{self.problem}; {self.remedy}"


class YamlFileError(InputError):
    """A file of the review is wrong; ``mistakes`` holds every mistake found in it.

    Examples
    --------
    >>> mistake = Mistake(Path("papers.yaml"), 0, 0, "", "the file is empty", "add papers")
    >>> raise YamlFileError([mistake])
    Traceback (most recent call last):
        ...
    reprostats.yaml_files.mistakes.YamlFileError: papers.yaml: the file is empty; add papers
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(
            sorted(mistakes, key=lambda mistake: (mistake.path, mistake.line, mistake.column))
        )
        super().__init__("\n".join(map(str, self.mistakes)))


def nearest(written: object, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or name them all.

    Examples
    --------
    >>> nearest("pubic", ["private", "public"])
    "did you mean 'public'?"
    >>> nearest("open", ["private", "public"])
    'one of: private, public'
    """
    words = list(known)
    near = get_close_matches(str(written).casefold(), [word.casefold() for word in words], n=1)
    if not near:
        return f"one of: {', '.join(words)}"
    meant = next(word for word in words if word.casefold() == near[0])
    return f"did you mean {meant!r}?"
