"""Factorial designs: sources of variability and their interactions, ranked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from patsy import dmatrix  # type: ignore[import-untyped]

from reprostats.report.tables import Table
from reprostats.stats.anova import anova
from reprostats.stats.components import variance_components
from reprostats.study.results import is_completed, trial_values

_INERT = 1e-3  # of the range of all trials: a source that moves no value by more is rounding
_ROUNDING = 1e-12  # of the sum of squares


def factorial_table(results: pd.DataFrame, factors: Sequence[str], *, metric: str) -> Table:
    """Rank the sources of a factorial design and their interactions.

    Parameters
    ----------
    results
        Of a study whose trials cross the sources.
    factors
        The sources that were crossed.
    metric
        The metric whose mean over cases is the value of a trial.

    Notes
    -----
    Analysis of variance of the value of each trial: the share of the sum of squares ranks
    the effects. Interactions of two sources are separated where the design allows it; what is
    left is the residual. Components of variance are estimated by REML with all effects random.
    """
    table, notes = _values(results, factors, metric)
    varied = [name for name in factors if len(table[name].unique()) > 1]
    effects, mixed = _effects(table, varied)
    if not effects:
        few = f"{len(table)} trials are too few to separate the effects of {', '.join(factors)}."
        return _table(pd.DataFrame(), [few, *notes], metric)
    terms = {":".join(f"C({name})" for name in effect): ":".join(effect) for effect in effects}
    squares = anova(table, "value ~ " + " + ".join(terms)).replace({"source": terms})
    components = variance_components(table, value="value", random=list(terms.values()))
    frame = squares.assign(component=squares["source"].str.lower()).merge(
        components[["component", "sd", "ci_low", "ci_high"]], on="component"
    )
    frame["share"] = frame["sum_of_squares"] / frame["sum_of_squares"].sum()
    frame = frame.assign(sd_low=np.sqrt(frame["ci_low"]), sd_high=np.sqrt(frame["ci_high"]))
    nothing_left = frame["share"].iloc[-1] <= _ROUNDING
    if mixed or nothing_left:
        frame[["f", "p_value"]] = math.nan
        mixture = f"The design mixes sources with interactions: {', '.join(mixed)}. No tests."
        notes.append(mixture if mixed else "Nothing is left over to test against.")
    if len(effects) == len(varied) > 1:
        frame = frame.replace({"component": {"residual": "residual with interactions"}})
    return _table(frame.sort_values("share", ascending=False), notes, metric)


def _table(frame: pd.DataFrame, notes: Sequence[str], metric: str) -> Table:
    titles = {
        "component": "Effect", "df": "df", "share": "Share", "f": "F", "p_value": "p", "sd": "SD",
        "sd_low": "SD low", "sd_high": "SD high",
    }  # fmt: skip
    note = (
        f"Mean {metric} of each trial. Share of the sum of squares, F and p by analysis of "
        "variance; what is left over is interaction and not noise, where trainings repeat. SD: "
        "root of the component of variance (REML), in the unit of the metric, with its 95% "
        "interval, which few levels leave wide."
    )
    return Table(
        "factorial",
        frame.reindex(columns=list(titles)).reset_index(drop=True).astype({"df": "Int64"}),
        "Sources of variability and their interactions, ranked",
        {"share": 3, "f": 2, "p_value": 4, "sd": 4, "sd_low": 4, "sd_high": 4},
        " ".join([note, *notes]),
        titles,
    )


def _effects(table: pd.DataFrame, varied: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Find the effects that can be separated, and what sources are mixed with.

    Interactions of two are among the effects if none is mixed with a source or another one and
    something is left over; no effects at all if nothing is left over beside the sources.
    """
    sources: list[tuple[str, ...]] = [(name,) for name in varied]
    pairs: list[tuple[str, ...]] = list(itertools.combinations(varied, 2))
    alone = _design(table, sources)
    if not varied or alone.shape[1] >= len(table):
        return [], []
    rank = np.linalg.matrix_rank(alone)
    mixed = [
        ":".join(pair)
        for pair in pairs
        if np.linalg.matrix_rank(_design(table, [*sources, pair])) == rank
    ]
    whole = _design(table, [*sources, *pairs])
    separable = np.linalg.matrix_rank(whole) == whole.shape[1] < len(table)
    return ([*sources, *pairs] if separable else sources), mixed


def _design(table: pd.DataFrame, effects: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    terms = [":".join(f"C({name})" for name in effect) for effect in effects]
    return np.asarray(dmatrix(" + ".join(terms) or "1", table))


def _values(
    results: pd.DataFrame, factors: Sequence[str], metric: str
) -> tuple[pd.DataFrame, list[str]]:
    """Return the levels and the value of every trial, and what a reader must know of them.

    A source that changes no value is no replicate of the others: over its levels one is kept.
    """
    trials = trial_values(results, [metric]).rename(columns={metric: "value"})
    table = trials.loc[is_completed(trials) & trials["value"].notna(), [*factors, "value"]]
    failed = len(trials) - len(table)
    notes = [f"{failed} of {len(trials)} trials failed and are left out."] if failed else []
    for name in factors:
        others = [other for other in factors if other != name]
        levels = len(table[name].unique())
        if levels == 1 and len(trials[name].unique()) > 1:
            notes.append(f"Only one level of {name} is left.")
        if levels > 1 and others:
            spread = table.groupby(others)["value"].agg(np.ptp).max()
            if spread <= _INERT * np.ptp(table["value"]):
                notes.append(f"{name} changed no value by more than {spread:.1g}.")
                table = table.drop_duplicates(others)
    return table.astype(dict.fromkeys(factors, str)).reset_index(drop=True), notes
