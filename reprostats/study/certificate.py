"""The certificate of a training: what was trained, and a chain of fingerprints of every step.

The chain holds a SHA-256 for each step: of the one before, and of what entered and left every
module in that step, every gradient and every new weight (`reprostats.learning.trace`). It begins
with the SHA-256 of code, files, configuration, seeds and levels. So none of them can be exchanged
without changing all that comes after. `reprostats.study.verification` makes and verifies them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reprostats.errors import InputError
from reprostats.records.checksum import (
    canonical_json,
    checked_content,
    damaged,
    digest,
    read_mapping,
    write_checked,
)
from reprostats.records.record import Row
from reprostats.sources import Level
from reprostats.sources.deterministic import PORTABLE

if TYPE_CHECKING:
    import pandas as pd

EVENT_DIGITS = 4
"""Hexadecimal digits that are kept of each event, so that the first that differs can be found."""
_NAME = "certificate"
_REMEDY = "Ask for it again."
_HARDWARE = {"threads", "isa", "device", "cudnn_benchmark", "tf32", "matmul_precision"}


class CertifiedStep(BaseModel):
    """What a certificate holds of one step.

    Parameters
    ----------
    chain
        SHA-256 of the chain up to the end of the step.
    events
        The first four hexadecimal digits of the digest of each event, in their order. They only
        find the place of a difference; whether there is one is told by ``chain``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain: str
    events: str


class Certificate(BaseModel):
    """What was trained, and what must come out whenever it is trained again.

    Parameters
    ----------
    version
        Of the form.
    function, config, levels, repeat, fold
        The trial; see `reprostats.study.plan.PlannedTrial`. Seeds that were drawn are levels here.
    code, files
        SHA-256 of each function, class, value and file that the trial reaches, by name.
    environment
        Where it ran: `reprostats.provenance.describe_environment`.
    steps
        One for each step, and one for what came before the first and after the last.
    fingerprints, metrics
        Those of the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    version: Literal[1] = 1
    function: str
    code: dict[str, str]
    files: dict[str, str]
    config: dict[str, Any]
    levels: dict[str, bool | int | float | str]
    repeat: int
    fold: int | None
    environment: dict[str, Any]
    steps: list[CertifiedStep] = Field(min_length=1)
    fingerprints: dict[str, str]
    metrics: list[Row]

    @property
    def portable(self) -> bool:
        """Whether any machine can verify it."""
        return self.levels.get("deterministic") == PORTABLE

    @property
    def head(self) -> str:
        """The SHA-256 with which the chain begins."""
        return chain_head(self.code, self.files, self.config, self.levels, (self.repeat, self.fold))


def write_certificate(certificate: Certificate, path: Path) -> None:
    """Write a certificate with its checksum, in one step."""
    write_checked(path, _NAME, certificate.model_dump(mode="json"))


def read_certificate(path: Path) -> Certificate:
    """Read a certificate.

    Raises
    ------
    InputError
        If there is no such file.
    DamagedFileError
        If it does not hold what was written.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    content = checked_content(path, _NAME, read_mapping(path, _REMEDY), _REMEDY)
    try:
        return Certificate.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise damaged(path, f"{where}: {first['msg']}", _REMEDY) from None


def chain_head(
    code: Mapping[str, str],
    files: Mapping[str, str],
    config: Mapping[str, Any],
    levels: Mapping[str, Level],
    number: tuple[int, int | None],
) -> str:
    """Return the SHA-256 of all that a training depends on."""
    kept = {name: level for name, level in levels.items() if not is_hardware(name, levels)}
    return digest([dict(code), dict(files), dict(config), kept, *number])


def is_hardware(name: str, levels: Mapping[str, Level]) -> bool:
    """Tell whether a source has no part in the bits of a portable training."""
    return levels.get("deterministic") == PORTABLE and name in _HARDWARE


def chained(head: str, events: pd.DataFrame) -> list[CertifiedStep]:
    """Return the chain of a trace, step by step."""
    chain, steps = head, []
    for _, rows in events.groupby("step", sort=True):
        texts = [
            "|".join(row)
            for row in rows[["phase", "place", "what", "digest"]].itertuples(index=False)
        ]
        chain = hashlib.sha256(canonical_json([chain, texts]).encode()).hexdigest()
        short = "".join(text[:EVENT_DIGITS] for text in rows["digest"])
        steps.append(CertifiedStep(chain=chain, events=short))
    return steps
