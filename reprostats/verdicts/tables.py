"""The tables of a report: tidy numbers, with titles and rounding for where they are shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from reprostats.report.tables import Table
from reprostats.stats.median import median_ci
from reprostats.study.results import TIME, as_text, columns_ending
from reprostats.verdicts._base import Verdict, decimals_for
from reprostats.verdicts.comparison import Comparison
from reprostats.verdicts.evidence import Evidence
from reprostats.verdicts.repeatable import Repeatable
from reprostats.verdicts.spread import MOST_NETWORKS, Spread

_SHORT = 8  # digits of a hash that tell trainings of one study apart


def verdict_table(verdicts: Iterable[Verdict]) -> Table:
    """Put the questions side by side with their answers."""
    rows = [
        {
            "question": verdict.question,
            "asked": verdict.asked,
            "answer": verdict.answer,
            "sentence": verdict.sentence,
        }
        for verdict in verdicts
    ]
    return Table(
        "verdicts",
        pd.DataFrame(rows, columns=["question", "asked", "answer", "sentence"]),
        "Questions and answers",
        titles={"question": "About", "asked": "Question", "answer": "Answer", "sentence": "Why"},
    )


def summary_table(evidence: Evidence, verdicts: Sequence[Verdict]) -> Table:
    """Summarise each condition: trials, spread between trainings, median."""
    spreads = {v.condition: v for v in verdicts if isinstance(v, Spread)}
    repeats = {v.condition: v for v in verdicts if isinstance(v, Repeatable)}
    rows = []
    for name, trials in evidence.by_condition():
        spread = spreads[name]
        row = {
            "condition": name,
            "trials": len(trials),
            "completed": int(trials["completed"].sum()),
            "n_distinct": spread.n_distinct,
            "repeatable": repeats[name].answer,
            "mean": spread.mean,
            "ci_low": spread.ci_low,
            "ci_high": spread.ci_high,
            "sd": spread.sd,
            "lowest": spread.lowest,
            "highest": spread.highest,
        }
        rows.append(row | _median(evidence, spread))
    frame = pd.DataFrame(rows)
    decimals = decimals_for(frame["sd"])
    numbers = ("mean", "ci_low", "ci_high", "lowest", "highest", "median", "median_low",
               "median_high")  # fmt: skip
    return Table(
        "summary",
        frame,
        f"{evidence.metric.name} by condition",
        dict.fromkeys(numbers, decimals) | {"sd": decimals + 1},
        _summary_note(evidence, shared=any(spread.shared for spread in spreads.values())),
        {
            "condition": "Condition", "trials": "Trials", "completed": "Completed",
            "n_distinct": "Distinct trainings", "repeatable": "Repeatable", "mean": "Mean",
            "ci_low": "CI low", "ci_high": "CI high", "sd": "SD", "lowest": "Lowest",
            "highest": "Highest", "median": "Median", "median_low": "Median CI low",
            "median_high": "Median CI high",
        },
    )  # fmt: skip


def _summary_note(evidence: Evidence, *, shared: bool) -> str:
    level = f"{evidence.confidence_level:.0%}"
    note = (
        f"The unit is the training: its value is its {evidence.metric.name}{evidence.over_cases}. "
        "Trainings that are equal bit for bit count once. "
        f"Mean: with Student's {level} interval over trainings. SD: between trainings, ddof = 1. "
        f"Median: with its exact {level} interval, which has no end where trainings are few."
    )
    if not shared:
        return note
    return note + (
        " Where trainings share levels of a source, mean and SD are those of new trainings with "
        "levels of their own, from components of variance; the median has no interval."
    )


def _median(evidence: Evidence, spread: Spread) -> dict[str, float]:
    values = evidence.distinct_values(spread.condition)
    if not len(values):
        return dict.fromkeys(("median", "median_low", "median_high"), math.nan)
    row = median_ci(values, confidence_level=evidence.confidence_level).iloc[0]
    limits = (math.nan, math.nan) if spread.shared else (row["ci_low"], row["ci_high"])
    return {"median": row["median"], "median_low": limits[0], "median_high": limits[1]}


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Return the numbers of every comparison."""
    columns = [
        "first", "second", "generalise_to", "difference", "ci_low", "ci_high", "p_value",
        "p_adjusted", "p_equivalence", "n_runs_first", "n_runs_second", "n_cases", "outcome",
        "equivalent", "note",
    ]  # fmt: skip
    rows = [
        {name: value for name, value in verdict.numbers.items() if name in columns}
        | {
            "n_runs_first": verdict.n_runs[0],
            "n_runs_second": verdict.n_runs[1],
            "outcome": verdict.outcome,
            "equivalent": verdict.equivalent,
        }
        for verdict in comparisons
    ]
    by_case = any(each.has_cases for each in comparisons)
    frame = pd.DataFrame(rows, columns=columns).drop(columns=[] if by_case else ["n_cases"])
    decimals = decimals_for((frame["ci_high"] - frame["ci_low"]) / 2)
    return Table(
        "comparisons",
        frame,
        "Differences between conditions, and what they hold for",
        dict.fromkeys(("difference", "ci_low", "ci_high"), decimals)
        | dict.fromkeys(("p_value", "p_adjusted", "p_equivalence"), 4),
        _comparison_note(comparisons, by_case=by_case),
        {
            "first": "First", "second": "Second", "generalise_to": "Holds for new",
            "difference": "Difference", "ci_low": "CI low", "ci_high": "CI high", "p_value": "p",
            "p_adjusted": "p (Holm)", "p_equivalence": "p (equivalence)",
            "n_runs_first": "Trainings of first", "n_runs_second": "Trainings of second",
            "n_cases": "Cases", "outcome": "First is", "equivalent": "Equivalent", "note": "Note",
        },
    )  # fmt: skip


