"""The report that every study ends in: verdicts, tables, figures, and how to cite them."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError, unknown_name
from reprostats.files import write_atomically
from reprostats.importers._base import ImportedResults
from reprostats.report.figure import Figure
from reprostats.report.page import STYLE, Section, page
from reprostats.report.tables import FORMATS, Table
from reprostats.verdicts._base import Verdict
from reprostats.verdicts.checklist import run_checklist
from reprostats.verdicts.comparison import Comparison
from reprostats.verdicts.evidence import Evidence, gather
from reprostats.verdicts.figures import difference_figure, value_figure
from reprostats.verdicts.methods import Analysis, Methods, methods_paragraph
from reprostats.verdicts.questions import ask
from reprostats.verdicts.run_facts import RunFacts, gather_table_facts
from reprostats.verdicts.run_record import run_record
from reprostats.verdicts.spread import Spread, all_components
from reprostats.verdicts.stopping import Stop
from reprostats.verdicts.tables import (
    comparison_table,
    component_table,
    summary_table,
    time_table,
    trial_table,
    verdict_table,
)

_VERDICTS = "verdicts"
_PAGE = "report.html"
_TABLE_FORMATS = tuple(name for name in FORMATS if name != "html")  # the page has them all


@dataclass(frozen=True)
class Report:
    """Answers to the questions about a study, with the tables and figures behind them.

    It shows itself in a notebook, prints its verdicts as text, and writes itself to a folder.

    Parameters
    ----------
    title
        What it reports on.
    verdicts
        The questions with their answers, in their order.
    tables, figures
        By name, in the order in which they are shown.
    notes
        Sentences on what was taken for granted.
    facts
        What is known of the trainings, for checklists, records and the methods section.
    analysis
        How the results were analysed.

    Examples
    --------
    >>> results = pd.DataFrame({
    ...     "condition": ["U-Net"] * 3 + ["FCN"] * 3, "trial": [1, 2, 3] * 2, "metric": "dice",
    ...     "case": "all", "value": [0.91, 0.92, 0.90, 0.81, 0.80, 0.82], "status": "ok"})
    >>> report = verdict(results, metric="dice", margin=0.02)
    >>> [str(v.answer) for v in report.verdicts if v.question == "better"]
    ['yes']
    """

    title: str
    verdicts: tuple[Verdict, ...]
    tables: Mapping[str, Table]
    figures: Mapping[str, Figure]
    notes: tuple[str, ...] = ()
    facts: RunFacts = field(default=RunFacts(), repr=False)
    analysis: Analysis | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Table | Figure:
        """Return a table or figure by its name."""
        every: dict[str, Table | Figure] = {**self.tables, **self.figures}
        if name not in every:
            raise unknown_name("table or figure of the report", name, every)
        return every[name]

    def __str__(self) -> str:
        return "\n".join([self.title, *map(str, self.verdicts), *self.notes])

    def of(self, question: str) -> list[Verdict]:
        """Return the verdicts on one question, such as ``"better"``.

        Raises
        ------
        InputError
            If there is no such question.
        """
        known = dict.fromkeys(verdict.question for verdict in self.verdicts)
        if question not in known:
            raise unknown_name("question", question, known)
        return [verdict for verdict in self.verdicts if verdict.question == question]

    def extended(
        self,
        *,
        verdicts: Iterable[Verdict] = (),
        tables: Iterable[Table] = (),
        figures: Iterable[Figure] = (),
        title: str | None = None,
    ) -> Report:
        """Return the report with more verdicts, tables and figures behind its own.

        Raises
        ------
        InputError
            If a name is there already.
        """
        more_tables = {table.name: table for table in tables}
        more_figures = {figure.name: figure for figure in figures}
        known = {*self.tables, *self.figures}
        if double := [name for name in [*more_tables, *more_figures] if name in known]:
            raise InputError(f"the report has a table or figure {double[0]!r} already.")
        every = (*self.verdicts, *verdicts)
        return replace(
            self,
            title=self.title if title is None else title,
            verdicts=every,
            tables={**self.tables, _VERDICTS: verdict_table(every), **more_tables},
            figures={**self.figures, **more_figures},
        )

    @cached_property
    def methods(self) -> Methods | None:
        """A paragraph for the methods section, with its references; None without an analysis."""
        return None if self.analysis is None else methods_paragraph(self.facts, self.analysis)

    def record(
        self,
        *,
        authors: Sequence[str] = ("unnamed",),
        title: str | None = None,
        key: str = "own_run",
        label: str = "Own run",
        year: int | None = None,
        stated: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """Return the run as a record of ``papers.yaml``'s form.

        Parameters
        ----------
        authors, title, key, label, year
            What identifies the run among papers; default: the report's title and this year.
        stated
            What only the author knows, by the names of the form's fields, such as ``code`` and
            ``access``.

        Returns
        -------
        dict
            The record; `reprostats.review.runs.write_run` writes it for ``reprostats review build
            --runs``. What the run does not know is left out, which means: not read.

        Raises
        ------
        InputError
            If something is stated that the form does not ask.
        """
        return run_record(
            self.facts,
            key=key,
            label=label,
            year=datetime.now(UTC).year if year is None else year,
            title=self.title if title is None else title,
            authors=list(authors),
            stated=stated,
        )

    def checklist(self, name: str, *, stated: Mapping[str, object] | None = None) -> Table:
        """Fill a checklist of the review from the run; what it cannot tell is said so.

        Parameters
        ----------
        name
            Such as ``"reforms"`` or ``"claim-2024"``; `reprostats.verdicts.checklist` lists them.
        stated
            As of `record`.

        Raises
        ------
        InputError
            If there is no such checklist.
        """
        return run_checklist(self.facts, self.record(stated=stated), name)

    def html(self) -> str:
        """Return the report as one page that needs nothing from outside itself."""
        return page(self.title, self._sections())

    def write(self, folder: Path | str) -> list[Path]:
        """Write the report into a folder and return the paths.

        One HTML page; every table as LaTeX, CSV and Markdown; every figure as SVG and PNG; the
        paragraph for the methods section as text and LaTeX, and its references as BibTeX.
        """
        place = Path(folder)
        write_atomically(place / _PAGE, self.html())
        written = [place / _PAGE]
        for table in self.tables.values():
            written += table.write(place, _TABLE_FORMATS)
        for figure in self.figures.values():
            written += figure.write(place)
        if self.methods is not None:
            texts = {"methods.md": self.methods.text, "methods.tex": self.methods.latex,
                     "references.bib": self.methods.bibtex()}  # fmt: skip
            for name, text in texts.items():
                write_atomically(place / name, text.rstrip() + "\n")
                written.append(place / name)
        return written

    def _sections(self) -> list[Section]:
        figures = "".join(figure.html() for figure in self.figures.values())
        shown = [table for name, table in self.tables.items() if name != _VERDICTS]
        tables = "".join(f'<div class="table">{table.fragment()}</div>' for table in shown)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        sections = [
            Section("Is it real?", self._verdict_list() if self.verdicts else ""),
            Section("What was taken for granted", notes),
            Section("Figures", figures),
            Section("Tables", tables),
            Section("For the methods section", self._methods_html()),
        ]
        return [section for section in sections if section.html]

    def _methods_html(self) -> str:
        if self.methods is None:
            return ""
        references = "".join(
            f"<li>{html.escape(each.text())}</li>" for each in self.methods.references
        )
        return f"<p>{html.escape(self.methods.text)}</p><ul>{references}</ul>"

    def _verdict_list(self) -> str:
        rows = [
            f'<div class="{verdict.answer.replace(" ", "-")}"><dt>{html.escape(verdict.asked)}</dt>'
            f'<dd><span class="answer">{verdict.answer.capitalize()}.</span> '
            f"{html.escape(verdict.sentence)}</dd></div>"
            for verdict in self.verdicts
        ]
        return f'<dl class="verdicts">{"".join(rows)}</dl>'

    def _repr_html_(self) -> str:
        parts = "".join(
            f"<h3>{html.escape(section.heading)}</h3>{section.html}" for section in self._sections()
        )
        heading = f"<h2>{html.escape(self.title)}</h2>"
        return f'<style>{STYLE}</style><div class="reprostats">{heading}{parts}</div>'


def verdict(
    results: pd.DataFrame | ImportedResults,
    *,
    metric: str,
    margin: float | None = None,
    baseline: str | None = None,
    higher_is_better: bool | None = None,
    trivial_value: float | None = None,
    confidence_level: float = 0.95,
    title: str | None = None,
    losses: Mapping[str, NDArray[np.floating]] | None = None,
    stop: Stop | None = None,
    facts: RunFacts | None = None,
) -> Report:
    """Tell from a results table whether a result is real.

    The unit is the training: the value of a training is its mean over the cases, and what is said
    of new trainings is judged by how trainings differ.

    Parameters
    ----------
    results
        One row for each value: columns ``trial`` (the training), ``metric`` and ``value``; and
        where there are several, ``condition``, ``case`` and ``status``. The page "results table"
        of the documentation has all columns; ``Study.run`` gives such a table, and
        `reprostats.read_results` makes it of the results of other tools.
    metric
        The metric that is asked about, whatever the case in which its name is written.
    margin
        Largest difference that does not matter, in the unit of the metric and above 0. State it
        before you look at the data. Without it nothing is said of equivalence.
    baseline
        The condition with which each other one is compared; None: all pairs, or, of more than
        five conditions, the first.
    higher_is_better
        Whether a higher value is better; None: as is known of the metric.
    trivial_value
        What is reached without training, such as 0.1 for guessing one of ten classes; None: as is
        known of the metric.
    confidence_level
        Of the intervals; tests have the level 1 - ``confidence_level``.
    title
        Of the report.
    losses
        The loss of every step by trial, to tell a training that did not learn.
    stop
        What the rule saw that added trainings until an answer was known; None: their number was
        fixed before. ``Study.report`` gives that of ``Study.run``.
    facts
        What is known of the trainings; None: what the table tells. ``Study.report`` gives what its
        records tell.

    Returns
    -------
    Report
        Verdicts, tables (``verdicts``, ``summary``, ``comparisons``, ``components``, ``trials``,
        ``times``) and figures (``values``, ``differences``), as far as the data go.

    Raises
    ------
    InputError
        If the table lacks a column or the metric, a value is no number, a value is there twice, or
        the margin is not above 0 or of another unit; the message names the column and the row.

    Examples
    --------
    >>> results = pd.DataFrame({"trial": [1, 2], "metric": "dice", "value": [0.91, 0.92]})
    >>> print(verdict(results, metric="Dice").of("completed")[0])
    Did every trial complete? Yes. All 2 trials completed.
    """
    read = results if isinstance(results, ImportedResults) else ImportedResults(results)
    evidence = gather(
        read.table,
        metric,
        margin=margin,
        baseline=baseline,
        higher_is_better=higher_is_better,
        trivial_value=trivial_value,
        confidence_level=confidence_level,
        losses=losses,
        facts=facts,
    )
    evidence = replace(evidence, assumed=(*read.assumptions, *evidence.assumed))
    components = all_components(evidence)
    verdicts = ask(evidence, components, stop)
    comparisons = [v for v in verdicts if isinstance(v, Comparison)]
    spreads = [v for v in verdicts if isinstance(v, Spread)]
    tables = [
        verdict_table(verdicts),
        summary_table(evidence, verdicts),
        comparison_table(comparisons) if comparisons else None,
        component_table(evidence, components),
        time_table(evidence),
        trial_table(evidence),
    ]
    figures = [value_figure(evidence, spreads), difference_figure(evidence, comparisons)]
    names = {table.name for table in tables if table is not None}
    return Report(
        _title(evidence) if title is None else title,
        tuple(verdicts),
        {table.name: table for table in tables if table is not None},
        {figure.name: figure for figure in figures if figure is not None},
        evidence.assumed + _folds_together(evidence) + _left_out(evidence) + _added(stop),
        gather_table_facts(evidence.results) if facts is None else facts,
        _analysis(evidence, comparisons, has_components="components" in names),
    )


def _analysis(
    evidence: Evidence, comparisons: Sequence[Comparison], *, has_components: bool
) -> Analysis:
    """Say what was done with the results, for the methods section."""
    kinds = {"cases": "cases", "runs and cases": "runs_and_cases"}
    done = {
        "sequence"
        if c.sequential
        else kinds.get(c.generalise_to, "paired_runs" if c.runs == "crossed" else "welch")
        for c in comparisons
        if math.isfinite(c.p_value)
    }
    ordinary = done - {"sequence"}
    pairs = {(c.first, c.second) for c in comparisons}
    shared = tuple(evidence.shared_sources(evidence.conditions))
    return Analysis(
        evidence.metric.name,
        n_conditions=len(evidence.conditions),
        comparisons=tuple(sorted(done)),
        equivalence_margin=evidence.margin if ordinary else None,
        adjustment="holm" if len(pairs) > 1 and ordinary else None,
        confidence_level=evidence.confidence_level,
        variance_components=has_components,
        median_interval=not shared,
        shared_sources=shared,
    )


def _title(evidence: Evidence) -> str:
    studies = dict.fromkeys(map(str, evidence.results.get("study", pd.Series(dtype=str))))
    name = ", ".join(studies)
    return (
        f"{name}: is {evidence.metric.name} real?" if name else f"Is {evidence.metric.name} real?"
    )


def _folds_together(evidence: Evidence) -> tuple[str, ...]:
    """Say what is called a training where a run has several folds."""
    n_folds = evidence.trials["fold"].nunique() if "fold" in evidence.trials else 0
    if n_folds <= 1:
        return ()
    said = (
        f"A training is a whole cross-validation here: the {n_folds} networks, one for each fold, "
        "that share their seeds. A trial is one of these networks."
    )
    return (said,)


def _left_out(evidence: Evidence) -> tuple[str, ...]:
    """Say which trainings and cases are in no comparison."""
    said = []
    if evidence.n_without_value:
        said.append(
            f"{evidence.n_without_value} training(s) are left out, because they have no finite "
            f"{evidence.metric.name}."
        )
    if evidence.n_left_out:
        said.append(
            f"{evidence.n_left_out} case(s) are left out, because a training has no finite "
            f"{evidence.metric.name} for them; {len(evidence.common_cases)} are left."
        )
    return tuple(said)


def _added(stop: Stop | None) -> tuple[str, ...]:
    """Say which intervals take no account of a rule that added trainings."""
    if stop is None:
        return ()
    said = (
        "Trainings were added until an answer was known. The answer about the trainings added "
        "allows for that; the mean, SD and median of a single condition are given as if their "
        "number had been fixed before."
    )
    return (said,)
