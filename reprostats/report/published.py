"""Published results, analysed again from the numbers that were printed.

The cells are those of ``data/published``. Every verdict here is computed from them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from reprostats import paths
from reprostats.errors import InputError
from reprostats.report.charts import box_plot
from reprostats.report.tables import Table
from reprostats.report.theme import COLOURS
from reprostats.stats.anova import anova
from reprostats.stats.components import variance_components
from reprostats.stats.equivalence import equivalence_test
from reprostats.stats.family import adjust_p_values
from reprostats.stats.paired import paired_ttest

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MARRONE = ("I", "II", "III", "IV", "V")
_THESIS = range(1, 11)
_METRICS = ("Dice", "PA", "MA", "mean.IoU", "f.w.IoU")
_CASES = 535


class Parameters(BaseModel):
    """The parameters of the notebook.

    Parameters
    ----------
    margin
        Largest difference of mean Dice coefficients, in percentage points, that does not matter.
    significance_level
        Of the tests, between 0 and 0.5.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: float = Field(default=0.1, gt=0)
    significance_level: float = Field(default=0.05, gt=0, lt=0.5)


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
    """Give the number in a printed cell, NaN if it is blank.

    Examples
    --------
    >>> number("95.90%"), number("88.58v"), number("")
    (95.9, 88.58, nan)
    """
    found = _NUMBER.search(cell)
    return float(found.group()) if found else math.nan


def is_misprint(cell: str) -> bool:
    """Tell whether a cell holds something beside a number and a percent sign.

    Examples
    --------
    >>> is_misprint("88.58v"), is_misprint("99.45 %"), is_misprint("")
    (True, False, False)
    """
    return bool(cell) and not re.fullmatch(r"\d+(\.\d+)?\s*%?", cell.strip())


def marrone() -> pd.DataFrame:
    """Give the 50 trainings of Marrone et al., Tables I to V.

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
    found = rows[["table", "conf", "framework", "repetition"]].assign(**numbers)
    found["configuration"] = found["conf"] + found["framework"]
    # Cells have two decimals, and so has their difference.
    found["size"] = (found["high"] - found["low"]).round(2)
    return found


def thesis() -> pd.DataFrame:
    """Give every training of the thesis, Tables 6.1 to 6.10, with its baseline, in percent."""
    tables = [read(f"thesis_table_6_{n}").assign(table=f"6.{n}", order=n) for n in _THESIS]
    rows = pd.concat(tables, ignore_index=True)
    for metric in _METRICS:
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
                    "Result": title,
                    "Factor": shown,
                    "F": row["f"],
                    "p": row["p_value"],
                    "Eta squared": row["eta_squared"],
                    "Share of variance": shares[source],
                }
            )
    return Table(
        "published_framework_or_hardware",
        pd.DataFrame(parts),
        "Framework and hardware in Marrone et al.: configurations B and C, frameworks K and M",
        {"F": 2, "p": 4, "Eta squared": 3, "Share of variance": 3},
        "Ten printed trainings in each of four cells; sums of squares of type 2; shares are those "
        "of REML components, all factors random.",
    )


def equivalence(chosen: Parameters) -> Table:
    """Test every pair of Marrone's configurations for equivalence of mean Dice (TOST, Welch)."""
    runs = {str(name): rows["dsc"] for name, rows in marrone().groupby("configuration")}
    rows = []
    for first, second in combinations(runs, 2):
        found = equivalence_test(
            runs[first],
            runs[second],
            margin=chosen.margin,
            paired=False,
            significance_level=chosen.significance_level,
        ).iloc[0]
        rows.append(
            {
                "First": first,
                "Second": second,
                "Difference": found["difference"],
                "CI low": found["ci_low"],
                "CI high": found["ci_high"],
                "p": found["p_value"],
            }
        )
    table = pd.DataFrame(rows)
    table["p, Holm"] = adjust_p_values(table["p"])
    table["Equivalent"] = [bool(p <= chosen.significance_level) for p in table["p, Holm"]]
    return Table(
        "published_equivalence",
        table,
        f"Equivalence of mean Dice within {chosen.margin:g} percentage points",
        {"Difference": 3, "CI low": 3, "CI high": 3, "p": 4, "p, Holm": 4},
        f"Two one-sided Welch tests; CI: {1 - 2 * chosen.significance_level:.0%}, not adjusted; "
        "the verdict is that of p after Holm, for ten pairs at once. A pair that is "
        "not equivalent is not shown to differ: ten trainings may not tell.",
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
                "Model": printed["model"],
                "Framework": printed["framework"],
                "Printed SD": printed["sd"],
                "SD, ddof 0": values.std(ddof=0),
                "SD, ddof 1": values.std(ddof=1),
                "Given by": given_by(values, printed["sd"]),
            }
        )
    return Table(
        "published_ddof",
        pd.DataFrame(rows),
        "Which standard deviation Alahmari et al. print",
        {"SD, ddof 0": 5, "SD, ddof 1": 5},
        "ddof 0 divides by n, ddof 1 by n - 1.",
    )


