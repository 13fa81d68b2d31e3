"""The publications that describe the methods of a report, as BibTeX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from reprostats.report.tables import latex_text

_VERBATIM = {"doi", "url"}  # these are read by \url, which wants no escapes


@dataclass(frozen=True)
class Reference:
    r"""A publication.

    Parameters
    ----------
    key
        By which it is cited.
    kind
        Of BibTeX, such as ``article``.
    cited_as
        Author and year, as they stand in a text.
    fields
        Of BibTeX, in plain text; authors are written last name first.

    Examples
    --------
    >>> print(Reference("a2000", "book", "A, 2000", {"title": "R & D", "year": "2000"}).bibtex())
    @book{a2000,
      title = {R \& D},
      year = {2000}
    }
    """

    key: str
    kind: str
    cited_as: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def bibtex(self) -> str:
        """Write the entry; letters of a title keep their case where it stands in braces."""
        lines = [f"  {name} = {{{_written(name, text)}}}" for name, text in self.fields.items()]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"

    def text(self) -> str:
        """Write the reference as plain text."""
        names = ("author", "title", "journal", "publisher", "volume", "pages", "year", "doi")
        parts = [self.fields[name] for name in names if name in self.fields]
        plain = ". ".join(parts).replace("{", "").replace("}", "").replace("`", "‘")
        return f"{plain}."


def _written(name: str, text: str) -> str:
    if name in _VERBATIM:
        return text
    written = latex_text(text)
    # The names of people and tests keep their capital letters in every style.
    return (
        written.replace(r"\{", "{").replace(r"\}", "}") if name in {"title", "author"} else written
    )


def _article(key: str, cited_as: str, **fields: str) -> Reference:
    return Reference(key, "article", cited_as, fields)


_ARTICLES = (
    _article(
        "student1908", "Student, 1908",
        author="{Student}", title="The probable error of a mean", journal="Biometrika",
        volume="6", number="1", pages="1–25", year="1908", doi="10.1093/biomet/6.1.1",
    ),
    _article(
        "welch1947", "Welch, 1947",
        author="Welch, B. L.",
        title="The generalization of `{Student}'s' problem when several different population "
        "variances are involved",
        journal="Biometrika", volume="34", number="1–2", pages="28–35", year="1947",
        doi="10.1093/biomet/34.1-2.28",
    ),
    _article(
        "schuirmann1987", "Schuirmann, 1987",
        author="Schuirmann, Donald J.",
        title="A comparison of the two one-sided tests procedure and the power approach for "
        "assessing the equivalence of average bioavailability",
        journal="Journal of Pharmacokinetics and Biopharmaceutics", volume="15", number="6",
        pages="657–680", year="1987", doi="10.1007/BF01068419",
    ),
    _article(
        "holm1979", "Holm, 1979",
        author="Holm, Sture", title="A simple sequentially rejective multiple test procedure",
        journal="Scandinavian Journal of Statistics", volume="6", number="2", pages="65–70",
        year="1979",
    ),
    _article(
        "hillis2007", "Hillis, 2007",
        author="Hillis, Stephen L.",
        title="A comparison of denominator degrees of freedom methods for multiple observer {ROC} "
        "analysis",
        journal="Statistics in Medicine", volume="26", number="3", pages="596–619", year="2007",
        doi="10.1002/sim.2532",
    ),
    _article(
        "hillis2014", "Hillis, 2014",
        author="Hillis, Stephen L.",
        title="A marginal-mean {ANOVA} approach for analyzing multireader multicase radiological "
        "imaging data",
        journal="Statistics in Medicine", volume="33", number="2", pages="330–360", year="2014",
    ),
    _article(
        "lai1976", "Lai, 1976",
        author="Lai, Tze Leung",
        title="On confidence sequences",
        journal="The Annals of Statistics", volume="4", number="2", pages="265–280", year="1976",
    ),
    _article(
        "wang2025", "Wang and Ramdas, 2025",
        author="Wang, Hongjian and Ramdas, Aaditya",
        title="Anytime-valid t-tests and confidence sequences for {Gaussian} means with unknown "
        "variance",
        journal="Sequential Analysis", volume="44", number="1", pages="56–110", year="2025",
    ),
    _article(
        "patterson1971", "Patterson and Thompson, 1971",
        author="Patterson, H. D. and Thompson, R.",
        title="Recovery of inter-block information when block sizes are unequal",
        journal="Biometrika", volume="58", number="3", pages="545–554", year="1971",
        doi="10.1093/biomet/58.3.545",
    ),
    _article(
        "weerahandi1993", "Weerahandi, 1993",
        author="Weerahandi, Samaradasa", title="Generalized confidence intervals",
        journal="Journal of the American Statistical Association", volume="88", number="423",
        pages="899–905", year="1993",
    ),
)  # fmt: skip

_OTHERS = (
    Reference(
        "cochran1957", "book", "Cochran and Cox, 1957",
        {"author": "Cochran, William G. and Cox, Gertrude M.", "title": "Experimental Designs",
         "edition": "2", "publisher": "Wiley", "year": "1957"},
    ),
    Reference(
        "david2003", "book", "David and Nagaraja, 2003",
        {"author": "David, H. A. and Nagaraja, H. N.", "title": "Order Statistics",
         "edition": "3", "publisher": "Wiley", "year": "2003", "doi": "10.1002/0471722162"},
    ),
    Reference(
        "acm2020", "misc", "ACM, 2020",
        {"author": "{Association for Computing Machinery}",
         "title": "Artifact review and badging, version 1.1", "year": "2020",
         "url": "https://www.acm.org/publications/policies/artifact-review-and-badging-current"},
    ),
)  # fmt: skip


def own_version() -> str:
    """Return the version of this package; empty if it runs without being installed."""
    try:
        return version("reprostats")
    except PackageNotFoundError:
        return ""


def _cited(number: str) -> str:
    return f"version {number}" if number else "version unknown"


def _own() -> Reference:
    number = own_version()
    fields = {"title": "{reprostats}", "key": "reprostats"}
    noted = {"note": f"Software, version {number}"} if number else {"note": "Software"}
    return Reference("reprostats", "misc", _cited(number), fields | noted)


REFERENCES: dict[str, Reference] = {
    reference.key: reference for reference in (*_ARTICLES, *_OTHERS, _own())
}
"""The publications that a methods section may cite, by key."""
