"""The results of a study, checked and brought into the forms in which questions need them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprostats.errors import InputError, QuestionError, unknown_name
from reprostats.metrics.registry import Metric, matching_metrics, metric_of
from reprostats.records.record import WHOLE
from reprostats.stats.checks import check_confidence_level
from reprostats.stats.run_means import shared_levels
from reprostats.study.results import (
    FINGERPRINT,
    MEASURED,
    adopted_trials,
    as_text,
    assumptions,
    check_results,
    columns_ending,
    commonest_reason,
    is_completed,
    metrics_of,
    of_newest_code,
    setting_columns,
    shared_seeds,
    stream_columns,
    trials_of,
)
from reprostats.study.runs import case_values, runs_of
from reprostats.verdicts.run_facts import RunFacts

# Of several fingerprints, the one that says most about a training.
_BEST_FINGERPRINTS = ("weights", "predictions", "losses", "reconstructions")
_DRAWN = "os"  # the level of a stream whose seed was drawn when the trial started
_SAME_RUN = "\x1f"
_MANY_VALUES = 10  # that do not agree in every bit by chance


@dataclass(frozen=True)
class Evidence:
    """What is known of a study, for one metric.

    Parameters
    ----------
    results
        The results table, checked.
    metric
        Of which the questions are asked, with what is known of it.
    margin
        Largest difference that does not matter, in the metric's unit; None if none was stated.
    baseline
        The condition with which the others are compared; None: all pairs.
    trivial_value
        What is reached without training; None if it is not known.
    confidence_level
        Of the intervals.
    assumed
        Sentences on what was taken for granted.
    losses
        The loss of every step by trial, where trials kept it.
    drawn_from
        The random streams of the study from which trials drew; None if it is not known.
    seeded_globally
        Whether the study seeded the global generators of the trials' processes.
    """

    results: pd.DataFrame
    metric: Metric
    margin: float | None = None
    baseline: str | None = None
    trivial_value: float | None = None
    confidence_level: float = 0.95
    assumed: tuple[str, ...] = ()
    losses: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    drawn_from: tuple[str, ...] | None = None
    seeded_globally: bool = False

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per condition and trial, with its run; see `runs_of`."""
        return runs_of(self.results)

    @cached_property
    def conditions(self) -> list[str]:
        """The names of the conditions, in their order."""
        return [str(name) for name in self.results["condition"].unique()]

    @cached_property
    def matrices(self) -> dict[str, pd.DataFrame]:
        """Of each condition the values: one row a run, one column a case; only complete runs.

        A run is complete if all its trials, one for each fold, completed. One that has no finite
        value at all is left out: it would leave no case that all runs have.
        """
        if not self._has_values:
            return {}
        table = case_values(self.results, self.metric.name)
        complete = self.complete_runs
        matrices = {}
        for name, rows in table.groupby("condition", sort=False, observed=True):
            runs, run_labels = pd.factorize(rows["run"])
            cases, case_labels = pd.factorize(rows["case"])
            values = np.full((len(run_labels), len(case_labels)), np.nan)
            values[runs, cases] = rows["value"].to_numpy()
            is_complete = [label in complete[str(name)] for label in run_labels]
            kept = np.isfinite(values).any(axis=1) & is_complete
            matrices[str(name)] = pd.DataFrame(values, run_labels, case_labels)[kept]
        return {name: matrix for name, matrix in matrices.items() if len(matrix)}

    @cached_property
    def _has_values(self) -> bool:
        rows = self.results[is_completed(self.results)]
        return bool((rows["metric"] == self.metric.name).any())

    @cached_property
    def complete_runs(self) -> dict[str, set[str]]:
        """Of each condition, the runs whose trials, one for each fold, all completed."""
        return {
            name: set(rows.loc[rows["complete"], "run"].astype(str))
            for name, rows in self.by_condition()
        }

    @cached_property
    def n_without_value(self) -> int:
        """How many complete runs have no finite value of the metric, and are left out."""
        complete = sum(len(runs) for runs in self.complete_runs.values())
        return complete - sum(len(matrix) for matrix in self.matrices.values())

    @cached_property
    def common_cases(self) -> list[Any]:
        """The cases that have a finite value in every complete run of every condition."""
        if not self.matrices:
            return []
        every = pd.concat(self.matrices.values(), join="outer")
        finite = np.isfinite(every.to_numpy()).all(axis=0)
        return list(every.columns[finite])

    @cached_property
    def run_values(self) -> dict[str, pd.Series[float]]:
        """Of each condition the value of every complete run: its mean over the common cases."""
        cases = self.common_cases
        if not cases:
            return {name: matrix.mean(axis=1)[:0] for name, matrix in self.matrices.items()}
        return {name: matrix[cases].mean(axis=1) for name, matrix in self.matrices.items()}

    @cached_property
    def n_left_out(self) -> int:
        """How many cases are left out because a run has no finite value for them."""
        every = {case for matrix in self.matrices.values() for case in matrix.columns}
        return len(every) - len(self.common_cases)

    @property
    def has_cases(self) -> bool:
        """Whether the metric was measured by case."""
        return len(self.common_cases) > 1 or (
            bool(self.common_cases) and self.common_cases[0] != WHOLE
        )

    @property
    def over_cases(self) -> str:
        """Over how many cases the value of a training is a mean, in words; empty for one value."""
        n = len(self.common_cases)
        return f", the mean over {n} case{'s' if n > 1 else ''}" if self.has_cases else ""

    @cached_property
    def fingerprint(self) -> str | None:
        """The column by which trainings are compared bit for bit; None if none was kept."""
        columns = columns_ending(self.trials, FINGERPRINT)
        # A command keeps files: weights.pt are weights.
        stems = {name: PurePath(name.removesuffix(FINGERPRINT)).stem for name in columns}
        best = [name for each in _BEST_FINGERPRINTS for name in columns if stems[name] == each]
        ordered = best + columns
        completed = self.trials[self.trials["completed"]]
        usable = [name for name in ordered if completed[name].notna().any()]
        return usable[0] if usable else None

    @cached_property
    def bits(self) -> pd.Series[str]:
        """For each row of `trials` a text that is equal where the trainings are: the fingerprint.

        Without one, it is made of the values of all metrics.
        """
        if self.fingerprint is not None:
            kept = self.trials[self.fingerprint]
            return kept.astype("str").where(self.trials["completed"] & kept.notna())
        hashes = pd.util.hash_pandas_object(self.results[list(MEASURED)], index=False)
        keys = [self.results["condition"], self.results["trial"]]
        # A sum of hashes does not depend on the order of the rows.
        sums = hashes.groupby(keys, sort=False, observed=True).sum()
        rows = pd.MultiIndex.from_frame(self.trials[["condition", "trial"]])
        texts = pd.Series(sums.reindex(rows).astype(str).to_numpy(), self.trials.index)
        return texts.where(self.trials["completed"])

    @property
    def compared(self) -> str:
        """What is compared bit for bit: the name of a fingerprint, or the values."""
        return "values" if self.fingerprint is None else self.fingerprint.removesuffix(FINGERPRINT)

    @cached_property
    def distinct_matrices(self) -> dict[str, pd.DataFrame]:
        """Of each condition the values, equal runs once: one row a run, one column a common case.

        Runs that are equal bit for bit show a fixed seed, not that trainings do not vary.
        """
        return {name: self._distinct(name, matrix) for name, matrix in self.matrices.items()}

    def _distinct(self, name: str, matrix: pd.DataFrame) -> pd.DataFrame:
        keys = pd.MultiIndex.from_product([[name], matrix.index])
        repeated = self.bits_of_runs.reindex(keys).duplicated().to_numpy()
        distinct: pd.DataFrame = matrix.loc[~repeated, self.common_cases]
        return distinct

    def distinct_matrix(self, condition: str) -> pd.DataFrame:
        """Return `distinct_matrices` of one condition; empty if none of its runs is complete."""
        return self.distinct_matrices.get(condition, pd.DataFrame())

    def distinct_values(self, condition: str) -> NDArray[np.float64]:
        """Return the value of every distinct run of a condition: its mean over the common cases."""
        matrix = self.distinct_matrix(condition)
        return matrix.mean(axis=1).to_numpy() if matrix.size else np.empty(0)

    @cached_property
    def distinct_runs(self) -> dict[str, int]:
        """Of each condition, how many complete runs differ in at least one bit."""
        return {name: len(self.distinct_matrix(name)) for name in self.conditions}

    @cached_property
    def bits_of_runs(self) -> pd.Series[str]:
        """The bits of the trials of each run together, by condition and run."""
        # Folds in one order: a run may be recorded in another order than its copy.
        trials = self.trials.sort_values("fold") if "fold" in self.trials else self.trials
        # Without bits nothing shows that a trial is the copy of another.
        known = as_text(self.bits).where(self.bits.notna(), as_text(self.trials["trial"]))
        texts = (known + self._doubt)[trials.index]
        keys = [trials["condition"].astype(str), trials["run"]]
        return texts.groupby(keys, sort=False).agg(_SAME_RUN.join)

    @property
    def _doubt(self) -> pd.Series[str]:
        """For each row of `trials` what keeps trials with equal values from being copies.

        A fingerprint shows a copy. Equal values alone do so where there are many of them, or where
        the trials were set up alike; one accuracy may come out twice by chance.
        """
        nothing = pd.Series("", self.trials.index)
        if self.fingerprint is not None:
            return nothing
        sizes = self.results.groupby(["condition", "trial"], sort=False, observed=True).size()
        rows = pd.MultiIndex.from_frame(self.trials[["condition", "trial"]])
        many = sizes.reindex(rows).to_numpy() >= _MANY_VALUES
        names = self.settings or ["trial"]
        setting = pd.DataFrame({name: as_text(self.trials[name]) for name in names})
        return nothing.where(many, setting.agg("|".join, axis=1))

    @cached_property
    def varied(self) -> dict[str, list[str]]:
        """Of each condition, what varies between its trials: sources and config values.

        Columns that change together, level by level, are one name: ``init + batch_order``.
        """
        return {name: self._varied_in(rows) for name, rows in self.by_condition()}

    def _varied_in(self, rows: pd.DataFrame) -> list[str]:
        columns = [name for name in self.settings if len(as_text(rows[name]).unique()) > 1]
        groups: dict[tuple[int, ...], list[str]] = {}
        for name in columns:
            codes = tuple(int(code) for code in pd.factorize(as_text(rows[name]))[0])
            groups.setdefault(codes, []).append(name)
        return [" + ".join(names) for names in groups.values()]

    @cached_property
    def levels_of_runs(self) -> dict[str, pd.DataFrame]:
        """Of each condition, the levels of what varies in it: one row a distinct run.

        Sources that vary together are one column; see `varied`.
        """
        return {name: self._levels(name, rows) for name, rows in self.by_condition()}

    def _levels(self, name: str, rows: pd.DataFrame) -> pd.DataFrame:
        by_run = rows.drop_duplicates("run").set_index("run").loc[self.distinct_matrix(name).index]
        firsts = {group: group.partition(" + ")[0] for group in self.varied[name]}
        columns = {group: as_text(by_run[source]) for group, source in firsts.items()}
        return pd.DataFrame(columns, by_run.index)

    @cached_property
    def shared_levels(self) -> dict[str, pd.DataFrame]:
        """Of each condition, the levels that several distinct runs share; they are not independent.

        They are columns of `levels_of_runs`.
        """
        return {name: shared_levels(levels) for name, levels in self.levels_of_runs.items()}

    def shared_sources(self, conditions: Iterable[str]) -> dict[str, int]:
        """Return the sources of `shared_levels`, with the fewest levels in any condition."""
        fewest: dict[str, int] = {}
        for name in conditions:
            for source, number in self.shared_levels[name].nunique().items():
                fewest[str(source)] = min(int(number), fewest.get(str(source), int(number)))
        return fewest

    @cached_property
    def held_seeds(self) -> dict[str, list[str]]:
        """Of each condition, the random streams whose seed it holds while another varies it.

        All its trainings are then one draw of those streams, however many they are.
        """
        streams = stream_columns(self.trials)
        levels = {
            name: {s: set(rows[s].dropna()) for s in streams if rows[s].notna().all()}
            for name, rows in self.by_condition()
        }
        varied = {
            stream
            for by_stream in levels.values()
            for stream, each in by_stream.items()
            if _is_varied(each)
        }
        return {
            name: [s for s, each in by_stream.items() if s in varied and not _is_varied(each)]
            for name, by_stream in levels.items()
        }

    @cached_property
    def settings(self) -> list[str]:
        """The columns that say how a trial was set up, ``repeat`` left out."""
        return [name for name in setting_columns(self.results) if name != "repeat"]

    def by_condition(self) -> list[tuple[str, pd.DataFrame]]:
        """Return the rows of `trials` of each condition."""
        groups = self.trials.groupby("condition", sort=False, observed=True)
        return [(str(name), rows) for name, rows in groups]

    @cached_property
    def pairing(self) -> pd.Series[str]:
        """For each row of `trials` what it shares with trials of other conditions: its seeds."""
        return shared_seeds(self.trials)


