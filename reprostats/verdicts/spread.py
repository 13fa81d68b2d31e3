"""Spread: how far do trainings of one condition differ, and from which source does it come.

The unit is the training: the spread is that of run values, each the mean over the cases. How far
cases differ is a component of its own and no spread of trainings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from reprostats.errors import InputError
from reprostats.stats.components import variance_components
from reprostats.stats.contrast import Contrast
from reprostats.stats.run_means import mean_of_runs
from reprostats.verdicts._base import (
    NO,
    UNDETERMINED,
    YES,
    Answer,
    Verdict,
    counted,
    decimals_for,
    number,
    shared_in_words,
)
from reprostats.verdicts.evidence import Evidence

_PAIR = 2
# REML over all rows is exact and fast enough up to here; above, trainings are averaged over cases.
_MOST_ROWS = 5_000
_CASE = "case"
# Of a cross-validation, the network of one fold of one run; two names that are no source.
_NETWORK = "network"
_OF_NO_SOURCE = (_CASE, _NETWORK, "residual", "total")
MOST_NETWORKS = 500  # REML takes seconds for so many, and the cube of it for more


@dataclass(frozen=True)
class Spread(Verdict):
    """How far the trainings of a condition differ.

    Parameters
    ----------
    condition, metric
        Their names.
    n_runs, n_distinct
        Complete runs, and how many of them differ in at least one bit.
    mean, sd, lowest, highest
        Of the values of distinct runs; the SD has ddof 1 and is NaN for one run.
    ci_low, ci_high
        Student's interval of the mean over trainings.
    sd_low, sd_high
        Interval of the SD, from chi-squared.
    confidence_level
        Of both.
    largest_source, largest_share
        The source of the largest component of variance, cases apart, and its share of the
        variance; empty if sources could not be told apart.
    varied
        What varies between the trainings.
    shared
        Sources of which several trainings share a level, with the number of levels.
    """

    question = "spread"

    condition: str
    metric: str
    n_runs: int
    n_distinct: int
    mean: float
    sd: float
    lowest: float
    highest: float
    ci_low: float
    ci_high: float
    sd_low: float
    sd_high: float
    confidence_level: float
    largest_source: str = ""
    largest_share: float = math.nan
    varied: tuple[str, ...] = field(default=())
    shared: Mapping[str, int] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """The question."""
        return f"Does {self.metric} of {self.condition} vary from training to training?"

    @property
    def answer(self) -> Answer:
        """Undetermined with one training, or if nothing was varied that could make a difference."""
        if self.n_runs < _PAIR or (self.n_distinct == 1 and not self.varied):
            return UNDETERMINED
        return YES if self.sd > 0 else NO

    @property
    def sentence(self) -> str:
        """The spread with its interval, and its largest source."""
        if not self.n_runs:
            return "No training completed."
        if self.n_runs < _PAIR:
            return f"There is one training, with {self.metric} {number(self.mean)}."
        if self.n_distinct == 1:
            return (
                f"All {self.n_runs} trainings are the same, with {self.metric} "
                f"{number(self.mean)}. {self._why_the_same}"
            )
        level = f"{self.confidence_level:.0%}"
        said = (
            f"{counted(self.n_distinct, 'different training')}: mean {self._fine(self.mean)} "
            f"({level} interval {self._fine(self.ci_low)} to {self._fine(self.ci_high)}), SD "
            f"{number(self.sd, 2)} ({number(self.sd_low, 2)} to {number(self.sd_high, 2)}), from "
            f"{self._fine(self.lowest)} to {self._fine(self.highest)}."
        )
        if self.varied:
            said += f" What varies: {', '.join(self.varied)}."
        if self.largest_source:
            said += (
                f" The largest part of this spread comes from {self.largest_source} "
                f"({self.largest_share:.0%})."
            )
        if self.shared:
            said += f" {shared_in_words(self.shared)}"
        return said

    @property
    def _why_the_same(self) -> str:
        if self.varied:
            return f"Varying {', '.join(self.varied)} changed no bit."
        return "Nothing was varied: this says nothing about other seeds."

    def _fine(self, value: float) -> str:
        """Write a value with the second significant digit of the SD as its last."""
        if not math.isfinite(value) or not self.sd > 0:
            return number(value)
        return f"{value:.{decimals_for([self.sd])}f}"


def ask_spread(evidence: Evidence, components: Mapping[str, pd.DataFrame]) -> list[Verdict]:
    """Ask of each condition how far its trainings differ.

    Parameters
    ----------
    evidence
        What is known.
    components
        Of each condition, as `all_components` gives them.
    """
    return [_spread(name, evidence, components[name]) for name in evidence.conditions]


def all_components(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Estimate the components of variance of every condition; see `components`."""
    return {name: components(name, evidence) for name in evidence.conditions}


def _spread(name: str, evidence: Evidence, components: pd.DataFrame) -> Spread:
    values = evidence.distinct_values(name)
    n, mean = len(values), _or_nan(np.mean, values)
    sd, half, sd_low, sd_high = _between_trainings(name, values, evidence)
    source, share = _largest_source(components, evidence.varied[name])
    return Spread(
        name,
        evidence.metric.name,
        len(evidence.run_values.get(name, [])),
        n,
        mean,
        sd,
        _or_nan(np.min, values),
        _or_nan(np.max, values),
        mean - half,
        mean + half,
        sd_low,
        sd_high,
        evidence.confidence_level,
        source,
        share,
        tuple(evidence.varied[name]),
        evidence.shared_sources([name]),
    )


