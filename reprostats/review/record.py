"""What is recorded about a reviewed paper."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from reprostats.review.vocabulary import STATUSES, UNREAD, OrUnread, Pattern, Record, Text
from reprostats.yaml_files.validate import mistake

Value = TypeVar("Value")
Item = TypeVar("Item")

Status = Literal["reported", "mentioned", "absent", "not applicable"]
Many = Annotated[tuple[Item, ...], Field(strict=False)]

_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_SHARE_REMEDY = "write a percentage with its unit, such as 43 %"


def _share(written: object) -> Decimal:
    if isinstance(written, Decimal):
        return written
    match = _SHARE.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        raise mistake(f"{written!r} is not a percentage", _SHARE_REMEDY)
    share = Decimal(match[1])
    if share > 100:  # noqa: PLR2004 - the whole
        raise mistake(f"{written} is more than the whole", "give at most 100 %")
    return share


Share = Annotated[
    Decimal,
    PlainValidator(_share),
    PlainSerializer(lambda share: f"{share} %"),
    WithJsonSchema({"type": "string", "pattern": f"^{_SHARE.pattern}$"}),
]
"""A percentage, with as many digits as were printed."""

Key = Annotated[str, Pattern("a key", "[a-z][a-z0-9_-]*", "guo2014")]
Doi = Annotated[str, Pattern("a DOI", r"10\.[0-9]{4,9}/\S+", "10.1000/182")]
Arxiv = Annotated[
    str, Pattern("an arXiv number", r"[0-9]{4}\.[0-9]{4,5}|[a-z.-]+/[0-9]{7}", "1608.05895")
]
Url = Annotated[str, Pattern("a web address", r"https?://\S+", "https://example.org")]
Year = Annotated[int, Field(ge=1900, le=2100)]


class Finding(Record, Generic[Value]):
    """What a paper says about one thing.

    In a file it is the value alone, one of the words ``reported``, ``mentioned``, ``absent`` and
    ``not applicable`` alone, or a mapping of the fields below.
    """

    status: Status = "reported"
    """Reported, mentioned without a clear value, absent, or not applicable to this paper."""
    value: Value | None = None
    """The value; left out where it is reported but was not copied."""
    read_in: Text | None = None
    """Where it was read, if not where the rest of the section was."""
    quotation: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """A few words of the paper that show it."""
    note: Text | None = None
    """What a reader has to know to judge the interpretation."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, written: object) -> object:
        if isinstance(written, dict | Finding):
            return written
        if isinstance(written, str) and written in STATUSES:
            return {"status": written}
        return {"value": written}

    @model_validator(mode="after")
    def _only_reported_values(self) -> Finding[Value]:
        if self.status != "reported" and self.value is not None:
            raise mistake(
                f"{self.status!r} stands beside a value", "remove the value, or say reported"
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow the short forms in editors, too."""
        reference = handler(schema)
        full = handler.resolve_ref_schema(reference)
        values = [rule for rule in full["properties"]["value"]["anyOf"] if rule != {"type": "null"}]
        forms = {"anyOf": [{"enum": [*STATUSES, UNREAD]}, *values, dict(full)]}
        full.clear()
        full.update(forms)
        return reference


class Bibliography(Record):
    """What identifies the paper."""

    title: Annotated[Text | None, OrUnread()]
    authors: Annotated[tuple[Text, ...] | None, Field(strict=False, min_length=1), OrUnread()]
    venue: Annotated[Text | None, OrUnread()] = None
    year: Annotated[Year | None, OrUnread()]
    """Year of the publication that is cited."""
    doi: Doi | None = None
    arxiv: Arxiv | None = None
    url: Url | None = None
    reference: Annotated[int, Field(ge=1)] | None = None
    """Number in the bibliography of the review."""
    reference_printed_in: Many[Text] | None = None
    """The tables that print the number; all of them if left out."""
    inferred: dict[Text, Text] = Field(default_factory=dict)
    """The fields that the source does not give, each with the reason for what stands here."""

    @field_validator("inferred")
    @classmethod
    def _fields_of_its_own(cls, inferred: dict[str, str]) -> dict[str, str]:
        for field in inferred.keys() - cls.model_fields.keys():
            raise mistake(f"there is no field {field!r}", "name a field", tuple(cls.model_fields))
        return inferred


class Paper(Record):
    """One reviewed paper; the sections that the form of the review adds hold what was found."""

    key: Key
    """Short name that is used once in the file."""
    label: Text
    """The paper as tables name it."""
    year: Annotated[Year | None, OrUnread()]
    """Year in the label."""
    same_reference_as: Key | None = None
    """Another record that stands for the same publication."""
    reader: Text | None = None
    """Who read the paper."""
    bibliography: Bibliography
    notes: Many[Text] = ()
    """Decisions that were taken where the source is ambiguous."""
    printed: dict[Text, dict[Text, str]] = Field(default_factory=dict)
    """Cells as printed, by table and column."""


class SecondReading(Record):
    """What another reader found in the same paper, without having seen the first reading."""

    reader: Text


class PapersFile(Record):
    """A file of reviewed papers."""

    format: Literal[1]
    """Version of this layout."""
    title: Text
    source: Text | None = None
    """Where the records come from."""
    form: Text
    """File that says what is recorded and made of it, relative to this one."""
    papers: Annotated[tuple[Paper, ...], Field(strict=False, min_length=1)]
