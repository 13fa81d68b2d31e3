"""Tables for publication, written as LaTeX, CSV, HTML and Markdown from one data frame."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from tabulate import tabulate

from reprostats.errors import unknown_name
from reprostats.files import write_atomically

FORMATS = ("tex", "csv", "html", "md")

# A table of more rows does not fit on a page.
_MOST_ROWS_ON_A_PAGE = 45
# Signs in a line of text at usual margins, in the size of a long table.
_LINE = 95
# A row of more signs would be scaled until it cannot be read.
_MOST_IN_A_ROW = 130
# Share of the line that the space between two columns takes.
_PADDING = 0.024
# Columns whose cells are longer than this are broken into lines in a long table.
_LONGEST_IN_A_LINE = 24
_SEVERAL_LINES = 2
# Of a number whose column has no decimal places.
_DIGITS = 6
_LARGEST_IN_FULL = 1e15

_LATEX_SIGNS = {
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "²": r"\textsuperscript{2}",
}

_LATEX_SPECIALS = {sign: "\\" + sign for sign in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}

_LATEX_ESCAPES = str.maketrans(_LATEX_SPECIALS | _LATEX_SIGNS)

_LATEX = jinja2.Environment(
    autoescape=False,  # noqa: S701 - the result is LaTeX; every cell is escaped by latex_text
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<<",
    variable_end_string=">>",
    trim_blocks=True,
    keep_trailing_newline=True,
).from_string(
    r"""<% if long %>
% requires \usepackage{array,booktabs,longtable}
\begingroup\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\LTcapwidth}{\linewidth}
\begin{longtable}{<< alignment >>}
  \caption{<< caption >>}\label{tab:<< name >>} \\
  \toprule
  << header | join(" & ") >> \\
  \midrule
  \endfirsthead
  \toprule
  << header | join(" & ") >> \\
  \midrule
  \endhead
  \bottomrule
  \endfoot
<% for row in rows %>
  << row | join(" & ") >> \\
<% endfor %>
\end{longtable}
<% if note %>
\noindent << note >>\par
<% endif %>
\endgroup
<% else %>
% requires \usepackage{booktabs,graphicx}
\begin{table}[htbp]
  \centering
  \caption{<< caption >>}
  \label{tab:<< name >>}
  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
  \begin{tabular}{<< alignment >>}
    \toprule
    << header | join(" & ") >> \\
    \midrule
<% for row in rows %>
    << row | join(" & ") >> \\
<% endfor %>
    \bottomrule
  \end{tabular}%
  }
<% if note %>
  \par\smallskip\footnotesize << note >>
<% endif %>
\end{table}
<% endif %>
"""
)

_HTML = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ caption }}</title>
<style>
  body { font: 15px/1.45 "Helvetica Neue", Arial, sans-serif; margin: 2rem; color: #1b1f24; }
  table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
  caption { text-align: left; font-weight: 600; padding-bottom: .6rem; }
  th { border-bottom: 1px solid; text-align: left; vertical-align: bottom; }
  th, td { padding: .25rem .8rem .25rem 0; vertical-align: top; }
  td { font-variant-numeric: tabular-nums; }
  p { max-width: 60rem; font-size: .9em; color: #57606a; }
</style>
</head>
<body>
{{ fragment | safe }}
</body>
</html>
"""
)

# A table that is wider than its place is moved sideways, in pages and notebooks alike; its caption
# stays in sight.
_STAYS = "display: inline-block; position: sticky; left: 0; max-width: min(60rem, 85vw)"

_HTML_FRAGMENT = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
    """<div style="overflow-x: auto">
<table>
<caption style="text-align: left"><span style="{{ said }}">{{ caption }}</span></caption>
<thead><tr>
{% for title in header %}
<th style="{{ styles[loop.index0] }}">{{ title }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in rows %}
<tr>
{% for cell in row %}
<td style="{{ styles[loop.index0] }}">{{ cell }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% if note %}
<p class="note">{{ note }}</p>
{% endif %}
"""
)


