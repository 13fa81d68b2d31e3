"""Does training repeat? Tables, verdicts and figures from the results of a study.

Everything here takes the long results table (`reprostats.study.results.results_table`) of any
study whose trials left a fingerprint of their weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from reprostats.errors import InputError
from reprostats.report.charts import box_plot
from reprostats.report.tables import Table
from reprostats.stats.anova import anova
from reprostats.stats.median import median_ci
from reprostats.stats.paired import paired_ttest

_WHOLE = "all"
_SHORT = 8
_FEWEST = 2
_CLASSIFIED = ("accuracy", "errors", "test_loss", "weights_sha256", "initial_weights_sha256")
_TIMES = ("training_time", "testing_time")


@dataclass(frozen=True)
class Verdict:
    """Whether the trials of a condition gave the same weights.

    Parameters
    ----------
    condition
        Name of the condition.
    repeatable
        True, False, or None if it cannot be told.
    distinct
        Number of different trained weights.
    n_trials, n_ok
        Number of trials, and of those that ended well.
    """

    condition: str
    repeatable: bool | None
    distinct: int
    n_trials: int
    n_ok: int

    def __str__(self) -> str:
        failed = self.n_trials - self.n_ok
        lost = f"; {failed} of {self.n_trials} trials did not end well" if failed else ""
        if self.repeatable is None:
            return f"cannot be told from {self.n_ok} trial(s){lost}"
        if self.repeatable:
            return f"bitwise repeatable ({self.n_ok} trials, the same weights){lost}"
        return f"not repeatable ({self.distinct} different weights in {self.n_ok} trials){lost}"


def verdicts(results: pd.DataFrame, fingerprint: str = "weights_sha256") -> dict[str, Verdict]:
    """Tell for each condition whether its trials are bitwise equal.

    Parameters
    ----------
    results
        The long results table.
    fingerprint
        Column whose values are compared.

    Returns
    -------
    dict
        A verdict by condition, in the order of the table.

    Raises
    ------
    InputError
        If trials ended well and the table has no such column.
    """
    if fingerprint not in results and (results["status"] == "ok").any():
        raise InputError(
            f"the results have no column {fingerprint!r}; a trial function fills it with "
            "trial.fingerprints[NAME] = fingerprint(model.state_dict())."
        )
    trials = results.drop_duplicates(["condition", "trial"])
    trials = trials.reindex(columns=list(dict.fromkeys([*trials.columns, fingerprint])))
    return {
        str(condition): _verdict(str(condition), rows, fingerprint)
        for condition, rows in trials.groupby("condition", sort=False)
    }


def _verdict(condition: str, trials: pd.DataFrame, fingerprint: str) -> Verdict:
    hashes = trials.loc[trials["status"] == "ok", fingerprint].dropna()
    distinct = hashes.nunique()
    repeatable = distinct == 1 if len(hashes) >= _FEWEST else None
    return Verdict(condition, repeatable, distinct, len(trials), len(hashes))


def trial_table(results: pd.DataFrame) -> Table:
    """Give accuracy and errors of every trial, as Table 7 of Alahmari et al. (2020) does.

    A trial that did not end well has its status in place of its hash.
    """
    frame = per_trial(results, _CLASSIFIED)
    well = frame["status"] == "ok"
    shown = pd.DataFrame(
        {
            "Regime": frame["condition"],
            "Trial": frame["number"],
            "Threads": frame["threads"],
            "Instruction set": frame["isa"],
            "Accuracy (%)": 100 * frame["accuracy"],
            "FN + FP": frame["errors"].astype("Int64"),
            "Test loss": frame["test_loss"],
            "Weights (SHA-256)": frame["weights_sha256"]
            .astype("str")
            .str[:_SHORT]
            .where(well, frame["status"]),
        }
    )
    return Table(
        "repeatability_trials",
        shown,
        "Every trial: accuracy on the test images, number of errors and hash of the weights",
        {"Accuracy (%)": 2, "Test loss": 6},
        "FN + FP: test images given a wrong class. Weights: first 8 of 64 hexadecimal digits.",
    )


def summary_table(results: pd.DataFrame, confidence_level: float = 0.95) -> Table:
    """Give mean and SD of accuracy and errors for each regime, with the verdict on its weights."""
    frame = per_trial(results, _CLASSIFIED)
    found = verdicts(results)
    rows = [
        _summary_row(found[str(condition)], rows, confidence_level)
        for condition, rows in frame.groupby("condition", sort=False)
    ]
    return Table(
        "repeatability_summary",
        pd.DataFrame(rows),
        "Repeatability of training by regime",
        {"Accuracy (%)": 2, "SD of accuracy": 3, "Median": 2, "CI low": 2, "CI high": 2,
         "FN + FP": 2, "SD of FN + FP": 3},
        "Means over the trials that ended well; SD: sample standard deviation, ddof = 1. "
        f"CI: exact {confidence_level:.0%} interval of the median accuracy (order statistics); "
        "unbounded where trials are too few for one.",
    )  # fmt: skip


def _summary_row(
    verdict: Verdict, trials: pd.DataFrame, confidence_level: float
) -> dict[str, object]:
    well = trials[trials["status"] == "ok"]
    accuracy = 100 * well["accuracy"]
    interval = pd.Series({"ci_low": float("nan"), "ci_high": float("nan")})
    if len(well):
        interval = median_ci(accuracy, confidence_level=confidence_level).iloc[0]
    return {
        "Regime": verdict.condition,
        "Trials": verdict.n_trials,
        "Ended well": verdict.n_ok,
        "Accuracy (%)": accuracy.mean(),
        "SD of accuracy": accuracy.std(ddof=1),
        "Median": accuracy.median(),
        "CI low": interval["ci_low"],
        "CI high": interval["ci_high"],
        "FN + FP": well["errors"].mean(),
        "SD of FN + FP": well["errors"].std(ddof=1),
        "Verdict": str(verdict),
    }


def time_table(results: pd.DataFrame) -> Table:
    """Give mean and SD of training and testing time, as Table 6 of Alahmari et al. (2020) does."""
    frame = per_trial(results, _TIMES)
    well = frame[frame["status"] == "ok"]
    grouped = well.groupby("condition", sort=False)
    shown = pd.DataFrame(
        {
            "Regime": list(grouped.groups),
            "Training time (s)": grouped["training_time"].mean().to_numpy(),
            "SD of training time": grouped["training_time"].std(ddof=1).to_numpy(),
            "Testing time (s)": grouped["testing_time"].mean().to_numpy(),
            "SD of testing time": grouped["testing_time"].std(ddof=1).to_numpy(),
        }
    )
    return Table(
        "repeatability_times",
        shown,
        "Time of training and testing by regime",
        dict.fromkeys(shown.columns[1:], 3),
        "Mean wall time of the trials that ended well. SD: sample standard deviation, ddof = 1.",
    )


def source_effects(
    results: pd.DataFrame, condition: str, sources: Sequence[str], metric: str
) -> pd.DataFrame:
    """Ask which of the sources varied in a condition moves a metric, by analysis of variance.

    Parameters
    ----------
    results
        The long results table.
    condition
        Name of the condition.
    sources
        Sources of variability; those that take one level only are left out.
    metric
        A metric of whole trials.

    Returns
    -------
    pandas.DataFrame
        See `reprostats.anova`; or one row whose ``note`` says why there is no answer.
    """
    well = results[results["status"] == "ok"]
    rows = well[(well["condition"] == condition) & (well["metric"] == metric)]
    levels = {name: len(rows[name].unique()) for name in sources}
    varied = [name for name, count in levels.items() if count > 1]
    parameters = 1 + sum(levels[name] - 1 for name in varied)
    if not varied or len(rows) <= parameters:
        asked = " and ".join(sources)
        note = f"{len(rows)} trials are too few to tell the effects of {asked} from chance"
        return pd.DataFrame({"source": [asked], "note": [note]})
    return anova(rows, "value ~ " + " + ".join(f"C({name})" for name in varied))


def accuracy_plot(results: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Draw the accuracy of every trial by regime, as Figure 3 of Alahmari et al. (2020) does."""
    frame = per_trial(results, _CLASSIFIED)
    well = frame[frame["status"] == "ok"]
    shown = well.assign(percent=100 * well["accuracy"])[["condition", "percent"]]
    return box_plot(
        shown,
        "percent",
        "condition",
        value_title="Accuracy on test images (%)",
        title="The same training, run again",
    )


