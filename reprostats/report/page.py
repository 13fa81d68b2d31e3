"""One self-contained HTML page: it needs nothing from outside itself, at any width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

_PAGE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% for section in sections %}
<section>
{% if section.heading %}<h2>{{ section.heading }}</h2>{% endif %}
{{ section.html | safe }}
</section>
{% endfor %}
</main>
</body>
</html>
"""
)

STYLE = """
.reprostats { font: 15px/1.5 "Helvetica Neue", Arial, sans-serif; color: #1b1f24; }
body { font: 16px/1.5 "Helvetica Neue", Arial, sans-serif; color: #1b1f24; background: #fff;
  margin: 0; overflow-wrap: anywhere; }
main { max-width: 1220px; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .4rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
.table { margin: 0 0 1.2rem; }
table { border-collapse: collapse; border-top: 2px solid #1b1f24; border-bottom: 2px solid #1b1f24;
  font-size: .92em; }
caption { text-align: left; font-weight: 600; padding-bottom: .5rem; }
th { border-bottom: 1px solid #1b1f24; text-align: left; vertical-align: bottom; }
th, td { padding: .25rem .65rem .25rem 0; vertical-align: top; overflow-wrap: normal; }
td { font-variant-numeric: tabular-nums; }
.note, figcaption { max-width: 60rem; font-size: .88em; color: #57606a; margin: .4rem 0; }
figure { margin: 0 0 1.2rem; }
figure svg { max-width: 100%; height: auto; }
dl.verdicts { margin: 0; }
dl.verdicts > div { border-left: 5px solid #8b949e; padding: .35rem .8rem; margin: 0 0 .55rem;
  background: #f6f8fa; }
dl.verdicts > .yes { border-color: #009e73; }
dl.verdicts > .no { border-color: #d55e00; }
dl.verdicts > .undetermined { border-color: #e69f00; }
/* JupyterLab floats the terms and descriptions of lists in outputs. */
dl.verdicts dt, dl.verdicts dd { float: none; width: auto; margin: 0; }
dl.verdicts dt { font-weight: 600; }
.answer { font-weight: 700; }
"""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Parameters
    ----------
    heading
        Plain text; empty for none.
    html
        What stands below it, as HTML.
    """

    heading: str
    html: str


def page(title: str, sections: Sequence[Section]) -> str:
    """Make a page from its parts.

    Examples
    --------
    >>> "<h1>A &lt; B</h1>" in page("A < B", [Section("", "<p>text</p>")])
    True
    """
    return _PAGE.render(title=title, sections=sections, style=STYLE)
