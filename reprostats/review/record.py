"""What is recorded about a reviewed paper."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

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

from reprostats.review.vocabulary import STATUSES, Form, Record, Text, Word, mistake

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


def _learning_rate(written: object) -> float | str:
    number = isinstance(written, int | float) and not isinstance(written, bool)
    if written == "range" or (number and written > 0):  # type: ignore[operator]
        return written  # type: ignore[return-value]
    raise mistake(
        f"{written!r} is not a learning rate",
        "give a number above 0, or the word range",
        ("range",),
    )


Share = Annotated[
    Decimal,
    PlainValidator(_share),
    PlainSerializer(lambda share: f"{share} %"),
    WithJsonSchema({"type": "string", "pattern": f"^{_SHARE.pattern}$"}),
]
"""A percentage, with as many digits as were printed."""

LearningRate = Annotated[
    float | str,
    PlainValidator(_learning_rate),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "range"}]}),
]
"""A number, or that a range was tried."""

Key = Annotated[str, Form("a key", "[a-z][a-z0-9_-]*", "guo2014")]
Doi = Annotated[str, Form("a DOI", r"10\.[0-9]{4,9}/\S+", "10.1000/182")]
Arxiv = Annotated[
    str, Form("an arXiv number", r"[0-9]{4}\.[0-9]{4,5}|[a-z.-]+/[0-9]{7}", "1608.05895")
]
Url = Annotated[str, Form("a web address", r"https?://\S+", "https://example.org")]
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
        forms = {"anyOf": [{"enum": list(STATUSES)}, *values, dict(full)]}
        full.clear()
        full.update(forms)
        return reference


class DataSetFindings(Record):
    """What is said of a data set."""

    size: Finding[Annotated[str, Word("size")]] | None = None
    """Number of subjects, as a bin."""
    access: Finding[Annotated[str, Word("access")]] | None = None
    """Whether others can get the data."""
    training_ratio: Finding[Share] | None = None
    """Share of the data that is used for training."""
    cross_validation: Finding[Annotated[str, Word("cross_validation")]] | None = None
    """How the data are split repeatedly."""


class DataSet(DataSetFindings):
    """One data set, or several that the paper treats as one."""

    name: Text | None = None
    number: Annotated[int, Field(ge=1)] = 1
    """How many data sets are pooled here."""


class TrainingData(Record):
    """The data that a network is trained on."""

    read_in: Text | None = None
    """Where the section was read."""
    every_data_set: DataSetFindings = DataSetFindings()
    """What is given once for all data sets; a data set may say otherwise for itself."""
    data_sets: Annotated[tuple[DataSet, ...], Field(strict=False, min_length=1)]
    augmentation: Finding[Annotated[str, Word("augmentation")]] | None = None
    """How the training data are enlarged."""
    augmentation_term: Finding[Text] | None = None
    """Whether the paper uses the term data augmentation."""
    validation_set: Finding[Share] | None = None
    """Whether the paper speaks of a validation set, and its share."""

    @property
    def number_of_data_sets(self) -> int:
        """Number of data sets, pooled ones counted one by one."""
        return sum(data_set.number for data_set in self.data_sets)

    def findings(self, field: str) -> list[Finding[Any]]:
        """Give one finding if a field is given once for all data sets, else one for each.

        A data set of which nothing is said is left out.
        """
        own = [getattr(data_set, field) for data_set in self.data_sets]
        common = getattr(self.every_data_set, field)
        if common is not None and not any(own):
            return [common]
        return [finding or common for finding in own if finding or common]


class Evaluation(Record):
    """How the network is judged."""

    read_in: Text | None = None
    """Where the section was read."""
    network: Finding[Annotated[str, Word("network")]] | None = None
    metrics: Finding[Many[Annotated[str, Word("metric")]]] | None = None
    """Names of the metrics as the paper has them."""
    variability: Finding[Many[Annotated[str, Word("variability")]]] | None = None
    """How the spread of a metric is shown; an empty list if it is not."""
    every_subject: bool = False
    """Whether the values of all subjects are given."""


class Optimisation(Record):
    """How the network is trained."""

    read_in: Text | None = None
    """Where the section was read."""
    optimiser: Finding[Annotated[str, Word("optimiser")]] | None = None
    hyperparameter_selection: Finding[Annotated[str, Word("hyperparameter_selection")]] | None = (
        None
    )
    """How the hyperparameters were chosen."""
    several_architectures: bool = False
    """Whether several architectures were tried."""
    learning_rate: Finding[LearningRate] | None = None
    batch_size: Finding[Annotated[int, Field(ge=1)]] | None = None
    dropout: Finding[Annotated[float, Field(ge=0, lt=1)]] | None = None
    """Share of the units that is dropped."""
    other_hyperparameters: dict[Text, Finding[Text]] = Field(default_factory=dict)


class Device(Record):
    """A processor that a paper names."""

    maker: Text | None = None
    model: Text
    written: Text | None = None
    """The words of the paper, without the memory; left out if they are the maker and model."""
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory in gigabytes."""
    used_for: Literal["training", "testing"] = "training"


class Implementation(Record):
    """With what the network is trained."""

    read_in: Text | None = None
    """Where the section was read."""
    frameworks: Finding[Many[Annotated[str, Word("framework")]]] | None = None
    devices: Finding[Many[Device]] | None = None
    code: Finding[Annotated[str, Word("code")]] | None = None
    """Whether others can get the code."""
    code_url: Url | None = None


class Bibliography(Record):
    """What identifies the paper."""

    title: Text
    authors: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    venue: Text | None = None
    year: Year
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
    """One reviewed paper."""

    key: Key
    """Short name that is used once in the file."""
    label: Text
    """The paper as tables name it."""
    year: Year
    """Year in the label."""
    same_reference_as: Key | None = None
    """Another record that stands for the same publication."""
    bibliography: Bibliography
    training_data: TrainingData | None = None
    evaluation: Evaluation | None = None
    optimisation: Optimisation | None = None
    implementation: Implementation | None = None
    notes: Many[Text] = ()
    """Decisions that were taken where the source is ambiguous."""
    printed: dict[Text, dict[Text, str]] = Field(default_factory=dict)
    """Cells as printed, by table and column."""


class PapersFile(Record):
    """A file of reviewed papers."""

    format: Literal[1]
    """Version of this layout."""
    title: Text
    source: Text | None = None
    """Where the records come from."""
    vocabulary: Text
    """File of the words that may be used, relative to this one."""
    papers: Annotated[tuple[Paper, ...], Field(strict=False, min_length=1)]