def _between_trainings(
    name: str, values: NDArray[np.float64], evidence: Evidence
) -> tuple[float, float, float, float]:
    """Return the SD between trainings, half the interval of their mean, and limits of the SD.

    Where trainings share levels of a source, all three are those of new trainings with levels of
    their own; see `reprostats.stats.run_means`.
    """
    n, sd = len(values), _sample_sd(values)
    if n < _PAIR:
        return sd, math.nan, math.nan, math.nan
    level = evidence.confidence_level
    tail = (1 - level) / 2
    shared = evidence.shared_levels[name]
    if not shared.shape[1] or not sd > 0:
        limits = stats.chi2.isf([tail, 1 - tail], n - 1)
        half = sd * float(stats.t.isf(tail, n - 1)) / n**0.5
        return sd, half, *(sd * np.sqrt((n - 1) / limits)).tolist()
    found = mean_of_runs(values, shared, level)
    low, high = Contrast.of_parts(found.mean, found.parts).interval(level)
    limits = np.sqrt([found.variance, found.variance_low, found.variance_high])
    return float(limits[0]), (high - low) / 2, float(limits[1]), float(limits[2])


def _largest_source(table: pd.DataFrame, varied: Sequence[str]) -> tuple[str, float]:
    """Name the source with the largest share of the spread between trainings."""
    if len(varied) < _PAIR or table.empty:
        return "", math.nan  # of one source: there is nothing to compare it with
    sources = table[~table["component"].isin(_OF_NO_SOURCE)]
    # What cases do is no spread of trainings; what is left over is part of it.
    total = float(table.loc[~table["component"].isin((_CASE, "total")), "variance"].sum())
    if len(sources) < _PAIR or not total > 0:
        return "", math.nan
    largest = sources.iloc[int(sources["variance"].to_numpy().argmax())]
    return str(largest["component"]), float(largest["variance"]) / total


def components(name: str, evidence: Evidence) -> pd.DataFrame:
    """Estimate the components of variance of a condition.

    Returns
    -------
    pandas.DataFrame
        As `reprostats.variance_components`: a row for every varied source (those that vary
        together are one), for cases where the metric has them, for the networks of a
        cross-validation, the residual and the total. Empty where the design cannot tell them apart.
    """
    rows = _component_rows(name, evidence)
    factors = [str(column) for column in rows if column != "value"]
    if len(rows) <= _PAIR or not factors or np.ptp(rows["value"]) == 0:
        return pd.DataFrame()
    try:
        return variance_components(
            rows,
            value="value",
            random=factors,
            confidence_level=evidence.confidence_level,
        )
    except InputError:
        return pd.DataFrame()  # a design that cannot tell two sources apart


def _component_rows(name: str, evidence: Evidence) -> pd.DataFrame:
    """Return the values of distinct runs with the level of every varied source, and the case."""
    matrix = evidence.distinct_matrix(name)
    if matrix.empty:
        return pd.DataFrame({"value": []})
    levels = evidence.levels_of_runs[name]
    distinct = {str(key): part for key, part in levels.items() if len(part.unique()) > 1}
    if matrix.shape[1] == 1 or matrix.size > _MOST_ROWS:
        return pd.DataFrame(distinct).assign(value=matrix.mean(axis=1))
    if not distinct:
        distinct = {"training": pd.Series(matrix.index.astype(str), matrix.index)}
    long = matrix.reset_index(names="run").melt("run", var_name=_CASE)
    runs = long["run"].tolist()
    levels_by_row = {key: part.reindex(runs).to_numpy() for key, part in distinct.items()}
    network = _networks(name, evidence, long)
    return pd.DataFrame(
        {**levels_by_row, _CASE: long[_CASE].astype(str), **network, "value": long["value"]}
    )


def _networks(name: str, evidence: Evidence, long: pd.DataFrame) -> dict[str, NDArray[np.object_]]:
    """Name the network that tested each run and case, if a run has several: one for each fold.

    What a network does to all cases of its fold is otherwise counted as what runs and cases do
    together. Where folds are the same cases in all runs, their differences are those of cases.
    """
    trials = evidence.trials[evidence.trials["condition"] == name]
    if not trials["run"].duplicated().any() or len(trials) > MOST_NETWORKS:
        return {}
    rows = evidence.results[evidence.results["metric"] == evidence.metric.name]
    tested = rows.merge(trials[["condition", "trial", "run"]], on=["condition", "trial"])
    by_case = tested.set_index(["run", "case"])["trial"].astype(str)
    cells = pd.MultiIndex.from_frame(long[["run", _CASE]])
    return {_NETWORK: by_case.reindex(cells).to_numpy()}


def _or_nan(function: object, values: NDArray[np.float64]) -> float:
    return float(function(values)) if len(values) else math.nan  # type: ignore[operator]


def _sample_sd(values: NDArray[np.float64]) -> float:
    if len(values) < _PAIR:
        return math.nan
    # The mean of equal values is rounded, so that their SD would come out above 0.
    return float(values.std(ddof=1)) if np.ptp(values) > 0 else 0.0
