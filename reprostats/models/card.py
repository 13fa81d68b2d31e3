"""The card of a trained network: what it is for, what it was trained on, how far it varies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reprostats.errors import DamagedFileError, InputError, unknown_name

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
SHA256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


def _with_lists(value: object) -> object:
    """Turn tuples into lists, as which they are read back."""
    if isinstance(value, Mapping):
        return {key: _with_lists(each) for key, each in value.items()}
    return [_with_lists(each) for each in value] if isinstance(value, list | tuple) else value


Parameters = Annotated[dict[str, JsonValue], BeforeValidator(_with_lists)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Architecture(_Part):
    """Which network the weights belong to.

    Parameters
    ----------
    name
        Its class by import path (``"reprostats.models.unet:UNet"``), or the name of the class.
    parameters
        Arguments with which the class is called.
    """

    name: Text
    parameters: Parameters = Field(default_factory=dict)


class Summary(_Part):
    """One metric over repeated trainings.

    Parameters
    ----------
    median
        Over the repeats.
    repeats
        Trainings of which the weights are one.
    sd
        Standard deviation over the repeats; needed unless there is only one.
    interval
        Confidence interval of the median, (low, high), where there are enough repeats for one.
    confidence
        Of the interval.
    """

    median: Number
    repeats: Annotated[int, Field(ge=1)]
    sd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    interval: tuple[Number, Number] | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.repeats == 1 and (self.sd is not None or self.interval is not None):
            raise ValueError("one repeat has no sd and no interval: leave them out")
        if self.repeats > 1 and self.sd is None:
            raise ValueError("more than one repeat needs the sd over them")
        if self.interval and self.interval[0] > self.interval[1]:
            raise ValueError("the interval's low end is above its high end")
        return self


class RunRecord(_Part):
    """The record of the training that gave the weights.

    Parameters
    ----------
    path
        Where it lies: a file, a folder or an address.
    sha256
        Of the record's file, in hexadecimal digits.
    """

    path: Text
    sha256: SHA256


class Card(_Part):
    """What the publisher of a network says of it.

    Parameters
    ----------
    name
        Of the network in the store: small letters, digits, ``.``, ``_`` and ``-``.
    version
        Whole number from 1.
    task
        What the network is for.
    architecture
        Which network it is.
    data
        What it was trained and tested on.
    metrics
        By name, how well it does and how far that varies between trainings.
    license
        Of the weights, as an SPDX expression.
    record
        Of the training that gave the weights, where it is kept.
    notes
        Anything else: intended use, limits, how the data were prepared.
    """

    name: Name
    version: Annotated[int, Field(ge=1)] = 1
    task: Text
    architecture: Architecture
    data: Text
    metrics: dict[str, Summary] = Field(min_length=1)
    license: Text
    record: RunRecord | None = None
    notes: str = ""


class StoredCard(Card):
    """A card in a store, with what the store knows.

    Parameters
    ----------
    weights_sha256
        Of the file of weights.
    reprostats, torch
        Versions of the packages that published it.
    created
        Day of publication (UTC).
    """

    format: Literal[1] = 1
    weights_sha256: SHA256
    reprostats: Text
    torch: Text
    created: date


_Any = TypeVar("_Any", bound=Card)
_PARTS: dict[str, type[_Part]] = {
    "architecture": Architecture,
    "metrics": Summary,
    "record": RunRecord,
}


def checked_card(content: Mapping[str, Any], kind: type[_Any], *, where: str = "card") -> _Any:
    """Check a card given as plain values.

    Parameters
    ----------
    content
        The fields of the card.
    kind
        `Card`, or `StoredCard` for one read from a store.
    where
        Begins each line of the error.

    Raises
    ------
    InputError
        With one line for each mistake.

    Examples
    --------
    >>> checked_card({"name": "My model"}, Card)
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: card: name = 'My model': string should match pattern
        '^[a-z0-9][a-z0-9._-]{0,99}$'.
    card: task: field required.
    card: architecture: field required.
    card: data: field required.
    card: metrics: field required.
    card: license: field required.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        lines = [_mistake(each, kind, where) for each in error.errors(include_url=False)]
        raise InputError("\n".join(lines)) from None


def card_text(card: StoredCard) -> str:
    """Write a card as YAML."""
    text = StringIO()
    YAML().dump(card.model_dump(mode="json"), text)
    return text.getvalue()


def read_card(path: Path) -> StoredCard:
    """Read a card from a store.

    Raises
    ------
    DamagedFileError
        If the file is no card; the message has one line for each mistake.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise DamagedFileError(f"{path}: the card is not YAML ({said}).") from error
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path}: the card is not a mapping from field to value.")
    try:
        return checked_card(content, StoredCard, where=str(path))
    except InputError as error:
        raise DamagedFileError(str(error)) from None


def _mistake(detail: ErrorDetails, kind: type[Card], where: str) -> str:
    """Say in one line what is wrong and what would be right."""
    location = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        known = (_PARTS[location[0]] if len(location) > 1 else kind).model_fields
        owner = ".".join((where, *location[:-1]))
        return str(unknown_name("field", location[-1], known, where=owner))
    said = detail["msg"].removeprefix("Value error, ")
    plain = isinstance(detail["input"], str | int | float)
    given = f" = {detail['input']!r:.80}" if plain else ""
    return f"{where}: {'.'.join(location)}{given}: {said[0].lower()}{said[1:]}."