def _is_varied(levels: set[object]) -> bool:
    """Tell whether trainings of a condition have several seeds; each that is drawn is another."""
    return len(levels) > 1 or _DRAWN in levels


def gather(
    results: pd.DataFrame,
    metric: str,
    *,
    margin: float | None = None,
    baseline: str | None = None,
    higher_is_better: bool | None = None,
    trivial_value: float | None = None,
    confidence_level: float = 0.95,
    losses: Mapping[str, NDArray[np.floating]] | None = None,
    facts: RunFacts | None = None,
) -> Evidence:
    """Check a results table and what is asked of it.

    Parameters and errors are those of `reprostats.verdict`.
    """
    assumed = list(assumptions(results)) if isinstance(results, pd.DataFrame) else []
    table = check_results(results)
    known = _metric_name(metric, metrics_of(table), table)
    newest = of_newest_code(table)
    if older := len(trials_of(table)) - len(trials_of(newest)):
        assumed.append(f"{older} trials of earlier versions of the code are left out.")
    if adopted := adopted_trials(newest):
        assumed.append(adopted)
    registered = metric_of(known)
    better = registered.higher_is_better if higher_is_better is None else higher_is_better
    if better is None:
        assumed.append(
            f"It is not known whether a higher {known} is better (higher_is_better); differences "
            "have no winner."
        )
    trivial = registered.trivial if trivial_value is None else trivial_value
    if trivial_value is None and trivial is not None:
        assumed.append(
            f"{trivial:g} is taken as the {known} that is reached without training (trivial_value)."
        )
    evidence = Evidence(
        newest,
        Metric(known, better, registered.lowest, registered.highest, registered.trivial),
        margin,
        baseline,
        _finite(trivial, "trivial_value"),
        confidence_level,
        tuple(assumed),
        losses or {},
        None if facts is None or facts.seeds is None else tuple(facts.seeds),
        seeded_globally=bool(facts and facts.in_process),
    )
    check_confidence_level(confidence_level)
    if baseline is not None and baseline not in evidence.conditions:
        raise unknown_name("baseline", baseline, evidence.conditions)
    _check_margin(margin, evidence)
    return evidence


