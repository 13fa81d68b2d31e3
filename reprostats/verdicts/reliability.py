"""How reliable is a metric across runs: the case x run picture of a study in one call."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reprostats.errors import InputError, unknown_name
from reprostats.records.record import WHOLE
from reprostats.report.tables import Table
from reprostats.stats.checks import check_confidence_level, count
from reprostats.stats.components import variance_components
from reprostats.stats.icc import icc
from reprostats.stats.measurement import REPEATABILITY_LEVEL, measurement_error
from reprostats.study.results import is_completed, with_reason

if TYPE_CHECKING:
    import altair as alt

_CAPTION = (
    "Each point is a run, each line reaches from the smallest to the largest value of a case; "
    "cases stand in the order of their means."
)


@dataclass(frozen=True)
class Reliability:
    """What runs of a study say about one metric.

    Parameters
    ----------
    metric
        Its name.
    scores
        Values of shape (cases, runs), one row a case and one column a run that completed.
    quantities
        One row a quantity: ``quantity``, ``estimate``, ``ci_low``, ``ci_high``, ``note``.
    components
        Of the variance, as of `variance_components`: ``case``, ``trial``, ``residual`` (what
        cases and runs do together, and what is left), ``total``.
    n_runs, n_failed
        Runs that were started, and those among them that did not complete.
    failures
        Number of runs by status, of those that did not complete.
    n_excluded
        Cases left out because a run that completed has no finite value for them.
    confidence_level
        Of the intervals.
    """

    metric: str
    scores: pd.DataFrame
    quantities: pd.DataFrame
    components: pd.DataFrame
    n_runs: int
    n_failed: int
    failures: dict[str, int]
    n_excluded: int
    confidence_level: float

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from reprostats.report.figure import Figure

        figure = Figure("reliability", self.chart(), _CAPTION)
        return f"<p>{html.escape(self.summary())}</p>{self._shown().fragment()}{figure.html()}"

    def _shown(self) -> Table:
        """Return the quantities as they are shown."""
        limits = {"ci_low": "CI low", "ci_high": "CI high"}
        return Table(
            "reliability",
            self.quantities,
            f"How reliable {self.metric} is",
            note=f"Limits: of the {self.confidence_level:.0%} interval.",
            titles={"quantity": "Quantity", "estimate": "Estimate", "note": "Note"} | limits,
        )

    def summary(self) -> str:
        """Say it in prose, for a paper."""
        rows = self.quantities.set_index("quantity")
        level = f"{self.confidence_level:.0%} CI"

        def told(name: str) -> str:
            row = rows.loc[name]
            return f"{row['estimate']:.3g} ({level} {row['ci_low']:.3g} to {row['ci_high']:.3g})"

        shares = self.components.set_index("component")["share"]
        text = (
            f"{self.metric} of {count(self.scores.shape[0], 'case')} in "
            f"{count(self.scores.shape[1], 'run')}: ICC(A,1) {told('ICC(A,1)')}; standard error "
            f"of measurement {told('standard error of measurement')}; minimal detectable change "
            f"{told('minimal detectable change')}"
        )
        # At 95 % they are one number by definition.
        if self.confidence_level == REPEATABILITY_LEVEL:
            text += ", which is the repeatability coefficient too."
        else:
            text += f"; repeatability coefficient {told('repeatability coefficient')}."
        if not shares.isna().any():
            text += (
                f" Of the variance, {shares['case']:.1%} lies between cases, "
                f"{shares['trial']:.1%} between runs and {shares['residual']:.1%} in what is left."
            )
        if rows["estimate"]["ICC(A,1)"] < 0:
            text += (
                " The ICC is below 0 because the means of cases differ by less than chance alone "
                "would make them; the variance between cases, which cannot be below 0, is "
                "estimated as 0."
            )
        return f"{text}{self._losses()}"

    def _losses(self) -> str:
        text = ""
        if self.n_failed:
            reasons = ", ".join(f"{number} {status}" for status, number in self.failures.items())
            text += f" {self.n_failed} of {self.n_runs} runs did not complete ({reasons})"
            text += " and are not among these numbers."
        if self.n_excluded:
            text += (
                f" {count(self.n_excluded, 'case')} without a finite value in every run left out."
            )
        return text

    def table(self) -> pd.DataFrame:
        """Return the quantities with the numbers of cases and of runs, failed ones too."""
        return self.quantities.assign(
            n_cases=len(self.scores), n_runs=self.n_runs, n_failed=self.n_failed
        )

    def chart(self) -> alt.LayerChart | alt.FacetChart:
        """Draw every case as a line from its smallest value to its largest, and its runs."""
        import altair as alt

        means = self.scores.mean(axis=1).sort_values()
        order = [str(case) for case in means.index]
        long = self.scores.rename_axis("case").reset_index()
        long = long.melt("case", var_name="run", value_name="value").astype({"case": str})
        base = alt.Chart(long).encode(
            x=alt.X("case:N", sort=order, title="case, by mean", axis=alt.Axis(labelAngle=-60))
        )
        ranges = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
            y=alt.Y("min(value):Q", title=self.metric, scale=alt.Scale(zero=False)),
            y2="max(value):Q",
        )
        points = base.mark_circle(size=36, opacity=0.8).encode(
            y=alt.Y("value:Q", title=self.metric), tooltip=["case", "run", "value"]
        )
        title = f"{self.metric} of every case in {count(self.scores.shape[1], 'run')}"
        return alt.layer(ranges, points).properties(title=title, width=max(14 * len(order), 240))


def reliability(
    results: pd.DataFrame,
    metric: str = "dice",
    *,
    condition: str | None = None,
    confidence_level: float = 0.95,
) -> Reliability:
    """Tell how reliable a metric is across the runs of a study.

    Parameters
    ----------
    results
        The long results table of a study, with columns ``trial``, ``metric``, ``case``, ``value``,
        ``status`` and, if it has conditions, ``condition``.
    metric
        Which metric; it must be measured by case.
    condition
        Which condition, if there are several: runs of different conditions are not repeats.
    confidence_level
        Of the intervals, between 0 and 1.

    Returns
    -------
    Reliability
        With ``summary()``, ``table()``, ``chart()`` and the parts they are made of.

    Raises
    ------
    InputError
        If a column, the metric or the condition is not known, there are several conditions and
        none is chosen, the metric was not measured by case, or fewer than two runs completed or
        two cases are complete.

    Notes
    -----
    Runs that did not complete are counted in the result, whatever values they left; a case
    without a finite value in each of the others is left out, and counted. ICC(A,1) is that of
    `icc`, the errors are those of `measurement_error`, components those of
    `variance_components` with cases and runs crossed.

    Examples
    --------
    >>> results = pd.DataFrame({
    ...     "trial": ["a"] * 4 + ["b"] * 4 + ["c"], "metric": ["dice"] * 8 + [""],
    ...     "case": [*"1234", *"1234", "all"], "status": ["ok"] * 8 + ["failed"],
    ...     "value": [0.91, 0.85, 0.78, 0.95, 0.90, 0.87, 0.77, 0.96, None]})
    >>> found = reliability(results)
    >>> found.n_runs, found.n_failed
    (3, 1)
    >>> print(found.table()[["quantity", "estimate"]].head(2).round(4).to_string(index=False))
                         quantity  estimate
                         ICC(A,1)    0.9851
    standard error of measurement    0.0094
    """
    check_confidence_level(confidence_level)
    chosen = _chosen(results, condition)
    statuses = chosen.drop_duplicates("trial").set_index("trial")["status"]
    failed = statuses[~is_completed(statuses.to_frame())]
    failures = failed.value_counts().to_dict()
    scores, excluded = _scores(chosen[is_completed(chosen)], metric, chosen)
    return Reliability(
        metric=metric,
        scores=scores,
        quantities=_quantities(scores, confidence_level),
        components=_components(scores, confidence_level),
        n_runs=len(statuses),
        n_failed=len(failed),
        failures={str(status): int(number) for status, number in failures.items()},
        n_excluded=excluded,
        confidence_level=confidence_level,
    )


def _chosen(results: pd.DataFrame, condition: str | None) -> pd.DataFrame:
    for name in ("trial", "metric", "case", "value", "status"):
        if name not in results.columns:
            raise unknown_name("column", name, map(str, results.columns), where="results")
    if "condition" not in results.columns:
        return results.assign(condition="results")
    known = list(dict.fromkeys(results["condition"].astype(str)))
    if condition is None and len(known) > 1:
        raise InputError(
            "the results hold several conditions, and their runs are not repeats of each other: "
            f"choose condition= from {', '.join(known)}"
        )
    if condition is not None and condition not in known:
        raise unknown_name("condition", condition, known)
    return results if condition is None else results[results["condition"] == condition]


def _scores(well: pd.DataFrame, metric: str, every: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return values of shape (cases, runs), and how many cases are not complete."""
    known = [name for name in dict.fromkeys(every["metric"]) if name]
    if metric not in known:
        raise with_reason(unknown_name("metric", metric, known), every)
    rows = well[well["metric"] == metric]
    if set(rows["case"]) == {WHOLE}:
        raise InputError(f"{metric!r} was measured once a run, not by case: use median_ci or anova")
    doubled = rows.duplicated(["case", "trial"])
    if doubled.any():
        first = rows[doubled].iloc[0]
        raise InputError(f"run {first['trial']!r} has two values of case {first['case']!r}")
    wide = rows.pivot_table("value", "case", "trial", sort=False, dropna=False)
    lost = [trial for trial in well["trial"].unique() if trial not in wide.columns]
    wide = wide.reindex(columns=[*wide.columns, *lost])
    complete = wide.loc[np.isfinite(wide.to_numpy()).all(axis=1)]
    for number, noun in zip(complete.shape, ("complete case", "completed run"), strict=True):
        if number < 2:  # noqa: PLR2004
            few = f"{metric!r} has {count(number, noun)}; at least 2 are needed."
            raise with_reason(InputError(few + _gap(wide)), every)
    return complete, len(wide) - len(complete)


