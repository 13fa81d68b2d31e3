"""Does cross-validation repeat? Tables, verdicts and figures of Monte-Carlo repetitions.

Everything here takes the long results table (`reprostats.study.results.results_table`) of a study
whose trials are the folds of repeated cross-validations and whose cases are patients. A repetition
is all folds that share their seeds; a configuration is a condition of the study. Values are shown
in per cent.

The tables are those of Marrone et al. (2019), doi:10.23919/EUSIPCO.2019.8902690; beside them
stands what overlapping intervals cannot say.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import altair as alt
import numpy as np
import pandas as pd

from reprostats.errors import InputError
from reprostats.report.charts import box_plot
from reprostats.report.tables import Table
from reprostats.stats.anova import anova
from reprostats.stats.components import variance_components
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.median import Method, median_ci
from reprostats.stats.planning import repeats_for_mean

_WHOLE = "all"
_SEEDS = ["init", "batch_order", "augmentation", "dropout", "split", "repeat"]
_FEWEST = 2
_SHOWN = 10  # repetitions of the paper's tables and figure
_KEYS = ["configuration", "repetition"]


def per_patient(results: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """Give one row per configuration, repetition and patient.

    Parameters
    ----------
    results
        The long results table.
    metric
        A measure of patients, from 0 to 1.

    Returns
    -------
    pandas.DataFrame
        ``configuration``, ``repetition`` (from 1; the same seeds have the same number in every
        configuration), ``fold`` (from 1), ``patient``, ``value`` (in per cent) and ``complete``:
        whether the repetition has a finite value for every patient of the study.

    Raises
    ------
    InputError
        If no trial has the metric, or a patient was tested on twice in a repetition: the folds
        overlap, or two folds were drawn with different seeds.
    """
    numbered = results.assign(
        configuration=results["condition"].astype(str), repetition=_repetitions(results)
    )
    chosen = (numbered["metric"] == metric) & (numbered["case"] != _WHOLE)
    rows: pd.DataFrame = numbered[chosen & (numbered["status"] == "ok")]
    if rows.empty:
        raise InputError(f"no trial that ended well has the metric {metric!r} for its patients.")
    _check_tested_once(rows)
    frame = pd.DataFrame(
        {
            **{name: rows[name].to_numpy() for name in _KEYS},
            "fold": rows["fold"].to_numpy(dtype=int) + 1,
            "patient": rows["case"].astype(str).to_numpy(),
            "value": 100 * rows["value"].to_numpy(),
        }
    )
    finite = frame[np.isfinite(frame["value"])]
    counts = finite.groupby(_KEYS)["patient"].transform("size")
    whole = counts == frame["patient"].nunique()
    found: pd.DataFrame = finite.reset_index(drop=True)
    return found.assign(complete=whole.to_numpy())


def repetition_intervals(
    results: pd.DataFrame, *, confidence_level: float = 0.95, method: Method = "exact"
) -> pd.DataFrame:
    """Give for every repetition the median DSC over patients with its interval.

    Returns
    -------
    pandas.DataFrame
        See `reprostats.median_ci`; keys are ``configuration`` and ``repetition``, values are in per
        cent.
    """
    table = per_patient(results)
    found = median_ci(
        table, value="value", by=_KEYS, confidence_level=confidence_level, method=method
    )
    order = {name: place for place, name in enumerate(dict.fromkeys(table["configuration"]))}
    return found.sort_values(
        _KEYS, key=lambda column: column.map(order) if column.name == _KEYS[0] else column
    ).reset_index(drop=True)


def repetition_tables(
    results: pd.DataFrame, *, confidence_level: float = 0.95, method: Method = "exact"
) -> dict[str, Table]:
    """Give Tables I to V of Marrone et al. (2019): one for each configuration."""
    intervals = repetition_intervals(results, confidence_level=confidence_level, method=method)
    patients = per_patient(results)["patient"].nunique()
    return {
        str(name): _repetition_table(str(name), rows, number, patients, confidence_level)
        for number, (name, rows) in enumerate(
            intervals.groupby("configuration", sort=False), start=1
        )
    }


def summary_table(
    results: pd.DataFrame, *, confidence_level: float = 0.95, method: Method = "exact"
) -> Table:
    """Give Table VI of Marrone et al. (2019), failures and spread between repetitions beside it."""
    intervals = repetition_intervals(results, confidence_level=confidence_level, method=method)
    times = training_times(results)
    rows = [
        {
            "Configuration": name,
            **_trials(results, str(name)),
            "Repetitions": len(rows),
            "Median DSC": rows["median"].median(),
            "SD between repetitions": rows["median"].std(ddof=1),
            "Median CI size": (rows["ci_high"] - rows["ci_low"]).median(),
            "Median training time (s)": times.get(str(name), float("nan")),
        }
        for name, rows in intervals.groupby("configuration", sort=False)
    ]
    return Table(
        "monte_carlo_summary",
        pd.DataFrame(rows),
        "Repeated cross-validation by configuration",
        {"Median DSC": 2, "SD between repetitions": 3, "Median CI size": 2,
         "Median training time (s)": 1},
        "DSC in per cent, CI sizes and SD in percentage points. Median DSC: median over "
        f"repetitions of the median over patients, with {confidence_level:.0%} intervals "
        f"({method}). SD: ddof = 1. Training time: of a whole cross-validation, its folds added "
        "up.",
    )  # fmt: skip


def training_times(results: pd.DataFrame) -> dict[str, float]:
    """Give by configuration the median over repetitions of the training time of all folds, in s.

    Repetitions in which a fold did not end well are left out.
    """
    numbered = results.assign(repetition=_repetitions(results))
    times = numbered[(numbered["metric"] == "training_time") & (numbered["status"] == "ok")]
    grouped = times.groupby(["condition", "repetition"], sort=False)["value"].agg(["sum", "size"])
    whole = grouped[grouped["size"] == numbered["fold"].nunique()]
    medians = whole.groupby("condition", sort=False)["sum"].median()
    return {str(name): float(value) for name, value in medians.items()}


@dataclass(frozen=True)
class Overlap:
    """Whether the intervals of repetitions overlap: what the paper asks.

    Parameters
    ----------
    n_intervals, n_pairs
        Intervals, and pairs of them.
    apart
        Pairs that do not overlap, each as (configuration, repetition) twice.
    unbounded
        Intervals without an end, which overlap with everything.
    """

    n_intervals: int
    n_pairs: int
    apart: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    unbounded: int

    def __str__(self) -> str:
        if self.unbounded:
            return (
                f"{self.unbounded} of {self.n_intervals} intervals have no end (too few patients "
                "for the level): overlap says nothing"
            )
        if not self.n_pairs:
            return "one interval alone: there is nothing to overlap with"
        if not self.apart:
            return (
                f"all {self.n_intervals} intervals overlap with one another; by the paper's "
                "criterion training is stable. Overlap does not show that repetitions are equal: "
                "few patients make wide intervals, and wide intervals overlap"
            )
        (one, first), (other, second) = self.apart[0]
        return (
            f"{len(self.apart)} of {self.n_pairs} pairs of intervals do not overlap, the first "
            f"{one}, repetition {first}, and {other}, repetition {second}; by the paper's "
            "criterion training is not stable"
        )


def overlap(
    results: pd.DataFrame, *, confidence_level: float = 0.95, method: Method = "exact"
) -> Overlap:
    """Tell whether the intervals of all repetitions overlap, across configurations too."""
    found = repetition_intervals(results, confidence_level=confidence_level, method=method)
    low, high = found["ci_low"].to_numpy(), found["ci_high"].to_numpy()
    names = [(str(row.configuration), int(row.repetition)) for row in found.itertuples()]  # type: ignore[arg-type]
    pairs = list(combinations(range(len(found)), 2))
    apart = [(names[i], names[j]) for i, j in pairs if max(low[i], low[j]) > min(high[i], high[j])]
    return Overlap(len(found), len(pairs), tuple(apart), int((~np.isfinite(high - low)).sum()))


def equivalence_table(
    results: pd.DataFrame, *, margin: float, significance_level: float = 0.05
) -> Table:
    """Ask whether configurations, and repetitions of one, are equivalent within a margin.

    Parameters
    ----------
    results
        The long results table.
    margin
        Largest difference of mean DSC that does not matter, in percentage points; state it before
        you look at the data.
    significance_level
        Of each pair of one-sided tests (`reprostats.equivalence_test`), patients being pairs.

    Returns
    -------
    Table
        One row for each pair of configurations (each patient's mean over repetitions), and one for
        the repetitions of each configuration: the pair that is furthest from being equivalent.
        All pairs are equivalent if that one is (an intersection-union test), so that no p value
        needs adjusting.
    """
    table = per_patient(results)
    whole = table[table["complete"]]
    means = whole.pivot_table(index="patient", columns="configuration", values="value", sort=False)
    rows = [
        _equivalence_row(f"{one} - {other}", means[one], means[other], margin, significance_level)
        for one, other in combinations(means.columns, 2)
    ]
    for name, part in whole.groupby("configuration", sort=False):
        rows += _worst_repetitions(str(name), part, margin, significance_level)
    return Table(
        "monte_carlo_equivalence",
        pd.DataFrame(rows, columns=_EQUIVALENCE),
        f"Equivalence of configurations and repetitions within {margin:g} percentage points of DSC",
        {"Difference": 3, "CI low": 3, "CI high": 3, "p": 4},
        "Two one-sided tests on means over patients, who are pairs. CI: "
        f"{1 - 2 * significance_level:.0%}; equivalent means that it lies within the margin. Of "
        "repetitions, the pair furthest from equivalence is shown. Incomplete repetitions are "
        "left out.",
    )


def components_table(results: pd.DataFrame, *, confidence_level: float = 0.95) -> Table:
    """Share out the variance of DSC between configurations, repetitions, folds and patients.

    Returns
    -------
    Table
        A row for each component (`reprostats.variance_components`); where the design is too small,
        one row that says so. Where the split is fixed, a fold is a set of patients and patients
        are nested in it; where it varies, folds are new in every repetition. A training is one
        fold of one repetition under one configuration; what is left is what one training does
        to one patient.
    """
    table = per_patient(results)
    if len(table[_KEYS].drop_duplicates()) < _FEWEST:
        return _components(pd.DataFrame({"Note": ["one repetition alone has no components"]}))
    parts = {name: table[name].astype(str) for name in [*_KEYS, "fold", "patient"]}
    training = parts["configuration"] + "/" + parts["repetition"] + "/" + parts["fold"]
    text = table.assign(**parts, training=training)
    is_fixed_split = table.groupby("patient")["fold"].nunique().max() == 1
    wanted = [*_KEYS, *(["fold"] if is_fixed_split else []), "patient", "training"]
    random = [name for name in wanted if len(text[name].unique()) > 1]
    try:
        found = variance_components(
            text, value="value", random=random, confidence_level=confidence_level
        )
    except InputError as error:
        return _components(pd.DataFrame({"Note": [str(error)]}))
    shown = found.rename(columns=_COMPONENT_TITLES)[list(_COMPONENT_TITLES.values())]
    return _components(shown.replace({"Component": {"residual": "training x patient"}}))


def configuration_effects(results: pd.DataFrame) -> pd.DataFrame:
    """Ask by analysis of variance whether the mean DSC depends on the configuration.

    Patients and repetitions are blocks; the interaction of configuration and repetition says
    whether configurations differ from seed to seed.

    Returns
    -------
    pandas.DataFrame
        See `reprostats.anova`; or one row whose ``note`` says why there is no answer.
    """
    table = per_patient(results)
    whole = table[table["complete"]].astype({"repetition": str})
    counts = {name: whole[name].nunique() for name in _KEYS}
    if min(counts.values()) < _FEWEST or len(whole) < len(table):
        note = (
            f"{counts['configuration']} configuration(s), {counts['repetition']} complete "
            "repetition(s): two of each are needed, and all of them complete"
        )
        return pd.DataFrame({"source": ["configuration"], "note": [note]})
    return anova(whole, "value ~ C(configuration) * C(repetition) + C(patient)")


def planning_table(
    results: pd.DataFrame, *, half_width: float, confidence_level: float = 0.95
) -> Table:
    """Tell how many repetitions would have been enough.

    Parameters
    ----------
    results
        The long results table.
    half_width
        Wanted half-width of the interval of the mean over repetitions of the median DSC, in
        percentage points.
    confidence_level
        Of that interval.
    """
    intervals = repetition_intervals(results)
    rows = [
        _planning_row(str(name), rows["median"], half_width, confidence_level)
        for name, rows in intervals.groupby("configuration", sort=False)
    ]
    return Table(
        "monte_carlo_planning",
        pd.DataFrame(rows),
        f"Repetitions for a mean DSC known to {half_width:g} percentage points",
        {"SD between repetitions": 3},
        f"For a {confidence_level:.0%} interval of the mean over repetitions of the median DSC "
        "over patients (`repeats_for_mean`); it speaks of training again on these patients, not "
        "of other patients. From few repetitions the SD is known badly.",
    )


def verdicts(results: pd.DataFrame, *, margin: float) -> Table:
    """Put the questions side by side, each with the answer that the data give."""
    equivalent = equivalence_table(results, margin=margin).frame
    effects = configuration_effects(results)
    answers = {
        "Do the intervals overlap (the paper's question)?": str(overlap(results)),
        f"Are configurations equivalent within {margin:g} points?": _equivalent(
            equivalent, "configurations"
        ),
        f"Are repetitions equivalent within {margin:g} points?": _equivalent(
            equivalent, "repetitions"
        ),
        "Does the configuration matter (analysis of variance)?": _effect(effects),
        "Where does the variance come from?": _largest_share(components_table(results).frame),
        "Were trials lost?": _lost(results),
    }
    return Table(
        "monte_carlo_verdicts",
        pd.DataFrame({"Question": list(answers), "Answer": list(answers.values())}),
        "Is the result repeatable?",
    )


def repetition_plot(
    results: pd.DataFrame, configuration: str | None = None, *, most: int = _SHOWN
) -> alt.LayerChart | alt.FacetChart:
    """Draw the DSC of all patients by repetition, as Figure 2 of Marrone et al. (2019) does.

    Parameters
    ----------
    results
        The long results table.
    configuration
        Which one; default: the first.
    most
        Repetitions shown, from the first.
    """
    table = per_patient(results)
    chosen = table["configuration"].iloc[0] if configuration is None else configuration
    rows = table[(table["configuration"] == chosen) & (table["repetition"] <= most)]
    if rows.empty:
        raise InputError(f"no repetition of configuration {chosen!r} ended well.")
    named = rows.assign(run=[f"Rep.{number:02d}" for number in rows["repetition"]])
    return box_plot(
        named.sort_values("repetition")[["run", "value", "patient"]],
        "value",
        "run",
        value_title="DSC of patients (%)",
        title=f"The same cross-validation, run again: {chosen}",
    )


def interval_plot(
    results: pd.DataFrame, *, confidence_level: float = 0.95
) -> alt.LayerChart | alt.FacetChart:
    """Draw the median DSC of every repetition with its interval, by configuration."""
    found = repetition_intervals(results, confidence_level=confidence_level)
    finite = found[np.isfinite(found["ci_high"] - found["ci_low"])]
    shown = (
        finite if len(finite) else found.assign(ci_low=found["median"], ci_high=found["median"])
    )[[*_KEYS, "median", "ci_low", "ci_high"]]
    order = list(dict.fromkeys(found["configuration"]))
    base = alt.Chart(shown).encode(
        x=alt.X("repetition:O", title="Repetition", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("configuration:N", sort=order),
        color=alt.Color("configuration:N", sort=order, title="Configuration"),
    )
    limits = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("ci_low:Q", title="Median DSC over patients (%)", scale=alt.Scale(zero=False)),
        y2="ci_high:Q",
    )
    points = base.mark_circle(size=60, opacity=1).encode(
        y="median:Q", tooltip=["configuration", "repetition", "median", "ci_low", "ci_high"]
    )
    width = max(300, 24 * len(order) * found["repetition"].nunique())
    return alt.layer(limits, points).properties(
        width=width,
        title=f"Median DSC of every repetition with its {confidence_level:.0%} interval",
    )


_EQUIVALENCE = [
    "Compared", "Pair", "Patients", "Difference", "CI low", "CI high", "p", "Equivalent", "Note",
]  # fmt: skip
_COMPONENT_TITLES = {
    "component": "Component",
    "levels": "Levels",
    "sd": "SD",
    "share": "Share",
    "share_low": "Share low",
    "share_high": "Share high",
    "note": "Note",
}


def _repetitions(results: pd.DataFrame) -> list[int]:
    """Give each row the number of its seeds, from 1, in the order of appearance."""
    keys = results[_SEEDS].astype(str).agg("|".join, axis=1)
    return [int(code) + 1 for code in pd.factorize(keys)[0]]


def _check_tested_once(rows: pd.DataFrame) -> None:
    twice = rows[rows.duplicated([*_KEYS, "case"], keep=False)]
    if len(twice):
        first = twice.iloc[0]
        folds = sorted({int(fold) + 1 for fold in twice[twice["case"] == first["case"]]["fold"]})
        raise InputError(
            f"patient {first['case']!r} was tested on more than once in repetition "
            f"{first['repetition']} of {first['configuration']!r} (folds "
            f"{', '.join(map(str, folds))}): folds overlap. All folds of a repetition must be "
            "drawn from one seed."
        )


def _repetition_table(
    name: str, rows: pd.DataFrame, number: int, patients: int, confidence_level: float
) -> Table:
    frame = pd.DataFrame(
        {
            "Repetition": [f"Rep.{repetition:02d}" for repetition in rows["repetition"]],
            "DSC [%]": rows["median"].to_numpy(),
            "LB [%]": rows["ci_low"].to_numpy(),
            "UB [%]": rows["ci_high"].to_numpy(),
            "Patients": rows["n"].to_numpy(),
        }
    )
    return Table(
        f"monte_carlo_repetitions_{number}",
        frame,
        f"Median DSC over patients of every repetition: {name}",
        {"DSC [%]": 2, "LB [%]": 2, "UB [%]": 2},
        f"LB, UB: {confidence_level:.0%} interval of the median. The study has {patients} "
        "patients; a repetition with fewer lost a fold.",
    )


def _trials(results: pd.DataFrame, configuration: str) -> dict[str, int]:
    trials = results.drop_duplicates(["condition", "trial"])
    status = trials.loc[trials["condition"].astype(str) == configuration, "status"]
    return {"Trials": len(status), "Ended well": int((status == "ok").sum())}


def _equivalence_row(
    name: str, first: pd.Series[float], second: pd.Series[float], margin: float, level: float,
    compared: str = "configurations",
) -> dict[str, object]:  # fmt: skip
    pairs = pd.concat([first, second], axis=1).dropna()
    row = {"Compared": compared, "Pair": name, "Patients": len(pairs)}
    if len(pairs) < _FEWEST:
        return row | {"Equivalent": None, "Note": "fewer than two patients in common"}
    found = equivalence_test(
        pairs.to_numpy(dtype=float), margin=margin, significance_level=level
    ).iloc[0]
    return row | {
        "Difference": found["difference"],
        "CI low": found["ci_low"],
        "CI high": found["ci_high"],
        "p": found["p_value"],
        "Equivalent": bool(found["equivalent"]),
        "Note": found["note"],
    }


def _worst_repetitions(
    name: str, rows: pd.DataFrame, margin: float, level: float
) -> list[dict[str, object]]:
    by_patient = rows.pivot_table(index="patient", columns="repetition", values="value")
    pairs = [
        _equivalence_row(
            f"{name}, {one} - {other}", by_patient[one], by_patient[other], margin, level,
            "repetitions",
        )
        for one, other in combinations(by_patient.columns, 2)
    ]  # fmt: skip
    known = [pair for pair in pairs if "p" in pair]
    return [max(known, key=lambda pair: float(str(pair["p"])))] if known else pairs[:1]


def _components(frame: pd.DataFrame) -> Table:
    return Table(
        "monte_carlo_components",
        frame,
        "Components of the variance of DSC",
        {"SD": 3, "Share": 3, "Share low": 3, "Share high": 3},
        "Restricted maximum likelihood; SD in percentage points. Repetition: what is common to all "
        "trainings of one seed; training: what is common to the patients of one trained network.",
    )


def _planning_row(
    name: str, medians: pd.Series[float], half_width: float, confidence_level: float
) -> dict[str, object]:
    sd = float(medians.std(ddof=1)) if len(medians) >= _FEWEST else float("nan")
    row: dict[str, object] = {
        "Configuration": name,
        "Repetitions": len(medians),
        "SD between repetitions": sd,
    }
    if not sd > 0:
        alone = len(medians) < _FEWEST
        note = "cannot be told from one" if alone else "repetitions are equal: one is enough"
        return row | {"Needed": None if alone else 1, "Enough": not alone, "Note": note}
    needed = int(
        repeats_for_mean(half_width=half_width, sd=sd, confidence_level=confidence_level)["n"].iloc[
            0
        ]
    )
    return row | {"Needed": needed, "Enough": len(medians) >= needed, "Note": ""}


def _equivalent(table: pd.DataFrame, compared: str) -> str:
    rows = table[table["Compared"] == compared]
    known = rows[rows["p"].notna()]
    if known.empty:
        return "cannot be told: there is nothing to compare"
    shown = [row for _, row in known.iterrows() if not row["Equivalent"]]
    if not shown:
        worst = known.iloc[int(known["p"].astype(float).to_numpy().argmax())]
        return (
            f"yes, all of them; furthest from it {worst['Pair']}: {worst['CI low']:.2f} to "
            f"{worst['CI high']:.2f} points (p = {worst['p']:.2g})"
        )
    names = "; ".join(
        f"{row['Pair']} ({row['CI low']:.2f} to {row['CI high']:.2f} points)" for row in shown
    )
    return f"not shown for {names}"


def _effect(effects: pd.DataFrame) -> str:
    row = effects.iloc[0]
    if "p_value" not in effects:
        return f"cannot be told: {row['note']}"
    share = f"it explains {row['eta_squared']:.1%} of the variance (p = {row['p_value']:.2g})"
    if np.isnan(row["p_value"]):
        return "cannot be told: nothing varies"
    return f"{'yes' if row['p_value'] < 0.05 else 'no effect was found'}: {share}"  # noqa: PLR2004


def _largest_share(table: pd.DataFrame) -> str:
    if "Share" not in table:
        return f"cannot be told: {table['Note'].iloc[0]}"
    parts = table[table["Component"] != "total"].sort_values(
        "Share", ascending=False, kind="stable"
    )
    return ", ".join(f"{row['Component']} {row['Share']:.1%}" for _, row in parts.iterrows())


def _lost(results: pd.DataFrame) -> str:
    trials = results.drop_duplicates(["condition", "trial"])
    bad = trials[trials["status"] != "ok"]
    if bad.empty:
        return f"none of {len(trials)}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in bad["status"].value_counts().items())
    return f"{len(bad)} of {len(trials)}: {kinds}; the first: {bad['reason'].iloc[0]}"
