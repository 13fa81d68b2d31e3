"""Comparison: which of two conditions is better, or are they equivalent.

The same difference is judged three times, because it may hold for three things: for these networks
on other cases, for new trainings on these cases, and for new trainings on new cases. Only the last
two speak of the algorithms. See `reprostats.stats.algorithms`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from reprostats.stats.algorithms import GENERALISATIONS, GeneraliseTo, compare_matrices
from reprostats.stats.mean_squares import Runs
from reprostats.verdicts._base import (
    NO,
    NOT_APPLICABLE,
    UNDETERMINED,
    YES,
    Answer,
    Verdict,
    decimals_for,
    number,
    p_text,
    shared_in_words,
)
from reprostats.verdicts.evidence import Evidence

Outcome = Literal["better", "worse", "different", "undetermined", "not compared"]

_PAIR = 2
# All pairs of more conditions make more tests than a reader can follow: the first is the baseline.
_MOST_CONDITIONS = 5
_HOLDS_FOR = {
    "cases": "for these networks on new cases",
    "runs": "for new trainings on these cases",
    "runs and cases": "for new trainings on new cases",
}


@dataclass(frozen=True)
class Comparison(Verdict):
    """One condition against another, for one thing that the result may hold for.

    Parameters
    ----------
    first, second, metric
        Their names.
    generalise_to
        ``"cases"``, ``"runs"`` or ``"runs and cases"``.
    runs
        ``"crossed"`` if trainings that share their seeds are pairs, else ``"nested"``.
    higher_is_better
        None if that is not known: then there is no winner.
    difference, ci_low, ci_high
        Mean of first minus that of second, with its interval.
    p_value, p_adjusted
        Of no difference; adjusted over the pairs by Holm's method.
    margin, p_equivalence
        The margin (NaN: not stated), and the adjusted p value of two one-sided tests.
    n_runs, n_cases
        Distinct trainings of first and second, and common cases.
    has_cases
        Whether the metric was measured by case.
    sd
        Between trainings; of differences, if they are pairs.
    shared
        Sources of which several trainings share a level, with the number of levels.
    alpha
        Level of the tests.
    note
        What the data cannot answer, and why.
    untrained
        Which of the two did not learn.
    sequential
        Whether the numbers are those of a rule that added trainings until they decided: they hold
        at every look and for all pairs together.
    """

    question = "better"

    first: str
    second: str
    metric: str
    generalise_to: GeneraliseTo
    runs: Runs
    higher_is_better: bool | None
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    p_adjusted: float
    margin: float
    p_equivalence: float
    n_runs: tuple[int, int]
    n_cases: int
    alpha: float
    note: str = ""
    untrained: tuple[str, ...] = ()
    has_cases: bool = True
    sd: float = math.nan
    shared: Mapping[str, int] = field(default_factory=dict)
    sequential: bool = False

    @property
    def asked(self) -> str:
        """The question."""
        verb = "better than" if self.higher_is_better is not None else "other than"
        holds_for = _HOLDS_FOR[self.generalise_to] if self.has_cases else "for new trainings"
        return f"Is {self.first} {verb} {self.second}, {holds_for}?"

    @property
    def outcome(self) -> Outcome:
        """What the test of no difference shows."""
        if self.untrained:
            return "not compared"
        if not self.p_adjusted < self.alpha:
            return "undetermined"
        if self.higher_is_better is None:
            return "different"
        return "better" if (self.difference > 0) == self.higher_is_better else "worse"

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to be smaller than the margin."""
        return not self.untrained and self.p_equivalence < self.alpha

    @property
    def answer(self) -> Answer:
        """No if it is worse or equivalent; undetermined is no sign of equality."""
        if self.untrained:
            return NOT_APPLICABLE
        if self.outcome in ("better", "different"):
            return YES
        return NO if self.outcome == "worse" or self.equivalent else UNDETERMINED

    @property
    def sentence(self) -> str:
        """The difference with its interval, and what it shows."""
        if self.untrained:
            return f"Not compared, because {' and '.join(self.untrained)} did not learn."
        if not math.isfinite(self.p_value):
            return f"{self.note[:1].upper()}{self.note[1:]}."
        verdict = {
            "better": f"{self.first} is better",
            "worse": f"{self.second} is better",
            "different": "They differ",
            "undetermined": "No difference is shown",
        }[self.outcome]
        digits = with_interval(self.difference, self.ci_low, self.ci_high)
        note = f" {self.note[:1].upper()}{self.note[1:]}." if self.note else ""
        if self.shared and self.generalise_to != "cases":
            note = f" {shared_in_words(self.shared)}{note}"
        return (
            f"{verdict}: {self.metric} differs by {digits} ({p_text(self.p_adjusted)})."
            f"{self._equivalence}{note}"
        )

    @property
    def _equivalence(self) -> str:
        if not math.isfinite(self.margin):
            return ""
        margin, p = number(self.margin), p_text(self.p_equivalence)
        if self.equivalent and self.outcome == "undetermined":
            return f" They are equivalent within {margin} ({p})."
        if self.equivalent:
            return f" But the difference is smaller than the margin of {margin} ({p})."
        if min(abs(self.ci_low), abs(self.ci_high)) > self.margin and (
            (self.ci_low > 0) == (self.ci_high > 0)
        ):
            return f" The difference is larger than the margin of {margin}."
        return f" Equivalence within {margin} is not shown ({p})."


