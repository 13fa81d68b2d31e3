"""Repeatable and reproducible: are trainings equal bit for bit.

The words are those of the ACM. Repeatable: with everything held equal, the same team gets the same
result again. Reproducible: another set-up (threads, instruction set, flags, device) gets it too.
Two trainings with different seeds answer neither question.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reprostats.sources import SOURCES, global_streams
from reprostats.sources.deterministic import PORTABLE
from reprostats.study.results import as_text
from reprostats.verdicts._base import (
    NO,
    NOT_APPLICABLE,
    UNDETERMINED,
    YES,
    Answer,
    Verdict,
    counted,
    number,
)
from reprostats.verdicts.evidence import Evidence

_DRAWN = ("os", "random")  # levels that are drawn anew when a trial starts
_SET_UPS = ("device", "framework")  # choices that are another set-up, as the ACM means it
_PAIR = 2
_ARITHMETIC, _ACCURACY = "deterministic", "operand_bits"


@dataclass(frozen=True)
class Repeatable(Verdict):
    """Whether trainings with equal levels of every source are equal bit for bit.

    Parameters
    ----------
    condition
        Its name.
    n_groups
        Groups of two or more completed trials that share every level, fold and config value.
    n_trials
        Trials in them.
    n_distinct
        Different trainings in them; as many as groups if training repeats.
    compared
        What was compared: the name of the fingerprint, or ``"values"`` of all metrics.
    drawn
        Sources whose level was drawn anew for every trial, so that no two trials are equal.
    levels_known
        Whether the table has a column that says how trials were set up.
    seeds_from
        The random streams of the study from which the trials drew; None if that is not known.
    seeded_globally
        Whether trials drew from nothing but the global generators, which the study seeded, at one
        level throughout. Equal results then show that seed, and nothing of the function.
    """

    question = "repeatable"

    condition: str
    n_groups: int
    n_trials: int
    n_distinct: int
    compared: str
    drawn: tuple[str, ...] = ()
    levels_known: bool = True
    seeds_from: tuple[str, ...] | None = None
    seeded_globally: bool = False

    @property
    def asked(self) -> str:
        """The question."""
        return f"Is {self.condition} repeatable bit for bit?"

    @property
    def answer(self) -> Answer:
        """Undetermined if no two trials share every level, or the study alone made them equal."""
        if self.n_groups and self.n_distinct == self.n_groups:
            return UNDETERMINED if self.seeded_globally else YES
        if self.n_groups:
            return NO
        return NOT_APPLICABLE if self.drawn else UNDETERMINED

    @property
    def sentence(self) -> str:
        """How many trainings are equal, and who held the seed."""
        if not self.levels_known:
            return (
                "The results have no column of a seed or another source, so that it is not known "
                "which trials had equal levels."
            )
        if not self.n_groups and self.drawn:
            return f"The levels of {', '.join(self.drawn)} were drawn anew for every trial."
        if not self.n_groups:
            return "No two completed trials share the levels of every source."
        repeated = f"{self.n_trials} trials with equal levels"
        if self.n_groups > 1:
            repeated = f"{self.n_trials} trials in {self.n_groups} groups with equal levels"
        things = f"{self.n_distinct} different {_things(self.compared)}"
        if self.n_distinct == self.n_groups:
            where = "" if self.n_groups == 1 else " within each group"
            things = f"the same {_things(self.compared)}{where}"
        return f"{repeated} gave {things}.{self._who}"

    @property
    def _who(self) -> str:
        """Who held the seed; empty if that is not known."""
        if self.seeds_from is None:
            return ""
        named = ", ".join(self.seeds_from)
        if self.seeded_globally:
            return (
                f" They drew from the global generators alone, which the study had seeded ({named})"
                "; that they would be equal without it is not shown."
            )
        if self.seeds_from:
            return f" The study held the seed{'s' * (len(self.seeds_from) > 1)}: {named}."
        return (
            " No seed of the study was used, as far as can be told: if there is one, the function "
            "or program holds it itself."
        )


@dataclass(frozen=True)
class Reproducible(Verdict):
    """Whether trainings with the same seeds in other set-ups are equal bit for bit.

    Parameters
    ----------
    n_setups
        Different set-ups: combinations of the sources below.
    sources
        What differs between set-ups.
    n_trials, n_distinct, n_groups
        As of `Repeatable`, of trials that share seeds and config.
    largest
        Largest difference of the metric between trainings of one group.
    metric, margin, compared
        The metric, the margin (None: not stated), and what was compared.
    portable
        Whether it is asked of trainings in portable arithmetic, whose bits are to be the same.
    """

    question = "reproducible"

    n_setups: int
    sources: tuple[str, ...]
    n_groups: int
    n_trials: int
    n_distinct: int
    largest: float
    metric: str
    margin: float | None
    compared: str
    portable: bool = False

    @property
    def asked(self) -> str:
        """The question."""
        training = "training in portable arithmetic" if self.portable else "training"
        return f"Is {training} reproducible bit for bit in other set-ups?"

    @property
    def answer(self) -> Answer:
        """Undetermined if there is one set-up alone."""
        if not self.n_groups:
            return UNDETERMINED
        return YES if self.n_distinct == self.n_groups else NO

    @property
    def sentence(self) -> str:
        """How many different trainings there are, and how far their metric differs."""
        if not self.n_groups:
            return "No two completed trials differ in their set-up alone."
        different = "the same" if self.answer == YES else f"{self.n_distinct} different"
        said = (
            f"{counted(self.n_setups, 'set-up')} ({', '.join(self.sources)}) with the same seeds "
            f"gave {different} {_things(self.compared)} in {counted(self.n_trials, 'trial')}."
        )
        return said if self.answer == YES else f"{said} {self._apart}."

    @property
    def _apart(self) -> str:
        if self.largest == 0:
            return f"The {self.metric} does not differ"
        apart = f"The {self.metric} differs by at most {number(self.largest)}"
        if self.margin is None:
            return apart
        within = "within" if self.largest <= self.margin else "more than"
        return f"{apart}, {within} the margin of {number(self.margin)}"


def ask_repeatable(evidence: Evidence) -> list[Verdict]:
    """Ask of each condition whether it repeats bit for bit."""
    return [_repeatable(name, rows, evidence) for name, rows in evidence.by_condition()]


def _repeatable(name: str, rows: pd.DataFrame, evidence: Evidence) -> Repeatable:
    completed = rows[rows["completed"]]
    settings = evidence.settings
    drawn = tuple(
        column
        for column in settings
        if column in SOURCES and as_text(completed[column]).isin(_DRAWN).any()
    )
    groups: list[list[str]] = []
    if settings and not drawn:
        keys = [as_text(completed[column]) for column in _equal_columns(evidence, settings)]
        groups = _groups(evidence.bits[completed.index], keys)
    sizes = [len(bits) for bits in groups]
    distinct = sum(len(set(bits)) for bits in groups)
    compared = evidence.compared
    return Repeatable(
        name,
        len(groups),
        sum(sizes),
        distinct,
        compared,
        drawn,
        levels_known=bool(settings),
        seeds_from=evidence.drawn_from,
        seeded_globally=evidence.seeded_globally and _only_globally(completed, evidence),
    )


def _only_globally(trials: pd.DataFrame, evidence: Evidence) -> bool:
    """Tell whether trials drew from the global generators alone, always seeded alike."""
    streams = set(evidence.drawn_from or ())
    alike = all(len(as_text(trials[name]).unique()) <= 1 for name in streams if name in trials)
    return bool(streams) and streams <= global_streams() and alike


def ask_reproducible(evidence: Evidence) -> list[Verdict]:
    """Ask whether trainings with the same seeds are equal in other set-ups.

    It is asked apart of trainings in portable arithmetic, where there are any.
    """
    trials = evidence.trials[evidence.trials["completed"]]
    is_portable = pd.Series(False, trials.index)
    if _ARITHMETIC in evidence.settings:
        is_portable = as_text(trials[_ARITHMETIC]) == PORTABLE
    parts = [(trials[~is_portable], False), (trials[is_portable], True)]
    asked = [part for part in parts if len(part[0])] or parts[:1]
    return [_reproducible(evidence, chosen, portable) for chosen, portable in asked]


def _reproducible(evidence: Evidence, trials: pd.DataFrame, portable: bool) -> Reproducible:
    setup = [name for name in evidence.settings if _is_setup(name)]
    setup = [name for name in setup if len(as_text(trials[name]).unique()) > 1]
    metric, margin, compared = evidence.metric.name, evidence.margin, evidence.compared
    if not setup:
        return Reproducible(1, (), 0, 0, 0, float("nan"), metric, margin, compared, portable)
    texts = pd.DataFrame({name: as_text(trials[name]) for name in setup}).agg("|".join, axis=1)
    shared = [n for n in _equal_columns(evidence, evidence.settings) if n not in setup]
    keys = [as_text(trials[name]) for name in shared]
    # Trainings that repeat within a set-up count once: they are the other question.
    several = texts.groupby(keys, sort=False).transform("nunique") > 1 if keys else texts != ""
    chosen = trials[several]
    keys = [key[several] for key in keys] or [pd.Series("", chosen.index)]
    groups = _groups(evidence.bits[chosen.index], keys)
    return Reproducible(
        texts[several].nunique(),
        tuple(setup),
        len(groups),
        sum(len(bits) for bits in groups),
        sum(len(set(bits)) for bits in groups),
        _largest_difference(evidence, chosen, keys),
        metric,
        margin,
        compared,
        portable,
    )


def _largest_difference(
    evidence: Evidence, trials: pd.DataFrame, keys: list[pd.Series[str]]
) -> float:
    """Return the largest range of run values among trials that share seeds and config."""
    names = zip(trials["condition"].astype(str), trials["run"], strict=True)
    lookup = [evidence.run_values.get(name, pd.Series(dtype=float)).get(run) for name, run in names]
    values = pd.Series(lookup, trials.index, dtype=float)
    groups = values.groupby(keys, sort=False)
    return float((groups.max() - groups.min()).max())


def _equal_columns(evidence: Evidence, settings: list[str]) -> list[str]:
    return [*settings, *(["fold"] if "fold" in evidence.trials else [])]


def _groups(bits: pd.Series[str], keys: list[pd.Series[str]]) -> list[list[str]]:
    """Return the bits of each group of two or more trials that share all keys."""
    known = bits.dropna()
    if known.empty:
        return []
    groups = [rows for _, rows in known.groupby(keys, sort=False)] if keys else [known]
    return [rows.tolist() for rows in groups if len(rows) >= _PAIR]


def _is_setup(name: str) -> bool:
    """Tell whether a source belongs to the set-up: what another machine or installation changes.

    The accuracy of portable arithmetic does not: it is chosen, and another one gives other bits.
    """
    if name not in SOURCES or name == _ACCURACY:
        return False
    return SOURCES[name].kind in ("environment", "flag") or name in _SET_UPS


def _things(compared: str) -> str:
    return "values of all metrics" if compared == "values" else compared
