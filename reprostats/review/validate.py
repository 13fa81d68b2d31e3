"""Check plain data against a type of a review's records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reprostats.review.vocabulary import STATUSES
from reprostats.yaml_files import validate as yaml_files
from reprostats.yaml_files.located import Document
from reprostats.yaml_files.mistakes import Mistake
from reprostats.yaml_files.validate import Model

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def validate(
    document: Document, model: type[Model], context: Mapping[str, object] | None = None
) -> tuple[Model | None, list[Mistake]]:
    """Build a record as `reprostats.yaml_files.validate`; a finding may be a status instead."""
    return yaml_files.validate(document, model, context, words_instead=_statuses)


def _statuses(detail: ErrorDetails) -> tuple[str, ...]:
    """Return the words that would have been valid in the place of a mistake, beside its own."""
    known = detail.get("ctx", {}).get("known", ())
    in_finding = "value" in detail["loc"] and isinstance(detail["input"], str)
    return STATUSES if in_finding or known else ()