def _gap(wide: pd.DataFrame) -> str:
    """Name a value that is missing, for want of which a case is not complete; empty if none is."""
    missing = ~np.isfinite(wide.to_numpy())
    if not missing.any():
        return ""
    lacking = wide.index[missing.any(axis=1)]
    run = wide.columns[missing[wide.index.get_loc(lacking[0])]][0]
    return (
        f" A case is complete if every completed run has a finite value of it; "
        f"{count(len(lacking), 'case')} of {len(wide)} are not: the first, {lacking[0]!r}, has "
        f"none in run {run!r}."
    )


def _quantities(scores: pd.DataFrame, confidence_level: float) -> pd.DataFrame:
    coefficients = icc(scores, confidence_level=confidence_level).rename(
        columns={"form": "quantity", "icc": "estimate"}
    )
    names = ["quantity", "estimate", "ci_low", "ci_high", "note"]
    agreement = coefficients.loc[coefficients["quantity"] == "ICC(A,1)", names]
    errors = measurement_error(scores, confidence_level=confidence_level)[names]
    return pd.concat([agreement, errors], ignore_index=True)


def _components(scores: pd.DataFrame, confidence_level: float) -> pd.DataFrame:
    table = scores.rename_axis("case").reset_index().melt("case", var_name="trial")
    table = table.astype({"case": str, "trial": str})
    if np.ptp(scores.to_numpy()) == 0:
        names = ["case", "trial", "residual", "total"]
        return pd.DataFrame({"component": names, "variance": 0.0, "share": np.nan})
    return variance_components(
        table, value="value", random=["case", "trial"], confidence_level=confidence_level
    )