def _comparison_note(comparisons: Sequence[Comparison], *, by_case: bool) -> str:
    paired = bool(comparisons) and comparisons[0].runs == "crossed"
    test = "a paired t test" if paired else "Welch's t test"
    over_runs = f"{test} of the values of trainings"
    holds_for = f"runs (new trainings), {over_runs}."
    if by_case:
        holds_for = (
            f"cases, a paired t test over cases of these networks; runs, {over_runs}; runs and "
            "cases, the multi-reader multi-case analysis with trainings as readers."
        )
    if paired:
        holds_for += " Trainings that share their seeds are pairs."
    if any(comparison.sequential for comparison in comparisons):
        return (
            "Difference: first minus second. Trainings were added until differences for new "
            "trainings on these cases were decided: interval and p of runs are those of a "
            "confidence sequence, which hold at every look and for all pairs together "
            "(Bonferroni). Nothing else was decided in that way."
        )
    margin = comparisons[0].margin if comparisons else math.nan
    stated = f"within the margin of {margin:g}" if math.isfinite(margin) else "no margin was stated"
    return (
        f"Difference: first minus second, with its interval. Holds for: {holds_for} p: of no "
        "difference, adjusted over the pairs by Holm's method. p (equivalence): two one-sided "
        f"tests, {stated}."
    )


def component_table(evidence: Evidence, components: Mapping[str, pd.DataFrame]) -> Table | None:
    """Return the components of variance of every condition in which they can be told apart."""
    parts = [table.assign(condition=name) for name, table in components.items() if not table.empty]
    if not parts:
        return None
    columns = ["condition", "component", "levels", "sd", "share", "share_low", "share_high", "note"]
    frame = pd.concat(parts, ignore_index=True)[columns]
    return Table(
        "components",
        frame,
        f"Where the variance of {evidence.metric.name} comes from",
        {"sd": decimals_for(frame["sd"]) + 1, "share": 3, "share_low": 3, "share_high": 3},
        "Components of variance by restricted maximum likelihood, with generalised "
        f"{evidence.confidence_level:.0%} intervals of their shares; few levels leave them wide. "
        "Sources joined by + vary together and cannot be told apart. Network: of a "
        f"cross-validation with at most {MOST_NETWORKS} of them, what is common to the cases that "
        "one trained network is tested on. Residual: what the named components do together, and "
        "what is left.",
        {
            "condition": "Condition", "component": "Component", "levels": "Levels", "sd": "SD",
            "share": "Share", "share_low": "Share low", "share_high": "Share high", "note": "Note",
        },
    )  # fmt: skip


def trial_table(evidence: Evidence) -> Table:
    """Return every trial with its status, what varied, its value and its hash."""
    trials = evidence.trials
    varied = dict.fromkeys(
        part
        for name in evidence.conditions
        for group in evidence.varied[name]
        for part in group.split(" + ")
    )
    frame = pd.DataFrame({"condition": trials["condition"], "status": trials["status"]})
    for name in ["fold", *varied]:
        if name in trials and trials[name].notna().any():
            frame[name] = trials[name]
    frame["value"] = _trial_values(evidence)
    if evidence.fingerprint is not None:
        frame["hash"] = trials[evidence.fingerprint].astype("str").str[:_SHORT]
        frame.loc[trials[evidence.fingerprint].isna(), "hash"] = ""
    frame["reason"] = as_text(trials["reason"]).where(trials["reason"].notna(), "")
    finite = frame["value"][np.isfinite(frame["value"])]
    of_trial = ", the mean over the cases of the trial" if evidence.has_cases else ""
    return Table(
        "trials",
        frame,
        "Every trial",
        {"value": decimals_for([float(finite.std(ddof=1)) if len(finite) > 1 else math.nan])},
        f"Value: {evidence.metric.name}{of_trial}."
        + (f" Hash: first {_SHORT} digits of the SHA-256 of {evidence.compared}."
           if evidence.fingerprint is not None else ""),
        {"condition": "Condition", "status": "Status", "fold": "Fold", "value": "Value",
         "hash": "Hash", "reason": "Reason"},
    )  # fmt: skip


def _trial_values(evidence: Evidence) -> pd.Series[float]:
    rows = evidence.results[evidence.results["metric"] == evidence.metric.name]
    means = rows.groupby(["condition", "trial"], sort=False, observed=True)["value"].mean()
    keys = pd.MultiIndex.from_frame(evidence.trials[["condition", "trial"]])
    values = pd.Series(means.reindex(keys).to_numpy(), evidence.trials.index)
    return values.where(evidence.trials["completed"])


def time_table(evidence: Evidence) -> Table | None:
    """Summarise the times of completed trials by condition; None where none were measured."""
    times = columns_ending(evidence.trials, TIME)
    completed = evidence.trials[evidence.trials["completed"]]
    if not times or completed.empty:
        return None
    long = completed.melt(["condition"], times, "block", "seconds").dropna(subset="seconds")
    long["block"] = long["block"].str.removesuffix(TIME)
    groups = long.groupby(["condition", "block"], sort=False)["seconds"]
    frame = groups.agg(["median", "mean", "std", "min", "max", "size"]).reset_index()
    shown = ("median", "mean", "std", "min", "max")
    return Table(
        "times",
        frame.rename(columns={"std": "sd", "size": "n"}),
        "Times of completed trials in seconds",
        dict.fromkeys((*shown, "sd"), 3),
        "Block: a part of the trial function that it timed; trial: the whole function. SD: "
        "ddof = 1. Times of conditions compare only if trials ran one at a time.",
        {"condition": "Condition", "block": "Block", "median": "Median", "mean": "Mean",
         "sd": "SD", "min": "Shortest", "max": "Longest", "n": "Trials"},
    )  # fmt: skip
