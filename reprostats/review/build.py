"""Everything that is made from a file of reviewed papers, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from reprostats import paths
from reprostats.report.tables import Table
from reprostats.review.load import Review, load_papers
from reprostats.review.tables import review_tables


class Parameters(BaseModel):
    """What is made from which file.

    Parameters
    ----------
    papers
        The file of reviewed papers, from the current folder or else from the checkout.
    formats
        Formats of the tables, with spaces between them.
    """

    papers: str = "papers.yaml"
    formats: str = "tex csv html md"


@dataclass(frozen=True)
class Built:
    """What was made from a review.

    Parameters
    ----------
    review
        The papers.
    tables
        The tables, by name.
    formats
        In which formats they are written.
    """

    review: Review
    tables: dict[str, Table]
    formats: tuple[str, ...]

    def write(self, folder: Path) -> list[Path]:
        """Write all into a folder and return the paths."""
        return [
            path for table in self.tables.values() for path in table.write(folder, self.formats)
        ]


def build(chosen: Parameters) -> Built:
    """Make all tables of a review.

    Raises
    ------
    ReviewFileError
        If anything is wrong in the file.

    Examples
    --------
    >>> list(build(Parameters()).tables)
    ['training_data', 'evaluation', 'optimisation', 'implementation']
    """
    named = Path(chosen.papers)
    review = load_papers(named if named.exists() else paths.checkout(chosen.papers))
    return Built(review, review_tables(review), tuple(chosen.formats.split()))