@dataclass(frozen=True)
class Table:
    r"""A data frame with what a reader of a paper needs beside it.

    Parameters
    ----------
    name
        Name of the files and of the LaTeX label.
    frame
        The values, in full precision, as tidy data. The index is not shown.
    caption
        What the table shows, in one sentence. Plain text: signs special to a format are escaped.
    decimals
        Decimal places by column of the frame, for every format but CSV, which keeps full precision.
        Other columns show six significant digits.
    note
        What a reader must know to read it right: units, ddof, number of trials.
    titles
        What columns of the frame are called where they are shown. CSV keeps the names of the
        frame, so that a program reads the same names wherever it meets the numbers. A column
        whose cells are all empty is in CSV alone.

    Examples
    --------
    >>> table = Table("ages", pd.DataFrame({"n": [3], "mean": [41.666]}), "Age & sex", {"mean": 1})
    >>> print(table.markdown())
    **Age & sex**
    <BLANKLINE>
    |   n |   mean |
    |----:|-------:|
    |   3 |   41.7 |
    >>> "Age \\& sex" in table.latex()
    True
    """

    name: str
    frame: pd.DataFrame
    caption: str
    decimals: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def header(self) -> list[str]:
        """The titles of the columns, as they are shown."""
        return [self.titles.get(str(name), str(name)) for name in self._shown.columns]

    @cached_property
    def _shown(self) -> pd.DataFrame:
        """The frame without columns that have nothing in any cell."""
        said = [
            self.frame.empty or any(_cell(value, None) for value in self.frame[name])
            for name in self.frame.columns
        ]
        return self.frame.loc[:, said]

    def latex(self) -> str:
        """Return the table as LaTeX for the booktabs package.

        A table that is wider than the text is scaled to it. One that is longer than a page, or
        whose cells hold sentences, breaks across pages and its cells into lines.
        """
        return _LATEX.render(
            name=self.name,
            caption=latex_text(self.caption),
            note=latex_text(self.note),
            long=self._is_long(),
            alignment=self._alignment(),
            header=[
                _latex_title(title, width)
                for title, width in zip(self.header, self._widths(), strict=True)
            ],
            rows=[[latex_text(cell) for cell in row] for row in self._cells()],
        )

    def csv(self) -> str:
        """Return the values in full precision."""
        return self.frame.to_csv(index=False, lineterminator="\n")

    def html(self) -> str:
        """Return a page that needs nothing from outside itself."""
        return _HTML.render(caption=self.caption, fragment=self.fragment())

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown."""
        body = tabulate(
            [[_markdown_text(cell) for cell in row] for row in self._cells()],
            headers=[_markdown_text(title) for title in self.header],
            tablefmt="pipe",
            colalign=["right" if numeric else "left" for numeric in self._numeric()],
            disable_numparse=True,
        )
        note = f"\n\n{_markdown_text(self.note)}" if self.note else ""
        return f"**{_markdown_text(self.caption)}**\n\n{body}{note}\n"

    def write(self, folder: Path, formats: Iterable[str] = FORMATS) -> list[Path]:
        """Write one file for each format into a folder and return their paths.

        Raises
        ------
        InputError
            If a format is not known; nothing is written then.
        """
        given = (self.latex, self.csv, self.html, self.markdown)
        makers = dict(zip(FORMATS, given, strict=True))
        chosen = list(formats)
        for name in chosen:
            if name not in makers:
                raise unknown_name("table format", name, makers)
        paths = {name: folder / f"{self.name}.{name}" for name in chosen}
        for name, path in paths.items():
            write_atomically(path, makers[name]())
        return list(paths.values())

    def _repr_html_(self) -> str:
        return self.fragment()

    def fragment(self) -> str:
        """Return the table as a part of a page."""
        return _HTML_FRAGMENT.render(
            caption=self.caption,
            said=_STAYS,
            note=self.note,
            header=self.header,
            styles=self._styles(),
            rows=self._cells(),
        )

    def _styles(self) -> list[str]:
        """Set numbers to the right, and give text the width in which it is read easily."""
        return [
            "text-align: right; white-space: nowrap"
            if numeric
            else f"text-align: left; min-width: {min(width, _LONGEST_IN_A_LINE)}ch"
            for numeric, width in zip(self._numeric(), self._widths(), strict=True)
        ]

    def _is_long(self) -> bool:
        widths = self._widths()
        # Many columns of numbers cannot be broken into lines; they are scaled.
        wide = sum(widths) > _MOST_IN_A_ROW and max(widths, default=0) > _LONGEST_IN_A_LINE
        return wide or len(self.frame) > _MOST_ROWS_ON_A_PAGE

    def _widths(self) -> list[int]:
        """Return the length of the longest cell of each column; its title is broken into lines."""
        words = ([len(word) for word in title.split()] for title in self.header)
        columns = zip(*self._cells(), strict=True) if len(self.frame) else [()] * len(self.header)
        return [
            max([*(len(cell) for cell in column), *lengths], default=0)
            for lengths, column in zip(words, columns, strict=True)
        ]

    def _alignment(self) -> str:
        """Return a letter for each column; in a long table, a width where cells are long."""
        plain = ["r" if numeric else "l" for numeric in self._numeric()]
        if not self._is_long():
            return "".join(plain)
        widths = [min(width, _LINE) for width in self._widths()]
        broken = [width for width in widths if width > _LONGEST_IN_A_LINE]
        others = sum(width for width in widths if width not in broken) / _LINE
        left = max(0.95 - others - _PADDING * len(widths), 0.35)
        return "".join(
            _broken(left * width / sum(broken)) if width in broken else letter
            for letter, width in zip(plain, widths, strict=True)
        )

    def _numeric(self) -> list[bool]:
        return [
            pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
            for kind in self._shown.dtypes
        ]

    def _cells(self) -> list[list[str]]:
        columns = [
            [_cell(value, self.decimals.get(str(name))) for value in self._shown[name]]
            for name in self._shown.columns
        ]
        return [list(row) for row in zip(*columns, strict=True)]


def _cell(value: Any, decimals: int | None) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, float) and decimals is not None:
        # A p value of 0.0000 is none: what is above 0 never looks like 0.
        least = 10.0**-decimals
        return f"<{least:.{decimals}f}" if 0 < value < least / 2 else f"{value:z.{decimals}f}"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < _LARGEST_IN_FULL
        return f"{value:.0f}" if whole else f"{value:.{_DIGITS}g}"
    return str(value)


def _latex_title(title: str, width: int) -> str:
    """Break a title that is longer than the cells below it into lines."""
    lines = [latex_text(line) for line in textwrap.wrap(title, max(width, 1))]
    if len(lines) < _SEVERAL_LINES:
        return latex_text(title)
    return r"\begin{tabular}[b]{@{}l@{}}" + r"\\".join(lines) + r"\end{tabular}"


def _broken(share: float) -> str:
    return rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}"


def latex_text(value: object) -> str:
    r"""Escape what LaTeX would not print as it stands.

    Examples
    --------
    >>> latex_text("5 % of ≤3")
    '5 \\% of $\\leq$3'
    """
    return str(value).translate(_LATEX_ESCAPES)


_MARKDOWN_ESCAPES = str.maketrans({sign: "\\" + sign for sign in "\\`*_|<>"} | {"\n": " "})


def _markdown_text(value: object) -> str:
    return str(value).translate(_MARKDOWN_ESCAPES)
