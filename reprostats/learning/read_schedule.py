"""Every schedule of the learning rate by its name, and how one is read from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from reprostats.errors import InputError, unknown_name
from reprostats.learning.scaled_schedules import GreScale, LinearScaling
from reprostats.learning.schedule_base import LearningRateSchedule
from reprostats.learning.schedules import (
    Constant,
    Cosine,
    Cyclical,
    Exponential,
    InverseTime,
    Milestones,
    Polynomial,
    Step,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Schedule = Annotated[
    Constant
    | Step
    | Milestones
    | Exponential
    | InverseTime
    | Polynomial
    | Cosine
    | Cyclical
    | LinearScaling
    | GreScale,
    Field(discriminator="name"),
]
_READER: TypeAdapter[Schedule] = TypeAdapter(Schedule)
_BY_NAME: dict[str, type[LearningRateSchedule]] = {
    kind.model_fields["name"].default: kind for kind in get_args(get_args(Schedule)[0])
}
_SCALING = {"linear_scaling", "grescale"}


def read_schedule(values: Mapping[str, Any], *, where: str = "schedule") -> Schedule:
    """Build a schedule from plain values, such as those of a configuration file.

    Parameters
    ----------
    values
        The ``name`` of the schedule and its fields.
    where
        What messages begin with.

    Raises
    ------
    InputError
        If name or key is not known (the nearest that is known is named), one is missing, or a
        value is not what its key takes; one line for each mistake.

    Examples
    --------
    >>> read_schedule({"name": "cosine", "learning_rate": 0.1})
    Cosine(learning_rate=0.1, final_rate=0.0, name='cosine')
    >>> read_schedule({"name": "cosin", "learning_rate": 0.1})
    Traceback (most recent call last):
        ...
    reprostats.errors.InputError: schedule: unknown name 'cosin'; did you mean 'cosine'?
        Known: constant, cosine, ...
    """
    try:
        return _READER.validate_python(values)
    except ValidationError as error:
        lines = [_mistake(detail, where) for detail in error.errors(include_url=False)]
        raise InputError("\n".join(lines)) from None


def _mistake(detail: ErrorDetails, where: str) -> str:
    """Say in one line what is wrong and what would be right."""
    location, written = detail["loc"], detail["input"]
    key = ".".join(str(part) for part in location[1::2])  # between keys stand names of schedules
    place = f"{where}.{key}" if key else where
    if detail["type"] == "union_tag_invalid":
        known = [tag.strip("'") for tag in detail["ctx"]["expected_tags"].split(", ")]
        return str(unknown_name("name", detail["ctx"]["tag"], known, where=place))
    if detail["type"] == "union_tag_not_found":
        known = sorted(_BY_NAME.keys() - _SCALING if location else _BY_NAME)
        return f"{place}: has no name. Known: {', '.join(known)}"
    if detail["type"] == "extra_forbidden":
        known = list(_BY_NAME[str(location[-2])].model_fields)
        owner = where if len(location) == 2 else f"{where}.{key.rpartition('.')[0]}"  # noqa: PLR2004
        return str(unknown_name("key", location[-1], known, where=owner))
    if detail["type"] == "missing":
        return f"{place}: is missing; add it."
    reason = detail["msg"].removeprefix("Value error, ")
    return f"{place} = {written!r}: {reason[0].lower()}{reason[1:]}."