def library_table(results: pd.DataFrame) -> Table:
    """Compare trainings that differ as libraries do, seed by seed, with the first condition.

    Parameters
    ----------
    results
        Of conditions in which the same seeds were used, and fingerprints of initial weights left.
    """
    frame = per_trial(results, _CLASSIFIED)
    well = frame[frame["status"] == "ok"].assign(percent=lambda each: 100 * each["accuracy"])
    _check_some(well)
    wide = well.pivot_table(index="init", columns="condition", values="percent", sort=False)
    first, *others = wide.columns
    rows = [_library_row(wide, first, first), *(_library_row(wide, first, each) for each in others)]
    starts = well.groupby("condition", sort=False)["initial_weights_sha256"].first().str[:_SHORT]
    shown = pd.DataFrame(rows).assign(**{"Initial weights": starts.to_numpy()})
    return Table(
        "libraries",
        shown,
        f"The same training set up as libraries set it up, with the same {len(wide)} seeds",
        {"Accuracy (%)": 2, "SD": 3, "Difference": 3, "CI low": 3, "CI high": 3, "p": 4},
        f"Difference from {first!r}, paired by seed, with its 95 % interval and the p-value of a "
        "paired t-test. SD: ddof = 1. Initial weights: SHA-256 of those of the first seed, first "
        "8 digits; where they are the same, the trainings start from the same bits.",
    )


