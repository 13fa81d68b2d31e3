"""What is recorded: of every training, and what a trial of a study or `reprostats train` adds."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["ok", "failed", "diverged", "killed", "timeout"]
Row = tuple[str, str, float]

WHOLE = "all"
COMPLETED = "ok"
"""The status that counts as completed; `reprostats.study.run_trial` gives it."""
RAN_THROUGH = (COMPLETED, "diverged")
"""The statuses of trials whose function did what it should, whatever came out."""
TIME_SUFFIX = "_time"


class Record(BaseModel):
    """What was run, what came out, and in which environment.

    The two kinds are `TrialRecord` and `TrainingRecord`. Records of both kinds are read by
    `reprostats.records.files.read_record`, and compared, tabulated and described alike.

    Parameters
    ----------
    version
        Version of the form; `reprostats.records.migrations` brings earlier ones up to date.
    kind
        ``"trial"`` or ``"training"``.
    status
        ``"ok"``, ``"failed"`` (raised), ``"diverged"`` (left the finite numbers), ``"killed"``
        (its process ended without a result) or ``"timeout"``.
    reason
        Why, unless the status is ``"ok"``; or why a callback stopped a training before its last
        epoch.
    config
        The whole configuration, with defaults.
    metrics
        Rows of (metric, case, value); the case is ``"all"`` for a metric of the whole trial.
    fingerprints
        Hashes by name: of tensors, equal if and only if every bit is.
    kept
        Names of the tensors that were kept, each in a file ``NAME.safetensors`` beside the record.
        None where an earlier version did not record it.
    description
        Of the data and the training, for checklists.
    effective
        Threads, instruction set, flags, types and device as PyTorch reported them.
    environment
        Machine, packages, environment variables, git commit and lock files. Trials of a study
        share their environments, so theirs is the name of a file; see
        `reprostats.records.environments`.
    times
        Seconds by name. Of a training that was resumed, those since then.
    started
        Date and time (UTC, ISO 8601).
    seconds
        Wall time of the whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    #: Names of the fields that are known before anything runs.
    planned: ClassVar[tuple[str, ...]] = ("kind", "config")

    version: Literal[3] = 3
    kind: str
    status: Status = "ok"
    reason: str = ""
    config: dict[str, Any]
    metrics: list[Row] = Field(default_factory=list)
    fingerprints: dict[str, str] = Field(default_factory=dict)
    kept: list[str] | None = Field(default_factory=list)
    description: dict[str, Any] = Field(default_factory=dict)
    effective: dict[str, bool | int | float | str] = Field(default_factory=dict)
    environment: str | dict[str, Any] = ""
    times: dict[str, float] = Field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0

    @property
    def completed(self) -> bool:
        """True if it ran to its end and its results are finite numbers."""
        return self.status == COMPLETED

    @property
    def drawn_seeds(self) -> dict[str, int]:
        """The seeds from which numbers were drawn, by random stream."""
        return {}

    def cases(self, metric: str) -> dict[str, float]:
        """Return the values of a metric by case; none if it was not measured."""
        return {case: value for name, case, value in self.metrics if name == metric}

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of a results table.

        Returns
        -------
        list of dict
            ``metric``, ``case``, ``value``, ``status``, ``reason``, ``{name}_sha256`` for every
            fingerprint, and the times in seconds: ``{name}_time``, and ``trial_time`` of all. A
            failure without any metric has one row, whose metric is empty and whose value is NaN.

        Examples
        --------
        >>> record = TrainingRecord(config={}, metrics=[("dice", "patient 1", 0.9)])
        >>> record.rows()
        [{'metric': 'dice', 'case': 'patient 1', 'value': 0.9, 'status': 'ok', 'reason': '',
          'trial_time': 0.0}]
        """
        # Without a row, a failure would vanish from every table.
        empty = not self.completed and not self.metrics
        times = {**self.times, "trial": self.seconds}
        common = {
            "status": self.status,
            "reason": self.reason,
            **{f"{name}_sha256": value for name, value in self.fingerprints.items()},
            **{f"{name}{TIME_SUFFIX}": seconds for name, seconds in times.items()},
        }
        return [
            {"metric": metric, "case": case, "value": value} | common
            for metric, case, value in ([("", WHOLE, math.nan)] if empty else self.metrics)
        ]


class Adoption(BaseModel):
    """The word of a user that a trial of other code counts as one of the code of today.

    Parameters
    ----------
    by
        Whose word it is.
    code, trial
        SHA-256 of the code, and identity of the trial, before.
    changed
        Functions, classes, values and files that differ between the two versions of the code;
        None where it is not known what the earlier one was made of.
    at
        Date and time (UTC, ISO 8601).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["user"] = "user"
    code: str
    trial: str
    changed: list[str] | None
    at: str


class TrialRecord(Record):
    """The record of a trial of a study.

    Parameters
    ----------
    function, code, levels, repeat, fold
        The planned trial; see `reprostats.study.plan.PlannedTrial`.
    traceback
        Where an error was raised, if the trial failed.
    seeds
        The seed that each random stream really had.
    used
        The streams from which the trial drew, and the choices for which it asked.
    adopted
        How a trial that ran with earlier code came to count as this one, the first step first.
    """

    planned: ClassVar = ("kind", "function", "code", "config", "levels", "repeat", "fold")

    kind: Literal["trial"] = "trial"
    function: str
    code: str
    levels: dict[str, bool | int | float | str]
    repeat: int
    fold: int | None
    traceback: str = ""
    seeds: dict[str, int] = Field(default_factory=dict)
    used: list[str] = Field(default_factory=list)
    adopted: list[Adoption] = Field(default_factory=list)

    @property
    def ran_through(self) -> bool:
        """True if the function ran to its end: it completed, or what it trained diverged."""
        return self.status in RAN_THROUGH

    @property
    def drawn_seeds(self) -> dict[str, int]:
        """The seeds of the streams from which the trial drew."""
        return {name: seed for name, seed in self.seeds.items() if name in self.used}


class Summary(BaseModel):
    """A measure over the test cases for which it is defined.

    Parameters
    ----------
    mean, sd
        Mean, and standard deviation (n - 1) of finite values; NaN if there are too few.
    cases
        Their number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    mean: float
    sd: float
    cases: int


class TrainingRecord(Record):
    """The record of a training of `reprostats train`.

    Parameters
    ----------
    code
        SHA-256 of the files named in the configuration, as they were at the start.
    world_size
        Workers that took part, real or virtual.
    summary
        By measure.
    losses
        Mean training loss of each epoch; each step's is in ``losses.safetensors``.
    resumed
        Name of the checkpoint from which it went on, after a restart.
    """

    planned: ClassVar = ("kind", "code", "config", "world_size")

    kind: Literal["training"] = "training"
    code: dict[str, str] = Field(default_factory=dict)
    world_size: int = 1
    summary: dict[str, Summary] = Field(default_factory=dict)
    losses: list[float] = Field(default_factory=list)
    resumed: str = ""

    @property
    def drawn_seeds(self) -> dict[str, int]:
        """The one seed from which all streams of a training derive."""
        return {"seed": self.config["seed"]} if "seed" in self.config else {}
