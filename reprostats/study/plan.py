"""From sources and repeats to a list of trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from reprostats.errors import InputError
from reprostats.records.checksum import digest
from reprostats.study.levels import Level
from reprostats.study.sources import complete_levels


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

    def names(self) -> set[str]:
        """Give the names of all sources that the condition fixes or varies."""
        settings = [self.varied] if isinstance(self.varied, Mapping) else self.varied
        return set(self.fixed).union(*settings)

    def varied_together(self) -> list[set[str]]:
        """Give the sources that take more than one level, in groups that change together."""
        if isinstance(self.varied, Mapping):
            return [{name} for name, levels in self.varied.items() if len(set(levels)) > 1]
        names = {name for setting in self.varied for name in setting}
        together = {n for n in names if len({each.get(n) for each in self.varied}) > 1}
        return [together] if together else []

    def settings(self, *, elsewhere: bool = False) -> Iterator[dict[str, Level]]:
        """Give a level for every source, once for each setting.

        Parameters
        ----------
        elsewhere
            Take levels that this machine cannot give.

        Raises
        ------
        InputError
            If a source or level is unknown, a source is both fixed and varied, a varied source
            has no levels, or repeats is not a positive whole number.
        """
        if isinstance(self.repeats, bool) or not isinstance(self.repeats, int) or self.repeats < 1:
            raise InputError(f"repeats must be a whole number from 1, not {self.repeats!r}.")
        seen: list[dict[str, Level]] = []
        for chosen in self._varied_settings():
            if both := sorted(self.fixed.keys() & chosen.keys()):
                raise InputError(f"{', '.join(both)}: both fixed and varied; choose one.")
            setting = complete_levels({**self.fixed, **chosen}, elsewhere=elsewhere)
            if setting in seen:
                raise InputError(f"{chosen} is listed twice; to run it again, use repeats.")
            seen.append(setting)
            yield setting

    def _varied_settings(self) -> list[dict[str, Level]]:
        if isinstance(self.varied, Mapping):
            levels = [_listed(levels, f"varied[{name!r}]") for name, levels in self.varied.items()]
            return [dict(zip(self.varied, each, strict=True)) for each in product(*levels)]
        settings = _listed(self.varied, "varied") if len(self.varied) else [{}]
        for setting in settings:
            if not isinstance(setting, Mapping):
                raise InputError(
                    f"varied must hold mappings from source to level, not {setting!r}."
                )
        return [dict(setting) for setting in settings]


def _listed(levels: object, place: str) -> list[Any]:
    """Give levels as a list; refuse what is none, or empty."""
    if isinstance(levels, str) or not isinstance(levels, Iterable) or not (found := list(levels)):
        raise InputError(f"{place} must list its levels, not {levels!r}.")
    return found


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
    condition: Condition,
    function: str,
    code: str,
    config: Mapping[str, object],
    folds: int | None,
    *,
    elsewhere: bool = False,
) -> list[PlannedTrial]:
    """Give the trials of one condition: every setting x fold x repeat."""
    if folds is not None and not (isinstance(folds, int) and folds >= 1):
        raise InputError(f"folds must be a whole number from 1, or None, not {folds!r}.")
    numbers: Sequence[int | None] = [None] if folds is None else range(folds)
    return [
        PlannedTrial(function, code, config, levels, repeat, fold)
        for levels in condition.settings(elsewhere=elsewhere)
        for fold in numbers
        for repeat in range(condition.repeats)
    ]
