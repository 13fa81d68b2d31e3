"""From sources, config values and repeats to a list of trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

from reprostats.errors import InputError
from reprostats.records.checksum import canonical_json, digest
from reprostats.sources import SINGLE_SEED, SOURCES, Level, complete_levels, unknown_source
from reprostats.study.identity import plain_config

# A varied source takes levels; a varied config value takes any plain value.
Varied = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Setting:
    """A level for every source, and the configuration that goes with it.

    Parameters
    ----------
    levels
        By source.
    config
        As plain JSON values.
    compared
        The config values that the setting was varied by: settings with other values are other
        conditions.
    """

    levels: Mapping[str, Level]
    config: Mapping[str, Any]
    compared: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """A named setting of sources and config: what is fixed, what is varied, how often.

    Parameters
    ----------
    fixed
        A level for each source that is held. Sources named nowhere keep their default.
    varied
        Either the levels of each varied source, which are crossed, or a list of settings, each a
        level for every varied source. A value of the config is varied in the same way, by its
        name; each of its values becomes a condition of its own (see `Study`).
    repeats
        Number of trials that share every level.
    config
        Values of the study's config that differ in this condition.

    Examples
    --------
    >>> crossed = Condition(varied={"init": [1, 2], "threads": [1, 2]})
    >>> len(list(crossed.settings()))
    4
    >>> listed = Condition(varied=[{"init": 1, "threads": 1}, {"init": 2, "threads": 2}])
    >>> len(list(listed.settings()))
    2
    >>> rates = Condition(varied={"learning_rate": [0.1, 0.01]})
    >>> [setting.config for setting in rates.settings({"learning_rate": 1.0, "epochs": 3})]
    [{'learning_rate': 0.1, 'epochs': 3}, {'learning_rate': 0.01, 'epochs': 3}]
    """

    fixed: Mapping[str, Level] = field(default_factory=dict)
    varied: Varied = field(default_factory=dict)
    repeats: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Return the names of all that the condition fixes or varies, sources and config values."""
        settings = [self.varied] if isinstance(self.varied, Mapping) else self.varied
        return set(self.fixed).union(*settings)

    def holding(self, fixed: Mapping[str, Level]) -> Condition:
        """Return the condition with what is fixed for the whole study, unless it names it."""
        held = {name: level for name, level in fixed.items() if name not in self.names()}
        return replace(self, fixed={**held, **self.fixed})

    def sharing_levels(self) -> list[set[str]]:
        """Return the sources that take more than one level; those with one seed are a group.

        Examples
        --------
        >>> one_seed = Condition(varied=[{"init": n, "split": n, "dropout": 9 - n} for n in (1, 2)])
        >>> [sorted(group) for group in one_seed.sharing_levels()]
        [['init', 'split'], ['dropout']]
        """
        if isinstance(self.varied, Mapping):
            return [{n} for n, levels in self.varied.items() if n in SOURCES and _several(levels)]
        groups: dict[str, set[str]] = {}
        for name in dict.fromkeys(name for setting in self.varied for name in setting):
            levels = [setting.get(name) for setting in self.varied]
            if name in SOURCES and _several(levels):
                groups.setdefault(repr(levels), set()).add(name)
        return list(groups.values())

    def settings(
        self, config: Mapping[str, Any] | None = None, *, remote: bool = False
    ) -> Iterator[Setting]:
        """Return every setting of the condition.

        Parameters
        ----------
        config
            The configuration of the study.
        remote
            Take levels that this machine cannot give.

        Raises
        ------
        InputError
            If a name is neither that of a source nor that of a config value, or both; a level is
            unknown; something is both fixed and varied; nothing is listed to vary; a setting is
            listed twice; or repeats is not a positive integer.
        """
        if isinstance(self.repeats, bool) or not isinstance(self.repeats, int) or self.repeats < 1:
            raise InputError(f"repeats must be an integer from 1, not {self.repeats!r}.")
        base = dict(config or {})
        changed = plain_config(self.config)
        _check_config_names(changed, base)
        seen: set[str] = set()
        for chosen in self._varied_settings():
            if both := sorted((self.fixed.keys() | changed.keys()) & chosen.keys()):
                raise InputError(f"{', '.join(both)}: both fixed and varied; choose one.")
            for name in chosen:
                _check_name(name, base)
            compared = plain_config({n: v for n, v in chosen.items() if n not in SOURCES})
            sources = {n: v for n, v in chosen.items() if n in SOURCES}
            levels = complete_levels({**self.fixed, **sources}, remote=remote)
            key = canonical_json([levels, compared])
            if key in seen:
                raise InputError(f"{chosen} is listed twice; to run it again, use repeats.")
            seen.add(key)
            yield Setting(levels, {**base, **changed, **compared}, compared)

    def _varied_settings(self) -> list[dict[str, Any]]:
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


