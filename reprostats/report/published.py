"""Published results, analysed again from the numbers that were printed.

The cells are those of ``data/published``. Every verdict here is computed from them.
"""

from __future__ import annotations

import math
import re
from itertools import combinations
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from reprostats import paths
from reprostats.errors import InputError
from reprostats.report.charts import boxes_caption, points_plot
from reprostats.report.figure import Figure
from reprostats.report.tables import Table
from reprostats.report.theme import COLOURS
from reprostats.stats.anova import anova
from reprostats.stats.components import variance_components
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.family import adjust_p_values
from reprostats.stats.paired import paired_ttest

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MARRONE = ("I", "II", "III", "IV", "V")
THESIS = range(1, 11)
METRICS = ("Dice", "PA", "MA", "mean.IoU", "f.w.IoU")
_DIFFERENCE = {
    "difference": "Difference", "ci_low": "CI low", "ci_high": "CI high", "p_value": "p",
    "p_adjusted": "p (Holm)",
}  # fmt: skip


class PublishedParameters(BaseModel):
    """The parameters of the notebook.

    Parameters
    ----------
    margin
        Largest difference of mean Dice coefficients that does not matter, in percentage points: the
        unit of the printed cells.
    alpha
        Of the tests, between 0 and 0.5.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: float = Field(default=0.1, gt=0)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)


def read(name: str, folder: Path | None = None) -> pd.DataFrame:
    """Read a published table, every cell as the text that was printed.

    Raises
    ------
    InputError
        If there is no such table.
    """
    path = (folder or paths.checkout("data", "published")) / f"{name}.csv"
    if not path.is_file():
        raise InputError(f"there is no published table {path.name} in {path.parent.name}")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def number(cell: str) -> float:
    """Return the number in a printed cell, NaN if it is blank.

    Examples
    --------
    >>> number("95.90%"), number("88.58v"), number("")
    (95.9, 88.58, nan)
    """
    match = _NUMBER.search(cell)
    return float(match.group()) if match else math.nan


def is_misprint(cell: str) -> bool:
    """Tell whether a cell holds something beside a number and a percent sign.

    Examples
    --------
    >>> is_misprint("88.58v"), is_misprint("99.45 %"), is_misprint("")
    (True, False, False)
    """
    return bool(cell) and not re.fullmatch(r"\d+(\.\d+)?\s*%?", cell.strip())


def marrone() -> pd.DataFrame:
    """Read the repetitions of Marrone et al., Tables I to V.

    A row is one repetition of a whole 10-fold cross-validation, of ten networks; the tables print
    the first 10 of 50 for each of five configurations.

    Returns
    -------
    DataFrame
        ``table``, ``conf``, ``framework``, ``configuration``, ``repetition``; ``dsc``, ``low``,
        ``high`` and ``size`` (of the interval) in percent.
    """
    rows = pd.concat([read(f"marrone2019_table_{name}") for name in _MARRONE], ignore_index=True)
    rows = rows[rows["repetition"].str.startswith("Rep.")].reset_index(drop=True)
    numbers = {
        name: rows[column].map(number)
        for name, column in (("dsc", "DSC"), ("low", "LB"), ("high", "UB"))
    }
    runs = rows[["table", "conf", "framework", "repetition"]].assign(**numbers)
    runs["configuration"] = runs["conf"] + runs["framework"]
    # Cells have two decimals, and so has their difference.
    runs["size"] = (runs["high"] - runs["low"]).round(2)
    return runs


def thesis() -> pd.DataFrame:
    """Read every training of the thesis, Tables 6.1 to 6.10, with its baseline, in percent."""
    tables = [read(f"thesis_table_6_{n}").assign(table=f"6.{n}", order=n) for n in THESIS]
    rows = pd.concat(tables, ignore_index=True)
    for metric in METRICS:
        rows[metric] = rows[metric].map(number)
    return rows


def framework_or_hardware() -> Table:
    """Ask by two-way analysis of variance what moves Marrone's results: framework or hardware."""
    runs = marrone()
    crossed = runs[runs["conf"].isin(["B", "C"])]
    parts = []
    for name, title in (("size", "CI size"), ("dsc", "Median Dice")):
        tested = anova(crossed, f"{name} ~ framework * conf").set_index("source")
        shares = variance_components(
            crossed, value=name, random=["framework", "conf", "framework:conf"]
        ).set_index("component")["share"]
        names = {"framework": "Framework", "conf": "Hardware", "framework:conf": "Both together"}
        for source, shown in names.items():
            row = tested.loc[source]
            parts.append(
                {
                    "result": title,
                    "factor": shown,
                    "f": row["f"],
                    "p_value": row["p_value"],
                    "eta_squared": row["eta_squared"],
                    "share": shares[source],
                }
            )
    return Table(
        "published_framework_or_hardware",
        pd.DataFrame(parts),
        "Framework and hardware in Marrone et al.: configurations B and C, frameworks K and M",
        {"f": 2, "p_value": 4, "eta_squared": 3, "share": 3},
        "Ten printed repetitions of the cross-validation in each of four cells; sums of squares of "
        "type 2; shares are those of REML components, all factors random.",
        {"result": "Result", "factor": "Factor", "f": "F", "p_value": "p",
         "eta_squared": "Eta squared", "share": "Share of variance"},
    )  # fmt: skip


