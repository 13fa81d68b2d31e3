"""Everything that is made from a file of reviewed papers, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from reprostats import paths
from reprostats.errors import InputError, unknown_name
from reprostats.files import write_atomically
from reprostats.report.tables import FORMATS, Table
from reprostats.report.theme import write_chart
from reprostats.review.audit import Audited, audit, audit_table
from reprostats.review.checklists import Compliance, chosen, compliance
from reprostats.review.figures import Page, explorer, heat_map, review_figures
from reprostats.review.load import Review, load_papers
from reprostats.review.memory import without_collection
from reprostats.review.references import bibtex
from reprostats.review.tables import review_tables

_FIGURE_FORMATS = ("svg", "png")


class Parameters(BaseModel):
    """What is made from which file.

    Parameters
    ----------
    papers
        The file of reviewed papers, from the current folder or else from the checkout.
    where
        Which papers are shown, such as ``year >= 2016 and network == 'CNN'``; all if empty.
    formats
        Of `reprostats.report.tables.FORMATS`, with spaces between them.
    figures
        Formats of the figures, of ``svg png``.
    checklist
        The checklist that is explored; the first of the review if empty.
    runs
        Records of runs of one's own that stand below the papers: files, or folders of reports.
    """

    papers: str = "papers.yaml"
    where: str = ""
    formats: str = " ".join(FORMATS)
    figures: str = "svg png"
    checklist: str = ""
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Built:
    """What was made from a review.

    Parameters
    ----------
    review
        The papers that were chosen.
    tables
        The tables of the publication, by name.
    audited
        Its claims, counted again.
    compliance
        How the papers meet each checklist, by name.
    formats, figure_formats
        In which formats tables and figures are written.
    checklist
        The checklist that is explored.
    """

    review: Review
    tables: dict[str, Table]
    audited: list[Audited]
    compliance: dict[str, Compliance]
    formats: tuple[str, ...]
    figure_formats: tuple[str, ...]
    checklist: str

    @cached_property
    def figures(self) -> dict[str, Any]:
        """The figures of the publication, and one for each checklist."""
        maps = {f"checklist_{name}": heat_map(found) for name, found in self.compliance.items()}
        return review_figures(self.review.of_papers()) | maps

    @cached_property
    def audit_table(self) -> Table:
        """What is stated and what is found."""
        return audit_table(self.audited)

    @property
    def explored(self) -> Compliance:
        """How the papers meet the checklist that is explored.

        Raises
        ------
        InputError
            If the review has no checklist of this name.
        """
        if not self.compliance:
            raise InputError("this review has no checklists; name them in its form.")
        return chosen(self.compliance, self.checklist or next(iter(self.compliance)))

    @cached_property
    def explorer(self) -> Page:
        """Items and papers, linked: click to see one's part in the other."""
        return Page(explorer(self.explored))

    def all_tables(self) -> list[Table]:
        """Return every table that is written."""
        of_lists = [
            table
            for found in self.compliance.values()
            for table in (found.items_table(), found.papers_table())
        ]
        audited = [self.audit_table] if self.audited else []
        return [*self.tables.values(), *audited, *of_lists]

    def write(self, folder: Path) -> list[Path]:
        """Write tables, figures and ``references.bib`` into a folder and return the paths."""
        with without_collection():
            written = [
                path for table in self.all_tables() for path in table.write(folder, self.formats)
            ]
        for name, chart in self.figures.items():
            written += write_chart(chart, folder, f"figure_{name}", self.figure_formats)
        write_atomically(folder / "references.bib", bibtex(self.review))
        return [*written, folder / "references.bib"]


def build(given: Parameters) -> Built:
    """Make all that is made from a review.

    Runs of one's own stand in tables and checklists. What a publication states and shows of its
    papers (claims, figures, references) is made from the papers alone.

    Raises
    ------
    InputError
        If anything is wrong in a file of the review, or in what is asked; nothing is written then.

    Examples
    --------
    >>> list(build(Parameters()).tables)
    ['training_data', 'evaluation', 'optimisation', 'implementation']
    """
    formats = _known("table format", given.formats, FORMATS)
    figure_formats = _known("figure format", given.figures, _FIGURE_FORMATS)
    with without_collection():
        review = load_papers(found(given.papers), runs=given.runs).where(given.where)
        if not len(review):
            raise InputError(f"no paper is left where {given.where!r}; ask for less.")
        return Built(
            review,
            review_tables(review),
            audit(review.of_papers()),
            compliance(review),
            formats,
            figure_formats,
            given.checklist,
        )


def found(papers: str) -> Path:
    """Find a file from the current folder, or else from the checkout."""
    named = Path(papers)
    return named if named.exists() or not paths.is_checkout() else paths.checkout(papers)


def _known(kind: str, written: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(written.replace(",", " ").split())
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)
    return names