def given_by(values: pd.Series[float], printed: str) -> str:
    """Tell by which divisor, rounded or cut off, values have the printed SD.

    Examples
    --------
    >>> given_by(pd.Series([1.0, 2.0, 4.0]), "1.52")
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
    pairs = _last_and_baseline()
    rows = []
    for metric in _METRICS:
        first, second = pairs[f"{metric}, last"], pairs[f"{metric}, baseline"]
        found = paired_ttest(first, second).iloc[0]
        worse = pairs.loc[first < second, "table"]
        rows.append(
            {
                "Metric": metric,
                "Mean gain": found["difference"],
                "CI low": found["ci_low"],
                "CI high": found["ci_high"],
                "p": found["p_value"],
                "Tables": len(pairs),
                "Worse": len(worse),
                "Worse in": ", ".join(worse),
            }
        )
    table = pd.DataFrame(rows)
    table.insert(5, "p, Holm", adjust_p_values(table["p"]))
    return Table(
        "published_against_baseline",
        table,
        "Last training of each search against its baseline (thesis, chapter 6)",
        dict.fromkeys(["Mean gain", "CI low", "CI high"], 2) | {"p": 3, "p, Holm": 3},
        "Percentage points; paired t tests over tables. Tables with the same data share one "
        "baseline, so tests take them for more evidence than they are: read p as a lower bound.",
    )


def _last_and_baseline() -> pd.DataFrame:
    rows = thesis()
    baseline = rows[rows["action"].str.startswith("Baseline")].set_index("table")
    trained = rows[~rows["action"].str.startswith("Baseline")].dropna(subset=["Dice"])
    last = trained.groupby("table", sort=False).last()
    found = pd.DataFrame({"table": last.index})
    for metric in _METRICS:
        found[f"{metric}, last"] = last[metric].to_numpy()
        found[f"{metric}, baseline"] = baseline.loc[last.index, metric].to_numpy()
    return found


def claims(chosen: Parameters) -> Table:
    """Hold claims of the publications against what is printed in their own tables."""
    rows = [*_marrone_claims(chosen), *_thesis_claims(), *_alahmari_claims()]
    return Table(
        "published_claims",
        pd.DataFrame(rows, columns=["Source", "Claim", "From the tables", "Follows"]),
        "What does and does not follow from the printed tables",
        note="Follows: computed from the printed cells, at the precision of the claim.",
    )


def _marrone_claims(chosen: Parameters) -> Iterator[tuple[str, str, str, bool]]:
    runs = marrone()
    medians = runs.groupby("configuration")["size"].median()
    summary = read("marrone2019_table_VI").set_index("row").T
    for conf, framework, cell in summary[["Conf.", "Framework", "Median CI size"]].to_numpy():
        found = float(medians[conf + framework])
        # Half a unit of the last printed digit, either way of rounding.
        follows = abs(found - number(cell)) <= 0.005 + 1e-9
        claim = f"median CI size of {conf}{framework} is {cell}"
        yield "Marrone, Table VI", claim, f"{found:.3f}%", follows
    for used in (["BK", "CK"], ["AK", "BK", "CK"]):
        gain = 1 - medians[["BM", "CM"]].mean() / medians[used].mean()
        claim = f"intervals of M are about 27% smaller than those of {', '.join(used)}"
        yield "Marrone", claim, f"{gain:.1%} smaller", round(100 * gain) == 27  # noqa: PLR2004
    for result, rows in framework_or_hardware().frame.groupby("Result", sort=False):
        eta = dict(zip(rows["Factor"], rows["Eta squared"], strict=True))
        p = dict(zip(rows["Factor"], rows["p"], strict=True))
        shown = (
            f"eta squared {eta['Framework']:.3f} (p = {p['Framework']:.3g}) against "
            f"{eta['Hardware']:.3f} (p = {p['Hardware']:.3g})"
        )
        claim = f"framework matters more than hardware, for {result}"
        more = eta["Framework"] > eta["Hardware"] and p["Framework"] <= chosen.significance_level
        yield "Marrone", claim, shown, more


def _thesis_claims() -> Iterator[tuple[str, str, str, bool]]:
    pairs = _last_and_baseline()
    for metric in _METRICS:
        gains = pairs[f"{metric}, last"] - pairs[f"{metric}, baseline"]
        worst = int(gains.to_numpy().argmin())
        shown = (
            f"worse in {int((gains < 0).sum())} of {len(gains)} tables, at worst by "
            f"{-gains.iloc[worst]:.2f} points (Table {pairs['table'].iloc[worst]})"
        )
        if gains.iloc[worst] >= 0:
            shown = f"not worse in any of {len(gains)} tables"
        claim = f"the search always outperforms the baseline, by {metric}"
        yield "Thesis, chapter 6", claim, shown, bool((gains > 0).all())
    rows = thesis().dropna(subset=list(_METRICS))
    rows = rows[~rows["action"].str.startswith("Baseline")]
    twice = rows[rows.duplicated(list(_METRICS), keep=False)]
    shown = "; ".join(
        " = ".join(f"Table {r['table']}, iteration {r['iteration']}" for _, r in same.iterrows())
        for _, same in twice.groupby(list(_METRICS))
        if len(set(same["table"])) > 1
    )
    claim = "every row is a training of its own"
    yield "Thesis, chapter 6", claim, shown or "no row is printed twice", not shown


def _alahmari_claims() -> Iterator[tuple[str, str, str, bool]]:
    cells = [cell for n in (3, 4, 5) for cell in read(f"alahmari2020_table_{n}")["Error rate (%)"]]
    possible = {math.floor(1e4 * k / _CASES) / 100 for k in range(_CASES + 1)}
    fit = [number(cell) in possible for cell in cells]
    shown = f"{sum(fit)} of {len(fit)} are k/{_CASES} cut off after two decimals"
    yield "Alahmari, Tables 3 to 5", f"error rates are shares of {_CASES} cells", shown, all(fit)
    given = degrees_of_freedom().frame
    ways = set(given["Given by"])
    same = len(ways) == 1 and "neither" not in ways
    yield "Alahmari", "SDs are computed in one way", "; ".join(given["Given by"]), same


def misprints() -> Table:
    """List the cells that hold something beside a number."""
    found = []
    for n in _THESIS:
        rows = read(f"thesis_table_6_{n}")
        for metric in _METRICS:
            found += [
                (f"6.{n}", iteration, metric, cell, number(cell))
                for iteration, cell in zip(rows["iteration"], rows[metric], strict=True)
                if is_misprint(cell)
            ]
    columns = ["Table", "Iteration", "Metric", "Printed", "Read as"]
    return Table(
        "published_misprints",
        pd.DataFrame(found, columns=columns),
        "Cells of the thesis that hold more than a number",
        {"Read as": 2},
    )


def size_plot() -> alt.LayerChart | alt.FacetChart:
    """Draw the sizes of the printed intervals by configuration."""
    runs = marrone().sort_values("configuration")
    return box_plot(
        runs,
        "size",
        "configuration",
        value_title="CI size (percentage points)",
        title="Intervals that Marrone et al. print: hardware A, B, C; frameworks K, M",
    )


def equivalence_plot(table: Table, chosen: Parameters) -> alt.LayerChart | alt.FacetChart:
    """Draw the interval of every difference between the margins of equivalence."""
    rows = table.frame.assign(pair=table.frame["First"] + " - " + table.frame["Second"])
    rows = rows.rename(columns={"CI low": "low", "CI high": "high"})
    rows["verdict"] = np.where(rows["Equivalent"], "equivalent", "not shown to be equivalent")
    names = ["equivalent", "not shown to be equivalent"]
    colour = alt.Color(
        "verdict", title=None, scale=alt.Scale(domain=names, range=COLOURS[:2]), sort=names
    )
    base = alt.Chart(rows).encode(y=alt.Y("pair", title=None, sort=list(rows["pair"])))
    title = "Difference of mean Dice (percentage points)"
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low", title=title, scale=alt.Scale(zero=False)), x2="high", color=colour
    )
    points = base.mark_circle(size=60).encode(x="Difference", color=colour)
    margins = pd.DataFrame({"margin": [-chosen.margin, chosen.margin]})
    ends = alt.Chart(margins).mark_rule(strokeDash=[4, 3]).encode(x="margin")
    return alt.layer(lines, points, ends).properties(
        title=f"Equivalent within {chosen.margin:g} points?", height=260
    )