def _metric_name(metric: str, known: list[str], table: pd.DataFrame) -> str:
    """Find the metric, whatever the case, signs and unit with which it is written."""
    matches = matching_metrics(str(metric), known)
    if len(matches) == 1:
        return matches[0]
    if len(matches) > 1:
        raise QuestionError(f"metric {metric!r} may be one of several.", "metric", matches)
    if not known:
        raise InputError(f"results: no trial has a metric. {commonest_reason(table)}")
    raise unknown_name("metric", metric, known, where="results, column metric")


def _finite(value: float | None, name: str) -> float | None:
    if value is None or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise InputError(f"{name} must be a finite number, not {value!r}.")


def _check_margin(margin: object, evidence: Evidence) -> None:
    """Refuse a margin of the wrong sign or unit."""
    if margin is None:
        return
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not margin > 0:
        raise InputError(
            f"margin must be a number above 0, not {margin!r}: it is the largest difference of "
            f"{evidence.metric.name} that does not matter, in either direction."
        )
    rows = evidence.results.loc[evidence.results["metric"] == evidence.metric.name, "value"]
    finite = rows[np.isfinite(rows)]
    if finite.empty or not math.isfinite(margin):
        return
    if margin >= 1 and finite.min() >= 0 and finite.max() <= 1:
        raise InputError(
            f"margin={margin:g} is in another unit than {evidence.metric.name!r}, whose values "
            f"lie between {finite.min():.3g} and {finite.max():.3g}: no difference could exceed "
            f"it. One percentage point is a margin of 0.01."
        )
