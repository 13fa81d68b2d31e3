"""Bibliographic records: written for BibTeX and Zotero, and read from BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from reprostats.errors import InputError
from reprostats.report.tables import latex_text
from reprostats.review.load import Review

_OTHERS = "et al."
_ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303",
            "=": "\u0304", ".": "\u0307", "u": "\u0306", "v": "\u030c", "H": "\u030b",
            "c": "\u0327", "k": "\u0328", "r": "\u030a"}  # fmt: skip
_LETTERS = {"ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "l": "ł",
            "L": "Ł", "aa": "å", "AA": "Å", "i": "i", "j": "j"}  # fmt: skip
_ACCENTED = re.compile(r"""\\(['`^"~=.]|[uvHckr](?![A-Za-z]))\s*\{?\\?([A-Za-z])\}?""")
_NAMED = re.compile(
    r"\\(" + "|".join(sorted(_LETTERS, key=len, reverse=True)) + r")(?![A-Za-z])(?:\{\}|\s*)"
)
_DOI = re.compile(r"10\.[0-9]{4,9}/\S+")
_ARXIV = re.compile(r"(?:[0-9]{4}\.[0-9]{4,5}|[a-z.-]+/[0-9]{7})")


def cited(review: Review) -> Iterator[Any]:
    """Return the papers of a review, each publication once; a run of one's own is none."""
    return (paper for paper in review if paper.same_reference_as is None and paper.own_run is None)


def bibtex(review: Review) -> str:
    """Write the publications of a review for BibTeX.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> print(bibtex(load_papers().where("key == 'zhao2016'")))
    @article{zhao2016,
      title = {{Multiscale cnns for brain tumor segmentation and diagnosis}},
      author = {L. Zhao and K. Jia},
      journal = {Computational and mathematical methods in medicine, 2016, 2016},
      year = {2016},
      url = {https://www.hindawi.com/journals/cmmm/2016/8356294/}
    }
    <BLANKLINE>
    """
    return "\n".join(_entry(paper) for paper in cited(review))


def _entry(paper: Any) -> str:
    one = paper.bibliography
    fields = {
        "title": f"{{{latex_text(one.title)}}}" if one.title else None,
        "author": " and ".join(map(_author, one.authors or ())),
        "journal": latex_text(one.venue) if one.venue else None,
        "year": one.year,
        "doi": one.doi,
        "eprint": one.arxiv,
        "archiveprefix": "arXiv" if one.arxiv else None,
        "url": one.url,
        "note": _inferred(one),
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    kind = "article" if one.venue else "misc"
    return f"@{kind}{{{paper.key},\n" + ",\n".join(lines) + "\n}\n"


def _author(name: str) -> str:
    return "others" if name == _OTHERS else latex_text(name)


def _inferred(one: Any) -> str:
    return latex_text(f"Inferred: {', '.join(one.inferred)}") if one.inferred else ""


def ris(review: Review) -> str:
    """Write the publications of a review in the format RIS, which Zotero and others import."""
    return "".join(_ris_record(paper) for paper in cited(review))


def _ris_record(paper: Any) -> str:
    one = paper.bibliography
    lines = [
        ("TY", "JOUR" if one.venue else "GEN"),
        ("ID", paper.key),
        ("TI", one.title),
        *(("AU", _surname_first(name)) for name in one.authors or () if name != _OTHERS),
        ("JO", one.venue),
        ("PY", one.year),
        ("DO", one.doi),
        ("UR", one.url or (f"https://arxiv.org/abs/{one.arxiv}" if one.arxiv else None)),
        ("N1", f"Inferred: {', '.join(one.inferred)}" if one.inferred else None),
    ]
    written = [f"{tag}  - {_one_line(value)}" for tag, value in lines if value]
    return "\r\n".join([*written, "ER  - ", "", ""])


def _one_line(value: object) -> str:
    return " ".join(str(value).split())


def _surname_first(name: str) -> str:
    if "," in name:
        return name
    first, _, last = name.rpartition(" ")
    particles = re.search(r"((?:\b(?:van|von|de|der|den|ter|la|le|di|da)\b ?)+)$", first)
    if particles:
        last = f"{particles[1].strip()} {last}"
        first = first[: particles.start()].strip()
    return f"{last}, {first}" if first else last


def identified(written: str) -> dict[str, Any]:
    """Read what identifies a paper: a DOI, an arXiv number, or an entry of BibTeX.

    Parameters
    ----------
    written
        ``10.1000/182``, ``https://doi.org/10.1000/182``, ``1608.05895``, ``arXiv:1608.05895v2``, an
        address at arxiv.org, or the text of one entry.

    Returns
    -------
    dict
        Fields of a bibliography, as far as they are given.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> identified("arXiv:1608.05895v2")
    {'arxiv': '1608.05895', 'year': 2016, 'inferred': {'year': 'from the arXiv number'}}
    """
    text = written.strip()
    if text.startswith("@"):
        return from_bibtex(text)
    doi = re.sub(r"^(?:https?://(?:dx\.)?doi\.org/|doi:\s*)", "", text, flags=re.IGNORECASE)
    if _DOI.fullmatch(doi):
        return {"doi": doi}
    number = re.sub(
        r"^(?:https?://arxiv\.org/(?:abs|pdf)/|arxiv:\s*)", "", text, flags=re.IGNORECASE
    )
    number = re.sub(r"(?:v[0-9]+)?(?:\.pdf)?$", "", number)
    if _ARXIV.fullmatch(number):
        return {"arxiv": number} | _year_of(number)
    raise InputError(
        f"{written!r} is neither a DOI (10.1000/182), an arXiv number (1608.05895), an entry of "
        "BibTeX (@article{...}) nor a file that holds one."
    )


def _year_of(number: str) -> dict[str, Any]:
    """Read the year from an arXiv number, which begins with it since 1991."""
    digits = int(number.partition("/")[2][:2] or number[:2])
    year = 1900 + digits if digits > 90 else 2000 + digits  # noqa: PLR2004
    return {"year": year, "inferred": {"year": "from the arXiv number"}}


def from_bibtex(text: str) -> dict[str, Any]:
    r"""Read one entry of BibTeX.

    Raises
    ------
    InputError
        If it is not one entry with a title.

    Examples
    --------
    >>> from_bibtex('@article{a, title={On {S}heep}, author={M\\"uller, J. and A. B}, year=2020}')
    {'title': 'On Sheep', 'authors': ['J. Müller', 'A. B'], 'year': 2020}
    """
    fields = dict(_bibtex_fields(text))
    if "title" not in fields:
        raise InputError("the entry of BibTeX has no title; write title = {...}.")
    venue = fields.get("journal") or fields.get("booktitle")
    numbers = [fields[name] for name in ("volume", "pages") if fields.get(name)]
    arxiv = fields.get("eprint", "")
    found = {
        "title": fields["title"],
        "authors": [_given_first(name) for name in fields.get("author", "").split(" and ") if name],
        "venue": ", ".join([venue, *numbers]) if venue else None,
        "year": _whole(fields.get("year", "")),
        "doi": _match(_DOI, fields.get("doi", "")),
        "arxiv": arxiv if _ARXIV.fullmatch(arxiv) else None,
        "url": _match(re.compile(r"https?://\S+"), fields.get("url", "")),
    }
    return {name: value for name, value in found.items() if value}


def _match(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[0] if found else None


def _whole(text: str) -> int | None:
    found = _match(re.compile(r"[0-9]{4}"), text)
    return int(found) if found else None


def _given_first(name: str) -> str:
    last, comma, first = name.partition(",")
    if name.strip() == "others":
        return _OTHERS
    return f"{first.strip()} {last.strip()}" if comma else name.strip()


def _bibtex_fields(text: str) -> Iterator[tuple[str, str]]:
    head = re.match(r"@\s*(\w+)\s*\{\s*[^,{}\s]*\s*,", text)
    if head is None:
        raise InputError(
            "this is not an entry of BibTeX; write it like @article{key, title={...}}."
        )
    at = head.end()
    while match := re.compile(r"\s*,?\s*([A-Za-z_-]+)\s*=\s*").match(text, at):
        value, at = _bibtex_value(text, match.end())
        yield match[1].casefold(), plain_text(value)
    rest = re.fullmatch(r"\s*,?\s*\}\s*", text[at:])
    if rest is None:
        line = text.count("\n", 0, at) + 1
        raise InputError(
            f"the entry of BibTeX cannot be read from its line {line} on; give one entry, with a "
            "comma after each field and as many closing as opening braces."
        )


def _bibtex_value(text: str, at: int) -> tuple[str, int]:
    if at >= len(text) or text[at] not in '{"':
        bare = re.compile(r"[^\s,{}]*").match(text, at)
        return (bare[0], bare.end()) if bare else ("", at)
    closing, depth = "}" if text[at] == "{" else '"', 0
    for end in range(at + 1, len(text)):
        sign, escaped = text[end], text[end - 1] == "\\"
        if sign == closing and depth == 0 and not escaped:
            return text[at + 1 : end], end + 1
        depth += {"{": 1, "}": -1}.get(sign, 0) if not escaped else 0
    return "", at


def plain_text(latex: str) -> str:
    r"""Read the accents and marks of LaTeX.

    Examples
    --------
    >>> plain_text(r"{\"U}ber {\'{e}}t\'e \& \o re -- 50\%")
    'Über été & øre – 50%'
    """
    text = _ACCENTED.sub(lambda found: found[2] + _ACCENTS[found[1]], latex)
    text = _NAMED.sub(lambda found: _LETTERS[found[1]], text)
    text = re.sub(r"\\([&%$#_{}])", r"\1", text).replace("--", "–")
    text = re.sub(r"(?<!\\)[{}]", "", text).replace("~", " ")
    return _one_line(unicodedata.normalize("NFC", text))