def equivalence(chosen: PublishedParameters) -> Table:
    """Test every pair of Marrone's configurations for equivalence of mean Dice (TOST, Welch)."""
    runs = {str(name): rows["dsc"] for name, rows in marrone().groupby("configuration")}
    rows = []
    for first, second in combinations(runs, 2):
        tested = equivalence_test(
            runs[first],
            runs[second],
            margin=chosen.margin,
            paired=False,
            significance_level=chosen.alpha,
        ).iloc[0]
        rows.append(
            {
                "first": first,
                "second": second,
                "difference": tested["difference"],
                "ci_low": tested["ci_low"],
                "ci_high": tested["ci_high"],
                "p_value": tested["p_value"],
            }
        )
    table = pd.DataFrame(rows)
    table["p_adjusted"] = adjust_p_values(table["p_value"])
    table["equivalent"] = [bool(p <= chosen.alpha) for p in table["p_adjusted"]]
    return Table(
        "published_equivalence",
        table,
        f"Equivalence of mean Dice within {chosen.margin:g} percentage points",
        dict.fromkeys(("difference", "ci_low", "ci_high"), 3) | {"p_value": 4, "p_adjusted": 4},
        f"Two one-sided Welch tests; CI: {1 - 2 * chosen.alpha:.0%}, not adjusted; "
        "the verdict is that of p after Holm, for ten pairs at once. A pair that is "
        "not equivalent is not shown to differ: ten repetitions may not tell.",
        _DIFFERENCE | {"first": "First", "second": "Second", "equivalent": "Equivalent"},
    )


def degrees_of_freedom() -> Table:
    """Tell which divisor gives each SD that Alahmari et al. print."""
    rows = []
    for printed in read("alahmari2020_printed_summaries").to_dict("records"):
        trials = read(f"alahmari2020_table_{printed['table']}")
        column = "TF1.14_Accuracy" if printed["table"] == "7" else printed["quantity"]
        values = trials[column].map(number)
        rows.append(
            {
                "model": printed["model"],
                "framework": printed["framework"],
                "printed_sd": printed["sd"],
                "sd_ddof_0": values.std(ddof=0),
                "sd_ddof_1": values.std(ddof=1),
                "divisor": divisor_of(values, printed["sd"]),
            }
        )
    return Table(
        "published_ddof",
        pd.DataFrame(rows),
        "Which standard deviation Alahmari et al. print",
        {"sd_ddof_0": 5, "sd_ddof_1": 5},
        "Divisor: the one that gives the printed SD. ddof 0 divides by n, ddof 1 by n - 1.",
        {"model": "Model", "framework": "Framework", "printed_sd": "Printed SD",
         "sd_ddof_0": "SD, ddof 0", "sd_ddof_1": "SD, ddof 1", "divisor": "Divisor"},
    )  # fmt: skip


def divisor_of(values: pd.Series[float], printed: str) -> str:
    """Tell by which divisor, rounded or cut off, values have the printed SD.

    Examples
    --------
    >>> divisor_of(pd.Series([1.0, 2.0, 4.0]), "1.52")
    'ddof 1, cut off'
    """
    digits = len(printed.partition(".")[2])
    for ddof in (0, 1):
        spread = float(values.std(ddof=ddof))
        cut = math.floor(spread * 10**digits + 1e-9) / 10**digits
        for how, shown in (("rounded", round(spread, digits)), ("cut off", cut)):
            if f"{shown:.{digits}f}" == printed:
                return f"ddof {ddof}, {how}"
    return "neither"


