"""From sources and repeats to a list of trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from reprostats.errors import InputError
from reprostats.study.identity import digest
from reprostats.study.sources import Level, complete_levels


@dataclass(frozen=True)
class Condition:
    """Sources that are fixed, sources that are varied, and how often each setting is repeated.

    Parameters
    ----------
    fixed
        A level for each source that is held. Sources named nowhere keep their default.
    varied
        Either the levels of each varied source, which are crossed, or a list of settings, each a
        level for every varied source.
    repeats
        Number of trials that share every level.

    Examples
    --------
    >>> crossed = Condition(varied={"init": [1, 2], "threads": [1, 2]})
    >>> len(list(crossed.settings()))
    4
    >>> listed = Condition(varied=[{"init": 1, "threads": 1}, {"init": 2, "threads": 2}])
    >>> len(list(listed.settings()))
    2
    """

    fixed: Mapping[str, Level] = field(default_factory=dict)
    varied: Mapping[str, Sequence[Level]] | Sequence[Mapping[str, Level]] = field(
        default_factory=dict
    )
    repeats: int = 1

    def varied_together(self) -> list[set[str]]:
        """Give the sources that take more than one level, in groups that change together."""
        if isinstance(self.varied, Mapping):
            return [{name} for name, levels in self.varied.items() if len(set(levels)) > 1]
        names = {name for setting in self.varied for name in setting}
        together = {n for n in names if len({each.get(n) for each in self.varied}) > 1}
        return [together] if together else []

    def settings(self) -> Iterator[dict[str, Level]]:
        """Give a level for every source, once for each setting.

        Raises
        ------
        InputError
            If a source or level is unknown, a source is both fixed and varied, a varied source
            has no levels, or repeats is not a positive whole number.
        """
        if isinstance(self.repeats, bool) or not isinstance(self.repeats, int) or self.repeats < 1:
            raise InputError(f"repeats must be a whole number from 1, not {self.repeats!r}.")
        for chosen in self._varied_settings():
            if both := sorted(self.fixed.keys() & chosen.keys()):
                raise InputError(f"{', '.join(both)}: both fixed and varied; choose one.")
            yield complete_levels({**self.fixed, **chosen})

    def _varied_settings(self) -> list[dict[str, Level]]:
        if not isinstance(self.varied, Mapping):
            return [dict(setting) for setting in self.varied] or [{}]
        for name, levels in self.varied.items():
            if isinstance(levels, str) or not len(levels):
                raise InputError(f"varied[{name!r}] must list its levels, not {levels!r}.")
        combinations = product(*self.varied.values())
        return [dict(zip(self.varied, levels, strict=True)) for levels in combinations]


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a plan, before it runs.

    Parameters
    ----------
    function
        Name of the trial function.
    code
        SHA-256 of its code.
    config
        Its configuration as plain JSON values.
    levels
        A level for every source.
    repeat
        Number of the trial among those that share every level, from 0.
    fold
        Number of the cross-validation fold, from 0, or None.
    """

    function: str
    code: str
    config: Mapping[str, object]
    levels: Mapping[str, Level]
    repeat: int
    fold: int | None = None

    @cached_property
    def identity(self) -> str:
        """Give the content hash of the trial: 20 hexadecimal digits."""
        return digest([self.function, self.code, self.config, self.levels, self.repeat, self.fold])[
            :20
        ]


def planned_trials(
    condition: Condition, function: str, code: str, config: Mapping[str, object], folds: int | None
) -> list[PlannedTrial]:
    """Give the trials of one condition: every setting x fold x repeat."""
    numbers: Sequence[int | None] = [None] if folds is None else range(folds)
    return [
        PlannedTrial(function, code, config, levels, repeat, fold)
        for levels in condition.settings()
        for fold in numbers
        for repeat in range(condition.repeats)
    ]