def _library_row(wide: pd.DataFrame, first: str, condition: str) -> dict[str, object]:
    values = wide[condition]
    row = {"Set up as": condition, "Accuracy (%)": values.mean(), "SD": values.std(ddof=1)}
    if condition == first:
        return row | dict.fromkeys(("Difference", "CI low", "CI high", "p"), float("nan"))
    test = paired_ttest(wide[[condition, first]]).iloc[0]
    columns = {"Difference": "difference", "CI low": "ci_low", "CI high": "ci_high", "p": "p_value"}
    return row | {title: test[name] for title, name in columns.items()}


def retest_table(results: pd.DataFrame) -> Table:
    """Tell for each environment whether a trained network, tested again, predicts the same.

    Parameters
    ----------
    results
        Of trials with the metrics ``largest_difference`` and ``changed_labels``.
    """
    frame = per_trial(results, (*_CLASSIFIED, "largest_difference", "changed_labels"))
    well = frame["status"] == "ok"
    shown = pd.DataFrame(
        {
            "Environment": frame["condition"],
            "Threads": frame["threads"],
            "Instruction set": frame["isa"],
            "Device": frame["device"],
            "Accuracy (%)": 100 * frame["accuracy"],
            "Largest difference of a logit": frame["largest_difference"],
            "Labels changed": frame["changed_labels"].astype("Int64"),
            "Verdict": [
                _inference_verdict(row) if ok else row["status"]
                for ok, (_, row) in zip(well, frame.iterrows(), strict=True)
            ],
        }
    )
    return Table(
        "tested_again",
        shown,
        "A trained network tested again",
        {"Accuracy (%)": 2},
        "Compared with what the network predicted on the test images after its training.",
    )


def _inference_verdict(row: pd.Series[Any]) -> str:
    if row["largest_difference"] == 0:
        return "repeats to the last bit"
    return "same labels, other bits" if row["changed_labels"] == 0 else "other labels"


def cost_table(results: pd.DataFrame) -> Table:
    """Give the time of a training step under each setting, and its ratio to the plain one.

    Parameters
    ----------
    results
        With the metric ``step_time`` in seconds; its cases are the settings, ``"plain"`` first.
    """
    times = results[(results["metric"] == "step_time") & (results["status"] == "ok")]
    _check_some(times)
    wide = 1000 * times.pivot_table(index="trial", columns="case", values="value", sort=False)
    ratios = wide.div(wide["plain"], axis=0)
    intervals = [median_ci(ratios[name]).iloc[0] for name in wide]
    shown = pd.DataFrame(
        {
            "Setting": wide.columns,
            "Step (ms)": wide.median().to_numpy(),
            "Ratio to plain": ratios.median().to_numpy(),
            "CI low": [each["ci_low"] for each in intervals],
            "CI high": [each["ci_high"] for each in intervals],
        }
    )
    return Table(
        "cost_of_determinism",
        shown,
        "What deterministic algorithms cost",
        {"Step (ms)": 3, "Ratio to plain": 3, "CI low": 3, "CI high": 3},
        f"Medians over {len(wide)} trials of the median step of each; the settings took turns in "
        "one process. CI: exact 95 % interval of the median ratio, unbounded where trials are few.",
    )


def _check_some(well: pd.DataFrame) -> None:
    if well.empty:
        raise InputError("no trial ended well; the column 'reason' of the results says why.")


def facts_table(facts: Mapping[str, str]) -> Table:
    """Put the facts of a study (``Study.facts``) into a table."""
    frame = pd.DataFrame({"Item": list(facts), "Answer": list(facts.values())})
    return Table("facts", frame, "What a reproducibility checklist asks of the study")


def per_trial(results: pd.DataFrame, metrics: Sequence[str] = ()) -> pd.DataFrame:
    """Spread the metrics of whole trials into columns: one row per trial of each condition.

    Parameters
    ----------
    results
        The long results table.
    metrics
        Columns that shall be there even if no trial gave them.

    Returns
    -------
    pandas.DataFrame
        What describes the trial, ``number`` (from 1 in each condition), and a column per metric;
        empty cells for trials that did not end well.
    """
    whole = results[results["case"] == _WHOLE]
    wide = whole[whole["metric"] != ""].pivot_table(
        index=["condition", "trial"], columns="metric", values="value", sort=False
    )
    described = results.drop_duplicates(["condition", "trial"]).drop(
        columns=["metric", "case", "value"]
    )
    number = described.groupby("condition", sort=False).cumcount() + 1
    frame = described.assign(number=number).merge(
        wide.reset_index(), on=["condition", "trial"], how="left"
    )
    return frame.reindex(columns=list(dict.fromkeys([*frame.columns, *metrics])))