def ask_comparison(evidence: Evidence, untrained: tuple[str, ...] = ()) -> list[Comparison]:
    """Ask of each pair of conditions which is better, for cases, runs, and both.

    Parameters
    ----------
    evidence
        What is known.
    untrained
        Conditions that did not learn; nothing is built on them.
    """
    table = comparisons(evidence)
    return [_comparison(row, evidence, untrained) for row in table.to_dict("records")]


def comparisons(evidence: Evidence) -> pd.DataFrame:
    """Compare conditions two at a time.

    Returns
    -------
    pandas.DataFrame
        The columns of `reprostats.compare_algorithms` and ``runs``: a row for each pair and each
        thing that the result may hold for. Empty if fewer than two conditions have values.
    """
    names = [name for name in evidence.conditions if len(evidence.distinct_matrix(name))]
    if len(names) < _PAIR or not evidence.common_cases:
        return pd.DataFrame()
    baseline = baseline_of(evidence)
    if baseline is not None and baseline not in names:
        return pd.DataFrame()
    labelled = _labelled(names, evidence)
    one_draw = _with_held_seeds_as_one(labelled, evidence)
    tables = [
        compare_matrices(
            trainings.matrices,
            runs=trainings.runs,
            shared=trainings.shared,
            generalise_to=what,
            margin=evidence.margin,
            baseline=baseline,
            confidence_level=evidence.confidence_level,
            equal_runs_count_once=False,  # copies are left out already, by their fingerprints
            spread_stands_in=False,  # one run may be what is left of many with one seed
        )
        for what in GENERALISATIONS
        if what == "runs" or evidence.has_cases
        for trainings in [labelled if what == "cases" else one_draw]
    ]
    every = pd.concat(tables, ignore_index=True).assign(runs=labelled.runs)
    every["note"] = [
        "; ".join(filter(None, [_of_held_seeds(row, labelled, evidence), row["note"]]))
        for row in every.to_dict("records")
    ]
    order = {pair: place for place, pair in enumerate(_pairs(every))}
    keys = [order[pair] for pair in zip(every["first"], every["second"], strict=True)]
    return every.iloc[np.argsort(keys, kind="stable")].reset_index(drop=True)


def baseline_of(evidence: Evidence) -> str | None:
    """Return the condition with which the others are compared: as asked, or the first of many."""
    if evidence.baseline is not None or len(evidence.conditions) <= _MOST_CONDITIONS:
        return evidence.baseline
    return evidence.conditions[0]


def _pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table["first"], table["second"], strict=True)))


class _Labelled(NamedTuple):
    """The values of each condition, a row a training, and what its trainings share."""

    runs: Runs
    matrices: dict[str, pd.DataFrame]
    shared: dict[str, pd.DataFrame]


def _labelled(names: list[str], evidence: Evidence) -> _Labelled:
    """Label trainings by their seeds, so that those that share them have one label."""
    matrices, shared, planned = {}, {}, []
    for name in names:
        seeds = _seeds(name, evidence)
        matrix = evidence.distinct_matrix(name)
        labels = [seeds[run] for run in matrix.index]
        matrices[name] = _one_per_seed(matrix, labels)
        levels = evidence.levels_of_runs[name]
        shared[name] = _one_level_per_seed(levels.set_axis(labels)) if any(labels) else levels
        planned.append(list(dict.fromkeys(seeds)))
    labels = [set(matrix.index) for matrix in matrices.values()]
    # Where some trainings did not complete, the others are still pairs; none left is another case.
    paired = all(one & other for one, other in combinations(labels, 2))
    runs: Runs = "crossed" if paired and _share_seeds(planned) else "nested"
    return _Labelled(runs, matrices, shared)


