"""Where the answers to a question stand in a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from reprostats.review.form import FieldForm, Form, SectionForm
from reprostats.review.record import Bibliography, Finding, Paper

_OF_PAPER = ("key", "label", "year", "same_reference_as", "reader")


@dataclass(frozen=True)
class FieldPlace:
    """A field of the records of a review.

    Parameters
    ----------
    name
        Its name, which is used once in a form.
    form
        What may be written there.
    section
        The section it stands in; empty for the paper itself.
    group
        The list whose items each have the field; empty if a paper has it once.
    found
        Gives what a record holds: a finding or a plain value, one for each item of a list.
    given
        The same as the paper gives it: once if it is given once for all items.
    looked_for
        Gives what is None, or only holds None, if nobody has looked.
    """

    name: str
    form: FieldForm
    section: str
    group: str
    found: Callable[[Any], Any] = field(repr=False)
    given: Callable[[Any], Any] = field(repr=False)
    looked_for: Callable[[Any], Any] = field(repr=False)

    @property
    def of_part(self) -> bool:
        """Whether it is a field of the parts that another field holds."""
        return bool(self.group) and self.looked_for is not self.found

    def unread(self, paper: Any) -> bool:
        """Tell whether nobody has looked for it in a paper."""
        found = self.looked_for(paper)
        return all(item is None for item in found) if isinstance(found, tuple) else found is None

    @property
    def words(self) -> str:
        """The kind of words that stand here; empty if it is none."""
        worded = self.form.kind in {"word", "words"}
        return (self.form.words or self.name) if worded else ""


def field_places(form: Form) -> dict[str, FieldPlace]:
    """Find every field of the records of a form, by name.

    Examples
    --------
    >>> from reprostats.review.load import load_papers
    >>> review = load_papers()
    >>> place = field_places(review.protocol.form)["training_ratio"]
    >>> [str(finding.value) for finding in place.found(review.paper("kamnitsas2017"))]
    ['80', '72', '44']
    """
    places = {place.name: place for place in _of_every_review()}
    for name, section in form.sections.items():
        places |= {place.name: place for place in _in_section(name, section)}
    return places


def own_run_places(form: Form) -> dict[str, FieldPlace]:
    """Find the fields that only a run of one's own has, by name."""
    found = {name: _getter("own_run", name) for name in form.own_runs}
    return {
        name: FieldPlace(name, field, "own_run", "", found[name], found[name], found[name])
        for name, field in form.own_runs.items()
    }


def label_of(paper: Any) -> str:
    """Return the label of a paper, with a mark if it is a run of one's own."""
    return f"{paper.label} (own run)" if paper.own_run is not None else str(paper.label)


def _of_every_review() -> Iterator[FieldPlace]:
    for name in _OF_PAPER:
        yield _plain(name, attrgetter(name))
    for name in Bibliography.model_fields:
        if name != "year":
            yield _plain(name, attrgetter(f"bibliography.{name}"))


def _plain(name: str, found: Callable[[Any], Any]) -> FieldPlace:
    of_paper = Paper.model_fields.get(name) or Bibliography.model_fields.get(name)
    number = of_paper is not None and "int" in str(of_paper.annotation)
    form = FieldForm(kind="number" if number else "text")
    return FieldPlace(name, form, "", "", found, found, _known)


def _known(_: Any) -> bool:
    """Stand for what says by itself whether it is there, such as a flag or an address."""
    return True


def _in_section(name: str, section: SectionForm) -> Iterator[FieldPlace]:
    if section.each:
        yield from _repeated(name, section)
    for own, form in section.fields.items():
        found = _getter(name, own)
        plain = form.kind in {"flag", "address", "texts by name"}
        yield FieldPlace(own, form, name, "", found, found, _known if plain else found)
        for part, part_form in form.fields.items():
            parts = _part_getter(found, part)
            yield FieldPlace(part, part_form, name, own, parts, parts, found)


def _getter(section: str, name: str) -> Callable[[Any], Any]:
    def found(paper: Any) -> Any:
        part = getattr(paper, section)
        return None if part is None else getattr(part, name)

    return found


def _part_getter(whole: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    def found(paper: Any) -> tuple[Any, ...]:
        finding = whole(paper)
        parts = finding.value if finding else None
        return tuple(getattr(part, name) for part in parts or ())

    return found


def _repeated(section: str, form: SectionForm) -> Iterator[FieldPlace]:
    each = form.each
    if each is None:
        return
    number = FieldForm(kind="integer")
    count = _counter(section, each.name)
    yield FieldPlace(each.name, number, section, "", count, count, count)
    for name, field_form in each.fields.items():
        found, given = (
            _item_getter(section, each.name, each.common, name, as_given=as_given)
            for as_given in (False, True)
        )
        yield FieldPlace(name, field_form, section, each.name, found, given, found)


def _counter(section: str, items: str) -> Callable[[Any], int | None]:
    def count(paper: Any) -> int | None:
        part = getattr(paper, section)
        return None if part is None else sum(item.number for item in getattr(part, items))

    return count


def _item_getter(
    section: str, items: str, common: str, name: str, *, as_given: bool
) -> Callable[[Any], tuple[Any, ...]]:
    def found(paper: Any) -> tuple[Any, ...]:
        part = getattr(paper, section)
        if part is None:
            return ()
        own = [getattr(item, name) for item in getattr(part, items)]
        for_all = getattr(getattr(part, common), name)
        if as_given and for_all is not None and not any(own):
            return (for_all,)
        every = (finding or for_all for finding in own)
        return tuple(finding for finding in every if finding) if as_given else tuple(every)

    return found


def status_of(found: Any) -> str:
    """Say what was found: a status, or ``unread`` if nobody has looked.

    A plain value is reported if it is there.

    Examples
    --------
    >>> status_of(Finding(status="absent")), status_of(None), status_of("text")
    ('absent', 'unread', 'reported')
    """
    if found is None:
        return "unread"
    return str(found.status) if isinstance(found, Finding) else "reported"


def value_of(found: Any) -> Any:
    """Return the value of a finding or a plain value; None if there is none."""
    return found.value if isinstance(found, Finding) else found
