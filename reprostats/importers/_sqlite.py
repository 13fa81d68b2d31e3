"""SQLite databases of other tools, opened for reading alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reprostats.errors import InputError

_MAGIC = b"SQLite format 3\0"


class Database:
    """A database that is read; errors name the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __enter__(self) -> Self:
        # The address form opens for reading alone: a database of someone else is never changed.
        self._connection = sqlite3.connect(f"{self.file.resolve().as_uri()}?mode=ro", uri=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises
        ------
        InputError
            If the database is damaged, or of another form.
        """
        try:
            return list(self._connection.execute(query))
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise InputError(f"{self.file}: cannot be read as expected ({error}).") from None


def databases_in(folder: Path, names: Iterable[str]) -> list[Path]:
    """List the databases with these tables in a folder, however deep."""
    return [file for file in sorted(folder.rglob("*.db")) if has_tables(file, names)]


def has_tables(file: Path, names: Iterable[str]) -> bool:
    """Tell whether a file is a database with these tables."""
    try:
        with file.open("rb") as opened:
            if opened.read(len(_MAGIC)) != _MAGIC:
                return False
        with Database(file) as database:
            query = "select name from sqlite_master where type = 'table'"
            return {row[0] for row in database.rows(query)} >= set(names)
    except (OSError, sqlite3.Error, InputError):
        return False