def _several(levels: Iterable[object]) -> bool:
    return len({repr(level) for level in levels}) > 1


def _check_name(name: str, config: Mapping[str, Any]) -> None:
    """Check that a varied name is that of a source or of a config value, and not of both."""
    if name in SOURCES and name in config:
        raise InputError(
            f"varied[{name!r}]: there is a source and a config value of this name; give the "
            "config value another name."
        )
    if name in SINGLE_SEED and name not in config:
        raise unknown_source(name)
    if name not in SOURCES and name not in config:
        has = f"the config has: {', '.join(config)}" if config else "the study has no config"
        raise InputError(
            f"varied[{name!r}] is neither a source of variability nor a value of the config. "
            f"Sources: {', '.join(SOURCES)}; {has}"
        )


def _check_config_names(changed: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if unknown := [name for name in changed if name not in config]:
        has = ", ".join(config) or "nothing"
        raise InputError(
            f"the condition changes config[{unknown[0]!r}], but the config of the study has: {has}."
        )


def _listed(levels: object, place: str) -> list[Any]:
    """Return levels as a list; refuse what is none, or empty."""
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
        """Return the content hash of the trial: 20 hexadecimal digits."""
        return digest([self.function, self.code, self.config, self.levels, self.repeat, self.fold])[
            :20
        ]


def fold_numbers(folds: int | None) -> Sequence[int | None]:
    """Return the numbers of the folds of a study; of one without folds the one number None.

    Raises
    ------
    InputError
        If there cannot be so many.
    """
    if folds is not None and not (isinstance(folds, int) and folds >= 1):
        raise InputError(f"folds must be an integer from 1, or None, not {folds!r}.")
    return [None] if folds is None else range(folds)


def planned_trials(
    name: str,
    condition: Condition,
    function: str,
    code: str,
    config: Mapping[str, object],
    folds: int | None,
    *,
    remote: bool = False,
) -> dict[str, list[PlannedTrial]]:
    """Plan the trials of one condition: every setting x fold x repeat.

    Returns
    -------
    dict
        By the name of a condition: ``name``, or, where config values are varied, one for each
        combination of them (`condition_name`).
    """
    numbers = fold_numbers(folds)
    planned: dict[str, list[PlannedTrial]] = {}
    for setting in condition.settings(config, remote=remote):
        trials = planned.setdefault(condition_name(name, setting.compared), [])
        trials += [
            PlannedTrial(function, code, setting.config, setting.levels, repeat, fold)
            for fold in numbers
            for repeat in range(condition.repeats)
        ]
    return planned


def condition_name(name: str, compared: Mapping[str, object]) -> str:
    """Name the condition that some values of the config make.

    Parameters
    ----------
    name
        Of what they are part of; empty in a study without named conditions.
    compared
        The values by name.

    Examples
    --------
    >>> condition_name("", {"learning_rate": 0.01, "optimiser": "adam"})
    'learning_rate=0.01, optimiser=adam'
    >>> condition_name("U-Net", {"learning_rate": 0.01}), condition_name("U-Net", {})
    ('U-Net, learning_rate=0.01', 'U-Net')
    """
    return ", ".join([*([name] if name else []), *(f"{n}={v}" for n, v in compared.items())])