def against_baseline() -> Table:
    """Compare the last training of every table of the thesis with its baseline, paired."""
    pairs = last_and_baseline()
    rows = []
    for metric in METRICS:
        first, second = pairs[f"{metric}, last"], pairs[f"{metric}, baseline"]
        tested = paired_ttest(first, second).iloc[0]
        worse = pairs.loc[first < second, "table"]
        rows.append(
            {
                "metric": metric,
                "difference": tested["difference"],
                "ci_low": tested["ci_low"],
                "ci_high": tested["ci_high"],
                "p_value": tested["p_value"],
                "n_tables": len(pairs),
                "n_worse": len(worse),
                "worse_in": ", ".join(worse),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(5, "p_adjusted", adjust_p_values(table["p_value"]))
    return Table(
        "published_against_baseline",
        table,
        "Last training of each search against its baseline (thesis, chapter 6)",
        dict.fromkeys(("difference", "ci_low", "ci_high"), 2) | {"p_value": 3, "p_adjusted": 3},
        "Percentage points; paired t tests over tables. Tables with the same data share one "
        "baseline, so tests take them for more evidence than they are: read p as a lower bound.",
        _DIFFERENCE
        | {"metric": "Metric", "difference": "Mean gain", "n_tables": "Tables", "n_worse": "Worse",
           "worse_in": "Worse in"},
    )  # fmt: skip


def last_and_baseline() -> pd.DataFrame:
    """Return the last training of every table of the thesis and its baseline, in two columns."""
    rows = thesis()
    baseline = rows[rows["action"].str.startswith("Baseline")].set_index("table")
    trained = rows[~rows["action"].str.startswith("Baseline")].dropna(subset=["Dice"])
    last = trained.groupby("table", sort=False).last()
    pairs = pd.DataFrame({"table": last.index})
    for metric in METRICS:
        pairs[f"{metric}, last"] = last[metric].to_numpy()
        pairs[f"{metric}, baseline"] = baseline.loc[last.index, metric].to_numpy()
    return pairs


def misprints() -> Table:
    """List the cells that hold something beside a number."""
    cells = []
    for n in THESIS:
        rows = read(f"thesis_table_6_{n}")
        for metric in METRICS:
            cells += [
                (f"6.{n}", iteration, metric, cell, number(cell))
                for iteration, cell in zip(rows["iteration"], rows[metric], strict=True)
                if is_misprint(cell)
            ]
    return Table(
        "published_misprints",
        pd.DataFrame(cells, columns=["table", "iteration", "metric", "printed", "value"]),
        "Cells of the thesis that hold more than a number",
        {"value": 2},
        titles={"table": "Table", "iteration": "Iteration", "metric": "Metric",
                "printed": "Printed", "value": "Read as"},
    )  # fmt: skip


def size_figure() -> Figure:
    """Draw the sizes of the printed intervals by configuration."""
    sizes = marrone().sort_values("configuration")
    chart = points_plot(
        sizes, value="size", group="configuration", value_title="CI size (percentage points)"
    )
    return Figure(
        "published_ci_sizes",
        chart,
        "Intervals that Marrone et al. print: hardware A, B, C; frameworks K, M. Each point is one "
        "of ten repetitions of a 10-fold cross-validation." + boxes_caption(sizes, "configuration"),
    )


def equivalence_figure(table: Table, chosen: PublishedParameters) -> Figure:
    """Draw the interval of every difference between the margins of equivalence."""
    names = ["equivalent", "not shown to be equivalent"]
    rows = table.frame.assign(
        pair=table.frame["first"] + " - " + table.frame["second"],
        verdict=np.where(table.frame["equivalent"], *names),
    )
    colour = alt.Color(
        "verdict", title=None, scale=alt.Scale(domain=names, range=COLOURS[:2]), sort=names
    )
    base = alt.Chart(rows).encode(y=alt.Y("pair", title=None, sort=list(rows["pair"])))
    title = "Difference of mean Dice (percentage points)"
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("ci_low", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6)),
        x2="ci_high",
        color=colour,
    )
    points = base.mark_circle(size=60).encode(x="difference", color=colour)
    margins = pd.DataFrame({"margin": [-chosen.margin, chosen.margin]})
    ends = alt.Chart(margins).mark_rule(strokeDash=[4, 3]).encode(x="margin")
    return Figure(
        "published_equivalence_intervals",
        alt.layer(lines, points, ends).properties(height=260),
        "Differences of mean Dice between configurations of Marrone et al., first minus second. "
        f"Points are estimates, lines their {1 - 2 * chosen.alpha:.0%} intervals, not adjusted; "
        f"colours show the verdict after Holm. Dashed lines are the margin of {chosen.margin:g} "
        "percentage points.",
    )