def _with_held_seeds_as_one(labelled: _Labelled, evidence: Evidence) -> _Labelled:
    """Average the trainings of a condition that holds a seed which others vary.

    Its trainings show what computing does to one draw of that seed. Taken as several, they would
    show differences between this draw and the mean over others.
    """
    held = {name for name in labelled.matrices if evidence.held_seeds.get(name)}
    if not held:
        return labelled
    matrices = {
        name: matrix.mean().to_frame().T if name in held else matrix
        for name, matrix in labelled.matrices.items()
    }
    shared = {
        name: pd.DataFrame(index=matrices[name].index) if name in held else levels
        for name, levels in labelled.shared.items()
    }
    return _Labelled(labelled.runs, matrices, shared)


def _of_held_seeds(row: Mapping[Any, Any], labelled: _Labelled, evidence: Evidence) -> str:
    """Say which trainings of a pair count as one for new trainings, and why; empty if none do."""
    if row["generalise_to"] == "cases":
        return ""
    said = [
        f"{len(labelled.matrices[name])} trainings of {name} have one level of "
        f"{', '.join(streams)}, which other conditions vary: they count as one"
        for name in (row["first"], row["second"])
        if (streams := evidence.held_seeds.get(name)) and len(labelled.matrices[name]) > 1
    ]
    return "; ".join(said)


def _one_per_seed(matrix: pd.DataFrame, seeds: list[str]) -> pd.DataFrame:
    """Label trainings by their seeds; average those that share them and differ in set-up alone.

    They show what hardware does to one training; that they agree says nothing of other seeds.
    """
    if not any(seeds):
        return matrix  # no seeds are known
    return matrix.groupby(np.asarray(seeds, dtype=object), sort=False).mean()


def _one_level_per_seed(levels: pd.DataFrame) -> pd.DataFrame:
    """Keep what trainings with the same seeds share: over all else their values are averaged."""
    counts = levels.groupby(level=0, sort=False).nunique()
    same = counts.columns[(counts <= 1).all()]
    kept: pd.DataFrame = levels.loc[~levels.index.duplicated(), same]
    return kept


def _seeds(name: str, evidence: Evidence) -> pd.Series[str]:
    """Return what every planned training of a condition shares with those of others, by run."""
    rows = evidence.trials[evidence.trials["condition"] == name].drop_duplicates("run")
    return evidence.pairing.loc[rows.index].set_axis(rows["run"])


def _share_seeds(labels: list[list[str]]) -> bool:
    """Tell whether all conditions were planned with the same seeds, each of them once.

    Repeats of one seed are no pairs: the first of one condition has nothing to do with the first
    of another.
    """
    seeds = [[label.rpartition("|")[0] for label in each] for each in labels]
    once = all(len(set(each)) == len(each) for each in seeds)
    same = all(set(each) == set(seeds[0]) for each in seeds)
    return once and same and len(seeds[0]) >= _PAIR


def _comparison(
    row: Mapping[Any, Any], evidence: Evidence, untrained: tuple[str, ...]
) -> Comparison:
    pair = (str(row["first"]), str(row["second"]))
    return Comparison(
        first=pair[0],
        second=pair[1],
        metric=evidence.metric.name,
        generalise_to=row["generalise_to"],
        runs=row["runs"],
        higher_is_better=evidence.metric.higher_is_better,
        difference=float(row["difference"]),
        ci_low=float(row["ci_low"]),
        ci_high=float(row["ci_high"]),
        p_value=float(row["p_value"]),
        p_adjusted=float(row["p_adjusted"]),
        margin=float(row["margin"]),
        p_equivalence=float(row["p_equivalence_adjusted"]),
        n_runs=(int(row["n_runs_first"]), int(row["n_runs_second"])),
        n_cases=int(row["n_cases"]),
        alpha=1 - evidence.confidence_level,
        note=str(row["note"] or ""),
        untrained=tuple(name for name in pair if name in untrained),
        has_cases=evidence.has_cases,
        sd=float(row["sd"]),
        shared=evidence.shared_sources(pair),
    )


def with_interval(difference: float, low: float, high: float) -> str:
    """Write a difference and its interval with two significant digits of its half-width.

    Examples
    --------
    >>> with_interval(0.01234, -0.0021, 0.0268)
    '+0.012 (-0.002 to +0.027)'
    """
    width = (high - low) / 2
    if not math.isfinite(width) or not width > 0:
        return f"{number(difference)} ({number(low)} to {number(high)})"
    decimals = decimals_for([width])
    return f"{difference:+.{decimals}f} ({low:+.{decimals}f} to {high:+.{decimals}f})"
